"""What holds a search's hits to an attribute, or puts the nearest in its order: the components, and what they offer."""

import html
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.galleries.choice import Place
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.updates import Updates
from simvis_app.service.attributes.hits import RERANKED
from simvis_app.service.galleries.galleries import Galleries
from simvis_core import SimvisError

NONE = ("none: all hits, by score", "")
USES = {"keep only hits that show it": "filter", f"order the {RERANKED} nearest, the surest of it first": "rerank"}
TITLE = "Filter or re-rank hits by an attribute"


@dataclass(frozen=True)
class AttributeChoice:
    """The components: ``panel`` holds the choice, hidden where there is none; ``without`` says why."""

    panel: gr.Accordion
    attribute: PoolingChoice
    use: gr.Radio
    without: gr.HTML

    @property
    def asked(self) -> set[Any]:
        """What a search depends on."""
        return {self.attribute, self.use}


def build() -> AttributeChoice:
    """Lays the components out; nothing is offered yet."""
    with gr.Accordion(TITLE, open=False, visible=False, elem_id="search_by_attribute") as panel:
        attribute = PoolingChoice(
            [NONE],
            value="",
            label="Attribute: arch, dome, fur, ...",
            info="what the network's own ImageNet classes say",
            allow_custom_value=True,
            elem_id="search_attribute",
        )
        use = gr.Radio(list(USES.items()), value=choices.HITS["use"].default, label="Hits", elem_id="search_use")
    return AttributeChoice(panel, attribute, use, gr.HTML(elem_id="search_without"))


def offered(galleries: Galleries, place: Place, chosen: str, fields: AttributeChoice) -> Updates:
    """The attributes of a gallery's network, or why it has none; what is ``chosen`` stays, and is shown."""
    names, reason = _names(galleries, place)
    panel = gr.update(visible=True, open=True) if names and chosen else gr.update(visible=bool(names), open=False)
    offers = gr.update(choices=[NONE, *names], value=chosen)
    return {fields.panel: panel, fields.attribute: offers, fields.without: reason}


def prepare(galleries: Galleries, place: Place) -> None:
    """Has the gallery read before an attribute is chosen, as far as it can be."""
    with suppress(SimvisError):  # the search itself says why
        if place.space:
            galleries.prepare_attributes(galleries.space(place.gallery, place.space))


def _names(galleries: Galleries, place: Place) -> tuple[tuple[str, ...], str]:
    """The attributes by name, or none with the reason as HTML; no reason where there is no gallery either."""
    if not place.space:
        return (), ""
    try:
        space = galleries.space(place.gallery, place.space)
    except SimvisError:
        return (), ""  # the search itself says why
    try:
        return galleries.attributes.names(space), ""
    except SimvisError as error:
        said = f"Hits cannot be filtered or re-ranked by an attribute here: that takes {error.wanted} ({error.cure})."
        return (), f"<p>{html.escape(said)}</p>"
