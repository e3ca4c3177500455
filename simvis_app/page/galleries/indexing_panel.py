"""The panel that indexes a gallery's pictures with another network, or a folder: its components and events."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.galleries.indexing import IndexingHandlers, IndexingPanel, poolings
from simvis_app.page.house import House
from simvis_app.page.pair.networks import backbones, first
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Session

_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(house: House, gallery: PoolingChoice, space: PoolingChoice, name: str) -> Callable[..., Any]:
    """Lays the panel out and wires it up; gives the end of a run, to bind events to. ``name`` begins the ids.

    A run indexes what is chosen in ``gallery``, and chooses there and in ``space`` what was indexed.
    """
    owned = house.galleries.pictures is not None
    title = "Index with another network" + (", or a folder" if owned else "")
    with gr.Accordion(title, open=False) as accordion:
        panel = _layout(house.galleries, gallery, space, name)
    handlers = IndexingHandlers(house.galleries, panel)
    private: dict[str, Any] = {"api_visibility": "private"}
    networks = [panel.pooling, panel.said]
    panel.backbone.input(handlers.choose_network, panel.backbone, networks, show_progress="minimal", **private)
    accordion.expand(handlers.offer, panel.backbone, panel.backbone, **_PRIVATE)
    if house.compare is not None:
        # The network in use comes first: what is looked at in Compare is what one wants to search with.
        used = house.compare.chosen.working
        used.change(handlers.follow, used, [panel.backbone, *networks], **_PRIVATE)
    panel.folder.input(lambda chosen: gr.update(visible=bool(chosen)), panel.folder, panel.new, **_PRIVATE)
    run = panel.start.click(
        handlers.run,
        {gallery, panel.folder, panel.new, panel.backbone, panel.pooling, panel.size, panel.framing},
        [panel.said, panel.stop, gallery, space],
        show_progress="hidden",
        concurrency_limit=2,
        concurrency_id="indexing",
        **private,
    )
    panel.stop.click(handlers.stop, None, panel.stop, **_PRIVATE)
    return run.success


def _layout(galleries: Galleries, gallery: PoolingChoice, space: PoolingChoice, name: str) -> IndexingPanel:
    folder = gr.Dropdown(
        [("the chosen gallery's pictures", ""), *((one, one) for one in galleries.folders())],
        value="",
        label="Pictures",
        visible=galleries.pictures is not None,
        elem_id=f"{name}_folder",
    )
    new = gr.Textbox(label="Name of the new gallery", visible=False, elem_id=f"{name}_new", max_length=100)
    with gr.Row():
        backbone, pooling = _network(galleries.session, name)
    size = gr.Radio(list(choices.SIZES.items()), value=choices.SHORT_SIDE.default, label="View size")
    framing = gr.Radio(list(choices.FRAMES.items()), value=choices.FRAMING.default, label="View")
    with gr.Row():
        start = gr.Button("Index", size="sm", elem_id=f"{name}_index")
        stop = gr.Button("Stop", size="sm", elem_id=f"{name}_index_stop", visible=False)
    said = gr.HTML(elem_id=f"{name}_indexing")
    return IndexingPanel(gallery, space, folder, new, backbone, pooling, size, framing, start, stop, said)


def _network(session: Session, name: str) -> tuple[PoolingChoice, PoolingChoice]:
    """The list of networks and that of the chosen one's poolings."""
    backbone = PoolingChoice(
        backbones(session, first(session)),
        value=first(session),
        label="Network",
        allow_custom_value=session.any_architecture or session.own.offered,
        elem_id=f"{name}_backbone",
        min_width=140,
    )
    listed, trained = poolings(session, first(session))
    return backbone, PoolingChoice(listed, value=trained, label="Pooling", elem_id=f"{name}_pooling", min_width=120)
