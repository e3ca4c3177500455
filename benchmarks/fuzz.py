"""Damaged and made-up files, opened one by one in bounded memory: which are refused, and what breaks.

``python -m benchmarks.fuzz KIND`` is the measured child: one line of JSON a file. Where it dies, another is started.
"""

import argparse
import gc
import json
import os
import random
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import fuzz_checkpoints, fuzz_pictures
from benchmarks.tables import Table, number
from simvis_core import SimvisError

LIMIT = 2.0  # seconds of processor that a file may cost
PATIENCE = 60.0  # seconds by the clock until a child that says nothing is ended
ROOM = 1 << 30  # bytes that a file may take beside what the program has
MEBIBYTE = 2**20
OPENED, REFUSED, FOREIGN = "opened", "refused", "foreign exceptions"


class Kind(NamedTuple):
    """A kind of file: ``seeds`` writes sound ones into a folder, ``damaged`` one more there, and says what it did.

    ``opened`` opens a file as the program does.
    """

    seeds: Callable[[Path], list[Path]]
    damaged: Callable[[list[Path], random.Random, Path], tuple[Path, str]]
    opened: Callable[[Path], object]


@dataclass(frozen=True)
class Outcome:
    """What came of a file: ``seconds`` of processor, ``memory`` in MiB at its peak beyond what was there before."""

    number: int
    what: str
    outcome: str
    error: str
    seconds: float
    memory: float


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables of every kind asked for; 1 where a file broke something or took too long, else 0."""
    options = _parser().parse_args(arguments)
    asked = {kind: count for kind in KINDS if (count := getattr(options, kind))} or dict.fromkeys(KINDS, 1000)
    found = {kind: [*run(kind, count, options.seed, options.first)] for kind, count in asked.items()}
    for kind, outcomes in found.items():
        print(f"\n{table(kind, outcomes, options.seed).markdown()}")
    if options.json:
        told = {kind: [*map(asdict, outcomes)] for kind, outcomes in found.items()}
        options.json.write_text(json.dumps({"seed": options.seed, **told}, indent=1) + "\n")
    return int(any(one.outcome == FOREIGN or one.seconds > LIMIT for outcomes in found.values() for one in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__.partition("\n")[0])
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N", help="how many; 1000 where none is given")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other files")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="the first file's, to make one again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of every file to this one")
    return parser


def table(kind: str, outcomes: list[Outcome], seed: int) -> Table:
    """Counts by what was done to the file; beneath, what broke and how to make it again."""
    whats = sorted({one.what.partition(":")[0] for one in outcomes})
    rows = []
    for what in (*whats, "all"):
        there = [one for one in outcomes if what in ("all", one.what.partition(":")[0])]
        counts = Counter(one.outcome for one in there)
        slowest = max(one.seconds for one in there)
        most = max(one.memory for one in there)
        rows.append(
            [what, *(str(counts[name]) for name in (OPENED, REFUSED, FOREIGN)), f"{slowest:.2f}", number(max(0, most))]
        )
    bad = [one for one in outcomes if one.outcome == FOREIGN or one.seconds > LIMIT]
    notes = [f"Seconds of processor, one thread; {sum(one.seconds > LIMIT for one in outcomes)} took over {LIMIT:g}."]
    notes += [
        f"`python -m benchmarks fuzz --{kind} 1 --seed {seed} --first {one.number}` ({one.what}): {one.seconds:.2f} s, "
        f"{one.outcome}: {one.error}"
        for one in bad[:20]
    ]
    columns = ["what was done to the file", OPENED, REFUSED, FOREIGN, "slowest, s", "most memory, MiB"]
    return Table(f"{len(outcomes)} damaged {kind}, seed {seed}", columns, rows, notes)


# The parent


def run(kind: str, count: int, seed: int, first: int = 0) -> Iterator[Outcome]:
    """What came of files number ``first`` to ``first + count - 1``, each as soon as it is known."""
    at, end = first, first + count
    while at < end:
        for outcome in _child(kind, at, end - at, seed):
            yield outcome
            at = outcome.number + 1


def _child(kind: str, first: int, count: int, seed: int) -> Iterator[Outcome]:
    """The outcomes of one child; a last one for the file over which it died or fell silent."""
    options = ["--seed", str(seed), "--first", str(first), "--count", str(count)]
    at, started = first, time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fuzz", kind, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in _lines(process):
            outcome = Outcome(**json.loads(line))
            yield outcome
            at, started = outcome.number + 1, time.perf_counter()
        process.kill()
    if at < first + count:
        words = f"the process ended with {process.returncode}, or said nothing for {PATIENCE:g} s"
        yield Outcome(at, "not told", FOREIGN, words, time.perf_counter() - started, 0)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Whole lines, until the process ends or says nothing for too long."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(PATIENCE):
            line = process.stdout.readline()
            if not line.endswith("\n"):
                return
            yield line


# The child


def tried(kind: str, first: int, count: int, seed: int, room: int | None = ROOM) -> Iterator[Outcome]:
    """What comes of each file in this process, whose memory is bounded first (not for a ``room`` of None)."""
    with tempfile.TemporaryDirectory() as folder:
        (seeds := Path(folder) / "seeds").mkdir()
        sound = KINDS[kind].seeds(seeds)
        for path in sound:  # whatever is loaded once, is loaded; a seed that does not fit is no seed
            with suppress(SimvisError):
                KINDS[kind].opened(path)
        if room is not None:
            _bound(room)
        gc.freeze()  # what lives on is not looked through again each time
        for at in range(first, first + count):
            (place := Path(folder) / str(at)).mkdir()
            path, what = KINDS[kind].damaged(sound, chance(seed, at), place)
            yield _outcome(at, what, KINDS[kind].opened, path)
            for made in place.iterdir():
                made.unlink()


def chance(seed: int, at: int) -> random.Random:
    """What decides of file number ``at``."""
    return random.Random(f"{seed} {at}")


def _outcome(at: int, what: str, opened: Callable[[Path], object], path: Path) -> Outcome:
    gc.collect()
    before = _peak_from_here()
    started = _spent()
    outcome, words = OPENED, ""
    try:
        opened(path)
    except SimvisError as error:
        outcome, words = (FOREIGN, "memory ran out") if _ran_out(error) else (REFUSED, str(error))
    except BaseException as error:  # noqa: BLE001  (what else comes is what is looked for)
        outcome, words = FOREIGN, f"{type(error).__name__}: {error}"
    return Outcome(at, what, outcome, words, _spent() - started, _peak() - before)


def _spent() -> float:
    """Seconds of processor, those of ended children with it: some decoders have a process of their own."""
    return sum(os.times()[:4])


def _ran_out(error: BaseException) -> bool:
    """Whether a refusal came of memory that was not there: a larger machine would have filled it."""
    cause = error.__cause__ or error.__context__
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or (cause is not None and _ran_out(cause))


def _bound(room: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)


def _peak_from_here() -> float:
    """Resident memory in MiB, from which on the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _answer() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    for name in ("--seed", "--first", "--count"):
        parser.add_argument(name, type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for outcome in tried(asked.kind, asked.first, asked.count, asked.seed):
        print(json.dumps(asdict(outcome)), flush=True)


KINDS: dict[str, Kind] = {
    "checkpoints": Kind(fuzz_checkpoints.seeds, fuzz_checkpoints.damaged, fuzz_checkpoints.opened),
    "pictures": Kind(fuzz_pictures.seeds, fuzz_pictures.damaged, fuzz_pictures.opened),
}

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _answer()
