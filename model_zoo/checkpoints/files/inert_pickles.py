"""Reading a pickle without running it: tensors become descriptions, any other object a dict that does nothing."""

import pickletools
import struct
from collections.abc import Callable
from typing import IO, Any

from model_zoo.checkpoints.files.inert_values import STORAGES, Global, Held, Stored, filled_in, named


class Pickle:
    """Reads the pickles of a stream, one by one. ``stored`` are the storages seen, by their key.

    ``read`` gives a storage's bytes. ``unpacked`` turns the bytes of a storage that was pickled as a whole file of its
    own into that storage.
    """

    def __init__(
        self, file: IO[bytes], read: Callable[[str], bytearray], unpacked: Callable[[bytes], Stored] | None = None
    ) -> None:
        self.file, self.read, self.unpacked = file, read, unpacked
        self.stored: dict[str, Stored] = {}
        self.steps = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def next(self) -> Any:
        """The next pickle's value.

        Raises RefusedError for one that asks for what runs programs, ValueError for bytes that make no sense.
        """
        self.stack, self.marks, self.memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(self.file):
                self.steps += 1
                if self.steps > MOST_STEPS:
                    raise ValueError(f"more than {MOST_STEPS} values")
                self._step(opcode.name, argument)
            return self.stack.pop()
        except (LookupError, TypeError, AttributeError, struct.error) as error:  # a step on what is not there
            raise ValueError(f"{type(error).__name__} in its pickle: {error}") from error

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(argument)
        elif name in _FIXED:
            self.stack.append(_FIXED[name])
        elif name not in _NOTHING:
            _STEPS[name](self, argument)

    def _to_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def _pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    def _list(self, _: Any) -> None:
        self.stack.append(self._to_mark())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._to_mark()))

    def _tuple_of(self, count: int) -> None:
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _dict(self, _: Any) -> None:
        items = self._to_mark()
        self.stack.append(filled_in({}, items))

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        filled_in(self.stack[-1], [key, value])

    def _setitems(self, _: Any) -> None:
        items = self._to_mark()
        filled_in(self.stack[-1], items)

    def _append(self, _: Any) -> None:
        _extended(self.stack, [self.stack.pop()])

    def _appends(self, _: Any) -> None:
        _extended(self.stack, self._to_mark())

    def _global(self, words: str) -> None:
        module, _, name = words.partition(" ")
        self.stack.append(named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(named(module, name))

    def _reduce(self, _: Any) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        self.stack.append(self._made(called, args))

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        called, *args = self._to_mark()
        self.stack.append(self._made(called, args))

    def _inst(self, words: str) -> None:
        module, _, name = words.partition(" ")
        self.stack.append(self._made(named(module, name), self._to_mark()))

    def _made(self, called: Any, args: Any) -> Any:
        if isinstance(called, Held):  # such as a method, which was asked for by getattr
            return Held(called.kind, args)
        if not isinstance(called, Global):
            raise ValueError("a call of what is no name")
        if called.kind == "torch.storage._load_from_bytes" and self.unpacked is not None:
            return self.unpacked(*args)
        return called.made(args)

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Held):
            self.stack[-1].state = state

    def _persistent(self, _: Any) -> None:
        """``("storage", its class, key, place, count)``, and in files before PyTorch 0.4 a view of another storage.

        The old format keeps a module's class as ``("module", the class, its file, its source)``.
        """
        name, kind, key, _place, *rest = self.stack.pop()
        if name == "module" and isinstance(kind, Global):
            self.stack.append(kind)
            return
        count, *view = rest
        if name != "storage" or not isinstance(key, str) or type(count) is not int or any(view):
            raise ValueError("a reference to what is no storage")
        self.stored.setdefault(key, Stored(STORAGES[kind.kind], key, count, self.read))
        self.stack.append(self.stored[key])


def _extended(stack: list[Any], items: list[Any]) -> None:
    if isinstance(stack[-1], list):
        stack[-1].extend(items)
    elif not isinstance(stack[-1], Held):  # a class that is a list besides: what it holds is nobody's weights
        raise TypeError("values appended to what is no list")


MOST_STEPS = 600_000  # about a second and a half of them; the largest networks with their optimizer have a quarter
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_CONSTANTS = frozenset((*_NUMBERS, *_TEXTS, "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_FIXED: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NOTHING = frozenset(("PROTO", "FRAME", "STOP"))
# What is not here (extension codes, buffers out of band) no weights file has: a LookupError.
_STEPS: dict[str, Callable[[Pickle, Any], None]] = {
    "MARK": Pickle._mark,
    "POP": Pickle._pop,
    "POP_MARK": Pickle._pop_mark,
    "DUP": Pickle._dup,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Pickle._put),
    "MEMOIZE": Pickle._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Pickle._get),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda self, _: self.stack.append([])),
    "EMPTY_DICT": lambda self, _: self.stack.append({}),
    **dict.fromkeys(("LIST", "FROZENSET"), Pickle._list),
    "TUPLE": Pickle._tuple,
    "TUPLE1": lambda self, _: self._tuple_of(1),
    "TUPLE2": lambda self, _: self._tuple_of(2),
    "TUPLE3": lambda self, _: self._tuple_of(3),
    "DICT": Pickle._dict,
    "SETITEM": Pickle._setitem,
    "SETITEMS": Pickle._setitems,
    "APPEND": Pickle._append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), Pickle._appends),
    "GLOBAL": Pickle._global,
    "STACK_GLOBAL": Pickle._stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), Pickle._reduce),
    "NEWOBJ_EX": Pickle._newobj_ex,
    "OBJ": Pickle._obj,
    "INST": Pickle._inst,
    "BUILD": Pickle._build,
    "BINPERSID": Pickle._persistent,
}
