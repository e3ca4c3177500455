"""Indexing: what is in the store afterwards, what is told meanwhile, and what a kill or a full disk leaves."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import model_zoo
import simvis_core.galleries.indexing as room
from simvis_core import EmbeddingNetwork, SimvisError, open_picture
from simvis_core.galleries.gallery import open_gallery
from simvis_core.galleries.indexing import Progress
from simvis_core.galleries.regions import Box, region_weights, regions_query
from simvis_core.galleries.search import embedding_of, find, query_map
from simvis_core.pictures.listing import Listing, listed
from simvis_core.pictures.opening import OWNERS
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_core.small_galleries import (
    SIZES,
    biased_head,
    class_folders,
    gallery_in,
    indexed,
    network,
    rows_by_file,
    saved,
    steps,
)

PICTURES = Path(__file__).parents[3] / "sample_data" / "pictures"
SMALL = 32 * 48  # pixels of the smallest views: of these a batch holds `together` in tests of many batches


@pytest.fixture
def gallery(tmp_path):
    made = gallery_in(tmp_path)
    yield made
    made.index.close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "pictures"


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(room, "USUAL", SMALL)


def labels_by_name(gallery, under=None):
    return {Path(file).name: row.label for file, row in rows_by_file(gallery, under or network()).items()}


def assert_as_alone(gallery, under, short_side=32, framing="whole"):
    """Law 18: every row is finite, of unit length, and what the network gives that picture's view alone."""
    rows = rows_by_file(gallery, under, short_side, framing)
    for file, row in rows.items():
        alone = under.embed(under.view(open_picture(file), short_side, framing).pixels[None])[0].float().numpy()
        assert row.embedding.dtype == np.float32
        assert np.linalg.norm(row.embedding) == pytest.approx(1, abs=1e-5)
        assert np.allclose(row.embedding, alone, rtol=0, atol=1e-5)
        assert row.sha256 == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return rows


# What is in the store afterwards


@pytest.mark.parametrize(
    ("pooling", "framing"),
    [("avg", "whole"), ("avg", "crop"), ("gem:2", "whole"), ("flatten", "square"), ("flatten", "crop")],
)
def test_every_row_is_the_network_s_own_embedding_of_that_picture_alone(gallery, root, pooling, framing):
    under = network(pooling, biased_head() if pooling != "flatten" else None)
    class_folders(root, cat=7, dog=6)
    assert indexed(gallery, root, [under], framing=framing).added == 13
    assert len(assert_as_alone(gallery, under, framing=framing)) == 13


@pytest.mark.parametrize("together", [1, 2, 5])
def test_batches_of_any_size_over_mixed_shapes_hold_every_picture_once(gallery, root, small_batches, together):
    class_folders(root, cat=11, dog=8)
    last = indexed(gallery, root, together=together)
    assert (last.added, last.total) == (19, 19)
    assert len(assert_as_alone(gallery, network())) == 19


def test_batches_are_of_one_shape_and_no_larger_than_asked(gallery, root, small_batches, monkeypatch):
    shapes = []
    run = EmbeddingNetwork.activations

    def seen(self, pixels):
        shapes.append(tuple(pixels.shape))
        return run(self, pixels)

    under = network()
    gallery.space(under, 32, "whole")  # its probe
    monkeypatch.setattr(EmbeddingNetwork, "activations", seen)
    indexed(gallery, class_folders(root, cat=22), [under], together=3)
    assert sum(shape[0] for shape in shapes) == 22
    assert all(number * h * w <= 3 * SMALL or number == 1 for number, _, h, w in shapes)
    assert max(number for number, *_ in shapes) == 3 * SMALL // 32**2


def test_labels_and_places_are_the_listing_s(gallery, root):
    listing = listed(class_folders(root, cat=3, dog=2))
    indexed(gallery, listing)
    assert {file: row.label for file, row in rows_by_file(gallery, network()).items()} == listing.pictures
    assert gallery.index.labels(gallery.space(network(), 32, "whole")) == {"cat": 3, "dog": 2}


