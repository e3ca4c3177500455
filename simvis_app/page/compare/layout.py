"""The Compare tab's components: two pictures, why they match, and everything that splits the score."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page import choices
from simvis_app.page.compare.own_panel import OwnFields, own_panel
from simvis_app.page.concepts.concept_panel import ConceptFields, concept_panel
from simvis_app.page.depth.dial import DialFields, dial_panel
from simvis_app.page.glossary import terms
from simvis_app.page.pair.networks import about, backbones, first
from simvis_app.page.pair.places import LookFields, NetworkFields, PairFields
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.fields import ChangingChoice, HeldSlider, MethodChoice, PoolingChoice
from simvis_app.page.parts.map_rows import MapRows
from simvis_app.page.parts.pair_viewer import PairViewer
from simvis_app.page.parts.share_row import ShareRow, share_row
from simvis_app.service import samples
from simvis_app.service.sessions.session import Session

INTRO = """<p>Drop two pictures. Red places speak for the network's similarity score, blue ones against it. Point at a
place to see what it matches; click or tap to pin it.</p>"""
WORDS = (
    "score",
    "reference pictures",
    "ledger",
    "bias",
    "verdict",
    "cell",
    "pin",
    "share of the score",
    "cosine of the patches",
)
TOP_K = 10
COPIED = "Link copied. It keeps both pictures on this server for whoever has it."


@dataclass(frozen=True)
class Widgets:
    """The tab's components.

    ``mode`` is what a point shows: the viewer follows it, and it the viewer. ``to_draw`` changes when a black box's map
    is to be drawn, ``to_stand`` when it is being measured how high the score is for its network, ``to_say`` when the
    pair is to be told ``in_words``. ``own`` is None where the owner offers no models of one's own. ``refusals`` are
    about dropped files that were not taken.
    """

    pair: PairFields
    look: LookFields
    network: NetworkFields
    own: OwnFields | None
    examples: gr.Gallery
    notice: gr.HTML
    score: gr.HTML
    ledger: gr.HTML
    in_words: gr.HTML
    progress: gr.HTML
    stop: gr.Button
    credits: gr.HTML
    share: ShareRow
    concepts: ConceptFields
    dial: DialFields
    topk_plot: gr.Plot
    k: HeldSlider
    topk_maps: MapRows
    feature: ChangingChoice
    feature_maps: MapRows
    pooling_maps: MapRows
    pooling_plot: gr.Plot
    link_pin: gr.State
    mode: gr.Textbox
    to_draw: gr.Textbox
    to_stand: gr.Textbox
    to_say: gr.Textbox
    refusals: Refusals

    @property
    def panels(self) -> list[Any]:
        """What is shown of a pair, and why it may not be."""
        return [
            *(self.notice, self.score, self.ledger, self.credits, self.pair.method, self.look.viewer, self.topk_plot),
            *(self.k, self.topk_maps, self.feature, self.feature_maps, self.pooling_maps, self.pooling_plot),
        ]

    @property
    def places(self) -> dict[str, Any]:
        """What holds each field of the page's address."""
        chosen = {one.name: getattr(held, one.name) for held in (self.pair, self.look) for one in fields(held)}
        pictures = {"a": self.pair.image_a, "b": self.pair.image_b}
        depth = {name: getattr(self.dial, name) for name in choices.DEPTH}
        shown = {"pin": self.link_pin, "mode": self.mode}
        return pictures | {name: chosen[name] for name in choices.CHOICES} | shown | depth


def layout(session: Session) -> Widgets:
    """Lays the tab out inside the app that is being built."""
    gr.HTML(INTRO, elem_id="compare_intro")
    with gr.Row(equal_height=False, elem_id="compare_room"):
        with gr.Column(scale=4, min_width=320, elem_id="inputs"):
            with gr.Row(elem_id="pictures"):
                pictures = {f"image_{side}": _picture(side) for side in "ab"}
            settings = _settings(session)
            rest = {"own": own_panel(session), "examples": _examples()}
        with gr.Column(scale=7, min_width=320, elem_id="answer"):
            answer = _answer()
    with gr.Accordion("Which concepts and features carry the score", open=True):
        concepts = concept_panel()
        topk = _topk()
    with gr.Accordion("What another pooling would say", open=True):
        pooling = _pooling()
    method, viewer = answer.pop("method"), answer.pop("viewer")
    colours, opacity, network = settings.pop("colours"), settings.pop("opacity"), settings.pop("network")
    return Widgets(
        pair=PairFields(**pictures, **settings, method=method),
        look=LookFields(colours, opacity, viewer),
        network=network,
        **rest,
        **answer,
        concepts=concepts,
        **topk,
        **pooling,
        link_pin=gr.State(None),
        mode=gr.Textbox(choices.MODE.default, visible="hidden", elem_id="mode"),
        to_draw=gr.Textbox(visible="hidden", elem_id="to_draw"),
        to_stand=gr.Textbox(visible="hidden", elem_id="to_stand"),
        to_say=gr.Textbox(visible="hidden", elem_id="to_say"),
        refusals=Refusals.laid(),
    )


