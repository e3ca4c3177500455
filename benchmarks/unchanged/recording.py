"""A tree's answers, asked of its own code in processes of their own: scripts that know published names only."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# 60 sample pictures, of which the pairs and the gallery are made.
CLASSES = (
    *("christ_the_redeemer", "eiffel_tower", "giraffe", "lincoln_memorial", "louvre", "mount_rushmore"),
    *("neuschwanstein_castle", "parthenon", "pliers", "pyramid", "schwerin_palace", "scissors", "statue_of_liberty"),
    *("sydney_opera_house", "taj_mahal", "tape_measure", "windmill"),
)
# One thread: the order of a sum is then the same in every run.
ONE_THREAD = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON", "TORCH")
LEFT_OUT = (
    "seconds and pictures_per_second of answers, records and tables: times",
    "the commands' standard error, and an answer's steps before the last: progress and times",
    "the random identifiers of plots inside HTML pages",
)


def record(tree: Path, parts: Sequence[str]) -> dict[str, Any]:
    """What the code of ``tree`` answers: ``values`` by name, each as text, and what is ``left_out``.

    Floats are written in hexadecimal, arrays as kind, shape, sum and the hash of their bytes, files as the hash of
    theirs. The tree is only read: everything is written to a temporary folder.

    Raises CalledProcessError where the tree's code fails.
    """
    tree = tree.resolve()
    values: dict[str, str] = {}
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="simvis-unchanged-") as folder:
            work = Path(folder)
            for name in CLASSES:
                shutil.copytree(tree / "sample_data" / "pictures" / name, work / "pictures" / name)
            values |= _asked(tree, HERE / PARTS[part], work)
    return {"values": values, "left_out": LEFT_OUT}


def _asked(tree: Path, script: Path, work: Path) -> dict[str, str]:
    """The script's answer; ``-P`` keeps its own folder, and so this tree, out of what it imports."""
    command = [sys.executable, "-P", str(script), str(tree), str(work)]
    subprocess.run(command, cwd=tree, env=_environment(tree, work), stdout=sys.stderr, check=True)
    answer: dict[str, str] = json.loads((work / "answer.json").read_text())
    return answer


def _environment(tree: Path, home: Path) -> dict[str, str]:
    """Its variables: the tree's code first, one thread, and a home where nothing was measured before."""
    (home / "home").mkdir()
    threads = {f"{name}_NUM_THREADS": "1" for name in ONE_THREAD}
    return {
        **os.environ,
        **threads,
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HOME": str(home / "home"),
        "GRADIO_TEMP_DIR": str(home / "gradio"),
    }


PARTS = {"python": "in_python.py", "commands": "by_command.py"}
