"""Learning a dictionary from places of pictures: components, non-negative factors, and chance to compare them with."""

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.dictionaries.coding import LASSO_ROUNDS, PENALTY, descended
from simvis_core.attributes.dictionaries.dictionary import Dictionary, LearntFrom, dictionary_of
from simvis_core.errors import SimvisError

CONCEPTS, KIND = 64, "sparse"  # what is learnt where nothing else is asked for
ROUNDS, SWEEPS_A_ROUND = 30, 3  # of semi-NMF
AXES_KEPT = 256  # directions in which places differ most: what sparse coding looks at
PASSES, MINIBATCH = 20, 256  # over all places, and how many places a step of sparse coding learns from
ITERATIONS, TOLERANCE = 200, 1e-3  # of NMF: its codes are found anew, so that no sum waits for its last digits
SPREAD_OUT = 0.2  # what every cluster has of every place as semi-NMF begins (Ding 2010, section 3.2)

Learnt = tuple[Tensor, Tensor, str]  # directions (K, D), mean (D,), coding


def learn_dictionary(
    places: Float[Tensor, "N D"], kind: str, size: int = CONCEPTS, seed: int = 0, source: LearntFrom | None = None
) -> Dictionary:
    """A dictionary of ``size`` directions learnt on N places, which are as `picture_places` gives them.

    Kinds, all but "nmf" told from the places' mean: "sparse" (Mairal, Bach, Ponce and Sapiro, "Online dictionary
    learning", 2009): directions of either sign of which each place has few, codes of 0 or more. "pca": the principal
    components, codes by least squares. "nmf" (Lee and Seung 1999), for places without a negative number: directions and
    codes of 0 or more, from no mean; a direction that no place uses is left out. "semi-nmf" (Ding, Li and Jordan,
    "Convex and semi-nonnegative matrix factorizations", 2010): codes of 0 or more, directions of either sign.
    "random": chance directions, orthonormal, as a comparison. The same places, kind, size and seed give the same
    dictionary on one machine.

    Raises SimvisError for a kind that there is not, a size below 1 or beyond the places or their width, places with
    NaN, and "nmf" where a number is negative.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.learning import learn_dictionary
    >>> places = torch.tensor([[3.0, 0.0, 1.0], [-3.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, -1.0, 1.0]])
    >>> made = learn_dictionary(places, "pca", size=1)
    >>> made.directions.abs().round(decimals=6), made.mean
    (tensor([[1., 0., 0.]], dtype=torch.float64), tensor([0., 0., 1.], dtype=torch.float64))
    >>> learn_dictionary(places, "nmf", size=1)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got places with negative numbers; wanted 0 or more, which nmf needs: choose ...
    """
    if kind not in LEARNERS:
        raise SimvisError(f"the kind '{kind}'", f"one of {', '.join(LEARNERS)}", "choose one of these")
    known = places.detach().cpu().double()
    if not bool(known.isfinite().all()):
        raise SimvisError("places with NaN or infinity", "finite numbers", "check the weights and the pictures")
    most = min(known.shape)
    if not 1 <= size <= most:
        raise SimvisError(
            f"{size} concepts of {len(known)} places of {known.shape[1]} numbers",
            f"1 to {most}",
            "ask for fewer concepts, or give more pictures",
        )
    directions, mean, coding = LEARNERS[kind](known, size, seed)
    used = directions.norm(dim=1) > 0
    return dictionary_of(directions[used], mean, coding, source=source)


def _components(places: Tensor, size: int, seed: int) -> Learnt:
    from sklearn.decomposition import PCA  # noqa: PLC0415  (a second, for who learns)

    mean = places.mean(0)
    found = PCA(size, svd_solver="covariance_eigh").fit(places.numpy())
    directions = torch.from_numpy(found.components_)
    # Of two equal answers the one whose strong places have positive codes.
    lean = ((places - mean) @ directions.T).pow(3).sum(0)
    return directions * torch.where(lean < 0, -1.0, 1.0)[:, None], mean, "least squares"


def _few_of_many(places: Tensor, size: int, seed: int) -> Learnt:
    from sklearn.decomposition import MiniBatchDictionaryLearning  # noqa: PLC0415

    mean = places.mean(0)
    axes = torch.linalg.eigh((places - mean).T @ (places - mean))[1][:, -AXES_KEPT:]  # the rest only costs time
    learner = MiniBatchDictionaryLearning(
        size,
        alpha=PENALTY,
        fit_algorithm="cd",
        positive_code=True,
        batch_size=MINIBATCH,
        max_iter=PASSES,
        max_no_improvement=None,
        transform_max_iter=LASSO_ROUNDS,
        random_state=seed,
    )
    found = learner.fit(((places - mean) @ axes).numpy()).components_
    return torch.from_numpy(found).double() @ axes.T, mean, "sparse"


def _nonnegative_factors(places: Tensor, size: int, seed: int) -> Learnt:
    from sklearn.decomposition import NMF  # noqa: PLC0415
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

    if bool((places < 0).any()):
        raise SimvisError(
            "places with negative numbers", "0 or more, which nmf needs", "choose the kind semi-nmf, or pca"
        )
    model = NMF(size, init="random", random_state=seed, max_iter=ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings():  # of the last digits, see TOLERANCE
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(places.float().numpy())
    return torch.from_numpy(model.components_).double(), places.new_zeros(places.shape[1]), "non-negative"


def _semi_nonnegative_factors(places: Tensor, size: int, seed: int) -> Learnt:
    from sklearn.cluster import KMeans  # noqa: PLC0415

    mean = places.mean(0)
    rest = places - mean
    clusters = torch.from_numpy(KMeans(size, n_init=1, random_state=seed).fit(rest.float().numpy()).labels_)
    codes = torch.nn.functional.one_hot(clusters.long(), size).double() + SPREAD_OUT
    directions = torch.linalg.pinv(codes) @ rest
    for _ in range(ROUNDS):
        kept = directions.norm(dim=1) > 0
        codes = descended(rest, directions[kept], codes[:, kept], SWEEPS_A_ROUND)
        directions = torch.linalg.pinv(codes) @ rest
    return directions, mean, "non-negative"


def _chance(places: Tensor, size: int, seed: int) -> Learnt:
    drawn = torch.randn(places.shape[1], size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(drawn)[0].T, places.mean(0), "least squares"


LEARNERS: dict[str, Callable[[Tensor, int, int], Learnt]] = {
    "sparse": _few_of_many,
    "pca": _components,
    "nmf": _nonnegative_factors,
    "semi-nmf": _semi_nonnegative_factors,
    "random": _chance,
}
