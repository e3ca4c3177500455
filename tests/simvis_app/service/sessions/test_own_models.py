"""One's own checkpoints in the session: which files are reached, and what is remembered of them."""

import pytest
import timm
import torch
from safetensors.torch import save_file

import model_zoo
from model_zoo.training.states import base_of, state_of
from simvis_app.commands import parsed
from simvis_app.commands.opening import session_of
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.progress.series_files import SeriesFiles


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(41)
    folder = tmp_path / "models"
    (folder / "inner").mkdir(parents=True)
    save_file(timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict(), folder / "a.safetensors")
    (folder / "inner" / "b.pth").write_bytes(b"x")
    (folder / "notes.txt").write_text("no checkpoint")
    (tmp_path / "secret.pth").write_bytes(b"secret")
    return folder


def test_the_folders_checkpoints_are_offered_and_nothing_else(folder):
    own = OwnModels(folder)
    assert own.offered
    assert own.files() == ["a.safetensors", "inner/b.pth"]
    assert own.path("inner/b.pth") == folder / "inner" / "b.pth"


@pytest.mark.parametrize("name", ["A.PT", "b.Pth", "c.SAFETENSORS", "d.PTH.TAR", "e.Bin", "f.CKPT"])
def test_endings_in_capitals_are_offered_too(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "NOTES.TXT").write_text("no checkpoint")
    assert OwnModels(tmp_path).files() == [name]
    assert OwnModels(tmp_path).path(name) == tmp_path / name


@pytest.mark.parametrize("name", ["", "../secret.pth", "/etc/passwd", "notes.txt", "inner/../../secret.pth", "a\0"])
def test_a_name_that_is_not_offered_reaches_no_file(folder, name):
    with pytest.raises(SimvisError, match="a file of this server's folder"):
        OwnModels(folder).path(name)
    with pytest.raises(SimvisError, match="a file of this server's folder"):
        OwnModels().path(name)


def test_a_checkpoint_is_opened_under_its_own_name_and_opened_again(folder, files):
    session = Session(own=OwnModels(folder))
    name, report = session.open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")
    assert name.startswith("yours/a-")
    assert "tensors of the trunk loaded" in report
    assert session.own.names() == [name]
    assert report.startswith("a.safetensors: ")
    assert report in session.own.about(name)
    assert session.own.label(name) == "a (timm/mobilenetv3_small_050)"
    first = session.network(name)
    session._networks = Session()._networks  # as if it had been dropped for others
    again = session.network(name)
    assert again is not first
    assert again.fingerprint == first.fingerprint
    assert again.name == name


def test_one_that_is_not_remembered_or_whose_file_is_gone_is_a_sentence(folder):
    session = Session(own=OwnModels(folder))
    with pytest.raises(SimvisError, match="load the file again"):
        session.network("yours/nobody-123456")
    name, _ = session.open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")
    (folder / "a.safetensors").unlink()
    session._networks = Session()._networks
    with pytest.raises(SimvisError, match=r"a\.safetensors"):
        session.network(name)


def test_a_file_that_changed_meanwhile_is_not_taken_for_the_same(folder):
    session = Session(own=OwnModels(folder))
    name, _ = session.open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")
    torch.manual_seed(42)
    save_file(timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict(), folder / "a.safetensors")
    session._networks = Session()._networks
    with pytest.raises(SimvisError, match="whose file has changed since"):
        session.network(name)
    assert session.own.names() == [name]


def test_strangers_uploads_are_forgotten_and_seen_by_nobody_else_and_the_owners_stay(folder, monkeypatch):
    monkeypatch.setattr("simvis_app.service.sessions.own_models.REMEMBERED", 1)
    session = Session(own=OwnModels(folder, uploads=True))
    owners = session.open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")[0]
    (folder / "a.safetensors").rename(folder / "c.safetensors")
    first = session.open_model(folder / "c.safetensors", "timm/mobilenetv3_small_050", public=False)[0]
    (folder / "c.safetensors").rename(folder / "d.safetensors")
    session.open_model(folder / "d.safetensors", "timm/mobilenetv3_small_050", public=False)
    assert session.own.names() == [owners]
    with pytest.raises(SimvisError, match="does not remember"):
        session.own.about(first)


