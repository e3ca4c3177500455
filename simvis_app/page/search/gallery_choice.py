"""Choosing a gallery and what it was indexed with, and indexing it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.house import House
from simvis_app.page.pair.networks import backbones, first
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.service import words
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.views import Preprocess
from simvis_core.stores.contract import Space

WIDEST = 8192  # numbers of an embedding that a visitor may make the server keep; flatten has far more
PRIVATE = "Galleries are everybody's: this one names your uploaded checkpoint to every visitor, who may search by it."
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass
class GalleryChoice:
    """The gallery and what it was indexed with; ``indexed`` are the ends of indexing runs, to bind events to.

    ``troubles`` is a listener's arguments: it says what is damaged, as the tab opens and another gallery is chosen.
    """

    gallery: PoolingChoice
    space: PoolingChoice
    troubles: dict[str, Any]
    shared: list[Any]  # the gallery and the space that all tabs have in common
    indexed: list[Callable[..., Any]] = field(default_factory=list)

    def told(self, event: Any) -> Any:
        """The event followed by telling the other tabs what is chosen here."""
        return event.then(None, [self.gallery, self.space], self.shared, js="(gallery, space) => [gallery, space]")


def build(house: House, name: str) -> GalleryChoice:
    """Two lists, and a panel to index with another network; ``name`` begins their ids."""
    with gr.Row():
        gallery = PoolingChoice([SAMPLES], value=SAMPLES, label="Gallery", elem_id=f"{name}_gallery", min_width=120)
        space = PoolingChoice([], label="Indexed with", elem_id=f"{name}_space", min_width=220, scale=2)
    told = gr.HTML(elem_id=f"{name}_troubles", elem_classes="troubles")
    troubles = {"fn": partial(_troubles, house.galleries), "inputs": gallery, "outputs": told, **_PRIVATE}
    shared = [house.places["gallery"], house.places["space"]]
    return GalleryChoice(gallery, space, troubles, shared, [_indexing(house, gallery, space, name)])


def _troubles(galleries: Galleries, gallery: str) -> str:
    """What is damaged among the galleries, each with what mends it."""
    try:
        return words.troubles([str(trouble) for trouble in galleries.troubles(gallery)])
    except SimvisError:
        return ""  # the tab itself says why there are none


def _indexing(house: House, gallery: PoolingChoice, space: PoolingChoice, name: str) -> Callable[..., Any]:
    """The panel that indexes; gives the end of a run, to bind events to."""
    galleries, session = house.galleries, house.session
    owned = galleries.pictures is not None
    title = "Index with another network" + (", or a folder" if owned else "")
    with gr.Accordion(title, open=False) as accordion:
        folder = gr.Dropdown(
            [("the chosen gallery's pictures", ""), *((one, one) for one in galleries.folders())],
            value="",
            label="Pictures",
            visible=owned,
            elem_id=f"{name}_folder",
        )
        new = gr.Textbox(label="Name of the new gallery", visible=False, elem_id=f"{name}_new", max_length=100)
        with gr.Row():
            backbone = PoolingChoice(
                backbones(session, first(session)),
                value=first(session),
                label="Network",
                allow_custom_value=session.any_architecture or session.own.offered,
                elem_id=f"{name}_backbone",
                min_width=140,
            )
            listed, trained = poolings(session, first(session))
            pooling = PoolingChoice(listed, value=trained, label="Pooling", elem_id=f"{name}_pooling", min_width=120)
        size = gr.Radio(list(choices.SIZES.items()), value=choices.SHORT_SIDE.default, label="View size")
        framing = gr.Radio(list(choices.FRAMES.items()), value=choices.FRAMING.default, label="View")
        with gr.Row():
            start = gr.Button("Index", size="sm", elem_id=f"{name}_index")
            stop = gr.Button("Stop", size="sm", elem_id=f"{name}_index_stop", visible=False)
        said = gr.HTML(elem_id=f"{name}_indexing")
    panel = _Indexing(galleries)
    backbone.input(panel.choose_network, backbone, [pooling, said], show_progress="minimal", api_visibility="private")
    accordion.expand(panel.offer, backbone, backbone, **_PRIVATE)
    if house.compare is not None:
        # The network in use comes first: what is looked at in Compare is what one wants to search with.
        used = house.compare.network[2]
        used.change(panel.follow, used, [backbone, pooling, said], **_PRIVATE)
    folder.input(lambda chosen: gr.update(visible=bool(chosen)), folder, new, **_PRIVATE)
    run = start.click(
        panel.run,
        [gallery, folder, new, backbone, pooling, size, framing],
        [said, stop, gallery, space],
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="indexing",
        api_visibility="private",
    )
    stop.click(panel.stop, None, stop, **_PRIVATE)
    return run.success


class _Indexing:
    """The panel's events; a stop ends the run that its visitor started."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries
        self._stopped: set[str] = set()

    def offer(self, backbone: str) -> Any:
        """The networks as they are now: one's own checkpoints come while the page is open."""
        return gr.update(choices=backbones(self.galleries.session, backbone))

    def follow(self, used: str) -> list[Any]:
        """The panel for the network in use elsewhere on the page: networks, poolings, what to know of it."""
        return [gr.update(choices=backbones(self.galleries.session, used), value=used), *self.choose_network(used)]

    def choose_network(self, backbone: str) -> list[Any]:
        """The poolings of a network, its own chosen, and what to know of it; a sentence where it cannot be had."""
        session = self.galleries.session
        try:
            listed, trained = poolings(session, backbone)
        except SimvisError as error:
            return [gr.skip(), words.notice(str(error))]
        private = session.own.knows(backbone) and backbone not in session.own.names()
        return [gr.update(choices=listed, value=trained), words.notice(PRIVATE) if private else ""]

    def run(
        self,
        gallery: str,
        folder: str,
        new: str | None,
        backbone: str,
        pooling: str,
        size: int,
        framing: Any,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """How far it is, with pictures a second and time left; at last what happened."""
        visitor, told = str(request.session_hash), 0.0
        self._stopped.discard(visitor)
        progress = None
        try:
            name = (new or "").strip() if folder else gallery
            listing = self.galleries.listing(name, folder or None)
            settings = self._settings(backbone, pooling, size, framing)
            space = _narrow(self.galleries.target(name, settings))
            for progress in self.galleries.indexing(name, listing, settings):
                if visitor in self._stopped:
                    break
                if time.monotonic() - told > 0.3:
                    told = time.monotonic()
                    yield [words.indexing(progress), gr.update(visible=True), gr.skip(), gr.skip()]
        except SimvisError as error:
            yield [words.notice(str(error)), gr.update(visible=False), gr.skip(), gr.skip()]
            return
        stopped = visitor in self._stopped
        self._stopped.discard(visitor)
        said = words.indexed(progress, stopped) if progress else ""
        names = self.galleries.names()
        # What was indexed is chosen, so that the next search uses it.
        label = words.space_label(space.network, space.pooling, space.view)
        chosen = gr.update(choices=[(label, space.name)], value=space.name)
        yield [said, gr.update(visible=False), gr.update(choices=names, value=name), chosen]

    def stop(self, request: gr.Request) -> Any:
        """Ends the visitor's run after its batch; what was indexed stays."""
        self._stopped.add(str(request.session_hash))
        return gr.update(visible=False)

    def _settings(self, backbone: str, pooling: str, size: int, framing: Any) -> Settings:
        preprocess = self.galleries.session.network(backbone).preprocess
        short_side = preprocess.whole_cells(size or Preprocess.short_side)
        return Settings(backbone, str(Pooling.parse(pooling)), short_side, framing)


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
