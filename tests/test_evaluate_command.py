"""`app.py evaluate`: what it writes, that it goes on where it stopped, and how it refuses."""

import csv
import json

import pytest

import app
import model_zoo
from simvis_app.service.sessions.session import Session
from simvis_core.evaluation import measuring, records
from simvis_core.evaluation.depth_study import running
from simvis_core.evaluation.depth_study.settings import SCREENED, DepthSetting
from simvis_core.trust.localisation import WARPS
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, photographs, tiny

QUICK = ("--steps", "5", "--pairs", "2", "--view-size", "32")


@pytest.fixture(autouse=True)
def _tiny_networks(monkeypatch):
    """Cards have tiny weights here."""
    load = Session._load
    monkeypatch.setattr(
        Session, "_load", lambda self, name: tiny(name) if name in model_zoo.names() else load(self, name)
    )


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Runs the command; its exit code and what it printed."""

    def run(*options, source="rooms", out="out"):
        code = app.main(["evaluate", str(source), "--network", NETWORK, "--out", str(tmp_path / out), *QUICK, *options])
        return code, capsys.readouterr()

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(folder):
    return list(csv.DictReader((folder / "table.csv").read_text().splitlines()))


def test_rooms_come_out_as_a_table_and_plots(evaluate, tmp_path):
    code, said = evaluate("--explainer", "decomposition", "--explainer", "grad_cam", "--checks")
    assert code == 0
    assert said.out.split() == [str(tmp_path / "out" / name) for name in ("table.csv", "table.md", "curves.html")]
    rows = table(tmp_path / "out")
    names = ["decomposition", "grad_cam", "random", "centre"]
    assert [(row["kind"], row["explainer"]) for row in rows] == [
        (kind, name) for kind in ("planted", "same", "different") for name in names
    ]
    assert all(row["cases"] == "2" for row in rows)
    planted = rows[0]
    assert 0 <= float(planted["inside"]) <= 1
    assert float(planted["difference_low"]) <= float(planted["difference"]) <= float(planted["difference_high"])
    assert planted["stability"]
    assert rows[2]["over_random"] == ""
    assert "nan" not in (tmp_path / "out" / "table.csv").read_text().lower()
    markdown = (tmp_path / "out" / "table.md").read_text()
    assert "### Verification" in markdown
    assert "an even map has that much inside" in markdown
    page = (tmp_path / "out" / "curves.html").read_text()
    assert "Grad-CAM" in page
    assert page.count('class="plotly-graph-div"') == 3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_records_and_another_gives_others(evaluate, tmp_path):
    for out, seed in (("one", "0"), ("two", "0"), ("three", "1")):
        assert evaluate("--explainer", "corr_rise", "--set", "corr_rise.masks=8", "--seed", seed, out=out)[0] == 0
    timeless = [
        [
            {key: value for key, value in record.items() if key != "seconds"}
            for record in lines(tmp_path / out / "measured.jsonl")
        ]
        for out in ("one", "two", "three")
    ]
    assert timeless[0] == timeless[1]
    assert timeless[0] != timeless[2]


def test_a_stopped_run_goes_on_where_it_was(evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr(records.os, "fsync", _stopping_after(5))
    code, said = evaluate("--explainer", "decomposition")
    assert code == 130
    assert "goes on from there" in said.err
    path = tmp_path / "out" / "measured.jsonl"
    kept = lines(path)
    assert len(kept) == 5
    with path.open("a") as file:
        file.write('{"torn": ')
    monkeypatch.undo()
    monkeypatch.setattr(Session, "_load", lambda self, name: tiny(name))
    runs = []
    monkeypatch.setattr(
        measuring, "_numbers", lambda measured, real=measuring._numbers: runs.append(1) or real(measured)
    )
    assert evaluate("--explainer", "decomposition")[0] == 0
    assert len(runs) == 3 * 2 * 3 - 5
    assert lines(path)[:5] == kept
    assert evaluate("--explainer", "decomposition")[0] == 0
    assert len(runs) == 3 * 2 * 3 - 5
    # A further explainer, or network, joins the same records.
    assert evaluate("--explainer", "grad_cam")[0] == 0
    assert len(runs) == 3 * 2 * 3 - 5 + 6
    assert {row["explainer"] for row in table(tmp_path / "out")} == {"decomposition", "grad_cam", "random", "centre"}


def _stopping_after(count):
    seen = []

    def fsync(_):
        seen.append(1)
        if len(seen) == count:
            raise KeyboardInterrupt

    return fsync


def test_a_folder_of_classes_and_searches_in_it(evaluate, tmp_path):
    photos = photographs(tmp_path / "photos")
    for number in range(22):
        (photos / f"{number:02}.raw").touch()
    code, said = evaluate("--explainer", "decomposition", source=photos)
    assert code == 0
    assert said.err.count(".raw files are not read") == 20
    assert "simvis: left out: 2 files more" in said.err
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["resizing"] == "quick"
    assert {row["kind"] for row in table(tmp_path / "out")} == {"same", "different"}
    names = [record["case"] for record in lines(tmp_path / "out" / "measured.jsonl")]
    assert all(str(tmp_path) not in name for name in names)
    assert evaluate("--explainer", "decomposition", "--hits", "3", source=photos, out="hits")[0] == 0
    assert {row["kind"] for row in table(tmp_path / "hits")} == {"search, 3 hits"}


def test_point_maps_find_the_same_place_in_warped_copies(evaluate, tmp_path):
    photos = photographs(tmp_path / "photos")
    code, said = evaluate("--transfer", source=photos)
    assert code == 0
    assert said.out.split() == [str(tmp_path / "out" / f"transfer.{kind}") for kind in ("csv", "md")]
    rows = list(csv.DictReader((tmp_path / "out" / "transfer.csv").read_text().splitlines()))
    assert [row["warp"] for row in rows] == list(WARPS)
    assert all(row["pictures"] == "2" and int(row["points"]) > 0 for row in rows)
    for row in rows:
        assert float(row["within_1"]) <= float(row["within_2"])
        assert float(row["random_1_low"]) <= float(row["random_1"]) <= float(row["random_1_high"])
    assert "| turned by 90 degrees |" in (tmp_path / "out" / "transfer.md").read_text()
    code, said = evaluate("--transfer")
    assert code == 2
    assert "a folder of photographs" in said.err
    code, said = evaluate("--transfer", "--network", BLACK_BOX, source=photos)
    assert code == 2
    assert "black box" in said.err


@pytest.mark.slow
def test_a_black_box_says_why_where_it_cannot_be_split(evaluate, tmp_path):
    assert evaluate("--network", BLACK_BOX, "--explainer", "decomposition", "--explainer", "sbsm")[0] == 0
    rows = {(row["network"], row["explainer"]): row for row in table(tmp_path / "out") if row["kind"] == "same"}
    refused = rows[f"{BLACK_BOX} avg", "decomposition"]
    assert "cannot be split" in refused["refused"]
    assert refused["cases"] == "0"
    assert refused["insertion"] == ""
    assert rows[f"{BLACK_BOX} avg", "sbsm"]["insertion"]
    assert rows[f"{NETWORK} avg", "decomposition"]["insertion"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--explainer", "gradcam"), "one of decomposition"),
        (("--explainer", "rise", "--set", "rise.mask=3"), "of these: masks"),
        (("--set", "rise.masks=3"), "not measured"),
        (("--explainer", "rise", "--set", "rise.masks=many"), "rise.masks=500"),
        (("--explainer", "rise", "--set", "rise"), "NAME.PARAMETER=NUMBER"),
        (("--pairs", "0"), "at least 1"),
        (("--steps", "1"), "at least 2"),
        (("--seed", "-1"), "seed -1"),
        (("--seed", str(10**30)), "seed 1e+30"),
        (("--view-size", "0"), "multiple of 8"),
        (("--hits", "2"), "leave --hits out"),
        (("--network", "nobody"), "nobody"),
        (("--pooling", "mean"), "mean"),
        (("--view-size", "33"), "multiple of 8"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(evaluate, options, wanted):
    code, said = evaluate(*options)
    assert code == 2
    assert wanted in said.err
    assert "Traceback" not in said.err


@pytest.mark.slow
def test_other_settings_do_not_join_the_same_records(evaluate, tmp_path):
    assert evaluate("--explainer", "decomposition")[0] == 0
    code, said = evaluate("--explainer", "decomposition", "--fill", "grey")
    assert code == 2
    assert "another fill" in said.err
    few = ("--explainer", "corr_rise", "--set", "corr_rise.masks=8")
    assert evaluate(*few, out="few")[0] == 0
    code, said = evaluate("--explainer", "corr_rise", out="few")
    assert code == 2
    assert "another parameters" in said.err
    old = json.loads((tmp_path / "few" / "evaluation.json").read_text())
    del old["resizing"]
    (tmp_path / "few" / "evaluation.json").write_text(json.dumps(old))  # as before there were two ways
    assert "another resizing" in evaluate(*few, out="few")[1].err
    assert evaluate(*few, "--resizing", "reference", out="few")[0] == 0


def test_a_folder_without_classes_and_one_that_is_not_there(evaluate, tmp_path):
    loose = photographs(tmp_path / "photos") / "ape"
    for source, wanted in ((loose, "two pictures of one class"), (tmp_path / "none", "a folder of pictures")):
        code, said = evaluate(source=source)
        assert code == 2
        assert wanted in said.err


def test_the_study_of_depths_writes_its_tables_and_goes_on_where_it_stopped(evaluate, tmp_path, monkeypatch):
    photos = photographs(tmp_path / "photos")
    monkeypatch.setattr(running, "SCREENED", SCREENED[:2])
    monkeypatch.setattr(running, "studied", lambda *picked: [DepthSetting((0,)), DepthSetting((1,), "frozen")])
    sizes = ("--depths", "--screening-pairs", "1", "--screening-steps", "2", "--two-sided-pairs", "1", "--rooms", "0")
    monkeypatch.setattr(records.os, "fsync", _stopping_after(6))
    code, said = evaluate(*sizes, source=photos)
    assert code == 130
    kept = lines(tmp_path / "out" / "measured.jsonl")
    monkeypatch.undo()
    monkeypatch.setattr(Session, "_load", lambda self, name: tiny(name))
    monkeypatch.setattr(running, "SCREENED", SCREENED[:2])
    monkeypatch.setattr(running, "studied", lambda *picked: [DepthSetting((0,)), DepthSetting((1,), "frozen")])
    code, said = evaluate(*sizes, source=photos)
    assert code == 0
    assert said.out.split() == [str(tmp_path / "out" / name) for name in ("depths.md", "depths.csv", "screening.csv")]
    assert "removal: 2 of 2" in said.err
    found = lines(tmp_path / "out" / "measured.jsonl")
    assert found[:6] == kept
    assert len(found) == 4 * (1 + 2 + 1)
    assert "The screening picks 8 steps and the reference blur." in (tmp_path / "out" / "depths.md").read_text()
    rows = list(csv.DictReader((tmp_path / "out" / "depths.csv").read_text().splitlines()))
    assert [row["setting"] for row in rows] == ["depth 0", "frozen 1", "random", "centre"]
    assert [row["pairs"] for row in rows] == ["2"] * 4
    assert float(rows[0]["gap_low"]) <= float(rows[0]["gap"]) <= float(rows[0]["gap_high"])
    code, said = evaluate(*sizes, "--seed", "1", source=photos)
    assert code == 2
    assert "holds an evaluation with another seed" in said.err
    for given, sentence in ((("--pairs", "0"), "--pairs 0"), (("--steps", "1"), "--steps 1")):
        code, said = evaluate(*sizes, *given, source=photos)
        assert code == 2
        assert sentence.removeprefix("--") in said.err
    code, said = evaluate(*sizes, out="rooms")
    assert code == 2
    assert "--depths with drawn rooms" in said.err


def test_both_sides_can_be_hidden_too(evaluate, tmp_path):
    code, _ = evaluate("--explainer", "decomposition", "--two-sided", "--pairs", "1")
    assert code == 0
    own, random, *_ = table(tmp_path / "out")
    assert own["joint_fitted"]
    assert random["outer_fitted"]
    assert random["joint_fitted"] == ""
    code, said = evaluate("--explainer", "decomposition", "--pairs", "1")
    assert code == 2
    assert "another two_sided" in said.err
