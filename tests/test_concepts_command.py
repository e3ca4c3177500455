"""The command `concepts`: what it learns, prints and writes, and how it refuses."""

import json

import numpy as np
import pytest
import torch

import app
import model_zoo
from simvis_app.commands.concepts.command import KINDS_LEARNT, SIZE_LEARNT
from simvis_app.service.sessions.session import Session
from simvis_core import explain_pair, open_picture
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.dictionary import dictionary_of
from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary, save_dictionary
from simvis_core.attributes.dictionaries.held_out import HELD_OUT
from simvis_core.attributes.dictionaries.learning import CONCEPTS, KIND, LEARNERS
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, photographs, tiny

SEEN = ("--backbone", NETWORK, "--view-size", "32")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("concepts") / "photos")


@pytest.fixture
def told(capsys, monkeypatch):
    """Runs `concepts` with tiny weights in the cards: exit code, standard output, standard error."""
    load = Session._load
    monkeypatch.setattr(
        Session, "_load", lambda self, name: tiny(name) if name in model_zoo.names() else load(self, name)
    )

    def run(*arguments):
        code = app.main(["concepts", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def learnt(told, photos, tmp_path):
    """A dictionary of four concepts, and what was printed."""
    file = tmp_path / "made.safetensors"
    code, out, err = told("learn", photos, "--dictionary", file, "--kind", "pca", "--size", "4", *SEEN)
    assert code == 0, err
    return file, out, err


def test_the_flags_defaults_are_the_cores():
    assert tuple(LEARNERS) == KINDS_LEARNT
    assert (SIZE_LEARNT, KINDS_LEARNT[0]) == (CONCEPTS, KIND)
    assert HELD_OUT == ("pictures", "classes")


def test_learning_prints_the_shares_on_what_is_held_out(learnt):
    file, out, err = learnt
    lines = out.splitlines()
    assert lines[0].startswith(f"pca: 4 concepts of {NETWORK} (avg), learnt on ")
    assert lines[0].endswith(" places of 4 pictures")  # one of three in each of four classes
    assert lines[1] == "held out: 8 pictures whose classes are learnt on; 4 pairs of 4 classes"
    shares = {line.split()[0]: float(line.split()[1]) for line in lines[2:5]}
    assert list(shares) == ["concepts", "mean", "residual"]
    assert sum(shares.values()) == pytest.approx(100, abs=0.2)
    assert lines[5:] == [str(file)]
    assert err.splitlines() == ["12 pictures seen", "12 pictures sought"]
    source = open_dictionary(file).source
    assert (source.kind, source.network, source.short_side, source.pictures) == ("pca", NETWORK, 32, 4)


def test_a_pair_is_told_and_written(told, learnt, photos, tmp_path):
    file, *_ = learnt
    a, b = sorted((photos / "ape").iterdir())[:2]
    assert told("name", "1=arched openings", "--dictionary", file)[0] == 0
    out_folder = tmp_path / "out"
    code, out, err = told("explain", a, b, "--dictionary", file, "--top", "2", "--out", out_folder)
    assert code == 0, err
    network = tiny(NETWORK)
    pair = explain_pair(network, open_picture(a), open_picture(b), 32)
    split = ConceptPair(pair.a, pair.b, open_dictionary(file))
    lines = out.splitlines()
    assert lines[0] == f"score {pair.score:.6f} (exact)"
    first, second = split.strongest(2).tolist()
    for line, concept in zip(lines[1:3], (first, second), strict=True):
        name = "arched openings" if concept == 1 else "unnamed"
        assert line.startswith(f"  concept {concept} ({name}) {float(split.mean_totals.concepts[concept]):+.6f}  ")
        codes = [float(codes[concept]) for codes in (split.split_a.codes, split.split_b.codes)]
        assert line.endswith(" %  codes {:+.3f} in A, {:+.3f} in B".format(*codes))
    assert lines[3].startswith("  2 other concepts ")
    assert lines[4].startswith(f"  mean {split.mean_totals.mean:+.6f}")
    assert lines[5].startswith(f"  residual {split.mean_totals.residual:+.6f}")
    assert lines[6] == f"  sum {pair.score:+.6f}"
    files = {path.name for path in out_folder.iterdir()}
    assert files == {
        *(f"concept_{one:03d}.png" for one in (first, second)),
        "concepts.json",
        "maps.npz",
        "places.html",
    }
    with np.load(out_folder / "maps.npz") as maps:
        assert np.array_equal(maps[f"concept_{first:03d}_a"], split.concept_map("a", first).numpy())
        assert np.allclose(maps["totals_b"], split.totals("b").concepts.numpy())
        assert maps["matrix"].shape == (4, 4)
    ledger = json.loads((out_folder / "concepts.json").read_text())
    parts = sum(one["total"] for one in ledger["concepts"])
    assert parts + ledger["other_concepts"] + ledger["mean"] + ledger["residual"] == pytest.approx(ledger["score"])
    assert (out_folder / "places.html").read_text().count("<figure>") == sum(
        len(open_dictionary(file).firings[one]) for one in (first, second)
    )


def test_a_gallery_is_learnt_on_too(told, photos, tmp_path):
    home = ("--galleries", tmp_path / "home")
    assert app.main(["index", str(photos), "--name", "animals", *SEEN, *map(str, home)]) == 0
    file = tmp_path / "made.safetensors"
    code, out, _ = told("learn", "--gallery", "animals", "--dictionary", file, "--size", "2", *SEEN, *home)
    assert code == 0
    assert "learnt on" in out
    assert len(open_dictionary(file).firings) == 2
    code, _, err = told("learn", "--gallery", "cows", "--dictionary", file, *SEEN, *home)
    assert (code, "gallery 'cows'" in err) == (2, True)


def test_a_matrix_of_ones_own_and_whole_classes(told, photos, tmp_path):
    np.save(tmp_path / "own.npy", np.eye(2, 9))
    made = ("--dictionary", tmp_path / "made.safetensors")
    code, out, _ = told("learn", photos, *made, "--matrix", tmp_path / "own.npy", "--held-out", "classes", *SEEN)
    assert code == 0
    assert out.startswith("matrix: 2 concepts")
    assert "of classes that are not learnt on; 3 pairs of 1 classes" in out
    assert torch.equal(open_dictionary(made[1]).directions, torch.eye(2, 9).double())
    np.save(tmp_path / "own.npy", np.eye(2, 5))
    code, _, err = told("learn", photos, *made, "--matrix", tmp_path / "own.npy", *SEEN)
    assert (code, err.count("\n")) == (2, 1)
    assert "a dictionary of 5 numbers a direction, for embeddings of 9" in err


def test_pictures_without_classes_are_learnt_on_and_the_share_is_said_not_to_be_known(told, photos, tmp_path):
    code, out, err = told("learn", photos / "ape", "--dictionary", tmp_path / "made.safetensors", "--size", "1", *SEEN)
    assert code == 0
    assert "residual" not in out
    assert "the residual's share is not known" in err


def test_another_network_is_refused_before_a_picture_is_seen(told, learnt):
    code, _, err = told("explain", "no.jpg", "no.jpg", "--dictionary", learnt[0], "--backbone", BLACK_BOX)
    assert code == 2
    assert f"a dictionary of {NETWORK} (avg); wanted one of {BLACK_BOX} (avg) with these weights" in err


def test_a_dictionary_that_was_made_in_python_is_told_by_any_network(told, photos, tmp_path):
    file = save_dictionary(tmp_path / "made.safetensors", dictionary_of(torch.eye(9)))
    a, b = sorted((photos / "ape").iterdir())[:2]
    code, out, _ = told("explain", a, b, "--dictionary", file, "--backbone", NETWORK, "--out", tmp_path / "out")
    assert code == 0
    assert "  residual +0.000000" in out or "  residual -0.000000" in out
    assert not (tmp_path / "out" / "places.html").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("learn", "--dictionary", "x"), "neither FOLDER nor --gallery"),
        (("learn", "here", "--gallery", "there", "--dictionary", "x"), "both FOLDER and --gallery"),
        (("learn", "here", "--matrix", "m", "--size", "3", "--dictionary", "x"), "--matrix with --kind or --size"),
        (("learn", "nowhere", "--dictionary", "x"), "nowhere"),
        (("name", "dome", "--dictionary", "x"), "Got 'dome'; wanted N=WORDS"),
        (("explain", "a", "b", "--dictionary", "nowhere"), "'nowhere', which is missing"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(told, arguments, why):
    code, out, err = told(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("simvis: Got ")
    assert why in err
