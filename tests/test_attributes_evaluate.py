"""`attributes evaluate` from the command line: what it prints and leaves, and what it refuses in a sentence."""

import csv
import json

import pytest
from PIL import Image

from app import main
from model_zoo.attributes.judging import trials
from simvis_app.commands import opening
from simvis_core.attributes.learnt.attribute_table import labelled_table
from tests.model_zoo.attributes.test_fitting import COLOURED, GROUPS, colours


class OneNetwork:
    def network(self, name):
        return colours()


@pytest.fixture
def root(tmp_path):
    """Animals of three colours in the layout of Animals with Attributes 2."""
    names = [f"{colour}{at}" for colour in COLOURED for at in range(2)]
    for name in names:
        folder = tmp_path / "awa2" / "JPEGImages" / name
        folder.mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (240, 240), (90, 90, 90))
            side = 120 * (number % 2), 120 * (number // 2)
            picture.paste(COLOURED[name[:-1]], (*side, side[0] + 120, side[1] + 120))
            picture.save(folder / f"{number}.png")
    for file, words in (("classes", names), ("predicates", list(COLOURED))):
        lines = "".join(f"{at} {word}\n" for at, word in enumerate(words, 1))
        (tmp_path / "awa2" / f"{file}.txt").write_text(lines)
    rows = "".join(" ".join(str(int(name[:-1] == colour)) for colour in COLOURED) + "\n" for name in names)
    (tmp_path / "awa2" / "predicate-matrix-binary.txt").write_text(rows)
    for side, last in (("train", "0"), ("test", "1")):
        words = "\n".join(name for name in names if name.endswith(last))
        (tmp_path / "awa2" / f"{side}classes.txt").write_text(words)
    return tmp_path / "awa2"


def asked(capsys, *arguments):
    code = main(["attributes", "evaluate", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_data_set_is_judged_and_the_figures_are_left(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(opening, "session_of", lambda options: (OneNetwork(), "colours"))
    monkeypatch.setattr(trials, "class_groups", lambda: GROUPS)
    arguments = ("--dataset", "awa2", "--root", root, "--pairs", 8, "--curves", 1, "--out", tmp_path / "out")
    code, out, _ = asked(capsys, *arguments)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Animals with Attributes 2, colours: 8 pairs")
    assert lines[2].split("  ")[0] == "the named attribute is"
    assert [line.split("  ")[0] for line in lines[3:9]] == [
        "ours (simvis)",
        "the paper's (sane)",
        "map only",
        "most confident",
        "confidence product",
        "random",
    ]
    assert any(line.startswith("attribute mAP 1.00") for line in lines)
    assert any(line.startswith("labels shuffled, simvis") for line in lines)
    told = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert told["table"][0]["true"]["mean"] >= told["table"][-1]["true"]["mean"]
    with (tmp_path / "out" / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 * 6
    assert {row["attribute"] for row in rows} <= set(COLOURED)


def test_the_training_pictures_are_written_as_a_table_to_learn_from(root, tmp_path, capsys):
    code, out, _ = asked(capsys, "--dataset", "awa2", "--root", root, "--training-csv", tmp_path / "train.csv")
    assert (code, out.strip()) == (0, str(tmp_path / "train.csv"))
    found = labelled_table(tmp_path / "train.csv")
    assert found.attributes == tuple(COLOURED)
    assert len(found.names) == 6
    assert not found.left_out
    assert found.truth.sum(1).tolist() == [1] * 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dataset", "awa2"), "--dataset awa2 without --root; wanted --root with awa2 or polyvore alone"),
        (("--root", "x"), "--dataset samples with --root"),
        (("--labels", "released"), "--labels or --split with --dataset samples; wanted polyvore"),
        (("--training-csv", "x.csv"), "--training-csv of samples; wanted awa2 or polyvore"),
        (("--dataset", "rooms"), "--dataset rooms without --attributes"),
        (
            ("--dataset", "polyvore", "--root", "nowhere"),
            "'polyvore_item_metadata.json' in 'nowhere', which is not there",
        ),
        (("--attributes", "nowhere"), "which is missing"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_sentence(capsys, arguments, said):
    code, out, err = asked(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("simvis: ")
    assert said in err
