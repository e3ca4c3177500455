"""The Trust tab's handlers as plain functions: a row of measurements, stopping it, the slider, the sanity checks."""

import csv
import importlib.util
import io
import re
import zipfile
from dataclasses import fields, replace
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from gradio.helpers import special_args
from torch import nn

from simvis_app.api.trust import trust_steps
from simvis_app.page import choices
from simvis_app.page.address import address
from simvis_app.page.depth.door import DialDoor
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.pair.places import LookFields, PairFields
from simvis_app.page.parts.map_cards import UNIT, Cards, MapCard, MapCards
from simvis_app.page.trust import words
from simvis_app.page.trust.handlers import TrustHandlers
from simvis_app.page.trust.inputs import TrustQuestion, read
from simvis_app.page.trust.layout import laid_out
from simvis_app.page.trust.measurements import DEPTHS
from simvis_app.page.trust.rows import GLANCE
from simvis_app.page.trust.sharing import TrustSharing
from simvis_app.page.updates import unchanged
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.table import EXPLAINERS, DrawnMap
from simvis_core.steps import run
from simvis_core.trust.faithfulness import CURVE_STEPS, RemovalCurve, removal_curve
from simvis_core.trust.measuring import RANDOMS, Asked, Measured, question_of

VISITOR = SimpleNamespace(session_hash="me")
UNPINNED = {"key": "", "pin": None, "mode": "share", "ground": "colours"}


class Tab:
    """The tab over fields of its own; its events are handed what the page would hold, by the components' names."""

    def __init__(self, session, pictures, widgets):
        self.pictures, self.widgets = pictures, widgets
        self.handlers = TrustHandlers(session, widgets, DialDoor("tabs", "layer", "rule", "again"))
        self.sharing = TrustSharing(session, pictures, widgets)

    def held(self, asked, **values):
        held = {getattr(self.widgets.pair, one.name): getattr(asked, one.name) for one in fields(asked)}
        for name, value in ({"side": "a", "fill": "blur", "setting": "fixed", "seed": 0} | values).items():
            of = self.widgets.look if name in ("colours", "opacity", "viewer") else self.widgets
            held[getattr(of, name)] = value
        return held

    def show_pair(self, asked, **values):
        return self.handlers.show_pair(self.held(asked, **values), VISITOR)

    def measure(self, asked, explainers, visitor=VISITOR, **values):
        return self.handlers.measure(self.held(asked, explainers=explainers, **values), visitor)

    def measured(self, asked, explainers, **values):
        """The row's last answer over all those before, as the page has it then."""
        page = {}
        for answer in self.measure(asked, explainers, **values):
            page |= answer
        return page

    def glance(self, asked, explainers, **values):
        return list(self.handlers.glance(self.held(asked, explainers=explainers, **values), VISITOR))

    def remove(self, asked, order="decomposition", kind="deletion", percent=20, **values):
        held = self.held(asked, order=order, kind=kind, percent=percent, **values)
        changed = self.handlers.remove(held)
        assert list(changed) == [self.widgets.picture]
        return changed[self.widgets.picture]

    def show_closest(self, asked, **values):
        return self.handlers.show_closest(self.held(asked, **values))

    def sanity(self, asked, order="decomposition", **values):
        """What is said, one by one; of fill and setting the check is not told."""
        held = self.held(asked, order=order, **values)
        del held[self.widgets.fill], held[self.widgets.setting]
        return (told[self.widgets.checked] for told in self.handlers.sanity(held, VISITOR))

    def link(self, asked, **values):
        return self.sharing.link(self.held(asked, colours="blue-red", opacity=0.85, viewer=UNPINNED, **values))

    def export(self, asked, **values):
        return self.sharing.export(self.held(asked, colours="blue-red", opacity=0.85, viewer=UNPINNED, **values))


@pytest.fixture
def tab(session, tmp_path, built):
    def make():
        with gr.Blocks(analytics_enabled=False):
            return laid_out(*(kind(*(gr.State() for _ in fields(kind))) for kind in (PairFields, LookFields)))

    return Tab(session, LinkedPictures(tmp_path / "links"), built(make))


