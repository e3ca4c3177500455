"""CONTRIBUTING's recipes, followed in a copy: one file and one row each, and the new thing is there everywhere."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from simvis_app.commands import COMMANDS
from simvis_app.service.words import METHOD_LABELS, METHODS
from simvis_core.decomposition import Method
from simvis_core.explainers.masks import MASKED
from simvis_core.files import numbers

pytestmark = pytest.mark.slow
HOUSE = Path(__file__).parent.parent
TABLES = {
    "pooling": ("simvis_core/networks/poolings.py", "POOLINGS"),
    "explainer": ("simvis_core/explainers/table.py", "EXPLAINERS"),
    "card": ("model_zoo/cards/catalog.py", "_CARDS"),
    "tab": ("simvis_app/page/__init__.py", "TABS"),
    "command": ("simvis_app/commands/__init__.py", "COMMANDS"),
}
FILES = {
    "simvis_core/networks/median.py": '''
"""The median over the cells as a pooling: a lower one, so that a cell stands for it."""

import torch
from torch import Tensor


def median(features: Tensor, _: float) -> Tensor:
    return features.flatten(-2).median(-1).values


def median_parts(features: Tensor, exponent: float) -> Tensor:
    hits = (features == median(features, exponent)[:, None, None]).to(features)
    return (hits * features / hits.sum((1, 2), keepdim=True)).permute(1, 2, 0)
''',
    "simvis_core/explainers/left.py": '''
"""A map that is 1 on the left half and 0 on the right."""

import torch

from simvis_core.explainers.question import Interim, Question, Steps


def left_map(question: Question, *, seed: int = 0) -> Steps:
    yield Interim(0, 0)
    map = torch.zeros(question.grid, dtype=torch.float64)
    map[:, : question.grid[1] // 2] = 1
    return map
''',
    "simvis_app/page/hello/__init__.py": '"""The Hello tab."""\n',
    "simvis_app/page/hello/layout.py": '''
"""The Hello tab: a sentence."""

import gradio as gr

from simvis_app.page.house import House


def build_hello(house: House, tab: gr.Tab) -> None:
    gr.Markdown("Hello from a tab of one file and one row.")
''',
    "simvis_app/commands/licences.py": '''
"""`licences`: under which licences the networks are, a line each."""

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--of", help="of one network")


def run(options: argparse.Namespace) -> None:
    import model_zoo

    for name in [options.of] if options.of else model_zoo.names():
        print(name, model_zoo.card(name).licence)
''',
}
ROWS = {
    "pooling": (
        "from simvis_core.networks.median import median, median_parts",
        '    "median": PoolingRule(median, median_parts, _channels),',
    ),
    "explainer": (
        "from simvis_core.explainers.left import left_map",
        '    "left": Explainer(left_map, "Left half", "nobody", "1 on the left", "nothing", 0),',
    ),
    "card": (
        "",
        """    ModelCard(
        name="small_again",
        title="MobileNetV2 once more",
        architecture="mobilenet_v2",
        weights=Weights(
            "project",
            "mobilenet_v2.safetensors",
            "dc2b571c66ec16bc8b36ea3344a8f236d3c200ea153cbd4ecfd2c053b3dd986f",
            9.1,
            "plain",
        ),
        preprocess=IMAGENET,
        pooling="avg",
        head="none",
        task="to be listed",
        licence="MIT",
        origin="the row above",
        paper="none",
        note="none",
    ),""",
    ),
    "tab": ("from simvis_app.page.hello.layout import build_hello", '    "Hello": PageTab(build_hello),'),
    "command": ("", '    "licences": Command(f"{_HERE}.licences", "tell the networks\' licences"),'),
}

USED = """
import json, sys
from pathlib import Path
import torch
import model_zoo
from simvis_app.commands import main
from simvis_app.page import TABS, build_app
from simvis_app.page.choices import DRAWN_BY, POOLING
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Session, Settings
from simvis_core.steps import run
from simvis_core.trust.measuring import asked_of

