"""Runs the command line of the tree it is in: what each command prints, writes and serves, each value as text.

A script of its own: ``python -P by_command.py TREE WORK``. It imports nothing of SimVis: ``app.py`` is run as a script.
"""

import contextlib
import csv
import hashlib
import io
import json
import re
import runpy
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

Values = Iterator[tuple[str, str]]
TIMES = re.compile(r"(pictures_per_)?seconds?(_low|_high)?")  # names of what differs in every run
PLOT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")  # a plot's place in a page


def main(tree: Path, work: Path) -> None:
    """Writes ``answer.json``: a text for each value of every command, in turn."""
    sys.path.insert(0, str(tree))  # as Python itself does for a script
    values = dict(entry for name, command in COMMANDS.items() for entry in _ran(tree, work, name, command.split()))
    values |= _served(tree, work)
    (work / "answer.json").write_text(json.dumps(values))


def _ran(tree: Path, work: Path, name: str, words: list[str]) -> Values:
    out = work / "out" / name.replace(" ", "_")
    arguments = [_filled(word, work, out) for word in words]
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = _exit_code(tree, arguments)
    print(f"{name}: exit code {code}", file=sys.stderr)
    yield f"commands/{name}/exit code", repr(code)
    yield from _printed(f"commands/{name}/printed", _placed(told.getvalue(), tree, work))
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        read = KINDS.get(file.suffix, _bytes)
        yield from read(f"commands/{name}/{file.relative_to(out).as_posix()}", file, tree, work)


def _exit_code(tree: Path, arguments: list[str]) -> Any:
    """Runs ``app.py`` as Python runs a script, in this process: what it imports is imported once."""
    before, sys.argv = sys.argv, ["app.py", *arguments]
    try:
        runpy.run_path(str(tree / "app.py"), run_name="__main__")
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before
    return 0


def _served(tree: Path, work: Path) -> Values:
    """What a running page answers to programs, of the gallery that the commands made."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--galleries", f"{work}/galleries", "--links", f"{work}/links", "--engine", "eager"]
    with subprocess.Popen([sys.executable, "app.py", *options], cwd=tree, stdout=sys.stderr) as server:
        try:
            client = _connected(f"http://127.0.0.1:{port}", server)
            for name, (endpoint, asked) in CALLS.items():
                sent = {key: handle_file(_filled(one, work)) if key in FILES else one for key, one in asked.items()}
                answers = client.submit(**sent, api_name=f"/{endpoint}")
                answers.result()
                yield from _leaves(f"api/{name}", json.loads(_placed(json.dumps(answers.outputs()[-1]), tree, work)))
                print(f"api {name}: answered", file=sys.stderr)
            client.close()
        finally:
            server.terminate()


def _connected(address: str, server: "subprocess.Popen[bytes]") -> Client:
    """A client of the page, once it answers. Raises TimeoutError where it does not within three minutes."""
    end = time.monotonic() + 180
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return Client(address, verbose=False)
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"the page does not answer on {address}; exit code {server.poll()}")


def _printed(place: str, told: str) -> Values:
    """JSON leaf by leaf, other text line by line."""
    try:
        yield from _leaves(place, json.loads(told))
    except ValueError:
        for at, line in enumerate(told.splitlines()):
            yield f"{place}/line {at}", line


def _leaves(place: str, value: Any) -> Values:
    """Each leaf under its place; a list of numbers is one leaf, and what is named after a time is none."""
    if isinstance(value, dict):
        for name, one in value.items():
            if not TIMES.fullmatch(name):
                yield from _leaves(f"{place}/{name}", one)
    elif isinstance(value, list) and any(isinstance(one, dict | str) for one in value):
        for at, one in enumerate(value):
            yield from _leaves(f"{place}/{at}", one)
    else:
        written = json.dumps(value)  # a float's shortest decimal, which is that float again
        yield place, written if len(written) < 80 else f"{written[:60]}... sha256 {_sha256(written.encode())}"


def _json(place: str, file: Path, tree: Path, work: Path) -> Values:
    return _leaves(place, json.loads(_placed(file.read_text(), tree, work)))


def _records(place: str, file: Path, tree: Path, work: Path) -> Values:
    for line in file.read_text().splitlines():
        record = json.loads(_placed(line, tree, work))
        about = " ".join(str(record.get(name)) for name in ("network", "case", "explainer", "seed"))
        yield from _leaves(f"{place}/{about}", record)


def _table(place: str, file: Path, _tree: Path, _work: Path) -> Values:
    for at, row in enumerate(csv.DictReader(file.read_text().splitlines())):
        kept = {name: value for name, value in row.items() if not TIMES.fullmatch(name)}
        yield f"{place}/row {at}", json.dumps(kept)


def _markdown(place: str, file: Path, _tree: Path, _work: Path) -> Values:
    """Line by line; of a table whose last column is seconds, the columns before it."""
    timed = False
    for at, line in enumerate(file.read_text().splitlines()):
        timed = line.startswith("|") and (timed or line.endswith("| seconds |"))
        yield f"{place}/line {at}", line.rstrip("| ").rpartition("|")[0] if timed else line


def _page(place: str, file: Path, tree: Path, work: Path) -> Values:
    """The page without the identifiers that plotly draws at random."""
    yield place, _sha256(PLOT.sub("PLOT", _placed(file.read_text(), tree, work)).encode())


def _bytes(place: str, file: Path, _tree: Path, _work: Path) -> Values:
    yield place, f"sha256 {_sha256(file.read_bytes())}"


def _filled(word: str, work: Path, out: Path = Path()) -> str:
    """The word itself, or the file or folder that it stands for."""
    return _FILLED.get(word, word).format(work=work, out=out)


def _placed(text: str, tree: Path, work: Path) -> str:
    """The text with this run's folders named alike in every run."""
    return text.replace(str(work), "WORK").replace(str(tree), "TREE")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


