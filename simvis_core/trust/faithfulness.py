"""Does the score follow the map? Pixels taken away or put back in the map's order, and what becomes of the score."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import batch_of
from simvis_core.explainers.question import Interim, Question
from simvis_core.pictures.fills import filled
from simvis_core.pictures.views import enlarge
from simvis_core.steps import run

Kind = Literal["insertion", "deletion"]
CURVE_KINDS: tuple[Kind, ...] = ("insertion", "deletion")
CURVE_STEPS = 51  # 2 % of the pixels each
RESAMPLED = 2000  # times, for a confidence interval
TIE_LEVELS = 10**12  # of a map: values that differ by less are tied
LEAST_GAIN = 0.05  # a picture that scores hardly more than its fill has nothing that a curve could be a share of


@dataclass(frozen=True, eq=False)
class RemovalCurve:
    """The score as pixels are put in ("insertion") or taken away ("deletion"), strongest of the map first.

    ``shares`` of the pixels that were touched, 0 to 1; ``scores`` after each. An insertion starts at the background's
    score (nothing but fill) and ends at the picture's, a deletion the other way round (Petsiuk 2018).

    >>> import torch
    >>> from simvis_core.trust.faithfulness import RemovalCurve
    >>> curve = RemovalCurve("deletion", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.75, 0.5, 0.25]))
    >>> curve.full, curve.background, curve.auc, curve.rescaled_auc, curve.at(0.4)
    (0.75, 0.25, 0.5, 0.5, 0.5)
    """

    kind: Kind
    shares: Float[Tensor, " S"]
    scores: Float[Tensor, " S"]

    @property
    def full(self) -> float:
        """The whole picture's score."""
        return float(self.scores[-1 if self.kind == "insertion" else 0])

    @property
    def background(self) -> float:
        """The score with every pixel taken away."""
        return float(self.scores[0 if self.kind == "insertion" else -1])

    @property
    def auc(self) -> float:
        """The area under the curve: the mean score on the way, by the trapezoid rule."""
        return float(torch.trapezoid(self.scores, self.shares))

    @property
    def rescaled_auc(self) -> float | None:
        """The area under the curve on a scale where the background's score is 0 and the whole picture's is 1.

        None where the picture scores less than ``LEAST_GAIN`` above its background: a share of next to nothing, or of
        something negative, would say the opposite of what happened.
        """
        gained = self.full - self.background
        return None if gained < LEAST_GAIN else (self.auc - self.background) / gained

    def at(self, share: float) -> float:
        """The score at the step nearest to a share of touched pixels."""
        return float(self.scores[int((self.shares - share).abs().argmin())])


Removing = Generator[Interim, None, RemovalCurve]


def removal_curve(
    question: Question,
    map: Float[Tensor, "H W"],
    kind: Kind,
    fill: str = "blur",
    steps: int = CURVE_STEPS,
    seed: int = 0,
) -> RemovalCurve:
    """The curve of a map over the question's view; a forward pass for each of its steps.

    Pixels are ordered by the enlarged map, ties at random by ``seed``. There are never more steps than pixels.

    Raises SimvisError for a kind or fill it does not have, fewer than 2 steps, and a map with NaN.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.trust.faithfulness import removal_curve
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40), "orange")), torch.ones(4))
    >>> curve = removal_curve(question, torch.rand(4, 6), "deletion", steps=5)
    >>> curve.shares, abs(curve.full - question.score) < 1e-6
    (tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000], dtype=torch.float64), True)
    """
    return run(removal_steps(question, map, kind, fill, steps, seed))


def removal_steps(
    question: Question,
    map: Float[Tensor, "H W"],
    kind: Kind,
    fill: str = "blur",
    steps: int = CURVE_STEPS,
    seed: int = 0,
) -> Removing:
    """The removal curve of a map in steps: yields an `Interim` behind each batch, ends with the `RemovalCurve`.

    So a caller can show how far it is, or stop. Raises SimvisError as `removal_curve` does.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.trust.faithfulness import removal_steps
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40), "orange")), torch.ones(4))
    >>> next(removal_steps(question, torch.rand(4, 6), "insertion", steps=5))
    Interim(done=5, total=5, map=None)
    """
    pixels = question.view.pixels
    rank = ranks(map, question.size, seed)
    counts = _counts(rank.numel(), steps, kind)
    background = filled(pixels, fill, question.network.preprocess)
    scores: list[Tensor] = []
    for part in counts.split(batch_of(question.size)):
        touched = rank < part[:, None, None]
        kept = touched if kind == "insertion" else ~touched
        scores.append(question.scores(torch.where(kept[:, None], pixels, background)))
        yield Interim(sum(len(one) for one in scores), len(counts))
    return RemovalCurve(kind, counts.double() / rank.numel(), torch.cat(scores))


