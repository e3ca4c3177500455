"""What the Attributes tab's events compute: what the page holds in, what is to be shown out."""

from dataclasses import dataclass, replace

from simvis_app.page.attributes import words as attribute_words
from simvis_app.page.attributes.inputs import AttributesInputs
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service import words
from simvis_app.service.attributes.asking import AttributeAnswers, PairInWords, has_attributes
from simvis_app.service.sessions.session import content_hash
from simvis_core import SimvisError


@dataclass(frozen=True)
class InWordsShown:
    """The pair in words, and the attribute that is chosen; ``unknown`` says of a name that is none which are near.

    ``drawn`` tells whose maps these are; ``same`` that they are on screen.
    """

    found: PairInWords
    asked: PairAsked
    name: str
    unknown: str
    drawn: tuple[str, str]
    same: bool


@dataclass(frozen=True)
class NothingShown:
    """Why the pair is not told in words; ``whatever`` is chosen on this tab, or as it is now."""

    reason: str
    whatever: bool = False


class AttributesHandlers:
    """What the tab's events compute."""

    def __init__(self, answers: AttributeAnswers) -> None:
        self.answers = answers

    def told(self, inputs: AttributesInputs) -> InWordsShown | NothingShown:
        """The pair in words, or why it is not told."""
        pair = inputs.pair
        if pair.files is None:
            return NothingShown(attribute_words.FEWER, whatever=True)
        if not has_attributes(pair.backbone):
            return NothingShown(attribute_words.without(self._label(pair.backbone)), whatever=True)
        try:
            found = self.answers.explained(pair.files, pair.backbone, pair.framing, inputs.asked)
            return _shown(inputs, found, pair.files)
        except SimvisError as error:
            return NothingShown(str(error))

    def weighed(self, inputs: AttributesInputs) -> tuple[str, InWordsShown | NothingShown]:
        """The weights that the sliders hold, as text, and the pair told by them; no text for the learnt ones."""
        weights = ",".join(f"{weight:g}" for weight in inputs.sliders)
        shown = self.told(replace(inputs, weights=weights))
        learnt = isinstance(shown, InWordsShown) and shown.found.ranking.own_weights
        return "" if learnt else weights, shown

    def _label(self, backbone: str) -> str:
        own = self.answers.session.own
        return own.label(backbone) if own.knows(backbone) else backbone


def _shown(inputs: AttributesInputs, found: PairInWords, files: tuple[str, str]) -> InWordsShown:
    name, unknown = _chosen(found, inputs.attribute)
    hashes = map(content_hash, files)
    key = ":".join([found.pair.network.fingerprint, inputs.pair.framing, inputs.preset, *hashes])
    return InWordsShown(found, inputs.pair, name, unknown, (key, name), inputs.drawn == (key, name))


def _chosen(found: PairInWords, wanted: str) -> tuple[str, str]:
    """The attribute of that name, the best one for an empty name; for one that is none what to say beside the best."""
    best = found.ranking.attributes[0].name
    if not wanted:
        return best, ""
    try:
        found.ranking.place(wanted)
    except SimvisError as error:
        return best, words.notice(f"There is no attribute '{wanted}': {error.cure}.")
    return wanted, ""
