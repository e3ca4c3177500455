"""The Trust tab's handlers as plain functions: a row of measurements, stopping it, the slider, the sanity checks."""

import csv
import io
import re
import zipfile
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from gradio.helpers import special_args
from torch import nn

from simvis_app.api.trust import trust_steps
from simvis_app.page.address import address
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.map_cards import UNIT, Cards, MapCard, MapCards
from simvis_app.page.trust import words
from simvis_app.page.trust.handlers import GLANCE, TrustHandlers
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.table import EXPLAINERS, DrawnMap
from simvis_core.steps import run
from simvis_core.trust.faithfulness import CURVE_STEPS, RemovalCurve, removal_curve
from simvis_core.trust.measuring import RANDOMS, Asked, Measured, question_of

LINE, PROGRESS, STOP, CARDS, SUMMARY, PLOT, TABLE, AGREEMENT, ORDER, PICTURE, QUESTION = range(11)
HOW = ("blur", "fixed", 0)
VISITOR = SimpleNamespace(session_hash="me")
UNPINNED = {"pin": None, "mode": "share"}


@pytest.fixture
def tab(session, tmp_path):
    return TrustHandlers(Handlers(session, LinkedPictures(tmp_path / "links")))


@pytest.fixture
def asked(files):
    """What the Compare tab holds: the network's own stride decides the size."""
    return [*map(str, files), "efficientnet_lite0", "avg", 3.0, 16, "whole", None]


def measured(tab, asked, chosen, side="a", fill="blur", setting="fixed", seed=0):
    return list(tab.measure(VISITOR, *asked, side, chosen, fill, setting, seed))


def test_the_pair_of_the_compare_tab_is_named_with_its_score(tab, asked, pair):
    line = tab.show_pair(VISITOR, *asked, "b", *HOW, "")[LINE]
    assert f"{pair.score:.3f}" in line
    assert line.index("b.png") < line.index("a.png")
    asked[1] = None
    assert "two" in tab.show_pair(VISITOR, *asked, "a", *HOW, "")[LINE]


def test_results_of_another_question_leave_the_page_and_end(tab, asked, monkeypatch):
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)
    running = tab.measure(VISITOR, *asked, "a", ["corr_rise"], *HOW)
    question = next(running)[QUESTION]
    same = tab.show_pair(VISITOR, *asked, "a", *HOW, question)
    assert all(value == gr.skip() for value in same[1:])
    assert next(running)
    for changed in ((*asked, "b", *HOW), (*asked, "a", "grey", "fixed", 0), (*asked[:3], "max", *asked[4:], "a", *HOW)):
        shown = tab.show_pair(VISITOR, *changed, question)
        assert shown[CARDS] is None
        assert shown[TABLE] == shown[QUESTION] == ""
        assert shown[ORDER]["choices"] == []
    assert list(running) == [[gr.skip()] * 11]


def test_a_row_is_drawn_measured_and_compared_with_chance(tab, asked, session, small, files):
    *_, last = measured(tab, asked, ["decomposition", "corr_rise", "integrated_gradients"])
    cards = last[CARDS].cards
    assert [card.name for card in cards] == ["decomposition", "integrated_gradients", "corr_rise", "centre", "random"]
    assert all(card.state == "" and card.cells is not None for card in cards)
    assert all(max(map(abs, card.cells)) == pytest.approx(1) for card in cards)
    assert [bool(card.verdict) for card in cards] == [True, True, True, False, False]
    assert last[PROGRESS] == ""
    assert last[STOP] == {"visible": False, "__type__": "update"}
    question = question_of(session.explain(*files, small()), "a")
    steps = session.measuring(*files, small(), "a", Asked("corr_rise"))
    with pytest.raises(StopIteration) as end:
        next(steps)  # held: nothing is run again
    again = removal_curve(question, end.value.value.drawn.map, "deletion")
    assert f"<td>{again.auc:.3f}</td>" in last[TABLE]
    assert len(last[PLOT].data) == 2 * 5
    assert len(last[AGREEMENT].data[0].z) == 3
    assert [name for _, name in last[ORDER]["choices"]] == [card.name for card in cards]


