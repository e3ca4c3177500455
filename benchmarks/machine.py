"""Where the numbers come from, and how much of the machine others used meanwhile."""

import contextlib
import ctypes
import os
import platform
import resource
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed, here and in what is compared.

    Else it may give 36 MB back after a forward pass and fault them in again for the next, 20 % of its time, in one
    process and not in another.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(option, 2**29)


def facts() -> dict[str, str]:
    """What the numbers depend on."""
    versions = [f"{package} {version(package)}" for package in ("torch", "numpy", "pillow", "gradio")]
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "threads": f"{torch.get_num_threads()} (OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'unset')})",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


def _seconds_of_all() -> float:
    """Processor seconds of everything since the machine started; 0 where the system does not tell."""
    try:
        ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return 0
    user, nice, system, _idle, _waiting, *interrupts = ticks[:7]
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _seconds_of_ours() -> float:
    usages = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(frozen=True)
class Neighbours:
    """What other processes used of the machine since this was made; needs Linux."""

    started: float = field(default_factory=time.perf_counter)
    all_before: float = field(default_factory=_seconds_of_all)
    own_before: float = field(default_factory=_seconds_of_ours)

    def report(self) -> str:
        """Cores that others kept busy on average."""
        if not self.all_before:
            return "unknown"
        others = (_seconds_of_all() - self.all_before) - (_seconds_of_ours() - self.own_before)
        return f"{max(others, 0) / (time.perf_counter() - self.started):.1f} of {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
