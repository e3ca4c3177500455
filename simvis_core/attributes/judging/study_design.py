"""A study with readers: trials that ask which of two pictures a network ranks higher, and what each reader sees."""

import random
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch

from simvis_core.attributes.judging.choices import OURS, chosen_attributes
from simvis_core.attributes.judging.looks import Looks
from simvis_core.attributes.judging.protocol import LearntTerms
from simvis_core.errors import SimvisError

TRIALS = 24
FIRST_HITS, LATER_HITS = 5, 40  # one candidate is among the first hits, the other behind them, up to here
LEAST_MARGIN = 0.02  # of the two scores: below it nobody could tell
# What a reader sees with the pictures; the first is the base line, the second shows what words add.
CONDITIONS = (
    "nothing",
    "map",
    "map and a random attribute",
    "map and the named attribute",
    "map and the surest attribute",
)
Where = Literal["left", "right"]


class StudyTrial(NamedTuple):
    """A query and two candidates, by number; which the network ranks higher; the words to each by condition."""

    query: int
    left: int
    right: int
    higher: Where
    words: Mapping[str, tuple[str, str]]


def study_trials(
    looks: Looks, tested: Sequence[int], learnt: LearntTerms, count: int = TRIALS, seed: int = 0
) -> list[StudyTrial]:
    """So many trials of different queries, half of them with the higher one on the left.

    One candidate is drawn from the query's first hits, the other from those behind; both are tested pictures, whose
    scores differ by `LEAST_MARGIN` at least. A word is the attribute that is named for the query and that candidate
    ("named": ours), the candidate's surest, or a random one. Source: Plummer 2020 (its user study), the draw is ours.

    Raises SimvisError where there are not so many trials.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.judging.protocol import LearntTerms
    >>> from simvis_core.attributes.judging.study_design import study_trials
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi, ShownAttributes
    >>> from simvis_core.decomposition import Decomposition
    >>> units = torch.nn.functional.normalize(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    >>> splits = [Decomposition(unit[None, None], torch.zeros(4)) for unit in units]
    >>> shown = ShownAttributes(torch.tensor([1.0, -1.0]), torch.ones(2, 1, 1))
    >>> labels = AttributeLabels(tuple(map(str, range(30))), ("",) * 30, ("fur", "dome"), torch.ones(30, 2))
    >>> known = Calibration("sane", (Bound(-1, 1),) * 3, Phi(1, 1, 1), 0.5)
    >>> learnt = LearntTerms((0.5, 0.5), {"sane": known, "simvis": known})
    >>> found = study_trials(Looks(labels, ("",) * 30, [shown] * 30, splits), range(30), learnt, count=4)
    >>> sorted(trial.higher for trial in found), found[0].words["map and the named attribute"]
    (['left', 'left', 'right', 'right'], ('fur', 'fur'))
    """
    chance = random.Random(seed)  # noqa: S311  (a draw that keeps no secret)
    queries = chance.sample(list(tested), len(tested))
    sides: list[Where] = ["left", "right"] * (count // 2 + 1)
    found: list[StudyTrial] = []
    for query in queries:
        two = _candidates(looks, query, tested, chance)
        if two is not None and len(found) < count:
            found.append(_trial(looks, query, two, sides[len(found)], learnt, seed))
    if len(found) < count:
        raise SimvisError(
            f"{len(tested)} pictures, of which {len(found)} have two hits whose scores differ",
            f"{count} such queries",
            "take more pictures",
        )
    chance.shuffle(found)
    return found


def _candidates(looks: Looks, query: int, tested: Sequence[int], chance: random.Random) -> tuple[int, int] | None:
    """The higher and the lower one."""
    scores = (looks.embeddings @ looks.embeddings[query]).tolist()
    hits = sorted((other for other in tested if other != query), key=lambda other: -scores[other])
    if len(hits) <= FIRST_HITS:
        return None
    higher = chance.choice(hits[:FIRST_HITS])
    lower = [other for other in hits[FIRST_HITS:LATER_HITS] if scores[higher] - scores[other] >= LEAST_MARGIN]
    return (higher, chance.choice(lower)) if lower else None


def _trial(looks: Looks, query: int, two: tuple[int, int], higher: Where, learnt: LearntTerms, seed: int) -> StudyTrial:
    left, right = two if higher == "left" else two[::-1]
    words = dict.fromkeys(CONDITIONS[:2], ("", ""))
    ways = dict(zip(CONDITIONS[2:], ("random", OURS, "most confident"), strict=True))
    everything = torch.ones(len(looks.labels.names), dtype=torch.bool)  # every attribute stands for choice
    for condition, way in ways.items():
        named = [
            chosen_attributes(looks, (candidate, query), learnt.priors, learnt.calibrations, everything, seed)[way]
            for candidate in (left, right)
        ]
        words[condition] = (looks.labels.names[named[0]], looks.labels.names[named[1]])
    return StudyTrial(query, left, right, higher, words)


def condition_of(trial: int, form: int) -> str:
    """What a trial, by its place in the list, shows in one of five forms.

    Each form has all conditions as often as can be; over the five forms each trial shows each condition once.

    >>> from simvis_core.attributes.judging.study_design import CONDITIONS, condition_of
    >>> {condition_of(3, form) for form in range(5)} == set(CONDITIONS)
    True
    """
    return CONDITIONS[(trial + form) % len(CONDITIONS)]


def order_of(count: int, form: int, seed: int = 0) -> list[int]:
    """In which order a form shows its trials.

    >>> from simvis_core.attributes.judging.study_design import order_of
    >>> sorted(order_of(5, form=2)), order_of(24, form=1) == order_of(24, form=2)
    ([0, 1, 2, 3, 4], False)
    """
    order = list(range(count))
    random.Random(f"{seed} {form}").shuffle(order)  # noqa: S311  (a draw that keeps no secret)
    return order