def test_the_tab_opens_with_the_cheap_explainers_measured_in_few_steps(tab, asked, session, small, files):
    """Every map, and the baselines it stands beside, in the same few steps; a full measurement then goes first."""
    everything = ["decomposition", "grad_cam", "integrated_gradients", "rise"]
    *_, last = tab.glance(VISITOR, *asked, "a", everything, *HOW, "")
    assert [card.name for card in last[CARDS].cards] == ["decomposition", "grad_cam", "centre", "random"]
    assert all(card.cells is not None and card.state == "" for card in last[CARDS].cards)
    assert "11 steps" in last[PROGRESS]
    assert {len(trace.x) for trace in last[PLOT].data} == {GLANCE}
    question = last[QUESTION]
    assert list(tab.glance(VISITOR, *asked, "a", everything, *HOW, question)) == [[gr.skip()] * 11]
    assert list(tab.glance(VISITOR, *asked, "a", ["rise"], *HOW, "")) == [[gr.skip()] * 11]
    assert list(tab.glance(VISITOR, None, *asked[1:], "a", everything, *HOW, "")) == [[gr.skip()] * 11]
    shown = tab.remove(*asked, "a", *HOW, "decomposition", "deletion", 20)
    quick, full = session.measured(*files, small(), "a", [Asked("decomposition", steps=GLANCE), Asked("decomposition")])
    assert full is None
    assert f"{float(quick.deletion.scores[2]):.3f}" in shown
    *_, last = measured(tab, asked, ["decomposition"])
    assert {len(trace.x) for trace in last[PLOT].data} == {CURVE_STEPS}


def test_maps_are_streamed_while_they_are_drawn(tab, asked, monkeypatch):
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)
    monkeypatch.setattr("simvis_core.explainers.masks.BATCH_PIXELS", 100 * 16 * 24)
    seen = measured(tab, asked, ["corr_rise"])
    states = [step[CARDS].cards[0] for step in seen if isinstance(step[CARDS], Cards)]
    drawing = [card for card in states if card.state == "being drawn"]
    assert len({tuple(card.cells) for card in drawing if card.cells}) > 2
    shares = [float(found[1]) for step in seen if (found := re.search(r'progress value="([\d.]+)"', step[PROGRESS]))]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1


def test_other_questions_of_the_same_visitor_end_a_row(tab, asked, monkeypatch):
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)
    older = tab.measure(VISITOR, *asked, "a", ["corr_rise"], "blur", "fixed", 0)
    next(older)
    newer = tab.measure(VISITOR, *asked, "b", ["decomposition"], "blur", "fixed", 0)
    next(newer)
    assert list(older) == [[gr.skip()] * 11]
    assert list(newer)[-1][TABLE]


def test_a_stopped_row_says_so_to_the_end_and_keeps_what_is_measured(tab, asked, monkeypatch):
    """Gradio shows a generator's last step once more as it ends: it must not be progress."""
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)
    stopped = tab.measure(VISITOR, *asked, "a", ["decomposition", "rise"], "blur", "fixed", 0)
    for step in stopped:
        cards = step[CARDS].cards if isinstance(step[CARDS], Cards) else []
        if any(card.name == "rise" and card.state == "being drawn" for card in cards):
            break
    assert "Stopping" in tab.stop(VISITOR)[0]
    (last,) = stopped
    assert "Stopped" in last[PROGRESS]
    assert last[STOP]["visible"] is False
    states = {card.name: card.state for card in last[CARDS].cards}
    assert states == {"decomposition": "", "rise": "stopped", "centre": "stopped", "random": "stopped"}
    assert "Decomposition" in last[TABLE]
    assert last[SUMMARY] == ""


def test_another_visitors_row_goes_on(tab, asked, monkeypatch):
    monkeypatch.setattr("simvis_app.page.trust.handlers.PAUSE", -1.0)
    mine = tab.measure(VISITOR, *asked, "a", ["decomposition"], "blur", "fixed", 0)
    next(mine)
    other = SimpleNamespace(session_hash="other")
    list(tab.measure(other, *asked, "a", ["decomposition"], "blur", "fixed", 0))
    tab.leave(other)
    assert list(mine)[-1][TABLE]


def test_what_is_measured_once_is_not_run_again(tab, asked, backbone_calls):
    measured(tab, asked, ["decomposition", "sbsm"])
    before = len(backbone_calls)
    again = measured(tab, asked, ["decomposition", "sbsm"])[-1]
    assert len(backbone_calls) == before
    assert again[TABLE]
    measured(tab, asked, ["decomposition"], fill="grey")
    assert len(backbone_calls) > before


def test_an_explainer_that_cannot_be_used_says_why_and_the_others_go_on(tab, asked):
    *_, last = measured(tab, asked, ["attention_rollout", "decomposition"])
    by_name = {card.name: card for card in last[CARDS].cards}
    assert "attention" in by_name["attention_rollout"].state
    assert by_name["attention_rollout"].cells is None
    assert by_name["decomposition"].verdict
    assert "Attention rollout" not in last[TABLE]


