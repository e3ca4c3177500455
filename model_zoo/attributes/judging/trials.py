"""What attributes are judged on: pictures of which is known what they show, looked at, their pairs, and the ranker."""

import random
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
from PIL import Image

from model_zoo.attributes.classifiers import classifier_of
from model_zoo.attributes.fitted import FittedAttributes
from model_zoo.attributes.groups import class_groups
from model_zoo.attributes.matches import drawn_matches, halves
from simvis_core.attributes.class_groups import ClassGroups, mean_shares
from simvis_core.attributes.datasets.dataset import AttributeDataset
from simvis_core.attributes.datasets.labels import AttributeLabels, read_labels
from simvis_core.attributes.datasets.polyvore import released_labels
from simvis_core.attributes.judging.looks import Looks, look_steps
from simvis_core.attributes.judging.protocol import LearntTerms, learnt_terms
from simvis_core.attributes.ranker import AttributeModel
from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.objects import OBJECTS
from simvis_core.hotel_rooms.rooms import planted_pair
from simvis_core.hotel_rooms.truths import room_attributes
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.pairing import drawn_pairs
from simvis_core.steps import mapped

COMPANY = 4  # pictures of a class that are wanted, so that both pictures of a pair can be of it
REFERENCES = 200  # pictures that an average picture is made of
ROOM_SEED = 10**6  # of planted pairs: none is one that other measurements of rooms begin with
JudgingOf = Literal["looking", "judging", "curves", "weights drawn anew", "labels shuffled"]
Done = TypeVar("Done")


class JudgingPart(NamedTuple):
    """How far a judgement is."""

    doing: JudgingOf
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Trial:
    """What is judged: a network's attributes on the pictures it looked at, the pairs, and what the ranker learnt.

    ``opened`` gives a picture by its number; ``tested`` are the pictures that nothing was learnt from.
    """

    name: str
    network: EmbeddingNetwork
    model: AttributeModel
    looks: Looks
    opened: Callable[[int], Image.Image]
    pairs: list[tuple[int, int]]
    tested: list[int]
    learnt: LearntTerms
    short_side: int


Trying = Generator[JudgingPart, None, Trial]


class Asks(NamedTuple):
    """How much of a data set is looked at, and by which labels it is judged."""

    pairs: int = 200
    pictures: int = 600
    labels: Literal["true", "released"] = "true"
    seed: int = 0


def sample_trial(samples: Path, known: FittedAttributes, network: EmbeddingNetwork, asks: Asks) -> Trying:
    """The sample pictures' classes that nothing was learnt from, up to four queries of each, and their best hits.

    A query stands in two pairs where its class has company: with a picture of its class, and with its best hit of
    another. Raises SimvisError as `read_labels` does.
    """
    labels = read_labels(samples / "picture_attributes.csv")
    opened = partial(_opened, labels)
    looks = yield from _looked(network, known.model, opened, labels, [""] * len(labels.pictures), known.short_side)
    _, tested = halves(labels.classes)
    found = drawn_matches(tested, labels.classes, looks.embeddings, looks.labels.may_share, asks.seed)
    pairs = [(match.a, match.b) for match in found if match.kind != "stranger"]
    chosen = sorted(random.Random(asks.seed).sample(pairs, min(asks.pairs, len(pairs))))  # noqa: S311
    return Trial(
        "sample pictures", network, known.model, looks, opened, chosen, tested, _learnt(known), known.short_side
    )


def room_trial(known: FittedAttributes, network: EmbeddingNetwork, asks: Asks) -> Trying:
    """Pairs of drawn rooms that share exactly one object, whose attributes alone are true of both."""
    count = asks.pairs
    planted = [planted_pair(OBJECTS[at % len(OBJECTS)], ROOM_SEED + asks.seed + at) for at in range(count)]
    rooms = [room for pair in planted for room in (pair.a, pair.b)]
    true = [room_attributes(room.styles) for room in rooms]
    values = torch.tensor([[float(name in shown) for name in known.model.names] for shown in true], dtype=torch.float64)
    names = tuple(f"pair {at // 2} {'ab'[at % 2]}" for at in range(2 * count))
    labels = AttributeLabels(names, tuple(f"pair {at // 2}" for at in range(2 * count)), known.model.names, values)
    images = [room.image for room in rooms]
    looks = yield from _looked(network, known.model, images.__getitem__, labels, [""] * len(rooms), known.short_side)
    pairs = [(2 * at, 2 * at + 1) for at in range(count)]
    everything = list(range(2 * count))
    return Trial(
        "planted pairs of rooms",
        network,
        known.model,
        looks,
        images.__getitem__,
        pairs,
        everything,
        _learnt(known),
        known.short_side,
    )


