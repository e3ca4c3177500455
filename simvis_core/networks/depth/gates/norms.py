"""Norms: the statistics that divide are constants, centring is linear as it is."""

import torch
from torch import Tensor

from simvis_core.networks.depth.gates.calls import Call
from simvis_core.networks.depth.gates.rows import FrozenOperator, Gates, Refused, arguments

_LAYER_NORM = ("input", "normalized_shape", "weight", "bias", "eps")
_GROUP_NORM = ("input", "num_groups", "weight", "bias", "eps")


def _layer_scale(call: Call, _gates: Gates) -> Tensor:
    given = arguments(call, *_LAYER_NORM)
    axes = tuple(range(-len(given["normalized_shape"]), 0))
    x = given["input"].detach()
    return (x.var(axes, correction=0, keepdim=True) + given.get("eps", 1e-5)).rsqrt()


def _layer_normed(kept: Tensor, call: Call) -> Tensor:
    given = arguments(call, *_LAYER_NORM)
    axes = tuple(range(-len(given["normalized_shape"]), 0))
    x = given["input"]
    return _affine((x - x.mean(axes, keepdim=True)) * kept, given.get("weight"), given.get("bias"))


def _root_scale(call: Call, _gates: Gates) -> Tensor:
    given = arguments(call, "input", "normalized_shape", "weight", "eps")
    axes = tuple(range(-len(given["normalized_shape"]), 0))
    x, eps = given["input"].detach(), given.get("eps")
    return (x.square().mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)).rsqrt()


def _root_normed(kept: Tensor, call: Call) -> Tensor:
    given = arguments(call, "input", "normalized_shape", "weight", "eps")
    return _affine(given["input"] * kept, given.get("weight"), None)


def _group_scale(call: Call, _gates: Gates) -> Tensor:
    given = arguments(call, *_GROUP_NORM)
    x = given["input"].detach().unflatten(1, (given["num_groups"], -1)).flatten(2)
    return (x.var(2, correction=0, keepdim=True) + given.get("eps", 1e-5)).rsqrt()


def _group_normed(kept: Tensor, call: Call) -> Tensor:
    given = arguments(call, *_GROUP_NORM)
    x = given["input"]
    grouped = x.unflatten(1, (given["num_groups"], -1)).flatten(2)
    normed = ((grouped - grouped.mean(2, keepdim=True)) * kept).reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 2))
    weight, bias = (None if one is None else one.reshape(shape) for one in (given.get("weight"), given.get("bias")))
    return _affine(normed, weight, bias)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _length(call: Call, _gates: Gates) -> Tensor:
    given = arguments(call, "input", "p", "dim", "eps")
    x, axis = given["input"].detach(), given.get("dim", 1)
    return x.norm(given.get("p", 2.0), axis, keepdim=True).clamp(min=given.get("eps", 1e-12))


_BATCH = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def _batch_scale(call: Call, _gates: Gates) -> tuple[Tensor, Tensor]:
    """Gain and offset, spelt out: PyTorch's own gradient on CPUs is wrong where it comes in transposed (2.13)."""
    given = arguments(call, *_BATCH)
    mean = given.get("running_mean")
    if given.get("training") or mean is None:
        raise Refused("by the batch's own statistics")
    scale = (given["running_var"] + given.get("eps", 1e-5)).rsqrt()
    scale = _affine(scale, given.get("weight"), None)
    return scale, _affine(-mean * scale, None, given.get("bias"))


def _batch_normed(kept: tuple[Tensor, Tensor], call: Call) -> Tensor:
    x: Tensor = call.given(0, "input")
    scale, shift = (one.reshape(-1, *(1,) * (x.ndim - 2)) for one in kept)
    return x * scale + shift


def _over_length(kept: Tensor, call: Call) -> Tensor:
    x: Tensor = call.given(0, "input")
    return x / kept


LAYER_NORM = FrozenOperator(_layer_scale, _layer_normed)
ROOT_NORM = FrozenOperator(_root_scale, _root_normed)
GROUP_NORM = FrozenOperator(_group_scale, _group_normed)
UNIT_NORM = FrozenOperator(_length, _over_length)
BATCH_NORM = FrozenOperator(_batch_scale, _batch_normed)
