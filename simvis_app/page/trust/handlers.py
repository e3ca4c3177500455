"""What the Trust tab's events do: what the page holds in, what changes on it out."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import gradio as gr

from simvis_app.page.depth.door import DialDoor
from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.answers import PairTold, RowBegun, RowEnded, RowRefused, RowUnderWay, TrustAnswer, shown
from simvis_app.page.trust.inputs import TrustInputs, read
from simvis_app.page.trust.layout import Widgets
from simvis_app.page.trust.measurements import DEPTHS, Measurements
from simvis_app.page.trust.one_map import checked, removal, removal_html
from simvis_app.page.trust.rows import GLANCE, MeasuredRow, row_of
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.page.visits import visitor_of
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.trust.faithfulness import CURVE_STEPS

CHEAP = 1  # passes of an explainer that is among it
PAUSE = 0.3  # seconds between two answers while something is being drawn


class TrustHandlers:
    """What the tab's events do; `Widgets.results` may change by those about a row."""

    def __init__(self, session: Session, widgets: Widgets, compare: DialDoor) -> None:
        self.session, self.widgets, self.measurements = session, widgets, Measurements(session)
        self.compare = compare

    def show_pair(self, values: Values, request: gr.Request | None = None) -> Updates:
        """The pair's line; and where what is on the page was measured for another question, nothing more of it.

        The question before goes on no longer.
        """
        inputs = read(values, self.widgets)
        try:
            line = self.measurements.line(inputs.question)
        except SimvisError as error:
            line = words.notice(str(error))
        emptied = inputs.measured_for not in (None, inputs.question)
        if emptied:
            self.session.ask(_visitor(request), ("another question",))
        return shown(PairTold(line, emptied), self.widgets)

    def glance(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """What the tab opens with: the cheap ones of the chosen explainers, measured in few steps; see `measure`.

        Nothing changes where the question on the page is measured already, or none of the chosen ones is cheap.
        """
        inputs = read(values, self.widgets)
        cheap = [name for name in inputs.explainers if name in EXPLAINERS and EXPLAINERS[name].passes <= CHEAP]
        yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
        if inputs.measured_for or not cheap or inputs.question.pair.files is None:
            return
        yield from self._row(replace(inputs, explainers=tuple(cheap)), GLANCE, request)

    def measure(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """Draws and measures the chosen explainers, then the baselines, step by step.

        It ends when its visitor measures something else, stops it, or leaves.
        """
        yield from self._row(read(values, self.widgets), CURVE_STEPS, request)

    def stop(self, request: gr.Request | None = None) -> Updates:
        """Ends the visitor's measuring; the measuring itself then says what it has."""
        self.session.ask(_visitor(request), None)
        stopping = words.notice("Stopping after this step.")
        return {self.widgets.progress: stopping, self.widgets.stop: gr.update(visible=False)}

    def leave(self, request: gr.Request) -> None:
        """Ends the measuring and the checks of a visitor who closes the page."""
        self.session.ask(_visitor(request), None)
        self.session.ask(_visitor(request, "checks"), None)

    def remove(self, values: Values) -> Updates:
        """The picture with a share of its pixels gone (or back), and its score, as it was measured; never measures."""
        inputs = read(values, self.widgets)
        try:
            told = removal_html(removal(self.measurements, inputs, inputs.order)) if inputs.order else ""
        except SimvisError as error:
            told = words.notice(str(error))
        return {self.widgets.picture: told}

    def add_depths(self, values: Values) -> Updates:
        """The explainers of every depth beside those chosen."""
        chosen = read(values, self.widgets).explainers
        return {self.widgets.explainers: [name for name in EXPLAINERS if name in chosen or name in DEPTHS]}

    def show_closest(self, values: Values) -> Updates:
        """The Compare tab at the depth that the button names. Raises gr.Error where it names none."""
        inputs = read(values, self.widgets)
        try:
            return self.compare.turned(self.measurements.layer(inputs.question, inputs.closest))
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def sanity(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """Random weights and small shifts for one explainer, as they are found; a newer check ends an older one."""
        for told in self._checked(read(values, self.widgets), _visitor(request, "checks")):
            yield {self.widgets.checked: told}

    def _checked(self, inputs: TrustInputs, visitor: str) -> Iterator[str]:
        if not inputs.order:
            yield words.notice("Measure a map first.")
            return
        token = (uuid.uuid4().hex,)
        self.session.ask(visitor, token)
        try:
            for told in checked(self.measurements, inputs.question, inputs.order):
                if self.session.asked(visitor) != token:
                    return
                if told:
                    yield told
        except SimvisError as error:
            yield words.notice(str(error))

    def _row(self, inputs: TrustInputs, steps: int, request: gr.Request | None) -> Iterator[Updates]:
        visitor, token = _visitor(request), (uuid.uuid4().hex,)
        self.session.ask(visitor, token)
        begun = self._begun(inputs, steps)
        yield shown(begun, self.widgets)
        if isinstance(begun, RowRefused):
            return
        said, row, told = trust_words.GLANCED if steps == GLANCE else "", begun.row, time.monotonic()
        for step in row.steps(lambda wanted: self.measurements.measuring(inputs.question, wanted)):
            now = self.session.asked(visitor)
            if now != token:
                # Gradio repeats the last step as a generator ends: it must be what the page is to show.
                yield shown(_stopped(row), self.widgets) if now is None else unchanged()
                return
            if time.monotonic() - told > PAUSE:
                told = time.monotonic()
                yield shown(RowUnderWay(row, step), self.widgets)
        yield shown(RowEnded(row, said), self.widgets)

    def _begun(self, inputs: TrustInputs, steps: int) -> RowBegun | RowRefused:
        line = None
        try:
            line = self.measurements.line(inputs.question)
            question = self.measurements.question(inputs.question)
            row = row_of(question, inputs.question, inputs.explainers, steps)
        except SimvisError as error:
            return RowRefused(str(error), line)
        return RowBegun(line, row, inputs.question)


def _stopped(row: MeasuredRow) -> TrustAnswer:
    return RowEnded(row, words.notice(trust_words.STOPPED), stopped=True)


def _visitor(request: gr.Request | None, doing: str = "trust") -> str:
    """Apart from the same visitor's drawing on the Compare tab."""
    return f"{visitor_of(request)} {doing}"
