"""Whitening: mean 0 and covariance 1 on what it was learned on, and a split over cells that stays exact."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.learning.whitening import whitening


def drawn(count, width, seed):
    chance = torch.Generator().manual_seed(seed)
    mixed = torch.randn(width, width, generator=chance, dtype=torch.float64) + 3 * torch.eye(width)
    return torch.randn(count, width, generator=chance, dtype=torch.float64) @ mixed + 3


@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 10**6))
def test_mean_0_and_covariance_1(count, width, seed):
    seen = drawn(count, width, seed)
    white = whitening(seen).double()(seen).detach()
    assert white.shape[1] == min(width, count - 1)
    torch.testing.assert_close(white.mean(0), torch.zeros_like(white[0]), atol=2e-3, rtol=0)
    torch.testing.assert_close(
        white.T @ white / count, torch.eye(white.shape[1], dtype=torch.float64), atol=4e-3, rtol=0
    )


def test_the_first_directions_are_those_of_the_largest_variance_in_either_order_of_the_pictures():
    seen = torch.zeros(40, 3, dtype=torch.float64)
    seen[:, 1] = torch.linspace(-9, 9, 40)
    seen[:, 2] = torch.linspace(-1, 1, 40).square()
    head = whitening(seen, 1).requires_grad_(False)
    assert head.weight[0].abs().argmax() == 1
    assert float(head.weight[0, 1]) == pytest.approx(1 / float(seen[:, 1].std(correction=0)), rel=1e-5)
    torch.testing.assert_close(whitening(seen.flip(0), 1).weight.detach(), head.weight)


def test_as_a_head_it_splits_exactly():
    torch.manual_seed(0)
    backbone = nn.Conv2d(3, 5, 4, 4)
    pixels = torch.rand(9, 3, 8, 12)
    plain = EmbeddingNetwork(backbone)
    net = plain.with_head(whitening(plain.raw_embedding(pixels), 3))
    picture = net.decompose(pixels[0])
    assert net.verdict == "exact"
    torch.testing.assert_close(picture.embedding, net.embed(pixels[:1])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(picture.cells.sum((0, 1)) + picture.bias, picture.embedding, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("seen", "width", "told"),
    [
        (torch.ones(5, 3), None, "of 5 embeddings that vary in 0 directions"),
        (torch.ones(1, 3), None, "1 embeddings, or some with NaN"),
        (torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]), None, "2 embeddings, or some with NaN"),
        (drawn(4, 6, 0), 4, "whitening to 4 numbers, of 4 embeddings that vary in 3 directions"),
        (drawn(4, 6, 0), 0, "whitening to 0 numbers"),
    ],
)
def test_what_cannot_be_whitened_is_refused(seen, width, told):
    with pytest.raises(SimvisError, match=told):
        whitening(seen, width)
