"""Why a file is no checkpoint of an architecture, with the cure that fits what is wrong with it."""

from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.layers import layer_size
from simvis_core.errors import SimvisError

COUNTS = "num_batches_tracked"  # of a BatchNorm: not used outside training, and not in every file
# A file with less than this share of the trunk, or with more in other shapes, looks like another architecture.
_ANOTHER, _RESHAPED = 0.5, 0.1
_KNOWN = 0.9  # and one with this share of its shapes is the same one under other names


def unfit(
    name: str, file: CheckpointFile, slots: Mapping[str, Tensor], start: str, state: Mapping[str, Tensor]
) -> SimvisError:
    """The refusal of a file of whose tensors, behind ``start``, ``state`` fits and the rest of the ``slots`` does not.

    It tells what is missing or has another shape, a checkpoint of another architecture, one under names that are not
    known, and a first layer for other than three channels.
    """
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
    if share < _ANOTHER * len(wanted) and _same_shapes(file, [slots[key] for key in wanted]):
        return _other_names(name, file, wanted)
    if share < _ANOTHER * len(wanted) or len(_reshaped(changed, slots)) > _RESHAPED * len(wanted):
        return SimvisError(
            f"{file.words}, which looks like another architecture: it has {share} of the {len(wanted)} tensors"
            f" of {name} ({', '.join(faults)})",
            f"a checkpoint of {name}",
            "choose the architecture it was trained with",
        )
    return SimvisError(
        f"{file.words} {' and '.join(faults)}",
        f"all {len(wanted)} tensors of {name}, since what is missing would stay random",
        _cure(name, file, slots, start, _reshaped(changed, slots), bool(missing)),
    )


def _cure(
    name: str, file: CheckpointFile, slots: Mapping[str, Tensor], start: str, reshaped: list[str], missing: bool
) -> str:
    """Another architecture only for a file that has tensors where this one has others or none."""
    tops = {key.partition(".")[0] for key in slots}
    inner = [key.removeprefix(start) for key in file.tensors if key.startswith(start)]
    inside = [key for key in inner if key not in slots and key.partition(".")[0] in tops and "." in key]
    if reshaped or (missing and inside):
        more = f", which has {inside[0]}" if inside else ""
        return f"choose the architecture it was trained with, a relative of {name}{more}"
    if missing:
        return "save the whole network's state_dict(), these tensors with it"
    return "take the weights from before they were broken, as floating-point numbers"


def _reshaped(changed: Mapping[str, Tensor], slots: Mapping[str, Tensor]) -> list[str]:
    return [key for key, tensor in changed.items() if tensor.shape != slots[key].shape]


def _same_shapes(file: CheckpointFile, slots: list[Tensor]) -> bool:
    """Whether the file has nearly all of the shapes that are wanted, each as often."""
    have = Counter(tuple(tensor.shape) for tensor in file.tensors.values())
    want = Counter(tuple(slot.shape) for slot in slots)
    return (have & want).total() > _KNOWN * len(slots)


def _other_names(name: str, file: CheckpointFile, wanted: list[str]) -> SimvisError:
    library = name.partition("/")[0]
    return SimvisError(
        f"{file.words}, whose tensors have the shapes of {name} under names that are not known, such as"
        f" {_listed(list(file.tensors))}",
        f"the names that {library} gives them, such as {_listed(wanted)}",
        f"load the weights into {library}'s network in Python and save its state_dict()",
    )


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return ", ".join(words[:3]) + more


def _shapes(key: str, tensor: Tensor, slot: Tensor) -> str:
    if slot.is_floating_point() and not tensor.is_floating_point():
        return f"{key} holds integers"
    if tensor.shape == slot.shape:
        return f"{key} holds NaN or infinity"
    return f"{key} is {layer_size(tensor)} and not {layer_size(slot)}"


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
