"""Explainers that only hide parts of a picture and look at the score: they work on any network."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.segmentation import slic
from torch import Tensor

from simvis_core.explainers.masks import Masks, batch_of, check_count, rise_masks, sliding_windows
from simvis_core.explainers.question import Interim, Question, Steps
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View

Setting = Literal["fixed", "pair"]
Batches = Iterator[tuple[Tensor, Tensor]]  # masked pictures (B, 3, h, w), and what says how they are masked


def sliding_window(question: Question, *, seed: int = 0, window: int = 8, steps_a_side: int = 28) -> Steps:
    """What the score loses, on average, while a window over the place is hidden, in units of the score.

    A window of ``window`` steps on a lattice of ``steps_a_side`` on the short side: 32 and 4 of 112 pixels (Zeiler &
    Fergus 2014, as Plummer 2020 uses it, whose saliency 1 - score has the same order). Windows reach over the edges and
    the sum is divided by how often a place was hidden, so that no place is favoured. Nothing is random.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> view = net.view(Image.new("RGB", (60, 40)))
    >>> drawn = draw_map("sliding_window", net, view, torch.ones(4), window=2, steps_a_side=4)
    >>> drawn.map.shape, drawn.passes
    (torch.Size([4, 6]), 35)
    """
    del seed
    query = question.query.cpu().double()
    return (yield from _over_windows(question, steps_a_side, window, 1, lambda found: question.score - found @ query))


def rise(
    question: Question,
    *,
    seed: int = 0,
    setting: Setting = "fixed",
    masks: int = 2000,
    cells: int = 8,
    chance: float = 0.5,
    coverage: int = 1,
) -> Steps:
    """How the mean score differs while the pixel is shown, in units of the score (Petsiuk 2018, RISE, eq. 6).

    Divided by what each pixel was shown in fact, or for a ``coverage`` of 0 by what it is on average, as in the paper,
    where chance alone makes a pixel that was shown often count for more. Less the mean score of all masks, which makes
    it signed and leaves the order as it is. In the pair setting the reference is masked as well (Plummer 2020).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> draw_map("rise", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), masks=20).map.shape
    torch.Size([32, 48])
    """
    opposite = None
    if setting == "pair":
        other = question.other("rise")
        opposite = _embedded(question.network, _hidden(other, _rise(other, masks, seed + 1, cells, chance), "shown"))
    weighted = shown = torch.zeros(question.size, dtype=torch.float64)
    done, total, count = 0, 0.0, masks
    batches = _hidden(question.view, _rise(question.view, masks, seed, cells, chance), "shown")
    for how, scores in _scored(question, batches, opposite):
        weighted = weighted + torch.tensordot(scores, how.double(), dims=1)
        shown = shown + how.double().sum(0)
        done, total = done + len(scores), total + float(scores.sum())
        divisor = shown if coverage else torch.full_like(shown, done * chance)
        yield _interim(done, count, setting, _differences(weighted, divisor, total / done))
    return _differences(weighted, divisor, total / done)


def corr_rise(
    question: Question, *, seed: int = 0, masks: int = 500, patches: int = 3, side: float = 30 / 112
) -> Steps:
    """The correlation, -1 to 1, of a pixel's being shown with the score (Lu 2024, CorrRISE).

    Each mask hides ``patches`` squares of ``side`` of the short side. A pixel that was never or always hidden gets 0.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> map = draw_map("corr_rise", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), masks=20).map
    >>> bool(map.abs().max() <= 1)
    True
    """
    check_count(masks)
    sums = _Moments(torch.zeros(question.size, dtype=torch.float64))
    batches = _patches(question.size, masks, patches, max(1, round(side * min(question.size))), seed)
    for how, scores in _scored(question, _hidden(question.view, batches, "shown")):
        sums.add(how.double(), scores)
        yield Interim(sums.count, masks, sums.correlation())
    return sums.correlation()


def sbsm(question: Question, *, seed: int = 0, window: int = 5, step: int = 2, steps_a_side: int = 22) -> Steps:
    """How much farther the picture is from the query, on average, while a window over the place is hidden.

    In units of the Euclidean distance (Dong 2019, similarity-based saliency maps for retrieval; windows of about 50
    and steps of 20 of 224 pixels). The paper drops windows that bring the picture nearer; here they count as negative.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> drawn = draw_map("sbsm", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), steps_a_side=4)
    >>> drawn.map.shape, drawn.passes
    (torch.Size([4, 6]), 20)
    """
    del seed
    query = question.query.cpu().double()
    whole = (question.embedding - query).norm()
    return (
        yield from _over_windows(
            question, steps_a_side, window, step, lambda found: (found - query).norm(dim=1) - whole
        )
    )


def lime(
    question: Question,
    *,
    seed: int = 0,
    setting: Setting = "fixed",
    samples: int = 1000,
    segments: int = 50,
    width: float = 0.25,
    alpha: float = 1.0,
) -> Steps:
    """What each superpixel adds to the score in a linear model of it, in units of the score (Ribeiro 2016, LIME).

    Superpixels (SLIC) are hidden by their own mean colour, each with a chance of one half; samples weigh by their
    likeness to the whole picture (exponential kernel of ``width`` on the cosine distance); ridge regression with
    ``alpha``. In the pair setting the reference's superpixels are hidden as well (Plummer 2020).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> draw_map("lime", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), samples=20, segments=4).map.shape
    torch.Size([32, 48])
    """
    check_count(samples)
    opposite = None
    if setting == "pair":
        other = question.other("lime")
        masked = _superpixels_hidden(other, superpixels(other, segments), samples, seed + 1)
        opposite = _embedded(question.network, masked)
    labels = superpixels(question.view, segments)
    codes, scores = [], []
    for how, found in _scored(question, _superpixels_hidden(question.view, labels, samples, seed), opposite):
        codes.append(how)
        scores.append(found)
        done = sum(map(len, scores))
        yield _interim(done, samples, setting, _linear(torch.cat(codes), torch.cat(scores), width, alpha)[labels])
    return _linear(torch.cat(codes), torch.cat(scores), width, alpha)[labels]


def superpixels(view: View, segments: int) -> Int[Tensor, "h w"]:
    """The view cut into about so many superpixels, numbered from 0 (SLIC, from scikit-image).

    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.explainers.masked import superpixels
    >>> picture = Image.new("RGB", (32, 32), "white")
    >>> picture.paste("black", (16, 0, 32, 32))
    >>> labels = superpixels(Preprocess(short_side=32, stride=8).view(picture), segments=4)
    >>> labels.shape, bool(labels[0, 0] == labels[0, 31])
    (torch.Size([32, 32]), False)
    """
    shown = (view.picture(max(view.size))).resize(view.size[::-1])
    labels = slic(np.asarray(shown), n_segments=segments, compactness=10, start_label=0)
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(view.size))


# ---------------------------------------------------------------- masked pictures and their scores


def _over_windows(
    question: Question, steps_a_side: int, side: int, step: int, lost: Callable[[Tensor], Tensor]
) -> Steps:
    """Over the windows that hide a place, the mean of what their embeddings lost."""
    lattice = _lattice(question.size, steps_a_side)
    count, batches = sliding_windows(question.size, lattice, side, step)
    losses = hidden = torch.zeros(lattice, dtype=torch.float64)
    done = 0
    for pictures, how in _hidden(question.view, batches, "weights"):
        found = lost(question.network.embed(pictures).cpu().double())
        losses = losses + torch.tensordot(found, how.double(), dims=1)
        hidden = hidden + how.double().sum(0)
        done += len(pictures)
        yield Interim(done, count, losses / hidden.clamp(min=1))
    return losses / hidden.clamp(min=1)


def _scored(question: Question, batches: Batches, opposite: Iterator[Tensor] | None = None) -> Batches:
    """How each batch is masked, and its scores: with the query, or with as many masked references."""
    for pictures, how in batches:
        if opposite is None:
            yield how, question.scores(pictures)
        else:
            references = torch.stack(list(islice(opposite, len(pictures))))
            yield how, (question.network.embed(pictures).cpu().double() * references).sum(1)


def _embedded(network: EmbeddingNetwork, batches: Batches) -> Iterator[Tensor]:
    for pictures, _ in batches:
        yield from network.embed(pictures).cpu().double()


def _hidden(view: View, batches: Iterator[Masks], said: Literal["shown", "weights"]) -> Batches:
    """The view under each batch of masks; what is hidden takes the training mean, 0 after preprocessing."""
    for masks in batches:
        yield view.pixels * masks.shown[:, None], getattr(masks, said)


def _rise(view: View, count: int, seed: int, cells: int, chance: float) -> Iterator[Masks]:
    return rise_masks(view.size, (1, 1), count, seed, cells, chance)[1]  # nobody reads their weights


def _patches(size: tuple[int, int], count: int, patches: int, side: int, seed: int) -> Iterator[Masks]:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (max(1, length - side + 1) for length in size)
    for number in torch.arange(count).split(batch_of(size)):
        tops, lefts = (
            torch.randint(0, most, (len(number), patches, 1), generator=generator) for most in (rows, columns)
        )
        down, across = (
            (at >= start) & (at < start + side) for at, start in zip(_ticks(size), (tops, lefts), strict=True)
        )
        shown = 1 - (down[:, :, :, None] & across[:, :, None, :]).any(1).float()
        yield Masks(shown, shown)


def _ticks(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return torch.arange(size[0]), torch.arange(size[1])


def _superpixels_hidden(view: View, labels: Tensor, samples: int, seed: int) -> Batches:
    """The whole view first, as LIME does, then random halves of its superpixels."""
    generator = torch.Generator().manual_seed(seed)
    count = int(labels.max()) + 1
    codes = (torch.rand(samples, count, generator=generator) < 0.5).to(view.pixels)
    codes[0] = 1
    means = _segment_means(view.pixels, labels, count)
    for part in codes.split(batch_of(view.size)):
        shown = part[:, labels][:, None]
        yield view.pixels * shown + means * (1 - shown), part.double()


def _segment_means(pixels: Tensor, labels: Tensor, count: int) -> Tensor:
    sums = torch.zeros(3, count).to(pixels).index_add_(1, labels.flatten(), pixels.flatten(1))
    return (sums / torch.bincount(labels.flatten(), minlength=count))[:, labels]


# ---------------------------------------------------------------- from scores to maps


def _differences(weighted: Tensor, shown: Tensor, mean: float) -> Tensor:
    """The mean score while a pixel is shown, less that of all masks; 0 for a pixel that never was."""
    return torch.where(shown > 0, weighted / shown.clamp(min=1e-12) - mean, 0.0)


def _linear(
    codes: Float[Tensor, "N S"], scores: Float[Tensor, " N"], width: float, alpha: float
) -> Float[Tensor, " S"]:
    """Coefficients of a weighted ridge regression with intercept."""
    distances = 1 - codes.mean(1).sqrt()  # of a code to the whole picture's, all ones: 1 - cosine
    weights = torch.exp(-(distances**2) / width**2).sqrt()
    share = weights / weights.sum()
    centred = (codes - share @ codes) * weights.sqrt()[:, None]
    target = (scores - share @ scores) * weights.sqrt()
    return torch.linalg.solve(centred.T @ centred + alpha * torch.eye(codes.shape[1]).to(codes), centred.T @ target)


class _Moments:
    """Running sums for the correlation of every pixel's mask with the score, which is counted from the first one.

    Scores that hardly differ would otherwise be lost in the rounding of their squares.
    """

    def __init__(self, zeros: Tensor) -> None:
        self.count, self.first, self.score, self.score_squared = 0, 0.0, 0.0, 0.0
        self.mask = self.mask_squared = self.product = zeros

    def add(self, masks: Tensor, scores: Tensor) -> None:
        self.first = self.first if self.count else float(scores[0])
        self.count, scores = self.count + len(scores), scores - self.first
        self.score, self.score_squared = self.score + float(scores.sum()), self.score_squared + float(scores @ scores)
        self.mask, self.mask_squared = self.mask + masks.sum(0), self.mask_squared + (masks**2).sum(0)
        self.product = self.product + torch.tensordot(scores, masks, dims=1)

    def correlation(self) -> Tensor:
        """0 where a pixel's mask, or the score, never changed."""
        mean, score = self.mask / self.count, self.score / self.count
        spread = self.mask_squared / self.count - mean**2
        score_spread = self.score_squared / self.count - score**2
        if score_spread <= 1e-18:
            return torch.zeros_like(mean)
        covariance = self.product / self.count - mean * score
        return torch.where(spread > 1e-9, covariance / (spread.clamp(min=1e-9) * score_spread).sqrt(), 0.0)


def _lattice(size: tuple[int, int], steps_a_side: int) -> tuple[int, int]:
    """Rows and columns of equal steps over a view, so many on its short side; no step is less than a pixel."""
    step = max(1.0, min(size) / steps_a_side)
    return round(size[0] / step), round(size[1] / step)


def _interim(done: int, count: int, setting: Setting, map: Tensor) -> Interim:
    """In the pair setting each mask costs two forward passes."""
    both = 2 if setting == "pair" else 1
    return Interim(both * done, both * count, map)