def test_hostile_names_and_labels_come_back_from_the_store(gallery, root):
    names = [
        "it's",
        'a "b"',
        "<script>alert(1)",
        "two\nlines",
        "\N{CAT FACE}",
        "tab\t",
        "%2e",
        "e\N{COMBINING ACUTE ACCENT}",
    ]
    for at, name in enumerate(names):
        saved(root / name / f"{name}.PNG", at)
    indexed(gallery, root)
    assert labels_by_name(gallery) == {f"{name}.PNG": name for name in names}
    assert_as_alone(gallery, network())


def test_a_csv_is_indexed_as_its_folders_are(gallery, root, tmp_path):
    class_folders(root, cat=3, dog=2)
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.glob("*/*.png"))]
    (root / "list.csv").write_text("\n".join(["file,label", *lines, "gone.png,cat"]))
    last = indexed(gallery, root / "list.csv")
    assert (last.added, last.total, last.done) == (5, 6, 6)
    assert last.skipped == {"list.csv, line 7: gone.png": "there is no such file"}
    again = indexed(gallery, root)
    assert (again.known, again.added, again.changed) == (5, 0, 0)


def test_every_picture_has_its_thumbnail(gallery, root):
    indexed(gallery, class_folders(root, cat=3))
    assert all(gallery.thumbnail_file(row.sha256).is_file() for row in rows_by_file(gallery, network()).values())


def test_several_poolings_in_one_run_equal_runs_of_their_own(gallery, root, tmp_path):
    class_folders(root, cat=5, dog=4)
    networks = [network(name) for name in ("avg", "max", "gem:2", "catavgmax")]
    assert indexed(gallery, root, networks).added == 9
    other = gallery_in(tmp_path / "other")
    for under in networks:
        indexed(other, root, [under])
        together, alone = rows_by_file(gallery, under), rows_by_file(other, under)
        assert together.keys() == alone.keys()
        for file, row in together.items():
            assert np.allclose(row.embedding, alone[file].embedding, rtol=0, atol=1e-6)
        assert_as_alone(gallery, under)
    other.index.close()


def test_several_poolings_share_one_forward_pass(gallery, root, monkeypatch):
    passes = []
    run = EmbeddingNetwork.activations
    networks = [network(name) for name in ("avg", "max", "gem")]
    for under in networks:
        gallery.space(under, 32, "whole")
    monkeypatch.setattr(
        EmbeddingNetwork, "activations", lambda self, pixels: passes.append(len(pixels)) or run(self, pixels)
    )
    indexed(gallery, class_folders(root, ((16, 16),), cat=6), networks)
    assert passes == [6]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["", "cat", "dog"]), st.sampled_from(SIZES)), max_size=12))
def test_any_gallery_holds_each_content_once_under_its_first_label(tmp_path_factory, pictures):
    """The slow reference goes through the files one by one."""
    folder = tmp_path_factory.mktemp("any")
    first, duplicates, clashes = {}, 0, 0
    listing = {}
    for at, (seed, label, size) in enumerate(pictures):
        listing[str(saved(folder / f"{at:02}.png", seed, size))] = label
        known = first.setdefault((seed, size), (str(folder / f"{at:02}.png"), label))
        duplicates += known[1] == label and known[0] != str(folder / f"{at:02}.png")
        clashes += known[1] != label
    gallery = gallery_in(folder)
    last = indexed(gallery, Listing(listing))
    assert {file: row.label for file, row in rows_by_file(gallery, network()).items()} == dict(first.values())
    assert (last.added, last.duplicates, len(last.skipped)) == (len(first), duplicates, clashes)
    assert last.done == last.total == len(pictures)
    gallery.index.close()


# What is left out


def large(path):
    path.write_bytes(b"")
    os.truncate(path, OWNERS.bytes + 1)


