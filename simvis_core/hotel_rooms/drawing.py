"""Flat coloured faces in space, the camera that sees them, and the picture of faces and owners that it takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
NEAR = 0.25  # metres before the eye; what is nearer is cut away, because it has no place in the picture plane
FINER = 2  # drawn pixels per picture pixel and axis
SHOULDER = 200  # brighter than this the light counts half, as on film, so that white things keep their edges
CELL = 8  # light is smooth: it is worked out once in so many pixels


class Shape(NamedTuple):
    """A polygon in a plane of its own, in metres."""

    points: Float[np.ndarray, "n 2"]
    colour: Colour


class Face(NamedTuple):
    """A polygon in the room: x to the right, y up from the floor, z out of the back wall, in metres.

    ``owner`` says whose it is: 0 nobody's, 1 and up an object's.
    """

    points: Float[np.ndarray, "n 3"]
    colour: Colour
    owner: int = 0


def rectangle(left: float, bottom: float, right: float, top: float) -> Float[np.ndarray, "4 2"]:
    """The four corners (x, y) of a rectangle, counter-clockwise from the lower left, in metres.

    >>> from simvis_core.hotel_rooms.drawing import rectangle
    >>> rectangle(0, 0, 2, 1).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]
    """
    return np.array([(left, bottom), (right, bottom), (right, top), (left, top)], float)


def disc(x: float, y: float, across: float, up: float = 0.0, corners: int = 18) -> Float[np.ndarray, "n 2"]:
    """An ellipse of these radii (a circle where ``up`` is 0) as a polygon.

    >>> from simvis_core.hotel_rooms.drawing import disc
    >>> disc(0, 0, 1, corners=4).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0]]
    """
    turns = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([x + across * np.cos(turns), y + (up or across) * np.sin(turns)], 1)


def cut(points: Float[np.ndarray, "n k"], axis: int, bound: float, keep: int = 1) -> Float[np.ndarray, "m k"]:
    """The part of a convex polygon where the coordinate is at least ``bound``, or at most where ``keep`` is -1.

    Source: Sutherland and Hodgman 1974, one edge.

    >>> from simvis_core.hotel_rooms.drawing import cut, rectangle
    >>> cut(rectangle(0, 0, 2, 1), axis=0, bound=1.5).tolist()
    [[1.5, 0.0], [2.0, 0.0], [2.0, 1.0], [1.5, 1.0]]
    """
    inside = keep * (points[:, axis] - bound)
    kept: list[np.ndarray] = []
    for here, there, now, then in zip(points, np.roll(points, -1, 0), inside, np.roll(inside, -1), strict=True):
        if now >= 0:
            kept.append(here)
        if now * then < 0:
            kept.append(here + (there - here) * (now / (now - then)))
    return np.array(kept).reshape(-1, points.shape[1])


def within(shapes: Iterable[Shape], left: float, bottom: float, right: float, top: float) -> list[Shape]:
    """What of the convex shapes lies inside a rectangle.

    >>> from simvis_core.hotel_rooms.drawing import Shape, rectangle, within
    >>> [shape] = within([Shape(rectangle(0, 0, 2, 1), (255, 0, 0))], 1, 0, 3, 1)
    >>> shape.points.tolist()
    [[1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0]]
    """
    found = []
    for points, colour in shapes:
        crossed = points.min(0) < (left, bottom), points.max(0) > (right, top)
        for axis, bound, keep in ((0, left, 1), (0, right, -1), (1, bottom, 1), (1, top, -1)):
            if not crossed[keep < 0][axis]:
                continue
            points = cut(points, axis, bound, keep)  # noqa: PLW2901
        if len(points) > 2:
            found.append(Shape(points, colour))
    return found


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter (above).

    >>> from simvis_core.hotel_rooms.drawing import shade
    >>> shade((100, 200, 240), 1.2)
    (120, 240, 255)
    """
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue


Direction = tuple[float, float, float]
RIGHT, UP, BACK = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)


def placed(
    shapes: Iterable[Shape], origin: Direction, across: Direction = RIGHT, up: Direction = UP, owner: int = 0
) -> list[Face]:
    """The shapes put into the room: their (0, 0) at ``origin``, a metre of theirs along ``across`` and ``up``.

    >>> from simvis_core.hotel_rooms.drawing import Shape, placed, rectangle
    >>> [face] = placed([Shape(rectangle(0, 0, 2, 1), (255, 0, 0))], origin=(0, 0, 3), owner=2)
    >>> face.points.tolist(), face.owner
    ([[0.0, 0.0, 3.0], [2.0, 0.0, 3.0], [2.0, 1.0, 3.0], [0.0, 1.0, 3.0]], 2)
    """
    axes = np.array([across, up])
    return [Face(points @ axes + np.array(origin), colour, owner) for points, colour in shapes]


