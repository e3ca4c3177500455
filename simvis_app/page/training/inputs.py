"""What the Training tab's events are told, read by what it means."""

from dataclasses import dataclass

from simvis_app.page.training.widgets import Widgets
from simvis_app.page.updates import Values, by_name

LONGEST = 10  # digits of a step


@dataclass(frozen=True)
class TrainingQuestion:
    """What is asked: series by name, "" for the first there is and for none beside it; the query's file.

    Without a file the query is the first picture of the series' gallery. Results on the page belong to one of these.
    """

    series: str = ""
    beside: str = ""
    query: str | None = None


@dataclass(frozen=True)
class Offered:
    """The names of the gallery's pictures that can be chosen from, by the list that they stand in."""

    samples: tuple[str, ...] = ()
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingInputs:
    """The tab as an event finds it; ``stamps`` of what is shown are in ``shown_for``."""

    question: TrainingQuestion = TrainingQuestion()
    step: int | None = None
    said: str = ""
    offered: Offered = Offered()
    shown_for: tuple[TrainingQuestion, tuple[str, ...]] | None = None


def read(values: Values, widgets: Widgets) -> TrainingInputs:
    """The values by what they mean."""
    found = by_name(values, widgets)
    question = TrainingQuestion(found.get("series") or "", found.get("beside") or "", found.get("query"))
    step = found.get("step") or ""
    return TrainingInputs(
        question,
        int(step) if step.isdecimal() and len(step) < LONGEST else None,
        widgets.refusals.unseen(values),
        found.get("offered") or Offered(),
        found.get("shown_for"),
    )
