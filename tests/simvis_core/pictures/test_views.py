"""From pictures to views, from clicks to cells, and from cells back to the picture's own pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from simvis_core import (
    Decomposition,
    EmbeddingNetwork,
    Preprocess,
    SimvisError,
    View,
    enlarge,
    weights_at,
    weights_in,
)
from simvis_core.pictures.views import FRAMINGS, cell_at, covered
from tests import references

PLAIN = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), short_side=64, stride=32)
sides = st.integers(1, 6)


def random_map(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_cell(grid, row, column):
    map = torch.zeros(grid, dtype=torch.float64)
    map[row, column] = 1
    return map


# Law 10 and the first half of law 14: enlarge, weights_at


@given(sides, sides, st.integers(1, 13), st.integers(1, 13))
def test_enlarge_is_bilinear_between_half_pixel_centres(rows, columns, h, w):
    map = random_map(rows, columns)
    assert np.allclose(enlarge(map, (h, w)), references.bilinear(map.numpy(), (h, w)), rtol=0, atol=1e-12)


def test_enlarge_by_hand():
    """Two cells on four pixels: the outer pixels hold, the inner ones are a quarter of the way in."""
    assert enlarge(torch.tensor([[0.0, 8.0]]), (1, 4)).tolist() == [[0, 2, 6, 8]]
    assert enlarge(torch.tensor([[0.0], [8.0]]), (4, 2)).tolist() == [[0, 0], [2, 2], [6, 6], [8, 8]]


@given(sides, sides, st.integers(1, 4), st.integers(1, 4))
def test_enlarge_by_whole_factors_keeps_the_mean(rows, columns, down, across):
    map = random_map(rows, columns)
    assert enlarge(map, (rows * down, columns * across)).mean().item() == pytest.approx(map.mean().item(), abs=1e-12)


@given(sides, sides, st.integers(1, 40), st.integers(1, 40))
def test_a_constant_map_stays_constant(rows, columns, h, w):
    assert torch.allclose(enlarge(torch.full((rows, columns), -0.7), (h, w)), torch.tensor(-0.7), rtol=1e-6)


def test_enlarge_keeps_signs_and_range():
    map = random_map(4, 5)
    large = enlarge(map, (37, 23))
    assert map.min() <= large.min() < 0 < large.max() <= map.max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_enlarge_keeps_the_dtype(dtype):
    assert enlarge(torch.ones(2, 3, dtype=dtype), (5, 5)).dtype == dtype


@given(st.data(), sides, sides, st.integers(1, 13), st.integers(1, 13))
def test_weights_at_is_the_transpose_of_enlarge(data, rows, columns, h, w):
    x, y = data.draw(st.integers(0, w - 1)), data.draw(st.integers(0, h - 1))
    map = random_map(rows, columns)
    weights = weights_at(x, y, (h, w), (rows, columns))
    assert (weights * map).sum().item() == pytest.approx(enlarge(map, (h, w))[y, x].item(), abs=1e-12)


@given(st.floats(-0.5, 11.5), st.floats(-0.5, 7.5))
def test_weights_at_mixes_the_four_cells_around_a_point(x, y):
    weights = weights_at(x, y, (8, 12), (4, 3))
    expected = references.bilinear_weights((4, 3), (y + 0.5) / 2, (x + 0.5) / 4)
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)
    assert all(weights[cell].item() == pytest.approx(weight, abs=1e-12) for cell, weight in expected.items())


def test_a_points_weights_are_one_at_a_cells_centre():
    assert torch.equal(weights_at(9.5, 2.5, (6, 12), (1, 3)), torch.tensor([[0.0, 0.0, 1.0]]).double())


# weights_in


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_weights_in_is_the_share_of_each_cells_area(seed, rows, columns):
    mask = np.random.default_rng(seed).random((6, 7)) < 0.4
    ours = weights_in(torch.from_numpy(mask), (rows, columns))
    assert np.allclose(ours, references.covered_share(mask, (rows, columns)), rtol=0, atol=1e-12)


@given(sides, sides, st.integers(1, 20), st.integers(1, 20))
def test_the_whole_view_weighs_every_cell_one(rows, columns, h, w):
    weights = weights_in(torch.ones(h, w, dtype=torch.bool), (rows, columns))
    assert torch.allclose(weights, torch.ones(rows, columns).double(), rtol=0, atol=1e-12)


def test_disjoint_regions_add():
    mask = torch.from_numpy(np.random.default_rng(0).random((9, 11)) < 0.5)
    both = weights_in(mask, (4, 3)) + weights_in(~mask, (4, 3))
    assert torch.allclose(both, torch.ones(4, 3).double(), rtol=0, atol=1e-12)


def test_one_cells_pixels_are_that_cell():
    mask = torch.zeros(6, 12, dtype=torch.bool)
    mask[2:4, 8:12] = True
    assert torch.equal(weights_in(mask, (3, 3)), one_cell((3, 3), 1, 2))


# cell_at


@pytest.mark.parametrize(
    ("x", "y", "cell"),
    [(0, 0, (0, 0)), (-0.5, -0.5, (0, 0)), (11.5, 7.5, (3, 2)), (3.4, 1.4, (0, 0)), (3.6, 1.6, (1, 1))],
)
def test_cell_at_is_the_cell_under_the_pixel(x, y, cell):
    assert cell_at(x, y, (8, 12), (4, 3)) == cell


@given(st.floats(-0.5, 11.5), st.floats(-0.5, 7.5))
def test_cell_at_is_the_cell_of_the_largest_weight(x, y):
    weights = weights_at(x, y, (8, 12), (4, 3))
    assert weights[cell_at(x, y, (8, 12), (4, 3))].item() >= weights.max().item() - 1e-9


# Sizes of views: (picture width, height), framing -> (h, w) and box


SIZES = [
    ((100, 100), "whole", (64, 64), (0, 0, 100, 100)),
    ((300, 500), "whole", (96, 64), (0, 0, 300, 500)),  # 5:3 is 3.33 cells, rounded to 3
    ((500, 300), "whole", (64, 96), (0, 0, 500, 300)),
    ((1000, 200), "whole", (64, 256), (0, 0, 1000, 200)),  # 5:1 squeezed to 4:1
    ((200, 1000), "whole", (256, 64), (0, 0, 200, 1000)),
    ((5000, 1), "whole", (64, 256), (0, 0, 5000, 1)),
    ((1, 1), "whole", (64, 64), (0, 0, 1, 1)),
    ((500, 300), "square", (64, 64), (0, 0, 500, 300)),
    ((300, 200), "crop", (64, 64), (62.5, 12.5, 237.5, 187.5)),  # 7/8 of the short side, centred
    ((200, 320), "crop", (64, 64), (12.5, 72.5, 187.5, 247.5)),
]


@pytest.mark.parametrize(("picture", "framing", "size", "box"), SIZES)
def test_view_sizes_and_boxes(picture, framing, size, box):
    view = PLAIN.view(Image.new("RGB", picture), framing=framing)
    assert (view.size, view.box) == (size, box)


@given(st.integers(1, 400), st.integers(1, 400))
def test_what_a_framing_covers_is_the_views_box(width, height):
    """The whole picture, or a centred square of 7/8 of its short side."""
    image = Image.new("L", (width, height))
    for framing in FRAMINGS:
        assert covered(image, framing) == PLAIN.view(image, framing=framing).box
    assert covered(image, "whole") == covered(image, "square") == (0, 0, width, height)
    left, top, right, bottom = covered(image, "crop")
    assert right - left == pytest.approx(bottom - top)
    assert right - left == pytest.approx(min(width, height) * 7 / 8)
    assert (left + right, top + bottom) == pytest.approx((width, height))


@pytest.mark.parametrize("side", [0, -32, 33, 41 * 32])
def test_what_no_picture_can_be_seen_at_is_told_without_one(side):
    with pytest.raises(SimvisError, match=f"a short side of {side} pixels; wanted a multiple of 32 from 32 to 1280"):
        PLAIN.check(side, "whole")
    for framing in FRAMINGS:
        PLAIN.check(96, framing)
        Preprocess(fixed_size=(48, 80), stride=16).check(side, framing)


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([32, 64, 96]))
def test_every_view_is_whole_cells_and_at_most_four_to_one(width, height, short_side):
    h, w = PLAIN.view(Image.new("L", (width, height)), short_side).size
    assert h % 32 == w % 32 == 0
    assert min(h, w) == short_side
    assert max(h, w) <= 4 * short_side
    assert (h >= w) if height > width else (w >= h)


TRAINED_AT_299 = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), short_side=299, stride=32)


@pytest.mark.parametrize(
    ("picture", "short_side", "size"),
    [
        ((400, 400), None, (299, 299)),
        ((300, 200), None, (299, 459)),  # 299 x 1.5 is 448.5; five whole cells more than 299 are nearest
        ((200, 300), 299, (459, 299)),
        ((900, 100), None, (299, 1195)),  # held to 4:1, in whole cells
        ((300, 200), 224, (224, 320)),  # whole cells hold as they did
    ],
)
def test_a_networks_own_size_needs_no_whole_cells_and_longer_views_add_them(picture, short_side, size):
    assert TRAINED_AT_299.view(Image.new("L", picture), short_side).size == size


@pytest.mark.parametrize(("asked", "nearest"), [(224, 224), (290, 288), (293, 288), (294, 299), (305, 299), (311, 320)])
def test_the_own_size_is_one_more_to_round_to(asked, nearest):
    assert TRAINED_AT_299.whole_cells(asked) == nearest


def test_a_size_that_is_neither_whole_cells_nor_the_own_one_is_told_both():
    with pytest.raises(SimvisError, match="wanted a multiple of 32 from 32 to 1280, or 299: choose 299"):
        TRAINED_AT_299.check(300, "whole")


def test_an_own_size_of_too_many_cells_is_refused_like_any_other():
    with pytest.raises(SimvisError, match=r"a short side of 1310 pixels.*choose 1280"):
        Preprocess(short_side=1312, stride=32).check(1310, "whole")
    with pytest.raises(SimvisError, match="choose 1280"):
        Preprocess(short_side=1330, stride=32).check(1330, "whole")


def test_a_fixed_size_holds_for_every_framing():
    fixed = Preprocess(fixed_size=(48, 80), stride=16)
    views = [fixed.view(Image.new("RGB", (90, 40)), 224, framing) for framing in ("whole", "square", "crop")]
    assert [view.size for view in views] == [(48, 80)] * 3
    assert [view.box for view in views][:2] == [(0, 0, 90, 40)] * 2


# Pixels


def test_pixels_are_rgb_less_the_mean_over_the_deviation():
    preprocess = Preprocess(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0), short_side=32)
    pixels = preprocess.view(Image.new("RGB", (32, 32), (255, 51, 0))).pixels
    assert pixels.dtype == torch.float32
    assert torch.allclose(pixels[:, 5, 7], torch.tensor([0.9 / 0.5, 0.0, -0.3 / 2]), atol=1e-6)


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
def test_a_picture_of_the_views_size_passes_unchanged(resampling):
    array = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    view = Preprocess((0.0,) * 3, (1.0,) * 3, 64, resampling=resampling).view(Image.fromarray(array))
    assert np.array_equal((view.pixels * 255).round().permute(1, 2, 0).numpy(), array)


def test_resampling_is_the_one_asked_for():
    picture = Image.effect_noise((90, 70), 80).convert("RGB")
    views = [Preprocess(short_side=64, resampling=kind).view(picture).pixels for kind in ("bilinear", "bicubic")]
    assert not torch.equal(*views)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_any_mode_makes_a_view(mode):
    view = PLAIN.view(Image.new(mode, (40, 30)))
    assert view.pixels.shape == (3, 64, 96)
    assert view.image.mode == "RGB"


# Law 14: back to the picture


CELLS = [
    ((300, 500), "whole", (3, 2), (2, 1), (150, 1000 / 3, 300, 500)),
    ((500, 300), "whole", (2, 3), (0, 2), (1000 / 3, 0, 500, 150)),
    ((1000, 200), "whole", (2, 8), (1, 7), (875, 100, 1000, 200)),
    ((500, 300), "square", (2, 2), (1, 0), (0, 150, 250, 300)),
    ((300, 200), "crop", (2, 2), (0, 1), (150, 12.5, 237.5, 100)),
    ((200, 320), "crop", (2, 2), (1, 0), (12.5, 160, 100, 247.5)),
]
on_every_framing = pytest.mark.parametrize(("picture", "framing", "grid", "cell", "rectangle"), CELLS)


@on_every_framing
def test_a_cells_rectangle_on_the_picture(picture, framing, grid, cell, rectangle):
    view = PLAIN.view(Image.new("RGB", picture), framing=framing)
    assert view.cell_box(grid, *cell) == pytest.approx(rectangle)


@on_every_framing
def test_what_is_painted_in_a_cells_rectangle_is_seen_by_that_cell_alone(picture, framing, grid, cell, rectangle):
    left, top, right, bottom = rectangle
    image = Image.new("RGB", picture)
    image.paste((255, 255, 255), tuple(round(edge) for edge in (left, top, right, bottom)))
    network = EmbeddingNetwork(nn.AvgPool2d(32), "avg", None, PLAIN)
    seen = network.features(network.view(image, framing=framing).pixels[None])[0, 0]
    assert tuple(seen.shape) == grid
    assert torch.allclose(seen, one_cell(grid, *cell).float(), atol=0.05)


@on_every_framing
def test_a_one_cell_map_lies_on_its_rectangle(picture, framing, grid, cell, rectangle):
    """In the rectangle's inner half it is more than half; outside the rectangle it is less than half."""
    view = PLAIN.view(Image.new("RGB", picture), framing=framing)
    on_picture = view.on_original(one_cell(grid, *cell)).numpy()
    left, top, right, bottom = rectangle
    y, x = np.mgrid[: picture[1], : picture[0]] + 0.5
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    core = (abs(x - (left + right) / 2) < (right - left) / 8) & (abs(y - (top + bottom) / 2) < (bottom - top) / 8)
    assert on_picture.shape == inside.shape
    assert on_picture[core].min() > 0.5
    assert on_picture[~inside].max() <= 0.5 + 1e-9


