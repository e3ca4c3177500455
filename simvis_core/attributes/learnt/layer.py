"""The layer itself, and the attribute model that it makes of a network."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from simvis_core.attributes.class_groups import mean_shares
from simvis_core.decomposition import Verdict
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork


@dataclass(frozen=True, eq=False)
class AttributeLayer:
    """A convolution from features (C, H, W) to a map for each of K attributes, without a bias: weight (K, C, k, k).

    It is padded by zeros, so that maps have the features' grid; k is odd. ``usual`` (K,) is each attribute's mean share
    of the softmax on the pictures that were learnt from.

    >>> import torch
    >>> from simvis_core.attributes.learnt.layer import AttributeLayer
    >>> layer = AttributeLayer(("fur", "dome"), torch.eye(2)[:, :, None, None], torch.tensor([0.5, 0.5]))
    >>> picture = torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]])
    >>> layer.maps(picture)[0], layer.scores(picture)
    (tensor([[1., 3.]]), tensor([2., 0.], dtype=torch.float64))
    """

    names: tuple[str, ...]
    weight: Float[Tensor, "K C k k"]
    usual: Float[Tensor, " K"]

    def maps(self, features: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B K H W"]:
        """What the convolution makes of features."""
        return conv2d(features, self.weight.to(features), padding=self.weight.shape[-1] // 2)

    def scores(self, features: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B K"]:
        """The mean of each attribute's map: what ranks pictures by an attribute, as in the paper's precision; float64.

        Two attributes of one picture are compared by their softmax.
        """
        return self.maps(features).double().mean((-2, -1))


def usual_shares(shares: Float[Tensor, "N K"], names: tuple[str, ...]) -> Float[Tensor, " K"]:
    """Each attribute's mean share of the softmax on N pictures, held off 0 and 1, where odds have no end.

    >>> import torch
    >>> from simvis_core.attributes.learnt.layer import usual_shares
    >>> usual_shares(torch.tensor([[0.25, 0.75], [0.75, 0.25]]), ("fur", "dome")).tolist()
    [0.5, 0.5]
    """
    means: Mapping[str, float] = mean_shares(shares, names)
    return torch.tensor([means[name] for name in names], dtype=torch.float64)


class LearntAttributes:
    """The attributes of a layer on a network's last features, as an `AttributeModel`.

    An attribute's confidence is the log-odds of its share (the softmax over the attributes of the maps' means) less
    those of its mean share on the pictures learnt from: 0 for a picture like those, and frequent attributes do not win
    by being frequent. Its activation map is its own map less the mean of all attributes' maps, which no softmax sees,
    over the number of cells: the map sums to its score less the mean score of all. Its direction is how the embedding
    before the unit norm moves while every cell's features move along its weights less the mean of all weights (TCAV's
    way; a k x k layer's weights are summed over their k x k places). That is the direction at the picture alone where
    pooling or head are not linear.

    Under average pooling, without a head and with a 1 x 1 layer that direction is the query whose similarity map is the
    activation map, up to the embedding's length: the verdict is the network's. Otherwise a map's share of
    <embedding, direction> is not what the layer sees: "black box".

    Raises SimvisError for a layer of other features than the network has, and for a network that pools by itself (a
    class token): its embedding does not hang on the last features.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import Activations, EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.layer import AttributeLayer, LearntAttributes
    >>> layer = AttributeLayer(("fur", "dome"), torch.eye(2)[:, :, None, None], torch.tensor([0.5, 0.5]))
    >>> model = LearntAttributes(EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)), layer)
    >>> picture = Activations(torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]]))
    >>> model.names, model.verdict
    (('fur', 'dome'), 'exact')
    >>> model.activation_maps(picture)[0], model.directions(picture)[0], model.confidences(picture)
    (tensor([[0.2500, 0.7500]]), tensor([ 0.5000, -0.5000]), tensor([ 2., -2.], dtype=torch.float64))
    """

    def __init__(self, network: EmbeddingNetwork, layer: AttributeLayer) -> None:
        check_pooled_outside(network)
        self.network, self.layer = network, layer

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes, in the layer's order."""
        return self.layer.names

    @property
    def verdict(self) -> Verdict:
        """The network's where the maps are its own split's, else "black box"."""
        return self.network.verdict if self._plain and self.layer.weight.shape[-1] == 1 else "black box"

    @property
    def _plain(self) -> bool:
        """Whether the embedding, before its norm, is the mean of the features."""
        return self.network.head is None and self.network.pooling.name == "avg"

    def confidences(self, picture: Activations) -> Float[Tensor, " K"]:
        """Each attribute's log-odds above those of its mean share; float64."""
        scores = self.layer.scores(self._checked(picture)).cpu()
        others = scores.expand(len(scores), -1).masked_fill(torch.eye(len(scores), dtype=torch.bool), -torch.inf)
        return scores - others.logsumexp(1) - self.layer.usual.double().cpu().logit()

    def directions(self, picture: Activations) -> Float[Tensor, "K D"]:
        """How the embedding before the unit norm moves with every cell's features, a row for each attribute."""
        weights = self.layer.weight.sum((2, 3)).to(picture.features)
        ways = weights - weights.mean(0)
        return ways if self._plain else self._moved(picture.features, ways)

    def activation_maps(self, picture: Activations) -> Float[Tensor, "K H W"]:
        """Where each attribute is seen more than the mean of all; it sums to its score less the mean score of all."""
        maps = self.layer.maps(self._checked(picture))
        return (maps - maps.mean(0)) / (maps.shape[1] * maps.shape[2])

    def _checked(self, picture: Activations) -> Tensor:
        features = picture.features
        expected = self.layer.weight.shape[1]
        if len(features) != expected:
            raise SimvisError(
                f"attributes of {expected} features for {self.network.name}, which has {len(features)}",
                "the network that they were learnt on",
                "open them with that one",
            )
        return features

    def _moved(self, features: Tensor, ways: Tensor) -> Tensor:
        """The derivative of the embedding before the unit norm, exact also where it is not linear."""
        with torch.inference_mode(False), torch.enable_grad():
            alike = features.clone().expand(len(ways), *features.shape)
            everywhere = ways[:, :, None, None].expand_as(alike)
            return torch.autograd.functional.jvp(self._raw, (alike,), (everywhere,))[1]

    def _raw(self, features: Tensor) -> Tensor:
        return self.network.raw_from(Activations(features))


def check_pooled_outside(network: EmbeddingNetwork) -> None:
    """Raises SimvisError for a network that pools by itself: a layer on its last features would miss its embedding.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.layer import check_pooled_outside
    >>> check_pooled_outside(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)))
    """
    if network.pooling.inner:
        raise SimvisError(
            f"attributes of {network.name} under '{network.pooling}', which pools by itself",
            "a pooling of its last features",
            "choose another pooling, such as avg",
        )