@pytest.fixture
def page(tab):
    return tab.widgets


@pytest.fixture
def asked(files):
    """What the Compare tab holds: the network's own stride decides the size."""
    return PairAsked(*map(str, files), "efficientnet_lite0", "avg", 3.0, 16, "whole", None)


@pytest.fixture
def eager(monkeypatch):
    """Every step is told."""
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)


def test_the_pair_of_the_compare_tab_is_named_with_its_score(tab, page, asked, pair):
    shown = tab.show_pair(asked, side="b", measured_for=None)
    assert list(shown) == [page.line]
    assert f"{pair.score:.3f}" in shown[page.line]
    assert shown[page.line].index("b.png") < shown[page.line].index("a.png")
    assert "two" in tab.show_pair(replace(asked, image_b=None), measured_for=None)[page.line]


def test_what_the_page_holds_is_read_by_its_meaning_and_the_rest_stays_as_it_opens(tab, page, asked):
    opened = choices.TRUST
    inputs = read(tab.held(asked, side="b", fill="grey", explainers=["rise"], seed=None, order="rise"), page)
    assert inputs.question == TrustQuestion(asked, "b", "grey", "fixed", None)
    assert (inputs.explainers, inputs.order, inputs.measured_for) == (("rise",), "rise", None)
    assert inputs.look == PairLook()
    bare = read({}, page).question
    assert [getattr(bare, name) for name in ("side", "fill", "setting", "seed")] == [
        opened[name].default for name in ("side", "fill", "setting", "seed")
    ]
    assert read({page.explainers: None}, page).explainers == ()
    assert list(page.places) == list(opened)


def test_results_of_another_question_leave_the_page_and_end(tab, page, asked, eager):
    running = tab.measure(asked, ["corr_rise"])
    question = next(running)[page.measured_for]
    assert list(tab.show_pair(asked, measured_for=question)) == [page.line]
    assert page.cards in next(running)
    for pair, changed in ((asked, {"side": "b"}), (asked, {"fill": "grey"}), (replace(asked, pooling="max"), {})):
        shown = tab.show_pair(pair, measured_for=question, **changed)
        assert set(shown) == set(page.results)
        assert shown[page.cards] is shown[page.measured_for] is None
        assert shown[page.table] == ""
        assert shown[page.order]["choices"] == []
        assert shown[page.stop]["visible"] is False
    assert list(running) == [unchanged()]


def test_a_row_is_drawn_measured_and_compared_with_chance(tab, page, asked, session, small, files):
    last = tab.measured(asked, ["decomposition", "corr_rise", "integrated_gradients"])
    assert set(last) == set(page.results)
    cards = last[page.cards].cards
    assert [card.name for card in cards] == ["decomposition", "integrated_gradients", "corr_rise", "centre", "random"]
    assert all(card.state == "" and card.cells is not None for card in cards)
    assert all(max(map(abs, card.cells)) == pytest.approx(1) for card in cards)
    assert [bool(card.verdict) for card in cards] == [True, True, True, False, False]
    assert last[page.progress] == ""
    assert last[page.stop] == {"visible": False, "__type__": "update"}
    question = question_of(session.explain(*files, small()), "a")
    steps = session.measuring(*files, small(), "a", Asked("corr_rise"))
    with pytest.raises(StopIteration) as end:
        next(steps)  # held: nothing is run again
    again = removal_curve(question, end.value.value.drawn.map, "deletion")
    assert f"<td>{again.auc:.3f}</td>" in last[page.table]
    assert len(last[page.plot].data) == 2 * 5
    assert len(last[page.agreement].data[0].z) == 3
    assert [name for _, name in last[page.order]["choices"]] == [card.name for card in cards]


