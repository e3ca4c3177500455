"""The Classes tab's events: what starts each, what it is told, and what it may change."""

from typing import Any

import gradio as gr

from simvis_app.page.classes.handlers import ClassHandlers
from simvis_app.page.classes.in_words import ClassWords
from simvis_app.page.classes.sharing import ClassSharing
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.galleries import fineness
from simvis_app.page.galleries.offers import Lists, OfferHandlers
from simvis_app.page.galleries.pairs import PairOpening
from simvis_app.page.galleries.sharing import forget
from simvis_app.page.house import House
from simvis_app.page.parts.drops import PictureDrops, wire_drops
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.updates import Listener

_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}
_SHOWN: Listener = {"show_progress": "minimal", "api_visibility": "private"}


def wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    """Binds the tab's events."""
    pairs = PairOpening(house)
    handlers = ClassHandlers(house.galleries, widgets, pairs)
    show: Listener = {
        "fn": handlers.show,
        "inputs": widgets.asked,
        "outputs": [widgets.notice, widgets.status, widgets.grid, widgets.matrix, widgets.means],
        "show_progress": "minimal",
        "show_progress_on": widgets.status,
        "trigger_mode": "always_last",
        "concurrency_limit": 1,
        "concurrency_id": "classes",
        "api_visibility": "private",
    }
    gr.on([widgets.label.input, widgets.order.input], **show)
    sharing = ClassSharing(house.galleries, widgets)
    wire_share(widgets.share, widgets.asked, sharing.link, [sharing.export])
    place = tuple(widgets.choice.drawn)
    forget(widgets.share, [one.change for one in (*place, widgets.label, widgets.order)])
    _wire_members(widgets, handlers, house)
    _wire_belonging(widgets, handlers, house.drops)
    curves = [widgets.curve_notice, widgets.curve_plot, widgets.curve_table]
    chosen = {widgets.choice.gallery, widgets.curve_spaces, widgets.pairs}
    gr.on([widgets.draw.click, widgets.curves.expand], handlers.curves, chosen, curves, **_SHOWN)
    _wire_choice(widgets, handlers, house, tab, show)
    said = ClassWords(house.galleries, house.attributes, widgets)
    widgets.say.click(said.say, widgets.asked, widgets.in_words, trigger_mode="once", **_SHOWN)
    forgotten = [one.change for one in (widgets.choice.gallery, widgets.choice.space, widgets.label)]
    gr.on(forgotten, lambda: "", None, widgets.in_words, **_PRIVATE)


def _wire_members(widgets: Widgets, handlers: ClassHandlers, house: House) -> None:
    """What is asked of a member or of more of them."""
    assert house.compare is not None
    grid, asked = widgets.grid, widgets.asked | {widgets.grid}
    grid.more(handlers.more, asked, grid, **_PRIVATE)
    grid.settle(handlers.maps, asked, grid, **_PRIVATE, trigger_mode="always_last")
    opened = grid.open(
        handlers.open_pair,
        {*widgets.choice.own, widgets.label, grid, widgets.working},
        handlers.pairs.outputs,
        show_progress_on=widgets.notice,  # see `House.tabs`
        **_PRIVATE,
    )
    opened.success(**house.compare.ask)


def _wire_belonging(widgets: Widgets, handlers: ClassHandlers, drops: PictureDrops) -> None:
    """A picture from outside that comes, is dropped, or goes."""
    asked, shown = {widgets.outside, *widgets.choice.drawn}, [widgets.belongs, widgets.belongs_maps]
    belongs: Listener = {
        "fn": handlers.belongs,
        "outputs": [*shown, widgets.refusals.seen],
        **_SHOWN,
        "show_progress_on": widgets.belongs,
        "trigger_mode": "always_last",
    }
    widgets.outside.input(inputs=asked, **belongs)
    show = belongs | {"inputs": asked | widgets.refusals.asked}
    wire_drops(drops.outside, drops, [widgets.outside], ("",), widgets.refusals, show)
    widgets.outside.clear(handlers.forget_outside, None, shown, **_PRIVATE)


def _wire_choice(widgets: Widgets, handlers: ClassHandlers, house: House, tab: gr.Tab, show: Listener) -> None:
    """What brings another gallery, or what was indexed meanwhile."""
    choice, offers = widgets.choice, OfferHandlers(house.galleries, Lists(widgets.notice, widgets.choice))

    def follow(event: Any) -> None:
        """After a gallery or what it was indexed with has changed: its classes, then the chosen one."""
        listed = choice.told(event).then(handlers.labels, {*choice.own, widgets.label}, widgets.label, **_PRIVATE)
        offered = listed.then(handlers.offer_spaces, {choice.gallery}, widgets.curve_spaces, **_PRIVATE)
        offered.then(**show)

    chosen = [widgets.notice, choice.space, *choice.fineness.shown]
    updates = [*chosen, choice.gallery]
    turned = [tab.select, house.again["Classes"].change]
    follow(gr.on(turned, offers.open_tab, choice.shared, updates, **_PRIVATE))
    gr.on([tab.select, choice.gallery.change], **choice.troubles)
    follow(choice.gallery.input(offers.choose_gallery, choice.drawn, chosen, **_PRIVATE))
    follow(choice.space.input(lambda: None, None, None, **_PRIVATE))
    finer = gr.on([choice.layer.input, choice.rule.input], lambda: None, None, None, **_PRIVATE)
    choice.told(finer).then(**show)
    fineness.wire(house.galleries, choice, _PRIVATE)
    follow(choice.indexed(offers.open_tab, choice.drawn, updates, **_PRIVATE))
