"""Learns the attributes of networks on labelled pictures: run as a module with the folder of the sample data."""

import argparse
import json
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

import model_zoo
from model_zoo.attributes.classifiers import classifier_of
from model_zoo.attributes.fitted import FITTED, READ, as_json, made_of
from model_zoo.attributes.groups import class_groups
from model_zoo.attributes.matches import Match, drawn_matches, halves
from model_zoo.attributes.stored import stored_steps
from simvis_core.attributes.calibrating import Prior, best_is_true, calibrate, priors_of, score_derivatives
from simvis_core.attributes.class_groups import ClassGroups, mean_shares
from simvis_core.attributes.datasets.labels import AttributeLabels, read_labels
from simvis_core.attributes.ranker import (
    AttributeModel,
    Calibration,
    Phi,
    ShownAttributes,
    match_terms,
    shown_attributes,
)
from simvis_core.decomposition import Decomposition
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import open_picture
from simvis_core.steps import run
from simvis_core.trust.faithfulness import interval

FITTED_SIDE = 224  # pixels; a page and its commands show a pair so unless asked otherwise
CARDS = ("efficientnet_lite0", "efficientnet_lite2")
_ALONE = {"confidence": Phi(1, 0, 0), "overlap": Phi(0, 1, 0), "prior": Phi(0, 0, 1)}


class NetworksAttributes(AttributeModel, Protocol):
    """An attribute model that tells which network's features it is asked with."""

    @property
    def network(self) -> EmbeddingNetwork:
        """That network."""


@dataclass(frozen=True, eq=False)
class Looked:
    """The pictures as a network sees them, with the class of each and what it shows.

    Where every picture is labelled by itself, it is a class of its own.
    """

    model: NetworksAttributes
    pictures: Sequence[Activations]
    truth: AttributeLabels

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each picture."""
        return self.truth.classes

    @cached_property
    def splits(self) -> list[Decomposition]:
        """One decomposition a picture."""
        return [self.model.network.decompose_features(one) for one in self.pictures]

    @cached_property
    def shown(self) -> list[ShownAttributes]:
        """What the model says of each picture."""
        return [shown_attributes(self.model, one) for one in self.pictures]

    @cached_property
    def embeddings(self) -> Tensor:
        """One unit embedding a picture (N, D), float64."""
        return torch.stack([one.embedding.double() for one in self.splits])


def fit_steps(
    network: EmbeddingNetwork,
    truth: AttributeLabels,
    groups: Mapping[str, Sequence[int]],
    short_side: int = FITTED_SIDE,
) -> Generator[tuple[int, int], None, dict[str, Any]]:
    """What is learnt of the attributes on picture files, of which is known what they show, as plain JSON.

    Everything is learnt on every other class, by name; the figures under "tested" are of the classes between, which
    nothing was learnt from. Yields (done, all) behind each picture. Raises SimvisError for a picture that cannot be
    read and for a network without its classifier.
    """
    classifier = classifier_of(network)
    pictures = []
    for file in truth.pictures:
        pictures.append(network.activations(network.view(open_picture(file), short_side).pixels[None]).one().compact())
        yield len(pictures), len(truth.pictures)
    labels = truth.classes
    even = dict.fromkeys(groups, 0.5)
    bare = ClassGroups(network, classifier.weight, classifier.bias, groups, even)
    learning, testing = halves(labels)
    reference = _reference(bare, pictures, labels, learning)
    model = ClassGroups(network, classifier.weight, classifier.bias, groups, reference)
    looked = Looked(model, pictures, truth.columns(model.names))
    known, held_out = (
        drawn_matches(of, looked.labels, looked.embeddings, looked.truth.may_share) for of in (learning, testing)
    )
    return {"short_side": short_side, "reference": _rounded(reference)} | learnt_of(looked, known, held_out)


def _reference(
    model: ClassGroups, pictures: Sequence[Activations], labels: Sequence[str], of: Sequence[int]
) -> dict[str, float]:
    """Each group's mean share, every class counted once."""
    shares: dict[str, list[Tensor]] = defaultdict(list)
    for number in of:
        shares[labels[number]].append(model.shares(pictures[number]))
    return mean_shares(torch.stack([torch.stack(one).mean(0) for one in shares.values()]), model.names)


def learnt_of(looked: Looked, known: Sequence[Match], held_out: Sequence[Match]) -> dict[str, Any]:
    """What the ranker needs, learnt on the known pairs and tested on those held out, as plain JSON.

    That is each attribute's prior, and for each preset bounds, weights and threshold. Raises SimvisError where the
    known pairs all share an attribute, or none does.
    """
    priors = _priors(looked, [match for match in known if match.kind != "stranger"])
    presets = {}
    for preset in READ:
        truth, told = _truths(looked, known)
        learnt = calibrate(_terms(looked, known, priors, preset), truth, preset, told)
        tested = _tested(looked, held_out, _terms(looked, held_out, priors, preset), learnt)
        presets[preset] = as_json(learnt) | {"learnt_on": _counts(looked, known), "tested": tested}
    named = zip(looked.model.names, priors, strict=True)
    return {"priors": {name: [round(one.share, 6), one.p] for name, one in named}, "presets": presets}


