"""The Compare tab: two pictures, why they match, and everything that splits the score."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

import model_zoo
from simvis_core import POOLINGS, PairExplanation, Pooling, SimvisError
from simvis_core.colours import DEFAULT, STOPS
from simvis_core.export import zipped
from simvis_core.images import FRAMINGS
from simvis_core.pairs import Side
from ui import links, panels, samples, words
from ui.components import MapRows, PairViewer, PictureDrop, checked_pin
from ui.files import kept
from ui.links import LinkedPictures
from ui.session import Session, Settings, content_hash

SIZES = [("quick: short side 224", 224), ("fine: 384", 384), ("finest: 512", 512)]
FRAMES = dict(zip(("whole picture", "square, squeezed", "square, centre crop"), FRAMINGS, strict=True))
EXPONENT = 3.0
OPACITY = 0.85
TOP_K = 10
CREDITS = "Sample picture {side}: {credit}. "
LOOK_JS = """(colours, opacity) => { window.simvisLook = {colours, opacity};
  document.dispatchEvent(new CustomEvent("simvis-look")); }"""
LINK_JS = """(query) => { if (!query) return ""; const link = location.origin + location.pathname + "?" + query;
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {}); return link; }"""


@dataclass
class Widgets:
    """The tab's components by the room they stand in."""

    image_a: PictureDrop
    image_b: PictureDrop
    settings: list[Any]  # backbone, pooling, exponent, short side, framing
    look: list[Any]  # colours, opacity
    viewer: PairViewer
    head: list[Any]  # notice, score, ledger, credits
    topk: list[Any]  # plot, k, rows, feature list, rows of the feature
    pooling: list[Any]  # rows, plot
    link_pin: gr.State
    network: list[Any]  # notice, card
    examples: gr.Gallery
    share: list[Any]  # link button, query, link, export button, file

    @property
    def asked(self) -> list[Any]:
        """What a pair's explanation depends on."""
        return [self.image_a, self.image_b, *self.settings]


def build(session: Session, pictures: LinkedPictures) -> Widgets:
    """Lays the tab out and wires it up inside the app that is being built."""
    widgets = _layout()
    _wire(widgets, session, pictures)
    return widgets


# ---------------------------------------------------------------- layout


def _layout() -> Widgets:
    first = samples.pairs()[0]
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=320):
            with gr.Row():
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
            settings, look, network = _settings()
            gr.HTML("<h3>Or begin with a ready-made pair</h3>")
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
        with gr.Column(scale=7, min_width=320):
            with gr.Column(elem_classes="tight"):
                notice = gr.HTML(elem_id="notice")
                score = gr.HTML(elem_id="score")
                ledger = gr.HTML(elem_id="ledger")
            viewer = PairViewer(elem_id="pair_viewer")
            credits_line = gr.HTML(elem_id="credits")
            share = _share()
    with gr.Accordion("Which features carry the score", open=True):
        topk = _topk()
    with gr.Accordion("What another pooling would say", open=True):
        pooling = _pooling()
    return Widgets(
        image_a,
        image_b,
        settings,
        look,
        viewer,
        [notice, score, ledger, credits_line],
        topk,
        pooling,
        gr.State(None),
        network,
        examples,
        share,
    )


def _settings() -> tuple[list[Any], list[Any], list[Any]]:
    default = model_zoo.names()[0]
    with gr.Row():
        backbone = gr.Dropdown(
            [(_network_label(name), name) for name in model_zoo.names()],
            value=default,
            label="Backbone",
            elem_id="backbone",
            min_width=140,
        )
        pooling = gr.Dropdown(list(POOLINGS), value="avg", label="Pooling", elem_id="pooling", min_width=140)
    network_notice = gr.HTML(elem_id="network_notice")
    exponent = gr.Slider(1, 20, EXPONENT, step=0.5, label="GeM exponent (1 is avg, large tends to max)", visible=False)
    with gr.Accordion("View and colours", open=False):
        short_side = gr.Radio(SIZES, value=224, label="View size (larger views give finer maps, slower)")
        framing = gr.Radio(list(FRAMES.items()), value="whole", label="View")
        colours = gr.Dropdown(list(STOPS), value=DEFAULT, label="Colours (negative to positive)", elem_id="colours")
        opacity = gr.Slider(0.1, 1, OPACITY, step=0.05, label="Opacity", elem_id="opacity")
    with gr.Accordion("About this network", open=False):
        card = gr.Markdown(_card_text(default))
    return [backbone, pooling, exponent, short_side, framing], [colours, opacity], [network_notice, card]


