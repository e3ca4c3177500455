"""Tables and how their numbers are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.timing import Race


@dataclass(frozen=True)
class Table:
    """A title, column names, rows of text, and sentences beneath."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as GitHub shows it: first column to the left, numbers to the right."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes])


def ratio(race: Race, job: str, base: str) -> str:
    """How many times base's time a job takes, with the standard error: 1.084 ± 0.006, 23.1 ± 0.2."""
    value, error = race.ratio(job, base), race.error(job, base)
    digits = 3 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} ± {value * error:.{digits}f}"


def number(value: float) -> str:
    """Milliseconds, mebibytes or times, to what can be trusted: 0.42, 24.3, 871."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def percent(value: float) -> str:
    """A share."""
    return f"{value:.1%}"