def test_when_none_can_be_drawn_the_summary_says_that(tab, asked):
    *_, last = measured(tab, asked, ["attention_rollout"])
    assert "None of the chosen explainers" in last[SUMMARY]


def test_a_newer_check_ends_an_older_one(tab, asked):
    older = tab.sanity(VISITOR, *asked, "a", 0, "decomposition")
    next(older)
    newer = tab.sanity(VISITOR, *asked, "a", 0, "grad_cam")
    next(newer)
    assert list(older) == []
    assert "Small shifts" in list(newer)[-1]


@pytest.mark.parametrize("chosen", [[], None, ["centre"], ["gone"]])
def test_nothing_chosen_is_a_sentence(tab, asked, chosen):
    (only,) = measured(tab, asked, chosen)
    assert "no explainer" in only[PROGRESS]  # beside the button
    assert "a.png" in only[LINE]
    assert only[CARDS] is None


def test_a_missing_picture_is_a_sentence(tab, asked):
    asked[0] = None
    (only,) = measured(tab, asked, ["decomposition"])
    assert "Compare tab" in only[PROGRESS]


def test_the_slider_shows_what_was_measured(tab, asked, session, small, files):
    how = ("blur", "fixed", 0)
    assert "not measured" in tab.remove(*asked, "a", *how, "decomposition", "deletion", 20)
    measured(tab, asked, ["decomposition"])
    shown = tab.remove(*asked, "a", *how, "decomposition", "deletion", 20)
    assert "not measured" in tab.remove(*asked, "b", *how, "decomposition", "deletion", 20)
    for odd, even in ((-50, 0), (1e9, 100), (None, 0)):
        assert tab.remove(*asked, "a", *how, "decomposition", "deletion", odd) == tab.remove(
            *asked, "a", *how, "decomposition", "deletion", even
        )
    measured_one = run(session.measuring(*files, small(), "a", Asked("decomposition")))
    step = round(0.2 * (len(measured_one.deletion.shares) - 1))
    assert f">{float(measured_one.deletion.scores[step]):.3f}<" in shown
    assert 'src="data:image/jpeg;base64,' in shown
    every = {
        tab.remove(*asked, "a", *how, "decomposition", kind, at)
        for kind in ("deletion", "insertion")
        for at in (0, 100)
    }
    assert len(every) == 4
    assert tab.remove(*asked, "a", *how, None, "deletion", 20) == ""
    asked[0] = None
    assert "two" in tab.remove(*asked, "a", *how, "decomposition", "deletion", 20)


def test_sanity_checks_one_explainer_step_by_step(tab, asked):
    *steps, last = tab.sanity(None, *asked, "a", 0, "decomposition")
    assert len(steps) == 4
    assert "Random weights" in last
    assert "Small shifts" in last
    assert last.count("<tr>") == 5
    (refused,) = tab.sanity(None, *asked, "a", 0, "rise")
    assert "2000 passes" in refused
    (nothing,) = tab.sanity(None, *asked, "a", 0, None)
    assert "Measure a map first" in nothing


def test_a_session_gives_gradients_beside_another_engine(files, small, monkeypatch):
    pytest.importorskip("openvino")
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


def test_an_export_holds_what_is_measured_of_the_pair_as_it_is_now(tab, asked, session, small, files):
    look = ["blue-red", 0.85, UNPINNED]
    with pytest.raises(gr.Error, match="draw and measure first"):
        tab.export(*asked, *look, "a", ["decomposition"], *HOW, "")
    *_, shown = measured(tab, asked, ["decomposition", "input_x_gradient"])
    question = shown[QUESTION]
    with pytest.raises(gr.Error, match="draw and measure first"):  # on this page nothing is measured
        tab.export(*asked, *look, "a", ["decomposition"], *HOW, "")
    for wanted in (["decomposition"], []):  # what is ticked by now does not matter
        with zipfile.ZipFile(tab.export(*asked, *look, "a", wanted, *HOW, question)) as archive:
            names = archive.namelist()
            table = list(csv.DictReader(io.StringIO(archive.read("measured.csv").decode())))
    assert [row["map"] for row in table][:3] == ["decomposition", "input_x_gradient", "centre"]
    assert len(table) == 3 + RANDOMS
    for row in table[:2]:
        assert f"<td>{row['compared'] or 'cannot be said'}</td><td>{float(row['difference']):.3f}</td>" in shown[TABLE]
    assert {f"{row['map']}.png" for row in table} < set(names)
    one = run(session.measuring(*files, small(), "a", Asked("input_x_gradient")))
    assert float(table[1]["difference"]) == one.gap
    for other in (("b", [], *HOW), ("a", [], "grey", "fixed", 0), ("a", [], "blur", "fixed", 1)):
        with pytest.raises(gr.Error, match="draw and measure first"):
            tab.export(*asked, *look, *other, question)
    run(session.measuring(*files, small(), "b", Asked("decomposition")))  # as in a row that was stopped there
    question = question.replace("'a', 'blur'", "'b', 'blur'")
    with zipfile.ZipFile(tab.export(*asked, *look, "b", [], *HOW, question)) as archive:
        assert [name for name in archive.namelist() if name.endswith(".png")] == ["decomposition.png"]
    asked[1] = None
    with pytest.raises(gr.Error, match="draw and measure first"):
        tab.export(*asked, *look, "a", [], *HOW, question)