def box(eye_x: float, x: float, y: float, z: float, size: Direction, colour: Colour) -> list[Face]:
    """The sides of a box that an eye before and above it sees; (x, y, z) is the middle of its bottom.

    >>> from simvis_core.hotel_rooms.drawing import box
    >>> len(box(0.5, 0, 0, 0, (1, 1, 1), (200, 0, 0)))
    3
    """
    width, height, depth = size
    left, front = x - width / 2, z + depth / 2
    side = left + width if eye_x > x else left
    return [
        *placed([Shape(rectangle(0, 0, depth, height), shade(colour, 0.72))], (side, y, front), BACK),
        *placed([Shape(rectangle(0, 0, width, depth), shade(colour, 1.12))], (left, y + height, front), up=BACK),
        *placed([Shape(rectangle(0, 0, width, height), colour)], (left, y, front)),
    ]


@dataclass(frozen=True, eq=False)
class Camera:
    """An eye, the directions right, down and forward, and the window of the picture plane that becomes the picture.

    The window is (left, top, width, height) in the plane one metre before the eye.

    >>> import numpy as np
    >>> from simvis_core.hotel_rooms.drawing import looking
    >>> camera = looking(eye=(0.0, 1.0, 5.0), target=(0.0, 1.0, 0.0), roll=0.0)
    >>> seen = camera.seen(np.array([[0.5, 1.5, 0.0]]))
    >>> seen.round(3).tolist(), camera.shares(seen).round(3).tolist()
    ([[0.5, -0.5, 5.0]], [[0.6, 0.4]])
    """

    eye: Float[np.ndarray, "3"]
    turn: Float[np.ndarray, "3 3"]
    window: tuple[float, float, float, float] = (-0.5, -0.5, 1.0, 1.0)

    def seen(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of the room as metres to the right, down and forward of the eye."""
        return (points - self.eye) @ self.turn.T

    def shares(self, seen: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Where seen points lie in the picture, as (x, y) in fractions of its width and height."""
        left, top, width, height = self.window
        return (seen[:, :2] / seen[:, 2:] - (left, top)) / (width, height)


def looking(eye: Direction, target: Direction, roll: float) -> Camera:
    """The camera at ``eye`` that looks at ``target``, turned by ``roll`` (radians) round its axis.

    >>> from simvis_core.hotel_rooms.drawing import looking
    >>> looking(eye=(0.0, 1.0, 5.0), target=(0.0, 1.0, 0.0), roll=0.0).turn[2].tolist()  # the direction forward
    [0.0, 0.0, -1.0]
    """
    forward = np.array(target) - np.array(eye)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, UP)
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    tilted = np.cos(roll) * right + np.sin(roll) * down
    return Camera(np.array(eye), np.stack([tilted, np.cross(forward, tilted), forward]))


