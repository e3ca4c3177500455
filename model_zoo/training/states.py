"""From a network to its state and back: where a training begins, and the network that a step's state makes."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

import model_zoo
from model_zoo.cards.catalog import card, is_architecture
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.progress.manifests import SeriesBase
from simvis_core.progress.series import OF_BACKBONE, OF_HEAD, base_digest, network_state


def state_of(network: EmbeddingNetwork) -> dict[str, Tensor]:
    """The network's tensors by name, ``backbone.NAME`` and ``head.NAME``: what a series stores of it; not copied."""
    return network_state(network)


def drawn(name: str, seed: int, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """A card's or a library's network with weights drawn with ``seed``: equal seeds give equal weights.

    The random state of the process is left as it was. Raises SimvisError for a name that there is not.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_architecture(name):
            return model_zoo.untrained(name, pooling)
        from model_zoo.cards.backbones import BACKBONES  # noqa: PLC0415  (pulls in torchvision and timm)

        entry = card(name)
        backbone, head = BACKBONES[entry.architecture]()
        network = EmbeddingNetwork(backbone, pooling or entry.pooling, head, entry.preprocess, name=name)
    network.origin = f"{name} with weights drawn with seed {seed}"
    return network


def base_of(name: str, network: EmbeddingNetwork, seed: int | None = None) -> SeriesBase:
    """What a series names as its base: the network of that name before its training, drawn with a seed or published."""
    return SeriesBase(name, base_digest(state_of(network)), seed)


def begun(base: SeriesBase, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """The network that a base names. Raises SimvisError for weights that cannot be had."""
    return model_zoo.load(base.name, pooling) if base.seed is None else drawn(base.name, base.seed, pooling)


def with_state(network: EmbeddingNetwork, state: Mapping[str, Tensor], words: str) -> EmbeddingNetwork:
    """A network of this one's architecture with another state, and the head that the state holds; this one stays.

    A head is the network's own, linear layers (a whitening is one) and batch norms in a row, or these behind its own.

    ``words`` name the state in errors. Raises SimvisError for a state of another architecture, and for another head.
    """
    backbone = copy.deepcopy(network.backbone)
    _fill(backbone, _under(OF_BACKBONE, state), f"the trunk of {network.name}", words)
    return network.with_backbone(backbone).with_head(_head(network.head, _under(OF_HEAD, state), words))


def at_side(network: EmbeddingNetwork, short_side: int | None) -> EmbeddingNetwork:
    """The network with views of another short side in pixels; as it is for None, and for one that takes one size only.

    Raises SimvisError for a short side that is not 1..40 whole cells.
    """
    if short_side is None or network.preprocess.fixed_size is not None:
        return network
    network.preprocess.check(short_side, "whole")
    other = network.with_pooling(network.pooling)
    other.preprocess = replace(network.preprocess, short_side=short_side)
    other.__dict__.pop("fingerprint", None)  # which preprocessing is part of
    return other


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], what: str, words: str) -> None:
    if not _fits(module, tensors):
        own = module.state_dict()
        other = sorted(name for name in own.keys() | tensors.keys() if _shape(own, name) != _shape(tensors, name))
        raise SimvisError(
            f"{words}, whose {other[0]} is {_shape(tensors, other[0])}",
            f"{what}, where it is {_shape(own, other[0])}",
            "name the architecture that it was trained with",
        )
    module.load_state_dict(dict(tensors))


def _shape(tensors: Mapping[str, Tensor], name: str) -> str:
    return " x ".join(map(str, tensors[name].shape)) or "one number" if name in tensors else "missing"


def _fits(module: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    own = module.state_dict()
    return own.keys() == tensors.keys() and all(own[name].shape == tensors[name].shape for name in own)


def _head(base: nn.Module | None, tensors: Mapping[str, Tensor], words: str) -> nn.Module | None:
    if not tensors:
        return None
    if base is not None and _fits(base, tensors):
        return _layer(base, tensors, words)
    if all("." not in name for name in tensors):
        return _layer(None, tensors, words)
    places = sorted({name.partition(".")[0] for name in tensors}, key=lambda place: (len(place), place))
    if places != [str(number) for number in range(len(places))]:
        raise _other_head(words, f"layers {', '.join(places)}")
    groups = [_under(f"{place}.", tensors) for place in places]
    first = base if base is not None and _fits(base, groups[0]) else None
    return nn.Sequential(*(_layer(first if at == 0 else None, group, words) for at, group in enumerate(groups)))


def _layer(like: nn.Module | None, tensors: Mapping[str, Tensor], words: str) -> nn.Module:
    """A layer of the tensors: a copy of one that it is like, a batch norm, or a linear layer."""
    weight = tensors.get("weight")
    if like is not None:
        layer = copy.deepcopy(like)
    elif "running_mean" in tensors:
        layer = nn.BatchNorm1d(len(tensors["running_mean"]), affine=weight is not None)
    elif weight is not None and weight.ndim == 2:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in tensors)
    else:
        raise _other_head(words, f"a layer of {', '.join(sorted(tensors))}")
    if not _fits(layer, tensors):
        raise _other_head(words, f"a layer of {', '.join(sorted(tensors))}")
    layer.load_state_dict(dict(tensors))
    return layer


def _other_head(words: str, found: str) -> SimvisError:
    return SimvisError(
        f"{words}, whose head has {found}",
        "the network's own head, linear layers and batch norms, in a row",
        "open its weights with open_checkpoint, which asks for what a file does not tell",
    )
