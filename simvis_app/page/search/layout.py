"""The Search tab: a gallery's pictures by a whole picture, or by what is marked in it."""

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.galleries import choice as gallery_choice
from simvis_app.page.galleries.choice import GalleryChoice
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_app.page.parts.share_row import share_row
from simvis_app.page.search import by_attribute
from simvis_app.page.search.events import wire
from simvis_app.page.search.live import LiveSearch
from simvis_app.page.search.sharing import COPIED
from simvis_app.page.search.why import Why
from simvis_app.page.search.widgets import Widgets
from simvis_app.service import samples

INTRO = """<p>Drop a picture: the gallery's pictures are ranked by their score with it. Mark a place, and they are
ranked by the share of the score that this place carries: the lamp, not the room. Point at a hit to see where in both
pictures the score comes from; open it to compare the two.</p>"""
NO_CLASSES = "No classes to show: they come with the hits, from a gallery whose pictures have labels."


def build(house: House, tab: gr.Tab) -> Widgets:
    """Lays the tab out and wires it up inside the app that is being built."""
    live = LiveSearch(house.galleries)
    widgets = lay_out(house, live)
    house.places |= {"q": widgets.query, "labels": widgets.labels, "marks": widgets.pending, "exact": widgets.exact}
    house.places |= {"shows": widgets.shows.attribute, "use": widgets.shows.use}
    house.picker = widgets.picker
    wire(widgets, house, tab, live)
    return widgets


def lay_out(house: House, live: LiveSearch) -> Widgets:
    """The tab's components, which do nothing yet."""
    assert house.compare is not None
    gr.HTML(INTRO + terms("gallery", "hit", "score", "region", "share of the score"))
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            query, examples = _pictures()
            with gr.Row():
                with_a, with_b = (_with_picture(side) for side in "AB")
            picker = RegionPicker(elem_id="picker", moved=live.hits)
            choice, labels, exact = _where(house)
            shows = by_attribute.build()
        with gr.Column(scale=6, min_width=320):
            notice = gr.HTML(elem_id="search_notice")
            status = gr.HTML(elem_id="search_status")
            grid = HitGrid(elem_id="hits", elem_classes=["scrolls", "live"])
            share = share_row("Copy link", COPIED, {"export": "Save the best hits as a zip"}, "search_")
    with gr.Accordion("Why this hit and not that one", open=True, elem_id="why"):
        why_said = gr.HTML(Why().said, elem_id="why_said")
        why_grid = HitGrid(elem_id="why_grid", elem_classes="look-only")
    with gr.Accordion("The best of each of the three nearest classes", open=True, elem_id="nearest"), gr.Row():
        by_region = _nearest("By what is marked", "nearest_region")
        by_whole = _nearest("By the whole picture", "nearest_whole")
    return Widgets(
        query=query,
        choice=choice,
        labels=labels,
        exact=exact,
        shows=shows,
        notice=notice,
        status=status,
        picker=picker,
        grid=grid,
        by_region=by_region,
        by_whole=by_whole,
        why_said=why_said,
        why_grid=why_grid,
        examples=examples,
        with_a=with_a,
        with_b=with_b,
        share=share,
        refusals=Refusals.laid(),
        pending=gr.State(None),
        working=house.compare.chosen.working,
    )


def _pictures() -> tuple[PictureDrop, gr.Gallery]:
    """The picture to search for, and samples to choose from."""
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
    return query, examples


def _with_picture(side: str) -> gr.Button:
    label, name = f"Search with {side} of Compare", f"search_with_{side.lower()}"
    return gr.Button(label, size="sm", min_width=120, elem_id=name)


def _where(house: House) -> tuple[GalleryChoice, gr.Dropdown, gr.Checkbox]:
    """Which gallery, which labels, and how."""
    choice = gallery_choice.build(house, "search")
    labels = gr.Dropdown(
        [], multiselect=True, label="Only these labels", elem_id="search_labels", info="none chosen: any"
    )
    exact = gr.Checkbox(
        label="Compare every picture (slower; the usual search of so large a gallery may miss some)",
        visible=False,
        elem_id="search_exact",
    )
    return choice, labels, exact


def _nearest(title: str, name: str) -> HitGrid:
    with gr.Column(min_width=320):
        gr.HTML(f"<h2>{title}</h2>")
        return HitGrid(elem_id=name, elem_classes="members", blank=NO_CLASSES)
