"""The concepts' API twin as a function: parts that add up, and sentences for mistakes."""

import json

import gradio as gr
import pytest

from simvis_app.api.concepts import add_concepts_api
from simvis_app.service import concepts
from simvis_app.service.concepts import split_over_concepts
from simvis_core.attributes.concept_files import concept_ledger
from tests.simvis_app.concept_cases import tiny_dictionary
from tests.simvis_app.conftest import NETWORK, TinySession


@pytest.fixture
def session(monkeypatch):
    made = tiny_dictionary()
    monkeypatch.setattr(concepts, "concepts_of", lambda name, network: made)
    return TinySession()


@pytest.fixture
def ask(session, built):
    def registered():
        with gr.Blocks(analytics_enabled=False) as app:
            add_concepts_api(session)
        (function,) = app.fns.values()
        return function.fn

    return built(registered)


@pytest.fixture
def pictures(photos):
    return [str(photos / "bee" / f"bee_{number}.png") for number in (0, 1)]


def test_the_answer_is_the_ledger_with_each_concepts_maps(ask, session, pictures):
    told = json.loads(json.dumps(ask(*pictures, NETWORK, 64, "whole", 2), allow_nan=False))
    rows = told["concepts"]
    assert len(rows) == 2
    parts = [row["total"] for row in rows] + [told[name] for name in ("other_concepts", "mean", "residual")]
    assert sum(parts) == pytest.approx(told["score"], abs=1e-9)
    pair = session.explain_fully(*pictures, session_settings())
    split = split_over_concepts(pair)
    assert told["score"] == pytest.approx(pair.score, abs=1e-6)
    wanted = concept_ledger(split, 2)["concepts"]
    for row, own in zip(rows, wanted, strict=True):
        assert {name: row[name] for name in own} == own
        for side in "ab":
            inside = sum(map(sum, row[f"map_{side}"]))
            outside = split.bias_part(side, row["concept"])
            assert inside + outside == pytest.approx(row[f"total_{side}"], abs=1e-6)


def session_settings():
    from simvis_app.service.sessions.session import Settings

    return Settings(NETWORK, "avg", 64, "whole")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("whole", 1.5), "top 1.5; wanted a whole number: send 8"),
        (("whole", None), "top None; wanted a whole number: send 8"),
    ],
)
def test_a_mistake_is_a_sentence(ask, pictures, asked, said):
    with pytest.raises(gr.Error, match=said):
        ask(*pictures, NETWORK, 64, *asked)


def test_one_picture_is_not_enough(ask, pictures):
    with pytest.raises(gr.Error, match="one picture; wanted two"):
        ask(pictures[0], "", NETWORK, 64, "whole", 2)
