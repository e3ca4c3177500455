"""The Compare tab: two pictures, why they match, and everything that splits the score."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page import choices
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.own_panel import own_panel, wire_own
from simvis_app.page.glossary import terms
from simvis_app.page.pair.networks import about, backbones, first
from simvis_app.page.parts.drops import PictureDrops, wire_drops
from simvis_app.page.parts.fields import ChangingChoice, HeldSlider, MethodChoice, PoolingChoice
from simvis_app.page.parts.map_rows import MapRows
from simvis_app.page.parts.pair_viewer import PairViewer
from simvis_app.page.parts.share_row import ShareRow, share_row, wire_share
from simvis_app.service import samples
from simvis_app.service.lanes import QUICK
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
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
LOOK_JS = """(colours, opacity) => { window.simvisLook = {colours, opacity};
  document.dispatchEvent(new CustomEvent("simvis-look")); }"""
MODE_JS = """(mode) => { document.dispatchEvent(new CustomEvent("simvis-mode", { detail: mode })); }"""
COPIED = "Link copied. It keeps both pictures on this server for whoever has it."


@dataclass
class Widgets:
    """The tab's components by the room they stand in."""

    image_a: PictureDrop
    image_b: PictureDrop
    settings: list[Any]  # backbone, pooling, exponent, short side, framing, method
    look: list[Any]  # colours, opacity
    viewer: PairViewer
    head: list[Any]  # notice, score, ledger, credits
    drawing: list[Any]  # progress, button that stops it
    topk: list[Any]  # plot, k, rows, feature list, rows of the feature
    pooling: list[Any]  # rows, plot
    link_pin: gr.State
    mode: gr.Textbox  # what a point shows; the viewer follows it, and it the viewer
    to_draw: gr.Textbox  # changes when a black box's map is to be drawn
    to_stand: gr.Textbox  # changes when it is being measured how high the score is for its network
    network: list[Any]  # notice, card, name of the last network that loaded
    own: list[Any]  # of `own_panel`; empty where the owner offers none
    examples: gr.Gallery
    share: ShareRow
    said: gr.State  # a notice about dropped files that were not taken
    ask: dict[str, Any] = field(default_factory=dict)  # the event that compares what the widgets hold

    @property
    def opens(self) -> list[Any]:
        """What a pair from another tab sets; see `handlers.opened`."""
        return [self.image_a, self.image_b, *self.settings[:5], *self.network, self.link_pin]

    @property
    def asked(self) -> list[Any]:
        """What a pair's explanation depends on."""
        return [self.image_a, self.image_b, *self.settings]

    @property
    def places(self) -> dict[str, Any]:
        """What holds each field of the page's address."""
        names = ("a", "b", *choices.CHOICES, "pin", "mode")
        return dict(zip(names, [*self.asked, *self.look, self.link_pin, self.mode], strict=True))

    @property
    def linked(self) -> list[Any]:
        """What a link to the pair keeps."""
        return [*self.asked, *self.look, self.viewer]


def build(session: Session, pictures: LinkedPictures, drops: PictureDrops, references: References) -> Widgets:
    """Lays the tab out and wires it up inside the app that is being built."""
    widgets = _layout(session)
    widgets.ask = _wire(widgets, Handlers(session, pictures, references))
    places = [widgets.image_a, widgets.image_b]
    wire_drops(drops.pair, drops, places, ("A", "B"), widgets.said, widgets.ask)
    return widgets


# ---------------------------------------------------------------- layout


