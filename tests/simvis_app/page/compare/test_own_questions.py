"""What a checkpoint's file does not tell, as the page asks for it and reads the answers."""

import pytest
import torch
from torch import nn

from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt
from simvis_app.page.compare import own_questions
from simvis_app.page.compare.own_panel import OwnAsked, open_own
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.session import Session
from tests.model_zoo.own_files import ARCHITECTURE, WIDTH, written
from tests.simvis_app.page.compare.conftest import Tab

F = ("f", "x", "auto")


@pytest.fixture
def tab(tmp_path, built):
    """Of a folder with a trunk, two linear layers with a gap between them, and a loss's class weights."""
    torch.manual_seed(61)
    head = nn.Sequential(nn.Linear(WIDTH, 9), nn.ReLU(), nn.Linear(9, 8))
    written(tmp_path, {"head": head, "arc.weight": torch.ones(40, 8)})
    return built(lambda: Tab(Session(own=OwnModels(tmp_path)), LinkedPictures(tmp_path / "links")))


def opened(tab, answers=(), asked=None, head="auto"):
    """The answer to the file with the given answers to the questions."""
    said = {f"slot_{number}": answer for number, answer in enumerate(answers)}
    unsaid = {f"slot_{number}": None for number in range(len(answers), own_questions.MOST)}
    own = {"own_file": "m.pth", "own_upload": None, "own_architecture": ARCHITECTURE, "own_head": head}
    values = tab.values(pooling="avg", network_working="resnet18", **own, asked_asked=asked, **said, **unsaid)
    return tab.told(tab.own.open_model(values), "open_model")


def questions(page):
    """What keeps the questions that an answer shows, their keys, and the values of their dropdowns."""
    slots = [page[f"slot_{number}"] for number in range(own_questions.MOST)]
    shown = [slot for slot in slots if slot["visible"]]
    assert page["asked_lead"]["visible"] == bool(shown)
    asked = page["asked_asked"]
    return asked, [key for key, _ in asked.keys], [slot["value"] for slot in shown]


def test_questions_are_asked_answered_and_changed(tab):
    first = opened(tab)
    assert "a gap between head.0" in first["own_report"]
    assert not {"backbone", "pooling", "exponent", "network_working"} & set(first)
    asked, keys, values = questions(first)
    assert (keys, values) == (["steps.head.2", "layers.arc", "layers.head.2"], [None, "out", "behind"])
    loaded = opened(tab, ["relu", "out", "behind"], asked)
    assert "ReLU" in loaded["own_report"]
    assert "not told by the file: arc" in loaded["own_report"]
    name = loaded["backbone"]["value"]
    asked, keys, values = questions(loaded)
    told = {"layers.arc": "out", "layers.head.2": "behind", "steps.head.2": "relu"}
    assert dict(zip(keys, values, strict=True)) == told
    changed = ["gelu" if key.startswith("steps") else value for key, value in zip(keys, values, strict=True)]
    again = opened(tab, changed, asked)
    assert "GELU" in again["own_report"]
    assert again["backbone"]["value"] != name
    network = tab.handlers.session.network(name)
    assert network.origin.endswith("layers.arc=out, layers.head.2=behind, steps.head.2=relu")
    other = opened(tab, changed, asked, head="none")
    assert "head: none" in other["own_report"]  # the answers were to other questions


def test_an_answer_that_does_not_fit_keeps_the_questions(tab):
    asked, _, _ = questions(opened(tab))
    refused = opened(tab, ["tanh", "out"], asked)
    assert set(refused) == {"own_report"}
    assert "steps.head.2=&#x27;tanh&#x27;" in refused["own_report"]


def test_of_list_and_upload_the_last_chosen_counts_and_nothing_is_asked_of_it_yet(tab):
    for choose, other in ((tab.own.choose_file, "own_upload"), (tab.own.upload, "own_file")):
        page = tab.told(choose(), choose.__name__)
        assert page[other] is None
        assert questions(page)[1:] == ([], [])


def test_the_list_follows_the_folder(tab, tmp_path):
    (tmp_path / "later.pth").write_bytes(b"x")
    assert "later.pth" in tab.told(tab.own.list_files(), "list_files")["own_file"]["choices"]


def test_an_upload_is_refused_where_the_owner_allows_none(session, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"x")
    refused = [
        open_own(session, OwnAsked(None, upload, "timm/resnet18"), "avg", "tiny")
        for upload in (str(tmp_path / "x.pth"), None)
    ]
    assert "an uploaded checkpoint" in refused[0].reason.got
    assert "choose one first" in refused[1].reason.cure


def test_an_answer_left_as_it_was_is_not_said(built):
    doubts = [Doubt("layers.a", "a", {"out": "out", "behind": "behind"}, "out"), Doubt("view", "v", {"112": "112"})]
    doubts += [Doubt("layers.b", "b", {"out": "out"}, "out", said=True)]
    fields = built(own_questions.question_fields)
    updates = own_questions.shown(doubts, F, fields)
    state, slots = updates[fields.asked], [updates[slot] for slot in fields.slots]
    assert [slot["visible"] for slot in slots] == [True] * 3 + [False] * (own_questions.MOST - 3)
    assert own_questions.said(state, F, ["out", None, "out"]) == Choices(layers={"b": "out"})
    assert own_questions.said(state, F, ["behind", "112", "out"]) == Choices(
        view=112, layers={"a": "behind", "b": "out"}
    )
    assert (
        own_questions.said(state, ("g", "x", "auto"), ["behind", "112", "out"])
        == own_questions.said(None, F, [])
        == Choices()
    )
    assert not own_questions.shown([], F, fields)[fields.lead]["visible"]
    assert updates[fields.lead]["visible"]
