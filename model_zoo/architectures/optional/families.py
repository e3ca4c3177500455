"""The families of transformers' vision models: what is taken for the embedding, and how each is put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from model_zoo.architectures.anatomy import Anatomy
from model_zoo.architectures.layers import chain, known
from model_zoo.architectures.optional.trunks import (
    AsUsed,
    HubMaps,
    LastTokens,
    PooledTokens,
    Projections,
    Run,
    RunTokens,
    ShiftedWindows,
    first_token,
    forget_views,
    mean_token,
    pooled,
    projected,
)
from simvis_core.networks.attention import LastBlock


@dataclass(frozen=True)
class Family:
    """A family: its class and its image processor in transformers, options for the class, and its anatomy.

    ``taken`` is what the library's users take for a picture's embedding, in words.
    """

    model: str
    processor: str
    taken: str
    anatomy: Callable[[Any], Anatomy]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_patches(self) -> bool:
        """Whether it is a plain vision transformer, which keeps one cell for each patch to its end."""
        return self.anatomy in (_vit, _dinov2, _dinov3, _clip, _attention_pooled)


def _maps(model: Any) -> Anatomy:
    """ResNet and RegNet: the mean of the last maps."""
    embedding = AsUsed(model, pooled)
    return Anatomy(HubMaps(model), ("avg",), (None,), embedding, embedding)


def _normed_maps(model: Any) -> Anatomy:
    """ConvNeXt: a norm behind the mean of the last maps."""
    embedding = AsUsed(model, pooled)
    return Anatomy(HubMaps(model), ("avg",), (chain([model.layernorm]),), embedding, embedding)


def _normed_inner_maps(model: Any) -> Anatomy:
    """DINOv3's ConvNeXt: the norm stands behind the mean, and behind every cell of what it shows."""
    embedding = AsUsed(model, pooled)
    return Anatomy(HubMaps(model.model), ("avg",), (chain([model.layer_norm]),), embedding, embedding)


def _windows(model: Any) -> Anatomy:
    """Swin: the mean of the tokens behind the last norm."""
    forget_views(model)
    embedding = AsUsed(model, pooled, interpolate_pos_encoding=True)
    return Anatomy(ShiftedWindows(model), ("avg",), (None,), embedding, embedding)


def _attention_pooled(model: Any) -> Anatomy:
    """SigLIP: its attention pooling, or the mean of the tokens of one that was made without it."""
    if not model.use_head:
        embedding = AsUsed(model, mean_token, interpolate_pos_encoding=True)
        return Anatomy(LastTokens(model), ("avg",), (None,), embedding, embedding)
    embedding = AsUsed(model, pooled, interpolate_pos_encoding=True)
    return Anatomy(PooledTokens(model), ("own",), (None,), embedding, embedding)


def class_token(
    run: Run, taken: AsUsed, model: Any, block: Callable[[Any], LastBlock | None], head: list[nn.Module] | None = None
) -> Anatomy:
    """A plain vision transformer whose class token is taken; ``block`` tells apart one, None for another kind."""
    found = [block(one) for one in run.blocks(model)]
    blocks = [one for one in found if one is not None]
    whole = len(blocks) == len(found)
    last = replace(blocks[-1], norm=known(run.norm(model))[0]) if whole and len(blocks) > 1 else None
    lookings = tuple((one.before, one.attend) for one in blocks) if whole else ()
    return Anatomy(RunTokens(model, run, last, lookings), ("token",), (chain(head or []),), taken, taken)


def _vit(model: Any) -> Anatomy:
    """ViT and DeiT: the class token behind the last norm."""
    taken = AsUsed(model, first_token, interpolate_pos_encoding=True)
    prefix = 2 if model.config.model_type == "deit" else 1
    run = Run(_entered_at_any_size, lambda model: model.layers, lambda model: model.layernorm, prefix)
    return class_token(run, taken, model, _vit_block)


def _dinov2(model: Any) -> Anatomy:
    """DINOv2, with registers or without: the class token behind the last norm."""
    prefix = 1 + getattr(model.config, "num_register_tokens", 0)
    run = Run(_entered, lambda model: model.encoder.layer, lambda model: model.layernorm, prefix)
    return class_token(run, AsUsed(model, pooled), model, _dino_block)


def _dinov3(model: Any) -> Anatomy:
    """DINOv3: the class token behind the last norm; its queries are turned by their place, so no block is split."""
    prefix = 1 + model.config.num_register_tokens
    run = Run(_entered, lambda model: model.model.layer, lambda model: model.norm, prefix, _turned)
    return class_token(run, AsUsed(model, pooled), model, lambda _block: None)


