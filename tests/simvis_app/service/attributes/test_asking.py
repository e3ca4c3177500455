"""Pairs in words: the ranker's own numbers, each picture asked once, and only where a network has attributes."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_zoo.attributes import fitted
from simvis_app.service.attributes import asking
from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked, DrawnMaps
from simvis_app.service.attributes.telling import (
    attribute_json,
    in_words_files,
    in_words_json,
    picture_files,
    terms_in_units,
    weights_line,
    why_not,
)
from simvis_core import SimvisError
from simvis_core.attributes.ranker import AttributeRanking, AttributeTerms, Phi
from tests.simvis_app.attribute_cases import GROUPS, NETWORK, known
from tests.simvis_app.conftest import TinySession


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())
    return AttributeAnswers(TinySession())


@pytest.fixture
def pair_files(photos):
    return photos / "bee" / "bee_0.png", photos / "bee" / "bee_1.png"


@pytest.mark.parametrize("preset", ["simvis", "sane"])
def test_the_terms_are_the_rankers_and_the_maps_the_attribute_models(answers, pair_files, preset):
    found = answers.explained(pair_files, NETWORK, "whole", AttributesAsked(preset, (1, 2, 3)))
    pair = answers.session.explain(*pair_files, answers.settings(NETWORK, "whole"))
    assert found.ranking == known().explain(pair, preset, Phi(1, 2, 3))
    for at, name in enumerate(GROUPS):
        for map, seen in zip(found.maps(name), (pair.activations_a, pair.activations_b), strict=True):
            assert np.allclose(map, known().model.activation_maps(seen)[at])
    assert (found.pair.view_a.size, str(found.pair.network.pooling)) == ((64, 96), "avg")


def test_a_picture_is_asked_once_for_all_presets_weights_and_pairs(answers, pair_files, photos, monkeypatch):
    asked = []
    ask = asking.shown_attributes
    monkeypatch.setattr(asking, "shown_attributes", lambda model, seen: asked.append(1) or ask(model, seen))
    a, b = pair_files
    for weights in (None, (1, 0, 0), (0, 1, 0)):
        for preset in ("simvis", "sane"):
            answers.explained((a, b), NETWORK, "whole", AttributesAsked(preset, weights))
    assert len(asked) == 2
    answers.explained((b, photos / "ape" / "ape_0.png"), NETWORK, "whole")
    assert len(asked) == 3
    answers.explained((a, b), NETWORK, "square")
    assert len(asked) == 5


def test_only_the_first_picture_counts_under_sane(answers, pair_files, photos):
    terms = lambda other, preset: (
        answers.explained((pair_files[0], other), NETWORK, "whole", AttributesAsked(preset)).ranking.attributes
    )
    raw = lambda other, preset: {one.name: one.raw_confidence for one in terms(other, preset)}
    other = photos / "ape" / "ape_1.png"
    assert raw(pair_files[1], "sane") == raw(other, "sane")
    assert raw(pair_files[1], "simvis") != raw(other, "simvis")


def test_a_pair_is_told_as_it_is_only_where_attributes_were_learnt(answers):
    own = answers.settings(NETWORK, "crop")
    assert (own.pooling, own.short_side, own.framing) == ("avg", 64, "crop")
    assert answers.fits(own)
    other = ({"pooling": "max"}, {"short_side": 96}, {"backbone": "resnet18"}, {"insist": True, "method": "RISE"})
    assert [answers.fits(replace(own, **change)) for change in other] == [False] * 4
    assert asking.has_attributes(NETWORK)
    assert not asking.has_attributes("own/my_model")
    assert NETWORK in asking.with_attributes()


def test_other_maps_are_what_attributes_fit_then(answers, pair_files):
    own = answers.explained(pair_files, NETWORK, "whole")
    maps = DrawnMaps("centre", own.pair.map_b.flip(0), own.pair.map_a.flip(1))
    other = answers.explained(pair_files, NETWORK, "whole", drawn=maps)
    assert (own.explainer, other.explainer) == (None, "centre")
    assert [in_words_json(one)["explainer"] for one in (own, other)] == ["the pair's own maps", "centre"]
    overlaps = lambda found: {one.name: one.raw_overlap for one in found.ranking.attributes}
    assert overlaps(own) != overlaps(other)


def test_the_json_is_strict_and_the_files_hold_the_same(answers, pair_files):
    found = answers.explained(pair_files, NETWORK, "whole", AttributesAsked("simvis", (1, 1, 0)))
    told = json.loads(json.dumps(in_words_json(found), allow_nan=False))
    files = in_words_files(found) | picture_files(found, "old fur", "teal-brown", 0.5)
    assert sorted(files) == sorted(
        ["attributes.json", "terms.csv", "attribute_maps.npz", "similarity_maps.npz", "manifest.json"]
        + [f"{side}_{label}.png" for side in "ab" for label in ("similarity", "old_fur")]
    )
    assert json.loads(files["attributes.json"]) == told
    assert not told["threshold_is_of_these_weights"]
    rows = list(csv.DictReader(io.StringIO(files["terms.csv"].decode("utf-8-sig"))))
    assert [row["name"] for row in rows] == [one["name"] for one in told["attributes"]]
    with np.load(io.BytesIO(files["attribute_maps.npz"])) as maps:
        assert set(maps) == {f"{side} {name}" for side in "ab" for name in GROUPS}
        assert np.allclose(maps["b dome"], attribute_json(found, "dome")["map_b"])
    with np.load(io.BytesIO(files["similarity_maps.npz"])) as maps:
        assert np.allclose(maps["a"], found.pair.map_a)
    manifest = json.loads(files["manifest.json"])
    assert (manifest["attribute"], manifest["score"]) == ("old fur", found.pair.score)
    assert manifest["scales"]["old_fur"] == pytest.approx(max(float(abs(map).max()) for map in found.maps("old fur")))


def test_every_term_is_told_in_its_unit(answers, pair_files):
    simvis, sane = (
        answers.explained(pair_files, NETWORK, "whole", AttributesAsked(preset)) for preset in ("simvis", "sane")
    )
    one = next(one for one in simvis.ranking.attributes if one.name == "dome")
    told = terms_in_units(simvis, one)
    for one in simvis.ranking.attributes:
        side = "above" if one.raw_confidence > 0 else "below"
        said = terms_in_units(simvis, one)["confidence"]
        assert said.startswith(f"{abs(one.raw_confidence):.2f} log-odds {side} the reference pictures'")
    assert {one.raw_confidence > 0 for one in simvis.ranking.attributes} == {True, False}
    one = next(one for one in simvis.ranking.attributes if one.name == "dome")
    assert told["overlap"].startswith(f"{100 * one.raw_overlap:+.1f} % of the similarity map")
    assert all("the lower of both pictures" in told[term] for term in ("confidence", "overlap"))
    assert told["prior"] == "more of it raises the score of 90 % of validation pairs (p = 0.001)"
    fur = next(one for one in sane.ranking.attributes if one.name == "old fur")
    told = terms_in_units(sane, fur)
    assert told["overlap"] == f"cosine {fur.raw_overlap:.2f} of both maps' positive parts"
    assert "it counts as one half" in told["prior"]


def test_an_attribute_that_there_is_not_is_refused_with_the_nearest(answers, pair_files):
    found = answers.explained(pair_files, NETWORK, "whole")
    for ask in (
        lambda: found.maps("domes"),
        lambda: why_not(found.ranking, "domes"),
        lambda: attribute_json(found, "Dome"),
    ):
        with pytest.raises(SimvisError, match="try dome"):
            ask()


unit = st.floats(0, 1)


@given(st.lists(st.tuples(unit, unit, unit, unit), min_size=1, max_size=6), unit, st.tuples(unit, unit, unit))
def test_why_not_says_it_is_named_of_the_named_and_of_no_other(rows, threshold, weights):
    rows = sorted(rows, reverse=True)
    terms = tuple(AttributeTerms(f"a{n}", *row, 0.0, 0.0, 0.0) for n, row in enumerate(rows))
    ranking = AttributeRanking(terms, Phi(*weights), threshold, own_weights=False)
    named = {one.name for one in ranking.chosen()}
    for one in terms:
        said = why_not(ranking, one.name)
        assert said.startswith(f"{one.name}: ")
        assert (said == f"{one.name}: it is named") == (one.name in named)
        assert not re.search(r", (\S+) lies below \1\b(?!\.)", said)
        assert ("lies below" in said) == (one.score < threshold)
    assert weights_line(ranking).endswith("(learnt for other weights)")
