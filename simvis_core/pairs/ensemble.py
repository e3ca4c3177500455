"""Why several networks together find two pictures similar: weighted embeddings side by side, each with its own map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.decomposition import VERDICTS, Verdict
from simvis_core.errors import SimvisError
from simvis_core.files import writing
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explain import explain_pair
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.pictures.views import Framing, View, enlarge


@dataclass(frozen=True, eq=False)
class EnsembleExplanation:
    """A pair under an ensemble: ``pairs`` are its members' explanations, ``shares`` what each counts, summing to 1.

    The ensemble's embedding is the members' unit embeddings side by side, member i times its weight w_i, brought to
    length 1; so its score is sum_i shares_i x score_i with shares_i = w_i^2 / sum_j w_j^2, and every map of it the sum
    of the members' maps times their shares, each on its own grid. What adds up in a member adds up in the ensemble.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.pairs.ensemble import explain_ensemble
    >>> sees = [Preprocess(short_side=32, stride=side) for side in (8, 16)]
    >>> nets = [EmbeddingNetwork(nn.Conv2d(3, 4, seen.stride, seen.stride), preprocess=seen) for seen in sees]
    >>> pictures = Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red")
    >>> found = explain_ensemble(nets, [1.0, 2.0], *pictures)
    >>> found.shares, [tuple(map.shape) for map in found.maps("a")], found.verdict, len(found.contributions)
    ((0.2, 0.8), [(4, 6), (2, 3)], 'exact', 8)
    >>> parts = sum(float(map.sum()) for map in found.maps("a")) + found.bias_part("a")
    >>> abs(parts - found.score) < 1e-5, abs(sum(found.ledger.values()) - found.score) < 1e-5
    (True, True)
    >>> abs(float(found.map_over("a", (32, 48)).sum()) - sum(float(map.sum()) for map in found.maps("a"))) < 1e-5
    True
    >>> sorted(found.files())[:4], found.manifest()["members"][1]["share"]
    (['manifest.json', 'maps.npz', 'overlay_a.png', 'overlay_a_1.png'], 0.8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(found.save(folder))
    ...
    8
    """

    pairs: tuple[PairExplanation, ...]
    shares: tuple[float, ...]

    @property
    def score(self) -> float:
        """The cosine of the two concatenated embeddings, -1 to 1."""
        return math.fsum(share * pair.score for share, pair in zip(self.shares, self.pairs, strict=True))

    @property
    def verdict(self) -> Verdict:
        """How exact the split is: as exact as the least exact member's."""
        return max((pair.verdict for pair in self.pairs), key=VERDICTS.index)

    @property
    def ledger(self) -> dict[str, float]:
        """What cells and biases of both pictures bring in, in units of the score; sums to it."""
        names = self.pairs[0].ledger
        both = list(zip(self.shares, self.pairs, strict=True))
        return {name: math.fsum(share * pair.ledger[name] for share, pair in both) for name in names}

    @property
    def contributions(self) -> Float[Tensor, " D"]:
        """What each feature of each member brings in, member after member; sums to the score."""
        return torch.cat([share * pair.contributions for share, pair in zip(self.shares, self.pairs, strict=True)])

    def maps(self, side: Side) -> tuple[Float[Tensor, "_ _"], ...]:
        """A side's map of each member on its own grid, in units of the ensemble's score.

        All their cells and `bias_part` sum to the score (for members whose maps are additive).
        """
        found = [pair.side(side)[2] for pair in self.pairs]
        return tuple(share * map for share, map in zip(self.shares, found, strict=True))

    def bias_part(self, side: Side) -> float:
        """What no cell of that side brings in, in units of the score."""
        return math.fsum(share * pair.bias_part(side) for share, pair in zip(self.shares, self.pairs, strict=True))

    def map_over(self, side: Side, size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """The members' maps in one, over ``size`` (h, w) pixels: bilinear, and each pixel a share of the score.

        It sums to what the maps sum to where the grids divide the size; elsewhere up to what falls over the edges.
        """
        maps = [map.double() for map in self.maps(side)]
        return torch.stack([enlarge(map, size) * map.numel() / (size[0] * size[1]) for map in maps]).sum(0)

    def files(self) -> dict[str, bytes]:
        """The export by file name: overlays at the pictures' own resolution, maps.npz, manifest.json.

        ``overlay_a.png`` has the members' maps in one, ``overlay_a_1.png`` the first member's alone; those of A and B
        are on one scale. The arrays are named likewise (``map_a_1``), in units of the ensemble's score.
        """
        views = [self.pairs[0].view_a, self.pairs[0].view_b]
        drawn = _on_one_scale(
            "overlay_{}", views, [self.map_over(s, v.size) for s, v in zip(SIDES, views, strict=True)]
        )
        arrays = {"contributions": self.contributions}
        for number, pair in enumerate(self.pairs, start=1):
            maps = [self.maps(side)[number - 1] for side in SIDES]
            drawn |= _on_one_scale(f"overlay_{{}}_{number}", [pair.view_a, pair.view_b], maps)
            arrays |= {f"map_{side}_{number}": map for side, map in zip(SIDES, maps, strict=True)}
        return drawn | {
            "maps.npz": writing.npz({name: writing.array(tensor) for name, tensor in arrays.items()}),
            "manifest.json": writing.manifest_json(self.manifest()),
        }

    def manifest(self) -> dict[str, Any]:
        """What is explained and what it comes to, as plain JSON; each member's own manifest with its share."""
        members = [
            {"share": share, "score": pair.score} | {"explained": pair.manifest()}
            for share, pair in zip(self.shares, self.pairs, strict=True)
        ]
        bias = {side: self.bias_part(side) for side in SIDES}
        return {"score": self.score, "verdict": self.verdict, "ledger": self.ledger, "bias_part": bias} | {
            "members": members
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Writes `files` into a folder, each whole or not at all; gives the paths."""
        return writing.write_folder(folder, self.files())


def _on_one_scale(name: str, views: Sequence[View], maps: Sequence[Tensor]) -> dict[str, bytes]:
    scale = common_scale(*maps)
    sides = zip(SIDES, views, maps, strict=True)
    return {f"{name.format(side)}.png": writing.png(overlay(view, map, scale)) for side, view, map in sides}


def ensemble_of(pairs: Sequence[PairExplanation], weights: Sequence[float]) -> EnsembleExplanation:
    """What several networks together say of one pair, of what each says alone: their unit embeddings concatenated.

    Each embedding counts times its weight. Source: Stylianou 2019, whose networks pool in two ways at once;
    concatenated embeddings as in Opitz et al., BIER (ICCV 2017).

    Raises SimvisError for no pairs, another number of weights, and a weight that is not above 0.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.ensemble import ensemble_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red"))
    >>> abs(ensemble_of([pair, pair], [1.0, 3.0]).score - pair.score) < 1e-6
    True
    """
    _check_weights(len(pairs), weights)
    largest = max(weights)  # squares of very small or large weights would vanish or overflow
    counts = [(weight / largest) ** 2 for weight in weights]
    return EnsembleExplanation(tuple(pairs), tuple(count / math.fsum(counts) for count in counts))


def _check_weights(networks: int, weights: Sequence[float]) -> None:
    if not networks or len(weights) != networks or not all(0 < weight < math.inf for weight in weights):
        raise SimvisError(
            f"{networks} networks with the weights {', '.join(f'{weight:g}' for weight in weights) or 'none'}",
            "one weight above 0 for each network",
            "give as many of both",
        )


def explain_ensemble(
    networks: Sequence[EmbeddingNetwork],
    weights: Sequence[float],
    image_a: Image.Image,
    image_b: Image.Image,
    short_side: int | None = None,
    framing: Framing = "whole",
) -> EnsembleExplanation:
    """Why the networks, their unit embeddings weighted and concatenated, find the two pictures as similar as they do.

    Each sees the pictures in views of its own; one forward pass a picture and network; `ensemble_of` has the rest.

    Raises SimvisError as `ensemble_of` and `explain_pair` do.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.pairs.ensemble import explain_ensemble
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> picture = Image.new("RGB", (60, 40), "orange")
    >>> round(explain_ensemble([net, net.with_pooling("max")], [1.0, 2.0], picture, picture).score, 4)
    1.0
    """
    _check_weights(len(networks), weights)  # before any pass
    pairs = [explain_pair(network, image_a, image_b, short_side, framing) for network in networks]
    return ensemble_of(pairs, weights)
