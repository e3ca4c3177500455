"""Three checks that need no ground truth: random weights, small shifts, and agreement between explainers."""

import copy
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.explainers.gradients import check_engine
from simvis_core.explainers.question import Interim, Question
from simvis_core.explainers.table import drawing
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View, enlarge
from simvis_core.steps import run
from simvis_core.trust.faithfulness import levels

OFTEN = 100  # passes of an explainer whose map may be drawn nine times over, as both checks do
STAGES = 4  # shares of the layers that are made random, from the last ones to all
SHIFTS = ((0.0, 0.04), (0.0, -0.04), (0.04, 0.0), (-0.04, 0.0))  # down and across, of the short side
COMPARED = 28  # cells on the short side at which maps of different grids are compared


def rank_correlation(one: Float[Tensor, "H W"], other: Float[Tensor, "H2 W2"]) -> float | None:
    """Spearman's correlation of two maps over one view, -1 to 1, at the finer of their grids.

    None where one of them is constant: it has no order that could agree.

    >>> import torch
    >>> from simvis_core.trust.sanity import rank_correlation
    >>> one, other = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, 9.0]])
    >>> round(rank_correlation(one, other), 6), rank_correlation(one, torch.ones(1, 3))
    (1.0, None)
    """
    grid = (max(one.shape[0], other.shape[0]), max(one.shape[1], other.shape[1]))
    a, b = (_mean_ranks(levels(map, grid).flatten()) for map in (one, other))
    a, b = a - a.mean(), b - b.mean()
    spread = float(a.norm() * b.norm())
    return None if spread < 1e-12 else float(a @ b) / spread


def agreement(maps: Mapping[str, Float[Tensor, "_ _"]]) -> dict[str, dict[str, float | None]]:
    """The rank correlation of every two maps over one view; maps finer than ``COMPARED`` cells are averaged first.

    >>> import torch
    >>> from simvis_core.trust.sanity import agreement
    >>> up = torch.tensor([[1.0, 2.0, 3.0]])
    >>> round(agreement({"up": up, "down": -up})["up"]["down"], 6)
    -1.0
    """
    coarse = {name: coarsened(map) for name, map in maps.items()}
    return {one: {other: rank_correlation(coarse[one], coarse[other]) for other in coarse} for one in coarse}


def agreement_matrix(maps: Mapping[str, Float[Tensor, "_ _"]]) -> Float[Tensor, "N N"]:
    """The rank correlation, -1 to 1, of every two of N maps over one view, in their order: see `agreement`.

    NaN, as a plot's empty cell, where one of the two is constant.

    >>> import torch
    >>> from simvis_core.trust.sanity import agreement_matrix
    >>> up = torch.tensor([[1.0, 2.0, 3.0]])
    >>> agreement_matrix({"up": up, "down": -up})
    tensor([[ 1.0000, -1.0000],
            [-1.0000,  1.0000]], dtype=torch.float64)
    """
    rows = [[math.nan if value is None else value for value in row.values()] for row in agreement(maps).values()]
    return torch.tensor(rows, dtype=torch.float64)


def coarsened(map: Float[Tensor, "H W"], cells: int = COMPARED) -> Float[Tensor, "H2 W2"]:
    """The map averaged to at most so many cells on its short side; a coarser map stays as it is.

    >>> import torch
    >>> from simvis_core.trust.sanity import coarsened
    >>> coarsened(torch.arange(8.0).reshape(2, 4), cells=1)
    tensor([[2.5000, 4.5000]], dtype=torch.float64)
    """
    share = cells / min(map.shape)
    if share >= 1:
        return map
    grid = (max(1, round(map.shape[0] * share)), max(1, round(map.shape[1] * share)))
    return torch.nn.functional.adaptive_avg_pool2d(map[None].double(), grid)[0]


class Randomised(NamedTuple):
    """How much of the layers is random, from the last ones on, and the map's rank correlation with the true one."""

    share: float
    correlation: float | None


def randomisation(
    explainer: str, network: EmbeddingNetwork, view: View, reference: View, seed: int = 0, stages: int = STAGES
) -> list[Randomised]:
    """Whether a map depends on what the network learned (Adebayo 2018, cascading randomisation).

    The last quarter of the layers is drawn anew, then the last half, and so on; the query is the reference's embedding
    under the same random layers. A correlation near 0 is right; one near 1 shows a map that is drawn from the picture
    alone. It follows the rank correlation of the signed maps. Raises SimvisError as `draw_map` does.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.trust.sanity import randomisation
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> view = net.view(Image.effect_noise((60, 40), 90))
    >>> [stage.share for stage in randomisation("decomposition", net, view, view, stages=2)]
    [0.5, 1.0]
    """
    found = randomisation_steps(explainer, network, view, reference, seed, stages)
    return [step for step in found if isinstance(step, Randomised)]


def randomisation_steps(
    explainer: str, network: EmbeddingNetwork, view: View, reference: View, seed: int = 0, stages: int = STAGES
) -> Iterator[Interim | Randomised]:
    """The randomisation test in steps: yields an `Interim` for every step of a drawing, and each stage as it is found.

    What is found, and raised, is that of `randomisation`.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.trust.sanity import randomisation_steps
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> view = net.view(Image.effect_noise((60, 40), 90))
    >>> [type(step).__name__ for step in randomisation_steps("decomposition", net, view, view, stages=1)]
    ['Interim', 'Interim', 'Randomised']
    """
    true = yield from _drawn(explainer, network, view, reference, seed)
    for stage in range(1, stages + 1):
        shaken = randomised(network, stage / stages, seed + stage)
        other = yield from _drawn(explainer, shaken, view, reference, seed)
        yield Randomised(stage / stages, rank_correlation(coarsened(true), coarsened(other)))


