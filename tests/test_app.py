"""The command line: what it writes, what it says, and how it refuses."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import app
import model_zoo
from simvis_app.commands import models, parsed, serve
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.pairs.export import Export

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "sample_data" / "pictures"
A, B = (str(PICTURES / "taj_mahal" / f"taj_mahal_{number}.jpg") for number in (1, 3))
FILES = ["manifest.json", "maps.npz", "overlay_a.png", "overlay_b.png"]


def told(capsys, *arguments):
    """Exit code, standard output and standard error of a command, run in this process."""
    code = app.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_models_lists_every_card(capsys):
    code, out, err = told(capsys, "models")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == list(model_zoo.names())
    for line in lines:
        card = model_zoo.card(line.split()[0])
        assert card.licence in line
        assert ("bundled" in line) == card.bundled


@pytest.mark.network
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"--backbone": "mobilenet_v2", "--pooling": "gem:4.5"},
        {"--view-size": "128", "--framing": "square", "--pooling": "flatten"},
    ],
    ids=["defaults", "gem", "flatten"],
)
def test_explain_writes_what_the_session_computes(capsys, tmp_path, options):
    words = [word for option in options.items() for word in option]
    code, out, err = told(capsys, "explain", A, B, *words, "--out", tmp_path / "new" / "folder")
    assert (code, err) == (0, "")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == FILES

    settings = Settings(
        options.get("--backbone", "efficientnet_lite0"),
        options.get("--pooling", "avg"),
        int(options.get("--view-size", 224)),
        options.get("--framing", "whole"),
    )
    pair = Session().explain(A, B, settings)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["score"] == pytest.approx(pair.score, abs=1e-6)
    assert manifest["ledger"] == pytest.approx(pair.ledger, abs=1e-6)
    assert manifest["network"]["pooling"] == settings.pooling
    with np.load(folder / "maps.npz") as maps:
        for name in ("map_a", "map_b", "joint_map", "contributions"):
            assert np.allclose(maps[name], getattr(pair, name).numpy(), atol=1e-6)
        for side in "ab":
            total = maps[f"map_{side}"].astype(np.float64).sum() + manifest["bias_part"][side]
            assert total == pytest.approx(manifest["score"], abs=1e-6)
    for side, file in (("a", A), ("b", B)):
        with Image.open(folder / f"overlay_{side}.png") as overlay, Image.open(file) as picture:
            assert overlay.size == picture.size

    assert out.startswith(f"score {pair.score:.6f} (exact)\n")
    for name, part in pair.ledger.items():
        assert f"  {name} {part:+.6f}\n" in out
    assert [Path(line).name for line in out.splitlines()[-4:]] == [
        "overlay_a.png",
        "overlay_b.png",
        "maps.npz",
        "manifest.json",
    ]


@pytest.mark.network
def test_explain_writes_one_picture_to_share(capsys, tmp_path):
    place = tmp_path / "new" / "pair.png"
    code, out, err = told(capsys, "explain", A, B, "--view-size", "64", "--ground", "outline", "--png", place)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == str(place)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["pair.png"]
    pair = Session().explain(A, B, Settings("efficientnet_lite0", "avg", 64, "whole"))
    facts = {"files": {"a": "taj_mahal_1.jpg", "b": "taj_mahal_3.jpg"}}
    with Image.open(place) as drawn:
        told_facts = json.loads(drawn.text["manifest"])
        assert told_facts["files"] == facts["files"]
        assert "Taj Mahal" in told_facts["credit"]
        assert "CC" in told_facts["credit"]
        expected = Export(pair, facts=facts | {"credit": told_facts["credit"]}, ground="outline").figure()
        assert drawn.tobytes() == expected.tobytes()


@pytest.mark.parametrize("place", ["pair.jpg", "folder.png"])
def test_another_kind_of_picture_to_share_is_refused_before_any_work(capsys, tmp_path, place):
    (tmp_path / "folder.png").mkdir()
    code, out, err = told(capsys, "explain", A, B, "--png", tmp_path / place)
    assert (code, out) == (2, "")
    assert err.endswith(f"{place}'; wanted a file's name that ends in .png: choose another name.\n")


@pytest.fixture
def bad(tmp_path):
    """Files that are no pictures, by what is wrong with them."""
    with open(A, "rb") as good:
        content = good.read()
    contents = {"text": b"no picture", "empty": b"", "truncated": content[: len(content) // 2]}
    for name, data in contents.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    (tmp_path / "folder.jpg").mkdir()
    return {name: tmp_path / f"{name}.jpg" for name in (*contents, "folder", "missing")}


def refused(capsys, tmp_path, *arguments):
    """The sentence of a refused explanation; nothing is left in --out."""
    before = sorted(tmp_path.rglob("*"))
    code, out, err = told(capsys, "explain", *arguments, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("simvis: Got ")
    assert err.endswith(".\n")
    assert sorted(tmp_path.rglob("*")) == before
    return err.removeprefix("simvis: ").strip()


@pytest.mark.network
@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "folder", "missing"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_bad_picture_is_one_line_and_exit_code_2(capsys, tmp_path, bad, kind, place):
    pictures = [A, B]
    pictures[place] = bad[kind]
    sentence = refused(capsys, tmp_path, *pictures)
    if kind in ("folder", "missing"):
        assert str(bad[kind]) in sentence
    else:
        assert f"as picture {'AB'[place]};" in sentence


@pytest.mark.network
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--backbone", "nosuchnet"], "efficientnet_lite0, "),
        (["--backbone", "../../etc/passwd"], "one of "),
        (["--pooling", "nosuchpooling"], "one of avg, max, gem, avgmax, catavgmax, flatten"),
        (["--pooling", "gem:zero"], "gem:4.5"),
        (["--pooling", "gem:0.5"], "from 1 to"),
        pytest.param(["--pooling", "flatten", "--view-size", "1024"], "choose", marks=pytest.mark.slow),
        (["--backbone", "face_resnet29", "--pooling", "catavgmax"], "avg"),
        (["--view-size", "225"], "choose 224"),
        (["--view-size", "0"], "choose 32"),
        (["--view-size", "-224"], "choose 32"),
        (["--view-size", "1000000"], "choose 1280"),
        (["--device", "nosuchdevice"], "use cpu"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_choice_is_one_line_and_exit_code_2(capsys, tmp_path, options, reason):
    assert reason in refused(capsys, tmp_path, A, B, *options)


@pytest.mark.network
def test_a_folder_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = told(capsys, "explain", A, B, "--out", tmp_path / "file")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err


@pytest.mark.network
def test_a_full_disk_leaves_no_half_written_file(capsys, tmp_path, monkeypatch):
    replace, written = os.replace, []

    def full(source, target):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    code, _, err = told(capsys, "explain", A, B, "--out", tmp_path)
    assert code == 2
    assert "No space left on device" in err
    assert sorted(tmp_path.iterdir()) == sorted(written)


@pytest.mark.parametrize("options", [["--view-size", "x"], ["--nosuchflag"], [A]])
def test_what_the_command_line_does_not_offer_is_refused_with_its_usage(capsys, tmp_path, options):
    with pytest.raises(SystemExit) as caught:
        app.main(["explain", A, B, *options, "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "usage: app.py" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["--help"], ["explain", "--help"], ["models", "--help"]])
def test_help_names_every_flag_with_a_word_about_it(capsys, command):
    with pytest.raises(SystemExit) as caught:
        app.main(command)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    wanted = {
        "--help": ["--host", "--port", "--device", "--share", "--links", "explain", "models"],
        "explain": ["--backbone", "--pooling", "--view-size", "--framing", "--device", "--out", "A", "B"],
        "models": [],
    }[command[0]]
    for word in wanted:
        assert word in out


@pytest.mark.network
def test_the_session_behind_the_page_says_the_same_sentence(capsys, tmp_path, bad):
    sentence = refused(capsys, tmp_path, bad["text"], B)
    with pytest.raises(SimvisError) as caught:
        Session().explain(bad["text"], B, Settings())
    assert str(caught.value) == sentence


# As a user runs it


def run(folder, *arguments):
    command = [sys.executable, str(ROOT / "app.py"), *map(str, arguments)]
    environment = os.environ | {"HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.slow
@pytest.mark.network
def test_as_a_user_runs_it_from_another_folder(tmp_path):
    done = run(tmp_path, "explain", A, B, "--view-size", "64")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    score = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["score"]
    assert f"score {score:.6f}" in done.stdout


@pytest.mark.network
def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "--port", port)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"simvis: Got 127.0.0.1, port {port}, where no page can be served; wanted a free port")


@pytest.mark.slow
@pytest.mark.network
def test_as_a_user_mistakes_it(tmp_path):
    done = run(tmp_path, "explain", A, B, "--framing", "round")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "simvis: Got framing 'round'; wanted one of whole, square, crop: choose one of these."
    ]
    assert list(tmp_path.iterdir()) == []


# One's own network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The weights of a small transformer with a class token."""
    import timm

    torch.manual_seed(51)
    path = tmp_path_factory.mktemp("own") / "my_vit.pth"
    torch.save({"state_dict": timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict()}, path)
    return path


