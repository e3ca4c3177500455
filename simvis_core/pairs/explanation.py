"""Why two pictures are similar: the score of a pair and everything it splits into."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.decomposition import (
    ADDITIVE,
    VERDICTS,
    Decomposition,
    Method,
    Verdict,
    feature_contributions,
    only_features,
    top_features,
)
from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import MASKED
from simvis_core.files import colours
from simvis_core.networks.backbone import Activations
from simvis_core.networks.depth.references import ReferencePictures
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.pairs.export import Export
from simvis_core.pairs.sides import OTHER, SIDES, Side
from simvis_core.pairs.towers import Towers, decomposed_pair
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.pictures.views import View, weights_at, weights_in


@dataclass(frozen=True, eq=False)
class PairExplanation:
    """A pair of pictures under one network. All maps are signed and in units of the score (the cosine).

    Under two towers ``network`` encodes a and ``network_b`` b; `networks` has both, whichever it is.

    >>> import tempfile
    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> pair.features_a.shape, pair.features_b.shape, pair.joint_map.shape, pair.patch_cosines.shape
    (torch.Size([4, 4, 6]), torch.Size([4, 4, 4]), torch.Size([4, 6, 4, 4]), torch.Size([4, 6, 4, 4]))
    >>> abs(pair.score - sum(pair.ledger.values())) < 1e-5, abs(pair.score - float(pair.contributions.sum())) < 1e-5
    (True, True)
    >>> abs(pair.score - float(pair.map_b.sum()) - pair.bias_part("b")) < 1e-5, pair.additive
    (True, True)
    >>> abs(sum(pair.bias_parts["b"].values()) - pair.bias_part("b")) < 1e-6, list(pair.bias_parts["b"])
    (True, ['offsets', 'reference', 'tokens', 'remainder'])
    >>> torch.allclose(pair.top_map("a", 4), pair.map_a, atol=1e-5), pair.feature_map("a", 2).shape
    (True, torch.Size([4, 6]))
    >>> pair.point_map("a", x=20, y=10).shape, abs(pair.point_share("a", 20, 10)) <= 1
    (torch.Size([4, 4]), True)
    >>> pair.region_map("a", torch.ones(32, 48, dtype=torch.bool)).shape
    torch.Size([4, 4])
    >>> pair.cells_map("a", torch.ones(4, 6)).shape, pair.side("b")[0] is pair.view_b
    (torch.Size([4, 4]), True)
    >>> round(float(pair.contribution_curve()[-1]), 4), pair.ranked_contributions().argmax()
    (1.0, tensor(0))
    >>> pair.with_pooling("max").method, pair.verdict, pair.warnings
    ('decomposition', 'exact', [])
    >>> pair.manifest()["network"]["pooling"]
    'avg'
    >>> fine = pair.at("pixels")
    >>> fine.map_a.shape, abs(fine.score - pair.score) < 1e-5, fine.manifest()["depth"]
    (torch.Size([32, 48]), True, {'layer': 'pixels', 'rule': 'frozen'})
    >>> pair.networks["a"] is pair.networks["b"] is net
    True
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in pair.save(f"{folder}/pair.png")]
    ...
    ['pair.png']
    """

    network: EmbeddingNetwork
    view_a: View
    view_b: View
    activations_a: Activations
    activations_b: Activations
    a: Decomposition
    b: Decomposition
    network_b: EmbeddingNetwork | None = None

    @property
    def networks(self) -> dict[Side, EmbeddingNetwork]:
        """For each side, the network that encodes its picture: one for both, or two towers of one embedding width."""
        return {"a": self.network, "b": self.network if self.network_b is None else self.network_b}

    @property
    def features_a(self) -> Float[Tensor, "C H1 W1"]:
        """The last feature maps of a."""
        return self.activations_a.features

    @property
    def features_b(self) -> Float[Tensor, "C2 H2 W2"]:
        """The last feature maps of b."""
        return self.activations_b.features

    @cached_property
    def score(self) -> float:
        """The cosine of the two embeddings, -1 to 1."""
        return _dot(self.a.embedding, self.b.embedding)

    @cached_property
    def map_a(self) -> Float[Tensor, "H W"]:
        """Each cell of a's signed share of the score; ``sum + bias part of a == score``."""
        return self.a.similarity_map(self.b.embedding)

    @cached_property
    def map_b(self) -> Float[Tensor, "H W"]:
        """Each cell of b's signed share of the score; ``sum + bias part of b == score``."""
        return self.b.similarity_map(self.a.embedding)

    @cached_property
    def joint_map(self) -> Float[Tensor, "H W H2 W2"]:
        """Each pair of cells' signed share, ``a.cells[p] @ b.cells[q]`` (Zhu 2021); sums to the ledger's first.

        At a layer (`EmbeddingNetwork.at`) all cells are built for it, one pass for each; by a path that is refused
        with SimvisError above 14 x 14 cells.
        """
        return torch.tensordot(self.a.cells, self.b.cells, dims=([2], [2]))

    @cached_property
    def patch_cosines(self) -> Float[Tensor, "H W H2 W2"] | None:
        """The cosine of each pair of cells' features before pooling, -1 to 1; 0 where a cell's features are all 0.

        What patch-similarity viewers show. It says how alike two places look to the network, not what they carry.
        None for a network that gives no features on the maps' grid, and for two towers: only their embeddings are
        measured in one space.
        """
        if self.network_b is not None or (self.features_a.shape[1:], self.features_b.shape[1:]) != (
            self.a.grid,
            self.b.grid,
        ):
            return None
        a, b = (torch.nn.functional.normalize(f, dim=0) for f in (self.features_a, self.features_b))
        return torch.tensordot(a, b, dims=([0], [0]))

    @cached_property
    def ledger(self) -> dict[str, float]:
        """The score as four parts that sum to it; "cells_bias" is a's cells with b's bias (Zhu 2021)."""
        a, b = self.a.cells_sum, self.b.cells_sum
        return {
            "cells_cells": _dot(a, b),
            "cells_bias": _dot(a, self.b.bias),
            "bias_cells": _dot(self.a.bias, b),
            "bias_bias": _dot(self.a.bias, self.b.bias),
        }

    @cached_property
    def bias_parts(self) -> dict[Side, dict[str, float]]:
        """For each side, what its `bias_part` comes from, by the names of `BIAS_PARTS`; each side's sum to it.

        Offsets of the network's layers, a path's reference, tokens that have no place in the picture (class and
        register tokens), and the remainder that an integral or an estimate leaves over.
        """
        return {
            side: {
                name: _dot(part, self._other(side)[1].embedding) for name, part in self.side(side)[1].bias_parts.items()
            }
            for side in SIDES
        }

    @cached_property
    def contributions(self) -> Float[Tensor, " D"]:
        """Each feature dimension's signed part of the score; they sum to it."""
        return feature_contributions(self.a.embedding, self.b.embedding)

    @property
    def verdict(self) -> Verdict:
        """How exact the split of these two embeddings is: the less exact of the two."""
        return max(self.a.verdict, self.b.verdict, key=VERDICTS.index)

    @property
    def method(self) -> Method:
        """What drew the maps; "none" for a black box whose maps are not drawn yet and all zero.

        Where the two sides differ (a class token's tower beside another), the less exact of them.
        """
        return max(self.a, self.b, key=lambda one: VERDICTS.index(one.verdict)).method

    @property
    def additive(self) -> bool:
        """Whether cells are shares of the score, so that maps and ledger can be read as sums."""
        return self.method in ADDITIVE

    @property
    def warnings(self) -> list[str]:
        """Sentences on pictures that were squeezed or are tiny (`view_warning`), and on what a path left over."""
        views = [said for side in SIDES if (said := view_warning(self.side(side)[0], side.upper()))]
        notes = [
            f"{side.upper()}: {said}"
            for side in SIDES
            for said in self.side(side)[1].notes(self._other(side)[1].embedding)
        ]
        return views + notes

    def side(self, side: Side) -> tuple[View, Decomposition, Float[Tensor, "H W"]]:
        """View, decomposition and map of one picture. Raises SimvisError for a side that is neither a nor b."""
        if side == "a":
            return self.view_a, self.a, self.map_a
        if side == "b":
            return self.view_b, self.b, self.map_b
        raise SimvisError(f"side '{side}'", "'a' or 'b'", "name one of the two pictures")

    def bias_part(self, side: Side) -> float:
        """The part of the score that is in no cell of this side's map: its bias times the other's embedding."""
        own, other = self.side(side)[1], self._other(side)[1]
        return _dot(own.bias, other.embedding)

    def point_map(self, side: Side, x: float, y: float) -> Float[Tensor, "H W"]:
        """Where in the other picture the point (x, y) of this side's view counts, in score units (Zhu 2021).

        (x, y) are view pixels, whole numbers at pixel centres. Raises SimvisError for a point outside the view.
        """
        view, own, _ = self.side(side)
        query = own.region_query(weights_at(x, y, view.size, own.grid))
        return self._other(side)[1].similarity_map(query)

    def point_share(self, side: Side, x: float, y: float) -> float:
        """What the point carries of the score, in score units: its point map's sum plus its part of the bias."""
        view, own, map = self.side(side)
        return float((weights_at(x, y, view.size, own.grid).to(map) * map).sum())

    def region_map(self, side: Side, mask: Bool[Tensor, "h w"]) -> Float[Tensor, "H W"]:
        """Where in the other picture a region of this side's view counts; ``mask`` is over the view's pixels.

        Adds over disjoint regions. Raises SimvisError for a mask of another size.
        """
        view, own, _ = self.side(side)
        if tuple(mask.shape) != view.size:
            raise SimvisError(f"a mask of {tuple(mask.shape)}", f"the view's size {view.size}", "draw it over the view")
        return self.cells_map(side, weights_in(mask, own.grid))

    def cells_map(self, side: Side, weights: Float[Tensor, "H W"]) -> Float[Tensor, "H2 W2"]:
        """Where in the other picture cells of this side count, each by its weight, in score units.

        Raises SimvisError for weights of another grid.
        """
        own = self.side(side)[1]
        if tuple(weights.shape) != own.grid:
            raise SimvisError(f"weights of {tuple(weights.shape)}", f"the grid {own.grid}", "give one for each cell")
        return self._other(side)[1].similarity_map(own.region_query(weights))

    def contribution_curve(self) -> Float[Tensor, " D"]:
        """Cumulative share of the score held by the first k features, largest first; ends at 1.

        Raises SimvisError for a score of 0, of which nothing is a share.
        """
        if self.score == 0:
            raise SimvisError("a score of 0", "a score that parts can be a share of", "read `contributions` instead")
        return self.ranked_contributions().cumsum(0) / self.score

    def ranked_contributions(self) -> Float[Tensor, " D"]:
        """The contributions, largest first."""
        return self.contributions.sort(descending=True).values

    def top_map(self, side: Side, k: int) -> Float[Tensor, "H W"]:
        """The map of only the k features that contribute most; with k = D the full map."""
        own, other = self.side(side)[1], self._other(side)[1]
        return own.similarity_map(only_features(other.embedding, top_features(self.contributions, k)))

    def feature_map(self, side: Side, feature: int) -> Float[Tensor, "H W"]:
        """Where one feature dimension fires: each cell's signed part of that feature's contribution.

        Raises SimvisError for an index outside 0..D-1.
        """
        length = self.contributions.numel()
        if not 0 <= feature < length:
            raise SimvisError(f"feature {feature}", f"0 to {length - 1}", "choose one in that range")
        own, other = self.side(side)[1], self._other(side)[1]
        return own.similarity_map(only_features(other.embedding, torch.tensor([feature])))

    def with_pooling(
        self, pooling: str | Pooling, unsplit: bool = False, pooling_b: str | Pooling | None = None
    ) -> "PairExplanation":
        """The pair under another pooling: its features are reused, nothing is run through the backbone.

        ``pooling_b`` is b's, where that is another. Raises SimvisError for an unknown pooling, where ``flatten`` meets
        two different grids, where the embeddings come out of two widths, and for a black box, but not with
        ``unsplit``, which gives that one's score with maps of zeros.
        """
        network, network_b = self._both(lambda one, under: one.with_pooling(under), pooling, pooling_b)
        seen = self.activations_a, self.activations_b
        return explain_features(network, self.view_a, self.view_b, *seen, unsplit, network_b=network_b)

    def at(
        self,
        layer: str,
        rule: str = "frozen",
        reference: ReferencePictures = "blur",
        layer_b: str | None = None,
    ) -> "PairExplanation":
        """The pair with its maps drawn at another layer, finer ones further in front; one more pass a picture.

        ``layer_b`` is b's, where that is another. Score, embeddings and contributions stay. See `EmbeddingNetwork.at`
        for layers, rules and references, and for what is raised. By a path, steps are added until what is left over is
        small for this pair.
        """
        network, network_b = self._both(lambda one, place: one.at(place, rule, reference), layer, layer_b)
        a = network.activations(self.view_a.pixels[None]).one()
        b = (network_b or network).activations(self.view_b.pixels[None]).one()
        return explain_features(network, self.view_a, self.view_b, a, b, network_b=network_b)

    def save(
        self,
        folder: str | Path,
        point: tuple[Side, float, float] | None = None,
        colour_map: str = colours.DEFAULT_COLOURS,
        opacity: float = 0.85,
        facts: Mapping[str, object] | None = None,
        region: tuple[Side, Sequence[float]] | None = None,
        ground: colours.Ground = "colours",
    ) -> list[Path]:
        """Writes the export into a folder, each file whole or not at all; gives the paths.

        The files are PNG overlays at the pictures' own resolution, maps.npz and manifest.json. A name that ends in
        .png, and is no folder, gets one picture to share instead. What the parameters are, `Export` says.

        Raises SimvisError for a point outside the view, for weights of another grid, for a colour map or a ground that
        there is not, and for a folder that cannot be written.
        """
        return Export(self, point, colour_map, opacity, facts, region, ground).save(folder)

    def _both(
        self, changed: Callable[[EmbeddingNetwork, Any], EmbeddingNetwork], to: object, to_b: object
    ) -> tuple[EmbeddingNetwork, EmbeddingNetwork | None]:
        """The network that encodes a, changed, and b's where it is another or is to be changed otherwise."""
        one = self.network_b is None and to_b is None
        return changed(self.network, to), None if one else changed(self.networks["b"], to if to_b is None else to_b)

    def _other(self, side: Side) -> tuple[View, Decomposition, Tensor]:
        return self.side(OTHER[side])

    @property
    def _parameters(self) -> Mapping[str, object]:
        """What the maps were drawn with, of a method that masks draw by."""
        return MASKED[self.method].parameters if self.method in MASKED else {}

    def manifest(self) -> dict[str, object]:
        """What is explained and what it comes to, as plain JSON: score, ledger, network, pictures, versions."""
        return {
            "score": self.score,
            "ledger": self.ledger if self.additive else None,
            "bias_part": {side: self.bias_part(side) for side in SIDES} if self.additive else None,
            "bias_parts": self.bias_parts if self.additive else None,
            "verdict": self.verdict,
            "method": {"name": self.method, "additive": self.additive, **self._parameters},
            "network": _network_facts(self.network, self.features_a),
            "network_b": None if self.network_b is None else _network_facts(self.network_b, self.features_b),
            "depth": _depth_facts(self.network),
            "depth_b": None if self.network_b is None else _depth_facts(self.network_b),
            "pictures": {side: _picture_facts(*self.side(side)[:2]) for side in SIDES},
            "warnings": self.warnings,
            "versions": {package: version(package) for package in ("torch", "numpy", "pillow")},
        }


