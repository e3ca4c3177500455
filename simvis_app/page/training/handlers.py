"""What the Training tab's events do: what the page holds in, what changes on it out."""

import time
import uuid
from collections.abc import Iterator

import gradio as gr

from simvis_app.page.training.answers import TrainingUnderWay, shown
from simvis_app.page.training.asking import Asking
from simvis_app.page.training.inputs import read
from simvis_app.page.training.widgets import Widgets
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.page.visits import visitor_of
from simvis_app.service import words
from simvis_app.service.files import served
from simvis_app.service.series.studies import Studies
from simvis_core import SimvisError

PAUSE = 0.3  # seconds between two words about how far an answer is


class TrainingHandlers:
    """The tab's events; `Widgets.results` may change by them."""

    def __init__(self, studies: Studies, widgets: Widgets) -> None:
        self.studies, self.widgets, self.asking = studies, widgets, Asking(studies)

    def look(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """The lists, and the query at every step of what is chosen, with its progress.

        It ends when its visitor asks for something else or leaves. Nothing changes where all of it is on the page.
        """
        visitor, token, told = _visitor(request), (uuid.uuid4().hex,), 0.0
        self.studies.session.ask(visitor, token)
        yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
        wanted = lambda: self.studies.session.asked(visitor) == token
        for answer in self.asking.answers(read(values, self.widgets), wanted):
            small = isinstance(answer, TrainingUnderWay) and answer.choices is None
            if small and time.monotonic() - told < PAUSE:
                continue
            told = time.monotonic()
            under_way = isinstance(answer, TrainingUnderWay)
            yield shown(answer, self.widgets) | ({} if under_way else self.widgets.refusals.shown(values))
        if not wanted():  # Gradio repeats the last step as a generator ends: it must not be an older answer's
            yield unchanged()

    def take_sample(self, values: Values, event: gr.SelectData) -> Updates:
        """A picture of the series' gallery as the query."""
        return self.take(values, "samples", int(event.index))

    def take_first(self, values: Values, event: gr.SelectData) -> Updates:
        """A picture that only the first series gets right, as the query."""
        return self.take(values, "only_first", int(event.index))

    def take_second(self, values: Values, event: gr.SelectData) -> Updates:
        """A picture that only the second series gets right, as the query."""
        return self.take(values, "only_second", int(event.index))

    def take(self, values: Values, listed: str, place: int) -> Updates:
        """A picture of a list as the query. Raises gr.Error where it is gone."""
        inputs = read(values, self.widgets)
        names: tuple[str, ...] = getattr(inputs.offered, listed)
        if not 0 <= place < len(names):
            return unchanged()
        try:
            file = served(self.studies.file(inputs.question.series, names[place]))
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        return {self.widgets.query: file}

    def leave(self, request: gr.Request) -> None:
        """Ends what a visitor who closes the page has asked for."""
        self.studies.session.ask(_visitor(request), None)


def _visitor(request: gr.Request | None) -> str:
    """Apart from the same visitor's questions on other tabs."""
    return f"{visitor_of(request)} training"
