"""Colour maps: signs apart, nothing at zero, one scale."""

import numpy as np
import pytest
from PIL import Image

from simvis_core import SimvisError
from simvis_core.files.colours import (
    DEFAULT_COLOURS,
    STOPS,
    STRONG_DOWN,
    STRONG_UP,
    check_ground,
    greyed,
    lookup_table,
    outline,
    paint,
)

every_map = pytest.mark.parametrize("name", STOPS)


def painted(*values, scale=1.0, opacity=1.0, name=DEFAULT_COLOURS):
    return paint(np.array([values], dtype=float), scale, name, opacity)[0]


@every_map
def test_the_table_runs_from_one_end_to_the_other(name):
    table = lookup_table(name)
    assert tuple(table[0]) == STOPS[name][0]
    assert tuple(table[-1]) == STOPS[name][-1]


@every_map
def test_the_middle_is_near_white_and_without_hue(name):
    middle = lookup_table(name)[127:129].astype(int)
    assert middle.min() >= 225
    assert np.ptp(middle, axis=1).max() <= 8


@every_map
def test_no_two_signs_share_a_colour(name):
    table = lookup_table(name)
    negative, positive = ({tuple(colour) for colour in part} for part in (table[:120], table[136:]))
    assert not negative & positive


def test_red_is_positive_and_blue_is_negative():
    (r, _, b, _), (red, _, blue, _) = painted(-1.0, 1.0).astype(int)
    assert b > r
    assert red > blue


@every_map
def test_zero_is_fully_transparent(name):
    assert painted(0.0, name=name)[0, 3] == 0


def test_opacity_grows_with_the_size_and_not_the_sign():
    alphas = painted(-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0)[:, 3].astype(int)
    assert alphas.tolist() == alphas.tolist()[::-1]
    assert (np.diff(alphas[3:]) > 0).all()
    assert alphas[-1] == 255


def test_opacity_is_the_most_that_is_used():
    assert painted(1.0, opacity=0.4)[0, 3] == 102


def test_the_scale_is_shared_and_not_found_anew():
    half_of_two, one_of_two = painted(1.0, 2.0, scale=2.0)
    assert tuple(half_of_two) == tuple(painted(0.5)[0])
    assert tuple(one_of_two) == tuple(painted(1.0)[0])


def test_values_beyond_the_scale_take_the_end_colours():
    low, high = painted(-9.0, 9.0)
    assert (tuple(low[:3]), tuple(high[:3])) == (STOPS[DEFAULT_COLOURS][0], STOPS[DEFAULT_COLOURS][-1])


def test_a_scale_of_zero_paints_nothing():
    assert not painted(0.0, 0.0, scale=0.0)[:, 3].any()


def test_an_unknown_colour_map_is_refused():
    with pytest.raises(SimvisError, match=r"colour map 'jet'; wanted one of blue-red, .*: choose one of these names"):
        lookup_table("jet")


@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_an_opacity_outside_the_range_is_refused(opacity):
    with pytest.raises(SimvisError, match=r"Got an opacity of .*; wanted 0 to 1: choose"):
        paint(np.ones((2, 3)), 1.0, "blue-red", opacity)


@every_map
@pytest.mark.parametrize(("sign", "strong"), [(1, STRONG_UP), (-1, STRONG_DOWN)])
def test_a_line_is_two_pixels_of_its_signs_colour_rimmed_in_white_and_black(name, sign, strong):
    line = outline(np.array([[0.0] * 6 + [2.0 * sign] * 6]), 2.0, name)[0]
    colour = (*lookup_table(name)[strong].tolist(), 255)
    black, white, clear = (0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)
    expected = [clear] * 3 + [black, white, colour, colour, white, black] + [clear] * 3
    assert list(map(tuple, line.tolist())) == expected
    upright = outline(np.array([[0.0] * 6 + [2.0 * sign] * 6]).T, 2.0, name)[:, 0]
    assert np.array_equal(upright, line)


def test_lines_run_at_a_quarter_half_and_three_quarters_of_the_scale_up_and_down():
    ramp = np.linspace(-0.99, 0.99, 240)[None]
    core = [tuple(colour) for colour in outline(ramp, 1.0, DEFAULT_COLOURS)[0, :, :3].tolist()]
    starts = [at for at in range(1, 240) if core[at] in set(strong()) and core[at - 1] != core[at]]
    assert np.allclose(ramp[0, starts], [-0.75, -0.5, -0.25, 0.25, 0.5, 0.75], atol=2 * 1.98 / 239)
    assert [core[at] for at in starts] == [strong()[1]] * 3 + [strong()[0]] * 3


def strong():
    return [tuple(lookup_table(DEFAULT_COLOURS)[at].tolist()) for at in (STRONG_UP, STRONG_DOWN)]


def test_a_larger_picture_has_wider_lines_at_the_same_places():
    small = np.repeat([0.0, 1.0], 144)[None]
    large = np.repeat([0.0, 1.0], 432)[None]
    drawn = outline(np.vstack([large] * 3), 1.0, DEFAULT_COLOURS)[1]
    assert np.array_equal(drawn[1::3], outline(small, 1.0, DEFAULT_COLOURS)[0])


@pytest.mark.parametrize(("value", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.2, 1.0), (0.0, 0.0)])
def test_a_map_without_steps_has_no_lines(value, scale):
    assert not outline(np.full((3, 5), value), scale, DEFAULT_COLOURS).any()


@every_map
@pytest.mark.parametrize("colour", [*STOPS[DEFAULT_COLOURS], (0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_a_line_stands_out_on_a_picture_of_any_colour_and_paint_does_not(name, colour):
    step = np.array([[0.0] * 6 + [1.0] * 6])
    shown = np.array([pixel[:3] for pixel in outline(step, 1.0, name)[0].astype(int) if pixel[3]])
    assert np.abs(shown.mean(1) - np.mean(colour)).max() >= 120


def test_paint_of_the_pictures_own_colour_shows_nothing():
    assert tuple(painted(1.0)[0, :3]) == STOPS[DEFAULT_COLOURS][-1]  # what `outline` and `greyed` are for


@pytest.mark.parametrize(
    ("colour", "level"), [((255, 0, 0), 76), ((0, 255, 0), 188), ((0, 0, 0), 28), ((255, 255, 255), 252)]
)
def test_a_greyed_picture_keeps_its_light_and_loses_its_colour(colour, level):
    assert greyed(Image.new("RGB", (3, 2), colour)).getpixel((2, 1)) == pytest.approx((level,) * 3, abs=1)


def test_another_ground_is_refused():
    with pytest.raises(SimvisError, match=r"ground 'blink'; wanted one of colours, grey, outline: choose one of these"):
        check_ground("blink")