OWN = ("--architecture", "timm/vit_tiny_patch16_224", "--view-size", "96")


@pytest.mark.parametrize("method", [None, "sliding window"])
def test_a_checkpoint_is_explained_and_the_manifest_says_what_drew_it(capsys, tmp_path, checkpoint, method):
    options = [*OWN, *(("--method", method) if method else ())]
    code, out, err = told(capsys, "explain", A, B, "--checkpoint", checkpoint, *options, "--out", tmp_path)
    by = method or "last-block values"
    assert code == 0
    assert f"(black box, map by {by})" in out.splitlines()[0]
    assert err.startswith("my_vit.pth: 150 tensors of the trunk loaded")
    assert ("running 126 masked pictures" in err) == (method is not None)
    assert ("cells_cells" in out) == (method is None)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["method"]["name"], manifest["method"]["additive"]) == (by, method is None)
    assert (manifest["ledger"] is None) == (method is not None)
    assert ("window" in manifest["method"]) == (method is not None)
    assert manifest["network"]["origin"] == "my_vit for timm/vit_tiny_patch16_224"
    assert manifest["network"]["name"].startswith("yours/my_vit-")
    assert (manifest["network"]["engine"], manifest["network"]["pooling"]) == ("eager", "token")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--checkpoint", "{}"], "--architecture with it"),
        (["--checkpoint", "{}", "--architecture", "timm/resnet19"], "choose timm/resnet18"),
        (["--checkpoint", "{}", "--architecture", "timm/resnet18"], "resnet18"),
        (["--checkpoint", "nosuchfile.pth", "--architecture", "timm/resnet18"], "nosuchfile.pth"),
        (["--engine", "nosuchengine"], "openvino"),
        (["--device", "meta"], "one that computes"),
        (["--architecture", "timm/resnet18"], "--checkpoint with it"),
        (["--checkpoint", "{}", "--architecture", "timm/resnet18", "--backbone", "resnet18"], "leave one of them out"),
        (["--backbone", "timm/resnet19"], "choose timm/resnet18"),
        (["--choice", "layers.arc=out"], "choices alone; wanted --checkpoint with them"),
        (["--checkpoint", "{}", *OWN, "--choice", "arc"], "--choice arc; wanted NAME=VALUE"),
        (["--checkpoint", "{}", *OWN, "--choice", "layer.arc=out"], "the choice 'layer'; wanted one of pooling, head"),
        (["--checkpoint", "{}", *OWN, "--choice", "layers.arc=out"], "layers.arc, which this checkpoint has no place"),
        (["--checkpoint", "{}", *OWN, "--choices", "nosuchfile.json"], "'nosuchfile.json', which cannot be read"),
    ],
)
def test_a_network_that_cannot_be_had_is_one_line(capsys, tmp_path, checkpoint, options, reason):
    filled = [option.format(checkpoint) for option in options]
    assert reason in refused(capsys, tmp_path, A, B, *filled)


