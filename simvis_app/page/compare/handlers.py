"""What the Compare tab's events compute: from what is asked for to what is to be shown."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import gradio as gr

from simvis_app.page.compare import panels
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.compare.panels import Panels
from simvis_app.page.pair.asked import PairAsked, pair_of
from simvis_app.service import samples, words
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.sessions.depths import Depths
from simvis_app.service.sessions.session import Session, content_hash
from simvis_core import PairExplanation, SimvisError
from simvis_core.pairs.explain import Explaining

WAIT = 0.5  # seconds between two looks whether a reference is measured


@dataclass(frozen=True)
class Compared:
    """What is shown of a pair; what starts what is still to come is another text each time, or empty.

    ``to_stand``: how high the score is for its network; ``to_draw``: a black box's map; ``to_say``: the pair in words;
    ``to_split``: the score over concepts; ``to_offer``: how fine its maps can be.
    """

    panels: Panels
    to_stand: str
    to_draw: str
    to_say: str
    to_split: str
    to_offer: str


@dataclass(frozen=True)
class NotCompared:
    """Why there is nothing to show of a pair, as HTML."""

    notice: str


@dataclass(frozen=True)
class MasksRun:
    """How many of a drawing's masks have run, and for how many seconds."""

    done: int
    count: int
    seconds: float


