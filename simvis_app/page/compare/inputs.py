"""What the Compare tab's events are told, read once from what its components hold."""

from dataclasses import dataclass, field
from typing import Any

from simvis_app.page.compare.layout import Widgets
from simvis_app.page.compare.own_panel import OwnAsked, OwnFields
from simvis_app.page.depth.dial_answers import read_depth
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.pair.places import read_look, read_pair
from simvis_app.page.updates import Values, by_name
from simvis_app.service.sessions.depths import DepthAsked


@dataclass(frozen=True)
class CompareAsked:
    """The pair, how it is shown, and what else the tab's components hold.

    ``k`` is how many of the strongest features are kept, None for an emptied field; ``feature`` the one whose map is
    shown, None for one that the list has lost. ``link_pin`` is a pin that is to take the place of the viewer's, {} to
    clear it. ``said`` is a notice about files that were dropped and not taken. ``working`` is the last network that
    loaded.
    """

    pair: PairAsked = field(default_factory=PairAsked)
    look: PairLook = field(default_factory=PairLook)
    k: float | None = None
    feature: int | None = None
    link_pin: dict[str, Any] | None = None
    said: str = ""
    working: str = ""
    own: OwnAsked = field(default_factory=OwnAsked)
    depth: DepthAsked = field(default_factory=DepthAsked)


def read(values: Values, widgets: Widgets) -> CompareAsked:
    """What the components hold; those that are no inputs of the event count as the page opens."""
    held = by_name(values, widgets)
    told = {name: held[name] for name in ("k", "feature", "link_pin") if name in held}
    return CompareAsked(
        read_pair(values, widgets.pair),
        read_look(values, widgets.look),
        **told,
        said=widgets.refusals.unseen(values),
        working=values.get(widgets.network.working, ""),
        own=OwnAsked() if widgets.own is None else _own(values, widgets.own),
        depth=read_depth(values, widgets.dial),
    )


def _own(values: Values, own: OwnFields) -> OwnAsked:
    held = by_name(values, own)
    told = {name: held[name] for name in ("file", "upload", "architecture", "head") if name in held}
    answers = tuple(values[slot] for slot in own.questions.slots if slot in values)
    return OwnAsked(**told, questions=values.get(own.questions.asked), answers=answers)
