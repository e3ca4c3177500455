"""Runs tests of the tree it is started in, each time in a child that finds slow modules imported already.

Its arguments are the names of these modules; of the tree's own only the named ones stay. Standard input has a JSON
list of tests a line; standard output answers with an `Answer` as one line of JSON. It is started as a file, so that
nothing of another tree can be imported.
"""

import gc
import importlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGES = ("simvis_core", "model_zoo")
SECONDS = 120  # of one test: a mistake may let it run for ever
OPTIONS = (
    *("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=", "-o", f"timeout={SECONDS}"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of plugins that were imported ahead
)
PRINTED = 4000  # characters of it, the last


class Answer(NamedTuple):
    """pytest's exit code, the first test that failed ("" for none), and what pytest printed."""

    code: int
    failed: str
    printed: str


class _Failed:
    """The plugin that notes which test failed first."""

    def __init__(self) -> None:
        self.first = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """As pytest calls it for each test."""
        if report.failed and not self.first:
            self.first = report.nodeid


def main() -> None:
    """Answers until standard input ends."""
    sys.path[0] = os.getcwd()
    sys.dont_write_bytecode = False  # what did not change is compiled once
    ahead = sys.argv[1:]
    for name in ahead:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES and name not in ahead]:
        del sys.modules[name]  # a mistake may be planted there
    gc.freeze()  # no child looks through what was imported here
    answers, log = os.dup(1), Path(os.environ["TMPDIR"]) / "printed"
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _answer(json.loads(line), answers, log)
        _, died = os.waitpid(child, 0)
        if died:
            _tell(Answer(-1, "", log.read_text(errors="replace")[-PRINTED:]), answers)


def _answer(tests: list[str], answers: int, log: Path) -> None:
    """In the child, which ends here."""
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    failed = _Failed()
    code = int(pytest.main([*OPTIONS, *tests], plugins=[failed]))
    sys.stdout.flush()
    _tell(Answer(code, failed.first, log.read_text(errors="replace")[-PRINTED:]), answers)
    os._exit(0)


def _tell(answer: Answer, answers: int) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
