"""The networks that encode the two pictures of a pair, one or two, and both pictures split by them."""

from collections.abc import Sequence

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import map_grid
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View

Towers = tuple[EmbeddingNetwork, EmbeddingNetwork]  # of a and of b; twice one network for an ordinary pair


def decomposed_pair(
    towers: Towers, views: tuple[View, View], activations: Sequence[Activations], unsplit: bool = False
) -> tuple[Decomposition, Decomposition]:
    """Both pictures as sums over their cells, each by its tower, in one space: one width, one precision.

    With ``unsplit`` a pair of which one picture cannot be split is given with all cells 0, on both sides: the maps of a
    pair are drawn in one way.

    Raises SimvisError for towers whose embeddings differ in width or precision, where ``flatten`` without a head
    meets two different grids, and for a black box without ``unsplit``.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.pairs.towers import decomposed_pair
    >>> streets = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> maps = EmbeddingNetwork(nn.Conv2d(3, 6, 16, 16), "max", nn.Linear(6, 4), Preprocess(short_side=64, stride=16))
    >>> views = streets.view(Image.new("RGB", (60, 40), "orange")), maps.view(Image.new("RGB", (80, 80), "red"))
    >>> seen = [net.activations(view.pixels[None]).one() for net, view in zip((streets, maps), views, strict=True)]
    >>> a, b = decomposed_pair((streets, maps), views, seen)
    >>> a.grid, b.grid, len(a.embedding), len(b.embedding)
    ((4, 6), (4, 4), 4, 4)
    """
    split = [tower.split(seen) for tower, seen in zip(towers, activations, strict=True)]
    if None in split and not unsplit:
        boxed = split.index(None)
        towers[boxed].decompose_features(activations[boxed])  # raises, with the sentence for it
    a, b = (
        one if one is not None and None not in split else tower.unsplit(seen, map_grid(tower, view.pixels, seen))
        for one, tower, view, seen in zip(split, towers, views, activations, strict=True)
    )
    _check_comparable(towers, a, b)
    return a, b


def _check_comparable(towers: Towers, a: Decomposition, b: Decomposition) -> None:
    """Raises SimvisError for two pictures whose embeddings do not live in one space."""
    one, other = towers
    widths, kinds = [len(side.embedding) for side in (a, b)], [side.embedding.dtype for side in (a, b)]
    # Whoever has a head learned it for the grid it saw: two towers with heads may have two grids.
    by_place = all(tower.pooling.positional for tower in towers) and (one is other or one.head is other.head is None)
    if a.grid != b.grid and by_place:
        raise SimvisError(
            f"grids of {a.grid} and {b.grid} cells under '{one.pooling}', which compares position by position",
            "two grids alike",
            "choose the square view, or another pooling",
        )
    if widths[0] != widths[1]:
        raise SimvisError(
            f"embeddings of {widths[0]} numbers from {one.name} ('{one.pooling}') for A and of {widths[1]} from "
            f"{other.name} ('{other.pooling}') for B",
            "one width on both sides",
            "choose two networks that were trained together, or poolings or heads that give one width",
        )
    if kinds[0] != kinds[1]:
        raise SimvisError(
            f"embeddings in {kinds[0]} from {one.name} for A and in {kinds[1]} from {other.name} for B",
            "one precision on both sides",
            "convert one of the networks, for example by `.double()` on its backbone and head",
        )
