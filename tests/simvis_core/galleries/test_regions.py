"""Regions: their pixels and weights, and what a query of them asks the store (law 11)."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from simvis_core import Decomposition, SimvisError, View, open_picture
from simvis_core.galleries.regions import Box, Brush, Point, box_on, point_on, region_weights, regions_query
from simvis_core.galleries.search import find
from simvis_core.pictures.views import weights_at, weights_in
from tests import references
from tests.simvis_core.small_galleries import biased_head, class_folders, gallery_in, indexed, network, picture

SIZE, GRID = (32, 48), (4, 6)
shares = st.floats(-0.3, 1.3)
boxes = st.builds(Box, shares, shares, st.floats(0.1, 0.8), st.floats(0.1, 0.8), st.sampled_from([1, -1]))
points = st.builds(Point, st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, -1]))
WHOLE = Box(0, 0, 1, 1)


def close(one, other, tolerance=1e-12):
    return np.allclose(np.asarray(one), np.asarray(other), rtol=0, atol=tolerance)


# Law 11 on a real gallery, through the store


@pytest.fixture(scope="module", params=["no offset", "offset"])
def asked(request, tmp_path_factory):
    """A gallery, its space, and a picture of it as the query."""
    folder = tmp_path_factory.mktemp("law11")
    under = network(head=biased_head() if request.param == "offset" else None)
    gallery = gallery_in(folder)
    indexed(gallery, class_folders(folder / "pictures", cat=9, dog=8), [under])
    seen = open_picture(folder / "pictures" / "cat" / "0.png")
    view = under.view(seen, 32)
    yield gallery.index, gallery.space(under, 32, "whole"), under.decompose(view.pixels), view.size
    gallery.index.close()


def scores(asked, query):
    index, space, own, _ = asked
    return {one.row.file: one.score for one in find(index, space, query, own.embedding, 100)}


REGIONS = {
    "box": [Box(0.1, 0.2, 0.5, 0.4)],
    "minus box": [Box(0.1, 0.2, 0.5, 0.4, -1)],
    "box and minus box": [Box(0, 0, 0.6, 1), Box(0.4, 0.3, 0.6, 0.5, -1)],
    "overlapping boxes": [Box(0, 0, 0.6, 1), Box(0.4, 0, 0.6, 1)],
    "brush": [Brush(((0.2, 0.3), (0.7, 0.8)), 0.1)],
    "points": [Point(0.3, 0.4), Point(0.9, 0.1, -1)],
    "all": [Box(0.5, 0.5, 0.5, 0.5), Brush(((0.1, 0.1),), 0.05, -1), Point(0.25, 0.75)],
}


@pytest.mark.parametrize("regions", REGIONS.values(), ids=REGIONS)
def test_the_engines_score_is_the_maps_sum_inside_the_regions(asked, regions):
    index, space, own, size = asked
    weights = region_weights(regions, size, own.grid)
    stored = {row.file: torch.from_numpy(row.embedding) for row in index.scan(space, embeddings=True)}
    found = scores(asked, regions_query(own, regions, size))
    assert found.keys() == stored.keys()
    for file, score in found.items():
        inside = math.fsum((weights.numpy() * own.similarity_map(stored[file]).numpy()).flatten())
        assert score == pytest.approx(inside, abs=2e-5)


def test_the_whole_picture_as_region_gives_the_cosine_less_the_bias_part(asked):
    index, space, own, size = asked
    whole = scores(asked, regions_query(own, [WHOLE], size))
    cosines = scores(asked, regions_query(own, [], size))
    bias = {row.file: float(own.bias @ torch.from_numpy(row.embedding)) for row in index.scan(space, embeddings=True)}
    assert whole == pytest.approx({file: cosine - bias[file] for file, cosine in cosines.items()}, abs=2e-5)
    if not own.bias.any():
        assert list(whole) == list(cosines)
        assert whole == pytest.approx(cosines, abs=2e-5)


def test_disjoint_regions_add_up_in_the_store(asked):
    own, size = asked[2:]
    left, right = Box(0, 0, 0.37, 1), Box(0.37, 0, 0.63, 1)
    parts = [scores(asked, regions_query(own, [part], size)) for part in (left, right)]
    both = scores(asked, regions_query(own, [left, right], size))
    assert both == pytest.approx({file: parts[0][file] + parts[1][file] for file in both}, abs=2e-5)
    assert both == pytest.approx(scores(asked, regions_query(own, [WHOLE], size)), abs=2e-5)


def test_a_minus_region_ranks_the_other_way_round(asked):
    own, size = asked[2:]
    plus, minus = (scores(asked, regions_query(own, [Box(0.2, 0.1, 0.5, 0.5, sign)], size)) for sign in (1, -1))
    assert minus == pytest.approx({file: -score for file, score in plus.items()}, abs=1e-6)
    assert list(minus) == list(plus)[::-1]


def test_without_regions_the_query_is_the_embedding(asked):
    own, size = asked[2:]
    assert torch.equal(regions_query(own, [], size), own.embedding)


# Weights


@given(st.lists(st.one_of(boxes, points), min_size=1, max_size=5))
def test_weights_are_the_share_of_each_cells_area_per_sign_and_one_for_each_point(regions):
    """The slow reference: pixel by pixel, a pixel counts once for each sign; points come on top."""
    size, grid = (7, 9), (3, 4)
    expected = np.zeros(grid)
    for sign in (1, -1):
        rectangles = [one for one in regions if isinstance(one, Box) and one.sign == sign]
        mask = [
            [any(inside(one, (j + 0.5) / size[1], (i + 0.5) / size[0]) for one in rectangles) for j in range(size[1])]
            for i in range(size[0])
        ]
        expected += sign * references.covered_share(np.array(mask), grid)
    for one in regions:
        if isinstance(one, Point):
            for cell, weight in references.bilinear_weights(grid, one.y * grid[0], one.x * grid[1]).items():
                expected[cell] += one.sign * weight
    if np.abs(expected).max() < 1e-9:
        return
    assert close(region_weights(regions, size, grid), expected, 1e-9)


def inside(box, x, y):
    return box.x <= x < box.x + box.width and box.y <= y < box.y + box.height


def test_a_box_of_cells_by_hand():
    """Half of 4 x 6 cells' width from the second row: cells (1..3, 0..2), the last row covered by half."""
    weights = region_weights([Box(0, 0.25, 0.5, 0.625)], SIZE, GRID)
    expected = torch.zeros(GRID, dtype=torch.float64)
    expected[1:3, :3], expected[3, :3] = 1, 0.5
    assert torch.equal(weights, expected)


