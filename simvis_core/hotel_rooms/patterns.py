"""The motifs of the paintings and the patterns of the bedspreads."""

from collections.abc import Callable, Mapping
from itertools import pairwise, product

import numpy as np
from jaxtyping import Float

from simvis_core.hotel_rooms.drawing import Colour, Shape, disc, rectangle, shade

COVER = (-0.95, 0.0, 0.95, 1.4)  # left, foot, right, head of the bed's covered top; (0, 0) is the middle of its foot
DROP = 0.38  # how far the bedspread hangs down on three sides

Parts = list[tuple[Float[np.ndarray, "n 2"], int]]  # in a frame from -1 to 1, and which of the three tones


def _mountains(rng: np.random.Generator) -> Parts:
    found: Parts = [(disc(rng.uniform(-0.6, 0.6), 0.55, 0.2), 1)]
    for x, tone in zip(rng.permutation((-0.6, 0.0, 0.6)), (2, 0, 2), strict=True):
        peak = rng.uniform(-0.1, 0.5)
        found += [(np.array([(x - 0.9, -1), (x + 0.9, -1), (x, peak)]), tone)]
        found += [(np.array([(x - 0.18, peak - 0.2 * (1 + peak)), (x + 0.18, peak - 0.2 * (1 + peak)), (x, peak)]), 1)]
    return found


def _blocks(rng: np.random.Generator) -> Parts:
    columns, rows = ([-1.0, *rng.uniform((-0.6, 0.1), (-0.1, 0.6)), 1.0] for _ in range(2))
    tones = [0, 1, 2, -1, 0, 1, 2, -1, 0]
    cells = product(pairwise(columns), pairwise(rows))
    return [
        (rectangle(left + 0.03, bottom + 0.03, right - 0.03, top - 0.03), tone)
        for ((left, right), (bottom, top)), tone in zip(cells, rng.permutation(tones).tolist(), strict=True)
        if tone >= 0
    ]


def _rings(rng: np.random.Generator) -> Parts:
    x, y = rng.uniform(-0.25, 0.25, 2)
    return [(disc(x, y, radius, corners=24), tone) for radius, tone in ((0.8, 0), (0.58, 1), (0.38, 2), (0.18, 0))]


def _portrait(rng: np.random.Generator) -> Parts:
    lean = rng.uniform(-0.15, 0.15)
    return [
        (disc(0, -1, 0.85, 0.7), 0),
        (disc(lean, 0.3, 0.42, 0.52), 2),
        (rectangle(-0.12, -0.5, 0.12, 0.0), 1),
        (disc(lean, 0.18, 0.32, 0.42), 1),
    ]


def _flowers(rng: np.random.Generator) -> Parts:
    found: Parts = [(rectangle(-0.35, -0.95, 0.35, -0.4), 2)]
    for x in (-0.5, 0.0, 0.5):
        y = rng.uniform(0.1, 0.5)
        found += [(np.array([(-0.03 + x / 3, -0.4), (0.03 + x / 3, -0.4), (x + 0.03, y), (x - 0.03, y)]), 2)]
        found += [(disc(x + dx, y + dy, 0.16), 0) for dx, dy in ((0.17, 0), (-0.17, 0), (0, 0.2), (0, -0.2))]
        found += [(disc(x, y, 0.12), 1)]
    return found


