"""A batch on several cores: the rows of the whole batch, and nobody else's threads are touched."""

import threading

import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.galleries.cores import Cores


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_parts_are_the_batch_in_its_order(two_threads, rows):
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8).double())
    pixels = torch.rand(rows, 3, 16, 24, dtype=torch.float64)
    with Cores(network) as cores:
        parts = cores.mapped(network.embed, pixels)
    assert len(parts) == min(2, rows)
    torch.testing.assert_close(torch.cat(parts), network.embed(pixels), rtol=0, atol=1e-14)


def test_each_part_has_one_core_and_others_keep_theirs(two_threads):
    with Cores(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))) as cores:
        both = threading.Barrier(cores.count, timeout=20)  # parts are under way together, or this breaks
        seen = cores.mapped(lambda part: (both.wait(), torch.get_num_threads()), torch.ones(4, 3, 8, 8))
    assert [threads for _, threads in seen] == [1, 1]
    assert torch.get_num_threads() == 2
    elsewhere = []
    late = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    late.start()
    late.join()
    assert elsewhere == [2]


def test_under_an_engine_with_threads_of_its_own_the_batch_stays_whole(two_threads):
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))
    other = network.with_backbone(network.backbone, engine="openvino")
    with Cores(other) as cores:
        assert (cores.count, len(cores.mapped(torch.sum, torch.ones(4, 3, 8, 8)))) == (1, 1)
    on_card = network.with_backbone(nn.Conv2d(3, 4, 8, 8, device="meta"))
    assert Cores(on_card).count == 1


def test_what_a_part_raises_is_raised(two_threads):
    def refused(part):
        raise SimvisError("a part", "another", "none")

    with Cores(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))) as cores, pytest.raises(SimvisError, match="a part"):
        cores.mapped(refused, torch.ones(4, 3, 8, 8))
