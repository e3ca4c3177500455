"""What is changed of a training picture each time it is seen: a crop, a mirror image, its colours."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from simvis_core.errors import SimvisError

STRETCH = 4 / 3  # of a crop: at most so much wider than high, or higher than wide
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green, blue (ITU-R BT.601)


@dataclass(frozen=True)
class Augmenting:
    """How much is changed. ``crop``: the smallest share of the picture's area that is shown, 1 for all of it.

    ``flip``: whether half of the pictures are mirrored, left for right. ``colour``: by which share brightness, contrast
    and saturation are changed at most, each by itself, 0 for none. Raises SimvisError for numbers beyond these.

    >>> from simvis_core.learning.augmenting import Augmenting
    >>> Augmenting(crop=0.5).flip
    False
    >>> Augmenting(crop=0)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a crop of 0; wanted above 0, up to 1: choose a share of the picture.
    """

    crop: float = 1.0
    flip: bool = False
    colour: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise SimvisError(f"a crop of {self.crop:g}", "above 0, up to 1", "choose a share of the picture")
        if not 0 <= self.colour < 1:
            raise SimvisError(f"a colour change of {self.colour:g}", "0 to below 1", "choose a share, such as 0.2")


def augmented(
    pixels: Float[Tensor, "B 3 h w"], size: tuple[int, int], how: Augmenting, seed: int
) -> Float[Tensor, "B 3 H W"]:
    """The pictures (colours 0 to 1) changed by chance, at ``size`` (height, width); equal seeds change equally.

    Crops lie anywhere inside the picture, their sides' ratio within 3:4 and 4:3 of the picture's own, and are resampled
    bilinearly. Without any change and at the pictures' own size the pixels come back as they are.

    >>> import torch
    >>> from simvis_core.learning.augmenting import Augmenting, augmented
    >>> pixels = torch.rand(2, 3, 8, 8)
    >>> torch.equal(augmented(pixels, (8, 8), Augmenting(), seed=0), pixels)
    True
    >>> augmented(pixels, (4, 6), Augmenting(crop=0.5, flip=True, colour=0.2), seed=0).shape
    torch.Size([2, 3, 4, 6])
    """
    chance = torch.Generator().manual_seed(seed)
    count = len(pixels)
    drawn = torch.rand(8, count, generator=chance, dtype=torch.float64)
    if how.crop < 1 or how.flip or tuple(pixels.shape[2:]) != size:
        pixels = _resampled(pixels, size, *_placed(drawn, how))
    return _coloured(pixels, 1 + how.colour * (2 * drawn[5:] - 1)) if how.colour else pixels


def _placed(drawn: Float[Tensor, "8 B"], how: Augmenting) -> tuple[Tensor, Tensor]:
    """Half widths and heights (B, 2) and centres (B, 2) of the crops, x first, where the picture goes from -1 to 1."""
    area = how.crop + (1 - how.crop) * drawn[0]
    stretch = STRETCH ** ((2 * drawn[1] - 1) / 2)  # of the width; the height shrinks as much
    if how.crop == 1:
        stretch = torch.ones_like(stretch)
    sides = torch.stack([area.sqrt() * stretch, area.sqrt() / stretch], 1).clamp(max=1)
    centres = (1 - sides) * (2 * drawn[2:4].T - 1)
    mirrored = torch.where(drawn[4] < 0.5, -1.0, 1.0) if how.flip else torch.ones_like(area)
    return sides * torch.stack([mirrored, torch.ones_like(mirrored)], 1), centres


def _resampled(pixels: Tensor, size: tuple[int, int], sides: Tensor, centres: Tensor) -> Tensor:
    places = torch.cat([torch.diag_embed(sides), centres[:, :, None]], 2).to(pixels)
    grid = affine_grid(places, [len(pixels), 3, *size], align_corners=False)
    return grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _coloured(pixels: Tensor, factors: Float[Tensor, "3 B"]) -> Tensor:
    """Brightness, contrast about the mean grey, saturation about each pixel's grey; held to 0..1 at the end."""
    brightness, contrast, saturation = factors.to(pixels)[:, :, None, None, None]
    weights = torch.tensor(GREY_WEIGHTS).to(pixels)[:, None, None]
    pixels = pixels * brightness
    mean = (pixels * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    pixels = mean + contrast * (pixels - mean)
    grey = (pixels * weights).sum(1, keepdim=True)
    return (grey + saturation * (pixels - grey)).clamp(0, 1)
