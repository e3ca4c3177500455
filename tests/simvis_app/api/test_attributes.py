"""The attributes' API twin as a function: the ranker's numbers as JSON, and sentences for mistakes."""

import json

import gradio as gr
import pytest

from model_zoo.attributes import fitted
from simvis_app.api.attributes import add_attributes_api
from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked, weights_of
from simvis_app.service.attributes.telling import attribute_json, in_words_json
from tests.simvis_app.attribute_cases import GROUPS, NETWORK, known
from tests.simvis_app.conftest import TinySession


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known(threshold=0.3))
    return AttributeAnswers(TinySession())


@pytest.fixture
def ask(answers, built, photos):
    def registered():
        with gr.Blocks(analytics_enabled=False) as app:
            add_attributes_api(answers)
        (function,) = app.fns.values()
        return function.fn

    function, files = built(registered), [str(photos / "bee" / f"bee_{number}.png") for number in (0, 1)]
    return lambda *more: function(*files, NETWORK, "whole", *more)


def test_the_answer_is_the_commands_with_the_named_in_full(ask, answers, photos):
    files = photos / "bee" / "bee_0.png", photos / "bee" / "bee_1.png"
    found = answers.explained(files, NETWORK, "whole", AttributesAsked("sane", (1, 1, 0)))
    told = json.loads(json.dumps(ask("sane", "1, 1,0"), allow_nan=False))
    assert told["chosen"]
    assert {name: told[name] for name in in_words_json(found)} == in_words_json(found)
    assert told["warnings"] == list(found.pair.warnings)
    assert told["in_full"] == {name: attribute_json(found, name) for name in told["chosen"]}


def test_attributes_that_are_asked_for_come_in_full(ask):
    told = ask("simvis", "", " old fur,dome, old fur ,")
    assert list(told["in_full"]) == ["old fur", "dome"]
    assert {one["place"] for one in told["in_full"].values()} <= set(range(1, len(GROUPS) + 1))
    assert told["threshold_is_of_these_weights"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("lime",), "the preset 'lime'"),
        (("simvis", "1,1"), "three numbers with commas"),
        (("simvis", "a,b,c"), "weights 'a,b,c'"),
        (("simvis", "0,0,0"), "one of them above 0"),
        (("simvis", "nan,1,1"), "one of them above 0"),
        (("simvis", "", "domes"), "try dome"),
    ],
)
def test_a_mistake_is_told(ask, asked, said):
    with pytest.raises(gr.Error, match=said):
        ask(*asked)


def test_a_network_without_attributes_and_a_missing_picture_are_told(built, photos):
    def registered():
        with gr.Blocks(analytics_enabled=False) as app:
            add_attributes_api(AttributeAnswers(TinySession()))
        (function,) = app.fns.values()
        return function.fn

    function, file = built(registered), str(photos / "bee" / "bee_0.png")
    with pytest.raises(gr.Error, match="attributes of mobilenet_v2; wanted a network with an ImageNet classifier"):
        function(file, file, "mobilenet_v2")
    with pytest.raises(gr.Error, match="send image_a and image_b"):
        function(file, None)


def test_empty_weights_are_the_learnt_ones():
    assert [weights_of(text) for text in (None, "", "  ")] == [None] * 3
    assert weights_of("1, .5,0") == (1.0, 0.5, 0.0)
