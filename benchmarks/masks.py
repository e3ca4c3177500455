"""How fast masked pictures are scored, beside a bare loop; and what whole maps by masks cost."""

import time
from functools import partial
from typing import Any

import torch

import model_zoo
from benchmarks.pictures import distinct_pairs
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Job, Race, race
from model_zoo.running.engines import with_engine
from simvis_core import EmbeddingNetwork, SimvisError, open_picture
from simvis_core.explainers.masks import batch_of
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS, drawing
from simvis_core.steps import run

NETWORK = "efficientnet_lite0"
MASKS, QUICK_MASKS = 64, 4
DRAWN = ("rise", "sliding_window", "lime", "corr_rise", "sbsm")
SMALL: dict[str, dict[str, Any]] = {
    "rise": {"masks": 8},
    "sliding_window": {"steps_a_side": 4, "window": 1},
    "lime": {"samples": 8},
    "corr_rise": {"masks": 8},
    "sbsm": {"steps_a_side": 5},
}


def tables(quick: bool) -> list[Table]:
    """Passes a second of RISE beside a bare loop under each engine, then seconds and passes of each explainer."""
    networks = _networks(("eager",) if quick else ("eager", "openvino"))
    count = QUICK_MASKS if quick else MASKS
    return [_speed(networks, count, quick), _costs(networks, quick)]


def _networks(engines: tuple[str, ...]) -> dict[str, EmbeddingNetwork]:
    found = {}
    for engine in engines:
        try:
            found[engine] = with_engine(model_zoo.load(NETWORK), engine)
        except SimvisError:  # not installed
            continue
    return found


def _speed(networks: dict[str, EmbeddingNetwork], count: int, quick: bool) -> Table:
    rows = []
    for engine, network in networks.items():
        question = _question(network)
        jobs: dict[str, Job] = {
            "bare": partial(_bare, network, question, count),
            "rise": partial(_drawn, question, "rise", masks=count),
        }
        found: Race = race(jobs, [("bare", "rise")], QUICK if quick else FULL)
        speeds = [number(count / found.milliseconds(job) * 1000) for job in jobs]
        rows.append([f"{NETWORK}, {engine}", *speeds, ratio(found, "bare", "rise")])
    notes = [
        f"{count} masked pictures in batches of {batch_of((224, 224))}, square views of 224. The bare loop runs "
        "backbone and mean over the same number of pictures, without masks, scores or maps."
    ]
    columns = ["network, engine", "bare, passes a second", "RISE, passes a second", "share of the bare loop's speed"]
    return Table("Masked pictures", columns, rows, notes)


def _bare(network: EmbeddingNetwork, question: Question, count: int) -> None:
    with torch.inference_mode():
        for part in torch.arange(count).split(batch_of(question.size)):
            network.backbone(question.view.pixels.expand(len(part), -1, -1, -1).contiguous()).mean((2, 3))


def _costs(networks: dict[str, EmbeddingNetwork], quick: bool) -> Table:
    rows = []
    for engine, network in networks.items():
        question = _question(network)
        for name in DRAWN[: 2 if quick else None]:
            started = time.perf_counter()
            passes = _drawn(question, name, **(SMALL[name] if quick else {}))
            spent = time.perf_counter() - started
            rows.append([f"{EXPLAINERS[name].title}, {engine}", str(passes), number(spent), number(passes / spent)])
    columns = ["explainer, engine", "forward passes", "seconds", "passes a second"]
    return Table(
        f"Whole maps by masks, {NETWORK}", columns, rows, ["The papers' own numbers of masks; each drawn once."]
    )


def _drawn(question: Question, name: str, **parameters: Any) -> int:
    return run(drawing(name, question, **parameters)).passes


def _question(network: EmbeddingNetwork) -> Question:
    a, b = (network.view(open_picture(file), 224, "square") for file in distinct_pairs(1)[0])
    return Question(network, a, network.embed(b.pixels[None])[0])