def test_overlapping_regions_of_one_sign_count_once():
    once = region_weights([Box(0, 0, 0.6, 1), Box(0.3, 0, 0.7, 1), Brush(((0.5, 0.5),), 0.1)], SIZE, GRID)
    assert torch.equal(once, torch.ones(GRID, dtype=torch.float64))


def test_a_minus_region_takes_away_where_both_lie():
    weights = region_weights([WHOLE, Box(0.5, 0, 0.5, 1, -1), Box(0.5, 0, 0.5, 0.5, -1)], SIZE, GRID)
    assert torch.equal(weights[:, :3], torch.ones(4, 3, dtype=torch.float64))
    assert not weights[:, 3:].any()


def test_points_add_to_each_other_and_to_boxes():
    weights = region_weights([WHOLE, Point(0.5, 0.5), Point(0.5, 0.5), Point(0, 1, -1)], SIZE, GRID)
    assert weights.sum().item() == pytest.approx(24 + 2 - 1)
    assert weights[3, 0].item() == pytest.approx(0)
    assert weights[1, 2].item() == pytest.approx(1 + 2 / 4)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_boxes_side_by_side_share_out_every_pixel(across, down):
    quarters = [
        Box(x, y, width, height)
        for x, width in ((0.0, across), (across, 1 - across))
        for y, height in ((0.0, down), (down, 1 - down))
    ]
    assert torch.equal(sum(one.mask(SIZE).int() for one in quarters), torch.ones(SIZE, dtype=torch.int))


