"""Drawn rooms: the same for the same numbers, known to the pixel, and told apart by nothing but their four objects."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.hotel_rooms import objects, rooms
from simvis_core.hotel_rooms.clutter import Clutter, person
from simvis_core.hotel_rooms.drawing import Face, Shape, cut, disc, draw_faces, looking, placed, rectangle, within
from simvis_core.hotel_rooms.objects import CORES, LOOKS, choice, unlike
from simvis_core.hotel_rooms.rooms import OBJECTS, STYLES, different_pair, planted_pair, room, same_pair, scene

SIZES = [(224, 320), (96, 96), (160, 96), (96, 288)]
SMALL = (96, 136)
styles_numbers = st.integers(0, STYLES - 1)
views = st.integers(0, 10**9)


def pixels(one):
    return np.asarray(one.image).astype(int)


def changed(one, other):
    return (pixels(one) != pixels(other)).any(-1)


def grown(mask, by):
    for _ in range(by):
        wide = np.pad(mask, 1)
        mask = np.any([wide[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)], 0)
    return mask


# The pictures


@given(identity=styles_numbers, view=views)
@settings(max_examples=5)
def test_equal_numbers_give_equal_bytes(identity, view):
    once = room(identity, view, SMALL)
    for cached in (objects.choice, *(getattr(objects, name) for name in OBJECTS)):
        cached.cache_clear()
    again = room(identity, view, SMALL)
    assert once.image.tobytes() == again.image.tobytes()
    assert all(np.array_equal(once.masks[name], again.masks[name]) for name in OBJECTS)


@pytest.mark.parametrize("size", [(16, 16), (16, 64), (61, 17), (224, 320), (333, 111), (96, 1100)])
def test_a_picture_has_the_size_that_was_asked_for(size):
    one = room(3, 4, size)
    assert (one.image.mode, one.image.size) == ("RGB", size[::-1])
    assert {name: (mask.shape, mask.dtype) for name, mask in one.masks.items()} == dict.fromkeys(OBJECTS, (size, bool))
    assert pixels(one).std() > 10


def test_a_room_is_224_by_320_unless_told_otherwise():
    assert room(0, 0).image.size == (320, 224)
    assert {pair.a.image.size for pair in (same_pair(0, 0), planted_pair("lamp", 0), different_pair(0))} == {(320, 224)}


def test_a_larger_picture_shows_the_same_view():
    small, large = room(8, 15, (112, 160)), room(8, 15, (224, 320))
    for name in OBJECTS:
        one, two = small.masks[name], large.masks[name][1::2, 1::2]
        assert (one & two).sum() > 0.85 * (one | two).sum()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_object_is_in_sight_and_no_pixel_is_two_objects(size):
    for number in range(40):
        one = room(37 * number % STYLES, 1000 + number, size)
        assert sum(mask.astype(int) for mask in one.masks.values()).max() == 1
        assert {name: mask.mean() >= 0.004 for name, mask in one.masks.items()} == dict.fromkeys(OBJECTS, True)


def test_a_mask_of_several_objects_is_their_union():
    one = room(5, 6, SMALL)
    assert np.array_equal(one.mask("lamp"), one.masks["lamp"])
    assert np.array_equal(one.mask("lamp", "painting"), one.masks["lamp"] | one.masks["painting"])
    assert np.array_equal(one.mask(), one.mask(*OBJECTS))
    assert one.mask().sum() == sum(mask.sum() for mask in one.masks.values())


# What follows the styles, and what the view


@given(identity=styles_numbers, other=styles_numbers, view=views, name=st.sampled_from(OBJECTS))
@settings(max_examples=20)
def test_another_style_changes_that_object_and_nothing_else(identity, other, view, name):
    one = room(identity, view, SMALL)
    two = scene({**one.styles, name: other}, view, SMALL)
    differs, own = changed(one, two), one.masks[name] | two.masks[name]
    assert not (differs & ~(one.mask() | two.mask())).any()
    # Farther off only a sliver of it that shares a pixel with another object, which has the pixel.
    assert (differs & ~grown(own, 2)).sum() <= 2
    assert differs[own].mean() > 0.3 if identity != other else not differs.any()


@given(identity=styles_numbers, other=styles_numbers, view=views)
@settings(max_examples=8)
def test_two_rooms_in_one_view_differ_in_their_objects_only(identity, other, view):
    one, two = room(identity, view, SMALL), room(other, view, SMALL)
    assert not (changed(one, two) & ~(one.mask() | two.mask())).any()


@given(identity=styles_numbers, view=st.integers(0, 10**6))
@settings(max_examples=8)
def test_another_view_of_a_room_is_quite_another_picture(identity, view):
    one, two = room(identity, view, SMALL), room(identity, view + 1, SMALL)
    assert one.styles == two.styles == dict.fromkeys(OBJECTS, identity)
    assert np.abs(pixels(one) - pixels(two)).mean() > 12
    outside = ~(one.mask() | two.mask())
    assert changed(one, two)[outside].mean() > 0.8


@pytest.mark.parametrize("name", OBJECTS)
def test_styles_below_1000_choose_differently_and_use_every_option(name):
    picks = [choice(name, style).picks for style in range(STYLES)]
    assert len(set(picks)) == STYLES
    assert [set(used) for used in zip(*picks, strict=True)] == [set(options) for options in LOOKS[name]]
    assert choice(name, STYLES * 7) not in [choice(name, style) for style in range(STYLES)]


@pytest.mark.parametrize("name", OBJECTS)
def test_styles_are_drawn_differently(name):
    view = scene(dict.fromkeys(OBJECTS, 0), 2, SMALL)
    drawn = [scene({**view.styles, name: style}, 2, SMALL) for style in range(12)]
    for one, two in combinations(drawn, 2):
        both = one.masks[name] | two.masks[name]
        assert np.abs(pixels(one) - pixels(two))[both].mean() > 3


@pytest.mark.parametrize("name", [name for name in OBJECTS if name != "bedspread"])
def test_a_core_lies_inside_every_shape_of_its_object(name):
    core = Shape(rectangle(*CORES[name]), (1, 1, 1))
    eye = looking((0.0, 0.5, 2.0), (0.0, 0.5, 0.0), 0.0)
    inside = draw_faces(placed([core], (0, 0, 0), owner=1), eye, (200, 200)).owners() == 1
    assert inside.sum() > 100
    for style in range(0, STYLES, 16):
        shapes = getattr(objects, name)(style)
        whole = draw_faces(placed(shapes, (0, 0, 0), owner=1), eye, (200, 200)).owners() == 1
        assert (inside & ~whole).sum() <= 0.02 * inside.sum()


# What stands in the way


def test_where_a_person_stands_no_object_is(monkeypatch):
    monkeypatch.setattr(rooms, "clutter", lambda *_: Clutter([], [], [], []))
    empty, camera = room(12, 10), rooms.stage_of(10, (224, 320)).camera
    somebody = person(np.random.default_rng(1), (0.7, 0.0, 2.5), 0.0)
    draws = iter([Clutter([], [], [], somebody)])
    monkeypatch.setattr(rooms, "clutter", lambda *_: next(draws))  # another draw would end the test
    peopled = room(12, 10)
    drawn = np.asarray(draw_faces(somebody, camera, (224, 320)).canvas) > 0
    parts = drawn.reshape(224, 2, 320, 2)
    inner, touched = parts.all((1, 3)), parts.any((1, 3))
    assert all((inner & empty.masks[name]).sum() > 100 for name in ("headboard", "lamp", "bedspread"))
    for name in OBJECTS:
        assert not (peopled.masks[name] & inner).any()
        assert np.array_equal(peopled.masks[name] & ~touched, empty.masks[name] & ~touched)
    assert not (changed(empty, peopled) & ~touched).any()


def test_clutter_that_hides_an_object_is_drawn_anew(monkeypatch):
    monkeypatch.setattr(rooms, "clutter", lambda *_: Clutter([], [], [], []))
    empty = room(12, 7, SMALL)
    screen = placed([Shape(rectangle(-5, -5, 5, 5), (9, 9, 9))], (0, 0, 2.4))
    draws = iter([Clutter([], [], [], screen), Clutter([], [], [], [])])
    monkeypatch.setattr(rooms, "clutter", lambda *_: next(draws))
    assert room(12, 7, SMALL).image.tobytes() == empty.image.tobytes()
    assert next(draws, None) is None


def test_there_are_fewer_things_the_longer_they_hide_an_object(monkeypatch):
    asked = []

    def hiding(_rng, _placing, _eye_x, fewer):
        asked.append(fewer)
        screen = placed([Shape(rectangle(-5, -5, 5, 5), (9, 9, 9))], (0, 0, 2.4))
        return Clutter([], [], [], screen if fewer < 4 else [])

    monkeypatch.setattr(rooms, "clutter", hiding)
    assert room(1, 1, SMALL).mask().any()
    assert asked == sorted(asked)
    assert asked[-1] == 4


def test_things_do_stand_in_the_way():
    seen = [rooms.stage_of(view, (100, 140)).clutter for view in range(30)]
    for sort in ("behind", "tables", "bed", "front"):
        filled = [bool(getattr(one, sort)) for one in seen]
        assert 5 < sum(filled) < 30


# Pairs


@pytest.mark.parametrize("shared", OBJECTS)
def test_a_planted_pair_has_just_that_object_in_common(shared):
    for seed in range(3):
        a, b, told = planted_pair(shared, seed, SMALL)
        assert told == (shared,)
        assert [name for name in OBJECTS if a.styles[name] == b.styles[name]] == [shared]
        assert all(unlike(name, a.styles[name], b.styles[name]) for name in OBJECTS if name != shared)
        assert changed(a, b).mean() > 0.8


def test_a_pair_of_one_room_and_a_pair_without_anything_in_common():
    a, b, shared = same_pair(17, 3, SMALL)
    assert shared == OBJECTS
    assert a.styles == b.styles == dict.fromkeys(OBJECTS, 17)
    assert changed(a, b).mean() > 0.8
    a, b, shared = different_pair(3, SMALL)
    assert shared == ()
    assert all(unlike(name, a.styles[name], b.styles[name]) for name in OBJECTS)


def test_pairs_of_one_seed_are_controls_of_each_other():
    none, lamp = different_pair(4, SMALL), planted_pair("lamp", 4, SMALL)
    assert none.a.image.tobytes() == lamp.a.image.tobytes()
    assert {**none.b.styles, "lamp": lamp.a.styles["lamp"]} == lamp.b.styles
    assert not (changed(none.b, lamp.b) & ~(none.b.mask() | lamp.b.mask())).any()
    assert planted_pair("lamp", 5, SMALL).a.styles != lamp.a.styles


# The drawing


def test_a_pixel_is_the_object_at_its_centre_or_any_that_has_a_part_in_it():
    eye = looking((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), 0.0)  # sees the square from -0.5 to 0.5 of the wall
    quarter = np.array([(-0.5, 0.5, 0), (-0.4, 0.5, 0), (-0.4, 0.4, 0), (-0.5, 0.4, 0)])
    faces = [Face(quarter - (0, 0.01, 0), (200, 0, 0), 1), Face(quarter * (-1, -1, 1), (0, 200, 0), 2)]
    drawing = draw_faces(faces, eye, (2, 2))
    assert drawing.owners().tolist() == [[1, 0], [0, 2]]
    picture = np.asarray(drawing.picture())
    assert picture[0, 0].tolist() == [50, 0, 0]
    assert picture[1, 1].tolist() == [0, 50, 0]


def test_what_lies_behind_the_eye_is_not_drawn():
    eye = looking((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), 0.0)
    floor = np.array([(-9.0, -0.3, -9.0), (9.0, -0.3, -9.0), (9.0, -0.3, 9.0), (-9.0, -0.3, 9.0)])
    owners = draw_faces(
        [Face(floor, (9, 9, 9), 1), Face(floor + np.array((0, 0, 20)), (9, 9, 9), 2)], eye, (40, 40)
    ).owners()
    assert not owners[:20].any()
    assert (owners[24:] == 1).all()
    assert not (owners == 2).any()


@given(st.floats(-2, 2), st.sampled_from([0, 1]), st.sampled_from([1, -1]), st.floats(0.2, 2), st.integers(3, 12))
def test_cutting_a_polygon_parts_its_area(bound, axis, keep, radius, corners):
    whole = disc(0.1, -0.2, radius, corners=corners)
    kept, rest = cut(whole, axis, bound, keep), cut(whole, axis, bound, -keep)
    assert (keep * (kept[:, axis] - bound) >= -1e-12).all()
    assert rooms._area(kept) + rooms._area(rest) == pytest.approx(rooms._area(whole))


def test_shapes_outside_a_rectangle_are_gone_and_those_inside_are_kept_as_they_are():
    inside, outside = Shape(rectangle(0.2, 0.2, 0.4, 0.4), (1, 2, 3)), Shape(rectangle(2, 2, 3, 3), (1, 2, 3))
    half = Shape(rectangle(0.5, 0.5, 1.5, 0.7), (4, 5, 6))
    one, two = within([inside, outside, half], 0, 0, 1, 1)
    assert np.array_equal(one.points, inside.points)
    assert rooms._area(two.points) == pytest.approx(0.1)
    assert two.colour == (4, 5, 6)


# Mistakes


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (lambda: room(0, 0, (15, 40)), r"Got a picture of 40 x 15 pixels; wanted 16 to 2048 on each side"),
        (lambda: room(0, 0, (40, 2049)), r"Got a picture of 2049 x 40 pixels; wanted 16 to 2048 on each side"),
        (lambda: room(-1, 0), r"Got the identity number -1; wanted 0 or more: count from 0\."),
        (lambda: room(0, -2), r"Got the view number -2; wanted 0 or more"),
        (lambda: same_pair(-3, 0), r"Got the identity number -3"),
        (lambda: same_pair(0, -3), r"Got the seed number -3"),
        (lambda: planted_pair("lamp", -4), r"Got the seed number -4"),
        (lambda: different_pair(-5), r"Got the seed number -5"),
        (lambda: planted_pair("carpet", 0), r"Got an object named 'carpet'; wanted one of headboard, lamp, painting"),
        (lambda: room(0, 0, SMALL).mask("sofa"), r"Got an object named 'sofa'; wanted one of headboard"),
        (lambda: scene({"lamp": 1, "bedspread": 2}, 0), r"Got styles without headboard and painting; wanted one for"),
        (lambda: scene(dict.fromkeys(OBJECTS, 1) | {"bag": 1}, 0), r"Got an object named 'bag'"),
        (lambda: scene(dict.fromkeys(OBJECTS, 1) | {"lamp": -1}, 0), r"Got the lamp style number -1; wanted 0 or more"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(asked, sentence):
    with pytest.raises(SimvisError, match=sentence):
        asked()
