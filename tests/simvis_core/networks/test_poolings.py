"""Poolings against the papers' loops, and the values at which naive code breaks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simvis_core import POOLINGS, Pooling, SimvisError
from tests import references
from tests.simvis_core.cases import GRID_A, GRID_B, features

every_pooling = pytest.mark.parametrize("name", POOLINGS)
# Quarters between -2 and 2: many ties, negatives and zero channels.
quantised = arrays(
    np.int64, st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)), elements=st.integers(-8, 8)
)


def pool(name, map, exponent=3.0):
    return Pooling(name, exponent).pool(map[None])[0]


def close(one, other, tolerance=1e-12):
    return np.allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def cells_first(table):
    """(C, H, W) as (H, W, C)."""
    return np.moveaxis(table, 0, -1)


@every_pooling
@given(quantised)
def test_pooling_is_the_papers_formula(name, quarters):
    map = quarters / 4
    assert close(pool(name, torch.from_numpy(map)), references.POOLS[name](map, 3.0))


@every_pooling
@given(quantised)
def test_parts_add_up_to_the_pooled_vector(name, quarters):
    map = torch.from_numpy(quarters / 4)
    parts = Pooling(name).parts(map)
    assert parts.shape == (*map.shape[1:], Pooling(name).width(*map.shape))
    assert close(parts.sum((0, 1)), pool(name, map))


@every_pooling
def test_width_is_the_pooled_vectors_length(name):
    assert Pooling(name).width(6, *GRID_B) == len(pool(name, features(GRID_B, 1)))


@given(quantised)
def test_average_parts_are_the_cells_over_n(quarters):
    parts = references.gap_parts(quarters / 4)
    ours = Pooling("avg").parts(torch.from_numpy(quarters / 4))
    assert all(close(ours[cell], part) for cell, part in parts.items())


@given(quantised)
def test_max_parts_are_the_papers_surrogate(quarters):
    ours = Pooling("max").parts(torch.from_numpy(quarters / 4))
    assert close(ours, cells_first(references.max_surrogate(quarters / 4)))


@given(quantised, st.sampled_from([1.0, 2.0, 3.0, 4.5]))
def test_gem_parts_are_the_share_of_the_powers(quarters, exponent):
    ours = Pooling("gem", exponent).parts(torch.from_numpy(quarters / 4))
    assert close(ours, cells_first(references.gem_share(quarters / 4, exponent)), 1e-9)


@given(quantised)
def test_flatten_parts_keep_each_cells_own_entries(quarters):
    ours = Pooling("flatten").parts(torch.from_numpy(quarters / 4))
    assert all(close(ours[cell], part) for cell, part in references.flat_parts(quarters / 4).items())


def test_catavgmax_is_average_then_max():
    map = features(GRID_B, 1)
    assert close(pool("catavgmax", map)[:6], references.avg_pool(map.numpy()))
    parts = Pooling("catavgmax").parts(map)
    assert close(parts[..., 6:], cells_first(references.max_surrogate(map.numpy())))


def test_avgmax_is_half_of_both():
    map = torch.tensor([[[1.0, 5.0]]])
    assert pool("avgmax", map).item() == 4.0
    assert Pooling("avgmax").parts(map).flatten().tolist() == [0.25, 3.75]


# Ties, zeros, negatives


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_tied_maxima_share_evenly(dtype):
    map = torch.tensor([[[2.0, 1.0, 2.0], [2.0, 0.0, 2.0]]], dtype=dtype)
    assert Pooling("max").parts(map)[..., 0].tolist() == [[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]


def test_a_negative_maximum_is_kept():
    map = torch.tensor([[[-3.0, -1.0], [-2.0, -1.0]]])
    assert pool("max", map).item() == -1
    assert Pooling("max").parts(map)[..., 0].tolist() == [[0, -0.5], [0, -0.5]]


@every_pooling
def test_a_channel_of_zeros_gives_zeros(name):
    parts = Pooling(name).parts(torch.zeros(2, 3, 4))
    assert torch.equal(parts, torch.zeros_like(parts))
    assert torch.equal(pool(name, torch.zeros(2, 3, 4)), torch.zeros(Pooling(name).width(2, 3, 4)))


def test_gem_of_negative_features_is_zero():
    map = -torch.rand(2, 3, 4) - 0.1
    assert torch.equal(pool("gem", map), torch.zeros(2))
    assert torch.equal(Pooling("gem").parts(map), torch.zeros(3, 4, 2))


@every_pooling
@pytest.mark.parametrize("value", [-2.5, 0.0, 2.5])
def test_one_cell_pools_to_itself(name, value):
    expected = max(value, 0) if name == "gem" else value
    assert pool(name, torch.full((3, 1, 1), value)).tolist() == pytest.approx([expected] * Pooling(name).width(3, 1, 1))


# GeM


def test_gem_with_exponent_one_is_average():
    map = features(GRID_A, 1).abs()
    assert close(pool("gem", map, 1.0), pool("avg", map))
    assert close(Pooling("gem", 1.0).parts(map), Pooling("avg").parts(map))


def test_gem_with_a_large_exponent_tends_to_max():
    map = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    top = map.amax((1, 2))
    gaps = [(top - pool("gem", map, p)).max().item() for p in (3, 30, 300, 1000)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.005
    assert close(Pooling("gem", 1000.0).parts(map), Pooling("max").parts(map), 0.02)


@pytest.mark.parametrize("exponent", [1.0, 3.0, 300.0, 1000.0])
@pytest.mark.parametrize("size", [1e-44, 1e-30, 1.0, 1e30, 3e38])
def test_gem_neither_overflows_nor_underflows(size, exponent):
    map = torch.tensor([[[1.0, 0.5, 0.0], [1.0, 1e-4, 0.25]]]) * size
    pooled, parts = pool("gem", map, exponent), Pooling("gem", exponent).parts(map)
    assert 0.2 * size <= pooled.item() <= 1.01 * size
    assert parts.isfinite().all()
    assert parts.sum().item() == pytest.approx(pooled.item(), rel=1e-5, abs=3e-45)


def test_gem_of_half_precision_is_finite():
    map = torch.tensor([[[6e4, 1.0], [0.0, 6e4]]], dtype=torch.float16)
    assert Pooling("gem").parts(map).isfinite().all()


# Names


def test_parse_reads_names_and_exponents():
    assert Pooling.parse("gem:4.5") == Pooling("gem", 4.5)
    assert Pooling.parse("max") == Pooling("max")
    assert Pooling.parse(Pooling("avg")) == Pooling("avg")


@pytest.mark.parametrize("text", ["gem:4.5", "gem:3", "avg", "flatten"])
def test_str_and_parse_are_inverse(text):
    assert str(Pooling.parse(text)) == text


@pytest.mark.parametrize("exponent", [0.5, 0, -3, 1001, float("nan"), float("inf")])
def test_an_exponent_outside_the_range_is_refused(exponent):
    with pytest.raises(SimvisError, match=r"GeM exponent .*; wanted a number from 1 to 1000"):
        Pooling("gem", exponent)


def test_only_flatten_is_positional():
    assert [name for name in POOLINGS if Pooling(name).positional] == ["flatten"]


def test_a_split_too_large_for_memory_is_refused():
    with pytest.raises(
        SimvisError, match=r"a 28 x 28 grid whose split has 1003520 features, 3001 MiB; wanted at most 256"
    ):
        Pooling("flatten").parts(torch.zeros(1280, 28, 28))
