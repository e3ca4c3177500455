"""The budget of an answer: what is too much is refused in a sentence, before any pass."""

import asyncio

import gradio as gr
import pytest

from simvis_app.api import pairs
from simvis_app.api.pairs import Explaining
from simvis_app.api.trust import add_trust_api
from simvis_app.service.defaults import MOST_PASSES
from simvis_app.service.lanes import Lanes
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Settings
from simvis_core import SimvisError
from simvis_core.explainers.table import EXPLAINERS


@pytest.mark.parametrize(
    ("passes", "side", "fits"),
    [(100, 224, True), (101, 224, False), (25, 448, True), (26, 448, False), (100, 32, True)],
)
def test_passes_count_by_their_pixels_and_small_views_as_a_whole_one(passes, side, fits):
    check = lambda: Budget(100).check(passes, Settings(short_side=side), "a pair")
    if fits:
        check()
    else:
        with pytest.raises(SimvisError, match="at most 100 in an answer"):
            check()


def test_every_explainer_alone_and_masks_at_the_usual_view_fit_what_is_usual():
    for name in EXPLAINERS:
        Budget().check_trust(Settings(), [name], "fixed")
    for method in ("sliding window", "RISE"):
        Budget().check_masks(Settings(), method)
    with pytest.raises(SimvisError, match=f"wanted at most {MOST_PASSES}"):
        Budget().check_masks(Settings(short_side=1280), "RISE")
    with pytest.raises(SimvisError, match="smaller view_size"):
        Budget().check_trust(Settings(), ["rise", "corr_rise", "sbsm", "lime", "mask", "sliding_window"], "pair")


def first(steps):
    return asyncio.run(anext(steps))


def test_masks_beyond_the_budget_run_nothing(session, files, small, backbone_calls):
    explaining = Explaining(session, Lanes(), Budget(100))
    with pytest.raises(SimvisError, match="a pair by sliding window at 16 pixels, about 202 forward passes"):
        first(explaining.steps(*map(str, files), small(method="sliding window", insist=True)))
    assert backbone_calls == []
    assert first(explaining.steps(*map(str, files), small())).method == "decomposition"


def test_a_black_box_beyond_the_budget_runs_no_mask(session, files, small, backbone_calls, monkeypatch):
    explaining = Explaining(session, Lanes(), Budget(100))
    monkeypatch.setattr(session, "needs_masks", lambda *_: True)
    with pytest.raises(SimvisError, match="a pair by sliding window"):
        first(explaining.steps(*map(str, files), small()))
    assert len(backbone_calls) == 2


def test_what_was_drawn_before_is_told_whatever_the_budget(session, files, small):
    settings = small(method="sliding window", insist=True)
    session.explain_fully(*files, settings)
    assert pairs.pair_json(first(Explaining(session, Lanes(), Budget(1)).steps(*map(str, files), settings)))


def test_a_row_of_measurements_beyond_the_budget_runs_nothing(session, files, built, backbone_calls):
    def registered():
        with gr.Blocks(analytics_enabled=False) as app:
            add_trust_api(session, budget=Budget(500))
        return next(function.fn for function in app.fns.values())

    trust = built(registered)
    how = ("tiny", "avg", 16, "whole", "a", "decomposition", "blur", "fixed")
    with pytest.raises(gr.Error, match="decomposition, measured at 16 pixels, about"):
        first(trust(*map(str, files), *how))
    with pytest.raises(gr.Error, match="explainer 'nope'"):
        first(trust(*map(str, files), *how[:5], "nope", *how[6:]))
    assert backbone_calls == []
