"""`attributes` from the command line: what it prints and leaves, and what it refuses in a sentence."""

import csv
import json
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from app import main
from model_zoo.attributes import fitted
from simvis_app.commands import opening
from simvis_app.service.samples import FOLDER
from tests.simvis_app.attribute_cases import known
from tests.simvis_app.conftest import TinySession

A, B = (str(FOLDER / "pictures" / "taj_mahal" / f"taj_mahal_{number}.jpg") for number in (1, 3))
GROUPS = {"dome": [0, 1], "arch": [2, 3], "fur": [4]}


@pytest.fixture
def tiny(monkeypatch):
    """The command on the tiny network; called with another threshold, other attributes explain."""

    def opened(threshold=0.0):
        monkeypatch.setattr(opening, "Session", TinySession)
        monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known(threshold, GROUPS))

    opened()
    return opened


def printed(capsys, *arguments):
    code = main(["attributes", A, B, *map(str, arguments)])
    return code, *capsys.readouterr()


def asked(capsys, *arguments):
    code, out, err = printed(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_it_prints_the_sentence_the_terms_and_the_alternatives(tiny, capsys):
    told = asked(capsys)
    names = [one["name"] for one in told["attributes"]]
    code, out, err = printed(capsys)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"score {told['score']:.6f}: similar mostly because of: {', '.join(names)}"
    assert lines[1].split() == ["explains", "confidence", "overlap", "prior"]
    assert [line.split()[:2] for line in lines[2:5]] == [[str(n + 1), name] for n, name in enumerate(names)]
    for line, one in zip(lines[2:5], told["attributes"], strict=True):
        expected = [one[term] for term in ("score", "confidence", "overlap", "prior")]
        assert [float(word) for word in line.split()[2:]] == pytest.approx(expected, abs=0.00501)
    assert lines[5] == "weights: confidence 0.50, overlap 0.30, prior 0.20; an attribute explains from 0.00"
    assert lines[6] == "maps of attributes: exact at this input"
    assert len(printed(capsys, "--top", 1)[1].splitlines()) == 5


def test_the_numbers_are_the_rankers(tiny, capsys):
    told = asked(capsys, "--preset", "simvis")
    assert {one["name"]: one["raw_prior"] for one in told["attributes"]} == {"dome": 0.9, "arch": 0.6, "fur": 0.5}
    assert {one["name"]: one["prior_share"] for one in told["attributes"]} == {"dome": 0.9, "arch": 0.6, "fur": 0.8}
    assert {one["prior_p"] for one in told["attributes"]} == {0.001, 0.9}
    assert told["maps_of_attributes"] == "exact at this input"
    for one in told["attributes"]:
        assert one["score"] == pytest.approx(0.5 * one["confidence"] + 0.3 * one["overlap"] + 0.2 * one["prior"])
        assert one["prior"] == one["raw_prior"]
        assert one["overlap"] == pytest.approx((one["raw_overlap"] + 1) / 2)
    sane = asked(capsys, "--preset", "sane")
    raw = {way["preset"]: {one["name"]: one["raw_confidence"] for one in way["attributes"]} for way in (told, sane)}
    assert all(raw["simvis"][name] <= raw["sane"][name] for name in GROUPS)  # the lower of two pictures', and one's


def test_no_attribute_is_named_below_the_threshold(tiny, capsys):
    tiny(1.01)
    assert asked(capsys)["chosen"] == []
    code, out, _ = printed(capsys, "--why-not", "fur")
    assert code == 0
    assert out.splitlines()[0].endswith(": no attribute explains this")
    assert "fur: not named, 0." in out
    assert "lies below 1.01" in out


def test_why_not_tells_what_an_attribute_lacks(tiny, capsys):
    ranked = asked(capsys)["attributes"]
    first, last = ranked[0], ranked[-1]
    out = printed(capsys, "--top", 1, "--why-not", last["name"], "--why-not", first["name"])[1]
    assert out.splitlines()[3].split()[:2] == ["3", last["name"]]  # its terms, though only one was to be shown
    assert f"{first['name']}: it is named" in out
    tiny((first["score"] + last["score"]) / 2)
    out = printed(capsys, "--why-not", last["name"])[1]
    weights = {"confidence": 0.5, "overlap": 0.3, "prior": 0.2}
    worst = max(weights, key=lambda term: weights[term] * (first[term] - last[term]))
    assert f"; its {worst} is {last[worst]:.2f}, that of {first['name']} {first[worst]:.2f}" in out


def test_weights_are_the_callers_and_the_threshold_says_that_it_is_not_theirs(tiny, capsys):
    told = asked(capsys, "--weights", 0, 0, 4)
    assert told["weights"] == {"confidence": 0, "overlap": 0, "prior": 1}
    assert [one["name"] for one in told["attributes"]] == ["dome", "arch", "fur"]
    assert not told["threshold_is_of_these_weights"]
    assert "explains from 0.00 (learnt for other weights)" in printed(capsys, "--weights", 0, 0, 4)[1]
    code, _, err = printed(capsys, "--weights", 0, 0, 0)
    assert code == 2
    assert "three numbers of 0 or more, one of them above 0" in err


def test_a_picture_that_shows_less_than_it_seems_to_is_spoken_of(tiny, capsys, tmp_path):
    file = tmp_path / "long.png"
    Image.new("RGB", (600, 40), "red").save(file)
    assert main(["attributes", A, str(file)]) == 0
    assert "simvis: " in capsys.readouterr().err


def test_another_explainer_draws_the_maps(tiny, capsys):
    own = {one["name"]: one for one in asked(capsys)["attributes"]}
    code, out, err = printed(capsys, "--explainer", "centre", "--json")
    assert code == 0
    assert "drawing the map of B by centre" in err
    for one in json.loads(out)["attributes"]:
        assert one["raw_confidence"] == pytest.approx(own[one["name"]]["raw_confidence"], abs=1e-6)
        assert one["raw_overlap"] != own[one["name"]]["raw_overlap"]


def test_everything_is_written(tiny, capsys, tmp_path):
    code, out, _ = printed(capsys, "--out", tmp_path / "out")
    assert code == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["attribute_maps.npz", "attributes.json", "terms.csv"]
    assert [line.rpartition("/")[2] for line in out.splitlines()[-3:]] == [
        "attributes.json",
        "terms.csv",
        "attribute_maps.npz",
    ]
    told = json.loads((tmp_path / "out" / "attributes.json").read_text())
    with (tmp_path / "out" / "terms.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [one["name"] for one in told["attributes"]]
    with np.load(tmp_path / "out" / "attribute_maps.npz") as maps:
        assert set(maps) == {f"{side} {name}" for side in "ab" for name in GROUPS}
        assert all(maps[name].ndim == 2 for name in maps)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--why-not", "domes"], "the attribute 'domes'; wanted one of arch, dome, fur: try dome"),
        (["--preset", "lime"], "the preset 'lime'; wanted one of sane, simvis: choose one of these"),
        (["--explainer", "lemon"], "explainer 'lemon'; wanted one of decomposition,"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(tiny, capsys, words, said):
    code, out, err = printed(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_network_without_a_classifier_is_refused_with_one_that_works(monkeypatch, capsys):
    monkeypatch.setattr(opening, "Session", TinySession)
    code, out, err = printed(capsys, "--backbone", "mobilenet_v2")
    assert (code, out) == (2, "")
    assert "Got attributes of mobilenet_v2; wanted a network with an ImageNet classifier: " in err
    assert "choose --backbone efficientnet_lite0 or efficientnet_lite2." in err


@pytest.mark.network
def test_two_photographs_of_a_mausoleum_have_a_dome(capsys):
    told = asked(capsys, "--why-not", "fur")
    assert told["sentence"] in (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    places = {one["name"]: place for place, one in enumerate(told["attributes"])}
    assert "dome" in told["chosen"]
    assert places["fur"] > 10
    assert len(places) >= 60


def test_two_words_that_are_one_commands_name_are_that_command(monkeypatch):
    """So the words that may follow `attributes` are rows of the table, and two pictures are none of them."""
    from simvis_app import commands

    monkeypatch.setitem(commands.COMMANDS, "attributes models", commands.COMMANDS["models"])
    assert commands.parsed(["attributes", "models"]).run is import_module("simvis_app.commands.models").run
    pair = commands.parsed(["attributes", "models.jpg", "models"])
    assert (pair.command, pair.a, pair.b) == ("attributes", "models.jpg", "models")
