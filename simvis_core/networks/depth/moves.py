"""The two transposed moves that every rule for a layer's cells makes, and what they leave to no cell."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from simvis_core.networks.depth.layouts import Layout


@runtime_checkable
class Moves(Protocol):
    """A layer's cells as a linear map that is never built: E(p) for each number p of the layer's output.

    ``pull`` gives, for queries (N, D), each number's share of <embedding, query>, in the output's shape (N, ...).
    ``push`` gives the sum of all numbers' parts of the embedding, weighed: weights (N, ...) to (N, D). One is the
    transpose of the other. ``leftover`` is what no number brings in, by its kind in `BIAS_PARTS`. ``checking`` says
    whether a map is to be compared with its score, and `proved` notes that one agreed.
    """

    embedding: Tensor
    layout: Layout

    @property
    def checking(self) -> bool:
        """Whether a map is to be compared with the score that it is a part of."""

    def proved(self) -> None:
        """Notes that a map added up."""

    def pull(self, queries: Float[Tensor, "N D"]) -> Float[Tensor, "N ..."]:
        """Each number's share of <embedding, query>."""

    def push(self, weights: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        """The weighed sum of all numbers' parts of the embedding."""

    def leftover(self) -> Mapping[str, Float[Tensor, " D"]]:
        """What no number of the output brings in: offsets, or a reference's embedding and a remainder."""
