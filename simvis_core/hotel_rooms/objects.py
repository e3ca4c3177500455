"""The four objects that tell one room from another, what a style number makes of them and where they stand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import cos, prod, sin

import numpy as np
from jaxtyping import Float

from simvis_core.hotel_rooms.drawing import RIGHT, UP, Colour, Face, Shape, disc, placed, rectangle, shade, within
from simvis_core.hotel_rooms.patterns import COVER, DROP, MOTIFS, PATTERNS

OBJECTS: tuple[str, ...] = ("headboard", "lamp", "painting", "bedspread")
Profile = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
Band = tuple[float, float, float, float]  # left, bottom, right, top

BED_TOP, BED_HALF, BED_HEAD, BED_FOOT = 0.58, 0.95, 0.1, 2.1  # the bed's height, half its width, and z at both ends
TABLE_TOP, TABLE_Z = 0.56, 0.26  # where the lamp stands

# Every size in metres. A core lies inside the object whatever its style; the camera and the clutter leave it in sight.
CORES: Mapping[str, Band] = {
    "headboard": (-0.8, 0.6, 0.8, 0.98),
    "lamp": (-0.15, 0.47, 0.15, 0.66),
    "painting": (-0.3, -0.3, 0.3, 0.3),
    "bedspread": COVER,
}

PAINTS: Mapping[str, Colour] = {
    "cream": (228, 214, 184),
    "navy": (34, 48, 104),
    "red": (178, 38, 44),
    "forest": (30, 92, 58),
    "mustard": (218, 164, 36),
    "teal": (30, 140, 146),
    "charcoal": (58, 58, 62),
    "sky": (120, 176, 222),
    "rose": (226, 136, 158),
    "rust": (176, 90, 42),
    "plum": (104, 48, 112),
    "white": (236, 234, 228),
}
WOODS: Mapping[str, Colour] = {
    "walnut": (92, 58, 36),
    "oak": (190, 146, 92),
    "black": (34, 32, 34),
    "gold": (206, 164, 70),
    "white": (240, 236, 228),
    "steel": (150, 158, 168),
}


@dataclass(frozen=True)
class Arrangement:
    """Where the four objects stand: the bed's shift along the wall, the lamp's side and place, the painting's."""

    bed_x: float
    lamp_x: float
    painting: tuple[float, float]  # its middle on the wall
    painting_tilt: float  # radians
    cover: float  # how far the bedspread is pulled up, as a factor


@dataclass(frozen=True)
class StyleChoice:
    """One look: what the style number chose of each list in `LOOKS`, and a small shift of every colour.

    >>> from simvis_core.hotel_rooms.objects import choice
    >>> look = choice("lamp", 7)
    >>> look.picks
    ('gourd', 'cone', 'gold', 'sky', 'banded')
    >>> look.toned((100, 100, 100)) != (100, 100, 100)
    True
    """

    picks: tuple[str, ...]
    shift: tuple[int, int, int]
    seed: tuple[int, int]  # of what a motif draws at random

    def toned(self, colour: Colour) -> Colour:
        """The colour with the look's own shift, which makes even equal picks differ a little."""
        red, green, blue = (min(255, max(0, part + by)) for part, by in zip(colour, self.shift, strict=True))
        return red, green, blue


@lru_cache(4096)
def choice(name: str, style: int) -> StyleChoice:
    """The look of a style: numbers below the count of combinations (over 1000) all choose differently.

    >>> from simvis_core.hotel_rooms.objects import choice
    >>> choice("painting", 0).picks
    ('square', 'oak', 'rings', 'wood')
    """
    lists, number = LOOKS[name], list(LOOKS).index(name)
    count = prod(map(len, lists))
    place = int(_shuffled(number, count)[style % count])
    picks = []
    for options in lists:
        place, at = divmod(place, len(options))
        picks.append(options[at])
    red, green, blue = np.random.default_rng([number, style, 1]).integers(-7, 8, 3).tolist()
    return StyleChoice(tuple(picks), (red, green, blue), (number, style))


