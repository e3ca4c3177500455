"""Any network of timm or torchvision by name: its features, pooling, head and preprocessing are found, and proved."""

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from model_zoo.architectures.anatomy import Anatomy, Stack
from model_zoo.architectures.downloads import having
from model_zoo.architectures.library import FORMS, LIBRARIES, Library, canonical, library
from model_zoo.architectures.trunks import FrontTrunk, TokenTrunk
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.views import Preprocess

_AGREES = 1e-4  # relative: the same sums in another order, in float32
# What a network raises for a view whose size it cannot take.
_REFUSES = (RuntimeError, AssertionError, ValueError, IndexError)


@dataclass(frozen=True)
class Architecture:
    """A library's network before its features are found. ``source`` has the library's key names and no classifier.

    ``classifier`` are the paths of the classifier in the library's full network, ``classes`` how many it tells apart,
    ``discarded`` the paths of more layers that belong to classification alone (``stack``: or end in an embedding);
    ``facts`` is what the library says of the network (mean, std, input_size, interpolation, license, ...).
    """

    name: str
    source: nn.Module
    classifier: tuple[str, ...]
    classes: int
    facts: dict[str, Any]
    discarded: tuple[str, ...] = ()
    stack: Stack | None = None


def names() -> list[str]:
    """Every name that `build` takes, without the tags of timm's weights."""
    return [f"{inside}/{name}" for inside in LIBRARIES for name in library(inside).names()]


def nearest(name: str, among: list[str]) -> list[str]:
    """The three names most like the one that was asked for."""
    same = [other for other in among if other.rpartition("/")[2] == name.rpartition("/")[2].lower()]
    close = difflib.get_close_matches(name.lower(), among, 3, 0.4)
    return (same + [other for other in close if other not in same])[:3] or among[:3]


def build(name: str, pretrained: bool = False) -> Architecture:
    """The network with random weights, or with the library's own, which are downloaded on first use.

    Raises SimvisError for a name that no library has, with the three nearest, and for weights that cannot be had.
    """
    name = canonical(name)
    source, inner = _known(name)
    with having(name, pretrained):
        created = source.create(inner, pretrained)
    classes = int(created.facts.get("num_classes") or 0)
    network = created.network.eval()
    return Architecture(name, network, created.classifier, classes, created.facts, created.discarded, created.stack)


def pooled_otherwise(architecture: Architecture) -> Iterator[tuple[Architecture, str]]:
    """A network with random weights under each other pooling that changes its layers, and that pooling in words.

    A vision transformer of timm has its last norm in front of its class token, and behind its average.
    """
    name, (source, inner) = architecture.name, _known(architecture.name)
    for options in source.variants(architecture.source):
        try:
            created = source.create(inner, False, **options)
        except AssertionError:  # so timm refuses it for a family that has one pooling only, as PiT and distilled DeiT
            continue
        words = ", ".join(f"{option}={value}" for option, value in options.items())
        yield replace(architecture, source=created.network.eval()), f"{name} with {words}, as its tensors say"


def described(name: str) -> dict[str, Any]:
    """What the library says of a network without building it. Raises SimvisError for a name that no library has."""
    source, inner = _known(canonical(name))
    return dict(source.described(inner))


def _known(name: str) -> tuple[Library, str]:
    source, _, inner = name.partition("/")
    name = name if len(name) <= 80 else f"{name[:80]}..."
    if not inner:
        raise SimvisError(f"'{name}' as the architecture", FORMS, "name one, for example timm/resnet50")
    if source not in LIBRARIES or not library(source).knows(inner):
        close = " or ".join(nearest(name, names()))
        raise SimvisError(f"the architecture '{name}'", FORMS, f"choose {close}")
    return library(source), inner


def arrange(
    architecture: Architecture,
    pooling: str | Pooling | None = None,
    head: nn.Module | None = None,
    name: str | None = None,
    front: nn.Module | None = None,
    side: int | None = None,
) -> EmbeddingNetwork:
    """The network as features, pooling and head, under its own pooling unless another is named.

    What the conventions suggest is kept only where it gives the same embedding as the library's own network on a
    probe; a network for which nothing does pools by itself and is a black box. ``head`` is one more, behind the
    network's own pooled vector, ``front`` one more on the maps in front of it. ``side`` is that of the views in pixels,
    where it is not the library's. A network that takes views of one size only gets a fixed size.

    Raises SimvisError for a head that does not fit, and for a front where the network pools by itself or has layers of
    its own behind the pooling.
    """
    base = _preprocess(architecture)
    base = base if side is None else replace(base, short_side=side)
    probe = torch.randn(1, 3, base.short_side, base.short_side, generator=torch.Generator().manual_seed(0))
    anatomy = library(architecture.name.partition("/")[0]).anatomy(architecture.source, probe)
    found, activations = _proved(anatomy, base, probe)
    backbone = found.backbone
    if front is not None:
        backbone, activations = _fronted(architecture, found, front), Activations(front(activations.features.clone()))
    trained = found.pooling if pooling is None or head is None else Pooling.parse(pooling)
    own = _in_line(found.head, head) if _as_wide(trained, found.pooling) else head
    network = EmbeddingNetwork(
        backbone,
        found.pooling if pooling is None else pooling,
        own,
        _sized(found, base, activations.features.shape[-1], architecture.facts.get("stride")),
        name=name or architecture.name,
        trained_pooling=trained,
    )
    network.architecture = architecture.name
    network.origin = "; ".join([architecture.name, *architecture.facts.get("notes", ())])
    if head is not None:
        network.unsplit(activations.one(), (1, 1))  # raises for a head that does not fit
    return network


