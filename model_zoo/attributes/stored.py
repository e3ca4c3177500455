"""Learns how long a network's embeddings usually are, and tests what that makes of attributes of unit embeddings."""

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from itertools import product
from statistics import fmean
from typing import Any

import torch
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn.functional import normalize

from model_zoo.attributes.matches import halves
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.attributes.stored import stored_confidences
from simvis_core.networks.backbone import Activations
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.views import FRAMINGS, Framing

WHOLE: Framing = "whole"  # the framing that the reference was measured in
MARGINS = [step / 4 for step in range(13)]  # log-odds above an attribute's mean share, from which it may be shown
FEWEST_SHOWING = 2  # pictures that show an attribute, below which it is not counted


def stored_steps(
    model: ClassGroups, truth: AttributeLabels, short_side: int
) -> Generator[tuple[int, int], None, dict[str, Any]]:
    """What attributes of stored unit embeddings need, learnt on picture files of which is known what they show.

    As plain JSON: the mean length for each framing of the view, every class counted once; from which confidence on an
    attribute counts as shown, the one of `MARGINS` with the best mean F1 over attributes at the usual length; both on
    every other class, by name. "tested" has, on the classes between and in whole views, how well the order at the usual
    length agrees with that of the exact confidences (Spearman, mean and least over attributes), and beside each other
    mean precision, recall and average precision of both. Yields (done, all) behind each picture.

    Raises SimvisError for a picture that cannot be read.
    """
    learning, testing = halves(truth.classes)
    told = truth.columns(model.names).values
    raws: dict[str, list[Tensor]] = {framing: [] for framing in FRAMINGS}
    exact = []
    for number, (framing, file) in enumerate(product(FRAMINGS, truth.pictures), start=1):
        view = model.network.view(open_picture(file), short_side, framing)
        activations = model.network.activations(view.pixels[None])
        raws[framing].append(_raw(model, activations))
        if framing == WHOLE:
            exact.append(model.confidences(activations.one()))
        yield number, len(FRAMINGS) * len(truth.pictures)
    lengths = {framing: _mean_length(of, truth.classes, learning) for framing, of in raws.items()}
    stored = stored_confidences(model, normalize(torch.stack(raws[WHOLE])), lengths[WHOLE])
    shown_from = max(MARGINS, key=lambda margin: _f1(stored[learning], told[learning], margin))
    return {
        "lengths": {framing: round(length, 4) for framing, length in lengths.items()},
        "shown_from": shown_from,
        "tested": _tested(torch.stack(exact)[testing], stored[testing], told[testing], shown_from),
    }


@torch.inference_mode()
def _raw(model: ClassGroups, activations: Activations) -> Tensor:
    """The embedding before the unit norm (D,), float64."""
    return model.network.raw_from(activations)[0].double().cpu()


def _mean_length(raws: Sequence[Tensor], classes: Sequence[str], of: Sequence[int]) -> float:
    lengths = defaultdict(list)
    for number in of:
        lengths[classes[number]].append(float(raws[number].norm()))
    return fmean(fmean(one) for one in lengths.values())


def _tested(exact: Tensor, stored: Tensor, shown: Tensor, shown_from: float) -> dict[str, float]:
    """Exact and estimated confidences (N, K each) beside each other and beside what the pictures show."""
    agreements = [float(spearmanr(*two).statistic) for two in zip(exact.T, stored.T, strict=True)]
    both = {"exact": exact, "stored": stored}
    quality = {
        f"{figure}_{name}": value
        for name, confidences in both.items()
        for figure, value in _quality(confidences, shown, shown_from).items()
    }
    figures = {"rank_agreement": fmean(agreements), "least_rank_agreement": min(agreements)} | quality
    return {name: round(value, 4) for name, value in figures.items()}


def _quality(confidences: Tensor, shown: Tensor, shown_from: float) -> dict[str, float]:
    """Mean precision and recall of what is above the threshold, and mean average precision, over attributes."""
    counted = list(_counted(confidences, shown))
    precisions, recalls = zip(*(_precision_recall(sure > shown_from, true) for sure, true in counted), strict=True)
    ranked = [float(average_precision_score(true.numpy(), sure.numpy())) for sure, true in counted]
    return {"precision": fmean(precisions), "recall": fmean(recalls), "average_precision": fmean(ranked)}


def _counted(confidences: Tensor, shown: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each attribute that some pictures show: its confidences and whether it is shown, where that can be told."""
    for sure, values in zip(confidences.T, shown.T, strict=True):
        known = ~values.isnan()
        if int((values == 1).sum()) >= FEWEST_SHOWING:
            yield sure[known], values[known] == 1


def _precision_recall(kept: Tensor, true: Tensor) -> tuple[float, float]:
    """Of what is kept the share that is true, 0 where nothing is; and of what is true the share that is kept."""
    right = int((kept & true).sum())
    return right / max(1, int(kept.sum())), right / int(true.sum())


def _f1(confidences: Tensor, shown: Tensor, margin: float) -> float:
    """The mean over attributes of the harmonic mean of precision and recall."""
    found = [_precision_recall(sure > margin, true) for sure, true in _counted(confidences, shown)]
    return fmean(2 * one * other / (one + other) if one + other else 0.0 for one, other in found)
