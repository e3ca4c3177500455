"""What is asked about the attributes of a pair, and who answers: the command, the API and the page ask alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from model_zoo.attributes import fitted
from model_zoo.attributes.fitted import FittedAttributes
from model_zoo.attributes.learning import learnt_attributes
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import MEBIBYTE, Session, Settings, content_hash
from simvis_core import EmbeddingNetwork, PairExplanation, SimvisError
from simvis_core.attributes.ranker import AttributeRanking, Phi, ShownAttributes, shown_attributes
from simvis_core.networks.backbone import Activations
from simvis_core.pictures.views import Framing

SHOWN_LIMIT = 64 * MEBIBYTE  # of what attributes say of pictures: some 20 kB each
SIDES_SEEN = fitted.READ  # how many pictures of a pair each preset looks at


@dataclass(frozen=True)
class AttributesAsked:
    """How attributes are ranked. ``weights`` are those of confidence, overlap and prior; None the learnt ones."""

    preset: str = "simvis"
    weights: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class PairInWords:
    """A pair with its attributes, ranked, and what each picture shows of them.

    ``explainer`` drew the maps that the attributes are to fit; None for the pair's own.
    """

    pair: PairExplanation
    known: FittedAttributes
    preset: str
    ranking: AttributeRanking
    shown: tuple[ShownAttributes, ShownAttributes]
    explainer: str | None = None

    def maps(self, name: str) -> tuple[Any, Any]:
        """Where the attribute is in A and in B, signed (H, W each). Raises SimvisError for a name that is none."""
        self.ranking.place(name)
        at = self.known.model.names.index(name)
        return self.shown[0].maps[at], self.shown[1].maps[at]


class TypicalAttribute(NamedTuple):
    """An attribute of several pictures: its mean confidence, and of how many of them it is above the reference's."""

    name: str
    confidence: float
    above: int


class AttributeAnswers:
    """Asks a session's networks for the attributes of pairs, each picture once.

    With a folder of `model_zoo.attributes.learning` they are those that it holds, for the network that learnt them.
    """

    def __init__(self, session: Session, learnt: Path | None = None) -> None:
        self.session, self.learnt = session, learnt
        self._shown: BoundedCache[ShownAttributes] = BoundedCache(SHOWN_LIMIT, _bytes)

    def known(self, backbone: str) -> FittedAttributes:
        """A network's attributes. Raises SimvisError as `Session.network` does, and where nothing is known of it."""
        network = self.session.network(backbone)
        if self.learnt is not None:
            return learnt_attributes(self.learnt, network)
        return fitted.attributes_of(backbone, network)

    def settings(self, backbone: str, framing: Framing) -> Settings:
        """How a pair is explained that is told in words: under the pooling, at the size of view, of what was learnt.

        Raises SimvisError as `known` does.
        """
        short_side = self.known(backbone).short_side
        return Settings(backbone, str(self.session.network(backbone).trained_pooling), short_side, framing)

    def fits(self, settings: Settings) -> bool:
        """Whether a pair under these settings can be told in words as it is: network, pooling, view and method.

        No where attributes cannot be had, for which `known` has the reason.
        """
        if settings.backbone not in fitted.fitted_names() or settings.insist:
            return False
        try:
            own = self.settings(settings.backbone, settings.framing)
        except SimvisError:
            return False
        return (settings.pooling, settings.short_side) == (own.pooling, own.short_side)

    def explained(
        self,
        files: tuple[str | Path, str | Path],
        backbone: str,
        framing: Framing,
        asked: AttributesAsked = AttributesAsked(),
        drawn: "DrawnMaps | None" = None,
    ) -> PairInWords:
        """The pair under `settings`, in words; the maps are its own unless others were ``drawn``.

        Raises SimvisError as `known` and `Session.explain` do, for an unknown preset and for weights that weigh
        nothing.
        """
        known = self.known(backbone)
        pair = self.session.explain_fully(*files, self.settings(backbone, framing))
        weights = None if asked.weights is None else Phi(*asked.weights)
        seen = zip((pair.activations_a, pair.activations_b), files, strict=True)
        a, b = (self._said(known, pair.network, framing, *one) for one in seen)
        saliencies = None if drawn is None else (drawn.a, drawn.b)
        ranking = known.explain(pair, asked.preset, weights, saliencies, (a, b))
        return PairInWords(pair, known, asked.preset, ranking, (a, b), None if drawn is None else drawn.explainer)

    def typical(self, files: Sequence[str | Path], backbone: str, framing: Framing) -> list[TypicalAttribute]:
        """How sure the network is of each attribute in these pictures, beside the reference pictures, surest first.

        Raises SimvisError as `explained` does, and for no pictures.
        """
        if not files:
            raise SimvisError("no pictures", "one or more", "choose a class that has some")
        known, settings = self.known(backbone), self.settings(backbone, framing)
        rows = []
        for file in files:
            pair = self.session.explain(file, file, settings)  # the picture alone: one forward pass
            rows.append(self._said(known, pair.network, framing, pair.activations_a, file).confidences.tolist())
        columns = zip(known.model.names, zip(*rows, strict=True), strict=True)
        found = [TypicalAttribute(name, fmean(sure), sum(one > 0 for one in sure)) for name, sure in columns]
        return sorted(found, key=lambda one: (-one.confidence, one.name))

    def _said(
        self, known: FittedAttributes, network: EmbeddingNetwork, framing: Framing, seen: Activations, file: str | Path
    ) -> ShownAttributes:
        view = (known.short_side, framing, network.preprocess.resizing)
        key = (network.fingerprint, network.engine, *view, content_hash(file))
        return self._shown.get(key, lambda: shown_attributes(known.model, seen))


@dataclass(frozen=True)
class DrawnMaps:
    """Both pictures' maps by an explainer of that name."""

    explainer: str
    a: Any
    b: Any


def weights_of(text: str | None) -> tuple[float, float, float] | None:
    """Three numbers that commas part; None for an empty text. Raises SimvisError for any other."""
    if not text or not text.strip():
        return None
    try:
        confidence, overlap, prior = map(float, text.split(","))
    except ValueError:
        raise SimvisError(
            f"weights '{text}'", "three numbers with commas", "send those of confidence, overlap and prior, as 1,1,0"
        ) from None
    return confidence, overlap, prior


def has_attributes(backbone: str) -> bool:
    """Whether attributes of the network of that name are known."""
    return backbone in fitted.fitted_names()


def with_attributes() -> Sequence[str]:
    """The networks that have attributes."""
    return fitted.fitted_names()


def _bytes(shown: ShownAttributes) -> int:
    return int(shown.maps.nbytes + shown.confidences.nbytes)
