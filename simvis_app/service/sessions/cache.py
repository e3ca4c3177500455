"""A cache bounded in bytes, which makes each value once however many ask for it together."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Turn:
    """The lock of a key that is being asked for, and how many hold it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    takers: int = 0


class BoundedCache(Generic[Value]):
    """Values by key, the least recently used dropped when their sizes together pass ``limit`` bytes.

    A value that alone is larger than the limit is handed out and not kept. ``dropped`` is told the bytes of what was.
    """

    def __init__(
        self, limit: int, size: Callable[[Value], int], dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        self.limit, self.bytes = limit, 0
        self._size, self._dropped = size, dropped
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._turns: dict[Hashable, _Turn] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made on first use. What ``make`` raises is raised and nothing is kept."""
        with self._turn(key):
            held = self._held(key)
            return held[0] if held else self._keep(key, make())

    def put(self, key: Hashable, value: Value) -> Value:
        """Keeps a value in place of what the key had; gives it back."""
        with self._turn(key):
            self._drop(key)
            return self._keep(key, value)

    def held(self, key: Hashable) -> Value | None:
        """The value of a key if it is kept."""
        held = self._held(key)
        return held[0] if held else None

    @contextmanager
    def _turn(self, key: Hashable) -> Iterator[None]:
        """One after the other for each key; the last to leave takes the lock away."""
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.takers += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.takers -= 1
                if not turn.takers:
                    del self._turns[key]

    def _held(self, key: Hashable) -> tuple[Value, int] | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def _drop(self, key: Hashable) -> None:
        with self._lock:
            if key in self._values:
                self.bytes -= self._values.pop(key)[1]

    def _keep(self, key: Hashable, value: Value) -> Value:
        size = self._size(value)
        with self._lock:
            if size <= self.limit:
                self._values[key] = (value, size)
                self.bytes += size
            dropped = list(self._overflow())
        if dropped:
            self._dropped(sum(dropped))
        return value

    def _overflow(self) -> Iterator[int]:
        """Drops the oldest until the rest fits; their bytes."""
        while self.bytes > self.limit:
            size = self._values.popitem(last=False)[1][1]
            self.bytes -= size
            yield size
