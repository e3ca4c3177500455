"""How a picture is shrunk to a view: Pillow's own way, or the same filter by a kernel that large photographs need."""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError

Resampling = Literal["bilinear", "bicubic"]
Resizing = Literal["quick", "reference"]
RESIZINGS: tuple[Resizing, ...] = get_args(Resizing)
QUICK_FROM = 1_000_000  # pixels; below, Pillow takes milliseconds, and small pictures keep their scores to the bit
UNPACKED_BAND = 16_000_000  # pixels that are unpacked together
Edges = tuple[float, float, float, float]


def resized(
    image: Image.Image, size: tuple[int, int], box: Edges, resampling: Resampling, resizing: Resizing
) -> UInt8[np.ndarray, "h w 3"]:
    """What ``box`` covers of an RGB picture at ``size`` (width, height).

    ``reference`` is Pillow's `resize`. ``quick`` is torch's antialiased 8-bit `interpolate`: the same filter with
    weights of 16 bits, a grey level off in one sample of a thousand, 4 times as fast on 12 megapixels. It is used
    where it pays and fits: for the whole of a picture of a megapixel or more that shrinks; elsewhere both are Pillow's
    (a filter near the edges of a smaller box reaches beyond it, which torch has no word for).

    Raises SimvisError for another name of a resizing.

    >>> from PIL import Image
    >>> from simvis_core.pictures.resizing import resized
    >>> resized(Image.new("RGB", (60, 40), "white"), (3, 2), (0.0, 0.0, 60.0, 40.0), "bilinear", "quick").shape
    (2, 3, 3)
    """
    check_resizing(resizing)
    if resizing == "quick" and box == (0.0, 0.0, float(image.width), float(image.height)) and _pays(image, size):
        return _interpolated(image, size, resampling)
    return np.asarray(image.resize(size, Image.Resampling[resampling.upper()], box=box))


def check_resizing(resizing: str) -> None:
    """Raises SimvisError for a name that is none of `RESIZINGS`.

    >>> from simvis_core.pictures.resizing import check_resizing
    >>> check_resizing("reference")
    >>> check_resizing("sharp")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got resizing 'sharp'; wanted one of quick, reference: choose one of these.
    """
    if resizing not in RESIZINGS:
        raise SimvisError(f"resizing '{resizing}'", f"one of {', '.join(RESIZINGS)}", "choose one of these")


def _pays(image: Image.Image, size: tuple[int, int]) -> bool:
    return image.width * image.height >= QUICK_FROM and image.width >= size[0] and image.height >= size[1]


def _interpolated(image: Image.Image, size: tuple[int, int], resampling: Resampling) -> UInt8[np.ndarray, "h w 3"]:
    rows = max(1, UNPACKED_BAND // image.width)
    bands = [(start, min(start + rows, image.height)) for start in range(0, image.height, rows)]
    across = [_to(_unpacked(image, *band), (band[1] - band[0], size[0]), resampling) for band in bands]
    return _to(torch.cat(across, 2), (size[1], size[0]), resampling)[0].permute(1, 2, 0).numpy()


def _to(pixels: UInt8[Tensor, "1 3 h w"], size: tuple[int, int], resampling: Resampling) -> UInt8[Tensor, "1 3 H W"]:
    # This kernel runs on the caller's thread alone, as indexing's readers need it.
    return torch.nn.functional.interpolate(pixels, size=size, mode=resampling, antialias=True)


def _unpacked(image: Image.Image, top: int, bottom: int) -> UInt8[Tensor, "1 3 h w"]:
    part = image if bottom - top == image.height else image.crop((0, top, image.width, bottom))
    return torch.from_numpy(np.asarray(_Lent(np.asarray(part)))).permute(2, 0, 1)[None]


class _Lent:
    """Pillow's read-only bytes under an interface that torch takes without a warning; nobody writes to them."""

    def __init__(self, array: np.ndarray) -> None:
        facts = array.__array_interface__
        self.held, self.__array_interface__ = array, {**facts, "data": (facts["data"][0], False)}
