"""Maps of several depths put together, so that what sums to the score still does."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.explainers.depths.layer_maps import LayerMap
from simvis_core.pictures.views import enlarge


@dataclass(frozen=True, eq=False)
class CombinedMap:
    """A map made of maps at several depths: its shares sum to the score less ``bias``; ``parts`` are what it is of.

    ``weights`` say how much of each part it holds; they sum to 1.

    >>> import torch
    >>> from simvis_core.explainers.depths.combined import mean_over_depths
    >>> from simvis_core.explainers.depths.layer_maps import LayerMap
    >>> coarse = LayerMap("features", torch.tensor([[0.25, 0.5]]).double(), {"offsets": 0.0})
    >>> fine = LayerMap("pixels", torch.tensor([[0.5, 0.0, -0.5, 0.5]]).double(), {"reference": 0.25})
    >>> made = mean_over_depths([coarse, fine])
    >>> [round(weight, 3) for weight in made.weights], abs(float(made.map.sum()) + made.bias - 0.75) < 1e-12
    ([0.667, 0.333], True)
    >>> made.passes, made.parts[1].layer
    (0, 'pixels')
    """

    map: Float[Tensor, "H W"]
    bias: float
    parts: tuple[LayerMap, ...]
    weights: tuple[float, ...]

    @property
    def passes(self) -> int:
        """Pictures that were run for all parts."""
        return sum(part.passes for part in self.parts)


def mean_over_depths(parts: Sequence[LayerMap]) -> CombinedMap:
    """The mean of maps, each over its own sum of sizes, on the finest of their grids.

    Scaled by what makes the weights sum to 1, so that the map sums to the score less the same mean of the biases: a
    mean of sums is a sum, whatever the weights. A map of nothing but zeros has no scale and weighs nothing, unless all
    are. Raises SimvisError for no map.

    >>> import torch
    >>> from simvis_core.explainers.depths.combined import mean_over_depths
    >>> from simvis_core.explainers.depths.layer_maps import LayerMap
    >>> twice = [LayerMap("features", torch.tensor([[0.25, 0.5]]).double(), {"offsets": 0.25})] * 2
    >>> made = mean_over_depths(twice)
    >>> made.map, made.bias, made.weights, made.passes
    (tensor([[0.2500, 0.5000]], dtype=torch.float64), 0.25, (0.5, 0.5), 0)
    """
    if not parts:
        raise SimvisError("no map", "maps of one or more depths", "name a depth")
    scales = [1 / part.sizes if part.sizes > 0 else 0.0 for part in parts]
    total = sum(scales)
    weights = tuple(scale / total if total > 0 else 1 / len(parts) for scale in scales)
    grid = max((part.map.shape for part in parts), key=lambda shape: shape[0] * shape[1])
    spread = [weight * spread_over(part.map, (grid[0], grid[1])) for weight, part in zip(weights, parts, strict=True)]
    bias = sum(weight * part.bias for weight, part in zip(weights, parts, strict=True))
    return CombinedMap(torch.stack(spread).sum(0), bias, tuple(parts), weights)


def spread_over(map: Float[Tensor, "H W"], grid: tuple[int, int]) -> Float[Tensor, "H2 W2"]:
    """Each cell's share laid out smoothly over a finer grid, so that all of it stays: the sum is the map's own.

    Between cell centres as `enlarge` does it; each cell's weights are made to sum to 1.

    >>> import torch
    >>> from simvis_core.explainers.depths.combined import spread_over
    >>> spread_over(torch.tensor([[0.0, 1.0]]), (1, 4))
    tensor([[0.0000, 0.1250, 0.3750, 0.5000]])
    """
    down, across = (_lain_out(cells, finer).to(map) for cells, finer in zip(map.shape, grid, strict=True))
    return down @ map @ across.T


def _lain_out(cells: int, finer: int) -> Tensor:
    weights = enlarge(torch.eye(cells, dtype=torch.float64), (finer, cells))
    return weights / weights.sum(0)


def finer_shares(coarse: LayerMap, fine: LayerMap) -> CombinedMap:
    """The coarse map drawn finer: each coarse cell keeps its share, spread over its fine cells by the finer map.

    Within a cell by the finer map's part of the cell's own sign, evenly where it has none. The finer map adds places,
    no share: the bias is the coarse map's. Raises SimvisError for a second map that is not finer both ways.

    >>> import torch
    >>> from simvis_core.explainers.depths.combined import finer_shares
    >>> from simvis_core.explainers.depths.layer_maps import LayerMap
    >>> coarse = LayerMap("features", torch.tensor([[0.5, -0.25]]).double(), {"offsets": 0.25})
    >>> fine = LayerMap("pixels", torch.tensor([[0.25, 0.75, 0.5, 0.25], [0.0, -1.0, 0.5, 0.25]]).double())
    >>> made = finer_shares(coarse, fine)
    >>> made.map, made.bias
    (tensor([[ 0.1250,  0.3750, -0.0625, -0.0625],
            [ 0.0000,  0.0000, -0.0625, -0.0625]], dtype=torch.float64), 0.25)
    """
    rows, columns = coarse.map.shape
    if fine.map.shape[0] < rows or fine.map.shape[1] < columns:
        raise SimvisError(
            f"a map of {tuple(fine.map.shape)} cells at '{fine.layer}' to draw one of {(rows, columns)} finer",
            "more cells both ways",
            "choose a depth nearer to the pixels",
        )
    places = [_cell_of(finer, cells) for finer, cells in zip(fine.map.shape, coarse.map.shape, strict=True)]
    cell = places[0][:, None] * columns + places[1]
    share = coarse.map.flatten()[cell]
    own_sign = (fine.map * share.sign()).clamp(min=0)
    total = _summed(own_sign, cell, rows * columns)[cell]
    count = _summed(torch.ones_like(own_sign), cell, rows * columns)[cell]
    return CombinedMap(
        share * torch.where(total > 0, own_sign / total, 1 / count), coarse.bias, (coarse, fine), (1.0, 0.0)
    )


def _cell_of(finer: int, cells: int) -> Tensor:
    """The coarse cell that each fine cell's centre lies in."""
    return ((torch.arange(finer, dtype=torch.float64) + 0.5) * cells / finer).long().clamp(max=cells - 1)


def _summed(values: Tensor, cell: Tensor, cells: int) -> Tensor:
    return torch.zeros(cells, dtype=values.dtype).index_add_(0, cell.flatten(), values.flatten())
