"""The Classes tab: what holds a class together, which class a picture is of, how many features a score takes."""

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.choices import ORDERS
from simvis_app.page.classes.events import wire
from simvis_app.page.classes.handlers import NOT_ASKED
from simvis_app.page.classes.in_words import SAY
from simvis_app.page.classes.sharing import COPIED
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.galleries import choice as gallery_choice
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.share_row import share_row
from simvis_core.galleries.curves import CURVE_PAIRS

INTRO = """<p>What makes the pictures of a class alike? Each member is shown with the places that carry its mean score
with the others (class similarity), the most typical first. Folders of a gallery are its classes.</p>"""
CURVES = """<p>Random pairs of one class and of two: how much of a score the strongest features hold, on average; the
band holds 80 % of the pairs.</p>"""


def build(house: House, tab: gr.Tab) -> None:
    """Lays the tab out and wires it up inside the app that is being built."""
    widgets = lay_out(house)
    house.places |= {"label": widgets.label, "order": widgets.order}
    wire(widgets, house, tab)


def lay_out(house: House) -> Widgets:
    """The tab's components, which do nothing yet."""
    assert house.compare is not None
    gr.HTML(INTRO + terms("class similarity", "mean score", "typical", "feature"))
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            choice = gallery_choice.build(house, "classes")
            label = PoolingChoice([], label="Class", elem_id="class_label")
            order = gr.Radio(list(ORDERS), value=next(iter(ORDERS)), label="Order", elem_id="class_order")
        with gr.Column(scale=7, min_width=320):
            notice, status = gr.HTML(elem_id="class_notice"), gr.HTML(elem_id="class_status")
            say = gr.Button(SAY, size="sm", elem_id="class_say")
            in_words = gr.HTML(elem_id="class_in_words")
            grid = HitGrid(elem_id="members", elem_classes=["members", "scrolls"])
            share = share_row("Copy link", COPIED, {"export": "Save the class as a zip"}, "classes_")
    with gr.Accordion("Scores between the members, and between classes", open=True), gr.Row():
        matrix = gr.Plot(elem_id="member_matrix", show_label=False, min_width=320)
        means = gr.Plot(elem_id="class_matrix", show_label=False, min_width=320)
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
            belongs = gr.HTML(NOT_ASKED, elem_id="belongs")
            belongs_maps = HitGrid(elem_id="belongs_maps", elem_classes="look-only")
    with gr.Accordion("How few features carry a score?", open=False, elem_id="curves") as curves:
        gr.HTML(CURVES)
        with gr.Row():
            curve_spaces = gr.Dropdown([], multiselect=True, label="Indexed with", elem_id="curve_spaces")
            pairs = gr.Number(
                CURVE_PAIRS, label="Pairs of each kind", precision=0, minimum=1, maximum=10_000, min_width=120
            )
            draw = gr.Button("Draw", elem_id="draw_curves", min_width=100)
        curve_notice = gr.HTML(elem_id="curve_notice")
        curve_plot = gr.Plot(elem_id="curve_plot", show_label=False)
        curve_table = gr.HTML(elem_id="curve_table")
    return Widgets(
        choice=choice,
        label=label,
        order=order,
        notice=notice,
        status=status,
        say=say,
        in_words=in_words,
        grid=grid,
        share=share,
        matrix=matrix,
        means=means,
        outside=outside,
        belongs=belongs,
        belongs_maps=belongs_maps,
        curves=curves,
        curve_spaces=curve_spaces,
        pairs=pairs,
        draw=draw,
        curve_notice=curve_notice,
        curve_plot=curve_plot,
        curve_table=curve_table,
        refusals=Refusals.laid(),
        working=house.compare.chosen.working,
    )
