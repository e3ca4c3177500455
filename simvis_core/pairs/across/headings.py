"""How a view from above is turned against one from inside: point maps pooled over columns, by direction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import OTHER, Side


@dataclass(frozen=True, eq=False)
class Headings:
    """What of the score lies where two views agree, for each heading that the view from inside may have.

    Entry i of ``shares`` is for a heading of i * 360 / len(shares) degrees, clockwise from the upper edge of the view
    from above. They are signed, in units of the score, and sum with ``undirected`` (cells in the very middle of the
    view from above, which lie in no direction) to what the cells of both pictures carry together.

    >>> import torch
    >>> from simvis_core.pairs.across.headings import Headings
    >>> Headings(torch.tensor([0.1, 0.5, -0.1, 0.0]), undirected=0.02).degrees
    90.0
    """

    shares: Float[Tensor, " S"]
    undirected: float

    @property
    def degrees(self) -> float:
        """The heading that most of the score agrees with, 0 to 360."""
        return int(self.shares.argmax()) * 360 / len(self.shares)


def column_maps(pair: PairExplanation, side: Side = "a") -> Float[Tensor, "W H2 W2"]:
    """Where in the other picture each column of this side's cells counts: its point maps summed over the rows.

    Signed, in units of the score; over all columns they sum to the other picture's map of this side's cells alone.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.across.headings import column_maps
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> torch.allclose(column_maps(pair), pair.joint_map.sum(0), atol=1e-6)
    True
    """
    own, other = pair.side(side)[1], pair.side(OTHER[side])[1]
    columns = torch.eye(own.grid[1])[:, None, :].expand(-1, own.grid[0], -1)
    return other.similarity_maps(torch.stack([own.region_query(column) for column in columns]))


def headings(
    pair: PairExplanation, side: Side = "a", bearings: Sequence[float] | None = None, sectors: int = 36
) -> Headings:
    """Which way a view from inside looks, read off a pair with one from above whose middle is where it was taken.

    ``bearings`` are the directions of this side's columns of cells, in degrees clockwise from the picture's middle;
    without them it is a panorama, whose columns go all the way round. Each column's map on the view from above is
    sorted by the direction that its cells lie in: had the picture the heading h, a column of bearing r would be found
    in the direction h + r. A share between two of the ``sectors`` is divided among them.
    Source: Zhu 2021, orientation from point maps pooled over columns.

    Raises SimvisError for another count of bearings than columns, and for fewer than four sectors.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.across.headings import headings
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> panorama = explain_pair(net, Image.new("RGB", (90, 30), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> found = headings(panorama, sectors=8)
    >>> len(found.shares), abs(float(found.shares.sum()) + found.undirected - panorama.ledger["cells_cells"]) < 1e-5
    (8, True)
    """
    maps = column_maps(pair, side).double().cpu()
    columns = len(maps)
    bearings = [(at + 0.5) * 360 / columns - 180 for at in range(columns)] if bearings is None else list(bearings)
    if len(bearings) != columns:
        raise SimvisError(f"{len(bearings)} bearings", f"one for each of {columns} columns", "give as many")
    if sectors < 4:
        raise SimvisError(f"{sectors} sectors", "4 or more", "give as many, for example 36 of 10 degrees")
    view, cells, _ = pair.side(OTHER[side])
    lies, directed = _directions(cells.grid, view.size)
    turned = (lies[None] - torch.tensor(bearings, dtype=torch.float64)[:, None]) % 360 / (360 / sectors)
    values = maps.flatten(1)[:, directed].flatten()
    lower, part = turned[:, directed].floor().flatten(), turned[:, directed].frac().flatten()
    shares = torch.zeros(sectors, dtype=torch.float64)
    shares.index_add_(0, lower.long() % sectors, values * (1 - part))
    shares.index_add_(0, (lower.long() + 1) % sectors, values * part)
    return Headings(shares, float(maps.flatten(1)[:, ~directed].sum()))


def _directions(grid: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """In which direction each cell's middle lies from the view's, clockwise from up, and whether it lies in any."""
    right, down = (
        ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
        for count, length in zip(grid[::-1], size[::-1], strict=True)
    )
    x, y = right[None, :].expand(grid).flatten(), down[:, None].expand(grid).flatten()
    return torch.atan2(x, -y) * (180 / math.pi), (x != 0) | (y != 0)
