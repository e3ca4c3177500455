"""What is measured of a setting: removal under every fill, hiding parts of both pictures, and the place on rooms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.evaluation.cases import Case, ViewAsked
from simvis_core.evaluation.depth_study.settings import DepthSetting, LayerAsked, LayersDrawn
from simvis_core.evaluation.joint import LEAST_SCORED, both_ways
from simvis_core.evaluation.measuring import question_for
from simvis_core.evaluation.records import Record
from simvis_core.explainers.depths.combined import CombinedMap
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import draw_map
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.fills import FILLS
from simvis_core.trust.faithfulness import removal_curve
from simvis_core.trust.localisation import localisation
from simvis_core.trust.two_sided import (
    BlockParts,
    Grid,
    Hidden,
    hidden_scores,
    mean_of_parts,
    parts_of,
    parts_of_map,
    two_sided,
)

BESIDE = ("random", "centre")  # explainers that every setting stands beside
PEER = ("corr_rise", 500)  # on rooms: the explainer that finds the planted object most often, and its passes


def removal_records(
    question: Question, settings: Sequence[DepthSetting], steps: int, seed: int = 0
) -> Iterator[tuple[str, Record]]:
    """For each setting, and the maps beside: the gap between insertion and deletion under every fill, by name.

    ``remainder`` is what the paths' points miss of the score. A setting that the network does not have is refused.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.depth_study.measuring import removal_records
    >>> from simvis_core.evaluation.depth_study.settings import DepthSetting
    >>> from simvis_core.explainers.question import Question
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> asked = Question(net, net.view(Image.linear_gradient("L").resize((60, 40))), torch.ones(5))
    >>> [(name, *record) for name, record in removal_records(asked, [DepthSetting((0,))], steps=3)][0]
    ('depth 0', 'gap_blur', 'gap_mean', 'gap_grey', 'passes', 'seconds', 'remainder', 'cells')
    """
    drawn = LayersDrawn(question)
    for setting in settings:
        try:
            made, seconds = drawn.map(setting)
        except SimvisError as error:
            yield setting.name, {"refused": str(error)}
            continue
        missed = sum(w * part.left.get("remainder", 0.0) for w, part in zip(made.weights, made.parts, strict=True))
        facts = {"passes": made.passes, "seconds": round(seconds, 3), "remainder": missed, "cells": [*made.map.shape]}
        yield setting.name, _gaps(question, made.map, steps, seed) | facts
    for name in BESIDE:
        map = draw_map(name, question.network, question.view, question.query, seed=seed).map
        yield name, _gaps(question, map, steps, seed) | {"passes": 0, "seconds": 0.0}


def _gaps(question: Question, map: torch.Tensor, steps: int, seed: int) -> Record:
    found: Record = {}
    for fill in FILLS:
        put, taken = (removal_curve(question, map, kind, fill, steps, seed).auc for kind in ("insertion", "deletion"))
        found[f"gap_{fill}"] = put - taken
    return found


def room_records(
    question: Question, mask: np.ndarray, settings: Sequence[DepthSetting], peer: bool, seed: int = 0
) -> Iterator[tuple[str, Record]]:
    """For each setting: the share of its map in the pixels (h, w) that a room's pair has in common, and its peak.

    ``peer`` adds CorrRISE at 500 passes, which finds them best of the explainers measured before.

    >>> import numpy as np
    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.depth_study.measuring import room_records
    >>> from simvis_core.evaluation.depth_study.settings import DepthSetting
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> asked = Question(net, net.view(Image.linear_gradient("L").resize((60, 40))), torch.ones(4))
    >>> mask = np.arange(60)[None].repeat(40, 0) < 30
    >>> [(name, *record) for name, record in room_records(asked, mask, [DepthSetting((0,))], peer=False)][0]
    ('depth 0', 'inside', 'pointing', 'iou', 'area', 'passes', 'seconds')
    """
    view = question.view
    shown = np.asarray(Image.fromarray(mask).resize(view.size[::-1], Image.Resampling.NEAREST, box=view.box))
    if not shown.any() or shown.all():
        return  # the view shows nothing of it, or nothing else
    region, drawn = torch.from_numpy(shown.copy()), LayersDrawn(question)
    for setting in settings:
        try:
            made, seconds = drawn.map(setting)
        except SimvisError as error:
            yield setting.name, {"refused": str(error)}
            continue
        facts = {"passes": made.passes, "seconds": round(seconds, 3)}
        yield setting.name, dict(localisation(made.map, region, seed)._asdict()) | facts
    for name in (*BESIDE, *((PEER[0],) if peer else ())):
        masks: dict[str, Any] = {"masks": PEER[1]} if name == PEER[0] else {}
        one = draw_map(name, question.network, view, question.query, seed=seed, **masks)
        facts = {"passes": one.passes, "seconds": round(one.seconds, 3)}
        yield name, dict(localisation(one.map, region, seed)._asdict()) | facts


def two_sided_records(
    question: Question, settings: Sequence[DepthSetting], seed: int = 0
) -> Iterator[tuple[str, Record]]:
    """For each setting what its joint map, and the outer product of its two maps, predict with parts of both hidden.

    Numbers are R^2 by fill: ``fitted_blur`` of the joint map, ``outer_fitted_blur`` of the outer product, and the
    others of `TwoSided`. A setting of shares has no joint map.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.depth_study.measuring import two_sided_records
    >>> from simvis_core.evaluation.depth_study.settings import DepthSetting
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> one, two = (net.view(Image.linear_gradient("L").resize(size)) for size in ((60, 40), (40, 40)))
    >>> asked = Question(net, one, net.embed(two.pixels[None])[0], reference=two)
    >>> name, record = next(two_sided_records(asked, [DepthSetting((0,))]))
    >>> sorted(field for field in record if field.endswith("_mean"))[:3]
    ['fitted_mean', 'fitted_renormalised_mean', 'outer_fitted_mean']
    """
    sides = [LayersDrawn(one) for one in both_ways(question)]
    views = [side.question.view for side in sides]
    hidden = {fill: hidden_scores(question.network, views[0], views[1], fill, seed) for fill in FILLS}
    grids = [hidden["blur"].grid_a, hidden["blur"].grid_b]
    known: list[dict[LayerAsked, BlockParts]] = [{}, {}]
    for setting in settings:
        try:
            made = [side.map(setting)[0] for side in sides]
            joint = [_joint(setting, *one) for one in zip(sides, made, known, grids, strict=True)]
        except SimvisError as error:
            yield setting.name, {"refused": str(error)}
            continue
        record = _predicted("", joint, hidden, 1.0) if setting.together == "mean" else {}
        yield setting.name, record | _outer([one.map for one in made], question.score, hidden)
    for name in BESIDE:
        asked = [side.question for side in sides]
        maps = [draw_map(name, one.network, one.view, one.query, seed=seed + at).map for at, one in enumerate(asked)]
        yield name, _outer(maps, question.score, hidden)


def _joint(
    setting: DepthSetting, drawn: LayersDrawn, made: CombinedMap, known: dict[LayerAsked, BlockParts], grid: Grid
) -> BlockParts:
    """One side's embedding over blocks, each layer pushed once for all settings; only a mean has it."""
    if setting.together != "mean":
        return BlockParts(torch.zeros(grid[0] * grid[1], 1), torch.zeros(1))
    for asked in setting.layers:
        if asked not in known:
            known[asked] = parts_of(drawn.split(asked), grid)
    return mean_of_parts([known[asked] for asked in setting.layers], made.weights)


