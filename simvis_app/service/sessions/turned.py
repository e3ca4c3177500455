"""An embedding split at a layer, on a server where passes of networks take turns."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from simvis_core import Decomposition
from simvis_core.networks.depth.decomposed import DeepDecomposition

MAPS_A_TURN = 4  # maps of a turn: others wait no longer than for these


class TurnedDecomposition(Decomposition):
    """A `DeepDecomposition` whose maps and queries, each of which runs a part of the network, take their turns.

    ``turn`` gives what its argument gives, in its turn; nothing here may be asked from inside of a turn.
    """

    deep: DeepDecomposition
    turn: Callable[[Callable[[], Any]], Any]

    def __init__(self, deep: DeepDecomposition, turn: Callable[[Callable[[], Any]], Any]) -> None:
        self.__dict__.update(deep=deep, turn=turn, verdict=deep.verdict, method=deep.method)
        self.__dict__["embedding"] = deep.embedding

    @property
    def grid(self) -> tuple[int, int]:
        """Number of cell rows and columns, (H, W), of the layer."""
        return self.deep.grid

    @property
    def built(self) -> bool:
        """Whether the table of all cells was asked for, and is there."""
        return self.deep.built

    @cached_property
    def cells(self) -> Any:
        """Every cell's part of the embedding, (H, W, D), in one turn; raises as `DeepDecomposition.building` does."""
        return self.turn(lambda: self.deep.cells)

    @cached_property
    def bias(self) -> Any:
        """What no cell brings in, (D,): the sum of `bias_parts`."""
        return self.turn(lambda: self.deep.bias)

    @property
    def cells_sum(self) -> Any:
        """All cells' parts together, (D,)."""
        return self.embedding - self.bias

    @property
    def bias_parts(self) -> Mapping[str, Any]:
        """The bias by what it comes from; sums to it."""
        parts: Mapping[str, Any] = self.turn(lambda: self.deep.bias_parts)
        return parts

    def similarity_map(self, query: Any) -> Any:
        """Each cell's signed share of ``<embedding, query>``, (H, W)."""
        return self.similarity_maps(query[None])[0]

    def similarity_maps(self, queries: Any) -> Any:
        """A map for each of several queries, (N, H, W), a few of them in a turn."""
        found = queries.new_zeros(len(queries), *self.grid)
        for at in range(0, len(queries), MAPS_A_TURN):
            found[at : at + MAPS_A_TURN] = self.turn(partial(self.deep.similarity_maps, queries[at : at + MAPS_A_TURN]))
        return found

    def region_query(self, weights: Any) -> Any:
        """The weighed sum of the cells' parts of the embedding, (D,), the bias left out."""
        return self.turn(lambda: self.deep.region_query(weights))

    def notes(self, query: Any) -> list[str]:
        """Sentences on what a reader of the map for a query has to know."""
        said: list[str] = self.turn(lambda: self.deep.notes(query))
        return said
