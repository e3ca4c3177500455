"""What a query scores on a view, split over the cells of one layer, with all that is in no cell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.depths.ladder import deepened, ladder, layer_at
from simvis_core.explainers.question import Question
from simvis_core.networks.depth.decomposed import DeepDecomposition
from simvis_core.networks.depth.path import FIRST_STEPS, PathMoves
from simvis_core.networks.depth.references import ReferencePictures


@dataclass(frozen=True, eq=False)
class LayerMap:
    """A map at one layer: shares of the score (H, W), float64, and by name what of the score is in no cell.

    ``left`` has the score's parts of `BIAS_PARTS`; map and left sum to the score. ``passes`` are the pictures that were
    run: the picture itself, references, and points of a path.

    >>> import torch
    >>> from simvis_core.explainers.depths.layer_maps import LayerMap
    >>> one = LayerMap("features", torch.tensor([[0.25, 0.5]]), {"offsets": 0.125}, passes=1)
    >>> one.bias, one.sizes
    (0.125, 0.75)
    """

    layer: str
    map: Float[Tensor, "H W"]
    left: Mapping[str, float] = field(default_factory=dict)
    passes: int = 0

    @property
    def bias(self) -> float:
        """What of the score is in no cell."""
        return sum(self.left.values())

    @property
    def sizes(self) -> float:
        """The sum of the cells' sizes, whatever their sign."""
        return float(self.map.abs().sum())


def split_at(
    question: Question,
    depth: int,
    rule: str = "path",
    reference: ReferencePictures = "blur",
    steps: int = FIRST_STEPS,
) -> Decomposition:
    """The view's embedding as a sum over the cells of a depth.

    Depth 0 is the network's own decomposition where it has one. A path has ``steps`` points and is not refined.
    Raises SimvisError for a depth that the network does not have, and as `EmbeddingNetwork.at` does.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.depths.layer_maps import split_at
    >>> from simvis_core.explainers.question import Question
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> view = net.view(Image.linear_gradient("L").resize((60, 40)))
    >>> [split_at(Question(net, view, torch.ones(5)), depth).grid for depth in (0, 2)]
    [(2, 3), (4, 6)]
    """
    own = _own(question, depth)
    if own is not None:
        return own
    layer = layer_at(question.network, depth)
    network = deepened(question.network, layer, rule, reference)
    made = network.decompose(question.view.pixels)
    if not isinstance(made, DeepDecomposition) or not isinstance(made.moves, PathMoves):
        return made
    return DeepDecomposition(made.moves.with_steps(steps), made.verdict, made.layer)


def _own(question: Question, depth: int) -> Decomposition | None:
    split = question.split if depth == 0 else None
    return split if split is not None and split.method == "decomposition" else None


def passes_at(
    question: Question,
    depth: int,
    rule: str = "path",
    reference: ReferencePictures = "blur",
    steps: int = FIRST_STEPS,
) -> int:
    """How many pictures are run for a map at a depth: the view, and for each reference itself and a path's points.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.depths.layer_maps import passes_at
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> asked = Question(net, net.view(Image.new("RGB", (60, 40))), torch.ones(4))
    >>> passes_at(asked, 0), passes_at(asked, 1), passes_at(asked, 1, reference=["blur", "mean"], steps=4)
    (1, 10, 11)
    """
    if rule != "path" or _own(question, depth) is not None:
        return 1
    return 1 + (len(reference) if isinstance(reference, list | tuple) else 1) * (1 + steps)


def layer_map(
    question: Question,
    depth: int,
    rule: str = "path",
    reference: ReferencePictures = "blur",
    steps: int = FIRST_STEPS,
) -> LayerMap:
    """The question's map at a depth; see `split_at`. What a path's points miss is stated as its remainder.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.depths.layer_maps import layer_map
    >>> from simvis_core.explainers.question import Question
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> asked = Question(net, net.view(Image.linear_gradient("L").resize((60, 40))), torch.ones(5))
    >>> found = layer_map(asked, depth=1)
    >>> found.layer, found.map.shape, abs(float(found.map.sum()) + found.bias - asked.score) < 1e-5
    ('2', torch.Size([2, 3]), True)
    """
    made = split_at(question, depth, rule, reference, steps)
    passes = passes_at(question, depth, rule, reference, steps)
    query = question.query.to(made.embedding)
    layer = made.layer if isinstance(made, DeepDecomposition) else ladder(question.network)[depth]
    if isinstance(made, DeepDecomposition) and isinstance(made.moves, PathMoves):
        return _by_path(question, made.moves, query, layer, passes)
    left = {name: float(part @ query) for name, part in made.bias_parts.items()}
    return LayerMap(layer, made.similarity_map(query).cpu().double(), left, passes)


def _by_path(question: Question, moves: PathMoves, query: Tensor, layer: str, passes: int) -> LayerMap:
    """One pull: what the path misses is known from the sum, without a push along the whole of it."""
    cells, loose = moves.layout.sums(moves.pull(query[None]))
    map, tokens, start = cells[0].cpu().double(), float(loose[0]), float(moves.start @ query)
    missed = float(moves.embedding @ query) - start - tokens - float(map.sum())
    if not math.isfinite(missed):
        raise SimvisError(
            f"NaN or infinity on the way to layer '{layer}' of {question.network.name}", "numbers", "check its weights"
        )
    return LayerMap(layer, map, {"reference": start, "tokens": tokens, "remainder": missed}, passes)
