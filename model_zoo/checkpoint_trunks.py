"""Finding an architecture's tensors among a checkpoint's, whatever the file puts before their names."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# isort: off
import model_zoo.operators  # noqa: F401  (timm cannot be imported before it)

# isort: on
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from model_zoo.checkpoint_files import CheckpointFile
from model_zoo.checkpoint_layers import size
from simvis_core.errors import SimvisError

COUNTS = "num_batches_tracked"  # of a BatchNorm: not used outside training, and not in every file
# A file with less than this share of the trunk, or with more in other shapes, looks like another architecture.
_ANOTHER, _RESHAPED = 0.5, 0.1
_AVERAGED = re.compile(r"(\w+_)?(ema|swa|averaged?|teacher|momentum|target|encoder_k)(_\w+)?")


@dataclass(frozen=True)
class Fit:
    """A trunk's whole state, and where in the file it was.

    ``used`` are the file's keys that went into it, ``storages`` their names by the address of their data, ``copies``
    what stands before the names of other copies of the trunk.
    """

    state: dict[str, Tensor]
    loaded: int
    nesting: str
    prefix: str
    used: frozenset[str]
    storages: dict[int, str]
    copies: tuple[tuple[str, str], ...]
    resampled: tuple[str, ...]

    def shown(self, key: str) -> str:
        """A file's key for a person: without the dicts that the trunk lies in."""
        return key.removeprefix(f"{self.nesting}.") if self.nesting else key

    def inner(self, key: str) -> str | None:
        """The key without what stands before the trunk's names; None for one that has something else there."""
        start = f"{self.nesting}.{self.prefix}" if self.nesting else self.prefix
        return key.removeprefix(start) if key.startswith(start) else None

    def inner_shown(self, path: str) -> str:
        """The same for a path as `shown` gives it, which is left as it is where it is not under the trunk."""
        return path.removeprefix(self.prefix)

    def copied(self, key: str) -> bool:
        """Whether a key belongs to another copy of the network, such as its running average."""
        plain = not averaged(f"{self.nesting}.{self.prefix}")
        return (plain and averaged(key)) or any(
            key.startswith(other) and not (own.startswith(other) and key.startswith(own)) for own, other in self.copies
        )


def fit_trunk(name: str, source: nn.Module, file: CheckpointFile) -> Fit:
    """The place in the file where most of the source's tensors are found in their shapes, and all of them from there.

    Of several copies the plain one counts, not the average or the teacher. Position embeddings of another grid are
    resampled. The source is not touched.

    Raises SimvisError that lists what is missing or has another shape, and tells a checkpoint of another architecture
    and a first layer for other than three channels.
    """
    slots = source.state_dict()
    wanted = {key: slot for key, slot in slots.items() if not key.endswith(COUNTS)}
    found = _found(file.tensors, wanted)
    start = max(found, key=lambda start: (found[start], not averaged(start), -start.count(".")), default="")
    given = {key: file.tensors[start + key] for key in slots if start + key in file.tensors}
    state = {key: slot for key, slot in slots.items() if key.endswith(COUNTS)}
    for key, tensor in given.items():
        fitted = _fitted(source, key, tensor, slots[key])
        if fitted is not None:
            state[key] = fitted
    if len(state) < len(slots):
        raise _unfit(name, file, slots, state, start)
    nesting = _nesting(file, start)
    return Fit(
        state,
        len(given),
        nesting,
        start.removeprefix(f"{nesting}.") if nesting else start,
        frozenset(start + key for key in given),
        {tensor.data_ptr(): key for key, tensor in given.items()},
        tuple(_roots(start, other) for other in found if found[other] == found[start] and other != start),
        tuple(_grids(key, tensor, slots[key]) for key, tensor in given.items() if tensor.shape != slots[key].shape),
    )


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
    if tensor.shape != slot.shape:
        return _resampled(source, key, tensor, slot)
    usable = tensor.is_floating_point() and bool(torch.isfinite(tensor).all())
    return tensor.to(slot.dtype) if usable or not slot.is_floating_point() else None


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


def _unfit(
    name: str, file: CheckpointFile, slots: Mapping[str, Tensor], state: Mapping[str, Tensor], start: str
) -> SimvisError:
    lost = [key for key in slots if key not in state]
    missing = [key for key in lost if start + key not in file.tensors]
    changed = {key: file.tensors[start + key] for key in lost if start + key in file.tensors}
    channels = _channels(changed, slots) if len(lost) == 1 else None
    if channels is not None:
        return _wrong_channels(name, file, lost[0], channels)
    faults = [f"without {_listed(missing)}"] * bool(missing)
    shapes = [_shapes(key, tensor, slots[key]) for key, tensor in changed.items()]
    faults += [f"with tensors that do not fit: {_listed(shapes)}"] * bool(shapes)
    wanted = [key for key in slots if not key.endswith(COUNTS)]
    share = sum(key in state for key in wanted)
    if share < _ANOTHER * len(wanted) or len(changed) > _RESHAPED * len(wanted):
        return SimvisError(
            f"{file.words}, which looks like another architecture: it has {share} of the {len(wanted)} tensors"
            f" of {name} ({', '.join(faults)})",
            f"a checkpoint of {name}",
            "choose the architecture it was trained with",
        )
    return SimvisError(
        f"{file.words} {' and '.join(faults)}",
        f"all {len(wanted)} tensors of {name}, since what is missing would stay random",
        "save the whole network, or choose the architecture it was trained with",
    )


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return ", ".join(words[:3]) + more


def _shapes(key: str, tensor: Tensor, slot: Tensor) -> str:
    if slot.is_floating_point() and not tensor.is_floating_point():
        return f"{key} holds integers"
    if tensor.shape == slot.shape:
        return f"{key} holds NaN or infinity"
    return f"{key} is {size(tensor)} and not {size(slot)}"


def _channels(changed: Mapping[str, Tensor], slots: Mapping[str, Tensor]) -> int | None:
    """The channels that the first convolution takes, where nothing but their number is wrong."""
    for key, tensor in changed.items():
        have, want = tuple(tensor.shape), tuple(slots[key].shape)
        if len(have) == len(want) == 4 and want[1] == 3 and have[:1] + have[2:] == want[:1] + want[2:]:
            return have[1]
    return None


def _wrong_channels(name: str, file: CheckpointFile, key: str, channels: int) -> SimvisError:
    change = "weight.expand(-1, 3, -1, -1) / 3" if channels == 1 else "weight[:, :3]"
    return SimvisError(
        f"{file.words}, whose first layer {key} takes {channels} channel{'s' * (channels > 1)}",
        f"{name} for colour pictures of 3 channels",
        f"save it again with that layer's {change}, or explain it in Python with a backbone that takes colour pictures",
    )
