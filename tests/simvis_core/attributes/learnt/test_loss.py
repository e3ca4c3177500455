"""The loss is the paper's: against a slow reference, by finite differences, and worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core.attributes.learnt.loss import AttributeLoss, map_term, saliency_targets
from tests import references

seeds = st.integers(0, 2**31)


def drawn(seed, pictures=4, attributes=3, grid=(2, 3), references=2):
    chance = torch.Generator().manual_seed(seed)
    maps = torch.randn(pictures, attributes, *grid, generator=chance, dtype=torch.float64)
    true = torch.rand(pictures, attributes, generator=chance) < 0.5
    true[0] = torch.tensor([True, False, True])
    true[1] = False  # a picture of which nothing is true
    targets = torch.rand(pictures, references, grid[0] * grid[1], generator=chance, dtype=torch.float64)
    return maps, true, targets / targets.sum(2, keepdim=True)


@given(seeds, st.sampled_from([0.0, 5e-3, 0.7]))
def test_it_is_the_papers_loss(seed, weight):
    maps, true, targets = drawn(seed)
    found = AttributeLoss(true, targets, weight)(maps, torch.arange(4))
    expected = references.attribute_loss(maps.numpy(), true.tolist(), targets.numpy(), weight)
    assert float(found) == pytest.approx(expected, abs=1e-12)


@given(seeds)
def test_its_gradient_is_that_of_finite_differences(seed):
    maps, true, targets = drawn(seed)
    loss = AttributeLoss(true, targets, 0.5)
    maps.requires_grad_()
    loss(maps, torch.arange(4)).backward()
    way = torch.randn(maps.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        up, down = (float(loss(maps + sign * step * way, torch.arange(4))) for sign in (1, -1))
    assert float((maps.grad * way).sum()) == pytest.approx((up - down) / (2 * step), abs=1e-6)


@given(seeds)
def test_without_a_weight_there_is_no_map_term(seed):
    maps, true, targets = drawn(seed)
    plain, without = AttributeLoss(true), AttributeLoss(true, targets, 0.0)
    assert float(plain(maps, torch.arange(4))) == float(without(maps, torch.arange(4)))


@given(seeds)
def test_the_order_of_the_pictures_is_irrelevant(seed):
    maps, true, targets = drawn(seed)
    loss, order = AttributeLoss(true, targets, 0.3), torch.tensor([2, 0, 3, 1])
    assert float(loss(maps[order], order)) == pytest.approx(float(loss(maps, torch.arange(4))), abs=1e-12)


def test_labels_are_divided_by_their_count():
    """Two of two are true: one half each, which even maps give."""
    loss = AttributeLoss(torch.tensor([[True, True]]))
    assert float(loss(torch.zeros(1, 2, 2, 3), torch.tensor([0]))) == 0


def test_the_map_term_is_of_the_true_attribute_that_is_nearest():
    left, right = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
    maps = torch.stack([left, right])[None]
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # one pair's map at the left, another's at the right
    assert float(map_term(maps, target, torch.tensor([[True, True]]))) == pytest.approx(0, abs=1e-6)
    assert float(map_term(maps, target, torch.tensor([[True, False]]))) == pytest.approx(2**0.5 / 2, abs=1e-6)
    assert float(map_term(maps, target, torch.tensor([[False, False]]))) == 0


def test_it_pulls_the_nearest_true_map_and_no_other():
    maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.0]]]], requires_grad=True)
    map_term(maps, torch.tensor([[[1.0, 0.0]]]), torch.tensor([[True, True, False]])).backward()
    assert maps.grad[0, 0, 0, 0] < 0 < maps.grad[0, 0, 0, 1]
    assert maps.grad[0, 1:].abs().max() == 0


def test_pictures_that_share_nothing_pull_nowhere():
    maps, true, targets = drawn(3)
    true[2], targets[2] = True, torch.nan
    maps.requires_grad_()
    map_term(maps, targets, true).backward()
    assert maps.grad.isfinite().all()
    assert maps.grad[2].abs().max() == maps.grad[1].abs().max() == 0
    assert maps.grad[0].abs().max() > 0


@given(seeds)
def test_targets_are_distributions_that_do_not_hang_on_the_scores_unit(seed):
    maps = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = saliency_targets(maps, (2, 3))
    assert torch.allclose(found.sum(1), torch.ones(3, dtype=torch.float64))
    assert (found >= 0).all()
    assert torch.allclose(found, saliency_targets(1e-3 * maps, (2, 3)))
