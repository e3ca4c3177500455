"""Polyvore Outfits in its published layout: what is read, both kinds of labels, and what is wrong by its name."""

import json

import pytest
import torch
from PIL import Image

from simvis_core import SimvisError
from simvis_core.attributes.datasets.polyvore import read_polyvore, released_labels

ATTRIBUTES = ["floral", "denim", "long sleeve"]
OUTFITS = {"train": {"1": "ab", "2": "bc"}, "valid": {"3": "d"}, "test": {"4": "ec"}}
ANNOTATIONS = {"a": [0], "b": [1, 2], "c": [], "d": ["denim"], "e": [2]}


def write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path):
    for split in ("disjoint", "nondisjoint"):
        for part, outfits in OUTFITS.items():
            sets = [
                {"set_id": outfit, "items": [{"item_id": item, "index": at} for at, item in enumerate(items, 1)]}
                for outfit, items in outfits.items()
            ]
            write(tmp_path / split / f"{part}.json", sets)
    write(tmp_path / "polyvore_attributes.json", {"attributes": ATTRIBUTES, "annotations": ANNOTATIONS})
    write(
        tmp_path / "polyvore_item_metadata.json", {item: {"semantic_category": "tops"} for item in "abcd"} | {"e": {}}
    )
    (tmp_path / "images").mkdir()
    for item in "abcde":
        Image.new("RGB", (8, 6)).save(tmp_path / "images" / f"{item}.jpg")
    return tmp_path


def test_items_outfits_kinds_and_annotations_are_read(root):
    data = read_polyvore(root, "disjoint")
    assert data.name == "Polyvore Outfits, disjoint"
    assert data.labels.pictures == tuple(str(root / "images" / f"{item}.jpg") for item in "abcde")
    assert data.labels.classes == ("1", "1", "2", "3", "4")
    assert data.kinds == ("tops",) * 4 + ("",)
    assert data.labels.names == tuple(ATTRIBUTES)
    assert data.labels.values.nan_to_num(9).tolist() == [[1, 0, 0], [0, 1, 1], [9, 9, 9], [0, 1, 0], [0, 0, 1]]
    assert data.parts == {"train": (0, 1), "valid": (3,), "test": (2, 4)}  # the third is worn in training and in test


def test_released_labels_are_the_annotations_and_what_the_model_thinks():
    chance = torch.Generator().manual_seed(0)
    values = (torch.rand(40, 3, generator=chance) > 0.7).double()
    values[5:9, 1] = torch.nan
    values[:, 2] = 0
    scores = torch.rand(40, 3, generator=chance).double()
    found = released_labels(values, scores, of=range(20))
    for place in range(2):
        own = sorted(scores[at, place].item() for at in range(20) if values[at, place] == 1)
        middle = (own[(len(own) - 1) // 2] + own[len(own) // 2]) / 2
        expected = [float(values[at, place] == 1 or scores[at, place] > middle) for at in range(40)]
        assert found[:, place].tolist() == expected
    assert found[:, 2].tolist() == [0] * 40
    assert (found > values.nan_to_num(0)).any()


@pytest.mark.parametrize(
    "name",
    ["polyvore_attributes.json", "polyvore_item_metadata.json", "nondisjoint/valid.json", "nondisjoint/test.json"],
)
@pytest.mark.parametrize("text", [None, "", '{"items": 1}', "[1]", "3"])
def test_a_file_that_is_missing_or_damaged_is_named_with_its_source(root, name, text):
    if text is None:
        (root / name).unlink()
    else:
        (root / name).write_text(text)
    what = name.rpartition("/")[2]
    with pytest.raises(SimvisError, match=rf"{what}.*; wanted .* as it is published: take .* from the archive"):
        read_polyvore(root)


@pytest.mark.parametrize("wrong", [[3], [-1], ["cotton"], [True, "denim", 1.5]])
def test_an_annotation_that_is_no_attribute_names_its_item(root, wrong):
    write(root / "polyvore_attributes.json", {"attributes": ATTRIBUTES, "annotations": ANNOTATIONS | {"d": wrong}})
    with pytest.raises(SimvisError, match=r"of item d in 'polyvore_attributes.json'; wanted a number from 0 to 2"):
        read_polyvore(root)


def test_an_item_that_lacks_something_is_named_and_counted(root):
    (root / "images" / "b.jpg").unlink()
    with pytest.raises(SimvisError, match=r"item b without a picture in 'images' \(1 of 5 items lack it\)"):
        read_polyvore(root)
    write(root / "polyvore_attributes.json", {"attributes": ATTRIBUTES, "annotations": {"a": [0]}})
    with pytest.raises(SimvisError, match=r"item b without a list in 'polyvore_attributes.json' \(4 of 5"):
        read_polyvore(root)
    write(root / "polyvore_item_metadata.json", {})
    with pytest.raises(SimvisError, match=r"item a without metadata .* \(5 of 5"):
        read_polyvore(root)


def test_another_split_is_refused(root):
    with pytest.raises(SimvisError, match="the split 'hard'; wanted one of disjoint, nondisjoint"):
        read_polyvore(root, "hard")