def test_what_a_file_does_not_tell_is_asked_answered_and_kept(capsys, tmp_path):
    """The questions are written as a file; answered there, or one by one, they give the same network again."""
    from tests.model_zoo.own_files import ARCHITECTURE, WIDTH, written

    torch.manual_seed(52)
    path = written(tmp_path, {"proj": torch.nn.Linear(WIDTH, 8, bias=False), "act": torch.nn.PReLU()})
    kept, again = tmp_path / "choices.json", tmp_path / "again.json"
    options = ["explain", A, B, "--checkpoint", path, "--architecture", ARCHITECTURE, "--out", tmp_path / "out"]
    code, out, err = told(capsys, *options, "--write-choices", kept)
    assert (code, out) == (2, "")
    assert "choices.json: the questions, to be answered and given as --choices" in err
    assert "say layers.proj=out (no part of the embedding) or layers.proj=behind" in err
    questions = json.loads(kept.read_text())
    assert [entry["key"] for entry in questions["open"]] == ["layers.proj"]
    assert not (tmp_path / "out").exists()
    kept.write_text(json.dumps({**questions, "layers": {"proj": "behind"}}))
    code, _, err = told(capsys, *options, "--choices", kept, "--write-choices", again)
    assert (code, "head: Linear 96 -> 8, PReLU" in err) == (0, True)
    network = json.loads((tmp_path / "out" / "manifest.json").read_text())["network"]
    assert network["origin"] == f"m for {ARCHITECTURE} with layers.proj=behind"
    assert json.loads(again.read_text())["layers"] == {"proj": "behind"}
    code, _, err = told(capsys, *options, "--choice", "layers.proj=out")
    assert (code, "proj.weight (8 x 96)" in err) == (0, True)
    other = json.loads((tmp_path / "out" / "manifest.json").read_text())["network"]
    assert other["fingerprint"] != network["fingerprint"]


