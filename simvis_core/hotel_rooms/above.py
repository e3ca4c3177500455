"""Rooms from inside and from above: where each object lies in both pictures is known, and so is the camera's heading.

A plan has the eye of the camera in its middle, as an aerial picture has the place a street's picture was taken. Nothing
but the four objects is the same in both pictures: floor, furniture, light and noise are drawn anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.drawing import BACK, RIGHT, Camera, Face, Shape, disc, draw_faces, placed, rectangle, shade
from simvis_core.hotel_rooms.objects import (
    BED_HEAD,
    OBJECTS,
    PAINTS,
    SHADES,
    TABLE_Z,
    WOODS,
    Arrangement,
    choice,
    headboard,
    object_faces,
    painting,
)
from simvis_core.hotel_rooms.rooms import SIDE_RANGE, Room, Stage, scene, stage_of
from simvis_core.hotel_rooms.surroundings import FAR, bed, furniture, light, shell

UP_THERE = 1000.0  # metres over the floor: from there parallel lines stay parallel to a quarter of a percent
REACH = 6.6  # metres from the eye to the middle of each edge of a plan
DEEP = 0.3  # metres: what hangs or stands flat against the wall is drawn so deep, else nothing of it were seen


@dataclass(frozen=True, eq=False)
class TwoViews:
    """A room from inside and from above, its objects' masks in both, and the direction the camera looks in.

    ``heading`` is that of the middle of the picture from inside, in degrees clockwise from the plan's upper edge.

    >>> from simvis_core.hotel_rooms.above import two_views
    >>> from simvis_core.hotel_rooms.rooms import OBJECTS
    >>> views = two_views(dict.fromkeys(OBJECTS, 3), view=1, size=(48, 64), plan=64, turned=90)
    >>> views.inside.image.size, views.above.image.size, sorted(views.above.masks) == sorted(views.inside.masks)
    ((64, 48), (64, 64), True)
    >>> 45 < views.heading < 135, [bearing < 0 for bearing in views.bearings(4)]
    (True, [True, True, False, False])
    """

    inside: Room
    above: Room
    heading: float
    camera: Camera

    def bearings(self, columns: int) -> list[float]:
        """The directions of so many columns of the picture from inside, in degrees clockwise from its middle."""
        middle = _bearing(self.camera, 0.5)
        return [_bearing(self.camera, (at + 0.5) / columns) - middle for at in range(columns)]


def two_views(
    styles: Mapping[str, int],
    view: int,
    size: tuple[int, int] = (96, 128),
    plan: int = 192,
    turned: float = 0.0,
) -> TwoViews:
    """The scene of ``styles`` and ``view`` from inside, ``size`` being (height, width), and a square plan of it.

    The plan is ``plan`` pixels wide and ``turned`` clockwise by so many degrees; at 0 the back wall is above. Objects
    have the look of their style in both: what is flat against the wall is laid back and made deeper, the lamp is seen
    into its shade. Raises SimvisError as `scene` does, for a plan of another size than 16 to 2048
    pixels, and for a turn that is no number.

    >>> from simvis_core.hotel_rooms.above import two_views
    >>> from simvis_core.hotel_rooms.rooms import OBJECTS
    >>> views = two_views(dict.fromkeys(OBJECTS, 3), view=1, size=(48, 64))
    >>> rows, _ = views.above.mask("bedspread").nonzero()
    >>> bool(rows.mean() < 96)  # before the camera, which looks up the plan
    True
    """
    low, high = SIDE_RANGE
    if not low <= plan <= high:
        raise SimvisError(f"a plan of {plan} pixels", f"{low} to {high}", "give a size in that range")
    if not np.isfinite(turned):
        raise SimvisError(f"a plan turned by {turned} degrees", "a number", "give degrees, such as 90")
    inside = scene(styles, view, size)
    stage = stage_of(view, size)
    camera = _from_above(stage.camera, turned)
    drawing = draw_faces(_plan(stage, view, styles), camera, (plan, plan))
    owners = drawing.owners()
    (lamp,) = camera.shares(camera.seen(np.array([[stage.placing.lamp_x, 1.0, TABLE_Z]]))).tolist()
    image = light(np.random.default_rng([view, 24]), (lamp[0], lamp[1]), (view, 25)).on(drawing.picture())
    above = Room(image, {name: owners == owner for owner, name in enumerate(OBJECTS, 1)}, dict(styles))
    return TwoViews(inside, above, (_bearing(stage.camera, 0.5) + turned) % 360, stage.camera)


def _from_above(inside: Camera, turned: float) -> Camera:
    """A camera that looks straight down on where another one stands, so far up that it is a plan."""
    cosine, sine = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    turn = np.array([(cosine, 0.0, -sine), (sine, 0.0, cosine), (0.0, -1.0, 0.0)])
    half = REACH / UP_THERE
    return Camera(np.array([inside.eye[0], UP_THERE, inside.eye[2]]), turn, (-half, -half, 2 * half, 2 * half))


def _bearing(camera: Camera, share: float) -> float:
    """Where a column of the picture lies, ``share`` of its width from the left: degrees clockwise from the wall."""
    left, top, width, height = camera.window
    x, _, z = np.array((left + share * width, top + height / 2, 1.0)) @ camera.turn
    return float(np.degrees(np.arctan2(x, -z)))


def _plan(stage: Stage, view: int, styles: Mapping[str, int]) -> list[Face]:
    """Everything from the floor up, with surroundings of the plan's own."""
    placing = stage.placing
    ground = placed([Shape(rectangle(-2 * FAR, -2 * FAR, 2 * FAR, 2 * FAR), (96, 94, 92))], (0, -0.1, 0), up=BACK)
    return [
        *ground,
        *shell(np.random.default_rng([view, 21])),
        *furniture(np.random.default_rng([view, 22]), placing, placing.bed_x),
        *_laid_back("painting", painting(styles["painting"]), placing),
        *_laid_back("headboard", headboard(styles["headboard"]), placing),
        *_lamp(styles["lamp"], placing),
        *bed(np.random.default_rng([view, 23]), placing, placing.bed_x),
        *object_faces("bedspread", styles["bedspread"], placing, placing.bed_x),
    ]


def _laid_back(name: str, shapes: Iterable[Shape], placing: Arrangement) -> list[Face]:
    """What is flat against the wall, as if it were tipped over: as wide as it is, with its colours in their order."""
    shapes = list(shapes)
    low, high = shapes[0].points[:, 1].min(), shapes[0].points[:, 1].max()
    flat = [Shape(points * (1, DEEP / (high - low)) - (0, low * DEEP / (high - low)), tone) for points, tone in shapes]
    x, z = (placing.bed_x, BED_HEAD) if name == "headboard" else (placing.painting[0], BED_HEAD - DEEP)
    return placed(flat, (x, 1.0, z), RIGHT, BACK, OBJECTS.index(name) + 1)


def _lamp(style: int, placing: Arrangement) -> list[Face]:
    """The shade's rim and what is seen inside it."""
    look = choice("lamp", style)
    _, form, wood, cloth, _ = look.picks
    radius = max(across for across, _ in SHADES[form])
    foot, tone = look.toned(WOODS[wood]), look.toned(PAINTS[cloth])
    rings = [Shape(disc(0, 0, radius), tone), Shape(disc(0, 0, radius * 0.4), shade(foot, 0.8))]
    return placed(rings, (placing.lamp_x, 1.2, TABLE_Z), RIGHT, BACK, OBJECTS.index("lamp") + 1)
