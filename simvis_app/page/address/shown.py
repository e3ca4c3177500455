"""What the address's events answer: the browser's address as it is to be, or the page's components as it names them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.address.handlers import AddressHandlers, BarTold, OnScreen, Restored
from simvis_app.page.pair.networks import network_updates
from simvis_app.page.pair.places import NetworkFields
from simvis_app.page.parts.pair_viewer import PairViewer
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.service import words


@dataclass(frozen=True)
class AddressFields:
    """The bar, what it follows, and what it restores.

    ``places`` hold the address's fields by name, ``network`` what a network sets beside them; another text in
    ``again[tab]`` fills that tab anew.
    """

    bar: gr.HTML
    viewer: PairViewer
    picker: RegionPicker
    places: dict[str, Any]
    network: NetworkFields
    tabs: gr.Tabs
    again: dict[str, gr.Textbox]


class AddressAnswers:
    """The answers to the bar's events."""

    def __init__(self, fields: AddressFields, handlers: AddressHandlers) -> None:
        self.fields, self.handlers = fields, handlers

    def follow(self, values: Values) -> Updates:
        """The address of what is on screen, with the turn that asked for it."""
        bar: BarTold = values[self.fields.bar]
        return {self.fields.bar: (self.handlers.follow(bar, read(values, self.fields)), bar.turn)}

    def restore(self, bar: BarTold, working: str) -> Updates:
        """What the address names, where it differs from what is on screen.

        What cannot be restored is said, and stays as it is.
        """
        found = self.handlers.restore(bar, working)
        for error in found.wrong:
            gr.Warning(words.toast(error), duration=None)
        return shown(found, self.fields) or unchanged()


def read(values: Values, fields: AddressFields) -> OnScreen:
    """What is on screen."""
    held = {name: values[place] for name, place in fields.places.items()}
    return OnScreen(held, values[fields.viewer], values[fields.picker])


def shown(found: Restored, fields: AddressFields) -> Updates:
    """What changes on the page."""
    updates: Updates = {fields.places[name]: _as_shown(name, value) for name, value in found.fields.items()}
    if found.network is not None:
        updates |= network_updates(found.network, fields.network)
    if found.tab is not None:
        updates[fields.tabs] = gr.update(selected=found.tab)
    return updates | {fields.again[name]: uuid.uuid4().hex for name in found.asks}


def _as_shown(name: str, value: object) -> object:
    """A field as its component takes it."""
    show = SHOWN.get(name)
    return value if show is None else show(value)


def _size(value: int) -> Updates:
    """A view size that the page does not offer stands beside those that it does."""
    offered = list(choices.SIZES.items())
    if value not in choices.SIZES.values():
        offered.append((f"as linked: {value}", value))
    update: Updates = gr.update(choices=offered, value=value)
    return update


def _among(value: str | None) -> Updates:
    """A series stands in its list, which the tab fills anew as it opens."""
    listed = [("none", "") if value == "" else (value, value)]
    update: Updates = gr.update(choices=[] if value is None else listed, value=value)
    return update


def _layer(value: str | None) -> Updates:
    """A layer stands in its list, which the comparison that follows fills anew."""
    update: Updates = gr.update(choices=[(value or "coarse", value or "")], value=value or "")
    return update


SHOWN: dict[str, Callable[[Any], object]] = {
    "short_side": _size,
    "method": lambda value: gr.update(choices=list(choices.METHODS), value=None if value == "auto" else value),
    "label": lambda value: gr.update(value=value) if value is None else gr.update(choices=[value], value=value),
    "labels": lambda value: gr.update(choices=list(value), value=list(value)),
    "explainers": list,
    "series": _among,
    "attribute": lambda value: value or "",
    "shows": lambda value: value or "",
    "other": _among,
    "layer": _layer,
}
