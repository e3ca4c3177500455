"""Stores: every check on the embedded one, with and without a graph, and what it says when it cannot be used."""

import re
import shutil
import subprocess
import sys
from collections import namedtuple
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simvis_core.errors import SimvisError
from simvis_core.stores import contract as index_module
from simvis_core.stores.check import CHECKS, GALLERY, check_store
from simvis_core.stores.contract import Row, Space, best_by_scan, copied, in_batches
from simvis_core.stores.edge import EdgeIndex
from simvis_core.stores.opening import open_index

SPACE = Space("birds", "tiny", "avg", 8, "abc")
WORDS = st.text(max_size=30)


def rows(number, space=SPACE, start=0, label="bird"):
    drawn = np.random.default_rng(start).standard_normal((number, space.width)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return [Row(f"{start + at:032x}".ljust(64, "0"), f"{start + at}.jpg", label, unit[at]) for at in range(number)]


def facts(index, space=SPACE):
    found = index.scan(space, embeddings=True)
    return sorted((row.sha256, row.file, row.label, tuple(np.round(row.embedding, 5))) for row in found)


def shares_of_the_cosine(index, space):
    """A region's query scores its share of the cosine: those of a partition of the cells add up to it."""
    index.ensure(space)
    rng = np.random.default_rng(6)
    features = rng.random((space.width, 3, 4), dtype=np.float32)  # of the query, average pooled over 12 cells
    pooled = features.mean((1, 2))
    stored = rows(30, space)
    index.upsert(space, stored)
    cells = rng.random((3, 4)) < 0.4
    parts = [(features * part).sum((1, 2)) / 12 / np.linalg.norm(pooled) for part in (cells, ~cells)]
    scores = [{hit.row.id: hit.score for hit in index.search(space, part, 30)} for part in parts]
    whole = {hit.row.id: hit.score for hit in index.search(space, sum(parts), 30)}
    for row in stored:
        cosine = row.embedding @ pooled / np.linalg.norm(pooled)
        assert scores[0][row.id] + scores[1][row.id] == pytest.approx(cosine, abs=1e-6)
        assert whole[row.id] == pytest.approx(cosine, abs=1e-6)


@pytest.fixture
def index(tmp_path):
    index = EdgeIndex(tmp_path / "galleries")
    yield index
    index.close()


@pytest.mark.parametrize("exact_below", [10**6, 1000], ids=["exact", "graph"])
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_embedded_store_passes_every_check(check, exact_below, tmp_path):
    index = EdgeIndex(tmp_path, exact_below)
    check(index)
    assert index.spaces() == []
    index.close()


def test_checks_are_told_one_by_one_and_leave_nothing(index, monkeypatch):
    names = list(CHECKS)
    for name in names[3:]:
        monkeypatch.delitem(CHECKS, name)
    told = list(check_store(index))
    assert [name for name, _ in told] == names[:3]
    assert all(seconds >= 0 for _, seconds in told)
    assert index.spaces() == []


def test_a_store_that_forgets_is_told_by_its_check_and_cleaned(index, monkeypatch):
    def half(space, sent):
        return EdgeIndex.upsert(index, space, list(sent)[::2])

    monkeypatch.setattr(index, "upsert", half)
    with pytest.raises(SimvisError, match=re.escape("the number of rows sent: 20; wanted 40: this store does not do")):
        list(check_store(index))
    assert not [space for space in index.spaces() if space.gallery == GALLERY]


def test_what_was_upserted_is_there_after_opening_again(tmp_path):
    first = EdgeIndex(tmp_path)
    first.upsert(SPACE, rows(20))
    told = facts(first)
    first.close()
    second = EdgeIndex(tmp_path)
    assert second.spaces() == [SPACE]
    assert facts(second) == told
    second.close()


def test_a_graph_survives_opening_again_and_more_rows(tmp_path):
    first = EdgeIndex(tmp_path, exact_below=10)
    first.upsert(SPACE, rows(50))
    first.settle(SPACE)
    first.close()
    second = EdgeIndex(tmp_path, exact_below=10)
    second.upsert(SPACE, rows(50, start=50))
    second.settle(SPACE)
    query = rows(1, start=50)[0]
    assert second.search(SPACE, query.embedding, 1)[0].row.id == query.id
    assert second.count(SPACE) == 100
    second.close()


def test_a_poor_graph_misses_rows_and_comparing_every_row_misses_none(tmp_path, monkeypatch):
    monkeypatch.setattr("simvis_core.stores.edge.SEARCHED", 1)
    space = Space("birds", "tiny", "avg", 32, "abc")
    index, sent = EdgeIndex(tmp_path, exact_below=1000), rows(2000, space)
    index.upsert(space, sent)
    index.settle(space)
    embeddings = np.stack([row.embedding for row in sent])
    queries = np.random.default_rng(3).standard_normal((60, 32)).astype(np.float32)
    best = [sent[at].id for at in (queries @ embeddings.T).argmax(1)]
    found = {
        exact: [index.search(space, query, 1, exact=exact)[0].row.id for query in queries] for exact in (False, True)
    }
    assert found[True] == best
    assert found[False] != best
    index.close()


@given(st.integers(1, 40), st.integers(0, 40), st.sets(st.integers(0, 29)), st.sampled_from([1, 7, 30, 100]))
def test_the_best_by_a_scan_are_those_of_sorting_all(k, skip, left_out, together):
    sent = rows(30)
    query = rows(1, start=99)[0].embedding
    without = [sent[at].id for at in left_out]
    kept = [row for at, row in enumerate(sent) if at not in left_out]
    wanted = sorted(kept, key=lambda row: -float(row.embedding @ query))[skip : skip + k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "in_batches", partial(in_batches, size=together))
        found = best_by_scan(iter(sent), query, k, skip, without)
    assert [hit.row.id for hit in found] == [row.id for row in wanted]
    scores = [float(row.embedding @ query) for row in wanted]
    assert [hit.score for hit in found] == pytest.approx(scores, abs=1e-6)
    assert all(hit.row.embedding is None for hit in found)


LOCKED = "gallery 'birds', which another process holds open"


def test_a_second_process_is_told_that_the_space_is_taken(index):
    index.upsert(SPACE, rows(2))
    asks = (
        "import sys; from simvis_core.stores.edge import EdgeIndex; index = EdgeIndex(sys.argv[1]);"
        "index.count(index.spaces()[0])"
    )
    done = subprocess.run([sys.executable, "-c", asks, str(index.folder)], capture_output=True, text=True, check=False)
    assert LOCKED in done.stderr
    assert "share a Milvus server with --index-url" in done.stderr
    assert index.count(SPACE) == 2


def test_a_second_instance_is_told_too(index):
    index.ensure(SPACE)
    second = EdgeIndex(index.folder)
    with pytest.raises(SimvisError, match=LOCKED):
        second.count(SPACE)
    index.close()
    assert second.count(SPACE) == 0
    second.close()


def test_a_copy_holds_the_same(index, tmp_path):
    index.upsert(SPACE, rows(30, label="it's"))
    other = EdgeIndex(tmp_path / "other")
    assert copied(index, other, SPACE) == 30
    assert copied(index, other, SPACE) == 30
    assert facts(other) == facts(index)
    other.close()


def test_scores_are_shares_of_the_cosine(index):
    shares_of_the_cosine(index, SPACE)


def test_hits_bring_the_embeddings_that_are_stored(index):
    stored = {row.id: row for row in rows(150)}
    index.upsert(SPACE, stored.values())
    query = rows(1, start=9)[0].embedding
    few, many = index.search(SPACE, query, 24), index.search(SPACE, query, 150)  # the first is asked of the store
    for hit in few:
        assert np.array_equal(hit.row.embedding, stored[hit.row.id].embedding)
    assert [hit.row.id for hit in many[:24]] == [hit.row.id for hit in few]


def test_a_full_disk_is_told_before_anything_is_written(index, monkeypatch):
    index.upsert(SPACE, rows(3))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 5 * 2**20))
    with pytest.raises(SimvisError, match=r"5 MiB free at '.*galleries'; wanted at least 128 MiB: free some room"):
        index.upsert(SPACE, rows(3, start=3))
    with pytest.raises(SimvisError, match="5 MiB free"):
        index.ensure(Space("other", "tiny", "avg", 8, "abc"))
    assert index.count(SPACE) == 3
    assert index.spaces() == [SPACE]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimvisError, match=r"which cannot be used .*; wanted a folder that can be written"):
        EdgeIndex(tmp_path / "file" / "galleries").ensure(SPACE)


