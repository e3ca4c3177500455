"""What is learned from and what is tested on; pictures read once, equal to what a network sees."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_zoo.training.data import Examples, folder_examples, numbered_labels, room_examples, split_by_class
from model_zoo.training.pixels import forget_pixels, read_pixels
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.steps import run


@pytest.fixture
def birds(tmp_path):
    """Owls 3, jays 2, one wren, one that is no picture, one without a class."""
    chance = np.random.default_rng(0)
    for name in ("owl/1", "owl/2", "owl/3", "jay/1", "jay/2", "wren/1", "stray"):
        path = tmp_path / f"birds/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    (tmp_path / "birds/jay/3.png").write_bytes(b"no picture")
    (tmp_path / "birds/notes.txt").touch()
    return tmp_path / "birds"


def named(examples):
    return [re.sub(r".*/birds/", "", name) for name in examples.names]


def test_pictures_without_company_are_left_out_with_the_reason(birds):
    found = folder_examples(birds)
    assert named(found) == ["jay/1.png", "jay/2.png", "jay/3.png", "owl/1.png", "owl/2.png", "owl/3.png"]
    assert found.labels == ("jay",) * 3 + ("owl",) * 3
    assert sorted(found.left_out.values()) == [
        ".txt files are not read",
        "it has no class",
        "the only picture of 'wren'",
    ]


def test_a_folder_where_nothing_has_company_is_refused(birds):
    for name in ("owl/2", "owl/3", "jay/2", "jay/3"):
        (birds / f"{name}.png").unlink()
    with pytest.raises(SimvisError, match=r"4 pictures of which no two are of one class \(it has no class\)"):
        folder_examples(birds)


def test_a_split_can_be_given(birds, tmp_path):
    (tmp_path / "train.csv").write_text("file,label\nbirds/owl/1.png,owl\nbirds/owl/2.png,owl\nbirds/wren/1.png,wren\n")
    (tmp_path / "test.csv").write_text("file,label\nbirds/jay/1.png,jay\nbirds/jay/2.png,jay\n")
    found = folder_examples(tmp_path / "train.csv", tmp_path / "test.csv")
    split = split_by_class(found, 0.25)
    assert [named(found)[at] for at in split.training] == ["owl/1.png", "owl/2.png"]
    assert [named(found)[at] for at in split.validation] == ["jay/1.png", "jay/2.png"]
    with pytest.raises(SimvisError, match="folds beside a given split"):
        split_by_class(found, 0.25, fold=(0, 2))
    with pytest.raises(SimvisError, match=r"'1.png' to learn from and in '.*'; wanted pictures on one side"):
        folder_examples(tmp_path / "train.csv", birds)


def test_distractors_stand_among_what_is_searched_and_ask_for_nothing(birds, tmp_path):
    (tmp_path / "train.csv").write_text("file,label\nbirds/owl/1.png,owl\nbirds/owl/2.png,owl\n")
    (tmp_path / "test.csv").write_text("file,label\nbirds/jay/1.png,jay\nbirds/jay/2.png,jay\n")
    found = folder_examples(tmp_path / "train.csv", tmp_path / "test.csv", birds)
    split = split_by_class(found, 0.25)
    assert [named(found)[at] for at in split.training] == ["owl/1.png", "owl/2.png"]
    searched = [(named(found)[at], found.labels[at]) for at in split.validation]
    beside = ["owl/1.png", "owl/2.png", "owl/3.png", "stray.png", "wren/1.png"]  # learned from or not
    assert searched[:2] == [("jay/1.png", "jay"), ("jay/2.png", "jay")]
    assert sorted(searched[2:]) == [(name, "") for name in beside]
    assert numbered_labels([label for _, label in searched]).tolist() == [0, 0, 3, 4, 5, 6, 7]
    assert found.left_out[str(birds / "jay/3.png")] == "a distractor of 'jay', which may be tested"


def test_no_class_that_may_be_tested_is_a_distractor(birds, tmp_path):
    found = folder_examples(birds, None, birds)  # any class may be tested
    assert [named(found)[at] for at in found.distractors] == ["stray.png", "wren/1.png"]
    split = split_by_class(replace(found, labels=(*"aabbcd", "", "")), 0.5)
    assert {*found.distractors} < {*split.validation}
    (birds / "stray.png").unlink()
    (birds / "wren/1.png").unlink()
    with pytest.raises(SimvisError, match="each of whose 6 pictures is of a class that may be tested"):
        folder_examples(birds, None, birds)


def unread(labels):
    return Examples(tuple(map(str, range(len(labels)))), tuple(labels), ())


@given(st.lists(st.sampled_from("abcdefghij"), min_size=4), st.floats(0.05, 0.95), st.integers(0, 9))
def test_no_class_is_on_both_sides_and_every_picture_on_one(labels, share, seed):
    labels = [*"abcd", *labels]
    if not 2 <= round(share * len(set(labels))) <= len(set(labels)) - 2:
        with pytest.raises(SimvisError, match="two at least, and two to learn from"):
            split_by_class(unread(labels), share, seed)
        return
    split = split_by_class(unread(labels), share, seed)
    sides = [{labels[at] for at in side} for side in (split.training, split.validation)]
    assert not sides[0] & sides[1]
    assert sorted([*split.training, *split.validation]) == list(range(len(labels)))
    assert len(sides[1]) == round(share * len(set(labels)))


@given(st.integers(2, 5), st.integers(0, 9))
def test_every_class_is_tested_in_one_fold(folds, seed):
    labels = [*"abcdefghijkl"] * 2
    tested = [
        labels[at]
        for fold in range(folds)
        for at in split_by_class(unread(labels), 0.25, seed, (fold, folds)).validation
    ]
    assert Counter(tested) == dict.fromkeys("abcdefghijkl", 2)


def test_rooms_show_each_identity_in_scenes_of_their_own():
    found = room_examples(4, 2)
    assert numbered_labels(found.labels).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    pictures = [np.asarray(opened(48)) for opened in found.opened]
    assert pictures[0].shape == (48, 48, 3)
    assert len({picture.tobytes() for picture in pictures}) == 8
    for wrong in ((3, 2), (4, 1), (801, 2)):
        with pytest.raises(SimvisError, match=rf"{wrong[0]} rooms in {wrong[1]} views each"):
            room_examples(*wrong)


PREPROCESS = Preprocess(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), short_side=16, stride=8)


def test_pixels_are_what_a_network_sees_and_the_unreadable_are_listed(birds, tmp_path):
    found = folder_examples(birds)
    told = []
    pixels = run(read_pixels(found, range(6), 16, PREPROCESS, tmp_path / "p.bytes"), told.append)
    assert pixels.labels == ("jay", "jay", "owl", "owl", "owl")
    assert (told[-1].done, told[-1].total, told[-1].unreadable) == (6, 6, 1)
    [(name, why)] = pixels.left_out.items()
    assert name.endswith("jay/3.png")
    assert why == "a file that is not a picture; wanted a JPEG, PNG or WebP picture"
    network = EmbeddingNetwork(torch.nn.Conv2d(3, 2, 8, 8), preprocess=PREPROCESS)
    mean, std = (torch.tensor(values)[:, None, None] for values in (PREPROCESS.mean, PREPROCESS.std))
    for at, name in enumerate(pixels.names):
        view = network.view(Image.open(name), framing="square")
        torch.testing.assert_close(
            (pixels.at(np.array([at]))[0].float() / 255 - mean) / std, view.pixels, atol=1e-6, rtol=0
        )


def test_what_was_read_is_read_once_until_something_changes(birds, tmp_path):
    found, path = folder_examples(birds), tmp_path / "p.bytes"
    first = run(read_pixels(found, range(6), 16, PREPROCESS, path))
    told = []
    again = run(read_pixels(found, range(6), 16, PREPROCESS, path), told.append)
    assert not told
    assert (again.sha256, again.names, again.left_out) == (first.sha256, first.names, first.left_out)
    other = run(read_pixels(found, range(5), 16, PREPROCESS, path), told.append)
    assert len(told) == 5
    assert other.sha256 != first.sha256
    path.write_bytes(b"cut off")
    with pytest.raises(SimvisError, match=r"'p\.bytes', which is damaged"):
        run(read_pixels(found, range(5), 16, PREPROCESS, path))
    forget_pixels(path)
    assert not list(tmp_path.glob("p.*"))


def test_one_who_stops_while_pictures_are_read_leaves_nothing_that_is_taken_for_whole(birds, tmp_path):
    steps = read_pixels(folder_examples(birds), range(6), 16, PREPROCESS, tmp_path / "p.bytes")
    next(steps)
    steps.close()
    assert not (tmp_path / "p.json").exists()


def test_nothing_to_read_and_nowhere_to_write_are_refused(birds, tmp_path):
    found = folder_examples(birds)
    with pytest.raises(SimvisError, match=r"1 pictures of which none can be read \(a file that is not a picture"):
        run(read_pixels(found, [2], 16, PREPROCESS, tmp_path / "p.bytes"))
    (tmp_path / "file").touch()
    with pytest.raises(SimvisError, match=r"which cannot be written .*room for 6 pictures"):
        run(read_pixels(found, range(6), 16, PREPROCESS, tmp_path / "file/p.bytes"))
