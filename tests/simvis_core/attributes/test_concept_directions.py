"""Concept directions: the planted one is found, significance is at chance for random sets, and maps add up."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from torch import nn
from torch.nn.functional import normalize

from simvis_core import Activations, EmbeddingNetwork, SimvisError
from simvis_core.attributes.calibrating import holm
from simvis_core.attributes.concept_directions import (
    ConceptDirection,
    RandomTest,
    concept_direction,
    corrected,
    raised_share,
    random_test,
    separation,
)

WIDTH = 6


def units(seed, count, along=0.0):
    """Unit embeddings, drawn, further along the first axis."""
    drawn = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(drawn + along * torch.eye(WIDTH, dtype=torch.float64)[0], dim=1)


def test_the_planted_direction_is_found_and_held_out_pictures_are_told():
    shown, other = units(0, 20, 5.0), units(1, 30)
    found = concept_direction(shown, other)
    assert found.direction.abs().argmax() == 0
    assert normalize(found.direction, dim=0)[0] > 0.8
    assert separation(shown, other) > 0.85
    fresh = units(2, 50, 5.0) @ found.direction + found.offset
    assert (fresh > 0).double().mean() > 0.85


@pytest.mark.slow
def test_two_random_sets_are_told_at_chance():
    assert np.mean([separation(units(seed, 20), units(seed + 50, 20)) for seed in range(8)]) == pytest.approx(
        0.5, abs=0.1
    )


@settings(max_examples=4)
@given(st.permutations(range(12)))
def test_the_order_of_the_pictures_is_irrelevant(order):
    shown, other = units(3, 12, 1.0), units(4, 12)
    one, two = concept_direction(shown, other), concept_direction(shown[order], other[order])
    assert torch.allclose(one.direction, two.direction, atol=1e-3 * one.direction.norm().item())


def test_swapped_sets_point_the_other_way():
    shown, other = units(3, 12, 1.0), units(4, 12)
    there, back = concept_direction(shown, other), concept_direction(other, shown)
    assert torch.allclose(there.direction, -back.direction, atol=1e-3 * there.direction.norm().item())
    assert there.offset == pytest.approx(-back.offset, abs=1e-2)


@given(st.integers(0, 2**31))
def test_a_pair_is_raised_where_its_cosine_grows(seed):
    """By finite differences of the cosine."""
    own, others = units(seed, 7), units(seed + 1, 7)
    way = units(seed + 2, 1)[0]
    step = 1e-7
    grown = ((normalize(own + step * way, dim=1) - normalize(own - step * way, dim=1)) * others).sum(1) > 0
    assert raised_share(way, own, others) == pytest.approx(float(grown.double().mean()))


def pairs_towards(concept):
    """Pairs whose second picture has more of the first axis, or of none."""
    own, others = units(8, 40), units(9, 40, 3.0 if concept else 0.0)
    return own, others


def test_what_raises_scores_is_significant_and_what_lowers_them_too():
    shown, other = units(0, 16, 3.0), units(1, 40)
    raises = random_test(shown, other, pairs_towards(True), draws=10)
    assert np.mean(raises.shares) > 0.9
    assert 0.2 < np.mean(raises.random) < 0.8
    assert raises.p < 1e-3
    own, others = pairs_towards(True)
    lowers = random_test(shown, other, (own, -others), draws=10)
    assert np.mean(lowers.shares) < 0.1
    assert lowers.p < 1e-3


@pytest.mark.slow
def test_a_set_drawn_by_chance_is_seldom_significant():
    """Draws of one set overlap, so that p is smaller than it would be over new pictures: the docstring says so."""
    pool, found = units(5, 60), []
    for seed in range(6):
        chosen = pool[torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:10]]
        found.append(random_test(chosen, pool, (units(20 + seed, 30), units(40 + seed, 30)), draws=6).p)
    assert sum(p < 0.001 for p in found) <= 2


def test_equal_seeds_give_equal_tests():
    sets = units(0, 8, 1.0), units(1, 20), (units(2, 9), units(3, 9))
    assert random_test(*sets, draws=4) == random_test(*sets, draws=4)
    assert random_test(*sets, draws=4, seed=1) != random_test(*sets, draws=4)


def test_the_test_is_welchs_and_two_sided():
    from simvis_core.attributes.concept_directions import _one_mean

    one, two = [0.6, 0.7, 0.9, 0.8], [0.5, 0.4, 0.55]
    assert _one_mean(one, two) == pytest.approx(ttest_ind(one, two, equal_var=False).pvalue)
    assert _one_mean(one, two) == pytest.approx(_one_mean(two, one))
    assert _one_mean([0.5, 0.5], [0.5, 0.5]) == 1
    assert _one_mean([0.9, 0.9], [0.5, 0.5]) == 0
    assert 0 < _one_mean([0.9, 0.9], [0.5, 0.6]) < 1


def test_several_concepts_are_corrected_by_holm():
    tests = {name: RandomTest((), (), p) for name, p in (("a", 0.01), ("b", 0.04), ("c", 0.03))}
    assert corrected(tests) == {"a": pytest.approx(0.03), "b": pytest.approx(0.06), "c": pytest.approx(0.06)}
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("own", [None, nn.Linear(4, WIDTH).double()])
@settings(max_examples=8)
@given(seed=st.integers(0, 2**31))
def test_maps_with_bias_and_offset_sum_to_the_log_odds(own, seed):
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8).double(), head=own)
    chance = torch.Generator().manual_seed(seed)
    width = WIDTH if own else 4
    concept = ConceptDirection(torch.randn(width, generator=chance, dtype=torch.float64), 0.3)
    split = network.decompose_features(Activations(torch.rand(4, 2, 3, generator=chance, dtype=torch.float64)))
    whole = float(split.embedding @ concept.direction) + concept.offset
    map = split.similarity_map(concept.direction)
    assert float(map.sum() + split.bias @ concept.direction) + concept.offset == pytest.approx(whole, abs=1e-9)


def test_sets_that_are_too_small_are_refused():
    with pytest.raises(SimvisError, match="3 pictures with a concept and 9 without; wanted 4 or more"):
        concept_direction(units(0, 3), units(1, 9))
    with pytest.raises(SimvisError, match="9 pictures with a concept, 5 without, 2 pairs"):
        random_test(units(0, 9), units(1, 5), (units(2, 2), units(3, 2)))
    with pytest.raises(SimvisError, match="0 pairs"):
        random_test(units(0, 5), units(1, 5), (units(2, 2)[:0], units(3, 2)[:0]))