def _picture(side: str) -> PictureDrop:
    return PictureDrop(
        str(samples.PICTURES / samples.pairs()[0][side]),
        label=f"Picture {side.upper()}",
        elem_id=f"image_{side}",
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        height=190,
        min_width=140,
        buttons=[],
        alt_text=f"Picture {side.upper()}",
    )


def _settings(session: Session) -> dict[str, Any]:
    """The pair's settings, colours and opacity, and what a chosen network sets."""
    with gr.Row():
        backbone = PoolingChoice(
            backbones(session, first(session)),
            value=first(session),
            label="Backbone",
            info="or type timm/NAME, transformers/NAME" if session.any_architecture else None,
            allow_custom_value=session.any_architecture or session.own.offered,
            elem_id="backbone",
            min_width=140,
        )
        network = session.network(first(session))
        pooling = PoolingChoice(
            list(network.poolings),
            value=str(network.trained_pooling),
            label="Pooling",
            elem_id="pooling",
            min_width=140,
        )
    gr.HTML(terms("backbone", "pooling", "GeM", "view"), elem_classes="words")
    notice = gr.HTML(elem_id="network_notice")
    exponent = _slider(choices.EXPONENT, "exponent", 0.5, "GeM exponent (1 is avg, large tends to max)", visible=False)
    with gr.Accordion("View and colours", open=False):
        view_and_colours = _view_and_colours()
    with gr.Accordion("About this network", open=False):
        card = gr.Markdown(about(session, first(session)))
    chosen = NetworkFields(backbone, pooling, exponent, notice, card, gr.State(first(session)))
    return {"backbone": backbone, "pooling": pooling, "exponent": exponent, **view_and_colours, "network": chosen}


def _view_and_colours() -> dict[str, Any]:
    label = "View size (larger views give finer maps, slower)"
    size = gr.Radio(list(choices.SIZES.items()), value=choices.SHORT_SIDE.default, label=label, elem_id="short_side")
    framing = gr.Radio(list(choices.FRAMES.items()), value=choices.FRAMING.default, label="View", elem_id="framing")
    label = "Colours (negative to positive)"
    colours = gr.Dropdown(choices.COLOURS.values, value=choices.COLOURS.default, label=label, elem_id="colours")
    opacity = _slider(choices.OPACITY, "opacity", 0.05, "Opacity")
    return {"short_side": size, "framing": framing, "colours": colours, "opacity": opacity}


def _slider(choice: choices.Between, name: str, step: float, label: str, visible: bool = True) -> HeldSlider:
    return HeldSlider(choice.least, choice.most, choice.default, step=step, label=label, elem_id=name, visible=visible)


def _examples() -> gr.Gallery:
    gr.HTML("<h2>Or begin with a ready-made pair</h2>")
    return gr.Gallery(
        samples.thumbnails(),
        elem_id="examples",
        columns=2,
        height=420,
        allow_preview=False,
        interactive=False,
        show_label=False,
        object_fit="cover",
        buttons=[],
    )


def _answer() -> dict[str, Any]:
    """Notice, score, ledger, the pair in words, method, progress, the viewer, credits, and the row that shares."""
    with gr.Column(elem_classes="tight"):
        lines = {name: gr.HTML(elem_id=name) for name in ("notice", "score", "ledger", "in_words")}
        method = MethodChoice([], label="Draw the map by", elem_id="method", visible=False)
        with gr.Row(elem_id="drawing"):
            progress = gr.HTML(elem_id="progress", min_width=200)
            stop = gr.Button("Stop", size="sm", elem_id="stop", visible=False, scale=0, min_width=90)
    viewer = PairViewer(elem_id="pair_viewer")
    dial = dial_panel()
    gr.HTML(terms(*WORDS), elem_classes="words")
    credits_line = gr.HTML(elem_id="credits")
    share = share_row("Copy link", COPIED, {"figure": "Save as one picture", "export": "Save maps as a zip"})
    drawing = {"method": method, "progress": progress, "stop": stop, "viewer": viewer, "dial": dial}
    return {**lines, **drawing, "credits": credits_line, "share": share}


def _topk() -> dict[str, Any]:
    gr.HTML(terms("feature", "embedding", "contribution"), elem_classes="words")
    with gr.Row():
        with gr.Column(min_width=320):
            plot = gr.Plot(elem_id="topk_plot", show_label=False)
            k = HeldSlider(1, 1280, TOP_K, step=1, label="k: how many of the strongest features to keep", elem_id="k")
        with gr.Column(min_width=320):
            maps = MapRows(elem_id="topk_maps")
    with gr.Row():
        with gr.Column(min_width=320):
            feature = ChangingChoice([], label="Strongest features and what each contributes", elem_id="features")
        with gr.Column(min_width=320):
            fires = MapRows(elem_id="feature_maps")
    return {"topk_plot": plot, "k": k, "topk_maps": maps, "feature": feature, "feature_maps": fires}


def _pooling() -> dict[str, Any]:
    gr.HTML(
        "<p>The same features under other poolings, on one colour scale. A pooling other than the one the network was "
        "trained with is a <em>what-if</em>: its numbers are right, but the network never learned to be used that "
        "way.</p>" + terms("pooling", "what-if", "GeM")
    )
    maps = MapRows(elem_id="pooling_panel")
    return {"pooling_maps": maps, "pooling_plot": gr.Plot(elem_id="pooling_plot", show_label=False)}
