"""The Attributes tab: why the pair is similar in words, where the attribute is, and every term behind it."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.attributes.attribute_table import AttributeTable
from simvis_app.page.glossary import terms
from simvis_app.page.pair.places import LookFields, PairFields
from simvis_app.page.parts.fields import HeldSlider, PoolingChoice
from simvis_app.page.parts.map_rows import MapRows
from simvis_app.page.parts.share_row import ShareRow, share_row
from simvis_core.attributes.ranker import TERMS

INTRO = """<p>A map says where two pictures match, an attribute says what: <em>dome</em>, <em>fur</em>, <em>wheels</em>.
Here the pair of the Compare tab is told in words. Each of 110 attributes gets a score of three terms, after <em>Why do
These Match?</em> (SANE, Plummer 2020), and only what reaches a learnt threshold is named.</p>"""
COPIED = "Link copied. It keeps both pictures on this server and opens this tab with the same choices."
BEST = "the best one"
PRESETS = {"simvis: both pictures, signed maps": "simvis", "sane: the paper's, picture A only": "sane"}
UNIT = "share of the product with the attribute's direction, per cell"


@dataclass(frozen=True)
class Widgets:
    """The tab's components, each by what it holds; ``pair`` and ``look`` stand on the Compare tab.

    An empty ``attribute`` is the best one, an empty ``weights`` the learnt ones. ``drawn`` is whose maps are on screen.
    """

    pair: PairFields
    look: LookFields
    line: gr.HTML
    sentence: gr.HTML
    attribute: PoolingChoice
    why: gr.HTML
    own_maps: MapRows
    where_maps: MapRows
    bars: gr.HTML
    preset: gr.Radio
    confidence: HeldSlider
    overlap: HeldSlider
    prior: HeldSlider
    weighed: gr.HTML
    reset: gr.Button
    table: AttributeTable
    share: ShareRow
    weights: gr.Textbox
    drawn: gr.State

    @property
    def sliders(self) -> list[HeldSlider]:
        """The weights of the three terms."""
        return [self.confidence, self.overlap, self.prior]

    @property
    def places(self) -> dict[str, Any]:
        """What holds each field of the page's address that is this tab's."""
        return {"attribute": self.attribute, "preset": self.preset, "weights": self.weights}

    @property
    def about_one(self) -> list[Any]:
        """What is shown of the chosen attribute."""
        return [self.why, self.own_maps, self.where_maps, self.bars, self.drawn]

    @property
    def about_all(self) -> list[Any]:
        """What is shown of the pair and of all attributes, with what is shown of one."""
        return [self.line, self.sentence, self.weighed, self.table, *self.about_one]


def laid_out(pair: PairFields, look: LookFields) -> Widgets:
    """The tab's components beside those that hold the pair."""
    gr.HTML(INTRO + terms("attribute", "activation map", "confidence", "overlap", "prior"), elem_id="attributes_intro")
    line = gr.HTML(elem_id="attributes_pair")
    sentence = gr.HTML(elem_id="attributes_sentence")
    with gr.Row(equal_height=True):
        with gr.Column(scale=2, min_width=280):
            attribute = PoolingChoice(
                [(BEST, "")],
                value="",
                label="Attribute: type any of them to ask why, or why not",
                allow_custom_value=True,
                elem_id="attribute",
            )
        with gr.Column(scale=3, min_width=280):
            why = gr.HTML(elem_id="why_not")
    with gr.Row(elem_id="attribute_maps"):
        with gr.Column(min_width=320):
            own_maps = MapRows(elem_id="own_maps")
        with gr.Column(min_width=320):
            where_maps = MapRows(unit=UNIT, elem_id="where_maps")
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            bars = gr.HTML(elem_id="terms")
        with gr.Column(scale=6, min_width=320):
            table = AttributeTable(elem_id="attribute_table")
    weighing = _weighing()
    return Widgets(
        pair=pair,
        look=look,
        line=line,
        sentence=sentence,
        attribute=attribute,
        why=why,
        own_maps=own_maps,
        where_maps=where_maps,
        bars=bars,
        **weighing,
        table=table,
        share=share_row("Copy link", COPIED, {"export": "Save terms and maps as a zip"}, "attributes_"),
        weights=gr.Textbox("", visible="hidden", elem_id="attribute_weights"),
        drawn=gr.State(None),
    )


def _weighing() -> dict[str, Any]:
    """The preset, and what each term counts."""
    with gr.Accordion("Preset, and what each term counts", open=True):
        preset = gr.Radio(list(PRESETS.items()), value=choices.PRESET.default, label="Preset", elem_id="preset")
        with gr.Row():
            sliders = {name: _slider(name) for name in TERMS}
        weighed = gr.HTML(elem_id="weighed")
        reset = gr.Button("Back to the learnt weights", size="sm", elem_id="learnt_weights")
    return {"preset": preset, **sliders, "weighed": weighed, "reset": reset}


def _slider(name: str) -> HeldSlider:
    label = f"Weight of {name}"
    return HeldSlider(0, 1, 0, step=0.01, label=label, elem_id=f"weight_{name}", min_width=200, buttons=[])
