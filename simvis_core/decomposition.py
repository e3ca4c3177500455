"""The central object: a unit embedding kept as a sum over grid cells plus a bias."""

from collections.abc import Mapping
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
# What a bias comes from: offsets of the layers, a path's reference, tokens that have no place in the picture (class
# and register tokens), and what an integral or an estimate leaves over.
BIAS_PARTS = ("offsets", "reference", "tokens", "remainder")


@dataclass(frozen=True, eq=False)
class Decomposition:
    """An embedding as the sum it is: ``embedding = cells.sum((0, 1)) + bias`` with norm 1.

    ``cells[r, c]`` is the signed part of the embedding that grid cell (row r, column c) brings in;
    ``bias`` is the part that no cell brings in (the head's offset; zeros for a network without one). ``verdict`` says
    whether the split is the network's own ("exact") or holds for this one picture ("exact at this input"). A
    "black box" has no such split; ``method`` then says what the cells are estimated by, and ``bias`` is the embedding
    less the cells, so that the sum holds but proves nothing. Under the method "none" no map was drawn yet: every cell
    is zero and the bias is the embedding.
    Source: Zhu 2021, section "Activation decomposition"; Stylianou 2019, eq. 2-6.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.5]]]), torch.tensor([0.0, 0.2]))
    >>> picture.grid, picture.embedding
    ((1, 2), tensor([0.6000, 0.8000]))
    >>> picture.similarity_map(torch.tensor([0.0, 1.0]))  # plus the bias's 0.2 that is the second feature
    tensor([[0.1000, 0.5000]])
    >>> picture.region_query(torch.tensor([[1.0, 0.0]]))
    tensor([0.6000, 0.1000])
    >>> picture.similarity_maps(torch.eye(2)).shape, picture.cells_sum, picture.built
    (torch.Size([2, 1, 2]), tensor([0.6000, 0.6000]), True)
    >>> picture.bias_parts["offsets"], picture.notes(torch.ones(2)), picture.refined(torch.ones(2)) is picture
    (tensor([0.0000, 0.2000]), [], True)
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

    @property
    def built(self) -> bool:
        """Whether the cells are there; some decompositions build them only where they are asked for."""
        return True

    @property
    def cells_sum(self) -> Float[Tensor, " D"]:
        """What all cells together bring in."""
        return self.cells.sum((0, 1))

    @property
    def bias_parts(self) -> Mapping[str, Float[Tensor, " D"]]:
        """The bias by what it comes from, a vector for each name of `BIAS_PARTS`; they sum to the bias.

        An estimate's bias is what the cells leave over, so a remainder.
        """
        own = "offsets" if self.method in ADDITIVE else "remainder"
        return {name: self.bias if name == own else torch.zeros_like(self.bias) for name in BIAS_PARTS}

    def refined(self, query: Float[Tensor, " D"]) -> "Decomposition":
        """The decomposition with a remainder that is small for a query; itself where there is none to make smaller."""
        del query
        return self

    def notes(self, query: Float[Tensor, " D"]) -> list[str]:
        """Sentences that a reader of the map for a query has to know, as of a remainder that did not shrink."""
        del query
        return []

    def similarity_map(self, query: Float[Tensor, " D"]) -> Float[Tensor, "H W"]:
        """Each cell's signed share of ``<embedding, query>``.

        The map sums to ``<embedding, query> - <bias, query>``; nothing is clipped or rescaled.
        With another picture's embedding as the query this is the similarity map of
        Stylianou 2019 (eq. 3 and 6), in units of the score.
        """
        return self.cells @ query

    def similarity_maps(self, queries: Float[Tensor, "N D"]) -> Float[Tensor, "N H W"]:
        """A `similarity_map` for each of several queries."""
        return (self.cells @ queries.T).permute(2, 0, 1)

    def region_query(self, weights: Float[Tensor, "H W"]) -> Float[Tensor, " D"]:
        """A question made from a piece of the picture: the weighted sum of its cells (bias left out).

        The transpose of `similarity_map`: ``<region_query(w), v> == (w * similarity_map(v)).sum()``.
        Not a unit vector (Stylianou 2019, section 4.6).
        """
        return torch.tensordot(weights.to(self.cells), self.cells, dims=2)


def feature_contributions(a: Float[Tensor, " D"], b: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """Each feature dimension's signed part of ``<a, b>``; they sum to it (Stylianou 2019, fig. 3).

    >>> import torch
    >>> from simvis_core import feature_contributions
    >>> feature_contributions(torch.tensor([0.6, 0.8]), torch.tensor([0.8, -0.6]))
    tensor([ 0.4800, -0.4800])
    """
    return a * b


def top_features(contributions: Float[Tensor, " D"], k: int) -> Int[Tensor, " k"]:
    """Indices of the k largest contributions, largest first; k is held to 0..D.

    >>> import torch
    >>> from simvis_core import top_features
    >>> top_features(torch.tensor([0.1, 0.5, -0.2, 0.3]), 2)
    tensor([1, 3])
    """
    ranked = torch.argsort(contributions, descending=True, stable=True)
    return ranked[: max(k, 0)]


def only_features(query: Float[Tensor, " D"], indices: Int[Tensor, " k"]) -> Float[Tensor, " D"]:
    """The query with every feature outside ``indices`` set to zero.

    >>> import torch
    >>> from simvis_core import only_features
    >>> only_features(torch.tensor([0.1, 0.5, -0.2]), torch.tensor([1]))
    tensor([0.0000, 0.5000, 0.0000])
    """
    kept = torch.zeros_like(query)
    kept[indices] = query[indices]
    return kept
