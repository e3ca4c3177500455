"""Plants each mistake of the list in a copy of the tree, one after another, and tells which tests catch it."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.mutations import testing
from benchmarks.mutations.listed import Mutation, files_by_test, lines_of, mutations, named, place, planted
from benchmarks.mutations.testing import Answer
from benchmarks.tables import Table

TREE = Path(__file__).parents[2]
# What most tests import and takes long; torchvision and timm only after the operators that they may lack.
AHEAD = (
    *("model_zoo.operators", "torchvision", "timm", "skimage.segmentation", "scipy.stats"),
    *("beartype.door", "jaxtyping", "hypothesis.strategies"),
)
LINKED = (".jpg", ".png", ".heic", ".safetensors")  # of the copy: nothing is planted in pictures and weights
CAUGHT, SURVIVED, BROKEN = "caught", "SURVIVED", "DOES NOT RUN"
_OUTCOMES = {0: SURVIVED, 1: CAUGHT}  # by pytest's exit code
_NEVER = count(1_000_000_000)  # times of change that no file has: Python tells by them what to compile again


@dataclass(frozen=True)
class Outcome:
    """What came of a mutation; ``by`` is the first test that failed."""

    mutation: Mutation
    file: Path
    outcome: str
    by: str
    seconds: float


def main(
    arguments: list[str] | None = None,
    tree: Path = TREE,
    known: Sequence[Mutation] | None = None,
    ahead: Sequence[str] = AHEAD,
) -> int:
    """Prints a line for each mutation and a table of all; 1 where one survives or does not run, else 0."""
    known = mutations() if known is None else known
    options = _parser().parse_args(arguments)
    asked = [one for one in known if not options.names or one.name in options.names]
    if unknown := set(options.names) - {one.name for one in known}:
        _parser().error(f"no such mutation: {', '.join(sorted(unknown))}")
    started = time.perf_counter()
    found = run(tree, asked, options.workers, ahead)
    print(f"\n{table(found, time.perf_counter() - started).markdown()}")
    return int(any(one.outcome != CAUGHT for one in found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of the list; else all")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="copies that are tested at a time; 2")
    return parser


def table(found: Sequence[Outcome], seconds: float) -> Table:
    """Every outcome, those that were not caught first."""
    worst_first = sorted(found, key=lambda one: one.outcome == CAUGHT)
    rows = [[one.mutation.name, str(one.file), one.outcome, one.by, f"{one.seconds:.1f}"] for one in worst_first]
    caught = sum(one.outcome == CAUGHT for one in found)
    note = f"{caught} of {len(found)} caught, in {seconds:.0f} s."
    return Table("Mistakes of one line", ["mistake", "file", "outcome", "by the test", "s"], rows, [note])


def run(tree: Path, asked: Sequence[Mutation], workers: int, ahead: Sequence[str] = AHEAD) -> list[Outcome]:
    """What came of each mutation, in the list's order; before, all of their tests pass without any.

    ``ahead`` names modules that the tests find imported.

    Raises LookupError for a mutation whose line or tests are not found once, RuntimeError for tests that fail
    without any mutation.
    """
    lines, tests = lines_of(tree), files_by_test(tree)
    jobs = [(one, *place(one, lines), named(one, tests)) for one in asked]
    shares = [jobs[first::workers] for first in range(min(workers, len(jobs)))]
    with ThreadPoolExecutor(len(shares) or 1) as threads:
        found = threads.map(lambda share: list(_share(tree, share, ahead)), shares)
        return sorted((outcome for share in found for outcome in share), key=lambda one: asked.index(one.mutation))


Job = tuple[Mutation, Path, int, list[str]]


def _share(tree: Path, jobs: Sequence[Job], ahead: Sequence[str]) -> Iterator[Outcome]:
    with TemporaryDirectory() as room:
        copy = Path(room) / "tree"
        _copy(tree, copy)
        with _tester(copy, ahead) as tester:
            clean = _asked(tester, sorted({test for job in jobs for test in job[3]}))
            if clean.code:
                raise RuntimeError(f"the tests fail without any mutation:\n{clean.printed}")
            for mutation, file, number, tests in jobs:
                yield _outcome(tester, copy, mutation, file, number, tests)


def _outcome(
    tester: subprocess.Popen[str], copy: Path, mutation: Mutation, file: Path, number: int, tests: list[str]
) -> Outcome:
    started, whole = time.perf_counter(), (copy / file).read_text()
    _written(copy / file, planted(whole, number, mutation))
    answer = _asked(tester, tests)
    _written(copy / file, whole)
    outcome = Outcome(
        mutation,
        file,
        _OUTCOMES.get(answer.code, BROKEN),
        answer.failed.rpartition("::")[2],
        time.perf_counter() - started,
    )
    print(f"{outcome.outcome}: {mutation.name}  ({outcome.by}, {outcome.seconds:.1f} s)", flush=True)
    if outcome.outcome == BROKEN:
        print(answer.printed, flush=True)
    return outcome


def _written(path: Path, text: str) -> None:
    path.write_text(text)
    changed = next(_NEVER)
    os.utime(path, (changed, changed))


def _copy(tree: Path, copy: Path) -> None:
    """The files that git tracks, as they are in the tree now; pictures and weights as links to the tree's own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=tree, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (tree / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (os.symlink if name.endswith(LINKED) else shutil.copy2)(tree / name, copy / name)


@contextmanager
def _tester(copy: Path, ahead: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The process that runs a copy's tests; it ends with the block."""
    environment = {**os.environ, "TMPDIR": str(copy.parent)}
    command = [sys.executable, testing.__file__, *ahead]
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tester:
        try:
            yield tester
        finally:
            tester.terminate()


def _asked(tester: subprocess.Popen[str], tests: list[str]) -> Answer:
    assert tester.stdin is not None
    assert tester.stdout is not None
    tester.stdin.write(json.dumps(tests) + "\n")
    tester.stdin.flush()
    line = tester.stdout.readline()
    if not line:
        raise RuntimeError("the process that runs the tests has died")
    return Answer(*json.loads(line))
