"""A row of measurements: the chosen explainers and the baselines beside them, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from simvis_app.page.parts.map_cards import MapCard
from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_core import SimvisError
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.steps import mapped
from simvis_core.trust.measuring import (
    Asked,
    Compared,
    Measured,
    Measuring,
    Part,
    asked_of,
    baselines,
    compared,
    drawable,
)

GLANCE = 11  # steps of a curve in what the tab opens with
WAITING, DRAWN = "waiting", "being drawn"  # states of a card


@dataclass(frozen=True)
class RowStep:
    """Where a row is: at which map, and how far that is; None before its first step."""

    name: str
    part: Part | None = None


@dataclass
class MeasuredRow:
    """What is known so far of a row of measurements; ``cards`` are in the order asked."""

    question: Question
    asked: list[tuple[str, Asked]]
    cards: dict[str, MapCard]
    started: float = field(default_factory=time.monotonic)
    measured: dict[str, Measured] = field(default_factory=dict)
    randoms: list[Measured] = field(default_factory=list)
    done: int = 0

    @property
    def found(self) -> Compared:
        """How each map compares with chance; empty while baselines are missing."""
        if self.done < len(self.asked) or "centre" not in self.measured:
            return {}
        return compared(self.measured, self.randoms, self.measured["centre"])

    def steps(self, measuring: Callable[[Asked], Measuring]) -> Iterator[RowStep]:
        """Draws and measures one after the other; the card of one that cannot be drawn says why."""
        for name, wanted in self.asked:
            yield RowStep(name)
            try:
                self._keep(name, (yield from mapped(measuring(wanted), partial(self._told, name))))
            except SimvisError as error:
                self.cards[name] = replace(self.cards[name], state=str(error))
            self.done += 1

    def _told(self, name: str, part: Part) -> RowStep:
        if part.interim.map is not None:
            grid, cells, _ = drawable(part.interim.map)
            self.cards[name] = replace(self.cards[name], state=DRAWN, grid=grid, cells=cells)
        return RowStep(name, part)

    def _keep(self, name: str, measured: Measured) -> None:
        if name == "random":
            self.randoms.append(measured)
        if name in self.measured:
            return
        self.measured[name] = measured
        grid, cells, strongest = drawable(measured.drawn.map)
        facts = tuple(fact for fact in trust_words.facts(measured, strongest) if fact)
        self.cards[name] = replace(self.cards[name], state="", grid=grid, cells=cells, facts=facts)


def row_of(question: Question, asked: TrustQuestion, explainers: Sequence[str], steps: int) -> MeasuredRow:
    """The row that measures these explainers and what they are compared with, each curve in so many steps.

    Raises SimvisError for none of them, and as `asked_of` does.
    """
    names = [name for name in EXPLAINERS if name in explainers and not EXPLAINERS[name].baseline]
    if not names:
        raise SimvisError("no explainer", "one or more", "choose some of the list")
    wanted = [asked_of(name, asked.setting, asked.seed, asked.fill, steps) for name in names]
    everything = [(one.explainer, one) for one in (*wanted, *baselines(wanted[0]))]
    cards = {name: MapCard(name, EXPLAINERS[name].title, EXPLAINERS[name].paper, WAITING) for name, _ in everything}
    return MeasuredRow(question, everything, cards)
