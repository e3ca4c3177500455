"""From two pictures to their explanation: split where the network can be split, drawn by masks where it cannot."""

from collections.abc import Callable, Generator
from dataclasses import replace

from PIL import Image

from simvis_core.decomposition import Decomposition, Method
from simvis_core.explainers.masks import MASKED, Drawing, MasksDone, draw
from simvis_core.networks.depth.decomposed import DeepDecomposition
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explanation import PairExplanation, explain_features
from simvis_core.pictures.views import Framing
from simvis_core.steps import counted, mapped, run

Explaining = Generator[MasksDone, None, PairExplanation]
DrawingAt = Generator[PairExplanation, None, PairExplanation]


def explain_pair(
    network: EmbeddingNetwork,
    image_a: Image.Image,
    image_b: Image.Image,
    short_side: int | None = None,
    framing: Framing = "whole",
    method: Method | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    network_b: EmbeddingNetwork | None = None,
    short_side_b: int | None = None,
) -> PairExplanation:
    """Why the network finds the two pictures as similar as it does; one forward pass a picture.

    With a ``network_b`` these are two towers: ``network`` encodes a and the other b, each in a view of its own, whose
    short side is ``short_side_b`` (without it that network's own); their embeddings must be of one width. For one
    network ``short_side_b`` is b's where it differs from a's.

    A black box, and any network under a ``method`` of MASKED ("sliding window", "RISE"), is drawn by masks instead,
    with a forward pass for each; ``progress`` is told how many of how many are done. The explanation's ``method`` says
    what drew it.

    Raises SimvisError for a picture, a size, a framing or a method it cannot take, for a zero embedding, and for two
    networks whose embeddings differ in width.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red"))
    >>> pair.map_a.shape, pair.map_b.shape, pair.verdict
    (torch.Size([4, 6]), torch.Size([4, 4]), 'exact')
    >>> abs(float(pair.map_a.sum()) + pair.bias_part("a") - pair.score) < 1e-5
    True
    >>> above = EmbeddingNetwork(nn.Conv2d(3, 4, 16, 16), preprocess=Preprocess(short_side=64, stride=16))
    >>> pictures = Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (90, 90), "red")
    >>> towers = explain_pair(net, *pictures, network_b=above)
    >>> towers.map_a.shape, towers.map_b.shape, towers.view_a.size, towers.view_b.size
    (torch.Size([4, 6]), torch.Size([4, 4]), (32, 48), (64, 64))
    """
    tower_b, side_b = (network, short_side) if network_b is None else (network_b, None)
    view_a = network.view(image_a, short_side, framing)
    view_b = tower_b.view(image_b, side_b if short_side_b is None else short_side_b, framing)
    a, b = (tower.activations(view.pixels[None]).one() for tower, view in ((network, view_a), (tower_b, view_b)))
    pair = explain_features(network, view_a, view_b, a, b, unsplit=True, network_b=network_b)
    if (method or default_method(pair)) == pair.method:
        return pair
    return run(explain_by(pair, method or default_method(pair)), counted(progress))


def explain_by(
    pair: PairExplanation, method: Method, a: Decomposition | None = None, b: Decomposition | None = None
) -> Explaining:
    """The pair with its maps drawn by a method of MASKED; yields how many masked pictures of how many are done.

    Its verdict stays the network's, its ``additive`` is false.

    A picture that was drawn before is handed in as ``a`` or ``b`` and costs nothing.

    Raises SimvisError for a method that is not in MASKED.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.explain import explain_by
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red"))
    >>> drawn = run(explain_by(pair, "sliding window"))
    >>> drawn.method, drawn.additive, drawn.map_a.shape
    ('sliding window', False, torch.Size([4, 6]))
    """
    drawings = [
        _known(known) if known is not None else draw(tower, view.pixels, activations, method)
        for known, tower, view, activations in (
            (a, pair.networks["a"], pair.view_a, pair.activations_a),
            (b, pair.networks["b"], pair.view_b, pair.activations_b),
        )
    ]
    counts = [next(drawing)[1] for drawing in drawings]
    yield 0, sum(counts)
    a = yield from mapped(drawings[0], lambda step: (step[0], sum(counts)))
    b = yield from mapped(drawings[1], lambda step: (counts[0] + step[0], sum(counts)))
    return replace(pair, a=replace(a, verdict=pair.verdict), b=replace(b, verdict=pair.verdict))


def drawing_at(
    pair: PairExplanation, network: EmbeddingNetwork, most_steps: int, network_b: EmbeddingNetwork | None = None
) -> DrawingAt:
    """A pair's maps at the layer of a network that `EmbeddingNetwork.at` gave: yields the pair each time it is better.

    Of two towers ``network_b`` is b's, at a layer of its own.

    By the frozen rule that is once. By a path the first has its fewest points, and each next one twice as many on the
    sides whose remainder is not small yet, up to ``most_steps``. Maps and biases of what is yielded are computed.

    Raises SimvisError as `EmbeddingNetwork.at` says of what only a picture shows.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.explain import drawing_at
    >>> from simvis_core.steps import run
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red"))
    >>> run(drawing_at(pair, net.at("1"), 64), lambda drawn: print(drawn.a.grid)).b.grid
    (4, 6)
    (4, 4)
    """
    towers = (network, pair.view_a), (network_b or network, pair.view_b)
    a, b = (tower.activations(view.pixels[None]).one() for tower, view in towers)
    found = explain_features(network, pair.view_a, pair.view_b, a, b, refine=False, network_b=network_b)
    while True:
        _ = found.map_a, found.map_b, found.ledger, found.bias_parts
        yield found
        finer = _finer(found.a, found.b, most_steps), _finer(found.b, found.a, most_steps)
        if finer == (None, None):
            return found
        found = replace(found, a=finer[0] or found.a, b=finer[1] or found.b)


def _finer(own: Decomposition, other: Decomposition, most_steps: int) -> Decomposition | None:
    if not isinstance(own, DeepDecomposition) or own.steps * 2 > most_steps:
        return None
    return own.finer(other.embedding)


def _known(decomposition: Decomposition) -> Drawing:
    """A drawing that is done before it begins."""
    yield 0, 0
    return decomposition


def default_method(pair: PairExplanation) -> Method:
    """What draws the pair's maps where nobody chose: the split, or for a black box without one a sliding window.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.explain import default_method
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> default_method(explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (30, 30), "red")))
    'decomposition'
    """
    return next(iter(MASKED)) if pair.method == "none" else pair.method
