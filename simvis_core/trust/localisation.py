"""Does the map fall where it should? Against known objects, and against known correspondences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import upright_rgb
from simvis_core.pictures.views import Framing, View, enlarge, weights_at
from simvis_core.trust.faithfulness import ranks

CELL_ROUNDING = 1e-9  # of a cell: a place a whole cell off is within 1 cell
GREY = (124, 116, 104)  # what a turned picture shows beyond its edges: the usual mean colour


class Localisation(NamedTuple):
    """How a map falls on a region, each 0 to 1; ``area`` is what an even map would score as ``inside``.

    ``inside``: share of the map's positive part that lies in the region, None for a map without one. ``pointing``: 1
    where the map's peak lies in it (Zhang 2016). ``iou``: overlap of the region with as many of the strongest pixels.
    """

    inside: float | None
    pointing: float
    iou: float
    area: float


def localisation(map: Float[Tensor, "H W"], mask: Bool[Tensor, "h w"], seed: int = 0) -> Localisation:
    """How a map over a view falls on a region of its pixels; ties are broken at random by ``seed``.

    Raises SimvisError for an empty region or one that is everything, on which every map falls alike.

    >>> import torch
    >>> from simvis_core.trust.localisation import localisation
    >>> map, mask = torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool)
    >>> map[0, 0] = map[0, 1] = 0.5
    >>> mask[0] = True
    >>> localisation(map, mask)
    Localisation(inside=1.0, pointing=1.0, iou=0.3333333432674408, area=0.5)
    """
    if not bool(mask.any()) or bool(mask.all()):
        raise SimvisError("a region of nothing or of everything", "a part of the view", "mark one")
    size = (mask.shape[0], mask.shape[1])
    place = ranks(map, size, seed)
    positive = enlarge(map.double(), size).clamp(min=0)
    total = float(positive.sum())
    strongest = place < int(mask.sum())
    return Localisation(
        float(positive[mask].sum()) / total if total > 0 else None,
        float(mask.flatten()[int(place.argmin())]),
        float((strongest & mask).sum() / (strongest | mask).sum()),
        float(mask.double().mean()),
    )


@dataclass(frozen=True)
class Warp:
    """A crop, turn and change of scale of a picture, and where each point goes.

    Fractions of both pictures: a point (x, y) of the warped one shows what lies at `source` of the original.

    >>> from PIL import Image
    >>> from simvis_core.trust.localisation import Warp
    >>> turned = Warp(degrees=90.0)
    >>> x, y = turned.source(0.75, 0.5, aspect=1.0)
    >>> round(x, 3), round(y, 3), [round(at, 3) for at in turned.target(x, y, aspect=1.0)]
    (0.5, 0.75, [0.75, 0.5])
    >>> turned.applied(Image.new("RGB", (60, 40))).size
    (60, 40)
    """

    scale: float = 1.0  # above 1 shows less of the picture, larger
    degrees: float = 0.0  # counter-clockwise
    shift: tuple[float, float] = (0.0, 0.0)  # of the centre, in fractions of the original

    def source(self, x: float, y: float, aspect: float) -> tuple[float, float]:
        """Where a point of the warped picture lies in the original; ``aspect`` is width over height."""
        across, down = (x - 0.5) * aspect / self.scale, (y - 0.5) / self.scale
        turn = math.radians(self.degrees)
        turned = across * math.cos(turn) - down * math.sin(turn), across * math.sin(turn) + down * math.cos(turn)
        return 0.5 + self.shift[0] + turned[0] / aspect, 0.5 + self.shift[1] + turned[1]

    def target(self, x: float, y: float, aspect: float) -> tuple[float, float]:
        """Where a point of the original lies in the warped picture; it may lie outside."""
        across, down = (x - 0.5 - self.shift[0]) * aspect, y - 0.5 - self.shift[1]
        turn = math.radians(-self.degrees)
        turned = across * math.cos(turn) - down * math.sin(turn), across * math.sin(turn) + down * math.cos(turn)
        return 0.5 + turned[0] * self.scale / aspect, 0.5 + turned[1] * self.scale

    def applied(self, image: Image.Image) -> Image.Image:
        """The warped picture, of the original's size; grey beyond its edges."""
        image = upright_rgb(image)
        width, height = image.size
        aspect = width / height
        corners = [self.source(x / width, y / height, aspect) for x, y in ((0, 0), (1, 0), (0, 1))]
        (x0, y0), (x1, y1), (x2, y2) = ((x * width, y * height) for x, y in corners)
        steps = (x1 - x0, x2 - x0, x0, y1 - y0, y2 - y0, y0)
        affine = tuple(round(step, 9) for step in steps)  # Pillow cuts 122.999 off to 122: no turn must change nothing
        return image.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC, fillcolor=GREY)


