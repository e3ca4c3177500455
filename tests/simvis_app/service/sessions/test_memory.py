"""Freed memory: when it is given back, and how many heaps the C library makes."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.memory import ENOUGH, PAUSE, Trimmer

MEMORY = Path(__file__).parents[4] / "simvis_app" / "service" / "sessions" / "memory.py"
# Threads that allocate at the same moment each get a heap of their own while there are fewer than allowed.
CROWD = """
import ctypes, runpy, sys, threading
memory = runpy.run_path(sys.argv[1])
if sys.argv[2] == "bounded":
    assert memory["bound_arenas"]()
gate = threading.Barrier(6)
def work():
    gate.wait(30)
    kept = [bytearray(1000 + n) for n in range(100)]
    gate.wait(30)
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
memory["give_back"]()
library = ctypes.CDLL(None)
library.fdopen.restype = ctypes.c_void_p
out = library.fdopen(1, b"w")
library.malloc_info(0, ctypes.c_void_p(out))
library.fflush(ctypes.c_void_p(out))
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


@glibc
def test_threads_share_two_heaps():
    def heaps(how):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        command = [sys.executable, "-c", CROWD, str(MEMORY), how]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=kept).stdout.count("<heap nr=")

    assert heaps("bounded") <= 2 < heaps("as it is")


def test_memory_is_given_back_after_enough_was_dropped_and_not_too_often():
    now, times = [0.0], []
    trimmer = Trimmer(lambda: times.append(now[0]), lambda: now[0])
    trimmer.dropped(ENOUGH)  # too soon after the start
    now[0] = PAUSE
    trimmer.dropped(1)
    now[0] = 2 * PAUSE
    trimmer.dropped(ENOUGH - 1)
    trimmer.dropped(1)
    trimmer.dropped(ENOUGH)
    assert times == [PAUSE, 2 * PAUSE]


def test_a_cache_tells_what_it_dropped():
    told = []
    cache = BoundedCache(10, len, told.append)
    for key, size in enumerate((4, 4, 6, 11, 10)):
        cache.get(key, lambda size=size: b"x" * size)
    assert told == [4, 10]
    assert cache.bytes == 10
