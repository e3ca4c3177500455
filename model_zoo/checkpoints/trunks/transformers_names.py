"""The names that transformers gives the tensors of vision networks, as timm's and torchvision's."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_QKV = re.compile(r"(.*\.attn)\.(query|key|value)\.(weight|bias)")
_FIRST = re.compile(r"(?:^|\.)((embeddings\.(patch_embedding|class_token|cls_token)|embedder\.))")  # of a picture


def from_transformers(tensors: Mapping[str, Tensor], slots: Iterable[str]) -> dict[str, Tensor] | None:
    """The tensors under the names of ``slots``, queries, keys and values in one; None for names that are not theirs.

    Both the names in files that transformers saves, and those that its networks have in memory since version 5. Keys
    that no rule knows stay as they are.
    """
    starts = {key[: found.start(1)] for key in tensors if (found := _FIRST.search(key))}
    if len(starts) != 1:
        return None
    start = starts.pop()
    inner = {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
    rules = next((rules for known, rules in _FAMILIES if any(re.search(known, key) for key in inner)), ())
    named = {_through(rules, key): tensor for key, tensor in inner.items()}
    if not rules or len(named) < len(inner):
        return None
    whole = _placed(_fused(named))
    if "class_token" in slots:
        whole = {_through(_TORCHVISION_VIT, key): tensor for key, tensor in whole.items()}
    kept = {key: tensor for key, tensor in tensors.items() if not key.startswith(start)}
    return {**{start + key: tensor for key, tensor in whole.items()}, **kept}


def _through(rules: Iterable[tuple[str, str]], key: str) -> str:
    for pattern, by in rules:
        key = re.sub(pattern, by, key)
    return re.sub(r"\{(\d+)\+1\}", lambda found: str(int(found[1]) + 1), key)


def _fused(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``attn.query``, ``key`` and ``value`` as ``attn.qkv``, where all three are there."""
    whole: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        found = _QKV.fullmatch(key)
        parts = [tensors.get(f"{found[1]}.{name}.{found[3]}") for name in ("query", "key", "value")] if found else []
        three = [part for part in parts if part is not None]
        if found and len(three) == 3:
            whole[f"{found[1]}.qkv.{found[3]}"] = torch.cat(three)
        elif found and found[3] == "bias":  # BEiT's keys have none
            whole[f"{found[1]}.{found[2][0]}_bias"] = tensor
        else:
            whole[key] = tensor
    return whole


def _placed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With registers, timm's position table has no line for the class token, which has its own added for good."""
    if "reg_token" not in tensors or not {"pos_embed", "cls_token"} <= tensors.keys():
        return tensors
    positions = tensors["pos_embed"]
    return {
        **tensors,
        "cls_token": tensors["cls_token"] + positions[:, :1],
        "pos_embed": positions[:, 1:],
    }


_BLOCK = (
    (r"(self_attn|attention)\.q_proj\.", "attn.query."),
    (r"(self_attn|attention)\.k_proj\.", "attn.key."),
    (r"(self_attn|attention)\.v_proj\.", "attn.value."),
    (r"(self_attn\.out_proj|attention\.o_proj|attention\.output\.dense)", "attn.proj"),
    (r"attention\.(attention|self)\.(query|key|value)\.", r"attn.\2."),
    (r"(attention\.)?((attention|self)\.)?(relative_position_bias\.)?(relative_position_\w+)", r"attn.\5"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"(blocks\.\d+)\.output\.dense", r"\1.mlp.fc2"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
    (r"lambda_(\d)", r"gamma_\1"),
    (r"^layernorm\.", "norm."),
    (r"^pooler\.layernorm\.", "fc_norm."),
    (r"^pooler\.", "transformers_pooler."),
)
_VIT = (
    (r"^(encoder\.layer|layers)\.", "blocks."),
    (r"^embeddings\.(cls_token|mask_token)", r"\1"),
    (r"^embeddings\.register_tokens", "reg_token"),
    (r"^embeddings\.distillation_token", "dist_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    *_BLOCK,
)
_CLIP = (
    (r"^encoder\.layers\.", "blocks."),
    (r"^embeddings\.class_embedding", "cls_token"),
    (r"^embeddings\.position_embedding\.weight", "pos_embed"),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^post_layernorm\.", "norm."),
    (r"layer_norm(\d)", r"norm\1"),
    *_BLOCK,
)
_SWIN = (
    (r"^encoder\.layers\.(\d+)\.downsample", r"layers.{\1+1}.downsample"),
    (r"^encoder\.layers\.", "layers."),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^embeddings\.norm", "patch_embed.norm"),
    *_BLOCK,
)
_CONVNEXT = (
    (r"^embeddings\.patch_embeddings", "stem.0"),
    (r"^embeddings\.layernorm", "stem.1"),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer", r"stages.\1.downsample"),
    (r"^encoder\.stages\.(\d+)\.layers", r"stages.\1.blocks"),
    (r"dwconv", "conv_dw"),
    (r"(blocks\.\d+)\.layernorm", r"\1.norm"),
    (r"pwconv(\d)", r"mlp.fc\1"),
    (r"(blocks\.\d+)\.grn", r"\1.mlp.grn"),
    (r"layer_scale_parameter", "gamma"),
    (r"^layernorm\.", "head.norm."),
)
_RESNET = (
    (r"^embedder\.embedder\.convolution", "conv1"),
    (r"^embedder\.embedder\.normalization", "bn1"),
    (r"^encoder\.stages\.(\d+)\.layers", r"layer{\1+1}"),
    (r"shortcut\.convolution", "downsample.0"),
    (r"shortcut\.normalization", "downsample.1"),
    (r"\.layer\.(\d+)\.convolution", r".conv{\1+1}"),
    (r"\.layer\.(\d+)\.normalization", r".bn{\1+1}"),
)
_TORCHVISION_VIT = (
    (r"^cls_token", "class_token"),
    (r"^pos_embed", "encoder.pos_embedding"),
    (r"^patch_embed\.proj", "conv_proj"),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"attn\.qkv\.", "self_attention.in_proj_"),
    (r"attn\.proj", "self_attention.out_proj"),
    (r"\.norm(\d)\.", r".ln_\1."),
    (r"mlp\.fc1", "mlp.0"),
    (r"mlp\.fc2", "mlp.3"),
    (r"^norm\.", "encoder.ln."),
)
# By a key that only this family has.
_FAMILIES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (r"^(encoder\.layer|layers)\.\d+\.attention\.(attention|q_proj)\.", _VIT),
    (r"^encoder\.layers\.\d+\.self_attn\.q_proj\.", _CLIP),
    (r"^encoder\.layers\.\d+\.blocks\.\d+\.attention\.(self|q_proj)\.", _SWIN),
    (r"^encoder\.stages\.\d+\.layers\.\d+\.dwconv\.", _CONVNEXT),
    (r"^encoder\.stages\.\d+\.layers\.\d+\.layer\.\d+\.convolution\.", _RESNET),
)
