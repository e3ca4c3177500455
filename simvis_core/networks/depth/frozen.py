"""The rule "frozen": the network behind a layer as the affine map it is once its gates are held at one picture."""

from collections.abc import Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.embedding import Embedding, raw_embeddings
from simvis_core.networks.depth.gates.freezing import Freezing, Remembered, affine_part
from simvis_core.networks.depth.layouts import Layout


class FrozenMoves:
    """The affine map J h + c behind a layer, recorded at one picture's output h of it (1, ...).

    ``J`` is taken two ways that need not agree unless the map is affine: `pull` by automatic differentiation of the
    recorded pass, `push` by replaying what was recorded on other inputs; ``c`` is the replay at h = 0, never what is
    left over. All are divided by the picture's own length, so that the parts sum to the unit embedding.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net, pixels = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8)), torch.rand(3, 16, 24)
    >>> moves, query = net.at("1").decompose(pixels).moves, net.embed(pixels[None])[0]
    >>> shares = moves.pull(query[None])
    >>> shares.shape, moves.affine, moves.checking
    (torch.Size([1, 4, 4, 6]), True, True)
    >>> moves.proved()
    >>> moves.checking
    False
    >>> total = moves.push(torch.ones(1, 4, 4, 6))[0] + moves.leftover()["offsets"]
    >>> torch.allclose(total, query, atol=1e-5)
    True
    >>> abs(float(shares.sum() + moves.leftover()["offsets"] @ query) - 1) < 1e-5
    True
    >>> moves.replay(torch.zeros(4, 4, 6)).shape
    torch.Size([5])
    """

    def __init__(self, network: Embedding, behind: Behind, output: Tensor, size: tuple[int, int], layout: Layout):
        self.layout, self._network, self._behind, self._size = layout, network, behind, size
        self._tape: list[Remembered] = []
        with torch.inference_mode(False), torch.enable_grad():
            self._output = output.detach().clone().requires_grad_()
            with Freezing(self._tape, where=f"'{behind.layer}'"):
                self._raw = raw_embeddings(network, behind.run(self._output, size))
        self._length = network.lengths(self._raw.detach())
        self.embedding = (self._raw.detach() / self._length)[0]

    @property
    def affine(self) -> bool:
        """Whether nothing had to be frozen, so that the split is the network's own at every input."""
        return affine_part(self._tape)

    @property
    def checking(self) -> bool:
        """Whether no map of this network at this layer and size was compared yet, or the offsets are at hand.

        What operators a network runs does not depend on the picture, so that one map proves them all; the offsets cost
        a pass.
        """
        return self._case not in self._behind.proved or "_offset" in self.__dict__

    def proved(self) -> None:
        """Notes that a map of this network at this layer and size added up."""
        self._behind.proved.add(self._case)

    @property
    def _case(self) -> tuple[object, ...]:
        return self._size, str(self._network.pooling), self._network.head

    def pull(self, queries: Float[Tensor, "N D"]) -> Float[Tensor, "N ..."]:
        """Each number's share of <embedding, query>: one vector-Jacobian product a query."""
        with torch.inference_mode(False):
            found = [self._back(query) for query in queries.clone()]
        return torch.stack(found)

    def _back(self, query: Tensor) -> Tensor:
        if not self._raw.requires_grad:  # a gate is all that there is: nothing of the layer comes through
            return torch.zeros_like(self._output[0])
        (slope,) = torch.autograd.grad(self._raw, self._output, (query / self._length), retain_graph=True)
        return (slope * self._output.detach())[0]

    def push(self, weights: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        """The weighed sum of all numbers' parts: one replay for each row of weights."""
        with torch.inference_mode(False), torch.no_grad():
            inputs = self._output.detach() * weights.clone()
            return (torch.vmap(self.replay)(inputs) - self._offset) / self._length

    def leftover(self) -> Mapping[str, Tensor]:
        """The offsets of all layers behind, as the gates let them through."""
        return {"offsets": self._offset / self._length[0]}

    @cached_property
    def _offset(self) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return self.replay(torch.zeros_like(self._output[0]))

    def replay(self, output: Float[Tensor, "..."]) -> Float[Tensor, " D"]:
        """What the recorded affine map makes of any output of the layer (without a batch axis), before its length."""
        with Freezing(self._tape, replaying=True):
            return raw_embeddings(self._network, self._behind.run(output[None], self._size))[0]
