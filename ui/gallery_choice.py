"""Choosing a gallery and what it was indexed with, and indexing it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

import model_zoo
from simvis_core import POOLINGS, SimvisError
from simvis_core.images import Preprocess
from simvis_core.index import Space
from simvis_core.poolings import Pooling
from ui import choices, words
from ui.components import PoolingChoice
from ui.galleries import SAMPLES, Galleries
from ui.session import Settings

WIDEST = 8192  # numbers of an embedding that a visitor may make the server keep; flatten has far more
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass
class GalleryChoice:
    """The gallery and what it was indexed with; ``indexed`` are the ends of indexing runs, to bind events to."""

    gallery: PoolingChoice
    space: PoolingChoice
    indexed: list[Callable[..., Any]] = field(default_factory=list)


def build(galleries: Galleries, name: str) -> GalleryChoice:
    """Two lists, and a panel to index with another network; ``name`` begins their ids."""
    with gr.Row():
        gallery = PoolingChoice([SAMPLES], value=SAMPLES, label="Gallery", elem_id=f"{name}_gallery", min_width=120)
        space = PoolingChoice([], label="Indexed with", elem_id=f"{name}_space", min_width=220, scale=2)
    return GalleryChoice(gallery, space, [_indexing(galleries, gallery, space, name)])


def _indexing(galleries: Galleries, gallery: PoolingChoice, space: PoolingChoice, name: str) -> Callable[..., Any]:
    """The panel that indexes; gives the end of a run, to bind events to."""
    owned = galleries.pictures is not None
    with gr.Accordion("Index with another network" + (", or a folder" if owned else ""), open=False):
        folder = gr.Dropdown(
            [("the chosen gallery's pictures", ""), *((one, one) for one in galleries.folders())],
            value="",
            label="Pictures",
            visible=owned,
            elem_id=f"{name}_folder",
        )
        new = gr.Textbox(label="Name of the new gallery", visible=False, elem_id=f"{name}_new", max_length=100)
        with gr.Row():
            backbone = gr.Dropdown(
                [(words.network_label(one), one) for one in model_zoo.names()],
                value=choices.BACKBONE.default,
                label="Network",
                elem_id=f"{name}_backbone",
                min_width=140,
            )
            pooling = gr.Dropdown(list(POOLINGS), value="avg", label="Pooling", min_width=120)
        size = gr.Radio(list(choices.SIZES.items()), value=choices.SHORT_SIDE.default, label="View size")
        framing = gr.Radio(list(choices.FRAMES.items()), value=choices.FRAMING.default, label="View")
        with gr.Row():
            start = gr.Button("Index", size="sm", elem_id=f"{name}_index")
            stop = gr.Button("Stop", size="sm", elem_id=f"{name}_index_stop", visible=False)
        said = gr.HTML(elem_id=f"{name}_indexing")
    panel = _Indexing(galleries)
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
        return Settings(backbone, str(Pooling(pooling)), preprocess.whole_cells(size or Preprocess.short_side), framing)


def _narrow(space: Space) -> Space:
    """The space. Raises SimvisError for one whose rows would fill the server's disk."""
    if space.width > WIDEST:
        raise SimvisError(
            f"embeddings of {space.width} numbers under '{space.pooling}'",
            f"at most {WIDEST} on this page",
            "choose another pooling, or index on the command line",
        )
    return space
