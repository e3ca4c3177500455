"""Overlays and plots."""

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import Preprocess
from simvis_core.files.colours import GROUNDS
from simvis_core.galleries.curves import mean_curve
from simvis_core.galleries.figures import mean_curve_figure, score_figure
from simvis_core.pairs.figures import contribution_figure
from simvis_core.pictures.overlays import common_scale, overlay

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


def test_a_red_map_shows_on_a_red_picture_that_is_greyed_or_outlined():
    """In colours it moves no pixel by more than 35 of 255 there."""
    view = PLAIN.view(Image.new("RGB", (300, 200), (225, 40, 20)))
    maps = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), torch.zeros(2, 3)
    moved = {}
    for ground in GROUNDS:
        drawn, bare = (pixels(overlay(view, map, 1.0, ground=ground)) for map in maps)
        moved[ground] = np.abs(drawn - bare).max()
    assert moved["colours"] <= 35
    assert moved["grey"] >= 80
    assert moved["outline"] >= 200


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


# A matrix of scores


SCORES = torch.tensor([[1.0, 0.123456, float("nan")], [0.123456, -0.5, 0.0], [float("nan"), 0.0, 0.25]])


def test_a_matrix_shows_every_score_where_it_stands_and_leaves_out_what_is_none():
    (cells,) = score_figure(SCORES, ["a", "b", "c"]).data
    assert [list(line) for line in cells.z] == [[1, 0.1235, None], [0.1235, -0.5, 0], [None, 0, 0.25]]
    assert cells.text[0][1] == "a<br>b"
    assert cells.text[2][0] == "c<br>a"


def test_a_matrix_has_its_names_along_both_sides_from_the_top():
    """Equal names keep a place each: on an axis of names they would share one."""
    figure = score_figure(SCORES, ["a", "a", "a name that is much longer than a tick"])
    (cells,) = figure.data
    assert list(cells.x) == list(cells.y) == ["a", "a (2)", "a name that is mu\N{HORIZONTAL ELLIPSIS}"]
    assert cells.text[0][1] == "a<br>a"
    assert figure.layout.yaxis.autorange == "reversed"


def test_of_many_names_plotly_shows_as_many_as_there_is_room_for():
    """An axis of names without ticks of its own is thinned to its length; numbers in names are no numbers."""
    figure = score_figure(torch.zeros(99, 99), [str(at) for at in range(99)])
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert axis.type == "category"
        assert axis.tickvals is None
        assert axis.showticklabels is None
    assert figure.data[0].text[3][1] == "3<br>1"


HOSTILE = ["<b>bold</b>", "%{z}", "<a href='javascript:1'>x</a>", "&lt;", "<br>" * 9, 'a "quoted" name']


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_figures_are_no_markup(name):
    matrix = score_figure(torch.zeros(1, 1), [name])
    curve = mean_curve_figure({name: mean_curve(torch.ones(1, 3) / 3**0.5, torch.ones(1, 3) / 3**0.5)})
    drawn = curve.data[2]
    for text in (matrix.data[0].text[0][0], matrix.data[0].x[0], drawn.name, drawn.hovertemplate):
        told = text.replace("<br>", "", 1).replace("<extra>", "").replace("</extra>", "")
        assert "<" not in told
        assert "&quot;" not in told  # plotly shows it as it stands
        assert "%{z}" not in told


# Mean curves


def unit(seed, number=20, width=64):
    drawn = torch.randn(number, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 1
    return drawn / drawn.norm(dim=1, keepdim=True)


def test_a_mean_curve_is_drawn_in_per_cent_with_its_spread():
    curve = mean_curve(unit(1), unit(2))
    low, high, mean = mean_curve_figure({"cats": curve}).data
    for trace, values in ((low, curve.low), (high, curve.high), (mean, curve.mean)):
        assert list(trace.x) == curve.counts.tolist()
        assert list(trace.y) == pytest.approx((100 * values).tolist())
    assert mean.y[-1] == pytest.approx(100)
    assert high.fill == "tonexty"
    assert (low.fill, mean.fill) == (None, None)
    assert (low.showlegend, high.showlegend, mean.showlegend) == (False, False, None)


def test_a_mean_curve_names_what_the_ten_strongest_carry():
    curve = mean_curve(unit(1), unit(2))
    assert mean_curve_figure({"cats": curve}).data[2].name == (
        f"cats: top 10 carry {100 * curve.mean[9]:.1f} % (20 pairs)"
    )
    assert "top 3 carry" in mean_curve_figure({"cats": curve}, marked=3).data[2].name


def test_each_mean_curve_has_its_colour_and_its_band_the_same():
    curves = {name: mean_curve(unit(seed), unit(seed + 1)) for seed, name in enumerate(("one", "two", "three"))}
    traces = mean_curve_figure(curves).data
    assert len(traces) == 9
    colours = [trace.line.color for trace in traces[2::3]]
    assert len(set(colours)) == 3
    for at, colour in enumerate(colours):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert traces[3 * at + 1].fillcolor.startswith(f"rgba({red},{green},{blue},")
        assert {trace.legendgroup for trace in traces[3 * at : 3 * at + 3]} == {list(curves)[at]}