def explain_features(
    network: EmbeddingNetwork,
    view_a: View,
    view_b: View,
    features_a: Activations | Float[Tensor, "C H1 W1"],
    features_b: Activations | Float[Tensor, "C2 H2 W2"],
    unsplit: bool = False,
    refine: bool = True,
    network_b: EmbeddingNetwork | None = None,
) -> PairExplanation:
    """Why two pictures are similar, from their features or activations already computed: no forward pass.

    ``network_b`` is what b's are of, where that is another network (two towers). Without ``refine`` a path keeps its
    first few points, and what it leaves over may be large: `drawing_at` adds more.

    Raises SimvisError where ``flatten`` meets two different grids, for two towers whose embeddings are not of one width
    and precision, and for a black box. With ``unsplit`` that one gives
    its score and whatever needs no map: its cells are all zero and its method is "none".

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_features
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> a, b = net.view(Image.new("RGB", (60, 40), "orange")), net.view(Image.new("RGB", (40, 40), "red"))
    >>> features = [net.features(view.pixels[None])[0] for view in (a, b)]
    >>> explain_features(net, a, b, *features).map_a.shape
    torch.Size([4, 6])
    """
    activations = [seen if isinstance(seen, Activations) else Activations(seen) for seen in (features_a, features_b)]
    towers: Towers = network, network if network_b is None else network_b
    a, b = decomposed_pair(towers, (view_a, view_b), activations, unsplit)
    if refine:
        a, b = a.refined(b.embedding), b.refined(a.embedding)
    return PairExplanation(network, view_a, view_b, activations[0], activations[1], a, b, network_b)


