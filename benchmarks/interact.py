"""What a change of pooling, point or k costs once the features are there."""

from collections.abc import Callable
from dataclasses import replace

import torch

import model_zoo
from benchmarks.pictures import first_images
from benchmarks.tables import Table, number, percent
from benchmarks.timing import FULL, QUICK, Job, Race, race
from simvis_core import POOLINGS, PairExplanation, explain_pair
from simvis_core.pairs.packing import packed_numbers

TARGET = 5  # ms: well under one frame of a screen
APART = "flatten"  # its split has H x W times as many features as the others, so it has its own allowance
BARE = "two forward passes"


def tables(quick: bool) -> list[Table]:
    """Milliseconds of every step that a visitor's hand can ask for."""
    a, b = first_images()
    pair = explain_pair(model_zoo.load("efficientnet_lite0"), a, b, framing="square")
    jobs = _jobs(pair)
    return [_table(jobs, race(jobs, [], QUICK if quick else replace(FULL, rounds=60)), pair)]


def _jobs(pair: PairExplanation) -> dict[str, Job]:
    height, width = pair.view_a.size
    return {
        BARE: lambda: _bare(pair),
        **{f"pooling {name}, both maps": _pooled(pair, name) for name in POOLINGS},
        "map of a point": lambda: replace(pair).point_map("a", width / 3, height / 3),
        "map of the top 10 features": lambda: replace(pair).top_map("a", 10),
        "all numbers of the viewer, packed": lambda: packed_numbers(replace(pair)),
    }


def _pooled(pair: PairExplanation, pooling: str) -> Callable[[], object]:
    def job() -> object:
        other = pair.with_pooling(pooling)
        return other.map_a, other.map_b

    return job


@torch.inference_mode()
def _bare(pair: PairExplanation) -> object:
    return [pair.network.backbone(view.pixels[None]) for view in (pair.view_a, pair.view_b)]


def _table(jobs: dict[str, Job], result: Race, pair: PairExplanation) -> Table:
    rows = [
        [job, number(result.milliseconds(job)), percent(result.ratio(job, BARE)), _verdict(job, result)] for job in jobs
    ]
    grid = " x ".join(str(size) for size in (*pair.a.grid, pair.a.bias.numel()))
    columns = ["step", "ms", f"of {BARE}", f"under {TARGET} ms"]
    note = "Each step starts from the cached features of both pictures; nothing it needs is cached but these."
    return Table(f"Steps on cached features of a {grid} grid", columns, rows, [note])


def _verdict(job: str, result: Race) -> str:
    if job == BARE or APART in job:
        return "-"
    return "yes" if result.milliseconds(job) < TARGET else "NO"
