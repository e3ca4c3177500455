"""Overlays and plots."""

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import Preprocess
from simvis_core.figures import common_scale, contribution_figure, overlay

PLAIN = Preprocess(short_side=64)
PICTURE = Image.effect_noise((300, 200), 60).convert("RGB")


def pixels(image):
    return np.asarray(image).astype(int)


def test_common_scale_is_the_largest_absolute_value_of_all_maps():
    assert common_scale(torch.tensor([[0.5, -2.0]]), torch.tensor([[1.0], [0.0]])) == 2.0


def test_an_overlay_of_zeros_is_the_picture():
    shown = overlay(PLAIN.view(PICTURE), torch.zeros(2, 3), 1.0)
    assert np.array_equal(pixels(shown), pixels(PICTURE))


def test_an_overlay_has_the_pictures_size_and_mode():
    shown = overlay(PLAIN.view(PICTURE), torch.randn(2, 3), 1.0)
    assert (shown.size, shown.mode) == ((300, 200), "RGB")


def test_signs_are_reddish_and_bluish_where_they_stand():
    grey = Image.new("RGB", (300, 200), (128, 128, 128))
    shown = pixels(overlay(PLAIN.view(grey), torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]), 1.0))
    red, blue = shown[10, 10], shown[190, 290]
    assert red[0] > 128 > red[2]
    assert blue[2] > 128 > blue[0]
    assert shown[190, 10].tolist() == [128, 128, 128]


def test_colours_are_applied_after_enlarging():
    """Between a positive and a negative cell the map passes through 0, so there the picture shows through."""
    grey = Image.new("RGB", (400, 100), (90, 90, 90))
    shown = pixels(overlay(PLAIN.view(grey), torch.tensor([[1.0, 1.0, -1.0, -1.0]]), 1.0))
    assert abs(shown[50, 199:201] - 90).max() <= 5


def test_outside_a_crop_the_picture_is_untouched():
    shown = overlay(PLAIN.view(PICTURE, framing="crop"), torch.ones(2, 2), 1.0)
    assert np.array_equal(pixels(shown)[:, :62], pixels(PICTURE)[:, :62])
    assert not np.array_equal(pixels(shown)[100], pixels(PICTURE)[100])


def test_the_scale_is_taken_as_given():
    view = PLAIN.view(Image.new("RGB", (64, 64)))
    faint, strong = (pixels(overlay(view, torch.full((2, 2), 0.1), scale)) for scale in (10.0, 0.1))
    assert faint.max() < 20
    assert strong.max() > 100


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_maps_of_any_dtype_can_be_drawn(dtype):
    view = PLAIN.view(PICTURE)
    map = torch.tensor([[0.5, -1.0, 0.0], [0.25, 0.0, 1.0]])
    drawn, expected = (pixels(overlay(view, m, 1.0)) for m in (map.to(dtype), map))
    assert abs(drawn - expected).max() <= 3


# The contribution curve


def lines(figure):
    return [trace for trace in figure.data if trace.mode == "lines"]


def test_the_curve_is_the_cumulated_share_in_per_cent():
    figure = contribution_figure({"pair": (torch.tensor([0.4, 0.1, -0.1]), 0.4)})
    assert list(lines(figure)[0].x) == [1, 2, 3]
    assert list(lines(figure)[0].y) == pytest.approx([100, 125, 100], rel=1e-6)


def test_a_score_of_zero_is_shown_in_score_units():
    figure = contribution_figure({"pair": (torch.tensor([0.4, -0.4]), 0.0)})
    assert list(lines(figure)[0].y) == pytest.approx([0.4, 0.0])
    assert "score is 0" in figure.layout.yaxis.title.text


def test_the_tenth_feature_is_marked_as_in_the_paper():
    figure = contribution_figure({"pair": (torch.full((2048,), 1 / 2048), 1.0)})
    marker = next(trace for trace in figure.data if trace.mode != "lines")
    assert list(marker.x) == [10]
    assert list(marker.y) == pytest.approx([1000 / 2048], rel=1e-5)


def test_a_short_embedding_is_marked_at_its_end():
    figure = contribution_figure({"pair": (torch.tensor([0.7, 0.3]), 1.0)})
    assert list(figure.data[1].x) == [2]


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    line = lines(contribution_figure({"pair": (torch.full((5000,), 1 / 5000), 1.0)}))[0]
    assert len(line.x) <= 400
    assert (line.x[0], line.x[-1]) == (1, 5000)
    assert line.y[-1] == pytest.approx(100, rel=1e-5)


def test_each_curve_has_its_own_colour():
    figure = contribution_figure({name: (torch.tensor([0.7, 0.3]), 1.0) for name in ("one", "two", "three")})
    assert len({line.line.color for line in lines(figure)}) == 3


def test_one_feature_makes_one_point():
    assert list(lines(contribution_figure({"pair": (torch.tensor([0.9]), 0.9)}))[0].y) == pytest.approx([100])
