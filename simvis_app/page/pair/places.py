"""The components that hold the pair, how it is shown, and its network: what other tabs read and set."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.parts.fields import HeldSlider, MethodChoice, PoolingChoice
from simvis_app.page.parts.pair_viewer import PairViewer
from simvis_app.page.updates import Values, by_name

COMPARE = "Compare"  # the tab in which the pair stands


@dataclass(frozen=True)
class PairFields:
    """What holds each field of `PairAsked`."""

    image_a: PictureDrop
    image_b: PictureDrop
    backbone: PoolingChoice
    pooling: PoolingChoice
    exponent: HeldSlider
    short_side: gr.Radio
    framing: gr.Radio
    method: MethodChoice


@dataclass(frozen=True)
class LookFields:
    """What holds each field of `PairLook`."""

    colours: gr.Dropdown
    opacity: HeldSlider
    viewer: PairViewer


@dataclass(frozen=True)
class NetworkFields:
    """What a network that is chosen sets: its fields, a notice, its card, and the name of the last that loaded."""

    backbone: PoolingChoice
    pooling: PoolingChoice
    exponent: HeldSlider
    notice: gr.HTML
    card: gr.Markdown
    working: gr.State


@dataclass(frozen=True)
class PairPlaces:
    """Where the pair stands on the page. ``pin`` holds one that the next comparison is to show.

    ``ask`` are the options of the event that compares what the fields hold.
    """

    pair: PairFields
    look: LookFields
    chosen: NetworkFields
    pin: gr.State
    ask: dict[str, Any]

    @property
    def opens(self) -> set[gr.blocks.Block]:
        """What a pair from another tab sets."""
        kept = {self.pair.method}
        return {*components(self.pair), *components(self.chosen), self.pin} - kept


def components(held: PairFields | LookFields | NetworkFields) -> list[Any]:
    """The components of a dataclass of them, in the order of its fields."""
    return [getattr(held, one.name) for one in fields(held)]


def read_pair(values: Values, held: PairFields) -> PairAsked:
    """The pair that the fields hold."""
    return PairAsked(**by_name(values, held))


def read_look(values: Values, held: LookFields) -> PairLook:
    """How the pair is shown."""
    return PairLook(**by_name(values, held))