def _priors(looked: Looked, matches: Iterable[Match]) -> list[Prior]:
    """Over pairs that are alike, each both ways round, one vote a class of the first picture."""
    rows, units = [], []
    for match in matches:
        for own, other in ((match.a, match.b), (match.b, match.a)):
            directions = looked.model.directions(looked.pictures[own]).double()
            rows.append(score_derivatives(directions, looked.embeddings[own], looked.embeddings[other]))
            units.append(looked.labels[own])
    return priors_of(torch.stack(rows), units)


def _terms(looked: Looked, matches: Sequence[Match], priors: Sequence[Prior], preset: str) -> Tensor:
    used, rows = [prior.used for prior in priors], []
    for match in matches:
        ways = ((match.a, match.b), (match.b, match.a))[: READ[preset]]
        maps = [_saliency(looked, *way) for way in ways]
        rows.append(match_terms([looked.shown[own] for own, _ in ways], maps, used, preset))
    return torch.stack(rows)


def _saliency(looked: Looked, own: int, other: int) -> Tensor:
    split = looked.splits[own]
    return split.similarity_map(looked.embeddings[other].to(split.cells))


def _truths(looked: Looked, matches: Iterable[Match]) -> tuple[Tensor, Tensor]:
    """Which attributes both pictures show, and of which that can be told (P, K each)."""
    shared = [looked.truth.shared(one.a, one.b) for one in matches]
    return torch.stack([one.both for one in shared]), torch.stack([one.known for one in shared])


def _counts(looked: Looked, matches: Sequence[Match]) -> dict[str, int]:
    shared = int(_truths(looked, matches)[0].any(1).sum())
    return {
        "classes": len({looked.labels[one.a] for one in matches}),
        "pairs_that_share": shared,
        "pairs_that_do_not": len(matches) - shared,
    }


def _tested(looked: Looked, matches: Sequence[Match], terms: Tensor, learnt: Calibration) -> dict[str, Any]:
    """How often the best attribute is true of both pictures, and how often it is named, on pairs of other classes.

    Beside it stand each term alone and chance. Means over classes with 95 % intervals.
    """
    truth, told = _truths(looked, matches)
    units = [looked.labels[one.a] for one in matches]
    shared, (hits, named) = truth.any(1), best_is_true(terms, truth, learnt, known=told)
    figures = {"best_is_true": _by_class(hits, shared, units)}
    for name, weights in _ALONE.items():
        figures[f"best_is_true_by_{name}_alone"] = _by_class(
            best_is_true(terms, truth, learnt, weights, told)[0], shared, units
        )
    figures["best_is_true_at_random"] = _by_class(truth.double().sum(1) / told.sum(1), shared, units)
    figures["named_of_pairs_that_share"] = _by_class(named, shared, units)
    figures["named_is_true"] = _by_class(hits, shared & named, units)
    figures["named_of_pairs_that_do_not"] = _by_class(named, ~shared, units)
    return _counts(looked, matches) | figures


def _by_class(values: Tensor, of: Tensor, units: Sequence[str]) -> dict[str, float | None]:
    """Mean over classes of their means over the wanted pairs, with the ends of its interval."""
    found: dict[str, list[float]] = defaultdict(list)
    for value, wanted, unit in zip(values.tolist(), of.tolist(), units, strict=True):
        if wanted:
            found[unit].append(float(value))
    means = [sum(one) / len(one) for one in found.values()]
    if not means:
        return {"mean": None, "low": None, "high": None, "classes": 0}
    mean, low, high, classes = interval(means)
    return {"mean": mean, "low": low, "high": high, "classes": classes}


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{share:.6g}") for name, share in shares.items()}


def _main() -> None:
    """Learns the attributes of the cards that have a classifier, and writes the file that comes with SimVis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help="a folder with pictures and picture_attributes.csv")
    samples = parser.parse_args().samples
    truth = read_labels(samples / "picture_attributes.csv")
    found = {}
    for name in CARDS:
        network = model_zoo.load(name)
        known = run(fit_steps(network, truth, class_groups()))
        classifier = classifier_of(network)
        model = ClassGroups(network, classifier.weight, classifier.bias, class_groups(), known["reference"])
        stored = run(stored_steps(model, truth, known["short_side"]))
        found[name] = {"made_of": made_of(name)} | known | {"stored": stored}
    FITTED.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    _main()