# Masks


@given(boxes)
def test_a_box_holds_the_pixels_whose_centres_lie_inside(box):
    mask = box.mask((7, 11))
    expected = [[inside(box, (j + 0.5) / 11, (i + 0.5) / 7) for j in range(11)] for i in range(7)]
    assert mask.tolist() == expected


@example([(0.0, 0.0), (0.0, 2.2250738585072014e-308)], 0.25)
@given(st.lists(st.tuples(st.floats(-0.1, 1.1), st.floats(-0.1, 1.1)), min_size=1, max_size=4), st.floats(0.03, 0.3))
def test_a_stroke_holds_the_pixels_within_its_radius(points, radius):
    """Up to two pixels, as a line is drawn."""
    height, width = 24, 36
    mask = Brush(tuple(points), radius).mask((height, width))
    path = [(x * width, y * height) for x, y in points]
    for i in range(height):
        for j in range(width):
            away = distance_to_path(j + 0.5, i + 0.5, path)
            if abs(away - radius * width) > 1.8:
                assert mask[i, j].item() == (away < radius * width), (i, j, away)


def distance_to_path(x, y, path):
    best = min(math.dist((x, y), point) for point in path)
    for (x0, y0), (x1, y1) in pairwise(path):
        length = math.dist((x0, y0), (x1, y1))
        if length > 0:
            across, down = (x1 - x0) / length, (y1 - y0) / length  # its square may be no number above 0
            along = min(max(((x - x0) * across + (y - y0) * down) / length, 0), 1)
            best = min(best, math.dist((x, y), (x0 + along * (x1 - x0), y0 + along * (y1 - y0))))
    return best


def test_the_thinnest_stroke_still_marks_its_pixels():
    mask = Brush(((0.25, 0.5), (0.75, 0.5)), 0.0).mask((20, 40))
    assert mask[9:11, 10:30].any(0).all()
    assert not mask[:8].any()
    assert not mask[12:].any()


# From the picture's own pixels


def view_of(size, framing="whole"):
    return network().view(Image.new("RGB", size), 32, framing)


@pytest.mark.parametrize("framing", ["whole", "square", "crop"])
@pytest.mark.parametrize("size", [(40, 28), (28, 44), (200, 20)], ids=str)
def test_a_box_in_pixels_covers_its_own_pixels(size, framing):
    """The picture's pixel centres inside the rectangle are those inside the box."""
    view = view_of(size, framing)
    left, top, right, bottom = view.box
    x, y, width, height = size[0] * 0.4, size[1] * 0.4, size[0] * 0.2, size[1] * 0.25
    box = box_on(view, x, y, width, height, -1)
    assert box.sign == -1
    for j in range(size[0]):
        for i in range(size[1]):
            at = (j + 0.5 - left) / (right - left), (i + 0.5 - top) / (bottom - top)
            assert inside(box, *at) == (x <= j + 0.5 < x + width and y <= i + 0.5 < y + height)


def test_a_box_over_the_whole_picture_is_the_whole_view():
    assert box_on(view_of((40, 28)), 0, 0, 40, 28) == WHOLE
    wider = region_weights([box_on(view_of((40, 28), "crop"), -5, 0, 50, 28)], (32, 32), (4, 4))
    assert torch.equal(wider, torch.ones(4, 4, dtype=torch.float64))


