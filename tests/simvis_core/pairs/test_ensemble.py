"""An ensemble explains the cosine of its concatenated embeddings, and its maps add up to it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.pairs.ensemble import explain_ensemble


def member(seed, stride, head=None, pooling="avg"):
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Conv2d(3, 5, stride, stride), nn.ReLU())
    return EmbeddingNetwork(trunk.double(), pooling, head, Preprocess(short_side=32, stride=stride))


def members():
    torch.manual_seed(9)
    return [member(0, 8), member(1, 16, nn.Linear(5, 3).double()), member(2, 8, pooling="max")]


@settings(max_examples=6)
@given(weights=st.lists(st.floats(0.1, 9), min_size=3, max_size=3))
def test_the_score_is_the_cosine_of_the_concatenation_and_the_maps_add_up_to_it(two_pictures, weights):
    networks = members()
    found = explain_ensemble(networks, weights, *two_pictures)
    rows = [
        torch.cat(
            [
                weight * net.embed(net.view(picture).pixels[None])[0]
                for weight, net in zip(weights, networks, strict=True)
            ]
        )
        for picture in two_pictures
    ]
    cosine = float(nn.functional.cosine_similarity(*rows, dim=0))
    assert found.score == pytest.approx(cosine, abs=1e-9)
    assert float(found.contributions.sum()) == pytest.approx(cosine, abs=1e-9)
    assert sum(found.ledger.values()) == pytest.approx(cosine, abs=1e-9)
    for side in ("a", "b"):
        parts = sum(float(map.sum()) for map in found.maps(side))
        assert parts + found.bias_part(side) == pytest.approx(cosine, abs=1e-9)
    units = [row / row.norm() for row in rows]
    torch.testing.assert_close(found.contributions.double(), units[0] * units[1], atol=1e-9, rtol=0)


def test_one_member_is_that_network_and_equal_members_change_nothing(two_pictures):
    one = members()[1]
    pair = explain_pair(one, *two_pictures)
    for networks, weights in (([one], [3.0]), ([one, one], [1.0, 2.0])):
        found = explain_ensemble(networks, weights, *two_pictures)
        assert found.score == pytest.approx(pair.score)
        torch.testing.assert_close(sum(found.maps("a")), pair.map_a)
        assert found.verdict == "exact"


def test_maps_in_one_keep_their_sum_and_their_places(two_pictures):
    found = explain_ensemble(members(), [1, 1, 1], *two_pictures)
    over = found.map_over("a", (32, 48))
    assert float(over.sum()) == pytest.approx(sum(float(map.sum()) for map in found.maps("a")), abs=1e-9)
    alone = explain_ensemble(members()[:1], [1], *two_pictures)
    strongest = divmod(int(alone.maps("a")[0].argmax()), 6)
    row, column = divmod(int(alone.map_over("a", (32, 48)).argmax()), 48)
    assert (row // 8, column // 8) == strongest


def test_the_least_exact_member_decides(two_pictures):
    norm = member(3, 8, nn.LayerNorm(5).double())
    assert explain_ensemble([members()[0], norm], [1, 1], *two_pictures).verdict == "exact at this input"


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_weights_that_are_none_are_refused(two_pictures, weights):
    with pytest.raises(
        SimvisError, match=r"2 networks with the weights .*; wanted one weight above 0 for each network"
    ):
        explain_ensemble(members()[:2], weights, *two_pictures)
