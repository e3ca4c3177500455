"""What the Compare tab's events answer: from what the components hold to what changes on the page."""

from collections.abc import Iterator

import gradio as gr

from simvis_app.page.compare import own_questions, shown
from simvis_app.page.compare.handlers import Handlers, MasksRun
from simvis_app.page.compare.inputs import CompareAsked, read
from simvis_app.page.compare.layout import Widgets
from simvis_app.page.compare.own_panel import OwnFields, open_own, own_updates
from simvis_app.page.compare.sharing import CompareSharing
from simvis_app.page.pair.networks import choose_network, exponent_shown, network_updates
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.page.visits import visitor_of
from simvis_app.service import samples
from simvis_app.service.files import served


class Answers:
    """The answers to the tab's events, but for the panel of one's own checkpoint."""

    def __init__(self, widgets: Widgets, handlers: Handlers) -> None:
        self.widgets, self.handlers = widgets, handlers
        self.sharing = CompareSharing(handlers.session, handlers.pictures, handlers.depths)

    def compare(self, values: Values, request: gr.Request | None = None) -> Updates:
        """Everything the tab shows about the pair; a sentence and empty panels where it cannot be explained."""
        asked = self._read(values)
        found = self.handlers.compare(asked, visitor_of(request))
        return shown.compared(found, asked.said, self.widgets) | self.widgets.refusals.shown(values)

    def draw(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """A black box's maps by masks: how far they are, step by step, then what `compare` shows, with them."""
        yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
        step = None
        for step in self.handlers.draw(self._read(values), visitor_of(request)):
            yield shown.drawn(step, self.widgets)
        if isinstance(step, MasksRun):
            yield unchanged()  # else Gradio, as it ends, repeats the last step over what the page shows by now

    def stand(self, request: gr.Request | None = None) -> Iterator[Updates]:
        """The score's line once it is known how high the score is for its network."""
        yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
        line = self.handlers.stand(visitor_of(request))
        if line is not None:
            yield {self.widgets.score: line}

    def say(self, request: gr.Request | None = None) -> Updates:
        """The pair in words."""
        told = self.handlers.say(visitor_of(request))
        return unchanged() if told is None else {self.widgets.in_words: told}

    def stop(self, values: Values, request: gr.Request | None = None) -> Updates:
        """Ends the visitor's drawing."""
        return shown.stopped(self.handlers.stop(self._read(values), visitor_of(request)), self.widgets)

    def leave(self, request: gr.Request) -> None:
        """Ends the drawing of a visitor who closes the page."""
        self.handlers.leave(visitor_of(request))

    def top_k(self, values: Values) -> Updates:
        """The maps of only the top k features."""
        return {self.widgets.topk_maps: self.handlers.top_k(self._read(values))}

    def feature(self, values: Values) -> Updates:
        """Where the chosen feature fires; no change for one that the list has lost meanwhile."""
        asked = self._read(values)
        if asked.feature is None:
            return unchanged()
        return {self.widgets.feature_maps: self.handlers.fires(asked.pair, asked.feature)}

    def choose_network(self, values: Values) -> Updates:
        """Loads the network, offers the poolings its head takes, shows its card; keeps the working one if it cannot."""
        asked = self._read(values)
        found = choose_network(self.handlers.session, asked.pair.backbone, asked.pair.pooling, asked.working)
        return network_updates(found, self.widgets.network)

    def choose_pooling(self, values: Values) -> Updates:
        """Whether the exponent's slider is there."""
        return {self.widgets.pair.exponent: exponent_shown(self._read(values).pair.pooling)}

    def show_example(self, event: gr.SelectData) -> Updates:
        """The two pictures of the chosen ready-made pair."""
        pair = samples.pairs()[int(event.index)]
        fields = {"a": self.widgets.pair.image_a, "b": self.widgets.pair.image_b}
        return {field: served(samples.PICTURES / pair[side]) for side, field in fields.items()}

    def link(self, values: Values) -> str:
        """The query of a link to what is shown."""
        return self.sharing.link(self._read(values))

    def figure(self, values: Values) -> str:
        """The path of one picture to share."""
        return self.sharing.figure(self._read(values))

    def export(self, values: Values) -> str:
        """The path of a zip with overlays, maps and manifest of what is shown."""
        return self.sharing.export(self._read(values))

    def _read(self, values: Values) -> CompareAsked:
        return read(values, self.widgets)


class OwnAnswers:
    """The answers to the events of the panel for one's own checkpoint. Of list and upload the last chosen counts."""

    def __init__(self, own: OwnFields, widgets: Widgets, handlers: Handlers) -> None:
        self.own, self.widgets, self.session = own, widgets, handlers.session

    def choose_file(self) -> Updates:
        """A file of the list takes the place of an upload; nothing is asked of it yet."""
        return {self.own.upload: None, **own_questions.shown([], ("", "", ""), self.own.questions)}

    def upload(self) -> Updates:
        """An upload takes the place of a file of the list; nothing is asked of it yet."""
        return {self.own.file: None, **own_questions.shown([], ("", "", ""), self.own.questions)}

    def list_files(self) -> Updates:
        """The list, which follows the folder with each visit."""
        return {self.own.file: gr.update(choices=self.session.own.files())}

    def open_model(self, values: Values) -> Updates:
        """Loads a checkpoint, says what was loaded, and chooses it; keeps the working network where it cannot.

        What its file does not tell is asked for below, and shown with what was taken once it is loaded.
        """
        asked = read(values, self.widgets)
        found = open_own(self.session, asked.own, asked.pair.pooling, asked.working)
        return own_updates(found, asked.own.of, self.own, self.widgets.network)
