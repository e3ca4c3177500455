"""What the Trust tab's events answer, and what each answer changes on the page."""

import time
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.map_cards import Cards
from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_app.page.trust.layout import Widgets
from simvis_app.page.trust.rows import DRAWN, WAITING, MeasuredRow, RowStep
from simvis_app.page.updates import Updates
from simvis_app.service import words
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.galleries.figures import score_figure
from simvis_core.trust.depths import closest_depth
from simvis_core.trust.figures import removal_figure
from simvis_core.trust.measuring import Better, Doing
from simvis_core.trust.sanity import agreement_matrix

ITS: dict[Doing, float] = {"drawing": 0.6, "insertion": 0.2, "deletion": 0.2}  # share of one measurement's bar
BEFORE: dict[Doing, float] = {"drawing": 0.0, "insertion": 0.6, "deletion": 0.8}
QUEUED = "waiting for its turn"
GOOD: dict[Better | None, bool | None] = {
    "better than chance": True,
    "no better than chance": False,
    "worse than chance": False,
}  # good news, bad news; anything else is something between


@dataclass(frozen=True)
class PairTold:
    """The pair's line; ``emptied`` where what is on the page was measured for another question."""

    line: str
    emptied: bool


@dataclass(frozen=True)
class RowRefused:
    """Why nothing is measured; ``line`` says of what, where that is known."""

    reason: str
    line: str | None = None


@dataclass(frozen=True)
class RowBegun:
    """A row that waits for its turn, and the question it is measured for."""

    line: str
    row: MeasuredRow
    question: TrustQuestion


@dataclass(frozen=True)
class RowUnderWay:
    """How far a row is."""

    row: MeasuredRow
    step: RowStep


@dataclass(frozen=True)
class RowEnded:
    """A row at its end, or where its visitor has ``stopped`` it; ``said`` stands in the place of its progress."""

    row: MeasuredRow
    said: str = ""
    stopped: bool = False


TrustAnswer = PairTold | RowRefused | RowBegun | RowUnderWay | RowEnded


def shown(answer: TrustAnswer, widgets: Widgets) -> Updates:
    """What the answer changes on the page."""
    match answer:
        case PairTold(line, emptied):
            return {widgets.line: line} | (_idle(widgets) | _emptied(widgets) if emptied else {})
        case RowRefused(reason, line):
            told = {} if line is None else {widgets.line: line}
            return told | _idle(widgets, words.notice(reason)) | _emptied(widgets)
        case RowBegun():
            return _begun(answer, widgets)
        case RowUnderWay(row, step):
            return _busy(widgets, _progress(row, step), row)
        case RowEnded(row, said, stopped):
            return _idle(widgets, said) | {widgets.cards: _cards(row, stopped)} | _results(row, widgets)


def _idle(widgets: Widgets, said: str = "") -> Updates:
    return {widgets.progress: said, widgets.stop: gr.update(visible=False)}


def _busy(widgets: Widgets, progress: str, row: MeasuredRow) -> Updates:
    return {widgets.progress: progress, widgets.stop: gr.update(visible=True), widgets.cards: _cards(row)}


def _emptied(widgets: Widgets) -> Updates:
    """Nothing of a row, and of no question."""
    return {
        widgets.cards: None,
        widgets.summary: "",
        widgets.plot: None,
        widgets.table: "",
        widgets.closest: gr.update(visible=False),
        widgets.agreement: None,
        widgets.order: gr.update(choices=[], value=None),
        widgets.picture: "",
        widgets.measured_for: None,
    }


def _begun(answer: RowBegun, widgets: Widgets) -> Updates:
    waiting = trust_words.progress(QUEUED, 0, len(answer.row.asked), 0.0, 0.0)
    told = {widgets.line: answer.line, widgets.measured_for: answer.question}
    return _emptied(widgets) | told | _busy(widgets, waiting, answer.row)


def _progress(row: MeasuredRow, step: RowStep) -> str:
    part, title = step.part, trust_words.title(step.name)
    seconds = time.monotonic() - row.started
    if part is None:
        return trust_words.progress(title, row.done, len(row.asked), 0.0, seconds)
    share = BEFORE[part.doing] + ITS[part.doing] * part.interim.done / max(part.interim.total, 1)
    doing = f"{title}: {trust_words.DOING[part.doing]}"
    return trust_words.progress(doing, row.done, len(row.asked), share, seconds)


def _results(row: MeasuredRow, widgets: Widgets) -> Updates:
    """Everything measured, the maps to remove pixels by, and an emptied picture of the removal."""
    found, whole = row.found, row.done == len(row.asked)
    curves = {
        trust_words.title(name): {"insertion": one.insertion, "deletion": one.deletion}
        for name, one in row.measured.items()
    }
    faint = [trust_words.title(name) for name in row.measured if EXPLAINERS[name].baseline]
    listed = [(trust_words.title(name), name) for name in row.measured]
    randoms = [one.gap for one in row.randoms]
    return {
        widgets.summary: trust_words.summary(found, row.measured, randoms) if whole else "",
        widgets.plot: removal_figure(curves, faint) if curves else None,
        widgets.table: trust_words.table(row.measured, found),
        widgets.closest: _closest(row) if whole else gr.update(visible=False),
        widgets.agreement: _agreement(row),
        widgets.order: gr.update(choices=listed, value=listed[0][1] if listed else None),
        widgets.picture: "",
    }


def _closest(row: MeasuredRow) -> Any:
    """The button that shows the depth of the row that is followed most closely; hidden for fewer than two depths."""
    best = closest_depth(row.measured)
    return gr.update(visible=best is not None, value="" if best is None else trust_words.shows_depth(best))


def _agreement(row: MeasuredRow) -> Any:
    """The rank correlations between the chosen maps; nothing for one map alone."""
    maps = {name: one.drawn.map for name, one in row.measured.items() if not EXPLAINERS[name].baseline}
    if len(maps) < 2:
        return None
    return score_figure(agreement_matrix(maps), [trust_words.title(name) for name in maps], "rank correlation")


def _cards(row: MeasuredRow, stopped: bool = False) -> Cards:
    found = row.found
    cards = [
        replace(card, verdict=trust_words.verdict(found[name]), better=GOOD.get(found[name])) if name in found else card
        for name, card in row.cards.items()
    ]
    if stopped:
        cards = [replace(card, state="stopped") if card.state in (WAITING, DRAWN) else card for card in cards]
    return Cards(picture_file(row.question.view), row.question.view.aspect, cards)
