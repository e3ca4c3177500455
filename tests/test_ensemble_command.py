"""`ensemble`: several networks together, from the command line to the files."""

import json

import numpy as np
import pytest

import app
import model_zoo
from simvis_app.commands.ensemble import Member, members_of
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, photographs, tiny


@pytest.fixture
def files(tmp_path):
    folder = photographs(tmp_path / "photos")
    return [str(folder / "bee" / "bee_0.png"), str(folder / "cat" / "cat_1.png")]


@pytest.fixture
def told(capsys, files, monkeypatch, tmp_path):
    """Runs the command over tiny networks: exit code, what was printed, and where."""
    load = Session._load
    monkeypatch.setattr(
        Session, "_load", lambda self, name: tiny(name) if name in model_zoo.names() else load(self, name)
    )

    def run(*arguments):
        code = app.main(["ensemble", *files, *arguments, "--view-size", "32", "--out", str(tmp_path / "out")])
        return code, *capsys.readouterr()

    return run


def test_the_parts_add_up_to_the_score_that_is_printed(told, tmp_path):
    code, out, err = told("--member", NETWORK, "--member", f"{NETWORK}@max=.5")
    assert (code, err) == (0, "")
    kept = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert out.startswith(f"score {kept['score']:.6f} (exact)")
    assert [member["share"] for member in kept["members"]] == [0.8, 0.2]
    assert sum(one["share"] * one["score"] for one in kept["members"]) == pytest.approx(kept["score"], abs=1e-6)
    assert [one["explained"]["network"]["pooling"] for one in kept["members"]] == ["avg", "max"]
    arrays = np.load(tmp_path / "out" / "maps.npz")
    for side in "ab":
        cells = sum(arrays[f"map_{side}_{number}"].sum() for number in (1, 2))
        assert cells + kept["bias_part"][side] == pytest.approx(kept["score"], abs=1e-5)
    assert arrays["contributions"].sum() == pytest.approx(kept["score"], abs=1e-5)
    assert {f"overlay_{side}{end}.png" for side in "ab" for end in ("", "_1", "_2")} | {
        "maps.npz",
        "manifest.json",
    } == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_black_box_is_a_member_with_a_map_by_masks(told):
    code, out, _ = told("--member", NETWORK, "--member", BLACK_BOX)
    assert code == 0
    assert "(black box)" in out
    assert "sliding window" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "0 members"),
        (("--member", NETWORK), "1 members; wanted 2 to 16"),
        (("--member", NETWORK, "--member", f"{NETWORK}=heavy"), f"the member '{NETWORK}=heavy'"),
        (("--member", NETWORK, "--member", f"{NETWORK}=0"), "with the weights 1, 0"),
        (("--member", NETWORK, "--member", f"{NETWORK}=nan"), "with the weights 1, nan"),
        (("--member", NETWORK, "--member", "checkpoint"), "without --checkpoint"),
        (("--member", NETWORK, "--member", f"{NETWORK}@median"), "median"),
        (("--member", NETWORK, "--member", "no_such_net"), "no_such_net"),
        (
            ("--member", NETWORK, "--member", NETWORK, "--checkpoint", "w.pt", "--architecture", "timm/resnet18"),
            "--checkpoint 'w.pt' alone",
        ),
    ],
)
def test_what_is_no_ensemble_is_one_line_and_writes_nothing(told, tmp_path, arguments, said):
    code, out, err = told(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_members_are_read_by_name_pooling_and_weight():
    assert members_of(["a", "timm/b.in1k@gem:4=2", "c=.5"]) == [
        Member("a"),
        Member("timm/b.in1k", "gem:4", 2.0),
        Member("c", "", 0.5),
    ]
    with pytest.raises(SimvisError, match="17 members"):
        members_of(["a"] * 17)