def test_the_tab_opens_with_the_cheap_explainers_measured_in_few_steps(tab, page, asked, session, small, files):
    """Every map, and the baselines it stands beside, in the same few steps; a full measurement then goes first."""
    everything = ["decomposition", "grad_cam", "integrated_gradients", "rise"]
    first, begun, *_, last = tab.glance(asked, everything, measured_for=None)
    assert first == unchanged()
    assert [card.name for card in last[page.cards].cards] == ["decomposition", "grad_cam", "centre", "random"]
    assert all(card.cells is not None and card.state == "" for card in last[page.cards].cards)
    assert "11 steps" in last[page.progress]
    assert {len(trace.x) for trace in last[page.plot].data} == {GLANCE}
    assert begun[page.measured_for] == TrustQuestion(asked)
    assert tab.glance(asked, everything, measured_for=begun[page.measured_for]) == [unchanged()]
    assert tab.glance(asked, ["rise"], measured_for=None) == [unchanged()]
    assert tab.glance(replace(asked, image_a=None), everything, measured_for=None) == [unchanged()]
    shown = tab.remove(asked)
    quick, full = session.measured(*files, small(), "a", [Asked("decomposition", steps=GLANCE), Asked("decomposition")])
    assert full is None
    assert f"{float(quick.deletion.scores[2]):.3f}" in shown
    assert {len(trace.x) for trace in tab.measured(asked, ["decomposition"])[page.plot].data} == {CURVE_STEPS}


