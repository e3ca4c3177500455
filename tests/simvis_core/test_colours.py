"""Colour maps: signs apart, nothing at zero, one scale."""

import numpy as np
import pytest

from simvis_core import SimvisError
from simvis_core.colours import DEFAULT, STOPS, lookup_table, paint

every_map = pytest.mark.parametrize("name", STOPS)


def painted(*values, scale=1.0, opacity=1.0, name=DEFAULT):
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
    assert (tuple(low[:3]), tuple(high[:3])) == (STOPS[DEFAULT][0], STOPS[DEFAULT][-1])


def test_a_scale_of_zero_paints_nothing():
    assert not painted(0.0, 0.0, scale=0.0)[:, 3].any()


def test_an_unknown_colour_map_is_refused():
    with pytest.raises(SimvisError, match=r"colour map 'jet'; wanted one of blue-red, .*: choose one of these names"):
        lookup_table("jet")


@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_an_opacity_outside_the_range_is_refused(opacity):
    with pytest.raises(SimvisError, match=r"Got an opacity of .*; wanted 0 to 1: choose"):
        paint(np.ones((2, 3)), 1.0, "blue-red", opacity)
