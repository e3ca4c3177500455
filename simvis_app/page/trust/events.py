"""The Trust tab's events: what starts each, what it is told, and what it may change."""

from typing import Any

import gradio as gr

from simvis_app.page.depth.door import MAPS_INTO_VIEW, dial_door
from simvis_app.page.house import House
from simvis_app.page.pair.places import components
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.trust.handlers import TrustHandlers
from simvis_app.page.trust.layout import Widgets, laid_out
from simvis_app.page.trust.sharing import NAME, TrustSharing
from simvis_app.page.updates import Listener

_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}
# The older one ends by itself; steps take turns: nobody's work keeps another from starting.
_MANY: Listener = {"trigger_mode": "multiple", "concurrency_limit": 16}


def build(house: House, tab: gr.Tab) -> None:
    """Lays the tab out and wires it up inside the app that is being built."""
    assert house.compare is not None
    widgets = laid_out(house.compare.pair, house.compare.look)
    house.places |= widgets.places
    _wire(widgets, house, tab)


def _wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    handlers = TrustHandlers(house.session, widgets, dial_door(house))
    changed = [tab.select, house.again[NAME].change, widgets.side.input, *(one.input for one in widgets.how)]
    told = widgets.question | {widgets.measured_for}
    line = gr.on(changed, handlers.show_pair, told, widgets.results, **_PRIVATE)
    row: Listener = {"outputs": widgets.results, "concurrency_id": "trust", **_MANY, **_PRIVATE}
    asked = widgets.question | {widgets.explainers}
    measured = widgets.measure.click(handlers.measure, asked, **row)
    glanced = line.then(handlers.glance, asked | {widgets.measured_for}, **row)
    widgets.stop.click(handlers.stop, None, [widgets.progress, widgets.stop], **_PRIVATE)
    widgets.depths.click(handlers.add_depths, {widgets.explainers}, [widgets.explainers], **_PRIVATE)
    shown = widgets.closest.click(
        handlers.show_closest, widgets.question | {widgets.closest}, handlers.compare.outputs, **_PRIVATE
    )
    shown.success(None, None, None, js=MAPS_INTO_VIEW)
    _wire_removal(widgets, handlers, [measured, glanced])
    widgets.check.click(
        handlers.sanity,
        {*components(widgets.pair), widgets.side, widgets.seed, widgets.order},
        widgets.checked,
        show_progress="minimal",
        concurrency_id="sanity",
        api_visibility="private",
        **_MANY,
    )
    sharing = TrustSharing(house.session, house.pictures, widgets)
    everything = widgets.question | {widgets.explainers, *components(widgets.look)}
    wire_share(widgets.share, everything, sharing.link, [sharing.export], widgets.measured_for)
    gr.on(
        [*changed, widgets.explainers.input, widgets.depths.click, widgets.measure.click],
        lambda: None,
        None,
        widgets.share.told,  # what was said of another link or export must not stay
        **_PRIVATE,
    )
    gr.context.Context.root_block.unload(handlers.leave)


def _wire_removal(widgets: Widgets, handlers: TrustHandlers, rows: list[Any]) -> None:
    """The picture whose pixels go: after each of the ``rows``, and as the visitor moves the slider."""
    remove: Listener = {
        "fn": handlers.remove,
        "inputs": widgets.question | {widgets.order, widgets.kind, widgets.percent},
        "outputs": widgets.picture,
        "trigger_mode": "always_last",
        "concurrency_limit": 4,
        "concurrency_id": "remove",
        **_PRIVATE,
    }
    for row in rows:
        row.then(**remove)
    gr.on([widgets.order.input, widgets.kind.input, widgets.percent.input], **remove)
