"""Finding a card's weights, proving that they are the right ones, and loading them."""

import hashlib
import importlib.util
import os
import pickle
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model_zoo.architectures.downloads import cure, why_failed
from model_zoo.cards.catalog import Weights, bundled
from simvis_core.errors import SimvisError

HERE = Path(__file__).parents[1] / "weights"


def find_weights(name: str, weights: Weights) -> Path:
    """The verified file. A download happens on first use, into PyTorch's own cache, under a temporary name.

    Raises SimvisError, naming the card and the reason, for a file that is missing, cannot be fetched or is not the one
    the card was made for.
    """
    path = _FIND[weights.kind](name, weights)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(weights.sha256):
        raise _unusable(
            name,
            f"'{path.name}' is corrupt: its sha256 is {found[:12]}, not {weights.sha256[:12]}",
            "delete it and install or download it again",
        )
    return path


def load_into(name: str, path: Path, weights: Weights, backbone: nn.Module, head: nn.Module | None) -> None:
    """Fills backbone and head from a file; every tensor of both must be met.

    Raises SimvisError, naming the card, for a file that cannot be read or that is another network's.
    """
    tensors = _read(name, path)
    trunk, top = _SORTED[weights.keys](tensors, backbone)
    try:
        backbone.load_state_dict(trunk)
        if head is not None:
            head.load_state_dict(top)
    except RuntimeError as error:
        reason = f"'{path.name}' holds another network ({' '.join(str(error).split())[:160]})"
        raise _unusable(name, reason, "restore the file that came with SimVis") from error


def _read(name: str, path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix.casefold() == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _unusable(name, f"'{path.name}' cannot be read ({error})", "restore the file") from error


def _project_file(name: str, weights: Weights) -> Path:
    return _existing(name, HERE / weights.where, "restore it from the repository")


def _package_file(name: str, weights: Weights) -> Path:
    """Found without running the package's code."""
    package, _, inside = weights.where.partition("/")
    cure = f"install the Python package {package.replace('_', '-')}"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _unusable(name, f"the package {package} that holds its weights is not installed", cure)
    return _existing(name, Path(spec.origin).parent / inside, cure)


def _existing(name: str, path: Path, cure: str) -> Path:
    if not path.is_file():
        raise _unusable(name, f"its weights file '{path.name}' is missing", cure)
    return path


def _downloaded(name: str, weights: Weights) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.where.rsplit("/", 1)[1]
    if path.is_file():
        return path
    try:
        os.makedirs(path.parent, exist_ok=True)
        torch.hub.download_url_to_file(weights.where, str(path), hash_prefix=weights.sha256, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # urllib's errors are OSErrors
        size = f"{weights.megabytes:.0f} MB"
        reason = f"its weights ({size}) cannot be downloaded from {weights.where}: {why_failed(error)}"
        raise _unusable(name, reason, cure(error, path.name, size)) from error
    return path


def _unusable(name: str, reason: str, cure: str) -> SimvisError:
    working = ", ".join(other for other in bundled() if other != name)
    return SimvisError(f"the card '{name}', but {reason}", "its verified weights", f"{cure}, or use {working}")


def _in_order(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict, dict]:
    """Tensors by their place: a file with the network's layers in its order under other names, classifier included."""
    counts = "num_batches_tracked"
    slots = [key for key in backbone.state_dict() if not key.endswith(counts)]
    values = [tensor for key, tensor in tensors.items() if not key.endswith(counts)]
    named = dict(zip(slots, values, strict=False)) if len(slots) == len(values) else dict(tensors)
    return named | {key: value for key, value in backbone.state_dict().items() if key.endswith(counts)}, {}


def _plain(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict, dict]:
    counts = {key: value for key, value in backbone.state_dict().items() if key.endswith("num_batches_tracked")}
    return counts | dict(tensors), {}


def _resnet(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict, dict]:
    return _plain({key: value for key, value in tensors.items() if not key.startswith("fc.")}, backbone)


def _features(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict, dict]:
    return _plain(_under("features.", tensors), backbone)


def _face(tensors: Mapping[str, Tensor], _: nn.Module) -> tuple[dict, dict]:
    return {key: value for key, value in tensors.items() if not key.startswith("fc.")}, _under("fc.", tensors)


def _convnext(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict, dict]:
    return _features(tensors, backbone)[0], _under("classifier.0.", tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


_FIND = {"project": _project_file, "package": _package_file, "download": _downloaded}
_SORTED = {
    "in order": _in_order,
    "plain": _plain,
    "resnet": _resnet,
    "features": _features,
    "face": _face,
    "convnext": _convnext,
}
