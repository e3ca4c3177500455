"""How well an attribute's activation map fits a saliency map: one number by preset, in one table."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from simvis_core.errors import SimvisError


def overlap(saliency: Float[Tensor, "h w"], activation: Float[Tensor, "H W"], preset: str) -> float:
    """How well an attribute's activation map fits a saliency map; both are signed, each on its own even grid.

    Only where the activation map is positive is the attribute; the saliency is averaged over its cells. ``sane``: the
    cosine of both maps' positive parts, 0 to 1 (Plummer 2020, section 3.3). ``simvis``: the saliency's share under the
    activation map, weighed by it from 0 to 1 at its highest cell, less what an even map of that total has there; the
    unit is the saliency's whole amount, so it lies between -1 and 1, is 0 for an even map of either kind, and negative
    parts of the saliency count against. A map without anything gives 0.

    Raises SimvisError for a preset that there is not.

    >>> import torch
    >>> from simvis_core.attributes.overlaps import overlap
    >>> saliency, activation = torch.tensor([[0.3, 0.1], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [-1.0, 0.0]])
    >>> round(overlap(saliency, activation, "sane"), 4)
    0.9487
    >>> round(overlap(saliency, activation, "simvis"), 4)  # 0.3 of 0.4 lie there; of an even map a quarter
    0.5
    """
    check_preset(preset)
    there = activation.double().clamp(min=0)
    grid = there.shape[0], there.shape[1]
    return PRESETS[preset](adaptive_avg_pool2d(saliency.double().to(there.device)[None], grid)[0], there)


def check_preset(preset: str) -> None:
    """Raises SimvisError for a preset that there is not.

    >>> from simvis_core.attributes.overlaps import check_preset
    >>> check_preset("simvis")
    """
    if preset not in PRESETS:
        raise SimvisError(f"the preset '{preset}'", f"one of {', '.join(PRESETS)}", "choose one of these")


def _positive_cosine(shown: Tensor, there: Tensor) -> float:
    shown = shown.clamp(min=0)
    size = float(shown.norm() * there.norm())
    return float((shown * there).sum()) / size if size else 0.0


def _share_over_even(shown: Tensor, there: Tensor) -> float:
    size = float(shown.abs().sum() * there.max())
    return float(((shown - shown.mean()) * there).sum()) / size if size else 0.0


PRESETS: dict[str, Callable[[Tensor, Tensor], float]] = {"sane": _positive_cosine, "simvis": _share_over_even}
