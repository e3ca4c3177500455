"""The command `series`: what it prints and writes of a training's steps, and how it refuses."""

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import app
from model_zoo.training.states import base_of, drawn, state_of
from simvis_core import EmbeddingNetwork, Preprocess, explain_pair, open_picture
from simvis_core.progress.series_files import SeriesFiles
from simvis_core.progress.watcher import Watcher
from simvis_core.progress.watching import WatchedPair
from simvis_core.progress.worst import LabelledPicture
from tests.small_trainings import draw_pictures

TINY = "timm/test_resnet"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two series of a tiny network whose head grows apart from the base's, two pictures, and a plain folder."""
    home = tmp_path_factory.mktemp("series")
    base = drawn(TINY, 3)
    labels, names = ["a", "a", "b", "b"], ("a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg")
    right, wrong = torch.eye(2)[[0, 0, 1, 1]], torch.eye(2)[[0, 1, 0, 1]]
    for name, seed, gallery in (("one", 5, right), ("two", 6, wrong)):
        about = {"labels": labels, "framing": "square"}
        files = SeriesFiles(home / name, name, TINY, "avg", base=base_of(TINY, base, 3), short_side=64, about=about)
        files.add(0, state_of(base), state_of(base), figures={"map@r": 0.25})
        torch.manual_seed(seed)
        head = nn.Linear(base.width(), 4)
        for step in (10, 20):
            grown = base.with_head(head)
            loss = 0.5 / step
            files.add(
                step, state_of(grown), state_of(base), loss=loss, figures={"map@r": 0.5}, embeddings=(names, gallery)
            )
            head.weight.data *= torch.rand(head.weight.shape)
    (home / "plain").mkdir()
    for number in (1, 2):
        torch.save(base.backbone.network.state_dict(), home / "plain" / f"epoch_{number}.pt")
    (home / "plain" / "best.pt").write_bytes(b"x")
    chance = np.random.default_rng(1)
    for name in "ab":
        Image.fromarray(chance.integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(home / f"{name}.png")
    return home


def told(capsys, *arguments):
    code = app.main(["series", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_figures_are_printed_by_step(capsys, home, tmp_path):
    code, out, err = told(capsys, home / "one", "--out", tmp_path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"one: {TINY} trained under avg, from {TINY} drawn with seed 3, 3 steps"
    assert [line.split() for line in lines[1:5]] == [
        ["step", "loss", "map@r"],
        ["0", "-", "0.2500"],
        ["10", "0.0500", "0.5000"],
        ["20", "0.0250", "0.5000"],
    ]
    assert lines[5:] == [str(tmp_path / "0_figures.csv")]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "0_figures.csv").read_text())))
    assert rows[2] == {"step": "20", "loss": "0.025", "map@r": "0.5"}


def test_a_pair_is_followed_and_drawn(capsys, home, tmp_path):
    import model_zoo

    code, out, _ = told(capsys, home / "one", home / "a.png", home / "b.png", "--out", tmp_path)
    assert code == 0
    assert "score of the pair (cosine, -1 to 1)" in out
    network = model_zoo.open_series(home / "one").network(20)
    wanted = explain_pair(network, open_picture(home / "a.png"), open_picture(home / "b.png"), 64, "square")
    assert f"    20: {wanted.score:.4f}" in out
    with np.load(tmp_path / "0_maps.npz") as maps:
        assert np.array_equal(maps["a_000020"], wanted.map_a.numpy())
        assert len(maps.files) == 6
    drawn_maps = [open_picture(tmp_path / f"0_step_{step:06d}.png") for step in (0, 10, 20)]
    assert {one.width for one in drawn_maps} == {1080}
    assert (tmp_path / "change.svg").exists()


def test_contribution_curves_are_those_of_the_gallery(capsys, home, tmp_path):
    code, out, _ = told(capsys, home / "one", "--curves", "50", "--out", tmp_path)
    assert code == 0
    assert "one step 20: the top 10 features carry 100.0 % of the score of 2 pairs" in out
    assert b"one step 10" in (tmp_path / "contributions.html").read_bytes()
    code, _, err = told(capsys, home / "plain", "--architecture", TINY, "--curves", "50")
    assert code == 2
    assert "'plain', which tells of no two pictures of one class" in err


def test_two_series_are_compared(capsys, home):
    code, out, _ = told(
        capsys, home / "one", home / "a.png", home / "b.png", "--against", home / "two", "--step", "0", "--step", "20"
    )
    assert code == 0
    assert "4 of 4 queries: one right, the other wrong\n  a1.jpg: one finds a2.jpg, two finds b1.jpg" in out
    assert "0 of 4 queries: two right" in out
    assert "maps agree at steps 0 and 0: 1.0000" in out
    assert "score of the pair (cosine, -1 to 1), the first less the second at the end:" in out


