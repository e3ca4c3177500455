"""The panel that indexes: its progress, its end, and who is refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

import model_zoo
from model_zoo.checkpoints.choices import Choices
from simvis_app.page.galleries import choice as gallery_choice
from simvis_app.page.galleries.indexing import poolings
from simvis_app.page.house import House
from simvis_app.service import samples
from simvis_app.service.galleries.galleries import SAMPLES
from simvis_app.service.sessions.own_models import Recipe
from simvis_core import Pooling, SimvisError
from tests.simvis_app.conftest import BLACK_BOX, CLASSES, NETWORK, PLAIN, tiny

ANNE, BERT = (SimpleNamespace(session_hash=name) for name in ("anne", "bert"))
FORM = {
    "gallery": "animals",
    "folder": ".",
    "new": "new one",
    "backbone": NETWORK,
    "pooling": "avg",
    "size": 32,
    "framing": "whole",
}


def run(panel, visitor=ANNE, **changes):
    return panel.run(visitor, **FORM | changes)


@pytest.fixture
def panel(driven, shelf):
    return driven.indexing(shelf)


def test_a_folder_becomes_a_gallery_of_its_name(panel, shelf):
    *steps, end = run(panel)
    assert "of 12 pictures" in steps[0]["said"]
    assert steps[0]["stop"]["visible"] is True
    assert set(steps[0]) == {"said", "stop"}
    assert "12 pictures: 12 added" in end["said"]
    assert end["stop"]["visible"] is False
    assert (end["gallery"]["value"], end["gallery"]["choices"]) == ("new one", [SAMPLES, "animals", "new one"])
    [space] = shelf.spaces("new one")
    assert end["space"]["value"] == space.name
    assert {*shelf.labels(space)} == {*CLASSES}


def test_one_folder_of_the_offered(panel, shelf):
    list(run(panel, folder="ape", new=" apes "))
    [space] = shelf.spaces("apes")
    assert shelf.labels(space) == {"": 3}


def test_a_gallery_s_own_pictures_under_another_pooling(panel, shelf):
    end = list(run(panel, folder="", new=None, pooling="max", size=64, framing="crop"))[-1]
    assert "12 added" in end["said"]
    assert end["gallery"]["value"] == "animals"
    assert {space.name: space.pooling for space in shelf.spaces("animals")}[end["space"]["value"]] == "max"
    assert {(space.pooling, space.view) for space in shelf.spaces("animals")} == {
        ("avg", "32 whole quick"),
        ("max", "64 crop quick"),
    }
    assert "12 there already" in list(run(panel, folder=""))[-1]["said"]


def test_the_usual_gem_is_indexed_with_its_exponent(panel, shelf):
    list(run(panel, folder="", pooling="gem"))
    assert {space.pooling for space in shelf.spaces("animals")} == {"avg", "gem:3"}


def test_the_samples_may_always_be_indexed_again(driven, own_photos, monkeypatch, shelf):
    monkeypatch.setattr(samples, "PICTURES", own_photos)
    shelf.pictures = None
    assert "12 added" in list(run(driven.indexing(shelf), gallery=SAMPLES, folder=""))[-1]["said"]


def test_a_stop_ends_the_visitor_s_own_run_and_keeps_what_is_there(panel, shelf, monkeypatch):
    listing, steps = shelf.listing("new one", "."), shelf.indexing
    monkeypatch.setattr(shelf, "indexing", lambda *asked: steps(*asked, together=2))
    going = run(panel)
    next(going)
    panel.stop(BERT)
    assert panel.stop(ANNE)["stop"]["visible"] is False
    *_, end = going
    assert "Stopped; what is indexed stays" in end["said"]
    assert end["stop"]["visible"] is False
    assert end["gallery"]["value"] == "new one"
    assert shelf.running is None
    assert "Stopped" not in list(run(panel))[-1]["said"]
    [space] = shelf.spaces("new one")
    assert shelf.index.count(space) == len(listing.pictures) == 12
    assert "anne" not in panel.handlers._stopped


def test_rows_that_would_fill_the_disk_are_refused(panel, shelf, monkeypatch):
    monkeypatch.setattr("simvis_app.page.galleries.indexing.WIDEST", 5)
    [told] = run(panel)
    assert "numbers under &#x27;avg&#x27;; wanted at most 5 on this page" in told["said"]
    assert shelf.names() == [SAMPLES, "animals"]


def test_a_second_run_is_refused_and_the_first_goes_on(panel, shelf):
    first = run(panel)
    next(first)
    [told] = run(panel, BERT, new="another")
    assert "one at a time" in told["said"]
    assert told["stop"]["visible"] is False
    assert set(told) == {"said", "stop"}
    assert "12 added" in list(first)[-1]["said"]
    assert shelf.names() == [SAMPLES, "animals", "new one"]


def test_a_visitor_who_leaves_frees_the_place(panel, shelf):
    first = run(panel)
    next(first)
    del first
    assert shelf.running is None
    assert "12 added" in list(run(panel, BERT))[-1]["said"]


REFUSED = [
    ({"folder": "../.."}, "owner lets visitors index"),
    ({"folder": "/etc"}, "owner lets visitors index"),
    ({"folder": "ape/../../.."}, "owner lets visitors index"),
    ({"new": SAMPLES}, "the name &#x27;samples&#x27; for a folder"),
    ({"new": ""}, "the gallery name"),
    ({"new": None}, "the gallery name"),
    ({"new": "<script>" * 20}, "the gallery name"),
    ({"folder": "", "gallery": "nosuchgallery"}, "which is empty"),
    ({"backbone": "nosuchnet"}, "nosuchnet"),
    ({"pooling": "nosuchpooling"}, "nosuchpooling"),
    ({"pooling": "flatten"}, "flatten"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_cannot_be_indexed_is_a_sentence_and_leaves_nothing(panel, shelf, changes, reason):
    [told] = run(panel, **changes)
    assert reason in told["said"]
    assert "<script>" not in told["said"]
    assert told["stop"]["visible"] is False
    assert set(told) == {"said", "stop"}
    assert shelf.names() == [SAMPLES, "animals"]
    assert shelf.running is None


@pytest.mark.parametrize("folder", ["", ".", "../.."])
def test_without_an_offered_folder_visitors_index_nothing_but_the_samples(panel, shelf, folder):
    shelf.pictures = None
    [told] = run(panel, folder=folder, new="x", gallery="animals")
    assert "owner lets visitors index" in told["said"]


def test_files_that_were_left_out_are_named_as_text(panel, own_photos):
    (own_photos / "cat" / "<img src=x onerror=alert(1)>.png").write_bytes(b"text")
    said = list(run(panel))[-1]["said"]
    assert "1 left out" in said
    assert "<img" not in said
    assert "&lt;img src=x" in said


def test_the_panel_shows_folders_only_where_they_are_offered(shelf, library, built):
    def folders(galleries):
        with gr.Blocks(analytics_enabled=False) as app:
            places = {name: gr.Textbox() for name in ("gallery", "space", "at", "by")}
            house = House(galleries.session, None, galleries, None, None, None, None, places=places)
            choice = gallery_choice.build(house, "some")
        [folder] = [block for block in app.blocks.values() if getattr(block, "elem_id", None) == "some_folder"]
        assert callable(choice.indexed)
        return folder.visible, [value for _, value in folder.choices]

    assert built(lambda: folders(shelf)) == (True, ["", ".", *CLASSES])
    assert built(lambda: folders(library)) == (False, [""])


def test_a_network_that_a_run_cannot_load_frees_the_place(panel, shelf, monkeypatch):
    def load(name):
        raise SimvisError(f"the card '{name}', but nobody answers", "weights", "use another")

    monkeypatch.setattr(shelf.session, "_load", load)
    [told] = run(panel, backbone="resnet18")
    assert "nobody answers" in told["said"]
    monkeypatch.undo()
    assert list(shelf.indexing("animals", shelf.listing("animals", "."), PLAIN))[-1].known == 12


@pytest.fixture
def own(panel):
    """A checkpoint that is offered to everybody and one that is a visitor's; both load as a tiny network."""
    session = panel.handlers.galleries.session
    recipe = Recipe(Path("mine.pt"), "timm/resnet18", Choices(), "", True)
    session.own._recipes.update({"yours/mine-1": recipe, "yours/hers-2": replace(recipe, public=False)})
    session.own.reopen = tiny
    return session


