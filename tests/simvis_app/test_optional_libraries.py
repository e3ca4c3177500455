"""Networks of optional libraries through every door: the command line, the page's list, one's own checkpoints."""

import json

import pytest

from simvis_app.commands import main, parsed
from simvis_app.commands.opening import session_of
from simvis_app.page.compare.own_panel import OwnAsked, OwnOpened, OwnRefused, open_own
from simvis_app.page.pair.networks import NetworkChosen, NetworkRefused, choose_network
from simvis_app.service import samples
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from tests.model_zoo.architectures.optional.saved import model

A, B = (str(samples.PICTURES / samples.pairs()[0][side]) for side in "ab")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("saved")
    for name in ("convnext", "clip"):
        model(name).save_pretrained(root / name)
    return root


def explained(capsys, out, *options):
    code = main(["explain", A, B, *map(str, options), "--view-size", "64", "--out", str(out)])
    return code, capsys.readouterr(), json.loads((out / "manifest.json").read_text()) if code == 0 else None


def test_a_folder_is_explained_on_the_command_line(capsys, tmp_path, folders):
    name = f"transformers/{folders / 'convnext'}"
    code, told, manifest = explained(capsys, tmp_path, "--backbone", name)
    assert code == 0, told.err
    assert "exact at this input" in told.out.splitlines()[0]
    assert (manifest["network"]["name"], manifest["network"]["pooling"]) == (name, "avg")
    assert "without preprocessor_config.json" in manifest["network"]["origin"]
    assert sum(manifest["ledger"].values()) == pytest.approx(manifest["score"], abs=1e-5)


def test_a_checkpoint_for_an_architecture_of_a_folder_is_explained(capsys, tmp_path, folders):
    weights = folders / "clip" / "model.safetensors"
    architecture = f"transformers/{folders / 'clip'}"
    code, told, manifest = explained(capsys, tmp_path, "--checkpoint", weights, "--architecture", architecture)
    assert code == 0, told.err
    assert told.err.startswith("model.safetensors: 56 tensors of the trunk loaded")
    assert "of the tower for texts" in told.err
    assert manifest["network"]["pooling"] == "token"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("transformers/{}", "where no config.json is"),
        ("transformers/a/b/c", "choose"),
        ("hf-hub:alone", "the architecture 'timm/hf-hub:alone'"),
    ],
)
def test_what_cannot_be_had_is_one_line(capsys, tmp_path, name, reason):
    code, told, _ = explained(capsys, tmp_path, "--backbone", name.format(tmp_path))
    assert code == 2
    assert reason in told.err
    assert told.err.count("\n") == 1


def test_the_pages_list_takes_a_folder_of_its_owners(folders):
    name = f"transformers/{folders / 'convnext'}"
    chosen = choose_network(Session(), name, "max", "efficientnet_lite0")
    assert isinstance(chosen, NetworkChosen)
    assert (chosen.name, chosen.pooling, chosen.poolings[:2]) == (name, "max", ["avg", "max"])
    assert "the mean over the cells, normed" in chosen.card


def test_a_checkpoint_on_the_page_is_opened_for_it(folders):
    session = Session(own=OwnModels(folders))
    asked = OwnAsked("clip/model.safetensors", None, f"transformers/{folders / 'clip'}")
    opened = open_own(session, asked, "avg", "efficientnet_lite0")
    assert isinstance(opened, OwnOpened)
    assert "56 tensors of the trunk loaded" in opened.report
    assert opened.network.pooling == "token"


@pytest.mark.parametrize("inner", ["{}/convnext", "{}/nothing", "./x", "../x", "~/x", "tests"])
def test_strangers_learn_of_no_folder(folders, inner):
    """The answer is the same whether there is one."""
    session = Session(folders=False, own=OwnModels(folders))
    name = f"transformers/{inner.format(folders)}"
    refused = choose_network(session, name, "avg", "efficientnet_lite0")
    assert isinstance(refused, NetworkRefused)
    assert "a folder, while others than its owner reach this server" in str(refused.reason)
    own = open_own(session, OwnAsked("clip/model.safetensors", None, name), "avg", "efficientnet_lite0")
    assert isinstance(own, OwnRefused)
    assert "a folder, while others than its owner reach this server" in str(own.reason)


@pytest.mark.parametrize(
    ("arguments", "open_"),
    [
        (["--port", "7999"], True),
        (["--host", "0.0.0.0"], False),
        (["--share"], False),
        (["--trusted-host", "*"], False),
        (["--behind-proxy"], False),
        (["explain", A, B], True),
    ],
)
def test_folders_are_open_where_nobody_else_asks(arguments, open_, monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    session, _ = session_of(parsed(arguments))
    assert session.folders == open_
    if not open_:
        with pytest.raises(SimvisError, match="reach this server"):
            session.network("transformers/./x")
