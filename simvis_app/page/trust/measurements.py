"""What the session knows of the pair that the tab asks about, and what it measures of it."""

from collections.abc import Sequence
from pathlib import Path

from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.depths.ladder import layer_at
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS, depth_drawn
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import SIDES
from simvis_core.trust.measuring import Asked, Measured, Measuring

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

    def layer(self, asked: TrustQuestion, button: str) -> str:
        """The layer of the depth that a button names; empty for the last features.

        Raises SimvisError for a button that names no depth.
        """
        depth = next((depth_drawn(name) for name in DEPTHS if trust_words.shows_depth(name) == button), None)
        if depth is None:
            raise SimvisError("no depth to show", "one that was measured", "draw and measure two or more first")
        return layer_at(self.session.eager(asked.pair.settings(self.session)), depth) if depth else ""

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
