"""How well attributes are told: average precision of each, and its mean with an interval."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.trust.faithfulness import Interval

RESAMPLES, _TOGETHER = 500, 20  # of the pictures, for an interval: how often, and how many at once


def average_precisions(scores: Float[Tensor, "*R N K"], truth: Bool[Tensor, "*R N K"]) -> Float[Tensor, "*R K"]:
    """Each attribute's average precision over N pictures ranked by score, 0 to 1, float64; NaN where none is true.

    The sum over the places of the gain in recall there, times the precision there; pictures of one score share the
    place of the last of them.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import average_precisions
    >>> scores = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
    >>> average_precisions(scores, torch.tensor([[True], [False], [True], [False]]))
    tensor([0.8333], dtype=torch.float64)
    """
    return _precisions(scores, truth)


def _precisions(scores: Tensor, truth: Tensor) -> Tensor:
    ranked, order = torch.sort(scores, dim=-2, descending=True, stable=True)
    true = truth.gather(-2, order).double()
    places = torch.arange(1, true.shape[-2] + 1, dtype=torch.float64, device=true.device)[:, None]
    precision = true.cumsum(-2) / places
    ends = torch.ones_like(ranked, dtype=torch.bool)
    ends[..., :-1, :] = ranked[..., :-1, :] != ranked[..., 1:, :]
    # Of each place the next end, from the back: the running minimum of the ends' places.
    last = torch.where(ends, places - 1, torch.inf).flip(-2).cummin(-2).values.flip(-2).long()
    return (precision.gather(-2, last) * true).sum(-2) / true.sum(-2)


def mean_precision(scores: Float[Tensor, "N K"], truth: Bool[Tensor, "N K"], seed: int = 0) -> Interval:
    """The mean of the attributes' average precisions, with a 95 % interval by drawing the pictures again.

    Attributes that are true of no picture count in no mean (nor, of pictures drawn again, where none of theirs is
    drawn). Raises SimvisError where none is true.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import mean_precision
    >>> truth = torch.arange(40)[:, None] % 3 == 0
    >>> found = mean_precision(truth + 0.4 * (torch.arange(40)[:, None] % 5), truth)
    >>> 0 < found.low < found.mean < found.high <= 1, found.pairs
    (True, 40)
    """
    if not bool(truth.any()):
        raise SimvisError("pictures of which no attribute is true", "one at least", "measure on more pictures")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(truth), (RESAMPLES, len(truth)), generator=generator)
    means = torch.cat([_precisions(scores[some], truth[some]).nanmean(1) for some in drawn.split(_TOGETHER)])
    low, high = torch.nanquantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(float(average_precisions(scores, truth).nanmean()), low, high, len(truth))


def shuffled_truth(truth: Bool[Tensor, "N K"], seed: int = 0) -> Bool[Tensor, "N K"]:
    """The pictures' labels dealt out anew: as often true, and true together, as before, of other pictures.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import shuffled_truth
    >>> shuffled_truth(torch.eye(3).bool()).sum(0).tolist()
    [1, 1, 1]
    """
    return truth[torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))]


def chance_precision(truth: Bool[Tensor, "N K"], which: Sequence[int] | None = None) -> float:
    """The mean share of the pictures that have an attribute: the average precision of a ranking by chance, for many.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import chance_precision
    >>> chance_precision(torch.tensor([[True, False], [False, False]]))
    0.5
    """
    shares = (truth if which is None else truth[:, list(which)]).double().mean(0)
    return float(shares[shares > 0].mean())
