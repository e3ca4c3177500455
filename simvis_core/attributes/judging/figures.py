"""Figures of many pairs: means with intervals over classes, average precision, and agreement beside chance."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from sklearn.metrics import average_precision_score
from torch import Tensor

from simvis_core.trust.faithfulness import Interval, interval


def by_class(values: Sequence[float | None], classes: Sequence[str], seed: int = 0) -> Interval | None:
    """The mean over classes of their means, with a 95 % interval that draws classes again; None without any value.

    Pairs of one class are not independent, and a large class is to count no more than another.

    >>> from simvis_core.attributes.judging.figures import by_class
    >>> by_class([1.0, 0.0, None, 1.0], ["cat", "cat", "cat", "dog"]).mean
    0.75
    """
    found: dict[str, list[float]] = defaultdict(list)
    for value, unit in zip(values, classes, strict=True):
        if value is not None:
            found[unit].append(value)
    return interval([sum(one) / len(one) for one in found.values()], seed) if found else None


def precision_of_attributes(
    confidences: Float[Tensor, "N K"], values: Float[Tensor, "N K"]
) -> tuple[list[float], list[float]]:
    """The average precision of each attribute that some pictures show and some do not, and its share of pictures.

    The share is what a random order has. Pictures of which nobody can tell do not count for that attribute.

    >>> import torch
    >>> from simvis_core.attributes.judging.figures import precision_of_attributes
    >>> values = torch.tensor([[1.0, 1.0], [0.0, 1.0], [float("nan"), 1.0], [0.0, 1.0]])
    >>> precision_of_attributes(torch.tensor([[3.0, 0], [4, 0], [9, 0], [1, 0]]), values)
    ([0.5], [0.3333333333333333])
    """
    precisions, shares = [], []
    for sure, told in zip(confidences.T, values.T, strict=True):
        known = ~told.isnan()
        shown = told[known] == 1
        if bool(shown.any()) and not bool(shown.all()):
            precisions.append(float(average_precision_score(shown.numpy(), sure[known].numpy())))
            shares.append(float(shown.double().mean()))
    return precisions, shares


class NamesAgreement(NamedTuple):
    """How often two ways of choosing name one attribute, and how often they would if neither looked at the pair."""

    share: Interval
    chance: float


def agreement_of_choices(
    one: Sequence[int], other: Sequence[int], classes: Sequence[str], seed: int = 0
) -> NamesAgreement:
    """The share of pairs for which both name one attribute, beside that of independent choices as frequent.

    Chance is the sum over attributes of how often the one names it times how often the other does.

    >>> from simvis_core.attributes.judging.figures import agreement_of_choices
    >>> found = agreement_of_choices([0, 0, 1, 1], [0, 1, 1, 0], ["a", "b", "c", "d"])
    >>> found.share.mean, found.chance
    (0.5, 0.5)
    """
    alike = [float(a == b) for a, b in zip(one, other, strict=True)]
    counts = Counter(one), Counter(other)
    chance = sum(counts[0][name] * counts[1][name] for name in counts[0]) / len(one) ** 2
    share = by_class(alike, classes, seed)
    assert share is not None  # every pair has a value
    return NamesAgreement(share, chance)