out = Path(sys.argv[1])
a, b = (str(Path("sample_data/pictures") / name) for name in sys.argv[2:])
assert main(["models"]) == 0
assert main(["licences", "--of", "small_again"]) == 0
asked = ["explain", a, b, "--backbone", "small_again", "--pooling", "median", "--view-size", "64", "--out", str(out)]
assert main(asked) == 0
session = Session(device="cpu")
settings, wanted = Settings("small_again", "median", 64), asked_of("left", "fixed", 0, "mean", 3)
measured = run(session.measuring(a, b, settings, "a", wanted))
network = session.network("small_again")
page = build_app(session, out / "links", Galleries(session, out / "galleries"))
print(json.dumps({
    "tabs": [one["props"]["label"] for one in page.config["components"] if one["type"] == "tabitem"],
    "table": list(TABS),
    "drawn by": list(DRAWN_BY.names),
    "poolings": [list(network.poolings), list(POOLING.values)],
    "verdict": network.with_pooling("median").verdict,
    "map": measured.drawn.map.tolist(),
    "curve": len(measured.deletion.scores),
}))
"""


def followed(house, what):
    """The recipe in a copy of the house: the files are written, and one row and its import are put into the table."""
    path, table = TABLES[what]
    imported, row = ROWS[what]
    text = (house / path).read_text()
    found = re.search(rf"^{table}\b[^\n]*[\[({{]\n.*?^([\])}}])$", text, re.MULTILINE | re.DOTALL)
    text = text[: found.start(1)] + row + "\n" + text[found.start(1) :]
    if imported:
        first = re.search(r"^from simvis_", text, re.MULTILINE).start()
        text = text[:first] + imported + "\n" + text[first:]
    (house / path).write_text(text)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy with every recipe followed; weights and pictures are the house's own."""
    copy = tmp_path_factory.mktemp("house")
    for room in ("simvis_core", "model_zoo", "simvis_app"):
        shutil.copytree(HOUSE / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "weights", "*.pyi"))
    for kept in ("model_zoo/weights", "sample_data"):
        (copy / kept).symlink_to(HOUSE / kept)
    for path, text in FILES.items():
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text(text.lstrip())
    for what in TABLES:
        followed(copy, what)
    return copy


@pytest.fixture(scope="module")
def told(house, tmp_path_factory):
    """What the copy prints as all five are used, line by line, and its export's manifest."""
    out = tmp_path_factory.mktemp("out")
    pair = json.loads((HOUSE / "sample_data" / "pairs.json").read_text())[0]
    done = subprocess.run(
        [sys.executable, "-c", USED, str(out), pair["a"], pair["b"]],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), json.loads((out / "manifest.json").read_text())


@pytest.fixture(scope="module")
def used(told):
    """What the copy's own tables and page say."""
    return json.loads(told[0][-1])


def test_a_card_is_a_row_and_the_command_line_lists_it(told):
    assert any(line.startswith("small_again ") and "bundled" in line for line in told[0])


def test_a_command_is_a_file_and_a_row(house, told):
    assert "small_again MIT" in told[0]
    said = subprocess.run(
        [sys.executable, "-c", "from simvis_app.commands import main; main(['--help'])"],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    ).stdout
    assert "tell the networks' licences" in said


def test_a_pooling_is_a_file_and_a_row_and_splits_the_score(told, used):
    manifest = told[1]
    assert "median" in json.dumps(manifest)
    assert used["verdict"] == "exact"
    assert all("median" in names for names in used["poolings"])


def test_an_explainer_is_a_file_and_a_row_that_is_drawn_and_measured(used):
    assert "left" in used["drawn by"]
    assert all(row[0] == 1 and row[-1] == 0 for row in used["map"])
    assert used["curve"] == 3


def test_a_tab_is_a_folder_and_a_row(used):
    assert used["table"][-1] == "Hello"
    assert used["tabs"] == used["table"]


def test_contributing_has_each_recipe():
    text = (HOUSE / "CONTRIBUTING.md").read_text()
    recipes = text[text.index("## Adding") :]
    for path, table in TABLES.values():
        assert f"`{table}`" in recipes
        assert f"`{path}`" in recipes


def test_a_method_by_masks_is_known_wherever_methods_are_told():
    """Most read MASKED; what cannot (a type, a flag's choices, units below the explainers, the script) is held here."""
    masked = list(MASKED)
    assert {*masked, "decomposition", "last-block values", "none"} == set(get_args(Method))
    assert set(numbers.UNITS) == set(numbers.WITH_POINT) == set(get_args(Method))
    flag = next(one for one in parser_of("explain")._actions if one.dest == "method")
    assert list(flag.choices) == masked
    script = (HOUSE / "simvis_app/page/parts/pair_viewer.js").read_text()
    for method in masked:
        assert f'"{method}": "{numbers.WITH_POINT[method]}"' in script
        assert f'"{method}": (cell, share, score) =>' in script
        assert re.search(rf"data.method in {{[^}}]*{method}", script)
        assert METHOD_LABELS[method].startswith(method)
        assert METHODS[method] == MASKED[method].says


def parser_of(command):
    parser = argparse.ArgumentParser()
    import_module(COMMANDS[command].module).add(parser)
    return parser