def test_what_is_no_picture_is_counted_with_its_reason_and_the_rest_is_indexed(gallery, root):
    class_folders(root, cat=3)
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "cat" / "zero.jpg").write_bytes(b"")
    (root / "cat" / "text.jpg").write_bytes(b"not a picture at all")
    large(root / "cat" / "large.jpg")
    Image.new("1", (20000, 10001)).save(root / "cat" / "pixels.png")
    (root / "cat" / "broken.jpg").symlink_to("gone.jpg")
    os.mkfifo(root / "cat" / "pipe.jpg")
    last = indexed(gallery, root)
    reasons = {Path(file).name: reason for file, reason in last.skipped.items()}
    assert reasons == {
        "cut.png": "Got a damaged or cut-off picture; wanted a whole file: save it as a JPEG, PNG or WebP picture and "
        "try again.",
        "zero.jpg": "Got an empty file of zero bytes; wanted a picture: save it as a JPEG, PNG or WebP picture and try "
        "again.",
        "text.jpg": "Got a file that is not a picture; wanted a JPEG, PNG or WebP picture: save it as a JPEG, PNG or "
        "WebP picture and try again.",
        "large.jpg": "Got a file of more than 200 MB; wanted at most 200 MB: make the picture smaller and try again.",
        "pixels.png": "Got 20000 x 10001 pixels; wanted at most 200 megapixels: make the picture smaller and try "
        "again.",
        "broken.jpg": "it cannot be opened",
        "pipe.jpg": "it cannot be opened",
    }
    assert (last.added, last.total, last.done) == (3, 10, 10)
    assert last.sentence().startswith("10 pictures: 3 added, 7 left out; ")
    assert len(rows_by_file(gallery, network())) == 3
    again = indexed(gallery, root)
    assert (again.added, again.known, again.skipped) == (0, 3, last.skipped)


def test_names_that_are_no_text_are_counted(gallery, root):
    class_folders(root, cat=2)
    for name in (b"\xff.png", b"\xfe.png"):
        shutil.copy(os.fsencode(root / "cat" / "0.png"), os.path.join(os.fsencode(root), name))
    last = indexed(gallery, root)
    assert (last.added, len(last.skipped), last.total, last.done) == (2, 2, 4, 4)


@pytest.mark.parametrize("black", [[0], [4], [2, 3], [0, 1, 2, 3, 4]], ids=str)
def test_a_picture_without_an_embedding_is_left_out_and_the_rest_of_its_batch_indexed(gallery, root, black):
    for at in range(5):
        saved(root / f"{at}.png", at, (16, 16))
    for at in black:
        Image.new("RGB", (16, 16), (at, 0, 0) if at == 9 else "black").save(root / f"{at}.png", compress_level=at)
    last = indexed(gallery, root, [network(), network("max")])
    kept = [at for at in range(5) if at not in black]
    assert sorted(labels_by_name(gallery)) == [f"{at}.png" for at in kept]
    assert sorted(labels_by_name(gallery, network("max"))) == [f"{at}.png" for at in kept]
    assert last.added == len(kept)
    assert last.done == last.total == 5
    for reason in last.skipped.values():
        assert reason.startswith(("Got an embedding of length 0 from tiny; wanted a direction to compare", "the same"))
    assert_as_alone(gallery, network())


def test_duplicates_are_counted_and_the_first_is_kept(gallery, root):
    class_folders(root, cat=2)
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    for _ in range(2):
        last = indexed(gallery, root)
        assert (last.duplicates, last.changed, last.skipped) == (1, 0, {})
        assert sorted(labels_by_name(gallery)) == ["0.png", "1.png"]


def test_one_picture_under_two_labels_keeps_the_first(gallery, root):
    class_folders(root, cat=2)
    saved(root / "dog" / "same.png", 0, SIZES[0])
    last = indexed(gallery, root)
    assert last.skipped == {
        str(root / "dog" / "same.png"): f"the same picture as '{root / 'cat' / '0.png'}', whose label 'cat' is kept"
    }
    assert labels_by_name(gallery) == {"0.png": "cat", "1.png": "cat"}


# A second run


