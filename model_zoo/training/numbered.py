"""A plain folder of numbered checkpoints: which file is which step of a training."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from model_zoo.checkpoints.files.reading import ENDINGS
from simvis_core.errors import SimvisError

_STEP = re.compile(
    r"(?:^|[^a-z])(?:step|steps|epoch|epochs|ep|iter|iteration|it|checkpoint|ckpt)[ _=-]*$", re.IGNORECASE
)
_KEEP = "keep one family of files in the folder, such as step_100.pt, step_200.pt"


def numbered(folder: Path) -> tuple[dict[int, Path], tuple[str, ...]]:
    """The checkpoints of a folder by their numbers, in order, and the names of weights that are left out.

    Files whose names differ by numbers only are a family; the largest is the series. Of several numbers in a name the
    one behind a word such as step or epoch counts, else the one that differs. Of pytorch-metric-learning's pairs the
    trunk is listed.

    Raises SimvisError for a folder that is missing, holds no numbered weights, two families of one size, names with two
    numbers that differ, and two files of one number.
    """
    if not folder.is_dir():
        raise SimvisError(f"'{folder}', which is no folder", "a folder of checkpoints", "check the path")
    files = [path for path in sorted(folder.iterdir()) if path.suffix.casefold() in ENDINGS and path.is_file()]
    files = [path for path in files if not _is_embedder(path)]
    families: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in files:
        families[tuple(re.split(r"\d+", _stem(path)))].append(path)
    families.pop((), None)
    counted = {words: family for words, family in families.items() if len(words) > 1}
    words, family = _largest(folder, counted, files)
    found: dict[int, Path] = {}
    place = _place(words, family)
    for path in family:
        number = int(re.findall(r"\d+", _stem(path))[place])
        if number in found:
            raise SimvisError(
                f"'{found[number].name}' and '{path.name}', both number {number}", "one file a number", "move one away"
            )
        found[number] = path
    rest = tuple(path.name for path in files if path not in family)
    return dict(sorted(found.items())), rest


def _stem(path: Path) -> str:
    stem = path.name
    while Path(stem).suffix.casefold() in ENDINGS:
        stem = Path(stem).stem
    return stem


def _is_embedder(path: Path) -> bool:
    """Whether it is the second file of a pair, which is opened with the first."""
    rest = path.name.removeprefix("embedder")
    return rest != path.name and path.with_name(f"trunk{rest}").is_file()


def _largest(
    folder: Path, families: dict[tuple[str, ...], list[Path]], files: Sequence[Path]
) -> tuple[tuple[str, ...], list[Path]]:
    if not families:
        names = ", ".join(path.name for path in files[:3]) or "no weights"
        raise SimvisError(f"'{folder.name}', which holds {names}", "checkpoints with numbers in their names", _KEEP)
    ranked = sorted(families.items(), key=lambda item: -len(item[1]))
    if len(ranked) > 1 and len(ranked[0][1]) == len(ranked[1][1]):
        one, other = ("#".join(words) for words, _ in ranked[:2])
        raise SimvisError(f"'{folder.name}' with as many files '{one}' as '{other}'", "one family", _KEEP)
    return ranked[0]


def _place(words: tuple[str, ...], family: Sequence[Path]) -> int:
    """Which of the numbers in the names tells the step."""
    rows = [re.findall(r"\d+", _stem(path)) for path in family]
    named = [at for at in range(len(words) - 1) if _STEP.search(words[at])]
    differing = [at for at in range(len(words) - 1) if len({row[at] for row in rows}) > 1]
    places = [at for at in named if at in differing] or differing or named or [len(words) - 2]
    if len(places) > 1:
        raise SimvisError(
            f"'{family[0].name}' with {len(places)} numbers that differ from file to file",
            "one number that tells the step",
            "call the files by it, such as step_100.pt",
        )
    return places[0]
