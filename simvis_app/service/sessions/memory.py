"""How the C library's memory is kept from growing while many threads come and go."""

import ctypes
import threading
import time
from collections.abc import Callable

ARENAS = 2  # heaps that threads share; glibc makes eight for each processor, and each keeps what was freed in it
M_ARENA_MAX = -8  # of malloc.h
MEBIBYTE = 2**20
ENOUGH = 128 * MEBIBYTE  # of dropped values, after which freed memory is worth giving back
PAUSE = 10.0  # seconds between two times: the next requests fault the pages in again


def bound_arenas(count: int = ARENAS) -> bool:
    """Lets all threads share ``count`` heaps of glibc's; False where there is another C library.

    To be called before threads allocate: heaps that are there stay.
    """
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and bool(mallopt(M_ARENA_MAX, count))


def give_back() -> None:
    """Returns what is freed in glibc's heaps to the system; nothing where there is another C library."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


class Trimmer:
    """Gives memory back once caches have dropped enough since the last time, and not too often."""

    def __init__(self, trim: Callable[[], None] = give_back, clock: Callable[[], float] = time.monotonic) -> None:
        self._trim, self._clock = trim, clock
        self._dropped, self._last = 0, clock()
        self._lock = threading.Lock()

    def dropped(self, size: int) -> None:
        """To be told of each value that a cache let go, in bytes."""
        with self._lock:
            self._dropped += size
            due = self._dropped >= ENOUGH and self._clock() - self._last >= PAUSE
            if due:
                self._dropped, self._last = 0, self._clock()
        if due:
            self._trim()


def _of_glibc(name: str) -> Callable[..., int] | None:
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version
        found: Callable[..., int] = getattr(library, name)
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no library without a name
        return None
    return found
