"""Loose things that lie about in a room, and people: none of it says whose room it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simvis_core.hotel_rooms.drawing import Colour, Direction, Face, Shape, box, disc, placed, rectangle, shade
from simvis_core.hotel_rooms.objects import BED_FOOT, BED_HALF, BED_TOP, TABLE_TOP, TABLE_Z, Arrangement

SKINS: Sequence[Colour] = ((240, 206, 180), (214, 164, 126), (160, 108, 74), (94, 62, 46))
MADE: Sequence[Colour] = (  # what floors, doors and furniture are made of
    (134, 104, 78),
    (176, 146, 110),
    (110, 106, 104),
    (122, 82, 66),
    (160, 160, 152),
    (92, 100, 116),
    (150, 126, 134),
)


class Item(NamedTuple):
    """A loose thing: its faces, and the spot on the floor plan where it stands."""

    faces: list[Face]
    x: float
    z: float


def pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    """One of the colours, a little darker or lighter.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.clutter import pick
    >>> pick(np.random.default_rng(0), [(100, 100, 100)])
    (101, 101, 101)
    """
    return shade(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.85, 1.1)))


def any_colour(rng: np.random.Generator) -> Colour:
    """A colour drawn at random, each channel from 25 to 244.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.clutter import any_colour
    >>> all(25 <= channel < 245 for channel in any_colour(np.random.default_rng(0)))
    True
    """
    red, green, blue = rng.integers(25, 245, 3).tolist()
    return red, green, blue


def _cushion(at: Direction, half: tuple[float, float], colour: Colour) -> list[Face]:
    wide, high = half
    corners = np.array([(-1, 0.05), (0, 0), (1, 0.05), (0.93, 0.5), (1, 0.95), (0, 0.9), (-1, 0.95), (-0.93, 0.5)])
    shapes = [Shape(corners * (wide, high), colour), Shape(corners * (wide * 0.86, high * 0.8), shade(colour, 1.06))]
    return placed(shapes, at, up=(0.0, 0.9, -0.43))


def pillows(rng: np.random.Generator, placing: Arrangement) -> list[Face]:
    """The faces of two or four white pillows that lean on the headboard.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.clutter import pillows
    >>> from simvis_core.hotel_rooms.surroundings import arrangement
    >>> rng = np.random.default_rng(0)
    >>> len(pillows(rng, arrangement(rng))) in (4, 8)  # two faces a pillow
    True
    """
    tone = shade((240, 238, 234), float(rng.uniform(0.88, 1.06)))
    faces = []
    for row in range(rng.integers(1, 3)):
        for x in (-0.46, 0.46):
            at = (placing.bed_x + x + float(rng.normal(0, 0.03)), BED_TOP, 0.3 + 0.16 * row)
            faces += _cushion(at, (0.4, 0.24 - 0.05 * row), shade(tone, 1 - 0.06 * row))
    return faces


# Each kind is a function of the generator, the place, and how far to the right the eye is


def _suitcase(rng: np.random.Generator, at: Direction, eye_x: float) -> list[Face]:
    x, y, z = at
    wide, high, tone = rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.62), any_colour(rng)
    ribs = [Shape(rectangle(u, 0.03, u + 0.02, high - 0.03), shade(tone, 0.75)) for u in (-0.12, 0.0, 0.12)]
    handle = [Shape(rectangle(-0.1, high, 0.1, high + 0.09), (70, 70, 74))]
    front = (x, y, z + 0.14)
    return placed(handle, at) + box(eye_x, x, y, z, (wide, high, 0.28), tone) + placed(ribs, front)


def _bag(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    tone, half, high = any_colour(rng), rng.uniform(0.15, 0.24), rng.uniform(0.2, 0.32)
    body = np.array([(-half, 0), (half, 0), (half * 0.8, high), (-half * 0.8, high)])
    grip = disc(0, high, half * 0.55, high * 0.5)
    hole = disc(0, high, half * 0.42, high * 0.38)
    shapes = [Shape(grip, shade(tone, 0.6)), Shape(hole, shade(tone, 0.9)), Shape(body, tone)]
    return placed([*shapes, Shape(body * (0.9, 0.25), shade(tone, 0.7))], at)


def _chair(rng: np.random.Generator, at: Direction, eye_x: float) -> list[Face]:
    x, y, z = at
    tone, wood = any_colour(rng), pick(rng, MADE)
    legs = [box(eye_x, x + dx, y, z + dz, (0.04, 0.44, 0.04), wood) for dz in (-0.2, 0.2) for dx in (-0.22, 0.22)]
    back = box(eye_x, x, y + 0.44, z - 0.21, (0.5, 0.46, 0.06), tone)
    seat = box(eye_x, x, y + 0.4, z, (0.5, 0.08, 0.46), shade(tone, 0.95))
    return [face for leg in legs for face in leg] + back + seat


def _plant(rng: np.random.Generator, at: Direction, eye_x: float) -> list[Face]:
    x, y, z = at
    green, high = shade((60, 130, 62), float(rng.uniform(0.6, 1.2))), rng.uniform(0.5, 0.9)
    leaves = [
        Shape(disc(rng.normal(0, 0.14), 0.3 + rng.uniform(0, high), 0.09, 0.16, 8), shade(green, rng.uniform(0.8, 1.2)))
        for _ in range(9)
    ]
    return box(eye_x, x, y, z, (0.26, 0.3, 0.26), any_colour(rng)) + placed(leaves, at)


def _books(rng: np.random.Generator, at: Direction, eye_x: float) -> list[Face]:
    faces, (x, y, z) = [], at
    for _ in range(rng.integers(1, 4)):
        high = float(rng.uniform(0.025, 0.05))
        faces += box(eye_x, x + float(rng.normal(0, 0.015)), y, z, (0.22, high, 0.16), any_colour(rng))
        y += high
    return faces


def _bottle(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    tone, high = any_colour(rng), rng.uniform(0.2, 0.3)
    body, neck = rectangle(-0.04, 0, 0.04, high * 0.65), rectangle(-0.016, high * 0.6, 0.016, high)
    label = rectangle(-0.04, high * 0.2, 0.04, high * 0.45)
    return placed([Shape(body, tone), Shape(neck, shade(tone, 0.8)), Shape(label, (236, 232, 220))], at)


def _cup(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    tone = any_colour(rng)
    cup = np.array([(-0.035, 0), (0.035, 0), (0.045, 0.1), (-0.045, 0.1)])
    return placed([Shape(disc(0.05, 0.055, 0.03), shade(tone, 0.8)), Shape(cup, tone)], at)


def _throw_pillow(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    half = float(rng.uniform(0.18, 0.24))
    return _cushion(at, (half, 1.3 * half), any_colour(rng))


def _lying(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    """A folded towel, a newspaper or a tray."""
    tone, wide, deep = any_colour(rng), rng.uniform(0.15, 0.28), rng.uniform(0.1, 0.2)
    turn = rng.uniform(-0.6, 0.6)
    across = (float(np.cos(turn)), 0.0, float(np.sin(turn)))
    up = (float(np.sin(turn)), 0.0, float(-np.cos(turn)))
    shapes = [(-wide, -deep, wide, deep), (-wide * 0.85, -deep * 0.3, wide * 0.85, deep * 0.1)]
    tones = (tone, shade(tone, 0.75))
    return placed([Shape(rectangle(*one), by) for one, by in zip(shapes, tones, strict=True)], at, across, up)


def person(rng: np.random.Generator, at: Direction, _: float) -> list[Face]:
    """The faces of somebody who stands at ``at``, seen from the front or from behind.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.clutter import person
    >>> faces = person(np.random.default_rng(0), (0.0, 0.0, 3.0), 0.0)
    >>> bool(1.5 < max(face.points[:, 1].max() for face in faces) < 2.0)  # metres tall
    True
    """
    tall = float(rng.uniform(0.9, 1.1))
    skin, hair, top, trousers = pick(rng, SKINS), any_colour(rng), any_colour(rng), any_colour(rng)
    hair = shade(hair, 0.5)
    spread = rng.uniform(0.02, 0.12)
    shapes = [Shape(disc(0, 1.58, 0.13, 0.16), hair)] if rng.random() < 0.5 else []
    for side in (-1, 1):
        foot = side * (0.09 + spread)
        leg = np.array([(foot - 0.07, 0.0), (foot + 0.07, 0.0), (side * 0.09 + 0.09, 0.85), (side * 0.09 - 0.09, 0.85)])
        hand = side * (0.28 + 2 * rng.uniform(0, 0.1))
        sleeve = np.array([(side * 0.16, 1.38), (side * 0.24, 1.36), (hand + 0.04, 0.88), (hand - 0.04, 0.88)])
        shapes += [Shape(leg, trousers), Shape(rectangle(foot - 0.08, 0, foot + 0.08, 0.07), shade(trousers, 0.4))]
        shapes += [Shape(sleeve, shade(top, 0.85)), Shape(disc(hand, 0.84, 0.05), skin)]
    torso = np.array([(-0.18, 0.8), (0.18, 0.8), (0.24, 1.38), (0.1, 1.44), (-0.1, 1.44), (-0.24, 1.38)])
    shapes += [Shape(torso, top), Shape(rectangle(-0.05, 1.4, 0.05, 1.5), shade(skin, 0.85))]
    shapes += [Shape(disc(0, 1.58, 0.1, 0.13), skin)]
    shapes += [Shape(disc(0, 1.63, 0.12, 0.1 if rng.random() < 0.6 else 0.14), hair)]
    if len(shapes) % 2:
        shapes += [Shape(disc(0, 1.55, 0.085, 0.09), skin)]
    return placed(shapes, at, (tall, 0.0, 0.0), (0.0, tall, 0.0))


Maker = Callable[[np.random.Generator, Direction, float], list[Face]]
ON_FLOOR: Sequence[Maker] = (_suitcase, _bag, _chair, _plant, person, person)
ON_TABLE: Sequence[Maker] = (_books, _bottle, _cup, _cup)
ON_BED: Sequence[Maker] = (_throw_pillow, _throw_pillow, _lying, _books, _bag)


@dataclass(frozen=True)
class Clutter:
    """Loose things by when they are painted: before the bed, on the tables, on the bed, and in front of it."""

    behind: list[Face]
    tables: list[Face]
    bed: list[Face]
    front: list[Face]


def clutter(rng: np.random.Generator, placing: Arrangement, eye_x: float, fewer: int) -> Clutter:
    """Loose things drawn at random: up to four on the floor, three on the tables and three on the bed.

    With ``fewer`` that many less of each sort. ``eye_x`` is how far to the right the eye is, in metres.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.clutter import clutter
    >>> from simvis_core.hotel_rooms.surroundings import arrangement
    >>> rng = np.random.default_rng(0)
    >>> clutter(rng, arrangement(rng), eye_x=0.0, fewer=4)
    Clutter(behind=[], tables=[], bed=[], front=[])
    """
    floor = sorted((_on_floor(rng, eye_x) for _ in range(rng.integers(0, 5) - fewer)), key=lambda item: item.z)
    tables, bed = [], []
    for _ in range(rng.integers(0, 4) - fewer):
        x = rng.choice((-1, 1)) * abs(placing.lamp_x) + float(rng.uniform(-0.22, 0.22))
        z = TABLE_Z + float(rng.uniform(0.08, 0.16))
        tables += _made(rng, ON_TABLE, (x, TABLE_TOP, z), eye_x)
    for _ in range(rng.integers(0, 4) - fewer):
        kind = ON_BED[int(rng.integers(len(ON_BED)))]
        z = 0.62 if kind is _throw_pillow else float(rng.uniform(0.9, 1.9))
        bed += kind(rng, (placing.bed_x + float(rng.uniform(-0.7, 0.7)), BED_TOP, z), eye_x)
    hidden = [item for item in floor if _beyond_bed(item, eye_x)]
    shown = [item for item in floor if not _beyond_bed(item, eye_x)]
    return Clutter(
        [face for item in hidden for face in item.faces], tables, bed, [face for item in shown for face in item.faces]
    )


def _made(rng: np.random.Generator, kinds: Sequence[Maker], at: Direction, eye_x: float) -> list[Face]:
    return kinds[int(rng.integers(len(kinds)))](rng, at, eye_x)


def _on_floor(rng: np.random.Generator, eye_x: float) -> Item:
    if rng.random() < 0.35:
        x, z = float(rng.uniform(-1.6, 1.6)), float(rng.uniform(BED_FOOT + 0.3, 3.0))
    else:
        x, z = float(rng.choice((-1, 1)) * rng.uniform(1.3, 2.0)), float(rng.uniform(0.8, 2.0))
    return Item(_made(rng, ON_FLOOR, (x, 0.0, z), eye_x), x, z)


def _beyond_bed(item: Item, eye_x: float) -> bool:
    """Whether the bed may hide a thing beside it: the plane of the bed's side parts it from the eye."""
    return item.z < BED_FOOT and eye_x * item.x < BED_HALF * abs(item.x)
