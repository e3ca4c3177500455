"""How another tab turns the page to Compare, with its maps at a depth."""

import uuid
from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page.house import House
from simvis_app.page.pair.places import COMPARE
from simvis_app.page.updates import Updates

MAPS_INTO_VIEW = """() => { document.querySelector("#pair_viewer").scrollIntoView({ block: "center" }); }"""


@dataclass(frozen=True)
class DialDoor:
    """The components that an event changes to turn there."""

    tabs: Any
    layer: Any
    rule: Any
    again: Any  # a change of it fills Compare anew

    @property
    def outputs(self) -> list[Any]:
        """What `turned` changes."""
        return [self.tabs, self.layer, self.rule, self.again]

    def turned(self, layer: str) -> Updates:
        """The page turned to Compare, its maps at a layer by the path rule; the coarse map for no layer."""
        told = {self.layer: layer, self.rule: "path", self.again: uuid.uuid4().hex}
        return {self.tabs: gr.update(selected=COMPARE), **told}


def dial_door(house: House) -> DialDoor:
    """The door of the app that is being built, once Compare stands."""
    return DialDoor(house.tabs, house.places["layer"], house.places["rule"], house.again[COMPARE])
