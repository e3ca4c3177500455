"""The Search tab: a gallery's pictures by a whole picture, or by what is marked in it."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.drops import wire_drops
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_app.page.parts.share_row import ShareRow, share_row, wire_share
from simvis_app.page.search import gallery_choice
from simvis_app.page.search.gallery_choice import GalleryChoice
from simvis_app.page.search.handlers import NO_WHY, SearchHandlers
from simvis_app.page.search.sharing import SEARCH, GallerySharing, forget
from simvis_app.service import samples

INTRO = """<p>Drop a picture: the gallery's pictures are ranked by their score with it. Mark a place, and they are
ranked by the share of the score that this place carries: the lamp, not the room. Point at a hit to see where in both
pictures the score comes from; open it to compare the two.</p>"""
NO_CLASSES = "No classes to show: they come with the hits, from a gallery whose pictures have labels."
INTO_VIEW = """() => { document.querySelector("#why").scrollIntoView({ block: "nearest", behavior: "smooth" }); }"""
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass
class Widgets:
    """The tab's components by the room they stand in."""

    query: PictureDrop
    choice: GalleryChoice
    labels: gr.Dropdown
    exact: gr.Checkbox
    notice: gr.HTML
    status: gr.HTML
    picker: RegionPicker
    grid: HitGrid
    classes: list[HitGrid]  # by what is marked, by the whole picture
    why: list[Any]  # sentence, grid
    examples: gr.Gallery
    pair: list[gr.Button]  # that take a picture of the Compare tab
    share: ShareRow
    pending: gr.State  # marks to be drawn by the next search; None for those on screen

    @property
    def asked(self) -> list[Any]:
        """What a search depends on."""
        return [self.query, self.choice.gallery, self.choice.space, self.labels, self.picker, self.exact]


def build(house: House, tab: gr.Tab) -> Widgets:
    """Lays the tab out and wires it up inside the app that is being built."""
    widgets = _layout(house)
    house.places |= {"q": widgets.query, "labels": widgets.labels, "marks": widgets.pending, "exact": widgets.exact}
    house.picker = widgets.picker
    _wire(widgets, house, tab)
    return widgets


def _layout(house: House) -> Widgets:
    gr.HTML(INTRO + terms("gallery", "hit", "score", "region", "share of the score"))
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                query = PictureDrop(
                    str(samples.PICTURES / samples.pairs()[0]["a"]),
                    label="Picture to search for",
                    elem_id="query",
                    type="filepath",
                    sources=["upload", "clipboard", "webcam"],
                    height=170,
                    min_width=150,
                    buttons=[],
                    alt_text="Picture to search for",
                )
                examples = gr.Gallery(
                    samples.single_thumbnails(),
                    elem_id="search_examples",
                    label="or a sample",
                    columns=3,
                    height=170,
                    min_width=150,
                    allow_preview=False,
                    interactive=False,
                    object_fit="cover",
                    buttons=[],
                )
            with gr.Row():
                pair = [
                    gr.Button(
                        f"Search with {side} of Compare",
                        size="sm",
                        min_width=120,
                        elem_id=f"search_with_{side.lower()}",
                    )
                    for side in "AB"
                ]
            picker = RegionPicker(elem_id="picker")
            choice = gallery_choice.build(house, "search")
            labels = gr.Dropdown(
                [], multiselect=True, label="Only these labels", elem_id="search_labels", info="none chosen: any"
            )
            exact = gr.Checkbox(
                label="Compare every picture (slower; the usual search of so large a gallery may miss some)",
                visible=False,
                elem_id="search_exact",
            )
        with gr.Column(scale=6, min_width=320):
            notice = gr.HTML(elem_id="search_notice")
            status = gr.HTML(elem_id="search_status")
            grid = HitGrid(elem_id="hits", elem_classes="scrolls")
            share = share_row("Copy link", SEARCH, {"export": "Save the best hits as a zip"}, "search_")
    with gr.Accordion("Why this hit and not that one", open=True, elem_id="why"):
        said = gr.HTML(NO_WHY[0], elem_id="why_said")
        difference = HitGrid(elem_id="why_grid", elem_classes="look-only")
    with gr.Accordion("The best of each of the three nearest classes", open=True, elem_id="nearest"), gr.Row():
        with gr.Column(min_width=320):
            gr.HTML("<h2>By what is marked</h2>")
            by_region = HitGrid(elem_id="nearest_region", elem_classes="members", blank=NO_CLASSES)
        with gr.Column(min_width=320):
            gr.HTML("<h2>By the whole picture</h2>")
            by_whole = HitGrid(elem_id="nearest_whole", elem_classes="members", blank=NO_CLASSES)
    return Widgets(
        *(query, choice, labels, exact, notice, status, picker, grid, [by_region, by_whole], [said, difference]),
        *(examples, pair, share, gr.State(None)),
    )


