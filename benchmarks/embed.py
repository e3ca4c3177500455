"""How fast pictures become embeddings, under each engine, and what that does to the scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import model_zoo
from benchmarks.pictures import distinct_pairs
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Race, race
from model_zoo.running.engines import ENGINES, SCORE_CHANGE, with_engine
from simvis_core import EmbeddingNetwork, SimvisError, open_picture

BARE = "bare"
BATCHES, QUICK_BATCHES = (1, 32), (1, 2)


@dataclass(frozen=True)
class Measured:
    """One network: a race for each size of batch, and for each engine how far it moves a score."""

    races: list[Race]
    changes: dict[str, float]


def tables(quick: bool) -> list[Table]:
    """Pictures a second through `embed`, beside a loop that runs the bare backbone and averages its features."""
    batches = QUICK_BATCHES if quick else BATCHES
    missing: dict[str, str] = {}
    measured = {name: _measured(name, batches, quick, missing) for name in model_zoo.bundled()[: 1 if quick else None]}
    rows = [_row(name, engine, result, batches) for name, result in measured.items() for engine in result.changes]
    columns = ["network, engine", "largest change of a score", f"below {SCORE_CHANGE:g}"]
    for batch in batches:
        columns += [f"pictures a second, batch {batch}", "times a bare eager loop"]
    notes = [
        "Square views of sample pictures. The bare loop is `backbone(pixels).mean((2, 3))` in eager float32. Changes: "
        f"over all pairs of {max(batches)} pictures, against eager float32.",
        *(f"Not measured, {engine}: {reason}" for engine, reason in missing.items()),
    ]
    return [Table("Pictures into embeddings", columns, rows, notes)]


def _measured(name: str, batches: tuple[int, ...], quick: bool, missing: dict[str, str]) -> Measured:
    reference = model_zoo.load(name)
    networks = _networks(reference, missing)
    pixels = _pixels(reference, max(batches))
    races = [_race(reference, networks, pixels[:batch], quick) for batch in batches]
    scores = {engine: _scores(network, pixels) for engine, network in networks.items()}
    changes = {engine: float((own - scores["eager"]).abs().max()) for engine, own in scores.items()}
    return Measured(races, changes)


def _networks(reference: EmbeddingNetwork, missing: dict[str, str]) -> dict[str, EmbeddingNetwork]:
    networks = {}
    for engine in ENGINES:
        try:
            networks[engine] = with_engine(reference, engine)
        except SimvisError as error:
            missing[engine] = str(error)
    return networks


def _pixels(network: EmbeddingNetwork, count: int) -> Tensor:
    files = [file for pair in distinct_pairs((count + 1) // 2) for file in pair]
    return torch.stack([network.view(open_picture(file), framing="square").pixels for file in files[:count]])


def _race(reference: EmbeddingNetwork, networks: dict[str, EmbeddingNetwork], pixels: Tensor, quick: bool) -> Race:
    jobs = {BARE: lambda: _bare(reference, pixels), **{name: _job(other, pixels) for name, other in networks.items()}}
    return race(jobs, [(BARE, name) for name in networks], QUICK if quick else replace(FULL, rounds=7))


def _job(network: EmbeddingNetwork, pixels: Tensor) -> Callable[[], object]:
    return lambda: network.embed(pixels)


@torch.inference_mode()
def _bare(network: EmbeddingNetwork, pixels: Tensor) -> Tensor:
    return network.backbone(pixels).mean((2, 3))


def _scores(network: EmbeddingNetwork, pixels: Tensor) -> Tensor:
    embeddings = network.embed(pixels).double()
    return embeddings @ embeddings.T


def _row(name: str, engine: str, measured: Measured, batches: tuple[int, ...]) -> list[str]:
    change = measured.changes[engine]
    row = [f"{name}, {engine}", f"{change:.0e}" if change else "0", "yes" if change < SCORE_CHANGE else "NO"]
    for batch, result in zip(batches, measured.races, strict=True):
        row += [number(1000 * batch / result.milliseconds(engine)), ratio(result, BARE, engine)]
    return row
