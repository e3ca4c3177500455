"""Average precision is scikit-learn's, its mean has an interval, and shuffled labels are at chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from simvis_core import SimvisError
from simvis_core.attributes.learnt.precision import (
    average_precisions,
    chance_precision,
    mean_precision,
    shuffled_truth,
)


@given(st.integers(0, 2**31), st.sampled_from([2, 7, 1000]))
def test_it_is_scikit_learns_ties_and_all(seed, levels):
    chance = np.random.default_rng(seed)
    scores, truth = chance.integers(0, levels, (11, 3)) / levels, chance.random((11, 3)) < 0.4
    truth[0] = True
    found = average_precisions(torch.from_numpy(scores), torch.from_numpy(truth))
    expected = [average_precision_score(truth[:, at], scores[:, at]) for at in range(3)]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_order_of_the_pictures_is_irrelevant_and_none_true_is_nan():
    scores = torch.tensor([[0.4, 1.0], [0.9, 2.0], [0.4, 3.0]])
    truth = torch.tensor([[True, False], [False, False], [False, False]])
    order = torch.tensor([2, 0, 1])
    found = average_precisions(scores, truth)
    assert found[0] == pytest.approx(1 / 3)
    assert found[1].isnan()
    assert torch.equal(average_precisions(scores[order], truth[order])[:1], found[:1])


def test_the_mean_leaves_out_what_is_true_of_none():
    scores, truth = torch.eye(4)[:, :2], torch.eye(4)[:, :2].bool()
    truth[:, 1] = False
    found = mean_precision(scores, truth)
    assert (found.mean, found.low, found.high, found.pairs) == (1.0, None, None, 1)
    with pytest.raises(SimvisError, match="pictures of which no attribute is true"):
        mean_precision(scores, torch.zeros(4, 2, dtype=torch.bool))


def test_shuffled_labels_are_at_chance():
    chance = torch.Generator().manual_seed(0)
    truth = torch.rand(600, 8, generator=chance) < 0.3
    scores = truth + 0.1 * torch.rand(600, 8, generator=chance)
    shuffled = shuffled_truth(truth, seed=1)
    assert torch.equal(shuffled.sum(0), truth.sum(0))
    assert mean_precision(scores, truth).mean == 1
    assert mean_precision(scores, shuffled).mean == pytest.approx(chance_precision(truth), abs=0.05)
