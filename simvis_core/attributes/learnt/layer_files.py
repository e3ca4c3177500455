"""An attribute layer as one file, whole or not at all, with what was learnt of it beside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from simvis_core.attributes.learnt.layer import AttributeLayer
from simvis_core.errors import SimvisError
from simvis_core.files.writing import write_folder

_FORMAT = "simvis attribute layer 1"
_KEY = "simvis"
_LEARN_AGAIN = "learn it again"


def save_layer(path: str | Path, layer: AttributeLayer, told: Mapping[str, Any]) -> Path:
    """Writes a layer as one safetensors file: weights and usual shares, and as its metadata the names and plain JSON.

    Raises SimvisError where it cannot be written.

    >>> import tempfile
    >>> import torch
    >>> from simvis_core.attributes.learnt.layer import AttributeLayer
    >>> from simvis_core.attributes.learnt.layer_files import open_layer, save_layer
    >>> layer = AttributeLayer(("fur", "dome"), torch.eye(2)[:, :, None, None], torch.tensor([0.5, 0.5]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_layer(f"{folder}/attributes.safetensors", layer, {"short_side": 224})
    ...     again, told = open_layer(file)
    ...
    >>> again.names, told
    (('fur', 'dome'), {'short_side': 224})
    """
    said = {"format": _FORMAT, "names": layer.names, "told": dict(told)}
    metadata = {_KEY: json.dumps(said, allow_nan=False)}  # one entry: of several, each file has another order
    tensors = {"weight": layer.weight.contiguous(), "usual": layer.usual.contiguous()}
    file = Path(path)
    return write_folder(file.parent, {file.name: safetensors.torch.save(tensors, metadata)})[0]


def open_layer(path: str | Path) -> tuple[AttributeLayer, dict[str, Any]]:
    """The layer of a file of `save_layer`, and the plain JSON beside it; nothing that the file holds is run.

    Raises SimvisError for a file that is missing, damaged, or no attribute layer.

    >>> from simvis_core.attributes.learnt.layer_files import open_layer
    >>> open_layer("nowhere.safetensors")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'nowhere.safetensors', which is missing; wanted the file of attributes ...
    """
    file = Path(path)
    metadata, tensors = _metadata_and_tensors(file)
    if _KEY not in metadata:
        raise _unusable(file, "is no layer of attributes")
    try:
        said = json.loads(metadata[_KEY])
        if said["format"] != _FORMAT:
            raise _unusable(file, "is no layer of attributes of this version")
        names, told = tuple(str(name) for name in said["names"]), said["told"]
        layer = AttributeLayer(names, tensors["weight"], tensors["usual"])
    except SimvisError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(file, "is damaged") from error
    if not _whole(layer) or not isinstance(told, dict):
        raise _unusable(file, "is damaged")
    return layer, told


def _whole(layer: AttributeLayer) -> bool:
    shape, count = layer.weight.shape, len(layer.names)
    square = len(shape) == 4 and shape[2] == shape[3] and shape[2] % 2 == 1
    finite = bool(layer.weight.isfinite().all())
    likely = bool(((layer.usual > 0) & (layer.usual < 1)).all())
    return square and shape[0] == count == len(set(layer.names)) and layer.usual.shape == (count,) and finite and likely


def _metadata_and_tensors(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {}), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unusable(file, "is damaged" if file.is_file() else "is missing") from error


def _unusable(file: Path, why: str) -> SimvisError:
    return SimvisError(f"'{file.name}', which {why}", "the file of attributes that a network has learnt", _LEARN_AGAIN)
