"""The laws of MATHS.md section 5, over every pooling of the table and every head; a new entry is tested at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simvis_core import POOLINGS, EmbeddingNetwork, Pooling, SimvisError, explain_features, weights_at, weights_in
from tests import references
from tests.simvis_core import cases
from tests.simvis_core.cases import (
    AFFINE_HEADS,
    BLACK_BOXES,
    HEADS,
    LINEAR_HEADS,
    TOLERANCE,
    explain,
    features,
    make_pair,
)

DTYPES = {"float64": torch.float64, "float32": torch.float32}
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)
every_head = pytest.mark.parametrize("head", HEADS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
linear_heads = pytest.mark.parametrize("head", LINEAR_HEADS)


def near(pair, one, other):
    """Equal within the law's tolerance, relative to the score."""
    gap = torch.as_tensor(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float))).max()
    return gap.item() <= TOLERANCE[pair.map_a.dtype] * abs(pair.score)


def numbers(tensor):
    return tensor.double().numpy()


def test_every_pooling_of_the_table_has_a_reference():
    assert set(references.POOLS) == set(POOLINGS)


# Law 1


@every_dtype
@every_head
@every_pooling
def test_maps_and_bias_add_up_to_the_score(pooling, head, dtype):
    pair = make_pair(pooling, head, dtype)
    assert near(pair, numbers(pair.map_a).sum() + pair.bias_part("a"), pair.score)
    assert near(pair, numbers(pair.map_b).sum() + pair.bias_part("b"), pair.score)


@every_dtype
@every_head
@every_pooling
def test_score_is_the_cosine_of_the_networks_own_embeddings(pooling, head, dtype):
    pair = make_pair(pooling, head, dtype)
    raw = [cases.raw_embedding(pair.network, map) for map in (pair.features_a, pair.features_b)]
    assert near(pair, pair.score, cases.cosine(*raw))


@linear_heads
@every_pooling
def test_a_network_without_bias_leaves_nothing_out(pooling, head):
    pair = make_pair(pooling, head)
    assert pair.bias_part("a") == pair.bias_part("b") == 0


# Law 2


@every_head
@every_pooling
def test_swapping_the_pair_swaps_the_maps(pooling, head):
    pair, swapped = make_pair(pooling, head), make_pair(pooling, head, swapped=True)
    assert near(pair, pair.map_a, swapped.map_b)
    assert near(pair, pair.map_b, swapped.map_a)
    assert near(pair, pair.joint_map, swapped.joint_map.permute(2, 3, 0, 1))


@every_head
@every_pooling
def test_a_picture_with_itself_scores_one(pooling, head):
    a = features(cases.GRID_A, 1)
    pair = explain(cases.make_network(pooling, head), a, a.clone())
    assert pair.score == pytest.approx(1, abs=1e-9)
    assert torch.equal(pair.map_a, pair.map_b)


# Law 3


@every_head
@every_pooling
def test_margins_of_the_joint_map_are_the_cells_only_maps(pooling, head):
    pair = make_pair(pooling, head)
    assert near(pair, numbers(pair.joint_map).sum((2, 3)), pair.a.cells @ (pair.b.embedding - pair.b.bias))
    assert near(pair, numbers(pair.joint_map).sum((0, 1)), pair.b.cells @ (pair.a.embedding - pair.a.bias))


@every_head
@every_pooling
def test_slices_of_the_joint_map_are_the_point_maps_at_cell_centres(pooling, head):
    pair = make_pair(pooling, head)
    side = pair.view_a.size[0] / pair.a.grid[0]
    x, y = (np.array([3, 1]) + 0.5) * side - 0.5  # the centre of row 1, column 3
    assert near(pair, pair.point_map("a", float(x), float(y)), pair.joint_map[1, 3])


# Law 6


@every_head
@every_pooling
def test_permuting_cells_permutes_the_map(pooling, head):
    if Pooling(pooling).positional:
        pytest.skip("this pooling tells positions apart")
    pair = make_pair(pooling, head)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    moved = explain(pair.network, pair.features_a.flatten(1)[:, order].unflatten(1, cases.GRID_A), pair.features_b)
    assert near(pair, moved.map_a.flatten(), pair.map_a.flatten()[order])
    assert near(pair, moved.map_b, pair.map_b)


@every_pooling
def test_permuting_channels_leaves_the_map(pooling):
    pair = make_pair(pooling, "none")
    order = [3, 0, 5, 1, 4, 2]
    moved = explain(pair.network, pair.features_a[order], pair.features_b[order])
    assert near(pair, moved.map_a, pair.map_a)


@linear_heads
@pytest.mark.parametrize("k", [1e-6, 3.7, 1e6])
@every_pooling
def test_scaling_the_features_leaves_the_map(pooling, head, k):
    pair = make_pair(pooling, head)
    scaled = explain(pair.network, pair.features_a * k, pair.features_b * (k / 3))
    assert near(pair, scaled.map_a, pair.map_a)
    assert near(pair, scaled.map_b, pair.map_b)


