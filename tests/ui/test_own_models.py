"""One's own checkpoints in the session: which files are reached, and what is remembered of them."""

# isort: off
import model_zoo.operators  # noqa: F401  (timm cannot be imported before it)

# isort: on
import pytest
import timm
import torch
from safetensors.torch import save_file

from simvis_core import SimvisError
from ui.own_models import OwnModels
from ui.session import Session


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
    assert report in session.own.about(name)
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


def test_only_so_many_are_remembered(folder, monkeypatch):
    monkeypatch.setattr("ui.own_models.REMEMBERED", 1)
    session = Session(own=OwnModels(folder))
    names = [session.open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")[0]]
    (folder / "a.safetensors").rename(folder / "c.safetensors")
    names.append(session.open_model(folder / "c.safetensors", "timm/mobilenetv3_small_050")[0])
    assert session.own.names() == names[1:]


def test_a_network_too_large_to_keep_is_refused(folder, monkeypatch):
    monkeypatch.setattr("ui.session.NETWORKS_LIMIT", 2**20)
    with pytest.raises(SimvisError, match="choose a smaller network"):
        Session(own=OwnModels(folder)).open_model(folder / "a.safetensors", "timm/mobilenetv3_small_050")


def test_a_server_may_keep_to_its_catalogue():
    with pytest.raises(SimvisError, match="offers its catalogue only"):
        Session(any_architecture=False).network("timm/resnet18")
