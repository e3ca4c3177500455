"""Small random networks of open_clip, in the layout of a folder that the library opens: every kind of tower."""

import json
from functools import cache

import torch
from safetensors.torch import save_file
from torch import nn

TEXT = {"context_length": 8, "vocab_size": 99, "width": 16, "heads": 2, "layers": 1}
VIT = {"image_size": 64, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16}
TIMM = {"image_size": 160, "timm_proj": "linear"}
CONFIGS = {
    "vit": {"vision_cfg": VIT},
    "vit_quickgelu": {"vision_cfg": VIT, "quick_gelu": True},
    "vit_scaled": {"vision_cfg": VIT | {"ls_init_value": 0.5, "no_ln_pre": True}},
    "vit_custom": {"vision_cfg": VIT | {"qk_norm": True}},
    "vit_mean": {"vision_cfg": VIT | {"pool_type": "avg"}},
    "vit_mean_then_norm": {"vision_cfg": VIT | {"pool_type": "avg", "final_ln_after_pool": True}},
    "vit_attention": {"vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}},
    "resnet": {"vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}},
    "timm_resnet": {"vision_cfg": TIMM | {"timm_model_name": "test_resnet", "timm_pool": "avg"}},
    "timm_vit": {"vision_cfg": TIMM | {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": ""}},
    "timm_map": {"vision_cfg": TIMM | {"timm_model_name": "test_vit3", "timm_pool": "map", "timm_proj": "mlp"}},
}
SEEN = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "resize_mode": "squash"}


def library():
    """open_clip, imported where it is used: the workers that run other tests need not wait for it."""
    import open_clip

    return open_clip


def config(name):
    return {"embed_dim": 24, "text_cfg": TEXT, **CONFIGS[name]}


@cache
def network(name):
    """The whole network of two towers, with everything drawn anew that the library starts at 0 or 1."""
    torch.manual_seed(41)
    custom = "timm_model_name" in CONFIGS[name]["vision_cfg"]
    made = (library().CustomTextCLIP if custom else library().CLIP)(**config(name)).eval()
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made


def side(name):
    """Pixels of a view as the description has it."""
    return CONFIGS[name]["vision_cfg"]["image_size"]


def saved(name, folder):
    """Writes a network as open_clip's ``local-dir:`` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    custom = {"custom_text": True} if "timm_model_name" in CONFIGS[name]["vision_cfg"] else {}
    described = {"model_cfg": config(name) | custom, "preprocess_cfg": SEEN}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    state = {key: one.contiguous().clone() for key, one in network(name).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