def unlike(name: str, style: int, other: int) -> bool:
    """Whether two styles choose differently from every list: another shape, another pattern, other colours.

    >>> from simvis_core.hotel_rooms.objects import unlike
    >>> unlike("lamp", 7, 7)
    False
    """
    return all(one != two for one, two in zip(choice(name, style).picks, choice(name, other).picks, strict=True))


@lru_cache
def _shuffled(number: int, count: int) -> np.ndarray:
    return np.random.default_rng([number]).permutation(count)


# Headboard: a profile of the upper edge (metres over the floor, u from -1 to 1), a filling, a colour, a trim

PROFILES: Mapping[str, Profile] = {
    "straight": lambda u: 1.12 + 0 * u,
    "arch": lambda u: 1.0 + 0.3 * np.sqrt(np.maximum(0, 1 - u**2)),
    "camel": lambda u: 1.03 + 0.25 * np.exp(-((u / 0.32) ** 2)),
    "notched": lambda u: np.where(np.abs(u) > 0.72, 1.02, 1.24),
    "wings": lambda u: np.where(np.abs(u) > 0.8, 1.3, 1.04),
    "gable": lambda u: 1.3 - 0.28 * np.abs(u),
    "scallops": lambda u: 1.05 + 0.18 * np.abs(np.sin(2 * np.pi * u)),
}
EDGE = np.linspace(-1, 1, 61)
FILLINGS = ("tufts", "channels", "slats", "panels", "plain", "lattice")


@lru_cache(512)
def headboard(style: int) -> tuple[Shape, ...]:
    """The shapes of the headboard of a style, in metres; (0, 0) is the middle of its lower edge.

    >>> from simvis_core.hotel_rooms.objects import headboard
    >>> shapes = headboard(3)
    >>> round(float(shapes[0].points[:, 0].max() - shapes[0].points[:, 0].min()), 3)  # its width
    2.0
    """
    look = choice("headboard", style)
    profile, filling, colour, trim = look.picks
    tone = look.toned(PAINTS[colour])
    edge = {"own": shade(tone, 0.85), "dark": shade(tone, 0.5), "brass": (226, 190, 110)}[trim]
    top = PROFILES[profile](EDGE)
    inner = Shape(np.stack([np.append(EDGE * 0.94, (0.94, -0.94)), np.append(top - 0.06, (0.3, 0.3))], 1), tone)
    outer = Shape(np.stack([np.append(EDGE, (1.0, -1.0)), np.append(top, (0.3, 0.3))], 1), edge)
    return (outer, inner, *_filled(filling, PROFILES[profile], tone))


def _filled(filling: str, profile: Profile, tone: Colour) -> list[Shape]:
    dark, light = shade(tone, 0.62), shade(tone, 1.3)
    if filling == "tufts":
        lower = [disc(x, y, 0.03, corners=8) for x in np.arange(-0.8, 0.9, 0.2) for y in (0.62, 0.78, 0.94)]
        return [Shape(one, dark) for one in lower + [disc(x, 0.86, 0.03, corners=8) for x in np.arange(-0.7, 0.8, 0.2)]]
    if filling == "channels":
        lines = np.arange(-0.84, 0.9, 0.12)
        tops = profile(lines) - 0.07
        return [Shape(rectangle(x - 0.012, 0.3, x + 0.012, top), dark) for x, top in zip(lines, tops, strict=True)]
    if filling == "slats":
        return [Shape(rectangle(-0.92, y, 0.92, y + 0.045), light if row % 2 else dark) for row, y in enumerate(ROWS)]
    if filling == "panels":
        frames = [(x - 0.2, 0.5, x + 0.2, 0.95) for x in (-0.66, -0.22, 0.22, 0.66)]
        inner = [(left + 0.04, bottom + 0.04, right - 0.04, top - 0.04) for left, bottom, right, top in frames]
        return [Shape(rectangle(*one), dark) for one in frames] + [Shape(rectangle(*one), light) for one in inner]
    if filling == "lattice":
        crossed = [_stripe(x, lean, 0.02, dark) for x in np.arange(-1.5, 1.6, 0.22) for lean in (0.5, -0.5)]
        return within(crossed, -0.9, 0.45, 0.9, 0.96)
    return []