def _wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    assert house.compare is not None
    handlers = SearchHandlers(house.galleries, Handlers(house.session, house.pictures))
    choice, said = widgets.choice, gr.State("")
    search: dict[str, Any] = {
        "fn": handlers.fill,
        "inputs": [*widgets.asked, said, widgets.pending],
        "outputs": [
            *(widgets.notice, widgets.status, widgets.picker, widgets.grid, *widgets.why, *widgets.classes),
            widgets.pending,
        ],
        "show_progress": "minimal",
        "show_progress_on": widgets.status,
        "trigger_mode": "always_last",
        # One at a time, in the order asked: an answer to an older question must not arrive last.
        "concurrency_limit": 1,
        "concurrency_id": "search",
        "api_visibility": "private",
    }
    gr.on([widgets.query.input, widgets.labels.input, widgets.exact.input, choice.space.input], **search)
    choice.told(choice.space.input(lambda: None, None, None, **_PRIVATE))
    offer: dict[str, Any] = {
        "fn": handlers.offer_exact,
        "inputs": [choice.gallery, choice.space],
        "outputs": widgets.exact,
        **_PRIVATE,
    }
    choice.space.change(**offer)
    wire_drops(house.drops.query, house.drops, [widgets.query], ("",), said, search)
    widgets.query.clear(lambda: None, None, widgets.query, **_PRIVATE).then(**search)
    widgets.examples.select(handlers.show_example, None, widgets.query, **_PRIVATE).then(**search)
    for button, image in zip(widgets.pair, house.compare.asked[:2], strict=True):
        button.click(handlers.take, image, widgets.query, **_PRIVATE).success(**search)
    chosen = choice.gallery.input(
        handlers.choose_gallery,
        [choice.gallery, choice.space],
        [widgets.notice, choice.space, widgets.labels],
        **_PRIVATE,
    )
    choice.told(chosen).then(**search)
    updates = [widgets.notice, choice.gallery, choice.space, widgets.labels]
    turned = [tab.select, house.again["Search"].change]
    opened = gr.on(turned, handlers.open_tab, [*choice.shared, widgets.labels], updates, **_PRIVATE)
    choice.told(opened).then(**search)
    gr.on([tab.select, choice.gallery.change], **choice.troubles)
    for indexed in choice.indexed:
        listed = indexed(handlers.open_tab, [choice.gallery, choice.space, widgets.labels], updates, **_PRIVATE)
        choice.told(listed).then(**search).then(**offer)
    widgets.picker.mark(
        handlers.mark,
        widgets.asked,
        [widgets.notice, widgets.status, widgets.grid, *widgets.why],
        show_progress="hidden",
        trigger_mode="always_last",
        queue=False,  # a box moves: each answer is a few milliseconds' work, and the queue costs more than that
        api_visibility="private",
    )
    _wire_hits(widgets, handlers, house)
    sharing = GallerySharing(house.galleries, house.pictures, handlers)
    wire_share(widgets.share, widgets.asked, sharing.search_link, [sharing.search_export])
    shown = [widgets.picker.mark, widgets.status.change]
    forget(widgets.share, shown)


def _wire_hits(widgets: Widgets, handlers: SearchHandlers, house: House) -> None:
    compare = house.compare
    assert compare is not None
    asked = [*widgets.asked, widgets.grid]
    widgets.grid.more(handlers.more, asked, widgets.grid, **_PRIVATE)
    widgets.grid.settle(
        handlers.maps,
        asked,
        [widgets.grid, *widgets.classes],
        **_PRIVATE,
        trigger_mode="always_last",
        concurrency_limit=2,
        concurrency_id="hit maps",
    )
    why = widgets.grid.why(handlers.why, asked, widgets.why, show_progress="minimal", api_visibility="private")
    why.then(None, None, None, js=INTO_VIEW)
    for grid in (widgets.grid, *widgets.classes):
        opened = grid.open(
            handlers.open_pair,
            [*widgets.asked, grid, compare.network[2]],
            [house.tabs, *compare.opens],
            show_progress_on=widgets.notice,  # see `House.tabs`
            **_PRIVATE,
        )
        opened.success(**compare.ask)
