"""The gallery that a series carries: classes, names that say nothing of the machine, files, and drawn rooms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_zoo.training.data import room_examples
from model_zoo.training.gallery import (
    gallery_file,
    gallery_labels,
    gallery_name,
    gallery_room,
    portable_names,
    shared_objects,
)
from simvis_core import SimvisError
from simvis_core.progress.series import Series

SERIES = Series(Path("run"), "run", "mobilenet_v2", "avg", None, 96, {}, ())


def test_classes_are_what_the_series_tells_else_folders_and_rooms():
    pictures = ("/data/owl/1.jpg", "C:\\data\\jay\\2.jpg", "3.jpg", "room 204, view 1")
    assert gallery_labels(SERIES, pictures) == ("owl", "jay", "", "room 204")
    told = replace(SERIES, about={"labels": ["a", "b", "c", "d"]})
    assert gallery_labels(told, pictures) == ("a", "b", "c", "d")
    for wrong in (["a"], "abcd", [1, 2, 3, 4]):
        assert gallery_labels(replace(SERIES, about={"labels": wrong}), pictures)[0] == "owl"


def test_a_name_does_not_tell_where_the_file_lay():
    assert [gallery_name(one) for one in ("/home/me/secret/owl/1.jpg", "../../1.jpg", "room 204, view 1")] == [
        "owl/1.jpg",
        "1.jpg",
        "room 204, view 1",
    ]


def test_pictures_that_everybody_has_are_told_from_their_folder(tmp_path):
    home = tmp_path / "samples"
    pictures = (str(home / "pictures/owl/1.jpg"), str(tmp_path / "mine/1.jpg"), "room 204, view 1", "1.jpg")
    assert portable_names(pictures, home) == ("pictures/owl/1.jpg", *pictures[1:])
    assert portable_names(pictures, None) == pictures
    (home / "pictures/owl").mkdir(parents=True)
    (home / "pictures/owl/1.jpg").touch()
    assert gallery_file(SERIES, "pictures/owl/1.jpg", [home / "pictures"]) == home / "pictures/owl/1.jpg"


def test_a_file_is_where_the_training_read_it_or_in_the_series_or_among_the_given_folders(tmp_path):
    series = replace(SERIES, folder=tmp_path / "run")
    elsewhere, own, given = tmp_path / "data/owl/1.jpg", tmp_path / "run/pictures/1.jpg", tmp_path / "given/owl/1.jpg"
    for path in (given, own, elsewhere):
        path.parent.mkdir(parents=True)
        path.touch()
        assert gallery_file(series, str(elsewhere), [tmp_path / "given"]) == path
    with pytest.raises(SimvisError, match=r"'jay/2\.jpg' of the gallery of 'run', which is gone"):
        gallery_file(series, "/data/jay/2.jpg", [tmp_path / "given"])


def test_no_name_leads_out_of_a_folder(tmp_path):
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "run/pictures").mkdir(parents=True)
    for name in ("../../secret.jpg", "../secret.jpg"):
        with pytest.raises(SimvisError, match="gone"):
            gallery_file(replace(SERIES, folder=tmp_path / "run"), name)


def test_a_room_is_the_picture_that_a_training_draws():
    examples = room_examples(identities=4, views=2)
    found = gallery_room(SERIES, examples.names[3])
    assert np.array_equal(np.array(found.image), np.array(examples.opened[3](96)))
    assert gallery_room(SERIES, "/data/room/1.jpg") is None
    other, alike = gallery_room(SERIES, examples.names[5]), gallery_room(SERIES, examples.names[2])
    assert shared_objects(found, other) == ()
    assert set(shared_objects(found, alike)) == {"headboard", "lamp", "painting", "bedspread"}
