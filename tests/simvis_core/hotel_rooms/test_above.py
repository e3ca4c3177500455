"""Rooms from inside and from above: objects lie in the same direction in both, and nothing else is shared."""

import numpy as np
import pytest

from simvis_core import SimvisError
from simvis_core.hotel_rooms.above import two_views
from simvis_core.hotel_rooms.rooms import OBJECTS

STYLES = dict.fromkeys(OBJECTS, 3)


def middle(mask):
    rows, columns = mask.nonzero()
    return rows.mean() + 0.5, columns.mean() + 0.5


def direction(mask):
    """Clockwise from the upper edge, seen from the middle of the picture."""
    row, column = middle(mask)
    return np.degrees(np.arctan2(column - mask.shape[1] / 2, mask.shape[0] / 2 - row)) % 360


@pytest.mark.parametrize(("view", "turned"), [(0, 0), (1, 90), (2, 200), (3, -35), (4, 300), (5, 10)])
def test_an_object_lies_in_the_same_direction_in_both_pictures(view, turned):
    """The plan by its geometry, the picture by its camera's columns; a bed before one's feet is seen too large."""
    views = two_views(dict.fromkeys(OBJECTS, view), view, size=(192, 256), plan=256, turned=turned)
    width = views.inside.image.width
    bearings = np.array(views.bearings(width)) + views.heading
    for name in ("headboard", "lamp", "painting"):
        seen = np.interp(middle(views.inside.masks[name])[1] - 0.5, np.arange(width), bearings)
        gap = (direction(views.above.masks[name]) - seen + 180) % 360 - 180
        assert abs(gap) < 4, name


def test_turning_the_plan_turns_the_picture():
    straight, turned = (two_views(STYLES, 6, plan=256, turned=turn) for turn in (0, 90))
    assert turned.heading == pytest.approx((straight.heading + 90) % 360)
    for name in OBJECTS:
        one, other = np.rot90(straight.above.masks[name], -1), turned.above.masks[name]
        assert (one & other).sum() > 0.8 * (one | other).sum(), name
    assert turned.inside.image.tobytes() == straight.inside.image.tobytes()


@pytest.mark.parametrize("name", OBJECTS)
def test_another_style_changes_nothing_outside_its_object(name):
    one, other = (two_views(STYLES | {name: style}, 7) for style in (3, 444))
    changed = (np.asarray(one.above.image) != np.asarray(other.above.image)).any(-1)
    assert changed.any()
    assert not (changed & ~one.above.mask() & ~other.above.mask()).any()


def test_every_object_is_seen_from_above():
    for view in range(4):
        above = two_views(dict.fromkeys(OBJECTS, 40 + view), view, plan=192, turned=80 * view).above
        assert {name: int(mask.sum()) >= 25 for name, mask in above.masks.items()} == dict.fromkeys(OBJECTS, True)
        assert sum(mask.astype(int) for mask in above.masks.values()).max() == 1


def test_the_same_numbers_give_the_same_bytes():
    one, other = (two_views(STYLES, 8, turned=33).above.image.tobytes() for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"turned": float("nan")}, "a plan turned by nan degrees"),
        ({"plan": 9}, "a plan of 9 pixels; wanted 16 to 2048"),
    ],
)
def test_what_is_no_plan_is_refused(options, said):
    with pytest.raises(SimvisError, match=said):
        two_views(STYLES, 0, **options)
