"""The Attributes tab's events: what starts each, what it is told, and what it may change."""

import gradio as gr

from simvis_app.page.attributes.answers import AttributesAnswers
from simvis_app.page.attributes.handlers import AttributesHandlers
from simvis_app.page.attributes.layout import Widgets, laid_out
from simvis_app.page.attributes.sharing import NAME, AttributesSharing
from simvis_app.page.house import House
from simvis_app.page.pair.places import components
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.updates import Listener

# In the order asked: an answer to an older choice must not arrive last.
_ONE: Listener = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "trigger_mode": "always_last",
    "concurrency_limit": 1,
    "concurrency_id": "attributes",
}


def build(house: House, tab: gr.Tab) -> None:
    """Lays the tab out and wires it up inside the app that is being built."""
    assert house.compare is not None
    widgets = laid_out(house.compare.pair, house.compare.look)
    house.places |= widgets.places
    _wire(widgets, house, tab)


def _wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    handlers = AttributesHandlers(house.attributes)
    answers = AttributesAnswers(widgets, handlers)
    how = {widgets.preset, widgets.weights, widgets.drawn}
    asked = {*components(widgets.pair), widgets.attribute} | how
    everything = [*widgets.about_all, widgets.attribute]
    again = [tab.select, house.again[NAME].change, widgets.preset.input]
    gr.on(again, answers.show, asked, [*everything, *widgets.sliders], **_ONE)
    row = {*components(widgets.pair), widgets.table} | how
    widgets.table.choose(answers.choose, row, [widgets.attribute, *widgets.about_one], **_ONE)
    widgets.attribute.input(answers.ask, asked, [widgets.table, *widgets.about_one], **_ONE)
    moved = [slider.input for slider in widgets.sliders]
    gr.on(moved, answers.weigh, asked | {*widgets.sliders}, [*everything, widgets.weights], **_ONE)
    widgets.reset.click(answers.reset, asked, [*everything, *widgets.sliders, widgets.weights], **_ONE)
    sharing = AttributesSharing(handlers, house.pictures, widgets)
    shared = asked | {*components(widgets.look)}
    wire_share(widgets.share, shared, sharing.link, [sharing.export])
    # What was said of another link or export must not stay.
    forget: Listener = {"fn": lambda: None, "inputs": None, "outputs": widgets.share.told}
    quiet: Listener = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on([*again, *moved, widgets.attribute.input, widgets.reset.click], **forget, **quiet)
    widgets.table.choose(**forget, **quiet)
