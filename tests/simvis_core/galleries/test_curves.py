"""Contribution curves over many pairs (law 13): against the paper's, pair by pair, and which pairs are drawn."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.galleries import curves
from simvis_core.galleries.curves import mean_curve, pair_curves
from simvis_core.stores.contract import Row, Space
from simvis_core.stores.edge import EdgeIndex
from tests import references

SPACE = Space("birds", "tiny", "avg", 6, "abc")


def unit(number, width=6, seed=0, offset=0.5):
    """Of one half-space, so that most scores are above 0; with a larger offset all of them."""
    drawn = np.random.default_rng(seed).standard_normal((number, width)) + offset
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def slow_curves(a, b):
    """The paper's curve of every pair whose score is at least 0.01."""
    pairs = [(q, r) for q, r in zip(a, b, strict=True) if references.dot(q, r) >= 0.01]
    return np.array([references.contribution_curve(q, r) for q, r in pairs]), len(a) - len(pairs)


def quantile(values, share):
    """Linear between the two nearest ranks."""
    ranked, at = sorted(values), share * (len(values) - 1)
    low = int(at)
    return ranked[low] + (at - low) * (ranked[min(low + 1, len(ranked) - 1)] - ranked[low])


# One curve


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 40))
def test_the_mean_is_that_of_the_papers_curves(seed, number, width):
    a, b = unit(number, width, seed), unit(number, width, seed + 1)
    slow, left_out = slow_curves(a, b)
    if not len(slow):
        with pytest.raises(
            SimvisError, match=f"Got {number} pairs with scores under 0.01; wanted a score that parts can"
        ):
            mean_curve(a, b)
        return
    curve = mean_curve(a, b)
    assert (curve.pairs, curve.left_out) == (len(slow), left_out)
    at = curve.counts.numpy() - 1
    assert at.tolist()[: min(width, 32)] == list(range(min(width, 32)))
    assert at[-1] == width - 1
    assert np.allclose(curve.mean, slow.mean(0)[at], rtol=1e-9, atol=1e-9)
    for values, share in ((curve.low, 0.1), (curve.high, 0.9)):
        wanted = [quantile(slow[:, k], share) for k in at]
        assert np.allclose(values, wanted, rtol=1e-9, atol=1e-9)
    scores = [references.dot(q, r) for q, r in zip(a, b, strict=True)]
    assert curve.score == pytest.approx(np.mean([score for score in scores if score >= 0.01]))


@given(st.integers(0, 10**6))
def test_a_mean_curve_ends_at_one(seed):
    curve = mean_curve(unit(30, 50, seed), unit(30, 50, seed + 1))
    for values in (curve.mean, curve.low, curve.high):
        assert values[-1].item() == pytest.approx(1, abs=1e-12)
    assert (curve.low <= curve.mean + 1e-12).all() or curve.pairs < 10


def test_one_pair_is_the_papers_curve_and_all_of_its_spread():
    a, b = unit(1, 40), unit(1, 40, 1)
    curve = mean_curve(a, b)
    wanted = np.array(references.contribution_curve(a[0], b[0]))[curve.counts.numpy() - 1]
    for values in (curve.mean, curve.low, curve.high):
        assert np.allclose(values, wanted, rtol=0, atol=1e-12)


def test_a_curve_by_hand():
    """Contributions 0.5, 0.3 and -0.2 of a score of 0.6, and 0.1 of three each."""
    a = torch.tensor([[1.0, 1, 1], [1, 1, 1]], dtype=torch.float64)
    b = torch.tensor([[0.3, -0.2, 0.5], [0.1, 0.1, 0.1]], dtype=torch.float64)
    curve = mean_curve(a, b)
    assert curve.counts.tolist() == [1, 2, 3]
    assert curve.mean.tolist() == pytest.approx([(5 / 6 + 1 / 3) / 2, (8 / 6 + 2 / 3) / 2, 1])
    assert (curve.pairs, curve.left_out, curve.score) == (2, 0, pytest.approx(0.45))


def test_many_pairs_in_parts_are_all_of_them(monkeypatch):
    a, b = unit(25), unit(25, seed=1)
    whole = mean_curve(a, b)
    monkeypatch.setattr(curves, "PAIRS_TOGETHER", 4)
    parts = mean_curve(a, b)
    assert parts.pairs == whole.pairs == 25 - whole.left_out
    assert torch.equal(parts.mean, whole.mean)


def test_float32_pairs_are_summed_in_float64():
    curve = mean_curve(unit(9, 300).float(), unit(9, 300, 1).float())
    assert (curve.mean.dtype, curve.low.dtype) == (torch.float64, torch.float64)
    assert curve.mean[-1].item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("width", [1, 2, 31, 32, 33, 512, 2048])
def test_counts_are_every_one_up_to_32_and_then_ever_fewer(width):
    counts = mean_curve(unit(1, width), unit(1, width)).counts.tolist()
    assert counts[:32] == list(range(1, min(width, 32) + 1))
    assert counts[-1] == width
    assert counts == sorted(set(counts))
    assert len(counts) <= 332


def test_the_share_of_the_strongest_features():
    a, b = unit(5, 2048), unit(5, 2048, 1)
    curve, slow = mean_curve(a, b), slow_curves(a, b)[0].mean(0)
    for k in (1, 10, 32):
        assert curve.share(k) == pytest.approx(slow[k - 1])
    assert curve.share() == curve.share(10)
    assert curve.share(0) == curve.share(1)
    assert curve.share(99999) == pytest.approx(1)
    between = next(k for k in range(33, 2048) if k not in curve.counts.tolist())
    lower = max(k for k in curve.counts.tolist() if k < between)
    assert curve.share(between) == curve.share(lower) == pytest.approx(slow[lower - 1])


