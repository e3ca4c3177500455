"""What a judgement of attributes comes to: names, swaps and maps of every pair, and checks with senseless models."""

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model_zoo.attributes.fitted import READ
from model_zoo.attributes.judging.trials import JudgingOf, JudgingPart, Trial, as_parts, grouped
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.judging.figures import NamesAgreement, agreement_of_choices, precision_of_attributes
from simvis_core.attributes.judging.looks import Looks, look_steps
from simvis_core.attributes.judging.protocol import Judgement, LearntTerms, gap_steps, judge_steps, judgement_table
from simvis_core.attributes.learnt.layer import LearntAttributes
from simvis_core.attributes.ranker import AttributeModel, Bound, explanation_scores
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.trust.faithfulness import Interval, interval
from simvis_core.trust.sanity import randomised

Pairs = Sequence[tuple[int, int]]


class Verdicts(NamedTuple):
    """What came out: records and their table, attribute mAP with what chance has, gaps of maps, agreement by check."""

    records: list[Judgement]
    table: list[dict[str, Any]]
    precision: Interval
    chance: float
    gaps: dict[str, Interval | None]
    agreement: dict[str, NamesAgreement]


def verdict_steps(trial: Trial, curves: int, checks: bool, seed: int = 0) -> Generator[JudgingPart, None, Verdicts]:
    """Judges every pair, the maps of ``curves`` of them, and with ``checks`` the choices of two senseless models.

    Attribute mAP is the mean over the attributes that some of the tested pictures show and some do not, its interval
    over these attributes. Raises SimvisError where of no pair, or of no attribute, anything is known.
    """
    asked = [pair for pair in trial.pairs if bool(trial.looks.labels.shared(*pair).known.any())]
    tested = trial.tested
    precisions, shares = precision_of_attributes(trial.looks.confidences[tested], trial.looks.labels.values[tested])
    if not asked or not precisions:
        raise SimvisError(
            f"{trial.name}, of which it is not known what tells them apart",
            "pictures of which some show an attribute and some do not",
            "take more of them",
        )
    records = yield from as_parts("judging", judge_steps(trial.looks, asked, trial.learnt, seed))
    some = random.Random(seed).sample(asked, min(curves, len(asked)))  # noqa: S311  (which pairs is no secret)
    gaps: dict[str, Interval | None] = {}
    if some:
        steps = gap_steps(trial.network, trial.looks, trial.opened, some, trial.learnt, trial.short_side, seed)
        gaps = yield from as_parts("curves", steps)
    agreement: dict[str, NamesAgreement] = {}
    if checks:
        agreement = yield from _checks(trial, asked, seed)
    chance = sum(shares) / len(shares)
    return Verdicts(records, judgement_table(records, seed), interval(precisions, seed), chance, gaps, agreement)


def shuffled_groups(groups: Mapping[str, Sequence[int]], classes: int, seed: int = 0) -> dict[str, tuple[int, ...]]:
    """The groups with every class's number exchanged for another's: as large, as overlapping, of other classes."""
    order = list(range(classes))
    random.Random(seed).shuffle(order)  # noqa: S311  (a draw that keeps no secret)
    return {name: tuple(order[number] for number in group) for name, group in groups.items()}


def _checks(trial: Trial, pairs: Pairs, seed: int) -> Generator[JudgingPart, None, dict[str, NamesAgreement]]:
    """How often a network of random weights, and one whose attributes are shuffled, name the attribute that was named.

    Both are asked with the weights that were learnt; the terms' bounds are their own, since those of the true network
    would clamp all of theirs alike.
    """
    labels = trial.looks.labels
    used = sorted({number for pair in pairs for number in pair})
    places = {number: place for place, number in enumerate(used)}
    classes = [labels.classes[a] for a, _ in pairs]
    own = _named_by(trial.looks, trial.looks, pairs, {number: number for number in used}, trial.learnt)
    found = {}
    shaken = randomised(trial.network, 1.0, seed)
    senseless: dict[JudgingOf, tuple[EmbeddingNetwork, AttributeModel]] = {
        "weights drawn anew": (shaken, _on(trial, shaken, used)),
        "labels shuffled": (trial.network, _shuffled(trial, used, seed)),
    }
    for check, (network, model) in senseless.items():
        images = map(trial.opened, used)
        steps = look_steps(network, model, images, labels.rows(used), [""] * len(used), trial.short_side)
        looks = yield from as_parts(check, steps)
        named = _named_by(trial.looks, looks, pairs, places, trial.learnt)
        for preset in READ:
            found[f"{check}, {preset}"] = agreement_of_choices(own[preset], named[preset], classes, seed)
    return found


def _on(trial: Trial, network: EmbeddingNetwork, used: Sequence[int]) -> AttributeModel:
    """The trial's attributes on another network: the classes of that one's classifier, or the layer that was learnt."""
    model = trial.model
    if isinstance(model, ClassGroups):
        return grouped(network, model.groups, trial.opened, used, trial.short_side)
    return LearntAttributes(network, _layered(model).layer)


def _shuffled(trial: Trial, used: Sequence[int], seed: int) -> AttributeModel:
    """The trial's network with another meaning for each class, or each attribute of the layer."""
    model = trial.model
    if isinstance(model, ClassGroups):
        groups = shuffled_groups(model.groups, len(model.weight), seed)
        return grouped(trial.network, groups, trial.opened, used, trial.short_side)
    layer = _layered(model).layer
    order = torch.randperm(len(layer.names), generator=torch.Generator().manual_seed(seed))
    return LearntAttributes(trial.network, replace(layer, weight=layer.weight[order], usual=layer.usual[order]))


def _layered(model: AttributeModel) -> LearntAttributes:
    if not isinstance(model, LearntAttributes):
        raise SimvisError(
            f"the checks of {type(model).__name__}", "class groups or learnt attributes", "leave the checks out"
        )
    return model


def _named_by(
    true: Looks, looks: Looks, pairs: Pairs, places: Mapping[int, int], learnt: LearntTerms
) -> dict[str, list[int]]:
    """The attribute that each preset names for each pair, with neutral priors and bounds of these very terms."""
    found = {}
    neutral = [0.5] * len(looks.labels.names)
    asked = torch.stack([true.labels.shared(*pair).known for pair in pairs])
    for preset, sides in READ.items():
        terms = torch.stack([looks.terms(places[a], places[b], neutral, preset, sides == 2) for a, b in pairs])
        scores = explanation_scores(terms, _bounds(terms), learnt.calibrations[preset].weights)[0]
        found[preset] = scores.masked_fill(~asked, -torch.inf).argmax(1).tolist()
    return found


def _bounds(terms: Tensor) -> tuple[Bound, ...]:
    flat = terms.flatten(0, 1)
    return tuple(Bound(*ends) for ends in zip(flat.amin(0).tolist(), flat.amax(0).tolist(), strict=True))