def half_share(map: Float[Tensor, "H W"], score: float) -> float | None:
    """How concentrated a map is: the smallest share of cells, 0 to 1, that carries half of the score.

    None where no number of cells does (a score of 0 or less, or one that mostly comes from the bias).

    >>> import torch
    >>> from simvis_core import half_share
    >>> half_share(torch.tensor([[0.4, 0.1], [0.1, 0.0]]), score=0.6)
    0.25
    """
    running = map.flatten().double().sort(descending=True).values.cumsum(0)
    reached = torch.nonzero(running >= score / 2)
    if score <= 0 or not len(reached):
        return None
    return (int(reached[0]) + 1) / map.numel()


def _dot(one: Tensor, other: Tensor) -> float:
    return float(one.cpu().double() @ other.cpu().double())


def _network_facts(network: EmbeddingNetwork, features: Tensor) -> dict[str, object]:
    return {
        "name": network.name,
        "origin": network.origin,
        "fingerprint": network.fingerprint,
        "pooling": str(network.pooling),
        "trained_pooling": str(network.trained_pooling),
        "engine": network.engine,
        "resizing": network.preprocess.resizing,
        "dtype": str(features.dtype).removeprefix("torch."),
    }


def _depth_facts(network: EmbeddingNetwork) -> dict[str, object] | None:
    return None if network.depth is None else dict(network.depth.facts)


def _picture_facts(view: View, decomposition: Decomposition) -> dict[str, object]:
    return {
        "size": [view.image.height, view.image.width],
        "sha256_of_rgb": hashlib.sha256(view.image.tobytes()).hexdigest(),
        "view_size": list(view.size),
        "view_box": list(view.box),
        "grid": list(decomposition.grid),
    }
