"""Small random models of transformers, in the layout that the library saves: every family that is known."""

from functools import cache

import torch
import transformers
from torch import nn

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
TEXTS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 99,
    "max_position_embeddings": 8,
    "projection_dim": 24,
    "bos_token_id": 97,
    "eos_token_id": 98,
    "pad_token_id": 0,
}
MADE = {
    "vit": lambda t: t.ViTModel(t.ViTConfig(**SMALL, intermediate_size=64)),
    "deit": lambda t: t.DeiTModel(t.DeiTConfig(**SMALL, intermediate_size=64)),
    "dinov2": lambda t: t.Dinov2Model(t.Dinov2Config(**SMALL, mlp_ratio=2, layerscale_value=0.5)),
    "dinov2_swiglu": lambda t: t.Dinov2Model(t.Dinov2Config(**SMALL, mlp_ratio=2, use_swiglu_ffn=True)),
    "dinov2_with_registers": lambda t: t.Dinov2WithRegistersModel(
        t.Dinov2WithRegistersConfig(**SMALL, mlp_ratio=2, num_register_tokens=3)
    ),
    "dinov3_vit": lambda t: t.DINOv3ViTModel(
        t.DINOv3ViTConfig(**SMALL, intermediate_size=64, num_register_tokens=2, layerscale_value=0.5)
    ),
    "dinov3_convnext": lambda t: t.DINOv3ConvNextModel(
        t.DINOv3ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1], image_size=64)
    ),
    "clip_vision_model": lambda t: t.CLIPVisionModelWithProjection(
        t.CLIPVisionConfig(**SMALL, intermediate_size=64, projection_dim=24)
    ),
    "clip": lambda t: t.CLIPModel(
        t.CLIPConfig(
            vision_config={**SMALL, "intermediate_size": 64, "projection_dim": 24},
            text_config=TEXTS,
            projection_dim=24,
        )
    ),
    "siglip_vision_model": lambda t: t.SiglipVisionModel(t.SiglipVisionConfig(**SMALL, intermediate_size=64)),
    "siglip_headless": lambda t: t.SiglipVisionModel(
        t.SiglipVisionConfig(**SMALL, intermediate_size=64, vision_use_head=False)
    ),
    "swin": lambda t: t.SwinModel(
        t.SwinConfig(image_size=64, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4)
    ),
    "convnext": lambda t: t.ConvNextModel(
        t.ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1], image_size=64)
    ),
    "convnextv2": lambda t: t.ConvNextV2Model(
        t.ConvNextV2Config(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1], image_size=64)
    ),
    "resnet": lambda t: t.ResNetModel(
        t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], layer_type="basic")
    ),
    "regnet": lambda t: t.RegNetModel(
        t.RegNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], groups_width=4)
    ),
}


@cache
def model(name):
    """The model, with everything drawn anew that the library starts at 0 or 1."""
    torch.manual_seed(31)
    made = MADE[name](transformers).eval()
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for parameter in made.parameters():
        if parameter.ndim > 1 and parameter.std() < 0.1:  # transformers starts with small weights: pictures look alike
            parameter.data *= 4
    return made


def side(name):
    """Pixels of a view as the configuration has it; ResNet's and RegNet's have none."""
    config = model(name).config
    return getattr(getattr(config, "vision_config", config), "image_size", 64)
