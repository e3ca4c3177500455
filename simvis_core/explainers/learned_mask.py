"""An explainer that searches: the smallest part of a picture whose blurring takes the score away."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from simvis_core.explainers.gradients import check_engine
from simvis_core.explainers.masked import Setting
from simvis_core.explainers.question import Interim, Question, Steps
from simvis_core.pictures.fills import BLUR, blurred

SHOWN_EVERY = 10  # steps of the descent between two maps that are shown


def mask(
    question: Question,
    *,
    seed: int = 0,
    setting: Setting = "fixed",
    cells: int = 8,
    steps: int = 500,
    rate: float = 0.1,
    sparse: float = 0.01,
    smooth: float = 0.2,
    power: float = 3.0,
) -> Steps:
    """Where as little as possible, blurred, takes the score away: 0 (kept) to 1 (blurred) for each cell.

    A mask of ``cells`` on the short side, enlarged bilinearly, descends by Adam on score + ``sparse`` * the mean of
    what is blurred + ``smooth`` * its total variation to the ``power`` (Fong & Vedaldi 2017, with the settings of
    Plummer 2020, who blur a fixed picture: no jitter, no noise). In the pair setting both pictures have a mask.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> map = draw_map("mask", net, net.view(Image.new("RGB", (60, 40))), torch.ones(4), cells=4, steps=5).map
    >>> map.shape, bool((0 <= map).all() and (map <= 1).all())
    (torch.Size([4, 6]), True)
    """
    del seed
    check_engine(question.network)
    views = [question.view, *([question.other("mask")] if setting == "pair" else [])]
    with torch.inference_mode(False):
        pictures = [view.pixels.clone() for view in views]
        blurs = [blurred(picture, BLUR * min(picture.shape[1:])) for picture in pictures]
        shown = [torch.ones(_cells(picture, cells)).to(picture).requires_grad_() for picture in pictures]
        descent = torch.optim.Adam(shown, lr=rate)
    cost = partial(_cost, sparse=sparse, smooth=smooth, power=power)
    for step in range(1, steps + 1):
        _descend(question, list(zip(pictures, blurs, shown, strict=True)), descent, cost)
        told = step % SHOWN_EVERY == 0 or step == steps
        yield Interim(step * len(shown), steps * len(shown), _blurred_share(shown[0]) if told else None)
    return _blurred_share(shown[0])


@torch.inference_mode(False)
def _descend(
    question: Question,
    parts: list[tuple[Tensor, Tensor, Tensor]],
    descent: torch.optim.Optimizer,
    cost: Callable[[Tensor], Tensor],
) -> None:
    """One step of the masks, held to 0..1."""
    shown = [part[2] for part in parts]
    with torch.enable_grad():
        loss = _pair_score(question, [_mixed(*part) for part in parts]) + sum(map(cost, shown))
    for one, gradient in zip(shown, torch.autograd.grad(loss, shown), strict=True):
        one.grad = gradient
    descent.step()
    with torch.no_grad():
        for one in shown:
            one.clamp_(0, 1)


def _blurred_share(shown: Tensor) -> Tensor:
    return (1 - shown.detach()).cpu()


def _cells(picture: Tensor, cells: int) -> tuple[int, int]:
    h, w = picture.shape[1:]
    return max(1, round(cells * h / min(h, w))), max(1, round(cells * w / min(h, w)))


def _mixed(picture: Tensor, blur: Tensor, shown: Tensor) -> Tensor:
    large = torch.nn.functional.interpolate(
        shown[None, None], size=picture.shape[1:], mode="bilinear", align_corners=False
    )[0]
    return picture * large + blur * (1 - large)


def _pair_score(question: Question, mixed: list[Tensor]) -> Tensor:
    """The score of the mixed view with the query, or with the mixed reference."""
    embeddings = [torch.nn.functional.normalize(question.network.raw_embedding(one[None])[0], dim=0) for one in mixed]
    other = embeddings[1] if len(embeddings) == 2 else question.query.clone().to(embeddings[0])
    return embeddings[0] @ other


def _cost(shown: Tensor, sparse: float, smooth: float, power: float) -> Tensor:
    variation = sum((shown.diff(dim=axis).abs() ** power).mean() for axis in (0, 1) if shown.shape[axis] > 1)
    return sparse * (1 - shown).abs().mean() + smooth * variation
