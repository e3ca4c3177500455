"""`concepts direction` from the command line: what it prints, writes and refuses."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from app import main
from simvis_app.commands import opening
from simvis_app.commands.concepts.command import DRAWS_MADE
from simvis_core import open_picture
from simvis_core.attributes.concept_directions import DRAWS
from tests.simvis_app.conftest import TinySession

SMALL = ("--view-size", "64", "--draws", "6")


@pytest.fixture
def reds(tmp_path, monkeypatch):
    """Six red pictures and eight of other colours, in one folder, and the command on a tiny network."""
    monkeypatch.setattr(opening, "Session", TinySession)
    chance = np.random.default_rng(0)
    for number in range(14):
        colour = (230, 20, 20) if number < 6 else chance.integers(0, 255, 3)
        file = tmp_path / "all" / ("red" if number < 6 else f"other{number % 2}") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = chance.normal(0, 20, (40, 48, 3))
        Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(file)
    return tmp_path


def find(folder, *more):
    asked = ["--with", folder / "all" / "red", "--without", folder / "all", "--pairs", folder / "all"]
    return main(["concepts", "direction", *map(str, [*asked, "--out", folder / "out", *more]), *SMALL])


def test_it_says_how_well_the_concept_is_told_and_writes_its_direction_and_map(reds, capsys):
    picture = reds / "all" / "red" / "0.png"
    (reds / "all" / "other0" / "damaged.png").write_bytes(b"no picture")
    assert find(reds, "--name", "red", "--show", picture) == 0
    said, warned = capsys.readouterr()
    lines = said.splitlines()
    told = json.loads((reds / "out" / "direction.json").read_text())
    assert lines[0].startswith("6 pictures with it, 8 without: told apart in ")
    assert lines[1].startswith(
        f"more of it raises {100 * told['raised_share']:.0f} % of 27 scores of one class; over 6 "
    )
    assert [line.rsplit("/")[-1] for line in lines[-3:]] == ["direction.npy", "direction.json", "0_map.png"]
    assert "left out: damaged.png" in warned
    assert (told["name"], told["pictures_with"], told["pictures_without"], told["pairs"]) == ("red", 6, 8, 27)
    assert len(told["shares_of_draws"]) == len(told["shares_of_random_sets"]) == 6
    direction = torch.from_numpy(np.load(reds / "out" / "direction.npy"))[0]
    network = TinySession().network("efficientnet_lite0")
    split = network.decompose(network.view(open_picture(picture), 64).pixels)
    shown = json.loads(Image.open(reds / "out" / "0_map.png").text["manifest"])
    assert np.allclose(shown["cells"], split.similarity_map(direction.to(split.cells)), atol=1e-5)
    assert shown["log_odds"] == pytest.approx(float(split.embedding.double() @ direction) + told["offset"], abs=1e-4)


@pytest.mark.slow
def test_its_matrix_is_one_that_a_dictionary_can_be_made_of(reds, capsys):
    assert find(reds) == 0
    out = reds / "own.safetensors"
    matrix = ("--matrix", reds / "out" / "direction.npy", "--dictionary", out, "--view-size", 64)
    assert main(["concepts", "learn", str(reds / "all"), *map(str, matrix)]) == 0
    assert "matrix: 1 concepts" in capsys.readouterr().out


def test_sets_that_are_too_small_or_the_wrong_way_round_are_said(reds, capsys):
    (few := reds / "few").mkdir()
    (few / "1.png").write_bytes((reds / "all" / "red" / "0.png").read_bytes())
    assert find(reds, "--with", few) == 2
    assert "1 pictures with a concept and 14 without; wanted 4 or more" in capsys.readouterr().err
    assert find(reds, "--with", reds / "all", "--without", reds / "all" / "red") == 2
    assert "no picture" in capsys.readouterr().err
    assert find(reds, "--pairs", few) == 2
    assert "no two are of one class" in capsys.readouterr().err
    assert not (reds / "out").exists()


def test_the_commands_draws_are_the_cores():
    assert DRAWS_MADE == DRAWS