def test_a_second_run_adds_nothing_and_runs_nothing(gallery, root, monkeypatch):
    class_folders(root, cat=4, dog=3)
    under = network()
    indexed(gallery, root, [under])
    before = rows_by_file(gallery, under)
    monkeypatch.setattr(EmbeddingNetwork, "activations", None)
    last = indexed(gallery, root, [under])
    assert (last.known, last.added, last.removed, last.changed) == (7, 0, 0, 0)
    assert last.sentence().startswith("7 pictures: 7 there already; 0.0 a second")
    after = rows_by_file(gallery, under)
    assert all(np.array_equal(before[file].embedding, after[file].embedding) for file in before)


def test_new_pictures_are_added_to_the_known(gallery, root):
    indexed(gallery, class_folders(root, cat=3))
    last = indexed(gallery, class_folders(root, cat=3, dog=2))
    assert (last.known, last.added) == (3, 2)


def test_a_pooling_that_is_new_is_indexed_beside_the_known_one(gallery, root):
    class_folders(root, cat=4)
    indexed(gallery, root)
    last = indexed(gallery, root, [network(), network("max")])
    assert (last.added, last.known) == (4, 0)
    assert len(rows_by_file(gallery, network())) == len(rows_by_file(gallery, network("max"))) == 4


def test_a_new_label_or_place_moves_the_row_and_keeps_its_embedding(gallery, root, monkeypatch):
    class_folders(root, cat=3, dog=1)
    networks = [network(), network("max")]
    indexed(gallery, root, networks)
    before = {row.sha256: row.embedding for row in rows_by_file(gallery, networks[0]).values()}
    (root / "cat" / "0.png").rename(root / "dog" / "moved.png")
    (root / "cat" / "1.png").rename(root / "cat" / "renamed.png")
    monkeypatch.setattr(EmbeddingNetwork, "activations", None)
    last = indexed(gallery, root, networks)
    assert (last.changed, last.known, last.added, last.removed) == (2, 2, 0, 0)
    for under in networks:
        expected = {"moved.png": "dog", "renamed.png": "cat", "2.png": "cat", "0.png": "dog"}
        assert labels_by_name(gallery, under) == expected
    after = {row.sha256: row.embedding for row in rows_by_file(gallery, networks[0]).values()}
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[sha], after[sha]) for sha in before)
    assert indexed(gallery, root, networks).known == 4


def test_a_label_that_only_one_of_the_spaces_knows_reaches_the_others(gallery, root):
    """A picture moved while one pooling was indexed alone is moved in the other's space afterwards."""
    class_folders(root, cat=2)
    networks = [network(), network("max")]
    indexed(gallery, root, networks)
    (root / "cat").rename(root / "lion")
    assert indexed(gallery, root, networks[:1]).changed == 2
    assert indexed(gallery, root, networks).changed == 2
    assert [set(labels_by_name(gallery, under).values()) for under in networks] == [{"lion"}, {"lion"}]


def test_changed_content_replaces_the_old_row(gallery, root):
    class_folders(root, cat=3)
    networks = [network(), network("max")]
    indexed(gallery, root, networks)
    old = rows_by_file(gallery, network())[str(root / "cat" / "1.png")]
    saved(root / "cat" / "1.png", 99)
    last = indexed(gallery, root, networks)
    assert (last.added, last.known, last.removed) == (1, 2, 1)
    assert last.sentence().startswith("3 pictures: 1 added, 2 there already, 1 rows of changed or lost files removed;")
    for under in networks:
        rows = assert_as_alone(gallery, under)
        assert len(rows) == 3
        assert old.sha256 not in {row.sha256 for row in rows.values()}
    assert not gallery.thumbnail_file(old.sha256).exists()


def test_files_that_swap_their_content_are_moved(gallery, root):
    class_folders(root, cat=1, dog=1)
    indexed(gallery, root)
    a, b = root / "cat" / "0.png", root / "dog" / "0.png"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    last = indexed(gallery, root)
    assert (last.changed, last.removed, last.added) == (2, 0, 0)
    assert_as_alone(gallery, network())


