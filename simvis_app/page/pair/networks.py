"""The networks that the page offers, what it says of each, and how one comes to be chosen."""

from dataclasses import dataclass

import gradio as gr

import model_zoo
from simvis_app.page import choices
from simvis_app.page.pair.places import NetworkFields
from simvis_app.page.updates import Updates
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, SimvisError


def backbones(session: Session, chosen: str) -> list[tuple[str, str]]:
    """What the list of networks offers: the owner's checkpoints, the chosen network, and the catalogue."""
    names = dict.fromkeys([*session.own.names(), *([] if chosen in model_zoo.names() else [chosen])])
    own = [(session.own.label(name) if session.own.knows(name) else name, name) for name in names]
    return own + [(words.network_label(name), name) for name in model_zoo.names()]


def first(session: Session) -> str:
    """What the page opens with: the owner's own network if there is one."""
    return next(iter(session.own.names()), choices.BACKBONE.default)


def about(session: Session, name: str) -> str:
    """The network's card, or what was loaded of one's own, as Markdown."""
    return session.own.about(name) if session.own.knows(name) else words.card_text(name)


@dataclass(frozen=True)
class NetworkChosen:
    """A network that loaded: what the list offers beside it, its poolings and the one to use, a note, and its card.

    ``exponent`` is GeM's; None leaves it as it is.
    """

    name: str
    offered: list[tuple[str, str]]
    poolings: list[str]
    pooling: str
    note: str
    card: str
    exponent: float | None = None


@dataclass(frozen=True)
class NetworkRefused:
    """Why a network cannot be had, and the one that stays, with its card."""

    reason: SimvisError
    working: str
    card: str


def choose_network(session: Session, backbone: str, pooling: str, working: str) -> NetworkChosen | NetworkRefused:
    """Loads a network and offers the poolings that its head takes; where it cannot be had, ``working`` stays.

    ``pooling`` is kept where the network takes it, unless it was trained with one of its own.
    """
    try:
        network = session.network(backbone)
        card = about(session, backbone)
    except SimvisError as error:
        return NetworkRefused(error, working, about(session, working))
    fits = list(network.poolings)
    chosen = pooling if pooling in fits and not network.trained_pooling.inner else str(network.trained_pooling)
    return NetworkChosen(backbone, backbones(session, backbone), fits, chosen, _note(backbone, network), card)


def network_updates(found: NetworkChosen | NetworkRefused, fields: NetworkFields) -> Updates:
    """What the page shows of it; a refused one leaves pooling and exponent as they are."""
    if isinstance(found, NetworkRefused):
        return {
            fields.backbone: found.working,
            fields.notice: words.notice(str(found.reason)),
            fields.card: found.card,
            fields.working: found.working,
        }
    return {
        fields.backbone: gr.update(choices=found.offered, value=found.name),
        fields.pooling: gr.update(choices=found.poolings, value=found.pooling),
        fields.exponent: exponent_shown(found.pooling, found.exponent),
        fields.notice: words.notice(found.note),
        fields.card: found.card,
        fields.working: found.name,
    }


def exponent_shown(pooling: str, exponent: float | None = None) -> Updates:
    """The exponent's slider: there for GeM only; None leaves its value."""
    shown: Updates = gr.update(visible=pooling == "gem")
    return shown if exponent is None else shown | {"value": exponent}


def _note(name: str, network: EmbeddingNetwork) -> str:
    """What to know beforehand of a network that takes one size of view only."""
    if network.preprocess.fixed_size is None:
        return ""
    if name in model_zoo.names():
        return model_zoo.card(name).note
    h, w = network.preprocess.fixed_size
    return f"This network takes views of {h} x {w} pixels only: pictures are squeezed into that shape."
