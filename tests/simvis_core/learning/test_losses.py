"""Each loss of the table: its formula by hand, that it teaches, and that what it remembers is part of its state."""

import math
import sys

import pytest
import torch
from torch import nn

from simvis_core import SimvisError
from simvis_core.learning.losses import LOSSES, metric_loss


def turned(*angles):
    at = torch.tensor(angles, dtype=torch.float64)
    return torch.stack([at.cos(), at.sin()], 1)


def test_all_triplets_by_hand():
    """Mean over the triplets that violate the margin of distance to the partner - to the other + .1."""
    embeddings, labels = turned(0.0, 0.3, 0.5), torch.tensor([0, 0, 1])
    chord = lambda angle: 2 * math.sin(angle / 2)
    violating = [chord(0.3) - chord(0.2) + 0.1]  # anchor 1; anchor 0: .3 - .5 + .1 < 0
    assert chord(0.3) - chord(0.5) + 0.1 < 0
    assert float(metric_loss("triplet_all", 2, 2)(embeddings, labels)) == pytest.approx(violating[0])


def test_the_hardest_of_the_batch_by_hand():
    embeddings, labels = turned(0.0, 0.3, 0.9, 1.0, 1.1), torch.tensor([0, 0, 0, 1, 1])
    chord = lambda angle: 2 * math.sin(angle / 2)
    hardest = [(0.9, 1.0), (0.6, 0.7), (0.9, 0.1), (0.1, 0.1), (0.1, 0.2)]  # farthest partner, nearest other
    terms = [chord(far) - chord(near) + 0.1 for far, near in hardest]
    terms = [term for term in terms if term > 0]
    assert float(metric_loss("triplet_hard", 2, 2)(embeddings, labels)) == pytest.approx(sum(terms) / len(terms))


def test_contrastive_and_proxies_by_hand():
    embeddings, labels = turned(0.0, 0.3, 0.5), torch.tensor([0, 0, 1])
    chord = lambda angle: 2 * math.sin(angle / 2)
    apart = [1 - chord(0.5), 1 - chord(0.2)]
    expected = chord(0.3) + sum(apart) / 2
    assert float(metric_loss("contrastive", 2, 2)(embeddings, labels)) == pytest.approx(expected)
    loss = metric_loss("proxy_nca", 2, 2).double()
    with torch.no_grad():
        loss.loss.proxies.copy_(turned(0.1, 0.8))
    squared = [(2 * math.sin((angle - proxy) / 2)) ** 2 for angle in (0.0, 0.3, 0.5) for proxy in (0.1, 0.8)]
    scores = -9 * torch.tensor(squared, dtype=torch.float64).view(3, 2)
    expected = nn.functional.cross_entropy(scores, labels)
    assert float(loss(embeddings, labels).detach()) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("memory", [0, 12])
def test_each_loss_pulls_classes_apart(name, memory):
    if memory and not LOSSES[name].remembers:
        with pytest.raises(SimvisError, match=f"a memory behind '{name}', which compares with proxies"):
            metric_loss(name, 3, 4, memory)
        return
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(3)
    vectors = nn.Parameter(torch.randn(9, 4))
    loss = metric_loss(name, 3, 4, memory)
    optimiser = torch.optim.Adam([vectors, *loss.parameters()], 0.1)
    scores = lambda: nn.functional.normalize(vectors.detach()) @ nn.functional.normalize(vectors.detach()).T
    gap = lambda: float(scores()[labels[:, None] == labels].mean() - scores()[labels[:, None] != labels].mean())
    before = gap()
    for _ in range(40):
        optimiser.zero_grad()
        loss(nn.functional.normalize(vectors), labels).backward()
        optimiser.step()
    assert gap() > before + 0.2


def test_a_memory_goes_on_from_its_state():
    torch.manual_seed(1)
    batches = [(nn.functional.normalize(torch.randn(4, 3)), torch.tensor([0, 0, 1, 1])) for _ in range(6)]
    one = metric_loss("contrastive", 2, 3, memory=10)
    numbers = [float(one(*batch)) for batch in batches[:4]]
    other = metric_loss("contrastive", 2, 3, memory=10)
    other.load_state_dict(one.state_dict())
    assert [float(one(*batch)) for batch in batches[4:]] == [float(other(*batch)) for batch in batches[4:]]
    assert numbers[1] != float(metric_loss("contrastive", 2, 3)(*batches[1]))  # it does compare with the batch before


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(SimvisError, match="Got the loss 'hinge'; wanted one of triplet"):
        metric_loss("hinge", 2, 2)
    with pytest.raises(SimvisError, match="a memory of -1 embeddings"):
        metric_loss("triplet", 2, 2, -1)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(SimvisError, match=r"pytorch-metric-learning, which has the losses: pip install"):
        metric_loss("triplet", 2, 2)
