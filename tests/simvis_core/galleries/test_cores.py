"""A batch on several cores: the rows of the whole batch, and nobody else's threads are touched."""

import threading

import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.galleries.cores import Cores


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def cores_of(backbone, head=None):
    """Cores after a first batch, which shows what the modules keep; what that batch gave, and the network."""
    network = EmbeddingNetwork(backbone, head=head)
    cores = Cores(network)
    return cores, cores.mapped(network.embed, pixels(4)), network


def pixels(rows, dtype=torch.float32):
    return torch.rand(rows, 3, 16, 24, generator=torch.Generator().manual_seed(rows), dtype=dtype)


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_parts_are_the_batch_in_its_order(rows):
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8).double())
    with Cores(network) as cores:
        for parts in (1, min(2, rows), min(2, rows)):  # the first batch stays whole
            made = cores.mapped(network.embed, pixels(rows, torch.float64))
            assert len(made) == parts
            wanted = network.embed(pixels(rows, torch.float64))
            torch.testing.assert_close(torch.cat(made), wanted, rtol=0, atol=1e-14)


def test_each_part_has_one_core_and_others_keep_theirs():
    cores, _, _ = cores_of(nn.Conv2d(3, 4, 8, 8))
    with cores:
        both = threading.Barrier(cores.count, timeout=20)  # parts are under way together, or this breaks
        seen = cores.mapped(lambda part: (both.wait(), torch.get_num_threads()), torch.ones(4, 3, 8, 8))
    assert [threads for _, threads in seen] == [1, 1]
    assert torch.get_num_threads() == 2
    elsewhere = []
    late = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    late.start()
    late.join()
    assert elsewhere == [2]


class Keeping(nn.Module):
    """Keeps something of each pass, in one of several ways."""

    def __init__(self, how):
        super().__init__()
        self.own, self.how, self.seen, self.held = nn.Conv2d(3, 4, 8, 8), how, [], None
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, pixels):
        made = self.own(pixels)
        if self.how == "attribute":
            self.held = made
        elif self.how == "list":
            self.seen.append(made)
        elif self.how == "buffer":
            self.mean.copy_(made.mean((0, 2, 3)))
        elif self.how == "once" and self.held is None:
            self.held = 1  # as a table that is made for a size at its first use
        return made


@pytest.mark.parametrize(("how", "shared"), [("attribute", 0), ("list", 0), ("buffer", 0), ("once", 2), ("not", 3)])
@pytest.mark.parametrize("place", ["backbone", "head"])
def test_what_keeps_something_of_a_pass_runs_whole(how, shared, place):
    if place == "backbone":
        cores, first, network = cores_of(Keeping(how))
    else:
        head = nn.Sequential(nn.Unflatten(1, (3, 8, 8)), Keeping(how), nn.Flatten())
        cores, first, network = cores_of(nn.Conv2d(3, 192, 8, 8), head)
    with cores:
        parts = [len(first), *(len(cores.mapped(network.embed, pixels(4))) for _ in range(3))]
    assert parts == [1] * (4 - shared) + [2] * shared


def test_what_has_hooks_runs_whole():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 8, 8))
    backbone[0].register_forward_hook(lambda *_: None)
    cores, _, network = cores_of(backbone)
    with cores:
        assert [len(cores.mapped(network.embed, pixels(4))) for _ in range(2)] == [1, 1]


def test_under_another_engine_and_on_a_card_the_batch_stays_whole():
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))
    other = network.with_backbone(network.backbone, engine="openvino")
    with Cores(other) as cores:
        sizes = [len(cores.mapped(torch.sum, torch.ones(4, 3, 8, 8))) for _ in range(2)]
    assert (cores.count, sizes) == (1, [1, 1])
    assert Cores(network.with_backbone(nn.Conv2d(3, 4, 8, 8, device="meta"))).count == 1


def test_what_a_part_raises_is_raised():
    def refused(part):
        raise SimvisError("a part", "another", "none")

    cores, _, _ = cores_of(nn.Conv2d(3, 4, 8, 8))
    with cores, pytest.raises(SimvisError, match="a part"):
        cores.mapped(refused, torch.ones(4, 3, 8, 8))