def randomised(network: EmbeddingNetwork, share: float, seed: int = 0) -> EmbeddingNetwork:
    """A copy with the last ``share`` of its layers' weights drawn anew, each with its own mean and spread.

    Backbone first, head last; layers without weights do not count. Keeping mean and spread keeps the signal alive:
    norm layers see numbers of the size they expect; batch norms keep their running statistics.

    Raises SimvisError for a network without weights, and one on an engine that does not read them.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.trust.sanity import randomised
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), head=nn.Linear(4, 4))
    >>> half = randomised(net, share=0.5)
    >>> torch.equal(half.backbone.weight, net.backbone.weight), torch.equal(half.head.weight, net.head.weight)
    (True, False)
    """
    check_engine(network)
    other = network.with_backbone(copy.deepcopy(network.backbone)).with_head(copy.deepcopy(network.head))
    layers = [layer for part in (other.backbone, other.head) if part is not None for layer in _layers(part)]
    if not layers:
        raise SimvisError(f"{network.name}, which has no weights", "a trained network", "choose another")
    generator = torch.Generator().manual_seed(seed)
    for layer in layers[len(layers) - max(1, round(share * len(layers))) :]:
        for weight in layer.parameters(recurse=False):
            spread = weight.std() if weight.numel() > 1 else torch.zeros(())
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            weight.data.copy_(weight.mean() + drawn * spread)
    return other


def stability(question: Question, explainer: str, seed: int = 0) -> float | None:
    """How alike maps of slightly shifted views are: the mean rank correlation, after shifting back.

    The view is moved by ``SHIFTS`` of its short side, edges held; the query stays. None where the map, or that of every
    shifted view, is constant.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.trust.sanity import stability
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=64, stride=8))
    >>> question = Question(net, net.view(Image.effect_noise((60, 40), 90)), torch.ones(4))
    >>> stability(question, "centre") > 0.8, -1 <= stability(question, "decomposition") <= 1
    (True, True)
    """
    return run(stability_steps(question, explainer, seed))


def stability_steps(question: Question, explainer: str, seed: int = 0) -> Generator[Interim, None, float | None]:
    """How alike maps of slightly shifted views are, in steps: yields every `Interim`, ends with what `stability` gives.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.trust.sanity import stability_steps
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=64, stride=8))
    >>> question = Question(net, net.view(Image.effect_noise((60, 40), 90)), torch.ones(4))
    >>> len(list(stability_steps(question, "decomposition")))  # the map itself and those of four shifts
    5
    """
    true = yield from _map(explainer, question, seed)
    known = []
    for shift in SHIFTS:
        size = question.size
        down, across = (round(part * min(size)) or (part > 0) - (part < 0) for part in shift)  # a pixel at least
        other = yield from _map(explainer, _shifted(question, down, across), seed)
        found = _alike(enlarge(true.double(), size), enlarge(other.double(), size), down, across)
        known += [] if found is None else [found]
    return sum(known) / len(known) if known else None


def _shifted(question: Question, down: int, across: int) -> Question:
    moved = _moved(question.view.pixels, down, across)
    size = question.size
    box = (0.0, 0.0, float(size[1]), float(size[0]))  # superpixels are cut out of the picture, not of the pixels
    return replace(question, view=View(question.network.preprocess.picture(moved), moved, box), known=None)


def _alike(one: Float[Tensor, "h w"], other: Float[Tensor, "h w"], down: int, across: int) -> float | None:
    """The rank correlation of two maps of which the other is moved, where both have something to say."""
    back = _moved(other[None], -down, -across)[0]
    rows = slice(max(-down, 0), one.shape[0] - max(down, 0))
    columns = slice(max(-across, 0), one.shape[1] - max(across, 0))
    return rank_correlation(coarsened(one[rows, columns]), coarsened(back[rows, columns]))


def _moved(pixels: Float[Tensor, "C h w"], down: int, across: int) -> Float[Tensor, "C h w"]:
    """Moved by whole pixels; what comes in repeats the edge."""
    rows = (torch.arange(pixels.shape[1]) - down).clamp(0, pixels.shape[1] - 1)
    columns = (torch.arange(pixels.shape[2]) - across).clamp(0, pixels.shape[2] - 1)
    return pixels[:, rows][:, :, columns]


def _drawn(
    explainer: str, network: EmbeddingNetwork, view: View, reference: View, seed: int
) -> Generator[Interim, None, Tensor]:
    seen = network.activations(reference.pixels[None]).one()
    split = network.split(seen) or network.unsplit(seen, (1, 1))
    bias = split.bias if split.method == "decomposition" else None
    return (yield from _map(explainer, Question(network, view, split.embedding, bias, reference), seed))


def _map(explainer: str, question: Question, seed: int) -> Generator[Interim, None, Tensor]:
    return (yield from drawing(explainer, question, seed=seed)).map


def _layers(part: nn.Module) -> Sequence[nn.Module]:
    return [layer for layer in part.modules() if any(True for _ in layer.parameters(recurse=False))]


def _mean_ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts + 1) / 2)[inverse]
