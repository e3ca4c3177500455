"""Regions that a person marks on a picture, and the cell weights that make a query of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.pictures.views import View, weights_at, weights_in

Sign = Literal[1, -1]


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of the view, (x, y) its upper left corner; with ``sign`` -1 "not like this".

    >>> from simvis_core.galleries.regions import Box
    >>> Box(0.5, 0.0, 0.5, 1.0).mask((1, 4))
    tensor([[False, False,  True,  True]])
    """

    x: float
    y: float
    width: float
    height: float
    sign: Sign = 1

    def mask(self, size: tuple[int, int]) -> Bool[Tensor, "h w"]:
        """The view pixels whose centres lie inside."""
        mask = torch.zeros(size, dtype=torch.bool)
        (top, bottom), (left, right) = (
            (math.ceil(at * side - 0.5), math.ceil((at + length) * side - 0.5))
            for at, length, side in ((self.y, self.height, size[0]), (self.x, self.width, size[1]))
        )
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        return mask


@dataclass(frozen=True)
class Brush:
    """A stroke through points (x, y) in fractions of the view; ``radius`` is a fraction of its width.

    >>> from simvis_core.galleries.regions import Brush
    >>> Brush(((0.1, 0.5), (0.9, 0.5)), radius=0.05).mask((3, 10)).any(1)
    tensor([ True,  True, False])
    """

    points: tuple[tuple[float, float], ...]
    radius: float
    sign: Sign = 1

    def mask(self, size: tuple[int, int]) -> Bool[Tensor, "h w"]:
        """The view pixels within the radius of the stroke, up to the rounding of a drawn line."""
        height, width = size
        path = [(x * width - 0.5, y * height - 0.5) for x, y in self.points]
        radius = max(self.radius * width, 0.5)
        drawn = Image.new("1", (width, height))
        draw = ImageDraw.Draw(drawn)
        draw.line(path, fill=1, width=max(1, round(2 * radius)))
        for x, y in path:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        return torch.from_numpy(np.array(drawn))


@dataclass(frozen=True)
class Point:
    """A point (x, y) in fractions of the view; it weighs as much as one cell."""

    x: float
    y: float
    sign: Sign = 1


Region = Box | Brush | Point


def region_weights(regions: Sequence[Region], size: tuple[int, int], grid: tuple[int, int]) -> Float[Tensor, "H W"]:
    """Each cell's weight: the share of its area inside the plus regions less the share inside the minus regions.

    Regions of one sign that overlap count once; points come on top, each with a total weight of 1.

    Raises SimvisError where nothing is left: no region, only ones that hold no pixel of the view, or as much against as
    for; and for a point outside the view.

    >>> from simvis_core.galleries.regions import Box, region_weights
    >>> left, right = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 0.5, 1.0, sign=-1)
    >>> region_weights([left, right], size=(16, 32), grid=(1, 2))
    tensor([[ 1., -1.]], dtype=torch.float64)
    """
    weights = torch.zeros(grid, dtype=torch.float64)
    for sign in (1, -1):
        masks = [region.mask(size) for region in regions if region.sign == sign and not isinstance(region, Point)]
        if masks:
            weights += sign * weights_in(torch.stack(masks).any(0), grid)
    for point in (region for region in regions if isinstance(region, Point)):
        weights += point.sign * weights_at(point.x * size[1] - 0.5, point.y * size[0] - 0.5, size, grid)
    if not bool(weights.any()):
        raise SimvisError(
            "regions that leave no part of the view (too small, outside it, or cancelling out)",
            "one that covers some",
            "draw it over the picture, or larger",
        )
    return weights


def regions_query(
    decomposition: Decomposition, regions: Sequence[Region], size: tuple[int, int]
) -> Float[Tensor, " D"]:
    """What to search a gallery by: the embedding where nothing is marked, else the marked cells' part of it.

    ``<query, e>`` is then the cosine with a picture e, or the regions' signed share of it (Stylianou 2019, 4.6).

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.regions import Box, regions_query
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> regions_query(picture, [Box(0.5, 0.0, 0.5, 1.0)], size=(16, 32))
    tensor([0.0000, 0.7000])
    >>> regions_query(picture, [], size=(16, 32))
    tensor([0.6000, 0.8000])
    """
    if not regions:
        return decomposition.embedding
    return decomposition.region_query(region_weights(regions, size, decomposition.grid))


def box_on(view: View, x: float, y: float, width: float, height: float, sign: Sign = 1) -> Box:
    """The box of a rectangle in the picture's own pixels.

    Raises SimvisError for one that is empty or has no part in the view.

    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.galleries.regions import box_on
    >>> view = Preprocess(short_side=32, stride=8).view(Image.new("RGB", (60, 40)))
    >>> box_on(view, x=30, y=0, width=15, height=20)
    Box(x=0.5, y=0.0, width=0.25, height=0.5, sign=1)
    """
    left, top, right, bottom = view.box
    numbers = (x, y, width, height)
    if not all(map(math.isfinite, numbers)) or width <= 0 or height <= 0:
        raise SimvisError(
            f"a box of {width:g} x {height:g} pixels", "a width and a height above 0", "give x y width height"
        )
    if x >= right or y >= bottom or x + width <= left or y + height <= top:
        raise SimvisError(
            f"a box from ({x:g}, {y:g}) to ({x + width:g}, {y + height:g}), which lies outside what the network sees",
            f"one that meets ({left:g}, {top:g}) to ({right:g}, {bottom:g})",
            "give pixels of the picture, or another framing",
        )
    across, down = right - left, bottom - top
    return Box((x - left) / across, (y - top) / down, width / across, height / down, sign)


def point_on(view: View, x: float, y: float, sign: Sign = 1) -> Point:
    """The point of a position in the picture's own pixels (whole numbers are pixel centres).

    Raises SimvisError for one outside the view.

    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.galleries.regions import point_on
    >>> view = Preprocess(short_side=32, stride=8).view(Image.new("RGB", (60, 40)))
    >>> point_on(view, x=29.5, y=9.5)
    Point(x=0.5, y=0.25, sign=1)
    """
    left, top, right, bottom = view.box
    across, down = (x + 0.5 - left) / (right - left), (y + 0.5 - top) / (bottom - top)
    if not (0 <= across <= 1 and 0 <= down <= 1):
        raise SimvisError(
            f"the point ({x:g}, {y:g}), which lies outside what the network sees",
            f"one from ({left:g}, {top:g}) to ({right - 1:g}, {bottom - 1:g})",
            "give pixels of the picture, or another framing",
        )
    return Point(across, down, sign)
