"""Retrieval figures against the paper written slowly, against pytorch-metric-learning, and by laws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.learning import metrics
from simvis_core.learning.metrics import map_at_r, retrieval_figures


def drawn(count, width, classes, seed):
    chance = np.random.default_rng(seed)
    return torch.from_numpy(chance.normal(size=(count, width))), torch.from_numpy(chance.integers(classes, size=count))


def slowly(embeddings, labels):
    """Musgrave 2020, section 3.2, a query at a time; of equal scores the wrong ones first."""
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    found = []
    for at, query in enumerate(unit):
        others = [other for other in range(len(unit)) if other != at]
        right = {other: bool(labels[other] == labels[at]) for other in others}
        others.sort(key=lambda other: (-float(unit[other] @ query), right[other]))
        hits = [right[other] for other in others]
        partners = sum(hits)
        if partners == 0:
            found.append((math.nan,) * 4)
            continue
        precision = [sum(hits[: place + 1]) / (place + 1) for place in range(len(hits))]
        found.append(
            (
                hits.index(True) + 1,
                sum(p for p, hit in zip(precision, hits, strict=True) if hit) / partners,
                sum(p for p, hit in zip(precision[:partners], hits, strict=False) if hit) / partners,
                sum(hits[:partners]) / partners,
            )
        )
    return torch.tensor(found, dtype=torch.float64)


def columns(found):
    return torch.stack([found.first, found.precisions, found.precisions_at_r, found.shares_at_r], 1)


@given(st.integers(2, 17), st.integers(1, 6), st.integers(0, 10**6))
def test_the_slow_reference_agrees(count, classes, seed):
    embeddings, labels = drawn(count, 3, classes, seed)
    torch.testing.assert_close(
        columns(retrieval_figures(embeddings, labels)), slowly(embeddings, labels), equal_nan=True, atol=1e-12, rtol=0
    )


def test_blocks_change_nothing(monkeypatch):
    embeddings, labels = drawn(23, 4, 5, 1)
    whole = columns(retrieval_figures(embeddings, labels))
    monkeypatch.setattr(metrics, "SCORES_AT_ONCE", 50)  # two queries at a time
    assert torch.equal(columns(retrieval_figures(embeddings, labels)), whole)


@pytest.mark.parametrize(("count", "classes"), [(60, 7), (41, 30), (30, 2)])
def test_pytorch_metric_learning_agrees(count, classes):
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    embeddings, labels = drawn(count, 5, classes, count)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision", "mean_average_precision_at_r", "r_precision"),
        k=None,  # its mAP is of the whole ranking only under None
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    theirs = calculator.get_accuracy(embeddings, labels)
    ours = retrieval_figures(embeddings, labels)
    assert theirs["precision_at_1"] == pytest.approx(ours.recall(1), abs=1e-9)
    assert theirs["mean_average_precision"] == pytest.approx(ours.map, abs=1e-9)
    assert theirs["mean_average_precision_at_r"] == pytest.approx(ours.map_at_r, abs=1e-9)
    assert theirs["r_precision"] == pytest.approx(ours.r_precision, abs=1e-9)


def test_four_queries_by_hand():
    """Around the query at angle 0: a partner, a stranger, a partner; R = 2."""
    turned = torch.tensor([0.0, 0.1, 0.25, 0.3], dtype=torch.float64)
    found = retrieval_figures(torch.stack([turned.cos(), turned.sin()], 1), torch.tensor([7, 7, 1, 7]))
    assert found.precisions[0] == pytest.approx((1 + 2 / 3) / 2)
    assert found.precisions_at_r[0] == pytest.approx(1 / 2)
    assert found.shares_at_r[0] == pytest.approx(1 / 2)
    assert found.first[0] == 1
    assert (found.queries, found.lonely) == (3, 1)
    assert found.worst(9) == (3, 0, 1)  # the stranger's is no query; 3 has its nearest partner second
    assert found.told((1, 2)) == {
        "recall@1": pytest.approx(2 / 3),
        "recall@2": 1,
        "map": pytest.approx(float(found.precisions.nanmean())),
        "r_precision": pytest.approx(float(found.shares_at_r.nanmean())),
        "map@r": pytest.approx(float(found.precisions_at_r.nanmean())),
    }


def test_a_network_that_gives_one_vector_retrieves_nothing():
    found = retrieval_figures(torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 1]))
    assert found.recall(3) == 0
    assert found.map_at_r == 0
    assert found.map == pytest.approx((1 / 4 + 2 / 5) / 2)


@given(st.integers(2, 12), st.integers(0, 10**6))
def test_length_and_labels_names_change_nothing_and_order_goes_along(count, seed):
    embeddings, labels = drawn(count, 3, 3, seed)
    turn = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    lengths = torch.linspace(0.5, 9, count, dtype=torch.float64)[:, None]
    before = columns(retrieval_figures(embeddings, labels))
    after = columns(retrieval_figures((embeddings * lengths)[turn], 10 - labels[turn]))
    torch.testing.assert_close(after, before[turn], equal_nan=True, atol=1e-12, rtol=0)


def test_classes_that_lie_apart_are_perfect_and_nobody_with_a_partner_is_told_so():
    embeddings = torch.eye(3, dtype=torch.float64).repeat_interleave(4, 0)
    labels = torch.arange(3).repeat_interleave(4)
    assert retrieval_figures(embeddings, labels).told((1, 5)) == dict.fromkeys(
        ("recall@1", "recall@5", "map", "r_precision", "map@r"), 1
    )
    assert math.isnan(map_at_r(embeddings, torch.arange(12)))
    with pytest.raises(SimvisError, match="12 embeddings, none of which has another of its class"):
        retrieval_figures(embeddings, torch.arange(12)).told()
    assert retrieval_figures(embeddings[:0], labels[:0]).queries == 0


@pytest.mark.parametrize("wrong", [0.0, math.nan, math.inf])
def test_embeddings_without_a_direction_are_refused(wrong):
    embeddings = torch.eye(3)
    embeddings[1] = wrong
    with pytest.raises(SimvisError, match="an embedding of zero length or with NaN"):
        retrieval_figures(embeddings, torch.arange(3))
