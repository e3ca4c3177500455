"""The laws of the decomposition, over every tiny network, every cut of it and both rules."""

import numpy as np
import pytest
import torch

from simvis_core import enlarge, weights_at, weights_in
from simvis_core.decomposition import BIAS_PARTS
from tests.simvis_core.networks.depth import tiny

every = pytest.mark.parametrize(("name", "layer", "rule"), tiny.marked(tiny.CASES))
few = pytest.mark.parametrize(("name", "layer", "rule"), tiny.marked(tiny.FEW))


def near(one, other, tolerance=1e-9):
    one, other = (torch.as_tensor(value, dtype=torch.float64) for value in (one, other))
    return torch.allclose(one, other, rtol=0, atol=tolerance)


def test_every_kind_of_layer_is_among_the_cases():
    networks = {name for name, _, _ in tiny.CASES}
    assert networks == set(tiny.NETWORKS)
    assert set(tiny.USUAL) < networks
    assert len(tiny.CASES) > 60


@every
def test_maps_and_bias_parts_add_up_to_the_networks_own_cosine(name, layer, rule):
    pair, net = tiny.pair(name, layer, rule), tiny.network(name)
    a, b = (net.embed(one[None])[0] for one in tiny.pictures())
    assert near(pair.score, a @ b)
    for side, map in (("a", pair.map_a), ("b", pair.map_b)):
        assert near(map.sum() + pair.bias_part(side), pair.score)
        assert list(pair.bias_parts[side]) == list(BIAS_PARTS)
        assert near(sum(pair.bias_parts[side].values()), pair.bias_part(side))
    assert near(sum(pair.ledger.values()), pair.score)
    assert near(pair.contributions.sum(), pair.score)


@every
def test_the_two_moves_are_each_others_transposes(name, layer, rule):
    pair = tiny.pair(name, layer, rule)
    generator = torch.Generator().manual_seed(1)
    for own in (pair.a, pair.b):
        weights = torch.randn(own.grid, generator=generator, dtype=torch.float64)
        query = torch.randn(len(own.embedding), generator=generator, dtype=torch.float64)
        assert near(own.region_query(weights) @ query, (weights * own.similarity_map(query)).sum())
        assert near(own.region_query(torch.ones(own.grid)) + own.bias, own.embedding)


@few
def test_all_cells_are_what_the_moves_say(name, layer, rule):
    if (layer, rule) == ("pixels", "path"):
        pytest.skip("refused: more than 14 x 14 cells")
    pair = tiny.pair(name, layer, rule)
    query = pair.b.embedding
    assert not pair.a.built
    assert near(pair.a.cells @ query, pair.map_a)
    assert pair.a.built
    assert near(pair.a.cells.sum((0, 1)), pair.a.cells_sum)


@few
def test_margins_of_the_joint_map_are_maps_and_its_slices_point_maps(name, layer, rule):
    if layer == "pixels":
        pytest.skip("a table of all pairs of pixels")
    pair = tiny.pair(name, layer, rule)
    assert near(pair.joint_map.sum((2, 3)), pair.a.similarity_map(pair.b.embedding - pair.b.bias))
    assert near(pair.joint_map.sum((0, 1)), pair.b.similarity_map(pair.a.embedding - pair.a.bias))
    side = pair.view_a.size[0] / pair.a.grid[0]
    x, y = (np.array([1, 2]) + 0.5) * side - 0.5
    assert near(pair.point_map("a", float(x), float(y)), pair.joint_map[2, 1])


@every
def test_swapping_the_pair_swaps_the_maps(name, layer, rule):
    pair, swapped = tiny.pair(name, layer, rule), tiny.pair(name, layer, rule, swapped=True)
    assert near(pair.map_a, swapped.map_b)
    assert near(pair.map_b, swapped.map_a)


@every
def test_regions_add_and_the_whole_picture_scores_the_cosine_less_the_biases_part(name, layer, rule):
    pair = tiny.pair(name, layer, rule)
    mask = torch.zeros(pair.view_a.size, dtype=torch.bool)
    mask[: len(mask) // 2] = True
    both = pair.region_map("a", mask) + pair.region_map("a", ~mask)
    assert near(both, pair.region_map("a", torch.ones_like(mask)))
    whole = pair.a.region_query(weights_in(torch.ones_like(mask), pair.a.grid))
    assert near(whole @ pair.b.embedding, pair.score - pair.bias_part("a"))


@few
def test_points_weigh_cells_as_a_map_is_enlarged(name, layer, rule):
    pair = tiny.pair(name, layer, rule)
    size, map = pair.view_a.size, pair.map_a
    weights = weights_at(3.0, 5.0, size, pair.a.grid).to(map)
    assert near((weights * map).sum(), enlarge(map, size)[5, 3])
    assert near(pair.point_share("a", 3.0, 5.0), (weights * map).sum())


@few
def test_a_class_map_is_one_product_and_several_queries_are_asked_at_once(name, layer, rule):
    pair = tiny.pair(name, layer, rule)
    queries = torch.randn(3, len(pair.a.embedding), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    maps = pair.a.similarity_maps(queries)
    assert near(maps.sum(0), pair.a.similarity_map(queries.sum(0)))
    assert near(maps[1], pair.a.similarity_map(queries[1]))


@few
def test_all_top_features_give_the_whole_map(name, layer, rule):
    pair = tiny.pair(name, layer, rule)
    assert near(pair.top_map("a", len(pair.contributions)), pair.map_a)
    assert near(sum(pair.feature_map("a", at) for at in range(len(pair.contributions))), pair.map_a)


@pytest.mark.parametrize("pooling", ["avg", "max", "gem", "avgmax"])
def test_at_the_last_features_the_frozen_rule_is_the_networks_own_split(pooling):
    net = tiny.network("convolutional").with_pooling(pooling)
    a, _ = tiny.pictures()
    deep, own = net.at("features").decompose(a), net.decompose(a)
    assert near(deep.cells, own.cells)
    assert near(deep.bias, own.bias)
    assert deep.verdict == own.verdict == "exact"
