"""A dictionary as one file, whole or not at all; and a matrix of one's own."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from simvis_core.attributes.dictionaries.dictionary import Dictionary, Firing, LearntFrom, dictionary_of
from simvis_core.errors import SimvisError
from simvis_core.files.writing import write_folder

_FORMAT = "simvis dictionary 1"
_AGAIN = "learn it again"


def save_dictionary(path: str | Path, dictionary: Dictionary) -> Path:
    """Writes a dictionary as one safetensors file: directions and mean, and all else as its metadata.

    Raises SimvisError where it cannot be written.

    >>> import tempfile
    >>> import torch
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary, save_dictionary
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_dictionary(f"{folder}/birds.safetensors", dictionary_of(torch.eye(2), names=("beak", "")))
    ...     open_dictionary(file).names
    ...
    ('beak', '')
    """
    told = {
        "format": _FORMAT,
        "coding": dictionary.coding,
        "names": json.dumps(dictionary.names),
        "source": json.dumps(None if dictionary.source is None else asdict(dictionary.source)),
        "firings": json.dumps([[asdict(place) for place in places] for places in dictionary.firings]),
    }
    tensors = {"directions": dictionary.directions.contiguous(), "mean": dictionary.mean.contiguous()}
    file = Path(path)
    return write_folder(file.parent, {file.name: safetensors.torch.save(tensors, told)})[0]


def open_dictionary(path: str | Path) -> Dictionary:
    """The dictionary of a file of `save_dictionary`; nothing that the file holds is run.

    Raises SimvisError for a file that is missing, damaged, or no dictionary.

    >>> from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary
    >>> open_dictionary("nowhere.safetensors")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'nowhere.safetensors', which is missing; wanted a dictionary's file: ...
    """
    file = Path(path)
    told, tensors = _read(file)
    if told.get("format") != _FORMAT:
        raise SimvisError(f"'{file.name}', which is no dictionary", "a dictionary's file", _AGAIN)
    try:
        source = json.loads(told["source"])
        made = dictionary_of(
            tensors["directions"],
            tensors["mean"],
            told["coding"],
            tuple(str(name) for name in json.loads(told["names"])),
            None if source is None else LearntFrom(**source),
        )
        firings = tuple(tuple(_firing(place) for place in places) for places in json.loads(told["firings"]))
    except (KeyError, TypeError, ValueError) as error:  # SimvisError is a ValueError
        raise SimvisError(f"'{file.name}', which is damaged", "a dictionary's file", _AGAIN) from error
    return replace(made, firings=firings)


def own_directions(path: str | Path) -> Float[Tensor, "K D"]:
    """A matrix of one's own, a direction a row, from a .npy file.

    Raises SimvisError for a file that is missing, is no .npy file, or holds anything but a matrix of numbers.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.attributes.dictionaries.dictionary_files import own_directions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/own.npy", np.eye(2, 3))
    ...     own_directions(f"{folder}/own.npy").shape
    ...
    torch.Size([2, 3])
    """
    file, wanted = Path(path), "a .npy file with a matrix of numbers"
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise SimvisError(f"'{file.name}', which {why}", wanted, "write one with numpy.save") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "fiu":
        raise SimvisError(f"'{file.name}', which holds something else", wanted, "write one with numpy.save")
    return torch.from_numpy(found.astype(np.float64))


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {}), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        why = "is missing" if not file.is_file() else "is damaged"
        raise SimvisError(f"'{file.name}', which {why}", "a dictionary's file", _AGAIN) from error


def _firing(told: Mapping[str, Any]) -> Firing:
    (row, column), (rows, columns) = told["cell"], told["grid"]
    return Firing(str(told["picture"]), (int(row), int(column)), (int(rows), int(columns)), float(told["value"]))
