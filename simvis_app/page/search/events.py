"""The Search tab's events: what starts each, what it is told, and what it may change."""

import gradio as gr

from simvis_app.page.galleries import fineness
from simvis_app.page.galleries.offers import Lists, OfferHandlers
from simvis_app.page.galleries.pairs import PairOpening
from simvis_app.page.galleries.sharing import forget
from simvis_app.page.house import House
from simvis_app.page.parts.drops import wire_drops
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.search.handlers import SearchHandlers
from simvis_app.page.search.live import LiveSearch
from simvis_app.page.search.sharing import SearchSharing
from simvis_app.page.search.widgets import Widgets
from simvis_app.page.updates import Listener

INTO_VIEW = """() => { document.querySelector("#why").scrollIntoView({ block: "nearest", behavior: "smooth" }); }"""
_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}


def wire(widgets: Widgets, house: House, tab: gr.Tab, live: LiveSearch) -> None:
    """Binds the tab's events."""
    pairs = PairOpening(house)
    handlers = SearchHandlers(live, widgets, pairs)
    search = _search(widgets, handlers)
    _wire_query(widgets, handlers, house, search)
    _wire_choice(widgets, handlers, house, tab, search)
    widgets.picker.mark(
        handlers.mark,
        widgets.asked,
        [widgets.notice, widgets.status, widgets.grid, widgets.why_said, widgets.why_grid],
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,  # a box moves: each answer is a few milliseconds' work, and the queue costs more than that
        api_visibility="private",
    )
    _wire_hits(widgets, handlers, house)
    sharing = SearchSharing(house.galleries, house.pictures, widgets)
    wire_share(widgets.share, widgets.asked, sharing.link, [sharing.export])
    others = (widgets.query, widgets.labels, widgets.exact, *widgets.choice.drawn)
    shows = (widgets.shows.attribute, widgets.shows.use)
    forget(widgets.share, [widgets.picker.mark, *(other.change for other in (*others, *shows))])


def _search(widgets: Widgets, handlers: SearchHandlers) -> Listener:
    """The event that searches for what the widgets hold."""
    return {
        "fn": handlers.fill,
        "inputs": widgets.asked | {*widgets.refusals.asked, widgets.pending},
        "outputs": [
            *(widgets.notice, widgets.status, widgets.picker, *widgets.grids),
            *(widgets.why_said, widgets.why_grid, widgets.pending, widgets.refusals.seen),
        ],
        "show_progress": "minimal",
        "show_progress_on": widgets.status,
        "trigger_mode": "always_last",
        # One at a time, in the order asked: an answer to an older question must not arrive last.
        "concurrency_limit": 1,
        "concurrency_id": "search",
        "api_visibility": "private",
    }


def _wire_query(widgets: Widgets, handlers: SearchHandlers, house: House, search: Listener) -> None:
    """What brings another picture, other labels or another way to search."""
    assert house.compare is not None
    changes = [widgets.query.input, widgets.labels.input, widgets.exact.input, widgets.choice.space.input]
    changes += [widgets.choice.layer.input, widgets.choice.rule.input]
    shows = [widgets.shows.attribute.input, widgets.shows.use.input]
    gr.on([*changes, *shows], **search)
    wire_drops(house.drops.query, house.drops, [widgets.query], ("",), widgets.refusals, search)
    widgets.query.clear(lambda: None, None, widgets.query, **_PRIVATE).then(**search)
    widgets.examples.select(handlers.show_example, None, widgets.query, **_PRIVATE).then(**search)
    pictures = {widgets.with_a: house.compare.pair.image_a, widgets.with_b: house.compare.pair.image_b}
    for button, image in pictures.items():
        button.click(handlers.take, image, widgets.query, **_PRIVATE).success(**search)


def _wire_choice(widgets: Widgets, handlers: SearchHandlers, house: House, tab: gr.Tab, search: Listener) -> None:
    """What brings another gallery, or what was indexed meanwhile."""
    choice, lists = widgets.choice, Lists(widgets.notice, widgets.choice, widgets.labels)
    offers = OfferHandlers(house.galleries, lists)
    offer: Listener = {"fn": handlers.offer_exact, "inputs": choice.own, "outputs": widgets.exact, **_PRIVATE}
    told = [one.input for one in (choice.space, choice.layer, choice.rule)]
    choice.told(gr.on(told, lambda: None, None, None, **_PRIVATE))
    fineness.wire(house.galleries, choice, _PRIVATE)
    choice.space.change(**offer)
    shows = [widgets.shows.panel, widgets.shows.attribute, widgets.shows.without]
    choice.space.change(handlers.offer_attributes, choice.own | {widgets.shows.attribute}, shows, **_PRIVATE)
    widgets.shows.panel.expand(handlers.prepare_attributes, choice.own, None, **_PRIVATE)
    offered = [widgets.notice, choice.space, *choice.fineness.shown, widgets.labels]
    chosen = choice.gallery.input(offers.choose_gallery, choice.drawn, offered, **_PRIVATE)
    choice.told(chosen).then(**search)
    updates = [*offered, choice.gallery]
    turned = [tab.select, house.again["Search"].change]
    opened = gr.on(turned, offers.open_tab, choice.shared | {widgets.labels}, updates, **_PRIVATE)
    choice.told(opened).then(**search)
    gr.on([tab.select, choice.gallery.change], **choice.troubles)
    listed = choice.indexed(offers.open_tab, choice.drawn | {widgets.labels}, updates, **_PRIVATE)
    choice.told(listed).then(**search).then(**offer)


def _wire_hits(widgets: Widgets, handlers: SearchHandlers, house: House) -> None:
    """What is asked of a hit or of more of them."""
    assert house.compare is not None
    asked = widgets.asked | {widgets.grid}
    widgets.grid.more(handlers.more, asked, widgets.grid, **_PRIVATE)
    widgets.grid.settle(
        handlers.maps,
        asked,
        [*widgets.grids],
        **_PRIVATE,
        trigger_mode="always_last",
        concurrency_limit=2,
        concurrency_id="hit maps",
    )
    shown = [widgets.why_said, widgets.why_grid]
    why = widgets.grid.why(handlers.why, asked, shown, show_progress="minimal", api_visibility="private")
    why.then(None, None, None, js=INTO_VIEW)
    for grid in widgets.grids:
        opened = grid.open(
            handlers.open_pair,
            widgets.asked | {grid, widgets.working},
            handlers.pairs.outputs,
            show_progress_on=widgets.notice,  # see `House.tabs`
            **_PRIVATE,
        )
        opened.success(**house.compare.ask)
