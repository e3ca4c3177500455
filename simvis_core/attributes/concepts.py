"""Concepts that add up: a query split over a dictionary, so that its parts are shares of the score."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.decomposition import Decomposition
from simvis_core.pairs.sides import OTHER, Side


@dataclass(frozen=True, eq=False)
class SplitQuery:
    """A query as parts that are queries too: ``concepts.sum(0) + mean + residual == query``, all in float64.

    ``concepts[k]`` is ``codes[k]`` times the dictionary's direction k.
    """

    codes: Float[Tensor, " K"]
    concepts: Float[Tensor, "K D"]
    mean: Float[Tensor, " D"]
    residual: Float[Tensor, " D"]


@dataclass(frozen=True, eq=False)
class ConceptTotals:
    """What each concept (K,), the mean and the residual carry of a score; signed, and they sum to it.

    >>> import torch
    >>> from simvis_core.attributes.concepts import ConceptTotals
    >>> ConceptTotals(torch.tensor([0.5, -0.125]), mean=0.25, residual=0.125).score
    0.75
    """

    concepts: Float[Tensor, " K"]
    mean: float
    residual: float

    @property
    def score(self) -> float:
        """The sum of all parts."""
        return float(self.concepts.double().sum()) + self.mean + self.residual


def split_query(query: Float[Tensor, " D"], dictionary: Dictionary) -> SplitQuery:
    """The query over the dictionary: sum over k of z_k d_k, plus mean, plus residual.

    Raises SimvisError for a query of another width than the dictionary's.

    >>> import torch
    >>> from simvis_core.attributes.concepts import split_query
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> parts = split_query(torch.tensor([0.6, 0.0, 0.8]), dictionary_of(torch.tensor([[1.0, 0.0, 0.0]])))
    >>> parts.concepts.tolist(), parts.residual.tolist()[:2]
    ([[0.6000000238418579, 0.0, 0.0]], [0.0, 0.0])
    """
    asked = query.detach().cpu().double()
    codes = dictionary.codes(asked[None])[0]
    concepts = codes[:, None] * dictionary.directions
    return SplitQuery(codes, concepts, dictionary.mean, asked - dictionary.mean - concepts.sum(0))


@dataclass(frozen=True, eq=False)
class ConceptPair:
    """Why two pictures are similar, concept by concept.

    Only the query is split, so each direction is exact: on a's map, b's embedding is the query, and a concept's total
    is z_bk <e_a, d_k>, the part of a's bias included. The pair's own figures are the mean of both directions. All
    totals are signed, in units of the score, in float64.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.attributes.concepts import ConceptPair
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> a = Decomposition(torch.tensor([[[0.0, 0.0], [0.0, 0.75]]]), torch.tensor([0.0, 0.25]))
    >>> b = Decomposition(torch.tensor([[[0.0, 1.0]]]), torch.zeros(2))
    >>> pair = ConceptPair(a, b, dictionary_of(torch.eye(2), names=("red", "blue")))
    >>> pair.totals("a").concepts, pair.totals("b").score
    (tensor([0., 1.], dtype=torch.float64), 1.0)
    >>> pair.split_a.codes, pair.split_b.residual.abs().sum().item()
    (tensor([0., 1.], dtype=torch.float64), 0.0)
    >>> pair.mean_totals.concepts, pair.strongest(1)
    (tensor([0., 1.], dtype=torch.float64), tensor([1]))
    >>> pair.concept_map("a", 1), pair.bias_part("a", 1)  # 0.75 in its cell, 0.25 in its bias
    (tensor([[0.0000, 0.7500]]), 0.25)
    >>> pair.matrix.sum().item(), pair.mean_map("a").sum().item(), pair.residual_map("a").abs().sum().item()
    (1.0, 0.0, 0.0)
    """

    a: Decomposition
    b: Decomposition
    dictionary: Dictionary

    @cached_property
    def split_a(self) -> SplitQuery:
        """The embedding of a over the dictionary."""
        return split_query(self.a.embedding, self.dictionary)

    @cached_property
    def split_b(self) -> SplitQuery:
        """The embedding of b over the dictionary."""
        return split_query(self.b.embedding, self.dictionary)

    def totals(self, side: Side) -> ConceptTotals:
        """What the parts of the other picture's embedding carry on this side's map, its bias's part included.

        Raises SimvisError for an embedding of another width than the dictionary's.
        """
        embedding, query = self._own(side).embedding.detach().cpu().double(), self._query(side)
        return ConceptTotals(
            query.concepts @ embedding, float(query.mean @ embedding), float(query.residual @ embedding)
        )

    @cached_property
    def mean_totals(self) -> ConceptTotals:
        """The pair's: half of z_bk <e_a, d_k> + z_ak <e_b, d_k> for concept k; mean and residual likewise."""
        a, b = self.totals("a"), self.totals("b")
        return ConceptTotals((a.concepts + b.concepts) / 2, (a.mean + b.mean) / 2, (a.residual + b.residual) / 2)

    @cached_property
    def matrix(self) -> Float[Tensor, "K K"]:
        """What concept k of a and concept l of b carry together, z_ak z_bl <d_k, d_l>; diagonal if d_k are orthogonal.

        It sums to the score less all that a mean or a residual has part in.
        """
        return self.split_a.concepts @ self.split_b.concepts.T

    def strongest(self, count: int) -> Int[Tensor, " n"]:
        """The concepts with the largest parts of the pair's score, of either sign, the largest first; none without."""
        sizes = self.mean_totals.concepts.abs()
        order = torch.argsort(sizes, descending=True, stable=True)
        return order[sizes[order] > 0][: max(count, 0)]

    def concept_map(self, side: Side, concept: int) -> Float[Tensor, "H W"]:
        """Each cell's signed share of the concept's total on this side; sum + `bias_part` is that total."""
        return self._map(side, self._query(side).concepts[concept])

    def bias_part(self, side: Side, concept: int) -> float:
        """The part of the concept's total on this side that is in no cell."""
        return float(self._query(side).concepts[concept] @ self._own(side).bias.detach().cpu().double())

    def mean_map(self, side: Side) -> Float[Tensor, "H W"]:
        """Each cell's signed share of what the dictionary's mean carries on this side."""
        return self._map(side, self._query(side).mean)

    def residual_map(self, side: Side) -> Float[Tensor, "H W"]:
        """Each cell's signed share of what no concept and no mean carries on this side."""
        return self._map(side, self._query(side).residual)

    def _map(self, side: Side, query: Tensor) -> Tensor:
        own = self._own(side)
        return own.similarity_map(query.to(own.embedding))

    def _own(self, side: Side) -> Decomposition:
        return {"a": self.a, "b": self.b}[side]

    def _query(self, side: Side) -> SplitQuery:
        return {"a": self.split_a, "b": self.split_b}[OTHER[side]]
