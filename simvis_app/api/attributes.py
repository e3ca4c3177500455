"""API twin of the Attributes tab: why a pair is similar, in words, as JSON."""

from typing import Any

from simvis_app.api.fields import add_pair_twin
from simvis_app.api.told import told
from simvis_app.service import defaults
from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked, PairInWords, weights_of
from simvis_app.service.attributes.telling import attribute_json, in_words_json
from simvis_core import SimvisError
from simvis_core.pictures.views import Framing


def add_attributes_api(answers: AttributeAnswers) -> None:
    """Adds /attributes to the app that is being built."""

    def attributes(
        image_a: str,
        image_b: str,
        backbone: str = defaults.BACKBONE,
        framing: Framing = defaults.FRAMING,
        preset: str = AttributesAsked.preset,
        weights: str = "",
        names: str = "",
    ) -> dict[str, Any]:
        """Which attributes explain why two pictures are similar: a sentence, and every attribute with its three terms.

        image_a, image_b: picture files. backbone: a network that kept its ImageNet classifier. framing: whole, square
        or crop. preset: simvis (both pictures, signed maps) or sane (the first picture, positive parts). weights: of
        confidence, overlap and prior, as "1,1,0"; empty, the learnt ones. names: attributes, separated by commas,
        whose place, maps and why (not) are wanted; empty, those that are named. Pooling and size of the view are those
        that the attributes were learnt with. Terms lie in 0..1; raw_confidence is in log-odds above the reference
        pictures', raw_overlap a share or a cosine, raw_prior a share of validation pairs.
        """
        with told():
            if not image_a or not image_b:
                raise SimvisError("one picture", "two", "send image_a and image_b")
            asked = AttributesAsked(preset, weights_of(weights))
            return attributes_json(answers.explained((image_a, image_b), backbone, framing, asked), names or "")

    place = {"backbone": defaults.BACKBONE, "framing": defaults.FRAMING}
    add_pair_twin(attributes, "attributes", place | {"preset": AttributesAsked.preset, "weights": "", "names": ""})


def attributes_json(found: PairInWords, names: str) -> dict[str, Any]:
    """Everything that fits JSON, with the attributes of those names in full. Raises SimvisError for an unknown name."""
    listed = [name.strip() for name in names.split(",") if name.strip()]
    listed = listed or [one.name for one in found.ranking.chosen()]
    wanted = {name: attribute_json(found, name) for name in dict.fromkeys(listed)}
    return in_words_json(found) | {"warnings": found.pair.warnings, "in_full": wanted}
