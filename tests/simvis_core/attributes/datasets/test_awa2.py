"""Animals with Attributes 2 in its published layout: what is read, and every missing or damaged file by its name."""

import pytest
import torch
from PIL import Image

from simvis_core import SimvisError
from simvis_core.attributes.datasets.awa2 import read_awa2

CLASSES = ("antelope", "blue+whale", "bat")
PREDICATES = ("black", "longneck", "flippers", "horns")
MATRIX = "0 0 0 1\n1 0 1 0\n1 0 0 0\n"


@pytest.fixture
def root(tmp_path):
    """Three classes of 1, 4 and 50 pictures; the whale is tested on."""
    for name, count in zip(CLASSES, (4, 1, 50), strict=True):
        (tmp_path / "JPEGImages" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 6)).save(tmp_path / "JPEGImages" / name / f"{name}_{10001 + number}.jpg")
    (tmp_path / "classes.txt").write_text("".join(f"     {at}\t{name}\n" for at, name in enumerate(CLASSES, 1)))
    (tmp_path / "predicates.txt").write_text("".join(f"{at}\t{name}\n" for at, name in enumerate(PREDICATES, 1)))
    (tmp_path / "predicate-matrix-binary.txt").write_text(MATRIX)
    (tmp_path / "trainclasses.txt").write_text("antelope\nbat\n")
    (tmp_path / "testclasses.txt").write_text("blue+whale\n")
    return tmp_path


def test_a_picture_has_what_its_class_has(root):
    data = read_awa2(root)
    assert (data.name, data.labels.names, set(data.kinds)) == ("Animals with Attributes 2", PREDICATES, {""})
    assert len(data.labels.pictures) == 55
    for picture, name, row in zip(data.labels.pictures, data.labels.classes, data.labels.values, strict=True):
        assert picture.startswith(str(root / "JPEGImages" / name / name))
        assert row.tolist() == [float(value) for value in MATRIX.splitlines()[CLASSES.index(name)].split()]


def test_the_parts_share_no_picture_and_the_tested_classes_are_apart(root):
    data = read_awa2(root)
    assert sorted(number for part in data.parts.values() for number in part) == list(range(55))
    classes = {part: [data.labels.classes[at] for at in numbers] for part, numbers in data.parts.items()}
    assert set(classes["test"]) == {"blue+whale"}
    assert (classes["valid"].count("antelope"), classes["valid"].count("bat")) == (2, 20)
    assert read_awa2(root).parts == data.parts
    assert read_awa2(root, seed=1).parts != data.parts


@pytest.mark.parametrize(
    "name", ["classes.txt", "predicates.txt", "predicate-matrix-binary.txt", "trainclasses.txt", "testclasses.txt"]
)
def test_a_file_that_is_missing_or_empty_is_named_with_its_source(root, name):
    (root / name).write_text("\n")
    with pytest.raises(SimvisError, match=rf"'{name}' in .*, which is damaged; .*: take it from .*AwA2-base.zip"):
        read_awa2(root)
    (root / name).unlink()
    with pytest.raises(SimvisError, match=rf"'{name}' in .*, which is not there; .*: take it from .*AwA2-base.zip"):
        read_awa2(root)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("classes.txt", "1 antelope\n3 bat\n", "'classes.txt', whose lines are not a number from 1 on and a name"),
        ("predicates.txt", "1 black\n2 two words\n", "'predicates.txt', whose lines are not"),
        ("predicate-matrix-binary.txt", "0 0 0 1\n", "1 lines; wanted 3 lines of 4 zeros and ones"),
        ("predicate-matrix-binary.txt", MATRIX.replace("1 0 1 0", "1 0 2 0"), "line 2; wanted 3 lines"),
        ("predicate-matrix-binary.txt", MATRIX.replace("1 0 1 0", "1 0 1"), "line 2; wanted 3 lines"),
        ("trainclasses.txt", "antelope\nzebra\n", "the class 'zebra' in 'trainclasses.txt'"),
        ("testclasses.txt", "bat\n", "the class 'bat' in trainclasses.txt and testclasses.txt"),
    ],
)
def test_what_does_not_fit_together_is_named(root, name, text, said):
    (root / name).write_text(text)
    with pytest.raises(SimvisError, match=said):
        read_awa2(root)


def test_a_class_without_pictures_is_named(root):
    (root / "JPEGImages" / "blue+whale" / "blue+whale_10001.jpg").unlink()
    with pytest.raises(SimvisError, match=r"blue\+whale' without pictures; .*AwA2-data.zip"):
        read_awa2(root)


def test_values_are_of_a_class_so_that_two_of_one_class_share_all_it_has(root):
    labels = read_awa2(root).labels
    one, other = (at for at, name in enumerate(labels.classes) if name == "antelope" and at < 2)
    assert torch.equal(labels.shared(one, other).both, labels.values[one] == 1)
