"""The Trust tab: the pair's maps by several explainers, and how closely the score follows each of them."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.glossary import terms
from simvis_app.page.pair.places import LookFields, PairFields, components
from simvis_app.page.parts.fields import ChangingChoice, HeldSlider
from simvis_app.page.parts.map_cards import MapCards
from simvis_app.page.parts.share_row import ShareRow, share_row
from simvis_core.explainers.table import EXPLAINERS, Explainer

INTRO = """<p>A heat map that looks right is no evidence. Here the pair of the Compare tab is explained in several ways,
and each map is put to the test: its strongest pixels are taken away (deletion) or put back first (insertion), and the
network scores every step. Random maps and the picture's centre are measured beside it: a map that does no better says
nothing. A map that adds up to the score is not therefore faithful; ours is measured like every other.</p>"""
COPIED = "Link copied. It keeps both pictures on this server and opens this tab with the same choices."
FILL_LABELS = {"blur": "blurred", "mean": "mean colour", "grey": "grey"}
SETTINGS = {"this picture": "fixed", "both pictures (RISE, LIME, Mask)": "pair"}
REMOVALS = {"take the strongest away": "deletion", "put the strongest back": "insertion"}


@dataclass(frozen=True)
class Widgets:
    """The tab's components, each by what it holds; ``pair`` and ``look`` stand on the Compare tab."""

    pair: PairFields
    look: LookFields
    line: gr.HTML  # what is explained
    side: gr.Radio
    explainers: gr.CheckboxGroup
    depths: gr.Button  # chooses the explainers of every depth beside those chosen
    fill: gr.Radio
    setting: gr.Radio
    seed: gr.Number
    measure: gr.Button
    stop: gr.Button
    progress: gr.HTML
    summary: gr.HTML
    cards: MapCards
    plot: gr.Plot
    table: gr.HTML
    closest: gr.Button  # shows Compare's maps at the depth that it names, the one followed most closely
    share: ShareRow
    agreement: gr.Plot
    order: ChangingChoice  # the map in whose order pixels go
    kind: gr.Radio
    percent: HeldSlider
    picture: gr.HTML  # with its pixels gone
    check: gr.Button
    checked: gr.HTML
    measured_for: gr.State  # the question that the results on the page answer; None where there are none

    @property
    def how(self) -> list[Any]:
        """How a map is measured."""
        return [self.fill, self.setting, self.seed]

    @property
    def question(self) -> set[Any]:
        """What is measured, and how."""
        return {*components(self.pair), self.side, *self.how}

    @property
    def places(self) -> dict[str, Any]:
        """What holds each field of the page's address that is this tab's."""
        return {name: getattr(self, name) for name in choices.TRUST}

    @property
    def results(self) -> list[Any]:
        """What a row of measurements shows."""
        cleared = [self.cards, self.summary, self.plot, self.table, self.agreement, self.order, self.picture]
        return [self.line, self.progress, self.stop, *cleared, self.closest, self.measured_for]


def laid_out(pair: PairFields, look: LookFields) -> Widgets:
    """The tab's components beside those that hold the pair."""
    gr.HTML(INTRO + terms("explainer", "deletion", "insertion", "chance", "centre"), elem_id="trust_intro")
    line = gr.HTML(elem_id="trust_pair")
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            asking = _asking()
        with gr.Column(scale=7, min_width=320):
            summary = gr.HTML(elem_id="trust_summary")
            cards = MapCards(elem_id="map_cards")
    plot = gr.Plot(elem_id="removal_plot", show_label=False)
    table = gr.HTML(elem_id="trust_table")
    closest = gr.Button("", visible=False, size="sm", elem_id="closest_depth")
    share = share_row("Copy link", COPIED, {"export": "Save maps and numbers as a zip"}, "trust_")
    with gr.Accordion("Do the maps agree?", open=False):
        gr.HTML("<p>How alike the maps order the picture's places: 1 is the same order, 0 none, -1 the reverse.</p>")
        agreement = gr.Plot(elem_id="agreement_plot", show_label=False)
    return Widgets(
        pair=pair,
        look=look,
        line=line,
        **asking,
        summary=summary,
        cards=cards,
        plot=plot,
        table=table,
        closest=closest,
        share=share,
        agreement=agreement,
        **_watching(),
        **_checking(),
        measured_for=gr.State(None),
    )


def _asking() -> dict[str, Any]:
    """What is explained, how, and the buttons that begin and end it."""
    side = gr.Radio(
        [("picture A", "a"), ("picture B", "b")],
        value=choices.SIDE.default,
        label="Explain",
        elem_id="trust_side",
    )
    with gr.Accordion("Explainers, and how they are measured", open=False, elem_id="trust_how"):
        explainers = gr.CheckboxGroup(
            [(_label(EXPLAINERS[name]), name) for name in choices.DRAWN_BY.names],
            value=list(choices.DRAWN_BY.default),
            label="Explainers",
            elem_id="explainers",
        )
        depths = gr.Button("Add every depth of the network", size="sm", elem_id="every_depth")
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
    return {
        "side": side,
        "explainers": explainers,
        "depths": depths,
        "fill": fill,
        "setting": setting,
        "seed": seed,
        "measure": measure,
        "stop": stop,
        "progress": gr.HTML(elem_id="measuring"),
    }


def _watching() -> dict[str, Any]:
    """The slider that takes pixels away."""
    with gr.Accordion("Watch the score while pixels go", open=True), gr.Row():
        with gr.Column(scale=4, min_width=320):
            order = ChangingChoice([], label="In the order of", elem_id="removal_order")
            kind = gr.Radio(list(REMOVALS.items()), value="deletion", label="What happens", elem_id="removal_kind")
            percent = HeldSlider(0, 100, 20, step=2, label="Pixels (%)", elem_id="removal_share")
        with gr.Column(scale=7, min_width=320):
            picture = gr.HTML(elem_id="removal_picture")
    return {"order": order, "kind": kind, "percent": percent, "picture": picture}


def _checking() -> dict[str, Any]:
    """The sanity checks."""
    with gr.Accordion("Does the map depend on what the network learned, and is it steady?", open=False):
        gr.HTML(
            "<p>The layers' weights are drawn anew (norms keep their statistics), from the last ones on, and the map "
            "is drawn again (Adebayo 2018): a map that stays the same shows the picture, not the network. Then the "
            "view is shifted by 4 %.</p>"
        )
        check = gr.Button("Check the map chosen above", size="sm", elem_id="sanity")
        checked = gr.HTML(elem_id="sanity_result")
    return {"check": check, "checked": checked}


def _label(entry: Explainer) -> str:
    about = "about " if "steps_a_side" in entry.parameters else ""  # wider pictures have more places for a window
    passes = f"{about}{entry.passes} {'pass' if entry.passes == 1 else 'passes'}"
    return f"{entry.title} ({'transformers only, ' if entry.needs == 'attention' else ''}{passes})"