def test_a_file_that_is_no_picture_any_more_loses_its_row(gallery, root):
    class_folders(root, cat=2)
    indexed(gallery, root)
    (root / "cat" / "0.png").write_bytes(b"")
    last = indexed(gallery, root)
    assert (last.removed, len(last.skipped)) == (1, 1)
    assert list(labels_by_name(gallery)) == ["1.png"]


def test_a_file_that_cannot_be_opened_today_keeps_its_row(gallery, root, monkeypatch):
    class_folders(root, cat=2)
    indexed(gallery, root)
    read = room.content
    monkeypatch.setattr(room, "content", lambda file, limits: None if file.endswith("0.png") else read(file, limits))
    last = indexed(gallery, root)
    assert (last.removed, last.known) == (0, 1)
    assert last.skipped == {str(root / "cat" / "0.png"): "it cannot be opened"}
    assert len(rows_by_file(gallery, network())) == 2


def test_lost_files_stay_until_they_are_pruned(gallery, root):
    class_folders(root, cat=3, dog=1)
    indexed(gallery, root)
    (root / "cat" / "0.png").unlink()
    shutil.rmtree(root / "dog")
    assert indexed(gallery, root).removed == 0
    assert len(rows_by_file(gallery, network())) == 4
    last = indexed(gallery, root, prune=True)
    assert (last.removed, last.known) == (2, 2)
    assert sorted(labels_by_name(gallery)) == ["1.png", "2.png"]


def test_pruning_leaves_what_another_folder_holds(gallery, root, tmp_path):
    class_folders(root, cat=2)
    indexed(gallery, root)
    for seed in (50, 51):
        saved(tmp_path / "more" / "dog" / f"{seed}.png", seed)
    last = indexed(gallery, tmp_path / "more", prune=True)
    assert (last.added, last.removed) == (2, 0)
    assert len(rows_by_file(gallery, network())) == 4


# Progress


def assert_progress(told, total):
    """Numbers only grow, and at the end every file is dealt with."""
    for before, after in pairwise(told):
        for name in ("added", "known", "changed", "duplicates", "removed", "done", "seconds"):
            assert getattr(before, name) <= getattr(after, name)
        assert before.skipped.items() <= after.skipped.items()
    assert told[0].done == len(told[0].skipped)
    assert {progress.total for progress in told} == {total}
    assert all(progress.done <= total for progress in told)
    assert told[-1].done == total


def test_progress_grows_and_adds_up(gallery, root, small_batches, monkeypatch):
    monkeypatch.setattr(room, "TOLD", 4)
    class_folders(root, cat=20, dog=9)
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    saved(root / "dog" / "same.png", 1, SIZES[1])
    (root / "dog" / "bad.png").write_bytes(b"")
    Image.new("RGB", (16, 16)).save(root / "dog" / "black.png")
    with open(os.path.join(os.fsencode(root), b"\xff.png"), "wb"):
        pass
    told = list(steps(gallery, root, together=2))
    assert_progress(told, 34)
    assert len(told) > 6
    last = told[-1]
    assert (last.added, last.duplicates, len(last.skipped)) == (29, 1, 4)
    assert (told[0].seconds_left, told[0].rate) == (None, 0.0)
    assert last.seconds_left == 0
    assert last.rate == pytest.approx(29 / last.seconds)
    (root / "cat" / "0.png").rename(root / "cat" / "a.png")
    assert_progress(list(steps(gallery, root, together=2)), 34)


def test_known_pictures_are_told_too(gallery, root, monkeypatch):
    indexed(gallery, class_folders(root, cat=9))
    monkeypatch.setattr(room, "TOLD", 2)
    assert [progress.known for progress in steps(gallery, root)] == [0, 2, 4, 6, 8, 9]


def test_what_is_told_is_in_the_store(gallery, root, small_batches):
    class_folders(root, cat=25)
    space = gallery.space(network(), 32, "whole")
    for progress in steps(gallery, root, together=2):
        assert gallery.index.count(space) >= progress.added


