"""Codes: how much of each direction of a dictionary a vector holds."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

SWEEPS = 500  # over all codes, at most; what is left then lies in the residual
SETTLED = 1e-9  # of the longest vector: codes that move less have settled

Coding = Callable[[Tensor, Tensor], Tensor]


def least_squares_codes(vectors: Float[Tensor, "N D"], directions: Float[Tensor, "K D"]) -> Float[Tensor, "N K"]:
    """The codes z, of either sign, with the least |vector - z directions|, each vector for itself; the shortest such z.

    Computed in float64 on the processor. Where directions are orthonormal, they are plain dot products.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.coding import least_squares_codes
    >>> directions = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> codes = least_squares_codes(torch.tensor([[3.0, -2.0, 7.0]]), directions)
    >>> [round(code, 6) for code in codes[0].tolist()]
    [5.0, -2.0]
    """
    known, rows = vectors.detach().cpu().double(), directions.detach().cpu().double()
    return known @ torch.linalg.pinv(rows)


def nonnegative_codes(vectors: Float[Tensor, "N D"], directions: Float[Tensor, "K D"]) -> Float[Tensor, "N K"]:
    """The codes z >= 0 with the least |vector - z directions|, each vector for itself.

    Computed in float64 on the processor, by coordinate descent: each code in turn takes its best value, 0 or more,
    until none moves by more than 1e-9 of the longest vector, or 500 rounds are done. Directions must not be zero.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.coding import nonnegative_codes
    >>> directions = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> codes = nonnegative_codes(torch.tensor([[3.0, -2.0, 7.0]]), directions)
    >>> [round(code, 6) for code in codes[0].tolist()]
    [3.0, 0.0]
    """
    known, rows = vectors.detach().cpu().double(), directions.detach().cpu().double()
    return descended(known, rows, known.new_zeros(len(known), len(rows)), SWEEPS)


def descended(
    vectors: Float[Tensor, "N D"], directions: Float[Tensor, "K D"], codes: Float[Tensor, "N K"], sweeps: int
) -> Float[Tensor, "N K"]:
    """Codes nearer to the best that are 0 or more, after at most so many sweeps of coordinate descent from ``codes``.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.coding import descended
    >>> descended(torch.tensor([[3.0, -2.0]]), torch.eye(2), torch.ones(1, 2), sweeps=1)
    tensor([[3., 0.]])
    """
    overlaps, wanted = directions @ directions.T, vectors @ directions.T
    lengths = overlaps.diagonal()
    enough = SETTLED * float(vectors.norm(dim=1).max()) if len(vectors) else 0.0
    codes, wanted = codes.T.clone(), wanted.T.contiguous()  # a code's row lies together in memory
    for _ in range(sweeps):
        moved = 0.0
        for k in range(len(codes)):
            better = (codes[k] + (wanted[k] - overlaps[k] @ codes) / lengths[k]).clamp(min=0)
            moved = max(moved, float((better - codes[k]).abs().max()) if len(vectors) else 0.0)
            codes[k] = better
        if moved <= enough:
            break
    return codes.T.contiguous()


CODINGS: dict[str, Coding] = {"least squares": least_squares_codes, "non-negative": nonnegative_codes}
