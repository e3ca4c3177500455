"""Why two pictures are similar: the score of a pair and everything it splits into."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from PIL import Image
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
from simvis_core.explainers.masks import PARAMETERS, map_grid
from simvis_core.files import colours, writing
from simvis_core.files.numbers import UNITS, WITH_POINT
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.pairs.share_picture import Look, Panel, Row, caption, pair_figure, pin_line
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.pictures.views import View, cell_at, weights_at, weights_in

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")
OTHER: dict[Side, Side] = {"a": "b", "b": "a"}


@dataclass(frozen=True, eq=False)
class PairExplanation:
    """A pair of pictures under one network. All maps are signed and in units of the score (the cosine).

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
    >>> sorted(pair.files()), pair.manifest()["network"]["pooling"]
    (['manifest.json', 'maps.npz', 'overlay_a.png', 'overlay_b.png'], 'avg')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in pair.save(f"{folder}/pair.png")]
    ...
    ['pair.png']
    >>> pair.figure().width, pair.figure_png()[1:4]
    (1080, b'PNG')
    """

    network: EmbeddingNetwork
    view_a: View
    view_b: View
    activations_a: Activations
    activations_b: Activations
    a: Decomposition
    b: Decomposition

    @property
    def features_a(self) -> Float[Tensor, "C H1 W1"]:
        """The last feature maps of a."""
        return self.activations_a.features

    @property
    def features_b(self) -> Float[Tensor, "C H2 W2"]:
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
        """Each pair of cells' signed share, ``a.cells[p] @ b.cells[q]`` (Zhu 2021); sums to the ledger's first."""
        return torch.tensordot(self.a.cells, self.b.cells, dims=([2], [2]))

    @cached_property
    def patch_cosines(self) -> Float[Tensor, "H W H2 W2"] | None:
        """The cosine of each pair of cells' features before pooling, -1 to 1; 0 where a cell's features are all 0.

        What patch-similarity viewers show. It says how alike two places look to the network, not what they carry.
        None for a network that gives no features on the maps' grid.
        """
        if (self.features_a.shape[1:], self.features_b.shape[1:]) != (self.a.grid, self.b.grid):
            return None
        a, b = (torch.nn.functional.normalize(f, dim=0) for f in (self.features_a, self.features_b))
        return torch.tensordot(a, b, dims=([0], [0]))

    @cached_property
    def ledger(self) -> dict[str, float]:
        """The score as four parts that sum to it; "cells_bias" is a's cells with b's bias (Zhu 2021)."""
        a, b = self.a.cells.sum((0, 1)), self.b.cells.sum((0, 1))
        return {
            "cells_cells": _dot(a, b),
            "cells_bias": _dot(a, self.b.bias),
            "bias_cells": _dot(self.a.bias, b),
            "bias_bias": _dot(self.a.bias, self.b.bias),
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
        """What drew the maps; "none" for a black box whose maps are not drawn yet and all zero."""
        return self.a.method

    @property
    def additive(self) -> bool:
        """Whether cells are shares of the score, so that maps and ledger can be read as sums."""
        return self.method in ADDITIVE

    @property
    def warnings(self) -> list[str]:
        """A sentence for each picture that was squeezed or is tiny, see `view_warning`; none for most."""
        return [said for side in SIDES if (said := view_warning(self.side(side)[0], side.upper()))]

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
        return own.cells[:, :, feature] * other.embedding[feature]

    def with_pooling(self, pooling: str | Pooling, unsplit: bool = False) -> "PairExplanation":
        """The pair under another pooling: its features are reused, nothing is run through the backbone.

        Raises SimvisError for an unknown pooling, where ``flatten`` meets two different grids, and for a black box, but
        not with ``unsplit``, which gives that one's score with maps of zeros.
        """
        network, views = self.network.with_pooling(pooling), (self.view_a, self.view_b)
        return explain_features(network, *views, self.activations_a, self.activations_b, unsplit)

    def files(
        self,
        point: tuple[Side, float, float] | None = None,
        colour_map: str = colours.DEFAULT,
        opacity: float = 0.85,
        facts: Mapping[str, object] | None = None,
        region: tuple[Side, Sequence[float]] | None = None,
        ground: colours.Ground = "colours",
    ) -> dict[str, bytes]:
        """The export: PNG overlays at the pictures' own resolution, maps.npz, manifest.json.

        With a point (side, x, y in view pixels) or a region (side, weights of its cells, row by row) its map on the
        other picture comes along. ``facts`` are added to the manifest; ``ground`` is how maps lie on the pictures, see
        `overlay`.

        Raises SimvisError for a point outside the view, for weights of another grid, and as `overlay` does.
        """
        arrays = {
            "map_a": self.map_a,
            "map_b": self.map_b,
            "joint_map": self.joint_map,
            "contributions": self.contributions,
        }
        scale = common_scale(self.map_a, self.map_b)
        drawn = partial(overlay, colours=colour_map, opacity=opacity, ground=ground)
        pictures = {f"overlay_{s}.png": drawn(*self.side(s)[::2], scale) for s in SIDES}
        if point is not None:
            map, other = self.point_map(*point), OTHER[point[0]]
            arrays["point_map"] = map
            pictures[f"point_on_{other}.png"] = drawn(self.side(other)[0], map, common_scale(map))
        if region is not None:
            weights, other = self._cell_weights(*region), OTHER[region[0]]
            map = self.cells_map(region[0], weights)
            arrays |= {"region_weights": weights, "region_map": map}
            pictures[f"region_on_{other}.png"] = drawn(self.side(other)[0], map, common_scale(map))
        manifest = self._manifest_with(point, region) | {"scale": scale, **dict(facts or {})}
        return {name: writing.png(picture) for name, picture in pictures.items()} | {
            "maps.npz": writing.npz({name: writing.array(tensor) for name, tensor in arrays.items()}),
            "manifest.json": writing.manifest_json(manifest),
        }

    def save(
        self,
        folder: str | Path,
        point: tuple[Side, float, float] | None = None,
        colour_map: str = colours.DEFAULT,
        opacity: float = 0.85,
        facts: Mapping[str, object] | None = None,
        region: tuple[Side, Sequence[float]] | None = None,
        ground: colours.Ground = "colours",
    ) -> list[Path]:
        """Writes the export into a folder, each file whole or not at all; gives the paths. See `files`.

        A name that ends in .png, and is no folder, gets one picture to share instead: see `figure`. The manifest goes
        with it as a text of its metadata, called "manifest".
        """
        asked = (point, colour_map, opacity, facts, region, ground)
        path = Path(folder)
        if path.suffix.lower() != ".png" or path.is_dir():
            return writing.write_folder(folder, self.files(*asked))
        return writing.write_folder(path.parent, {path.name: self.figure_png(*asked)})

    def figure(
        self,
        point: tuple[Side, float, float] | None = None,
        colour_map: str = colours.DEFAULT,
        opacity: float = 0.85,
        facts: Mapping[str, Any] | None = None,
        region: tuple[Side, Sequence[float]] | None = None,
        ground: colours.Ground = "colours",
    ) -> Image.Image:
        """One picture to share: score, both pictures with their maps on one scale, network, pooling, weights, views.

        It is 1080 pixels wide and can be read at the 400 of a messenger. A point is marked; its map, or a region's, on
        the other picture stands below. Of ``facts``, ``files`` (names for "a" and "b") and ``credit`` are written too.

        Raises SimvisError as `files` does.
        """
        told, look = self._manifest_with(point, region) | dict(facts or {}), Look(colour_map, opacity, ground)
        drawn = self.method != "none"
        names = {side: caption(side, told.get("files", {}).get(side, "")) for side in SIDES}
        panels = [Panel(v, m if drawn else None, names[s], self._pin(s, point)) for s, (v, _, m) in self._sides()]
        rows = [Row("", panels, common_scale(self.map_a, self.map_b), UNITS[self.method])]
        if point is not None or region is not None:
            rows.append(self._pinned_row(point, region, pin_line(told)))
        return pair_figure(told, rows, look, str(told.get("credit", "")))

    def figure_png(
        self,
        point: tuple[Side, float, float] | None = None,
        colour_map: str = colours.DEFAULT,
        opacity: float = 0.85,
        facts: Mapping[str, Any] | None = None,
        region: tuple[Side, Sequence[float]] | None = None,
        ground: colours.Ground = "colours",
    ) -> bytes:
        """The picture to share (see `figure`) as a PNG file's content, with the manifest as text in its metadata."""
        figure = self.figure(point, colour_map, opacity, facts, region, ground)
        manifest = writing.manifest_json(self._manifest_with(point, region) | dict(facts or {})).decode()
        return writing.png(figure, {"Software": "SimVis", "manifest": manifest})

    def _sides(self) -> list[tuple[Side, tuple[View, Decomposition, Tensor]]]:
        return [(side, self.side(side)) for side in SIDES]

    def _pin(self, side: Side, point: tuple[Side, float, float] | None) -> tuple[float, float] | None:
        """Where the point is on this side, as shares of the view's width and height."""
        if point is None or point[0] != side:
            return None
        h, w = self.side(side)[0].size
        return (point[1] + 0.5) / w, (point[2] + 0.5) / h

    def _pinned_row(
        self, point: tuple[Side, float, float] | None, region: tuple[Side, Sequence[float]] | None, said: str
    ) -> Row:
        """The point's or region's own picture and its map on the other, on the scale that the page gives it.

        That is never less than a quarter of the largest of all pairs of cells: what carries little must not look as if
        it carried much.
        """
        maps: dict[Side, Tensor | None] = {"a": None, "b": None}
        if point is not None:
            near, map, what = point[0], self.point_map(*point), "cell"
        else:
            assert region is not None
            weights, near, what = self._cell_weights(*region), region[0], "region"
            map = self.cells_map(near, weights)
            maps[near] = weights.to(self.side(near)[2]) * self.side(near)[2]
        maps[OTHER[near]] = map
        scale = max(common_scale(map), self.joint_map.abs().max().item() / 4)
        panels = [Panel(view, maps[s], "", self._pin(s, point)) for s, (view, _, _) in self._sides()]
        return Row(said, panels, scale, f"{WITH_POINT[self.method]} the {what} of {near.upper()}")

    def _manifest_with(
        self, point: tuple[Side, float, float] | None, region: tuple[Side, Sequence[float]] | None
    ) -> dict[str, Any]:
        return self.manifest() | self._point_facts(point) | self._region_facts(region)

    def _cell_weights(self, side: Side, weights: Sequence[float]) -> Float[Tensor, "H W"]:
        grid = self.side(side)[1].grid
        if len(weights) != grid[0] * grid[1]:
            raise SimvisError(
                f"{len(weights)} weights", f"one for each cell of the grid {grid}", "mark the region again"
            )
        return torch.tensor(weights, dtype=torch.float64).reshape(grid)

    def _other(self, side: Side) -> tuple[View, Decomposition, Tensor]:
        return self.side(OTHER[side])

    def manifest(self) -> dict[str, object]:
        """What is explained and what it comes to, as plain JSON: score, ledger, network, pictures, versions."""
        return {
            "score": self.score,
            "ledger": self.ledger if self.additive else None,
            "bias_part": {side: self.bias_part(side) for side in SIDES} if self.additive else None,
            "verdict": self.verdict,
            "method": {"name": self.method, "additive": self.additive, **PARAMETERS.get(self.method, {})},
            "network": {
                "name": self.network.name,
                "origin": self.network.origin,
                "fingerprint": self.network.fingerprint,
                "pooling": str(self.network.pooling),
                "trained_pooling": str(self.network.trained_pooling),
                "engine": self.network.engine,
                "resizing": self.network.preprocess.resizing,
                "dtype": str(self.features_a.dtype).removeprefix("torch."),
            },
            "pictures": {side: _picture_facts(*self.side(side)[:2]) for side in SIDES},
            "warnings": self.warnings,
            "versions": {package: version(package) for package in ("torch", "numpy", "pillow")},
        }

    def _point_facts(self, point: tuple[Side, float, float] | None) -> dict[str, object]:
        if point is None:
            return {}
        side, x, y = point
        view, own, _ = self.side(side)
        cell = cell_at(x, y, view.size, own.grid)
        return {"point": {"side": side, "x": x, "y": y, "cell": list(cell), "share": self.point_share(side, x, y)}}

    def _region_facts(self, region: tuple[Side, Sequence[float]] | None) -> dict[str, object]:
        if region is None:
            return {}
        side, weights = region
        map = self.side(side)[2]
        return {"region": {"side": side, "share": float((self._cell_weights(side, weights).to(map) * map).sum())}}


