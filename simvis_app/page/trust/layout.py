"""The Trust tab: the pair's maps by several explainers, and how closely the score follows each of them."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.glossary import terms
from simvis_app.page.house import House
from simvis_app.page.parts.fields import ChangingChoice, HeldSlider
from simvis_app.page.parts.map_cards import MapCards
from simvis_app.page.parts.share_row import ShareRow, share_row, wire_share
from simvis_app.page.trust.handlers import NAME, TrustHandlers
from simvis_core.explainers.table import EXPLAINERS, Explainer

INTRO = """<p>A heat map that looks right is no evidence. Here the pair of the Compare tab is explained in several ways,
and each map is put to the test: its strongest pixels are taken away (deletion) or put back first (insertion), and the
network scores every step. Random maps and the picture's centre are measured beside it: a map that does no better says
nothing. A map that adds up to the score is not therefore faithful; ours is measured like every other.</p>"""
COPIED = "Link copied. It keeps both pictures on this server and opens this tab with the same choices."
FILL_LABELS = {"blur": "blurred", "mean": "mean colour", "grey": "grey"}
SETTINGS = {"this picture": "fixed", "both pictures (RISE, LIME, Mask)": "pair"}
KINDS = {"take the strongest away": "deletion", "put the strongest back": "insertion"}
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass
class Widgets:
    """The tab's components by the room they stand in."""

    side: gr.Radio
    chosen: gr.CheckboxGroup
    how: list[Any]  # fill, setting, seed
    measure: gr.Button
    stop: gr.Button
    shown: list[Any]  # pair line, progress, stop, cards, summary, plot, table, agreement, order, picture, question
    order: ChangingChoice
    kind: gr.Radio
    share: HeldSlider
    picture: gr.HTML
    check: gr.Button
    checked: gr.HTML
    share_out: ShareRow

    @property
    def chosen_here(self) -> list[Any]:
        """What is chosen on this tab, in the order of `choices.TRUST`."""
        return [self.side, self.chosen, *self.how]


def build(house: House, tab: gr.Tab) -> None:
    """Lays the tab out and wires it up inside the app that is being built."""
    assert house.compare is not None
    _wire(_layout(), house, tab)


def _layout() -> Widgets:
    gr.HTML(INTRO + terms("explainer", "deletion", "insertion", "chance", "centre"), elem_id="trust_intro")
    line = gr.HTML(elem_id="trust_pair")
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            side = gr.Radio(
                [("picture A", "a"), ("picture B", "b")],
                value=choices.SIDE.default,
                label="Explain",
                elem_id="trust_side",
            )
            with gr.Accordion("Explainers, and how they are measured", open=False, elem_id="trust_how"):
                chosen = gr.CheckboxGroup(
                    [(_label(EXPLAINERS[name]), name) for name in choices.DRAWN_BY.names],
                    value=list(choices.DRAWN_BY.default),
                    label="Explainers",
                    elem_id="explainers",
                )
                fills = [(FILL_LABELS[name], name) for name in choices.FILL.values]
                fill = gr.Radio(fills, value=choices.FILL.default, label="What replaces pixels", elem_id="fill")
                setting = gr.Radio(
                    list(SETTINGS.items()),
                    value=choices.HIDDEN_IN.default,
                    label="Explainers that hide parts hide them in",
                )
                # Whoever uses it tells of its range; Gradio's own limits would only say "Error".
                seed = gr.Number(choices.SEED.default, label="Seed")
            with gr.Row():
                measure = gr.Button("Draw and measure", variant="primary", elem_id="measure")
                stop = gr.Button("Stop", visible=False, elem_id="stop_measuring", min_width=90, scale=0)
            progress = gr.HTML(elem_id="measuring")
        with gr.Column(scale=7, min_width=320):
            summary = gr.HTML(elem_id="trust_summary")
            cards = MapCards(elem_id="map_cards")
    plot = gr.Plot(elem_id="removal_plot", show_label=False)
    table = gr.HTML(elem_id="trust_table")
    share_out = share_row("Copy link", COPIED, {"export": "Save maps and numbers as a zip"}, "trust_")
    with gr.Accordion("Do the maps agree?", open=False):
        gr.HTML("<p>How alike the maps order the picture's places: 1 is the same order, 0 none, -1 the reverse.</p>")
        agreement = gr.Plot(elem_id="agreement_plot", show_label=False)
    with gr.Accordion("Watch the score while pixels go", open=True), gr.Row():
        with gr.Column(scale=4, min_width=320):
            order = ChangingChoice([], label="In the order of", elem_id="removal_order")
            kind = gr.Radio(list(KINDS.items()), value="deletion", label="What happens", elem_id="removal_kind")
            share = HeldSlider(0, 100, 20, step=2, label="Pixels (%)", elem_id="removal_share")
        with gr.Column(scale=7, min_width=320):
            picture = gr.HTML(elem_id="removal_picture")
    with gr.Accordion("Does the map depend on what the network learned, and is it steady?", open=False):
        gr.HTML(
            "<p>The layers' weights are drawn anew (norms keep their statistics), from the last ones on, and the map "
            "is drawn again (Adebayo 2018): a map that stays the same shows the picture, not the network. Then the "
            "view is shifted by 4 %.</p>"
        )
        check = gr.Button("Check the map chosen above", size="sm", elem_id="sanity")
        checked = gr.HTML(elem_id="sanity_result")
    question = gr.State("")  # what the results on the page belong to
    shown = [line, progress, stop, cards, summary, plot, table, agreement, order, picture, question]
    how = [fill, setting, seed]
    return Widgets(side, chosen, how, measure, stop, shown, order, kind, share, picture, check, checked, share_out)


