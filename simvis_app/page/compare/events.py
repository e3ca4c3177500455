"""The Compare tab's events: what each is told, what it may change, and when it is asked."""

import gradio as gr

from simvis_app.page.compare.answers import Answers, OwnAnswers
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.layout import Widgets, layout
from simvis_app.page.compare.own_panel import OwnFields
from simvis_app.page.concepts.concept_panel import wire_concepts
from simvis_app.page.depth.dial_answers import wire_dial
from simvis_app.page.house import House
from simvis_app.page.pair.places import COMPARE, PairPlaces, components, read_pair
from simvis_app.page.parts.drops import wire_drops
from simvis_app.page.parts.share_row import wire_share
from simvis_app.page.updates import Listener
from simvis_app.service.lanes import QUICK

LOOK_JS = """(colours, opacity) => { window.simvisLook = {colours, opacity};
  document.dispatchEvent(new CustomEvent("simvis-look")); }"""
MODE_JS = """(mode) => { document.dispatchEvent(new CustomEvent("simvis-mode", { detail: mode })); }"""


def build(house: House, _: gr.Tab) -> None:
    """Lays the tab out, wires it up inside the app that is being built, and says where its pair stands."""
    widgets = layout(house.session)
    ask = wire(widgets, Handlers(house.session, house.pictures, house.references, house.attributes))
    pictures = [widgets.pair.image_a, widgets.pair.image_b]
    wire_drops(house.drops.pair, house.drops, pictures, ("A", "B"), widgets.refusals, ask)
    house.again[COMPARE].change(**ask)
    house.places |= widgets.places
    house.compare = PairPlaces(widgets.pair, widgets.look, widgets.network, widgets.link_pin, ask)


def wire(widgets: Widgets, handlers: Handlers) -> Listener:
    """Binds events; pictures and settings ask for a whole comparison, which it gives, the rest for its own panel.

    A black box's comparison is followed by a drawing, which ends when another comparison is asked for.
    """
    answers = Answers(widgets, handlers)
    ask = _comparison(widgets, answers)
    _wire_what_follows(widgets, answers)
    _wire_words(widgets, answers)
    _wire_changes(widgets, answers, ask)
    if widgets.own is not None:
        _wire_own(widgets, widgets.own, handlers, ask)
    _wire_panels(widgets, answers)
    pair = {*components(widgets.pair)}
    wire_dial(widgets.dial, handlers.depths, widgets.look.viewer, pair, lambda values: read_pair(values, widgets.pair))
    depth = {widgets.dial.layer, widgets.dial.rule}
    everything = {*components(widgets.pair), *components(widgets.look)} | depth
    wire_share(widgets.share, everything, answers.link, [answers.figure, answers.export])
    _wire_viewer(widgets)
    stopped = [widgets.progress, widgets.stop, widgets.pair.method]
    widgets.stop.click(answers.stop, {*components(widgets.pair)}, stopped, **_PRIVATE)
    gr.context.Context.root_block.unload(answers.leave)
    return ask


def _comparison(widgets: Widgets, answers: Answers) -> Listener:
    """The event that compares what the fields hold."""
    shown = {widgets.look.viewer, widgets.k, widgets.link_pin}
    return {
        "fn": answers.compare,
        "inputs": {*components(widgets.pair)} | shown | widgets.refusals.asked,
        "outputs": [
            *(*widgets.panels, widgets.link_pin, widgets.progress, widgets.stop),
            *(widgets.share.told, widgets.to_stand, widgets.to_draw, widgets.to_say, widgets.in_words),
            *(widgets.refusals.seen, *widgets.concepts.told, widgets.concepts.to_split),
            *(widgets.dial.to_offer, widgets.dial.rule, widgets.dial.depth_told),
        ],
        "show_progress": "minimal",
        "show_progress_on": widgets.score,
        "trigger_mode": "always_last",
        # One at a time, in the order asked: an answer to older settings must not arrive last.
        "concurrency_limit": 1,
        "concurrency_id": "compare",
        "api_visibility": "private",
    }