def _topk() -> list[Any]:
    with gr.Row():
        with gr.Column(min_width=320):
            plot = gr.Plot(elem_id="topk_plot", show_label=False)
            k = gr.Slider(1, 1280, TOP_K, step=1, label="k: how many of the strongest features to keep", elem_id="k")
        with gr.Column(min_width=320):
            rows = MapRows(elem_id="topk_maps")
    with gr.Row():
        with gr.Column(min_width=320):
            features = gr.Radio([], label="Strongest features and what each contributes", elem_id="features")
        with gr.Column(min_width=320):
            fires = MapRows(elem_id="feature_maps")
    return [plot, k, rows, features, fires]


def _pooling() -> list[Any]:
    gr.HTML(
        "<p>The same features under other poolings, on one colour scale. A pooling other than the one the network was "
        "trained with is a <em>what-if</em>: its numbers are right, but the network never learned to be used that "
        "way.</p>"
    )
    rows = MapRows(elem_id="pooling_panel")
    plot = gr.Plot(elem_id="pooling_plot", show_label=False)
    return [rows, plot]


def _share() -> list[Any]:
    with gr.Row():
        link_button = gr.Button("Copy a link to this", size="sm", elem_id="link_button")
        export_button = gr.Button("Export maps as a zip", size="sm", elem_id="export_button")
    query = gr.Textbox(visible="hidden", elem_id="link_query")
    link = gr.Textbox(
        label="Link (copied): it keeps both pictures on this server for whoever has it",
        visible=False,
        elem_id="link",
        interactive=False,
    )
    file = gr.File(label="Export", visible=False, elem_id="export_file", interactive=False)
    return [link_button, query, link, export_button, file]


# ---------------------------------------------------------------- wiring


def _wire(widgets: Widgets, session: Session, pictures: LinkedPictures) -> None:
    """Binds events; pictures and settings ask for a whole comparison, the rest only for its own panel."""
    handlers = Handlers(session, pictures)
    score = widgets.head[1]
    backbone, pooling, exponent, short_side, framing = widgets.settings
    compare = {
        "fn": handlers.compare,
        "inputs": [*widgets.asked, widgets.viewer, widgets.topk[1], widgets.link_pin],
        "outputs": [*widgets.head, widgets.viewer, *widgets.topk, *widgets.pooling, widgets.link_pin],
        "show_progress": "minimal",
        "show_progress_on": score,
        "trigger_mode": "always_last",
        # One at a time, in the order asked: an answer to older settings must not arrive last.
        "concurrency_limit": 1,
        "concurrency_id": "compare",
        "api_visibility": "private",
    }
    changes = [widgets.image_a.change, widgets.image_b.change, pooling.input, exponent.input]
    gr.on([*changes, short_side.input, framing.input], **compare)
    pooling.change(lambda name: gr.update(visible=name == "gem"), pooling, exponent, **_PRIVATE)
    chosen = backbone.input(
        handlers.choose_network,
        [backbone, pooling],
        [backbone, pooling, *widgets.network],
        show_progress_on=[backbone],
        api_visibility="private",
    )
    chosen.then(**compare)
    widgets.examples.select(handlers.show_example, None, [widgets.image_a, widgets.image_b], **_PRIVATE)
    _wire_panels(widgets, handlers)
    _wire_share(widgets, handlers)
    gr.on([control.change for control in widgets.look], None, widgets.look, None, js=LOOK_JS)
    blocks = gr.context.Context.root_block
    opened = blocks.load(
        handlers.open_page,
        None,
        [*widgets.asked, *widgets.look, widgets.link_pin, *widgets.network],
        **_PRIVATE,
    )
    opened.success(**compare)
    # A pin needs no answer: the browser has drawn it. Telling Python keeps it for links, exports and the next pooling.
    widgets.viewer.pin(lambda _: None, widgets.viewer, None, **_PRIVATE, trigger_mode="always_last")


def _wire_panels(widgets: Widgets, handlers: "Handlers") -> None:
    _, k, rows, features, fires = widgets.topk
    quick = {"show_progress": "minimal", "api_visibility": "private", "trigger_mode": "always_last"}
    k.input(handlers.top_k, [*widgets.asked, k], rows, **quick)
    features.input(handlers.feature, [*widgets.asked, features], fires, **quick)