ROWS = np.arange(0.5, 0.95, 0.09)


def _stripe(x: float, lean: float, width: float, colour: Colour) -> Shape:
    """A slanting bar from y = 0 to 1.5 that passes x halfway."""
    return Shape(
        np.array([(x - lean - width, 0), (x - lean + width, 0), (x + lean + width, 1.5), (x + lean - width, 1.5)]),
        colour,
    )


# Lamp: a base, a shade, their colours

BASES: Mapping[str, tuple[tuple[float, float, float, float], ...]] = {  # ellipses: x, y, radius across, up
    "stick": ((0, 0.02, 0.13, 0.025), (0, 0.22, 0.04, 0.24)),
    "globe": ((0, 0.02, 0.1, 0.025), (0, 0.2, 0.17, 0.17)),
    "vase": ((0, 0.02, 0.09, 0.025), (0, 0.26, 0.13, 0.14), (0, 0.1, 0.07, 0.12)),
    "gourd": ((0, 0.11, 0.14, 0.12), (0, 0.31, 0.09, 0.1)),
    "beads": ((0, 0.07, 0.08, 0.075), (0, 0.21, 0.08, 0.075), (0, 0.35, 0.08, 0.075)),
}
SHADES: Mapping[str, tuple[tuple[float, float], ...]] = {  # the right half's outline
    "drum": ((0.24, 0.4), (0.24, 0.76)),
    "cone": ((0.34, 0.4), (0.11, 0.8)),
    "bell": ((0.31, 0.4), (0.22, 0.5), (0.17, 0.64), (0.15, 0.8)),
    "dome": ((0.29, 0.42), (0.29, 0.5), (0.25, 0.63), (0.16, 0.73), (0.05, 0.78)),
    "pagoda": ((0.36, 0.42), (0.36, 0.46), (0.17, 0.58), (0.17, 0.78), (0.1, 0.78)),
    "lantern": ((0.16, 0.38), (0.27, 0.47), (0.27, 0.71), (0.16, 0.8)),
}


@lru_cache(512)
def lamp(style: int) -> tuple[Shape, ...]:
    """The shapes of the lamp of a style, in metres; (0, 0) is the middle of its foot.

    >>> from simvis_core.hotel_rooms.objects import lamp
    >>> bool(0.75 < max(shape.points[:, 1].max() for shape in lamp(3)) < 0.85)  # its height
    True
    """
    look = choice("lamp", style)
    base, form, wood, cloth, band = look.picks
    foot, tone = look.toned(WOODS[wood]), look.toned(PAINTS[cloth])
    outline = np.array(SHADES[form])
    whole = np.concatenate([outline, outline[::-1] * (-1, 1)])
    stem = Shape(rectangle(-0.03, 0.02, 0.03, 0.45), shade(foot, 0.8))
    shown = [stem, *(Shape(disc(*part), foot) for part in BASES[base]), Shape(whole, tone)]
    if band == "banded":
        shown += [Shape(_slice(whole, low, low + 0.05), shade(foot, 0.9)) for low in (0.44, 0.68)]
    return tuple(shown)