# Which pairs


LABELS = ["cat"] * 4 + ["dog"] * 3 + ["owl"] + [""] * 3


def rows_of(labels, seed=0):
    vectors = unit(len(labels), seed=seed, offset=3).float().numpy()
    return [
        Row(f"{at:032x}".ljust(64, "0"), f"{at}.jpg", label, vector)
        for at, (label, vector) in enumerate(zip(labels, vectors, strict=True))
    ]


@pytest.fixture
def store(tmp_path):
    made = EdgeIndex(tmp_path)

    def of(labels):
        made.ensure(SPACE)
        made.upsert(SPACE, rows_of(labels))
        return made

    yield of
    made.close()


@pytest.fixture
def drawn(monkeypatch):
    """What `mean_curve` is asked, as pairs of row numbers."""
    asked, real, vectors = [], curves.mean_curve, unit(len(LABELS), offset=3).float().numpy()

    def seen(a, b):
        number = lambda vector: int(np.abs(vectors - vector.numpy()).sum(1).argmin())
        asked.append([(number(q), number(r)) for q, r in zip(a, b, strict=True)])
        return real(a, b)

    monkeypatch.setattr(curves, "mean_curve", seen)
    return asked


@pytest.mark.parametrize("count", [9, 10, 1000])
def test_fewer_pairs_of_one_class_than_asked_are_each_taken_once(store, drawn, count):
    found = pair_curves(store(LABELS), SPACE, count)
    assert list(found) == ["same class", "different classes"]
    wanted = [pair for members in (range(4), range(4, 7)) for pair in combinations(members, 2)]
    assert sorted(tuple(sorted(pair)) for pair in drawn[0]) == wanted
    assert len(drawn[1]) == count
    assert found["different classes"].pairs + found["different classes"].left_out == count


@pytest.mark.parametrize("count", [1, 5, 8])
def test_pairs_of_one_class_are_of_one_class_and_no_two_alike(store, drawn, count):
    pair_curves(store(LABELS), SPACE, count)
    same, different = drawn
    assert len({tuple(sorted(pair)) for pair in same}) == len(same) == count
    assert all(LABELS[q] == LABELS[r] != "" and q != r for q, r in same)
    assert len(different) == count
    assert all(LABELS[q] != LABELS[r] and LABELS[q] and LABELS[r] for q, r in different)


def test_the_same_seed_draws_the_same_pairs_and_another_others(store, drawn):
    index = store(LABELS)
    for seed in (3, 3, 4):
        pair_curves(index, SPACE, 6, seed)
    assert drawn[:2] == drawn[2:4]
    assert drawn[4] != drawn[0]
    assert drawn[5] != drawn[1]


def test_pairs_of_one_class_are_drawn_as_often_as_there_are_of_it(tmp_path):
    """A class of 10 has 45 pairs, a class of 2 has one: of 20 pairs nearly all are of the first."""
    shares = [
        curves._same([("a", f"a{i}") for i in range(10)] + [("b", "b0"), ("b", "b1")], 20, chance)
        for chance in map(curves.random.Random, range(60))
    ]
    of_b = sum(pair[0] == "b0" for pairs in shares for pair in pairs)
    assert of_b == pytest.approx(60 * 20 / 46, abs=14)


def test_curves_are_of_what_is_stored(store, drawn):
    found = pair_curves(store(LABELS), SPACE, 1000)
    vectors = unit(len(LABELS), offset=3).float().numpy()
    slow, left_out = slow_curves(*(np.array([vectors[pair[side]] for pair in drawn[0]]) for side in (0, 1)))
    curve = found["same class"]
    assert np.allclose(curve.mean, slow.mean(0), rtol=0, atol=1e-5)
    assert (curve.pairs, curve.left_out) == (len(slow), left_out)


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        (["cat", "cat", ""], ["same class"]),
        (["cat", "dog"], ["different classes"]),
        (["cat", "cat", "dog"], ["same class", "different classes"]),
    ],
    ids=str,
)
def test_a_kind_of_which_there_is_no_pair_is_left_out(store, labels, kinds):
    assert list(pair_curves(store(labels), SPACE, 5)) == kinds


@pytest.mark.parametrize("labels", [[], ["cat"], ["", "", ""], ["cat", "", ""]], ids=str)
def test_a_gallery_without_a_pair_is_refused(store, labels):
    known = len([label for label in labels if label])
    with pytest.raises(
        SimvisError, match=f"Got gallery 'birds' with {known} labelled pictures; wanted two or more: index"
    ):
        pair_curves(store(labels), SPACE)


@pytest.mark.parametrize("count", [0, -3, 20_001])
def test_no_pairs_are_refused(store, count):
    with pytest.raises(SimvisError, match=f"Got {count} pairs; wanted 1 to 20000: ask for another number"):
        pair_curves(store(LABELS), SPACE, count)


def test_a_kind_whose_every_score_is_too_low_is_said(tmp_path):
    index, up = EdgeIndex(tmp_path), np.eye(6, dtype=np.float32)
    rows = [Row(f"{at:032x}".ljust(64, "0"), f"{at}.jpg", label, up[at // 2]) for at, label in enumerate("aabb")]
    index.upsert(SPACE, rows)
    with pytest.raises(SimvisError, match=r"Got 5 pairs with scores under 0\.01; .*: ask others"):
        pair_curves(index, SPACE, 5)
    index.close()
