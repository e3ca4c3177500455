"""How fine a gallery's maps are: the components that choose it, and what they offer for the network in use."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.depth import depth_words
from simvis_app.page.glossary import terms
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.updates import Updates
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries, settings_of
from simvis_app.service.sessions.depths import LITTLE, DepthAsked
from simvis_app.service.sessions.session import Pictured
from simvis_core import SimvisError
from simvis_core.stores.contract import Space

TITLE = "How fine the maps are"
INFO = "finer maps come from layers further in front; each picture's then takes a second or more"
COARSE = ("coarse: the network's last features", "")


@dataclass(frozen=True)
class Fineness:
    """The components: ``panel`` holds a list of layers, with the rule, which counts where one is chosen."""

    panel: gr.Accordion
    layer: PoolingChoice
    rule: gr.Radio

    @property
    def shown(self) -> list[Any]:
        """What another gallery may change."""
        return [self.panel, self.layer, self.rule]


def build(name: str) -> Fineness:
    """Lays the components out; nothing but the coarse maps is offered yet. ``name`` begins their ids."""
    with gr.Accordion(TITLE, open=False, elem_id=f"{name}_fineness") as panel:
        layer = PoolingChoice([COARSE], value="", label="Cells of a square picture", info=INFO, elem_id=f"{name}_layer")
        rule = gr.Radio(
            list(depth_words.RULES.items()), value=choices.RULE.default, label="Rule", elem_id=f"{name}_rule"
        )
        gr.HTML(terms("depth", "frozen rule", "path rule"), elem_classes="words")
    return Fineness(panel, layer, rule)


def offered(galleries: Galleries, gallery: str, space: str, chosen: str, fields: Fineness) -> Updates:
    """The layers of a gallery's network; what is ``chosen`` stays where the network has it.

    The first time for a network some passes of it find them.
    """
    listed = layers_of(galleries, gallery, space)
    kept = chosen if any(chosen == layer for _, layer in listed) else ""
    return {fields.layer: gr.update(choices=listed, value=kept)}


def layers_of(galleries: Galleries, gallery: str, space: str) -> list[tuple[str, str]]:
    """What a list of layers shows, and the layers, the coarse map first; nothing else where none can be told."""
    try:
        cuts = galleries.depths.cuts(settings_of(galleries.space(gallery, space))) if space else []
    except SimvisError:
        cuts = []  # the tab itself says why
    return [COARSE, *((f"{depth_words.grid(cut.grid)} · {depth_words.short(cut.layer)}", cut.layer) for cut in cuts)]


def depth_of(galleries: Galleries, space: Space, layer: str, rule: str) -> DepthAsked:
    """The depth that is chosen; none where none is, and where the space's network has no such layer."""
    if not layer or all(cut.layer != layer for cut in galleries.depths.cuts(settings_of(space))):
        return DepthAsked()
    return DepthAsked(layer, rule or choices.RULE.default)


def said(picture: Pictured, depth: DepthAsked) -> str:
    """What to know of maps at a depth, of the picture with itself; empty for the coarse ones."""
    if not depth.layer:
        return ""
    own = picture.decomposition
    missing = float(own.bias @ own.embedding)
    told = [
        f"Maps at {depth_words.short(depth.layer)}: {depth_words.grid(own.grid)} cells. Of your picture's score with "
        f"itself, 1, they leave out {words.three(missing)}, which no cell carries."
    ]
    little = 1 - missing < LITTLE
    told += [f"That leaves the cells less than {100 * LITTLE:.0f} %: read them with care."] if little else []
    told += [f"{sentence}." for sentence in own.notes(own.embedding)]
    return f"<p>{html.escape(' '.join(told))}</p>"


def wire(galleries: Galleries, choice: Any, private: dict[str, Any]) -> None:
    """Binds the list of layers: it is filled as the panel opens, and as another network is chosen."""
    fields: Fineness = choice.fineness

    def filled(gallery: str, space: str, layer: str) -> Updates:
        return offered(galleries, gallery, space, layer, fields)

    def emptied(gallery: str, space: str, layer: str) -> Updates:
        """Without a choice the layers are looked for when somebody looks at the panel."""
        return filled(gallery, space, layer) if layer else {fields.layer: gr.update(choices=[COARSE], value="")}

    asked = [choice.gallery, choice.space, choice.layer]
    fields.panel.expand(filled, asked, fields.layer, **private | {"show_progress": "minimal"})
    choice.space.change(emptied, asked, fields.layer, **private)
