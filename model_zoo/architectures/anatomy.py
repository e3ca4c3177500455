"""How a network is put together: where its features end, what may pool them, what may come behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn


class Stack(NamedTuple):
    """A library's own layers from the features to the classes, where they are more than one linear layer.

    ``shapes`` are their weights' by path, in order; ``steps`` what stands in front of each, or of the "pooling", and
    ``front`` the paths in front of the pooling, in the words of a checkpoint's choices.
    """

    shapes: Mapping[str, tuple[int, ...]]
    steps: Mapping[str, str]
    front: tuple[str, ...] = ()


class Created(NamedTuple):
    """A library's network without its classifier, the classifier's paths, and what the library says of it.

    ``discarded`` are paths of more layers that belong to classification alone: VGG's fully connected ones, auxiliary
    classifiers; and of the tower for texts that a network of two towers has (TEXTS). ``facts`` are in timm's words:
    mean, std, input_size (3, h, w), interpolation, num_classes, license and url; and, of networks that are no
    classifiers, ``task``, whether there is a download (``downloads``), ``notes`` of what a person should know, and the
    ``stride`` where it is known: 384 pixels hold 27 patches of 14, and 6 pixels that no patch sees.
    """

    network: nn.Module
    classifier: tuple[str, ...]
    facts: dict[str, Any]
    discarded: tuple[str, ...] = ()
    stack: Stack | None = None


TEXTS = ("text_model", "text_projection")  # paths in networks of two towers


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
