"""Our networks and queries in the words of pytorch-grad-cam, whose CAM methods then run on them unchanged."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork


class SimilarityTarget:
    """A target for pytorch-grad-cam, in the manner of its ``SimilarityToConceptTarget``: what a query scores.

    Called with one network output (D,) it gives the dot product with the query, the target whose Grad-CAM equals the
    decomposition for average pooling (Zhu 2021); with ``normalised`` the cosine, whose maps look scattered because a
    bias-free network's sum to zero. Any query will do: another picture's embedding, a point's, a region's.
    """

    def __init__(self, query: Float[Tensor, " D"], normalised: bool = False) -> None:
        self.query, self.normalised = query.clone(), normalised  # embeddings are inference tensors

    def __call__(self, output: Float[Tensor, " D"]) -> Float[Tensor, ""]:
        """The score to take the gradient of."""
        query = self.query.to(output)
        if self.normalised:
            return torch.nn.functional.cosine_similarity(output, query, dim=0)
        return output @ query


class EmbeddingModule(nn.Module):
    """A network as one differentiable module: pixels (B, 3, h, w) to embeddings (B, D) before the unit norm.

    Its weights are the network's own. ``backbone`` is the layer for CAM methods to look at: its output is the features.

    Raises SimvisError for a network under another engine than PyTorch's own, through which no gradient flows.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingModule, EmbeddingNetwork, SimilarityTarget
    >>> module = EmbeddingModule(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)))
    >>> raw = module.forward(torch.rand(1, 3, 16, 16))
    >>> raw.shape, SimilarityTarget(torch.ones(4))(raw[0]).requires_grad
    (torch.Size([1, 4]), True)
    """

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        if network.engine != "eager":
            raise SimvisError(
                f"{network.name} under the engine '{network.engine}'", "eager", "use `with_engine(network, 'eager')`"
            )
        self.network, self.backbone, self.head = network, network.backbone, network.head

    def forward(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B D"]:
        """The embeddings, with gradients."""
        return self.network.raw_embedding(pixels)
