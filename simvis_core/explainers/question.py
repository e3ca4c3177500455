"""What every explainer is asked: where in a view the network finds what a query scores."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import map_grid
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View


@dataclass(frozen=True, eq=False)
class Question:
    """A network, a view, and the query whose score on the view is to be explained.

    ``query`` is any vector of the embedding's length: another picture's embedding, a point's, a class mean.
    ``query_bias`` is the part of it that no cell of the other picture brought in, where there is one. ``reference`` is
    the other picture's view, which explainers of the pair setting hide parts of, too.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> view = net.view(Image.new("RGB", (60, 40), "orange"))
    >>> asked = Question(net, view, query=net.embed(view.pixels[None])[0], reference=view)
    >>> round(asked.score, 4), asked.grid, asked.size, asked.embedding.dtype
    (1.0, (4, 6), (32, 48), torch.float64)
    >>> asked.scores(view.pixels[None]).shape, asked.activations.features.shape, asked.split.verdict
    (torch.Size([1]), torch.Size([5, 4, 6]), 'exact')
    >>> asked.other("rise") is view
    True
    """

    network: EmbeddingNetwork
    view: View
    query: Float[Tensor, " D"]
    query_bias: Float[Tensor, " D"] | None = None
    reference: View | None = None
    known: Activations | None = None  # of the view, where they were computed before

    @cached_property
    def activations(self) -> Activations:
        """The view's activations; one forward pass unless they are known."""
        return self.known or self.network.activations(self.view.pixels[None]).one()

    @cached_property
    def embedding(self) -> Float[Tensor, " D"]:
        """The view's unit embedding, float64."""
        return self.network.unsplit(self.activations, (1, 1)).embedding.cpu().double()

    @cached_property
    def score(self) -> float:
        """What the query scores on the whole view."""
        return float(self.embedding @ self.query.cpu().double())

    @cached_property
    def split(self) -> Decomposition | None:
        """The view's decomposition, None for a black box."""
        return self.network.split(self.activations)

    @property
    def grid(self) -> tuple[int, int]:
        """The grid of the network's own maps."""
        return map_grid(self.network, self.view.pixels, self.activations)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the view, (h, w)."""
        return self.view.size

    def scores(self, pictures: Float[Tensor, "B 3 h w"]) -> Float[Tensor, " B"]:
        """What the query scores on each of a batch of pictures, float64; one forward pass each."""
        return self.network.embed(pictures).cpu().double() @ self.query.cpu().double()

    def other(self, explainer: str) -> View:
        """The reference's view. Raises SimvisError for a question without one."""
        if self.reference is None:
            raise SimvisError(
                f"'{explainer}' in the pair setting, for a query without a picture",
                "a reference view",
                "give `reference`, or choose the setting 'fixed'",
            )
        return self.reference


class Interim(NamedTuple):
    """How far a drawing is: pictures that were run, of how many, and the map so far, where there is one."""

    done: int
    total: int
    map: Tensor | None = None


Steps = Generator[Interim, None, Tensor]
Drawer = Callable[..., Steps]


def finite(map: Float[Tensor, "_ _"], name: str) -> Float[Tensor, "_ _"]:
    """The map itself. Raises SimvisError for NaN or infinity, which no metric could be trusted with.

    >>> import torch
    >>> from simvis_core.explainers.question import finite
    >>> finite(torch.ones(1, 2), "rise")
    tensor([[1., 1.]])
    >>> finite(torch.tensor([[torch.nan]]), "rise")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got NaN or infinity in the map by 'rise'; wanted numbers: check the weights ...
    """
    if not bool(torch.isfinite(map).all()):
        raise SimvisError(f"NaN or infinity in the map by '{name}'", "numbers", "check the weights and the picture")
    return map
