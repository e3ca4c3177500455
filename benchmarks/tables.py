"""Markdown tables, and the line that says where they were measured."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch


@dataclass(frozen=True)
class Table:
    """A title, column names, rows of text, and sentences beneath."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as GitHub shows it: first column to the left, numbers to the right."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes])


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in ("torch", "numpy", "pillow", "gradio")),
    }


def machine_line(facts: dict[str, str]) -> str:
    """The facts in one line."""
    return "; ".join(f"{name}: {fact}" for name, fact in facts.items())


def times(value: float) -> str:
    """A ratio: 1.084 x, 23 x."""
    return f"{value:.3f} ×" if value < 10 else f"{value:.0f} ×"


def milliseconds(value: float) -> str:
    """Three digits, with the unit in the column's name."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