@on_every_framing
def test_the_map_on_the_picture_is_bilinear_in_its_own_pixels(picture, framing, grid, cell, rectangle):
    view = PLAIN.view(Image.new("RGB", picture), framing=framing)
    map = random_map(*grid)
    on_picture = view.on_original(map)
    left, top, right, bottom = view.box
    rng = np.random.default_rng(0)
    for i, j in zip(rng.integers(0, picture[1], 60), rng.integers(0, picture[0], 60), strict=True):
        y, x = (i + 0.5 - top) / (bottom - top), (j + 0.5 - left) / (right - left)
        seen = 0 <= y <= 1 and 0 <= x <= 1
        expected = references.bilinear_at(map.numpy(), y * grid[0], x * grid[1]) if seen else 0
        assert on_picture[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_outside_a_crop_the_map_is_zero():
    """The box is 62.5..237.5 by 12.5..187.5; the pixels that its edges cut in half count as inside."""
    view = PLAIN.view(Image.new("RGB", (300, 200)), framing="crop")
    expected = torch.zeros(200, 300)
    expected[12:188, 62:238] = 1
    assert torch.equal(view.on_original(torch.ones(2, 2)), expected)


@pytest.mark.parametrize(("picture", "framing"), [((64, 96), "whole"), ((96, 64), "whole"), ((64, 64), "square")])
def test_at_the_views_own_size_the_way_back_is_enlarge(picture, framing):
    view = PLAIN.view(Image.new("RGB", picture), framing=framing)
    map = random_map(view.size[0] // 32, view.size[1] // 32)
    assert torch.allclose(view.on_original(map), enlarge(map, view.size), rtol=0, atol=1e-12)


def test_a_map_of_a_known_object_comes_back_to_the_object():
    """End to end: a red square on a panorama, the map of the query 'red', its strongest pixel on the square."""
    image = Image.new("RGB", (1000, 200), "white")
    image.paste((255, 0, 0), (625, 0, 750, 100))
    network = EmbeddingNetwork(nn.AvgPool2d(32), "avg", None, PLAIN)
    view = network.view(image)
    made = network.decompose(view.pixels)
    map = view.on_original(made.similarity_map(torch.tensor([1.0, -0.5, -0.5])))
    rows, columns = torch.nonzero(map > 0.6 * map.max(), as_tuple=True)
    assert rows.max() < 100
    assert columns.min() >= 625
    assert columns.max() < 750


def test_picture_shows_what_the_view_covers():
    image = Image.new("RGB", (300, 200), "red")
    image.paste((0, 0, 255), (63, 13, 237, 187))
    shown = PLAIN.view(image, framing="crop").picture()
    assert shown.width == shown.height
    assert shown.getpixel((shown.width // 2, 3)) == (0, 0, 255)


def test_picture_is_no_larger_than_asked():
    assert max(PLAIN.view(Image.new("RGB", (3000, 1500))).picture(longest=200).size) == 200


@pytest.mark.parametrize(("size", "aspect"), [((300, 100), 3), ((100, 300), 1 / 3), ((1000, 100), 4), ((1, 900), 0.25)])
def test_aspect_is_held_to_four_to_one(size, aspect):
    assert PLAIN.view(Image.new("RGB", size)).aspect == pytest.approx(aspect)


def test_view_size_is_height_then_width():
    view = View(Image.new("RGB", (7, 5)), torch.zeros(3, 10, 14), (0.0, 0.0, 7.0, 5.0))
    assert view.size == (10, 14)


def test_region_of_a_decomposition_and_enlarge_agree():
    """The mean of the enlarged map inside a rectangle of whole cells is near the map of its region query."""
    made = Decomposition(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(5))
    mask = torch.zeros(30, 40, dtype=torch.bool)
    mask[10:20] = True
    weights = weights_in(mask, made.grid)
    query = torch.ones(5)
    assert (made.region_query(weights) @ query).item() == pytest.approx(
        made.similarity_map(query)[1].sum().item(), rel=1e-5
    )
