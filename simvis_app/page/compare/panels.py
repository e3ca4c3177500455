"""From an explanation to what the panels of the page show."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from simvis_app.page.parts.map_rows import Box, map_row
from simvis_app.service import words
from simvis_core import PairExplanation, top_features
from simvis_core.networks.poolings import INNER, Pooling
from simvis_core.pairs.figures import contribution_figure
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pictures.overlays import common_scale

COMPARED = ("avg", "max", "gem")
LISTED = 10
EVERY = -1  # stands where a feature does, for all that are listed
Rows = tuple[PairExplanation, list[dict[str, Any]], float]
Pin = dict[str, Any]  # a cell or a region of a picture, as `simvis_app.service.marks` checks it


@dataclass(frozen=True)
class Panels:
    """Everything that is shown of an explained pair.

    ``method`` is what the visitor chose to draw a black box's maps. ``standing`` says how high the score is for its
    network, and ``credits`` whose sample pictures these are, as HTML. The viewer knows the pair by ``key``. ``k`` is
    how many of the strongest ``features`` make the maps ``topk``; the first of them ``fires``. ``poolings`` are the
    pair under each pooling that is compared. Maps are None before there are any.
    """

    pair: PairExplanation
    method: str | None
    standing: str
    credits: str
    key: str
    pin: Pin | None
    mode: str
    k: int
    topk: Rows | None
    features: list[tuple[str, int]]
    fires: Rows | None
    poolings: list[PairExplanation]


def held(k: float | None, pair: PairExplanation) -> int:
    """A number of features that the pair has; an emptied field counts as 1."""
    return min(max(int(k or 1), 1), pair.contributions.numel())


def topk_figure(pair: PairExplanation) -> go.Figure:
    """The contribution curve of the pair, the top 10 marked."""
    return contribution_figure({str(pair.network.pooling): (pair.ranked_contributions(), pair.score)})


def topk_rows(pair: PairExplanation, k: int) -> Rows | None:
    """The maps of only the top k features, on the scale of the full maps; None before there are any."""
    if pair.method == "none":
        return None
    kept = float(pair.ranked_contributions()[:k].sum())
    maps = {side: pair.top_map(side, k) for side in SIDES}
    row = map_row(f"Only the top {k} features", f"They carry {words.of_score(kept, pair.score)}.", maps)
    return pair, [row], common_scale(pair.map_a, pair.map_b)


def feature_choices(pair: PairExplanation) -> list[tuple[str, int]]:
    """The strongest features with what each contributes, for a list to choose from; then all of them, a box each."""
    strongest = _strongest(pair)
    every = [(f"the {len(strongest)} of them, a box each", EVERY)] if len(strongest) > 1 else []
    return [(_feature_label(pair, feature), feature) for feature in strongest] + every


def feature_rows(pair: PairExplanation, feature: int) -> Rows | None:
    """Where one feature, or each of those listed, fires in both pictures; None before there are any maps."""
    if pair.method == "none":
        return None
    if int(feature) == EVERY:
        return _boxes(pair)
    maps = {side: pair.feature_map(side, int(feature)) for side in SIDES}
    note = f"It contributes {words.of_score(float(pair.contributions[int(feature)]), pair.score)}."
    return pair, [map_row(f"Where feature {int(feature)} fires", note, maps)], common_scale(*maps.values())


def _boxes(pair: PairExplanation) -> Rows:
    """The maps of the strongest features together, with a box where each carries most of what it contributes.

    Numbers are ranks. Papers that look at single features show them so.
    """
    strongest = _strongest(pair)
    boxes = {side: _framed([_best_cell(pair, side, feature) for feature in strongest]) for side in SIDES}
    maps = {side: pair.top_map(side, len(strongest)) for side in SIDES}
    ranked = ", ".join(f"{rank}: feature {feature}" for rank, feature in enumerate(strongest, 1))
    title = f"Where each of the {len(strongest)} strongest features fires most"
    row = map_row(title, f"{ranked}. Under the boxes, the map of all of them.", maps, boxes)
    return pair, [row], common_scale(*maps.values())


def _best_cell(pair: PairExplanation, side: Side, feature: int) -> tuple[int, int]:
    """Row and column of the cell that carries most of what a feature contributes, for or against."""
    map = pair.feature_map(side, feature)
    against = float(pair.contributions[feature]) < 0
    return divmod(int((-map if against else map).argmax()), map.shape[1])


def _framed(cells: list[tuple[int, int]]) -> list[Box]:
    """A box for each of these cells, with the ranks of all features that are strongest there."""
    ranks = {cell: [rank for rank, other in enumerate(cells, 1) if other == cell] for cell in cells}
    return [(row, column, ", ".join(map(str, own))) for (row, column), own in ranks.items()]


def _strongest(pair: PairExplanation) -> list[int]:
    found: list[int] = top_features(pair.contributions, LISTED).tolist()
    return found


def pooling_pairs(pair: PairExplanation, exponent: float) -> list[PairExplanation]:
    """The pair under each compared pooling that the head takes, the backbone's own first; features are reused."""
    names = [name for name in (*INNER, *COMPARED) if name in pair.network.poolings]
    return [pair.with_pooling(Pooling(name, exponent), unsplit=True) for name in names]


def pooling_rows(pairs: list[PairExplanation]) -> Rows | None:
    """Score, concentration and both maps under every pooling that has maps in shares of the score, on one scale."""
    pairs = [pair for pair in pairs if pair.method != "none"]
    if not pairs:
        return None
    maps = [{side: pair.side(side)[2] for side in SIDES} for pair in pairs]
    rows = [
        map_row(_pooling_title(pair), words.concentration(pair), both) for pair, both in zip(pairs, maps, strict=True)
    ]
    return pairs[0], rows, common_scale(*(map for both in maps for map in both.values()))


def pooling_figure(pairs: list[PairExplanation]) -> go.Figure:
    """The contribution curves of all compared poolings in one plot."""
    return contribution_figure({str(pair.network.pooling): (pair.ranked_contributions(), pair.score) for pair in pairs})


def _pooling_title(pair: PairExplanation) -> str:
    estimate = "" if pair.method == "decomposition" else f"map by {pair.method}"
    texts = (f"{pair.network.pooling}: score {pair.score:.3f}", estimate, words.what_if(pair))
    return " · ".join(text for text in texts if text)


def _feature_label(pair: PairExplanation, feature: int) -> str:
    contribution = float(pair.contributions[feature])
    return f"feature {feature}: {words.number(contribution)} ({words.percent(contribution, pair.score)})"
