"""The Classes tab: what holds a class together, which class a picture is of, how many features a score takes."""

from functools import partial
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.choices import ORDERS
from simvis_app.page.classes.handlers import ClassHandlers
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.drops import PictureDrops, wire_drops
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.share_row import share_row, wire_share
from simvis_app.page.search import gallery_choice
from simvis_app.page.search.handlers import SearchHandlers
from simvis_app.page.search.sharing import CLASS, GallerySharing, forget
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_core import SimvisError
from simvis_core.galleries.curves import PAIRS

INTRO = """<p>What makes the pictures of a class alike? Each member is shown with the places that carry its mean score
with the others (class similarity), the most typical first. Folders of a gallery are its classes.</p>"""
NOT_ASKED = "<p>Drop a picture to see which classes it is nearest to, and where that shows.</p>"
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_SHOWN: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}


def build(house: House, tab: gr.Tab) -> None:
    """Lays the tab out and wires it up inside the app that is being built."""
    compare = Handlers(house.session, house.pictures)
    handlers, search = ClassHandlers(house.galleries, compare), SearchHandlers(house.galleries, compare)
    gr.HTML(INTRO + terms("class similarity", "mean score", "typical", "feature"))
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            choice = gallery_choice.build(house, "classes")
            label = PoolingChoice([], label="Class", elem_id="class_label")
            order = gr.Radio(list(ORDERS), value=next(iter(ORDERS)), label="Order", elem_id="class_order")
        with gr.Column(scale=7, min_width=320):
            notice, status = gr.HTML(elem_id="class_notice"), gr.HTML(elem_id="class_status")
            grid = HitGrid(elem_id="members", elem_classes=["members", "scrolls"])
            share = share_row("Copy link", CLASS, {"export": "Save the class as a zip"}, "classes_")
    with gr.Accordion("Scores between the members, and between classes", open=True), gr.Row():
        matrix = gr.Plot(elem_id="member_matrix", show_label=False, min_width=320)
        means = gr.Plot(elem_id="class_matrix", show_label=False, min_width=320)
    place = [choice.gallery, choice.space]
    house.places |= {"label": label, "order": order}
    shown = [notice, status, grid, matrix, means]
    show: dict[str, Any] = {
        "fn": handlers.show,
        "inputs": [*place, label, order],
        "outputs": shown,
        "show_progress": "minimal",
        "show_progress_on": status,
        "trigger_mode": "always_last",
        "concurrency_limit": 1,
        "concurrency_id": "classes",
        "api_visibility": "private",
    }
    gr.on([label.input, order.input], **show)
    sharing = GallerySharing(house.galleries, house.pictures, search)
    wire_share(share, [*place, label, order], sharing.class_link, [sharing.class_export])
    forget(share, [one.change for one in (*place, label, order)])
    grid.more(handlers.more, [*place, label, order, grid], grid, **_PRIVATE)
    grid.settle(handlers.maps, [*place, label, order, grid], grid, **_PRIVATE, trigger_mode="always_last")
    if house.compare is not None:
        opened = grid.open(
            handlers.open_pair,
            [*place, label, grid, house.compare.network[2]],
            [house.tabs, *house.compare.opens],
            show_progress_on=notice,  # see `House.tabs`
            **_PRIVATE,
        )
        opened.success(**house.compare.ask)
    _belonging(handlers, place, house.drops)
    spaces = _curves(handlers, choice.gallery)

    def follow(event: Any) -> None:
        """After a gallery or what it was indexed with has changed: its classes, then the chosen one."""
        listed = choice.told(event).then(handlers.labels, [*place, label], label, **_PRIVATE)
        offered = listed.then(partial(_offered, house.galleries), choice.gallery, spaces, **_PRIVATE)
        offered.then(**show)

    ignored = gr.State(None)  # the labels to filter by, which this tab does not have
    updates = [notice, choice.gallery, choice.space, ignored]
    turned = [tab.select, house.again["Classes"].change]
    follow(gr.on(turned, search.open_tab, [*choice.shared, ignored], updates, **_PRIVATE))
    gr.on([tab.select, choice.gallery.change], **choice.troubles)
    follow(choice.gallery.input(search.choose_gallery, place, [notice, choice.space, ignored], **_PRIVATE))
    follow(choice.space.input(lambda: None, None, None, **_PRIVATE))
    for indexed in choice.indexed:
        follow(indexed(search.open_tab, [*place, ignored], updates, **_PRIVATE))


def _belonging(handlers: ClassHandlers, place: list[Any], drops: PictureDrops) -> None:
    with gr.Accordion("Which class does another picture belong to?", open=True), gr.Row():
        with gr.Column(scale=4, min_width=320):
            outside = PictureDrop(
                label="A picture",
                elem_id="outside",
                type="filepath",
                sources=["upload", "clipboard", "webcam"],
                height=190,
                buttons=[],
                alt_text="A picture",
            )
        with gr.Column(scale=7, min_width=320):
            said = gr.HTML(NOT_ASKED, elem_id="belongs")
            where = HitGrid(elem_id="belongs_maps", elem_classes="look-only")
    asked = [outside, *place]
    outside.input(handlers.belongs, asked, [said, where], **_SHOWN, show_progress_on=said)
    refused = gr.State("")
    show = {"fn": handlers.belongs, "inputs": [*asked, refused], "outputs": [said, where], **_SHOWN}
    wire_drops(drops.outside, drops, [outside], ("",), refused, show | {"show_progress_on": said})
    outside.clear(lambda: [NOT_ASKED, None], None, [said, where], **_PRIVATE)


def _curves(handlers: ClassHandlers, gallery: Any) -> gr.Dropdown:
    """The panel of mean curves; gives the list of what the gallery was indexed with."""
    with gr.Accordion("How few features carry a score?", open=False, elem_id="curves") as fold:
        gr.HTML(
            "<p>Random pairs of one class and of two: how much of a score the strongest features hold, on average; the "
            "band holds 80 % of the pairs.</p>"
        )
        with gr.Row():
            spaces = gr.Dropdown([], multiselect=True, label="Indexed with", elem_id="curve_spaces")
            count = gr.Number(PAIRS, label="Pairs of each kind", precision=0, minimum=1, maximum=10_000, min_width=120)
            draw = gr.Button("Draw", elem_id="draw_curves", min_width=100)
        said = gr.HTML(elem_id="curve_notice")
        plot = gr.Plot(elem_id="curve_plot", show_label=False)
        table = gr.HTML(elem_id="curve_table")
    gr.on([draw.click, fold.expand], handlers.curves, [gallery, spaces, count], [said, plot, table], **_SHOWN)
    return spaces


def _offered(galleries: Galleries, gallery: str) -> Any:
    """The curves' list: everything the gallery was indexed with, all of it chosen to begin with."""
    try:
        spaces = galleries.spaces(gallery)
    except SimvisError:
        return gr.update(choices=[], value=[])
    listed = [(label, name) for name, label in words.space_labels(spaces).items()]
    return gr.update(choices=listed, value=[name for _, name in listed])