def _wire_share(widgets: Widgets, handlers: "Handlers") -> None:
    link_button, query, link, export_button, file = widgets.share
    everything = [*widgets.asked, *widgets.look, widgets.viewer]
    asked = link_button.click(handlers.link, everything, [query, link], **_PRIVATE)
    asked.success(None, query, link, js=LINK_JS)
    export_button.click(handlers.export, everything, file, api_visibility="private", show_progress_on=export_button)


_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Handlers:
    """What the tab's events do: each takes component values and gives component values."""

    def __init__(self, session: Session, pictures: LinkedPictures) -> None:
        self.session, self.pictures = session, pictures

    def compare(
        self,
        image_a: str | None,
        image_b: str | None,
        backbone: str,
        pooling: str,
        exponent: float,
        short_side: int,
        framing: Any,
        viewer: dict[str, Any],
        k: int,
        link_pin: Any,
    ) -> list[Any]:
        """Everything the tab shows about the pair; a sentence and empty panels where it cannot be explained."""
        if image_a is None or image_b is None:
            return [_sentence("Drop a picture into both places to compare them."), *_EMPTY, link_pin]
        try:
            pair = self._pair(image_a, image_b, backbone, pooling, exponent, short_side, framing)
            others = panels.pooling_pairs(pair, exponent)
        except SimvisError as error:
            return [_sentence(str(error)), *_EMPTY, link_pin]
        hashes = [content_hash(image) for image in (image_a, image_b)]
        key = ":".join([*hashes, str(pair.a.grid), str(pair.b.grid), framing])
        pin = viewer["pin"] if viewer["key"] == key else link_pin
        return [
            "",
            words.score_line(pair),
            words.ledger_line(pair),
            _credits(hashes),
            (pair, key, pin, viewer["mode"]),
            *self._topk(pair, k),
            panels.pooling_rows(others),
            panels.pooling_figure(others),
            None,
        ]

    def top_k(self, *values: Any) -> Any:
        """The maps of only the top k features."""
        *asked, k = values
        return panels.topk_rows(self._asked_pair(asked), k)

    def feature(self, *values: Any) -> Any:
        """Where the chosen feature fires."""
        *asked, feature = values
        return panels.feature_rows(self._asked_pair(asked), feature)

    def choose_network(self, backbone: str, pooling: str) -> list[Any]:
        """Loads the network, offers the poolings its head takes, shows its card; keeps the old one if it cannot."""
        try:
            network = self.session.network(backbone)
        except SimvisError as error:
            working = model_zoo.names()[0]
            return [working, gr.skip(), _sentence(str(error)), _card_text(working)]
        fits = list(network.poolings)
        chosen = pooling if pooling in fits else str(network.trained_pooling)
        note = model_zoo.card(backbone).note if network.preprocess.fixed_size else ""
        return [backbone, gr.update(choices=fits, value=chosen), _sentence(note), _card_text(backbone)]

    def show_example(self, event: gr.SelectData) -> list[str]:
        """The two pictures of the chosen ready-made pair."""
        pair = samples.pairs()[int(event.index)]
        return [str(samples.PICTURES / pair[side]) for side in "ab"]

    def open_page(self, request: gr.Request) -> list[Any]:
        """What a link names, or nothing changed where the page is opened without one.

        A link that cannot be followed leaves the page as it opens, with a sentence that says why.
        """
        asked = dict(request.query_params)
        if "a" not in asked or "b" not in asked:
            return [gr.skip()] * 12
        try:
            images = [self.pictures.find(asked[side]) for side in "ab"]
            settings = _linked_settings(asked)
            self.session.network(settings[0])
        except SimvisError as error:
            gr.Warning(str(error), duration=None)
            return [gr.skip()] * 12
        backbone, pooling, *network = self.choose_network(*settings[:2])
        return [*images, backbone, pooling, *settings[2:], links.pin_of(asked.get("pin", "")), *network]

    def link(self, *values: Any) -> list[Any]:
        """The query of a link to what is shown; both pictures are kept for it."""
        *asked, colours, opacity, viewer = values
        if asked[0] is None or asked[1] is None:
            raise gr.Error("Drop a picture into both places first.", print_exception=False)
        try:
            self._asked_pair(asked)
            names = [self.pictures.keep(image) for image in asked[:2]]
        except SimvisError as error:
            raise gr.Error(str(error), print_exception=False) from error
        settings = dict(zip(_SETTING_NAMES, [*asked[2:], colours, opacity], strict=True))
        return [links.query(*names, settings, viewer["pin"]), gr.update(visible=True)]

    def export(self, *values: Any) -> Any:
        """A zip with overlays, maps and manifest of what is shown."""
        *asked, colours, opacity, viewer = values
        pair = self._asked_pair(asked)
        files = pair.files(_pinned_point(pair, viewer["pin"]), colours, opacity)
        path = kept(zipped(files), "simvis.zip")
        return gr.update(value=path, visible=True)

    def _asked_pair(self, asked: list[Any]) -> PairExplanation:
        if asked[0] is None or asked[1] is None:
            raise gr.Error("Drop a picture into both places first.", print_exception=False)
        try:
            return self._pair(*asked)
        except SimvisError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _pair(
        self, image_a: str, image_b: str, backbone: str, pooling: str, exponent: float, short_side: int, framing: Any
    ) -> PairExplanation:
        chosen = Settings(backbone, str(Pooling(pooling, exponent)), short_side, framing)
        return self.session.explain(image_a, image_b, chosen)

    def _topk(self, pair: PairExplanation, k: int) -> list[Any]:
        length = pair.contributions.numel()
        choices = panels.feature_choices(pair)
        return [
            panels.topk_figure(pair),
            gr.update(maximum=length, value=min(int(k), length)),
            panels.topk_rows(pair, k),
            gr.update(choices=choices, value=choices[0][1]),
            panels.feature_rows(pair, choices[0][1]),
        ]


