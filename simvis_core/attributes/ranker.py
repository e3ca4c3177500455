"""Which attributes best explain a match: three terms of each, weighed and ranked (Plummer 2020)."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.overlaps import overlaps
from simvis_core.decomposition import Verdict
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations

TERMS = ("confidence", "overlap", "prior")
NO_ATTRIBUTE = "no attribute explains this"


@runtime_checkable
class AttributeModel(Protocol):
    """Attributes that a network's features can be asked for; what it is given are one picture's activations.

    ``names`` are its K attributes. ``verdict`` says of what kind the activation maps are: shares of
    ``<embedding, direction>`` ("exact", or "exact at this input" where the direction was made at the picture), or an
    estimate ("black box").
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The K attributes, each once."""

    @property
    def verdict(self) -> Verdict:
        """What the activation maps are."""

    def confidences(self, picture: Activations) -> Float[Tensor, " K"]:
        """How sure the network is of each attribute in the picture; the higher, the surer."""

    def directions(self, picture: Activations) -> Float[Tensor, "K D"]:
        """The query that asks a picture for each attribute."""

    def activation_maps(self, picture: Activations) -> Float[Tensor, "K H W"]:
        """Where in the picture each attribute is: signed, positive where it is."""


class Phi(NamedTuple):
    """What each of the three terms counts (the paper's phi 1 to 3): 0 or more, divided by their sum before use."""

    confidence: float
    overlap: float
    prior: float


class Bound(NamedTuple):
    """The values of a term that become 0 and 1; beyond them nothing changes."""

    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """What was learnt on validation pairs: the terms' bounds, their weights, and the least score that is an answer.

    ``bounds`` stand in the order of TERMS. `simvis_core.attributes.calibrating` makes it.
    """

    preset: str
    bounds: tuple[Bound, Bound, Bound]
    weights: Phi
    threshold: float


class AttributeTerms(NamedTuple):
    """One attribute of a match: its explanation score, the three terms in 0..1, and as they were before that.

    ``raw_confidence`` is in the units of the attribute model (of class groups: log-odds above an average picture),
    ``raw_overlap`` as `overlaps` says, ``raw_prior`` the share of validation pairs.
    """

    name: str
    score: float
    confidence: float
    overlap: float
    prior: float
    raw_confidence: float
    raw_overlap: float
    raw_prior: float


@dataclass(frozen=True)
class AttributeRanking:
    """Every attribute of a model for one match, best first, and which of them may be named.

    ``threshold`` is the least score that explains; it was learnt for the calibration's own weights, and
    ``own_weights`` tells whether the ranking has them.

    >>> from simvis_core.attributes.ranker import AttributeRanking, AttributeTerms, Phi
    >>> dome = AttributeTerms("dome", 0.8, 0.9, 0.7, 0.8, 3.1, 0.2, 0.6)
    >>> fur = AttributeTerms("fur", 0.3, 0.2, 0.4, 0.3, -1.0, 0.0, 0.4)
    >>> ranking = AttributeRanking((dome, fur), Phi(1 / 3, 1 / 3, 1 / 3), threshold=0.5, own_weights=True)
    >>> ranking.sentence(), [one.name for one in ranking.chosen()], ranking.place("fur")
    ('similar mostly because of: dome', ['dome'], 2)
    """

    attributes: tuple[AttributeTerms, ...]
    weights: Phi
    threshold: float
    own_weights: bool

    def chosen(self, most: int = 3) -> tuple[AttributeTerms, ...]:
        """The best attributes that reach the threshold, at most so many; none where nothing does."""
        return tuple(one for one in self.attributes[:most] if one.score >= self.threshold)

    def sentence(self, most: int = 3) -> str:
        """The match in words: its chosen attributes, or that no attribute explains it."""
        chosen = self.chosen(most)
        return f"similar mostly because of: {', '.join(one.name for one in chosen)}" if chosen else NO_ATTRIBUTE

    def place(self, name: str) -> int:
        """Where an attribute stands, 1 for the best. Raises SimvisError for a name the model does not have."""
        names = [one.name for one in self.attributes]
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0) or names[:3]
            raise SimvisError(
                f"the attribute '{name}'", f"one of {', '.join(sorted(names))}", f"try {' or '.join(near)}"
            )
        return names.index(name) + 1


class ShownAttributes(NamedTuple):
    """What an attribute model says of one picture: how sure of each attribute, and where each is."""

    confidences: Float[Tensor, " K"]
    maps: Float[Tensor, "K H W"]


def shown_attributes(model: AttributeModel, picture: Activations) -> ShownAttributes:
    """What the model says of a picture, which serves every match the picture is in.

    >>> import torch
    >>> from simvis_core import Activations
    >>> from simvis_core.attributes.ranker import shown_attributes
    >>> class Bright:
    ...     names, verdict = ("bright",), "exact"
    ...
    ...     def confidences(self, picture):
    ...         return picture.features.mean((1, 2))
    ...
    ...     def directions(self, picture):
    ...         return torch.ones(1, 1)
    ...
    ...     def activation_maps(self, picture):
    ...         return picture.features
    ...
    >>> shown_attributes(Bright(), Activations(torch.tensor([[[1.0, 3.0]]])))
    ShownAttributes(confidences=tensor([2.]), maps=tensor([[[1., 3.]]]))
    """
    return ShownAttributes(model.confidences(picture), model.activation_maps(picture))


