"""Damaged files of galleries: each is named with what mends it, and the other galleries go on."""

import shlex
import subprocess

import numpy as np
import pytest
import qdrant_edge
import torch

from simvis_core import SimvisError
from simvis_core.galleries.gallery import gallery_names, gallery_troubles, open_gallery
from simvis_core.galleries.search import find
from simvis_core.stores.contract import Row, Space
from simvis_core.stores.edge import EdgeIndex
from simvis_core.stores.small_spaces import SmallSpaces, Table
from tests.damage import DAMAGE, JSON_DAMAGE
from tests.simvis_core.small_galleries import class_folders, indexed, network

QUERY = np.ones(12, dtype=np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Galleries 'birds' and 'cats', two pictures each; nothing holds them."""
    folder = tmp_path_factory.mktemp("whole")
    index = EdgeIndex(folder / "home" / "index")
    for name in ("birds", "cats"):
        gallery = open_gallery(name, folder / "home", index, create=True)
        indexed(gallery, class_folders(folder / name, **{name: 2}))
    index.close()
    return folder


@pytest.fixture
def home(whole, tmp_path):
    """A copy of them; `cp` leaves the holes in the store's files."""
    subprocess.run(["cp", "-a", str(whole / "home"), str(tmp_path)], check=True)
    return tmp_path / "home"


@pytest.fixture
def index(home):
    index = EdgeIndex(home / "index")
    yield index
    index.close()


def folder(home, name):
    return next(home.glob(f"{name}_*"))


def collection(home, name="birds"):
    return next((home / "index").glob(f"simvis_{name}_*"))


def goes_on(home, index, name="cats"):
    gallery = open_gallery(name, home, index)
    [space] = gallery.spaces()
    assert index.count(space) == 2
    assert len(index.search(space, QUERY, 5)) == 2
    rows = list(index.scan(space, embeddings=True))
    assert all(gallery.thumbnail(row) for row in rows)


@pytest.mark.parametrize("spoil", JSON_DAMAGE.values(), ids=JSON_DAMAGE)
def test_a_damaged_name_is_told_and_written_again_by_indexing(home, index, whole, spoil):
    spoil(folder(home, "birds") / "gallery.json")
    assert gallery_names(home, index) == ["birds", "cats"]  # the store knows it still
    [told] = gallery_troubles(home, index)
    assert str(told).startswith("Got gallery 'birds': 'gallery.json' of 'birds_")
    assert "index its pictures again, which mends it" in told.cure
    for name in ("cats", "birds"):
        goes_on(home, index, name)
    if (folder(home, "birds") / "gallery.json").is_dir():  # nothing writes over a folder
        (folder(home, "birds") / "gallery.json").rmdir()
    again = indexed(open_gallery("birds", home, index, create=True), class_folders(whole / "birds", birds=2))
    assert (again.added, again.known) == (0, 2)
    assert gallery_troubles(home, index) == []


@pytest.mark.parametrize("spoil", JSON_DAMAGE.values(), ids=JSON_DAMAGE)
def test_a_collection_that_does_not_say_what_it_is_of_is_told_and_mended_by_indexing(home, index, whole, spoil):
    spoil(collection(home) / "space.json")
    assert gallery_names(home, index) == ["birds", "cats"]
    assert [space.gallery for space in index.spaces()] == ["cats"]
    [told] = gallery_troubles(home, index)
    assert collection(home).name in told.got
    assert "index its gallery again as before, which mends it" in told.cure
    goes_on(home, index)
    gallery = open_gallery("birds", home, index)
    with pytest.raises(SimvisError, match="which was indexed with nothing"):
        gallery.require(gallery.space(network(), 32, "whole"))
    if (collection(home) / "space.json").is_dir():
        (collection(home) / "space.json").rmdir()
    again = indexed(open_gallery("birds", home, index, create=True), class_folders(whole / "birds", birds=2))
    assert (again.added, again.known) == (0, 2)  # what it held is there still
    assert gallery_troubles(home, index) == []
    goes_on(home, index, "birds")


def test_a_view_that_is_none_is_told(home, index):
    file = collection(home) / "space.json"
    file.write_text(file.read_text().replace("32 whole", "whole"))
    assert "which is of another collection" in str(gallery_troubles(home, index)[0])


def test_where_both_are_lost_the_folder_is_named(home, index):
    (folder(home, "birds") / "gallery.json").unlink()
    (collection(home) / "space.json").unlink()
    assert gallery_names(home, index) == ["cats"]
    told = " ".join(map(str, gallery_troubles(home, index)))
    assert folder(home, "birds").name in told
    assert collection(home).name in told
    with pytest.raises(SimvisError, match=r"gallery 'birds' \(Got 'space.json' of 'simvis_birds_") as refused:
        open_gallery("birds", home, index)
    assert "'cats'" in str(refused.value)
    goes_on(home, index)


def segment(home):
    return next((collection(home) / "shard" / "segments").iterdir())


SHARD = {
    "the shard is gone": lambda home: DAMAGE["gone"](collection(home) / "shard"),
    "the shard is a file": lambda home: (
        DAMAGE["gone"](collection(home) / "shard"),
        (collection(home) / "shard").write_text("x"),
    ),
    "its configuration is cut off": lambda home: DAMAGE["cut off"](collection(home) / "shard" / "edge_config.json"),
    "a segment's is empty": lambda home: DAMAGE["empty"](segment(home) / "segment.json"),
    "another version": lambda home: (segment(home) / "version.info").write_text("one"),
    "its log is empty": lambda home: DAMAGE["empty"](collection(home) / "shard" / "wal" / "open-1"),
    "a panic": lambda home: DAMAGE["empty"](segment(home) / "vector_storage" / "vectors" / "status.dat"),
    "its vectors are lost": lambda home: DAMAGE["gone"](segment(home) / "vector_storage" / "vectors" / "status.dat"),
}


@pytest.mark.parametrize("spoil", SHARD.values(), ids=SHARD)
def test_a_damaged_collection_is_named_and_made_anew(home, index, whole, spoil):
    [space] = [space for space in index.spaces() if space.gallery == "birds"]
    spoil(home)
    with pytest.raises(SimvisError, match=r"gallery 'birds' under tiny \(avg\), whose files are damaged") as told:
        list(index.scan(space, embeddings=True))
    assert "python app.py index FOLDER --name birds --backbone tiny --pooling avg" in told.value.cure
    assert told.value.cure.endswith("--view-size 32 --framing whole --resizing quick --rebuild")
    assert str(home) not in str(told.value)  # the page tells it to strangers
    goes_on(home, index)
    index.drop(space)
    again = indexed(open_gallery("birds", home, index, create=True), class_folders(whole / "birds", birds=2))
    assert again.added == 2
    goes_on(home, index, "birds")


@pytest.mark.parametrize("words", ["Permission denied (os error 13)", "Read-only file system (os error 30)"])
def test_a_collection_that_cannot_be_written_is_told(home, index, monkeypatch, words):
    def load(path, config=None):
        raise Exception(f"Service runtime error: IO Error: {words}")

    monkeypatch.setattr(qdrant_edge.EdgeShard, "load", load)
    with pytest.raises(SimvisError, match=r"gallery 'birds', whose files cannot be written .*--galleries"):
        index.count(index.spaces()[0])


def test_a_bug_stays_a_bug(home, index, monkeypatch):
    monkeypatch.setattr(qdrant_edge.EdgeShard, "load", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        index.count(index.spaces()[0])


def test_a_folder_that_turned_into_a_file_is_told_while_writing(home, index, tmp_path):
    space = index.spaces()[0]
    index.count(space)
    index.folder = tmp_path / "file" / "index"
    (tmp_path / "file").write_text("")
    with pytest.raises(SimvisError, match=r"which cannot be used .*; wanted a folder that can be written"):
        index.upsert(space, [Row("0" * 64, "a.png", "", QUERY / np.linalg.norm(QUERY))])


@pytest.mark.parametrize("spoil", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_thumbnail_is_made_again(home, index, spoil):
    gallery = open_gallery("birds", home, index)
    row = next(index.scan(gallery.spaces()[0]))
    first, path = gallery.thumbnail(row), gallery.thumbnail_file(row.sha256)
    spoil(path)
    assert gallery.thumbnail(row) == first
    if not path.is_dir():  # nothing writes over a folder
        assert path.read_bytes() == first


def test_a_thumbnail_of_another_kind_is_made_again(home, index):
    gallery = open_gallery("birds", home, index)
    row = next(index.scan(gallery.spaces()[0]))
    first = gallery.thumbnail(row)
    gallery.thumbnail_file(row.sha256).write_bytes(b"\xff\xd8\xff and nothing of a picture \xff\xd9")
    assert gallery.thumbnail(row) == first


def test_a_damaged_gallery_can_be_deleted(home, index):
    DAMAGE["empty"](segment(home) / "segment.json")
    open_gallery("birds", home, index).delete()
    assert gallery_names(home, index) == ["cats"]
    assert gallery_troubles(home, index) == []


def test_an_embedding_that_was_written_over_is_told(index):
    space = Space("bats", "tiny", "avg", 12, "f")
    unit = QUERY / np.linalg.norm(QUERY)
    index.upsert(
        space,
        [Row(f"{at:032x}".ljust(64, "0"), f"{at}.png", "", unit * length) for at, length in enumerate((1, 0.5, 2))],
    )
    for _ in range(3):  # by the store, then in memory
        found = find(index, space, torch.from_numpy(unit), torch.from_numpy(unit), 3)
        assert {one.row.file: bool(one.stale) for one in found} == {"0.png": False, "1.png": True, "2.png": True}
        assert "keeps a damaged embedding" in found[0].stale


SEEN = ["--view-size", "224", "--framing", "whole", "--resizing", "reference"]


def test_the_command_that_mends_is_one_that_a_shell_takes(home, index):
    space = Space("it's mine", "timm/resnet18", "gem:4", 12, "f", "224 whole")
    index.upsert(space, [])
    DAMAGE["empty"](index.folder / space.name / "space.json")
    index.close()
    DAMAGE["gone"](index.folder / space.name / "shard")
    with pytest.raises(SimvisError) as told:
        index.count(space)
    words = shlex.split(told.value.cure.split(": ", 1)[1])
    assert words[:5] == ["python", "app.py", "index", "FOLDER", "--name"]
    assert words[5:] == ["it's mine", "--backbone", "timm/resnet18", "--pooling", "gem:4", *SEEN, "--rebuild"]


# Small spaces in memory


def test_small_spaces_in_memory_answer_as_the_store_does(index):
    space = Space("bats", "tiny", "avg", 12, "f")
    chance = np.random.default_rng(5)
    unit = chance.standard_normal((40, 12)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    unit[7] = unit[3]  # of one score
    sent = [Row(f"{at:032x}".ljust(64, "0"), f"{at}.png", "abc"[at % 3], unit[at]) for at in range(40)]
    index.upsert(space, sent)
    asked = [
        (k, skip, labels, without)
        for k in (1, 60)
        for skip in (0, 5, 50)
        for labels in (None, ["a"], ["a", "c", "none"], [])
        for without in ((), (sent[3].id, Row("f" * 64, "").id))
    ]
    fresh = EdgeIndex(index.folder.parent / "other")
    for k, skip, labels, without in asked:
        fresh.upsert(space, sent)  # changed: what was in memory is forgotten
        told = [index.search(space, QUERY, k, labels, skip, without) for _ in range(2)][-1]
        stored = fresh.search(space, QUERY, k, labels, skip, without)
        assert all(hit.row.embedding is not None for hit in told)
        assert [hit.score for hit in told] == pytest.approx([hit.score for hit in stored], abs=1e-6)
        same = {sent[3].id, sent[7].id}
        for one, other in zip(told, stored, strict=True):
            assert one.row.id == other.row.id or {one.row.id, other.row.id} == same
    fresh.close()


def test_pages_of_equal_scores_hold_every_row_once(index):
    space = Space("bats", "tiny", "avg", 12, "f")
    unit = QUERY / np.linalg.norm(QUERY)
    index.upsert(space, [Row(f"{at:032x}".ljust(64, "0"), f"{at}.png", "", unit) for at in range(30)])
    index.search(space, unit, 1)
    pages = [hit.row.file for skip in range(0, 30, 7) for hit in index.search(space, unit, 7, skip=skip)]
    assert sorted(pages) == sorted(f"{at}.png" for at in range(30))


def test_of_equal_scores_the_first_row_stays_first_on_every_page():
    lengths = np.random.default_rng(6).integers(1, 4, 300)
    rows = [Row(f"{at:032x}".ljust(64, "0"), str(at)) for at in range(300)]
    table = Table(rows, np.outer(lengths, np.eye(12)[0]).astype(np.float32))
    wanted = [str(at) for at in sorted(range(300), key=lambda at: -lengths[at])]
    pages = [table.search(QUERY, 70, None, skip, ()) for skip in range(0, 300, 70)]
    assert [hit.row.file for page in pages for hit in page] == wanted


@pytest.mark.parametrize("change", ["upsert", "delete", "drop"])
def test_what_changes_is_not_answered_from_memory(index, change):
    space = Space("bats", "tiny", "avg", 12, "f")
    unit = QUERY / np.linalg.norm(QUERY)
    rows = [Row(f"{at:032x}".ljust(64, "0"), f"{at}.png", "", unit * sign) for at, sign in enumerate((1, -1))]
    index.upsert(space, rows)
    for _ in range(3):
        assert [hit.row.file for hit in index.search(space, unit, 1)] == ["0.png"]
    if change == "upsert":
        index.upsert(space, [Row(rows[0].sha256, "moved.png", "", unit)])
    elif change == "delete":
        index.delete(space, [rows[0].id])
    else:
        index.drop(space)
    expected = {"upsert": ["moved.png"], "delete": ["1.png"], "drop": []}[change]
    for _ in range(3):
        assert [hit.row.file for hit in index.search(space, unit, 1)] == expected


def test_memory_is_bounded_and_the_oldest_goes():
    spaces = [Space(name, "tiny", "avg", 4, "f") for name in "abc"]
    unit = np.eye(4, dtype=np.float32)
    rows = [Row(f"{at:032x}".ljust(64, "0"), f"{at}.png", "", unit[at]) for at in range(4)]
    small, read = SmallSpaces(limit=2 * unit.nbytes), []

    def table(space, count=4):
        return small.table(space, lambda: count, lambda: read.append(space.gallery) or rows)

    assert table(spaces[0]) is None  # the first search is the store's
    assert len(table(spaces[0]).rows) == 4
    for space in spaces[1:]:
        table(space)
        table(space)
    assert read == ["a", "b", "c"]
    table(spaces[2])
    table(spaces[0])  # gone: read again
    assert read == ["a", "b", "c", "a"]
    big = Space("big", "tiny", "avg", 4, "f")
    assert [table(big, count=99) for _ in range(3)] == [None] * 3


def test_rows_that_change_while_they_are_read_are_not_kept():
    space, unit = Space("a", "tiny", "avg", 4, "f"), np.eye(4, dtype=np.float32)
    small = SmallSpaces()

    def read():
        small.changed(space)
        return [Row("0" * 64, "old.png", "", unit[0])]

    small.table(space, lambda: 1, read)
    assert small.table(space, lambda: 1, read).rows[0].file == "old.png"
    assert small.table(space, lambda: 1, lambda: pytest.fail("one search alone")) is None


def test_a_space_is_counted_once_until_it_changes():
    space, counts = Space("a", "tiny", "avg", 4, "f"), iter((3, 5, 6))
    small = SmallSpaces()
    count = lambda: next(counts)
    assert [small.count(space, count) for _ in range(3)] == [3, 3, 3]
    small.changed(space)

    def while_written():
        small.changed(space)
        return count()

    assert small.count(space, while_written) == 5
    assert [small.count(space, count) for _ in range(2)] == [6, 6]  # the count that a write overtook was not kept
