"""A checkpoint series' manifest: its base, its steps and their files, from JSON and to it."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simvis_core.errors import SimvisError
from simvis_core.files.reading import fields

MANIFEST = "series.json"
SERIES_FORMAT = 1
TRAIN_AGAIN = "take the folder as it was written, or train again"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class StoredFile:
    """A file of a series, in its folder: name, size in bytes, and the sha256 of its content in hex."""

    name: str
    size: int
    sha256: str


def stored_file(stem: str, ending: str, content: bytes) -> StoredFile:
    """A file named by what it is and by its content, so that one written again never touches one that is named.

    >>> from simvis_core.progress.manifests import stored_file
    >>> stored_file("step-000100", "txt", b"one").name
    'step-000100-7692c3ad3540.txt'
    """
    sha256 = hashlib.sha256(content).hexdigest()
    return StoredFile(f"{stem}-{sha256[:12]}.{ending}", len(content), sha256)


def read_stored(folder: Path, stored: StoredFile) -> bytes:
    """The file's content. Raises SimvisError for one that is missing, or torn or changed.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.progress.manifests import read_stored, stored_file
    >>> stored = stored_file("a", "txt", b"one")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, stored.name).write_bytes(b"one")
    ...     read_stored(Path(folder), stored)
    ...
    b'one'
    """
    try:
        content = (folder / stored.name).read_bytes()
    except OSError as error:
        raise damaged_file(folder, stored, f"cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != stored.sha256:
        raise damaged_file(folder, stored, "is torn or changed: its sha256 is another")
    return content


def damaged_file(folder: Path, stored: StoredFile, why: str) -> SimvisError:
    """The error for a file that is not as it was written.

    >>> from pathlib import Path
    >>> from simvis_core.progress.manifests import damaged_file, stored_file
    >>> damaged_file(Path("run"), stored_file("a", "txt", b"one"), "is torn").got
    "'a-7692c3ad3540.txt' of 'run', which is torn"
    """
    return SimvisError(f"'{stored.name}' of '{folder.name}', which {why}", "it as written", TRAIN_AGAIN)


@dataclass(frozen=True)
class SeriesBase:
    """Where a training began, and what its steps are stored against.

    ``name`` is what the zoo knows the network by. With a ``seed`` its weights were drawn with it, without one they are
    the published ones. ``sha256`` is the `base_digest` of its state, in hex.
    """

    name: str
    sha256: str
    seed: int | None = None


@dataclass(frozen=True)
class SeriesStep:
    """A step of a series: how many optimiser steps were taken, and what was measured there.

    ``weights`` holds the tensors that differ from the base's (None: none does, it is the base itself); ``without``
    names the base's tensors that the network lacks. ``loss`` is the training loss in the loss's own unit, None where
    none was taken; ``figures`` are numbers by name; ``gallery`` holds a gallery's embeddings.
    """

    step: int
    weights: StoredFile | None
    without: tuple[str, ...] = ()
    loss: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    gallery: StoredFile | None = None

    @property
    def file(self) -> str | None:
        """The name of the file with the weights; None for the base itself.

        >>> from simvis_core.progress.manifests import SeriesStep
        >>> SeriesStep(0, None).file is None
        True
        """
        return None if self.weights is None else self.weights.name


@dataclass(frozen=True)
class Manifest:
    """What a series is, without its folder; see `Series`."""

    name: str
    architecture: str
    pooling: str
    base: SeriesBase | None
    short_side: int | None
    about: Mapping[str, Any]
    steps: tuple[SeriesStep, ...] = ()

    def written(self) -> dict[str, Any]:
        """The manifest as plain values that JSON has, tuples as its lists.

        >>> from simvis_core.progress.manifests import Manifest, SeriesStep
        >>> Manifest("run", "mobilenet_v2", "avg", None, 128, {}, (SeriesStep(0, None),)).written()["steps"]
        ({'step': 0, 'weights': None, 'without': (), 'loss': None, 'figures': {}, 'gallery': None},)
        """
        return {"format": SERIES_FORMAT} | asdict(self)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a series' folder.

    Raises SimvisError where there is none, for one that is damaged, and for one of a later SimVis.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.progress.manifests import read_manifest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_manifest(Path(folder, "run"))
    ...
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'run', which holds no series.json; wanted the folder of a checkpoint series: ...
    """
    if not (folder / MANIFEST).exists():
        raise SimvisError(
            f"'{folder.name}', which holds no {MANIFEST}",
            "the folder of a checkpoint series",
            "name one that a training wrote, or give the architecture of a folder of numbered checkpoints",
        )
    read = fields(folder / MANIFEST, TRAIN_AGAIN)
    try:
        _check_format(_of(read, "format", int))
        manifest = _manifest(read)
    except _UnlikeError as error:
        raise SimvisError(
            f"'{MANIFEST}' of '{folder.name}', which is damaged ({error})", "the file as it was written", TRAIN_AGAIN
        ) from error
    return manifest


class _UnlikeError(Exception):
    """A value that no series writes."""


def _check_format(number: int) -> None:
    if number != SERIES_FORMAT:
        raise SimvisError(f"a series of format {number}", f"format {SERIES_FORMAT}", "update SimVis, or train again")


def _manifest(read: Mapping[str, Any]) -> Manifest:
    words = [_of(read, key, str) for key in ("name", "architecture", "pooling")]
    base = _or_none(read, "base", _base)
    side = _or_none(read, "short_side", lambda value: _is(value, "short_side", int))
    steps = tuple(_step(_is(one, "steps", dict)) for one in _of(read, "steps", list))
    numbers = [one.step for one in steps]
    if numbers != sorted(set(numbers)) or any(number < 0 for number in numbers):
        raise _UnlikeError("steps out of order")
    if base is None and any(one.weights is None for one in steps):
        raise _UnlikeError("a step without weights, and no base")
    return Manifest(words[0], words[1], words[2], base, side, _of(read, "about", dict), steps)


def _base(value: Any) -> SeriesBase:
    read = _is(value, "base", dict)
    seed = _or_none(read, "seed", lambda one: _is(one, "seed", int))
    return SeriesBase(_of(read, "name", str), _of(read, "sha256", str), seed)


def _step(read: Mapping[str, Any]) -> SeriesStep:
    figures = {key: _number(value, key) for key, value in _of(read, "figures", dict).items()}
    return SeriesStep(
        _of(read, "step", int),
        _or_none(read, "weights", _stored),
        tuple(_is(name, "without", str) for name in _of(read, "without", list)),
        _or_none(read, "loss", lambda value: _number(value, "loss")),
        figures,
        _or_none(read, "gallery", _stored),
    )


def _stored(value: Any) -> StoredFile:
    read = _is(value, "a file", dict)
    name = _of(read, "name", str)
    if not _FILE.fullmatch(name):  # a name only: a series reads nothing outside its folder
        raise _UnlikeError(f"the file name {name!r}")
    return StoredFile(name, _of(read, "size", int), _of(read, "sha256", str))


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _UnlikeError(f"no number for '{name}'")
    return float(value)


def _or_none(read: Mapping[str, Any], key: str, made: Any) -> Any:
    value = read.get(key)
    return None if value is None else made(value)


def _of(read: Mapping[str, Any], key: str, kind: type) -> Any:
    return _is(read.get(key), key, kind)


def _is(value: Any, key: str, kind: type) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _UnlikeError(f"no {kind.__name__} for '{key}'")
    return value
