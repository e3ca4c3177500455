"""Damaged files: none breaks the program, each can be made again, and what breaks it is told."""

import json
import sys
from dataclasses import asdict

import pytest

from benchmarks import fuzz, fuzz_checkpoints, fuzz_pictures
from benchmarks.fuzz import FOREIGN, OPENED, REFUSED, Kind, Outcome
from simvis_core import SimvisError

FEW = 60


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "damages"), [("checkpoints", fuzz_checkpoints), ("pictures", fuzz_pictures)])
def test_a_few_damaged_files_of_every_sort_are_opened_or_refused(kind, damages):
    found = [*fuzz.tried(kind, 0, FEW, seed=0, room=None)]
    assert [one.number for one in found] == list(range(FEW))
    assert [one for one in found if one.outcome == FOREIGN] == []
    assert {one.what.partition(":")[0] for one in found} == set(damages.DAMAGES)
    assert {one.outcome for one in found} == {OPENED, REFUSED}
    assert all("; wanted " in one.error for one in found if one.outcome == REFUSED)


def test_every_seed_fits_but_the_program_and_each_file_can_be_made_again(tmp_path):
    (folder := tmp_path / "seeds").mkdir()
    seeds = fuzz_checkpoints.seeds(folder)
    assert [path.name for path in seeds if path.name == "program.pt"]
    for path in seeds:
        if path.name == "program.pt":
            with pytest.raises(SimvisError, match="a TorchScript program"):
                fuzz_checkpoints.opened(path)
        else:
            fuzz_checkpoints.opened(path)
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        path, what = fuzz_checkpoints.damaged(seeds, fuzz.chance(5, 17), tmp_path / name)
        made.append((path.read_bytes(), what))
    assert made[0] == made[1]
    assert all(made[0][0] != path.read_bytes() for path in seeds)


def test_every_sound_picture_is_opened_and_has_blocks_where_its_format_has(tmp_path):
    for path in fuzz_pictures.seeds(tmp_path):
        fuzz_pictures.opened(path)
        start, pieces = fuzz_pictures._pieces(path.read_bytes())
        assert start + b"".join(pieces) == path.read_bytes()
        assert bool(pieces) == (path.suffix in (".jpg", ".mpo", ".png", ".webp", ".heic", ".avif"))


def kind(opened):
    def damaged(_, chance, folder):
        (folder / "x").write_bytes(chance.randbytes(3))
        return folder / "x", "cut: x"

    return Kind(lambda _: [], damaged, opened)


def out_of_memory(_):
    raise SimvisError("a file", "another", "mend it") from MemoryError()


def not_foreseen(_):
    raise KeyError("x")


def refused(_):
    raise SimvisError("a file", "another", "mend it")


@pytest.mark.parametrize(
    ("opened", "outcome", "words"),
    [
        (lambda path: path.read_bytes(), OPENED, ""),
        (refused, REFUSED, "a file; wanted another"),
        (out_of_memory, FOREIGN, "memory ran out"),
        (not_foreseen, FOREIGN, "KeyError: 'x'"),
    ],
)
def test_what_comes_of_a_file(monkeypatch, opened, outcome, words):
    monkeypatch.setitem(fuzz.KINDS, "made", kind(opened))
    (found,) = fuzz.tried("made", 7, 1, seed=3, room=None)
    assert (found.number, found.what, found.outcome) == (7, "cut: x", outcome)
    assert words in found.error


def test_a_child_that_dies_is_told_and_the_next_file_is_anothers(monkeypatch, tmp_path):
    """The child here says one file and dies over the next."""
    said = Outcome(0, "cut: x", REFUSED, "a file", 0.1, 2.0)
    program = tmp_path / "child"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nsaid = json.loads('{json.dumps(asdict(said))}')\n"
        "said['number'] = int(sys.argv[sys.argv.index('--first') + 1])\nprint(json.dumps(said))\nsys.exit(9)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(fuzz.sys, "executable", str(program))
    found = [*fuzz.run("checkpoints", 4, seed=0, first=10)]
    assert [(one.number, one.outcome) for one in found] == [(10, REFUSED), (11, FOREIGN), (12, REFUSED), (13, FOREIGN)]
    assert "the process ended with 9" in found[1].error


def test_a_child_that_says_nothing_is_ended(monkeypatch, tmp_path):
    program = tmp_path / "child"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(fuzz.sys, "executable", str(program))
    monkeypatch.setattr(fuzz, "PATIENCE", 0.3)
    (found,) = fuzz.run("checkpoints", 1, seed=0)
    assert (found.number, found.outcome) == (0, FOREIGN)
    assert "said nothing for 0.3 s" in found.error


def test_the_command_tells_what_broke_and_how_to_make_it_again(monkeypatch, capsys, tmp_path):
    outcomes = [
        Outcome(0, "cut: x", OPENED, "", 0.1, 2),
        Outcome(1, "cut: x", FOREIGN, "KeyError: 'x'", 0.2, 0),
        Outcome(2, "flipped: x", REFUSED, "a file", 2.5, -1),
    ]
    monkeypatch.setattr(fuzz, "run", lambda kind, count, seed, first: iter(outcomes[:count]))
    file = tmp_path / "all.json"
    assert fuzz.main(["--checkpoints", "3", "--seed", "4", "--json", str(file)]) == 1
    told = capsys.readouterr().out
    assert "| cut | 1 | 0 | 1 | 0.20 | 2.00 |" in told
    assert "| all | 1 | 1 | 1 | 2.50 | 2.00 |" in told
    assert "1 took over 2." in told
    assert "`python -m benchmarks fuzz --checkpoints 1 --seed 4 --first 1` (cut: x): 0.20 s, foreign" in told
    assert "--first 2` (flipped: x): 2.50 s, refused: a file" in told
    assert json.loads(file.read_text())["checkpoints"][1]["error"] == "KeyError: 'x'"
    assert fuzz.main(["--checkpoints", "1"]) == 0