def test_maps_are_streamed_while_they_are_drawn(tab, page, asked, monkeypatch, eager):
    monkeypatch.setattr("simvis_core.explainers.masks.BATCH_PIXELS", 100 * 16 * 24)
    begun, *seen, ended = tab.measure(asked, ["corr_rise"])
    assert all(set(step) == {page.progress, page.stop, page.cards} for step in seen)
    drawing = [card for step in seen if (card := step[page.cards].cards[0]).state == "being drawn"]
    assert len({tuple(card.cells) for card in drawing if card.cells}) > 2
    shares = [float(re.search(r'progress value="([\d.]+)"', step[page.progress])[1]) for step in (begun, *seen)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert ended[page.progress] == ""


def test_other_questions_of_the_same_visitor_end_a_row(tab, page, asked, eager):
    older = tab.measure(asked, ["corr_rise"])
    next(older)
    newer = tab.measure(asked, ["decomposition"], side="b")
    next(newer)
    assert list(older) == [unchanged()]
    assert list(newer)[-1][page.table]


def test_a_stopped_row_says_so_to_the_end_and_keeps_what_is_measured(tab, page, asked, eager):
    """Gradio shows a generator's last step once more as it ends: it must not be progress."""
    stopped = tab.measure(asked, ["decomposition", "rise"])
    for step in stopped:
        if any(card.name == "rise" and card.state == "being drawn" for card in step[page.cards].cards):
            break
    assert "Stopping" in tab.handlers.stop(VISITOR)[page.progress]
    (last,) = stopped
    assert "Stopped" in last[page.progress]
    assert last[page.stop]["visible"] is False
    states = {card.name: card.state for card in last[page.cards].cards}
    assert states == {"decomposition": "", "rise": "stopped", "centre": "stopped", "random": "stopped"}
    assert "Decomposition" in last[page.table]
    assert last[page.summary] == ""


def test_another_visitors_row_goes_on(tab, page, asked, eager):
    mine = tab.measure(asked, ["decomposition"])
    next(mine)
    other = SimpleNamespace(session_hash="other")
    list(tab.measure(asked, ["decomposition"], visitor=other))
    tab.handlers.leave(other)
    assert list(mine)[-1][page.table]


def test_what_is_measured_once_is_not_run_again(tab, page, asked, backbone_calls):
    tab.measured(asked, ["decomposition", "sbsm"])
    before = len(backbone_calls)
    again = tab.measured(asked, ["decomposition", "sbsm"])
    assert len(backbone_calls) == before
    assert again[page.table]
    tab.measured(asked, ["decomposition"], fill="grey")
    assert len(backbone_calls) > before


def test_an_explainer_that_cannot_be_used_says_why_and_the_others_go_on(tab, page, asked):
    last = tab.measured(asked, ["attention_rollout", "decomposition"])
    by_name = {card.name: card for card in last[page.cards].cards}
    assert "attention" in by_name["attention_rollout"].state
    assert by_name["attention_rollout"].cells is None
    assert by_name["decomposition"].verdict
    assert "Attention rollout" not in last[page.table]


def test_when_none_can_be_drawn_the_summary_says_that(tab, page, asked):
    assert "None of the chosen explainers" in tab.measured(asked, ["attention_rollout"])[page.summary]


def test_a_newer_check_ends_an_older_one(tab, asked):
    older = tab.sanity(asked)
    next(older)
    newer = tab.sanity(asked, "grad_cam")
    next(newer)
    assert list(older) == []
    assert "Small shifts" in list(newer)[-1]


@pytest.mark.parametrize("chosen", [[], None, ["centre"], ["gone"]])
def test_nothing_chosen_is_a_sentence(tab, page, asked, chosen):
    (only,) = tab.measure(asked, chosen)
    assert set(only) == set(page.results)
    assert "no explainer" in only[page.progress]  # beside the button
    assert "a.png" in only[page.line]
    assert only[page.cards] is only[page.measured_for] is None


def test_a_missing_picture_is_a_sentence(tab, page, asked):
    (only,) = tab.measure(replace(asked, image_a=None), ["decomposition"])
    assert "Compare tab" in only[page.progress]
    assert page.line not in only


def test_the_slider_shows_what_was_measured(tab, asked, session, small, files):
    assert "not measured" in tab.remove(asked)
    tab.measured(asked, ["decomposition"])
    shown = tab.remove(asked)
    assert "not measured" in tab.remove(asked, side="b")
    for odd, even in ((-50, 0), (1e9, 100), (None, 0)):
        assert tab.remove(asked, percent=odd) == tab.remove(asked, percent=even)
    measured_one = run(session.measuring(*files, small(), "a", Asked("decomposition")))
    step = round(0.2 * (len(measured_one.deletion.shares) - 1))
    assert f">{float(measured_one.deletion.scores[step]):.3f}<" in shown
    assert 'src="data:image/jpeg;base64,' in shown
    every = {tab.remove(asked, kind=kind, percent=at) for kind in ("deletion", "insertion") for at in (0, 100)}
    assert len(every) == 4
    assert tab.remove(asked, order=None) == ""
    assert "two" in tab.remove(replace(asked, image_a=None))


def test_sanity_checks_one_explainer_step_by_step(tab, asked):
    *steps, last = tab.sanity(asked)
    assert len(steps) == 4
    assert "Random weights" in last
    assert "Small shifts" in last
    assert last.count("<tr>") == 5
    (refused,) = tab.sanity(asked, "rise")
    assert "2000 passes" in refused
    (nothing,) = tab.sanity(asked, None)
    assert "Measure a map first" in nothing


@pytest.mark.slow
def test_a_session_gives_gradients_beside_another_engine(files, small, monkeypatch):
    if importlib.util.find_spec("openvino") is None:  # not imported here: the engine sees to its telemetry first
        pytest.skip("openvino is missing")
    session = Session(engine="openvino")
    settings = small(short_side=64)
    assert session.network(settings.backbone).engine == "openvino"
    eager = session.eager(settings)
    assert eager.engine == "eager"
    assert session.eager(settings).backbone is eager.backbone
    found = run(session.measuring(*files, settings, "a", Asked("input_x_gradient", steps=3)))
    assert bool(found.drawn.map.isfinite().all())


def test_the_api_gives_the_pages_numbers(session, files, small):
    told = run(trust_steps(session, files, small(), "a", ["decomposition", "grad_cam"], ("mean", "fixed", 3)))
    one = run(session.measuring(*files, small(), "a", Asked("grad_cam", seed=3, fill="mean")))
    answer = told["maps"]["grad_cam"]
    assert answer["deletion"]["auc"] == one.deletion.auc
    assert answer["map"] == one.drawn.map.tolist()
    assert told["agreement"]["grad_cam"]["grad_cam"] == pytest.approx(1)
    assert len(told["random"]["gaps"]) == RANDOMS
    assert set(told["maps"]) == {"decomposition", "grad_cam"}
    assert answer["sum"] == pytest.approx(float(one.drawn.map.sum()))
    for wrong, sentence in (
        (("x", "fixed", 0), "fill 'x'"),
        (("blur", "x", 0), "setting 'x'"),
        (("blur", "fixed", 1e300), "seed"),
    ):
        with pytest.raises(SimvisError, match=sentence):
            run(trust_steps(session, files, small(), "a", ["decomposition"], wrong))


def test_an_export_holds_what_is_measured_of_the_pair_as_it_is_now(tab, page, asked, session, small, files):
    with pytest.raises(gr.Error, match="draw and measure first"):
        tab.export(asked, measured_for=None)
    shown = tab.measured(asked, ["decomposition", "input_x_gradient"])
    question = shown[page.measured_for]
    with pytest.raises(gr.Error, match="draw and measure first"):  # on this page nothing is measured
        tab.export(asked, measured_for=None)
    for wanted in (["decomposition"], []):  # what is ticked by now does not matter
        with zipfile.ZipFile(tab.export(asked, explainers=wanted, measured_for=question)) as archive:
            names = archive.namelist()
            table = list(csv.DictReader(io.StringIO(archive.read("measured.csv").decode())))
    assert [row["map"] for row in table][:3] == ["decomposition", "input_x_gradient", "centre"]
    assert len(table) == 3 + RANDOMS
    for row in table[:2]:
        numbers = f"<td>{row['compared'] or 'cannot be said'}</td><td>{float(row['difference']):.3f}</td>"
        assert numbers in shown[page.table]
    assert {f"{row['map']}.png" for row in table} < set(names)
    one = run(session.measuring(*files, small(), "a", Asked("input_x_gradient")))
    assert float(table[1]["difference"]) == one.gap
    for other in ({"side": "b"}, {"fill": "grey"}, {"seed": 1}):
        with pytest.raises(gr.Error, match="draw and measure first"):
            tab.export(asked, measured_for=question, **other)
    run(session.measuring(*files, small(), "b", Asked("decomposition")))  # as in a row that was stopped there
    with zipfile.ZipFile(tab.export(asked, side="b", measured_for=replace(question, side="b"))) as archive:
        assert [name for name in archive.namelist() if name.endswith(".png")] == ["decomposition.png"]
    gone = replace(asked, image_b=None)
    with pytest.raises(gr.Error, match="drop them on the Compare tab first"):
        tab.export(gone, measured_for=TrustQuestion(gone))


def test_a_link_names_the_tab_its_choices_and_pictures_that_are_kept(tab, asked):
    query = tab.link(asked, side="b", explainers=["rise", "decomposition"], fill="grey", setting="pair", seed=7)
    found, wrong = address.read(query)
    assert wrong == []
    assert tab.pictures.find(found.a).endswith(".png")
    assert (found.tab, found.side, found.fill, found.setting, found.seed) == ("Trust", "b", "grey", "pair", 7)
    assert found.explainers == ("rise", "decomposition")


def one_of(explainer, deletion, insertion):
    """A measurement with these scores at 0, 50 and 100 % of the pixels."""
    shares = torch.tensor([0, 0.5, 1], dtype=torch.float64)
    curves = [
        RemovalCurve(kind, shares, torch.tensor(scores, dtype=torch.float64))
        for kind, scores in (("insertion", insertion), ("deletion", deletion))
    ]
    drawn = DrawnMap(torch.zeros(2, 2, dtype=torch.float64), explainer, 1, 0.5)
    return Measured(Asked(explainer), drawn, *curves)


LOW, HIGH = one_of("rise", [0.6, 0.3, 0.2], [0.2, 0.4, 0.6]), one_of("lime", [0.6, 0.3, 0.2], [0.2, 0.9, 0.6])
CENTRE = one_of("centre", [0.6, 0.4, 0.2], [0.2, 0.44, 0.6])
RANDOM_GAPS = [-0.1, 0.0, 0.1]  # above 0.2 is clearly better


def test_the_summary_names_the_limit_and_claims_nothing_where_no_map_passes():
    measured = {"rise": LOW, "lime": HIGH, "centre": CENTRE}
    text = words.summary({"rise": "no better than chance", "lime": "better than chance"}, measured, RANDOM_GAPS)
    assert "<b>LIME</b> does better than chance" in text
    assert "The score follows <b>LIME</b> most closely: it is 0.300 higher" in text
    assert "-0.100 to 0.100 for 3 random maps (above 0.200 counts as clearly better than those, which" in text
    text = words.summary({"rise": "no better than chance"}, {"rise": LOW, "centre": CENTRE}, RANDOM_GAPS)
    assert "none of these maps" in text
    assert "follows" not in text
    assert "The nearest is <b>RISE</b>: it is 0.050 higher" in text
    assert "Mind" not in text


def test_the_summary_warns_where_the_picture_scores_no_more_than_its_fill():
    rising = one_of("rise", [0.14, 0.1, 0.19], [0.19, 0.3, 0.14])
    text = words.summary({"rise": "better than chance"}, {"rise": rising, "centre": CENTRE}, RANDOM_GAPS)
    assert "with every pixel replaced the score is 0.190, with the whole picture 0.140" in text


def test_maps_that_order_the_places_alike_are_told_to_be_one():
    twin = one_of("sbsm", [0.6, 0.3, 0.2], [0.2, 0.4, 0.6])
    found = dict.fromkeys(("rise", "lime", "sbsm"), "better than chance")
    text = words.summary(found, {"rise": LOW, "lime": HIGH, "sbsm": twin, "centre": CENTRE}, RANDOM_GAPS)
    assert "RISE and SBSM order the places alike here." in text
    assert text.count("alike") == 1


def test_depths_are_named_beside_each_other_where_there_are_several():
    found = {"decomposition_bias": "better than chance", "path_at_depth_2": "better than chance", "rise": None}
    lower, higher = (one_of(name, [0.6, 0.3, 0.2], [0.2, up, 0.6]) for name, up in zip(found, (0.8, 0.9), strict=False))
    measured = {"decomposition_bias": lower, "path_at_depth_2": higher, "centre": CENTRE}
    text = words.summary({name: found[name] for name in list(found)[:2]}, measured, RANDOM_GAPS)
    told = "0.250 at depth 0 (2 x 2 cells), 0.300 at depth 2 (2 x 2 cells)"
    assert f"Of the depths, <b>depth 2</b> is followed most closely: {told}." in text
    alone = {"path_at_depth_2": higher, "rise": LOW, "centre": CENTRE}
    assert "depth" not in words.summary({"rise": "no better than chance"}, alone, RANDOM_GAPS)


def test_every_depth_is_added_to_what_is_chosen(tab, page):
    told = tab.handlers.add_depths({page.explainers: ["rise", "path_at_depth_2"]})
    assert told == {page.explainers: [*DEPTHS, "rise"]}
    assert DEPTHS == ("decomposition_bias", "path_at_depth_1", "path_at_depth_2", "path_at_depth_3")


def test_the_button_shows_the_depth_that_it_names_the_one_the_summary_names(tab, page, asked):
    names = ["decomposition_bias", "path_at_depth_1"]
    shown = tab.measured(asked, [*names, "rise"])
    button = shown[page.closest]
    assert button["visible"]
    [best] = re.findall(r"<b>depth (\d)</b> is followed most closely", shown[page.summary])
    assert button["value"] == f"Show depth {best} in Compare"
    for depth, layer in (("0", False), ("1", True)):
        turned = tab.show_closest(asked, closest=f"Show depth {depth} in Compare")
        assert (bool(turned["layer"]), turned["rule"]) == (layer, "path")
        assert turned["tabs"]["selected"] == "Compare"
        assert turned["again"]


def test_a_button_that_names_no_depth_shows_none(tab, page, asked):
    shown = tab.measured(asked, ["decomposition_bias", "rise"])
    assert (shown[page.closest]["visible"], shown[page.closest]["value"]) == (False, "")
    for button in ("", "Show depth 9 in Compare", None):
        with pytest.raises(gr.Error, match="draw and measure two or more first"):
            tab.show_closest(asked, closest=button)


def test_a_map_without_baselines_is_not_compared_and_a_flat_one_cannot_be():
    assert words.UNCOMPARED in words.table({"rise": LOW}, {})
    assert "cannot be said" in words.table({"rise": LOW}, {"rise": None})
    assert "<td>better than chance</td>" in words.table({"rise": LOW}, {"rise": "better than chance"})


def test_baselines_can_be_watched_under_any_seed_and_not_checked(tab, asked):
    tab.measured(asked, ["decomposition"], seed=3)
    for name in ("decomposition", "centre", "random"):
        assert "pixels taken away" in tab.remove(asked, name, seed=3)
    for name in ("centre", "random"):
        assert "which no network draws" in next(tab.sanity(asked, name, seed=3))


def test_a_seed_that_is_none_is_told_wherever_it_is_used(tab, page, asked):
    for wrong in (-1, 1.5, 1e12, float("nan")):
        (refused,) = tab.measure(asked, ["decomposition"], seed=wrong)
        assert "a whole number from 0 to 2147483647" in refused[page.progress]
        assert "whole number" in tab.remove(asked, seed=wrong)
        assert "whole number" in next(tab.sanity(asked, seed=wrong))
        with pytest.raises(gr.Error, match="whole number"):
            tab.link(asked, explainers=[], seed=wrong)
    query = tab.link(asked, explainers=[], seed=None)  # an emptied field
    assert address.read(query)[0].seed == 0


def test_hostile_names_are_texts(tab, page, asked, files):
    hostile = files[0].with_name("<img src=x onerror=alert(1)>.png")
    files[0].rename(hostile)
    line = tab.show_pair(replace(asked, image_a=str(hostile)), measured_for=None)[page.line]
    assert "<img" not in line
    assert "&lt;img" in line


def test_cards_travel_in_steps_of_their_own_scale(tmp_path, pair):
    from simvis_app.page.parts.files import picture_file

    card = MapCard("rise", "RISE", "Petsiuk 2018", "", (1, 3), [-1.0, 0.0, 0.5], ("a", "b"), "good", True)
    data = MapCards().postprocess(Cards(picture_file(pair.view_a), 1.5, [card]))
    assert data.unit == UNIT
    assert data.cards[0].facts == ["a", "b"]
    import base64

    steps = [int.from_bytes(base64.b64decode(data.cards[0].cells)[i : i + 2], "little", signed=True) for i in (0, 2, 4)]
    assert steps == [-32767, 0, round(32767 / 2)]
    assert MapCards().postprocess(None).cards == ()
    assert MapCards().preprocess({"cards": [1]}) is None


@pytest.mark.parametrize("name", EXPLAINERS)
def test_every_explainer_has_words(name):
    assert words.title(name) == EXPLAINERS[name].title
    assert EXPLAINERS[name].unit
    assert EXPLAINERS[name].paper


def test_a_picture_that_scores_like_its_fill_is_a_sentence(tab, page, asked, tiny_network, monkeypatch):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, pixels):
            return (pixels.mean(1, keepdim=True) * 0 + self.weight).expand(-1, 6, -1, -1)[:, :, ::8, ::8]

    monkeypatch.setattr(tiny_network, "backbone", Blind().eval())
    last = tab.measured(asked, ["decomposition", "integrated_gradients"])
    assert "Cannot be said" in last[page.summary]
    assert "nan" not in last[page.table].lower()
    assert "none" in last[page.table]
    assert all(card.verdict == words.UNKNOWN for card in last[page.cards].cards[:2])


def test_gradio_hands_the_request_to_every_event_that_asks_who_it_is(tab):
    """Else nobody would be told apart, and one visitor would stop another's row."""
    events = tab.handlers
    for event in (events.show_pair, events.glance, events.measure, events.sanity, events.stop, events.leave):
        request = gr.Request()
        given, *_ = special_args(event, [] if event in (events.stop, events.leave) else [{}], request)
        assert given[-1] is request
