"""Galleries: their names, spaces and thumbnails, what is refused, and what is left of one that is removed."""

import copy
import hashlib
import io
import json
import os

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from simvis_core import Preprocess, SimvisError
from simvis_core.galleries.gallery import check_name, content, gallery_names, open_gallery
from simvis_core.pictures.opening import OWNERS
from simvis_core.pictures.thumbnails import THUMBNAIL, seen_part
from simvis_core.stores.contract import Row
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_core.small_galleries import (
    PREPROCESS,
    biased_head,
    class_folders,
    gallery_in,
    indexed,
    network,
    picture,
    rows_by_file,
    saved,
)


@pytest.fixture
def gallery(tmp_path):
    made = gallery_in(tmp_path)
    yield made
    made.index.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A gallery of five pictures that no test changes."""
    folder = tmp_path_factory.mktemp("filled")
    made = gallery_in(folder)
    indexed(made, class_folders(folder / "pictures", cat=3, dog=2))
    yield made
    made.index.close()


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


# Names


GOOD = [
    "birds",
    " ",
    "it's",
    "a/b",
    "..",
    "Käfer \N{BEETLE}",
    "<script>",
    "a" * 100,
    "con",
    ".hidden",
    "x\u200dy",
    "100%",
]


@pytest.mark.parametrize("name", [name for name in GOOD if name.strip()])
def test_any_printable_name_makes_a_gallery_that_is_found_again(tmp_path, name):
    made = gallery_in(tmp_path, name)
    home = tmp_path / "home"
    assert made.folder.parent == home
    assert gallery_names(home, made.index) == [name]
    again = open_gallery(name, home, made.index)
    assert (again.name, again.folder) == (name, made.folder)
    space = made.space(network(), 32, "whole")
    made.index.ensure(space)
    assert again.spaces() == [space]
    made.index.close()


@given(st.text(max_size=110), st.text(max_size=110))
@example("a b", "a_b")
@example("Käfer", "K_fer")
@example("!", "?")
@example("a" * 99, "a" * 100)
@example("birds", "Birds")
def test_every_name_that_is_taken_has_a_folder_of_its_own(tmp_path_factory, one, other):
    home = tmp_path_factory.getbasetemp()
    index = EdgeIndex(home / "none")
    for name in (one, other):
        try:
            check_name(name)
        except SimvisError:
            return
        name.encode()  # what is taken can be written
    folders = []
    for name in (one, other):
        folder = open_gallery(name, home / "names", index, create=True).folder
        assert folder.parent == home / "names"
        assert json.loads((folder / "gallery.json").read_text()) == {"name": name}
        folders.append(folder)
    assert (folders[0] == folders[1]) == (one == other)


@pytest.mark.parametrize("name", ["", "  ", "\t", "a\nb", "a\x7f", "a" * 101, "a\0", "\x85", "a\udcff"], ids=repr)
def test_a_name_that_cannot_be_read_is_refused(gallery, name):
    with pytest.raises(
        SimvisError, match=r"Got the gallery name .*; wanted 1 to 100 printable characters: choose another"
    ):
        open_gallery(name, gallery.folder.parent, gallery.index, create=True)


def test_an_unknown_gallery_names_those_that_are_there(gallery):
    wanted = (
        r"Got gallery 'brids'; wanted one that is there \('birds'\): make it with: python app.py index FOLDER --name"
    )
    with pytest.raises(SimvisError, match=wanted):
        open_gallery("brids", gallery.folder.parent, gallery.index)


def test_where_there_is_none_yet_it_says_so(tmp_path):
    with pytest.raises(SimvisError, match=r"one that is there \(none yet\)"):
        open_gallery("birds", tmp_path, EdgeIndex(tmp_path / "index"))


def test_a_gallery_that_only_the_store_knows_can_be_opened(gallery, tmp_path):
    """As on a second machine that shares a server."""
    gallery.index.ensure(gallery.space(network(), 32, "whole"))
    other = open_gallery("birds", tmp_path / "elsewhere", gallery.index)
    assert other.spaces() == gallery.spaces()
    assert gallery_names(tmp_path / "elsewhere", gallery.index) == ["birds"]


def test_making_a_gallery_again_leaves_it(gallery):
    there = (gallery.folder / "gallery.json").stat().st_mtime_ns
    open_gallery("birds", gallery.folder.parent, gallery.index, create=True)
    assert (gallery.folder / "gallery.json").stat().st_mtime_ns == there


# Spaces


def changed_network():
    other = network()
    other.backbone = copy.deepcopy(other.backbone)
    other.backbone[0].weight.data[0, 0, 0, 0] += 1e-3
    return other


def half_network():
    other = network()
    other.engine = "bf16"
    return other


SPACES = {
    "as it is": (network, 32, "whole"),
    "another pooling": (lambda: network("max"), 32, "whole"),
    "another exponent": (lambda: network("gem:4"), 32, "whole"),
    "the usual exponent": (lambda: network("gem"), 32, "whole"),
    "another weight": (changed_network, 32, "whole"),
    "a head": (lambda: network(head=biased_head()), 32, "whole"),
    "another preprocessing": (lambda: network(preprocess=Preprocess((0.1,) * 3, (1.0,) * 3, 32, 8)), 32, "whole"),
    "a larger view": (network, 40, "whole"),
    "shrunk another way": (lambda: network().with_resizing("reference"), 32, "whole"),
    "square": (network, 32, "square"),
    "crop": (network, 32, "crop"),
    "half precision": (half_network, 32, "whole"),
    "another network": (lambda: network(seed=12), 32, "whole"),
}


def test_whatever_makes_embeddings_differ_makes_another_space(filled):
    spaces = {what: filled.space(make(), *view) for what, (make, *view) in SPACES.items()}
    assert len({space.name for space in spaces.values()}) == len(SPACES)
    assert spaces["as it is"] == filled.space(network(), 32, "whole")
    assert {what for what, space in spaces.items() if filled.has(space)} == {"as it is"}


def test_a_space_says_what_it_holds(gallery):
    space = gallery.space(network("gem:4", biased_head()), 40, "crop")
    assert (space.gallery, space.network, space.pooling) == ("birds", "tiny", "gem:4")
    assert (space.width, space.view) == (9, "40 crop quick")


@pytest.mark.parametrize(("pooling", "width"), [("avg", 12), ("catavgmax", 24), ("flatten", 12 * 16)])
def test_a_space_is_as_wide_as_its_embeddings(gallery, pooling, width):
    assert gallery.space(network(pooling), 32, "square").width == width


def test_engines_of_one_precision_share_a_space(gallery):
    other = network()
    other.engine = "compiled"
    assert gallery.space(other, 32, "whole") == gallery.space(network(), 32, "whole")


def test_a_network_of_a_fixed_size_has_a_space_for_each_view_that_differs(gallery):
    """It sees "whole" and "square" alike whatever the short side; a crop is another part of the picture."""
    fixed = network(preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 32, 8, fixed_size=(24, 40)))
    whole, square, crop = (gallery.space(fixed, 32, framing) for framing in ("whole", "square", "crop"))
    views = [fixed.view(picture(3), 32, framing).pixels for framing in ("whole", "square", "crop")]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert whole == square == gallery.space(fixed, 224, "whole")
    assert crop.name != whole.name
    assert (whole.view, crop.view) == ("24 whole quick", "24 crop quick")


@pytest.mark.parametrize("pooling", ["flatten", "avg"])
def test_flatten_needs_views_of_one_shape(gallery, pooling):
    if pooling == "flatten":
        with pytest.raises(
            SimvisError, match=r"'flatten' over views of differing shapes; .*: choose a square framing or"
        ):
            gallery.space(network(pooling), 32, "whole")
    fixed = network(pooling, preprocess=Preprocess((0.0,) * 3, (1.0,) * 3, 32, 8, fixed_size=(24, 40)))
    for under, framing in ((network(pooling), "square"), (network(pooling), "crop"), (fixed, "whole")):
        assert gallery.space(under, 32, framing).width == {"flatten": 12 * (16 if under is not fixed else 15)}.get(
            pooling, 12
        )


@pytest.mark.parametrize("side", [30, 0, 8 * 41])
def test_a_view_that_the_network_does_not_take_is_refused_once(gallery, side):
    with pytest.raises(SimvisError, match=rf"Got a short side of {side} pixels; wanted a multiple of 8 from 8 to 320"):
        gallery.space(network(), side, "whole")


def test_require_says_what_it_was_indexed_with_and_how_to_index(filled):
    assert filled.require(filled.space(network(), 32, "whole")) is None
    with pytest.raises(SimvisError) as raised:
        filled.require(filled.space(network("max"), 32, "whole"))
    assert str(raised.value) == (
        "Got gallery 'birds', which was indexed with tiny (avg); wanted tiny (max) as it is now: index it: "
        "python app.py index FOLDER --name birds --backbone tiny --pooling max, or choose what it was indexed with."
    )


@pytest.mark.parametrize(
    "other", ["another weight", "a larger view", "crop", "another preprocessing", "half precision"]
)
def test_require_tells_the_same_network_that_is_another(filled, other):
    make, *view = SPACES[other]
    with pytest.raises(
        SimvisError, match=r"indexed with tiny \(avg\) but with other weights, preprocessing or views; want"
    ):
        filled.require(filled.space(make(), *view))


def test_a_space_without_rows_was_not_indexed(gallery):
    """As a run leaves it that was stopped before its first picture."""
    space = gallery.space(network(), 32, "whole")
    assert not gallery.has(space)
    gallery.index.ensure(space)
    assert gallery.spaces() == [space]
    assert not gallery.has(space)
    gallery.index.upsert(space, [Row("0" * 64, "a.png", "", np.eye(space.width, dtype=np.float32)[0])])
    assert gallery.has(space)


def test_require_of_an_empty_gallery(tmp_path):
    gallery = gallery_in(tmp_path, "it's; rm -rf ~")
    with pytest.raises(SimvisError, match="which was indexed with nothing; wanted") as raised:
        gallery.require(gallery.space(network(), 32, "whole"))
    assert """--name 'it'"'"'s; rm -rf ~' --backbone""" in str(raised.value)
    gallery.index.close()


# Thumbnails


def row_of(path, sha256=None):
    return Row(sha256 or hashlib.sha256(path.read_bytes()).hexdigest(), str(path))


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((20, 14), (20, 14)),
        ((224, 224), (224, 224)),
        ((448, 300), (224, 150)),
        ((100, 900), (25, 224)),
        ((3000, 1), (224, 1)),
    ],
    ids=str,
)
def test_a_thumbnail_is_a_jpeg_of_at_most_224_pixels(gallery, tmp_path, size, small):
    path = saved(tmp_path / "a.png", 1, size)
    data = gallery.thumbnail(row_of(path))
    assert (opened(data).format, opened(data).size, opened(data).mode) == ("JPEG", small, "RGB")
    expected = np.asarray(picture(1, size).resize(small)).astype(int)
    if min(small) > 20:
        assert abs(np.asarray(opened(data)).astype(int) - expected).mean() < 12


def test_a_thumbnail_is_kept_and_read_again(gallery, tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", 1)
    row = row_of(path)
    first = gallery.thumbnail(row)
    assert gallery.thumbnail_file(row.sha256).read_bytes() == first
    path.unlink()
    assert gallery.thumbnail(row) == first


def test_a_lost_thumbnail_is_made_again(gallery, tmp_path):
    indexed(gallery, class_folders(tmp_path / "pictures", cat=2))
    row = next(iter(gallery.index.scan(gallery.space(network(), 32, "whole"))))
    first = gallery.thumbnail(row)
    gallery.thumbnail_file(row.sha256).unlink()
    assert opened(gallery.thumbnail(row)).size == opened(first).size
    assert gallery.thumbnail_file(row.sha256).is_file()


def test_there_is_no_thumbnail_of_a_file_that_is_gone_changed_or_no_picture(gallery, tmp_path):
    path = saved(tmp_path / "a.png", 1)
    row = row_of(path)
    saved(path, 2)
    assert gallery.thumbnail(row) is None
    path.unlink()
    assert gallery.thumbnail(row) is None
    path.write_bytes(b"no picture")
    assert gallery.thumbnail(row_of(path)) is None
    assert not (gallery.folder / "thumbnails").exists()


def test_a_thumbnail_that_cannot_be_kept_is_shown_and_indexing_says_so(gallery, tmp_path):
    (gallery.folder / "thumbnails").write_text("in the way")
    assert opened(gallery.thumbnail(row_of(saved(tmp_path / "a.png", 1)))).size == (20, 14)
    with pytest.raises(SimvisError, match="cannot be written"):
        indexed(gallery, class_folders(tmp_path / "pictures", cat=1))


@pytest.mark.parametrize("framing", ["whole", "square"])
@pytest.mark.parametrize("size", [(30, 20), (224, 3)], ids=str)
def test_what_is_seen_whole_is_the_thumbnail(size, framing):
    data = jpeg(Image.new("RGB", size))
    assert seen_part(data, framing) == (data, size[0] / size[1])


def jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(224, 160), (100, 224), (64, 64)], ids=str)
def test_what_is_seen_of_a_crop_is_its_centre(size):
    """Grey but for the centre square of 7/8: nothing grey is left."""
    image = Image.new("RGB", size, (128, 128, 128))
    left, top, right, bottom = PREPROCESS.view(image, 32, "crop").box
    image.paste((255, 255, 255), (round(left), round(top), round(right), round(bottom)))
    data, aspect = seen_part(jpeg(image), "crop")
    assert aspect == 1
    assert opened(data).width == pytest.approx(right - left, abs=1)
    assert opened(data).height == pytest.approx(bottom - top, abs=1)
    assert np.asarray(opened(data)).min() > 200


@given(st.integers(1, THUMBNAIL), st.integers(1, THUMBNAIL))
def test_what_is_seen_of_a_sliver_is_at_least_a_pixel(width, height):
    for size in ((width, height), (width, 1), (1, height)):
        data, aspect = seen_part(jpeg(Image.new("RGB", size)), "crop")
        assert min(opened(data).size) >= 1
        assert all(side <= whole for side, whole in zip(opened(data).size, size, strict=True))
        assert aspect == pytest.approx(1)


# Contents


def test_content_is_read_up_to_one_byte_too_many(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(b"")
    os.truncate(path, OWNERS.bytes + 50)
    assert len(content(path)) == OWNERS.bytes + 1
    path.write_bytes(b"abc")
    assert content(str(path)) == b"abc"


def test_what_cannot_be_read_has_no_content(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("gone", "pipe.jpg", "loop.jpg", "a\0b", "x" * 5000, "\udcff", ""):
        assert content(tmp_path / name) is None
    assert content(tmp_path) is None


# Removing


def test_removing_takes_pictures_out_of_every_space(gallery, tmp_path):
    root = class_folders(tmp_path / "pictures", cat=3, dog=2)
    networks = [network(), network("max")]
    indexed(gallery, root, networks)
    rows = rows_by_file(gallery, network())
    gone = [str(root / "cat" / "0.png"), str(root / "dog" / "1.png")]
    assert gallery.remove([rows[file].id for file in gone] + [Row("0" * 64, "").id]) == 4
    for under in networks:
        assert set(rows_by_file(gallery, under)) == set(rows) - set(gone)
    assert {file: gallery.thumbnail_file(row.sha256).exists() for file, row in rows.items()} == {
        file: file not in gone for file in rows
    }
    assert all((root / file).is_file() for file in rows)
    assert gallery.remove([]) == 0


def test_deleting_leaves_nothing_but_the_pictures_and_other_galleries(gallery, tmp_path):
    root = class_folders(tmp_path / "pictures", cat=2)
    other = open_gallery("other", gallery.folder.parent, gallery.index, create=True)
    for one in (gallery, other):
        indexed(one, root, [network(), network("max")])
    gallery.delete()
    home = gallery.folder.parent
    assert not gallery.folder.exists()
    assert gallery_names(home, gallery.index) == ["other"]
    assert gallery.spaces() == []
    assert len(rows_by_file(other, network())) == 2
    assert sorted(os.listdir(root / "cat")) == ["0.png", "1.png"]
    gallery.delete()  # a second time is no error
    assert indexed(open_gallery("birds", home, gallery.index, create=True), root).added == 2


def test_spaces_are_those_of_the_gallery_alone(gallery, tmp_path):
    root = class_folders(tmp_path / "pictures", cat=2)
    other = open_gallery("other", gallery.folder.parent, gallery.index, create=True)
    indexed(gallery, root)
    indexed(other, root, [network("max")])
    assert [space.pooling for space in gallery.spaces()] == ["avg"]
    assert not other.has(other.space(network(), 32, "whole"))


def test_the_probe_of_a_head_that_does_not_fit_is_told(gallery):
    with pytest.raises(SimvisError, match="12 pooled features for the head of tiny; wanted 5 features"):
        gallery.space(network(head=nn.Linear(5, 3)), 32, "whole")
