"""What a judgement of attributes comes to: names, swaps and maps of every pair, and checks with senseless models."""

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model_zoo.attributes.fitted import READ
from model_zoo.attributes.judging.trials import Doing, JudgingPart, Trial, grouped, told
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.judging.figures import Agreement, agreement_of_choices, precision_of_attributes
from simvis_core.attributes.judging.looks import Looks, look_steps
from simvis_core.attributes.judging.protocol import Judgement, LearntTerms, gap_steps, judge_steps, judgement_table
from simvis_core.attributes.ranker import Bound, Calibration, explanation_scores
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.trust.faithfulness import Interval, interval
from simvis_core.trust.sanity import randomised


class Verdicts(NamedTuple):
    """What came out: records and their table, attribute mAP with what chance has, gaps, and agreement by check."""

    records: list[Judgement]
    table: list[dict[str, Any]]
    precision: Interval
    chance: float
    attributes: int
    gaps: dict[str, Interval | None]
    agreement: dict[str, Agreement]


def verdict_steps(trial: Trial, curves: int, checks: bool, seed: int = 0) -> Generator[JudgingPart, None, Verdicts]:
    """Judges every pair, the maps of ``curves`` of them, and with ``checks`` the choices of two senseless models."""
    records = yield from told("judging", judge_steps(trial.looks, trial.pairs, trial.learnt, seed))
    if not records:
        raise SimvisError(f"{trial.name} without a pair to judge", "pictures of which it is known what they show", "label more")
    asked = [pair for pair in trial.pairs if bool(trial.looks.labels.shared(*pair).known.any())]
    some = random.Random(seed).sample(asked, min(curves, len(asked)))  # noqa: S311  (which pairs is no secret)
    gaps: dict[str, Interval | None] = {}
    if some:
        steps = gap_steps(trial.network, trial.looks, some, trial.learnt, trial.short_side, seed)
        gaps = yield from told("curves", steps)
    agreement = (yield from _checks(trial, asked, seed)) if checks else {}
    values = trial.looks.labels.values[trial.tested]
    precisions, shares = precision_of_attributes(trial.looks.confidences[trial.tested], values)
    if not precisions:
        raise SimvisError(f"{trial.name}, where no attribute tells pictures apart", "one that some show", "take more pictures")
    return Verdicts(
        records,
        judgement_table(records, seed),
        interval(precisions, seed),
        sum(shares) / len(shares),
        len(shares),
        gaps,
        agreement,
    )


def shuffled_groups(
    groups: Mapping[str, Sequence[int]], classes: int, seed: int = 0
) -> dict[str, tuple[int, ...]]:
    """The groups with every class's number exchanged for another's: as large, as overlapping, of other classes."""
    order = list(range(classes))
    random.Random(seed).shuffle(order)  # noqa: S311  (a draw that keeps no secret)
    return {name: tuple(order[number] for number in group) for name, group in groups.items()}


def _checks(
    trial: Trial, pairs: Sequence[tuple[int, int]], seed: int
) -> Generator[JudgingPart, None, dict[str, Agreement]]:
    """How often a network of random weights, and one whose classes are shuffled, name the attribute that was named.

    Both are asked with the weights that were learnt; the terms' bounds are their own, since those of the true network
    would clamp all of theirs alike.
    """
    model = trial.model
    if not isinstance(model, ClassGroups):
        return {}
    others: dict[Doing, tuple[EmbeddingNetwork, Mapping[str, Sequence[int]]]] = {
        "weights drawn anew": (randomised(trial.network, 1.0, seed), model.groups),
        "classes shuffled": (trial.network, shuffled_groups(model.groups, len(model.weight), seed)),
    }
    labels = trial.looks.labels
    used = sorted({number for pair in pairs for number in pair})
    places = {number: place for place, number in enumerate(used)}
    classes = [labels.classes[a] for a, _ in pairs]
    own = _named_by(trial.looks, trial.looks, pairs, {number: number for number in used}, trial.learnt)
    found = {}
    for check, (network, groups) in others.items():
        senseless = grouped(network, groups, [labels.pictures[number] for number in used], trial.short_side)
        steps = look_steps(network, senseless, labels.rows(used), [""] * len(used), trial.short_side)
        looks = yield from told(check, steps)
        named = _named_by(trial.looks, looks, pairs, places, trial.learnt)
        for preset in READ:
            found[f"{check}, {preset}"] = agreement_of_choices(own[preset], named[preset], classes, seed)
    return found


def _named_by(
    true: Looks,
    looks: Looks,
    pairs: Sequence[tuple[int, int]],
    places: Mapping[int, int],
    learnt: LearntTerms,
) -> dict[str, list[int]]:
    """The attribute that each preset names for each pair, with neutral priors and bounds of these very terms."""
    found = {}
    neutral = [0.5] * len(looks.labels.names)
    asked = torch.stack([true.labels.shared(*pair).known for pair in pairs])
    for preset, sides in READ.items():
        terms = torch.stack([looks.terms(places[a], places[b], neutral, preset, sides == 2) for a, b in pairs])
        known: Calibration = replace(learnt.calibrations[preset], bounds=_bounds(terms))
        scores = explanation_scores(terms, known.bounds, known.weights)[0]
        found[preset] = scores.masked_fill(~asked, -torch.inf).argmax(1).tolist()
    return found


def _bounds(terms: Tensor) -> tuple[Bound, Bound, Bound]:
    flat = terms.flatten(0, 1)
    one, other, last = (Bound(*ends) for ends in zip(flat.amin(0).tolist(), flat.amax(0).tolist(), strict=True))
    return one, other, last