def test_the_stores_are_opened_by_folder_or_address(tmp_path):
    index = open_index(tmp_path)
    assert isinstance(index, EdgeIndex)
    index.close()


@given(WORDS, WORDS, WORDS, WORDS)
@example("a\nb", "c", "a", "b\nc")
@example("", "", " ", "")
@example("Käfer", "n", "K_fer", "n")
@example("a" * 300, "n", "a" * 301, "n")
@example("a/../b", "n", "a_b", "n")
def test_a_space_s_name_is_valid_everywhere_and_its_own(gallery, network, other_gallery, other_network):
    spaces = [Space(gallery, network, "avg", 8, "f"), Space(other_gallery, other_network, "avg", 8, "f")]
    for space in spaces:
        assert re.fullmatch(r"simvis_[A-Za-z0-9_]+", space.name)
        assert len(space.name) <= 120
    assert (spaces[0].name == spaces[1].name) == (spaces[0] == spaces[1])


def test_spaces_that_differ_in_one_fact_have_names_of_their_own():
    spaces = [Space(g, n, p, w, f) for g in "ab" for n in "cd" for p in ("avg", "max") for w in (8, 9) for f in "xy"]
    assert len({space.name for space in spaces}) == len(spaces)


@settings(max_examples=10)
@given(st.lists(WORDS, min_size=1, max_size=12))
def test_any_label_filters_its_own_rows(tmp_path_factory, labels):
    index = EdgeIndex(tmp_path_factory.mktemp("fuzz"))
    sent = [Row(row.sha256, label + ".jpg", label, row.embedding) for row, label in zip(rows(12), labels, strict=False)]
    index.upsert(SPACE, sent)
    assert index.labels(SPACE) == {label: labels.count(label) for label in labels}
    for label in labels:
        found = index.search(SPACE, sent[0].embedding, 20, labels=[label])
        assert sorted(hit.row.file for hit in found) == sorted(row.file for row in sent if row.label == label)
    index.close()


@given(st.integers(0, 30), st.integers(1, 9))
def test_batches_hold_every_row_once(number, size):
    batches = list(in_batches(rows(number), size))
    assert [row.file for batch in batches for row in batch] == [f"{at}.jpg" for at in range(number)]
    assert all(len(batch) == size for batch, _ in pairwise(batches))
