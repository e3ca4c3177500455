"""Two towers: the laws of MATHS.md hold between two networks with other weights, grids and poolings on each side."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import (
    POOLINGS,
    EmbeddingNetwork,
    Preprocess,
    SimvisError,
    explain_features,
    explain_pair,
    weights_in,
)
from simvis_core.explainers import draw_map
from simvis_core.pairs.explain import drawing_at
from simvis_core.pairs.export import Export
from simvis_core.pairs.packing import packed_numbers
from simvis_core.steps import run
from simvis_core.trust.measuring import question_of
from tests.simvis_core import cases
from tests.simvis_core.cases import GRID_A, GRID_B, LENGTH, blank_view, features

NARROW = 4  # channels of the second tower
FEATURES = features(GRID_A, 1), features(GRID_B, 2)[:NARROW] + 0.25
HEADS = ("fc", "fc without bias", "fc+bn", "fc+layer norm", "fc+prelu")  # those that end in one width
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)
every_pooling_b = pytest.mark.parametrize("pooling_b", POOLINGS)
every_head = pytest.mark.parametrize("head", HEADS)


def tower(channels, grid, pooling, head, seed, name="a tower"):
    torch.manual_seed(seed)
    width = POOLINGS[pooling].width(channels, *grid)
    return EmbeddingNetwork(nn.Identity(), pooling, cases.HEADS[head](width).double(), name=name)


def towers(pooling, pooling_b="avg", head="fc", head_b="fc+bn"):
    """Two networks that share nothing but the width of their embeddings."""
    return tower(cases.CHANNELS, GRID_A, pooling, head, 1), tower(NARROW, GRID_B, pooling_b, head_b, 2)


def pair_of(one, other, swapped=False):
    views = blank_view(GRID_A), blank_view(GRID_B, cell=3)
    if swapped:
        return explain_features(other, *views[::-1], *FEATURES[::-1], network_b=one)
    return explain_features(one, *views, *FEATURES, network_b=other)


def near(one, other):
    return np.allclose(np.asarray(one), np.asarray(other), rtol=0, atol=1e-9)


# Laws


@every_pooling
@every_pooling_b
@every_head
def test_maps_bias_and_ledger_add_up_to_the_cosine_of_both_networks_own_embeddings(pooling, pooling_b, head):
    one, other = towers(pooling, pooling_b, head)
    pair = pair_of(one, other)
    raw = [cases.raw_embedding(*both) for both in ((one, FEATURES[0]), (other, FEATURES[1]))]
    assert near(pair.score, cases.cosine(*raw))
    for side in "ab":
        assert near(pair.side(side)[2].sum() + pair.bias_part(side), pair.score)
        assert near(sum(pair.bias_parts[side].values()), pair.bias_part(side))
    assert near(sum(pair.ledger.values()), pair.score)
    assert near(pair.contributions.sum(), pair.score)
    assert len(pair.contributions) == LENGTH


@every_pooling
@every_head
def test_swapping_the_pair_with_its_networks_swaps_the_maps(pooling, head):
    one, other = towers(pooling, "max", head)
    pair, swapped = pair_of(one, other), pair_of(one, other, swapped=True)
    assert near(pair.map_a, swapped.map_b)
    assert near(pair.map_b, swapped.map_a)
    assert near(pair.joint_map, swapped.joint_map.permute(2, 3, 0, 1))
    assert swapped.networks == {"a": other, "b": one}


@every_pooling
@every_pooling_b
def test_margins_and_slices_of_the_joint_map_are_maps_and_point_maps(pooling, pooling_b):
    pair = pair_of(*towers(pooling, pooling_b))
    assert pair.joint_map.shape == (*GRID_A, *GRID_B)
    assert near(pair.joint_map.sum((2, 3)), pair.a.cells @ (pair.b.embedding - pair.b.bias))
    assert near(pair.joint_map.sum((0, 1)), pair.b.cells @ (pair.a.embedding - pair.a.bias))
    assert near(pair.point_map("a", 6.5, 2.5), pair.joint_map[1, 3])  # cells of 2 pixels
    assert near(pair.point_map("b", 4.0, 7.0), pair.joint_map[:, :, 2, 1])  # cells of 3 pixels


@every_pooling
def test_regions_add_up_and_the_whole_picture_carries_the_score_less_its_bias(pooling):
    pair = pair_of(*towers(pooling, "gem"))
    left = torch.zeros(pair.view_b.size, dtype=torch.bool)
    left[:, :8] = True
    assert near(pair.region_map("b", left) + pair.region_map("b", ~left), pair.joint_map.sum((2, 3)))
    query = pair.b.region_query(weights_in(left, pair.b.grid))
    share = (weights_in(left, pair.b.grid) * pair.map_b).sum()
    assert near(query @ pair.a.embedding, share)
    whole = pair.b.region_query(torch.ones(GRID_B))
    assert near(whole @ pair.a.embedding, pair.score - pair.bias_part("b"))


def test_one_network_named_twice_is_one_network():
    one = tower(cases.CHANNELS, GRID_A, "avg", "fc", 1)
    views = blank_view(GRID_A), blank_view(GRID_B)
    seen = features(GRID_A, 1), features(GRID_B, 2)
    alone, twice = (explain_features(one, *views, *seen, network_b=second) for second in (None, one))
    assert alone.score == twice.score
    assert torch.equal(alone.joint_map, twice.joint_map)
    assert alone.networks == twice.networks == {"a": one, "b": one}


def test_a_pair_of_two_towers_by_hand():
    """a has two cells and no head; b sees other channels, and its head turns them into a's: (u, v) to (2v, u) + (0, 1).

    e_a = (3, 4) / 5. b pools (2, 1), so that its raw embedding is (2, 2) + (0, 1) = (2, 3), of length sqrt 13.
    """
    turn = nn.Linear(2, 2).double()
    turn.weight.data = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).double()
    turn.bias.data = torch.tensor([0.0, 1.0]).double()
    one, other = EmbeddingNetwork(nn.Identity(), "avg"), EmbeddingNetwork(nn.Identity(), "max", turn)
    a, b = torch.tensor([[[6.0, 0.0]], [[0.0, 8.0]]]).double(), torch.tensor([[[2.0], [1.0]], [[0.0], [1.0]]]).double()
    pair = explain_features(one, blank_view((1, 2)), blank_view((2, 1)), a, b, network_b=other)
    length = 13**0.5
    assert near(pair.score, (3 * 2 + 4 * 3) / 5 / length)
    assert near(pair.map_a, np.array([[3 * 2, 4 * 3]]) / 5 / length)
    # b's cells: the upper gives its first channel's maximum (0, 2), the lower the second's (2, 0); the bias is (0, 1)
    assert near(pair.map_b, np.array([[4 * 2], [3 * 2]]) / 5 / length)
    assert near(pair.bias_part("b"), 4 / 5 / length)
    assert near(pair.joint_map[0, 0], np.array([[0], [6]]) / 5 / length)
    assert pair.bias_part("a") == 0
    assert near(list(pair.ledger.values()), np.array([14, 4, 0, 0]) / 5 / length)


# Each side in its own way


def views_of_both(one, other):
    noise = np.random.default_rng(5)
    images = [Image.fromarray(noise.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in ((40, 60), (90, 70))]
    return explain_pair(one, *images, network_b=other)


@pytest.fixture(scope="module")
def seen():
    """Two real networks, of other strides and view sizes."""
    torch.manual_seed(9)
    first = nn.Sequential(nn.Conv2d(3, 5, 4, 4), nn.ReLU(), nn.Conv2d(5, 6, 2, 2))
    second = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.Conv2d(4, 5, 1))
    one = EmbeddingNetwork(first, "avg", nn.Linear(6, 3), Preprocess(short_side=32, stride=8), name="streets")
    other = EmbeddingNetwork(second, "gem", nn.Linear(5, 3), Preprocess(short_side=48, stride=8), name="above")
    return views_of_both(one, other)


def test_each_network_sees_its_own_view(seen):
    assert (seen.view_a.size, seen.view_b.size) == ((32, 48), (64, 48))
    assert (seen.a.grid, seen.b.grid) == ((4, 6), (8, 6))
    raw = [seen.networks[side].embed(seen.side(side)[0].pixels[None])[0] for side in "ab"]
    assert seen.score == pytest.approx(float(raw[0] @ raw[1]), abs=1e-6)


@pytest.mark.parametrize(("sides", "expected"), [((16, None), (16, 48)), ((None, 24), (32, 24)), ((16, 24), (16, 24))])
def test_a_short_side_of_a_is_not_one_of_bs_network(seen, sides, expected):
    image = Image.new("RGB", (50, 50), "teal")
    pair = explain_pair(seen.network, image, image, sides[0], network_b=seen.network_b, short_side_b=sides[1])
    assert (min(pair.view_a.size), min(pair.view_b.size)) == expected


@pytest.mark.parametrize(("sides", "expected"), [((16, None), (16, 16)), ((16, 24), (16, 24)), ((None, 24), (32, 24))])
def test_a_network_alone_takes_two_sizes_where_they_are_said(seen, sides, expected):
    image = Image.new("RGB", (50, 50), "teal")
    pair = explain_pair(seen.network, image, image, sides[0], short_side_b=sides[1])
    assert (min(pair.view_a.size), min(pair.view_b.size)) == expected


def test_a_pooling_is_changed_on_both_sides_or_on_one(seen):
    both, one, alone = seen.with_pooling("max"), seen.with_pooling("avg", pooling_b="max"), seen.with_pooling("max")
    assert [str(net.pooling) for net in both.networks.values()] == ["max", "max"]
    assert [str(net.pooling) for net in one.networks.values()] == ["avg", "max"]
    assert torch.equal(one.map_b * 0, both.map_b * 0)
    assert torch.equal(one.b.cells, both.b.cells)
    assert torch.equal(one.a.cells, seen.a.cells)
    assert alone.score == both.score


def test_a_network_alone_may_pool_its_two_pictures_in_two_ways(seen):
    image = Image.new("RGB", (50, 40), "teal")
    pair = explain_pair(seen.network, image, image).with_pooling("avg", pooling_b="max")
    assert [str(net.pooling) for net in pair.networks.values()] == ["avg", "max"]
    assert abs(sum(pair.ledger.values()) - pair.score) < 1e-6


@pytest.mark.parametrize("rule", ["frozen", "path"])
def test_maps_at_a_layer_of_each_network_keep_the_score(seen, rule):
    fine = seen.at("1", rule, layer_b="pixels")
    assert (fine.a.grid, fine.b.grid) == ((8, 12), (64, 48))
    assert fine.score == pytest.approx(seen.score, abs=1e-6)
    for side in "ab":
        assert float(fine.side(side)[2].sum()) + fine.bias_part(side) == pytest.approx(seen.score, abs=1e-5)
    facts = fine.manifest()
    assert (facts["depth"]["layer"], facts["depth_b"]["layer"]) == ("1", "pixels")
    nets = seen.network.at("1", rule), seen.network_b.at("pixels", rule)
    drawn = run(drawing_at(seen, nets[0], 256, nets[1]))
    assert torch.allclose(drawn.map_b, fine.map_b, atol=1e-5)


def test_masks_hide_what_each_network_sees(seen):
    image = Image.new("RGB", (50, 40), "teal")
    pair = explain_pair(seen.network, image, image, method="sliding window", network_b=seen.network_b)
    assert (pair.method, pair.additive) == ("sliding window", False)
    assert pair.b.grid == pair.map_b.shape == (6, 8)
    alone = explain_pair(seen.network_b, image, image, method="sliding window")
    assert torch.allclose(pair.b.cells, alone.b.cells, atol=1e-5)


def test_explainers_ask_the_network_of_their_side(seen):
    """With average pooling and an affine head the decomposition is Grad-CAM of the product; here on b's own network."""
    question = question_of(seen, "b")
    assert question.network is seen.network_b
    assert question.score == pytest.approx(seen.score, abs=1e-6)
    drawn = draw_map("decomposition", question.network, question.view, question.query)
    assert torch.allclose(drawn.map.to(seen.map_b), seen.map_b, atol=1e-6)