def test_rooms_are_followed_with_intervals(capsys, home, tmp_path):
    code, out, err = told(capsys, home / "one", "--rooms", "3", "--kind", "same", "--step", "20", "--out", tmp_path)
    assert code == 0
    assert err == "one step 20: 3 of 3 pairs\n"
    assert "share of the map on the shared objects" in out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "pairs.csv").read_text())))
    assert [row["pair"] for row in rows] == ["room 0", "room 1", "room 2"]
    assert not list(tmp_path.glob("*.png"))


def test_pairs_of_ones_own_pictures_are_followed_with_intervals(capsys, home, tmp_path):
    draw_pictures(tmp_path / "own")
    asked = (home / "one", "--pictures", tmp_path / "own", "--pairs", "4", "--step", "0", "--step", "20")
    code, out, err = told(capsys, *asked, "--against", home / "two", "--out", tmp_path / "out")
    assert code == 0
    assert "one step 20: 4 of 4 pairs\n" in err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "pairs.csv").read_text())))
    names = {row["pair"] for row in rows}
    assert len(names) == 4
    for name in names:
        first, second = name.split(" | ")
        assert (first.split("/")[0], first != second) == (second.split("/")[0], True)
    assert "share of the map on the shared objects" not in out  # it is not known
    assert "half of the score" in out
    alone = told(capsys, *asked)[1].splitlines()
    assert alone[-1] in out.splitlines()  # the same pairs are drawn again


def test_a_plain_folder_is_followed_with_its_architecture(capsys, home):
    code, out, err = told(capsys, home / "plain", home / "a.png", home / "b.png", "--architecture", TINY)
    assert code == 0
    assert out.startswith(f"plain: {TINY}, 2 steps\nstep\n   1\n   2\n")
    assert "change of the map since the step before\n    2: 0.0000" in out
    assert "simvis: best.pt is none of the numbered checkpoints, and left out" in err


def test_a_watch_is_printed_too(capsys, tmp_path, two_pictures):
    net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=16, stride=8), name="tiny")
    Watcher(net, [WatchedPair("mine", *two_pictures)], 1, tmp_path / "watched")(7)
    code, out, _ = told(capsys, tmp_path / "watched")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "tiny (avg), pairs: mine"
    assert lines[2].split()[0] == "7"
    code, _, err = told(capsys, tmp_path / "watched", "--rooms", "2")
    assert code == 2
    assert "a watch, which holds maps and no weights; wanted a series" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("one", "a.png"), "one picture; wanted two, or none"),
        (("one", "a.png", "b.png", "--rooms", "2"), "two pictures and --rooms; wanted one of them"),
        (("one", "--pictures", ".", "--rooms", "2"), "--rooms and --pictures; wanted one of them"),
        (("one", "--pictures", "."), "without two pictures of one class"),
        (("one", "a.png", "b.png", "--step", "15"), "step 15 of 'one'; wanted one of 0, 10, 20"),
        (("one", "a.png", "b.png", "--framing", "round"), "framing 'round'; wanted one of whole, square, crop"),
        (("one", "a.png", "b.png", "--view-size", "50"), "a short side of 50 pixels"),
        (("nothing",), "which holds no series.json"),
        (("plain",), "give the architecture of a folder of numbered checkpoints"),
    ],
)
def test_mistakes_are_told(capsys, monkeypatch, home, arguments, said):
    monkeypatch.chdir(home)
    code, _, err = told(capsys, *arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_watch_of_a_network_that_the_zoo_knows_is_a_series_too(capsys, tmp_path, home, two_pictures):
    """Its networks come back at each look, in half precision, with the gallery's embeddings and classes."""
    import model_zoo

    net = drawn(TINY, 3)
    gallery = [LabelledPicture(f"{at}.jpg", "ab"[at % 2], two_pictures[at % 2]) for at in range(4)]
    folder, pairs = tmp_path / "mine", [WatchedPair("mine", *two_pictures)]

    def run(steps, **options):
        watcher = Watcher(net, pairs, 1, folder, gallery=gallery, short_side=64, architecture=TINY, **options)
        for step in steps:
            next(net.backbone.parameters()).data *= 0.5
            watcher(step)

    run((1, 2, 3))
    run((2,), resumed=True)
    opened = model_zoo.open_series(folder)
    assert [one.step for one in opened.steps] == [1, 2]
    again = opened.network(2)
    pixels = net.view(two_pictures[0], 64).pixels[None]
    assert again.preprocess.short_side == 64
    assert torch.allclose(again.embed(pixels), net.embed(pixels), atol=2e-3)
    names, embeddings = opened.series.embeddings(2)
    assert (names, opened.series.labels) == (("0.jpg", "1.jpg", "2.jpg", "3.jpg"), ("a", "b", "a", "b"))
    assert torch.allclose(embeddings[:1], net.embed(pixels), atol=1e-3)
    code, out, _ = told(capsys, folder, home / "a.png", home / "b.png", "--curves", "9")
    assert code == 0
    assert "map@r" in out
    assert "mine step 2: the top 10 features carry" in out
