"""Two-sided faithfulness of an explainer on a pair: its joint map, and the outer product of its two maps."""

from collections.abc import Callable, Mapping
from typing import Any

from simvis_core.evaluation.records import Record
from simvis_core.explainers.depths.combined import mean_over_depths
from simvis_core.explainers.depths.layer_maps import layer_map, split_at
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS, PATH_DEPTHS, drawing, path_named
from simvis_core.steps import run
from simvis_core.trust.measuring import Asked, Measured
from simvis_core.trust.two_sided import BlockParts, Grid, Hidden, mean_of_parts, parts_of, parts_of_map, two_sided

LEAST_SCORED = 1e-6  # below it an outer product of two maps has no unit


def both_ways(question: Question) -> tuple[Question, Question]:
    """The question, and the same of its reference: what the view's embedding scores on the other picture.

    Raises SimvisError for a question without a reference.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.joint import both_ways
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> one, two = (net.view(Image.linear_gradient("L").resize(size)) for size in ((60, 40), (40, 40)))
    >>> a, b = both_ways(Question(net, one, net.embed(two.pixels[None])[0], reference=two))
    >>> b.view is two, abs(a.score - b.score) < 1e-6
    (True, True)
    """
    split, other = question.split, question.other("two-sided hiding")
    bias = split.bias if question.query_bias is not None and split is not None else None
    return question, Question(question.network, other, question.embedding.to(question.query), bias, question.view)


def joint_numbers(measured: Measured, question: Question, hidden: Hidden, drawer: Question | None = None) -> Record:
    """What a measured explainer predicts with parts of both pictures hidden: R^2 of `TwoSided`, by name.

    ``joint_`` numbers are its joint map's, where it has one; ``outer_`` those of the outer product of its map and the
    map that it draws of the other picture. ``drawer`` is as `measuring` takes it. A score of about 0 gives an outer
    product no unit. Raises SimvisError as `draw_map` does.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.joint import joint_numbers
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.steps import run
    >>> from simvis_core.trust.measuring import Asked, measuring
    >>> from simvis_core.trust.two_sided import hidden_scores
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> one, two = (net.view(Image.linear_gradient("L").resize(size)) for size in ((60, 40), (40, 40)))
    >>> asked = Question(net, one, net.embed(two.pixels[None])[0], reference=two)
    >>> measured = run(measuring(asked, Asked("random", steps=3)))
    >>> list(joint_numbers(measured, asked, hidden_scores(net, one, two, masks=3)))
    ['outer_raw', 'outer_fitted']
    """
    asked = measured.asked
    inside = drawer is not None and EXPLAINERS[asked.explainer].looks_inside
    sides = both_ways(drawer if drawer is not None and inside else question)
    grids = (hidden.grid_a, hidden.grid_b)
    parameters = dict(EXPLAINERS[asked.explainer].parameters) | dict(asked.parameters)
    found: Record = {}
    if asked.explainer in JOINT:
        a, b = (JOINT[asked.explainer](side, parameters, grid) for side, grid in zip(sides, grids, strict=True))
        found = {f"joint_{name}": value for name, value in two_sided(a, b, hidden)._asdict().items()}
    if abs(question.score) < LEAST_SCORED:
        return found
    maps = (measured.drawn.map, _other_map(sides[1], asked))
    a, b = (parts_of_map(map, question.score, grid) for map, grid in zip(maps, grids, strict=True))
    made = two_sided(a, b, hidden, 1 / question.score)
    return found | {"outer_raw": made.raw, "outer_fitted": made.fitted}


def _other_map(question: Question, asked: Asked) -> Any:
    """The map of the other picture; a baseline of noise draws another noise there."""
    seed = asked.seed + 1 if asked.explainer == "random" else asked.seed
    return run(drawing(asked.explainer, question, asked.setting, seed, **dict(asked.parameters))).map


def _own_parts(question: Question, parameters: Mapping[str, Any], grid: Grid) -> BlockParts:
    del parameters
    return parts_of(split_at(question, 0), grid)


def _parts_at_depth(question: Question, parameters: Mapping[str, Any], grid: Grid) -> BlockParts:
    return parts_of(split_at(question, parameters["depth"], steps=parameters["steps"]), grid)


def _mean_parts(question: Question, parameters: Mapping[str, Any], grid: Grid) -> BlockParts:
    depths, steps = range(parameters["depths"]), parameters["steps"]
    weights = mean_over_depths([layer_map(question, depth, steps=steps) for depth in depths]).weights
    return mean_of_parts([parts_of(split_at(question, depth, steps=steps), grid) for depth in depths], weights)


# Explainers whose maps are margins of a joint map, and an embedding's parts by each.
JOINT: dict[str, Callable[[Question, Mapping[str, Any], Grid], BlockParts]] = {
    "decomposition": _own_parts,
    "decomposition_bias": _own_parts,
    **{path_named(depth): _parts_at_depth for depth in PATH_DEPTHS},
    "mean_of_depths": _mean_parts,
}
