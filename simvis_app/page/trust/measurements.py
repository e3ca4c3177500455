"""What the session knows of the pair that the tab asks about, and what it measures of it."""

from collections.abc import Sequence
from pathlib import Path

from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.explainers.question import Question
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import SIDES
from simvis_core.trust.measuring import Asked, Measured, Measuring


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
