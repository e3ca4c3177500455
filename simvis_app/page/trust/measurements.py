"""What the session knows of the pair that the tab asks about, and what it measures of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_app.page.trust.rows import GLANCE
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.depths.ladder import layer_at
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS, depth_drawn
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import SIDES
from simvis_core.trust.depths import closest_depth
from simvis_core.trust.faithfulness import CURVE_STEPS
from simvis_core.trust.measuring import Asked, Measured, Measuring, asked_of

DEPTHS = tuple(name for name in EXPLAINERS if depth_drawn(name) is not None)


class Measurements:
    """The session, asked about one picture of a pair. Everything raises SimvisError as `Session.explain` does."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def explained(self, asked: TrustQuestion) -> PairExplanation:
        """The pair's explanation."""
        return self.session.explain(*_files(asked), asked.pair.settings(self.session))

    def question(self, asked: TrustQuestion) -> Question:
        """What explainers are asked."""
        return self.session.question(*_files(asked), asked.pair.settings(self.session), asked.side)

    def measuring(self, asked: TrustQuestion, wanted: Asked) -> Measuring:
        """One map, drawn and measured in steps."""
        return self.session.measuring(*_files(asked), asked.pair.settings(self.session), asked.side, wanted)

    def held(self, asked: TrustQuestion, wanted: Sequence[Asked]) -> list[Measured | None]:
        """What is measured of these already; None for each that is not. Nothing is drawn."""
        return self.session.measured(*_files(asked), asked.pair.settings(self.session), asked.side, wanted)

    def closest_layer(self, asked: TrustQuestion) -> str:
        """The layer of the depth that the score follows most closely, of those measured; empty for the last features.

        Nothing is measured here. Raises SimvisError where fewer than two depths are.
        """
        best = closest_depth(self._depths(asked))
        if best is None:
            raise SimvisError(
                "fewer than two depths measured for the pair as it is now", "two or more", "draw and measure them first"
            )
        network = self.session.eager(asked.pair.settings(self.session))
        return layer_at(network, depth) if (depth := depth_drawn(best)) else ""

    def _depths(self, asked: TrustQuestion) -> Mapping[str, Measured]:
        """What is measured of each depth; a full measurement goes before one at a glance."""
        found: dict[str, Measured] = {}
        for name in DEPTHS:
            wanted = [asked_of(name, asked.setting, asked.seed, asked.fill, steps) for steps in (CURVE_STEPS, GLANCE)]
            held = next((one for one in self.held(asked, wanted) if one is not None), None)
            found |= {} if held is None else {name: held}
        return found

    def line(self, asked: TrustQuestion) -> str:
        """What is explained, with the pair's warnings above it."""
        question = self.question(asked)
        names = {side: Path(file).name for side, file in zip(SIDES, _files(asked), strict=True)}
        network = question.network
        warned = words.warning(*self.explained(asked).warnings)
        return warned + trust_words.pair_line(names, network.name, str(network.pooling), question.score, asked.side)


def _files(asked: TrustQuestion) -> tuple[str, str]:
    if asked.pair.files is None:
        raise SimvisError("fewer than two pictures", "two", "drop them on the Compare tab first")
    return asked.pair.files