def test_one_black_box_is_drawn_by_masks_on_both_sides():
    torch.manual_seed(3)
    boxed = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), "avg", nn.Softmax(-1), Preprocess(short_side=32, stride=8))
    plain = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    for nets in ((boxed, plain), (plain, boxed)):
        pair = views_of_both(*nets)
        assert (pair.method, pair.verdict) == ("sliding window", "black box")
        seen = pair.view_a, pair.view_b, pair.activations_a, pair.activations_b
        with pytest.raises(SimvisError, match="black box"):
            explain_features(nets[0], *seen, network_b=nets[1])
        undrawn = explain_features(nets[0], *seen, unsplit=True, network_b=nets[1])
        assert (undrawn.method, undrawn.a.method, undrawn.b.method) == ("none",) * 3
        assert undrawn.a.cells.abs().sum() == undrawn.b.cells.abs().sum() == 0
        assert undrawn.score == pytest.approx(pair.score, abs=1e-6)


def test_cosines_of_patches_need_one_network(seen):
    assert seen.patch_cosines is None
    assert packed_numbers(seen).scale_cosine == 0


def test_the_manifest_and_the_picture_to_share_name_both_networks(seen):
    facts = json.loads(Export(seen).files()["manifest.json"])
    assert [facts[key]["name"] for key in ("network", "network_b")] == ["streets", "above"]
    assert facts["network_b"]["fingerprint"] == seen.network_b.fingerprint != seen.network.fingerprint
    assert facts["network_b"]["pooling"] == "gem:3"
    assert facts["depth_b"] is None
    assert Export(seen).figure().width == 1080
    image = Image.new("RGB", (50, 40), "teal")
    assert explain_pair(seen.network, image, image).manifest()["network_b"] is None