def _slice(outline: Float[np.ndarray, "n 2"], low: float, high: float) -> Float[np.ndarray, "4 2"]:
    """A level band of a symmetrical outline."""
    half = outline[: len(outline) // 2]
    left, right = np.interp((low, high), half[:, 1], half[:, 0])
    return np.array([(-left, low), (left, low), (right, high), (-right, high)])


# Painting: a format, a frame, a motif, a palette

FORMATS: Mapping[str, tuple[float, float]] = {"wide": (0.62, 0.38), "square": (0.43, 0.43), "tall": (0.34, 0.45)}
PALETTES: Mapping[str, tuple[str, str, str, str]] = {  # ground, then three that stand out
    "sea": ("sky", "navy", "white", "teal"),
    "dusk": ("plum", "rust", "mustard", "rose"),
    "wood": ("cream", "forest", "rust", "mustard"),
    "ink": ("white", "charcoal", "red", "sky"),
    "night": ("navy", "mustard", "cream", "plum"),
    "garden": ("forest", "rose", "white", "mustard"),
    "fire": ("mustard", "red", "charcoal", "cream"),
    "blush": ("rose", "teal", "cream", "red"),
}


@lru_cache(512)
def painting(style: int) -> tuple[Shape, ...]:
    """The shapes of the painting of a style, in metres; (0, 0) is its middle.

    >>> from simvis_core.hotel_rooms.objects import painting
    >>> frame = painting(3)[0].points
    >>> frame.mean(0).tolist()
    [0.0, 0.0]
    """
    look = choice("painting", style)
    form, wood, motif, palette = look.picks
    wide, high = FORMATS[form]
    ground, *tones = (look.toned(PAINTS[name]) for name in PALETTES[palette])
    frame = look.toned(WOODS[wood])
    rng = np.random.default_rng(look.seed)
    inside = (-wide + 0.05, -high + 0.05, wide - 0.05, high - 0.05)
    shown = [Shape(points * (wide, high), tones[tone]) for points, tone in MOTIFS[motif](rng)]
    outer, rim = Shape(rectangle(-wide, -high, wide, high), frame), Shape(rectangle(*inside), ground)
    return (outer, rim, *within(shown, *inside))


# Bedspread: a pattern at a scale, its ground and its second colour; cloth coordinates (u, v), (0, 0) at the foot


@dataclass(frozen=True)
class Cloth:
    """The bedspread's shapes where it lies and where it hangs: on top, at the foot, at the left and right side."""

    top: tuple[Shape, ...]
    foot: tuple[Shape, ...]
    left: tuple[Shape, ...]
    right: tuple[Shape, ...]


def _standing_out(ground: Colour) -> list[Colour]:
    """The colours that show on this ground, in a fixed order that differs from ground to ground."""
    start = list(PAINTS.values()).index(ground)
    turned = list(PAINTS.values())[start:] + list(PAINTS.values())[:start]
    return [one for one in turned if np.linalg.norm(np.subtract(one, ground)) > 120]


def second_paint(style: int) -> str:
    """The name in `PAINTS` of the colour that a bedspread's pattern has on its ground.

    >>> from simvis_core.hotel_rooms.objects import choice, second_paint
    >>> choice("bedspread", 3).picks[1], second_paint(3)
    ('teal', 'rose')
    """
    _, ground, rank, _ = choice("bedspread", style).picks
    second = _standing_out(PAINTS[ground])[int(rank)]
    return next(name for name, colour in PAINTS.items() if colour == second)


@lru_cache(512)
def bedspread(style: int) -> Cloth:
    """One cloth over three edges: the pattern runs on across them.

    >>> from simvis_core.hotel_rooms.objects import bedspread
    >>> cloth = bedspread(3)
    >>> all(len(panel) > 0 for panel in (cloth.top, cloth.foot, cloth.left, cloth.right))
    True
    """
    look = choice("bedspread", style)
    pattern, ground, rank, scale = look.picks
    tone = look.toned(PAINTS[ground])
    second = look.toned(_standing_out(PAINTS[ground])[int(rank)])
    size = {"fine": 0.16, "bold": 0.3}[scale]
    left, bottom, right, top = COVER
    whole = rectangle(left - DROP, bottom - DROP, right + DROP, top)
    shown = [Shape(whole, tone), *PATTERNS[pattern](size, second, tone)]
    panels = [
        within(shown, *band)
        for band in (
            COVER,
            (left, bottom - DROP, right, bottom),
            (left - DROP, bottom, left, top),
            (right, bottom, right + DROP, top),
        )
    ]
    lights = (1.0, 0.82, 0.7, 0.7)
    return Cloth(*(tuple(Shape(p, shade(c, by)) for p, c in panel) for panel, by in zip(panels, lights, strict=True)))


LOOKS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "headboard": (tuple(PROFILES), FILLINGS, tuple(PAINTS), ("own", "dark", "brass")),
    "lamp": (tuple(BASES), tuple(SHADES), tuple(WOODS), tuple(PAINTS), ("plain", "banded")),
    "painting": (tuple(FORMATS), tuple(WOODS), tuple(MOTIFS), tuple(PALETTES)),
    "bedspread": (tuple(PATTERNS), tuple(PAINTS), ("0", "1", "2", "3", "4"), ("fine", "bold")),
}