def test_rotating_channels_leaves_average_maps():
    pair = make_pair("avg", "none")
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    a, b = (torch.einsum("dc,chw->dhw", rotation, map) for map in (pair.features_a, pair.features_b))
    assert near(pair, explain(pair.network, a, b).map_a, pair.map_a)


# Law 7


@every_dtype
@every_head
@every_pooling
def test_cells_and_bias_add_up_to_the_unit_embedding(pooling, head, dtype):
    pair = make_pair(pooling, head, dtype)
    raw = cases.raw_embedding(pair.network, pair.features_a)
    total = numbers(pair.a.cells).sum((0, 1)) + numbers(pair.a.bias)
    assert near(pair, total, raw / raw.norm())


@every_head
@every_pooling
def test_the_opposite_query_gives_the_opposite_map(pooling, head):
    pair = make_pair(pooling, head)
    assert near(pair, pair.a.similarity_map(-pair.b.embedding), -pair.map_a)


# Law 8


@every_dtype
@every_head
@every_pooling
def test_the_ledger_adds_up_to_the_score(pooling, head, dtype):
    pair = make_pair(pooling, head, dtype)
    assert near(pair, sum(pair.ledger.values()), pair.score)
    assert near(pair, pair.ledger["cells_cells"] + pair.ledger["cells_bias"], numbers(pair.map_a).sum())
    assert near(pair, pair.ledger["cells_cells"] + pair.ledger["bias_cells"], numbers(pair.map_b).sum())


# Law 9


def head_after_average(head):
    module = cases.make_head(head, cases.CHANNELS)
    return lambda maps: maps.mean((1, 2)) if module is None else module(maps.mean((1, 2))[None])[0]


@pytest.mark.parametrize("head", AFFINE_HEADS)
def test_unnormalised_grad_cam_is_the_map_times_both_lengths(head):
    pair = make_pair("avg", head)
    z = references.length(cases.raw_embedding(pair.network, pair.features_a)) * references.length(
        cases.raw_embedding(pair.network, pair.features_b)
    )
    maps = [references.grad_cam(*numbers_of(pair), head_after_average(head), normalised=False) for _ in range(2)]
    assert near(pair, maps[0] / z, pair.map_a)
    assert np.array_equal(*maps), "a second call must not add to the first one's gradients"


def numbers_of(pair):
    return pair.features_a.numpy(), pair.features_b.numpy()


@linear_heads
def test_normalised_grad_cam_is_the_map_less_the_score_times_the_self_map(head):
    pair = make_pair("avg", head)
    map = references.grad_cam(*numbers_of(pair), head_after_average(head), normalised=True)
    self_map = pair.a.similarity_map(pair.a.embedding)
    assert near(pair, map, pair.map_a - pair.score * self_map)
    assert abs(map.sum()) < 1e-12


# Law 10


@every_head
@every_pooling
def test_point_maps_of_all_pixels_average_to_the_cells_part_over_n(pooling, head):
    pair = make_pair(pooling, head)
    h, w = pair.view_a.size
    mean = sum(pair.point_map("a", x, y) for y in range(h) for x in range(w)) / (h * w)
    cells_part = pair.b.cells @ pair.a.cells.sum((0, 1))
    assert near(pair, mean, cells_part / 20)


@every_head
@every_pooling
def test_a_points_share_is_its_maps_sum_and_its_part_of_the_bias(pooling, head):
    pair = make_pair(pooling, head)
    query = pair.a.region_query(weights_at(6.0, 4.5, pair.view_a.size, pair.a.grid))
    total = pair.point_map("a", 6.0, 4.5).sum() + query @ pair.b.bias
    assert near(pair, pair.point_share("a", 6.0, 4.5), total)


# Law 11, as far as a decomposition goes


@every_head
@every_pooling
def test_regions_add(pooling, head):
    pair = make_pair(pooling, head)
    left = torch.zeros(pair.view_a.size, dtype=torch.bool)
    left[3:7, :5] = True
    whole = torch.ones_like(left)
    both = pair.region_map("a", left) + pair.region_map("a", ~left)
    assert near(pair, both, pair.region_map("a", whole))


@every_head
@every_pooling
def test_the_whole_picture_as_region_ranks_as_the_cosine_does(pooling, head):
    pair = make_pair(pooling, head)
    a, grid = pair.a, cases.grids(pooling)[1]
    others = [pair.network.decompose_features(features(grid, seed)) for seed in range(10, 16)]
    query = a.region_query(weights_in(torch.ones(pair.view_a.size, dtype=torch.bool), a.grid))
    region = [(query @ b.embedding + a.bias @ b.embedding).item() for b in others]
    assert near(pair, region, [(a.embedding @ b.embedding).item() for b in others])


