"""`train` from the command line: what it prints and leaves, and what it refuses in a sentence."""

import json

import pytest

from app import main
from model_zoo.training import running
from tests.small_trainings import begin, draw_pictures

QUICK = ("--network", "tiny", "--part", "whole", "--classes", "2", "--each", "2", "--steps", "4", "--every", "2")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(running, "beginning", begin)


@pytest.fixture
def pictures(tmp_path):
    """Eight classes, a picture that cannot be read, and one alone in its class."""
    folder = draw_pictures(tmp_path / "pictures")
    (folder / "class0" / "broken.png").write_bytes(b"no picture")
    (folder / "alone").mkdir()
    (folder / "class1" / "0.png").rename(folder / "alone" / "0.png")
    return folder


def printed(capsys, *arguments):
    code = main(["train", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_a_training_tells_how_far_it_is_and_what_came_out(pictures, tmp_path, capsys):
    code, told, lines = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK, "--writer", "csv", "--no-flip")
    assert code == 0
    assert told["steps"] == [0, 2, 4]
    assert told["training"] + told["validation"] == 31
    assert told["left_out"] == 2
    assert set(told["figures"]) == {"recall@1", "recall@5", "recall@10", "map", "r_precision", "map@r"}
    assert told["pictures_per_second"] > 0
    assert "broken.png: a file that is not a picture; wanted a JPEG" in lines
    assert "alone/0.png: the only picture of 'alone'" in lines
    assert "step 4: recall@1" in lines
    assert (tmp_path / "run" / "scalars.csv").read_text().startswith("step,name,value\n0,validation/recall@1,")


def test_a_run_is_not_written_over_and_is_gone_on_with(pictures, tmp_path, capsys):
    first = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK)[1]
    code, _, lines = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK)
    assert code == 2
    assert "which holds a run; wanted a folder without one" in lines
    code, told, _ = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK, "--resume")
    assert code == 0
    assert told["figures"] == first["figures"]
    assert told["pictures_per_second"] is None


def test_distractors_are_searched_and_counted_apart(pictures, tmp_path, capsys):
    beside = draw_pictures(tmp_path / "beside").rename(tmp_path / "others")
    for number, folder in enumerate(sorted(beside.iterdir())):
        folder.rename(beside / f"other{number}")
    told = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK, "--distractors", beside)[1]
    assert told["training"] + told["validation"] == 31
    assert told["distractors"] == 32
    plain = printed(capsys, pictures, "--out", tmp_path / "plain", *QUICK)[1]
    assert (plain["distractors"], plain["validation"]) == (0, told["validation"])
    assert told["before"]["recall@1"] < plain["before"]["recall@1"]


def test_tensorboard_gets_what_is_said(pictures, tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    printed(capsys, pictures, "--out", tmp_path / "run", *QUICK, "--writer", "tensorboard", "--writer", "csv")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("validation/map@r")] == [0, 2, 4]
    assert (tmp_path / "run" / "scalars.csv").exists()


def test_folds_print_means_with_intervals(pictures, tmp_path, capsys):
    code, told, lines = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK, "--folds", "2")
    assert code == 0
    assert told["folds"] == 2
    found = told["figures"]["map@r"]
    assert found["low"] <= found["mean"] <= found["high"]
    assert "fold 2: step 4" in lines


def test_who_stops_it_is_told_how_it_goes_on(pictures, tmp_path, capsys, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "metric_loss", stopped)
    code, _, lines = printed(capsys, pictures, "--out", tmp_path / "run", *QUICK)
    assert code == 130
    assert "simvis: with --resume it goes on" in lines


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rooms", "--validation", "x.csv"), "--validation with drawn rooms"),
        (("rooms", "--distractors", "x.csv"), "--distractors with drawn rooms"),
        (("rooms", "--identities", "3"), "3 rooms in 8 views each"),
        (("pictures", "--loss", "hinge"), "the loss 'hinge'; wanted one of triplet"),
        (("pictures", "--classes", "7"), "batches of 7 classes x 2 pictures from 6 classes"),
        (("pictures", "--head", "mlp"), "the head 'mlp'"),
        (("pictures", "--folds", "2", "--writer", "csv"), "--writer with --folds"),
        (("nowhere",), "a folder of pictures, or a .csv file that is there"),
        (("pictures", "--crop", "0"), "a crop of 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(pictures, tmp_path, capsys, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, _, lines = printed(capsys, arguments[0], "--out", tmp_path / "run", *QUICK, *arguments[1:])
    assert code == 2
    assert told in lines.splitlines()[-1]
    assert not (tmp_path / "run" / "series.json").exists()
