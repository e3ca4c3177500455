"""Labelled pictures: what a CSV says, what of it is left out with which words, class folders, and drawn rooms."""

import numpy as np
import pytest
import torch

from simvis_core import SimvisError
from simvis_core.attributes.datasets.labels import read_labels
from simvis_core.attributes.learnt.attribute_table import labelled_table
from simvis_core.attributes.learnt.labelled import (
    LabelledPictures,
    labelled_folders,
    labelled_room,
    labelled_rooms,
    learnable,
)
from simvis_core.hotel_rooms.truths import ROOM_ATTRIBUTES


@pytest.fixture
def table(tmp_path):
    """Reads a CSV beside pictures 1 to 4."""
    for number in range(1, 5):
        (tmp_path / f"{number}.jpg").touch()

    def read(text, **more):
        file = tmp_path / "truth.csv"
        file.write_text(text, encoding="utf-8")
        return labelled_table(file, **more)

    return read


def said(found):
    return dict(found.left_out)


def test_a_column_for_each_attribute(table):
    found = table("file,label,fur,dome\n1.jpg,cat,1,no\n2.jpg,church,False,TRUE\n")
    assert found.attributes == ("fur", "dome")
    assert found.truth.tolist() == [[True, False], [False, True]]
    assert [name[-5:] for name in found.names] == ["1.jpg", "2.jpg"]
    assert not found.left_out


def test_one_column_that_names_them(table):
    found = table("\ufeffImage,attributes\n1.jpg, fur ; dome;\n2.jpg,dome\n3.jpg,\n")
    assert found.attributes == ("dome", "fur")
    assert found.truth.tolist() == [[True, True], [True, False], [False, False]]


def test_files_are_sought_from_the_root(table, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "1.jpg").touch()
    assert table("file,fur\n1.jpg,1\n", root=tmp_path / "deep").names == (str(tmp_path / "deep" / "1.jpg"),)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("9.jpg,1,0", "there is no such file"),
        (",1,0", "no file is named"),
        ("3.jpg,maybe,0", "'maybe' for 'fur' is neither yes nor no"),
        ("3.jpg,1,0,1", "4 fields under 3 columns"),
        ("1.jpg,1,0", "line 2 says so already"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_by_its_line(table, row, why):
    found = table(f"file,fur,dome\n1.jpg,1,0\n2.jpg,0,1\n{row}\n")
    assert said(found) == {f"truth.csv, line 4: {row.split(',')[0]}": why}
    assert len(found.names) == 2


@pytest.mark.parametrize("row", ["3.jpg,,0", "3.jpg, ,0", "3.jpg"])
def test_an_empty_entry_is_no_answer_here_either(table, tmp_path, row):
    found = table(f"file,fur,dome\n1.jpg,1,0\n{row}\n")
    why = "nothing for 'fur', which says that it cannot be told: only yes and no can be learnt"
    assert said(found) == {"truth.csv, line 3: 3.jpg": why}
    assert len(found.names) == 1
    (tmp_path / "labels.csv").write_text("file,label,fur,dome\n1.jpg,,1,0\n3.jpg,,,0\n")
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.values.isnan().tolist() == [[False, False], [True, False]]


def test_of_rows_that_contradict_each_other_none_is_used(table):
    found = table("file,fur,dome\n1.jpg,1,0\n2.jpg,0,1\n./1.jpg,1,1\n1.jpg,1,0\n")
    assert [name[-5:] for name in found.names] == ["2.jpg"]
    assert said(found) == {
        "truth.csv, line 2: 1.jpg": "contradicts line 4, 5 on 'dome'",
        "truth.csv, line 4: 1.jpg": "contradicts line 2, 5 on 'dome'",
        "truth.csv, line 5: 1.jpg": "contradicts line 2, 4 on 'dome'",
    }


@pytest.mark.parametrize("text", ["file,attributes\n1.jpg,fur\n2.jpg,frr\n", "file,fur,frr\n1.jpg,1,0\n2.jpg,0,1\n"])
def test_an_unknown_attribute_is_named_with_its_line(table, text):
    found = table(text, known=["fur", "dome"])
    assert found.attributes == ("fur", "dome")
    assert said(found) == {"truth.csv, line 3: 2.jpg": "the attribute 'frr' is not known"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "with columns none; wanted a column file or"),
        ("name,fur\n1.jpg,1\n", "with columns name, fur; wanted a column file or"),
        ("file\n1.jpg\n", "'attributes' or one for each attribute"),
        ("file,fur,fur\n1.jpg,1,0\n", "with two columns 'fur'"),
        ("file,fur\n7.jpg,1\n", "of which no row can be used .there is no such file."),
        ('file,fur\n"1.jpg,1\n', "which cannot be read as CSV"),
    ],
)
def test_a_table_that_is_none_is_refused(table, text, words):
    with pytest.raises(SimvisError, match=words):
        table(text)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SimvisError, match=r"truth.csv', which cannot be read as CSV .*No such file"):
        labelled_table(tmp_path / "truth.csv")