def offered(update):
    return [value for _, value in update["choices"]]


def test_the_network_in_use_is_selected_first_with_its_own_pooling(panel, own):
    told = panel.follow("yours/mine-1")
    network, pooling, said = told["backbone"], told["pooling"], told["said"]
    assert network["value"] == "yours/mine-1"
    assert offered(network) == ["yours/mine-1", *model_zoo.names()]
    assert ("mine (timm/resnet18)", "yours/mine-1") in network["choices"]
    assert (pooling["value"], pooling["choices"][0], said) == ("avg", "avg", "")
    assert panel.follow(BLACK_BOX)["backbone"]["value"] == BLACK_BOX


def test_a_checkpoint_opened_meanwhile_is_offered_and_the_chosen_one_stays(panel, own):
    listed = panel.offer("mobilenet_v2")["backbone"]
    assert "yours/mine-1" in offered(listed)
    assert "yours/hers-2" not in offered(listed)
    assert "value" not in listed
    assert offered(panel.offer("yours/hers-2")["backbone"])[:2] == ["yours/mine-1", "yours/hers-2"]


def test_a_visitors_own_upload_can_be_indexed_with_and_is_told_that_galleries_are_everybodys(panel, own, shelf):
    assert "every visitor" in panel.choose_network("yours/hers-2")["said"]
    assert "12 added" in list(run(panel, folder="", backbone="yours/hers-2"))[-1]["said"]
    assert "yours/hers-2" in {space.network for space in shelf.spaces("animals")}


def test_a_trained_exponent_is_a_pooling_of_its_own_and_stands_once(panel, own, monkeypatch):
    for trained, first, count in (("gem:2.5", "gem:2.5", 2), ("gem:3", "gem:3", 1)):
        network = tiny("x")
        network.trained_pooling = Pooling.parse(trained)
        monkeypatch.setattr(own, "network", lambda _, network=network: network)
        listed, chosen = poolings(own, "x")
        assert (listed[0], chosen) == (first, trained)
        assert len([name for name in listed if name.startswith("gem")]) == count


def test_a_network_that_cannot_be_had_is_said_in_the_panel(panel):
    told = panel.choose_network("timm/no_such_thing")
    assert set(told) == {"said"}
    assert "timm/no_such_thing" in told["said"]
