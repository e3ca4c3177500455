"""What a pair is written as: overlays, arrays and a manifest, or one picture to share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.files import colours, writing
from simvis_core.files.numbers import UNITS, WITH_POINT
from simvis_core.pairs.share_picture import Look, Panel, PanelRow, caption, pair_figure, pin_line
from simvis_core.pairs.sides import OTHER, SIDES, Side
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.pictures.views import View, cell_at

if TYPE_CHECKING:
    from simvis_core.decomposition import Decomposition
    from simvis_core.pairs.explanation import PairExplanation


@dataclass(frozen=True, eq=False)
class Export:
    """A pair as files: with a point (side, x, y in view pixels) or a region (side, weights of its cells, row by row).

    Its map on the other picture then comes along. ``opacity`` is from 0 to 1; ``ground`` is how maps lie on the
    pictures: in colours, on grey, or as outlines. ``facts`` are added to the manifest; of them, ``files`` (names for
    "a" and "b") and ``credit`` are written into the picture to share.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.export import Export
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> export = Export(pair, point=("a", 20, 10), ground="grey")
    >>> sorted(export.files())
    ['manifest.json', 'maps.npz', 'overlay_a.png', 'overlay_b.png', 'point_on_b.png']
    >>> export.figure().width, export.figure_png()[1:4], export.manifest()["point"]["cell"]
    (1080, b'PNG', [1, 2])
    >>> export.weights_of("b", [0.5] * 16).shape
    torch.Size([4, 4])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in export.save(f"{folder}/pair.png")]
    ...
    ['pair.png']
    """

    pair: "PairExplanation"
    point: tuple[Side, float, float] | None = None
    colour_map: str = colours.DEFAULT_COLOURS
    opacity: float = 0.85
    facts: Mapping[str, Any] | None = None
    region: tuple[Side, Sequence[float]] | None = None
    ground: colours.Ground = "colours"

    def save(self, folder: str | Path) -> list[Path]:
        """Writes the files into a folder, each whole or not at all; gives the paths.

        A name that ends in .png, and is no folder, gets one picture to share instead, with the manifest as a text of
        its metadata, called "manifest".
        """
        path = Path(folder)
        if path.suffix.lower() != ".png" or path.is_dir():
            return writing.write_folder(folder, self.files())
        return writing.write_folder(path.parent, {path.name: self.figure_png()})

    def files(self) -> dict[str, bytes]:
        """The export by file name: PNG overlays at the pictures' own resolution, maps.npz, manifest.json.

        The joint map comes along where all cells are there: at a layer only once the pair was asked for it.

        Raises SimvisError for a point outside the view, for weights of another grid, and for a colour map, an opacity
        or a ground that cannot be drawn.
        """
        built = self.pair.a.built and self.pair.b.built
        arrays = {
            "map_a": self.pair.map_a,
            "map_b": self.pair.map_b,
            **({"joint_map": self.pair.joint_map} if built else {}),
            "contributions": self.pair.contributions,
        }
        scale = common_scale(self.pair.map_a, self.pair.map_b)
        drawn = partial(overlay, colours=self.colour_map, opacity=self.opacity, ground=self.ground)
        pictures = {f"overlay_{s}.png": drawn(*self.pair.side(s)[::2], scale) for s in SIDES}
        if self.point is not None:
            map, other = self.pair.point_map(*self.point), OTHER[self.point[0]]
            arrays["point_map"] = map
            pictures[f"point_on_{other}.png"] = drawn(self.pair.side(other)[0], map, common_scale(map))
        if self.region is not None:
            weights, other = self.weights_of(*self.region), OTHER[self.region[0]]
            map = self.pair.cells_map(self.region[0], weights)
            arrays |= {"region_weights": weights, "region_map": map}
            pictures[f"region_on_{other}.png"] = drawn(self.pair.side(other)[0], map, common_scale(map))
        manifest = self.manifest() | {"scale": scale, **dict(self.facts or {})}
        return {name: writing.png(picture) for name, picture in pictures.items()} | {
            "maps.npz": writing.npz({name: writing.array(tensor) for name, tensor in arrays.items()}),
            "manifest.json": writing.manifest_json(manifest),
        }

    def figure(self) -> Image.Image:
        """One picture to share: score, both pictures with their maps on one scale, network, pooling, weights, views.

        It is 1080 pixels wide and can be read at the 400 of a messenger. A point is marked; its map, or a region's, on
        the other picture stands below.

        Raises SimvisError for a point outside the view, for weights of another grid, and for a look that cannot be
        drawn.
        """
        told, look = self.manifest() | dict(self.facts or {}), Look(self.colour_map, self.opacity, self.ground)
        drawn = self.pair.method != "none"
        names = {side: caption(side, told.get("files", {}).get(side, "")) for side in SIDES}
        panels = [Panel(v, m if drawn else None, names[s], self._pin(s)) for s, (v, _, m) in self._sides()]
        rows = [PanelRow("", panels, common_scale(self.pair.map_a, self.pair.map_b), UNITS[self.pair.method])]
        if self.point is not None or self.region is not None:
            rows.append(self._pinned_row(pin_line(told)))
        return pair_figure(told, rows, look, str(told.get("credit", "")))

    def figure_png(self) -> bytes:
        """The picture to share as a PNG file's content, with the manifest as its metadata's text "manifest"."""
        figure = self.figure()
        manifest = writing.manifest_json(self.manifest() | dict(self.facts or {})).decode()
        return writing.png(figure, {"Software": "SimVis", "manifest": manifest})

    def manifest(self) -> dict[str, Any]:
        """What is explained and what it comes to, as plain JSON, with what the point or the region carries."""
        return self.pair.manifest() | self._point_facts() | self._region_facts()

    def weights_of(self, side: Side, weights: Sequence[float]) -> Float[Tensor, "H W"]:
        """A region's weights on the side's grid. Raises SimvisError for another count than there are cells."""
        grid = self.pair.side(side)[1].grid
        if len(weights) != grid[0] * grid[1]:
            raise SimvisError(
                f"{len(weights)} weights", f"one for each cell of the grid {grid}", "mark the region again"
            )
        return torch.tensor(weights, dtype=torch.float64).reshape(grid)

    def _sides(self) -> "list[tuple[Side, tuple[View, Decomposition, Tensor]]]":
        return [(side, self.pair.side(side)) for side in SIDES]

    def _pin(self, side: Side) -> tuple[float, float] | None:
        """Where the point is on this side, as shares of the view's width and height."""
        if self.point is None or self.point[0] != side:
            return None
        h, w = self.pair.side(side)[0].size
        return (self.point[1] + 0.5) / w, (self.point[2] + 0.5) / h

    def _pinned_row(self, said: str) -> PanelRow:
        """The point's or region's own picture and its map on the other, on the scale that the page gives it.

        That is never less than a quarter of the largest of all pairs of cells, where these are there: what carries
        little must not look as if it carried much.
        """
        maps: dict[Side, Tensor | None] = {"a": None, "b": None}
        if self.point is not None:
            near, map, what = self.point[0], self.pair.point_map(*self.point), "cell"
        else:
            assert self.region is not None
            weights, near, what = self.weights_of(*self.region), self.region[0], "region"
            map = self.pair.cells_map(near, weights)
            maps[near] = weights.to(self.pair.side(near)[2]) * self.pair.side(near)[2]
        maps[OTHER[near]] = map
        scale = max(common_scale(map), self._least_scale())
        panels = [Panel(view, maps[s], "", self._pin(s)) for s, (view, _, _) in self._sides()]
        return PanelRow(said, panels, scale, f"{WITH_POINT[self.pair.method]} the {what} of {near.upper()}")

    def _least_scale(self) -> float:
        built = self.pair.a.built and self.pair.b.built
        return self.pair.joint_map.abs().max().item() / 4 if built else 0.0

    def _point_facts(self) -> dict[str, object]:
        if self.point is None:
            return {}
        side, x, y = self.point
        view, own, _ = self.pair.side(side)
        cell = cell_at(x, y, view.size, own.grid)
        return {"point": {"side": side, "x": x, "y": y, "cell": list(cell), "share": self.pair.point_share(side, x, y)}}

    def _region_facts(self) -> dict[str, object]:
        if self.region is None:
            return {}
        side, weights = self.region
        map = self.pair.side(side)[2]
        return {"region": {"side": side, "share": float((self.weights_of(side, weights).to(map) * map).sum())}}