def test_a_link_names_the_tab_its_choices_and_pictures_that_are_kept(tab, asked):
    query = tab.link(*asked, "blue-red", 0.85, UNPINNED, "b", ["rise", "decomposition"], "grey", "pair", 7)
    found, wrong = address.read(query)
    assert wrong == []
    assert tab.compare.pictures.find(found.a).endswith(".png")
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
    assert "-0.100 to 0.100 for 3 random maps (above 0.200 counts as clearly better than those)" in text
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


def test_a_map_without_baselines_is_not_compared_and_a_flat_one_cannot_be():
    assert words.UNCOMPARED in words.table({"rise": LOW}, {})
    assert "cannot be said" in words.table({"rise": LOW}, {"rise": None})
    assert "<td>better than chance</td>" in words.table({"rise": LOW}, {"rise": "better than chance"})


def test_baselines_can_be_watched_under_any_seed_and_not_checked(tab, asked):
    measured(tab, asked, ["decomposition"], seed=3)
    for name in ("decomposition", "centre", "random"):
        assert "pixels taken away" in tab.remove(*asked, "a", "blur", "fixed", 3, name, "deletion", 20)
    for name in ("centre", "random"):
        assert "which no network draws" in next(tab.sanity(None, *asked, "a", 3, name))


def test_a_seed_that_is_none_is_told_wherever_it_is_used(tab, asked):
    for wrong in (-1, 1.5, 1e12, float("nan")):
        (refused,) = measured(tab, asked, ["decomposition"], seed=wrong)
        assert "a whole number from 0 to 2147483647" in refused[PROGRESS]
        assert "whole number" in tab.remove(*asked, "a", "blur", "fixed", wrong, "decomposition", "deletion", 20)
        assert "whole number" in next(tab.sanity(None, *asked, "a", wrong, "decomposition"))
        with pytest.raises(gr.Error, match="whole number"):
            tab.link(*asked, "blue-red", 0.85, UNPINNED, "a", [], "blur", "fixed", wrong)
    query = tab.link(*asked, "blue-red", 0.85, UNPINNED, "a", [], "blur", "fixed", None)  # an emptied field
    assert address.read(query)[0].seed == 0


def test_hostile_names_are_texts(tab, asked, files):
    hostile = files[0].with_name("<img src=x onerror=alert(1)>.png")
    files[0].rename(hostile)
    asked[0] = str(hostile)
    line = tab.show_pair(VISITOR, *asked, "a", *HOW, "")[LINE]
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


def test_a_picture_that_scores_like_its_fill_is_a_sentence(tab, asked, tiny_network, monkeypatch):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, pixels):
            return (pixels.mean(1, keepdim=True) * 0 + self.weight).expand(-1, 6, -1, -1)[:, :, ::8, ::8]

    monkeypatch.setattr(tiny_network, "backbone", Blind().eval())
    *_, last = measured(tab, asked, ["decomposition", "integrated_gradients"])
    assert "Cannot be said" in last[SUMMARY]
    assert "nan" not in last[TABLE].lower()
    assert "none" in last[TABLE]
    assert all(card.verdict == words.UNKNOWN for card in last[CARDS].cards[:2])


def test_gradio_hands_the_request_to_every_event_that_asks_who_it_is(tab):
    """By place: behind ``*values`` nobody would be told apart, and one visitor would stop another's row."""
    for event in (tab.show_pair, tab.measure, tab.sanity, tab.stop, tab.leave):
        request = gr.Request()
        given, *_ = special_args(event, ["value"] if event not in (tab.stop, tab.leave) else [], request)
        assert given[0] is request
