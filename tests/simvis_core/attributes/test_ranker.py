"""The ranker: law 17, its terms against slow loops, and what it says in words."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import Activations, SimvisError
from simvis_core.attributes.overlaps import PRESETS, overlaps
from simvis_core.attributes.ranker import (
    AttributeModel,
    Bound,
    Calibration,
    Phi,
    ShownAttributes,
    explanation_scores,
    match_terms,
    rank,
    shown_attributes,
)
from tests import references

every_preset = pytest.mark.parametrize("preset", PRESETS)
BOUNDS = (Bound(-3.0, 4.0), Bound(-0.2, 0.9), Bound(0.1, 0.8))
KNOWN = Calibration("sane", BOUNDS, Phi(0.2, 0.5, 0.3), threshold=0.5)
seeds = st.integers(0, 10_000)


class Drawn(NamedTuple):
    """Attributes of some pictures, their priors, and the pictures' saliency maps."""

    names: list
    shown: list
    priors: list
    saliencies: list

    def terms(self, preset="sane"):
        return match_terms(self.shown, self.saliencies, self.priors, preset)


def drawn(seed, attributes=5, pictures=1):
    chance = torch.Generator().manual_seed(seed)
    maps = torch.randn(pictures, attributes, 3, 4, generator=chance, dtype=torch.float64)
    sure = torch.randn(pictures, attributes, generator=chance, dtype=torch.float64) * 2
    saliencies = list(torch.randn(pictures, 3, 4, generator=chance, dtype=torch.float64))
    priors = torch.rand(attributes, generator=chance, dtype=torch.float64).tolist()
    names = [f"attribute {number}" for number in range(attributes)]
    return Drawn(names, [ShownAttributes(*one) for one in zip(sure, maps, strict=True)], priors, saliencies)


def fit(saliency, activation, preset):
    return overlaps(saliency, activation[None], preset).item()


# Law 17


@given(seeds)
def test_overlap_alone_picks_the_attribute_whose_map_is_the_saliency(seed):
    match = drawn(seed)
    match.shown[0].maps[3] = match.saliencies[0]
    terms = match.terms()
    assert rank(match.names, terms, KNOWN, Phi(0, 1, 0)).attributes[0].name == "attribute 3"
    assert terms[3, 1] == pytest.approx(1, abs=1e-9)


@every_preset
@given(seed=seeds)
def test_a_zero_map_gives_zero(preset, seed):
    match = drawn(seed)
    saliency, maps = match.saliencies[0], match.shown[0].maps
    nothing = torch.zeros_like(saliency)
    assert overlaps(nothing, maps, preset).tolist() == [0] * 5
    assert fit(saliency, nothing, preset) == 0
    assert fit(saliency, -maps[0].abs(), preset) == 0  # an attribute that is nowhere


@every_preset
@given(seed=seeds)
def test_order_survives_permuting_attributes(preset, seed):
    match = drawn(seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed)).tolist()
    moved = Drawn(
        [match.names[number] for number in order],
        [ShownAttributes(one.confidences[order], one.maps[order]) for one in match.shown],
        [match.priors[number] for number in order],
        match.saliencies,
    )
    known = replace(KNOWN, preset=preset)
    assert rank(match.names, match.terms(preset), known) == rank(moved.names, moved.terms(preset), known)


def test_a_tie_is_broken_by_what_the_attributes_are_not_by_their_order():
    terms = torch.tensor([[9.0, 0.5, 0.5], [5.0, 0.5, 0.5], [5.0, 0.5, 0.5]], dtype=torch.float64)  # all beyond 4
    assert [one.name for one in rank(["c", "b", "a"], terms, KNOWN).attributes] == ["c", "a", "b"]
    assert [one.name for one in rank(["b", "a", "c"], terms[[1, 2, 0]], KNOWN).attributes] == ["c", "a", "b"]


# The terms


@given(seeds)
def test_scores_are_the_papers(seed):
    match = drawn(seed)
    scores, scaled = explanation_scores(match.terms(), BOUNDS, Phi(0.2, 0.5, 0.3))
    [shown], [saliency] = match.shown, match.saliencies
    expected = references.sane_scores(
        shown.confidences.tolist(), saliency.numpy(), shown.maps.numpy(), match.priors, (0.2, 0.5, 0.3), BOUNDS
    )
    assert np.allclose(scores.numpy(), expected, rtol=0, atol=1e-9)
    assert scaled.min() >= 0
    assert scaled.max() <= 1


@given(seeds)
def test_our_overlap_is_the_share_under_the_map_less_an_even_maps(seed):
    match = drawn(seed)
    saliency, maps = match.saliencies[0], match.shown[0].maps
    found = overlaps(saliency, maps, "simvis")
    expected = [references.share_over_even(saliency.numpy(), map.numpy()) for map in maps]
    assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-9)
    assert found.abs().max() <= 1
    assert torch.allclose(overlaps(7 * saliency, 0.3 * maps, "simvis"), found, rtol=0, atol=1e-9)
    assert torch.allclose(overlaps(-saliency, maps, "simvis"), -found, rtol=0, atol=1e-9)
    assert overlaps(torch.ones(3, 4), maps, "simvis").abs().max() < 1e-9
    assert fit(saliency, torch.ones(3, 4), "simvis") == pytest.approx(0, abs=1e-9)


def test_our_overlap_by_hand():
    saliency, activation = torch.tensor([[0.4, -0.1, 0.2, 0.1]]), torch.tensor([[2.0, 1.0, -5.0, 0.0]])
    # under it 0.4 - 0.05 of a map whose sum is 0.6; an even one has 0.15 + 0.075 there; the map's amount is 0.8
    assert fit(saliency, activation, "simvis") == pytest.approx((0.35 - 0.225) / 0.8)


@every_preset
def test_cells_moved_in_both_maps_change_nothing_and_a_finer_saliency_is_averaged(preset):
    match = drawn(3)
    saliency, map = match.saliencies[0], match.shown[0].maps[0]
    found = fit(saliency, map, preset)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = [one.flatten()[order].reshape(3, 4) for one in (saliency, map)]
    assert fit(*moved, preset) == pytest.approx(found, abs=1e-9)
    pixels = saliency.repeat_interleave(6, 0).repeat_interleave(5, 1)
    assert fit(pixels, map, preset) == pytest.approx(found, abs=1e-9)


def test_what_is_in_one_picture_only_counts_by_the_other():
    both = drawn(8, pictures=2)
    alone = [both._replace(shown=[both.shown[side]], saliencies=[both.saliencies[side]]).terms() for side in (0, 1)]
    assert torch.equal(both.terms(), torch.minimum(*alone))


def test_what_a_model_says_of_a_picture_is_asked_of_its_activations():
    class Counted:
        names, verdict = ("bright",), "exact"

        def confidences(self, picture):
            return picture.features.sum((1, 2))

        def directions(self, picture):
            raise AssertionError("a match asks for maps only")

        def activation_maps(self, picture):
            return picture.features

    assert isinstance(Counted(), AttributeModel)
    shown = shown_attributes(Counted(), Activations(torch.ones(1, 3, 4)))
    assert shown.confidences.tolist() == [12]
    assert shown.maps.shape == (1, 3, 4)


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


def test_a_preset_that_there_is_not_is_refused():
    with pytest.raises(SimvisError, match="the preset 'lime'; wanted one of sane, simvis"):
        drawn(1).terms("lime")
