"""The classifier that a network was trained with, where it still has it."""

from typing import Any

from torch import nn

from model_zoo.attributes.imagenet import CLASSES
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork


def classifier_of(network: EmbeddingNetwork) -> nn.Linear:
    """The linear layer from the network's embedding, before its unit norm, to the scores of ImageNet's classes.

    The cards that keep a whole timm network hold it with its published weights. Raises SimvisError for a network
    without one, behind a head of its own, or under another pooling than the classifier was trained with.
    """
    whole: Any = getattr(network.backbone, "network", None)
    found = whole.get_classifier() if hasattr(whole, "get_classifier") else None
    alone = network.head is None and str(network.pooling) == str(network.trained_pooling)
    if not alone or not isinstance(found, nn.Linear) or found.out_features != CLASSES:
        raise SimvisError(
            f"{network.name} under '{network.pooling}', which has no ImageNet classifier on its embedding",
            "a network that kept the classifier it was trained with, and its own pooling",
            "choose the backbone efficientnet_lite0 or efficientnet_lite2",
        )
    return found
