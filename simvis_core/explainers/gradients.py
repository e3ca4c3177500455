"""Explainers that follow gradients: of the features (CAM methods) or of the picture's own pixels."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import BATCH_PIXELS
from simvis_core.explainers.question import Interim, Question, Steps
from simvis_core.networks.network import EmbeddingNetwork

GRADIENT_ENGINES = ("eager", "channels_last")  # through which gradients flow


def grad_cam(question: Question, *, seed: int = 0, normalised: bool = False) -> Steps:
    """Features weighted by the mean gradient of the score, in units of the score (Selvaraju 2017, before its ReLU).

    The target is the dot product with the embedding's length held fixed: with average pooling and an affine head the
    map is the decomposition with bias (Zhu 2021). ``normalised`` takes the cosine itself, whose map with average
    pooling and no bias sums to zero and looks scattered.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> view, query = net.view(Image.new("RGB", (60, 40), "orange")), torch.ones(4)
    >>> ours = net.decompose(view.pixels).similarity_map(query)  # with average pooling the same map
    >>> torch.allclose(draw_map("grad_cam", net, view, query).map, ours, atol=1e-5)
    True
    """
    del seed
    features, gradient = feature_gradient(question, normalised)
    yield Interim(1, 1)
    return torch.einsum("c,chw->hw", gradient.mean((1, 2)), features)


def hires_cam(question: Question, *, seed: int = 0) -> Steps:
    """Features times their own gradients, in units of the score (Zhu 2021's RGrad-CAM; Draelos 2020's HiResCAM).

    For a pooling and head without curvature it is the decomposition with bias, whatever the pooling.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), "max", preprocess=Preprocess(short_side=32, stride=8))
    >>> view, query = net.view(Image.new("RGB", (60, 40), "orange")), torch.ones(4)
    >>> ours = net.decompose(view.pixels).similarity_map(query)
    >>> torch.allclose(draw_map("hires_cam", net, view, query).map, ours, atol=1e-5)
    True
    """
    del seed
    features, gradient = feature_gradient(question, False)
    yield Interim(1, 1)
    return (features * gradient).sum(0)


@torch.inference_mode(False)
def feature_gradient(question: Question, normalised: bool) -> tuple[Float[Tensor, "C H W"], Float[Tensor, "C H W"]]:
    """The last features and the gradient of the score at them; only pooling and head are run.

    Raises SimvisError where the embedding does not come from these features (a class token).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.gradients import feature_gradient
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40))), torch.ones(4))
    >>> [part.shape for part in feature_gradient(question, normalised=False)]
    [torch.Size([4, 4, 6]), torch.Size([4, 4, 6])]
    """
    seen = question.activations
    with torch.enable_grad():
        features = seen.features.detach().clone().requires_grad_()
        batch = type(seen)(*(None if t is None else t.clone()[None] for t in (features, seen.pooled, seen.carried)))  # type: ignore[arg-type]
        score = _target(question.network.raw_from(batch)[0], question.query, normalised)
        gradient = torch.autograd.grad(score, features, allow_unused=True)[0] if score.requires_grad else None
    if gradient is None:
        raise SimvisError(
            f"{question.network.name} under '{question.network.pooling}', whose embedding does not come from its cells",
            "a network that pools its last features",
            "choose an explainer that hides parts of the picture",
        )
    return features.detach(), gradient


def input_x_gradient(question: Question, *, seed: int = 0) -> Steps:
    """Each pixel's difference from the mean colour times the score's gradient there, in units of the score.

    Summed over the colours (Shrikumar 2016). It does not sum to the score: a bias-free network's sums to zero, for the
    cosine does not know the embedding's length.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> draw_map("input_x_gradient", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4)).map.shape
    torch.Size([32, 48])
    """
    del seed
    pixels = question.view.pixels
    gradient = pixel_gradient(question.network, pixels[None], question.query)[0]
    yield Interim(1, 1)
    return (pixels.cpu() * gradient.cpu()).sum(0)


def integrated_gradients(question: Question, *, seed: int = 0, steps: int = 50) -> Steps:
    """Each pixel's part of what the score gains on the way from the mean colour, in units of the score.

    Sums to the score less that of a picture of nothing but mean colour, as far as ``steps`` of Gauss-Legendre's rule
    follow the way (Sundararajan 2017); `integral_left` says what they miss. Summed over the colours.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> drawn = draw_map("integrated_gradients", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), steps=5)
    >>> drawn.map.shape, drawn.passes
    (torch.Size([32, 48]), 5)
    """
    del seed
    pixels = question.view.pixels
    at, weights = (torch.from_numpy(part).to(pixels) for part in np.polynomial.legendre.leggauss(steps))
    gradient, done = torch.zeros_like(pixels), 0
    for places, shares in zip(
        *((t).split(_half_batch(question.size)) for t in ((at + 1) / 2, weights / 2)), strict=True
    ):
        found = pixel_gradient(question.network, pixels * places[:, None, None, None], question.query)
        gradient = gradient + torch.tensordot(shares, found.to(shares), dims=1)
        done += len(places)
        yield Interim(done, steps, (pixels * gradient).sum(0).cpu())
    return (pixels * gradient).sum(0).cpu()


def integral_left(question: Question, map: Float[Tensor, "h w"]) -> float:
    """What an integrated-gradients map leaves over, in units of the score: what its points missed of the way.

    The score, less that of a picture of nothing but mean colour, less the map's sum; one forward pass.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.gradients import integral_left
    >>> from simvis_core.explainers.question import Question
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40))), torch.ones(4))
    >>> one, other = (integral_left(question, torch.full((32, 48), share)) for share in (0.0, 1 / 1536))
    >>> abs(one - other - 1) < 1e-6
    True
    """
    blank = float(question.scores(torch.zeros_like(question.view.pixels)[None])[0])
    return question.score - blank - float(map.double().sum())


@torch.inference_mode(False)
def pixel_gradient(
    network: EmbeddingNetwork, pictures: Float[Tensor, "B 3 h w"], query: Float[Tensor, " D"]
) -> Float[Tensor, "B 3 h w"]:
    """The gradient of each picture's score at its pixels.

    Raises SimvisError for an engine other than eager, through which no gradient flows.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.gradients import pixel_gradient
    >>> pixel_gradient(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), torch.rand(2, 3, 16, 24), torch.ones(4)).shape
    torch.Size([2, 3, 16, 24])
    """
    check_engine(network)
    with torch.enable_grad():
        pixels = pictures.clone().requires_grad_()
        score = sum(_target(raw, query, True) for raw in network.raw_embedding(pixels))
        assert isinstance(score, Tensor)
        if not score.requires_grad:
            raise SimvisError(
                f"{network.name}, through which no gradient comes back",
                "a network that runs in this process, and looks at its pixels",
                "choose an explainer that hides parts of the picture",
            )
        gradient = torch.autograd.grad(score, pixels, allow_unused=True)[0]
        return torch.zeros_like(pixels) if gradient is None else gradient


def _target(raw: Tensor, query: Tensor, normalised: bool) -> Tensor:
    """The score of an embedding before the unit norm; its length takes part in the gradient only if normalised."""
    length = raw.norm() if normalised else raw.norm().detach()
    return raw @ query.clone().to(raw) / length


def _half_batch(size: tuple[int, int]) -> int:
    """Gradients keep every layer's output: fewer pictures at a time than without them."""
    return max(1, BATCH_PIXELS // 4 // (size[0] * size[1]))


def check_engine(network: EmbeddingNetwork) -> None:
    """Raises SimvisError for an engine through which no gradient flows.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.gradients import check_engine
    >>> check_engine(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)))
    """
    if network.engine not in GRADIENT_ENGINES:
        raise SimvisError(
            f"{network.name} under the engine '{network.engine}', through which no gradient flows",
            "eager",
            "use `with_engine(network, 'eager')`",
        )
