"""Which networks there are, and how to get one ready to explain pairs."""

from model_zoo.catalog import CATALOG, ModelCard, bundled, card, names
from simvis_core.network import EmbeddingNetwork
from simvis_core.poolings import Pooling

__all__ = ["CATALOG", "ModelCard", "bundled", "card", "load", "names"]


def load(name: str, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """The network of a card in eval mode, under its trained pooling unless another is named.

    The bundled names need no download. Raises SimvisError for an unknown name or pooling, and for weights that are
    missing, corrupt or out of reach; it says which card, why, and what works now.
    """
    # The architectures pull in torchvision and timm: a second that listing the cards should not cost.
    from model_zoo.backbones import BACKBONES  # noqa: PLC0415
    from model_zoo.weights import find, load_into  # noqa: PLC0415

    entry = card(name)
    path = find(name, entry.weights)
    backbone, head = BACKBONES[entry.architecture]()
    load_into(name, path, entry.weights, backbone, head)
    return EmbeddingNetwork(
        backbone, pooling or entry.pooling, head, entry.preprocess, name=name, trained_pooling=entry.pooling
    )
