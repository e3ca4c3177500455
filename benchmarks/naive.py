"""The papers' formulas as loops over cells, beside ours on the same features; the results must agree.

Plainly from the formulas (docs/mathematics.md). ``lib`` is torch, as published code has it, or numpy, whose single
steps are quicker.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

import model_zoo
from benchmarks.pictures import first_images
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, race
from simvis_core import PairExplanation, explain_features, explain_pair

SHORT_SIDES = (224, 384, 512)  # what the page offers
TOLERANCE = 1e-5
TARGET = 100
Array = Any  # a tensor or an ndarray of (H, W, C)


def average_maps(a: Array, b: Array, lib: Any) -> list[Array]:
    """Stylianou 2019, eq. 2-3: S(p) = A(p) . x / (n Z), the mean x written out cell by cell."""
    return _both_maps(a, b, _average_scale(a, b, lib), lib)


def max_maps(a: Array, b: Array, lib: Any) -> list[Array]:
    """Stylianou 2019, eq. 4-6: a surrogate keeps each channel's maximum, shared evenly where it is tied."""
    a, b = _surrogate(a, lib), _surrogate(b, lib)
    return _both_maps(a, b, _length(_sum(a, lib)) * _length(_sum(b, lib)), lib)


def point_maps(a: Array, b: Array, lib: Any) -> list[Array]:
    """Zhu 2021 under average pooling: D(p, u) = E(p) . E(u) / Z for every cell p of a and u of b."""
    scale = _average_scale(a, b, lib)
    table = lib.zeros((*a.shape[:2], *b.shape[:2]))
    for p in _cells(a):
        for u in _cells(b):
            table[p + u] = lib.dot(a[p], b[u]) / scale
    return [table]


def _both_maps(a: Array, b: Array, scale: float, lib: Any) -> list[Array]:
    map_a, map_b = lib.zeros(a.shape[:2]), lib.zeros(b.shape[:2])
    for p in _cells(a):
        for u in _cells(b):
            share = lib.dot(a[p], b[u]) / scale
            map_a[p] += share
            map_b[u] += share
    return [map_a, map_b]


def _surrogate(features: Array, lib: Any) -> Array:
    kept = lib.zeros_like(features)
    for channel in range(features.shape[2]):
        peak = features[:, :, channel].max()
        tied = lib.argwhere(features[:, :, channel] == peak)
        for row, column in tied:
            kept[row, column, channel] = peak / len(tied)
    return kept


def _average_scale(a: Array, b: Array, lib: Any) -> float:
    """The divisor n n' Z, with Z = |mean of a| |mean of b|, which is |sum of a| |sum of b|."""
    return _length(_sum(a, lib)) * _length(_sum(b, lib))


def _sum(features: Array, lib: Any) -> Array:
    total = lib.zeros(features.shape[2])
    for cell in _cells(features):
        total += features[cell]
    return total


def _cells(features: Array) -> product:
    return product(range(features.shape[0]), range(features.shape[1]))


def _length(vector: Array) -> float:
    return math.sqrt(sum(value * value for value in vector.tolist()))


@dataclass(frozen=True)
class Method:
    """A published method: its loops, our pooling, and what of ours is the same."""

    loops: Callable[[Array, Array, Any], list[Array]]
    pooling: str
    read: Callable[[PairExplanation], list[Tensor]]


def tables(quick: bool) -> list[Table]:
    """One row for each method and grid. Raises AssertionError where a result differs."""
    network, (a, b) = model_zoo.load("efficientnet_lite0"), first_images()
    rows = []
    for short_side in SHORT_SIDES[: 1 if quick else None]:
        pair = explain_pair(network, a, b, short_side, "square")
        rows += [_row(name, method, pair, quick) for name, method in METHODS.items()]
    columns = ["method", "grid", *_TIMES, "times, tensors", "times, arrays", "largest difference"]
    notes = [
        "From the same cached features to the same result, ours with the decompositions of both pictures. "
        f"Target: {TARGET} times, and equal to {TOLERANCE:g} of the largest value."
    ]
    return [Table("Published loops over cells beside ours", columns, rows, notes)]


_TIMES = ["loops on tensors, ms", "loops on arrays, ms", "ours, ms"]


def _row(name: str, method: Method, pair: PairExplanation, quick: bool) -> list[str]:
    pair = pair.with_pooling(method.pooling)
    a, b = (features.permute(1, 2, 0).contiguous() for features in (pair.features_a, pair.features_b))
    jobs: dict[str, Callable[[], list[Array]]] = {
        "tensors": lambda: method.loops(a, b, torch),
        "arrays": lambda: method.loops(a.numpy(), b.numpy(), np),
        "ours": lambda: method.read(_again(pair)),
    }
    difference = max(_difference(jobs[loops](), method.read(pair)) for loops in ("tensors", "arrays"))
    assert difference <= TOLERANCE, (name, difference)
    result = race(jobs, [("arrays", "ours")], QUICK if quick else replace(FULL, rounds=7))
    times = [number(result.milliseconds(job)) for job in jobs]
    ratios = [ratio(result, loops, "ours") for loops in ("tensors", "arrays")]
    return [name, f"{pair.a.grid[0]} x {pair.a.grid[1]}", *times, *ratios, f"{difference:.0e}"]


def _again(pair: PairExplanation) -> PairExplanation:
    return explain_features(pair.network, pair.view_a, pair.view_b, pair.features_a, pair.features_b)


def _difference(theirs: list[Array], ours: list[Tensor]) -> float:
    both = [(np.asarray(one), other.numpy()) for one, other in zip(theirs, ours, strict=True)]
    return max(float(np.abs(one - other).max() / np.abs(other).max()) for one, other in both)


METHODS = {
    "average maps (Stylianou 2019)": Method(average_maps, "avg", lambda pair: [pair.map_a, pair.map_b]),
    "max maps (Stylianou 2019)": Method(max_maps, "max", lambda pair: [pair.map_a, pair.map_b]),
    "all point maps (Zhu 2021)": Method(point_maps, "avg", lambda pair: [pair.joint_map]),
}
