"""Where a layer's output keeps its grid: feature maps, channels last, or tokens with some that have no place."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError

MOST_LOOSE = 16  # tokens without a place: a class token, a distillation token, up to 8 registers, and room
_CELLS_OFF = 1.5  # a layer's rounding and its padding change a side by about a cell


@dataclass(frozen=True)
class Layout:
    """How a layer's output (B, ...) is laid out over its grid (H, W); ``loose`` tokens in front have no place.

    >>> import torch
    >>> from simvis_core.networks.depth.layouts import Layout
    >>> layout = Layout("tokens", (2, 3), loose=1)
    >>> sums, loose = layout.sums(torch.ones(1, 7, 5))
    >>> sums, loose
    (tensor([[[5., 5., 5.],
             [5., 5., 5.]]]), tensor([5.]))
    >>> layout.spread(torch.ones(1, 2, 3), loose=0.0).flatten()
    tensor([0., 1., 1., 1., 1., 1., 1.])
    """

    kind: Literal["maps", "channels last", "tokens"]
    grid: tuple[int, int]
    loose: int = 0

    def sums(self, values: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "B H W"], Float[Tensor, " B"]]:
        """The values summed over each cell's channels, and over everything of the tokens without a place."""
        if self.kind == "maps":
            return values.sum(1), values.new_zeros(len(values))
        summed = values.sum(-1)
        if self.kind == "channels last":
            return summed, values.new_zeros(len(values))
        return summed[:, self.loose :].unflatten(1, self.grid), summed[:, : self.loose].sum(1)

    def spread(self, weights: Float[Tensor, "B H W"], loose: float) -> Float[Tensor, "B ..."]:
        """A weight for each cell, and one for all tokens without a place, in a shape that multiplies the output."""
        if self.kind == "maps":
            return weights[:, None]
        if self.kind == "channels last":
            return weights[..., None]
        front = weights.new_full((len(weights), self.loose), loose)
        return torch.cat([front, weights.flatten(1)], dim=1)[..., None]


def layout_of(shape: tuple[int, ...], size: tuple[int, int]) -> Layout | None:
    """The layout of an output of ``shape`` (without the batch axis) for a view of ``size`` (h, w).

    None for an output without a grid of two or more cells: a vector, one cell, windows, tokens that fill no grid of
    the view's shape.

    >>> from simvis_core.networks.depth.layouts import layout_of
    >>> layout_of((24, 28, 36), (224, 288)).kind, layout_of((28, 36, 24), (224, 288)).kind
    ('maps', 'channels last')
    >>> layout_of((197, 192), (224, 224))
    Layout(kind='tokens', grid=(14, 14), loose=1)
    >>> layout_of((1280,), (224, 224)) is None
    True
    """
    if len(shape) == 2:
        return _tokens(shape[0], size)
    if len(shape) != 3:
        return None
    if _fits((shape[1], shape[2]), size):
        return Layout("maps", (shape[1], shape[2]))
    return Layout("channels last", (shape[0], shape[1])) if _fits((shape[0], shape[1]), size) else None


def grid_at(layer: str, output: Float[Tensor, "B ..."], size: tuple[int, int]) -> Layout:
    """The layout of a layer's output for views of a size. Raises SimvisError for one without a grid.

    >>> import torch
    >>> from simvis_core.networks.depth.layouts import grid_at
    >>> grid_at("stem", torch.zeros(1, 8, 4, 6), (32, 48)).grid
    (4, 6)
    """
    layout = layout_of(tuple(output.shape[1:]), size)
    if layout is None:
        raise SimvisError(
            f"layer '{layer}', whose output {tuple(output.shape)} has no grid of cells for a view of {size}",
            "a layer with feature maps or tokens",
            "choose one that `cuts` lists",
        )
    return layout


def _fits(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a grid has two cells or more, no more than pixels, and the view's shape."""
    rows, columns = grid
    if rows * columns < 2 or rows > size[0] or columns > size[1]:
        return False
    return abs(rows - columns * size[0] / size[1]) <= _CELLS_OFF


def _tokens(count: int, size: tuple[int, int]) -> Layout | None:
    """The fewest loose tokens that leave a grid of exactly the view's shape, up to rounding."""
    for loose in range(min(MOST_LOOSE, count - 1)):
        cells = count - loose
        rows = round(math.sqrt(cells * size[0] / size[1]))
        if rows and cells % rows == 0 and _squarely((rows, cells // rows), size):
            return Layout("tokens", (rows, cells // rows), loose)
    return None


def _squarely(grid: tuple[int, int], size: tuple[int, int]) -> bool:
    return grid[0] * grid[1] > 1 and abs(grid[0] - grid[1] * size[0] / size[1]) <= 0.5
