"""Concepts on the Compare tab: parts that add up, maps and places of one, and why there may be none."""

import io
import json
import re
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.compare.sharing import CompareSharing
from simvis_app.page.concepts import concept_words
from simvis_app.page.concepts.concept_panel import ConceptPanelAnswers
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.pair.places import read_pair
from simvis_app.service import concepts, words
from simvis_app.service.concepts import MEAN, RESIDUAL, concept_maps, concepts_scale, split_over_concepts
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.depths import DepthAsked
from tests.simvis_app.concept_cases import tiny_dictionary
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, TinySession
from tests.simvis_app.page.compare.conftest import VIEWER, Tab

ME = SimpleNamespace(session_hash="me")


@pytest.fixture
def tab(monkeypatch, tmp_path, built):
    """The tab over a tiny network with a dictionary, and the panel's answers."""
    made = tiny_dictionary()

    def found(name, network):
        made.source.check(network)
        return made

    monkeypatch.setattr(concepts, "concepts_of", found)
    tab = built(lambda: Tab(TinySession(), LinkedPictures(tmp_path / "links")))
    held = tab.widgets.concepts
    tab.panel = ConceptPanelAnswers(held, tab.handlers.session, lambda values: read_pair(values, tab.widgets.pair))
    return tab


@pytest.fixture
def asked(photos):
    return PairAsked(*(str(photos / "bee" / f"bee_{number}.png") for number in (0, 1)), NETWORK, "avg", 3.0, 64)


def split(tab):
    updates = tab.panel.split(ME)
    return None if updates == gr.skip() else {one.elem_id: value for one, value in updates.items()}


def pair_of(tab, asked):
    return tab.handlers.session.explain(*asked.files, asked.settings(tab.handlers.session))


def numbers(text):
    return [float(one) for one in re.findall(r"-?\d+\.\d+", text)]


def test_the_map_comes_first_and_then_parts_that_add_up_to_the_score(tab, asked):
    page = tab.compare(asked, ME)
    assert page["to_split"]
    assert tab.compare(asked, ME)["to_split"] != page["to_split"]  # another text starts it again
    told, pair = split(tab), pair_of(tab, asked)
    listed = told["concepts"]["choices"]
    assert [of for _, of in listed[-2:]] == [MEAN, RESIDUAL]
    assert sum(numbers(label.split(": ")[1])[0] for label, _ in listed) == pytest.approx(pair.score, abs=0.003)
    assert told["concepts"]["value"] == listed[0][1]
    assert f"of {pair.score:.3f}, " in told["concepts_said"]


def test_every_parts_maps_are_on_one_scale_and_a_concepts_are_its_own(tab, asked):
    tab.compare(asked, ME)
    split(tab)
    pair = pair_of(tab, asked)
    parts = split_over_concepts(pair)
    shown = [*parts.strongest(8).tolist(), MEAN, RESIDUAL]
    scales = set()
    for of in shown:
        values = tab.values(asked, choice=of)
        (_, (row,), scale), places = tab.panel.choose(values).values()
        wanted = concept_maps(parts, of)
        for side, map in zip("ab", wanted, strict=True):
            assert row[side] == pytest.approx(map.flatten().tolist(), rel=1e-3, abs=1e-9)
        assert concept_words.title(parts, of) == row["title"]
        assert bool(places) == (of == 0)
        scales.add(scale)
    assert scales == {concepts_scale(parts, shown)}


def test_places_are_framed_pictures_and_one_that_is_gone_is_passed_over(tab, asked):
    tab.compare(asked, ME)
    split(tab)
    _, places = tab.panel.choose(tab.values(asked, choice=0)).values()
    assert places.count("data:image/jpeg;base64,") == 1
    assert "1. place where dome fires" in places


def test_names_are_words_and_never_markup(tab, asked):
    parts = split_over_concepts(pair_of(tab, asked))
    assert "<b>" not in concept_words.places(parts, 2, ["data:,"])
    assert concept_words.title(parts, 1) == "unnamed concept, no. 1"


def test_pairs_of_concepts_sum_to_what_concepts_carry_and_the_table_is_folded(tab, asked):
    tab.compare(asked, ME)
    told = split(tab)["concepts_said"]
    parts = split_over_concepts(pair_of(tab, asked))
    table = told[told.index("<details>") :]
    assert concept_words.MATRIX in table
    assert "open" not in table.split("<summary>")[0]
    for count in (1, 2, 5):
        body = concept_words.matrix(parts, count).split("<tbody>")[1].split("</tbody>")[0]
        cells = [float(one) for one in re.findall(r"<td>(-?[\d.e-]+)</td>", body)]
        listed = parts.strongest(count).tolist()
        groups = len(listed) + (len(listed) < parts.dictionary.size)
        assert len(cells) == groups**2
        assert sum(cells) == pytest.approx(float(parts.matrix.sum()), abs=0.001 * groups**2)
        first = listed[0]
        assert cells[0] == pytest.approx(float(parts.matrix[first, first]), abs=6e-4)
    assert f"Together {words.of_score(float(parts.matrix.sum()), parts.mean_totals.score)}" in table


def test_an_export_holds_the_concepts_beside_the_maps(tab, asked):
    sharing = CompareSharing(tab.handlers.session, LinkedPictures(tab.handlers.pictures.folder), tab.handlers.depths)
    shown = CompareAsked(asked, PairLook("blue-red", 0.85, VIEWER), DepthAsked())
    with zipfile.ZipFile(sharing.export(shown)) as archive:
        names = set(archive.namelist())
        ledger = json.loads(archive.read("concepts/concepts.json"))
        with np.load(io.BytesIO(archive.read("concepts/maps.npz"))) as held:
            matrix = held["matrix"]
    parts = split_over_concepts(pair_of(tab, asked))
    assert {"manifest.json", "concepts/maps.npz", f"concepts/concept_{parts.strongest(1)[0]:03d}.png"} <= names
    assert ledger["score"] == pytest.approx(pair_of(tab, asked).score, abs=1e-5)
    assert np.allclose(matrix, parts.matrix.numpy(), atol=1e-6)
    without = replace(shown, pair=replace(asked, pooling="max"))
    with zipfile.ZipFile(sharing.export(without)) as archive:
        assert not [name for name in archive.namelist() if name.startswith("concepts/")]


@pytest.mark.parametrize("changes", [{"pooling": "max"}, {"backbone": BLACK_BOX}])
def test_a_pair_without_concepts_says_why(tab, asked, changes):
    tab.compare(type(asked)(**(vars(asked) | changes)), ME)
    told = split(tab)
    assert "No concepts here: Got a dictionary of " in told["concepts_said"]
    assert (told["concept_maps"], told["concept_places"], told["concepts"]["visible"]) == (None, "", False)
    assert tab.panel.choose(tab.values(asked, choice=None)) == gr.skip()


def test_a_pair_that_is_gone_by_then_changes_nothing_and_no_pair_empties_the_panel(tab, asked):
    tab.compare(asked, ME)
    tab.handlers.session.ask("me", None)
    assert split(tab) is None
    emptied = tab.compare(type(asked)(**(vars(asked) | {"image_b": None})), ME)
    assert (emptied["said"], emptied["maps"], emptied["to_split"]) == ("", None, "")
