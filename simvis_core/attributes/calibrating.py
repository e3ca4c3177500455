"""Learning on validation pairs what the ranker needs: priors with their significance, bounds, weights, threshold."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.attributes.overlaps import check_preset
from simvis_core.attributes.ranker import Bound, Calibration, Phi, explanation_scores
from simvis_core.errors import SimvisError

SIGNIFICANT = 0.05  # a corrected p-value below it counts
GRID = 20  # steps of each weight, from 0 to 1


class Prior(NamedTuple):
    """How often an attribute's direction raises the score: the share of pairs, and how sure that is.

    ``p`` is corrected for the number of attributes. ``used`` is the share where it is significant and one half, which
    speaks neither for nor against, where it is not.

    >>> from simvis_core.attributes.calibrating import Prior
    >>> Prior(share=0.9, p=0.01).used, Prior(share=0.6, p=0.4).used
    (0.9, 0.5)
    """

    share: float
    p: float

    @property
    def used(self) -> float:
        """The share that counts as the third term."""
        return self.share if self.p < SIGNIFICANT else 0.5


def score_derivatives(
    directions: Float[Tensor, "K D"], own: Float[Tensor, " D"], other: Float[Tensor, " D"]
) -> Float[Tensor, " K"]:
    """How the cosine of two unit embeddings changes as the first one's vector moves along each direction.

    The derivative of cos(x + t v, other) at t = 0, times the length of x, own = x / |x|: <v, other> - score <v, own>.
    Positive where more of the attribute in the first picture raises the score. Source: Kim 2018 (TCAV), equation 1, of
    the cosine.

    >>> import torch
    >>> from simvis_core.attributes.calibrating import score_derivatives
    >>> score_derivatives(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8]))
    tensor([0.0000, 0.8000])
    """
    return directions @ (other - (own @ other) * own)


def priors_of(derivatives: Float[Tensor, "P K"], units: Sequence[str]) -> list[Prior]:
    """Each attribute's prior: the share of P pairs whose cosine its direction raises, with a corrected p-value.

    Pairs of one unit (a class of pictures) are not independent, so each unit has one vote, its majority, and a split
    one none; p is the two-sided binomial test of the votes against a fair coin, corrected by Holm's method for the K
    attributes. Source: Plummer 2020, section 3.3; Kim 2018.

    >>> import torch
    >>> from simvis_core.attributes.calibrating import priors_of
    >>> raised, mixed = [1.0] * 8, [1.0, -1.0] * 4
    >>> dome, fur = priors_of(torch.tensor([raised, mixed]).T, units="abcdefgh")
    >>> dome.share, dome.p, dome.used, fur.share, fur.used
    (1.0, 0.015625, 1.0, 0.5, 0.5)
    """
    raises = derivatives > 0
    places = defaultdict(list)
    for place, unit in enumerate(units):
        places[unit].append(place)
    shares = torch.stack([raises[of].double().mean(0) for of in places.values()])
    votes = zip((shares > 0.5).sum(0).tolist(), (shares < 0.5).sum(0).tolist(), strict=True)
    corrected = holm([_two_sided(up, down) for up, down in votes])
    return [Prior(share, p) for share, p in zip(raises.double().mean(0).tolist(), corrected, strict=True)]


def _two_sided(up: int, down: int) -> float:
    """The chance that a fair coin's votes are at least as one-sided."""
    count = up + down
    tail = sum(math.comb(count, more) for more in range(max(up, down), count + 1))
    return min(1.0, 2 * tail / 2**count)


def holm(chances: Sequence[float]) -> list[float]:
    """P-values corrected for their number: the i-th smallest times those not smaller, never below the ones before.

    Source: Holm 1979.

    >>> from simvis_core.attributes.calibrating import holm
    >>> holm([0.25, 0.01])
    [0.25, 0.02]
    """
    corrected, least = [0.0] * len(chances), 0.0
    for place, index in enumerate(sorted(range(len(chances)), key=lambda index: chances[index])):
        least = max(least, min(1.0, chances[index] * (len(chances) - place)))
        corrected[index] = least
    return corrected


