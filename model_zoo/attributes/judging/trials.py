"""What attributes are judged on: pictures of which is known what they show, looked at, their pairs, and the ranker."""

import random
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from model_zoo.attributes.classifiers import classifier_of
from model_zoo.attributes.fitted import READ, attributes_of
from model_zoo.attributes.groups import class_groups
from model_zoo.attributes.matches import drawn_matches, halves
from simvis_core.attributes.class_groups import ClassGroups, mean_shares
from simvis_core.attributes.datasets.dataset import AttributeDataset
from simvis_core.attributes.datasets.labels import AttributeLabels, read_labels
from simvis_core.attributes.datasets.polyvore import released_labels
from simvis_core.attributes.judging.figures import (
    Agreement,
    agreement_of_choices,
    by_class,
    precision_of_attributes,
)
from simvis_core.attributes.judging.looks import Looks, look_steps
from simvis_core.attributes.judging.protocol import (
    Judgement,
    LearntTerms,
    gap_steps,
    judge_steps,
    judgement_table,
    learnt_terms,
)
from simvis_core.attributes.ranker import AttributeModel, Bound, Calibration, explanation_scores
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.pairing import drawn_pairs
from simvis_core.steps import mapped
from simvis_core.trust.faithfulness import Interval, interval
from simvis_core.trust.sanity import randomised

TOGETHER = 4  # pictures of a class, for which it is worth that both pictures of a pair can be of it
Doing = Literal["looking", "judging", "curves", "weights drawn anew", "classes shuffled"]
Ended = TypeVar("Ended")


class JudgingPart(NamedTuple):
    """How far a judgement is."""

    doing: Doing
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Trial:
    """What is judged: a network's attributes on the pictures it looked at, the pairs, and what the ranker learnt."""

    name: str
    network: EmbeddingNetwork
    model: AttributeModel
    looks: Looks
    pairs: list[tuple[int, int]]
    tested: list[int]
    learnt: LearntTerms
    short_side: int


def sample_trial(
    samples: Path, name: str, network: EmbeddingNetwork, seed: int = 0
) -> Generator[JudgingPart, None, Trial]:
    """The sample pictures' classes that nothing was learnt from, up to four queries of each, and their best hits.

    Every query stands in two pairs where its class has company: with a picture of its class, and with its best hit of
    another. Raises SimvisError as `attributes_of` and `read_labels` do.
    """
    known = attributes_of(name, network)
    labels = read_labels(samples / "picture_attributes.csv")
    looking = look_steps(network, known.model, labels, ("",) * len(labels.pictures), known.short_side)
    looks = yield from told("looking", looking)
    _, tested = halves(labels.classes)
    found = drawn_matches(tested, labels.classes, looks.embeddings, looks.labels.may_share, seed)
    pairs = [(match.a, match.b) for match in found if match.kind != "stranger"]
    priors = tuple(known.priors[one].used for one in known.model.names)
    learnt = LearntTerms(priors, known.calibrations)
    return Trial("sample pictures", network, known.model, looks, pairs, tested, learnt, known.short_side)


class Asks(NamedTuple):
    """How much of a data set is looked at, and by which labels it is judged."""

    pairs: int = 200
    pictures: int = 600
    labels: Literal["true", "released"] = "true"
    seed: int = 0


