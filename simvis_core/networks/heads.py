"""Heads split at one input into a linear map plus a bias, with the verdict of how exact that is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.decomposition import VERDICTS, Verdict

Linear = Callable[[Tensor], Tensor]


class Elementwise(nn.Module):
    """Marks a module, or a function, that works on each entry by itself, so that it can be frozen like a ReLU.

    >>> import torch
    >>> from simvis_core.networks.heads import Elementwise
    >>> Elementwise(torch.relu)(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    >>> Elementwise(torch.nn.ReLU().forward).extra_repr()
    'ReLU.forward'
    """

    def __init__(self, function: Linear) -> None:
        super().__init__()
        self.function = function

    def extra_repr(self) -> str:
        """The function's name, so that a network's fingerprint tells two of them apart."""
        return "" if isinstance(self.function, nn.Module) else getattr(self.function, "__qualname__", "")

    def forward(self, x: Tensor) -> Tensor:
        """The function of every entry of ``x``, in the shape of ``x``.

        >>> import torch
        >>> from simvis_core.networks.heads import Elementwise
        >>> Elementwise(torch.tanh).forward(torch.zeros(2))
        tensor([0., 0.])
        """
        return self.function(x)


class UnitLength(nn.Module):
    """Vectors (B, F), or the vectors of every cell (B, F, H, W), divided by their length."""

    def forward(self, x: Tensor) -> Tensor:
        """Each vector (along axis 1) divided by its length, so that it has length 1; a vector of zeros stays zero.

        >>> import torch
        >>> from simvis_core.networks.heads import UnitLength
        >>> UnitLength().forward(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
        """
        return nn.functional.normalize(x, dim=1)


@dataclass(frozen=True)
class HeadSplit:
    """``head(x) == linear(x) + bias`` at the input it was made for; ``linear`` adds over the parts of x.

    For a "black box" the two are meaningless and must not be used.
    """

    linear: Linear
    bias: Float[Tensor, " D"]
    verdict: Verdict


def split_head(head: nn.Module | None, pooled: Float[Tensor, " F"]) -> HeadSplit:
    """The split of a head at the whole picture's pooled vector.

    No head: the identity. An affine head (FC, BatchNorm in eval mode, dropout, any chain of them) needs no
    unfolding, f(x) = (f(x) - f(0)) + f(0), and is "exact"; that it *is* affine is tested on probe vectors,
    never assumed. LayerNorm, activations and a step to unit length are frozen at ``pooled`` ("exact at this input").
    The result is checked against ``head(pooled)``; what does not add up is a "black box".

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.heads import split_head
    >>> head, pooled = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.tensor([1.0, 2.0, 3.0])
    >>> split = split_head(head, pooled)
    >>> split.verdict
    'exact at this input'
    >>> torch.allclose(split.linear(pooled[None])[0] + split.bias, head(pooled))
    True
    """
    if head is None:
        return HeadSplit(lambda parts: parts, torch.zeros_like(pooled), "exact")
    split = _split(head, pooled)
    if split.verdict != "black box" and not _close(split.linear(pooled[None])[0] + split.bias, _run(head, pooled)):
        return _black_box(split.bias)
    return split


def _split(module: nn.Module, x: Tensor) -> HeadSplit:
    if isinstance(module, nn.Sequential):
        return _split_chain(module, x)
    if type(module) in FROZEN:
        return FROZEN[type(module)](module, x)
    if is_affine(module, x):
        return _split_affine(module, x)
    return _black_box(_run(module, x))


def _split_chain(chain: nn.Sequential, x: Tensor) -> HeadSplit:
    linear: Linear = lambda parts: parts
    first, bias, verdict = x, torch.zeros_like(x), VERDICTS[0]
    for module in chain:
        link = _split(module, x)
        if link.verdict == "black box":  # which may change the width: there is nothing to compose
            return _black_box(_run(chain, first))
        linear, bias = _compose(linear, link.linear), link.linear(bias[None])[0] + link.bias
        verdict = max(verdict, link.verdict, key=VERDICTS.index)
        x = _run(module, x)
    return HeadSplit(linear, bias, verdict)


def _compose(first: Linear, second: Linear) -> Linear:
    return lambda parts: second(first(parts))


def is_affine(module: nn.Module, x: Float[Tensor, " F"]) -> bool:
    """Whether f(u + v) - f(u) - f(v) + f(0) vanishes on probe vectors of x's length.

    The probes are fixed random directions of both signs and several sizes, so a kink (ReLU), a saturation or a
    normalisation shows with certainty for practical purposes.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.heads import is_affine
    >>> is_affine(nn.Linear(3, 2), torch.zeros(3)), is_affine(nn.ReLU(), torch.zeros(3))
    (True, False)
    """
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([[0.01], [1.0], [30.0], [1.0]], dtype=torch.float64)
    u, v = (
        (torch.randn(4, x.numel(), generator=generator, dtype=torch.float64) * scale).to(x.dtype).to(x.device)
        for _ in range(2)
    )
    both, first, second, zero = module(torch.cat([u + v, u, v, torch.zeros_like(u)])).chunk(4)
    size = max(part.abs().max().item() for part in (both - zero, first - zero, second - zero, zero))
    return bool((both - first - second + zero).abs().max().item() <= _tolerance(x) * max(size, 1e-30))


def _split_affine(module: nn.Module, x: Tensor) -> HeadSplit:
    bias = module(torch.zeros_like(x)[None])[0]
    return HeadSplit(lambda parts: module(parts) - bias, bias, "exact")


def _split_layer_norm(norm: nn.Module, x: Tensor) -> HeadSplit:
    """Centring is linear already, so only the deviation is frozen; the bias is the affine offset alone."""
    assert isinstance(norm, nn.LayerNorm)
    if norm.normalized_shape != (x.numel(),):
        return _black_box(x)
    scale = (x.var(correction=0) + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    bias = torch.zeros_like(x) if norm.bias is None else norm.bias.detach()
    return HeadSplit(lambda parts: (parts - parts.mean(-1, keepdim=True)) * scale, bias, "exact at this input")


def _split_rms_norm(norm: nn.Module, x: Tensor) -> HeadSplit:
    """Only the root mean square is frozen; there is no offset."""
    assert isinstance(norm, nn.RMSNorm)
    if norm.normalized_shape != (x.numel(),):
        return _black_box(x)
    scale = (x.square().mean() + (torch.finfo(x.dtype).eps if norm.eps is None else norm.eps)).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    return HeadSplit(lambda parts: parts * scale, torch.zeros_like(x), "exact at this input")


def _split_activation(activation: nn.Module, x: Tensor) -> HeadSplit:
    """Every entry keeps the slope (y - f(0)) / x it has at this input (a mask of 0 and 1 for ReLU)."""
    y, offset = _run(activation, x), _run(activation, torch.zeros_like(x))
    slope = torch.where(x == 0, 0, (y - offset) / torch.where(x == 0, 1, x))
    return HeadSplit(lambda parts: parts * slope, offset, "exact at this input")


def _split_unit_length(unit: nn.Module, x: Tensor) -> HeadSplit:
    """Only the length is frozen."""
    scale = 1 / x.norm().clamp(min=1e-12)
    return HeadSplit(lambda parts: parts * scale, torch.zeros_like(x), "exact at this input")


def _run(module: nn.Module, x: Tensor) -> Tensor:
    """The module at one vector; on a copy, since activations with ``inplace=True`` write over their input."""
    output: Tensor = module(x[None].clone())
    return output[0]


def _black_box(bias: Tensor) -> HeadSplit:
    return HeadSplit(lambda parts: parts, bias, "black box")


def _tolerance(x: Tensor) -> float:
    return {torch.float64: 1e-9, torch.float32: 1e-4}.get(x.dtype, 3e-2)


def _close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).norm() <= _tolerance(one) * max(other.norm().item(), 1e-30))


FROZEN: dict[type[nn.Module], Callable[[nn.Module, Tensor], HeadSplit]] = {
    nn.LayerNorm: _split_layer_norm,
    nn.RMSNorm: _split_rms_norm,
    nn.ReLU: _split_activation,
    nn.ReLU6: _split_activation,
    nn.LeakyReLU: _split_activation,
    nn.PReLU: _split_activation,
    nn.GELU: _split_activation,
    nn.SiLU: _split_activation,
    nn.Tanh: _split_activation,
    nn.Hardswish: _split_activation,
    Elementwise: _split_activation,
    UnitLength: _split_unit_length,
}
