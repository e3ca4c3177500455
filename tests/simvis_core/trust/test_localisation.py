"""Where maps fall: known regions by hand, warps that are undone, and points that are found again."""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.explainers.masked import sliding_window
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import drawing
from simvis_core.hotel_rooms.rooms import OBJECTS, planted_pair
from simvis_core.trust.faithfulness import interval
from simvis_core.trust.localisation import GREY, Warp, localisation, transfer
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.cases import BLACK_BOXES

# Regions


def region(size, top, left, bottom, right):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def test_by_hand():
    """Six pixels, two marked: 3 of 3 + 1 + 2 lie inside, the peak does, and so does one of the strongest two."""
    map = torch.tensor([[3.0, 1.0, -4.0], [2.0, -1.0, 0.0]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    found = localisation(map, mask)
    assert found.inside == pytest.approx(3 / 6)
    assert found.pointing == 1
    assert found.iou == pytest.approx(1 / 3)
    assert found.area == pytest.approx(2 / 6)
    turned = localisation(-map, mask)
    assert turned.inside == pytest.approx(4 / 5)
    assert turned.pointing == 1
    assert turned.iou == pytest.approx(1 / 3)
    other = localisation(map, ~mask)
    assert (other.inside, other.pointing, other.iou) == (pytest.approx(3 / 6), 0, pytest.approx(3 / 5))


@pytest.mark.parametrize("size", [(16, 24), (24, 16)], ids=str)
def test_a_map_that_is_the_region_is_right_everywhere(size):
    mask = region(size, 3, 5, 9, 14)
    found = localisation(mask.float(), mask)
    assert found == (1, 1, 1, pytest.approx(float(mask.double().mean())))
    wrong = localisation((~mask).float(), mask)
    assert wrong[:3] == (0, 0, 0)


@pytest.mark.parametrize("size", [(16, 24), (24, 16), (48, 33)], ids=str)
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (7, 7)], ids=str)
def test_an_even_map_has_as_much_inside_as_the_region_is_large(size, grid):
    mask = region(size, 3, 5, 9, 14)
    found = localisation(torch.full(grid, 1 / 3, dtype=torch.float64), mask)
    assert found.inside == pytest.approx(found.area)
    assert found.area == pytest.approx(6 * 9 / (size[0] * size[1]))
    drawn = [localisation(torch.full(grid, 1 / 3, dtype=torch.float64), mask, seed) for seed in range(200)]
    assert abs(np.mean([one.pointing for one in drawn]) - found.area) < 0.08  # its peak is anywhere
    share = found.area / (2 - found.area)  # of two random sets of one size
    assert abs(np.mean([one.iou for one in drawn]) - share) < 0.02
    assert drawn[3] == localisation(torch.full(grid, 1 / 3, dtype=torch.float64), mask, 3)


@pytest.mark.parametrize("map", [-torch.rand(4, 6) - 0.1, torch.zeros(4, 6)], ids=["negative", "zero"])
def test_a_map_without_a_positive_part_has_no_share_inside(map):
    found = localisation(map, region((16, 24), 0, 0, 4, 4))
    assert found.inside is None
    assert 0 <= found.iou <= 1