def _outer(maps: Sequence[torch.Tensor], score: float, hidden: Mapping[str, Hidden]) -> Record:
    """What the outer product of two one-sided maps predicts; nothing for a score of about 0, which gives it no unit."""
    if abs(score) < LEAST_SCORED:
        return {}
    grids = next((one.grid_a, one.grid_b) for one in hidden.values())
    parts = [parts_of_map(map, score, grid) for map, grid in zip(maps, grids, strict=True)]
    return _predicted("outer_", parts, hidden, 1 / score)


def _predicted(prefix: str, parts: Sequence[BlockParts], hidden: Mapping[str, Hidden], scale: float) -> Record:
    found = {fill: two_sided(parts[0], parts[1], one, scale)._asdict() for fill, one in hidden.items()}
    return {f"{prefix}{name}_{fill}": value for fill, one in found.items() for name, value in one.items()}


def study_question(case: Case, network: EmbeddingNetwork, seen: ViewAsked) -> Question:
    """What a case asks of a network, the query's bias left in: every setting explains the whole score.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.evaluation.cases import Case, ViewAsked
    >>> from simvis_core.evaluation.depth_study.measuring import study_question
    >>> orange, red = (lambda colour=colour: Image.new("RGB", (60, 40), colour) for colour in ("orange", "red"))
    >>> case = Case("orange | red", "same", orange, (red,), same=True)
    >>> study_question(case, EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), ViewAsked(short_side=64)).query_bias is None
    True
    """
    return replace(question_for(case, network, seen), query_bias=None)
