"""The lists of galleries and of what one was indexed with, and what is damaged among the galleries."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

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
    """The gallery and what it was indexed with, and the same two as all tabs have them in common.

    ``indexed`` is the end of an indexing run, to bind events to. ``troubles`` is a listener's arguments: it says what
    is damaged, as the tab opens and another gallery is chosen.
    """

    gallery: PoolingChoice
    space: PoolingChoice
    shared_gallery: gr.Textbox
    shared_space: gr.Textbox
    troubles: Listener
    indexed: Callable[..., Any]

    @property
    def own(self) -> set[Any]:
        """What is chosen here, as inputs of an event."""
        return {self.gallery, self.space}

    @property
    def shared(self) -> set[Any]:
        """What was chosen last, on whatever tab, as inputs of an event."""
        return {self.shared_gallery, self.shared_space}

    def told(self, event: Any) -> Any:
        """The event followed by telling the other tabs what is chosen here."""
        # In the browser, where values go by place.
        ours, all_tabs = [self.gallery, self.space], [self.shared_gallery, self.shared_space]
        return event.then(None, ours, all_tabs, js="(gallery, space) => [gallery, space]")


@dataclass(frozen=True)
class Place:
    """A gallery by name, and the name of what it was indexed with, or an empty one for none."""

    gallery: str = SAMPLES
    space: str = ""


def place_of(values: Values, choice: GalleryChoice) -> Place:
    """What is chosen: on this tab, or on whatever tab where the event brings what they have in common."""
    if choice.shared_gallery in values:
        return Place(values[choice.shared_gallery] or "", values[choice.shared_space] or "")
    return Place(**{name: chosen or "" for name, chosen in by_name(values, choice).items()})


def build(house: House, name: str) -> GalleryChoice:
    """Two lists, and a panel to index with another network; ``name`` begins their ids."""
    with gr.Row():
        gallery = PoolingChoice([SAMPLES], value=SAMPLES, label="Gallery", elem_id=f"{name}_gallery", min_width=120)
        space = PoolingChoice([], label="Indexed with", elem_id=f"{name}_space", min_width=220, scale=2)
    told = gr.HTML(elem_id=f"{name}_troubles", elem_classes="troubles")
    troubles = {"fn": partial(troubles_of, house.galleries), "inputs": gallery, "outputs": told, **_PRIVATE}
    shared_gallery, shared_space = house.places["gallery"], house.places["space"]
    indexed = build_panel(house, gallery, space, name)
    return GalleryChoice(gallery, space, shared_gallery, shared_space, troubles, indexed)


def troubles_of(galleries: Galleries, gallery: str) -> str:
    """What is damaged among the galleries, each with what mends it, as HTML; empty where nothing is."""
    try:
        return words.troubles([str(trouble) for trouble in galleries.troubles(gallery)])
    except SimvisError:
        return ""  # the tab itself says why there are none
