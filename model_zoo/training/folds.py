"""Cross-validation over classes: each fold tests on classes that it does not learn from; means with intervals."""

import math
import statistics
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from model_zoo.training.data import Examples
from model_zoo.training.recipes import TrainingRecipe
from model_zoo.training.running import Outcome, TrainingEvent, train
from simvis_core.errors import SimvisError
from simvis_core.steps import mapped
from simvis_core.trust.faithfulness import Interval


class OfFold(NamedTuple):
    """What a fold tells: its number from 1, and a picture read, a step or a test."""

    fold: int
    told: TrainingEvent


def cross_validate(
    examples: Examples,
    recipe: TrainingRecipe,
    out: str | Path,
    folds: int,
    *,
    resumed: bool = False,
    device: str = "auto",
) -> Generator[OfFold, None, tuple[Outcome, ...]]:
    """Trains once for each part of the classes, into ``out/fold-1``, ...: every class is tested on once.

    Folds that are done are kept where ``resumed``. Raises SimvisError for fewer than 2 folds or more than 10, and as
    `train` does. Source: Musgrave 2020, section 3.3, here with the last part as the test itself.
    """
    if not 2 <= folds <= 10:
        raise SimvisError(f"{folds} folds", "2 to 10", "choose 4, say")
    outcomes = []
    for number in range(folds):
        folder = Path(out) / f"fold-{number + 1}"
        steps = train(examples, recipe, folder, resumed=resumed, device=device, fold=(number, folds))
        outcomes.append((yield from mapped(steps, partial(OfFold, number + 1))))
    return tuple(outcomes)


def fold_means(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """For each figure the mean over the folds' best steps, with a 95 % interval by Student's t; 0 to 1.

    The interval is of the mean over such folds; that they share pictures to learn from is not in it.
    """
    return {name: student([one.figures[name] for one in outcomes]) for name in outcomes[0].figures}


def student(values: Sequence[float]) -> Interval:
    """The mean of 2 to 10 values, with the 95 % interval of a normal sample (Student's t).

    Raises SimvisError for another count.
    """
    if len(values) - 1 not in T_975:
        raise SimvisError(f"{len(values)} values", f"2 to {1 + max(T_975)}", "measure as many")
    half = T_975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return Interval(mean, mean - half, mean + half, len(values))


# The 97.5 % point of Student's distribution, by its degrees of freedom.
T_975 = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646, 8: 2.3060, 9: 2.2622}