KINDS: dict[str, Callable[[str, Path, Path, Path], Values]] = {
    ".json": _json,
    ".jsonl": _records,
    ".csv": _table,
    ".md": _markdown,
    ".html": _page,
}
_FILLED = {
    "A": "{work}/pictures/taj_mahal/taj_mahal_1.jpg",
    "B": "{work}/pictures/taj_mahal/taj_mahal_3.jpg",
    "PICTURES": "{work}/pictures",
    "GALLERIES": "{work}/galleries",
    "OUT": "{out}",
    "PNG": "{out}/pair.png",
}
_IN = "--galleries GALLERIES --gallery photos"
_FEW = "--set rise.masks=16 --set lime.samples=16 --set corr_rise.masks=16 --set sbsm.steps_a_side=3"
_SEVERAL = " ".join(
    f"--explainer {name}"
    for name in (
        "decomposition_bias",
        "grad_cam",
        "hires_cam",
        "attention_rollout",
        "rise",
        "lime",
        "corr_rise",
        "sbsm",
    )
)
_SMALL = "--view-size 96 --steps 4"
# The README's commands, on less.
COMMANDS = {
    "models": "models",
    "explain": "explain A B --out OUT --png PNG",
    "explain outlines": "explain A B --backbone mobilenet_v2 --pooling gem:4 --framing square --ground outline "
    "--out OUT --png PNG",
    "explain RISE": "explain A B --backbone mobilenet_v2 --method RISE --view-size 64 --out OUT",
    "explain refused": "explain A PICTURES --out OUT",
    "index": "index PICTURES --name photos --pooling avg --pooling max --view-size 160 --galleries GALLERIES",
    "search": f"search A {_IN} -k 8 --out OUT",
    "search box": f"search A {_IN} --pooling max --box 130 40 150 90 --not-box 10 10 80 60 -k 8 --exact --out OUT",
    "search point": f"search A {_IN} --point 200 120 --label taj_mahal --label windmill -k 5 --out OUT",
    "classes": f"classes {_IN} --out OUT",
    "class": f"classes windmill {_IN} --pooling max --out OUT",
    "class of a picture": f"classes --image B {_IN} --out OUT",
    "curves": f"curves {_IN} --pairs 40 --out OUT",
    "evaluate rooms": "evaluate rooms --pairs 1 --explainer decomposition --explainer grad_cam_normalised "
    f"--explainer input_x_gradient {_SMALL} --seed 2 --checks --out OUT",
    "evaluate pictures": f"evaluate PICTURES --network mobilenet_v2 --network face_resnet29 --pairs 1 {_SEVERAL} "
    f"{_FEW} --setting pair {_SMALL} --out OUT",
    "evaluate hits": f"evaluate PICTURES --pooling gem --pairs 2 --hits 3 {_SMALL} --fill mean --out OUT",
    "evaluate transfer": "evaluate PICTURES --transfer --pairs 1 --view-size 96 --out OUT",
}
FILES = ("image_a", "image_b", "image")
_PAIR = {"image_a": "A", "image_b": "B"}
# The endpoints that the README names; views as the table of standings has them, which else is measured meanwhile.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "pair": ("explain_pair", _PAIR),
    "pair under gem": ("explain_pair", {**_PAIR, "backbone": "mobilenet_v2", "pooling": "gem"}),
    "point": ("explain_point", {**_PAIR, "side": "b", "x": 100.25, "y": 30.5, "pooling": "max"}),
    "search": ("search", {"image": "A", "gallery": "photos", "k": 5}),
    "search box": (
        "search",
        {
            "image": "B",
            "gallery": "photos",
            "pooling": "max",
            "regions": [{"box": [130, 40, 150, 90]}, {"point": [20, 30], "sign": -1}],
            "labels": ["taj_mahal", "pyramid"],
        },
    ),
    "classes": ("classes", {"gallery": "photos"}),
    "class": ("classes", {"gallery": "photos", "label": "pyramid"}),
    "class of a picture": ("classes", {"gallery": "photos", "image": "B"}),
    "curves": ("curves", {"gallery": "photos", "pairs": 30, "seed": 4}),
    "trust": ("trust", {**_PAIR, "view_size": 96, "explainers": "decomposition,grad_cam_normalised,input_x_gradient"}),
    "trust of b": (
        "trust",
        {
            **_PAIR,
            "view_size": 96,
            "side": "b",
            "explainers": "hires_cam",
            "fill": "mean",
            "setting": "pair",
            "seed": 5,
        },
    ),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