# Where they stand


def object_faces(name: str, style: int, placing: Arrangement, eye_x: float) -> list[Face]:
    """The faces of the object in the room, as an eye ``eye_x`` metres to the right of the bed's middle sees them.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.objects import object_faces
    >>> from simvis_core.hotel_rooms.surroundings import arrangement
    >>> faces = object_faces("lamp", 7, arrangement(np.random.default_rng(0)), eye_x=0.0)
    >>> {face.owner for face in faces}
    {2}
    """
    if name == "headboard":
        return _upright(name, headboard(style), placing)
    if name == "lamp":
        return _upright(name, lamp(style), placing)
    if name == "painting":
        return _upright(name, painting(style), placing)
    return _laid(bedspread(style), placing, eye_x)


def core_faces(name: str, placing: Arrangement) -> list[Face]:
    """The object's core (the part that every style fills) in the room, as one face.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.objects import core_faces
    >>> from simvis_core.hotel_rooms.surroundings import arrangement
    >>> [core] = core_faces("lamp", arrangement(np.random.default_rng(0)))
    >>> core.owner, len(core.points)
    (2, 4)
    """
    if name == "bedspread":
        return _laid(Cloth((Shape(rectangle(*COVER), (0, 0, 0)),), (), (), ()), placing, 0.0)
    return _upright(name, (Shape(rectangle(*CORES[name]), (0, 0, 0)),), placing)


def _upright(name: str, shapes: Iterable[Shape], placing: Arrangement) -> list[Face]:
    across, up = RIGHT, UP
    if name == "headboard":
        origin = (placing.bed_x, 0.0, BED_HEAD)
    elif name == "lamp":
        origin = (placing.lamp_x, TABLE_TOP, TABLE_Z)
    else:
        origin = (*placing.painting, 0.03)
        cosine, sine = cos(placing.painting_tilt), sin(placing.painting_tilt)
        across, up = (cosine, sine, 0.0), (-sine, cosine, 0.0)
    return placed(shapes, origin, across, up, OBJECTS.index(name) + 1)


def _laid(cloth: Cloth, placing: Arrangement, eye_x: float) -> list[Face]:
    owner = OBJECTS.index("bedspread") + 1
    x, y, z, up = placing.bed_x, BED_TOP + 0.01, BED_FOOT + 0.01, (0.0, 0.0, -placing.cover)
    faces = []
    if eye_x < x - BED_HALF:
        faces += placed(cloth.left, (x - BED_HALF, y + BED_HALF, z), UP, up, owner)
    if eye_x > x + BED_HALF:
        faces += placed(cloth.right, (x + BED_HALF, y + BED_HALF, z), (0.0, -1.0, 0.0), up, owner)
    return faces + placed(cloth.foot, (x, y, z), RIGHT, UP, owner) + placed(cloth.top, (x, y, z), RIGHT, up, owner)
