"""The viewer's binary numbers read back by hand."""

import numpy as np
import pytest
import torch

from simvis_core.pairs.packing import packed_numbers
from tests.simvis_core import cases
from tests.simvis_core.cases import make_pair


def unpack(pair, packed):
    """map_a, map_b, joint map, patch cosines, by the layout that the docstring promises."""
    n_a, n_b = pair.map_a.numel(), pair.map_b.numel()
    maps = np.frombuffer(packed.content, "<f4", n_a + n_b)
    steps = np.frombuffer(packed.content, "<i2", 2 * n_a * n_b, offset=4 * (n_a + n_b)).astype(float) / 32767
    joint, cosines = steps[: n_a * n_b] * packed.scale_share, steps[n_a * n_b :] * packed.scale_cosine
    return maps[:n_a], maps[n_a:], joint, cosines


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_numbers_come_back_within_half_a_step(dtype):
    pair = make_pair("avg", "none", dtype)
    packed = packed_numbers(pair)
    map_a, map_b, joint, cosines = unpack(pair, packed)
    assert np.array_equal(map_a, pair.map_a.float().flatten())
    assert np.array_equal(map_b, pair.map_b.float().flatten())
    assert np.abs(joint - pair.joint_map.double().flatten().numpy()).max() <= packed.scale_share / 65534 * 1.001
    assert np.abs(cosines - pair.patch_cosines.double().flatten().numpy()).max() <= packed.scale_cosine / 65534 * 1.001


def test_nothing_more_is_in_the_file():
    pair = make_pair("avg", "fc")
    assert len(packed_numbers(pair).content) == 4 * (20 + 21) + 2 * 2 * 20 * 21


def test_scales_are_the_largest_absolute_values():
    pair = make_pair("avg", "fc")
    packed = packed_numbers(pair)
    assert packed.scale_map == max(pair.map_a.abs().max().item(), pair.map_b.abs().max().item())
    assert packed.scale_share == pair.joint_map.abs().max().item()
    assert packed.scale_cosine == pair.patch_cosines.abs().max().item()


def test_an_all_zero_table_packs_as_zeros():
    """With a head that lives on its bias alone, no pair of cells carries anything."""
    network = cases.make_network("avg", "fc")
    network.head.weight.data.zero_()
    pair = cases.explain(network, cases.features((4, 5), 1), cases.features((3, 7), 2))
    packed = packed_numbers(pair)
    assert packed.scale_share == 0
    assert not unpack(pair, packed)[2].any()
