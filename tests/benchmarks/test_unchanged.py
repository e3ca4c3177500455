"""Two commits' numbers beside each other: one bit is a difference, times are none, and other code is not asked."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import model_zoo
from benchmarks import unchanged
from benchmarks.unchanged import by_command, in_python, recording
from simvis_core import EmbeddingNetwork, PairExplanation, Preprocess
from tests.test_house import HOUSE


def tiny():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 32, 32), nn.ReLU())
    return EmbeddingNetwork(backbone, "avg", nn.Linear(4, 3), Preprocess(short_side=64, stride=32), name="tiny")


@pytest.fixture
def work(tmp_path):
    for name in ("taj_mahal", "scissors"):
        shutil.copytree(HOUSE / "sample_data" / "pictures" / name, tmp_path / "pictures" / name)
    return tmp_path


def recorded(work):
    """A record of the tiny network: one pair with its exports."""
    values = [*in_python.pairs_of(tiny(), [("taj_mahal_1", "scissors_1")], work)]
    assert len(dict(values)) == len(values)
    return {"values": dict(values), "left_out": []}


def compare(tmp_path, *records):
    paths = [tmp_path / f"{at}.json" for at in range(2)]
    for path, record in zip(paths, records, strict=True):
        path.write_text(json.dumps(record))
    return unchanged.main(["compare", *map(str, paths)])


@pytest.mark.slow
def test_a_record_equals_itself_and_one_bit_of_a_map_is_found(work, monkeypatch, capsys):
    before = recorded(work)
    assert compare(work, before, recorded(work)) == 0
    assert f"0 differ, {len(before['values'])} values are equal bit for bit" in capsys.readouterr().out

    def flipped(pair):
        map = pair.b.similarity_map(pair.a.embedding)
        map.view(torch.int32 if map.dtype == torch.float32 else torch.int64)[0, 0] ^= 1
        return map

    monkeypatch.setattr(PairExplanation, "map_b", property(flipped))
    after = recorded(work)
    place = "pairs/tiny avg whole/taj_mahal_1 scissors_1"
    differing = {name for name, value in after["values"].items() if value != before["values"][name]}
    # Of the pictures of that map no pixel changes colour by so little; under another pooling it is that pooling's map.
    assert {f"{place}/map b", f"{place}/export maps.npz"} <= differing
    assert all(name in (f"{place}/map b", f"{place}/export maps.npz") or "/under " in name for name in differing)
    assert compare(work, before, after) == 1
    assert f"{place}/map b\n  - {before['values'][f'{place}/map b']}\n" in capsys.readouterr().out


def test_a_value_that_only_one_record_has_differs_and_no_values_prove_nothing(tmp_path, capsys):
    record = {"values": {"a/x": "1", "b/y": "2"}, "left_out": ["times"]}
    fewer = {"values": {"a/x": "1"}, "left_out": ["times"]}
    for pair in ((record, fewer), (fewer, record)):
        assert compare(tmp_path, *pair) == 1
        told = capsys.readouterr().out
        assert "b/y" in told
        assert "b: 0 of 1 values equal" in told
        assert "1 differ, 1 values are equal" in told
        assert "left out by name: times" in told
    assert compare(tmp_path, *[{"values": {}, "left_out": []}] * 2) == 1


def test_a_commands_numbers_are_kept_to_the_last_digit_and_times_are_not(tmp_path):
    told = {"score": 0.1 + 0.2, "seconds": 1.5, "hits": [{"file": "x", "pictures_per_second": 2}], "map": [[1.0, 2.0]]}
    assert dict(by_command._leaves("p", told)) == {
        "p/score": "0.30000000000000004",
        "p/hits/0/file": '"x"',
        "p/map": "[[1.0, 2.0]]",
    }
    long = [0.1] * 40
    other = [0.1] * 39 + [0.1 + 2**-56]
    assert dict(by_command._leaves("p", long)) != dict(by_command._leaves("p", other))
    (tmp_path / "t.md").write_text("| a | seconds |\n|---|---|\n| 0.1 | 7.25 |\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    lines = [line for _, line in by_command._markdown("p", tmp_path / "t.md", tmp_path, tmp_path)]
    assert not any("7.25" in line for line in lines)
    assert "| 0.1" in lines[2]
    assert lines[-1] == "| 1 | 2 |"
    (tmp_path / "t.csv").write_text("a,seconds,seconds_low\n0.1,7.25,7\n")
    assert [*by_command._table("p", tmp_path / "t.csv", tmp_path, tmp_path)] == [("p/row 0", '{"a": "0.1"}')]


def test_a_command_is_run_as_the_command_line_runs_it(tmp_path):
    found = dict(by_command._ran(HOUSE, tmp_path, "models", ["models"]))
    lines = [value for name, value in found.items() if "/printed/" in name]
    assert found["commands/models/exit code"] == "0"
    assert [line.split()[0] for line in lines] == list(model_zoo.names())
    assert dict(by_command._ran(HOUSE, tmp_path, "none", ["no_such_command"]))["commands/none/exit code"] == "2"


def test_other_code_than_the_trees_is_not_asked(tmp_path):
    with pytest.raises(ImportError, match=r"not from /nowhere"):
        in_python.main(Path("/nowhere"), tmp_path)
    assert not (tmp_path / "answer.json").exists()


def test_the_scripts_know_published_names_only():
    """They run on commits whose modules stand elsewhere: what they import of ours is in the README."""
    published = (HOUSE / "README.md").read_text()
    for script in recording.PARTS.values():
        source = (recording.HERE / script).read_text().splitlines()
        ours = [line.split()[1] for line in source if line.startswith(("from simvis_core", "from model_zoo"))]
        kept = [
            f"simvis_core.{path.stem}" for path in (HOUSE / "simvis_core").glob("*.py")
        ]  # the last release's names too
    assert [module for module in ours if f"from {module} import" not in published and module not in kept] == []