def outlines(faces: Sequence[Face], camera: Camera, size: tuple[int, int]) -> list[Float[np.ndarray, "n 2"]]:
    """Each face's corners (x, y) in pixels of a canvas of this (height, width); empty for one behind the eye.

    >>> from simvis_core.hotel_rooms.drawing import Shape, looking, outlines, placed, rectangle
    >>> faces = placed([Shape(rectangle(-1, 0, 1, 2), (255, 0, 0))], origin=(0, 0, 0))
    >>> outlines(faces, looking((0.0, 1.0, 4.0), (0.0, 1.0, 0.0), 0.0), (40, 40))[0].round(1).tolist()
    [[10.0, 30.0], [30.0, 30.0], [30.0, 10.0], [10.0, 10.0]]
    """
    ends = np.cumsum([len(face.points) for face in faces])
    starts = np.concatenate([[0], ends[:-1]])
    seen = camera.seen(np.concatenate([face.points for face in faces]))
    near = np.minimum.reduceat(seen[:, 2], starts) < NEAR
    flat = camera.shares(np.maximum(seen, (-np.inf, -np.inf, NEAR))) * (size[1], size[0])
    found = [flat[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    for number in np.flatnonzero(near):
        kept = cut(seen[starts[number] : ends[number]], 2, NEAR)
        found[number] = camera.shares(kept) * (size[1], size[0])
    return found


class NumberedCanvas(NamedTuple):
    """A canvas whose pixels number the kinds of face, and each kind's colour and owner.

    >>> from simvis_core.hotel_rooms.drawing import Shape, draw_faces, looking, placed, rectangle
    >>> faces = placed([Shape(rectangle(-1, 0, 1, 2), (255, 0, 0))], origin=(0, 0, 0), owner=1)
    >>> drawing = draw_faces(faces, looking((0.0, 1.0, 4.0), (0.0, 1.0, 0.0), 0.0), (4, 4))
    >>> drawing.owners()
    array([[0, 0, 0, 0],
           [0, 1, 1, 1],
           [0, 1, 1, 1],
           [0, 1, 1, 1]], dtype=uint8)
    >>> drawing.picture().getpixel((2, 2))
    (255, 0, 0)
    """

    canvas: Image.Image
    kinds: list[tuple[Colour, int]]

    def picture(self) -> Image.Image:
        """The colours, ``FINER`` drawn pixels on each axis averaged into one."""
        self.canvas.putpalette([part for colour, _ in self.kinds for part in colour])
        return self.canvas.convert("RGB").reduce(FINER)

    def owners(self, fine: int = FINER) -> UInt8[np.ndarray, "h w"]:
        """Whose each picture pixel is: what the drawn pixel at its centre (the lower right of the four) says.

        Where that is nobody's, an object that has any part in the pixel takes it: no change of an object is outside
        every mask, however thin the sliver that shows of it.
        """
        table = np.zeros(256, np.uint8)
        table[: len(self.kinds)] = [owner for _, owner in self.kinds]
        drawn = table[np.asarray(self.canvas)]
        centres = drawn[fine // 2 :: fine, fine // 2 :: fine]
        parts = [drawn[row::fine, column::fine] for row in range(fine) for column in range(fine)]
        return np.where(centres > 0, centres, np.maximum.reduce(parts))


def draw_faces(faces: Sequence[Face], camera: Camera, size: tuple[int, int], fine: int = FINER) -> NumberedCanvas:
    """The faces as a camera sees them, one over the other, the first at the back; ``size`` is (height, width).

    Colours and owners are read off the same numbers, so a mask cannot disagree with its picture.

    >>> from simvis_core.hotel_rooms.drawing import Shape, draw_faces, looking, placed, rectangle
    >>> faces = placed([Shape(rectangle(-1, 0, 1, 2), (255, 0, 0))], origin=(0, 0, 0))
    >>> drawing = draw_faces(faces, looking((0.0, 1.0, 4.0), (0.0, 1.0, 0.0), 0.0), (4, 6))
    >>> drawing.canvas.size, drawing.kinds
    ((12, 8), [((0, 0, 0), 0), ((255, 0, 0), 0)])
    """
    height, width = size[0] * fine, size[1] * fine
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    kinds: dict[tuple[Colour, int], int] = {((0, 0, 0), 0): 0}
    for face, outline in zip(faces, outlines(faces, camera, (height, width)), strict=True):
        if len(outline) > 2:
            kind = kinds.setdefault((face.colour, face.owner), len(kinds))
            pen.polygon(np.floor(outline).ravel().tolist(), fill=kind)
    assert len(kinds) <= 256, "a canvas of bytes numbers 256 kinds of face"
    return NumberedCanvas(canvas, list(kinds))


@dataclass(frozen=True)
class Glow:
    """Light added (or taken, below 0) round a place (x, y) of the picture, all in fractions of its size."""

    x: float
    y: float
    radius: float
    strength: Direction


@dataclass(frozen=True)
class Light:
    """What the room's light does to its colours: factors a channel, a slope (x, y) over the picture, glows, noise.

    ``noise`` is a standard deviation in steps of 0 to 255, drawn from ``seed``.

    >>> from PIL import Image
    >>> from simvis_core.hotel_rooms.drawing import Light
    >>> light = Light(gains=(0.5, 0.5, 0.5), slope=(0.0, 0.0), glows=(), noise=0.0, seed=(0,))
    >>> light.on(Image.new("RGB", (16, 16), (100, 100, 100))).getpixel((8, 8))
    (50, 50, 50)
    """

    gains: Direction
    slope: tuple[float, float]
    glows: tuple[Glow, ...]
    noise: float
    seed: tuple[int, ...]

    def on(self, image: Image.Image) -> Image.Image:
        """The picture under this light."""
        rng = np.random.default_rng(self.seed)
        pixels = rng.standard_normal((image.height, image.width, 3), np.float32) * np.float32(self.noise)
        shown = np.asarray(image) * self._field(image.size)
        pixels += shown - np.maximum(shown - SHOULDER, 0) / 2
        return Image.fromarray((np.clip(pixels, 0, 255) + 0.5).astype(np.uint8))

    def _field(self, size: tuple[int, int]) -> Float[np.ndarray, "h w 3"]:
        across, down = (max(2, side // CELL) for side in size)
        x, y = (np.arange(across) + 0.5) / across, (np.arange(down)[:, None] + 0.5) / down
        field = (1 + self.slope[0] * (x - 0.5) + self.slope[1] * (y - 0.5))[..., None] * np.array(self.gains)
        for glow in self.glows:
            near = np.exp(-((x - glow.x) ** 2 + (y - glow.y) ** 2) / (2 * glow.radius**2))
            field = field * (1 + near[..., None] * np.array(glow.strength))
        channels = [Image.fromarray(field[..., channel].astype(np.float32)) for channel in range(3)]
        return np.stack([np.asarray(one.resize(size, Image.Resampling.BILINEAR)) for one in channels], -1)
