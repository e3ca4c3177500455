"""Pictures with known attributes as a network and an attribute model see them: looked at once, used for every pair."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.attributes.ranker import AttributeModel, ShownAttributes, match_terms, shown_attributes
from simvis_core.decomposition import Decomposition
from simvis_core.networks.network import EmbeddingNetwork


@dataclass(frozen=True, eq=False)
class Looks:
    """N pictures: what they show (the columns are the model's attributes), and what network and model say of each.

    ``kinds`` says which pictures may stand in for which; ``directions`` are kept where they were asked for.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.ranker import ShownAttributes
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.0], [0.0, 0.8]]]), torch.zeros(2))
    >>> shown = ShownAttributes(torch.tensor([2.0]), torch.tensor([[[0.0, 1.0]]]))
    >>> labels = AttributeLabels(("a.png", "b.png"), ("cat", "cat"), ("fur",), torch.ones(2, 1))
    >>> looks = Looks(labels, ("", ""), (shown, shown), (picture, picture))
    >>> looks.embeddings.shape, looks.confidences.shape, looks.saliency(0, 1)
    (torch.Size([2, 2]), torch.Size([2, 1]), tensor([[0.3600, 0.6400]]))
    >>> looks.terms(0, 1, [0.5], "sane", both=True).shape
    torch.Size([1, 3])
    """

    labels: AttributeLabels
    kinds: Sequence[str]
    shown: Sequence[ShownAttributes]
    splits: Sequence[Decomposition]
    directions: Sequence[Float[Tensor, "K D"]] = field(default=())

    @cached_property
    def embeddings(self) -> Float[Tensor, "N D"]:
        """One unit embedding a picture, float64."""
        return torch.stack([split.embedding.double().cpu() for split in self.splits])

    @cached_property
    def confidences(self) -> Float[Tensor, "N K"]:
        """How sure the model is of each attribute in each picture, float64."""
        return torch.stack([one.confidences.double().cpu() for one in self.shown])

    def saliency(self, a: int, b: int) -> Float[Tensor, "H W"]:
        """Where picture ``a`` is like picture ``b``: its similarity map, shares of the score."""
        split = self.splits[a]
        return split.similarity_map(self.embeddings[b].to(split.embedding))

    def terms(self, a: int, b: int, priors: Sequence[float], preset: str, both: bool) -> Float[Tensor, "K 3"]:
        """The three terms of each attribute for a pair: of the first picture, or the lower ones of ``both``."""
        ways = ((a, b), (b, a))[: 1 + both]
        maps = [self.saliency(*way) for way in ways]
        return match_terms([self.shown[own] for own, _ in ways], maps, priors, preset)


def look_steps(
    network: EmbeddingNetwork,
    model: AttributeModel,
    images: Iterable[Image.Image],
    labels: AttributeLabels,
    kinds: Sequence[str],
    short_side: int,
    keep_directions: bool = False,
) -> Generator[tuple[int, int], None, Looks]:
    """Looks at every picture, in the order of its labels; yields (done, all) behind each.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import look_steps
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0]}, {"fur": 0.5})
    >>> labels = AttributeLabels(("a.png",), ("cat",), ("fur",), torch.ones(1, 1))
    >>> looks = run(look_steps(net, model, [Image.new("RGB", (24, 16), "orange")], labels, [""], 16))
    >>> looks.embeddings.shape, looks.confidences.shape, looks.saliency(0, 0).shape
    (torch.Size([1, 2]), torch.Size([1, 1]), torch.Size([2, 3]))
    """
    shown, splits, directions = [], [], []
    for image in images:
        seen = network.activations(network.view(image, short_side).pixels[None]).one()
        shown.append(shown_attributes(model, seen))
        splits.append(network.decompose_features(seen))
        if keep_directions:
            directions.append(model.directions(seen))
        yield len(splits), len(labels.pictures)
    return Looks(labels.columns(model.names), tuple(kinds), shown, splits, directions)