def _wire_what_follows(widgets: Widgets, answers: Answers) -> None:
    # Not `then`: only a black box has anything to draw, and an event that changes nothing would still touch the page.
    widgets.to_draw.change(
        answers.draw,
        {widgets.look.viewer, widgets.k},
        [widgets.progress, widgets.stop, *widgets.panels, widgets.dial.to_offer],
        show_progress="hidden",
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=2,
        concurrency_id="draw",
        api_visibility="private",
    )
    widgets.to_stand.change(
        answers.stand,
        None,
        widgets.score,
        show_progress="hidden",
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=16,
        concurrency_id="stand",
        api_visibility="private",
    )


def _wire_words(widgets: Widgets, answers: Answers) -> None:
    widgets.to_say.change(
        answers.say,
        None,
        widgets.in_words,
        show_progress="hidden",
        trigger_mode="multiple",  # the older one changes nothing
        concurrency_limit=4,
        concurrency_id="say",
        api_visibility="private",
    )


def _wire_changes(widgets: Widgets, answers: Answers, ask: Listener) -> None:
    """What brings other pictures, other settings or another network."""
    pair, network = widgets.pair, widgets.network
    # `input` is the visitor's own doing (upload, paste, camera); what Python sets asks for itself below.
    changed = (pair.image_a, pair.image_b, pair.pooling, pair.exponent, pair.short_side, pair.framing, pair.method)
    gr.on([field.input for field in changed], **ask)
    for image in (pair.image_a, pair.image_b):
        # The page tells of a cleared picture while it still sends the old one: empty it here, then compare.
        image.clear(lambda: None, None, image, **_PRIVATE).then(**ask)
    pair.pooling.input(answers.choose_pooling, {pair.pooling}, pair.exponent, **_PRIVATE)
    chosen = pair.backbone.input(
        answers.choose_network,
        {pair.backbone, pair.pooling, network.working},
        components(network),
        show_progress_on=[pair.backbone],
        api_visibility="private",
    )
    chosen.then(**ask)
    example = widgets.examples.select(answers.show_example, None, [pair.image_a, pair.image_b], **_PRIVATE)
    example.then(**ask)


def _wire_own(widgets: Widgets, own: OwnFields, handlers: Handlers, ask: Listener) -> None:
    """The panel for one's own checkpoint."""
    answers = OwnAnswers(own, widgets, handlers)
    own.file.input(answers.choose_file, None, [own.upload, *own.questions.all], **_PRIVATE)
    own.upload.upload(answers.upload, None, [own.file, *own.questions.all], **_PRIVATE)
    gr.context.Context.root_block.load(answers.list_files, None, own.file, **_PRIVATE)
    opened = gr.on(
        [own.load.click, own.architecture.submit],
        answers.open_model,
        {widgets.pair.pooling, widgets.network.working, own.file, own.upload, own.architecture, own.head}
        | own.questions.all,
        [own.report, *components(widgets.network), *own.questions.all],
        show_progress_on=[own.report],
        api_visibility="private",
    )
    opened.then(**ask)


def _wire_panels(widgets: Widgets, answers: Answers) -> None:
    quick = {"show_progress": "minimal", "api_visibility": "private", "trigger_mode": "always_last"}
    pair = {*components(widgets.pair)}
    widgets.k.input(answers.top_k, pair | {widgets.k}, widgets.topk_maps, **quick)
    widgets.feature.input(answers.feature, pair | {widgets.feature}, widgets.feature_maps, **quick)
    wire_concepts(widgets.concepts, answers.handlers.session, pair, lambda values: read_pair(values, widgets.pair))


def _wire_viewer(widgets: Widgets) -> None:
    """What the browser draws itself. Values go to a script by place, in the order of its parameters."""
    look, viewer = [widgets.look.colours, widgets.look.opacity], widgets.look.viewer
    gr.on([control.change for control in look], None, look, None, js=LOOK_JS)
    viewer.switched(None, viewer, widgets.mode, js="(shown) => shown.mode")
    widgets.mode.change(None, widgets.mode, None, js=MODE_JS)
    # A pin needs no answer: the browser has drawn it. Telling Python keeps it for links, exports and the next pooling.
    kept = {"concurrency_limit": None, "concurrency_id": QUICK, "trigger_mode": "always_last"}
    viewer.pin(lambda _: None, viewer, None, **_PRIVATE, **kept)


_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}
