"""The README does what it says: its python runs, its commands parse, its links lead somewhere."""

import contextlib
import importlib.util
import io
import itertools
import re
import shlex
from importlib.metadata import version
from pathlib import Path

import pytest

import app
import model_zoo
from simvis_app.commands import parsed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
BASH = re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
COMMANDS = [command.strip() for block in BASH for line in block.splitlines() for command in line.split("&&")]


def test_there_is_python_and_there_are_commands():
    assert PYTHON
    assert any("app.py" in command for command in COMMANDS)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_runs(number, tmp_path, monkeypatch):
    """In a folder beside the sample pictures, so that what it writes is not left in the repository."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(PYTHON[number], f"README.md python block {number + 1}", "exec"), {"__name__": "__main__"})
    if "# the score again" in PYTHON[number]:
        lines = printed.getvalue().splitlines()
        again = PYTHON[number].split("# the score again")[0].count("print(") - 1
        assert float(lines[again]) == pytest.approx(float(lines[0].split()[0]), abs=1e-5)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "app.py" in command])
def test_commands_of_the_app_parse(command):
    words = shlex.split(command)
    options = parsed(words[words.index("app.py") + 1 :])
    for place in ("a", "b"):
        assert (ROOT / (getattr(options, place, None) or ".")).exists()
    if getattr(options, "backbone", None):
        assert options.backbone in model_zoo.names()


# What the longest commands are run with besides, so that they end soon: the last of two equal options counts.
FEW = {
    "train": "--identities 8 --views 4 --tested 0.25 --classes 2",
    "attributes learn --rooms": "--rooms 120 --epochs 1",
    "series model_zoo/": "--rooms 2 --curves 20",
    "evaluate sample_data/pictures --depths": "--screening-pairs 1 --screening-steps 2 --pairs 2 --steps 2 "
    "--two-sided-pairs 0 --rooms 0 --view-size 64",
    "ensemble": "",
    "evaluate rooms --network": "--pairs 1 --steps 3",
    "evaluate rooms --checkpoint": "--pairs 1 --steps 3",
}
LONG = [(command, few) for command in COMMANDS for begun, few in FEW.items() if f"app.py {begun}" in command]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("command", "few"), LONG, ids=[command.split("--out")[-1].strip() for command, _ in LONG])
def test_the_longest_commands_run_with_few_steps(command, few, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    asked = words[words.index("app.py") + 1 :] + few.split()
    if asked[0] == "train" and "--steps 0" not in command:
        asked += ["--steps", "2", "--every", "2", "--warm-up", "1"]
    out = tmp_path / "out"
    assert app.main([*asked, "--out", str(out)]) == 0
    assert list(out.iterdir())
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in COMMANDS if "app.py" not in command])
def test_other_commands_name_what_exists(command):
    words = shlex.split(command)
    for before, word in itertools.pairwise(words):
        if before == "-r":
            assert (ROOT / word).is_file(), word
        if before == "-m":
            assert (ROOT / word).is_dir() or importlib.util.find_spec(word), word


def test_flags_in_the_text_exist(capsys):
    with pytest.raises(SystemExit):
        app.main(["--help"])
    attributes = "attributes", "attributes evaluate", "attributes learn", "attributes study-results"
    actions = *attributes, "concepts learn", "concepts explain", "concepts direction"
    for command in ("explain", "index", "search", "classes", "curves", "store-check", "series", "train", *actions):
        with pytest.raises(SystemExit):
            app.main([*command.split(), "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    text = re.sub(r"^```.*?^```", "", README, flags=re.M | re.S).split("\n---\n", 1)[1]
    for flag in re.findall(r"`(--[a-z-]+)", text):
        assert flag in known, flag


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_front_matter_is_true():
    facts = dict(line.split(": ", 1) for line in README.split("---")[1].strip().splitlines())
    assert facts["sdk_version"] == version("gradio")
    assert (ROOT / facts["app_file"]).is_file()
    assert f"gradio=={facts['sdk_version']}" in (ROOT / "requirements.txt").read_text(encoding="utf-8")


def test_every_network_is_in_the_table_with_its_licence():
    rows = [line for line in README.splitlines() if line.startswith("|")]
    for name in model_zoo.names():
        [row] = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        assert model_zoo.card(name).licence.split(" ")[0] in row