def _clip(model: Any) -> Anatomy:
    """CLIP: the class token behind the last norm, projected to where texts are."""
    taken = AsUsed(model, projected, interpolate_pos_encoding=True)
    run = Run(_clip_entered, lambda model: model.encoder.layers, lambda model: model.post_layernorm, 1)
    return class_token(run, taken, model.vision_model, _clip_block, [model.visual_projection])


def _entered(model: Any, pixels: Any) -> Any:
    return model.embeddings(pixels)


def _entered_at_any_size(model: Any, pixels: Any) -> Any:
    return model.embeddings(pixels, interpolate_pos_encoding=True)


def _clip_entered(model: Any, pixels: Any) -> Any:
    return model.pre_layrnorm(model.embeddings(pixels, interpolate_pos_encoding=True))


def _turned(model: Any, pixels: Any) -> Mapping[str, Any]:
    return {"position_embeddings": model.rope_embeddings(pixels)}


def _block(
    before: nn.Module, attend: Projections, out: nn.Linear, gain: nn.Module, added: list[nn.Module]
) -> LastBlock:
    mlp = chain(added)
    assert mlp is not None
    return LastBlock(known(before)[0], attend, out, gain, mlp, nn.Identity())


def _vit_block(block: Any) -> LastBlock:
    attention, mlp = block.attention, block.mlp
    attend = Projections(attention, attention.num_attention_heads, attention.scaling)
    added = [block.layernorm_after, mlp.fc1, mlp.activation_fn, mlp.fc2]
    return _block(block.layernorm_before, attend, attention.o_proj, nn.Identity(), added)


def _dino_block(block: Any) -> LastBlock:
    attention, mlp = block.attention, block.mlp
    plain = [mlp.fc1, mlp.activation_fn, mlp.fc2] if hasattr(mlp, "fc1") else [mlp]  # SwiGLU is not split
    attend = Projections(attention, attention.num_attention_heads, attention.scaling)
    added = [block.norm2, *plain, block.layer_scale2]
    return _block(block.norm1, attend, attention.o_proj, block.layer_scale1, added)


def _clip_block(block: Any) -> LastBlock:
    attention, mlp = block.self_attn, block.mlp
    attend = Projections(attention, attention.num_heads, attention.scale)
    added = [block.layer_norm2, mlp.fc1, mlp.activation_fn, mlp.fc2]
    return _block(block.layer_norm1, attend, attention.out_proj, nn.Identity(), added)


_CLS = "the class token behind the last norm"
_MEAN = "pooler_output, the mean over the cells"
_VIT = Family("ViTModel", "ViTImageProcessor", _CLS, _vit, {"add_pooling_layer": False})
_DINO = Family("Dinov2Model", "BitImageProcessor", f"pooler_output, {_CLS}", _dinov2)
_CONVNEXT = Family("ConvNextModel", "ConvNextImageProcessor", f"{_MEAN}, normed", _normed_maps)
# By the word in ``model_type`` of a configuration, or of the vision part of one.
FAMILIES: dict[str, Family] = {
    "vit": _VIT,
    "deit": Family("DeiTModel", "DeiTImageProcessor", _CLS, _vit, {"add_pooling_layer": False}),
    "dinov2": _DINO,
    "dinov2_with_registers": Family("Dinov2WithRegistersModel", _DINO.processor, _DINO.taken, _dinov2),
    "dinov3_vit": Family("DINOv3ViTModel", "DINOv3ViTImageProcessor", _DINO.taken, _dinov3),
    "dinov3_convnext": Family("DINOv3ConvNextModel", "DINOv3ViTImageProcessor", f"{_MEAN}, normed", _normed_inner_maps),
    "clip_vision_model": Family(
        "CLIPVisionModelWithProjection", "CLIPImageProcessor", f"image_embeds, {_CLS}, projected", _clip
    ),
    "siglip_vision_model": Family(
        "SiglipVisionModel", "SiglipImageProcessor", "pooler_output, its attention pooling", _attention_pooled
    ),
    "swin": Family("SwinModel", "ViTImageProcessor", _MEAN, _windows),
    "convnext": _CONVNEXT,
    "convnextv2": Family("ConvNextV2Model", _CONVNEXT.processor, _CONVNEXT.taken, _normed_maps),
    "resnet": Family("ResNetModel", "ConvNextImageProcessor", _MEAN, _maps),
    "regnet": Family("RegNetModel", "ConvNextImageProcessor", _MEAN, _maps),
}
