"""Drawn hotel rooms of which it is known to the pixel what makes two pictures show the same one.

A measure of "does a similarity map fall on what makes the pictures alike" needs pictures where that is known. Here a
style number fixes how each of four objects looks, and everything else (camera, light, walls, window, clutter, people)
follows the view number alone. The kind of picture is that of hotel recognition (Stylianou et al. 2019).
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.clutter import Clutter, clutter, pillows
from simvis_core.hotel_rooms.drawing import Camera, Face, draw_faces
from simvis_core.hotel_rooms.objects import OBJECTS, Arrangement, core_faces, object_faces, unlike
from simvis_core.hotel_rooms.surroundings import arrangement, bed, camera, framed, furniture, light, shell

__all__ = ["OBJECTS", "PlantedPair", "Room", "different_pair", "planted_pair", "room", "same_pair", "scene"]

SIDE_RANGE = (16, 2048)  # pixels
STYLES = 1000  # numbers below it choose looks that differ from one another
ASPECTS = (0.6, 2.2)  # width by height; a picture beyond is stretched, so that all four objects stay in it
CHECKED = 110  # pixels on the longer side of the sketch that tells whether the objects can be seen
LEAST, CORE_SEEN = 0.006, 0.45  # what must be seen of each core: a share of the picture, and of the core itself
CALMER = 0.85  # every draw of a camera that loses an object is followed by a less bold one
PATIENCE = 3  # draws of clutter before there is one thing less of each sort


@dataclass(frozen=True, eq=False)
class Room:
    """A picture, the visible pixels of each object (no pixel is in two masks), and each object's style number.

    >>> from simvis_core.hotel_rooms.rooms import room
    >>> shown = room(identity=3, view=1, size=(96, 128))
    >>> shown.image.size, sorted(shown.masks)
    ((128, 96), ['bedspread', 'headboard', 'lamp', 'painting'])
    >>> bool(shown.mask("lamp", "painting").sum() == shown.mask("lamp").sum() + shown.mask("painting").sum())
    True
    """

    image: Image.Image
    masks: Mapping[str, Bool[np.ndarray, "h w"]]
    styles: Mapping[str, int]

    def mask(self, *objects: str) -> Bool[np.ndarray, "h w"]:
        """The pixels of any of the named objects; of all four where none is named.

        Raises SimvisError for a name that is not in `OBJECTS`.
        """
        for name in objects:
            _check_object(name)
        return np.any([self.masks[name] for name in objects or OBJECTS], 0)


class PlantedPair(NamedTuple):
    """Two rooms and the names of the objects that are the same in both."""

    a: Room
    b: Room
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """What a view fixes before anything is painted: where the objects stand, the camera, what lies about."""

    placing: Arrangement
    camera: Camera
    clutter: Clutter


def room(identity: int, view: int, size: tuple[int, int] = (224, 320)) -> Room:
    """View number ``view`` of a room: the scene where all four objects have the style number ``identity``.

    So two identities below 1000 have no object in common. ``size`` is (height, width) in pixels. Raises SimvisError as
    `scene` does.

    >>> from simvis_core.hotel_rooms.rooms import room
    >>> room(identity=3, view=1, size=(96, 128)).styles
    {'headboard': 3, 'lamp': 3, 'painting': 3, 'bedspread': 3}
    """
    return scene(dict.fromkeys(OBJECTS, _natural("identity", identity)), view, size)


def scene(styles: Mapping[str, int], view: int, size: tuple[int, int] = (224, 320)) -> Room:
    """A picture of four objects of these styles, (height, width) in pixels; all else follows ``view``.

    Equal arguments give equal bytes (under one version of NumPy and Pillow). Another style of an object changes only
    pixels of its mask as it was and as it is now, and edge pixels that it shares with another object: no pixel outside
    every mask. An object fills at least 0.4 % of a picture of 96 pixels a side or more. One view number looks different
    at sizes of unlike aspect, because the camera looks for the four objects; a picture slimmer than 0.6 or wider than
    2.2 by 1 is stretched.

    Style numbers below 1000 choose looks that differ pairwise; from 1080 on the choices of a bedspread come again in
    slightly other colours, those of the other objects later. Raises SimvisError for styles that do not name each of
    `OBJECTS` once, a number below 0, and a side under 16 or over 2048.

    >>> from simvis_core.hotel_rooms.rooms import OBJECTS, scene
    >>> styles = dict.fromkeys(OBJECTS, 3)
    >>> one, other = scene(styles, 1, (96, 128)), scene(styles | {"lamp": 4}, 1, (96, 128))
    >>> bool((one.masks["bedspread"] == other.masks["bedspread"]).all())
    True
    """
    styles, view = _checked_styles(styles), _natural("view", view)
    height, width = _checked_size(size)
    stage = stage_of(view, (height, width))
    eye_x = float(stage.camera.eye[0])
    objects = {name: object_faces(name, styles[name], stage.placing, eye_x) for name in OBJECTS}
    back = shell(_rng(view, 3)), furniture(_rng(view, 4), stage.placing, eye_x)
    drawing = draw_faces(_layers(stage, view, objects, back), stage.camera, (height, width))
    owners = drawing.owners()
    (lamp,) = core_faces("lamp", stage.placing)
    x, y = stage.camera.shares(stage.camera.seen(lamp.points)).mean(0).tolist()
    image = light(_rng(view, 7), (x, y), (view, 8)).on(drawing.picture())
    return Room(image, {name: owners == owner for owner, name in enumerate(OBJECTS, 1)}, styles)


def same_pair(identity: int, seed: int, size: tuple[int, int] = (224, 320)) -> PlantedPair:
    """Two views of one room: all four objects shared. Raises SimvisError as `scene`.

    >>> from simvis_core.hotel_rooms.rooms import same_pair
    >>> same_pair(identity=3, seed=0, size=(64, 96)).shared
    ('headboard', 'lamp', 'painting', 'bedspread')
    """
    one, other = _two_views(_natural("seed", seed))
    return PlantedPair(room(identity, one, size), room(identity, other, size), OBJECTS)


def planted_pair(shared: str, seed: int, size: tuple[int, int] = (224, 320)) -> PlantedPair:
    """Two pictures with this one object in common; the other three differ in every choice of their styles.

    Under one seed the first picture is the same whatever is shared, and the second differs in two objects only.

    Raises SimvisError for a name that is not in `OBJECTS`, and as `scene`.

    >>> from simvis_core.hotel_rooms.rooms import planted_pair
    >>> pair = planted_pair("lamp", seed=0, size=(64, 96))
    >>> pair.a.styles["lamp"] == pair.b.styles["lamp"], pair.a.styles["painting"] == pair.b.styles["painting"]
    (True, False)
    """
    _check_object(shared)
    return _pair(_natural("seed", seed), (shared,), size)


def different_pair(seed: int, size: tuple[int, int] = (224, 320)) -> PlantedPair:
    """Two pictures without an object in common. Raises SimvisError as `scene`.

    >>> from simvis_core.hotel_rooms.rooms import different_pair
    >>> different_pair(seed=0, size=(64, 96)).shared
    ()
    """
    return _pair(_natural("seed", seed), (), size)


def _pair(seed: int, shared: tuple[str, ...], size: tuple[int, int]) -> PlantedPair:
    rng = np.random.default_rng([seed, 10])
    of_a = {name: int(rng.integers(STYLES)) for name in OBJECTS}
    of_b = {name: _unlike(rng, name, style) for name, style in of_a.items()}
    of_b |= {name: of_a[name] for name in shared}
    one, other = _two_views(seed)
    return PlantedPair(scene(of_a, one, size), scene(of_b, other, size), shared)


def _unlike(rng: np.random.Generator, name: str, style: int) -> int:
    while not unlike(name, style, found := int(rng.integers(STYLES))):  # a quarter of all styles or more are
        pass
    return found


def _two_views(seed: int) -> tuple[int, int]:
    one, other = np.random.default_rng([seed, 9]).integers(2**30, size=2).tolist()
    return 2 * one, 2 * other + 1  # an even and an odd number are never one view


def _rng(view: int, part: int) -> np.random.Generator:
    """A stream of its own for each part, so that a camera drawn anew moves no wall."""
    return np.random.default_rng([view, part])


def stage_of(view: int, size: tuple[int, int]) -> Stage:
    """The first camera that has every core in its window, and the first clutter that leaves them in sight.

    ``size`` is the picture's (height, width). Both look at cores only, which are the same for every style: a view looks
    the same round every identity.

    >>> from simvis_core.hotel_rooms.rooms import stage_of
    >>> stage = stage_of(1, (96, 128))
    >>> stage.camera.eye.round(1).tolist(), abs(stage.placing.bed_x) < 0.1
    ([-0.6, 1.7, 4.9], True)
    """
    aspect = min(max(size[1] / size[0], ASPECTS[0]), ASPECTS[1])
    placing = arrangement(_rng(view, 0))
    points = np.concatenate([core_faces(name, placing)[0].points for name in OBJECTS if name != "bedspread"])
    points = np.concatenate([points, [(placing.bed_x, 0.5, 2.1)]])
    rng, bare, wildness = _rng(view, 1), Clutter([], [], [], []), 1.0
    while True:
        stage = Stage(placing, framed(camera(rng, wildness), points, aspect, rng, wildness), bare)
        if _in_sight(stage, view, aspect):
            break
        wildness *= CALMER
    return _cluttered(stage, view, aspect)


def _cluttered(stage: Stage, view: int, aspect: float) -> Stage:
    rng, draws, eye_x = _rng(view, 2), 0, float(stage.camera.eye[0])
    while True:  # ends: fewer and fewer things, at last none
        found = Stage(stage.placing, stage.camera, clutter(rng, stage.placing, eye_x, draws // PATIENCE))
        if _in_sight(found, view, aspect):
            return found
        draws += 1


def _in_sight(stage: Stage, view: int, aspect: float) -> bool:
    longest = max(aspect, 1.0)
    size = round(CHECKED / longest), round(CHECKED * aspect / longest)
    cores = {name: core_faces(name, stage.placing) for name in OBJECTS}
    owners = draw_faces(_layers(stage, view, cores), stage.camera, size, 1).owners(1)
    for owner, name in enumerate(OBJECTS, 1):
        corners = stage.camera.shares(stage.camera.seen(cores[name][0].points))
        share = float((owners == owner).mean())
        if share < max(LEAST, CORE_SEEN * _area(corners)):
            return False
    return True


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _layers(
    stage: Stage, view: int, objects: Mapping[str, list[Face]], back: tuple[list[Face], list[Face]] = ([], [])
) -> list[Face]:
    """Everything from the back to the front, as a painter goes about it."""
    placing, eye_x = stage.placing, float(stage.camera.eye[0])
    walls, tables = back
    return [
        *walls,
        *objects["painting"],
        *tables,
        *objects["headboard"],
        *objects["lamp"],
        *stage.clutter.tables,
        *stage.clutter.behind,
        *bed(_rng(view, 5), placing, eye_x),
        *objects["bedspread"],
        *pillows(_rng(view, 6), placing),
        *stage.clutter.bed,
        *stage.clutter.front,
    ]


def _check_object(name: str) -> None:
    if name not in OBJECTS:
        raise SimvisError(f"an object named {name!r}", "one of " + ", ".join(OBJECTS), "check the spelling")


def _checked_styles(styles: Mapping[str, int]) -> dict[str, int]:
    for name in styles:
        _check_object(name)
    missing = [name for name in OBJECTS if name not in styles]
    if missing:
        raise SimvisError(f"styles without {' and '.join(missing)}", "one for every object", "add what is missing")
    return {name: _natural(f"{name} style", styles[name]) for name in OBJECTS}


def _natural(what: str, number: int) -> int:
    number = operator.index(number)
    if number < 0:
        raise SimvisError(f"the {what} number {number}", "0 or more", "count from 0")
    return number


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (operator.index(side) for side in size)
    if not all(SIDE_RANGE[0] <= side <= SIDE_RANGE[1] for side in (height, width)):
        raise SimvisError(
            f"a picture of {width} x {height} pixels",
            f"{SIDE_RANGE[0]} to {SIDE_RANGE[1]} on each side",
            "give (height, width) in that range",
        )
    return height, width
