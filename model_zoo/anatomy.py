"""How a network is put together: where its features end, what may pool them, what may come behind."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn


class Created(NamedTuple):
    """A library's network without its classifier, the classifier's paths, and what the library says of it.

    ``discarded`` are paths of more layers that belong to classification alone: VGG's fully connected ones, auxiliary
    classifiers. ``facts`` are in timm's words: mean, std, input_size (3, h, w), interpolation, num_classes, license and
    url.
    """

    network: nn.Module
    classifier: tuple[str, ...]
    facts: dict[str, Any]
    discarded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """What a library's conventions say of a network, to be proved against the network's own embedding.

    ``trunk`` gives the features; ``poolings`` and ``heads`` (chains of layers behind the pooling) are the candidates,
    likeliest first. ``fallback`` is used where none of them gives the network's ``embedding``: a backbone that pools by
    itself. An ``embedding`` of None means that the trunk under the first pooling is what the field takes for it.
    """

    trunk: nn.Module
    poolings: tuple[str, ...]
    heads: tuple[nn.Sequential | None, ...]
    fallback: nn.Module
    embedding: nn.Module | None
