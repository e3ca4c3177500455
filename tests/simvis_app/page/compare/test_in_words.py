"""The pair in words in Compare's readout: after the map, where attributes were learnt, and for the pair on screen."""

from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from model_zoo.attributes import fitted
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service import words
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_app.service.links import LinkedPictures
from tests.simvis_app.attribute_cases import NETWORK, known
from tests.simvis_app.conftest import TinySession
from tests.simvis_app.page.compare.conftest import Tab

ME = SimpleNamespace(session_hash="me")


@pytest.fixture
def tab(monkeypatch, tmp_path, built):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())
    session = TinySession()
    made = built(lambda: Tab(session, LinkedPictures(tmp_path / "links")))
    made.handlers.attributes = AttributeAnswers(session)
    return made


@pytest.fixture
def asked(photos):
    return PairAsked(*(str(photos / "bee" / f"bee_{number}.png") for number in (0, 1)), NETWORK, "avg", 3.0, 64)


def said(tab):
    updates = tab.answers.say(ME)
    return None if updates == gr.skip() else tab.told(updates, "say")["in_words"]


def test_the_map_comes_first_and_the_words_take_the_place_that_is_held_for_them(tab, asked):
    page = tab.compare(asked, ME)
    assert page["to_say"]
    assert page["in_words"] == words.TO_BE_SAID
    found = tab.handlers.attributes.explained(asked.files, NETWORK, "whole")
    assert said(tab) == words.in_words(found.ranking.sentence())
    assert "<b>Similar mostly because of: " in said(tab)
    assert tab.compare(asked, ME)["to_say"] != page["to_say"]  # another text starts it again


@pytest.mark.parametrize(
    "changes", [{"pooling": "max"}, {"short_side": 96}, {"backbone": "mobilenet_v2"}, {"image_b": None}]
)
def test_nothing_is_said_where_attributes_do_not_hold(tab, asked, changes):
    page = tab.compare(replace(asked, **changes), ME)
    assert (page["to_say"], page["in_words"]) == ("", "")


def test_attributes_that_cannot_be_had_cost_the_readout_nothing_but_the_words(tab, asked, monkeypatch):
    monkeypatch.undo()  # the tiny network has no classifier
    page = tab.compare(asked, ME)
    assert (page["to_say"], page["in_words"]) == ("", "")
    assert page["viewer"][0].score


def test_a_network_without_attributes_that_was_chosen_meanwhile_is_no_error(tab, asked):
    tab.compare(asked, ME)
    tab.compare(replace(asked, backbone="mobilenet_v2"), ME)
    assert said(tab) is None


def test_words_of_a_pair_that_has_left_the_screen_are_not_said(tab, asked, monkeypatch):
    tab.compare(asked, ME)
    explained = tab.handlers.attributes.explained

    def slowly(*question):
        tab.compare(replace(asked, image_b=asked.image_a), ME)
        return explained(*question)

    monkeypatch.setattr(tab.handlers.attributes, "explained", slowly)
    assert said(tab) is None
    tab.compare(replace(asked, image_b=None), ME)
    assert said(tab) is None