def test_a_command_that_is_stopped_says_that_nothing_is_lost(capsys, monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "run", stopped)
    code, out, err = told(capsys, "models")
    assert (code, out) == (130, "")
    assert "what is written stays, and the same command goes on from there" in err


@pytest.mark.parametrize(
    ("arguments", "names", "frames", "mebibytes"),
    [
        (["--host", "127.0.0.1"], ("localhost", "127.0.0.1", "[::1]"), ("'self'",), 1024),
        (["--host", "0.0.0.0", "--model-uploads"], ("*",), ("'self'",), 8192),
        (
            ["--trusted-host", "a.example", "--trusted-host", "*.b.example"],
            ("a.example", "*.b.example"),
            ("'self'",),
            1024,
        ),
        (["--frame-ancestor", "https://a.example", "--upload-total", "7"], None, ("https://a.example",), 7),
    ],
)
def test_the_doors_are_the_operators(arguments, names, frames, mebibytes):
    doors = serve._doors(parsed(arguments))
    assert names in (None, doors.names)
    assert (doors.frames, doors.uploads) == (frames, mebibytes * 2**20)


@pytest.mark.parametrize("name", ["*example", "a*.example", "**"])
def test_a_trusted_host_that_is_no_pattern_is_told(name):
    with pytest.raises(SimvisError, match=r"a name, \*\.name, or \*"):
        serve._doors(parsed(["--trusted-host", name]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rule", "path"], "Got --rule or --reference alone; wanted --at with it"),
        (["--at", "pixels", "--method", "RISE"], "Got both --at and --method"),
        (["--at", "pixels", "--reference", "blur"], "Got --reference without --rule path"),
    ],
)
def test_options_of_a_layer_that_do_not_go_together_are_refused(capsys, options, said):
    code, _, err = told(capsys, "explain", A, B, *options)
    assert code == 2
    assert said in err


@pytest.mark.slow
@pytest.mark.network
def test_a_pair_is_explained_at_a_layer_and_a_picture_that_is_its_own_reference_is_refused(capsys, tmp_path):
    at = ["explain", A, B, "--view-size", "64", "--at", "blocks.2", "--rule", "path", "--out", tmp_path]
    code, _, err = told(capsys, *at, "--reference", "mean", "--reference", B)
    assert code == 2
    assert "the reference picture, which is equal to the picture" in err
    code, out, err = told(capsys, *at, "--reference", "mean")
    assert code == 0, err
    pair = Session().explain(A, B, Settings("efficientnet_lite0", "avg", 64, "whole"))
    assert out.splitlines()[0].startswith(f"score {pair.score:.6f} (exact at this input, maps at network.blocks.2 by")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["depth"] == {"layer": "network.blocks.2", "rule": "path", "reference": "mean"}
    for side in "ab":
        assert sum(manifest["bias_parts"][side].values()) == pytest.approx(manifest["bias_part"][side], abs=1e-5)
        assert f"bias of {side}: offsets +0.000000, reference {manifest['bias_parts'][side]['reference']:+.6f}" in out
    assert np.load(tmp_path / "maps.npz")["map_a"].shape[0] == 8


