"""Builds the table of class groups from WordNet: run as a module with --wordnet DIR."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from model_zoo.attributes.groups import GROUP_COLUMNS, WORDNET
from model_zoo.attributes.hypernyms import HYPERNYMS, Below
from model_zoo.attributes.imagenet import class_names
from simvis_core.errors import SimvisError
from simvis_core.files.writing import table, write_whole

NOUNS = "data.noun"
LICENCE_MARK = "  "  # WordNet's files begin with their licence, on lines of two spaces
ABOVE = ("@", "@i")  # pointers to a hypernym, of a kind and of an instance


class Noun(NamedTuple):
    """One of WordNet's nouns: its first word, and the synsets it is a kind of."""

    word: str
    above: tuple[str, ...]


def read_nouns(folder: Path) -> dict[str, Noun]:
    """WordNet's nouns by synset, from its ``data.noun`` (format: wndb(5WN)).

    Raises SimvisError where the folder has no such file.
    """
    path = folder / NOUNS
    if not path.is_file():
        raise SimvisError(
            f"'{folder}' without {NOUNS}", "the dict folder of WordNet 3.0", "name it, as Debian's wordnet-base has it"
        )
    lines = path.read_text(encoding="ascii").splitlines()
    return dict(_noun(line) for line in lines if not line.startswith(LICENCE_MARK))


def _noun(line: str) -> tuple[str, Noun]:
    """One line: offset, file, type, how many words (hexadecimal), the words with a number each, pointers, a gloss."""
    fields = line.partition("|")[0].split()
    after = 4 + 2 * int(fields[3], 16)
    pointers = [fields[place : place + 4] for place in range(after + 1, after + 1 + 4 * int(fields[after]), 4)]
    above = tuple(f"n{offset}" for symbol, offset, kind, _ in pointers if symbol in ABOVE and kind == "n")
    return f"n{fields[0]}", Noun(fields[4], above)


def built(nouns: Mapping[str, Noun]) -> bytes:
    """The table as CSV: for each attribute its classes, in the order of the classifier.

    Raises SimvisError for a recipe's noun that WordNet does not have under that word.
    """
    rows = [
        {"attribute": attribute, "synset": synset, "class": name}
        for attribute, recipe in HYPERNYMS.items()
        for synset, name in class_names().items()
        if _belongs(synset, recipe, nouns)
    ]
    return table(GROUP_COLUMNS, rows)


def _belongs(synset: str, recipe: Below, nouns: Mapping[str, Noun]) -> bool:
    kinds = _kinds(synset, nouns)
    under, less = ({_checked(noun, nouns) for noun in part} for part in recipe)
    return bool(kinds & under) and not kinds & less


def _kinds(synset: str, nouns: Mapping[str, Noun]) -> set[str]:
    """The synset and everything that it is a kind of, by any way up."""
    found, waiting = set(), [synset]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += nouns[one].above
    return found


def _checked(said: str, nouns: Mapping[str, Noun]) -> str:
    synset, _, word = said.partition(" ")
    known = nouns.get(synset)
    if known is None or known.word != word:
        got = "no noun" if known is None else f"'{known.word}'"
        raise SimvisError(f"'{said}', which is {got} in WordNet", "a synset with its first word", "correct the recipe")
    return synset


def _main() -> None:
    """Writes the table from the command line's WordNet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True, metavar="DIR", help="WordNet 3.0's folder of data.noun")
    write_whole(WORDNET, built(read_nouns(parser.parse_args().wordnet)))


if __name__ == "__main__":
    _main()
