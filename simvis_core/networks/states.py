"""What a module's state is made of, be it tensors of any layout or values of any class: plain tensors and words."""

import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from simvis_core.errors import SimvisError

_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None))


def pieces(value: Any, inside: tuple[int, ...] = ()) -> Iterator[Tensor | bytes]:
    """The plain tensors that hold the value's numbers, in the order of the value, and words for everything else.

    Equal values have equal pieces, in another process too: a dict's items are sorted by their keys, a set's by what
    they are made of, an object counts by what it would be pickled as. Nothing is run but what pickling runs. A sparse,
    quantised or nested tensor is the tensors that it is kept as; ``inside`` are the identities of what holds the value.

    Raises SimvisError for a value that cannot be saved.

    >>> import torch
    >>> from simvis_core.networks.states import pieces
    >>> list(pieces({"steps": 3, "weight": torch.ones(2)}))
    [b'dict of 4', b',', b"str 'steps'", b',', b'int 3', b',', b"str 'weight'", b',', tensor([1., 1.])]
    """
    if id(value) in inside:
        yield b"again %d" % inside.index(id(value))
    elif isinstance(value, Tensor):
        yield from _of_tensor(value, inside)
    elif isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}".encode(errors="surrogateescape")
    elif isinstance(value, _NAMED):
        yield f"{getattr(value, '__module__', '')} {getattr(value, '__qualname__', value.__name__)}".encode()
    else:
        yield from _of_object(value, (*inside, id(value)))


def digest(value: Any) -> str:
    """The SHA-256 of a value's pieces.

    >>> from simvis_core.networks.states import digest
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}), len(digest(None))
    (True, 64)
    """
    found = hashlib.sha256()
    for piece in pieces(value):
        found.update(piece if isinstance(piece, bytes) else numbers(piece))
    return found.hexdigest()


def numbers(plain: Tensor) -> bytes:
    """The bytes of a plain tensor's numbers.

    >>> import torch
    >>> from simvis_core.networks.states import numbers
    >>> numbers(torch.tensor([1, 2], dtype=torch.uint8)).hex()
    '0102'
    """
    there = plain.detach().cpu().contiguous().resolve_conj()
    return there.view(-1).view(torch.uint8).numpy().tobytes()


def tensor_bytes(value: Any) -> int:
    """Bytes that a value's tensors take.

    >>> import torch
    >>> from simvis_core.networks.states import tensor_bytes
    >>> tensor_bytes({"weight": torch.ones(2, 3)})
    24
    """
    return sum(piece.nbytes for piece in pieces(value) if isinstance(piece, Tensor))


def _of_tensor(tensor: Tensor, inside: tuple[int, ...]) -> Iterator[Tensor | bytes]:
    kind = f"{tensor.layout} {tensor.dtype}"
    if tensor.is_meta:
        yield f"{kind} {tuple(tensor.shape)} without numbers".encode()
    elif hasattr(tensor, "__tensor_flatten__"):  # a subclass that holds others
        names, more = tensor.__tensor_flatten__()
        yield from _row(type(tensor).__qualname__, [*(getattr(tensor, name) for name in names), more], inside)
    elif tensor.layout == torch.strided and not (tensor.is_nested or tensor.is_quantized):
        yield tensor
    else:
        yield from _row(kind, _parts(tensor.detach()), inside)


def _parts(tensor: Tensor) -> list[Any]:
    """What a tensor that is not plain is kept as."""
    if tensor.is_nested:
        return list(tensor.unbind())
    if tensor.is_quantized:
        return [str(tensor.qscheme()), tensor.int_repr(), *_scales(tensor)]
    if tensor.layout not in _PARTS:  # kept by a library in a form of its own
        return [tensor.to_dense()]
    kept = tensor.coalesce() if tensor.layout == torch.sparse_coo else tensor
    return [tuple(kept.shape), *(getattr(kept, part)() for part in _PARTS[tensor.layout])]


def _scales(tensor: Tensor) -> list[Any]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return [tensor.q_scale(), tensor.q_zero_point()]
    return [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis()]


def _of_object(value: Any, inside: tuple[int, ...]) -> Iterator[Tensor | bytes]:
    if type(value) in (list, tuple):
        yield from _row(type(value).__name__, list(value), inside)
    elif isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
        yield from _row("dict", [one for item in sorted(value.items(), key=_key) for one in item], inside)
    elif isinstance(value, (set, frozenset)):
        yield from _row("set", sorted(map(digest, value)), inside)
    else:
        yield from _pickled(value, inside)


def _key(item: tuple[Any, Any]) -> str:
    return digest(item[0])


def _row(kind: str, row: list[Any], inside: tuple[int, ...]) -> Iterator[Tensor | bytes]:
    yield f"{kind} of {len(row)}".encode()
    for one in row:
        yield b","
        yield from pieces(one, inside)


def _pickled(value: Any, inside: tuple[int, ...]) -> Iterator[Tensor | bytes]:
    """What pickle would write: how the object is made again, of what, and what it holds."""
    try:
        reduced = value.__reduce_ex__(4)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise SimvisError(
            f"a network whose state holds a {type(value).__qualname__}, which cannot be saved",
            "state that tells two networks apart: tensors and values that can be pickled",
            "give plain values from get_extra_state",
        ) from error
    if isinstance(reduced, str):
        yield f"{type(value).__qualname__} {reduced}".encode()
        return
    row = [list(one) if isinstance(one, Iterator) else one for one in reduced]
    yield from _row(type(value).__qualname__, row, inside)


_PARTS: dict[torch.layout, tuple[str, ...]] = {
    torch.sparse_coo: ("indices", "values"),
    **dict.fromkeys((torch.sparse_csr, torch.sparse_bsr), ("crow_indices", "col_indices", "values")),
    **dict.fromkeys((torch.sparse_csc, torch.sparse_bsc), ("ccol_indices", "row_indices", "values")),
}
