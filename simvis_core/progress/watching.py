"""What a network finds in fixed pairs of pictures, in figures and maps that can be followed over its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from simvis_core.decomposition import Method, Verdict
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explain import explain_pair
from simvis_core.pairs.explanation import PairExplanation, half_share
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pictures.views import Framing, View, enlarge
from simvis_core.trust.localisation import localisation

Maps = tuple[Float[Tensor, "H W"], Float[Tensor, "H2 W2"]]
TOP = 10  # features, as in Stylianou 2019, figure 3


@dataclass(frozen=True, eq=False)
class WatchedPair:
    """Two pictures that are looked at again at each step; ``masks`` give the pixels of what they share, if known.

    A mask is over its picture's own pixels.

    >>> from PIL import Image
    >>> from simvis_core.progress.watching import WatchedPair
    >>> pair = WatchedPair("two owls", Image.new("RGB", (60, 40)), Image.new("RGB", (40, 40)))
    >>> pair.picture("b").size, pair.masks
    ((40, 40), None)
    """

    name: str
    a: Image.Image
    b: Image.Image
    masks: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h2 w2"]] | None = None

    def picture(self, side: Side) -> Image.Image:
        """The picture of a side."""
        return self.a if side == "a" else self.b


@dataclass(frozen=True, eq=False)
class PairFigures:
    """A pair at one step. Maps are signed and in units of the score; the other figures are means over both sides.

    ``concentration``: the smallest share of cells, 0 to 1, that carries half of the score. Cells are taken by their
    signed value, largest first, until their sum reaches half of the score, so that what counts against it is taken
    last; None for a score of 0 or less, and where the bias carries so much that no number of cells does. ``top``: the
    ten largest contributions of features over the score, None for a score of 0 or less; it is above 1 where the other
    features count against the score. ``on_objects``: the share of the map's positive part inside the masks, 0 to 1;
    ``even`` is what a map without preference would have there. ``change``: see `map_change`, against the step before.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.watching import WatchedPair, watched
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = WatchedPair("two", Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> first = watched(net, pair)
    >>> first.maps[0].shape, first.change, watched(net, pair, first.maps).change, "score" in first.figures()
    (torch.Size([4, 6]), None, 0.0, True)
    """

    name: str
    score: float
    map_a: Float[Tensor, "H W"]
    map_b: Float[Tensor, "H2 W2"]
    verdict: Verdict
    method: Method
    concentration: float | None
    top: float | None
    on_objects: float | None
    even: float | None
    change: float | None

    @property
    def maps(self) -> Maps:
        """The maps of a and of b: each cell's signed share of the score."""
        return self.map_a, self.map_b

    def figures(self) -> dict[str, float]:
        """The figures by the names of `FIGURES`, those that there are."""
        found = {name: getattr(self, name) for name in FIGURES}
        return {name: value for name, value in found.items() if value is not None}


def watched(
    network: EmbeddingNetwork,
    pair: WatchedPair,
    before: Maps | None = None,
    short_side: int | None = None,
    framing: Framing = "whole",
) -> PairFigures:
    """A pair's figures and maps under a network as it is now; ``before`` are its maps at the step before.

    Costs a forward pass a picture; a black box is drawn by masks, with many. Raises SimvisError as `explain_pair`
    does, and for masks of nothing or of everything.

    >>> import numpy as np
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.watching import WatchedPair, watched
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> left = np.tile(np.arange(40) < 10, (40, 1))
    >>> picture = Image.new("RGB", (40, 40), "red")
    >>> watched(net, WatchedPair("left", picture, picture, (left, left))).even
    0.25
    """
    found = explain_pair(network, pair.a, pair.b, short_side, framing)
    inside = None if pair.masks is None else [_inside(found, *one) for one in zip(SIDES, pair.masks, strict=True)]
    return PairFigures(
        pair.name,
        found.score,
        found.map_a.cpu(),
        found.map_b.cpu(),
        found.verdict,
        found.method,
        _mean([half_share(map, found.score) for map in (found.map_a, found.map_b)]),
        top_share(found.contributions, found.score),
        None if inside is None else _mean([share for share, _ in inside]),
        None if inside is None else _mean([even for _, even in inside]),
        None
        if before is None
        else _mean([map_change(found.side(s)[2].cpu(), old) for s, old in zip(SIDES, before, strict=True)]),
    )


def mean_figures(pairs: Sequence[PairFigures]) -> dict[str, float]:
    """The mean of each figure over the pairs that have it, by the names of `FIGURES`; a figure that none has is absent.

    >>> from simvis_core.progress.watching import mean_figures
    >>> mean_figures([])
    {}
    """
    rows = [pair.figures() for pair in pairs]
    found = {name: [row[name] for row in rows if name in row] for name in FIGURES}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def top_share(contributions: Float[Tensor, " D"], score: float, k: int = TOP) -> float | None:
    """The k largest contributions over the score; None for a score of 0 or less.

    >>> import torch
    >>> from simvis_core.progress.watching import top_share
    >>> top_share(torch.tensor([0.5, 0.25, -0.25]), score=0.5, k=2)
    1.5
    """
    if score <= 0:
        return None
    return float(contributions.double().sort(descending=True).values[:k].sum()) / score


def map_change(one: Float[Tensor, "H W"], other: Float[Tensor, "H2 W2"]) -> float | None:
    """How far two maps of one picture differ, 0 to 1: half the sum of |difference|, each map over its sum of |values|.

    0 for maps that are one up to a positive factor, 1 for maps without a cell in common or of opposite signs; one less
    it is their agreement. Where the grids differ, the second is enlarged to the first. None for a map of zeros.

    >>> import torch
    >>> from simvis_core.progress.watching import map_change
    >>> one = torch.tensor([[1.0, 1.0, 2.0]])
    >>> map_change(one, 3 * one), map_change(one, -one), map_change(one, torch.tensor([[2.0, 0.0, 2.0]]))
    (0.0, 1.0, 0.25)
    """
    size = (one.shape[0], one.shape[1])
    first, second = one.double(), other.double()
    second = second if second.shape == first.shape else enlarge(second, size)
    totals = float(first.abs().sum()), float(second.abs().sum())
    if min(totals) == 0:
        return None
    return float((first / totals[0] - second / totals[1]).abs().sum()) / 2


def seen_mask(mask: Bool[np.ndarray, "h0 w0"], view: View) -> Bool[Tensor, "h w"]:
    """A mask over a picture's own pixels as the view has it, the nearest pixel each.

    >>> import numpy as np
    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.progress.watching import seen_mask
    >>> view = Preprocess(short_side=16, stride=8).view(Image.new("RGB", (40, 40)))
    >>> float(seen_mask(np.tile(np.arange(40) < 10, (40, 1)), view).double().mean())
    0.25
    """
    image = Image.fromarray(mask)
    return torch.from_numpy(np.array(image.resize(view.size[::-1], Image.Resampling.NEAREST, box=view.box)))


def _inside(found: PairExplanation, side: Side, mask: Bool[np.ndarray, "h w"]) -> tuple[float | None, float]:
    view, _, map = found.side(side)
    place = localisation(map.cpu(), seen_mask(mask, view))
    return place.inside, place.area


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of both sides; None where either has none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


# What a step's figures are called, and what they are, in words.
FIGURES: Mapping[str, str] = {
    "score": "score of the pair (cosine, -1 to 1)",
    "concentration": "share of cells that carries half of the score",
    "top": f"share of the score in the top {TOP} features",
    "on_objects": "share of the map on the shared objects",
    "even": "what an even map would have there",
    "change": "change of the map since the step before",
}
