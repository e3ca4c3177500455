"""What was learnt about the attributes of a network, read from and written to one file, and opened as a ranker."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from model_zoo.attributes.classifiers import classifier_of
from model_zoo.attributes.groups import BY_HAND, WORDNET, class_groups
from model_zoo.cards.catalog import card
from simvis_core.attributes.calibrating import Prior
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.overlaps import check_preset
from simvis_core.attributes.ranker import (
    AttributeModel,
    AttributeRanking,
    Bound,
    Calibration,
    Phi,
    ShownAttributes,
    match_terms,
    rank,
    shown_attributes,
)
from simvis_core.errors import SimvisError
from simvis_core.files.reading import fields
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explanation import PairExplanation

FITTED = Path(__file__).parent / "fitted.json"


@dataclass(frozen=True)
class StoredUsual:
    """What attributes of stored unit embeddings need: how long embeddings usually are, by the framing of the view.

    An attribute counts as shown above a confidence of ``shown_from``, in log-odds.
    """

    lengths: Mapping[str, float]
    shown_from: float


@dataclass(frozen=True)
class FittedAttributes:
    """A network's attributes, their priors, what each preset learnt, and the view it was learnt at.

    ``tested`` has each preset's figures on classes that nothing was learnt on: shares with their mean and interval.
    ``stored`` is for the attributes of galleries; None where they cannot be told of a unit embedding.
    """

    model: AttributeModel
    priors: Mapping[str, Prior]
    calibrations: Mapping[str, Calibration]
    short_side: int
    tested: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stored: StoredUsual | None = None

    def explain(
        self,
        pair: PairExplanation,
        preset: str,
        weights: Phi | None = None,
        saliencies: tuple[Any, Any] | None = None,
        shown: tuple[ShownAttributes, ShownAttributes] | None = None,
    ) -> AttributeRanking:
        """Every attribute ranked by how well it explains why the pair is similar.

        ``sane`` looks at the first picture, the paper's query; ``simvis`` at both. ``saliencies`` are the two pictures'
        maps, the pair's own unless others are given; ``shown`` is what `shown_attributes` says of the two, where it is
        known. Raises SimvisError for an unknown preset and for weights that weigh nothing.
        """
        check_preset(preset)
        sides = READ[preset]
        maps = saliencies or (pair.map_a, pair.map_b)
        seen = (pair.activations_a, pair.activations_b)[:sides]
        said = shown[:sides] if shown else [shown_attributes(self.model, one) for one in seen]
        priors = [self.priors[name].used for name in self.model.names]
        terms = match_terms(said, maps[:sides], priors, preset)
        return rank(self.model.names, terms, self.calibrations[preset], weights)


def attributes_of(name: str, network: EmbeddingNetwork) -> FittedAttributes:
    """The attributes of a card's network, as they were learnt with the weights and the tables that there are now.

    Raises SimvisError for a network of which nothing was learnt, for one without its classifier, and where weights or
    tables have changed since.
    """
    known = _file().get(name)
    if known is None:
        works = " or ".join(_file())
        raise SimvisError(
            f"attributes of {name}", f"a network with an ImageNet classifier: {works}", f"choose --backbone {works}"
        )
    if known["made_of"] != made_of(name):
        raise SimvisError(
            f"attributes of {name} that were learnt with other weights or tables",
            "those that are installed",
            "learn them again: python -m model_zoo.attributes.fitting sample_data",
        )
    classifier = classifier_of(network)
    model = ClassGroups(network, classifier.weight, classifier.bias, class_groups(), known["reference"])
    return fitted_from(model, known)


def fitted_from(model: AttributeModel, known: Mapping[str, Any]) -> FittedAttributes:
    """An attribute model with what was learnt of it, as plain JSON holds that: priors, presets, and the short side."""
    priors = {attribute: Prior(*two) for attribute, two in known["priors"].items()}
    presets = {preset: _calibration(preset, learnt) for preset, learnt in known["presets"].items()}
    tested = {preset: learnt.get("tested", {}) for preset, learnt in known["presets"].items()}
    usual = known.get("stored")
    stored = None if usual is None else StoredUsual(usual["lengths"], usual["shown_from"])
    return FittedAttributes(model, priors, presets, int(known["short_side"]), tested, stored)


def fitted_names() -> tuple[str, ...]:
    """The networks whose attributes are known."""
    return tuple(_file())


def made_of(name: str) -> dict[str, str]:
    """What the learnt numbers depend on: hashes of the card's weights and of the tables."""
    tables = hashlib.sha256(WORDNET.read_bytes() + BY_HAND.read_bytes()).hexdigest()
    return {"weights": card(name).weights.sha256, "tables": tables}


def as_json(calibration: Calibration) -> dict[str, Any]:
    """A calibration as plain JSON; numbers to six digits, as a file of them is committed."""
    return {
        "bounds": [[round(end, 6) for end in bound] for bound in calibration.bounds],
        "weights": list(calibration.weights),
        "threshold": round(calibration.threshold, 6),
    }


def _calibration(preset: str, learnt: Mapping[str, Any]) -> Calibration:
    confidence, overlap, prior = (Bound(*ends) for ends in learnt["bounds"])
    return Calibration(preset, (confidence, overlap, prior), Phi(*learnt["weights"]), learnt["threshold"])


@cache
def _file() -> dict[str, Any]:
    return fields(FITTED, "restore it from the repository")


READ = {"sane": 1, "simvis": 2}  # how many pictures of a pair each preset looks at
