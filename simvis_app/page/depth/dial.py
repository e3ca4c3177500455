"""The dial: what chooses how fine the maps are, by which rule, and what stands below of the score at that depth."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.depth import depth_words
from simvis_app.page.glossary import terms
from simvis_app.page.parts.fields import LayerChoice


@dataclass(frozen=True)
class DialFields:
    """The dial's components.

    ``fine_maps`` and ``fine_point`` hold what the viewer is to draw, as JSON, or nothing; a change of ``to_offer``
    fills the dial for another pair.
    """

    layer: LayerChoice
    rule: gr.Radio
    depth_told: gr.HTML
    fine_maps: gr.Textbox
    fine_point: gr.Textbox
    to_offer: gr.Textbox

    @property
    def told(self) -> list[Any]:
        """What the dial's own event changes."""
        return [self.layer, self.rule, self.depth_told, self.fine_maps, self.fine_point]


def dial_panel() -> DialFields:
    """Lays the dial out inside the app that is being built."""
    with gr.Column(elem_id="dial", elem_classes="tight"):
        layer = LayerChoice(
            [(depth_words.COARSE, "")], value="", label=depth_words.DIAL, elem_id="layer", min_width=140
        )
        rule = gr.Radio(
            list(depth_words.RULES.items()), value=choices.RULE.default, label="Rule", elem_id="rule", visible=False
        )
        told = gr.HTML(elem_id="depth_told")
        gr.HTML(terms("depth", "frozen rule", "path rule"), elem_classes="words")
    hidden = [gr.Textbox(visible="hidden", elem_id=name) for name in ("fine_maps", "fine_point", "to_offer")]
    return DialFields(layer, rule, told, *hidden)
