"""What stands for the objects that a pickle asks for: descriptions of tensors, and dicts that do nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor


class RefusedError(Exception):
    """A pickle that asks for something that runs programs, by its dotted name."""


class Held(dict[str, Any]):
    """Stands for an object of any class: its items as a dict, ``args`` and ``state`` as the pickle gives them.

    The class, told by ``kind`` as ``module.name``, is neither looked up nor imported.
    """

    def __init__(self, kind: str, args: object = ()) -> None:
        super().__init__()
        self.kind, self.args = kind, args
        self.state: object = None


@dataclass(eq=False)
class Stored:
    """A run of numbers of one type; ``read`` gives its bytes by ``key``, once."""

    dtype: torch.dtype
    key: str
    count: int
    read: Callable[[str], bytearray]
    _flat: dict[torch.dtype, Tensor] = field(default_factory=dict)

    @cached_property
    def data(self) -> bytearray:
        """Its bytes. Raises ValueError where the file holds fewer of them than it says."""
        data = self.read(self.key)
        if len(data) < self.count * self.dtype.itemsize:
            raise ValueError(f"{self.key} holds {len(data)} bytes of {self.count * self.dtype.itemsize}")
        return data

    def flat(self, dtype: torch.dtype) -> Tensor:
        """The numbers as one row (N,), the same one each time."""
        if dtype not in self._flat:
            empty = not self.data
            self._flat[dtype] = torch.empty(0, dtype=dtype) if empty else torch.frombuffer(self.data, dtype=dtype)
        return self._flat[dtype]


@dataclass(frozen=True, eq=False)
class Described:
    """A tensor before its numbers are read."""

    storage: Stored
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """The tensor, which shares its numbers with others of the same storage.

        Raises ValueError for one that reaches beyond them.
        """
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"a tensor of size {self.size}")
        flat = self.storage.flat(self.dtype)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and last >= len(flat):
            raise ValueError(f"a tensor of {last + 1} numbers where {len(flat)} are stored")
        return flat.as_strided(self.size, self.stride, 0 if 0 in self.size else self.offset)


@dataclass(frozen=True)
class Global:
    """What a pickle calls by name. It is not called: `made` says what stands for the result."""

    kind: str

    def made(self, args: Any) -> Any:
        """What stands for a call with these arguments."""
        make = _MADE.get(self.kind)
        return Held(self.kind, args) if make is None else make(*args)


def named(module: str, name: str) -> Global:
    """What stands for a name. Raises RefusedError for one that runs programs."""
    top = module.partition(".")[0]
    if top in _RUN or (top in ("builtins", "__builtin__") and name in _BUILTINS):
        raise RefusedError(f"{module}.{name}")
    return Global(f"{module}.{name}")


def filled_in(target: Any, items: list[Any]) -> dict[str, Any]:
    """Keys go by their words: nothing in a pickle is hashed but strings."""
    if not isinstance(target, dict):
        raise TypeError("items of what is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key if isinstance(key, str) else _word(key, len(target))] = value
    return target


def _word(key: object, place: int) -> str:
    return str(key) if isinstance(key, (int, float, bool, type(None))) else f"({type(key).__name__} {place})"


def _mapping(pairs: Any = (), *_: Any) -> dict[str, Any]:
    return filled_in({}, [one for pair in pairs for one in pair]) if isinstance(pairs, (list, tuple)) else {}


def _tensor(storage: Stored, offset: int, size: Iterable[int], stride: Iterable[int], *_: Any) -> Described:
    return Described(_checked(storage), offset, tuple(size), tuple(stride), storage.dtype)


def _tensor_of(
    storage: Stored,
    offset: int,
    size: Iterable[int],
    stride: Iterable[int],
    _grad: Any,
    _hooks: Any,
    dtype: Global,
    *_: Any,
) -> Described:
    """For types that have no class of storage of their own, such as float8."""
    found = getattr(torch, dtype.kind.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"numbers of the type {dtype.kind}")
    return Described(_checked(storage), offset, tuple(size), tuple(stride), found)


def _checked(storage: object) -> Stored:
    if not isinstance(storage, Stored):
        raise TypeError("a tensor without a storage")
    return storage


def _first(value: Any, *_: Any) -> Any:
    return value


def _typed(make: Global, _kind: Any, args: Any, *_: Any) -> Any:
    return make.made(args)


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 keeps bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes in {encoding}")
    return text.encode("latin1")


def _typed_storage(wrapped_storage: Any = None, *_: Any) -> Any:
    return wrapped_storage


# What stands for a call of these; any other call gives a Held.
_MADE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(
        ("collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict"), _mapping
    ),
    "_codecs.encode": _encoded,
    **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
    "torch._utils._rebuild_tensor_v3": _tensor_of,
    **dict.fromkeys(("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"), _first),
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.storage.TypedStorage": _typed_storage,
}
STORAGES: dict[str, torch.dtype] = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    **dict.fromkeys(("torch.storage.UntypedStorage", "torch.UntypedStorage"), torch.uint8),
}
# Nothing of a pickle is called here whatever it asks for. A file that asks for these is no weights file, and whoever
# opens it elsewhere runs a stranger's program: that is worth a sentence.
_SYSTEM = ("os", "posix", "nt", "sys", "subprocess", "shutil", "ctypes", "pty", "signal", "commands", "popen2")
_CODE = ("importlib", "runpy", "code", "pdb", "pip", "multiprocessing", "asyncio")
_RUN = frozenset((*_SYSTEM, *_CODE, "socket", "webbrowser", "urllib", "http", "requests"))
_BUILTINS = frozenset(["eval", "exec", "execfile", "compile", "open", "input", "__import__", "breakpoint"])
