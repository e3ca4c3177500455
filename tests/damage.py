"""What a full disk, a crash, another program or another version does to a file."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _written_over(path: Path) -> None:
    path.write_bytes(b"\xff" + random.Random(1).randbytes(path.stat().st_size))


def _gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _folder(path: Path) -> None:
    _gone(path)
    path.mkdir()


def _linked_in_a_circle(path: Path) -> None:
    """As root every file can be read; this one nobody can."""
    _gone(path)
    path.symlink_to(path.name)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": _cut,
    "empty": lambda path: path.write_bytes(b""),
    "written over": _written_over,
    "gone": _gone,
    "a folder": _folder,
    "unreadable": _linked_in_a_circle,
}
JSON_DAMAGE: dict[str, Callable[[Path], object]] = DAMAGE | {
    "a list": lambda path: path.write_text("[1]"),
    "text": lambda path: path.write_text('"name"'),
    "nothing": lambda path: path.write_text("null"),
    "brackets without end": lambda path: path.write_text("[" * 100_000),
    "another version": lambda path: path.write_text(json.dumps({"title": "birds", "edition": 9})),
    "another's": lambda path: path.write_text(path.read_text().replace("birds", "words")),
    "of other types": lambda path: path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), 5))),
}
