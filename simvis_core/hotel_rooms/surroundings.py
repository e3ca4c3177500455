"""What surrounds the four objects, whatever they are: camera, floor, walls, window, furniture, light."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simvis_core.hotel_rooms.clutter import MADE, any_colour, pick
from simvis_core.hotel_rooms.drawing import (
    BACK,
    Camera,
    Colour,
    Direction,
    Face,
    Glow,
    Light,
    Shape,
    box,
    looking,
    placed,
    rectangle,
    shade,
)
from simvis_core.hotel_rooms.objects import BED_FOOT, BED_HALF, BED_HEAD, BED_TOP, TABLE_TOP, TABLE_Z, Arrangement

WALL_TOP, FAR = 2.62, 9.0
WALLS: Sequence[Colour] = (
    (226, 220, 206),
    (204, 212, 214),
    (214, 198, 176),
    (178, 190, 172),
    (168, 178, 196),
    (206, 182, 176),
    (150, 140, 132),
    (232, 232, 230),
    (196, 172, 136),
)


def arrangement(rng: np.random.Generator) -> Arrangement:
    """Where the four objects stand, drawn at random.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import arrangement
    >>> 1.36 <= abs(arrangement(np.random.default_rng(0)).lamp_x) <= 1.5
    True
    """
    side = rng.choice((-1.0, 1.0))
    return Arrangement(
        bed_x=float(rng.uniform(-0.06, 0.06)),
        lamp_x=float(side * rng.uniform(1.36, 1.5)),
        painting=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(1.86, 1.95))),
        painting_tilt=float(rng.normal(0, 0.015)),
        cover=float(rng.uniform(0.9, 1.06)),
    )


def camera(rng: np.random.Generator, wildness: float) -> Camera:
    """The camera of an eye drawn in front of the bed; at ``wildness`` 0 it stands straight before it.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import camera
    >>> camera(np.random.default_rng(0), wildness=0).eye.tolist()
    [0.0, 1.5, 4.9]
    """
    x, y = 1.7 * wildness * rng.uniform(-1, 1), 1.5 + wildness * rng.uniform(-0.3, 0.5)
    z = 4.9 + 0.9 * wildness * rng.uniform(-1, 1)
    target = (0.25 * wildness * rng.uniform(-1, 1), 1.0, 0.4)
    return looking((float(x), float(y), float(z)), target, float(wildness * rng.normal(0, 0.02)))


def framed(camera: Camera, points: np.ndarray, aspect: float, rng: np.random.Generator, wildness: float) -> Camera:
    """The camera with a window of this aspect (width by height) round the points, looser or tighter, off the middle.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import camera, framed
    >>> rng, points = np.random.default_rng(0), np.array([[-1.0, 0.5, 0.0], [1.0, 2.0, 0.0]])
    >>> found = framed(camera(rng, 0), points, 1.5, rng, 0)
    >>> shares = found.shares(found.seen(points))
    >>> bool((0 < shares).all() and (shares < 1).all())
    True
    """
    seen = camera.seen(points)
    flat = seen[:, :2] / seen[:, 2:]
    low, span = flat.min(0), np.ptp(flat, 0)
    loose = 1.14 + wildness * rng.uniform(-0.2, 0.22)
    height = loose * max(span[1], span[0] / aspect)
    spare = (height * aspect, height) - span
    left, top = low - spare * (0.5 + wildness * rng.uniform(-0.45, 0.45, 2))
    return replace(camera, window=(float(left), float(top), float(height * aspect), float(height)))


# The room itself, from the back to the front


def shell(rng: np.random.Generator) -> list[Face]:
    """The faces of floor, walls and ceiling, a window and a rug, from the back to the front.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import shell
    >>> {face.owner for face in shell(np.random.default_rng(0))}
    {0}
    """
    wall, floor = pick(rng, WALLS), pick(rng, MADE)
    side, reach = float(rng.choice((-1.0, 1.0))), float(rng.uniform(2.1, 3.2))
    return [
        *_floor(rng, floor),
        *_back_wall(rng, wall),
        *_side_wall(rng, wall, side * reach),
        *_window(rng, -side),
    ]


def _floor(rng: np.random.Generator, colour: Colour) -> list[Face]:
    shapes = [Shape(rectangle(-FAR, -FAR, FAR, 0), colour)]
    kind = rng.integers(3)
    if kind == 0:
        shapes += [Shape(rectangle(x, -6, x + 0.03, 0), shade(colour, 0.78)) for x in np.arange(-4, 4, 0.3)]
    if kind == 1:
        shapes += [Shape(rectangle(-4, z, 4, z + 0.03), shade(colour, 0.85)) for z in np.arange(-4, 0, 0.5)]
        shapes += [Shape(rectangle(x, -4, x + 0.03, 0), shade(colour, 0.85)) for x in np.arange(-4, 4, 0.5)]
    if rng.random() < 0.5:
        x, wide, rug = rng.uniform(-0.4, 0.4), rng.uniform(1.4, 2.0), any_colour(rng)
        shapes += [Shape(rectangle(x - wide, -3.2, x + wide, -1.2), rug)]
        shapes += [Shape(rectangle(x - wide + 0.12, -3.08, x + wide - 0.12, -1.32), shade(rug, 1.25))]
    return placed(shapes, (0, 0, 0), up=BACK)


def _back_wall(rng: np.random.Generator, colour: Colour) -> list[Face]:
    shapes = [Shape(rectangle(-FAR, 0, FAR, FAR), colour)]
    kind = rng.integers(5)
    if kind == 0:
        shapes += [Shape(rectangle(x, 0, x + 0.12, WALL_TOP), shade(colour, 0.92)) for x in np.arange(-4, 4, 0.24)]
    if kind == 1:
        shapes += [Shape(rectangle(-FAR, 0, FAR, 0.9), pick(rng, WALLS))]
        shapes += [Shape(rectangle(-FAR, 0.9, FAR, 0.95), shade(colour, 1.12))]
    if kind == 2:
        for x in np.arange(-3.3, 3.4, 1.1):
            shapes += [Shape(rectangle(x - 0.48, 0.3, x + 0.48, 2.4), shade(colour, 0.86))]
            shapes += [Shape(rectangle(x - 0.45, 0.33, x + 0.45, 2.37), colour)]
    if kind == 3:
        shapes += [Shape(rectangle(-1.8, 0, 1.8, FAR), pick(rng, WALLS))]
    shapes += [Shape(rectangle(-FAR, 0, FAR, 0.1), shade(colour, 1.15))]
    shapes += [Shape(rectangle(-FAR, WALL_TOP - 0.07, FAR, WALL_TOP), shade(colour, 1.12))]
    shapes += [Shape(rectangle(-FAR, WALL_TOP, FAR, FAR), (236, 234, 230))]
    return placed(shapes, (0, 0, 0))


def _side_wall(rng: np.random.Generator, colour: Colour, x: float) -> list[Face]:
    darker = shade(colour, float(rng.uniform(0.78, 0.92)))
    shapes = [Shape(rectangle(0, 0, FAR, WALL_TOP), darker), Shape(rectangle(0, 0, FAR, 0.1), shade(darker, 1.15))]
    shapes += [Shape(rectangle(0, WALL_TOP, FAR, FAR), (226, 224, 220))]
    if rng.random() < 0.5:
        left, tone = rng.uniform(0.5, 1.6), pick(rng, MADE)
        shapes += [Shape(rectangle(left, 0, left + 0.9, 2.05), shade(tone, 0.7))]
        shapes += [Shape(rectangle(left + 0.06, 0, left + 0.84, 1.99), tone)]
    return placed(shapes, (x, 0, 0), (0, 0, 1))


def _window(rng: np.random.Generator, side: float) -> list[Face]:
    if rng.random() < 0.3:
        return []
    left, wide = (1.85, 1.3) if side > 0 else (-3.15, 1.3)
    sky = ((176, 208, 236), (236, 226, 200), (40, 48, 78), (206, 216, 222))[rng.integers(4)]
    curtain = any_colour(rng)
    shapes = [Shape(rectangle(left - 0.06, 0.64, left + wide + 0.06, 2.36), (238, 238, 234))]
    shapes += [Shape(rectangle(left, 0.7, left + wide, 2.3), sky)]
    shapes += [Shape(rectangle(left, 0.7, left + wide, 0.7 + rng.uniform(0.2, 0.7)), shade(sky, 0.7))]
    shapes += [Shape(rectangle(left + wide / 2 - 0.02, 0.7, left + wide / 2 + 0.02, 2.3), (238, 238, 234))]
    drawn = rng.uniform(0.2, 0.6)
    for start in (left - 0.2, left + wide + 0.2 - drawn):
        folds = np.linspace(start, start + drawn, 7)
        for at in range(6):
            tone = shade(curtain, 1.0 if at % 2 else 0.82)
            shapes += [Shape(rectangle(folds[at], 0.12, folds[at + 1], 2.45), tone)]
    return placed(shapes, (0, 0, 0.0))


def furniture(rng: np.random.Generator, placing: Arrangement, eye_x: float) -> list[Face]:
    """The faces of a table under the lamp, and perhaps of one on the other side of the bed.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import arrangement, furniture
    >>> rng = np.random.default_rng(0)
    >>> len(furniture(rng, arrangement(rng), eye_x=0.0)) in (5, 10)
    True
    """
    wood = pick(rng, MADE)
    spots = [placing.lamp_x] + ([-placing.lamp_x] if rng.random() < 0.7 else [])
    faces = []
    for x in spots:
        faces += box(eye_x, x, 0.0, TABLE_Z, (0.56, TABLE_TOP, 0.44), wood)
        fronts = [rectangle(-0.24, low, 0.24, low + 0.2) for low in (0.05, 0.29)]
        faces += placed([Shape(one, shade(wood, 0.8)) for one in fronts], (x, 0.0, TABLE_Z + 0.22))
    return faces


def bed(rng: np.random.Generator, placing: Arrangement, eye_x: float) -> list[Face]:
    """The faces of the bed's frame and mattress, without headboard and bedspread.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import arrangement, bed
    >>> rng = np.random.default_rng(0)
    >>> len(bed(rng, arrangement(rng), eye_x=0.0))
    6
    """
    tone = shade((232, 230, 226), float(rng.uniform(0.85, 1.05)))
    middle = (BED_HEAD + BED_FOOT) / 2
    base = box(eye_x, placing.bed_x, 0.0, middle, (2 * BED_HALF, 0.26, BED_FOOT - BED_HEAD), pick(rng, MADE))
    return base + box(eye_x, placing.bed_x, 0.26, middle, (2 * BED_HALF, BED_TOP - 0.26, BED_FOOT - BED_HEAD), tone)


# Light


def light(rng: np.random.Generator, lamp: tuple[float, float], seed: tuple[int, ...]) -> Light:
    """A light drawn at random; ``lamp`` is where the lamp's shade lies, in fractions of the picture.

    ``seed`` is what the light's noise is drawn from.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.surroundings import light
    >>> light(np.random.default_rng(0), lamp=(0.8, 0.5), seed=(0,)).seed
    (0,)
    """
    gains = rng.uniform(0.7, 1.08) * rng.uniform(0.92, 1.08, 3)
    slope = rng.uniform(-0.3, 0.3, 2)
    x, y = rng.uniform(-0.1, 1.1, 2).tolist()
    glows = [Glow(x, y, float(rng.uniform(0.15, 0.5)), _warmth(rng, -0.2, 0.25))]
    if rng.random() < 0.6:
        glows.append(Glow(*lamp, float(rng.uniform(0.08, 0.2)), (0.4, 0.3, 0.12)))
    red, green, blue = gains.tolist()
    return Light((red, green, blue), (float(slope[0]), float(slope[1])), tuple(glows), float(rng.uniform(0, 5)), seed)


def _warmth(rng: np.random.Generator, low: float, high: float) -> Direction:
    strength = float(rng.uniform(low, high))
    return strength, strength * 0.95, strength * 0.85