def dataset_trial(
    data: AttributeDataset, network: EmbeddingNetwork, short_side: int, asks: Asks = Asks()
) -> Generator[JudgingPart, None, Trial]:
    """A data set's test pictures, half of the pairs of one class; weights and thresholds are learnt on its own pairs.

    Attributes are the class groups of the network's ImageNet classifier that the data set knows too, by its names.
    Raises SimvisError where there are none, and for a network without its classifier.
    """
    groups = {one: class_groups()[group] for one, group in _named_alike(data).items()}
    numbers = {part: _drawn(data, part, asks) for part in ("valid", "test")}
    order = [*numbers["valid"], *numbers["test"]]
    labels = data.labels.rows(order).columns(tuple(groups))
    model = grouped(network, groups, [labels.pictures[at] for at in range(len(numbers["valid"]))], short_side)
    kinds = [data.kinds[number] for number in order]
    looks = yield from told("looking", look_steps(network, model, labels, kinds, short_side, keep_directions=True))
    valid, tested = list(range(len(numbers["valid"]))), list(range(len(numbers["valid"]), len(order)))
    if asks.labels == "released":
        values = released_labels(looks.labels.values, looks.confidences, valid)
        looks = replace(looks, labels=replace(looks.labels, values=values))
    learnt = learnt_terms(looks, _pairs_of(looks.labels, valid, asks))
    pairs = _pairs_of(looks.labels, tested, asks)
    return Trial(data.name, network, model, looks, pairs, tested, learnt, short_side)


def _named_alike(data: AttributeDataset) -> dict[str, str]:
    """The data set's attributes that are class groups, by the data set's names."""
    known = class_groups()
    found = {one: SAME_THING.get(one, one) for one in data.labels.names if SAME_THING.get(one, one) in known}
    if not found:
        raise SimvisError(
            f"{data.name}, none of whose {len(data.labels.names)} attributes is a set of ImageNet classes",
            "attributes that the network can be asked for",
            "let a layer learn them from the data set, and judge that",
        )
    return found


def grouped(
    network: EmbeddingNetwork, groups: Mapping[str, Sequence[int]], pictures: Sequence[str], short_side: int
) -> ClassGroups:
    """The groups as attributes of a network, with the mean shares of these pictures as their reference."""
    classifier = classifier_of(network)
    bare = ClassGroups(network, classifier.weight, classifier.bias, groups, dict.fromkeys(groups, 0.5))
    chosen = random.Random(0).sample(list(pictures), min(REFERENCES, len(pictures)))  # noqa: S311
    views = (network.view(open_picture(file), short_side) for file in chosen)
    shares = [bare.shares(network.activations(view.pixels[None]).one()) for view in views]
    reference = mean_shares(torch.stack(shares), bare.names)
    return ClassGroups(network, classifier.weight, classifier.bias, groups, reference)


def _drawn(data: AttributeDataset, part: str, asks: Asks) -> list[int]:
    """Pictures of a part by turns of its classes, of so many classes that each has a few."""
    chance = random.Random(f"{asks.seed} {part}")  # noqa: S311  (which pictures are looked at is no secret)
    members: dict[str, list[int]] = defaultdict(list)
    for number in data.parts[part]:
        members[data.labels.classes[number]].append(number)
    classes = sorted(members)
    chance.shuffle(classes)
    classes = [name for name in classes if len(members[name]) > 1][: max(1, asks.pictures // TOGETHER)]
    for name in classes:
        chance.shuffle(members[name])
    turns = [members[name][turn] for turn in range(asks.pictures) for name in classes if turn < len(members[name])]
    if len(classes) < 2:
        raise SimvisError(f"{data.name}, part '{part}', without two classes of two pictures", "pairs of both kinds", "take more")
    return turns[: asks.pictures]


def _pairs_of(labels: AttributeLabels, numbers: Sequence[int], asks: Asks) -> list[tuple[int, int]]:
    """Pairs by number, half of one class."""
    chance = random.Random(asks.seed)  # noqa: S311  (a draw that keeps no secret)
    same, different = drawn_pairs({str(at): labels.classes[at] for at in numbers}, asks.pairs // 2, chance)
    return [(int(a), int(b)) for a, b in (*same, *different)]


def told(doing: Doing, steps: Generator[tuple[int, int], None, Ended]) -> Generator[JudgingPart, None, Ended]:
    """The steps, each as a part of what is being done."""
    return mapped(steps, lambda step: JudgingPart(doing, *step))


REFERENCES = 200  # pictures that an average picture is made of
# What Animals with Attributes 2 calls attributes that are class groups here.
SAME_THING = {
    "furry": "fur",
    "stripes": "striped",
    "longneck": "long neck",
    "flippers": "fins",
}
