"""The rule "path": what each cell brings in along a straight line from a reference's output of a layer."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import BaseTorchFunctionMode, TorchFunctionMode

from simvis_core.errors import SimvisError
from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.embedding import Embedding, raw_embeddings
from simvis_core.networks.depth.gates.calls import Call, plain_name
from simvis_core.networks.depth.gates.norms import BATCH_NORM
from simvis_core.networks.depth.layouts import Layout

FIRST_STEPS, MOST_PATH_STEPS = 8, 256
SHARE_LEFT, LEFT = 0.01, 0.002  # of the score, and at least: what a remainder may be
_BATCH_PIXELS = 16 * 224 * 224  # of the views whose outputs are run at once


class PathMoves:
    """Gradients of the unit embedding along h(t) = r + t (h - r), at Gauss-Legendre points, times h - r.

    ``output`` (1, ...) is the layer's output h for the picture, ``references`` (R, ...) are those of the references,
    whose maps are averaged. Summed over all numbers of the output this is the picture's embedding less the
    references' mean embedding, but for a remainder that shrinks with the number of ``steps``. Source: integrated
    gradients (Sundararajan 2017), at a layer (Dhamdhere 2018), for the vector instead of one class.

    Raises SimvisError for a reference whose output is the picture's own.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net, pixels = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8)), torch.rand(3, 16, 24)
    >>> moves, query = net.at("1", "path").decompose(pixels).moves, net.embed(pixels[None])[0]
    >>> moves.pull(query[None]).shape, moves.steps, moves.with_steps(16).steps, moves.checking
    (torch.Size([1, 4, 4, 6]), 8, 16, True)
    >>> moves.proved()
    >>> total = moves.push(torch.ones(1, 4, 4, 6))[0] + sum(moves.leftover().values())
    >>> torch.allclose(total, query, atol=1e-5), torch.equal(moves.start, moves.leftover()["reference"])
    (True, True)
    """

    def __init__(
        self,
        network: Embedding,
        behind: Behind,
        output: Tensor,
        references: Tensor,
        size: tuple[int, int],
        layout: Layout,
        steps: int = FIRST_STEPS,
    ) -> None:
        self.layout, self.steps = layout, steps
        self._network, self._behind, self._size = network, behind, size
        self._output, self._references = output, references
        with torch.inference_mode(False), torch.no_grad():
            self._ends = self._unit(torch.cat([output, references]).clone())
        self.embedding = self._ends[0]
        if any(torch.equal(one, output[0]) for one in references):
            raise SimvisError(
                f"a reference that looks equal to the picture at '{behind.layer}'",
                "a reference that differs from it",
                "choose another reference: a path needs two ends",
            )

    @property
    def checking(self) -> bool:
        """Always: what the steps miss has to be known for every picture, and the comparison costs nothing then."""
        return True

    def proved(self) -> None:
        """Nothing is noted, as every map is compared."""

    def with_steps(self, steps: int) -> "PathMoves":
        """The path at more or fewer points."""
        return PathMoves(self._network, self._behind, self._output, self._references, self._size, self.layout, steps)

    def pull(self, queries: Float[Tensor, "N D"]) -> Float[Tensor, "N ..."]:
        """Each number's share of <embedding, query>: one pass a step, and for each query its gradient there."""
        totals = self._output.new_zeros(len(queries), *self._output.shape[1:])
        with torch.inference_mode(False), torch.enable_grad():
            queries, totals = queries.clone(), totals.clone()
            for start, points, weights in self._points():
                here = points.requires_grad_()
                found = (self._unit(here) @ queries.T).T @ weights
                for at, share in enumerate(found):
                    (slopes,) = torch.autograd.grad(share, here, retain_graph=at + 1 < len(found))
                    totals[at] += slopes.sum(0) * (self._output[0] - start)
        return totals / len(self._references)

    def push(self, weights: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        """The weighed sum of all numbers' parts: for each row of weights one Jacobian-vector product a step."""
        return torch.stack([self._pushed(row) for row in weights])

    def _pushed(self, row: Tensor) -> Tensor:
        _prepare_forward()
        total = torch.zeros_like(self.embedding)
        with torch.inference_mode(False), torch.no_grad(), _differentiable(), forward_ad.dual_level():
            for start, points, weights in self._points():
                along = ((self._output[0] - start) * row).expand_as(points).clone()
                slopes = forward_ad.unpack_dual(self._unit(forward_ad.make_dual(points, along))).tangent
                total = total + weights @ slopes
        return total / len(self._references)

    def leftover(self) -> Mapping[str, Tensor]:
        """The references' mean embedding, and what the steps miss of the way from it to the picture's."""
        return {"reference": self.start, "remainder": self.embedding - self.start - self._way}

    @property
    def start(self) -> Float[Tensor, " D"]:
        """The references' mean embedding, from which the path starts."""
        return self._ends[1:].mean(0)

    @cached_property
    def _way(self) -> Tensor:
        """All numbers' parts of the embedding together."""
        return self._pushed(torch.ones_like(self._output[0]))

    def _points(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """In batches: where the line starts, outputs on it, and how much each counts."""
        at, weight = np.polynomial.legendre.leggauss(self.steps)
        times = torch.from_numpy((at + 1) / 2).to(self._output)
        weights = torch.from_numpy(weight / 2).to(self._output)
        batch = max(1, _BATCH_PIXELS // (self._size[0] * self._size[1]))
        for start in self._references.clone():
            for some, counted in zip(times.split(batch), weights.split(batch), strict=True):
                share = some.reshape(-1, *(1,) * start.ndim)
                yield start, start + share * (self._output[0] - start), counted

    def _unit(self, outputs: Tensor) -> Tensor:
        with _PlainNorms():
            raw = raw_embeddings(self._network, self._behind.run(outputs, self._size))
        return raw / self._network.lengths(raw)


class _PlainNorms(TorchFunctionMode):
    """Runs batch norms as the gain and offset that they are, whose gradients are right in every layout."""

    def __torch_function__(
        self, function: Callable, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        call = Call(plain_name(function), function, tuple(args), dict(kwargs or {}))
        if call.name == "batch_norm" and not call.given(5, "training") and call.given(1, "running_mean") is not None:
            return BATCH_NORM.apply(BATCH_NORM.keep(call, {}), call)
        return call.run()


@contextmanager
def _differentiable() -> Iterator[None]:
    """Keeps attention from its fused kernels, which forward differentiation does not know.

    PyTorch's own attention layer takes another way while any mode listens.
    """
    with sdpa_kernel(SDPBackend.MATH), BaseTorchFunctionMode():
        yield


@cache
def _prepare_forward() -> None:
    """PyTorch compiles some rules of forward differentiation as it is first used, by functions that it deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module("torch._decomp.decompositions_for_jvp")


def allowed(score: float) -> float:
    """How large a remainder may be for a score: 1 % of it, and at least .002.

    >>> from simvis_core.networks.depth.path import allowed
    >>> allowed(-0.5), allowed(0.01)
    (0.005, 0.002)
    """
    return max(SHARE_LEFT * abs(score), LEFT)


def refined(moves: PathMoves, query: Float[Tensor, " D"]) -> PathMoves:
    """The path at twice as many points, again and again, until its remainder for a query is `allowed`, or at 256.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.networks.depth.behind import Behind
    >>> from simvis_core.networks.depth.layouts import Layout
    >>> from simvis_core.networks.depth.path import PathMoves, refined
    >>> net, ends = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), torch.rand(2, 4, 2, 3)
    >>> moves = PathMoves(net, Behind(net.backbone, "features"), ends[:1], ends[1:], (16, 24), Layout("maps", (2, 3)))
    >>> refined(moves, torch.ones(4) / 2).steps
    8
    """
    while not enough(moves, query) and moves.steps < MOST_PATH_STEPS:
        moves = moves.with_steps(moves.steps * 2)
    return moves


def enough(moves: PathMoves, query: Float[Tensor, " D"]) -> bool:
    """Whether what the path's points leave over of a query's score is `allowed`.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.networks.depth.behind import Behind
    >>> from simvis_core.networks.depth.layouts import Layout
    >>> from simvis_core.networks.depth.path import PathMoves, enough
    >>> net, ends = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), torch.rand(2, 4, 2, 3)
    >>> moves = PathMoves(net, Behind(net.backbone, "features"), ends[:1], ends[1:], (16, 24), Layout("maps", (2, 3)))
    >>> enough(moves, torch.ones(4) / 2)
    True
    """
    return abs(float(moves.leftover()["remainder"] @ query)) <= allowed(float(moves.embedding @ query))