@pytest.mark.parametrize("size", [(8, 12), (12, 8)], ids=str)
@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (8, 8)], ids=str)
def test_against_a_loop_over_pixels(size, grid):
    map = torch.randn(grid, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mask = torch.rand(size, generator=torch.Generator().manual_seed(4)) < 0.3
    large = references.bilinear(map.numpy(), size)
    places = list(np.ndindex(*size))
    positive = {place: max(large[place], 0) for place in places}
    inside = math.fsum(positive[place] for place in places if mask[place]) / math.fsum(positive.values())
    found = localisation(map, mask)
    assert found.inside == pytest.approx(inside, abs=1e-12)
    assert found.area == pytest.approx(int(mask.sum()) / len(places))
    wanted = sorted(places, key=lambda place: -large[place])[: int(mask.sum())]
    weakest = large[wanted[-1]]
    # Pixels beyond the outermost cells' centres tie: they go in or out by lot.
    sure = sum(bool(mask[p]) for p in places if large[p] > weakest + 1e-9)
    open_ = [bool(mask[p]) for p in places if abs(large[p] - weakest) <= 1e-9]
    taken = len(wanted) - sum(large[p] > weakest + 1e-9 for p in places)
    least, most = sure + max(0, taken - open_.count(False)), sure + min(taken, open_.count(True))
    overlap = round(found.iou * 2 * len(wanted) / (1 + found.iou))
    assert least <= overlap <= most
    assert found.iou == pytest.approx(overlap / (2 * len(wanted) - overlap))


@pytest.mark.parametrize("marked", [True, False])
def test_a_region_of_nothing_or_everything_is_refused(marked):
    match = "Got a region of nothing or of everything; wanted a part of the view: mark one"
    with pytest.raises(SimvisError, match=match):
        localisation(torch.ones(2, 3), torch.full((4, 6), marked))


def test_a_map_with_nan_is_refused():
    with pytest.raises(SimvisError, match="Got a map with NaN or infinity"):
        localisation(torch.full((2, 3), math.nan), region((4, 6), 0, 0, 2, 2))


# Warps

fractions = st.floats(0, 1)
warps = st.builds(Warp, st.floats(0.3, 4), st.floats(-720, 720), st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
aspects = st.floats(0.25, 4)


@given(warps, fractions, fractions, aspects)
def test_source_and_target_undo_each_other(warp, x, y, aspect):
    assert warp.target(*warp.source(x, y, aspect), aspect) == pytest.approx((x, y), abs=1e-9)
    assert warp.source(*warp.target(x, y, aspect), aspect) == pytest.approx((x, y), abs=1e-9)


@given(warps, fractions, fractions, fractions, fractions, aspects)
def test_a_warp_keeps_angles_and_stretches_evenly(warp, x, y, other_x, other_y, aspect):
    """Measured in pixels, not in fractions: a circle stays a circle on a picture that is not square."""
    length = lambda one, other: math.hypot((one[0] - other[0]) * aspect, one[1] - other[1])
    before = length((x, y), (other_x, other_y))
    after = length(warp.target(x, y, aspect), warp.target(other_x, other_y, aspect))
    assert after == pytest.approx(before * warp.scale, abs=1e-9)


def dot(size, at, side=9):
    """A black picture with one white square; ``at`` are fractions."""
    values = np.zeros((*size, 3), np.uint8)
    row, column = round(at[1] * size[0] - 0.5), round(at[0] * size[1] - 0.5)
    half = side // 2
    values[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1] = 255
    return Image.fromarray(values), ((column + 0.5) / size[1], (row + 0.5) / size[0])


def found_dot(image):
    """The white pixels' centre, in fractions; the surroundings are grey and black."""
    light = np.asarray(image).astype(float)[:, :, 2]
    light = np.where(light > 170, light, 0)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    total = light.sum()
    height, width = light.shape
    return ((columns * light).sum() / total + 0.5) / width, ((rows * light).sum() / total + 0.5) / height


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (100, 100)], ids=str)
@pytest.mark.parametrize("at", [(0.3, 0.4), (0.62, 0.55)], ids=str)
@pytest.mark.parametrize(
    "warp",
    [
        Warp(),
        Warp(scale=1.5),
        Warp(scale=0.7),
        Warp(degrees=25),
        Warp(degrees=-70),
        Warp(degrees=90),
        Warp(shift=(0.12, -0.08)),
        Warp(scale=1.3, degrees=15, shift=(-0.05, 0.1)),
    ],
    ids=str,
)
def test_a_white_dot_is_where_target_says(size, at, warp):
    image, centre = dot(size, at)
    x, y = warp.target(*centre, size[1] / size[0])
    assert 0.1 < x < 0.9
    assert 0.1 < y < 0.9
    assert found_dot(warp.applied(image)) == pytest.approx((x, y), abs=0.6 / min(size))


@given(warps, st.tuples(st.floats(0.2, 0.8), st.floats(0.2, 0.8)), st.sampled_from([(90, 160), (160, 90)]))
def test_any_white_dot_is_where_target_says(warp, at, size):
    image, centre = dot(size, at, 17)
    aspect = size[1] / size[0]
    x, y = warp.target(*centre, aspect)
    reach = 9 * warp.scale * 1.5
    assume(reach / size[1] < x < 1 - reach / size[1])
    assume(reach / size[0] < y < 1 - reach / size[0])
    assert found_dot(warp.applied(image)) == pytest.approx((x, y), abs=(0.7 + 0.3 * warp.scale) / min(size))


