"""What a path starts from: a reference picture for each view, or several."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from simvis_core.errors import SimvisError
from simvis_core.pictures.fills import FILLS, filled
from simvis_core.pictures.views import Preprocess, View

OneReference = str | Image.Image | View | Tensor
ReferencePictures = OneReference | Sequence[OneReference]


def reference_pixels(
    pixels: Float[Tensor, "3 h w"], reference: ReferencePictures, preprocess: Preprocess
) -> Float[Tensor, "R 3 h w"]:
    """The reference pictures of a view, preprocessed and of its size.

    A name of `FILLS` ("blur", "mean", "grey") makes one from the view itself; a picture, a `View` or its pixels is
    brought to the view's size. Of several the paths' maps are averaged.

    Raises SimvisError for an unknown name, for no reference at all, and for one that is the view itself.

    >>> import torch
    >>> from simvis_core import Preprocess
    >>> from simvis_core.networks.depth.references import reference_pixels
    >>> reference_pixels(torch.rand(3, 16, 24), ["blur", "mean"], Preprocess()).shape
    torch.Size([2, 3, 16, 24])
    """
    several = [reference] if isinstance(reference, str | Image.Image | View | Tensor) else list(reference)
    if not several:
        raise SimvisError("no reference", f"a picture, or one of {', '.join(FILLS)}", "name one or more")
    found = [_one(pixels, one, preprocess) for one in several]
    for one, said in zip(found, several, strict=True):
        if torch.equal(one, pixels):
            raise SimvisError(
                f"the reference {_said(said)}, which is equal to the picture",
                "a reference that differs from it",
                "choose another reference: a path needs two ends",
            )
    return torch.stack(found)


def reference_facts(reference: ReferencePictures) -> str:
    """What a path starts from, in words for a manifest: the fills' names, "a picture" for any other.

    >>> from simvis_core.networks.depth.references import reference_facts
    >>> reference_facts(["blur", "mean"])
    'blur, mean'
    """
    several = [reference] if isinstance(reference, str | Image.Image | View | Tensor) else list(reference)
    return ", ".join(one if isinstance(one, str) else "a picture" for one in several)


def _one(pixels: Tensor, reference: OneReference, preprocess: Preprocess) -> Tensor:
    if isinstance(reference, str):
        return filled(pixels, reference, preprocess)
    if isinstance(reference, Image.Image):
        reference = preprocess.view(reference, min(pixels.shape[1:]))
    given = (reference.pixels if isinstance(reference, View) else reference).to(pixels)
    if given.shape == pixels.shape:
        return given
    size = (pixels.shape[1], pixels.shape[2])
    return functional.interpolate(given[None], size, mode="bilinear", antialias=True)[0]


def _said(reference: OneReference) -> str:
    return f"'{reference}'" if isinstance(reference, str) else "picture"
