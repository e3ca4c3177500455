"""What the Trust tab's events are told, read by what it means."""

from dataclasses import dataclass

from simvis_app.page import choices
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.pair.places import read_look, read_pair
from simvis_app.page.trust.layout import Widgets
from simvis_app.page.updates import Values, by_name
from simvis_core.pairs.sides import Side
from simvis_core.trust.faithfulness import Kind


@dataclass(frozen=True)
class TrustQuestion:
    """What is measured, and how: results on the page belong to one of these. An emptied ``seed`` counts as 0."""

    pair: PairAsked
    side: Side = choices.SIDE.default
    fill: str = choices.FILL.default
    setting: str = choices.HIDDEN_IN.default
    seed: float | None = choices.SEED.default


@dataclass(frozen=True)
class TrustInputs:
    """The tab as an event finds it; ``percent`` of the pixels go in the order of the map ``order``.

    ``closest`` is what stands on the button that shows a depth.
    """

    question: TrustQuestion
    look: PairLook
    explainers: tuple[str, ...] = ()
    measured_for: TrustQuestion | None = None
    order: str | None = None
    kind: Kind = "deletion"
    percent: float | None = 0
    closest: str = ""


def read(values: Values, widgets: Widgets) -> TrustInputs:
    """The values by what they mean."""
    found = by_name(values, widgets)
    asked = {name: found.pop(name) for name in ("side", "fill", "setting", "seed") if name in found}
    question = TrustQuestion(read_pair(values, widgets.pair), **asked)
    explainers = tuple(found.pop("explainers", None) or ())
    return TrustInputs(question, read_look(values, widgets.look), explainers, **found)