def dataset_trial(
    data: AttributeDataset,
    network: EmbeddingNetwork,
    short_side: int,
    asks: Asks,
    known: FittedAttributes | None = None,
) -> Trying:
    """A data set's test pictures, half of the pairs of one class; weights and thresholds are learnt on its own pairs.

    Attributes are those of ``known``, all of which the data set must have; without it those class groups of the
    network's ImageNet classifier that the data set knows too. Raises SimvisError where there are none, and for a
    network without its classifier.
    """
    valid, test = (_drawn(data, part, asks) for part in ("valid", "test"))
    labels = data.labels.rows([*valid, *test])
    opened, learning = partial(_opened, labels), range(len(valid))
    model = known.model if known is not None else _group_model(data, network, opened, learning, short_side)
    _check_known(data, model)
    kinds = [data.kinds[number] for number in (*valid, *test)]
    looks = yield from _looked(network, model, opened, labels, kinds, short_side, keep_directions=True)
    tested = list(range(len(valid), len(valid) + len(test)))
    if asks.labels == "released":
        values = released_labels(looks.labels.values, looks.confidences, learning)
        looks = replace(looks, labels=replace(looks.labels, values=values))
    learnt = learnt_terms(looks, _pairs_of(looks.labels, learning, asks))
    pairs = _pairs_of(looks.labels, tested, asks)
    return Trial(data.name, network, model, looks, opened, pairs, tested, learnt, short_side)


def grouped(
    network: EmbeddingNetwork,
    groups: Mapping[str, Sequence[int]],
    opened: Callable[[int], Image.Image],
    numbers: Sequence[int],
    short_side: int,
) -> ClassGroups:
    """Sets of classes as attributes of a network, with their mean shares of some of the pictures as reference."""
    classifier = classifier_of(network)
    bare = ClassGroups(network, classifier.weight, classifier.bias, groups, dict.fromkeys(groups, 0.5))
    chosen = random.Random(0).sample(list(numbers), min(REFERENCES, len(numbers)))  # noqa: S311
    views = (network.view(opened(number), short_side) for number in chosen)
    shares = [bare.shares(network.activations(view.pixels[None]).one()) for view in views]
    reference = mean_shares(torch.stack(shares), bare.names)
    return ClassGroups(network, classifier.weight, classifier.bias, groups, reference)


def as_parts(doing: JudgingOf, steps: Generator[tuple[int, int], None, Done]) -> Generator[JudgingPart, None, Done]:
    """The steps, each as a part of what is being done."""
    return mapped(steps, lambda step: JudgingPart(doing, *step))


def _looked(
    network: EmbeddingNetwork,
    model: AttributeModel,
    opened: Callable[[int], Image.Image],
    labels: AttributeLabels,
    kinds: Sequence[str],
    short_side: int,
    keep_directions: bool = False,
) -> Generator[JudgingPart, None, Looks]:
    images = map(opened, range(len(labels.pictures)))
    return (
        yield from as_parts("looking", look_steps(network, model, images, labels, kinds, short_side, keep_directions))
    )


def _opened(labels: AttributeLabels, number: int) -> Image.Image:
    return open_picture(labels.pictures[number])


def _learnt(known: FittedAttributes) -> LearntTerms:
    return LearntTerms(tuple(known.priors[name].used for name in known.model.names), known.calibrations)


def _group_model(
    data: AttributeDataset,
    network: EmbeddingNetwork,
    opened: Callable[[int], Image.Image],
    numbers: Sequence[int],
    short_side: int,
) -> ClassGroups:
    """The data set's attributes that are class groups, by the data set's names."""
    named = class_groups()
    groups = {one: named[SAME_THING.get(one, one)] for one in data.labels.names if SAME_THING.get(one, one) in named}
    if not groups:
        raise SimvisError(
            f"{data.name}, none of whose {len(data.labels.names)} attributes is a set of ImageNet classes",
            "attributes that the network can be asked for",
            "learn them from its training pictures (--training-csv FILE), and name them by --attributes",
        )
    return grouped(network, groups, opened, numbers, short_side)


def _check_known(data: AttributeDataset, model: AttributeModel) -> None:
    unknown = [name for name in model.names if name not in data.labels.names]
    if unknown:
        raise SimvisError(
            f"the attribute '{unknown[0]}', which {data.name} does not have ({len(unknown)} of {len(model.names)})",
            "attributes that were learnt from it",
            "learn them from its training pictures",
        )


def _drawn(data: AttributeDataset, part: str, asks: Asks) -> list[int]:
    """Pictures of a part by turns of its classes, of so many classes that each has a few."""
    chance = random.Random(f"{asks.seed} {part}")  # noqa: S311  (which pictures are looked at is no secret)
    members: dict[str, list[int]] = defaultdict(list)
    for number in data.parts[part]:
        members[data.labels.classes[number]].append(number)
    for numbers in members.values():
        chance.shuffle(numbers)
    classes = sorted(name for name, numbers in members.items() if len(numbers) > 1)
    chance.shuffle(classes)
    classes = classes[: max(2, asks.pictures // COMPANY)]
    if len(classes) < 2:
        raise SimvisError(
            f"{data.name}, whose part '{part}' has not two classes of two pictures",
            "pairs of both kinds",
            "add pictures",
        )
    turns = range(max(len(members[name]) for name in classes))
    return [members[name][turn] for turn in turns for name in classes if turn < len(members[name])][: asks.pictures]


def _pairs_of(labels: AttributeLabels, numbers: Sequence[int], asks: Asks) -> list[tuple[int, int]]:
    """Pairs by number, half of one class."""
    chance = random.Random(asks.seed)  # noqa: S311  (a draw that keeps no secret)
    same, different = drawn_pairs({str(at): labels.classes[at] for at in numbers}, max(1, asks.pairs // 2), chance)
    return [(int(a), int(b)) for a, b in (*same, *different)]


# What Animals with Attributes 2 calls attributes that are class groups here.
SAME_THING = {"furry": "fur", "stripes": "striped", "longneck": "long neck", "flippers": "fins"}
