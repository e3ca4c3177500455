"""Writers: what is written is read back by the reader that people use."""

import sys
import time

import numpy as np
import pytest
from PIL import Image

from simvis_core import SimvisError
from simvis_core.progress.writers import CsvWriter, TensorBoardWriter, WandbWriter, read_scalars
from tests.simvis_core.progress.test_series import full_disk

PICTURE = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))


def test_a_table_comes_back(tmp_path):
    writer = CsvWriter(tmp_path / "log")
    writer.scalars(1, {"loss": 0.1, 'a, "b"': 1e-30})
    writer.scalars(2, {"loss": 1 / 3})
    writer.images(2, {"pairs/../a:b/one": PICTURE})
    assert read_scalars(tmp_path / "log" / "scalars.csv") == [
        (1, "loss", 0.1),
        (1, 'a, "b"', 1e-30),
        (2, "loss", 1 / 3),
    ]
    [path] = (tmp_path / "log").rglob("*.png")
    assert path.relative_to(tmp_path / "log").parts == ("images", "pairs", "_", "a_b", "one", "000002.png")
    assert Image.open(path).tobytes() == PICTURE.tobytes()


def test_a_resumed_table_drops_what_was_behind_and_what_is_torn(tmp_path):
    for first in (1, 3):
        writer = CsvWriter(tmp_path)
        for step in range(first, 5):
            writer.scalars(step, {"loss": step / first})
        with (tmp_path / "scalars.csv").open("a") as file:
            file.write("5,lo")
    assert read_scalars(tmp_path / "scalars.csv") == [
        (1, "loss", 1),
        (2, "loss", 2),
        (3, "loss", 1),
        (4, "loss", 4 / 3),
    ]


def test_anothers_table_is_refused_and_left(tmp_path):
    (tmp_path / "scalars.csv").write_text("epoch,loss\n1,2\n")
    with pytest.raises(SimvisError, match="no table of step, name and value"):
        CsvWriter(tmp_path).scalars(1, {"loss": 1.0})
    with pytest.raises(SimvisError, match="which cannot be read"):
        read_scalars(tmp_path / "nothing.csv")
    assert (tmp_path / "scalars.csv").read_text() == "epoch,loss\n1,2\n"


@pytest.mark.parametrize("room", [20, 33])  # for nothing, and for half of a line
def test_a_full_disk_is_told(tmp_path, room):
    writer = CsvWriter(tmp_path)
    writer.scalars(1, {"loss": 1.0})
    with full_disk(room), pytest.raises(SimvisError, match=r"cannot be written.*free some room"):
        writer.scalars(2, {"loss": 1.0})
    assert read_scalars(tmp_path / "scalars.csv") == [(1, "loss", 1.0)]
    writer.scalars(2, {"loss": 0.5})  # once there is room again
    assert read_scalars(tmp_path / "scalars.csv") == [(1, "loss", 1.0), (2, "loss", 0.5)]


def test_tensorboards_reader_finds_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

    writer = TensorBoardWriter(tmp_path)
    writer.scalars(10, {"pairs/score": 0.5, "loss": 2.0})
    writer.scalars(20, {"pairs/score": 0.75})
    writer.images(20, {"pairs/two": PICTURE})
    writer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={IMAGES: 0}).Reload()
    assert [(event.step, event.value) for event in events.Scalars("pairs/score")] == [(10, 0.5), (20, 0.75)]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 2.0)]
    [image] = events.Images("pairs/two")
    assert (image.step, image.width, image.height) == (20, 5, 4)


def test_tensorboards_reader_does_not_see_what_a_resumed_run_writes_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((1, 2, 3), (2, 3, 4)):
        writer = TensorBoardWriter(tmp_path)
        for step in steps:
            writer.scalars(step, {"loss": step + steps[0] / 10})
        writer.close()
    TensorBoardWriter(tmp_path).close()  # one that writes nothing hides nothing
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, round(event.value, 1)) for event in events] == [(1, 1.1), (2, 2.2), (3, 3.2), (4, 4.2)]


@pytest.mark.slow  # its package takes seconds to start
def test_wandbs_reader_finds_what_was_written(tmp_path, monkeypatch):
    """Read from the file that ``wandb sync`` uploads."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    writer = WandbWriter(tmp_path, project="rooms")
    writer.scalars(10, {"loss": 2.0})
    writer.images(10, {"two": PICTURE})
    writer.scalars(20, {"loss": 1.0})
    writer.close()
    [path] = tmp_path.glob("wandb/offline-run-*/*.wandb")
    ends = time.monotonic() + 60
    while b"loss" not in path.read_bytes():  # W&B's own process writes it, in a moment
        assert time.monotonic() < ends
        time.sleep(0.05)
    [picture] = path.parent.rglob("*.png")
    assert Image.open(picture).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize(("package", "made"), [("tensorboard", TensorBoardWriter), ("wandb", WandbWriter)])
def test_a_missing_package_is_told_with_how_to_get_it(tmp_path, monkeypatch, package, made):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SimvisError, match=rf"no package {package} here.*pip install -r requirements-train.txt"):
        made(tmp_path)
