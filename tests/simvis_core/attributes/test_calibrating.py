"""What is learnt on validation pairs: priors with corrected p-values, bounds, weights, threshold."""

import math

import pytest
import torch

from simvis_core import SimvisError
from simvis_core.attributes.calibrating import Prior, best_is_true, calibrate, priors_of, score_derivatives
from simvis_core.attributes.ranker import Phi
from tests import references


def test_the_derivative_is_the_cosines():
    chance = torch.Generator().manual_seed(0)
    x, other = torch.randn(2, 5, generator=chance, dtype=torch.float64)
    directions = torch.randn(3, 5, generator=chance, dtype=torch.float64)
    other = other / other.norm()
    found = score_derivatives(directions, x / x.norm(), other) / x.norm()

    def cosine(vector):
        return references.dot(vector, other) / references.length(vector)

    for direction, derivative in zip(directions, found, strict=True):
        expected = (cosine(x + 1e-6 * direction) - cosine(x - 1e-6 * direction)) / 2e-6
        assert derivative.item() == pytest.approx(expected, abs=1e-8)


def test_a_prior_is_a_share_and_its_significance_is_of_classes_corrected_for_attributes():
    """Ten classes with two pairs each: always raised, raised in nine classes, in six, and never."""
    signs = torch.ones(20, 4, dtype=torch.float64)
    signs[:2, 1] = -1
    signs[:8, 2] = -1
    signs[:, 3] = -1
    always, mostly, half, never = priors_of(signs, [str(place // 2) for place in range(20)])
    assert [one.share for one in (always, mostly, half, never)] == [1, 0.9, 0.6, 0]
    # two-sided: 2 / 1024, 22 / 1024 and 772 / 1024; Holm multiplies them by 4, 3 (as the smallest two tie), 2 and 1
    assert always.p == never.p == pytest.approx(4 * 2 / 1024)
    assert mostly.p == pytest.approx(2 * 22 / 1024)
    assert half.p == pytest.approx(772 / 1024)
    assert [one.used for one in (always, mostly, half, never)] == [1, 0.9, 0.5, 0]


def test_many_pairs_of_one_class_are_one_vote():
    [prior] = priors_of(torch.ones(100, 1), ["fish"] * 100)
    assert prior == Prior(1.0, 1.0)
    assert prior.used == 0.5


def test_a_class_that_is_split_has_no_vote():
    signs = torch.tensor([[1.0], [-1.0]] + [[1.0]] * 6)
    [prior] = priors_of(signs, ["split", "split", *"abcdef"])
    assert prior.p == pytest.approx(2 / 2**6)


def planted(seed, informative):
    """100 pairs of 6 attributes: one term tells the true attribute, the other two are noise; half share none."""
    chance = torch.Generator().manual_seed(seed)
    terms = torch.rand(100, 6, 3, generator=chance, dtype=torch.float64) * torch.tensor([8.0, 1, 1])
    truth = torch.zeros(100, 6, dtype=torch.bool)
    truth[torch.arange(50), torch.randint(6, (50,), generator=chance)] = True
    spread = 8.0 if informative == 0 else 1.0
    terms[..., informative] *= 0.5
    terms[..., informative][truth] += 0.6 * spread
    return terms, truth


@pytest.mark.parametrize("informative", range(3))
def test_the_term_that_tells_gets_the_weight_and_the_threshold_parts_the_pairs(informative):
    terms, truth = planted(informative, informative)
    learnt = calibrate(terms, truth, "simvis")
    assert learnt.weights[informative] == max(learnt.weights) >= 0.5
    assert sum(learnt.weights) == pytest.approx(1)
    assert [tuple(bound) for bound in learnt.bounds] == [
        (terms[..., place].min().item(), terms[..., place].max().item()) for place in range(3)
    ]
    hits, named = best_is_true(terms, truth, learnt)
    assert hits[:50].double().mean() > 0.9
    assert named[:50].double().mean() - named[50:].double().mean() > 0.5


def test_the_grid_search_is_the_best_of_all_weights_on_the_grid():
    terms, truth = planted(7, 1)
    terms = terms + 0.5 * torch.rand(terms.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    learnt = calibrate(terms, truth, "sane")
    low, high = terms.amin((0, 1)), terms.amax((0, 1))
    scaled = ((terms - low) / (high - low)).tolist()

    def share(phi):
        hits = 0
        for pair, true in zip(scaled[:50], truth[:50].tolist(), strict=True):
            scores = [math.fsum(w * t for w, t in zip(phi, row, strict=True)) for row in pair]
            hits += true[scores.index(max(scores))]
        return hits / 50

    grid = [(i / 20, j / 20, (20 - i - j) / 20) for i in range(21) for j in range(21 - i)]
    assert share(learnt.weights) == max(share(phi) for phi in grid)


def test_weights_that_do_as_well_give_way_to_the_most_even():
    terms, truth = torch.zeros(2, 2, 3), torch.tensor([[True, False], [False, False]])
    terms[0, 0] = 1
    assert sorted(calibrate(terms, truth, "sane").weights) == pytest.approx([0.3, 0.35, 0.35])


def test_other_weights_are_measured_with_the_bounds_that_were_learnt():
    terms, truth = planted(2, 0)
    learnt = calibrate(terms, truth, "sane")
    hits, _ = best_is_true(terms, truth, learnt, Phi(0, 0, 1))
    assert hits[:50].double().mean() < 0.5


def test_what_nobody_can_tell_does_not_stand_for_choice():
    """As if the attribute were not there: the rest of the pair gives its weights, its hits and its best score."""
    terms, truth = planted(3, 1)
    known = torch.ones_like(truth)
    best = terms[..., 1].argmax(1)
    rows = torch.arange(0, 100, 3)
    known[rows, best[rows]] = False
    told = truth & known
    learnt = calibrate(terms, told, "sane", known)
    assert (learnt.weights, learnt.threshold) != (calibrate(terms, told, "sane").weights, 0)
    hits, named = best_is_true(terms, told, learnt, known=known)
    for row in range(100):
        one, other = best_is_true(terms[row : row + 1, known[row]], told[row : row + 1, known[row]], learnt)
        assert (bool(hits[row]), bool(named[row])) == (bool(one), bool(other))


@pytest.mark.parametrize("share", [True, False])
def test_pairs_of_one_kind_teach_no_threshold(share):
    truth = torch.full((3, 2), share)
    with pytest.raises(
        SimvisError, match=r"3 validation pairs, of which \d share an attribute; wanted some that do and"
    ):
        calibrate(torch.rand(3, 2, 3), truth, "sane")