def _label(entry: Explainer) -> str:
    about = "about " if "steps_a_side" in entry.parameters else ""  # wider pictures have more places for a window
    passes = f"{about}{entry.passes} {'pass' if entry.passes == 1 else 'passes'}"
    return f"{entry.title} ({'transformers only, ' if entry.needs == 'attention' else ''}{passes})"


def _wire(widgets: Widgets, house: House, tab: gr.Tab) -> None:
    assert house.compare is not None
    handlers = TrustHandlers(Handlers(house.session, house.pictures))
    pair = [*house.compare.asked, widgets.side]
    progress, question = widgets.shown[1], widgets.shown[-1]
    house.places |= dict(zip(choices.TRUST, widgets.chosen_here, strict=True))
    changed = [tab.select, house.again[NAME].change, widgets.side.input, *(one.input for one in widgets.how)]
    line = gr.on(changed, handlers.show_pair, [*pair, *widgets.how, question], widgets.shown, **_PRIVATE)
    row: dict[str, Any] = {
        "outputs": widgets.shown,
        "show_progress": "hidden",
        "trigger_mode": "multiple",  # the older one ends by itself
        "concurrency_limit": 16,  # steps take turns: nobody's row keeps another from starting
        "concurrency_id": "trust",
        "api_visibility": "private",
    }
    asked = [*pair, widgets.chosen, *widgets.how]
    measured = widgets.measure.click(handlers.measure, asked, **row)
    glanced = line.then(handlers.glance, [*asked, question], **row)
    widgets.stop.click(handlers.stop, None, [progress, widgets.stop], **_PRIVATE)
    remove: dict[str, Any] = {
        "fn": handlers.remove,
        "inputs": [*pair, *widgets.how, widgets.order, widgets.kind, widgets.share],
        "outputs": widgets.picture,
        "trigger_mode": "always_last",
        "concurrency_limit": 4,
        "concurrency_id": "remove",
        **_PRIVATE,
    }
    measured.then(**remove)
    glanced.then(**remove)
    gr.on([widgets.order.input, widgets.kind.input, widgets.share.input], **remove)
    widgets.check.click(
        handlers.sanity,
        [*pair, widgets.how[2], widgets.order],
        widgets.checked,
        show_progress="minimal",
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=16,
        concurrency_id="sanity",
        api_visibility="private",
    )
    everything = [*house.compare.linked, *widgets.chosen_here]
    wire_share(widgets.share_out, everything, handlers.link, [handlers.export], question)
    gr.on(
        [*changed, widgets.chosen.input, widgets.measure.click],
        lambda: None,
        None,
        widgets.share_out.told,  # what was said of another link or export must not stay
        **_PRIVATE,
    )
    gr.context.Context.root_block.unload(handlers.leave)
