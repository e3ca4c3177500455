"""An embedding as a sum over the cells of any layer, whose parts are made as they are asked for."""

from collections.abc import Generator, Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import BIAS_PARTS, Decomposition, Verdict
from simvis_core.errors import SimvisError
from simvis_core.networks.depth.moves import Moves
from simvis_core.networks.depth.path import PathMoves, allowed, enough, refined
from simvis_core.steps import run

MOST_PATH_CELLS = 14 * 14  # whose parts are built one by one, with all steps of a path for each
_CELLS_AT_ONCE = 16
ADDING_UP = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the sizes that are summed
Building = Generator[tuple[int, int], None, Tensor]


class DeepDecomposition(Decomposition):
    """A `Decomposition` at a layer: a Jacobian product for a map or a region, all cells only where they are asked for.

    ``moves`` is the rule that gives the parts. By a path every map is compared with the score that it is a part of; by
    the frozen rule the first of a network at a layer and size is, and every one once the bias is known. One that does
    not add up raises SimvisError.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net, pixels = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8)), torch.rand(3, 16, 24)
    >>> made, query = net.at("1", "path").decompose(pixels), net.embed(pixels[None])[0]
    >>> made.grid, made.built, made.similarity_map(query).shape, made.similarity_maps(query[None]).shape
    ((4, 6), False, torch.Size([4, 6]), torch.Size([1, 4, 6]))
    >>> torch.allclose(made.region_query(torch.ones(4, 6)), made.cells_sum, atol=1e-5)
    True
    >>> torch.allclose(sum(made.bias_parts.values()), made.bias), made.notes(query)
    (True, [])
    >>> list(made.building())[-1], made.cells.shape, made.built
    ((24, 24), torch.Size([4, 6, 5]), True)
    >>> made.refined(query).grid, made.steps, made.finer(query) is None
    ((4, 6), 8, True)
    """

    moves: Moves
    layer: str

    def __init__(self, moves: Moves, verdict: Verdict, layer: str) -> None:
        self.__dict__.update(moves=moves, layer=layer, verdict=verdict, method="decomposition")
        self.__dict__["embedding"] = moves.embedding

    def __repr__(self) -> str:
        """What it is of; its cells are not built to be shown."""
        return f"DeepDecomposition(layer={self.layer!r}, grid={self.grid}, verdict={self.verdict!r})"

    @property
    def grid(self) -> tuple[int, int]:
        """Number of cell rows and columns, (H, W), of the layer."""
        return self.moves.layout.grid

    def similarity_map(self, query: Float[Tensor, " D"]) -> Float[Tensor, "H W"]:
        """Each cell's signed share of ``<embedding, query>``; sums to it with the bias's part.

        Raises SimvisError where the sum is wrong: the network does something that the rule did not see.
        """
        return self.similarity_maps(query[None])[0]

    def similarity_maps(self, queries: Float[Tensor, "N D"]) -> Float[Tensor, "N H W"]:
        """A map for each of several queries; raises SimvisError for one that does not add up."""
        values = self.moves.pull(queries)
        if self.moves.checking:
            self._check(values, queries)
            self.moves.proved()
        return self.moves.layout.sums(values)[0]

    def region_query(self, weights: Float[Tensor, "H W"]) -> Float[Tensor, " D"]:
        """The weighed sum of the cells' parts of the embedding, the bias left out."""
        return self._pushed(weights.to(self.embedding)[None], loose=0.0)[0]

    @cached_property
    def cells(self) -> Float[Tensor, "H W D"]:
        """Every cell's part of the embedding, built one by one.

        Raises SimvisError for more than 14 x 14 cells by a path.
        """
        return run(self.building())

    def building(self) -> Building:
        """The cells (H, W, D) in steps, each telling how many of how many are done; raises as `cells` does."""
        rows, columns = self.grid
        if isinstance(self.moves, PathMoves) and rows * columns > MOST_PATH_CELLS:
            raise SimvisError(
                f"all cells of a {rows} x {columns} grid by a path",
                "14 x 14 cells or fewer",
                "choose a later layer, or ask for maps, points and regions, which need no table of all cells",
            )
        ones = torch.eye(rows * columns, dtype=self.embedding.dtype, device=self.embedding.device)
        found: list[Tensor] = []
        for some in ones.unflatten(1, (rows, columns)).split(_CELLS_AT_ONCE):
            found.append(self._pushed(some, loose=0.0))
            yield min(len(found) * _CELLS_AT_ONCE, rows * columns), rows * columns
        return torch.cat(found).unflatten(0, (rows, columns))

    @cached_property
    def bias(self) -> Float[Tensor, " D"]:
        """What no cell brings in: the sum of `bias_parts`."""
        return torch.stack(list(self.bias_parts.values())).sum(0)

    @property
    def built(self) -> bool:
        """Whether the table of all cells was asked for, and is there."""
        return "cells" in self.__dict__

    @property
    def cells_sum(self) -> Float[Tensor, " D"]:
        """All cells' parts together."""
        return self.embedding - self.bias

    @cached_property
    def bias_parts(self) -> Mapping[str, Float[Tensor, " D"]]:
        """The bias by what it comes from; sums to it."""
        nothing = torch.zeros_like(self.embedding)
        return dict.fromkeys(BIAS_PARTS, nothing) | {**self.moves.leftover(), "tokens": self._loose}

    @cached_property
    def _loose(self) -> Tensor:
        """What the tokens without a place bring in."""
        if not self.moves.layout.loose:
            return torch.zeros_like(self.embedding)
        return self._pushed(self.embedding.new_zeros(1, *self.grid), loose=1.0)[0]

    def refined(self, query: Float[Tensor, " D"]) -> Decomposition:
        """The decomposition whose remainder for a query is small enough; the same one under the frozen rule."""
        if not isinstance(self.moves, PathMoves):
            return self
        moves = refined(self.moves, query.to(self.embedding))
        return self if moves is self.moves else DeepDecomposition(moves, self.verdict, self.layer)

    def finer(self, query: Float[Tensor, " D"]) -> "DeepDecomposition | None":
        """The decomposition along twice as many points; None where a path leaves little over for a query."""
        if not isinstance(self.moves, PathMoves) or enough(self.moves, query.to(self.embedding)):
            return None
        return DeepDecomposition(self.moves.with_steps(self.moves.steps * 2), self.verdict, self.layer)

    @property
    def steps(self) -> int:
        """The points of its path; 0 under the frozen rule."""
        return self.moves.steps if isinstance(self.moves, PathMoves) else 0

    def notes(self, query: Float[Tensor, " D"]) -> list[str]:
        """Sentences on what a reader of the map for a query has to know; none where all is as it should be."""
        if not isinstance(self.moves, PathMoves):
            return []
        query = query.to(self.embedding)
        score, start, left = (
            float(one @ query) for one in (self.embedding, self.bias_parts["reference"], self.bias_parts["remainder"])
        )
        said = []
        if abs(left) > allowed(score):
            said.append(f"after {self.steps} steps {left:+.4f} of its score {score:.4f} is in no cell (remainder)")
        if score < start:
            said.append(f"its score {score:.4f} is less than its reference's {start:.4f}: the cells sum to less than 0")
        return said

    def _pushed(self, weights: Tensor, loose: float) -> Tensor:
        return self.moves.push(self.moves.layout.spread(weights, loose))

    def _check(self, values: Tensor, queries: Tensor) -> None:
        """Raises SimvisError for shares that do not sum, with what no number brings in, to <embedding, query>."""
        fixed = torch.stack([part for name, part in self.moves.leftover().items()])
        parts = fixed @ queries.T
        due = self.embedding @ queries.T
        sizes = values.flatten(1).abs().sum(1) + parts.abs().sum(0)
        gap = (values.flatten(1).sum(1) + parts.sum(0) - due).abs()
        worst = int((gap - ADDING_UP.get(due.dtype, 3e-2) * sizes).argmax())
        if gap[worst] > ADDING_UP.get(due.dtype, 3e-2) * sizes[worst]:
            raise SimvisError(
                f"shares at '{self.layer}' that are {gap[worst].item():.2g} off the score they are to sum to",
                "a sum",
                "choose the rule 'path', or another layer: an operator behind this one was not seen",
            )