def calibrate(
    terms: Float[Tensor, "P K 3"],
    truth: Bool[Tensor, "P K"],
    preset: str,
    known: Bool[Tensor, "P K"] | None = None,
) -> Calibration:
    """Bounds, weights and threshold from P validation pairs: their raw terms, and which attributes are true of both.

    Where ``known`` is false nobody can tell whether an attribute is true of both, and it does not stand for choice.

    A term's bounds are its least and greatest value. The weights are those of a grid (steps of one twentieth, sum 1)
    under which the best attribute is true most often, of the pairs that share one; of several such, the most even ones.
    The threshold is the one at which most is right: a true best attribute at or above it, and for pairs that share no
    attribute nothing at or above it, both kinds of pairs counted alike. Source: Plummer 2020 (grid search on
    validation); the threshold is ours.

    Raises SimvisError unless some pairs share an attribute and some share none, and for a preset that there is not.

    >>> import torch
    >>> from simvis_core.attributes.calibrating import calibrate
    >>> terms = torch.tensor([[[4.0, 0.5, 0.5], [0.0, 1.0, 0.5]], [[1.0, 0.0, 0.5], [0.0, 0.5, 0.5]]])
    >>> learnt = calibrate(terms, torch.tensor([[True, False], [False, False]]), "sane")
    >>> learnt.bounds[0], learnt.weights, round(learnt.threshold, 3)
    (Bound(low=0.0, high=4.0), Phi(confidence=0.3, overlap=0.35, prior=0.35), 0.325)
    """
    check_preset(preset)
    shared = truth.any(1)
    if bool(shared.all()) or not bool(shared.any()):
        raise SimvisError(
            f"{len(truth)} validation pairs, of which {int(shared.sum())} share an attribute",
            "some that do and some that do not",
            "add pairs of the other kind",
        )
    flat = terms.double().flatten(0, 1)
    ends = zip(flat.amin(0).tolist(), flat.amax(0).tolist(), strict=True)
    confidence, overlap, prior = (Bound(low, high) for low, high in ends)
    bounds = (confidence, overlap, prior)

    def quality(phi: Phi) -> tuple[Tensor, float]:
        return _best(terms, truth, bounds, phi, known)[0][shared].double().mean(), _evenness(phi)

    weights = max(_grid(), key=quality)
    hits, best = _best(terms, truth, bounds, weights, known)
    return Calibration(preset, bounds, weights, _threshold(best, hits, shared))


def best_is_true(
    terms: Float[Tensor, "P K 3"],
    truth: Bool[Tensor, "P K"],
    calibration: Calibration,
    weights: Phi | None = None,
    known: Bool[Tensor, "P K"] | None = None,
) -> tuple[Bool[Tensor, " P"], Bool[Tensor, " P"]]:
    """Of P pairs: whether the best attribute is true of both pictures, and whether it reaches the threshold.

    Where ``known`` is false nobody can tell, and the attribute does not stand for choice.

    >>> import torch
    >>> from simvis_core.attributes.calibrating import best_is_true
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi
    >>> known = Calibration("sane", (Bound(0, 1),) * 3, Phi(1, 0, 0), threshold=0.5)
    >>> terms = torch.tensor([[[0.9, 0, 0], [0.2, 0, 0]], [[0.1, 0, 0], [0.3, 0, 0]]])
    >>> best_is_true(terms, torch.tensor([[True, False], [True, False]]), known)
    (tensor([ True, False]), tensor([ True, False]))
    """
    hits, best = _best(terms, truth, calibration.bounds, weights or calibration.weights, known)
    return hits, best >= calibration.threshold


def _best(
    terms: Tensor, truth: Tensor, bounds: Sequence[Bound], weights: Phi, known: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Of each pair whether its best attribute is true of both, and the best's score."""
    scores = explanation_scores(terms, bounds, weights)[0]
    asked = scores if known is None else scores.masked_fill(~known, -torch.inf)
    best, place = asked.max(1)
    return truth.gather(1, place[:, None])[:, 0], best


def _grid() -> Iterator[Phi]:
    for first in range(GRID + 1):
        for second in range(GRID + 1 - first):
            yield Phi(first / GRID, second / GRID, (GRID - first - second) / GRID)


def _evenness(weights: Phi) -> float:
    return -round(sum((one - 1 / 3) ** 2 for one in weights), 9)  # so that 6, 7, 7 twentieths in any order are alike


def _threshold(best: Tensor, hits: Tensor, shared: Tensor) -> float:
    """Halfway between two best scores, or beyond the last: the lowest of those at which most is right."""
    levels = best.unique()
    between = (levels[1:] + levels[:-1]) / 2
    candidates = torch.cat([levels[:1], between, levels[-1:] + 1e-6])
    named = best >= candidates[:, None]
    right = (named & hits)[:, shared].double().mean(1) + (~named)[:, ~shared].double().mean(1)
    return float(candidates[right.argmax()])