@pytest.mark.slow
@pytest.mark.network
def test_layers_are_listed_with_their_grids(capsys):
    code, out, _ = told(capsys, "explain", A, B, "--at", "list")
    assert code == 0
    assert out.splitlines()[0] == "pixels 224x224"
    assert "network.blocks.2 28x28" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at-b", "pixels"], "Got --at-b alone; wanted --at with it"),
        (["--backbone-b", "mobilenet_v2", "--standing"], "Got --standing with two networks"),
        (["--architecture-b", "timm/resnet18"], "Got --architecture-b or --choices-b alone; wanted --checkpoint-b"),
        (["--checkpoint-b", "weights.pth"], "Got --checkpoint-b alone; wanted --architecture-b with it"),
        (
            ["--checkpoint-b", "weights.pth", "--backbone-b", "mobilenet_v2"],
            "Got both --backbone-b and --checkpoint-b; wanted one network for B",
        ),
        (["--backbone-b", "nosuchnet"], "nosuchnet"),
    ],
)
def test_options_of_a_second_network_that_do_not_go_together_are_refused(capsys, options, said):
    code, _, err = told(capsys, "explain", A, B, *options)
    assert code == 2
    assert said in err


@pytest.mark.network
def test_two_networks_explain_a_pair_each_in_its_own_view(capsys, tmp_path):
    options = ["--view-size", "64", "--backbone-b", "mobilenet_v2", "--view-size-b", "96", "--pooling-b", "max"]
    code, out, err = told(capsys, "explain", A, B, *options, "--out", tmp_path)
    assert code == 0, err
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    session = Session()
    settings = session.with_second(Settings("efficientnet_lite0", "avg", 64, "whole"), "mobilenet_v2", "max", 96)
    pair = session.explain(A, B, settings)
    assert out.splitlines()[0] == f"score {pair.score:.6f} (exact)"
    assert out.splitlines()[1].startswith("  A by efficientnet_lite0, avg; B by mobilenet_v2, max; 2 x ")
    assert manifest["network_b"]["name"] == "mobilenet_v2"
    assert sum(manifest["ledger"].values()) == pytest.approx(pair.score, abs=1e-5)
    assert np.load(tmp_path / "maps.npz")["map_b"].shape == tuple(pair.b.grid)
    assert min(manifest["pictures"]["b"]["view_size"]) == 96


@pytest.mark.network
def test_ones_own_checkpoint_encodes_b_and_another_width_is_told(capsys, tmp_path, checkpoint):
    """A class token's tower beside a bundled one of 1280 numbers is refused; beside itself under avg it is not."""
    own = ["--checkpoint-b", checkpoint, "--architecture-b", "timm/vit_tiny_patch16_224", "--view-size-b", "64"]
    code, _, err = told(capsys, "explain", A, B, "--view-size", "64", *own, "--out", tmp_path)
    assert code == 2
    assert "embeddings of 1280 numbers from efficientnet_lite0 ('avg') for A and of 192 from yours/my_vit-" in err
    assert "choose two networks that were trained together" in err
    code, out, err = told(
        capsys, "explain", A, B, "--checkpoint", checkpoint, *OWN, *own, "--pooling-b", "avg", "--out", tmp_path
    )
    assert code == 0, err
    assert "\nB: my_vit.pth: 150 tensors of the trunk loaded" in err
    assert "(black box, map by last-block values)" in out.splitlines()[0]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [manifest[key]["pooling"] for key in ("network", "network_b")] == ["token", "avg"]
    assert sum(manifest["ledger"].values()) == pytest.approx(manifest["score"], abs=1e-5)
    assert manifest["pictures"]["b"]["view_size"][0] == 64


@pytest.mark.slow
@pytest.mark.network
def test_the_last_step_of_a_training_encodes_b(capsys, tmp_path):
    folder = Path(app.__file__).parent / "model_zoo" / "series" / "rooms_avg"
    options = ["--backbone", "mobilenet_v2", "--view-size", "64", "--checkpoint-b", folder, "--out", tmp_path]
    code, out, err = told(capsys, "explain", A, B, *options)
    assert code == 0, err
    assert err.startswith("B: step 120 of 'rooms_avg'")
    assert "B by yours/rooms_avg@120-" in out
    code, out, _ = told(capsys, "explain", A, B, "--checkpoint-b", folder, "--at-b", "list")
    assert code == 0
    assert out.splitlines()[0] == "pixels 128x128"
