"""How well attributes' activation maps fit a saliency map: a number each by preset, in one table."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from simvis_core.errors import SimvisError


def overlaps(saliency: Float[Tensor, "h w"], activations: Float[Tensor, "K H W"], preset: str) -> Float[Tensor, " K"]:
    """How well each of K activation maps fits a saliency map; all are signed, the saliency on an even grid of its own.

    Only where an activation map is positive is its attribute; the saliency is averaged over its cells. ``sane``: the
    cosine of both maps' positive parts, 0 to 1 (Plummer 2020, section 3.3). ``simvis``: the saliency's share under the
    activation map, weighed by it from 0 to 1 at its highest cell, less what an even map of that total has there; the
    unit is the saliency's whole amount, so it lies between -1 and 1, is 0 for an even map of either kind, and negative
    parts of the saliency count against. A map without anything gives 0. float64.

    Raises SimvisError for a preset that there is not.

    >>> import torch
    >>> from simvis_core.attributes.overlaps import overlaps
    >>> saliency, activations = torch.tensor([[0.3, 0.1], [0.0, 0.0]]), torch.tensor([[[2.0, 0.0], [-1.0, 0.0]]])
    >>> overlaps(saliency, activations, "sane")
    tensor([0.9487], dtype=torch.float64)
    >>> overlaps(saliency, activations, "simvis")  # 0.3 of 0.4 lie there; of an even map a quarter
    tensor([0.5000], dtype=torch.float64)
    """
    check_preset(preset)
    there = activations.double().clamp(min=0)
    shown = adaptive_avg_pool2d(saliency.double().to(there.device)[None], (there.shape[1], there.shape[2]))[0]
    fit, size = PRESETS[preset](shown, there)
    return torch.where(size > 0, fit / torch.where(size > 0, size, 1), 0)


def check_preset(preset: str) -> None:
    """Raises SimvisError for a preset that there is not.

    >>> from simvis_core.attributes.overlaps import check_preset
    >>> check_preset("simvis")
    """
    if preset not in PRESETS:
        raise SimvisError(f"the preset '{preset}'", f"one of {', '.join(PRESETS)}", "choose one of these")


def _positive_cosine(shown: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    shown = shown.clamp(min=0)
    return (shown * there).sum((1, 2)), shown.norm() * there.flatten(1).norm(dim=1)


def _share_over_even(shown: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    return ((shown - shown.mean()) * there).sum((1, 2)), shown.abs().sum() * there.amax((1, 2))


# From the saliency (H, W) and the positive parts of the maps (K, H, W): what fits (K,), and the unit it is told in.
PRESETS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "sane": _positive_cosine,
    "simvis": _share_over_even,
}
