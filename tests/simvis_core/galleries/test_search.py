"""Asking a gallery, against brute force; scores that the store has wrong, and rows that are out of date."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simvis_core import Decomposition, SimvisError, explain_pair, open_picture
from simvis_core.galleries.search import (
    Found,
    best_of_classes,
    checked_against,
    difference_map,
    embedding_of,
    find,
    found_rows,
    lead_map,
    query_map,
    query_maps,
)
from simvis_core.stores.contract import Hit, Row, Space
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_core.small_galleries import biased_head, class_folders, gallery_in, indexed, network

SPACE = Space("birds", "tiny", "avg", 6, "abc")
LABELS = ("cat", "dog", "", "owl", "cat", "cat", "")


def unit(number, seed=0):
    drawn = np.random.default_rng(seed).standard_normal((number, 6)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


ROWS = [
    Row(f"{at:032x}".ljust(64, "0"), f"{at}.jpg", LABELS[at % len(LABELS)], vector)
    for at, vector in enumerate(unit(60))
]
QUERY, WHOLE = (torch.from_numpy(vector) for vector in unit(2, seed=1))
QUERY = 0.3 * QUERY


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    made = EdgeIndex(tmp_path_factory.mktemp("search"))
    made.upsert(SPACE, ROWS)
    yield made
    made.close()


def brute(query=QUERY, labels=None, without=()):
    """Every row with its score, best first."""
    there = [row for row in ROWS if (labels is None or row.label in labels) and row.id not in without]
    scored = [(sum(float(q) * float(e) for q, e in zip(query, row.embedding, strict=True)), row) for row in there]
    return sorted(scored, key=lambda one: -one[0])


def files(found):
    return [one.row.file for one in found]


def expected(scored):
    return [row.file for _, row in scored]


# find


@pytest.mark.parametrize("labels", [None, ["cat"], ["dog", "owl"], [""], ["nobody"], []], ids=str)
@pytest.mark.parametrize(("k", "skip"), [(1, 0), (7, 0), (7, 7), (100, 0), (100, 55), (3, 60)])
def test_hits_are_those_of_brute_force(index, k, skip, labels):
    without = [ROWS[3].id, brute()[0][1].id]
    found = find(index, SPACE, QUERY, WHOLE, k, labels, skip, without)
    wanted = brute(labels=labels, without=without)[skip : skip + k]
    assert files(found) == expected(wanted)
    assert [one.score for one in found] == pytest.approx([score for score, _ in wanted], abs=1e-6)


def test_hits_carry_their_embedding_and_the_whole_pictures_cosine(index):
    for one in find(index, SPACE, QUERY, WHOLE, 60):
        row = ROWS[int(one.row.file.split(".")[0])]
        assert (one.row.sha256, one.row.label, one.stale) == (row.sha256, row.label, "")
        assert np.allclose(one.row.embedding, row.embedding, rtol=0, atol=1e-7)
        assert one.cosine == pytest.approx(float(WHOLE.numpy() @ row.embedding), abs=1e-6)


def test_pages_put_together_are_the_whole(index):
    pages = [find(index, SPACE, QUERY, WHOLE, 13, skip=skip) for skip in range(0, 60, 13)]
    assert [file for page in pages for file in files(page)] == expected(brute())


def test_queries_of_any_precision_can_be_asked(index):
    for dtype in (torch.float64, torch.bfloat16):
        assert len(find(index, SPACE, QUERY.to(dtype), WHOLE.to(dtype), 5)) == 5
    assert len(find(index, SPACE, QUERY.clone().requires_grad_(), WHOLE, 5)) == 5


def test_no_hits_and_wrong_queries_are_refused(index):
    with pytest.raises(SimvisError, match="Got k = 0 hits"):
        find(index, SPACE, QUERY, WHOLE, 0)
    with pytest.raises(SimvisError, match="Got a vector of 5 numbers"):
        find(index, SPACE, QUERY[:5], WHOLE[:5], 3)


class Wrong:
    """A store whose search says something else than what it keeps."""

    def __init__(self, index, hits):
        self.index, self.hits = index, hits

    def search(self, *_, **__):
        return self.hits

    def __getattr__(self, name):
        return getattr(self.index, name)


def test_a_score_that_is_not_the_kept_embeddings_is_said_and_the_right_one_given(index):
    right = [Hit(row, score) for score, row in brute()[:4]]
    hits = [right[0], Hit(right[1].row, right[1].score + 0.0005), Hit(right[2].row, right[2].score + 0.5), right[3]]
    found = find(Wrong(index, hits), SPACE, QUERY, WHOLE, 4)
    assert files(found) == [hit.row.file for hit in right]
    assert [one.score for one in found] == pytest.approx([hit.score for hit in right], abs=1e-6)
    said = f"the store's score {hits[2].score:.3f} is not that of the embedding it keeps: index again"
    assert [one.stale for one in found] == ["", "", said, ""]


@pytest.mark.parametrize(("value", "stale"), [(1.0, False), (1.0009, False), (0.998, True), (np.nan, True)], ids=str)
def test_a_kept_embedding_that_is_no_unit_vector_is_said(index, value, stale):
    row = replace(ROWS[0], embedding=(ROWS[0].embedding * np.float32(value)))
    score = float(row.embedding @ QUERY.numpy())
    [found] = find(Wrong(index, [Hit(row, score)]), SPACE, QUERY, WHOLE, 1)
    assert found.stale == ("the store keeps a damaged embedding of it: index again with --rebuild" if stale else "")


def test_hits_are_sorted_by_the_scores_computed_anew(index):
    hits = [Hit(row, score) for score, row in brute()[:5]]
    assert files(find(Wrong(index, hits[::-1]), SPACE, QUERY, WHOLE, 5)) == [hit.row.file for hit in hits]


def test_a_row_that_goes_between_search_and_reading_is_no_hit(index):
    gone = Hit(Row("f" * 64, "gone.jpg"), 0.9)
    assert files(find(Wrong(index, [gone, Hit(ROWS[0], 0.1)]), SPACE, QUERY, WHOLE, 2)) == ["0.jpg"]


# found_rows


def test_found_rows_keep_their_order_and_leave_out_the_unknown(index):
    ids = [ROWS[5].id, Row("f" * 64, "").id, ROWS[2].id, ROWS[40].id]
    found = found_rows(index, SPACE, ids, QUERY, WHOLE)
    assert files(found) == ["5.jpg", "2.jpg", "40.jpg"]
    searched = {one.row.file: one for one in find(index, SPACE, QUERY, WHOLE, 60)}
    for one in found:
        assert (one.score, one.cosine) == (searched[one.row.file].score, searched[one.row.file].cosine)
    assert found_rows(index, SPACE, [], QUERY, WHOLE) == []


# best_of_classes


def best_brute(count, rows, query=QUERY):
    best = {}
    for _, row in sorted(((float(query.numpy() @ row.embedding), row) for row in rows), key=lambda one: -one[0]):
        if row.label:
            best.setdefault(row.label, row.file)
    return list(best.values())[:count]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
def test_the_best_of_each_of_the_nearest_classes(index, count):
    found = best_of_classes(index, SPACE, QUERY, WHOLE, count)
    assert files(found) == best_brute(count, ROWS)
    for one in found:
        assert one.score == pytest.approx(float(QUERY.numpy() @ one.row.embedding), abs=1e-6)
        assert one.cosine == pytest.approx(float(WHOLE.numpy() @ one.row.embedding), abs=1e-6)


def test_the_best_of_classes_pass_over_what_they_are_told(index):
    without = [row.id for row in ROWS if row.label == "owl"] + [brute()[0][1].id]
    found = best_of_classes(index, SPACE, QUERY, WHOLE, 9, without)
    assert files(found) == best_brute(9, [row for row in ROWS if row.id not in without])
    assert {one.row.label for one in found} == {"cat", "dog"}


@pytest.mark.parametrize("others", ["crowd", ""])
def test_a_class_that_fills_every_first_rank_hides_no_other(tmp_path, others):
    """As does a crowd of pictures without a label. The store is never asked for more than Milvus would give."""
    index, query = EdgeIndex(tmp_path), torch.from_numpy(unit(1, seed=3)[0])
    ranked = sorted(unit(400, seed=4), key=lambda vector: -float(query.numpy() @ vector))
    labels = [others] * 390 + ["b", "a", "c", "b", "a"] * 2
    rows = [
        Row(f"{at:032x}".ljust(64, "0"), f"{at}.jpg", label, vector)
        for at, (label, vector) in enumerate(zip(labels, ranked, strict=True))
    ]
    index.upsert(SPACE, rows)
    asked = []
    search = index.search
    index.search = lambda space, query, k, *more, **named: asked.append(k) or search(space, query, k, *more, **named)
    assert files(best_of_classes(index, SPACE, query, WHOLE, 3)) == best_brute(3, rows, query)
    assert files(best_of_classes(index, SPACE, query, WHOLE, 5)) == best_brute(5, rows, query)
    assert max(asked) <= 80
    index.close()


def test_a_gallery_without_labels_or_rows_has_no_best_of_classes(tmp_path):
    index = EdgeIndex(tmp_path)
    index.ensure(SPACE)
    assert best_of_classes(index, SPACE, QUERY, WHOLE) == []
    index.upsert(SPACE, [replace(row, label="") for row in ROWS[:5]])
    assert best_of_classes(index, SPACE, QUERY, WHOLE) == []
    index.upsert(SPACE, [replace(ROWS[9], label="cat")])
    assert best_of_classes(index, SPACE, QUERY, WHOLE, without=[ROWS[9].id]) == []
    index.close()


def test_a_stale_score_is_said_of_the_best_of_classes_too(index):
    hits = [Hit(row, score + 0.2) for score, row in brute() if row.label][:1]
    (one,) = best_of_classes(Wrong(index, hits), SPACE, QUERY, WHOLE, 1)
    assert one.stale.startswith("the store's score")


# Rows out of date


def made_of(vector):
    cells = torch.from_numpy(vector)[None, None] * torch.tensor([0.75, 0.25])[None, :, None]
    return Decomposition(cells, torch.zeros(len(vector)))


def test_a_hit_of_the_same_file_and_network_stays_as_it_is():
    found = Found(ROWS[0], 0.5, 0.6)
    assert checked_against(found, made_of(ROWS[0].embedding), ROWS[0].sha256) is found
    old = Found(ROWS[0], 0.5, 0.6, "the store's score")
    assert checked_against(old, made_of(ROWS[0].embedding), ROWS[0].sha256) is old


def test_a_changed_file_is_said():
    found = checked_against(Found(ROWS[0], 0.5, 0.6), made_of(ROWS[0].embedding), "f" * 64)
    assert found.stale == "its file has changed since it was indexed: index again"
    assert (found.row, found.score, found.cosine) == (ROWS[0], 0.5, 0.6)


@pytest.mark.parametrize(("cosine", "stale"), [(0.9995, False), (0.998, True), (-1.0, True)])
def test_another_embedding_is_said(cosine, stale):
    own = ROWS[0].embedding
    across = ROWS[1].embedding - (ROWS[1].embedding @ own) * own
    other = cosine * own + np.sqrt(1 - cosine**2) * across / np.linalg.norm(across)
    found = checked_against(Found(ROWS[0], 0.5, 0.6), made_of(other.astype(np.float32)), ROWS[0].sha256)
    assert found.stale == ("the network gives it another embedding now: index again" if stale else "")


# Maps of a query and a hit, on a real gallery


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    under = network(head=biased_head())
    gallery = gallery_in(folder)
    indexed(gallery, class_folders(folder / "pictures", cat=4, dog=3), [under])
    seen = open_picture(folder / "pictures" / "cat" / "0.png")
    own = under.decompose(under.view(seen, 32).pixels)
    space = gallery.space(under, 32, "whole")
    yield under, seen, own, find(gallery.index, space, own.embedding, own.embedding, 9)
    gallery.index.close()


def test_the_first_hit_of_a_picture_of_the_gallery_is_itself(real):
    _, _, _, found = real
    assert found[0].row.file.endswith("cat/0.png")
    assert found[0].score == pytest.approx(1, abs=1e-5)


def test_a_hits_query_map_is_the_pairs_map(real):
    under, seen, own, found = real
    for one in found:
        pair = explain_pair(under, seen, open_picture(one.row.file), short_side=32)
        map = query_map(own, one)
        assert np.allclose(map, pair.map_a, rtol=0, atol=1e-5)
        assert float(map.sum() + own.bias @ embedding_of(one.row)) == pytest.approx(one.score, abs=1e-5)
        assert checked_against(one, pair.b, one.row.sha256) is one


def test_maps_of_many_hits_are_those_of_each(real):
    _, _, own, found = real
    weights = torch.rand(own.grid)
    for region in (None, weights):
        maps = query_maps(own, found, region)
        assert maps.shape == (len(found), *own.grid)
        for one, map in zip(found, maps, strict=True):
            alone = own.similarity_map(embedding_of(one.row).to(own.cells))  # as the definition says
            assert np.allclose(map, alone if region is None else region * alone, rtol=0, atol=1e-6)
    assert query_maps(own, []).shape == (0, *own.grid)
    with pytest.raises(SimvisError, match="a row without its embedding"):
        query_maps(own, [replace(found[0], row=replace(found[0].row, embedding=None))])


def test_a_difference_map_and_the_bias_part_sum_to_the_difference_of_the_scores(real):
    _, _, own, found = real
    first, second = found[1], found[4]
    map = difference_map(own, first.row, second.row)
    assert np.allclose(map, query_map(own, first) - query_map(own, second), rtol=0, atol=1e-6)
    bias = float(own.bias @ (embedding_of(first.row) - embedding_of(second.row)))
    assert float(map.sum()) + bias == pytest.approx(first.score - second.score, abs=1e-5)
    assert np.allclose(map, -difference_map(own, second.row, first.row))


def test_a_lead_map_and_the_bias_part_sum_to_the_lead_over_the_mean_of_the_others(real):
    _, _, own, found = real
    first, others = found[1], [found[2], found[4], found[5]]
    map = lead_map(own, first.row, [one.row for one in others])
    assert np.allclose(map, sum(difference_map(own, first.row, one.row) for one in others) / 3, rtol=0, atol=1e-6)
    rest = sum(embedding_of(one.row) for one in others) / 3
    lead = first.score - sum(one.score for one in others) / 3
    assert float(map.sum()) + float(own.bias @ (embedding_of(first.row) - rest)) == pytest.approx(lead, abs=1e-5)
    weights = torch.rand(map.shape, dtype=torch.float64)
    assert np.allclose(
        lead_map(own, first.row, [found[2].row], weights), weights * lead_map(own, first.row, [found[2].row])
    )
    with pytest.raises(SimvisError, match="no other hit"):
        lead_map(own, first.row, [])


def test_maps_of_a_query_in_float64(real):
    _, _, own, found = real
    double = Decomposition(own.cells.double(), own.bias.double())
    assert np.allclose(query_map(double, found[2]), query_map(own, found[2]), rtol=0, atol=1e-6)
    assert difference_map(double, found[2].row, found[3].row).dtype == torch.float64


def test_a_row_without_its_embedding_is_refused():
    with pytest.raises(SimvisError, match="Got a row without its embedding; wanted one read with it: scan with embedd"):
        embedding_of(Row("0" * 64, "a.jpg"))
