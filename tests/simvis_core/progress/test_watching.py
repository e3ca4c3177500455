"""A step's figures: by hand, as laws, and against the slow way."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError, explain_pair
from simvis_core.progress.watching import WatchedPair, map_change, mean_figures, seen_mask, top_share, watched

MAPS = st.lists(st.floats(-4, 4), min_size=6, max_size=6).map(
    lambda values: torch.tensor(values).reshape(2, 3).double()
)


def slow_concentration(map, score):
    """Cells one by one, largest first, until half of the score is there."""
    total, taken = 0.0, 0
    for value in sorted(map.flatten().tolist(), reverse=True):
        total, taken = total + value, taken + 1
        if total >= score / 2:
            return taken / map.numel()
    return None


def test_figures_are_those_of_the_explanation(tiny_network, two_pictures):
    pair = WatchedPair("two", *two_pictures)
    found, wanted = watched(tiny_network, pair), explain_pair(tiny_network, *two_pictures)
    assert (found.name, found.verdict, found.score) == ("two", "exact", wanted.score)
    assert torch.equal(found.map_a, wanted.map_a)
    assert torch.equal(found.maps[1], wanted.map_b)
    shares = [slow_concentration(map, found.score) for map in (found.map_a, found.map_b)]
    assert found.concentration == (None if None in shares else sum(shares) / 2)
    assert found.top == pytest.approx(1.0, abs=1e-6)  # five features: all of them
    assert (found.on_objects, found.even, found.change) == (None, None, None)


def test_the_share_on_objects_is_the_positive_part_inside_the_masks(tiny_network, two_pictures):
    masks = tuple(np.zeros(picture.size[::-1], dtype=bool) for picture in two_pictures)
    for mask in masks:
        mask[:, : mask.shape[1] // 2] = True
    found = watched(tiny_network, WatchedPair("left halves", *two_pictures, masks))
    outside = watched(tiny_network, WatchedPair("right halves", *two_pictures, tuple(~mask for mask in masks)))
    assert found.even + outside.even == pytest.approx(1)
    assert found.on_objects + outside.on_objects == pytest.approx(1)
    assert 0 < found.on_objects < 1
    with pytest.raises(SimvisError, match="a region of nothing or of everything"):
        watched(tiny_network, WatchedPair("none", *two_pictures, tuple(mask & ~mask for mask in masks)))


def test_the_views_side_is_the_one_asked_for(tiny_network, two_pictures):
    assert watched(tiny_network, WatchedPair("two", *two_pictures), short_side=32).map_a.shape[0] == 4


def test_change_is_none_first_and_nothing_for_a_network_that_stays(tiny_network, tiny_backbone, two_pictures):
    pair = WatchedPair("two", *two_pictures)
    first = watched(tiny_network, pair)
    assert watched(tiny_network, pair, first.maps).change == 0
    torch.manual_seed(8)
    other = EmbeddingNetwork(tiny_backbone, "max", nn.Linear(6, 5), tiny_network.preprocess)
    assert watched(other, pair, first.maps).change > 0.01


@given(MAPS, MAPS, st.floats(0.1, 10))
@settings(max_examples=15)
def test_change_is_a_distance_of_directions(one, other, factor):
    found = map_change(one, other)
    if not one.any() or not other.any():
        assert found is None
        return
    assert -1e-12 <= found <= 1 + 1e-12
    assert map_change(other, one) == pytest.approx(found, abs=1e-12)
    assert map_change(factor * one, other) == pytest.approx(found, abs=1e-9)
    assert map_change(one, factor * one) == pytest.approx(0, abs=1e-12)
    assert map_change(one, -factor * one) == pytest.approx(1)


def test_change_between_grids_is_that_of_the_enlarged_map():
    coarse, fine = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.5, 2.5, 3.0], [1.0, 1.5, 2.5, 3.0]])
    assert map_change(fine, coarse) == pytest.approx(0)
    assert map_change(fine, coarse.flip(1)) == pytest.approx((2 * 2 + 2 * 1) / 16)


def test_top_features_are_the_largest_wherever_they_stand():
    assert top_share(torch.tensor([-0.25, 0.125, 0.5, 0.625]), 1.0, 2) == 1.125


def test_shares_of_no_score_are_none():
    assert top_share(torch.tensor([0.5, -0.75]), -0.25) is None
    assert top_share(torch.ones(20), 20.0) == 0.5


def test_means_leave_out_what_a_pair_does_not_have(tiny_network, two_pictures):
    mask = tuple(np.tile(np.arange(picture.width) < 7, (picture.height, 1)) for picture in two_pictures)
    pairs = [
        watched(tiny_network, WatchedPair("a", *two_pictures, mask)),
        watched(tiny_network, WatchedPair("b", *two_pictures)),
    ]
    found = mean_figures(pairs)
    assert found["on_objects"] == pairs[0].on_objects
    assert found["score"] == pytest.approx(pairs[0].score)
    assert "change" not in found


def test_a_mask_follows_the_views_box(tiny_network):
    picture = Image.new("RGB", (80, 40))
    mask = np.zeros((40, 80), dtype=bool)
    mask[:, 40:] = True
    view = tiny_network.view(picture, framing="crop")
    assert torch.equal(seen_mask(mask, view), torch.tensor([False] * 8 + [True] * 8).expand(16, 16))
