"""Finding an architecture's tensors among a checkpoint's, whatever the file puts before their names."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from model_zoo.architectures.arranging import Architecture, pooled_otherwise
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.trunks.names import Reading, readings
from model_zoo.checkpoints.trunks.refusals import COUNTS, unfit

_AVERAGED = re.compile(r"(\w+_)?(ema|swa|averaged?|teacher|momentum|target|encoder_k)(_\w+)?")


@dataclass(frozen=True)
class Fit:
    """A trunk's whole state, and where in the file it was.

    ``used`` are the file's keys that went into it, ``storages`` their names by the address of their data, ``copies``
    what stands before the names of other copies of the trunk; ``words`` how other names were read ("" for none),
    ``older`` that timm's filter read them.
    """

    state: dict[str, Tensor]
    loaded: int
    nesting: str
    prefix: str
    used: frozenset[str]
    storages: dict[int, str]
    copies: tuple[tuple[str, str], ...]
    resampled: tuple[str, ...]
    words: str = ""
    older: bool = False

    def shown(self, key: str) -> str:
        """A file's key for a person: without the dicts that the trunk lies in."""
        return key.removeprefix(f"{self.nesting}.") if self.nesting else key

    def inner(self, key: str) -> str | None:
        """The key without what stands before the trunk's names; None for one that has something else there."""
        start = f"{self.nesting}.{self.prefix}" if self.nesting else self.prefix
        return key.removeprefix(start) if key.startswith(start) else None

    def inner_shown(self, path: str) -> str:
        """A path that `shown` gave, without what stands before the trunk's names; one not under the trunk as it is."""
        return path.removeprefix(self.prefix)

    def copied(self, key: str) -> bool:
        """Whether a key belongs to another copy of the network, such as its running average."""
        plain = not averaged(f"{self.nesting}.{self.prefix}")
        return (plain and averaged(key)) or any(
            key.startswith(other) and not (own.startswith(other) and key.startswith(own)) for own, other in self.copies
        )


def fit_trunk(architecture: Architecture, file: CheckpointFile) -> tuple[Architecture, CheckpointFile, Fit]:
    """The file under the architecture's names, and the place in it where all of its source's tensors are found.

    Of several copies the plain one counts, not the average or the teacher. Position embeddings of another grid are
    resampled. A file under other names is read where they are known, and one of the same architecture under its other
    pooling gives that; `Fit.words` says so. The source is left as it is, but for a last norm that a network made for
    its features alone does not have.

    Raises SimvisError that lists what is missing or has another shape, and tells a checkpoint of another architecture
    and a first layer for other than three channels.
    """
    found = _found_in(architecture.source, file)
    if found is not None:
        return architecture, *found
    for other, words in pooled_otherwise(architecture):
        found = _found_in(other.source, file)
        if found is not None:
            return other, found[0], replace(found[1], words="; ".join(word for word in (found[1].words, words) if word))
    slots = architecture.source.state_dict()
    start = _place(file, slots)[1]
    raise unfit(architecture.name, file, slots, start, _state(architecture.source, file, start))


def _found_in(source: nn.Module, file: CheckpointFile) -> tuple[CheckpointFile, Fit] | None:
    for reading in readings(file, source):
        lost = _last_norm(source, reading) if reading.bare else ""
        kept = _replaced(source, lost, nn.Identity()) if lost else None
        fit = _fit(source, reading.file)
        if fit is not None:
            bare = f"which left out {lost}: the features are pooled without it" if lost else ""
            words = "; ".join(word for word in (reading.words, bare) if word)
            return reading.file, replace(
                fit, words=words, older=reading.older, resampled=(*fit.resampled, *reading.resampled)
            )
        if kept is not None:
            _replaced(source, lost, kept)
    return None


def _last_norm(source: nn.Module, reading: Reading) -> str:
    """The path of the norm behind the features, where the source has one and the file has not."""
    for path in ("norm", "head.norm"):
        lost = [key for key in source.state_dict() if key.startswith(f"{path}.")]
        ends = tuple(f".{key}" for key in lost)
        if lost and not any(f".{key}".endswith(ends) for key in reading.file.tensors if ".blocks." not in f".{key}"):
            return path
    return ""


