"""How much of a score a dictionary tells, on pictures that it was not learnt on."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.errors import SimvisError
from simvis_core.galleries.curves import LEAST_SCORE, MOST_PAIRS, same_class_pairs
from simvis_core.trust.faithfulness import Interval, interval

HELD_OUT = ("pictures", "classes")
OF_CLASSES = 4  # one class of so many is held out, where whole classes are


@dataclass(frozen=True)
class SharesOfScore:
    """What concepts, mean and residual carry, as shares of same-class pairs' scores; they sum to 1.

    Each is the mean over classes of the mean over a class's pairs, with a 95 % interval that draws classes again.
    ``pairs`` went in, of so many ``classes``.
    """

    concepts: Interval
    mean: Interval
    residual: Interval
    pairs: int
    classes: int


def held_out(pictures: Mapping[str, str], what: str = "pictures", seed: int = 0) -> frozenset[str]:
    """Which of the pictures (file: label) a dictionary is not to be learnt on, so that it can be measured on them.

    "pictures" are half of each class of 3 and more, at least 2, so that their class is learnt on; "classes" are whole
    ones, a quarter of those with 2 pictures and more, so that it is not. The same seed draws the same ones. Empty where
    there is no such class. Raises SimvisError for another word.

    >>> from simvis_core.attributes.dictionaries.held_out import held_out
    >>> pictures = {"1.jpg": "owl", "2.jpg": "owl", "3.jpg": "owl", "4.jpg": "jay"}
    >>> len(held_out(pictures)), sorted(held_out(pictures, "classes"))
    (2, ['1.jpg', '2.jpg', '3.jpg'])
    """
    if what not in HELD_OUT:
        raise SimvisError(f"'{what}' held out", f"one of {', '.join(HELD_OUT)}", "choose one of these")
    chance = random.Random(seed)  # noqa: S311 (a sample, no secret)
    classes: dict[str, list[str]] = defaultdict(list)
    for file, label in sorted(pictures.items()):
        if label:
            classes[label].append(file)
    if what == "pictures":
        parts = [chance.sample(files, max(2, len(files) // 2)) for files in classes.values() if len(files) > 2]
    else:
        paired = [files for files in classes.values() if len(files) > 1]
        parts = chance.sample(paired, -(-len(paired) // OF_CLASSES))
    return frozenset(file for part in parts for file in part)


def shares_of_score(
    dictionary: Dictionary, embeddings: Float[Tensor, "P D"], labels: Sequence[str], seed: int = 0
) -> SharesOfScore:
    """Shares of the scores of same-class pairs of P unit embeddings, in the mean of both directions.

    Pairs with a score under 0.01 are left out, and of more than 20,000 pairs so many are drawn. Raises SimvisError
    where no pair is left.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> from simvis_core.attributes.dictionaries.held_out import shares_of_score
    >>> embeddings = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    >>> shares = shares_of_score(dictionary_of(torch.tensor([[1.0, 0.0]])), embeddings, ["owl", "owl"])
    >>> round(shares.concepts.mean, 6), round(shares.residual.mean, 6), shares.mean.mean, shares.pairs
    (0.5, 0.5, 0.0, 1)
    """
    known = embeddings.detach().cpu().double()
    concepts = dictionary.codes(known) @ dictionary.directions
    residuals = known - dictionary.mean - concepts
    by_class: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for a, b in same_class_pairs([label or f"\0{place}" for place, label in enumerate(labels)], MOST_PAIRS, seed):
        score = float(known[a] @ known[b])
        if score >= LEAST_SCORE:
            of_mean = float((known[a] + known[b]) @ dictionary.mean) / 2
            of_residual = float(known[a] @ residuals[b] + known[b] @ residuals[a]) / 2
            by_class[labels[a]].append(((score - of_mean - of_residual) / score, of_mean / score, of_residual / score))
    if not by_class:
        raise SimvisError("no pair of one class with a score to share", "one or more", "give labelled pictures")
    means = [[sum(column) / len(rows) for column in zip(*rows, strict=True)] for rows in by_class.values()]
    concept, mean, residual = (interval(list(column), seed) for column in zip(*means, strict=True))
    return SharesOfScore(concept, mean, residual, sum(map(len, by_class.values())), len(by_class))
