"""What stands where a picture's pixels are taken away: blur, the training mean, or grey."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.pictures.views import Preprocess

Fill = Literal["blur", "mean", "grey"]
BLUR = 10 / 224  # of the short side: standard deviation of the blur (Fong & Vedaldi 2017, for views of 224)
_REACH = 3  # standard deviations that the blur's kernel reaches to either side


def filled(pixels: Float[Tensor, "3 h w"], fill: str, preprocess: Preprocess) -> Float[Tensor, "3 h w"]:
    """The view with every pixel taken away, in preprocessed colours.

    ``blur`` keeps what is coarser than ``BLUR`` of the short side; ``mean`` is the network's mean training colour
    (`Preprocess.neutral`); ``grey`` is the middle of the colour range. Raises SimvisError for another name.

    >>> import torch
    >>> from simvis_core import Preprocess
    >>> from simvis_core.pictures.fills import filled
    >>> pixels = torch.rand(3, 16, 24)
    >>> filled(pixels, "mean", Preprocess()).abs().max(), filled(pixels, "blur", Preprocess()).shape
    (tensor(0.), torch.Size([3, 16, 24]))
    """
    if fill not in FILLS:
        raise SimvisError(f"fill '{fill}'", f"one of {', '.join(FILLS)}", "choose one of these")
    return FILLS[fill](pixels, preprocess)


def blurred(pixels: Float[Tensor, "3 h w"], sigma: float) -> Float[Tensor, "3 h w"]:
    """The picture under a Gaussian blur of ``sigma`` pixels; edges are held.

    >>> import torch
    >>> from simvis_core.pictures.fills import blurred
    >>> dot = torch.zeros(3, 1, 5)
    >>> dot[:, :, 2] = 1
    >>> blurred(dot, 1.0)[0]
    tensor([[0.0540, 0.2420, 0.3991, 0.2420, 0.0540]])
    """
    reach = max(1, math.ceil(_REACH * sigma))
    at = torch.arange(-reach, reach + 1).to(pixels)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(pixels[:, None], (reach,) * 4, mode="replicate")
    down = torch.nn.functional.conv2d(padded, kernel[None, None, :, None])
    return torch.nn.functional.conv2d(down, kernel[None, None, None, :])[:, 0]


def _blur(pixels: Tensor, _: Preprocess) -> Tensor:
    return blurred(pixels, BLUR * min(pixels.shape[1:]))


def _mean(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    return torch.tensor(preprocess.neutral).to(pixels)[:, None, None].expand_as(pixels).clone()


def _grey(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    mean, std = (torch.tensor(values).to(pixels) for values in (preprocess.mean, preprocess.std))
    return ((0.5 - mean) / std)[:, None, None].expand_as(pixels).clone()


FILLS: dict[str, Callable[[Tensor, Preprocess], Tensor]] = {"blur": _blur, "mean": _mean, "grey": _grey}
