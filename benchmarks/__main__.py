"""Runs the benchmarks and prints Markdown tables.

Instead of timing, ``fuzz`` opens damaged files, ``mutations`` plants mistakes that tests catch, and ``unchanged``
compares the numbers of two commits.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

# As in app.py, and before torch is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks import (
    concepts,
    crowd,
    decoding,
    depth,
    drag,
    embed,
    explain,
    fuzz,
    gallery,
    interact,
    learnt_attributes,
    machine,
    masks,
    memory,
    naive,
    page,
    recall,
    training,
    unchanged,
    waiting,
)
from benchmarks.mutations import planting
from benchmarks.tables import Table


def main(arguments: list[str]) -> int:
    """Prints each question's tables as soon as they are there; with --json writes them to a file too.

    0, but for ``fuzz`` that found something to mend, ``mutations`` that no test catches, and ``unchanged`` that found a
    difference.
    """
    if arguments and arguments[0] in UNTIMED:
        return UNTIMED[arguments[0]](arguments[1:])
    options = _parser().parse_args(arguments)
    machine.keep_freed_memory()
    facts = machine.facts()
    for name, fact in facts.items():
        print(f"{name}: {fact}  ")
    answers = []
    for question in options.questions or QUESTIONS:
        neighbours = machine.Neighbours()
        tables = QUESTIONS[question](options.quick)
        answers.append({"question": question, "others": neighbours.report(), "tables": [*map(asdict, tables)]})
        for table in tables:
            print(f"\n{table.markdown()}")
        print(f"\nOther processes kept {answers[-1]['others']} busy meanwhile.")
    if options.json:
        options.json.write_text(json.dumps({**facts, "quick": options.quick, "answers": answers}, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "questions",
        nargs="*",
        metavar="QUESTION",
        help=f"some of {', '.join(QUESTIONS)}; else all; or {' or '.join(UNTIMED)} alone",
    )
    parser.add_argument("--quick", action="store_true", help="a few rounds of a few cases, to see that all works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file too")
    return parser


QUESTIONS: dict[str, Callable[[bool], list[Table]]] = {
    "embed": embed.tables,
    "explain": explain.tables,
    "interact": interact.tables,
    "naive": naive.tables,
    "gallery": gallery.tables,
    "recall": recall.tables,
    "masks": masks.tables,
    "pictures": decoding.tables,
    "drag": drag.tables,
    "crowd": crowd.tables,
    "memory": memory.tables,
    "page": page.tables,
    "waiting": waiting.tables,
    "training": training.tables,
    "concepts": concepts.tables,
    "depth": depth.tables,
    "learnt_attributes": learnt_attributes.tables,
}
UNTIMED: dict[str, Callable[[list[str]], int]] = {
    "fuzz": fuzz.main,
    "mutations": planting.main,
    "unchanged": unchanged.main,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