# Refusals


def test_two_widths_are_refused_with_both_and_a_cure(seen):
    wide = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=32, stride=8), name="wide")
    both = r"embeddings of 3 numbers from streets \('avg'\) for A and of 5 from wide \('avg'\) for B"
    with pytest.raises(SimvisError, match=both + "; wanted one width on both sides: choose two networks that were tr"):
        explain_pair(seen.network, *[Image.new("RGB", (40, 40), "teal")] * 2, network_b=wide)


def test_two_precisions_are_refused(seen):
    double = EmbeddingNetwork(
        nn.Sequential(nn.Conv2d(3, 3, 8, 8)).double(), preprocess=Preprocess(short_side=32, stride=8), name="double"
    )
    view = seen.view_a
    other = double.activations(view.pixels[None].double()).one()
    with pytest.raises(SimvisError, match=r"torch.float32 from streets for A and in torch.float64 from double for B"):
        explain_features(seen.network, view, view, seen.activations_a, other, network_b=double)


def test_position_by_position_needs_two_grids_alike_only_without_heads():
    bare = [EmbeddingNetwork(nn.Identity(), "flatten") for _ in range(2)]
    views, seen = (blank_view((4, 5)), blank_view((5, 4))), (features((4, 5), 1), features((5, 4), 2))
    with pytest.raises(SimvisError, match=r"grids of \(4, 5\) and \(5, 4\) cells under 'flatten'"):
        explain_features(bare[0], *views, *seen, network_b=bare[1])
    learned = [tower(cases.CHANNELS, grid, "flatten", "fc", seed) for grid, seed in (((4, 5), 1), ((5, 4), 2))]
    pair = explain_features(learned[0], *views, *seen, network_b=learned[1])
    assert near(sum(pair.ledger.values()), pair.score)
