"""A cache bounded in bytes, which makes each value once however many ask for it together."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key, the least recently used dropped when their sizes together pass ``limit`` bytes.

    A value that alone is larger than the limit is handed out and not kept.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        self.limit, self.bytes = limit, 0
        self._size = size
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made on first use. What ``make`` raises is raised and nothing is kept."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        try:
            with making:
                held = self._held(key)
                return held[0] if held else self._keep(key, make())
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _held(self, key: Hashable) -> tuple[Value, int] | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def _keep(self, key: Hashable, value: Value) -> Value:
        size = self._size(value)
        with self._lock:
            if size <= self.limit:
                self._values[key] = (value, size)
                self.bytes += size
            while self.bytes > self.limit:
                self.bytes -= self._values.popitem(last=False)[1][1]
        return value
