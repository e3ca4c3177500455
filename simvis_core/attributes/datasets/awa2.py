"""Animals with Attributes 2 (Xian 2018): 50 classes of animals, 85 attributes of each class, as it is published."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from simvis_core.attributes.datasets.dataset import AttributeDataset, lines_of
from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.errors import SimvisError

_SOURCE = "the archives AwA2-base.zip and AwA2-data.zip (cvml.ista.ac.at/AwA2)"
KEPT_APART = 20  # pictures of each training class, for weights and thresholds
_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_awa2(root: str | Path, seed: int = 0) -> AttributeDataset:
    """The folder that holds ``JPEGImages``, the predicate matrix, and the lists of classes and predicates.

    Attributes are told per class, so that a picture counts as showing what its animal has, seen or not. "test" are the
    classes of ``testclasses.txt``, "train" and "valid" those of ``trainclasses.txt``, 20 pictures of each class (half,
    of a class of fewer than 40) drawn by ``seed`` for "valid": the published data have no such part.

    Raises SimvisError for files that are missing or damaged, a matrix of another size than the lists, a class on both
    sides or on neither list, and one without pictures.
    """
    root = Path(root)
    classes, names = _numbered(root / "classes.txt"), _numbered(root / "predicates.txt")
    matrix = _matrix(root / "predicate-matrix-binary.txt", len(classes), len(names))
    sides = {side: _side(root, side, classes) for side in ("train", "test")}
    both = sorted(set(sides["train"]) & set(sides["test"]))
    if both:
        raise _wrong(f"the class '{both[0]}' in trainclasses.txt and testclasses.txt", "each class in one of them")
    places = {name: place for place, name in enumerate(classes)}
    files = {name: _pictures(root / "JPEGImages" / name) for side in sides.values() for name in side}
    pictures = [(file, name) for name, found in files.items() for file in found]
    values = matrix[[places[name] for _, name in pictures]]
    labels = AttributeLabels(
        tuple(str(file) for file, _ in pictures), tuple(name for _, name in pictures), tuple(names), values
    )
    parts = _parts(files, sides["train"], seed)
    return AttributeDataset("Animals with Attributes 2", labels, ("",) * len(pictures), parts)


def _parts(files: Mapping[str, Sequence[Path]], trained: Sequence[str], seed: int) -> dict[str, tuple[int, ...]]:
    chance = random.Random(seed)  # noqa: S311  (which pictures are kept apart is no secret)
    parts: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    start = 0
    for name, found in files.items():
        numbers = range(start, start + len(found))
        apart = set(chance.sample(numbers, min(KEPT_APART, len(found) // 2))) if name in trained else set()
        for number in numbers:
            parts["test" if name not in trained else "valid" if number in apart else "train"].append(number)
        start += len(found)
    return {name: tuple(numbers) for name, numbers in parts.items()}


def _numbered(file: Path) -> list[str]:
    """The names of a file whose lines are a number and a name, in the order of the numbers 1, 2, ..."""
    rows = lines_of(file, _SOURCE)
    if any(len(row) != 2 for row in rows) or [row[0] for row in rows] != [str(at) for at in range(1, len(rows) + 1)]:
        raise _wrong(f"'{file.name}', whose lines are not a number from 1 on and a name", "lines such as '1 antelope'")
    return [row[1] for row in rows]


def _matrix(file: Path, classes: int, names: int) -> Tensor:
    rows = lines_of(file, _SOURCE)
    wrong = next((at for at, row in enumerate(rows, 1) if len(row) != names or set(row) - {"0", "1"}), None)
    if wrong is not None or len(rows) != classes:
        where = f"line {wrong}" if wrong is not None else f"{len(rows)} lines"
        raise _wrong(f"'{file.name}', {where}", f"{classes} lines of {names} zeros and ones, as the two lists have it")
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)


def _side(root: Path, side: str, classes: Sequence[str]) -> list[str]:
    file = root / f"{side}classes.txt"
    found = [row[0] for row in lines_of(file, _SOURCE)]
    unknown = [name for name in found if name not in classes]
    if unknown:
        raise _wrong(f"the class '{unknown[0]}' in '{file.name}'", "a class of classes.txt")
    return found


def _pictures(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise SimvisError(
            f"'{folder}' without pictures",
            "a folder of pictures for each class that is listed",
            f"take it from {_SOURCE}",
        )
    return found


def _wrong(got: str, wanted: str) -> SimvisError:
    return SimvisError(got, wanted, f"take the file from {_SOURCE}")
