"""The lists of galleries and of what one was indexed with, how fine their maps are, and what is damaged."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.galleries import fineness
from simvis_app.page.galleries.fineness import Fineness
from simvis_app.page.galleries.indexing_panel import build as build_panel
from simvis_app.page.house import House
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.updates import Listener, Values, by_name
from simvis_app.service import words
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_core import SimvisError

_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class GalleryChoice:
    """The gallery, what it was indexed with, where its maps are drawn, and the same as all tabs have it in common.

    ``indexed`` is the end of an indexing run, to bind events to. ``troubles`` is a listener's arguments: it says what
    is damaged, as the tab opens and another gallery is chosen.
    """

    gallery: PoolingChoice
    space: PoolingChoice
    layer: PoolingChoice
    rule: gr.Radio
    fineness: Fineness
    shared_gallery: gr.Textbox
    shared_space: gr.Textbox
    shared_layer: gr.Textbox
    shared_rule: gr.Textbox
    troubles: Listener
    indexed: Callable[..., Any]

    @property
    def own(self) -> set[Any]:
        """The gallery and what it was indexed with, as inputs of an event."""
        return {self.gallery, self.space}

    @property
    def drawn(self) -> set[Any]:
        """All that is chosen here, with where the maps are drawn, as inputs of an event."""
        return {*self.own, self.layer, self.rule}

    @property
    def shared(self) -> set[Any]:
        """What was chosen last, on whatever tab, as inputs of an event."""
        return {self.shared_gallery, self.shared_space, self.shared_layer, self.shared_rule}

    def told(self, event: Any) -> Any:
        """The event followed by telling the other tabs what is chosen here."""
        # In the browser, where values go by place.
        ours = [self.gallery, self.space, self.layer, self.rule]
        all_tabs = [self.shared_gallery, self.shared_space, self.shared_layer, self.shared_rule]
        return event.then(None, ours, all_tabs, js="(...chosen) => chosen")


@dataclass(frozen=True)
class Place:
    """A gallery by name, the name of what it was indexed with, or an empty one for none, and how its maps are drawn.

    An empty ``layer`` stands for the network's last features, whatever the rule.
    """

    gallery: str = SAMPLES
    space: str = ""
    layer: str = ""
    rule: str = choices.RULE.default


def place_of(values: Values, choice: GalleryChoice) -> Place:
    """What is chosen: on this tab, or on whatever tab where the event brings what they have in common."""
    if choice.shared_gallery in values:
        common = (choice.shared_gallery, choice.shared_space, choice.shared_layer, choice.shared_rule)
        return Place(*(values[one] or "" for one in common))
    names = {one.name for one in fields(Place)}
    return Place(**{name: chosen or "" for name, chosen in by_name(values, choice).items() if name in names})


def build(house: House, name: str) -> GalleryChoice:
    """Two lists, and a panel to index with another network; ``name`` begins their ids."""
    with gr.Row():
        gallery = PoolingChoice([SAMPLES], value=SAMPLES, label="Gallery", elem_id=f"{name}_gallery", min_width=120)
        space = PoolingChoice([], label="Indexed with", elem_id=f"{name}_space", min_width=220, scale=2)
    told = gr.HTML(elem_id=f"{name}_troubles", elem_classes="troubles")
    troubles = {"fn": partial(troubles_of, house.galleries), "inputs": gallery, "outputs": told, **_PRIVATE}
    indexed = build_panel(house, gallery, space, name)
    fine = fineness.build(name)
    return GalleryChoice(
        gallery=gallery,
        space=space,
        layer=fine.layer,
        rule=fine.rule,
        fineness=fine,
        shared_gallery=house.places["gallery"],
        shared_space=house.places["space"],
        shared_layer=house.places["at"],
        shared_rule=house.places["by"],
        troubles=troubles,
        indexed=indexed,
    )


def troubles_of(galleries: Galleries, gallery: str) -> str:
    """What is damaged among the galleries, each with what mends it, as HTML; empty where nothing is."""
    try:
        return words.troubles([str(trouble) for trouble in galleries.troubles(gallery)])
    except SimvisError:
        return ""  # the tab itself says why there are none
