"""Contribution curves over many pairs: how few feature dimensions carry a score, on average."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.galleries.search import embedding_of
from simvis_core.stores.contract import Space, VectorIndex

MOST_PAIRS = 20_000  # more would take the machine's memory and tell nothing more
CURVE_PAIRS = 1000  # as in Stylianou 2019, fig. 3
SPREAD = (0.1, 0.9)  # quantiles
PAIRS_TOGETHER = 100  # pairs whose contributions are in memory at once
LEAST_SCORE = 0.01  # of a score nearer to 0, or below, nothing is a share


@dataclass(frozen=True, eq=False)
class MeanCurve:
    """The contribution curves of some pairs: mean, and the 10 % and 90 % quantiles, at ``counts`` of features.

    ``mean`` is the average share of the score that a pair's so many strongest features hold; it ends at 1 and may
    rise above it on the way, where other features speak against the score. ``pairs`` went in; ``left_out`` had a
    score under 0.01, of which nothing is a share. ``score`` is the mean score of those that went in.

    >>> import torch
    >>> from simvis_core.galleries.curves import mean_curve
    >>> round(mean_curve(torch.tensor([[0.8, 0.6]]), torch.tensor([[0.8, 0.6]])).share(1), 3)
    0.64
    """

    counts: Int[Tensor, " n"]
    mean: Float[Tensor, " n"]
    low: Float[Tensor, " n"]
    high: Float[Tensor, " n"]
    pairs: int
    left_out: int
    score: float

    def share(self, k: int = 10) -> float:
        """The average share of the k strongest features, or of the nearest lower count that the curve has."""
        return float(self.mean[self.counts <= max(1, k)][-1])


def mean_curve(a: Float[Tensor, "N D"], b: Float[Tensor, "N D"]) -> MeanCurve:
    """The curve of N pairs of unit embeddings (Stylianou 2019, fig. 3), at every count up to 32 and then ever fewer.

    Raises SimvisError where no pair has a score that parts can be a share of.

    >>> import torch
    >>> from simvis_core.galleries.curves import mean_curve
    >>> unit = torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    >>> curve = mean_curve(unit, unit)
    >>> curve.counts, curve.mean, curve.pairs
    (tensor([1, 2]), tensor([0.8200, 1.0000], dtype=torch.float64), 2)
    """
    counts = _counts(a.shape[1])
    scores = (a.double() * b.double()).sum(1)
    kept = scores >= LEAST_SCORE
    if not bool(kept.any()):
        raise SimvisError(
            f"{len(scores)} pairs with scores under {LEAST_SCORE}", "a score that parts can be a share of", "ask others"
        )
    together = zip(a[kept].split(PAIRS_TOGETHER), b[kept].split(PAIRS_TOGETHER), strict=True)
    shares = torch.cat([_shares(*some)[:, counts - 1] for some in together])
    low, high = torch.quantile(shares, torch.tensor(SPREAD, dtype=torch.float64), dim=0)
    left_out = int((~kept).sum())
    return MeanCurve(counts, shares.mean(0), low, high, len(shares), left_out, float(scores[kept].mean()))


def _counts(length: int) -> Tensor:
    ever_fewer = torch.logspace(0, math.log10(length), 300, dtype=torch.float64).round().long()
    return torch.cat([torch.arange(1, min(length, 32) + 1), ever_fewer, torch.tensor([length])]).unique()


def _shares(a: Tensor, b: Tensor) -> Tensor:
    contributions = a.double() * b.double()
    ranked = contributions.sort(dim=1, descending=True).values
    return ranked.cumsum(1) / contributions.sum(1, keepdim=True)


def pair_curves(index: VectorIndex, space: Space, count: int = CURVE_PAIRS, seed: int = 0) -> dict[str, MeanCurve]:
    """The curves of ``count`` random pairs of one class and of two: {"same class": ..., "different classes": ...}.

    A kind of which the gallery has no pair is left out. A gallery with fewer pairs of one class than ``count`` gives
    each once. The same seed draws the same pairs.

    Raises SimvisError for ``count`` below 1 or above 20,000, a gallery with fewer than two labelled pictures, and as
    `mean_curve` does where every pair of a kind has too low a score.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.galleries.curves import pair_curves
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> vectors = np.float32([[1, 0], [0.6, 0.8]])
    >>> rows = [Row(letter * 64, f"{letter}.jpg", "owl", vector) for letter, vector in zip("ab", vectors)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, rows)
    ...     {kind: curve.pairs for kind, curve in pair_curves(index, space).items()}
    ...     index.close()
    ...
    2
    {'same class': 1}
    """
    _check_count(count)
    rows = sorted((row.label, row.id) for row in index.scan(space) if row.label)
    drawn = {
        "same class": _same(rows, count, random.Random(seed)),  # noqa: S311 (a sample, no secret)
        "different classes": _different(rows, count, random.Random(seed)),  # noqa: S311
    }
    drawn = {kind: pairs for kind, pairs in drawn.items() if pairs}
    if not drawn:
        raise SimvisError(
            f"gallery '{space.gallery}' with {len(rows)} labelled pictures", "two or more", "index class folders"
        )
    needed = sorted({id for pairs in drawn.values() for pair in pairs for id in pair})
    stored = {row.id: embedding_of(row) for row in index.scan(space, needed, embeddings=True)}
    return {
        kind: mean_curve(*(torch.stack([stored[pair[side]] for pair in pairs]) for side in (0, 1)))
        for kind, pairs in drawn.items()
    }


def same_class_pairs(labels: Sequence[str], count: int = CURVE_PAIRS, seed: int = 0) -> list[tuple[int, int]]:
    """``count`` random pairs of places with one label, each pair once at most; all of them where there are fewer.

    The same seed draws the same pairs. Raises SimvisError for ``count`` below 1 or above 20,000.

    >>> from simvis_core.galleries.curves import same_class_pairs
    >>> same_class_pairs(["owl", "jay", "owl", "owl"])
    [(0, 2), (0, 3), (2, 3)]
    """
    _check_count(count)
    rows = sorted((label, f"{place:09d}") for place, label in enumerate(labels))
    drawn = _same(rows, count, random.Random(seed))  # noqa: S311 (a sample, no secret)
    return sorted((int(one), int(other)) for one, other in drawn)


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_PAIRS:
        raise SimvisError(f"{count} pairs", f"1 to {MOST_PAIRS}", "ask for another number")


def _same(rows: Sequence[tuple[str, str]], count: int, chance: random.Random) -> list[tuple[str, str]]:
    classes: dict[str, list[str]] = {}
    for label, id in rows:
        classes.setdefault(label, []).append(id)
    members = [ids for ids in classes.values() if len(ids) > 1]
    pairs = [len(ids) * (len(ids) - 1) // 2 for ids in members]
    if sum(pairs) <= count:
        return [(ids[i], ids[j]) for ids in members for j in range(len(ids)) for i in range(j)]
    drawn: set[tuple[str, str]] = set()
    while len(drawn) < count:
        ids = chance.choices(members, pairs)[0]
        first, second = sorted(chance.sample(ids, 2))
        drawn.add((first, second))
    return sorted(drawn)


def _different(rows: Sequence[tuple[str, str]], count: int, chance: random.Random) -> list[tuple[str, str]]:
    if len({label for label, _ in rows}) < 2:
        return []
    ends = {label: at + 1 for at, (label, _) in enumerate(rows)}  # rows stand by label
    sizes = Counter(label for label, _ in rows)
    # Every pair is as likely: a row is drawn as often as there are rows of other labels, then one of these.
    firsts = chance.choices(rows, [len(rows) - sizes[label] for label, _ in rows], k=count)
    steps = [chance.randrange(len(rows) - sizes[label]) for label, _ in firsts]
    return [(id, rows[(ends[label] + step) % len(rows)][1]) for (label, id), step in zip(firsts, steps, strict=True)]