def _layout(session: Session) -> Widgets:
    first = samples.pairs()[0]
    gr.HTML(INTRO, elem_id="compare_intro")
    with gr.Row(equal_height=False, elem_id="compare_room"):
        with gr.Column(scale=4, min_width=320, elem_id="inputs"):
            with gr.Row(elem_id="pictures"):
                image_a, image_b = (
                    PictureDrop(
                        str(samples.PICTURES / first[side]),
                        label=f"Picture {side.upper()}",
                        elem_id=f"image_{side}",
                        type="filepath",
                        sources=["upload", "clipboard", "webcam"],
                        height=190,
                        min_width=140,
                        buttons=[],
                        alt_text=f"Picture {side.upper()}",
                    )
                    for side in "ab"
                )
            settings, look, network = _settings(session)
            own = own_panel(session)
            gr.HTML("<h2>Or begin with a ready-made pair</h2>")
            examples = gr.Gallery(
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
        with gr.Column(scale=7, min_width=320, elem_id="answer"):
            with gr.Column(elem_classes="tight"):
                notice = gr.HTML(elem_id="notice")
                score = gr.HTML(elem_id="score")
                ledger = gr.HTML(elem_id="ledger")
                method = MethodChoice([], label="Draw the map by", elem_id="method", visible=False)
                with gr.Row(elem_id="drawing"):
                    progress = gr.HTML(elem_id="progress", min_width=200)
                    stop = gr.Button("Stop", size="sm", elem_id="stop", visible=False, scale=0, min_width=90)
            viewer = PairViewer(elem_id="pair_viewer")
            gr.HTML(terms(*WORDS), elem_classes="words")
            credits_line = gr.HTML(elem_id="credits")
            share = share_row("Copy link", COPIED, {"figure": "Save as one picture", "export": "Save maps as a zip"})
    with gr.Accordion("Which features carry the score", open=True):
        topk = _topk()
    with gr.Accordion("What another pooling would say", open=True):
        pooling = _pooling()
    return Widgets(
        image_a,
        image_b,
        [*settings, method],
        look,
        viewer,
        [notice, score, ledger, credits_line],
        [progress, stop],
        topk,
        pooling,
        gr.State(None),
        gr.Textbox(choices.MODE.default, visible="hidden", elem_id="mode"),
        gr.Textbox(visible="hidden", elem_id="to_draw"),
        gr.Textbox(visible="hidden", elem_id="to_stand"),
        network,
        own,
        examples,
        share,
        gr.State(""),
    )


def _settings(session: Session) -> tuple[list[Any], list[Any], list[Any]]:
    with gr.Row():
        backbone = PoolingChoice(
            backbones(session, first(session)),
            value=first(session),
            label="Backbone",
            info="or type timm/NAME" if session.any_architecture else None,
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
    network_notice = gr.HTML(elem_id="network_notice")
    exponent = _slider(choices.EXPONENT, "exponent", 0.5, "GeM exponent (1 is avg, large tends to max)", visible=False)
    with gr.Accordion("View and colours", open=False):
        label = "View size (larger views give finer maps, slower)"
        short_side = gr.Radio(
            list(choices.SIZES.items()), value=choices.SHORT_SIDE.default, label=label, elem_id="short_side"
        )
        framing = gr.Radio(list(choices.FRAMES.items()), value=choices.FRAMING.default, label="View", elem_id="framing")
        label = "Colours (negative to positive)"
        colours = gr.Dropdown(choices.COLOURS.values, value=choices.COLOURS.default, label=label, elem_id="colours")
        opacity = _slider(choices.OPACITY, "opacity", 0.05, "Opacity")
    with gr.Accordion("About this network", open=False):
        card = gr.Markdown(about(session, first(session)))
    return (
        [backbone, pooling, exponent, short_side, framing],
        [colours, opacity],
        [network_notice, card, gr.State(first(session))],
    )


def _slider(choice: choices.Between, name: str, step: float, label: str, visible: bool = True) -> HeldSlider:
    return HeldSlider(choice.least, choice.most, choice.default, step=step, label=label, elem_id=name, visible=visible)


def _topk() -> list[Any]:
    gr.HTML(terms("feature", "embedding", "contribution"), elem_classes="words")
    with gr.Row():
        with gr.Column(min_width=320):
            plot = gr.Plot(elem_id="topk_plot", show_label=False)
            k = HeldSlider(1, 1280, TOP_K, step=1, label="k: how many of the strongest features to keep", elem_id="k")
        with gr.Column(min_width=320):
            rows = MapRows(elem_id="topk_maps")
    with gr.Row():
        with gr.Column(min_width=320):
            features = ChangingChoice([], label="Strongest features and what each contributes", elem_id="features")
        with gr.Column(min_width=320):
            fires = MapRows(elem_id="feature_maps")
    return [plot, k, rows, features, fires]


def _pooling() -> list[Any]:
    gr.HTML(
        "<p>The same features under other poolings, on one colour scale. A pooling other than the one the network was "
        "trained with is a <em>what-if</em>: its numbers are right, but the network never learned to be used that "
        "way.</p>" + terms("pooling", "what-if", "GeM")
    )
    rows = MapRows(elem_id="pooling_panel")
    plot = gr.Plot(elem_id="pooling_plot", show_label=False)
    return [rows, plot]


# ---------------------------------------------------------------- wiring


def _wire(widgets: Widgets, handlers: Handlers) -> dict[str, Any]:
    """Binds events; pictures and settings ask for a whole comparison, which it gives, the rest for its own panel.

    A black box's comparison is followed by a drawing, which ends when another comparison is asked for.
    """
    score = widgets.head[1]
    backbone, pooling, exponent, short_side, framing, method = widgets.settings
    compare: dict[str, Any] = {
        "fn": handlers.compare,
        "inputs": [*widgets.asked, widgets.viewer, widgets.topk[1], widgets.link_pin, widgets.said],
        "outputs": [
            *(*widgets.head, method, widgets.viewer, *widgets.topk, *widgets.pooling, widgets.link_pin),
            *(*widgets.drawing, widgets.share.told, widgets.to_stand, widgets.to_draw),
        ],
        "show_progress": "minimal",
        "show_progress_on": score,
        "trigger_mode": "always_last",
        # One at a time, in the order asked: an answer to older settings must not arrive last.
        "concurrency_limit": 1,
        "concurrency_id": "compare",
        "api_visibility": "private",
    }
    shown = [*widgets.head, widgets.settings[-1], widgets.viewer, *widgets.topk, *widgets.pooling]
    # Not `then`: only a black box has anything to draw, and an event that changes nothing would still touch the page.
    widgets.to_draw.change(
        handlers.draw,
        [widgets.viewer, widgets.topk[1]],
        [*widgets.drawing, *shown],
        show_progress="hidden",
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=2,
        concurrency_id="draw",
        api_visibility="private",
    )
    widgets.to_stand.change(
        handlers.stand,
        None,
        score,
        show_progress="hidden",
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=16,
        concurrency_id="stand",
        api_visibility="private",
    )
    # `input` is the visitor's own doing (upload, paste, camera); what Python sets asks for itself below.
    changes = [widgets.image_a.input, widgets.image_b.input, pooling.input, exponent.input]
    changes += [short_side.input, framing.input, method.input]
    gr.on(changes, **compare)
    for image in (widgets.image_a, widgets.image_b):
        # The page tells of a cleared picture while it still sends the old one: empty it here, then compare.
        image.clear(lambda: None, None, image, **_PRIVATE).then(**compare)
    pooling.input(handlers.choose_pooling, pooling, exponent, **_PRIVATE)
    chosen = backbone.input(
        handlers.choose_network,
        [backbone, pooling, widgets.network[2]],
        [backbone, pooling, exponent, *widgets.network],
        show_progress_on=[backbone],
        api_visibility="private",
    )
    chosen.then(**compare)
    example = widgets.examples.select(handlers.show_example, None, [widgets.image_a, widgets.image_b], **_PRIVATE)
    example.then(**compare)
    if widgets.own:
        network = [*widgets.settings[:3], *widgets.network]
        wire_own(widgets.own, handlers.open_model, handlers.session.own.files, network).then(**compare)
    _wire_panels(widgets, handlers)
    wire_share(widgets.share, widgets.linked, handlers.link, [handlers.figure, handlers.export])
    gr.on([control.change for control in widgets.look], None, widgets.look, None, js=LOOK_JS)
    widgets.viewer.switched(None, widgets.viewer, widgets.mode, js="(shown) => shown.mode")
    widgets.mode.change(None, widgets.mode, None, js=MODE_JS)
    blocks = gr.context.Context.root_block
    widgets.drawing[1].click(handlers.stop, widgets.asked, [*widgets.drawing, method], **_PRIVATE)
    blocks.unload(handlers.leave)
    # A pin needs no answer: the browser has drawn it. Telling Python keeps it for links, exports and the next pooling.
    kept = {"concurrency_limit": None, "concurrency_id": QUICK, "trigger_mode": "always_last"}
    widgets.viewer.pin(lambda _: None, widgets.viewer, None, **_PRIVATE, **kept)
    return compare


def _wire_panels(widgets: Widgets, handlers: Handlers) -> None:
    _, k, rows, features, fires = widgets.topk
    quick = {"show_progress": "minimal", "api_visibility": "private", "trigger_mode": "always_last"}
    k.input(handlers.top_k, [*widgets.asked, k], rows, **quick)
    features.input(handlers.feature, [*widgets.asked, features], fires, **quick)


_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
