"""What the threads' way of waiting costs: forward passes and small steps under each OpenMP setting, alone and crowded.

``python -m benchmarks.waiting`` is the measured child: OpenMP reads its settings once, as a process starts.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

import model_zoo
from benchmarks.machine import keep_freed_memory
from benchmarks.tables import Table, number
from benchmarks.timing import Job, timed
from simvis_core import EmbeddingNetwork

SETTINGS: dict[str, dict[str, str]] = {
    "unset": {},
    "active": {"OMP_WAIT_POLICY": "ACTIVE"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin a little": {"GOMP_SPINCOUNT": "10000"},
}
SIZE = (224, 320)
ROUNDS, PASSES = 5, 12
POOL = ThreadPoolExecutor(2)
Times = dict[str, float]  # job at threads -> milliseconds


def tables(quick: bool) -> list[Table]:
    """One table: each setting's median milliseconds, beside what the app sets ("passive")."""
    rounds, passes = (1, 1) if quick else (ROUNDS, PASSES)
    settings = ("unset", "passive") if quick else tuple(SETTINGS)
    crowds = (False,) if quick else (False, True)
    measured: dict[tuple[str, bool], list[Times]] = {(name, busy): [] for busy in crowds for name in settings}
    for _ in range(rounds):
        for (name, busy), runs in measured.items():
            with _crowd(busy):
                runs.append(_child(SETTINGS[name], passes))
    return [_table(measured)]


def _table(measured: dict[tuple[str, bool], list[Times]]) -> Table:
    jobs = list(next(iter(measured.values()))[0])
    rows = [
        [name, "one busy process" if busy else "alone", *(_cell(measured, name, busy, job) for job in jobs)]
        for name, busy in measured
    ]
    return Table(
        f"How threads wait: efficientnet_lite0, {SIZE[0]} x {SIZE[1]}, ms (and times the passive setting's)",
        ["setting", "beside", *jobs],
        rows,
        [
            "`two side by side`: two forward passes at once, each in a Python thread of its own. `small steps`: "
            "decompositions and both maps of a pair from features already computed."
        ],
    )


def _cell(measured: dict[tuple[str, bool], list[Times]], name: str, busy: bool, job: str) -> str:
    own, base = ([run[job] for run in measured[setting, busy]] for setting in (name, "passive"))
    ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
    return f"{number(statistics.median(own))} ({number(ratio)} x)"


@contextmanager
def _crowd(busy: bool) -> Iterator[None]:
    """A process that never rests, for as long as the block lasts."""
    if not busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _child(setting: dict[str, str], passes: int) -> Times:
    kept = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-m", "benchmarks.waiting", str(passes)]
    answer = subprocess.run(command, env=kept | setting, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def _measured(passes: int) -> Times:
    """In the child: one thread before two, since a pool of spinning threads does not go away again."""
    keep_freed_memory()
    torch.set_num_threads(1)
    network = model_zoo.load("efficientnet_lite0")
    result: Times = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, job in _jobs(network).items():
            timed(job)
            result[f"{name}, {threads} thread{'s'[: threads - 1]}"] = _median(job, passes)
    return result


def _jobs(network: EmbeddingNetwork) -> dict[str, Job]:
    pixels = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    features = network.features(pixels)[0]

    def small_steps() -> object:
        a, b = (network.decompose_features(features) for _ in range(2))
        return a.similarity_map(b.embedding), b.similarity_map(a.embedding)

    return {
        "forward pass": lambda: network.features(pixels),
        "two side by side": lambda: list(POOL.map(network.features, (pixels, pixels))),
        "small steps": small_steps,
    }


def _median(job: Job, passes: int) -> float:
    return statistics.median(timed(job) for _ in range(passes)) * 1000


if __name__ == "__main__":
    print(json.dumps(_measured(int(sys.argv[1]))))