def match_terms(
    shown: Sequence[ShownAttributes],
    saliencies: Sequence[Float[Tensor, "_ _"]],
    priors: Sequence[float],
    preset: str,
) -> Float[Tensor, "K 3"]:
    """The three terms of each attribute, in the order of TERMS and as they are: the lower of those of the pictures.

    One picture (the query, whose saliency map the reference made) is the paper's way; with both pictures of a pair,
    each with its own map, an attribute must be in both: of either term the lower one counts. ``priors`` are the
    attributes', in their order. float64. Raises SimvisError for a preset that there is not.

    >>> import torch
    >>> from simvis_core.attributes.ranker import ShownAttributes, match_terms
    >>> picture = ShownAttributes(torch.tensor([2.0, -1.0]), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> match_terms([picture], [torch.tensor([[1.0, 0.0]])], [0.5, 0.5], "sane").tolist()
    [[2.0, 1.0, 0.5], [-1.0, 0.0, 0.5]]
    """
    sides = [
        torch.stack([one.confidences.double().cpu(), overlaps(saliency.cpu(), one.maps.cpu(), preset)], dim=1)
        for one, saliency in zip(shown, saliencies, strict=True)
    ]
    held = torch.tensor([[prior] for prior in priors], dtype=torch.float64)
    return torch.cat([torch.stack(sides).amin(0), held], dim=1)


def explanation_scores(
    terms: Float[Tensor, "*P K 3"], bounds: Sequence[Bound], weights: Phi
) -> tuple[Float[Tensor, "*P K"], Float[Tensor, "*P K 3"]]:
    """The explanation scores e = phi1 * confidence + phi2 * overlap + phi3 * prior, and the terms in 0..1.

    Both lie in 0..1, since the weights are divided by their sum; a term whose two bounds are alike is 0. Source:
    Plummer 2020, section 3.3. Raises SimvisError for weights that are negative, not finite, or all 0.

    >>> import torch
    >>> from simvis_core.attributes.ranker import Bound, Phi, explanation_scores
    >>> terms = torch.tensor([[2.0, 0.5, 0.5], [-2.0, 1.0, 0.5]])
    >>> scores, scaled = explanation_scores(terms, [Bound(-2, 2), Bound(0, 1), Bound(0, 1)], Phi(1, 2, 1))
    >>> scores.tolist(), scaled[1].tolist()
    ([0.625, 0.625], [0.0, 1.0, 0.5])
    """
    phi = torch.tensor(_checked(weights), dtype=torch.float64)
    scaled = _scaled(terms, bounds).clamp(0, 1)
    return scaled @ phi, scaled


def _scaled(terms: Tensor, bounds: Sequence[Bound]) -> Tensor:
    """The terms with their bounds at 0 and 1, and beyond them where they are beyond."""
    low, high = (torch.tensor([bound[end] for bound in bounds], dtype=torch.float64) for end in (0, 1))
    return (terms.double() - low) / torch.where(high > low, high - low, torch.inf)


def rank(
    names: Sequence[str], terms: Float[Tensor, "K 3"], calibration: Calibration, weights: Phi | None = None
) -> AttributeRanking:
    """Every attribute with its terms and explanation score, best first.

    Scores that tie because terms lie beyond their bounds are parted by how far beyond, then by name.

    ``weights`` are the calibration's unless others are given.

    Raises SimvisError as `explanation_scores` does.

    >>> import torch
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi, rank
    >>> known = Calibration("sane", (Bound(-2, 2), Bound(0, 1), Bound(0, 1)), Phi(1, 1, 0), threshold=0.6)
    >>> terms = torch.tensor([[2.0, 0.5, 0.5], [-2.0, 1.0, 0.5]])
    >>> ranking = rank(["dome", "fur"], terms, known)
    >>> ranking.sentence(), ranking.attributes[1].score
    ('similar mostly because of: dome', 0.5)
    >>> rank(["dome", "fur"], terms, known, Phi(0, 1, 0)).sentence()
    'similar mostly because of: fur'
    """
    phi = _checked(weights or calibration.weights)
    scores, scaled = explanation_scores(terms, calibration.bounds, phi)
    beyond = _scaled(terms, calibration.bounds) @ torch.tensor(phi, dtype=torch.float64)
    rows = [
        AttributeTerms(name, score, *now, *raw)
        for name, score, now, raw in zip(names, scores.tolist(), scaled.tolist(), terms.tolist(), strict=True)
    ]
    further = dict(zip(names, beyond.tolist(), strict=True))
    rows.sort(key=lambda row: (-row.score, -further[row.name], row.name))
    own = max(abs(one - other) for one, other in zip(phi, _checked(calibration.weights), strict=True)) < 1e-9
    return AttributeRanking(tuple(rows), phi, calibration.threshold, own)


def _checked(weights: Phi) -> Phi:
    total = sum(weights)
    if not (0 < total < float("inf")) or min(weights) < 0:
        raise SimvisError(
            f"weights {', '.join(f'{one:g}' for one in weights)}",
            "three numbers of 0 or more, one of them above 0",
            "give those of confidence, overlap and prior",
        )
    return Phi(*(one / total for one in weights))
