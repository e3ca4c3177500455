"""The list of mistakes, and where in a tree each stands: by its line, never by a path, so that files may move."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("simvis_core", "model_zoo")
LISTS = (
    "attributes.toml",
    "concepts.toml",
    "core.toml",
    "depths.toml",
    "learning.toml",
    "learnt.toml",
    "progress.toml",
    "zoo.toml",
)
_TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)

Lines = Mapping[str, Sequence[tuple[Path, int]]]


@dataclass(frozen=True)
class Mutation:
    """A mistake: ``old``, a line of the core or the zoo without its indentation, becomes ``new``.

    ``tests`` are names of test functions, one of which fails then; ``name[case]`` is one case of such a function.
    """

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutations() -> list[Mutation]:
    """Every mistake of the list, in its order."""
    here = Path(__file__).parent
    tables = [table for file in LISTS for table in tomllib.loads((here / file).read_text())["mutation"]]
    return [Mutation(**{**table, "tests": tuple(table["tests"])}) for table in tables]


def lines_of(tree: Path) -> Lines:
    """Where each line of the two packages stands: files below the tree, and the line's number from 0."""
    found: dict[str, list[tuple[Path, int]]] = {}
    for package in PACKAGES:
        for path in sorted((tree / package).rglob("*.py")):
            for number, line in enumerate(path.read_text().splitlines()):
                found.setdefault(line.strip(), []).append((path.relative_to(tree), number))
    return found


def place(mutation: Mutation, lines: Lines) -> tuple[Path, int]:
    """The one place of the mutation's line. Raises LookupError for a line that stands nowhere, or more than once."""
    places = lines.get(mutation.old, ())
    if len(places) != 1:
        where = ", ".join(f"{path}:{number + 1}" for path, number in places) or "nowhere"
        raise LookupError(f"'{mutation.name}' needs a line that stands once; it stands {where}: {mutation.old}")
    return places[0]


def planted(text: str, number: int, mutation: Mutation) -> str:
    """A file's text with the mutation in a line of it, as far indented as before."""
    lines = text.splitlines(keepends=True)
    lines[number] = lines[number].replace(mutation.old, mutation.new)
    return "".join(lines)


def files_by_test(tree: Path) -> dict[str, list[Path]]:
    """The files below the tree that hold a test function, by its name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((tree / "tests").rglob("test_*.py")):
        for name in _TEST.findall(path.read_text()):
            found.setdefault(name, []).append(path.relative_to(tree))
    return found


def named(mutation: Mutation, tests: Mapping[str, Sequence[Path]]) -> list[str]:
    """The mutation's tests as pytest takes them. Raises LookupError for a name that no file has, or several have."""
    return [f"{_file(mutation, test, tests)}::{test}" for test in mutation.tests]


def _file(mutation: Mutation, test: str, tests: Mapping[str, Sequence[Path]]) -> Path:
    files = tests.get(test.partition("[")[0], ())
    if len(files) != 1:
        where = ", ".join(map(str, files)) or "none"
        raise LookupError(f"'{mutation.name}' needs {test} in one file; files with it: {where}")
    return files[0]
