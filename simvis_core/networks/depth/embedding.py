"""What a layer's rules ask of an embedding network, and the embedding that they start from."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.networks.backbone import Activations
from simvis_core.networks.depth.gates.maxima import pool_features
from simvis_core.networks.poolings import Pooling


@runtime_checkable
class Embedding(Protocol):
    """The part of an embedding network behind its backbone; `EmbeddingNetwork` has it."""

    name: str
    pooling: Pooling
    head: nn.Module | None

    def raw_from(self, activations: Activations) -> Tensor:
        """The embeddings before the unit norm, from a batch's activations."""

    def raw_of(self, pooled: Tensor) -> Tensor:
        """The embeddings before the unit norm, from a batch of pooled vectors."""

    def lengths(self, raw: Tensor) -> Tensor:
        """The lengths (B, 1) of embeddings; raises SimvisError for one of zero or infinite length."""


def raw_embeddings(network: Embedding, activations: Activations) -> Float[Tensor, "B D"]:
    """The embeddings before their unit length, with the pooling as one operator that can be frozen.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import Activations, EmbeddingNetwork
    >>> from simvis_core.networks.depth.embedding import raw_embeddings
    >>> raw_embeddings(EmbeddingNetwork(nn.Conv2d(3, 1, 8, 8), "max"), Activations(torch.tensor([[[[1.0, 3.0]]]])))
    tensor([[3.]])
    """
    if network.pooling.inner:
        return network.raw_from(activations)
    return network.raw_of(pool_features(activations.features, network.pooling))
