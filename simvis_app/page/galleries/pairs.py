"""A pair that the Compare tab opens: a search and its hit, or two members of a class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from simvis_app.page.house import House
from simvis_app.page.pair.opening import opened, opened_updates
from simvis_app.page.pair.places import COMPARE
from simvis_app.page.updates import Updates
from simvis_app.service.files import kept
from simvis_app.service.galleries.galleries import settings_of
from simvis_app.service.sessions.session import Session
from simvis_core.galleries.gallery import content
from simvis_core.stores.contract import Space


@dataclass(frozen=True)
class OpenedPair:
    """Two files that the browser may fetch, and what they were indexed with; ``pin`` marks a region of the first."""

    a: str
    b: str
    space: Space
    pin: dict[str, Any] | None = None


class PairOpening:
    """How a pair comes to the Compare tab. ``outputs`` are what an event that opens one may set."""

    def __init__(self, house: House) -> None:
        assert house.compare is not None
        self._session, self._tabs, self._places = house.session, house.tabs, house.compare
        self.outputs = [house.tabs, *house.compare.opens]

    def shown(self, pair: OpenedPair, working: str) -> Updates:
        """The page turned to the pair. Raises gr.Error for a network that cannot be had any more."""
        found = opened(self._session, (pair.a, pair.b), settings_of(pair.space), working, pair.pin)
        return {self._tabs: gr.update(selected=COMPARE)} | opened_updates(found, self._places)


def public(file: str, session: Session) -> str:
    """A copy of a gallery's picture that the browser may fetch; the owner's limits hold for it.

    Raises gr.Error where it cannot be read.
    """
    data = content(file)
    if data is None:
        raise gr.Error("This picture's file is gone; index the gallery again.", print_exception=False)
    session.admit(file)
    return kept(data, f"picture{Path(file).suffix.lower()}")