def removed(
    question: Question, map: Float[Tensor, "H W"], kind: Kind, share: float, fill: str = "blur", seed: int = 0
) -> Float[Tensor, "3 h w"]:
    """The view with a share of its pixels touched, as a step of the curve has it, in preprocessed colours.

    Raises SimvisError for a share outside 0..1, and as `removal_curve` does.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.trust.faithfulness import removed
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40), "orange")), torch.ones(4))
    >>> left = removed(question, torch.rand(4, 6), "deletion", share=0.25, fill="mean")
    >>> float((left == 0).all(0).double().mean())
    0.25
    """
    if not 0 <= share <= 1:
        raise SimvisError(f"a share of {share:g}", "0 to 1", "choose one in that range")
    rank = ranks(map, question.size, seed)
    touched = rank < round(share * rank.numel())
    kept = touched if _checked_kind(kind) == "insertion" else ~touched
    pixels = question.view.pixels
    return torch.where(kept, pixels, filled(pixels, fill, question.network.preprocess))


def ranks(map: Float[Tensor, "H W"], size: tuple[int, int], seed: int = 0) -> Int[Tensor, "h w"]:
    """Each pixel's place in the order of the enlarged map, 0 the strongest; ties in an order drawn by ``seed``.

    Without the draw a constant map would go from top to bottom, which is an order of places like any other.
    Raises SimvisError for a map with NaN or infinity.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import ranks
    >>> ranks(torch.tensor([[0.1, 0.9], [0.5, -0.3]]), (2, 2))
    tensor([[2, 0],
            [1, 3]])
    """
    if not bool(torch.isfinite(map).all()):
        raise SimvisError("a map with NaN or infinity", "numbers", "draw it again, or choose another explainer")
    values = levels(map, size).flatten()
    drawn = torch.randperm(values.numel(), generator=torch.Generator().manual_seed(seed))
    order = drawn[torch.argsort(values[drawn], descending=True, stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return places.reshape(size)


def levels(map: Float[Tensor, "H W"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
    """The enlarged map in whole numbers, ``TIE_LEVELS`` for its largest size: what rounding alone tells apart is equal.

    Enlarging a constant map of 1/3 gives values that differ in their last digit, in an order of places.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import levels
    >>> levels(torch.full((2, 3), 1 / 3), (4, 6)).unique()
    tensor([1.0000e+12], dtype=torch.float64)
    """
    values = enlarge(map.double(), size)
    most = float(values.abs().max())
    return (values / most * TIE_LEVELS).round() if most > 0 else values


def _counts(pixels: int, steps: int, kind: Kind) -> Int[Tensor, " S"]:
    """How many pixels each step has touched, from none to all; a deletion's counts mirror an insertion's."""
    if steps < 2:
        raise SimvisError(f"{steps} steps", "at least 2", "take 51")
    _checked_kind(kind)
    last = min(steps - 1, pixels)
    counts = torch.arange(last + 1) * pixels // last
    return counts if kind == "insertion" else (pixels - counts).flip(0)


def _checked_kind(kind: Kind) -> Kind:
    if kind not in CURVE_KINDS:
        raise SimvisError(f"'{kind}'", f"one of {', '.join(CURVE_KINDS)}", "choose one of these")
    return kind


# ---------------------------------------------------------------- over many pairs


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval; both ends are None for a single value."""

    mean: float
    low: float | None
    high: float | None
    pairs: int


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of values measured on several pairs; the interval by drawing pairs again (percentile bootstrap).

    Raises SimvisError for no values.

    >>> from simvis_core.trust.faithfulness import interval
    >>> found = interval([0.1, 0.2, 0.3, 0.4])
    >>> round(found.mean, 3), found.low < found.mean < found.high, found.pairs
    (0.25, True, 4)
    >>> interval([0.5])
    Interval(mean=0.5, low=None, high=None, pairs=1)
    """
    if not values:
        raise SimvisError("no values", "one or more", "measure a pair first")
    known = torch.tensor(values, dtype=torch.float64)
    if len(known) == 1:
        return Interval(float(known[0]), None, None, 1)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(known), (RESAMPLED, len(known)), generator=generator)
    low, high = torch.quantile(known[drawn].mean(1), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(known.mean()), low, high, len(known))


def retrieval_query(hits: Float[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """The query whose score is the mean score with the hits: with it every curve here has its retrieval form.

    Raises SimvisError for no hits.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import retrieval_query
    >>> retrieval_query(torch.eye(2))
    tensor([0.5000, 0.5000])
    """
    if len(hits) == 0:
        raise SimvisError("no hits", "one or more", "search first")
    return hits.mean(0)


@dataclass(frozen=True, eq=False)
class VerificationCurve:
    """How well pairs are told apart, at one threshold, as pixels of one picture go (as in Lu 2024).

    ``threshold`` is where the clean scores accept as many different pairs as they refuse same ones; ``accuracy`` is
    the share of pairs on their right side of it at each of ``shares``.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import VerificationCurve
    >>> VerificationCurve(0.5, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5])).auc
    0.75
    """

    threshold: float
    shares: Float[Tensor, " S"]
    accuracy: Float[Tensor, " S"]

    @property
    def auc(self) -> float:
        """The mean accuracy on the way."""
        return float(torch.trapezoid(self.accuracy, self.shares))


def verification_curve(curves: Sequence[RemovalCurve], same: Bool[Tensor, " P"]) -> VerificationCurve:
    """The curve of pairs whose removal curves were measured with one kind and one number of steps.

    ``same`` says which pairs are of one class. Raises SimvisError without pairs of both kinds, and for curves that
    differ in kind or steps.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import RemovalCurve, verification_curve
    >>> shares = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> same, different = (RemovalCurve("deletion", shares, shares.new_tensor([score, 0.1])) for score in (0.9, 0.3))
    >>> found = verification_curve([same, different], torch.tensor([True, False]))
    >>> found.accuracy, found.auc
    (tensor([1.0000, 0.5000], dtype=torch.float64), 0.75)
    """
    if not bool(same.any()) or bool(same.all()) or len(curves) != len(same):
        raise SimvisError(
            f"{len(curves)} curves with {int(same.sum())} same-class pairs of {len(same)}",
            "pairs of one class and of two",
            "measure some of both",
        )
    first = curves[0]
    if any(one.kind != first.kind or not _alike(one.shares, first.shares) for one in curves):
        raise SimvisError("curves of several kinds or steps", "one kind", "measure them alike")
    scores = torch.stack([one.scores for one in curves])
    clean = torch.tensor([one.full for one in curves], dtype=torch.float64)
    threshold = equal_error_threshold(clean, same)
    return VerificationCurve(threshold, first.shares, ((scores >= threshold) == same[:, None]).double().mean(0))


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether shares are those of one number of steps; views of unlike sizes round to other whole pixels."""
    return len(one) == len(other) and bool((one - other).abs().max() * (len(one) - 1) < 1)


def equal_error_threshold(scores: Float[Tensor, " P"], same: Bool[Tensor, " P"]) -> float:
    """The score at which as large a share of different pairs is accepted as of same pairs is refused.

    Of the middles between neighbouring scores, the one where the two shares differ least (the lowest of several).

    >>> import torch
    >>> from simvis_core.trust.faithfulness import equal_error_threshold
    >>> equal_error_threshold(torch.tensor([0.75, 0.25]), torch.tensor([True, False]))
    0.5
    """
    ordered = scores.double().unique()
    middles = torch.cat([ordered[:1] - 1e-9, (ordered[1:] + ordered[:-1]) / 2, ordered[-1:] + 1e-9])
    accepted = scores.double() >= middles[:, None]
    wrong = (accepted & ~same).sum(1) * same.sum(), (~accepted & same).sum(1) * (~same).sum()  # whole numbers tie
    return float(middles[int((wrong[0] - wrong[1]).abs().argmin())])