class Transfer(NamedTuple):
    """Of the points that both pictures show, the share whose match lies within 1 and 2 cells of the truth (PCK).

    ``random`` and ``centre`` are what a random place and always the middle of the other picture would score.
    """

    points: int
    within: tuple[float, float]
    random: tuple[float, float]
    centre: tuple[float, float]


def transfer(
    network: EmbeddingNetwork,
    image: Image.Image,
    warp: Warp,
    short_side: int | None = None,
    framing: Framing = "whole",
    points_a_side: int = 8,
) -> Transfer:
    """How well point maps find the same place in a warped copy of a picture (PCK at 1 and 2 cells).

    A point's match is the centre of the strongest cell of its point map; distances are the larger of rows and columns
    apart, in cells of the warped view. Points lie on an even lattice; those that leave the warped picture do not count.

    Raises SimvisError for a black box, a warp that leaves no point, and as `network.view` does.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.trust.localisation import Warp, transfer
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> found = transfer(net, Image.effect_noise((60, 40), 90), Warp(scale=1.5), points_a_side=4)
    >>> found.points, found.random
    (4, (0.16666666666666666, 0.5))
    """
    image = upright_rgb(image)
    if framing == "crop":
        raise SimvisError(
            "the framing 'crop', which shows a part of the picture", "whole or square", "choose one of these"
        )
    view, other = (network.view(picture, short_side, framing) for picture in (image, warp.applied(image)))
    a, b = network.decompose(view.pixels), network.decompose(other.pixels)
    aspect = image.width / image.height
    lattice = [((column + 0.5) / points_a_side, (row + 0.5) / points_a_side) for row, column in _pairs(points_a_side)]
    known = [(point, warp.target(*point, aspect)) for point in lattice]
    seen = [(point, truth) for point, truth in known if all(0 <= at <= 1 for at in truth)]
    if not seen:
        raise SimvisError("a warp that leaves no point of the picture in view", "some overlap", "shift or zoom less")
    found = [(_match(a, b, view, point), truth) for point, truth in seen]
    rows, columns = b.grid
    middle = [((0.5, 0.5), truth) for _, truth in seen]
    return Transfer(
        len(seen),
        _within([_apart(match, truth, b.grid) for match, truth in found]),
        _chance([truth for _, truth in seen], (rows, columns)),
        _within([_apart(match, truth, b.grid) for match, truth in middle]),
    )


def _pairs(count: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(count) for column in range(count)]


def _match(a: Decomposition, b: Decomposition, view: View, point: tuple[float, float]) -> tuple[float, float]:
    height, width = view.size
    weights = weights_at(point[0] * width - 0.5, point[1] * height - 0.5, view.size, a.grid)
    map = b.similarity_map(a.region_query(weights))
    row, column = divmod(int(map.argmax()), b.grid[1])
    return (column + 0.5) / b.grid[1], (row + 0.5) / b.grid[0]


def _apart(one: tuple[float, float], other: tuple[float, float], grid: tuple[int, int]) -> float:
    return max(abs(one[0] - other[0]) * grid[1], abs(one[1] - other[1]) * grid[0])


def _within(distances: Sequence[float]) -> tuple[float, float]:
    one, two = (sum(distance <= cells + CELL_ROUNDING for distance in distances) / len(distances) for cells in (1, 2))
    return one, two


def _chance(truths: Sequence[tuple[float, float]], grid: tuple[int, int]) -> tuple[float, float]:
    """What a cell drawn at random scores on average: counted over every cell."""
    centres = [((column + 0.5) / grid[1], (row + 0.5) / grid[0]) for row in range(grid[0]) for column in range(grid[1])]
    return _within([_apart(centre, truth, grid) for truth in truths for centre in centres])


# How a picture is warped for a transfer test: what point maps meet in practice, and one that breaks most networks.
WARPS: dict[str, Warp] = {
    "crop, 1.5 times as large": Warp(1.5, 0.0, (0.08, -0.05)),
    "0.7 times as large": Warp(0.7),
    "turned by 20 degrees": Warp(1.2, 20.0),
    "turned by 90 degrees": Warp(1.0, 90.0),
}