def _bars(rng: np.random.Generator) -> Parts:
    edges = np.linspace(-1, 1, 10) + np.r_[0, rng.uniform(-0.07, 0.07, 8), 0]
    return [(rectangle(edges[at], -1, edges[at + 1], 1), at // 2 % 3) for at in range(0, 9, 2)]


def _waves(rng: np.random.Generator) -> Parts:
    start = rng.uniform(0, 6)
    x = np.linspace(-1, 1, 13)
    found: Parts = []
    for level, tone in ((0.45, 0), (0.05, 1), (-0.3, 2), (-0.65, 0)):
        crest = level + 0.16 * np.sin(4 * x + start + 9 * level)
        for at in range(12):  # convex pieces, because only those are cut right
            found += [(np.array([(x[at], -1), (x[at + 1], -1), (x[at + 1], crest[at + 1]), (x[at], crest[at])]), tone)]
    return found


def _boat(rng: np.random.Generator) -> Parts:
    x = rng.uniform(-0.3, 0.3)
    return [
        (rectangle(-1, -1, 1, -0.35), 0),
        (np.array([(x - 0.5, -0.3), (x - 0.32, -0.6), (x + 0.32, -0.6), (x + 0.5, -0.3)]), 2),
        (np.array([(x - 0.03, -0.25), (x - 0.03, 0.8), (x - 0.5, -0.25)]), 1),
        (np.array([(x + 0.05, -0.25), (x + 0.05, 0.6), (x + 0.45, -0.25)]), 2),
    ]


MOTIFS: Mapping[str, Callable[[np.random.Generator], Parts]] = {
    "mountains": _mountains,
    "blocks": _blocks,
    "rings": _rings,
    "portrait": _portrait,
    "flowers": _flowers,
    "bars": _bars,
    "waves": _waves,
    "boat": _boat,
}


US, VS = (COVER[0] - DROP, COVER[2] + DROP), (COVER[1] - DROP, COVER[3])


def _stripes(size: float, second: Colour, _: Colour) -> list[Shape]:
    return [Shape(rectangle(u, VS[0], u + size / 2, VS[1]), second) for u in np.arange(US[0], US[1], size)]


def _bands(size: float, second: Colour, _: Colour) -> list[Shape]:
    return [Shape(rectangle(US[0], v, US[1], v + size / 2), second) for v in np.arange(VS[0], VS[1], size)]


def _checks(size: float, second: Colour, ground: Colour) -> list[Shape]:
    red, green, blue = ((one + other) // 2 for one, other in zip(second, ground, strict=True))
    both = [
        Shape(one.points, (red, green, blue)) for one in _stripes(size, second, ground) + _bands(size, second, ground)
    ]
    spots = product(np.arange(US[0], US[1], size), np.arange(VS[0], VS[1], size))
    return both + [Shape(rectangle(u, v, u + size / 2, v + size / 2), second) for u, v in spots]


def _dots(size: float, second: Colour, _: Colour) -> list[Shape]:
    rows = enumerate(np.arange(VS[0], VS[1] + size, size))
    places = [(u + row % 2 * size / 2, v) for row, v in rows for u in np.arange(US[0], US[1] + size, size)]
    return [Shape(disc(u, v, size * 0.27, corners=10), second) for u, v in places]


def _chevrons(size: float, second: Colour, _: Colour) -> list[Shape]:
    found = []
    for v, (at, u) in product(np.arange(VS[0] - size, VS[1], size), enumerate(np.arange(US[0], US[1], size))):
        low, high = (v, v + size / 2) if at % 2 else (v + size / 2, v)
        corners = [(u, low), (u + size, high), (u + size, high + size / 2), (u, low + size / 2)]
        found.append(Shape(np.array(corners), second))
    return found


def _diamonds(size: float, second: Colour, _: Colour) -> list[Shape]:
    wide = size * 0.75
    places = product(np.arange(US[0], US[1] + wide, 2 * wide), np.arange(VS[0], VS[1] + size, 2 * size))
    return [Shape(disc(u, v, wide * 0.9, size * 0.9, corners=4), second) for u, v in places]


def _border(size: float, second: Colour, ground: Colour) -> list[Shape]:
    rim = size * 0.8
    inner = rectangle(COVER[0] + rim, COVER[1] + rim, COVER[2] - rim, COVER[3] - rim)
    line = rectangle(COVER[0] + 2 * rim, COVER[1] + 2 * rim, COVER[2] - 2 * rim, COVER[3] - 2 * rim)
    ends = rectangle(US[0], VS[0], US[1], VS[1])
    return [Shape(ends, second), Shape(inner, ground), Shape(line, shade(ground, 0.86))]


def _runner(size: float, second: Colour, ground: Colour) -> list[Shape]:
    low = 0.25
    stripe = size * 0.25
    band = Shape(rectangle(US[0], low, US[1], low + 2.2 * size), second)
    return [band, Shape(rectangle(US[0], low + stripe, US[1], low + 2 * stripe), ground)]


def _patches(size: float, second: Colour, ground: Colour) -> list[Shape]:
    found, tones = [], (second, shade(ground, 0.7), ground, shade(second, 0.75))
    side = size * 1.2
    for (row, v), (column, u) in product(
        enumerate(np.arange(VS[0], VS[1], side)), enumerate(np.arange(US[0], US[1], side))
    ):
        found.append(Shape(rectangle(u, v, u + side, v + side), tones[(row * 3 + column * 2 + row * column) % 4]))
    return found


PATTERNS: Mapping[str, Callable[[float, Colour, Colour], list[Shape]]] = {
    "stripes": _stripes,
    "bands": _bands,
    "checks": _checks,
    "dots": _dots,
    "chevrons": _chevrons,
    "diamonds": _diamonds,
    "border": _border,
    "runner": _runner,
    "patches": _patches,
}
