"""From the tree in a checkpoint to tensors by their dotted names."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor

from model_zoo.checkpoints.files.inert_values import Described, Held
from simvis_core.errors import SimvisError

SAVE_AGAIN = "save `model.state_dict()` instead, or convert it to .safetensors in a place you trust"


@dataclass(frozen=True)
class Leaf:
    """A tensor or array of a tree: the dicts it lies in, and its key in the innermost of them."""

    nest: tuple[str, ...]
    key: str
    value: Tensor | Described | Held

    @property
    def name(self) -> str:
        """Its dotted name, the dicts being parts of it."""
        return ".".join((*self.nest, self.key))


def tensors(tree: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, str], tuple[str, ...]]:
    """The tree's tensors by name, the dicts each lies in by the same name, and what was not read, in words.

    A network that was pickled as a whole gives the tensors of its state. numpy arrays are weights where the file has
    no tensors at all, as in a pickle of detectron2; beside tensors they are somebody's numbers, such as a history.

    Raises SimvisError for dicts in each other without end, more values than any network has, and tensors whose numbers
    are not all in the file; ValueError for a tensor that its storage does not hold.
    """
    count = _Count()
    leaves = list(_leaves(_mapping(tree, count) or {}, (), count))
    arrays = [leaf for leaf in leaves if isinstance(leaf.value, Held)]
    found = [leaf for leaf in leaves if not isinstance(leaf.value, Held)]
    beside = arrays if found else []
    read = {leaf.name: _whole(leaf) for leaf in found or arrays}
    return (
        {name: tensor for name, tensor in read.items() if tensor is not None},
        {leaf.name: ".".join(leaf.nest) for leaf in found or arrays},
        tuple(f"{leaf.name}, {_kind(leaf.value)}" for leaf in beside),
    )


class _Count:
    """How much of a tree was seen: dicts that hold each other can be few and their paths endless."""

    def __init__(self) -> None:
        self.values = self.tensors = 0

    def value(self) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise _too_many(f"more than {MOST_VALUES} values")

    def tensor(self, name: str) -> None:
        self.tensors += 1
        if len(name) > LONGEST_KEY or name.count(".") > MOST_PARTS:
            raise SimvisError(
                f"a checkpoint with a tensor under a name of {len(name)} characters, {name[:40]}...",
                f"names of at most {LONGEST_KEY} characters and {MOST_PARTS} parts",
                "save `model.state_dict()` only",
            )
        if self.tensors > MOST_TENSORS:
            raise _too_many(f"more than {MOST_TENSORS} tensors")


def _too_many(words: str) -> SimvisError:
    return SimvisError(f"a checkpoint with {words}", "the weights of one network", "save `model.state_dict()` only")


def _leaves(tree: Mapping[str, Any], nest: tuple[str, ...], count: _Count) -> Iterator[Leaf]:
    if len(nest) > DEEPEST:
        raise SimvisError(f"a checkpoint with more than {DEEPEST} dicts in each other", "a checkpoint", SAVE_AGAIN)
    for key, value in tree.items():
        count.value()
        inner = _mapping(value, count)
        if inner is not None:
            yield from _leaves(inner, (*nest, key), count)
        elif isinstance(value, (Tensor, Described)) or _is_numbers(value):
            leaf = Leaf(nest, key, value)
            count.tensor(leaf.name)
            yield leaf


def _mapping(value: object, count: _Count) -> Mapping[str, Any] | None:
    """The dict that a value is, or the state of the network that it is; None for any other value."""
    if isinstance(value, Held) and isinstance(value.state, dict) and "_modules" in value.state:
        return dict(_state(value, "", 0, count))
    return value if isinstance(value, Mapping) and not _is_numbers(value) else None


def _state(module: Any, start: str, depth: int, count: _Count) -> Iterator[tuple[str, object]]:
    """What `state_dict` gives, read off a pickled module: parameters and buffers, then those of its children."""
    count.value()
    if depth > DEEPEST:
        raise SimvisError(f"a network with more than {DEEPEST} modules in each other", "a checkpoint", SAVE_AGAIN)
    state = getattr(module, "state", None)
    if not isinstance(state, dict):
        return
    for kind in ("_parameters", "_buffers"):
        yield from ((start + key, value) for key, value in state.get(kind, {}).items())
    for name, child in state.get("_modules", {}).items():
        yield from _state(child, f"{start}{name}.", depth + 1, count)


def _is_numbers(value: object) -> bool:
    """Whether it stands for numbers that are no plain tensor: an array, a sparse or a quantised tensor."""
    if not isinstance(value, Held):
        return False
    return value.kind in _ARRAYS or value.kind.startswith(("torch._utils._rebuild_", "torch._tensor."))


def _kind(value: object) -> str:
    array = isinstance(value, Held) and value.kind in _ARRAYS
    return "a numpy array" if array else "numbers that are no plain tensor"


def _whole(leaf: Leaf) -> Tensor | None:
    """A tensor all of whose numbers are in the file: one number repeated a million times would fill the memory."""
    tensor = _tensor(leaf.value)
    if tensor is None or tensor.layout != torch.strided or tensor.is_meta:
        return None
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise SimvisError(f"'{leaf.key}', which the file does not hold as a whole", "all of its numbers", SAVE_AGAIN)
    return tensor.detach()


def _tensor(value: Tensor | Described | Held) -> Tensor | None:
    if isinstance(value, Described):
        return value.tensor()
    return value if isinstance(value, Tensor) else _array(value)


def _array(value: Held) -> Tensor | None:
    """A numpy array as its pickle tells it: (version, shape, type, Fortran order, bytes)."""
    if value.kind not in _ARRAYS or not isinstance(value.state, tuple):
        return None
    _version, shape, kind, fortran, data = value.state
    word = kind.args[0]
    if not re.fullmatch(r"[fiu][1248]|b1", word) or kind.state[1] == ">" or not isinstance(data, (bytes, bytearray)):
        return None
    row = numpy.frombuffer(bytearray(data), dtype=word)
    if math.prod(shape) != len(row):
        raise ValueError(f"an array of the shape {shape} with {len(row)} numbers")
    return torch.from_numpy(row.reshape(shape, order="F" if fortran else "C").copy())


DEEPEST = 32
MOST_TENSORS, MOST_VALUES = 10_000, 1_000_000
LONGEST_KEY, MOST_PARTS = 1000, 64
_ARRAYS = frozenset(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"))