@pytest.mark.parametrize("size", [(40, 25), (20, 33), (16, 16)], ids=str)
def test_no_warp_leaves_the_picture(size):
    image = Image.effect_noise(size, 90).convert("RGB")
    assert Warp().applied(image).tobytes() == image.tobytes()
    assert Warp().source(0.3, 0.7, 1.6) == pytest.approx((0.3, 0.7))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turns_of_a_square_are_pillows(quarters):
    """Counter-clockwise, to the pixel."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8))
    assert np.array_equal(np.asarray(Warp(degrees=90 * quarters).applied(image)), np.rot90(np.asarray(image), quarters))


def test_a_turn_of_any_picture_is_pillows():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 44, 3), dtype=np.uint8))
    pillows = image.rotate(20, Image.Resampling.BICUBIC, fillcolor=GREY)
    apart = np.abs(np.asarray(Warp(degrees=20).applied(image)).astype(int) - np.asarray(pillows).astype(int))
    assert apart.max() <= 2


def test_zooming_is_cropping():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 44, 3), dtype=np.uint8))
    crop = image.resize(image.size, Image.Resampling.BICUBIC, box=(11, 7.5, 33, 22.5))
    apart = np.abs(np.asarray(Warp(scale=2).applied(image)).astype(int) - np.asarray(crop).astype(int))
    assert np.median(apart) < 12  # another bicubic kernel


def test_beyond_the_edges_it_is_grey():
    warped = Warp(scale=0.5).applied(Image.new("RGB", (40, 20), "white"))
    assert warped.size == (40, 20)
    assert {warped.getpixel(at) for at in ((0, 0), (39, 19), (2, 10))} == {GREY}
    assert warped.getpixel((20, 10)) == (255, 255, 255)


def test_pictures_of_other_kinds_are_warped_as_the_network_sees_them():
    """A clear picture lies on white, and one that its EXIF tag turns is turned first."""
    clear = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    assert Warp().applied(clear).getpixel((5, 5)) == (255, 255, 255)
    turned = Image.fromarray(np.random.default_rng(0).integers(0, 255, (10, 20, 3), dtype=np.uint8))
    turned.getexif()[0x0112] = 6
    assert Warp().applied(turned).size == (10, 20)
    assert np.array_equal(np.asarray(Warp().applied(turned)), np.rot90(np.asarray(turned), -1))


# Points found again


class Hues(nn.Module):
    """Each cell's mean colour as a unit vector of soft codes: cells of unlike colours are nearly orthogonal."""

    def __init__(self, cell=8):
        super().__init__()
        self.cell = cell
        steps = torch.linspace(0, 1, 5)
        self.codes = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).flatten(0, 2)

    def forward(self, pixels):
        mean, std = (torch.tensor(v)[:, None, None] for v in (drawings.SMALL.mean, drawings.SMALL.std))
        cells = nn.functional.avg_pool2d(pixels.float() * std + mean, self.cell)
        apart = (cells[:, None] - self.codes[:, :, None, None]).square().sum(2)
        return nn.functional.normalize(torch.exp(-40 * apart), dim=1)


def finder(side=48):
    preprocess = Preprocess(drawings.SMALL.mean, drawings.SMALL.std, short_side=side, stride=8)
    return EmbeddingNetwork(Hues(), "avg", None, preprocess, name="hues")


