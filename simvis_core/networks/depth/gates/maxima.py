"""Maxima keep where they were found, and the pooling the weights that its own exact split gives each cell."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from simvis_core.networks.depth.gates.calls import Call
from simvis_core.networks.depth.gates.rows import FrozenOperator, Gates, arguments
from simvis_core.networks.poolings import Pooling


@torch.no_grad()
def _places(call: Call, _gates: Gates) -> Tensor:
    on = call.on(call.given(0, "input").detach())
    return Call(on.name, on.function, on.args, {**on.kwargs, "return_indices": True}).run()[1]


def _picked(kept: Tensor, call: Call) -> Tensor:
    x: Tensor = call.given(0, "input")
    return x.flatten(-2).gather(-1, kept.flatten(-2)).unflatten(-1, kept.shape[-2:])


def _hits(call: Call, _gates: Gates) -> Tensor:
    """Ties share evenly, as in the pooling."""
    given = arguments(call, "input", "dim", "keepdim")
    x = given["input"].detach()
    hits = (x == x.amax(given.get("dim", ()), keepdim=True)).to(x)
    return hits / hits.sum(given.get("dim") or tuple(range(x.ndim)), keepdim=True)


def _hit(kept: Tensor, call: Call) -> Tensor:
    given = arguments(call, "input", "dim", "keepdim")
    axes = given.get("dim") or tuple(range(kept.ndim))
    return (given["input"] * kept).sum(axes, keepdim=given.get("keepdim", False))


POOL = "pool_features"
_LINEAR_POOLINGS = ("avg", "flatten")


def pool_features(features: Float[Tensor, "B C H W"], pooling: Pooling) -> Float[Tensor, "B F"]:
    """The pooled vectors, as one operator that a mode can freeze as a whole.

    >>> import torch
    >>> from simvis_core import Pooling
    >>> from simvis_core.networks.depth.gates.maxima import pool_features
    >>> pool_features(torch.tensor([[[[1.0, 3.0]]]]), Pooling("max"))
    tensor([[3.]])
    """
    if has_torch_function_unary(features):
        pooled: Tensor = handle_torch_function(pool_features, (features,), features, pooling)
        return pooled
    return pooling.pool(features)


@torch.no_grad()
def _pool_weights(call: Call, _gates: Gates) -> list[Tensor] | None:
    features, pooling = call.args[0].detach(), call.args[1]
    if pooling.name in _LINEAR_POOLINGS:
        return None
    parts = pooling.parts(features[0]).permute(2, 0, 1)
    blocks = parts.unflatten(0, (-1, features.shape[1]))
    return [torch.where(features == 0, 0, one / torch.where(features == 0, 1, features)) for one in blocks]


def _pooled(kept: list[Tensor], call: Call) -> Tensor:
    return torch.cat([(call.args[0] * weights).sum((2, 3)) for weights in kept], dim=1)


WHERE = FrozenOperator(_places, _picked)
LARGEST = FrozenOperator(_hits, _hit)
POOLED = FrozenOperator(_pool_weights, _pooled)
