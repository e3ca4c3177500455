"""Poolings, each with the exact split of the pooled vector over grid cells."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError

# A pair holds two splits and some copies while it is made; on a shared 16 GB machine more is refused, not attempted.
MAX_PARTS_BYTES = 2**28


@dataclass(frozen=True)
class PoolingRule:
    """One row of POOLINGS: how to pool a batch, how the result splits over cells, how wide it is."""

    pool: Callable[[Tensor, float], Tensor]
    parts: Callable[[Tensor, float], Tensor]
    width: Callable[[int, int, int], int]


@dataclass(frozen=True)
class Pooling:
    """A pooling by name; ``exponent`` counts for ``gem`` only (1 is avg, large tends to max).

    >>> import torch
    >>> from simvis_core import Pooling
    >>> pooling, features = Pooling.parse("gem:2"), torch.tensor([[[3.0, 4.0]]])
    >>> pooling.inner, pooling.positional, pooling.width(1, 1, 2)
    (False, False, 1)
    >>> pooling.pool(features[None])
    tensor([[3.5355]])
    >>> pooling.parts(features)
    tensor([[[1.2728],
             [2.2627]]])
    """

    name: str
    exponent: float = 3.0

    def __post_init__(self) -> None:
        if self.name not in (*POOLINGS, *INNER):
            names = ", ".join((*POOLINGS, *INNER))
            raise SimvisError(f"pooling '{self.name}'", f"one of {names}", "choose one of these names")
        if not (math.isfinite(self.exponent) and 1 <= self.exponent <= MAX_EXPONENT):
            raise SimvisError(
                f"the GeM exponent {self.exponent}", f"a number from 1 to {MAX_EXPONENT}", "choose one in that range"
            )

    @classmethod
    def parse(cls, text: "str | Pooling") -> "Pooling":
        """The pooling that a text names: a name of POOLINGS, or ``gem:4.5`` for another exponent.

        >>> from simvis_core import Pooling
        >>> str(Pooling.parse("gem:4.5")), Pooling.parse("max").name
        ('gem:4.5', 'max')
        """
        if isinstance(text, Pooling):
            return text
        name, _, exponent = text.partition(":")
        if not exponent:
            return cls(name)
        try:
            return cls(name, float(exponent))
        except ValueError as error:
            if isinstance(error, SimvisError):
                raise
            raise SimvisError(f"pooling '{text}'", "a number after the colon", "write it like gem:4.5") from error

    def __str__(self) -> str:
        return f"gem:{self.exponent:g}" if self.name == "gem" else self.name

    @property
    def inner(self) -> bool:
        """Whether the backbone itself pools (a class token, attention pooling), so that no row of POOLINGS applies."""
        return self.name in INNER

    def pool(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """The pooled vectors; not for an `inner` pooling."""
        return POOLINGS[self.name].pool(features, self.exponent)

    def parts(self, features: Float[Tensor, "C H W"]) -> Float[Tensor, "H W F"]:
        """The pooled vector split over cells: ``parts.sum((0, 1)) == pool(features[None])[0]``.

        Raises SimvisError where the split would need more than 256 MiB (``flatten`` on a large grid).
        """
        _check_room(features, self.width(*features.shape))
        return POOLINGS[self.name].parts(features, self.exponent)

    @property
    def positional(self) -> bool:
        """Whether a pooled entry belongs to one place of the grid, so that only equal grids can be compared."""
        return not self.inner and self.width(1, 1, 2) != self.width(1, 1, 1)

    def width(self, channels: int, rows: int, columns: int) -> int:
        """Length F of the pooled vector."""
        return POOLINGS[self.name].width(channels, rows, columns)


def _check_room(features: Tensor, width: int) -> None:
    rows, columns = features.shape[1:]
    needed = rows * columns * width * features.element_size()
    if needed > MAX_PARTS_BYTES:
        raise SimvisError(
            f"a {rows} x {columns} grid whose split has {width} features, {needed / 2**20:.0f} MiB",
            "at most 256 MiB",
            "choose a smaller view or another pooling",
        )


def _avg(features: Tensor, _: float) -> Tensor:
    return features.mean((-2, -1))


def _avg_parts(features: Tensor, _: float) -> Tensor:
    return (features / (features.shape[1] * features.shape[2])).permute(1, 2, 0)


def _max(features: Tensor, _: float) -> Tensor:
    return features.amax((-2, -1))


def _max_parts(features: Tensor, _: float) -> Tensor:
    """Tied maxima share evenly; the naive `adaptive_max_pool2d` gradient gives all to one (Stylianou 2019, eq. 4-6)."""
    peak = features.amax((1, 2), keepdim=True)
    hits = features == peak
    return (hits * (peak / hits.sum((1, 2), keepdim=True))).permute(1, 2, 0)


def _gem(features: Tensor, exponent: float) -> Tensor:
    """Generalised mean of the positive part; divided by the peak first, so that no power over- or underflows."""
    positive = features.clamp(min=0)
    peak = positive.amax((-2, -1), keepdim=True)
    mean = _ratio(positive, peak).pow(exponent).mean((-2, -1))
    mean = mean.clamp(min=torch.finfo(features.dtype).tiny)  # of a dead channel: a root has no slope at 0
    return peak[..., 0, 0] * mean.pow(1 / exponent)


def _gem_parts(features: Tensor, exponent: float) -> Tensor:
    """``x^p / (n g^(p-1))`` with g the pooled value: sums to g, since ``sum x^p = n g^p``."""
    positive = features.clamp(min=0)
    peak = positive.amax((1, 2), keepdim=True)
    powers = _ratio(positive, peak).pow(exponent)
    mean = powers.mean((1, 2), keepdim=True).clamp(min=torch.finfo(features.dtype).tiny)
    share = powers / (features.shape[1] * features.shape[2]) * mean.pow(1 / exponent - 1)
    return torch.where(peak > 0, peak * share, 0).permute(1, 2, 0)


def _ratio(positive: Tensor, peak: Tensor) -> Tensor:
    return torch.where(peak > 0, positive / torch.where(peak > 0, peak, 1), 0)


def _avgmax(features: Tensor, exponent: float) -> Tensor:
    return (_avg(features, exponent) + _max(features, exponent)) / 2


def _avgmax_parts(features: Tensor, exponent: float) -> Tensor:
    return (_avg_parts(features, exponent) + _max_parts(features, exponent)) / 2


def _catavgmax(features: Tensor, exponent: float) -> Tensor:
    return torch.cat([_avg(features, exponent), _max(features, exponent)], dim=-1)


def _catavgmax_parts(features: Tensor, exponent: float) -> Tensor:
    return torch.cat([_avg_parts(features, exponent), _max_parts(features, exponent)], dim=-1)


def _flatten(features: Tensor, _: float) -> Tensor:
    return features.flatten(-3)


def _flatten_parts(features: Tensor, _: float) -> Tensor:
    """Cell p keeps its own C entries of the flat vector and has zeros everywhere else."""
    _, rows, columns = features.shape
    own = torch.diag_embed(features.flatten(1))  # C n n
    return own.permute(1, 0, 2).reshape(rows, columns, -1)


def _channels(channels: int, _rows: int, _columns: int) -> int:
    return channels


MAX_EXPONENT = 1000
INNER = ("token", "own")  # the class token, under timm's name for it, and anything else a backbone pools by
POOLINGS: dict[str, PoolingRule] = {
    "avg": PoolingRule(_avg, _avg_parts, _channels),
    "max": PoolingRule(_max, _max_parts, _channels),
    "gem": PoolingRule(_gem, _gem_parts, _channels),
    "avgmax": PoolingRule(_avgmax, _avgmax_parts, _channels),
    "catavgmax": PoolingRule(_catavgmax, _catavgmax_parts, lambda c, _h, _w: 2 * c),
    "flatten": PoolingRule(_flatten, _flatten_parts, lambda c, h, w: c * h * w),
}
