"""What a map at a layer costs beside a forward pass: one query, and all pairs of cells, by both rules."""

import resource
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

import model_zoo
from benchmarks.pictures import FOLDER
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Race, race
from simvis_core import EmbeddingNetwork, open_picture

NETWORK, SIDE, QUICK_SIDE = "efficientnet_lite0", 224, 64
LAYERS = ("pixels", "blocks.0", "blocks.2", "blocks.4", "features")
WHOLE = "blocks.4"  # 14 x 14 cells
MOST_FORWARDS, MOST_OF_ALL_CELLS = 5.0, 250.0  # forward passes: of a frozen map, and of a frozen table of all cells
PICTURES = ("taj_mahal/taj_mahal_1.jpg", "taj_mahal/taj_mahal_3.jpg")
FORWARD = "forward"


def tables(quick: bool) -> list[Table]:
    """Forward passes that one map takes, from the picture's pixels on; then those of a whole table of cells."""
    network = model_zoo.load(NETWORK)
    side = QUICK_SIDE if quick else SIDE
    pixels = [network.view(open_picture(FOLDER / "pictures" / one), side, "square").pixels for one in PICTURES]
    query = network.embed(pixels[1][None])[0]
    return [_whole(network, pixels[0], quick), _one_query(network, pixels[0], query, quick)]


def _one_query(network: EmbeddingNetwork, pixels: Tensor, query: Tensor, quick: bool) -> Table:
    jobs: dict[str, Callable[[], object]] = {FORWARD: lambda: network.embed(pixels[None])}
    for layer in LAYERS:
        for rule in ("frozen", "path"):
            jobs[f"{layer}, {rule}"] = _map_of(network.at(layer, rule), pixels, query)
    names = [name for name in jobs if name != FORWARD]
    result = race(jobs, [(name, FORWARD) for name in names], QUICK if quick else replace(FULL, rounds=5))
    rows = [
        [name, number(result.milliseconds(name)), ratio(result, name, FORWARD), _kept(result, name)] for name in names
    ]
    notes = [
        f"{NETWORK}, a square view: from pixels to the map for one query, the check of its sum included. A frozen map "
        f"is to take {MOST_FORWARDS:g} forward passes at most; a path is of 8 steps, and its sum is checked by 8 more. "
        f"A forward pass takes {number(result.milliseconds(FORWARD))} ms here."
    ]
    return Table("A map at a layer", ["layer, rule", "milliseconds", "forward passes", "kept"], rows, notes)


def _map_of(network: EmbeddingNetwork, pixels: Tensor, query: Tensor) -> Callable[[], object]:
    return lambda: network.decompose(pixels).similarity_map(query)


def _kept(result: Race, name: str) -> str:
    if not name.endswith("frozen"):
        return "no bound"
    return "yes" if result.ratio(name, FORWARD) <= MOST_FORWARDS else "NO"


def _whole(network: EmbeddingNetwork, pixels: Tensor, quick: bool) -> Table:
    """All cells at 14 x 14 by the frozen rule. Measured first, as a process's peak of memory never sinks."""
    deep = network.at(WHOLE)
    made = deep.decompose(pixels)
    made.similarity_map(network.embed(pixels[None])[0])
    before = _peak()
    jobs: dict[str, Callable[[], object]] = {
        FORWARD: lambda: network.embed(pixels[None]),
        "all cells": lambda: deep.decompose(pixels).cells,
    }
    result = race(jobs, [("all cells", FORWARD)], QUICK if quick else replace(FULL, rounds=3))
    cells = made.cells
    times = result.ratio("all cells", FORWARD)
    row = [
        f"{WHOLE}, {cells.shape[0]} x {cells.shape[1]} cells",
        ratio(result, "all cells", FORWARD),
        "yes" if times <= MOST_OF_ALL_CELLS else "NO",
        number((_peak() - before) / 2**20),
    ]
    columns = ["layer", "forward passes", f"at most {MOST_OF_ALL_CELLS:g}", "MiB more at the peak"]
    return Table("All cells of one picture, frozen", columns, [row], ["A path's take its steps times as long."])


def _peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