@every_head
@every_pooling
def test_a_region_querys_score_is_the_maps_sum_inside_the_region(pooling, head):
    pair = make_pair(pooling, head)
    weights = torch.rand(pair.a.grid, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inside = (numbers(pair.map_a) * weights.numpy()).sum()
    assert near(pair, (pair.a.region_query(weights) @ pair.b.embedding).item(), inside)


# Law 12, as far as a decomposition goes


@every_head
@every_pooling
def test_one_product_with_the_summed_embeddings_is_the_sum_of_the_maps(pooling, head):
    pair = make_pair(pooling, head)
    others = [pair.network.decompose_features(features(cases.grids(pooling)[1], seed)) for seed in (2, 10, 11)]
    query = sum(b.embedding for b in others)
    total = sum((pair.a.embedding @ b.embedding).item() for b in others)
    assert near(pair, pair.a.similarity_map(query), sum(pair.a.similarity_map(b.embedding) for b in others))
    assert near(pair, pair.a.similarity_map(query).sum() + pair.a.bias @ query, total)


# Law 13


@every_head
@every_pooling
def test_the_contribution_curve_ends_at_one(pooling, head):
    pair = make_pair(pooling, head)
    curve = pair.contribution_curve()
    assert curve.shape == pair.a.bias.shape
    assert curve[-1].item() == pytest.approx(1, abs=1e-9)


@every_head
@every_pooling
def test_the_map_of_all_features_is_the_full_map(pooling, head):
    pair = make_pair(pooling, head)
    length = len(pair.contributions)
    assert near(pair, pair.top_map("a", length), pair.map_a)
    assert near(pair, sum(pair.feature_map("b", d) for d in range(length)), pair.map_b)


# Law 18: alone = in a batch, cached = fresh


@every_pooling
def test_pooling_a_batch_is_pooling_each_alone(pooling):
    batch = torch.stack([features(cases.GRID_A, seed) for seed in range(3)])
    alone = torch.cat([Pooling(pooling).pool(one[None]) for one in batch])
    assert torch.equal(Pooling(pooling).pool(batch), alone)


@every_head
@every_pooling
def test_explaining_twice_gives_the_same_and_leaves_the_features(pooling, head):
    first = make_pair(pooling, head)
    a, b = (features(grid, seed) for grid, seed in zip(cases.grids(pooling), (1, 2), strict=True))
    again = explain(first.network, a, b)
    assert torch.equal(first.map_a, again.map_a)
    assert torch.equal(a, features(cases.GRID_A, 1))


@every_pooling
def test_another_pooling_from_cached_features_equals_a_fresh_explanation(pooling):
    started = explain(cases.make_network("avg"), features(cases.GRID_A, 1), features(cases.GRID_A, 2))
    cached = started.with_pooling(pooling)
    fresh = explain(cases.make_network(pooling), features(cases.GRID_A, 1), features(cases.GRID_A, 2))
    assert torch.equal(cached.map_a, fresh.map_a)
    assert cached.score == fresh.score


# One-cell grids


@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (6, 1)], ids=str)
@every_pooling
def test_grids_of_one_row_or_one_cell_add_up(pooling, grid):
    pair = explain(cases.make_network(pooling), features(grid, 1), features(grid, 2))
    assert pair.map_a.shape == grid
    assert near(pair, pair.map_a.sum(), pair.score)


# Half precision: the sums hold to what the numbers can carry


HALVES = [("none", torch.bfloat16), ("layer norm", torch.bfloat16), ("none", torch.float16), ("fc+bn", torch.float16)]


@pytest.mark.parametrize(("head", "dtype"), HALVES, ids=str)
@every_pooling
def test_half_precision_adds_up_to_its_own_precision(pooling, head, dtype):
    pair = make_pair(pooling, head, dtype)
    assert numbers(pair.map_a).sum() + pair.bias_part("a") == pytest.approx(pair.score, abs=0.03)
    assert pair.score == pytest.approx(make_pair(pooling, head).score, abs=0.05)


# Black boxes


@pytest.mark.parametrize("head", BLACK_BOXES)
@every_pooling
def test_a_black_box_is_named_and_never_explained(pooling, head):
    network = cases.make_network(pooling, head, table=BLACK_BOXES)
    with pytest.raises(SimvisError, match="black box"):
        network.decompose_features(features(cases.GRID_A, 1))


def test_a_pooling_that_does_not_split_is_a_black_box(monkeypatch):
    wrong = replace(POOLINGS["max"], pool=lambda maps, _: maps.flatten(-2).median(-1).values)
    monkeypatch.setitem(POOLINGS, "max", wrong)
    with pytest.raises(SimvisError, match="black box"):
        EmbeddingNetwork(torch.nn.Identity(), "max").decompose_features(features(cases.GRID_A, 1))


def test_flatten_refuses_unequal_grids_even_of_equal_size():
    a, b = features((4, 5), 1), features((5, 4), 2)
    with pytest.raises(SimvisError, match=r"grids of \(4, 5\) and \(5, 4\)"):
        explain_features(cases.make_network("flatten"), cases.blank_view((4, 5)), cases.blank_view((5, 4)), a, b)
