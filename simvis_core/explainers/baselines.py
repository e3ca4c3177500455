"""Maps that know nothing of the picture, beside which every explainer is measured: noise, and the centre."""

import torch

from simvis_core.explainers.question import Interim, Question, Steps

CENTRE_SPREAD = 0.25  # of each side: standard deviation of the centre baseline
LEAST_BASELINE = 7  # cells on the short side of a baseline: a network of one cell still gets an order of places


def random_map(question: Question, *, seed: int = 0) -> Steps:
    """Noise on the grid of the network's own maps: what any order of places scores.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=64, stride=8))
    >>> draw_map("random", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), seed=1).map.shape
    torch.Size([8, 12])
    """
    yield Interim(0, 0)
    return torch.randn(_baseline_grid(question), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def centre_map(question: Question, *, seed: int = 0) -> Steps:
    """1 in the middle, falling off to the edges: photographers put what matters there.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=56, stride=8))
    >>> map = draw_map("centre", net, net.view(Image.new("RGB", (40, 40))), torch.ones(4)).map
    >>> map[3, 3], map[0, 0] < map[3, 0]
    (tensor(1., dtype=torch.float64), tensor(True))
    """
    del seed
    yield Interim(0, 0)
    down, across = (
        torch.exp(-(((torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5) ** 2) / (2 * CENTRE_SPREAD**2))
        for n in _baseline_grid(question)
    )
    return torch.outer(down, across)


def _baseline_grid(question: Question) -> tuple[int, int]:
    rows, columns = question.grid
    finer = -(-LEAST_BASELINE // min(rows, columns))
    return rows * finer, columns * finer
