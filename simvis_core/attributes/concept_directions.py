"""Directions of concepts from two small sets of pictures (TCAV), and whether more of them raises scores."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.stats import ttest_ind_from_stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from torch import Tensor

from simvis_core.attributes.calibrating import holm, score_derivatives
from simvis_core.errors import SimvisError

LEAST_SHOWN = 4  # pictures of either set: fewer cannot be held out in turn
FOLDS = 4
DRAWS = 30  # of random sets, for the test
STRENGTH = 100.0  # of the classifier, scikit-learn's C: unit embeddings are short


class ConceptDirection(NamedTuple):
    """A direction (D,) in the space of unit embeddings, and the offset: <e, direction> + offset are log-odds.

    Positive where a picture is rather like those that show the concept than like those that do not.
    """

    direction: Float[Tensor, " D"]
    offset: float


def concept_direction(shown: Float[Tensor, "N D"], other: Float[Tensor, "M D"]) -> ConceptDirection:
    """The direction from unit embeddings without a concept to those with it: a logistic regression's weights.

    Scikit-learn's LogisticRegression with an L2 penalty (C = 100), both sets weighed alike. Source: Kim et al., TCAV
    (ICML 2018), section 3.2, which leaves the linear classifier open.

    Raises SimvisError for a set of fewer than 4 pictures.

    >>> import torch
    >>> from simvis_core.attributes.concept_directions import concept_direction
    >>> found = concept_direction(torch.eye(3)[[0, 0, 0, 0]], torch.eye(3)[[1, 1, 2, 2]])
    >>> found.direction.argmax().item(), bool(found.direction[0] + found.offset > 0 > found.direction[1] + found.offset)
    (0, True)
    """
    _check_sets(shown, other)
    vectors, labels = _both(shown, other)
    fitted = _classifier().fit(vectors, labels)
    return ConceptDirection(torch.from_numpy(fitted.coef_[0]).double(), float(fitted.intercept_[0]))


def separation(shown: Float[Tensor, "N D"], other: Float[Tensor, "M D"], seed: int = 0) -> float:
    """How well the two sets are told apart where it was not learnt: balanced accuracy, 0.5 by chance, 4 folds.

    A concept that cannot be told has no direction worth following. Raises SimvisError for a set of fewer than 4.

    >>> import torch
    >>> from simvis_core.attributes.concept_directions import separation
    >>> separation(torch.eye(2)[[0] * 6], torch.eye(2)[[1] * 6])
    1.0
    """
    _check_sets(shown, other)
    vectors, labels = _both(shown, other)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(_classifier(), vectors, labels, cv=folds, scoring="balanced_accuracy").mean())


def raised_share(direction: Float[Tensor, " D"], own: Float[Tensor, "P D"], others: Float[Tensor, "P D"]) -> float:
    """Of P pairs of unit embeddings the share whose cosine grows as the first one moves along the direction, 0 to 1.

    Source: Kim 2018, section 3.3 (the TCAV score), of the cosine.

    >>> import torch
    >>> from simvis_core.attributes.concept_directions import raised_share
    >>> raised_share(torch.tensor([0.0, 1.0]), torch.eye(2)[[0, 0]], torch.tensor([[0.6, 0.8], [0.6, -0.8]]))
    0.5
    """
    ways = direction.to(own)[None]
    raised = [score_derivatives(ways, one, other)[0] > 0 for one, other in zip(own, others, strict=True)]
    return sum(map(int, raised)) / len(raised)


class RandomTest(NamedTuple):
    """The shares of pairs raised by a concept's directions, one for each draw, and by those of random sets; and p.

    ``p`` is of the two-sided t test (Welch's) that both kinds have one mean, not corrected for several concepts. Draws
    overlap, so that p says how steady the difference is over draws of these pictures, not over pictures of the world.
    """

    shares: tuple[float, ...]
    random: tuple[float, ...]
    p: float


def random_test(
    shown: Float[Tensor, "N D"],
    other: Float[Tensor, "M D"],
    pairs: tuple[Float[Tensor, "P D"], Float[Tensor, "P D"]],
    draws: int = DRAWS,
    seed: int = 0,
) -> RandomTest:
    """Whether a concept's direction raises the pairs' cosines more often, or less, than directions of random sets.

    Each draw takes half of the pictures that show the concept against as many that do not; and, for a random
    direction, as many of those that do not against as many others of them. Source: Kim 2018, section 3.4.

    Raises SimvisError for a set of fewer than 4 pictures, no pair, fewer than 2 draws, and where fewer pictures do not
    show the concept than do.

    >>> import torch
    >>> from simvis_core.attributes.concept_directions import random_test
    >>> chance = torch.Generator().manual_seed(0)
    >>> shown = torch.nn.functional.normalize(torch.randn(8, 5, generator=chance) + 3 * torch.eye(5)[0], dim=1)
    >>> other = torch.nn.functional.normalize(torch.randn(24, 5, generator=chance), dim=1)
    >>> found = random_test(shown, other, (other[:9], shown[:1].expand(9, -1)), draws=8)
    >>> min(found.shares) > 0.8, found.p < 0.01, len(found.random)
    (True, True, 8)
    """
    _check_sets(shown, other)
    if len(other) < len(shown) or draws < 2 or len(pairs[0]) < 1:
        raise SimvisError(
            f"{len(shown)} pictures with a concept, {len(other)} without, {len(pairs[0])} pairs and {draws} draws",
            "as many without as with, a pair, and 2 draws",
            "add pictures without the concept, or pairs",
        )
    generator = torch.Generator().manual_seed(seed)
    shares, random = [], []
    size = max(2, len(shown) // 2)
    for _ in range(draws):
        some, without = _drawn(shown, size, generator), _drawn(other, 2 * size, generator)
        shares.append(raised_share(_way(some, without[:size]), *pairs))
        random.append(raised_share(_way(without[:size], without[size:]), *pairs))
    return RandomTest(tuple(shares), tuple(random), _one_mean(shares, random))


def corrected(tests: Mapping[str, RandomTest]) -> dict[str, float]:
    """Each concept's p-value, corrected for the number of concepts (Holm 1979).

    >>> from simvis_core.attributes.concept_directions import RandomTest, corrected
    >>> corrected({"fur": RandomTest((1.0,), (0.5,), 0.01), "dome": RandomTest((0.6,), (0.5,), 0.3)})
    {'fur': 0.02, 'dome': 0.3}
    """
    return dict(zip(tests, holm([one.p for one in tests.values()]), strict=True))


def _classifier() -> Any:
    return LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)


def _both(shown: Tensor, other: Tensor) -> tuple[Any, Any]:
    vectors = torch.cat([shown, other]).double().cpu().numpy()
    labels: Bool[Tensor, " B"] = torch.arange(len(vectors)) < len(shown)
    return vectors, labels.numpy()


def _way(shown: Tensor, other: Tensor) -> Tensor:
    vectors, labels = _both(shown, other)
    return torch.from_numpy(_classifier().fit(vectors, labels).coef_[0])


def _drawn(of: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return of[torch.randperm(len(of), generator=generator)[:count]]


def _one_mean(shares: Sequence[float], random: Sequence[float]) -> float:
    """Welch's t test, also where neither kind varies: then 1 for one value, and 0 for two."""
    if len({*shares}) == 1 and len({*random}) == 1:
        return float(shares[0] == random[0])
    told = [(fmean(values), stdev(values), len(values)) for values in (shares, random)]
    return float(ttest_ind_from_stats(*told[0], *told[1], equal_var=False).pvalue)


def _check_sets(shown: Tensor, other: Tensor) -> None:
    if min(len(shown), len(other)) < LEAST_SHOWN:
        raise SimvisError(
            f"{len(shown)} pictures with a concept and {len(other)} without",
            f"{LEAST_SHOWN} or more of either",
            "add some",
        )