class Handlers:
    """What the tab's events compute. ``visitor`` is whose page it is; ``pictures`` keeps those of links.

    Without ``references`` nothing is said of how high a score is for its network, without ``attributes`` nothing in
    words.
    """

    def __init__(
        self,
        session: Session,
        pictures: LinkedPictures,
        references: References | None = None,
        attributes: AttributeAnswers | None = None,
        depths: Depths | None = None,
    ) -> None:
        self.depths = depths or Depths(session)
        self.session, self.pictures, self.references, self.attributes = session, pictures, references, attributes

    def compare(self, asked: CompareAsked, visitor: str = "") -> Compared | NotCompared:
        """Everything that the tab shows of the pair, or why there is nothing.

        A black box's maps come later, by `draw`, unless they were drawn before.
        """
        self.session.ask(visitor, asked.pair)
        if asked.pair.files is None:
            return NotCompared("" if asked.said else words.notice("Drop a picture into both places to compare them."))
        try:
            settings = asked.pair.settings(self.session)
            pair = self.session.explain(*asked.pair.files, settings)
            shown = self._panels(pair, asked)
        except SimvisError as error:
            return NotCompared(words.notice(str(error)))
        to_draw = self.session.needs_masks(pair, settings)
        to_say = self.attributes is not None and self.attributes.fits(settings)
        return Compared(
            shown,
            _another(self._measuring(asked.pair)),
            _another(to_draw),
            _another(to_say),
            _another(True),
            _another(True),
        )

    def draw(self, asked: CompareAsked, visitor: str = "") -> Iterator[MasksRun | Panels]:
        """A black box's maps by masks: how far they are, step by step, then what `compare` shows, with them.

        It draws the pair that the visitor asked for last, and ends when that is another, or the visitor leaves.
        """
        pair, started = self.session.asked(visitor), time.monotonic()
        if not isinstance(pair, PairAsked) or pair.files is None:
            return
        for drawn, done, count in _followed(self._drawing(pair)):
            if self.session.asked(visitor) != pair:
                return
            if drawn is None:
                yield MasksRun(done, count, time.monotonic() - started)
            else:
                yield self._panels(drawn, replace(asked, pair=pair, link_pin=None))

    def stand(self, visitor: str = "") -> str | None:
        """The score's line once it is known how high the score is for its network.

        None where the visitor asks for something else by then, or leaves, and where there is no score.
        """
        asked = self.session.asked(visitor)
        if not isinstance(asked, PairAsked) or asked.files is None or self.references is None:
            return None
        while self._measuring(asked):
            time.sleep(WAIT)
            if self.session.asked(visitor) != asked:
                return None
        pair = pair_of(self.session, asked)
        return words.score_line(pair, self._stands(pair, asked))

    def say(self, visitor: str = "") -> str | None:
        """The pair in words, whose attributes take some hundredths of a second that the map need not wait for.

        None where the visitor asks for something else by then, as of a network without attributes, or leaves.
        """
        asked = self.session.asked(visitor)
        if not isinstance(asked, PairAsked) or asked.files is None or self.attributes is None:
            return None
        try:
            if not self.attributes.fits(asked.settings(self.session)):
                return None
            found = self.attributes.explained(asked.files, asked.backbone, asked.framing)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        return words.in_words(found.ranking.sentence()) if self.session.asked(visitor) == asked else None

    def stop(self, asked: CompareAsked, visitor: str = "") -> str:
        """Ends the visitor's drawing; gives the method whose map is shown. Raises gr.Error as `pair_of` does."""
        self.session.ask(visitor, None)
        return pair_of(self.session, asked.pair).method

    def leave(self, visitor: str) -> None:
        """Ends the drawings of a visitor who closes the page."""
        self.session.ask(visitor, None)
        self.session.ask(f"{visitor} dial", None)

    def top_k(self, asked: CompareAsked) -> panels.Rows | None:
        """The maps of only the top k features. Raises gr.Error as `pair_of` does."""
        pair = pair_of(self.session, asked.pair)
        return panels.topk_rows(pair, panels.held(asked.k, pair))

    def fires(self, asked: PairAsked, feature: int) -> panels.Rows | None:
        """Where a feature fires. Raises gr.Error as `pair_of` does."""
        return panels.feature_rows(pair_of(self.session, asked), feature)

    def _panels(self, pair: PairExplanation, asked: CompareAsked) -> Panels:
        """Everything that the tab shows of an explained pair; a pin stays with its pair and its cells."""
        others = panels.pooling_pairs(pair, asked.pair.exponent)
        assert asked.pair.files is not None
        hashes = [content_hash(image) for image in asked.pair.files]
        key, pin = _on_viewer(":".join([*hashes, str(pair.a.grid), str(pair.b.grid), asked.pair.framing]), asked)
        listed, k = panels.feature_choices(pair), panels.held(asked.k, pair)
        return Panels(
            pair=pair,
            method=asked.pair.method,
            standing=self._stands(pair, asked.pair),
            credits=samples.credits_of(hashes),
            key=key,
            pin=pin,
            mode=asked.look.viewer["mode"],
            k=k,
            topk=panels.topk_rows(pair, k),
            features=listed,
            fires=panels.feature_rows(pair, listed[0][1]),
            poolings=others,
        )

    def _measuring(self, asked: PairAsked) -> bool:
        """Whether it is still being measured how high such scores are for their network."""
        return self.references is not None and self.references.ask(asked.settings(self.session))

    def _stands(self, pair: PairExplanation, asked: PairAsked) -> str:
        """How high the score is for its network, in a sentence; or that this is being measured."""
        if self.references is None:
            return ""
        reference = self.references.held(asked.settings(self.session))
        if reference is not None:
            return words.stands(pair.score, reference)
        return words.MEASURING if self._measuring(asked) else ""

    def _drawing(self, asked: PairAsked) -> Explaining:
        """The session's drawing; even the settings are read inside it, where a refusal is met."""
        assert asked.files is not None
        return (yield from self.session.drawing(*asked.files, asked.settings(self.session)))


def _on_viewer(key: str, asked: CompareAsked) -> tuple[str, panels.Pin | None]:
    """The key by which the viewer knows the pair, and its pin; a pin of a link is told anew, by another key."""
    viewer = asked.look.viewer
    same = viewer["key"].split("#")[0] == key
    if asked.link_pin is not None:
        return f"{key}#{uuid.uuid4().hex}", asked.link_pin or None
    return (viewer["key"], viewer["pin"]) if same else (key, None)


def _another(wanted: bool) -> str:
    return uuid.uuid4().hex if wanted else ""


def _followed(steps: Explaining) -> Iterator[tuple[PairExplanation | None, int, int]]:
    """Each step of a drawing, then the explanation; nothing where there is nothing to draw, or `compare` refused it."""
    done = count = 0
    while True:
        try:
            done, count = next(steps)
        except SimvisError:
            return
        except StopIteration as end:
            if count:
                yield end.value, done, count
            return
        yield None, done, count
