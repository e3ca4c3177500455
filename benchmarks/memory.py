"""Peak memory step by step, and of many pairs through the page's session.

``python -m benchmarks.memory`` is the measured child: a peak never sinks again, so each question needs a new process.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.tables import Table, number

MEBIBYTE = 2**20
LIMITS = (32, 1024)  # MiB; the second is the page's own
REPORTED = (1, 25, 50, 100, 125, 150, 200)  # pairs; from 129 on of pictures that came before in other pairs
QUICK_REPORTED = (1, 2)


def tables(quick: bool) -> list[Table]:
    """Peaks after each step of one process, then along many pairs under two cache limits."""
    reported = QUICK_REPORTED if quick else REPORTED
    many = [_session_row(limit, reported) for limit in (LIMITS[:1] if quick else LIMITS)]
    steps = _child("steps")
    first = [[step, number(peak), f"+{number(peak - before)}"] for step, before, peak in _differences(steps)]
    return [
        Table("Peak memory of one pair", ["after", "peak, MiB", "more than before"], first, [_STEPS_NOTE]),
        Table(
            f"Peak memory of up to {reported[-1]} different pairs",
            ["cache limit", *(f"pair {count}, MiB" for count in reported), "cached at the end, MiB"],
            many,
            [
                "Short side 224, through the app's session: 128 pairs of new pictures, then new pairs of old. "
                "The C library keeps about 200 MiB of what is freed, so the peak rises on a little after that."
            ],
        ),
    ]


_STEPS_NOTE = "efficientnet_lite0; one process, each step on top of the ones before."


def _session_row(limit: int, reported: tuple[int, ...]) -> list[str]:
    answer = _child("session", str(limit), *map(str, reported))
    return [f"{limit} MiB", *(number(value) for value in answer.values())]


def _differences(steps: dict[str, float]) -> list[tuple[str, float, float]]:
    return [(step, before, peak) for (step, peak), before in zip(steps.items(), [0.0, *steps.values()], strict=False)]


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak() -> float:
    """The peak of the running process in MiB.

    On Linux getrusage would give a child its parent's peak (the count survives exec), so the kernel's own is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE  # bytes on macOS


def steps() -> dict[str, float]:
    """In the child: imports, loads, explains at 224 and 512."""
    result = {"Python": peak()}
    import model_zoo  # noqa: PLC0415
    from benchmarks.pictures import first_images  # noqa: PLC0415
    from simvis_core import explain_pair  # noqa: PLC0415

    result["importing simvis_core and model_zoo"] = peak()
    network, (a, b) = model_zoo.load("efficientnet_lite0"), first_images()
    result["loading a network"] = peak()
    for short_side in (224, 512):
        pair = explain_pair(network, a, b, short_side)
        assert pair.map_a.numel() + pair.map_b.numel() + pair.joint_map.numel()
        result[f"explaining a pair at {short_side}, joint map too"] = peak()
    return result


def session(limit: int, reported: list[int]) -> dict[str, float]:
    """In the child: different pairs through one session; its peaks, then what it holds."""
    from benchmarks.pictures import distinct_pairs  # noqa: PLC0415
    from simvis_app.service.sessions.session import Session, Settings  # noqa: PLC0415

    served = Session(features_limit=limit * MEBIBYTE)
    result = {}
    for count, (a, b) in enumerate(distinct_pairs(max(reported)), start=1):
        pair = served.explain(a, b, Settings())
        assert pair.map_a.numel() + pair.map_b.numel() + pair.joint_map.numel()
        if count in reported:
            result[str(count)] = peak()
    return result | {"cached": served.cached_bytes / MEBIBYTE}


def _answer(arguments: list[str]) -> dict[str, float]:
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=("steps", "session"))
    parser.add_argument("numbers", nargs="*", type=int, help="for session: the limit in MiB, then counts of pairs")
    asked = parser.parse_args(arguments)
    return steps() if asked.question == "steps" else session(asked.numbers[0], asked.numbers[1:])


if __name__ == "__main__":
    print(json.dumps(_answer(sys.argv[1:])))
