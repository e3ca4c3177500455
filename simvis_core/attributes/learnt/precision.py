"""How well attributes are told: average precision of each, and its mean with an interval."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.trust.faithfulness import Interval, interval


def average_precisions(scores: Float[Tensor, "N K"], truth: Bool[Tensor, "N K"]) -> Float[Tensor, " K"]:
    """Each attribute's average precision over N pictures ranked by score, 0 to 1, float64; NaN where none is true.

    The sum over the places of the gain in recall there, times the precision there; pictures of one score share the
    place of the last of them.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import average_precisions
    >>> scores = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
    >>> average_precisions(scores, torch.tensor([[True], [False], [True], [False]]))
    tensor([0.8333], dtype=torch.float64)
    """
    ranked, order = torch.sort(scores, dim=0, descending=True, stable=True)
    true = truth.gather(0, order).double()
    places = torch.arange(1, len(true) + 1, dtype=torch.float64, device=true.device)[:, None]
    precision = true.cumsum(0) / places
    ends = torch.ones_like(ranked, dtype=torch.bool)
    ends[:-1] = ranked[:-1] != ranked[1:]
    # Of each place the next end, from the back: the running minimum of the ends' places.
    last = torch.where(ends, places - 1, torch.inf).flip(0).cummin(0).values.flip(0).long()
    return (precision.gather(0, last) * true).sum(0) / true.sum(0)


def mean_precision(scores: Float[Tensor, "N K"], truth: Bool[Tensor, "N K"], seed: int = 0) -> Interval:
    """The mean of the attributes' average precisions, with a 95 % interval by drawing attributes again.

    Attributes that are true of no picture do not count. (Pictures are not drawn again: those that come twice would
    stand side by side, which raises precision.) Raises SimvisError where none is true.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import mean_precision
    >>> scores = torch.tensor([[0.9, 0.9], [0.8, 0.8], [0.7, 0.7]])
    >>> found = mean_precision(scores, torch.tensor([[True, False], [False, True], [False, False]]))
    >>> found.mean, found.low, found.high, found.pairs
    (0.75, 0.5, 1.0, 2)
    """
    if not bool(truth.any()):
        raise SimvisError("pictures of which no attribute is true", "one at least", "measure on more pictures")
    found = average_precisions(scores, truth)
    return interval(found[~found.isnan()].tolist(), seed)


def shuffled_truth(truth: Bool[Tensor, "N K"], seed: int = 0) -> Bool[Tensor, "N K"]:
    """The pictures' labels dealt out anew: as often true, and true together, as before, of other pictures.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import shuffled_truth
    >>> shuffled_truth(torch.eye(3).bool()).sum(0).tolist()
    [1, 1, 1]
    """
    return truth[torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))]


def chance_precision(truth: Bool[Tensor, "N K"]) -> float:
    """The mean share of the pictures that have an attribute: a random ranking's average precision, where N is large.

    >>> import torch
    >>> from simvis_core.attributes.learnt.precision import chance_precision
    >>> chance_precision(torch.tensor([[True, False], [False, False]]))
    0.5
    """
    shares = truth.double().mean(0)
    return float(shares[shares > 0].mean())
