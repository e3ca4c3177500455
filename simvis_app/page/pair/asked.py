"""The pair that is asked about, as the Compare tab's fields hold it, and how it is explained."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.service import words
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import PairExplanation, Pooling, SimvisError
from simvis_core.pictures.views import Framing


@dataclass(frozen=True)
class PairAsked:
    """Both pictures' files, None for an empty place, and everything that their explanation depends on.

    ``exponent`` is GeM's. ``short_side`` is one of the page's view sizes, or that of an index, in pixels. ``method``
    is what draws a black box's maps; None leaves it to the network.
    """

    image_a: str | None = None
    image_b: str | None = None
    backbone: str = choices.BACKBONE.default
    pooling: str = choices.POOLING.default
    exponent: float = choices.EXPONENT.default
    short_side: int = choices.SHORT_SIDE.default
    framing: Framing = choices.FRAMING.default
    method: str | None = None

    @property
    def files(self) -> tuple[str, str] | None:
        """Both pictures; None where a place is empty."""
        return None if self.image_a is None or self.image_b is None else (self.image_a, self.image_b)

    def settings(self, session: Session) -> Settings:
        """What the session explains the pair with; the network takes the nearest size of whole cells.

        Raises SimvisError for a network that cannot be had and a pooling that is none.
        """
        size = session.network(self.backbone).preprocess.whole_cells(self.short_side)
        return Settings(self.backbone, str(Pooling(self.pooling, self.exponent)), size, self.framing, self.method)


def on_no_pair() -> dict[str, Any]:
    """What the viewer tells while it shows no pair."""
    return {"key": "", "pin": None, "mode": choices.MODE.default, "ground": "colours"}


@dataclass(frozen=True)
class PairLook:
    """How the pair is shown: the maps' colours and opacity, and what the viewer tells of its pair, pin and mode."""

    colours: str = choices.COLOURS.default
    opacity: float = choices.OPACITY.default
    viewer: dict[str, Any] = field(default_factory=on_no_pair)


def pair_of(session: Session, asked: PairAsked) -> PairExplanation:
    """The pair's explanation, as `Session.explain` gives it.

    Raises gr.Error, a sentence for the visitor, where a picture is missing or the pair cannot be explained.
    """
    if asked.files is None:
        raise gr.Error("Drop a picture into both places first.", print_exception=False)
    try:
        return session.explain(*asked.files, asked.settings(session))
    except SimvisError as error:
        raise gr.Error(words.toast(error), print_exception=False) from error
