"""How a pair that another tab found comes to stand in the Compare tab's fields."""

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.pair.networks import NetworkChosen, NetworkRefused, choose_network, network_updates
from simvis_app.page.pair.places import PairPlaces
from simvis_app.page.updates import Updates
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import Pooling
from simvis_core.pictures.views import Framing


@dataclass(frozen=True)
class PairOpened:
    """A pair's files, its network, and how both pictures were seen.

    ``sizes`` are what the page offers as view sizes, (words, pixels), where ``short_side`` is none of its own; else
    None. A ``pin`` marks a cell or a region of a picture.
    """

    a: str
    b: str
    network: NetworkChosen
    short_side: int
    sizes: list[tuple[str, int]] | None
    framing: Framing
    pin: dict[str, Any] | None = None


def opened(
    session: Session, files: tuple[str, str], settings: Settings, working: str, pin: dict[str, Any] | None = None
) -> PairOpened:
    """The pair with the settings that it was found with; ``working`` is the network that the tab has by now.

    Raises gr.Error for a network that cannot be had any more.
    """
    pooling = Pooling.parse(settings.pooling)
    network = choose_network(session, settings.backbone, settings.pooling, working)
    if isinstance(network, NetworkRefused):
        raise gr.Error(f"The network '{settings.backbone}' cannot be loaded here.", print_exception=False)
    network = replace(network, pooling=pooling.name, exponent=pooling.exponent)
    size, sizes = _size(session, settings)
    return PairOpened(*files, network, size, sizes, settings.framing, pin)


def opened_updates(found: PairOpened, places: PairPlaces) -> Updates:
    """The Compare tab's fields with the pair in them; `PairPlaces.ask` then compares it."""
    pair = places.pair
    size = (
        found.short_side
        if found.sizes is None
        else gr.update(
            choices=found.sizes,
            value=found.short_side,
        )
    )
    return network_updates(found.network, places.chosen) | {
        pair.image_a: found.a,
        pair.image_b: found.b,
        pair.short_side: size,
        pair.framing: found.framing,
        places.pin: found.pin,
    }


def _size(session: Session, settings: Settings) -> tuple[int, list[tuple[str, int]] | None]:
    """The page's size that the network takes as this one, or this one beside the page's."""
    preprocess = session.network(settings.backbone).preprocess
    for size in choices.SIZES.values():
        if preprocess.fixed_size or preprocess.whole_cells(size) == settings.short_side:
            return size, None
    indexed = (f"as indexed: {settings.short_side}", settings.short_side)
    return settings.short_side, [*choices.SIZES.items(), indexed]
