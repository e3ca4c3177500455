"""Headings: columns against the joint map, sums, turned pictures, and cases worked by hand."""

import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError, explain_features
from simvis_core.pairs.across.headings import column_maps, headings
from tests.simvis_core.cases import blank_view, features

GRID, ABOVE = (3, 8), (5, 5)


def pair_of(a, b):
    torch.manual_seed(6)
    nets = [EmbeddingNetwork(nn.Identity(), "avg", nn.Linear(6, 4).double()) for _ in range(2)]
    views = [blank_view(tuple(one.shape[1:])) for one in (a, b)]
    return explain_features(nets[0], *views, a, b, network_b=nets[1])


@pytest.fixture(scope="module")
def pair():
    return pair_of(features(GRID, 1), features(ABOVE, 2))


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_columns_map_is_the_joint_map_summed_over_its_rows(pair, side):
    joint = pair.joint_map if side == "a" else pair.joint_map.permute(2, 3, 0, 1)
    assert torch.allclose(column_maps(pair, side), joint.sum(0), atol=1e-12)
    other = pair.side("b" if side == "a" else "a")[1]
    own = pair.side(side)[1]
    assert torch.allclose(column_maps(pair, side).sum(0), other.similarity_map(own.cells_sum), atol=1e-12)


@pytest.mark.parametrize("sectors", [4, 7, 36])
def test_shares_and_the_middle_sum_to_what_cells_carry_together(pair, sectors):
    found = headings(pair, sectors=sectors)
    assert float(found.shares.sum()) + found.undirected == pytest.approx(pair.ledger["cells_cells"], abs=1e-12)
    assert found.undirected == pytest.approx(float(pair.joint_map[:, :, 2, 2].sum()), abs=1e-12)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_the_view_from_above_turns_the_headings(quarters):
    """Clockwise by a quarter: what lay to the north lies to the east."""
    a, b = features(GRID, 1), features(ABOVE, 2)
    straight, turned = headings(pair_of(a, b), sectors=8), headings(pair_of(a, b.rot90(-quarters, (1, 2))), sectors=8)
    assert torch.allclose(turned.shares, straight.shares.roll(2 * quarters), atol=1e-9)
    assert turned.undirected == pytest.approx(straight.undirected)


@pytest.mark.parametrize("columns", [1, 3, 6])
def test_turning_on_the_spot_turns_the_headings_the_other_way(columns):
    """A panorama that begins so many of its eight columns further right was taken looking that much to the right."""
    a, b = features(GRID, 1), features(ABOVE, 2)
    straight, turned = headings(pair_of(a, b), sectors=8), headings(pair_of(a.roll(-columns, 2), b), sectors=8)
    assert torch.allclose(turned.shares, straight.shares.roll(columns), atol=1e-9)


def test_headings_by_hand():
    """One thing straight ahead in the panorama, and to the east of the middle from above: it was taken looking east."""
    a, b = torch.zeros(2, 1, 9).double(), torch.zeros(2, 3, 3).double()
    a[0, 0, 4], b[0, 1, 2] = 1, 1
    net = EmbeddingNetwork(nn.Identity(), "avg")
    pair = explain_features(net, blank_view((1, 9)), blank_view((3, 3)), a, b)
    found = headings(pair)
    assert found.degrees == 90
    assert float(found.shares[9]) == pytest.approx(1)
    assert found.undirected == 0
    # seen 50 degrees to the right, it was taken looking 50 degrees less: half between 40 and 44
    turned = headings(pair, bearings=[0, 0, 0, 0, 48, 0, 0, 0, 0])
    assert turned.shares[4:6].tolist() == pytest.approx([0.8, 0.2])


def test_directions_are_those_of_the_view_where_cells_are_not_square():
    """Two columns and two rows over 40 x 20 pixels: the upper right cell lies 63.4 degrees from the north."""
    a, b = torch.ones(1, 1, 1).double(), torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]).double()
    net = EmbeddingNetwork(nn.Identity(), "avg")
    view = blank_view((1, 2), cell=20)
    pair = explain_features(net, blank_view((1, 1)), view, a, b)  # two rows and columns of cells over it
    shares = headings(pair, bearings=[0.0], sectors=360).shares
    assert shares[63:65].tolist() == pytest.approx([1 - 0.4349488, 0.4349488], abs=1e-6)


@pytest.mark.parametrize("bearings", [[0.0], [0.0] * 9])
def test_another_count_of_bearings_is_refused(pair, bearings):
    with pytest.raises(SimvisError, match=rf"Got {len(bearings)} bearings; wanted one for each of 8 columns"):
        headings(pair, bearings=bearings)


def test_fewer_than_four_sectors_are_refused(pair):
    with pytest.raises(SimvisError, match="Got 3 sectors; wanted 4 or more"):
        headings(pair, sectors=3)
