"""What opening the worst pictures costs: seconds of a processor and memory.

``python -m benchmarks.decoding FILE`` is the measured child: a peak never sinks again, so each file needs a new one.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.memory import peak
from benchmarks.tables import Table, number
from benchmarks.worst_pictures import WORST
from simvis_core import SimvisError, open_picture

SECONDS, MEGABYTES = 2.0, 500.0  # what no picture within a stranger's limits may cost
QUICK = ("JPEG, 10 MB of padding", "TIFF, one tag a thousand times", "BMP, run-length coded", "AVIF, transparent")


def tables(quick: bool) -> list[Table]:
    """Each picture's file, what opening it costs beyond the program itself, and what came of it."""
    names = QUICK if quick else tuple(WORST)
    rows, over = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            file = Path(folder) / "picture"
            file.write_bytes(WORST[name]())
            told = _child(file)
            over += told["seconds"] > SECONDS or told["memory"] > MEGABYTES
            size = number(file.stat().st_size / 2**20)
            rows.append([name, size, f"{told['seconds']:.2f}", number(told["memory"]), told["came"]])
    note = f"{over} of {len(rows)} cost more than {SECONDS:g} s of a processor or {MEGABYTES:g} MB."
    columns = ["picture", "file, MiB", "s", "memory, MiB", "what came of it"]
    return [Table("Opening pictures made to cost much", columns, rows, [note])]


def _child(file: Path) -> dict:
    command = [sys.executable, "-m", "benchmarks.decoding", str(file)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measured(file: str) -> dict[str, object]:
    """In the child: opens the picture. Decoders' own processes count."""
    before, decoders = peak(), _Decoders()
    decoders.start()
    started = sum(os.times()[:4])
    try:
        image = open_picture(file)
        came = f"{image.width} x {image.height}"
    except SimvisError as error:
        came = f"refused: {error.got}"
    memory = max(peak(), decoders.peak) - before
    return {"seconds": sum(os.times()[:4]) - started, "memory": memory, "came": came}


class _Decoders(threading.Thread):
    """Looks at this process and its children together as long as these live: later they cannot be asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0

    def run(self) -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        while children.exists():
            for child in children.read_text().split():
                self.peak = max(self.peak, _held("self", "VmRSS") + _held(child, "VmHWM"))
            time.sleep(0.004)


def _held(process: str, field: str) -> float:
    """A process's memory in MiB; 0 for one that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
