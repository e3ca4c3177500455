"""Attributes of unit embeddings: exact at the picture's own length, laws of rows, groups and lengths, and refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from simvis_core import Activations, SimvisError
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.stored import (
    ATTRIBUTE_USES,
    StoredConfidences,
    chosen_places,
    stored_confidences,
)
from simvis_core.stores.contract import Row
from tests.simvis_core.attributes.test_class_groups import CLASSES, GROUPS, REFERENCE, WIDTH, made

seeds = st.integers(0, 10_000)
confidences = st.lists(st.floats(-9, 9) | st.just(math.nan), max_size=9)


def drawn(seed, rows=4):
    """A model and unit embeddings, float64."""
    model, _ = made(seed)
    chance = torch.Generator().manual_seed(seed + 1)
    return model, normalize(torch.randn(rows, WIDTH, generator=chance, dtype=torch.float64))


@pytest.mark.parametrize("pooling", ["avg", "max", "gem"])
@given(seed=seeds)
def test_at_the_pictures_own_length_it_is_the_exact_confidence(pooling, seed):
    model, picture = made(seed, pooling)
    raw = model.network.raw_from(Activations(picture.features[None]))[0].detach()
    [found] = stored_confidences(model, normalize(raw[None]), float(raw.norm()))
    assert torch.allclose(found, model.confidences(picture), rtol=0, atol=1e-9)


@given(seeds, st.floats(0.1, 20), st.permutations(range(4)))
def test_each_row_is_told_by_itself_in_any_order_and_company(seed, length, order):
    model, embeddings = drawn(seed)
    found = stored_confidences(model, embeddings, length)
    assert found.shape == (4, len(GROUPS))
    assert torch.allclose(stored_confidences(model, embeddings[list(order)], length), found[list(order)], atol=1e-12)
    assert torch.allclose(stored_confidences(model, embeddings[2:3], length), found[2:3], atol=1e-12)


@given(seeds, st.floats(0.1, 9), st.floats(1.1, 3))
def test_without_an_offset_the_surest_class_grows_and_the_least_sure_shrinks_with_the_length(seed, length, times):
    model, embeddings = drawn(seed, rows=1)
    scores = (embeddings @ model.weight.T)[0]
    groups = {"surest": [int(scores.argmax())], "least": [int(scores.argmin())]}
    alone = ClassGroups(model.network, model.weight, torch.zeros(CLASSES).double(), groups, dict.fromkeys(groups, 0.5))
    [short], [long] = (stored_confidences(alone, embeddings, by) for by in (length, times * length))
    assert short[0] < long[0]
    assert short[1] > long[1]


@given(seeds, st.floats(0.1, 9))
def test_a_group_and_the_classes_outside_it_speak_against_each_other(seed, length):
    model, embeddings = drawn(seed)
    groups = {"fur": GROUPS["fur"], "no fur": [one for one in range(CLASSES) if one not in GROUPS["fur"]]}
    reference = {"fur": 0.3, "no fur": 0.7}
    found = stored_confidences(
        ClassGroups(model.network, model.weight, model.bias, groups, reference), embeddings, length
    )
    assert torch.allclose(found[:, 0], -found[:, 1], rtol=0, atol=1e-9)


@given(seeds)
def test_a_larger_group_never_has_the_smaller_share(seed):
    model, embeddings = drawn(seed)
    names = list(GROUPS)
    odds = stored_confidences(model, embeddings, 3.0) + torch.tensor(list(REFERENCE.values())).double().logit()
    assert (odds[:, names.index("most")] >= odds[:, names.index("fur")]).all()


def test_single_precision_is_near_double_and_finite_at_any_length():
    model, embeddings = drawn(3)
    exact = stored_confidences(model, embeddings, 4.0)
    assert torch.allclose(stored_confidences(model, embeddings.float(), 4.0).double(), exact, atol=1e-4)
    assert stored_confidences(model, embeddings.float(), 1e6).isfinite().all()


@pytest.mark.parametrize("length", [0.0, -1.0, math.inf, math.nan])
def test_a_length_that_is_none_is_refused(length):
    model, embeddings = drawn(0)
    with pytest.raises(SimvisError, match="wanted 5 numbers and a length above 0"):
        stored_confidences(model, embeddings, length)


def test_embeddings_of_another_width_are_refused():
    model, embeddings = drawn(0)
    with pytest.raises(SimvisError, match="embeddings of 4 numbers"):
        stored_confidences(model, embeddings[:, :4], 1.0)


# Which hits stay


@given(confidences, st.floats(-9, 9))
def test_a_filter_keeps_the_order_and_what_a_rerank_puts_first(sure, shown_from):
    kept, ranked = (chosen_places(sure, use, shown_from) for use in ATTRIBUTE_USES)
    assert kept == sorted(kept)
    assert sorted(ranked) == list(range(len(sure)))
    assert set(kept) == set(ranked[: len(kept)])
    assert all(sure[place] > shown_from for place in kept)
    told = [sure[place] for place in ranked if not math.isnan(sure[place])]
    assert told == sorted(told, reverse=True)
    assert all(math.isnan(sure[place]) for place in ranked[len(told) :])


@given(confidences, st.floats(-9, 9), st.floats(0, 9))
def test_a_higher_threshold_keeps_fewer(sure, shown_from, more):
    assert set(chosen_places(sure, "filter", shown_from + more)) <= set(chosen_places(sure, "filter", shown_from))


def test_hits_of_one_confidence_stay_in_their_order():
    assert chosen_places([1.0, 2.0, 1.0, 2.0], "rerank", 0) == [1, 3, 0, 2]


# Rows of a gallery


def rows_of(embeddings):
    return [Row(f"{at:064d}"[::-1], f"{at}.jpg", "", one.float().numpy()) for at, one in enumerate(embeddings)]


def test_rows_are_computed_once_and_whatever_comes_with_them(monkeypatch):
    model, embeddings = drawn(5, rows=7)
    monkeypatch.setattr("simvis_core.attributes.stored.ROWS_AT_ONCE", 2)
    rows, sure = rows_of(embeddings), StoredConfidences(model, 3.0)
    expected = stored_confidences(model, embeddings.float(), 3.0)
    for few in (rows[4:6], rows[:4]):
        assert sure.missing([row.id for row in few]) == [row.id for row in few]
        sure.add(few)
    assert sure.missing([row.id for row in rows]) == [rows[6].id]
    for column, name in enumerate(GROUPS):
        found = sure.of([row.id for row in rows], name)
        assert found[:6] == pytest.approx(expected[:6, column].tolist(), abs=1e-5)
        assert math.isnan(found[6])
    with pytest.raises(SimvisError, match="the attribute 'horns'"):
        sure.of([], "horns")


def test_a_row_without_an_embedding_stays_unknown_and_a_damaged_one_shows_nothing():
    model, embeddings = drawn(5)
    rows, sure = rows_of(embeddings), StoredConfidences(model, 3.0)
    bare, damaged = Row(rows[0].sha256, "0.jpg"), Row(rows[1].sha256, "1.jpg", "", np.full(WIDTH, np.nan, np.float32))
    sure.add([bare, damaged])
    assert sure.missing([bare.id, damaged.id]) == [bare.id]
    assert all(map(math.isnan, sure.of([bare.id, damaged.id], "fur")))


def test_beyond_so_many_rows_the_oldest_are_forgotten():
    model, embeddings = drawn(5)
    rows, sure = rows_of(embeddings), StoredConfidences(model, 3.0, most=3)
    sure.add(rows[:2])
    sure.add(rows[2:])
    assert sure.missing([row.id for row in rows]) == [row.id for row in rows[:2]]
    assert sure.of([rows[3].id], "fur") == pytest.approx(
        stored_confidences(model, embeddings[3:].float(), 3.0)[:, 0].tolist(), abs=1e-5
    )
