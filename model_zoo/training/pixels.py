"""Pictures read once and kept as bytes in one file of the run's folder, from which every step takes its batch."""

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from model_zoo.training.data import Examples
from simvis_core.errors import SimvisError
from simvis_core.files.reading import fields
from simvis_core.files.writing import manifest_json, write_folder
from simvis_core.pictures.resizing import resized
from simvis_core.pictures.views import Preprocess, covered

AT_ONCE = 32  # pictures that readers are handed together: so much is decoded ahead, and no more


class ReadSoFar(NamedTuple):
    """How many of the pictures are read, and how many of these could not be."""

    done: int
    total: int
    unreadable: int


@dataclass(frozen=True, eq=False)
class Pixels:
    """Square views of the readable pictures, as bytes on disk: names, labels and what could not be read.

    ``sha256`` is of labels and bytes: equal pictures under equal labels have it, wherever they lie.
    """

    path: Path
    names: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: dict[str, str]
    side: int
    sha256: str

    def at(self, places: Int[np.ndarray, " B"]) -> UInt8[Tensor, "B 3 s s"]:
        """The pictures at these places, red, green and blue from 0 to 255."""
        mapped = np.memmap(self.path, np.uint8, "r", shape=(len(self.names), 3, self.side, self.side))
        return torch.from_numpy(mapped[places])  # a copy: an index takes one


def read_pixels(
    examples: Examples, places: Sequence[int], side: int, preprocess: Preprocess, path: Path
) -> Generator[ReadSoFar, None, Pixels]:
    """Reads the examples at these places as square views of ``side`` pixels into a file; tells how far it is.

    What was read before by an equal call is there at once. Pictures that cannot be read are left out with the reason.

    Raises SimvisError where none can be read, and where the file cannot be written (a full disk, say).
    """
    key = _key(examples, places, side, preprocess)
    notes = path.with_suffix(".json")
    if notes.exists() and path.exists():
        found = fields(notes, "delete it, and the pictures are read again")
        if found.get("key") == key:
            return _of_notes(path, found, side)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        notes.unlink(missing_ok=True)
        told = yield from _written(examples, places, side, preprocess, path)
        told["key"] = key
        write_folder(path.parent, {notes.name: manifest_json(told)})
    except OSError as error:
        raise SimvisError(
            f"'{path}', which cannot be written ({error.strerror})",
            f"room for {len(places)} pictures, {len(places) * 3 * side * side / 2**20:.0f} MiB",
            "free some, or name another folder",
        ) from error
    return _of_notes(path, told, side)


def _written(
    examples: Examples, places: Sequence[int], side: int, preprocess: Preprocess, path: Path
) -> Generator[ReadSoFar, None, dict[str, Any]]:
    """Writes every readable picture, and tells what `Pixels` keeps of them."""
    names, labels, left_out, digest = [], [], {}, hashlib.sha256()
    with path.open("wb") as file:
        for done, (place, read) in enumerate(_in_order(examples, places, side, preprocess), 1):
            name, label = examples.names[place], examples.labels[place]
            if isinstance(read, SimvisError):
                left_out[name] = f"{read.got}; wanted {read.wanted}"
            else:
                file.write(read)
                digest.update(label.encode() + b"\0" + read)
                names.append(name)
                labels.append(label)
            yield ReadSoFar(done, len(places), len(left_out))
    if not names:
        why = next(iter(left_out.values()), "there is none")
        raise SimvisError(f"{len(places)} pictures of which none can be read ({why})", "pictures", "check the folder")
    return {"names": names, "labels": labels, "left_out": left_out, "sha256": digest.hexdigest()}


def forget_pixels(path: Path) -> None:
    """Removes what `read_pixels` left."""
    for file in (path.with_suffix(".json"), path):
        file.unlink(missing_ok=True)


def _in_order(
    examples: Examples, places: Sequence[int], side: int, preprocess: Preprocess
) -> Iterator[tuple[int, bytes | SimvisError]]:
    def read(place: int) -> bytes | SimvisError:
        try:
            return _square(examples, place, side, preprocess)
        except SimvisError as error:
            return error

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as readers:
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            yield from zip(some, readers.map(read, some), strict=True)


def _square(examples: Examples, place: int, side: int, preprocess: Preprocess) -> bytes:
    image = examples.opened[place](side)
    box = covered(image, "square")
    pixels = resized(image, (side, side), box, preprocess.resampling, preprocess.resizing)
    return pixels.transpose(2, 0, 1).tobytes()


def _key(examples: Examples, places: Sequence[int], side: int, preprocess: Preprocess) -> str:
    rows = [(examples.names[at], examples.labels[at]) for at in places]
    told = json.dumps([rows, side, preprocess.resampling, preprocess.resizing])
    return hashlib.sha256(told.encode()).hexdigest()


def _of_notes(path: Path, found: Mapping[str, Any], side: int) -> Pixels:
    names, labels = tuple(found["names"]), tuple(found["labels"])
    if path.stat().st_size != len(names) * 3 * side * side:
        raise SimvisError(f"'{path.name}', which is damaged", "the file as it was written", "delete it")
    return Pixels(path, names, labels, dict(found["left_out"]), side, str(found["sha256"]))
