"""What a weight, and perhaps a bias, of one axis are: LayerNorm's, GroupNorm's, RMSNorm's and PReLU's look the same."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from model_zoo.checkpoints.heads.deciding import Deciding
from model_zoo.checkpoints.heads.layers import Layer
from simvis_core.errors import SimvisError

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_TOLD = "weight and bias of one axis, which LayerNorm, GroupNorm and a BatchNorm without statistics have alike"
_WEIGHT_ALONE = "a weight of one axis alone, which RMSNorm, a LayerNorm without bias, PReLU and a scale have alike"
# By the words of a name: what it says, and the kind that is taken then (None: it must be said).
_WITH_BIAS: tuple[tuple[str, str, str | None], ...] = (
    (r"gn|group|groupnorm", "GroupNorm by its name, whose count of groups is in no file", None),
    (
        r"bn|bnneck|batch|batchnorm|syncbn|syncbatchnorm",
        "BatchNorm by its name, but without running statistics: its numbers depend on the other pictures of a batch",
        None,
    ),
    (r"instance|instancenorm|inorm|ibn", "InstanceNorm by its name, which needs maps", None),
    (r"rms|rmsnorm|powernorm", "another norm than LayerNorm by its name", None),
    (r"ln|layer|layernorm|fcln", "", "layer"),
)
_ALONE: tuple[tuple[str, str, str | None], ...] = (
    (r"rms|rmsnorm", "RMSNorm by its name", "rms"),
    (r"ln|layernorm", "a LayerNorm without bias by its name", "layer"),
    (r"prelu|act|activation", "PReLU by its name", "prelu"),
    (r"gamma|scale|ls|layerscale", "a scale by its name", "scale"),
)


def settled_norm(layer: Layer | None, path: str, tensors: Mapping[str, Tensor], deciding: Deciding) -> Layer | None:
    """The layer as what its name, or a person, says that it is, where its tensors leave that open.

    Raises SimvisError for a count of groups that does not divide the width.
    """
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 1 or len(weight) < 2 or not set(tensors) <= {"weight", "bias"}:
        return layer
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        return layer
    said, likeliest = _by_name(path, "bias" in tensors)
    sure = (likeliest == "layer" and not said) or (layer is not None and deciding.known.classifies(path))
    if sure and path not in deciding.choices.kinds:
        return layer
    options = ("layer", "group:N") if "bias" in tensors else ("layer", "rms", "prelu", "scale")
    told = _NOT_TOLD if "bias" in tensors else _WEIGHT_ALONE
    words = f"{path} ({len(weight)}), {said or told}"
    return _made(deciding.kind(path, words, options, likeliest) or "layer", path, tensors)


def _by_name(path: str, biased: bool) -> tuple[str, str | None]:
    """What a module's name says, and the kind to take; without a word of it, a weight with a bias is LayerNorm's."""
    parts = [part for part in path.split(".") if not part.isdigit()]
    words = re.split(r"[_\d]+", _CAMEL.sub("_", parts[-1]).casefold()) if parts else []
    if parts and re.fullmatch(r"in\d*", parts[-1], re.IGNORECASE):
        words.append("instance")
    for names, said, kind in _WITH_BIAS if biased else _ALONE:
        if any(re.fullmatch(names, word) for word in words):
            return said, kind
    return (_NOT_TOLD, "layer") if biased else ("", None)


def _made(kind: str, path: str, tensors: Mapping[str, Tensor]) -> Layer:
    weight = tensors["weight"].float()
    bias = tensors.get("bias")
    width, groups = len(weight), int(kind.partition(":")[2] or 1) if kind != "group:N" else 1
    if width % groups:
        raise SimvisError(
            f"kinds.{path}={kind} for {width} channels", f"a count of groups that divides {width}", "name another"
        )
    module, words = _MADE[kind.partition(":")[0]](width, groups, bias is not None)
    if isinstance(module, nn.Linear):
        weight = torch.diag(weight)
    module.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias.float()})
    return Layer(path, module, width, width, f"{words} {width}")


def _layer(width: int, _: int, bias: bool) -> tuple[nn.Module, str]:
    return nn.LayerNorm(width, bias=bias), "LayerNorm" if bias else "LayerNorm without bias"


def _group(width: int, groups: int, _: bool) -> tuple[nn.Module, str]:
    return nn.GroupNorm(groups, width), f"GroupNorm of {groups} groups"


def _scale(width: int, _: int, bias: bool) -> tuple[nn.Module, str]:
    return nn.Linear(width, width, bias=bias), "scale"


_MADE = {
    "layer": _layer,
    "group": _group,
    "rms": lambda width, _, bias: (_check_bare("RMSNorm", nn.RMSNorm(width), bias), "RMSNorm"),
    "prelu": lambda width, _, bias: (_check_bare("PReLU", nn.PReLU(width), bias), "PReLU"),
    "scale": _scale,
}


def _check_bare(name: str, module: nn.Module, bias: bool) -> nn.Module:
    if bias:
        raise SimvisError(f"{name} for a layer with a bias", "a kind that has one: layer, group:N or scale", "say one")
    return module
