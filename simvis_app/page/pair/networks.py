"""The networks that the page offers, and what it says of each."""

import model_zoo
from simvis_app.page import choices
from simvis_app.service import words
from simvis_app.service.sessions.session import Session


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