def gradient(size):
    """A picture of which no two places have one colour: red across, green down, and nowhere the grey of the edges."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    colours = [255 * (columns + 0.5) / size[1], 255 * (rows + 0.5) / size[0], np.full(size, 255)]
    return Image.fromarray(np.stack(colours, -1).astype(np.uint8))


sizes = pytest.mark.parametrize("size", [(48, 72), (72, 48), (64, 64)], ids=str)


@sizes
def test_without_a_warp_every_point_is_found(size):
    found = transfer(finder(min(size)), gradient(size), Warp())
    assert found.points == 64
    assert found.within == (1, 1)
    for chance in (found.random, found.centre):
        assert chance[0] < chance[1] < 0.7


@sizes
@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_turned_picture_is_found_again(size, degrees):
    found = transfer(finder(min(size)), gradient(size), Warp(degrees=degrees))
    assert found.within == pytest.approx((1, 1), abs=0.08)
    assert found.within[0] > found.random[0] + 0.5
    assert found.within[0] > found.centre[0] + 0.5


@sizes
@pytest.mark.parametrize("warp", [Warp(1.5), Warp(1.5, shift=(0.15, -0.1)), Warp(1, shift=(0.25, 0.25))], ids=str)
def test_a_part_of_a_picture_is_found_again(size, warp):
    found = transfer(finder(min(size)), gradient(size), warp)
    assert found.points < 64
    assert found.within[0] > 0.9
    assert found.within[0] > max(found.random[0], found.centre[0]) + 0.4


def test_a_network_that_sees_no_places_finds_none():
    class Plain(nn.Module):
        def forward(self, pixels):
            return torch.ones(len(pixels), 2, pixels.shape[2] // 8, pixels.shape[3] // 8)

    preprocess = Preprocess(short_side=48, stride=8)
    found = transfer(EmbeddingNetwork(Plain(), "avg", None, preprocess), gradient((48, 72)), Warp())
    assert found.within[0] < 0.2


def test_a_turned_tag_is_followed():
    image = gradient((48, 72))
    turned = Image.fromarray(np.rot90(np.asarray(image)).copy())
    turned.getexif()[0x0112] = 6  # to be turned clockwise
    warp = Warp(1.4, shift=(0.2, 0.05))
    assert transfer(finder(), turned, warp) == transfer(finder(), image, warp)


def test_transfer_by_hand():
    """Two cells side by side and a warp that moves everything by half the picture."""

    class Halves(nn.Module):
        def forward(self, pixels):
            return torch.cat([nn.functional.avg_pool2d(pixels, 8), torch.ones(len(pixels), 1, 1, 2)], 1)

    preprocess = Preprocess((0.5,) * 3, (0.5,) * 3, short_side=8, stride=8)
    image = Image.new("RGB", (16, 8), "black")
    image.paste((255, 255, 255), (8, 0, 16, 8))
    made = EmbeddingNetwork(Halves(), "avg", None, preprocess)
    found = transfer(made, image, Warp(shift=(0.5, 0.0)), points_a_side=2)
    # The right half's two points, at 3/4, are seen at 1/4: in the left cell's middle column.
    assert found.points == 2
    assert found.within == (1, 1)
    # y is 1/4 or 3/4 of one cell: a quarter of a cell off; the other cell is one cell across.
    assert found.random == (1, 1)
    assert found.centre == (1, 1)


def test_chance_is_counted_over_every_cell():
    """6 x 9 cells. Of the point in the middle of the picture 2 x 3 cells' centres are within 1 cell, 4 x 5 in 2."""
    found = transfer(finder(), gradient((48, 72)), Warp(), points_a_side=1)
    assert found.points == 1
    assert found.random == pytest.approx((2 * 3 / 54, 4 * 5 / 54))
    assert found.centre == (1, 1)


def test_distances_are_the_larger_of_rows_and_columns():
    """The lattice of 6 x 9 points is that of the cells: the middle is within 1 cell of those a cell away, edges in."""
    network, image = finder(), gradient((48, 72))
    found = transfer(network, image, Warp(), points_a_side=3)
    # Points at 1/6, 1/2, 5/6: in rows 1, 3, 5 of 6 and columns 1.5, 4.5, 7.5 of 9; the middle is (3, 4.5).
    assert found.centre == pytest.approx((1 / 9, 3 / 9))


def test_black_boxes_and_warps_to_nowhere_are_refused():
    network = EmbeddingNetwork(Hues(), "avg", BLACK_BOXES["normalise"](0), finder().preprocess)
    with pytest.raises(SimvisError, match="no sum over cells"):
        transfer(network, gradient((48, 72)), Warp())
    match = "Got a warp that leaves no point of the picture in view; wanted some overlap: shift or zoom less"
    with pytest.raises(SimvisError, match=match):
        transfer(finder(), gradient((48, 72)), Warp(shift=(2.0, 0.0)))


# Planted evidence: rooms in which nothing but one object counts, and a network whose shares are known by hand

ROOM, CELL = (112, 160), 8
ROOMS = Preprocess((0.05, 0.05, 0.05), (0.25, 0.25, 0.25), short_side=112, stride=CELL)


class BlockMeans(nn.Module):
    """The mean colour of each cell, and a 1, which keeps a picture of nothing from having no direction."""

    def forward(self, pixels):
        means = nn.functional.avg_pool2d(pixels.double(), CELL)
        return torch.cat([means, torch.ones_like(means[:, :1])], 1)


