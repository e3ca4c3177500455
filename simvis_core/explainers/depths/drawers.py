"""Explainers that draw at a network's depths: one depth by a path, the mean over several, coarse shares drawn finer."""

from collections.abc import Callable, Generator, Sequence

from simvis_core.errors import SimvisError
from simvis_core.explainers.depths.combined import CombinedMap, finer_shares, mean_over_depths
from simvis_core.explainers.depths.layer_maps import LayerMap, layer_map, passes_at
from simvis_core.explainers.gradients import check_engine
from simvis_core.explainers.question import Interim, Question, Steps

Combining = Generator[Interim, None, CombinedMap]


def path_at_depth(question: Question, *, seed: int = 0, depth: int = 2, steps: int = 8) -> Steps:
    """Shares at a depth, along the line from what a blurred picture gives there, in units of the score.

    Depth 0 is the last features, each further one the next finer grid (`ladder`). Sums to the score less the blurred
    picture's, as far as ``steps`` points follow the line. Depth 0 is the network's own decomposition where it has one.
    Source: integrated gradients (Sundararajan 2017) at a layer (Dhamdhere 2018).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> view = net.view(Image.linear_gradient("L").resize((60, 40)))
    >>> draw_map("path_at_depth_2", net, view, torch.ones(5)).map.shape
    torch.Size([4, 6])
    """
    del seed
    return (yield from _drawn(question, [depth], steps, mean_over_depths)).map


def mean_of_depths(question: Question, *, seed: int = 0, depths: int = 3, steps: int = 8) -> Steps:
    """The mean of the maps at the first ``depths`` depths, each over its own sum of sizes, in units of the score.

    Sums to the score less the same mean of what the maps leave out (`mean_over_depths`).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> drawn = draw_map("mean_of_depths", net, net.view(Image.linear_gradient("L").resize((60, 40))), torch.ones(5))
    >>> drawn.map.shape, drawn.passes
    (torch.Size([4, 6]), 21)
    """
    del seed
    return (yield from _drawn(question, range(depths), steps, mean_over_depths)).map


def shares_by_depth(question: Question, *, seed: int = 0, depth: int = 2, steps: int = 8) -> Steps:
    """The map of depth 0 drawn finer by that of a further depth: each coarse cell keeps its share of the score.

    Sums to what the coarse map sums to (`finer_shares`).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> view, query = net.view(Image.linear_gradient("L").resize((60, 40))), torch.ones(5)
    >>> drawn, coarse = draw_map("shares_by_depth", net, view, query), net.decompose(view.pixels)
    >>> torch.allclose(drawn.map.sum().float(), coarse.similarity_map(query).sum(), atol=1e-5)
    True
    """
    del seed
    return (yield from _drawn(question, [0, depth], steps, lambda parts: finer_shares(*parts))).map


def _drawn(
    question: Question, depths: Sequence[int], steps: int, combine: Callable[[Sequence[LayerMap]], CombinedMap]
) -> Combining:
    """The maps of the depths, one after the other, and what ``combine`` makes of them."""
    check_engine(question.network)
    if not bool(question.activations.features.isfinite().all()):  # before layers are tried out on noise
        raise SimvisError(f"NaN or infinity from {question.network.name}", "numbers", "check its weights")
    assert len(question.embedding)  # an embedding without a direction is refused here, too
    parts: list[LayerMap] = []
    total = sum(passes_at(question, depth, steps=steps) for depth in depths)
    for depth in depths:
        parts.append(layer_map(question, depth, steps=steps))
        yield Interim(sum(part.passes for part in parts), total)
    return combine(parts)