def _replaced(source: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Puts a module in the place of another, which is given back."""
    parent, _, child = path.rpartition(".")
    owner, before = source.get_submodule(parent), source.get_submodule(path)
    setattr(owner, child, module)
    return before


def _fit(source: nn.Module, file: CheckpointFile) -> Fit | None:
    """The place where most of the source's tensors are found; None where one is missing or has another shape."""
    slots = source.state_dict()
    found, start = _place(file, slots)
    given = {key: file.tensors[start + key] for key in slots if start + key in file.tensors}
    state = _state(source, file, start)
    if len(state) < len(slots):
        return None
    nesting = _nesting(file, start)
    return Fit(
        state,
        len(given),
        nesting,
        start.removeprefix(f"{nesting}.") if nesting else start,
        frozenset(start + key for key in given),
        {tensor.data_ptr(): key for key, tensor in given.items()},
        tuple(_roots(start, other) for other in found if found[other] == found[start] and other != start),
        tuple(
            _grids(key, tensor, slots[key])
            for key, tensor in given.items()
            if "pos_embed" in key and tensor.shape != slots[key].shape
        ),
    )


def _place(file: CheckpointFile, slots: Mapping[str, Tensor]) -> tuple[Counter[str], str]:
    found = _found(file.tensors, {key: slot for key, slot in slots.items() if not key.endswith(COUNTS)})
    return found, max(found, key=lambda start: (found[start], not averaged(start), -start.count(".")), default="")


def _state(source: nn.Module, file: CheckpointFile, start: str) -> dict[str, Tensor]:
    """What of the source's state the file has behind ``start``, and the counts of batches, which it need not have."""
    slots = source.state_dict()
    state = {key: slot for key, slot in slots.items() if key.endswith(COUNTS)}
    for key, slot in slots.items():
        fitted = _fitted(source, key, file.tensors[start + key], slot) if start + key in file.tensors else None
        if fitted is not None:
            state[key] = fitted
    return state


def averaged(start: str) -> bool:
    """Whether a place in the file goes by a name for an average of the weights over time."""
    return any(_AVERAGED.fullmatch(part) for part in start.casefold().split("."))


def _found(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Counter[str]:
    """How many of the wanted tensors are found behind each beginning that a key of the file has."""
    found: Counter[str] = Counter()
    for key, tensor in tensors.items():
        parts = key.split(".")
        for cut in range(len(parts)):
            slot = wanted.get(".".join(parts[cut:]))
            if slot is not None and slot.shape == tensor.shape:
                found["".join(f"{part}." for part in parts[:cut])] += 1
    return found


def _nesting(file: CheckpointFile, start: str) -> str:
    """The dicts that the whole trunk lies in: those of a tensor that begins like it."""
    nests = {file.nesting[key] for key in file.tensors if key.startswith(start)}
    return max((nest for nest in nests if start.startswith(f"{nest}.")), key=len, default="")


def _roots(start: str, other: str) -> tuple[str, str]:
    """Two places without what they share at their ends: ``a.trunk.`` and ``b.trunk.`` give ``a.`` and ``b.``."""
    one, two = start.split(".")[:-1], other.split(".")[:-1]
    while one and two and one[-1] == two[-1]:
        one, two = one[:-1], two[:-1]
    return "".join(f"{part}." for part in one), "".join(f"{part}." for part in two)


def _fitted(source: nn.Module, key: str, tensor: Tensor, slot: Tensor) -> Tensor | None:
    """The tensor in the slot's shape and precision; None where it does not fit or holds no usable numbers."""
    same = tensor.numel() == slot.numel() and _sides(tensor) == _sides(slot)
    if tensor.shape != slot.shape and same:
        tensor = tensor.reshape(slot.shape)  # a vector kept as a map of one cell
    if tensor.shape != slot.shape:
        return _resampled(source, key, tensor, slot)
    if tensor.is_complex():
        return None
    exact = tensor.to(slot.dtype)  # first: PyTorch asks nothing of numbers of eight bits
    usable = tensor.is_floating_point() and bool(torch.isfinite(exact).all())
    return exact if usable or not slot.is_floating_point() else None


def _sides(tensor: Tensor) -> list[int]:
    return [side for side in tensor.shape if side > 1]


def _resampled(source: Any, key: str, tensor: Tensor, slot: Tensor) -> Tensor | None:
    grid = _grid(source)
    if "pos_embed" not in key or grid is None or tensor.shape[::2] != slot.shape[::2]:
        return None
    prefix = slot.shape[1] - grid[0] * grid[1]
    cells = tensor.shape[1] - prefix
    if prefix < 0 or cells < 1 or math.isqrt(cells) ** 2 != cells:
        return None
    return resample_abs_pos_embed(tensor.to(slot.dtype), list(grid), num_prefix_tokens=prefix)


def _grid(source: Any) -> tuple[int, int] | None:
    """Rows and columns of patches, in timm's words or in torchvision's."""
    if hasattr(source, "patch_embed"):
        return getattr(source.patch_embed, "grid_size", None)
    if hasattr(source, "image_size") and hasattr(source, "patch_size"):
        return (source.image_size // source.patch_size,) * 2
    return None


def _grids(key: str, tensor: Tensor, slot: Tensor) -> str:
    return f"{key} from {tensor.shape[1]} to {slot.shape[1]} positions"