@pytest.mark.parametrize("framing", ["whole", "square", "crop"])
def test_a_point_in_pixels_lies_on_its_cell(framing):
    """White in one pixel of the picture: the point there weighs the cell that sees it most."""
    image = Image.new("RGB", (60, 42))
    image.paste((255, 255, 255), (36, 12, 39, 15))
    view = network().view(image, 32, framing)
    point = point_on(view, 37, 13)
    weights = region_weights([point], view.size, (view.size[0] // 8, view.size[1] // 8))
    seen = torch.nn.functional.avg_pool2d(view.pixels[:1], 8)[0]
    assert weights.argmax() == seen.argmax()


def test_a_point_in_pixels_is_weighed_as_a_click_on_the_view():
    view = View(picture(1, (48, 32)), torch.zeros(3, 32, 48), (0.0, 0.0, 48.0, 32.0))
    for x, y in ((0, 0), (47, 31), (-0.5, 31.5), (12.25, 8)):
        weights = region_weights([point_on(view, x, y)], SIZE, GRID)
        assert close(weights, weights_at(x, y, SIZE, GRID), 1e-9)


@given(st.data())
def test_regions_of_a_decomposition_are_linear_in_its_cells(data):
    regions = data.draw(st.lists(boxes, min_size=1, max_size=3))
    cells = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own = Decomposition(cells, torch.ones(5, dtype=torch.float64))
    try:
        query = regions_query(own, regions, SIZE)
    except SimvisError:
        return
    weights = region_weights(regions, SIZE, GRID)
    expected = sum(weights[cell] * cells[cell] for cell in references.cells_of(np.zeros((1, *GRID))))
    assert close(query, expected)


def test_the_weights_of_a_mask_are_those_of_its_box():
    box = Box(0.1, 0.2, 0.33, 0.47)
    assert torch.equal(region_weights([box], SIZE, GRID), weights_in(box.mask(SIZE), GRID))


# What is refused


NOTHING = (
    "Got regions that leave no part of the view .*; wanted one that covers some: draw it over the picture, or larger"
)


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [Box(1.2, 0, 0.5, 1)],
        [Box(0.5, 0.5, 0, 0)],
        [Box(0.501, 0.501, 0.001, 0.001)],
        [Box(0.6, 0.5, -0.3, 0.2)],
        [Brush((), 0.1)],
        [Brush(((3.0, 3.0),), 0.1)],
        [WHOLE, Box(0, 0, 1, 1, -1)],
        [Point(0.3, 0.3), Point(0.3, 0.3, -1)],
    ],
    ids=str,
)
def test_regions_that_leave_nothing_are_refused(regions):
    with pytest.raises(SimvisError, match=NOTHING):
        region_weights(regions, SIZE, GRID)


def test_a_point_outside_is_refused():
    with pytest.raises(SimvisError, match="the point"):
        region_weights([Point(1.1, 0.5)], SIZE, GRID)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (0, 0, math.nan, 5), (math.inf, 0, 5, 5)], ids=str)
def test_an_empty_box_in_pixels_is_refused(box):
    with pytest.raises(SimvisError, match=r"Got a box of .* pixels; wanted a width and a height above 0: give x y"):
        box_on(view_of((40, 28)), *box)


@pytest.mark.parametrize("box", [(40, 0, 5, 5), (-5, 0, 5, 5), (0, 28, 5, 5), (0, -9, 5, 9)], ids=str)
def test_a_box_beside_the_picture_is_refused(box):
    with pytest.raises(
        SimvisError, match=r"outside what the network sees; wanted one that meets \(0, 0\) to \(40, 28\)"
    ):
        box_on(view_of((40, 28)), *box)


def test_a_box_that_a_crop_leaves_out_is_refused():
    with pytest.raises(SimvisError, match="outside what the network sees"):
        box_on(view_of((40, 28), "crop"), 0, 0, 6, 28)


@pytest.mark.parametrize("point", [(40, 5), (-1, 5), (5, 28), (5, math.nan)], ids=str)
def test_a_point_beside_the_picture_is_refused(point):
    with pytest.raises(SimvisError, match=r"outside what the network sees; wanted one from \(0, 0\) to \(39, 27\)"):
        point_on(view_of((40, 28)), *point)
