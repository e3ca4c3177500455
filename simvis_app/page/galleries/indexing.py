"""Indexing a gallery's pictures with another network, or a folder: what the panel's events do."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from simvis_app.page.pair.networks import backbones
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.updates import Updates, Values, by_name
from simvis_app.page.visits import visitor_of
from simvis_app.service import words
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.galleries.indexing import Progress
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.views import Framing, Preprocess
from simvis_core.stores.contract import Space

WIDEST = 8192  # numbers of an embedding that a visitor may make the server keep; flatten has far more
OFTEN = 0.3  # seconds between two words about how far a run is
PRIVATE = "Galleries are everybody's: this one names your uploaded checkpoint to every visitor, who may search by it."


@dataclass(frozen=True)
class IndexingPanel:
    """The panel's components, with the tab's lists of galleries and of what one was indexed with."""

    gallery: PoolingChoice
    space: PoolingChoice
    folder: gr.Dropdown
    new: gr.Textbox
    backbone: PoolingChoice
    pooling: PoolingChoice
    size: gr.Radio
    framing: gr.Radio
    start: gr.Button
    stop: gr.Button
    said: gr.HTML


@dataclass(frozen=True)
class IndexingInputs:
    """What is to be indexed, and with what; without a folder it is the pictures of the gallery itself."""

    gallery: str = SAMPLES
    folder: str | None = None
    new: str | None = None
    backbone: str = ""
    pooling: str = ""
    size: int | None = None
    framing: Framing = "whole"

    @property
    def name(self) -> str:
        """The gallery that a run fills."""
        return (self.new or "").strip() if self.folder else self.gallery


def read(values: Values, panel: IndexingPanel) -> IndexingInputs:
    """The panel's values by what they mean."""
    return IndexingInputs(**by_name(values, panel))


@dataclass(frozen=True)
class Indexed:
    """A run's end: the gallery and what it was indexed with, of all galleries there are; what happened in words."""

    gallery: str
    space: Space
    galleries: tuple[str, ...]
    said: str


@dataclass(frozen=True)
class Offered:
    """A network's poolings with the trained one, and what is to be known of it."""

    poolings: list[str]
    trained: str
    said: str


class IndexingHandlers:
    """The panel's events; a stop ends the run that its visitor started."""

    def __init__(self, galleries: Galleries, panel: IndexingPanel) -> None:
        self.galleries, self.panel = galleries, panel
        self._stopped: set[str] = set()

    def offer(self, backbone: str) -> Updates:
        """The networks as they are now: one's own checkpoints come while the page is open."""
        return {self.panel.backbone: gr.update(choices=backbones(self.galleries.session, backbone))}

    def follow(self, used: str) -> Updates:
        """The panel for the network in use elsewhere on the page: networks, poolings, what to know of it."""
        listed = gr.update(choices=backbones(self.galleries.session, used), value=used)
        return {self.panel.backbone: listed} | self.choose_network(used)

    def choose_network(self, backbone: str) -> Updates:
        """The poolings of a network, its own chosen, and what to know of it; a sentence where it cannot be had."""
        try:
            return shown(self._offered(backbone), self.panel)
        except SimvisError as error:
            return {self.panel.said: words.notice(str(error))}

    def run(self, values: Values, request: gr.Request) -> Iterator[Updates]:
        """How far it is, with pictures a second and time left; at last what happened."""
        try:
            for step in self._steps(read(values, self.panel), visitor_of(request)):
                yield shown(step, self.panel)
        except SimvisError as error:
            yield {self.panel.said: words.notice(str(error)), self.panel.stop: gr.update(visible=False)}

    def stop(self, request: gr.Request) -> Updates:
        """Ends the visitor's run after its batch; what was indexed stays."""
        self._stopped.add(visitor_of(request))
        return {self.panel.stop: gr.update(visible=False)}

    def _offered(self, backbone: str) -> Offered:
        session = self.galleries.session
        listed, trained = poolings(session, backbone)
        private = session.own.knows(backbone) and backbone not in session.own.names()
        return Offered(listed, trained, words.notice(PRIVATE) if private else "")

    def _steps(self, inputs: IndexingInputs, visitor: str) -> Iterator[Progress | Indexed]:
        """A visitor's run, step by step, and its end. Raises SimvisError for what cannot be indexed."""
        self._stopped.discard(visitor)
        progress, told = None, 0.0
        listing = self.galleries.listing(inputs.name, inputs.folder or None)
        settings = self._settings(inputs)
        space = _narrow(self.galleries.target(inputs.name, settings))
        for progress in self.galleries.indexing(inputs.name, listing, settings):
            if visitor in self._stopped:
                break
            if time.monotonic() - told > OFTEN:
                told = time.monotonic()
                yield progress
        stopped = visitor in self._stopped
        self._stopped.discard(visitor)
        said = words.indexed(progress, stopped) if progress else ""
        yield Indexed(inputs.name, space, tuple(self.galleries.names()), said)

    def _settings(self, inputs: IndexingInputs) -> Settings:
        preprocess = self.galleries.session.network(inputs.backbone).preprocess
        short_side = preprocess.whole_cells(inputs.size or Preprocess.short_side)
        return Settings(inputs.backbone, str(Pooling.parse(inputs.pooling)), short_side, inputs.framing)


def shown(found: Progress | Indexed | Offered, panel: IndexingPanel) -> Updates:
    """The panel with what was found. What was indexed is chosen, so that the next search uses it."""
    if isinstance(found, Offered):
        return {panel.pooling: gr.update(choices=found.poolings, value=found.trained), panel.said: found.said}
    if isinstance(found, Progress):
        return {panel.said: words.indexing(found), panel.stop: gr.update(visible=True)}
    space = found.space
    label = words.space_label(space.network, space.pooling, space.view)
    return {
        panel.said: found.said,
        panel.stop: gr.update(visible=False),
        panel.gallery: gr.update(choices=list(found.galleries), value=found.gallery),
        panel.space: gr.update(choices=[(label, space.name)], value=space.name),
    }


def poolings(session: Session, backbone: str) -> tuple[list[str], str]:
    """A network's poolings, the trained one first, and that one. Raises SimvisError as `Session.network` does."""
    network = session.network(backbone)
    trained = network.trained_pooling
    return [str(trained), *(name for name in network.poolings if Pooling(name) != trained)], str(trained)


def _narrow(space: Space) -> Space:
    """The space. Raises SimvisError for one whose rows would fill the server's disk."""
    if space.width > WIDEST:
        raise SimvisError(
            f"embeddings of {space.width} numbers under '{space.pooling}'",
            f"at most {WIDEST} on this page",
            "choose another pooling, or index on the command line",
        )
    return space
