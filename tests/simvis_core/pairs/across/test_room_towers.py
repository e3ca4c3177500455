"""Two towers trained on rooms from inside and from above say what is true: where objects lie, and the heading."""

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import explain_pair, weights_in
from simvis_core.hotel_rooms.rooms import OBJECTS
from simvis_core.pairs.across.headings import headings
from simvis_core.pairs.across.mean_maps import mean_point_map
from simvis_core.trust.faithfulness import interval
from tests.simvis_core.pairs.across.room_towers import SIZE, explained, room_views, train_towers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
UNSEEN = 48  # rooms that nothing was learned from


@pytest.fixture(scope="module")
def trained():
    return train_towers(rooms=780, steps=500)


@pytest.fixture(scope="module")
def unseen(trained):
    """Rooms of other numbers and views, their plans turned anyhow."""
    turns = np.random.default_rng(1).uniform(0, 360, UNSEEN)
    rooms = [room_views(number, 5_000_000 + number, turn) for number, turn in enumerate(turns)]
    return [(views, explained(trained, views)) for views in rooms]


def inside_of(map, mask):
    """The share of a map's positive part that lies in a mask (NaN where it has none), and that of an even map."""
    cells, positive = weights_in(torch.from_numpy(mask), tuple(map.shape)).to(map), map.clamp(min=0)
    return float((positive * cells).sum() / positive.sum()), float(cells.mean())


def test_a_rooms_own_plan_ranks_before_others(unseen):
    """By chance half of the others score higher."""
    a, b = (torch.stack([getattr(pair, side).embedding for _, pair in unseen]) for side in "ab")
    scores = a @ b.T
    higher = (scores > scores.diag()[:, None]).sum(1) / (UNSEEN - 1)
    assert interval(higher.tolist()).high < 0.5


@pytest.mark.parametrize("name", OBJECTS)
def test_an_objects_region_counts_where_the_plan_has_the_object(unseen, name):
    """Three times as much as in an even map; the bedspread's also more than the whole picture's map does."""
    over_even, over_whole = [], []
    for views, pair in unseen:
        mask = views.above.masks[name]
        own, even = inside_of(pair.region_map("a", torch.from_numpy(views.inside.masks[name])), mask)
        whole, _ = inside_of(pair.map_b, mask)
        if own == own:  # max pooling takes nothing at all from some small objects
            over_even.append(own - 3 * even)
            over_whole.append(own - whole)
    assert len(over_even) > 0.9 * UNSEEN
    assert interval(over_even).low > 0
    assert name != "bedspread" or interval(over_whole).low > 0


def panorama(views, column, width=576, height=160):
    """Half a panorama, 180 degrees of grey with the picture from inside round that column, as wide as what it shows."""
    bearings = views.bearings(SIZE[1])
    wide = round((bearings[-1] - bearings[0]) * SIZE[1] / (SIZE[1] - 1) / 180 * width)
    picture = views.inside.image.resize((wide, round(wide * SIZE[0] / SIZE[1])))
    around = Image.new("RGB", (width, height), (128, 128, 128))
    around.paste(picture, (column - wide // 2, (height - picture.height) // 2))
    return around


def test_the_heading_of_a_panorama_is_found_by_its_columns(trained, unseen):
    """Whoever takes every column for the middle one is off by where the picture stands in the panorama."""
    chance, gaps = np.random.default_rng(2), {"told": [], "blind": []}
    for views, _ in unseen:
        column = int(chance.integers(80, 496))
        pair = explain_pair(trained.inside, panorama(views, column), views.above.image, 160, network_b=trained.above)
        told = [(at + 0.5) * 180 / pair.a.grid[1] - 90 for at in range(pair.a.grid[1])]
        for name, bearings in (("told", told), ("blind", [0.0] * len(told))):
            gap = headings(pair, bearings=bearings).degrees - views.heading + (column - 288) * 180 / 576
            gaps[name].append(abs((gap + 180) % 360 - 180))
    assert np.median(gaps["told"]) < 15 < np.median(gaps["blind"])
    assert np.mean(np.array(gaps["told"]) < 30) > 0.8  # by chance one in six


def test_pictures_usually_match_what_lies_ahead_in_plans_that_look_up(trained):
    """Ahead are the upper half of the plan and its middle third across: a sixth of the cells."""
    heading = [room_views(number, 6_000_000 + number).heading for number in range(UNSEEN)]
    pairs = [explained(trained, room_views(number, 6_000_000 + number, -turn)) for number, turn in enumerate(heading)]
    whole = torch.ones(pairs[0].a.grid)
    usual = mean_point_map(pairs, "a", whole)
    rows, columns = usual.mean.shape
    ahead = torch.zeros(rows, columns)
    ahead[: rows // 2, columns // 3 : columns - columns // 3] = 1
    less = [float((pair.cells_map("a", whole) * (2 * ahead - 1)).sum()) for pair in pairs]
    assert float((usual.mean * (2 * ahead - 1)).sum()) == pytest.approx(np.mean(less), abs=1e-6)
    assert interval(less).low > 0  # ahead carries more than all the rest
    assert usual.surely.any()
    assert not (usual.surely & (ahead == 0)).any()