_SETTING_NAMES = ("backbone", "pooling", "exponent", "short_side", "framing", "colours", "opacity")
# score, ledger, credits, viewer, then plot, k, rows, features, rows, then rows, plot
_EMPTY = ["", "", "", None, None, gr.skip(), None, gr.update(choices=[], value=None), None, None, None]


def _linked_settings(asked: dict[str, str]) -> list[Any]:
    """Settings of a link, in the order of `_SETTING_NAMES`; one that is left out has the page's default.

    Raises SimvisError for a value that the page does not offer.
    """
    return [_linked(name, asked[name]) if name in asked else _LINKED[name][1][0] for name in _SETTING_NAMES]


def _linked(name: str, text: str) -> Any:
    kind, offered = _LINKED[name]
    try:
        value = kind(text)
    except ValueError:
        value = None
    inside = len(offered) == RANGE and kind is float and value is not None and offered[1] <= value <= offered[2]
    if value not in offered and not inside:
        raise SimvisError(f"a link whose {name} is '{text}'", "one that this page offers", "choose it by hand")
    return value


RANGE = 3  # a number's default, least and most
_LINKED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "backbone": (str, model_zoo.names()),
    "pooling": (str, tuple(POOLINGS)),
    "exponent": (float, (EXPONENT, 1.0, 20.0)),
    "short_side": (int, (224, 384, 512)),
    "framing": (str, FRAMINGS),
    "colours": (str, tuple(STOPS)),
    "opacity": (float, (OPACITY, 0.1, 1.0)),
}


def _pinned_point(pair: PairExplanation, pin: Any) -> tuple[Side, float, float] | None:
    """The view pixel at the centre of the pinned cell."""
    pin = checked_pin(pin, {"a": pair.a.grid, "b": pair.b.grid})
    if pin is None:
        return None
    view, own, _ = pair.side(pin["side"])
    x, y = (
        (at + 0.5) * side / cells - 0.5
        for at, side, cells in zip((pin["col"], pin["row"]), view.size[::-1], own.grid[::-1], strict=True)
    )
    return pin["side"], x, y


def _credits(hashes: list[str]) -> str:
    """What to look at in a ready-made pair, then the credits of sample pictures."""
    found = [(side, samples.credit(digest)) for side, digest in zip("AB", hashes, strict=True)]
    lines = (CREDITS.format(side=side, credit=samples.credit_line(entry)) for side, entry in found if entry)
    return "".join([*(f"<p>{samples.html.escape(note)}</p>" for note in [samples.note(*hashes)] if note), *lines])


def _sentence(text: str) -> str:
    """Plain text as a visible notice; it may quote a file name, so it is escaped."""
    return f'<div role="alert" class="notice">{samples.html.escape(text)}</div>' if text else ""


def _network_label(name: str) -> str:
    card = model_zoo.card(name)
    return card.title if card.bundled else f"{card.title} (downloads {card.weights.megabytes:.0f} MB)"


def _card_text(name: str) -> str:
    card = model_zoo.card(name)
    pooling = f"Trained with {card.pooling} pooling, head: {card.head}."
    return (
        f"**{card.title}**. {card.note}\n\nTask: {card.task}. {pooling} Licence of the weights: {card.licence}. "
        f"Source: {card.origin}. Paper: {card.paper}."
    )
