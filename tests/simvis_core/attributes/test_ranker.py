"""The ranker: law 17, its terms against slow loops, and what it says in words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import Activations, SimvisError
from simvis_core.attributes.overlaps import PRESETS, overlap
from simvis_core.attributes.ranker import (
    Bound,
    Calibration,
    Phi,
    explanation_scores,
    match_terms,
    rank,
)
from tests import references

every_preset = pytest.mark.parametrize("preset", PRESETS)
BOUNDS = (Bound(-3.0, 4.0), Bound(-0.2, 0.9), Bound(0.1, 0.8))
KNOWN = Calibration("sane", BOUNDS, Phi(0.2, 0.5, 0.3), threshold=0.5)
seeds = st.integers(0, 10_000)


class Drawn:
    """Attributes whose confidences and signed maps are given, one set a picture."""

    verdict = "exact"

    def __init__(self, names, maps, confidences):
        self.names, self.maps, self.sure = tuple(names), maps, confidences

    def confidences(self, picture):
        return self.sure[int(picture.features[0, 0, 0])]

    def directions(self, picture):
        raise AssertionError("the ranker asks for maps only")

    def activation_maps(self, picture):
        return self.maps[int(picture.features[0, 0, 0])]


def picture(number=0):
    return Activations(torch.full((1, 3, 4), float(number)))


def drawn(seed, attributes=5, pictures=1):
    chance = torch.Generator().manual_seed(seed)
    maps = torch.randn(pictures, attributes, 3, 4, generator=chance, dtype=torch.float64)
    sure = torch.randn(pictures, attributes, generator=chance, dtype=torch.float64) * 2
    saliencies = list(torch.randn(pictures, 3, 4, generator=chance, dtype=torch.float64))
    priors = torch.rand(attributes, generator=chance, dtype=torch.float64)
    names = [f"attribute {number}" for number in range(attributes)]
    return Drawn(names, maps, sure), saliencies, dict(zip(names, priors.tolist(), strict=True))


# Law 17


@given(seeds)
def test_overlap_alone_picks_the_attribute_whose_map_is_the_saliency(seed):
    model, [saliency], priors = drawn(seed)
    model.maps[0, 3] = saliency
    terms = match_terms(model, [picture()], [saliency], priors, "sane")
    assert rank(model.names, terms, KNOWN, Phi(0, 1, 0)).attributes[0].name == "attribute 3"
    assert terms[3, 1] == pytest.approx(1, abs=1e-9)


@every_preset
@given(seed=seeds)
def test_a_zero_map_gives_zero(preset, seed):
    model, [saliency], _ = drawn(seed)
    nothing = torch.zeros_like(saliency)
    assert overlap(nothing, model.maps[0, 0], preset) == 0
    assert overlap(saliency, nothing, preset) == 0
    assert overlap(saliency, -model.maps[0, 0].abs(), preset) == 0  # an attribute that is nowhere


@every_preset
@given(seed=seeds)
def test_order_survives_permuting_attributes(preset, seed):
    model, saliencies, priors = drawn(seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    moved = Drawn([model.names[number] for number in order], model.maps[:, order], model.sure[:, order])
    known = replace(KNOWN, preset=preset)
    one, other = (
        rank(way.names, match_terms(way, [picture()], saliencies, priors, preset), known) for way in (model, moved)
    )
    assert one == other


def test_a_tie_is_broken_by_what_the_attributes_are_not_by_their_order():
    terms = torch.tensor([[9.0, 0.5, 0.5], [5.0, 0.5, 0.5], [5.0, 0.5, 0.5]], dtype=torch.float64)  # all beyond 4
    assert [one.name for one in rank(["c", "b", "a"], terms, KNOWN).attributes] == ["c", "a", "b"]
    assert [one.name for one in rank(["b", "a", "c"], terms[[1, 2, 0]], KNOWN).attributes] == ["c", "a", "b"]


# The terms


@given(seeds)
def test_scores_are_the_papers(seed):
    model, [saliency], priors = drawn(seed)
    terms = match_terms(model, [picture()], [saliency], priors, "sane")
    scores, scaled = explanation_scores(terms, BOUNDS, Phi(0.2, 0.5, 0.3))
    expected = references.sane_scores(
        model.sure[0].tolist(), saliency.numpy(), model.maps[0].numpy(), priors.values(), (0.2, 0.5, 0.3), BOUNDS
    )
    assert np.allclose(scores.numpy(), expected, rtol=0, atol=1e-9)
    assert scaled.min() >= 0
    assert scaled.max() <= 1


@given(seeds)
def test_our_overlap_is_the_share_under_the_map_less_an_even_maps(seed):
    model, [saliency], _ = drawn(seed)
    for map in model.maps[0]:
        found = overlap(saliency, map, "simvis")
        assert found == pytest.approx(references.share_over_even(saliency.numpy(), map.numpy()), abs=1e-9)
        assert -1 <= found <= 1
        assert overlap(7 * saliency, 0.3 * map, "simvis") == pytest.approx(found, abs=1e-9)
        assert overlap(-saliency, map, "simvis") == pytest.approx(-found, abs=1e-9)
    assert overlap(torch.ones(3, 4), model.maps[0, 0], "simvis") == pytest.approx(0, abs=1e-9)
    assert overlap(saliency, torch.ones(3, 4), "simvis") == pytest.approx(0, abs=1e-9)


def test_our_overlap_by_hand():
    saliency, activation = torch.tensor([[0.4, -0.1, 0.2, 0.1]]), torch.tensor([[2.0, 1.0, -5.0, 0.0]])
    # under it 0.4 - 0.05 of a map whose sum is 0.6; an even one has 0.15 + 0.075 there; the map's amount is 0.8
    assert overlap(saliency, activation, "simvis") == pytest.approx((0.35 - 0.225) / 0.8)


@every_preset
def test_cells_moved_in_both_maps_change_nothing_and_a_finer_saliency_is_averaged(preset):
    model, [saliency], _ = drawn(3)
    found = overlap(saliency, model.maps[0, 0], preset)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = [map.flatten()[order].reshape(3, 4) for map in (saliency, model.maps[0, 0])]
    assert overlap(*moved, preset) == pytest.approx(found, abs=1e-9)
    pixels = saliency.repeat_interleave(6, 0).repeat_interleave(5, 1)
    assert overlap(pixels, model.maps[0, 0], preset) == pytest.approx(found, abs=1e-9)


def test_both_pictures_of_a_pair_count_alike():
    model, saliencies, priors = drawn(8, pictures=2)
    both = match_terms(model, [picture(0), picture(1)], saliencies, priors, "simvis")
    alone = [match_terms(model, [picture(side)], [saliencies[side]], priors, "simvis") for side in (0, 1)]
    assert torch.allclose(both, (alone[0] + alone[1]) / 2, rtol=0, atol=1e-12)


# What it says


def test_several_attributes_or_none_are_named():
    terms = torch.tensor([[4.0, 0.9, 0.8], [4.0, 0.6, 0.8], [-3.0, -0.2, 0.1]], dtype=torch.float64)
    ranking = rank(["dome", "arch", "fur"], terms, KNOWN)
    assert ranking.sentence() == "similar mostly because of: dome, arch"
    assert ranking.sentence(most=1) == "similar mostly because of: dome"
    assert replace(ranking, threshold=1.01).sentence() == "no attribute explains this"
    assert ranking.attributes[2] == ("fur", 0, 0, 0, 0, -3.0, -0.2, 0.1)
    assert ranking.place("fur") == 3
    with pytest.raises(SimvisError, match="the attribute 'domes'; wanted one of arch, dome, fur: try dome or"):
        ranking.place("domes")


def test_weights_are_the_callers():
    terms = torch.tensor([[4.0, -0.2, 0.1], [-3.0, 0.9, 0.1]], dtype=torch.float64)
    theirs = rank(["sure", "there"], terms, KNOWN)
    assert (theirs.attributes[0].name, theirs.own_weights) == ("there", True)
    assert rank(["sure", "there"], terms, KNOWN, Phi(2, 5, 3)).own_weights  # the same, before their sum is made 1
    ours = rank(["sure", "there"], terms, KNOWN, Phi(6, 1, 1))
    assert (ours.attributes[0].name, ours.own_weights) == ("sure", False)
    assert ours.weights == (0.75, 0.125, 0.125)


@pytest.mark.parametrize("weights", [(0, 0, 0), (1, -1, 1), (float("inf"), 1, 1), (float("nan"), 1, 1)])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(SimvisError, match="three numbers of 0 or more, one of them above 0"):
        rank(["dome"], torch.ones(1, 3), KNOWN, Phi(*weights))


def test_a_preset_or_prior_that_is_missing_is_named():
    model, saliencies, priors = drawn(1)
    with pytest.raises(SimvisError, match="the preset 'lime'; wanted one of sane, simvis"):
        match_terms(model, [picture()], saliencies, priors, "lime")
    del priors["attribute 2"]
    with pytest.raises(SimvisError, match="the attribute 'attribute 2' without a prior"):
        match_terms(model, [picture()], saliencies, priors, "sane")
