"""Jobs timed in turns: a ratio taken round by round stays true while the machine's speed drifts."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Job = Callable[[], object]
STEADY = 0.01  # a ratio counts as stable when its standard error is below 1 %


@dataclass(frozen=True)
class Budget:
    """How long a race may go on: at least ``rounds``, then until its ratios are stable or ``seconds`` are over."""

    rounds: int
    seconds: float


FULL = Budget(15, 25)
QUICK = Budget(2, 0)


@dataclass(frozen=True)
class Race:
    """Seconds of each job, round by round."""

    seconds: Mapping[str, list[float]]

    def milliseconds(self, job: str) -> float:
        """The median time."""
        return statistics.median(self.seconds[job]) * 1000

    def ratio(self, job: str, base: str) -> float:
        """Median over the rounds of job's time over base's time in the same round."""
        return statistics.median(self._ratios(job, base))

    def error(self, job: str, base: str) -> float:
        """Standard error of `ratio`, relative to it; from the quartiles, so one disturbed round does not count."""
        ratios = self._ratios(job, base)
        low, middle, high = statistics.quantiles(ratios, n=4)
        return 1.25 * (high - low) / 1.35 / (middle * len(ratios) ** 0.5)

    def _ratios(self, job: str, base: str) -> list[float]:
        return [one / other for one, other in zip(self.seconds[job], self.seconds[base], strict=True)]


def race(jobs: Mapping[str, Job], compared: list[tuple[str, str]], budget: Budget) -> Race:
    """Runs the jobs in turns, each round beginning with another one; ``compared`` are the ratios that must settle."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for job in jobs.values():
        job()
    started = time.perf_counter()
    result = Race(seconds)
    while True:
        for name in names:
            seconds[name].append(timed(jobs[name]))
        names.append(names.pop(0))
        rounds, spent = len(seconds[names[0]]), time.perf_counter() - started
        steady = rounds > 1 and all(result.error(*pair) < STEADY for pair in compared)
        if rounds >= budget.rounds and (steady or spent > budget.seconds):
            return result


def timed(job: Job) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start