@pytest.mark.parametrize("skipped", [{}, {"a": "b"}])
def test_seconds_left_go_by_the_pace_so_far(skipped):
    progress = Progress(10, added=2, known=3 - len(skipped), skipped=skipped, seconds=20.0)
    assert progress.done == 5
    assert progress.seconds_left == pytest.approx(20)
    assert progress.rate == pytest.approx(0.1)


def test_sentences_leave_out_what_did_not_happen():
    assert Progress(0).sentence() == "0 pictures: nothing to do; 0.0 a second"
    assert Progress(9).sentence() == "9 pictures: none of them done yet; 0.0 a second"
    everything = Progress(20, 1, 2, 3, 4, 5, {"a": "b"}, 2.0).sentence()
    assert everything == (
        "20 pictures: 1 added, 2 there already, 3 with a new label or place, 5 of the same content as another, "
        "4 rows of changed or lost files removed, 1 left out; 0.5 a second"
    )


# Left early, killed, full


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_a_run_that_is_left_early_is_resumed(gallery, root, small_batches, after):
    class_folders(root, cat=14, dog=10)
    networks = [network(), network("max")]
    running = steps(gallery, root, networks, together=2)
    told = [next(running) for _ in range(after + 1)]
    running.close()
    counts = [gallery.index.count(gallery.space(under, 32, "whole")) for under in networks]
    assert min(counts) >= told[-1].added
    there = len(rows_by_file(gallery, networks[0]).keys() & rows_by_file(gallery, networks[1]).keys())
    for under in networks:
        assert_as_alone(gallery, under)
    last = indexed(gallery, root, networks)
    assert (last.known, last.added) == (there, 24 - there)
    for under in networks:
        assert len(assert_as_alone(gallery, under)) == 24


def test_a_full_disk_is_told_and_what_was_acknowledged_stays(gallery, root, small_batches, monkeypatch):
    class_folders(root, cat=24)
    usage = namedtuple("usage", "total used free")
    real, asked = shutil.disk_usage, []

    def filling(folder):
        asked.append(folder)
        return real(folder) if len(asked) <= 4 else usage(1, 1, 2**20)

    monkeypatch.setattr(shutil, "disk_usage", filling)
    told = []
    with pytest.raises(
        SimvisError, match=r"Got 1 MiB free at .*; wanted at least 128 MiB: free some room and index ag"
    ):
        told.extend(steps(gallery, root, together=2))  # keeps what came before
    monkeypatch.undo()
    there = len(assert_as_alone(gallery, network()))
    assert there >= told[-1].added
    assert 0 < there < 24
    last = indexed(gallery, root)
    assert (last.known, last.added) == (there, 24 - there)


def test_a_folder_of_thumbnails_that_cannot_be_written_is_told(gallery, root):
    """It is no fault of the pictures: none is left out for it, and none loses its row."""
    class_folders(root, cat=2)
    indexed(gallery, root)
    shutil.rmtree(gallery.folder / "thumbnails")
    (gallery.folder / "thumbnails").write_text("in the way")
    saved(root / "cat" / "new.png", 77)
    with pytest.raises(SimvisError, match=r"thumbnails.*, which cannot be written .*; wanted a folder that can"):
        indexed(gallery, root)
    assert len(rows_by_file(gallery, network())) == 2


