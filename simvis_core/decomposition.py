"""The central object: a unit embedding kept as a sum over grid cells plus a bias."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Verdict = Literal["exact", "exact at this input", "black box"]
VERDICTS: tuple[Verdict, ...] = ("exact", "exact at this input", "black box")  # from best to worst
Method = Literal["decomposition", "last-block values", "sliding window", "RISE", "none"]
ADDITIVE: tuple[Method, ...] = ("decomposition", "last-block values", "none")  # whose cells are shares of the score


@dataclass(frozen=True, eq=False)
class Decomposition:
    """An embedding as the sum it is: ``embedding = cells.sum((0, 1)) + bias`` with norm 1.

    ``cells[r, c]`` is the signed part of the embedding that grid cell (row r, column c) brings in;
    ``bias`` is the part that no cell brings in (the head's offset; zeros for a network without one). ``verdict`` says
    whether the split is the network's own ("exact") or holds for this one picture ("exact at this input"). A
    "black box" has no such split; ``method`` then says what the cells are an estimate by, and ``bias`` is whatever
    the estimate leaves over, so the sum holds but proves nothing ("none": nothing drawn yet, all of it left over).
    Source: Zhu 2021, section "Activation decomposition"; Stylianou 2019, eq. 2-6.
    """

    cells: Float[Tensor, "H W D"]
    bias: Float[Tensor, " D"]
    verdict: Verdict = "exact"
    method: Method = "decomposition"

    @cached_property
    def embedding(self) -> Float[Tensor, " D"]:
        """The unit vector that the cells and the bias add up to."""
        return self.cells.sum((0, 1)) + self.bias

    @property
    def grid(self) -> tuple[int, int]:
        """Number of cell rows and columns, (H, W)."""
        return self.cells.shape[0], self.cells.shape[1]

    def similarity_map(self, query: Float[Tensor, " D"]) -> Float[Tensor, "H W"]:
        """Each cell's signed share of ``<embedding, query>``.

        The map sums to ``<embedding, query> - <bias, query>``; nothing is clipped or rescaled.
        With another picture's embedding as the query this is the similarity map of
        Stylianou 2019 (eq. 3 and 6), in units of the score.
        """
        return self.cells @ query

    def region_query(self, weights: Float[Tensor, "H W"]) -> Float[Tensor, " D"]:
        """A question made from a piece of the picture: the weighted sum of its cells (bias left out).

        The transpose of `similarity_map`: ``<region_query(w), v> == (w * similarity_map(v)).sum()``.
        Not a unit vector (Stylianou 2019, section 4.6).
        """
        return torch.tensordot(weights.to(self.cells), self.cells, dims=2)


def feature_contributions(a: Float[Tensor, " D"], b: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """Each feature dimension's signed part of ``<a, b>``; they sum to it (Stylianou 2019, fig. 3)."""
    return a * b


def top_features(contributions: Float[Tensor, " D"], k: int) -> Int[Tensor, " k"]:
    """Indices of the k largest contributions, largest first; k is held to 0..D."""
    ranked = torch.argsort(contributions, descending=True, stable=True)
    return ranked[: max(k, 0)]


def only_features(query: Float[Tensor, " D"], indices: Int[Tensor, " k"]) -> Float[Tensor, " D"]:
    """The query with every feature outside ``indices`` set to zero."""
    kept = torch.zeros_like(query)
    kept[indices] = query[indices]
    return kept
