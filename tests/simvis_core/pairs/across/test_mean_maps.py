"""The mean of a place's maps over pairs: against a loop, by hand, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError, explain_features
from simvis_core.pairs.across.mean_maps import mean_point_map
from tests.simvis_core.cases import GRID_A, GRID_B, blank_view, features


def pairs_of(count, grid_b=GRID_B):
    torch.manual_seed(5)
    one = EmbeddingNetwork(nn.Identity(), "avg", nn.Linear(6, 7).double())
    other = EmbeddingNetwork(nn.Identity(), "max", nn.Linear(6, 7).double())
    for seed in range(count):
        seen = features(GRID_A, seed), features(grid_b, 100 + seed)
        yield explain_features(one, blank_view(GRID_A), blank_view(grid_b), *seen, network_b=other)


def test_it_is_the_mean_of_the_slices_of_the_joint_maps_with_students_interval():
    weights = torch.zeros(GRID_A)
    weights[2, 3], weights[0, 1] = 1, 0.5
    found = mean_point_map(pairs_of(5), "a", weights)
    maps = np.array([(pair.joint_map[2, 3] + 0.5 * pair.joint_map[0, 1]).numpy() for pair in pairs_of(5)])
    assert np.allclose(found.mean, maps.mean(0), atol=1e-12)
    half = 2.7764451 * maps.std(0, ddof=1) / 5**0.5  # Student's t of 4 degrees of freedom
    assert np.allclose(found.high, maps.mean(0) + half, atol=1e-8)
    assert np.allclose(found.low, maps.mean(0) - half, atol=1e-8)
    assert np.allclose(found.above, (maps > 0).mean(0))
    assert np.array_equal(found.surely, maps.mean(0) - half > 0)
    assert found.pairs == 5


@pytest.mark.parametrize("side", ["a", "b"])
def test_with_what_is_left_out_it_sums_to_what_the_place_carries(side):
    pairs = list(pairs_of(4))
    weights = torch.rand(pairs[0].side(side)[1].grid, generator=torch.Generator().manual_seed(1))
    found = mean_point_map(pairs, side, weights)
    carried = np.mean([float((weights * pair.side(side)[2]).sum()) for pair in pairs])
    assert float(found.mean.sum()) + found.left_out == pytest.approx(carried, abs=1e-12)
    assert abs(found.left_out) > 1e-3  # both networks have a bias


def test_places_add_up():
    pairs, whole = list(pairs_of(3)), torch.ones(GRID_A)
    left = whole.clone()
    left[:, 2:] = 0
    means = [mean_point_map(pairs, "a", weights).mean for weights in (left, whole - left, whole)]
    assert torch.allclose(means[0] + means[1], means[2], atol=1e-12)


def test_a_mean_map_by_hand():
    """Two cells of a with one feature each, and b's two cells: in both pairs the left of a is b's lower cell."""
    net = EmbeddingNetwork(nn.Identity(), "avg")
    left, pairs = torch.tensor([[1.0, 0.0]]), []
    for strength in (3.0, 4.0):
        a = torch.tensor([[[strength, 0.0]], [[0.0, 5.0]]]).double()
        b = torch.tensor([[[0.0], [2.0]], [[2.0], [0.0]]]).double()
        pairs.append(explain_features(net, blank_view((1, 2)), blank_view((2, 1)), a, b))
    shares = [strength / (strength**2 + 25) ** 0.5 / 2**0.5 for strength in (3, 4)]
    found = mean_point_map(pairs, "a", left)
    assert found.mean.flatten().tolist() == pytest.approx([0, sum(shares) / 2])
    assert found.above.flatten().tolist() == [0, 1]
    half = 12.7062047 * (abs(shares[0] - shares[1]) / 2**0.5) / 2**0.5
    assert float(found.low[1, 0]) == pytest.approx(sum(shares) / 2 - half, abs=1e-7)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pairs_are_refused(count):
    with pytest.raises(SimvisError, match=rf"Got {count} pairs?; wanted two or more"):
        mean_point_map(pairs_of(count), "a", torch.ones(GRID_A))


def test_pairs_of_other_grids_are_refused():
    pairs = [*pairs_of(1), *pairs_of(1, (2, 2))]
    with pytest.raises(SimvisError, match="a pair with 4 x 5 and 2 x 2 cells behind one with 4 x 5 and 3 x 7 cells"):
        mean_point_map(pairs, "a", torch.ones(GRID_A))


def test_weights_of_another_grid_are_refused():
    with pytest.raises(SimvisError, match=r"weights of \(2, 2\)"):
        mean_point_map(pairs_of(2), "a", torch.ones(2, 2))
