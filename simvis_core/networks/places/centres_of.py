"""The centres of a layer's cells in a view, found by following one pass from the pixels to the layer."""

import torch

from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.layouts import layout_of
from simvis_core.networks.places.following import Following
from simvis_core.networks.places.lines import Places
from simvis_core.pictures.centres import Centres, Line

DOUBT = 0.25  # of a cell: branches that are added up may look at most this far to either side of their mean


@torch.no_grad()
def cells_look_at(behind: Behind, size: tuple[int, int]) -> Centres | None:
    """Where the cells of a layer look in a view of ``size`` (h, w); None where that cannot be known.

    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import Behind
    >>> from simvis_core.networks.places.centres_of import cells_look_at
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.MaxPool2d(3, 2, 1)).eval()
    >>> cells_look_at(Behind(backbone, "1"), (32, 48))
    Centres(grid=(4, 6), down=(0.0625, 0.25), across=(0.0416..., 0.1666...))
    """
    with torch.inference_mode(False):
        pixels = behind.fitting(torch.zeros(1, 3, *size))
        with Following(pixels) as following:
            output = behind.whole(pixels)[1]
    layout, found = layout_of(tuple(output.shape[1:]), size), following.of(output)
    if layout is None or found is None:
        return None
    lines = [_line(one.shared_out(cells), side) for one, cells, side in zip(found, layout.grid, size, strict=True)]
    down, across = lines
    return None if down is None or across is None else Centres(layout.grid, down, across)


def _line(places: Places, side: int) -> Line | None:
    """The places as shares of a side; None for ones that are in doubt, or well outside of the view."""
    last = places.first + (places.cells - 1) * places.step
    beyond = DOUBT * places.step  # a symmetric padding alone puts the first centre on the first pixel
    outside = not -beyond - 0.5 <= places.first <= last <= side - 0.5 + beyond
    if not places.sure or places.step <= 0 or places.doubt > DOUBT * places.step or outside:
        return None
    return (places.first + 0.5) / side, places.step / side