def explain_features(
    network: EmbeddingNetwork,
    view_a: View,
    view_b: View,
    features_a: Activations | Float[Tensor, "C H1 W1"],
    features_b: Activations | Float[Tensor, "C H2 W2"],
    unsplit: bool = False,
) -> PairExplanation:
    """Why two pictures are similar, from their features or activations already computed: no forward pass.

    Raises SimvisError where ``flatten`` meets two different grids, and for a black box. With ``unsplit`` that one gives
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
    a, b = (network.split(one) for one in activations)
    if a is None or b is None:
        if not unsplit:
            network.decompose_features(activations[0 if a is None else 1])  # raises, with the sentence for it
        a, b = (
            network.unsplit(one, map_grid(network, view.pixels, one))
            for view, one in zip((view_a, view_b), activations, strict=True)
        )
    if a.grid != b.grid and network.pooling.positional:
        raise SimvisError(
            f"grids of {a.grid} and {b.grid} cells under '{network.pooling}', which compares position by position",
            "two grids alike",
            "choose the square view, or another pooling",
        )
    return PairExplanation(network, view_a, view_b, activations[0], activations[1], a, b)


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


def _picture_facts(view: View, decomposition: Decomposition) -> dict[str, object]:
    return {
        "size": [view.image.height, view.image.width],
        "sha256_of_rgb": hashlib.sha256(view.image.tobytes()).hexdigest(),
        "view_size": list(view.size),
        "view_box": list(view.box),
        "grid": list(decomposition.grid),
    }
