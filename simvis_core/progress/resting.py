"""A copy at rest of a network in training, to be looked at while the network itself stays as it is."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from simvis_core.errors import SimvisError
from simvis_core.explainers.grad_cam_targets import EmbeddingModule
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import Preprocess

Module = TypeVar("Module", bound=nn.Module)
_ONE_CELL = (1, (1, 1))


def resting(
    network: EmbeddingNetwork | nn.Module, preprocess: Preprocess | None = None, name: str = "your network"
) -> EmbeddingNetwork:
    """A copy of a network in eval mode, with its weights as they are now; nothing of the original is changed.

    A module maps pixels (B, 3, h, w) to embeddings (B, D). A row of layers (`nn.Sequential`, of rows too) with
    `nn.AdaptiveAvgPool2d(1)` or `nn.AdaptiveMaxPool2d(1)` and `nn.Flatten` in it is split there into backbone, pooling
    and head, and has exact maps; any other module is a black box, whose maps are drawn by masks, which takes some
    hundred passes a picture: give an `EmbeddingNetwork` of its parts.

    Raises SimvisError for a module that cannot be copied, and for a ``preprocess`` beside a network that has its own.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.progress.resting import resting
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)).train()
    >>> net = resting(module)
    >>> str(net.pooling), net.width(), net.backbone.training, module.training, net.verdict
    ('max', 2, False, True, 'exact')
    """
    network = network.network if isinstance(network, EmbeddingModule) else network
    if isinstance(network, EmbeddingNetwork):
        if preprocess is not None:
            raise SimvisError(
                "a preprocessing beside a network", "one of them", "the network's own counts: leave it out"
            )
        parts = [network.backbone] if network.head is None else [network.backbone, network.head]
        backbone, *heads = _copied(nn.ModuleList(parts))  # together: they may share weights
        return network.with_backbone(backbone).with_head(heads[0] if heads else None)
    module = _copied(network)
    trunk, pooling, head = _split(module) or (module, "own", None)
    return EmbeddingNetwork(trunk, pooling, head, preprocess, name=name)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn at random inside, the numbers drawn afterwards are those that would have come without it.

    That of Python, NumPy and PyTorch, on every device.

    >>> import torch
    >>> from simvis_core.progress.resting import undisturbed
    >>> _ = torch.manual_seed(0)
    >>> with undisturbed():
    ...     one = torch.rand(1)
    ...
    >>> bool(one == torch.rand(1))
    True
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _copied(module: Module) -> Module:
    try:
        return copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:  # so PyTorch and pickle refuse tensors with a history, locks, files
        reason = " ".join(str(error).split())[:120]
        raise SimvisError(
            f"a module that cannot be copied ({reason})",
            "one that can: the watcher looks at a copy, so that yours stays as it is",
            "hold what it computes in no attribute; for weight norms use torch.nn.utils.parametrizations",
        ) from error


def _split(module: nn.Module) -> tuple[nn.Module, str, nn.Module | None] | None:
    """Backbone, pooling and head of a row of layers that pools in it."""
    layers = _row(module)
    at = next((at for at, layer in enumerate(layers) if _pools(layer)), None)
    if at is None or at == 0 or not isinstance((*layers, None)[at + 1], nn.Flatten):
        return None
    pooling = "avg" if isinstance(layers[at], nn.AdaptiveAvgPool2d) else "max"
    behind = layers[at + 2 :]
    return nn.Sequential(*layers[:at]), pooling, nn.Sequential(*behind) if behind else None


def _row(module: nn.Module) -> list[nn.Module]:
    if type(module) is not nn.Sequential:
        return [module]
    return [layer for child in module for layer in _row(child)]


def _pools(layer: nn.Module) -> bool:
    return isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and layer.output_size in _ONE_CELL
