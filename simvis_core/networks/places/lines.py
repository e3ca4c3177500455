"""Centres along one side of a tensor, and what an operator's window, stride and padding make of them."""

from collections.abc import Sequence
from typing import NamedTuple


class Places(NamedTuple):
    """Centres ``first + step * i`` of ``cells`` positions, in pixels of the view, whole numbers at pixel centres.

    ``doubt`` is how far the parts that were brought together lay apart, in pixels: half their distance. ``sure`` is
    False once positions had to be shared out without knowing how.

    >>> from simvis_core.networks.places.lines import Places
    >>> Places(0.0, 1.0, 32).under(middle=1.0, stride=2, padding=1, dilation=1, cells=16)
    Places(first=0.0, step=2.0, cells=16, doubt=0.0, sure=True)
    """

    first: float
    step: float
    cells: int
    doubt: float = 0.0
    sure: bool = True

    def under(self, middle: float, stride: int, padding: int, dilation: int, cells: int) -> "Places":
        """Behind a convolution or a pooling: the ``middle`` of each window, counted in taps from its first."""
        first = self.first + self.step * (dilation * middle - padding)
        return self._replace(first=first, step=self.step * stride, cells=cells)

    def over(self, kernel: int, stride: int, padding: int, dilation: int, cells: int) -> "Places":
        """Behind a transposed convolution, whose windows lie on what it gives.

        >>> from simvis_core.networks.places.lines import Places
        >>> Places(0.5, 2.0, 16).over(kernel=2, stride=2, padding=0, dilation=1, cells=32)[:3]
        (0.0, 1.0, 32)
        """
        first = self.first + self.step * (padding - dilation * (kernel - 1) / 2) / stride
        return self._replace(first=first, step=self.step / stride, cells=cells)

    def padded(self, before: int, cells: int) -> "Places":
        """With more positions in front (or fewer, below 0) and behind.

        >>> from simvis_core.networks.places.lines import Places
        >>> Places(0.0, 2.0, 16).padded(1, 18)[:3]
        (-2.0, 2.0, 18)
        """
        return self._replace(first=self.first - before * self.step, cells=cells)

    def taken(self, start: int, step: int, cells: int) -> "Places":
        """Every ``step``-th position from ``start`` on.

        >>> from simvis_core.networks.places.lines import Places
        >>> Places(0.0, 2.0, 16).taken(1, 2, 8)[:3]
        (2.0, 4.0, 8)
        """
        return self._replace(first=self.first + start * self.step, step=self.step * step, cells=cells)

    def shared_out(self, cells: int, known: bool = False) -> "Places":
        """A stretch shared out among another number of positions, each in the middle of its part.

        That is what a merging of neighbours gives. Where neither number is a multiple of the other it is a guess,
        unless the operator is known to do so.

        >>> from simvis_core.networks.places.lines import Places
        >>> Places(0.0, 4.0, 8).shared_out(4)
        Places(first=2.0, step=8.0, cells=4, doubt=0.0, sure=True)
        >>> Places(0.0, 4.0, 8).shared_out(3).sure
        False
        """
        if cells == self.cells:
            return self
        whole = known or max(cells, self.cells) % min(cells, self.cells) == 0
        ratio = self.cells / cells
        first = self.first + self.step * (ratio - 1) / 2
        return self._replace(first=first, step=self.step * ratio, cells=cells, sure=self.sure and whole)


def together(parts: Sequence[tuple[Places, int]], rival: bool = True) -> Places:
    """What parts with as many positions each, and weights, give together; ``rival`` ones bring doubt.

    What is added up or multiplied is rival: how much each part weighs is the network's own affair. What is laid side
    by side, as the four neighbours that are merged into one cell, is not.

    >>> from simvis_core.networks.places.lines import Places, together
    >>> together([(Places(0.0, 4.0, 8), 1), (Places(2.0, 4.0, 8), 1)])
    Places(first=1.0, step=4.0, cells=8, doubt=1.0, sure=True)
    """
    total = sum(weight for _, weight in parts)
    first = sum(part.first * weight for part, weight in parts) / total
    step = sum(part.step * weight for part, weight in parts) / total
    apart = max(abs(part.first - first) for part, _ in parts) if rival else 0.0
    one = parts[0][0]
    return Places(first, step, one.cells, apart + max(part.doubt for part, _ in parts), all(p.sure for p, _ in parts))