def _fronted(architecture: Architecture, found: EmbeddingNetwork, front: nn.Module) -> FrontTrunk:
    if found.head is not None or found.pooling.inner:
        raise SimvisError(
            f"layers in front of the pooling for {architecture.name}, which has layers of its own for or behind it",
            "a network whose features are pooled at once",
            "build the network in Python with EmbeddingNetwork(...)",
        )
    return FrontTrunk(found.backbone, front)


def untrained(name: str, pooling: str | Pooling | None = None) -> EmbeddingNetwork:
    """The architecture with random weights, for tests and timing: its maps mean nothing."""
    return arrange(build(name), pooling)


def _preprocess(architecture: Architecture) -> Preprocess:
    facts = architecture.facts
    _, height, _ = facts.get("input_size") or (3, 224, 224)
    resampling = facts.get("interpolation")
    return Preprocess(
        tuple(facts["mean"]),
        tuple(facts["std"]),
        short_side=height,
        stride=1,
        resampling="bilinear" if resampling == "bilinear" else "bicubic",
    )


def _proved(anatomy: Anatomy, base: Preprocess, probe: Tensor) -> tuple[EmbeddingNetwork, Activations]:
    """The first candidate that gives the network's own embedding, else the fallback, with its activations."""
    if anatomy.embedding is None:
        network = next(_candidates(anatomy, base))
        return network, network.activations(probe)
    with torch.no_grad():
        wanted = anatomy.embedding(probe)
    wanted = (wanted / wanted.norm())[0]
    seen: dict[nn.Module, Activations] = {}
    for network in _candidates(anatomy, base):
        seen[network.backbone] = seen.get(network.backbone) or network.activations(probe)
        if _agrees(network, seen[network.backbone], wanted):
            break
    return network, seen[network.backbone]


def _candidates(anatomy: Anatomy, base: Preprocess) -> Iterator[EmbeddingNetwork]:
    """As the conventions suggest, then as a network that pools by itself, last the library's own as it stands."""
    for head in anatomy.heads:
        for pooling in anatomy.poolings:
            yield EmbeddingNetwork(anatomy.trunk, pooling, head, base)
    for backbone in (anatomy.fallback, anatomy.embedding or anatomy.fallback):
        yield EmbeddingNetwork(backbone, "own", None, base)


def _agrees(network: EmbeddingNetwork, activations: Activations, wanted: Tensor) -> bool:
    if network.pooling.name != "own" and activations.features[0, 0].numel() == 1:
        return False  # one cell splits nothing: PiT, say, gives its class token alone
    try:
        found = network.unsplit(activations.one(), (1, 1)).embedding
    except _REFUSES:
        return False
    return found.shape == wanted.shape and bool((found - wanted).norm() <= _AGREES)


def _as_wide(one: Pooling, other: Pooling) -> bool:
    """Whether the same layers can follow both poolings."""
    return one == other or (not one.inner and not other.inner and one.width(1, 2, 3) == other.width(1, 2, 3))


def _in_line(first: nn.Module | None, second: nn.Module | None) -> nn.Module | None:
    heads = [head for head in (first, second) if head is not None]
    return nn.Sequential(*heads) if len(heads) > 1 else next(iter(heads), None)


def _sized(network: EmbeddingNetwork, base: Preprocess, grid: int, said: int | None) -> Preprocess:
    """Stride as the library ``said``, or from the probe's grid; a fixed size for a network that refuses another one.

    The short side stays the library's own, which need not be whole strides: 299 pixels give 10 cells of 32, padded.
    """
    side = base.short_side
    stride = said or _stride(side, grid)
    cells = max(2, grid // 2)
    free = _takes(network, (cells * stride, (cells + 1) * stride))
    if free and grid > 1 and isinstance(network.backbone, TokenTrunk):  # whose tables of positions may end
        free = _takes(network, (grid * stride, (grid + 3) * stride))
    if not free:
        return replace(base, stride=stride, fixed_size=(side, side))
    return replace(base, stride=stride)


def _stride(side: int, grid: int) -> int:
    """Pixels to a cell; a grid that lost cells at its edges has the next power of two, one of a single cell 32."""
    if grid == 1:
        return 32
    return side // grid if side % grid == 0 else 2 ** round(math.log2(side / grid))


def _takes(network: EmbeddingNetwork, size: tuple[int, int]) -> bool:
    try:
        rows, columns = network.features(torch.zeros(1, 3, *size)).shape[2:]
    except _REFUSES:
        return False
    return columns >= rows