@dataclass(frozen=True)
class Plant:
    """A question about colours only, whose view is the mean colour outside ``mask``."""

    question: Question
    mask: torch.Tensor


@cache
def planted(shared, seed):
    """The pair of a seed, all but what it shares painted over with the mean colour."""
    pair = planted_pair(shared, seed, ROOM)
    network = EmbeddingNetwork(BlockMeans(), "avg", None, ROOMS, name="block means")
    views = []
    for room in (pair.a, pair.b):
        shown = network.view(room.image)
        assert shown.size == ROOM
        mask = torch.from_numpy(room.mask(*pair.shared))
        views.append((replace(shown, pixels=shown.pixels * mask), mask))
    query = network.embed(views[1][0].pixels[None])[0].clone()
    query[3] = 0  # colours are asked for, the 1 is not
    return Plant(Question(network, views[0][0], query, None, views[1][0]), views[0][1])


def drawn_map(explainer, plant, seed=0):
    return drawings.drawn(drawing, explainer, plant.question, seed=seed).map


def decomposed(plant):
    return drawn_map("decomposition", plant)


def loop_shares(plant):
    """Each cell's mean colour times the query, over the number of cells and the length of the mean of all."""
    pixels, query = plant.question.view.pixels.double().numpy(), plant.question.query.tolist()
    rows, columns = ROOM[0] // CELL, ROOM[1] // CELL
    cells = {}
    for row in range(rows):
        for column in range(columns):
            block = pixels[:, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            cells[row, column] = [sum(float(v) for v in channel.flat) / CELL**2 for channel in block] + [1.0]
    whole = [sum(cell[i] for cell in cells.values()) / len(cells) for i in range(4)]
    scale = references.length(whole) * len(cells)
    return np.array(
        [[references.dot(cells[row, column], query) / scale for column in range(columns)] for row in range(rows)]
    )


def touched(plant):
    """The cells that show any of the object."""
    rows, columns = ROOM[0] // CELL, ROOM[1] // CELL
    return plant.mask.reshape(rows, CELL, columns, CELL).any(3).any(1)


@pytest.mark.parametrize("shared", OBJECTS)
def test_shares_of_a_planted_pair_are_those_of_a_loop(shared):
    plant = planted(shared, 3)
    map = decomposed(plant)
    assert np.allclose(map.numpy(), loop_shares(plant), rtol=0, atol=1e-9)
    touching = touched(plant)
    assert (map[~touching] == 0).all()
    assert float(map.sum()) == pytest.approx(plant.question.score, abs=1e-9)
    assert float(map.sum()) > 0.005


def test_the_decomposition_falls_on_planted_objects_and_chance_does_not():
    found = {name: [] for name in ("decomposition", "random", "centre")}
    for number in range(12):
        plant = planted(OBJECTS[number % 4], number)
        for name, located in found.items():
            located.append(localisation(drawn_map(name, plant, number), plant.mask))
    for measure in ("inside", "iou", "pointing"):
        ours = interval([getattr(one, measure) for one in found["decomposition"]])
        for chance in ("random", "centre"):
            theirs = interval([getattr(one, measure) for one in found[chance]])
            assert ours.low > theirs.high, (measure, ours, theirs)
    assert min(one.inside for one in found["decomposition"]) > 0.5
    assert all(one.pointing == 1 for one in found["decomposition"])
    area = np.mean([one.area for one in found["random"]])
    assert np.mean([one.inside for one in found["random"]]) == pytest.approx(area, abs=0.03)


@pytest.mark.parametrize("shared", OBJECTS)
def test_a_sliding_windows_peak_lies_in_the_planted_object(shared):
    """The paper's window of 32 and step of 4 of 112 pixels; up to one step beside it."""
    plant = planted(shared, 5)
    map = drawings.drawn(sliding_window, plant.question)
    assert map.shape == (28, 40)
    row, column = divmod(int(map.argmax()), 40)
    near = plant.mask[max(4 * row - 4, 0) : 4 * row + 8, max(4 * column - 4, 0) : 4 * column + 8]
    assert bool(near.any())
    assert float(map.max()) > 0


def test_the_planted_question_is_about_the_reference():
    plant = planted("lamp", 3)
    assert isinstance(plant.question, Question)
    assert plant.question.score == pytest.approx(float(plant.question.embedding @ plant.question.query))
    assert 0.01 < float(plant.mask.double().mean()) < 0.5
