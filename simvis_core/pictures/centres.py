"""Where the cells of a grid look: their centres along each side of a view, and what lies nearest to each."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Line = tuple[float, float]  # the first cell's centre and the step to the next, in shares of the view's side


@dataclass(frozen=True)
class Centres:
    """The centres of a grid's cells in shares of the view's height and width: ``first + step * i`` along each side.

    They come from strides, paddings and dilations (`EmbeddingNetwork.centres`). A grid without them is even: its
    cells share the view out among themselves.

    >>> from simvis_core.pictures.centres import Centres
    >>> centres = Centres((2, 4), down=(0.25, 0.5), across=(0.0, 0.25))
    >>> centres.edges(1).tolist(), centres.cell_of(0.9, 1), centres.off()
    ([0.0, 0.125, 0.375, 0.625, 1.0], 3, 0.5)
    >>> centres.line(0)
    (0.25, 0.5)
    >>> Centres.even((2, 4)).off(), Centres.even((2, 4)).facts((16, 32))
    (0.0, {'rows': [3.5, 8.0], 'columns': [3.5, 8.0]})
    """

    grid: tuple[int, int]
    down: Line
    across: Line

    @staticmethod
    def even(grid: tuple[int, int]) -> "Centres":
        """The centres of cells that share the view out evenly."""
        return Centres(grid, (0.5 / grid[0], 1 / grid[0]), (0.5 / grid[1], 1 / grid[1]))

    def line(self, axis: int) -> Line:
        """Down for axis 0, across for axis 1."""
        return self.across if axis else self.down

    def edges(self, axis: int) -> Float[Tensor, " cells_and_1"]:
        """Where the cells end: halfway between two centres, and at the view's own edges."""
        return edges_of(self.grid[axis], self.line(axis))

    def cell_of(self, share: float, axis: int) -> int:
        """The cell whose centre is nearest to a place on the side, 0 to 1."""
        first, step = self.line(axis)
        return min(max(int((share - first) / step + 0.5), 0), self.grid[axis] - 1)

    def off(self) -> float:
        """How far the centres are at most from an even grid's, in cells of it."""
        pairs = [(self.line(axis), Centres.even(self.grid).line(axis), self.grid[axis]) for axis in (0, 1)]
        ends = [(one[0] + i * one[1] - even[0] - i * even[1], n) for one, even, n in pairs for i in (0, n - 1)]
        return max(abs(gap) * n for gap, n in ends)

    def facts(self, size: tuple[int, int]) -> dict[str, list[float]]:
        """First centre and step of rows and of columns in pixels of the view, whole numbers at pixel centres."""
        lines = {"rows": (self.down, size[0]), "columns": (self.across, size[1])}
        return {
            name: [round(first * side - 0.5, 4), round(step * side, 4)] for name, ((first, step), side) in lines.items()
        }


def edges_of(cells: int, line: Line) -> Float[Tensor, " cells_and_1"]:
    """Where cells with these centres end on a side of length 1; the outermost reach to its ends.

    >>> from simvis_core.pictures.centres import edges_of
    >>> edges_of(2, (0.0, 0.5))
    tensor([0.0000, 0.2500, 1.0000], dtype=torch.float64)
    """
    first, step = line
    edges = first + step * (torch.arange(cells + 1, dtype=torch.float64) - 0.5)
    edges[0], edges[-1] = 0.0, 1.0
    return edges
