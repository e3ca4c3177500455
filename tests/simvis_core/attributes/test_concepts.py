"""Concept totals, mean and residual add up to the score, in each direction and in their mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from simvis_core import Decomposition, SimvisError
from simvis_core.attributes.concepts import ConceptPair, split_query
from simvis_core.attributes.dictionaries.coding import CODINGS, descended, least_squares_codes, nonnegative_codes
from simvis_core.attributes.dictionaries.dictionary import LearntFrom, dictionary_of
from tests.simvis_core.cases import make_pair
from tests.simvis_core.drawings import network

WIDTH = 5


def chance(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def picture(seed, grid):
    """Signed cells and a bias that sum to a unit vector."""
    cells, bias = chance(seed, *grid, WIDTH), chance(seed + 1, WIDTH)
    length = (cells.sum((0, 1)) + bias).norm()
    return Decomposition(cells / length, bias / length)


def made(seed, size=3, coding="least squares"):
    return ConceptPair(
        picture(seed, (2, 3)),
        picture(seed + 10, (3, 1)),
        dictionary_of(chance(seed + 20, size, WIDTH), chance(seed, WIDTH), coding),
    )


def own(pair, side):
    return pair.a if side == "a" else pair.b


some = given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from(sorted(CODINGS)))
few = settings(max_examples=12, deadline=None)


@few
@some
def test_concepts_mean_and_residual_are_the_score_in_each_direction(seed, size, coding):
    pair = made(seed, size, coding)
    score = float(pair.a.embedding @ pair.b.embedding)
    for totals in (pair.totals("a"), pair.totals("b"), pair.mean_totals):
        assert totals.score == pytest.approx(score, abs=1e-9)


@few
@some
def test_a_concepts_map_and_its_part_of_the_bias_are_its_total(seed, size, coding):
    pair = made(seed, size, coding)
    for side in ("a", "b"):
        totals = pair.totals(side)
        for k in range(size):
            told = float(pair.concept_map(side, k).sum()) + pair.bias_part(side, k)
            assert told == pytest.approx(float(totals.concepts[k]), abs=1e-9)


@few
@some
def test_all_maps_together_are_the_similarity_map(seed, size, coding):
    pair = made(seed, size, coding)
    for side, query in (("a", pair.b.embedding), ("b", pair.a.embedding)):
        concepts = sum(pair.concept_map(side, k) for k in range(size))
        whole = concepts + pair.mean_map(side) + pair.residual_map(side)
        assert torch.allclose(whole, own(pair, side).similarity_map(query), atol=1e-9)


@few
@some
def test_a_row_of_the_matrix_with_mean_and_residual_is_the_concepts_total(seed, size, coding):
    pair = made(seed, size, coding)
    rest = pair.split_a.concepts @ (pair.split_b.mean + pair.split_b.residual)
    assert torch.allclose(pair.matrix.sum(1) + rest, pair.totals("b").concepts, atol=1e-9)
    rest = pair.split_b.concepts @ (pair.split_a.mean + pair.split_a.residual)
    assert torch.allclose(pair.matrix.sum(0) + rest, pair.totals("a").concepts, atol=1e-9)


def test_a_pair_by_hand():
    """e_a = (.6, .8), e_b = (.8, .6); one concept along the first axis, a mean of (0, .5)."""
    a = Decomposition(torch.tensor([[[0.6, 0.2]]]).double(), torch.tensor([0.0, 0.6]).double())
    b = Decomposition(torch.tensor([[[0.8, 0.0], [0.0, 0.6]]]).double(), torch.zeros(2).double())
    pair = ConceptPair(a, b, dictionary_of(torch.tensor([[2.0, 0.0]]), torch.tensor([0.0, 0.5])))
    assert pair.totals("a").concepts.tolist() == pytest.approx([0.48])
    assert pair.totals("a").mean == pytest.approx(0.4)  # (0, .5) on (.6, .8)
    assert pair.totals("a").residual == pytest.approx(0.08)  # (0, .1) on (.6, .8)
    assert pair.totals("b").mean == pytest.approx(0.3)
    assert pair.mean_totals.residual == pytest.approx((0.08 + 0.18) / 2)
    assert pair.concept_map("b", 0).tolist() == [pytest.approx([0.48, 0.0])]


def test_swapping_the_pair_swaps_the_directions_and_keeps_the_mean():
    pair = made(4)
    swapped = ConceptPair(pair.b, pair.a, pair.dictionary)
    assert torch.equal(pair.totals("a").concepts, swapped.totals("b").concepts)
    assert torch.equal(pair.mean_totals.concepts, swapped.mean_totals.concepts)
    assert torch.allclose(pair.matrix, swapped.matrix.T)


def test_a_directions_length_and_sign_change_no_concept():
    pair, rows = made(4), chance(24, 3, WIDTH)
    longer = ConceptPair(
        pair.a, pair.b, dictionary_of(rows * torch.tensor([[2.0], [-0.1], [7.0]]), pair.dictionary.mean)
    )
    assert torch.allclose(pair.mean_totals.concepts, longer.mean_totals.concepts)


def test_strongest_go_by_size_whatever_the_sign():
    pair = made(3, 4)
    order = pair.strongest(9)
    sizes = pair.mean_totals.concepts[order].abs().tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert len(order) == 4
    assert len(pair.strongest(-1)) == 0


def test_a_networks_own_pair_adds_up():
    pair = make_pair("gem", "fc")
    width = len(pair.a.embedding)
    split = ConceptPair(pair.a, pair.b, dictionary_of(chance(1, 2, width), chance(2, width)))
    assert split.mean_totals.score == pytest.approx(pair.score, abs=1e-9)


def test_single_precision_maps_keep_their_type():
    a, b = (Decomposition(one.cells.float(), one.bias.float()) for one in (picture(1, (2, 2)), picture(2, (1, 2))))
    pair = ConceptPair(a, b, dictionary_of(chance(3, 2, WIDTH)))
    assert pair.concept_map("a", 1).dtype == torch.float32
    assert pair.totals("a").score == pytest.approx(float(a.embedding @ b.embedding), abs=1e-6)


# Codes


def test_nonnegative_codes_are_scipys():
    vectors, rows = chance(5, 7, 6), chance(6, 4, 6)
    found = nonnegative_codes(vectors, rows)
    wanted = np.stack([nnls(rows.T.numpy(), vector.numpy())[0] for vector in vectors])
    assert np.allclose(found.numpy(), wanted, atol=1e-7)
    assert (found == 0).any()


def test_least_squares_codes_leave_what_is_orthogonal():
    vectors, rows = chance(7, 4, 6), chance(8, 3, 6)
    left = vectors - least_squares_codes(vectors, rows) @ rows
    assert (left @ rows.T).abs().max() < 1e-12


def test_directions_that_say_the_same_share_the_code():
    codes = least_squares_codes(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert codes.tolist() == [pytest.approx([1.0, 1.0])]


def test_few_sweeps_come_nearer_from_where_they_begin():
    vectors, rows = chance(5, 7, 6), chance(6, 4, 6)
    gaps = [(vectors - descended(vectors, rows, torch.ones(7, 4).double(), n) @ rows).norm() for n in (0, 1, 3)]
    assert gaps[0] > gaps[1] > gaps[2]


@pytest.mark.parametrize("coding", CODINGS)
def test_no_vectors_have_no_codes(coding):
    assert CODINGS[coding](torch.zeros(0, 3), torch.eye(3)).shape == (0, 3)


# Bad input


def refused(match):
    return pytest.raises(SimvisError, match=match)


def test_a_dictionary_of_another_width_is_refused():
    with refused("a dictionary of 4 numbers a direction, for embeddings of 5; wanted directions of 5"):
        split_query(chance(1, WIDTH), dictionary_of(chance(1, 2, 4)))


@pytest.mark.parametrize("row", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_row_without_direction_is_refused_by_its_number(row):
    with refused("a dictionary with row 1, which is zero or not finite"):
        dictionary_of(torch.tensor([[1.0, 0.0], row]))


def test_what_is_no_dictionary_is_refused():
    with refused("a matrix without rows"):
        dictionary_of(torch.zeros(0, 3))
    with refused("the coding 'k-means'; wanted one of least squares, non-negative"):
        dictionary_of(torch.eye(2), coding="k-means")
    with refused("a mean of 3 numbers"):
        dictionary_of(torch.eye(2), torch.zeros(3))
    with refused("1 names of 2 concepts"):
        dictionary_of(torch.eye(2), names=("one",))


def test_a_concept_that_is_not_there_cannot_be_named():
    with refused("concept 2; wanted 0 to 1"):
        dictionary_of(torch.eye(2)).named({2: "dome"})


def test_names_are_given_and_taken_away():
    named = dictionary_of(torch.eye(2)).named({0: " dome ", 1: "tower"})
    assert named.names == ("dome", "tower")
    assert named.named({0: ""}).name(0) == "unnamed"


def test_another_network_or_pooling_is_refused():
    net = network()
    source = LearntFrom("pca", net.name, net.fingerprint, str(net.pooling), 16, "whole")
    source.check(net)
    for other in (net.with_pooling("max"), network(head="none")):
        with refused(r"a dictionary of small network \(avg\)"):
            source.check(other)
