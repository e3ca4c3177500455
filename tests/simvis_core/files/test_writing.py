"""Files: whole or not at all."""

import io
import json
import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import SimvisError
from simvis_core.files import writing

FILES = {"a.txt": b"one", "b.bin": bytes(range(256))}


def test_files_are_written_in_order(tmp_path):
    paths = writing.write_folder(tmp_path / "deep" / "er", FILES)
    assert [(path.name, path.read_bytes()) for path in paths] == list(FILES.items())


def test_nothing_else_is_left_in_the_folder(tmp_path):
    writing.write_folder(tmp_path, FILES)
    assert sorted(os.listdir(tmp_path)) == sorted(FILES)


def test_an_existing_file_is_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old and longer")
    writing.write_folder(tmp_path, FILES)
    assert (tmp_path / "a.txt").read_bytes() == b"one"


def test_files_can_be_read_by_others(tmp_path):
    (path, _) = writing.write_folder(tmp_path, FILES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failure_leaves_the_old_file_and_no_scraps(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SimvisError, match=r"cannot be written \(No space left on device\); wanted a folder that can"):
        writing.write_folder(tmp_path, {"a.txt": b"new"})
    assert os.listdir(tmp_path) == ["a.txt"]
    assert path.read_bytes() == b"old"


def test_an_interrupt_leaves_no_scraps(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writing.write_whole(tmp_path / "a.txt", b"new")
    assert os.listdir(tmp_path) == []


def test_a_file_that_many_write_at_once_is_one_of_theirs_whole(tmp_path):
    contents = [bytes([at]) * 100_000 for at in range(8)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda content: writing.write_folder(tmp_path / "new", {"a.jpg": content}), contents))
    assert os.listdir(tmp_path / "new") == ["a.jpg"]
    assert (tmp_path / "new" / "a.jpg").read_bytes() in contents


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(SimvisError, match=r"taken', which cannot be written .*: name another folder or free some room"):
        writing.write_folder(tmp_path / "taken", FILES)


def test_a_folder_where_a_file_should_be_is_refused(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(SimvisError, match="cannot be written"):
        writing.write_folder(tmp_path, FILES)


def test_the_zip_holds_the_same_files():
    with zipfile.ZipFile(io.BytesIO(writing.zipped(FILES))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_png_is_lossless():
    image = Image.effect_noise((9, 7), 90).convert("RGB")
    with Image.open(io.BytesIO(writing.png(image))) as back:
        assert (back.format, back.tobytes()) == ("PNG", image.tobytes())


def test_npz_keeps_shapes_and_dtypes():
    arrays = {"one": np.arange(6, dtype=np.float32).reshape(2, 3), "two": np.array(2.5)}
    with np.load(io.BytesIO(writing.npz(arrays)), allow_pickle=False) as back:
        assert {name: (back[name].tolist(), back[name].dtype) for name in back} == {
            name: (array.tolist(), array.dtype) for name, array in arrays.items()
        }


def test_a_table_has_its_names_first_and_none_is_empty():
    rows = [{"map": 'a, "b"', "area": 0.5}, {"map": "c", "area": None}, {"map": "d"}]
    assert writing.table(["map", "area"], rows).decode() == 'map,area\n"a, ""b""",0.5\nc,\nd,\n'
    assert writing.table(["map"], []) == b"map\n"
    with pytest.raises(ValueError, match="other"):
        writing.table(["map"], [{"other": 1}])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_an_array_holds_the_tensors_numbers(dtype):
    tensor = torch.tensor([[0.5, -2.0, 3.25]], dtype=dtype)
    array = writing.array(tensor)
    assert array.tolist() == [[0.5, -2.0, 3.25]]
    assert array.dtype == (np.float64 if dtype == torch.float64 else np.float32)


def test_the_manifest_is_json_that_ends_in_a_line():
    text = writing.manifest_json({"score": 0.5, "list": [1, 2]})
    assert text.endswith(b"}\n")
    assert json.loads(text) == {"score": 0.5, "list": [1, 2]}


def test_the_manifest_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="not JSON compliant"):
        writing.manifest_json({"score": float("nan")})
