"""Codes: how much of each direction of a dictionary a vector holds."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

SWEEPS = 500  # over all codes, at most; what is left then lies in the residual
SETTLED = 1e-9  # of the longest vector: codes that move less have settled

LASSO_ROUNDS = 5000  # at most
PENALTY = 0.1  # of each code while concepts are chosen, beside half the squared distance; embeddings have length 1

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


def sparse_codes(vectors: Float[Tensor, "N D"], directions: Float[Tensor, "K D"]) -> Float[Tensor, "N K"]:
    """Codes z >= 0, most of them 0: few directions are chosen, and of these the least |vector - z directions|.

    Chosen are those with a code in the least half |vector - z directions|^2 + 0.1 sum z (Tibshirani 1996, the lasso);
    their codes are found anew without the penalty, which would make all of them too small (Meinshausen 2007, the
    relaxed lasso). Computed in float64 on the processor. Directions must not be zero.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.coding import sparse_codes
    >>> codes = sparse_codes(torch.tensor([[0.9, 0.05, 0.4], [-1.0, 0.0, 0.0]]), torch.eye(3)[:2])
    >>> codes.round(decimals=6) + 0  # the second direction would bring 0.05 nearer, which is less than it costs
    tensor([[0.9000, 0.0000],
            [0.0000, 0.0000]], dtype=torch.float64)
    """
    from scipy.optimize import nnls  # noqa: PLC0415  (a second, for who needs them)
    from sklearn.decomposition import sparse_encode  # noqa: PLC0415

    known, rows = vectors.detach().cpu().double(), directions.detach().cpu().double()
    codes = known.new_zeros(len(known), len(rows))
    if len(known):
        lasso = {"algorithm": "lasso_cd", "alpha": PENALTY, "positive": True, "max_iter": LASSO_ROUNDS}
        codes = torch.from_numpy(sparse_encode(known.numpy(), rows.numpy(), **lasso))
    for vector, code in zip(known, codes, strict=True):
        chosen = code > 0
        if bool(chosen.any()):
            code[chosen] = torch.from_numpy(nnls(rows[chosen].T.numpy(), vector.numpy())[0])
    return codes


def load_solvers() -> None:
    """Loads the libraries that codes are found with: a second or two that somebody else would wait for.

    >>> from simvis_core.attributes.dictionaries.coding import load_solvers
    >>> load_solvers()
    """
    sparse_codes(torch.ones(1, 2), torch.eye(2))


CODINGS: dict[str, Coding] = {
    "least squares": least_squares_codes,
    "non-negative": nonnegative_codes,
    "sparse": sparse_codes,
}
