"""Which networks there are, and how to get one ready to explain pairs."""

# isort: off
import model_zoo.operators  # noqa: F401  (torchvision and timm cannot be imported before it; here it is done for all)

# isort: on
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo.cards.catalog import CATALOG, ModelCard, bundled, card, is_architecture, names
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling

if TYPE_CHECKING:
    from model_zoo.checkpoints.choices import Choices
    from model_zoo.checkpoints.opening import Checkpoint
    from model_zoo.training.series import OpenedSeries

__all__ = [
    "CATALOG",
    "ModelCard",
    "bundled",
    "card",
    "is_architecture",
    "load",
    "names",
    "open_checkpoint",
    "open_series",
    "untrained",
]

# The architectures pull in torchvision and timm: a second that listing the cards should not cost. Hence the imports
# inside the functions.


def load(name: str, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """The network of a card, or of any architecture as ``timm/NAME`` or ``torchvision/NAME``, in eval mode.

    It is under its trained pooling unless another is named. The bundled names need no download; an architecture gets
    its library's own weights, which are downloaded on first use.

    Raises SimvisError for an unknown name, with the three nearest, for an unknown pooling, and for weights that are
    missing, corrupt or out of reach; it says which card, why, and what works now.
    """
    if is_architecture(name):
        from model_zoo.architectures import arranging  # noqa: PLC0415

        return arranging.arrange(arranging.build(name, pretrained=True), pooling)
    from model_zoo.cards.backbones import BACKBONES  # noqa: PLC0415
    from model_zoo.cards.weights import find_weights, load_into  # noqa: PLC0415

    entry = card(name)
    path = find_weights(name, entry.weights)
    backbone, head = BACKBONES[entry.architecture]()
    load_into(name, path, entry.weights, backbone, head)
    network = EmbeddingNetwork(
        backbone, pooling or entry.pooling, head, entry.preprocess, name=name, trained_pooling=entry.pooling
    )
    network.origin = entry.origin
    return network


def untrained(name: str, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """An architecture with random weights, for tests and timing: its maps mean nothing.

    Raises SimvisError for a name that neither timm nor torchvision has.
    """
    from model_zoo.architectures import arranging  # noqa: PLC0415

    return arranging.untrained(name, pooling)


def open_checkpoint(
    path: str | Path,
    architecture: str,
    pooling: str | Pooling | None = None,
    head: str = "auto",
    between: str | None = None,
    choices: "Choices | Mapping[str, Any] | str | Path | None" = None,
) -> "Checkpoint":
    """Your own checkpoint as ``.network``, with a ``.report`` of what was loaded and what was left out.

    See `model_zoo.checkpoints.opening.open_checkpoint`.
    """
    from model_zoo.checkpoints import opening  # noqa: PLC0415

    return opening.open_checkpoint(path, architecture, pooling, head, between, choices)


def open_series(
    folder: str | Path,
    architecture: str | None = None,
    pooling: str | Pooling | None = None,
    choices: "Choices | Mapping[str, Any] | str | Path | None" = None,
) -> "OpenedSeries":
    """A training's checkpoint series as ``.series`` and ``.network(step)``: one of SimVis, or numbered checkpoints.

    See `model_zoo.training.series.open_series`.
    """
    from model_zoo.training import series  # noqa: PLC0415

    return series.open_series(folder, architecture, pooling, choices)