def test_a_bug_in_the_network_keeps_its_traceback(gallery, root, monkeypatch):
    class_folders(root, cat=2)
    under = network()
    gallery.space(under, 32, "whole")
    monkeypatch.setattr(EmbeddingNetwork, "embed_activations", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        indexed(gallery, root, [under])
    assert rows_by_file(gallery, under) == {}


def test_a_view_that_the_network_does_not_take_is_refused_before_any_picture(gallery, root):
    with pytest.raises(SimvisError, match="Got a short side of 30 pixels"):
        next(steps(gallery, class_folders(root, cat=1), short_side=30))


def test_flatten_over_pictures_as_they_are_is_refused(gallery, root):
    with pytest.raises(SimvisError, match="'flatten' over views of differing shapes"):
        next(steps(gallery, class_folders(root, cat=1), [network("flatten")]))
    assert gallery.spaces() == []


KILLED = """
import sys
from pathlib import Path
import model_zoo
import simvis_core.galleries.indexing as room
from simvis_core.stores.edge import EdgeIndex
from simvis_core.galleries.gallery import open_gallery
from simvis_core.pictures.listing import listed
from tests.simvis_core.small_galleries import network
import torch

torch.set_num_threads(1)
room.USUAL = 32 * 48
home, root = sys.argv[1:]
gallery = open_gallery("birds", home, EdgeIndex(Path(home) / "index"), create=True)
for progress in room.index_pictures(gallery, listed(root), [network(), network("max")], 32, together=3):
    print(progress.known, progress.added, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_told(tmp_path, root):
    class_folders(root, SIZES[:1], cat=110, dog=90)  # of one shape: batches go in the listing's order
    wanted, home = list(listed(root).pictures), tmp_path / "home"
    networks = [network(), network("max")]
    chance, known = random.Random(7), []
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(Path(__file__).parents[3])}
    for _ in range(3):
        lines, added = chance.randint(2, 16), 0
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(home), str(root)], stdout=subprocess.PIPE, text=True, env=environment
        ) as running:
            for _ in range(lines):
                there, added = map(int, running.stdout.readline().split())
            running.send_signal(signal.SIGKILL)
            rest = running.stdout.read().splitlines()
        assert running.returncode == -signal.SIGKILL
        added = int(rest[-1].split()[1]) if rest else added
        gallery = open_gallery("birds", home, EdgeIndex(home / "index"))
        stored = [set(assert_as_alone(gallery, under)) for under in networks]
        gallery.index.close()
        told = [file for file in wanted if file not in known][:added]
        assert set(known) | set(told) <= stored[0] & stored[1]
        assert there <= len(known)
        known = [file for file in wanted if file in stored[0] & stored[1]]
    assert 0 < len(known) < 200
    gallery = open_gallery("birds", home, EdgeIndex(home / "index"))
    last = indexed(gallery, root, networks)
    assert (last.known, last.added, last.done) == (len(known), 200 - len(known), 200)
    assert all(len(assert_as_alone(gallery, under)) == 200 for under in networks)
    gallery.index.close()


# A network that comes with SimVis


@pytest.mark.network
def test_photographs_are_indexed_found_and_explained(gallery, tmp_path):
    """Laws 11 and 18 on real weights: alone = in a batch, and a region's score is the map's sum inside it."""
    under = model_zoo.load("efficientnet_lite0")
    for label in ("cup", "dam", "horse", "taj_mahal", "eiffel_tower", "giraffe"):
        for photograph in sorted((PICTURES / label).glob("*.jpg"))[:2]:
            (tmp_path / "photographs" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(photograph, tmp_path / "photographs" / label)
    last = indexed(gallery, tmp_path / "photographs", [under, under.with_pooling("max")], short_side=128)
    assert (last.added, last.done) == (12, 12)
    rows = assert_as_alone(gallery, under, 128)
    assert_as_alone(gallery, under.with_pooling("max"), 128)
    space, (file, row) = gallery.space(under, 128, "whole"), next(iter(rows.items()))
    view = under.view(open_picture(file), 128)
    own = under.decompose(view.pixels)
    (itself, *others) = find(gallery.index, space, own.embedding, own.embedding, 12)
    assert (itself.row.id, itself.score) == (row.id, pytest.approx(1, abs=1e-5))
    assert others[0].row.label == row.label
    regions = [Box(0.2, 0.1, 0.5, 0.6), Box(0.6, 0.6, 0.4, 0.4, -1)]
    weights = region_weights(regions, view.size, own.grid)
    for one in find(gallery.index, space, regions_query(own, regions, view.size), own.embedding, 12):
        assert one.score == pytest.approx(float((weights * query_map(own, one)).sum()), abs=2e-5)
        assert one.cosine == pytest.approx(
            float(query_map(own, one).sum() + own.bias @ embedding_of(one.row)), abs=2e-5
        )