def pictures(truth, names=None):
    truth = torch.tensor(truth, dtype=torch.bool)
    names = names or tuple("abcdefgh"[: truth.shape[1]])
    return LabelledPictures(tuple(map(str, range(len(truth)))), (), tuple(names), truth, {"before": "said"})


def test_attributes_that_tell_nothing_apart_are_left_out():
    found = learnable(pictures([[1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 1, 1]]))
    assert found.attributes == ("c", "d")
    assert found.truth.tolist() == [[True, False], [False, True], [True, True]]
    assert dict(found.left_out) == {
        "before": "said",
        "the attribute 'a'": "every picture has it",
        "the attribute 'b'": "no picture has it",
    }


def test_one_attribute_alone_and_more_attributes_than_pictures_are_refused():
    with pytest.raises(SimvisError, match=r"1 attributes to tell apart in 2 pictures .'b': every picture has it"):
        learnable(pictures([[1, 1], [0, 1]]))
    with pytest.raises(SimvisError, match="3 attributes of 2 pictures; wanted no more attributes than pictures"):
        learnable(pictures([[1, 0, 1], [0, 1, 0]]))


def test_folders_are_attributes(tmp_path):
    for name in ("b/2.png", "a/deep/1.png", "3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = labelled_folders(tmp_path)
    assert found.attributes == ("a", "b")
    assert found.truth.tolist() == [[True, False], [False, True]]
    assert list(found.left_out.values()) == ["it lies in no class folder"]


# Rooms: what is said of them is what is drawn


def test_rooms_are_labelled_by_what_is_drawn():
    rooms = labelled_rooms(3, seed=2)
    shown = labelled_room(1, 2, 48)
    assert np.array_equal(np.asarray(rooms.opened[1](48)), np.asarray(shown.image))
    from simvis_core.hotel_rooms.truths import room_attributes

    true = {name for name, yes in zip(rooms.attributes, rooms.truth[1].tolist(), strict=True) if yes}
    assert true == set(room_attributes(shown.styles))
    assert labelled_rooms(3, seed=3).truth.tolist() != rooms.truth.tolist()
    with pytest.raises(SimvisError, match="0 rooms"):
        labelled_rooms(0)


def test_every_attribute_of_rooms_comes_up_and_one_of_each_exclusive_list():
    truth = labelled_rooms(400).truth
    assert truth.any(0).all()
    assert len(ROOM_ATTRIBUTES) == truth.shape[1] == len(set(ROOM_ATTRIBUTES)) == 116
    shapes = [at for at, name in enumerate(ROOM_ATTRIBUTES) if name.endswith(" lamp")]
    assert len(shapes) == 5
    assert (truth[:, shapes].sum(1) == 1).all()
