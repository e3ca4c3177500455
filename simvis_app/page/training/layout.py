"""The Training tab: a query's hits while a network learns, and two trainings beside each other."""

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.parts.share_row import share_row
from simvis_app.page.training.events import wire
from simvis_app.page.training.inputs import Offered
from simvis_app.page.training.sharing import COPIED
from simvis_app.page.training.step_viewer import StepViewer
from simvis_app.page.training.widgets import Widgets
from simvis_app.page.training.words import EMPTY, NOBODY
from simvis_app.service.series.curves import PANELS

INTRO = """<p>What does a network look at while it learns? One picture is searched for with the network of each step
that the training kept: move the slider, and see which pictures come first, and which places of both the score comes
from. Red speaks for the match, blue against it; all maps of a step are on one scale. A second series stands beside
the first: from other weights, with another pooling or another loss.</p>"""
PAIR = """<p>The curves follow one pair: your picture and its best hit at the last step. Where the series measured a
figure itself, that is drawn too. The line marks the step above.</p>"""


def build(house: House, tab: gr.Tab) -> Widgets:
    """Lays the tab out and wires it up inside the app that is being built."""
    widgets = lay_out(house)
    house.places |= widgets.places
    wire(widgets, house, tab)
    return widgets


def lay_out(house: House) -> Widgets:
    """The tab's components, which do nothing yet."""
    gr.HTML(INTRO + terms("series", "step", "hit", "score", "share of the score", "MAP@R"), elem_id="training_intro")
    names = house.studies.names()
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=320):
            series, beside = _lists(names)
            about = gr.HTML("" if names else EMPTY, elem_id="training_about", elem_classes="words")
            query, samples = _pictures()
        with gr.Column(scale=7, min_width=320):
            notice = gr.HTML(elem_id="training_notice", elem_classes="troubles")
            progress = gr.HTML(elem_id="training_progress", elem_classes="words")
            viewer = StepViewer(elem_id="step_viewer")
            step = gr.Textbox("", visible="hidden")
            share = share_row("Copy link", COPIED, {"export": "Save maps and numbers as a zip"}, "training_")
    with gr.Accordion("How it changes over the steps", open=True, elem_id="training_over_steps"):
        gr.HTML(PAIR + terms("concentration", "contribution"), elem_classes="words")
        curves_said = gr.HTML(elem_id="training_curves_said", elem_classes="words")
        with gr.Row(elem_id="training_curves"):
            curves = tuple(
                gr.Plot(show_label=False, visible=False, min_width=280, label=panel.title) for panel in PANELS
            )
    with gr.Accordion("Which queries each of two networks gets right", open=True, elem_id="training_compared"):
        compared = gr.HTML(NOBODY, elem_id="training_right", elem_classes="words")
        with gr.Row():
            only_first, only_second = (_offered_pictures(f"only_{place}", "") for place in ("first", "second"))
    return Widgets(
        series=series,
        beside=beside,
        about=about,
        query=query,
        samples=samples,
        notice=notice,
        progress=progress,
        viewer=viewer,
        step=step,
        curves=curves,
        curves_said=curves_said,
        compared=compared,
        only_first=only_first,
        only_second=only_second,
        share=share,
        refusals=Refusals.laid(),
        offered=gr.State(Offered()),
        shown_for=gr.State(None),
    )


def _lists(names: list[str]) -> tuple[PoolingChoice, PoolingChoice]:
    """Which series, and which beside it."""
    with gr.Row():
        series = PoolingChoice(
            names,
            value=names[0] if names else None,
            label="Series",
            elem_id="series",
            min_width=140,
            visible=bool(names),
        )
        beside = PoolingChoice(
            [("none", ""), *((name, name) for name in names[1:])],
            value="",
            label="Beside it",
            elem_id="beside",
            min_width=140,
            visible=len(names) > 1,
        )
    return series, beside


def _pictures() -> tuple[PictureDrop, gr.Gallery]:
    """The picture that is followed, and the gallery's own to choose from."""
    with gr.Row():
        query = PictureDrop(
            None,
            label="Picture to search for",
            elem_id="subject",
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            height=190,
            min_width=150,
            buttons=[],
            alt_text="Picture to search for at each step",
            placeholder="Drop a picture. Until then it is the first of the gallery.",
        )
        samples = _offered_pictures("training_samples", "or one of its gallery")
    return query, samples


def _offered_pictures(name: str, label: str) -> gr.Gallery:
    return gr.Gallery(
        [],
        elem_id=name,
        elem_classes="offered",
        label=label,
        columns=4,
        height=190,
        min_width=150,
        allow_preview=False,
        interactive=False,
        object_fit="cover",
        buttons=[],
        visible=False,
    )
