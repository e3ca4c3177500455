"""The attributes that are sets of ImageNet classes: one table from WordNet, one by hand."""

import csv
from functools import cache
from pathlib import Path

from model_zoo.attributes.imagenet import synsets

_HERE = Path(__file__).parent
WORDNET, BY_HAND = _HERE / "wordnet_groups.csv", _HERE / "hand_made_groups.csv"
GROUP_COLUMNS = ("attribute", "synset", "class")


@cache
def class_groups() -> dict[str, tuple[int, ...]]:
    """The numbers of each attribute's classes, in a classifier's order; the hand-made attributes come last."""
    numbers = {synset: number for number, synset in enumerate(synsets())}
    groups: dict[str, list[int]] = {}
    for path in (WORDNET, BY_HAND):
        for row in rows_of(path):
            groups.setdefault(row["attribute"], []).append(numbers[row["synset"]])
    return {name: tuple(group) for name, group in groups.items()}


def rows_of(path: Path) -> list[dict[str, str]]:
    """A table's rows: attribute, synset, class."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
