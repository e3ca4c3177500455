"""Classes: class similarity (law 12), typical members, score matrices, nearest classes, and how well they are found."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError, open_picture
from simvis_core.galleries.classes import ClassMeans, class_map, class_means, class_members, retrieval_quality
from simvis_core.stores.contract import Row, Space
from simvis_core.stores.edge import EdgeIndex
from tests import references
from tests.simvis_core.small_galleries import biased_head, class_folders, gallery_in, indexed, network

SPACE = Space("birds", "tiny", "avg", 6, "abc")


def unit(number, seed=0, width=6):
    drawn = np.random.default_rng(seed).standard_normal((number, width)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def rows_of(labels, seed=0):
    return [
        Row(f"{at:032x}".ljust(64, "0"), f"{at:02}.jpg", label, vector)
        for at, (label, vector) in enumerate(zip(labels, unit(len(labels), seed), strict=True))
    ]


ROWS = rows_of(["cat", "dog", "", "cat", "owl", "cat", "dog", "", "cat"])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    made = EdgeIndex(tmp_path_factory.mktemp("classes"))
    made.upsert(SPACE, ROWS)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    """A store of its own for some rows."""
    made = EdgeIndex(tmp_path / "store")

    def of(rows):
        made.ensure(SPACE)
        made.upsert(SPACE, rows)
        return made

    yield of
    made.close()


def dot(one, other):
    return references.dot(one.embedding, other.embedding)


# Law 12, on a real gallery


@pytest.fixture(scope="module", params=["no offset", "offset"])
def real(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("law12")
    under = network(head=biased_head() if request.param == "offset" else None)
    gallery = gallery_in(folder)
    indexed(gallery, class_folders(folder / "pictures", cat=6, dog=3), [under])
    yield under, class_members(gallery.index, gallery.space(under, 32, "whole"), "cat")
    gallery.index.close()


def test_a_class_map_is_the_sum_of_the_pairwise_maps_without_its_own(real):
    under, members = real
    for at, row in enumerate(members.rows):
        own = under.decompose(under.view(open_picture(row.file), 32).pixels)
        others = [other for other in members.rows if other.sha256 != row.sha256]
        pairwise = np.zeros(own.grid)
        for other in others:
            for cell in references.cells_of(pairwise[None]):
                pairwise[cell] += references.dot(own.cells[cell], other.embedding)
        map = class_map(own, members.others(at))
        assert np.allclose(map, pairwise, rtol=0, atol=2e-5)
        total = float(map.sum() + own.bias @ members.others(at))
        assert total == pytest.approx(math.fsum(dot(row, other) for other in others), abs=2e-5)
        assert total / len(others) == pytest.approx(float(members.typicality[at]), abs=2e-5)


def test_the_others_of_a_member_are_the_sum_without_it(store):
    members = class_members(store(rows_of(["cat"] * 4)), SPACE, "cat")
    for at in range(4):
        wanted = sum(torch.from_numpy(row.embedding) for other, row in enumerate(members.rows) if other != at)
        assert np.allclose(members.others(at), wanted, rtol=0, atol=1e-6)


# Members


def test_members_come_the_most_typical_first(index):
    members = class_members(index, SPACE, "cat")
    cats = [row for row in ROWS if row.label == "cat"]
    typical = {
        row.file: math.fsum(dot(row, other) for other in cats if other is not row) / (len(cats) - 1) for row in cats
    }
    assert [row.file for row in members.rows] == sorted(typical, key=lambda file: -typical[file])
    assert members.typicality.tolist() == pytest.approx([typical[row.file] for row in members.rows], abs=1e-6)
    assert members.label == "cat"
    for at, row in enumerate(members.rows):
        assert np.allclose(members.embeddings[at], row.embedding)
        for to, other in enumerate(members.rows):
            assert float(members.scores[at, to]) == pytest.approx(dot(row, other), abs=1e-6)


def test_members_as_typical_as_each_other_come_by_name(store):
    rows = [Row(f"{at}" * 64, f"{9 - at}.jpg", "cat", np.eye(6, dtype=np.float32)[2]) for at in range(4)]
    assert [row.file for row in class_members(store(rows), SPACE, "cat").rows] == ["6.jpg", "7.jpg", "8.jpg", "9.jpg"]


def test_a_member_alone_has_no_others(index):
    members = class_members(index, SPACE, "owl")
    assert members.typicality.tolist() == [0]
    assert members.scores.tolist() == [[pytest.approx(1, abs=1e-6)]]
    assert torch.equal(members.others(0), torch.zeros(6))


def test_pictures_without_a_label_are_a_class_that_can_be_asked(index):
    assert [row.file for row in sorted(class_members(index, SPACE, "").rows, key=lambda row: row.file)] == [
        "02.jpg",
        "07.jpg",
    ]


def test_an_unknown_class_names_some_of_the_known(index, store):
    with pytest.raises(
        SimvisError, match=r"Got class 'bird'; wanted one of the gallery's \(.*'cat', 'dog', 'owl'\): choo"
    ):
        class_members(index, SPACE, "bird")
    with pytest.raises(SimvisError, match=r"\('0', '1', '2', '3', '4', '5', '6', '7', \.\.\.\)"):
        class_members(store(rows_of([str(at) for at in range(9)])), SPACE, "bird")


def test_a_class_of_an_empty_gallery_is_refused(store):
    with pytest.raises(SimvisError, match=r"the gallery's \(it has none\)"):
        class_members(store([]), SPACE, "bird")


# Means


def test_means_are_by_label_and_leave_out_the_unlabelled(index):
    means = class_means(index, SPACE)
    assert (means.labels, means.counts) == (("cat", "dog", "owl"), (4, 2, 1))
    for label, mean in zip(means.labels, means.means, strict=True):
        wanted = np.mean([row.embedding for row in ROWS if row.label == label], axis=0)
        assert np.allclose(mean, wanted, rtol=0, atol=1e-6)


def test_the_matrix_is_the_mean_score_of_different_members(index):
    means = class_means(index, SPACE)
    for i, one in enumerate(means.labels):
        for j, other in enumerate(means.labels):
            pairs = [
                dot(a, b) for a in ROWS for b in ROWS if (a.label, b.label) == (one, other) and a is not b
            ]  # of one class: ordered pairs of two different members
            if pairs:
                assert float(means.scores[i, j]) == pytest.approx(np.mean(pairs), abs=1e-6)
            else:
                assert (one, math.isnan(means.scores[i, j])) == ("owl", True)


def test_the_nearest_classes_have_the_highest_mean_score(index):
    query = torch.from_numpy(unit(1, seed=8)[0]).double()
    means = class_means(index, SPACE)
    wanted = {
        label: np.mean([references.dot(query, row.embedding) for row in ROWS if row.label == label])
        for label in means.labels
    }
    near = means.nearest(query, 2)
    assert [means.labels[at] for at, _ in near] == sorted(wanted, key=lambda label: -wanted[label])[:2]
    assert [score for _, score in near] == pytest.approx(sorted(wanted.values(), reverse=True)[:2], abs=1e-6)
    assert len(means.nearest(query, 99)) == 3


@pytest.mark.parametrize("label", ["cat", "dog", "owl"])
def test_means_without_a_member_are_those_of_the_rest(index, store, label):
    gone = next(row for row in ROWS if row.label == label)
    wanted = class_means(store([row for row in ROWS if row is not gone]), SPACE)
    got = class_means(index, SPACE).without(label, torch.from_numpy(gone.embedding))
    assert (got.labels, got.counts) == (wanted.labels, wanted.counts)
    assert np.allclose(got.means, wanted.means, rtol=0, atol=1e-6)


def test_means_without_the_only_member_of_the_only_class_are_empty():
    means = ClassMeans(("cat",), (1,), torch.from_numpy(unit(1)))
    rest = means.without("cat", means.means[0])
    assert (rest.labels, rest.counts, tuple(rest.means.shape)) == ((), (), (0, 6))
    assert rest.nearest(means.means[0], 3) == []


def test_a_gallery_without_labels_has_no_means(store):
    with pytest.raises(
        SimvisError, match="Got gallery 'birds' without labels; wanted class folders or a CSV with labels"
    ):
        class_means(store(rows_of(["", ""])), SPACE)


# How well a gallery finds its own


def slow_quality(embeddings, labels, asked):
    """Recall at 1 and mean average precision, one query after the other."""
    firsts, precisions = [], []
    for q, label in enumerate(labels):
        others = [i for i in range(len(labels)) if i != q]
        if not label or not asked[q] or not any(labels[i] == label for i in others):
            continue
        ranked = sorted(others, key=lambda i: -references.dot(embeddings[q], embeddings[i]))
        hits = [labels[i] == label for i in ranked]
        firsts.append(hits[0])
        precisions.append(np.mean([sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]))
    return len(firsts), np.mean(firsts), np.mean(precisions)


@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.booleans()), min_size=2, max_size=14),
    st.booleans(),
)
def test_quality_is_that_of_the_slow_reference(seed, drawn, some):
    labels, asked = [label for label, _ in drawn], [ask for _, ask in drawn]
    embeddings = torch.from_numpy(unit(len(labels), seed).astype(np.float64))
    may_ask = [
        bool(label) and labels.count(label) > 1 and (ask or not some) for label, ask in zip(labels, asked, strict=True)
    ]
    if not any(may_ask):
        with pytest.raises(
            SimvisError, match="Got no two pictures of one label; wanted a label with two pictures: index"
        ):
            retrieval_quality(embeddings, labels, asked if some else None)
        return
    quality = retrieval_quality(embeddings, labels, asked if some else None)
    wanted = slow_quality(embeddings, labels, asked if some else [True] * len(labels))
    assert (quality.queries, quality.recall_at_1, quality.mean_average_precision) == pytest.approx(wanted, abs=1e-9)


def test_quality_by_hand():
    """On a circle at 0, 10, 25 and 30 degrees: a, b, a, a.

    The first a sees b, a, a: precision (1/2 + 2/3) / 2. The second a (25) sees a (30), b (10), a (0): (1 + 2/3) / 2.
    The third (30) sees a, b, a alike. b asks nobody.
    """
    angles = torch.deg2rad(torch.tensor([0.0, 10, 25, 30], dtype=torch.float64))
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    quality = retrieval_quality(embeddings, ["a", "b", "a", "a"])
    assert quality.queries == 3
    assert quality.recall_at_1 == pytest.approx(2 / 3)
    assert quality.mean_average_precision == pytest.approx((7 / 12 + 5 / 6 + 5 / 6) / 3)