def test_names_tell_networks_apart_that_differ_in_pooling_alone(folder):
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    names = []
    for exponent in (3.0, 6.0):
        torch.save(state | {"pool.p": torch.tensor([exponent])}, folder / "net.pt")
        session = Session(own=OwnModels(folder))
        names.append(session.open_model(folder / "net.pt", "timm/resnet18")[0])
        assert str(session.network(names[-1]).trained_pooling) == f"gem:{exponent:g}"
    assert names[0] != names[1]


def test_an_architecture_too_large_is_refused_before_it_is_built(folder):
    session = Session(own=OwnModels(folder))
    for ask in (session.network, lambda name: session.open_model(folder / "a.safetensors", name)):
        with pytest.raises(SimvisError, match=r"'timm/vit_7b_patch16_dinov3' with \d+ MiB of weights; wanted at most"):
            ask("timm/vit_7b_patch16_dinov3")


def test_a_network_too_large_to_keep_is_refused(folder, monkeypatch):
    monkeypatch.setattr("simvis_app.service.sessions.session.NETWORKS_LIMIT", 2**20)
    monkeypatch.setattr("simvis_app.service.sessions.session.architecture_bytes", lambda name: 0)
    with pytest.raises(SimvisError, match="choose a smaller network"):
        Session(own=OwnModels(folder)).open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")


def test_a_server_may_keep_to_its_catalogue():
    with pytest.raises(SimvisError, match="offers its catalogue only"):
        Session(any_architecture=False).network("timm/resnet18")


# A training's steps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of mobilenet_v2 that moved one tensor in ten steps."""
    base = model_zoo.load("mobilenet_v2")
    state = state_of(base)
    name = next(name for name in reversed(state) if name.endswith("bias"))
    folder = tmp_path_factory.mktemp("runs") / "run"
    files = SeriesFiles(folder, "run", "mobilenet_v2", "avg", base=base_of("mobilenet_v2", base))
    files.add(0, state, state)
    files.add(10, state | {name: state[name] + 1}, state)
    return folder


def test_a_trained_step_is_a_network_like_any_other(run, files):
    session = Session(own=OwnModels())
    first, last = (session.open_step(run, step)[0] for step in (0, None))
    assert first.startswith("yours/run@0-")
    assert last.startswith("yours/run@10-")
    assert session.own.names() == [first, last]
    assert session.own.label(last) == "run@10 (mobilenet_v2)"
    assert "step 10 of 'run', mobilenet_v2 trained under avg" in session.own.about(last)
    scores = [session.explain(*files, Settings(name, short_side=64)).score for name in ("mobilenet_v2", first, last)]
    assert scores[0] == scores[1] != scores[2]
    session._networks = Session()._networks  # as if it had been dropped for others
    assert session.explain(*files, Settings(last, short_side=64)).score == scores[2]


def test_a_step_that_is_not_there_and_a_folder_of_another_architecture_are_told(run, tmp_path):
    session = Session(own=OwnModels())
    with pytest.raises(SimvisError, match="step 5 of 'run'; wanted one of 0, 10"):
        session.open_step(run, 5)
    with pytest.raises(SimvisError, match="'run', a series of mobilenet_v2; wanted one of timm/resnet18"):
        session.open_step(run, None, "timm/resnet18")
    with pytest.raises(SimvisError, match=r"holds no series\.json"):
        session.open_step(tmp_path, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--step", "3"], "--step alone; wanted --checkpoint"),
        (["--checkpoint", "a.pt", "--step", "3"], "--step 3 of a file; wanted the folder of a training"),
    ],
)
def test_a_step_of_nothing_is_told(words, told):
    with pytest.raises(SimvisError, match=told):
        session_of(parsed(["explain", "a.png", "b.png", *words]))


def test_the_command_line_opens_a_step(run, capsys):
    session, name = session_of(parsed(["explain", "a.png", "b.png", "--checkpoint", str(run), "--step", "10"]))
    assert name.startswith("yours/run@10-")
    assert session.network(name).origin == "step 10 of 'run', mobilenet_v2 trained under avg"
    assert capsys.readouterr().err == "step 10 of 'run', mobilenet_v2 trained under avg.\n"
