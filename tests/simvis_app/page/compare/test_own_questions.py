"""What a checkpoint's file does not tell, as the page asks for it and reads the answers."""

import gradio as gr
import pytest
import torch
from torch import nn

from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt
from simvis_app.page.compare import own_questions
from simvis_app.page.compare.handlers import Handlers
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.session import Session
from tests.model_zoo.own_files import ARCHITECTURE, WIDTH, written


@pytest.fixture
def handlers(tmp_path):
    """Of a folder with a trunk, two linear layers with a gap between them, and a loss's class weights."""
    torch.manual_seed(61)
    head = nn.Sequential(nn.Linear(WIDTH, 9), nn.ReLU(), nn.Linear(9, 8))
    written(tmp_path, {"head": head, "arc.weight": torch.ones(40, 8)})
    return Handlers(Session(own=OwnModels(tmp_path)), None)


def asked(answer):
    """The keys of the questions that an answer shows, and the values of their dropdowns."""
    state, lead, *slots = answer[7:]
    shown = [slot for slot in slots if slot["visible"]]
    assert lead["visible"] == bool(shown)
    return state, [key for key, _ in state["keys"]], [slot["value"] for slot in shown]


def test_questions_are_asked_answered_and_changed(handlers):
    before = ("avg", "resnet18", "m.pth", None, ARCHITECTURE, "auto")
    first = handlers.open_model(*before)
    assert "a gap between head.0" in first[0]
    assert all(part == gr.skip() for part in first[1:7])
    state, keys, values = asked(first)
    assert (keys, values) == (["steps.head.2", "layers.arc", "layers.head.2"], [None, "out", "behind"])
    loaded = handlers.open_model(*before, state, "", "relu", "out", "behind")
    assert "ReLU" in loaded[0]
    assert "not told by the file: arc" in loaded[0]
    name = loaded[1]["value"]
    state, keys, values = asked(loaded)
    told = {"layers.arc": "out", "layers.head.2": "behind", "steps.head.2": "relu"}
    assert dict(zip(keys, values, strict=True)) == told
    changed = ["gelu" if key.startswith("steps") else value for key, value in zip(keys, values, strict=True)]
    again = handlers.open_model(*before, state, "", *changed)
    assert "GELU" in again[0]
    assert again[1]["value"] != name
    assert handlers.session.network(name).origin.endswith("layers.arc=out, layers.head.2=behind, steps.head.2=relu")
    other = handlers.open_model(*before[:-1], "none", state, "", *changed)
    assert "head: none" in other[0]  # the answers were to other questions


def test_an_answer_that_does_not_fit_keeps_the_questions(handlers):
    before = ("avg", "resnet18", "m.pth", None, ARCHITECTURE, "auto")
    state, _, _ = asked(handlers.open_model(*before))
    refused = handlers.open_model(*before, state, "", "tanh", "out")
    assert "steps.head.2=&#x27;tanh&#x27;" in refused[0]
    assert all(part == gr.skip() for part in refused[1:])


def test_an_answer_left_as_it_was_is_not_said():
    doubts = [Doubt("layers.a", "a", {"out": "out", "behind": "behind"}, "out"), Doubt("view", "v", {"112": "112"})]
    doubts += [Doubt("layers.b", "b", {"out": "out"}, "out", said=True)]
    state, lead, *slots = own_questions.shown(doubts, ["f"])
    assert [slot["visible"] for slot in slots] == [True] * 3 + [False] * (own_questions.MOST - 3)
    assert own_questions.said(state, ["f"], ["out", None, "out"]) == Choices(layers={"b": "out"})
    assert own_questions.said(state, ["f"], ["behind", "112", "out"]) == Choices(
        view=112, layers={"a": "behind", "b": "out"}
    )
    assert own_questions.said(state, ["g"], ["behind", "112", "out"]) == own_questions.said(None, [], []) == Choices()
    assert not own_questions.shown([], [])[1]["visible"]
    assert lead["visible"]
