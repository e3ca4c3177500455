"""Where in the other view a place usually counts: point maps of many pairs, averaged."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import OTHER, Side


@dataclass(frozen=True, eq=False)
class MeanPointMap:
    """The mean map of a place over ``pairs`` pairs, signed and in units of the score; nothing is clipped or rescaled.

    ``low`` and ``high`` are the ends of each cell's 95 % interval of that mean (Student's t, cells one by one);
    ``above`` is the share of the pairs, 0 to 1, in which a cell's own share is above 0. ``left_out`` is the mean of
    what the place carries with no cell of the other picture (with its bias): ``mean.sum() + left_out`` is what the
    place carries of the score on average.

    >>> import torch
    >>> from simvis_core.pairs.across.mean_maps import MeanPointMap
    >>> usual = MeanPointMap(*torch.tensor([[[0.2, 0.0]], [[0.1, -0.1]], [[0.3, 0.1]], [[1.0, 0.5]]]), 0.0, 4)
    >>> usual.surely
    tensor([[ True, False]])
    """

    mean: Float[Tensor, "H W"]
    low: Float[Tensor, "H W"]
    high: Float[Tensor, "H W"]
    above: Float[Tensor, "H W"]
    left_out: float
    pairs: int

    @property
    def surely(self) -> Tensor:
        """The cells (H, W) whose interval lies above 0."""
        return self.low > 0


def mean_point_map(pairs: Iterable[PairExplanation], side: Side, weights: Float[Tensor, "H W"]) -> MeanPointMap:
    """Where in the other picture a place of this side usually counts: the mean of its maps over pairs.

    ``weights`` are the place's, over this side's cells: `weights_at` for a point, `weights_in` for a region. Pairs are
    taken one by one, so that a generator need not hold them all. It says something of two *views* (a street's left and
    the north of its aerial picture) where pictures are taken alike; for pairs without such a rule it comes out even.
    Source: Zhu 2021, cross-view pattern discovery.

    Raises SimvisError for fewer than two pairs, and for a pair of other grids than the first one's.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.across.mean_maps import mean_point_map
    >>> streets = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> above = EmbeddingNetwork(nn.Conv2d(3, 4, 16, 16), preprocess=Preprocess(short_side=48, stride=16))
    >>> pictures = [Image.new("RGB", (60, 60), colour) for colour in ("orange", "red", "teal")]
    >>> pairs = [explain_pair(streets, one, one, network_b=above) for one in pictures]
    >>> left = torch.zeros(4, 4)
    >>> left[:, 0] = 1
    >>> usual = mean_point_map(pairs, "a", left)
    >>> usual.mean.shape, usual.pairs
    (torch.Size([3, 3]), 3)
    >>> carried = sum(float(pair.map_a[:, 0].sum()) for pair in pairs) / 3
    >>> abs(float(usual.mean.sum()) + usual.left_out - carried) < 1e-6
    True
    """
    maps: list[Tensor] = []
    left_out, grids = 0.0, None
    for pair in pairs:
        own, other = (pair.side(one)[1].grid for one in (side, OTHER[side]))
        grids = grids or (own, other)
        if (own, other) != grids:
            raise SimvisError(
                f"a pair with {_grids((own, other))} behind one with {_grids(grids)}",
                "grids alike in all pairs",
                "choose the square view, or pictures of one shape",
            )
        map = pair.cells_map(side, weights).double().cpu()
        carried = (weights.to(pair.side(side)[2]) * pair.side(side)[2]).sum()
        left_out += float(carried) - float(map.sum())
        maps.append(map)
    if len(maps) < 2:
        raise SimvisError(f"{len(maps)} pair{'s' * (len(maps) != 1)}", "two or more", "give more pairs of such views")
    table = torch.stack(maps)
    mean, half = table.mean(0), float(stdtrit(len(maps) - 1, 0.975)) * table.std(0) / len(maps) ** 0.5
    return MeanPointMap(mean, mean - half, mean + half, (table > 0).double().mean(0), left_out / len(maps), len(maps))


def _grids(grids: tuple[tuple[int, int], tuple[int, int]]) -> str:
    return " and ".join(f"{rows} x {columns}" for rows, columns in grids) + " cells"
