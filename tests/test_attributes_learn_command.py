"""`attributes learn` from the command line, and pairs told by what it learnt; what it refuses, in a sentence."""

import numpy as np
import pytest
from PIL import Image

from app import main
from simvis_app.commands import opening
from simvis_app.commands.attributes.learning import WAYS_LEARNT
from simvis_core.attributes.learnt.layer_files import open_layer
from simvis_core.attributes.learnt.training import PRESETS_LEARNT
from tests.simvis_app.conftest import TinySession

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
QUICK = ("--epochs", "3", "--view-size", "64", "--held-out", "0.5")


@pytest.fixture
def colours(tmp_path, monkeypatch):
    """Class folders of three colours, a CSV about them, and the command on a tiny network."""
    monkeypatch.setattr(opening, "Session", TinySession)
    chance = np.random.default_rng(0)
    lines = ["file,red,green,blue"]
    for number in range(24):
        name, colour = list(COLOURS.items())[number % 3]
        noise = chance.normal(0, 25, (40, 40, 3))
        file = tmp_path / "pictures" / name / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(file)
        lines.append(f"{name}/{number}.png,{','.join(str(int(name == one)) for one in COLOURS)}")
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def learn(*arguments):
    return main(["attributes", "learn", *map(str, arguments), *QUICK])


def test_attributes_of_a_csv_are_learnt_and_a_pair_is_told_by_them(colours, capsys):
    out = colours / "learnt"
    with (colours / "truth.csv").open("a") as table:
        table.write("red/99.png,1,0,0\nred/0.png,0,1,0\n")
    assert learn("--csv", colours / "truth.csv", "--root", colours / "pictures", "--out", out) == 0
    said, warned = capsys.readouterr()
    lines = said.splitlines()
    assert lines[0] == "3 attributes learnt on 11 pictures (1 x 1 layer, no map term)"
    assert lines[1].startswith("held out: 12 pictures; mean average precision of 3 attributes ")
    assert lines[-1] == str(out / "attributes.safetensors")
    assert "simvis: left out: truth.csv, line 26: red/99.png: there is no such file" in warned
    assert warned.count("contradicts line") == 2
    pictures = [str(colours / "pictures" / "red" / f"{number}.png") for number in (3, 6)]
    assert main(["attributes", *pictures, "--attributes", str(out), "--why-not", "blue"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COLOURS)
    assert "maps of attributes: " in told


@pytest.mark.slow
def test_folders_and_the_papers_preset(colours, capsys):
    assert learn("--folders", colours / "pictures", "--preset", "sane", "--out", colours / "out") == 0
    assert "(3 x 3 layer, the map term at lambda 0.005)" in capsys.readouterr().out
    layer, told = open_layer(colours / "out" / "attributes.safetensors")
    assert layer.names == ("blue", "green", "red")
    assert (told["recipe"]["kernel"], told["recipe"]["epochs"], told["short_side"]) == (3, 3, 64)


@pytest.mark.slow
def test_it_goes_on_where_it_is_told_to_alone(colours, capsys):
    asked = ("--folders", colours / "pictures", "--out", colours / "out")
    assert learn(*asked) == 0
    assert learn(*asked) == 2
    assert "which holds a run" in capsys.readouterr().err
    assert learn(*asked, "--resume") == 0
    assert learn(*asked, "--resume", "--lambda", "0.1") == 2
    assert "'state.pt' of a run with another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--folders", "PICTURES", "--root", "."), "--root or --known without --csv"),
        (("--folders", "PICTURES", "--lambda", "-1"), "a lambda of -1; wanted 0 or more"),
        (("--folders", "PICTURES", "--kernel", "2"), "a kernel of 2; wanted 1 or 3"),
        (("--csv", "nowhere.csv"), "'nowhere.csv', which cannot be read as CSV"),
        (("--folders", "PICTURES/red"), "no labelled picture that can be used (it lies in no class folder)"),
        (("--csv", "TRUTH", "--known", "red"), "of which no row can be used"),
        (("--rooms", "20"), "attributes of 20 pictures; wanted no more attributes than pictures"),
    ],
)
def test_what_cannot_be_learnt_is_said(colours, capsys, arguments, words):
    places = {"PICTURES": str(colours / "pictures"), "TRUTH": str(colours / "truth.csv")}
    given = [one.replace("PICTURES", places["PICTURES"]).replace("TRUTH", places["TRUTH"]) for one in arguments]
    assert learn(*given, "--out", colours / "out") == 2
    assert words in capsys.readouterr().err
    assert not (colours / "out").exists()


def test_a_folder_without_attributes_is_said(colours, capsys):
    picture = str(colours / "pictures" / "red" / "0.png")
    assert main(["attributes", picture, picture, "--attributes", str(colours)]) == 2
    assert "'attributes.safetensors', which is missing" in capsys.readouterr().err


def test_the_commands_ways_are_the_cores():
    assert tuple(PRESETS_LEARNT) == WAYS_LEARNT
