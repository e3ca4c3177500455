"""The central object worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import Decomposition, feature_contributions, only_features, top_features

CELLS = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]])  # 1 x 3 cells, D = 2
MADE = Decomposition(CELLS, torch.tensor([0.5, -1.0]))


def test_embedding_is_the_cells_and_the_bias():
    assert MADE.embedding.tolist() == [0.5, 2.0]


def test_grid_is_rows_then_columns():
    assert MADE.grid == (1, 3)


def test_similarity_map_is_signed_and_not_rescaled():
    assert MADE.similarity_map(torch.tensor([3.0, 1.0])).tolist() == [[3.0, 2.0, -2.0]]


def test_region_query_is_the_weighted_sum_without_the_bias():
    assert MADE.region_query(torch.tensor([[1.0, 0.5, 2.0]])).tolist() == [-1.0, 3.0]


def test_region_query_takes_weights_of_another_dtype():
    assert MADE.region_query(torch.ones(1, 3, dtype=torch.float64)).dtype == CELLS.dtype


@given(st.integers(0, 10**6))
def test_region_query_is_the_transpose_of_similarity_map(seed):
    generator = torch.Generator().manual_seed(seed)
    cells, bias, weights, query = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 4, 5), (5,), (3, 4), (5,))
    )
    made = Decomposition(cells, bias)
    inside = (weights * made.similarity_map(query)).sum().item()
    assert (made.region_query(weights) @ query).item() == pytest.approx(inside, rel=1e-12, abs=1e-12)


def test_contributions_add_up_to_the_dot_product():
    a, b = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([4.0, 5.0, -6.0])
    assert feature_contributions(a, b).tolist() == [4.0, -10.0, -18.0]


def test_top_features_come_largest_first():
    assert top_features(torch.tensor([0.1, -5.0, 0.3, 0.2]), 3).tolist() == [2, 3, 0]


def test_equal_features_keep_their_order():
    assert top_features(torch.tensor([1.0, 2.0, 1.0, 2.0]), 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize(("k", "kept"), [(-1, 0), (0, 0), (2, 2), (3, 3), (99, 3)])
def test_k_is_held_to_the_number_of_features(k, kept):
    assert len(top_features(torch.tensor([3.0, 1.0, 2.0]), k)) == kept


def test_only_features_zeroes_the_rest_and_leaves_the_query():
    query = torch.tensor([1.0, 2.0, 3.0])
    assert only_features(query, torch.tensor([2, 0])).tolist() == [1.0, 0.0, 3.0]
    assert query.tolist() == [1.0, 2.0, 3.0]
