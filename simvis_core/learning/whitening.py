"""PCA whitening learned on embeddings, as a head: affine, so that its split over cells is exact."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.errors import SimvisError

LEAST_VARIANCE = 1e-7  # of the largest variance: a direction below it is rounding


def whitening(embeddings: Float[Tensor, "N D"], width: int | None = None) -> nn.Linear:
    """The head x -> W (x - mean) under which these embeddings have mean 0 and covariance 1; float32 weights.

    Rows of W are the directions of largest variance, the largest first, each divided by its spread; ``width`` keeps so
    many (None: all whose variance is above 1e-7 of the largest). ``embeddings`` are as the pooling or the head in
    front gives them, before the unit norm. Computed in float64. Source: Jegou and Chum, "Negative evidences and
    co-occurences in image retrieval" (ECCV 2012), section 4.

    Raises SimvisError for fewer than 2 embeddings, all of them alike, one that is not finite, and for a width beyond
    the directions there are.

    >>> import torch
    >>> from simvis_core.learning.whitening import whitening
    >>> seen = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [4.0, 2.0]])
    >>> white = whitening(seen)(seen).detach()
    >>> white.abs().round(decimals=4)
    tensor([[1., 1.],
            [1., 1.],
            [1., 1.],
            [1., 1.]])
    """
    known = embeddings.detach().cpu().double()
    if len(known) < 2 or not bool(known.isfinite().all()):
        raise SimvisError(f"{len(known)} embeddings, or some with NaN", "two or more finite ones", "give more pictures")
    mean = known.mean(0)
    _, spreads, directions = torch.linalg.svd(known - mean, full_matrices=False)
    variances = spreads.square() / len(known)
    there = int((variances > LEAST_VARIANCE * variances[0]).sum()) if bool(variances[0] > 0) else 0
    wanted = there if width is None else width
    if not 1 <= wanted <= there:
        raise SimvisError(
            f"whitening to {wanted} numbers, of {len(known)} embeddings that vary in {there} directions",
            f"1 to {there}",
            "give more and other pictures, or ask for fewer numbers",
        )
    rows = directions[:wanted] / variances[:wanted, None].sqrt()
    signs = rows.gather(
        1, rows.abs().argmax(1, keepdim=True)
    ).sign()  # one of two equal answers, wherever it is computed
    rows = rows * signs
    head = nn.Linear(known.shape[1], wanted)
    with torch.no_grad():
        head.weight.copy_(rows)
        head.bias.copy_(-(rows @ mean))
    return head
