"""The Training tab's events: what starts each, what it is told, and what it may change."""

import gradio as gr

from simvis_app.page.house import House
from simvis_app.page.parts.drops import wire_drops
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.training.handlers import TrainingHandlers
from simvis_app.page.training.sharing import NAME, TrainingSharing
from simvis_app.page.training.widgets import Widgets
from simvis_app.page.updates import Listener

_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}
# By place: only the browser looks.
STOOD = """(value) => (value && typeof value.step === "number" ? String(value.step) : "")"""
MOVE = """(step) => {
  const detail = /^[0-9]+$/.test(step) ? Number(step) : null;
  document.dispatchEvent(new CustomEvent("simvis-step", { detail }));
}"""
CURVED = """() => { document.dispatchEvent(new CustomEvent("simvis-curves")); }"""


def wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    """Binds the tab's events."""
    handlers = TrainingHandlers(house.studies, widgets)
    look: Listener = {
        "fn": handlers.look,
        "inputs": widgets.asked | {widgets.step, *widgets.refusals.asked, widgets.offered, widgets.shown_for},
        "outputs": widgets.results,
        # The older one ends by itself; steps take turns: nobody's work keeps another from starting.
        "trigger_mode": "multiple",
        "concurrency_limit": 16,
        "concurrency_id": "training",
        **_PRIVATE,
    }
    opened = [tab.select, house.again[NAME].change, widgets.series.input, widgets.beside.input, widgets.query.input]
    gr.on(opened, **look)
    wire_drops(house.drops.subject, house.drops, [widgets.query], ("",), widgets.refusals, look)
    widgets.query.clear(lambda: None, None, widgets.query, **_PRIVATE).then(**look)
    taken = {
        widgets.samples: handlers.take_sample,
        widgets.only_first: handlers.take_first,
        widgets.only_second: handlers.take_second,
    }
    for gallery, take in taken.items():
        gallery.select(take, {widgets.series, widgets.offered}, widgets.query, **_PRIVATE).success(**look)
    widgets.viewer.step(None, widgets.viewer, widgets.step, js=STOOD, **_PRIVATE)
    widgets.step.change(None, widgets.step, None, js=MOVE, **_PRIVATE)
    gr.on([plot.change for plot in widgets.curves], None, None, None, js=CURVED, **_PRIVATE)
    sharing = TrainingSharing(house.studies, house.pictures, widgets)
    wire_share(widgets.share, widgets.asked | {widgets.step, widgets.offered}, sharing.link, [sharing.export])
    for change in (*opened, widgets.viewer.step, widgets.samples.select):
        change(None, None, widgets.share.told, js="() => null")  # what was said of another link must not stay
    gr.context.Context.root_block.unload(handlers.leave)
