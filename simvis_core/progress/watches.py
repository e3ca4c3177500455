"""A watch on disk: what a `Watcher` saw of fixed pairs, step by step, as figures, maps and pictures."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.files.reading import fields
from simvis_core.files.writing import array, manifest_json, npz, png, write_folder
from simvis_core.pairs.sides import Side
from simvis_core.progress.manifests import StoredFile, damaged_file, read_stored, stored_file

WATCH = "watch.json"
WATCH_FORMAT = 1
LONGEST_KEPT = 512  # pixels of a kept picture's longer side
_CURE = "take the folder as it was written, or watch again into another"


@dataclass(frozen=True)
class KeptPair:
    """A watched pair: its name, and its pictures as PNG files of at most 512 pixels a side."""

    name: str
    a: StoredFile
    b: StoredFile


@dataclass(frozen=True)
class KeptQuery:
    """A worst query at a step: three names with their pictures, and by how much the wrong one was ahead."""

    query: str
    wrong: str
    right: str
    margin: float
    pictures: tuple[StoredFile, StoredFile, StoredFile]


class SeenQuery(NamedTuple):
    """A worst query to be kept: the names and pictures of query, wrong and right, and by how much wrong was ahead."""

    names: tuple[str, str, str]
    margin: float
    pictures: tuple[Image.Image, Image.Image, Image.Image]


@dataclass(frozen=True)
class WatchedStep:
    """What was seen at a step: the means over the pairs, each pair's own figures in the pairs' order, worst queries.

    ``maps`` is the file of all maps of the step.
    """

    step: int
    figures: Mapping[str, float]
    pairs: tuple[Mapping[str, float], ...]
    worst: tuple[KeptQuery, ...]
    maps: StoredFile


@dataclass(frozen=True, eq=False)
class Watch:
    """What was seen of a network in training, read from ``folder``.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.watcher import Watcher
    >>> from simvis_core.progress.watches import open_watch
    >>> from simvis_core.progress.watching import WatchedPair
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = WatchedPair("two", Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Watcher(net, [pair], folder=folder).look(100)
    ...     watch = open_watch(folder)
    ...     watch.at(100).step, watch.map(100, "two", "a").shape, watch.picture("two", "b").size
    ...     watch.kept_picture(watch.pair("two").a).size, watch.at(100).worst  # no gallery, so no worst query
    ...     watch.worst_map(100, 0, "contrast")
    ...
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got the map 'contrast' of worst query 0; wanted one that was kept: choose another.
    """

    folder: Path
    name: str
    pooling: str
    pairs: tuple[KeptPair, ...]
    steps: tuple[WatchedStep, ...] = ()

    def at(self, step: int) -> WatchedStep:
        """What was seen at a step. Raises SimvisError for one that was not watched."""
        found = next((one for one in self.steps if one.step == step), None)
        if found is None:
            there = ", ".join(str(one.step) for one in self.steps)
            raise SimvisError(
                f"step {step} of '{self.folder.name}'", f"one of {there or 'none'}", "choose one of these"
            )
        return found

    def pair(self, name: str) -> KeptPair:
        """A pair by its name. Raises SimvisError for one that is not watched."""
        found = next((one for one in self.pairs if one.name == name), None)
        if found is None:
            names = ", ".join(one.name for one in self.pairs)
            raise SimvisError(f"the pair '{name}' of '{self.folder.name}'", f"one of {names}", "choose one of these")
        return found

    def map(self, step: int, name: str, side: Side) -> Float[Tensor, "H W"]:
        """A pair's map at a step, signed, in units of the score.

        Raises SimvisError for what is not there or damaged.
        """
        return self._maps(step)[f"{self.pairs.index(self.pair(name))}_{side}"]

    def worst_map(self, step: int, place: int, of: str) -> Float[Tensor, "H W"]:
        """A map of the worst query of that place: ``contrast``, ``wrong`` or ``right``, see `WhyWrong`.

        Raises SimvisError for what is not there or damaged.
        """
        maps, name = self._maps(step), f"worst_{place}_{of}"
        if name not in maps:
            raise SimvisError(f"the map '{of}' of worst query {place}", "one that was kept", "choose another")
        return maps[name]

    def picture(self, name: str, side: Side) -> Image.Image:
        """A pair's picture, RGB. Raises SimvisError for what is not there or damaged."""
        pair = self.pair(name)
        return self.kept_picture(pair.a if side == "a" else pair.b)

    def kept_picture(self, stored: StoredFile) -> Image.Image:
        """A picture of the folder, RGB. Raises SimvisError for one that is damaged."""
        return Image.open(io.BytesIO(read_stored(self.folder, stored))).convert("RGB")

    def _maps(self, step: int) -> dict[str, Tensor]:
        stored = self.at(step).maps
        content = read_stored(self.folder, stored)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise damaged_file(self.folder, stored, "holds no maps") from error


def open_watch(folder: str | Path) -> Watch:
    """The watch of a folder. Raises SimvisError for a folder without one, a damaged one, and one of a later SimVis.

    >>> from simvis_core.progress.watches import open_watch
    >>> open_watch("nothing")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'nothing', which holds no watch.json; wanted a folder that a Watcher wrote: ...
    """
    folder = Path(folder)
    if not (folder / WATCH).exists():
        raise SimvisError(f"'{folder.name}', which holds no {WATCH}", "a folder that a Watcher wrote", "name another")
    read = fields(folder / WATCH, _CURE)
    if isinstance(read.get("format"), int) and read["format"] > WATCH_FORMAT:
        raise SimvisError(f"a watch of format {read['format']}", f"format {WATCH_FORMAT}", "update SimVis")
    try:
        return _watch(folder, read)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # other fields than are written
        reason = f"'{WATCH}' of '{folder.name}', which is damaged ({type(error).__name__} of its fields)"
        raise SimvisError(reason, "the file as it was written", _CURE) from error


class WatchFiles:
    """Writes a watch; at any moment the folder holds what was seen so far, whole.

    A folder that holds one is refused unless ``resumed``, which goes on with it: its pairs must be these.

    Raises SimvisError for such a folder.

    >>> from simvis_core.progress.watches import WatchFiles
    >>> WatchFiles("watched", "my network", "avg", {}).watch.steps
    ()
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        pooling: str,
        pairs: Mapping[str, tuple[Image.Image, Image.Image]],
        resumed: bool = False,
    ) -> None:
        self._new: dict[str, bytes] = {}
        kept = tuple(KeptPair(pair, self._keep(a), self._keep(b)) for pair, (a, b) in pairs.items())
        self.watch = Watch(Path(folder), name, pooling, kept)
        if (Path(folder) / WATCH).exists():
            self._go_on(open_watch(folder), resumed)

    def add(
        self,
        step: int,
        figures: Mapping[str, float],
        pairs: tuple[Mapping[str, float], ...],
        maps: Mapping[str, Tensor],
        worst: Sequence[SeenQuery] = (),
    ) -> Watch:
        """Writes a step, its files first and the list of steps last.

        Steps from this number on that are there are dropped: a resumed training makes them again.

        Raises SimvisError for a folder that cannot be written, which leaves the watch as it was.

        >>> import tempfile, torch
        >>> from simvis_core.progress.watches import WatchFiles
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = WatchFiles(folder, "my network", "avg", {})
        ...     len(files.add(5, {"score": 0.5}, (), {"0_a": torch.ones(1, 1)}).steps)
        ...
        1
        """
        queries = tuple(self._kept(one) for one in worst)
        content = npz({name: array(map.float()) for name, map in maps.items()})
        stored = stored_file(f"maps-{step:06d}", "npz", content)
        added = WatchedStep(step, dict(figures), pairs, queries, stored)
        watch = replace(self.watch, steps=(*(one for one in self.watch.steps if one.step < step), added))
        write_folder(watch.folder, self._new | {stored.name: content})
        write_folder(watch.folder, {WATCH: manifest_json(_written(watch))})
        self._new, self.watch = {}, watch
        _sweep_maps(watch)
        return watch

    def _kept(self, seen: SeenQuery) -> KeptQuery:
        query, wrong, right = seen.pictures
        return KeptQuery(*seen.names, seen.margin, (self._keep(query), self._keep(wrong), self._keep(right)))

    def _keep(self, image: Image.Image) -> StoredFile:
        """A small copy of a picture, which is written with the next step."""
        small = image.convert("RGB")
        small.thumbnail((LONGEST_KEPT, LONGEST_KEPT))
        content = png(small)
        stored = stored_file("picture", "png", content)
        self._new[stored.name] = content
        return stored

    def _go_on(self, there: Watch, resumed: bool) -> None:
        if not resumed:
            raise SimvisError(
                f"'{there.folder.name}', which holds a watch of {there.name}",
                "a folder without one",
                "name another folder, or say that it is resumed",
            )
        if (there.pairs, there.pooling) != (self.watch.pairs, self.watch.pooling):
            names = ", ".join(pair.name for pair in there.pairs)
            raise SimvisError(
                f"'{there.folder.name}', which holds a watch of other pairs ({names}) or another pooling",
                "the watch that is resumed",
                "name another folder, or give its own pairs",
            )
        self.watch = there


def _sweep_maps(watch: Watch) -> None:
    """Removes maps of steps that were dropped, and what a kill left behind."""
    named = {one.maps.name for one in watch.steps}
    for path in watch.folder.glob("maps-*.npz"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def _written(watch: Watch) -> dict[str, Any]:
    return {
        "format": WATCH_FORMAT,
        "name": watch.name,
        "pooling": watch.pooling,
        "pairs": [asdict(pair) for pair in watch.pairs],
        "steps": [asdict(step) for step in watch.steps],
    }


def _watch(folder: Path, read: Mapping[str, Any]) -> Watch:
    pairs = tuple(KeptPair(str(one["name"]), _file(one["a"]), _file(one["b"])) for one in read["pairs"])
    steps = tuple(_step(one) for one in read["steps"])
    return Watch(folder, str(read["name"]), str(read["pooling"]), pairs, steps)


def _step(read: Mapping[str, Any]) -> WatchedStep:
    return WatchedStep(
        int(read["step"]),
        _numbers(read["figures"]),
        tuple(_numbers(one) for one in read["pairs"]),
        tuple(_query(one) for one in read["worst"]),
        _file(read["maps"]),
    )


def _query(read: Mapping[str, Any]) -> KeptQuery:
    query, wrong, right = (_file(one) for one in read["pictures"])
    names = [str(read[name]) for name in ("query", "wrong", "right")]
    return KeptQuery(names[0], names[1], names[2], float(read["margin"]), (query, wrong, right))


def _numbers(read: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in read.items()}


def _file(read: Mapping[str, Any]) -> StoredFile:
    name = str(read["name"])
    if Path(name).name != name:
        raise ValueError(name)  # a watch reads nothing outside its folder
    return StoredFile(name, int(read["size"]), str(read["sha256"]))
