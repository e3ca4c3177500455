"""What the Trust tab's events do: component values in, component values out."""

import base64
import io
import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.map_cards import Cards, MapCard
from simvis_app.page.trust import words as trust_words
from simvis_app.page.visits import visitor_of
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers.question import Interim, Question
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.files.writing import zipped
from simvis_core.galleries.figures import score_figure
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.trust.faithfulness import CURVE_STEPS, removed
from simvis_core.trust.figures import removal_figure
from simvis_core.trust.files import measured_files
from simvis_core.trust.measuring import Asked, Better, Compared, Measured, Part, asked_of, baselines, compared, drawable
from simvis_core.trust.sanity import OFTEN, STAGES, Randomised, agreement_matrix, randomisation_steps, stability_steps

NAME = "Trust"  # the tab's, in addresses too
GLANCE = 11  # steps of a curve in what the tab opens with
CHEAP = 1  # passes of an explainer that is among it
PAUSE = 0.3  # seconds between two answers while something is being drawn
ITS = {"drawing": 0.6, "insertion": 0.2, "deletion": 0.2}  # share of one measurement's bar
BEFORE = {"drawing": 0.0, "insertion": 0.6, "deletion": 0.8}
IDLE = ["", gr.update(visible=False)]
# cards, summary, plot, table, agreement, order, picture
CLEARED = [None, "", None, "", None, gr.update(choices=[], value=None), ""]
SHOWN = 11  # the pair's line, progress, stop, these, and the question that was measured
WAITING = "waiting for its turn"
UNDER_WAY = ("waiting", "being drawn")


@dataclass
class Row:
    """What is known so far of a row of measurements."""

    question: Question
    asked: list[tuple[str, Asked]]
    started: float = field(default_factory=time.monotonic)
    cards: dict[str, MapCard] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    randoms: list[Measured] = field(default_factory=list)
    done: int = 0

    @property
    def found(self) -> Compared:
        """How each map compares with chance; empty while baselines are missing."""
        if self.done < len(self.asked) or "centre" not in self.measured:
            return {}
        return compared(self.measured, self.randoms, self.measured["centre"])


class TrustHandlers:
    """What the tab's events do: each takes component values and gives component values.

    The request comes first where values are many: Gradio hands it over by place, and not at all behind ``*values``.
    """

    def __init__(self, compare: Handlers) -> None:
        self.session, self.compare = compare.session, compare

    def show_pair(self, request: gr.Request | None, *values: Any) -> list[Any]:
        """The pair's line; and where what is on the page was measured for another question, nothing more of it.

        The question before goes on no longer.
        """
        *asked, side, fill, setting, seed, before = values
        now = _question_key(asked, side, fill, setting, seed)
        try:
            line = self._pair_line(asked, side)
        except SimvisError as error:
            line = words.notice(str(error))
        if before in ("", now):
            return [line, *[gr.skip()] * (SHOWN - 1)]
        self.session.ask(_visitor(request), ("another question",))
        return [line, *IDLE, *CLEARED, ""]

    def glance(self, request: gr.Request | None, *values: Any) -> Iterator[list[Any]]:
        """What the tab opens with: the cheap ones of the chosen explainers, measured in few steps; see `measure`.

        Nothing changes where the question on the page is measured already, or none of the chosen ones is cheap.
        """
        *asked, side, chosen, fill, setting, seed, before = values
        cheap = [name for name in chosen or [] if name in EXPLAINERS and EXPLAINERS[name].passes <= CHEAP]
        yield [gr.skip()] * SHOWN  # Gradio empties the outputs of a generator that yields nothing
        if before or not cheap or None in asked[:2]:
            return
        yield from self._measured_row(request, GLANCE, *asked, side, cheap, fill, setting, seed)

    def measure(self, request: gr.Request | None, *values: Any) -> Iterator[list[Any]]:
        """Draws and measures the chosen explainers, then the baselines, step by step; see `Widgets.shown`.

        It ends when its visitor measures something else, stops it, or leaves.
        """
        yield from self._measured_row(request, CURVE_STEPS, *values)

    def _measured_row(self, request: gr.Request | None, steps: int, *values: Any) -> Iterator[list[Any]]:
        *asked, side, chosen, fill, setting, seed = values
        visitor, token = _visitor(request), (uuid.uuid4().hex,)
        self.session.ask(visitor, token)
        key = _question_key(asked, side, fill, setting, seed)
        try:
            line: Any = gr.skip()
            line = self._pair_line(asked, side)
            row = self._row(asked, side, chosen, fill, setting, seed, steps)
        except SimvisError as error:
            yield [line, words.notice(str(error)), IDLE[1], *CLEARED, ""]
            return
        yield [
            line,
            trust_words.progress(WAITING, 0, len(row.asked), 0.0, 0.0),
            gr.update(visible=True),
            _cards(row),
            *CLEARED[1:],
            key,
        ]
        shown = time.monotonic()
        for name, part in self._steps(row, asked, side):
            now = self.session.asked(visitor)
            if now != token:
                # Gradio repeats the last step as a generator ends: it must be what the page is to show.
                stopped = [
                    line,
                    words.notice(trust_words.STOPPED),
                    IDLE[1],
                    _cards(row, stopped=True),
                    *_results(row),
                    key,
                ]
                yield stopped if now is None else [gr.skip()] * SHOWN
                return
            if time.monotonic() - shown > PAUSE:
                shown = time.monotonic()
                progress = [line, self._progress(row, name, part), gr.update(visible=True), _cards(row)]
                yield [*progress, *[gr.skip()] * (SHOWN - 4)]
        said = trust_words.GLANCED if steps == GLANCE else ""
        yield [line, said, IDLE[1], _cards(row), *_results(row), key]

    def stop(self, request: gr.Request | None = None) -> list[Any]:
        """Ends the visitor's measuring; the measuring itself then says what it has."""
        self.session.ask(_visitor(request), None)
        return [words.notice("Stopping after this step."), IDLE[1]]

    def leave(self, request: gr.Request) -> None:
        """Ends the measuring and the checks of a visitor who closes the page."""
        self.session.ask(_visitor(request), None)
        self.session.ask(_visitor(request, "checks"), None)

    def remove(self, *values: Any) -> str:
        """The picture with a share of its pixels gone (or back), and its score, as it was measured; never measures."""
        *asked, side, fill, setting, seed, name, kind, percent = values
        if not name:
            return ""
        try:
            wanted = _as_measured(asked_of(name, setting, seed, fill))
            question = self._question(asked, side)
            both = [wanted, replace(wanted, steps=GLANCE)]
            full, glanced = self.session.measured(asked[0], asked[1], self._settings(asked), side, both)
            measured = full or glanced
            if measured is None:
                return words.notice("This map is not measured for the pair as it is now: draw and measure first.")
            curve = measured.deletion if kind == "deletion" else measured.insertion
            step = round(min(max(percent or 0, 0), 100) / 100 * (len(curve.shares) - 1))
            share = float(curve.shares[step])
            pixels = removed(question, measured.drawn.map, curve.kind, share, fill, wanted.seed)
        except SimvisError as error:
            return words.notice(str(error))
        shown = question.network.preprocess.picture(pixels)
        line = trust_words.removal_line(share, curve.kind, float(curve.scores[step]), curve.full, curve.background)
        return f'{line}<img class="removed" alt="The picture as the network sees it now" src="{_address(shown)}">'

    def sanity(self, request: gr.Request | None, *values: Any) -> Iterator[str]:
        """Random weights and small shifts for one explainer, as they are found; a newer check ends an older one."""
        *asked, side, seed, name = values
        if not name:
            yield words.notice("Measure a map first.")
            return
        visitor, token = _visitor(request, "checks"), (uuid.uuid4().hex,)
        self.session.ask(visitor, token)
        try:
            for told in self._checked(asked, side, name, seed):
                if self.session.asked(visitor) != token:
                    return
                if told:
                    yield told
        except SimvisError as error:
            yield words.notice(str(error))

    def link(self, *values: Any) -> str:
        """The query of a link to the pair and what is chosen on this tab; what was measured is not kept."""
        chosen = dict(zip(choices.TRUST, values[-len(choices.TRUST) :], strict=True))
        try:
            chosen["seed"] = asked_of("random", chosen["setting"], chosen["seed"], chosen["fill"]).seed
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        return self.compare.link_to(list(values[: -len(choices.TRUST)]), tab=NAME, **chosen)

    def export(self, *values: Any) -> str:
        """The path of a zip of what is measured of the question on the page: maps, numbers, curves and pictures.

        It never measures. Maps are in it as far as they are measured.
        """
        *compared, side, _, fill, setting, seed, question = values
        *asked, colours, opacity, _ = compared
        try:
            if question != _question_key(asked, side, fill, setting, seed):
                raise SimvisError("no measurement of this question", "one or more", "draw and measure first")
            pair, measured = self._kept(asked, side, (fill, setting, seed))
            files = measured_files(pair, side, measured, colours, opacity)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        return kept(zipped(files), "simvis-trust.zip")

    def _kept(self, asked: list[Any], side: Side, how: tuple[str, Any, Any]) -> tuple[PairExplanation, list[Measured]]:
        """The pair, and what is still kept of its measurements; beside them the baselines, if all of them are.

        All of one kind: measured in full, or at a glance where more maps are measured so.
        """
        self._question(asked, side)
        rows = [self._kept_row(asked, side, how, steps) for steps in (CURVE_STEPS, GLANCE)]
        return self.session.explain(asked[0], asked[1], self._settings(asked)), max(rows, key=len)

    def _kept_row(self, asked: list[Any], side: Side, how: tuple[str, Any, Any], steps: int) -> list[Measured]:
        fill, setting, seed = how
        settings = self._settings(asked)
        wanted = [asked_of(name, setting, seed, fill, steps) for name in choices.DRAWN_BY.names]
        kept_here = self.session.measured(asked[0], asked[1], settings, side, [*wanted, *baselines(wanted[0])])
        found = [one for one in kept_here[: len(wanted)] if one is not None]
        chance = kept_here[len(wanted) :]
        beside = [one for one in chance if one is not None] if found and None not in chance else []
        return [*found, *beside]

    def _checked(self, asked: list[Any], side: Side, name: str, seed: Any) -> Iterator[str]:
        """What to say after each step; nothing while a map is being drawn."""
        # Before the steps take turns: what these run takes its own.
        question, network = self._checkable(asked, side, name), self.session.eager(self._settings(asked))
        stages: list[Randomised] = []
        for found in self.session.in_turn(_checks(question, network, name, asked_of(name, "fixed", seed, "blur").seed)):
            if isinstance(found, Randomised):
                stages.append(found)
                yield f"<p>Random weights: {len(stages)} of {STAGES} stages</p>"
            elif isinstance(found, Steadiness):
                yield trust_words.sanity(name, stages, found.mean)
            else:
                yield ""

    def _checkable(self, asked: list[Any], side: Side, name: str) -> Question:
        if EXPLAINERS[name].baseline:
            raise SimvisError(f"'{trust_words.title(name)}', which no network draws", "an explainer", "choose another")
        if EXPLAINERS[name].passes > OFTEN:
            raise SimvisError(
                f"'{trust_words.title(name)}' with {EXPLAINERS[name].passes} passes, nine times over",
                f"an explainer of at most {OFTEN}",
                "choose another, or use `simvis_core.trust.sanity` from Python",
            )
        return self._question(asked, side)

    # ---------------------------------------------------------------- one row

    def _row(self, asked: list[Any], side: Side, chosen: Any, fill: str, setting: Any, seed: Any, steps: int) -> Row:
        names = [name for name in EXPLAINERS if name in (chosen or []) and not EXPLAINERS[name].baseline]
        if not names:
            raise SimvisError("no explainer", "one or more", "choose some of the list")
        question = self._question(asked, side)
        wanted = [asked_of(name, setting, seed, fill, steps) for name in names]
        all_asked = [(one.explainer, one) for one in (*wanted, *baselines(wanted[0]))]
        row = Row(question, all_asked)
        row.cards = {
            name: MapCard(name, EXPLAINERS[name].title, EXPLAINERS[name].paper, "waiting") for name, _ in all_asked
        }
        return row

    def _steps(self, row: Row, asked: list[Any], side: Side) -> Iterator[tuple[str, Part | None]]:
        settings = self._settings(asked)
        for name, wanted in row.asked:
            yield name, None
            steps = self.session.measuring(asked[0], asked[1], settings, side, wanted)
            while True:
                try:
                    part = next(steps)
                except StopIteration as end:
                    self._keep(row, name, end.value)
                    break
                except SimvisError as error:
                    row.cards[name] = replace(row.cards[name], state=str(error))
                    break
                if part.interim.map is not None:
                    grid, cells, _ = drawable(part.interim.map)
                    row.cards[name] = replace(row.cards[name], state="being drawn", grid=grid, cells=cells)
                yield name, part
            row.done += 1

    def _keep(self, row: Row, name: str, measured: Measured) -> None:
        if name == "random":
            row.randoms.append(measured)
        if name in row.measured:
            return
        row.measured[name] = measured
        grid, cells, strongest = drawable(measured.drawn.map)
        facts = tuple(fact for fact in trust_words.facts(measured, strongest) if fact)
        row.cards[name] = replace(row.cards[name], state="", grid=grid, cells=cells, facts=facts)

    def _progress(self, row: Row, name: str, part: Part | None) -> str:
        doing = f": {trust_words.DOING[part.doing]}" if part else ""
        share = BEFORE[part.doing] + ITS[part.doing] * part.interim.done / max(part.interim.total, 1) if part else 0.0
        return trust_words.progress(
            f"{trust_words.title(name)}{doing}", row.done, len(row.asked), share, time.monotonic() - row.started
        )

    def _question(self, asked: list[Any], side: Side) -> Question:
        if None in asked[:2]:
            raise SimvisError("fewer than two pictures", "two", "drop them on the Compare tab first")
        return self.session.question(asked[0], asked[1], self._settings(asked), side)

    def _settings(self, asked: list[Any]) -> Any:
        return self.compare.settings(*asked[2:])

    def _pair_line(self, asked: list[Any], side: Side) -> str:
        question = self._question(asked, side)
        names = {one: Path(str(file)).name for one, file in zip(SIDES, asked[:2], strict=True)}
        network = question.network
        warned = words.warning(*self.session.explain(asked[0], asked[1], self._settings(asked)).warnings)
        return warned + trust_words.pair_line(names, network.name, str(network.pooling), question.score, side)


class Steadiness(NamedTuple):
    """How alike the maps of shifted views are; None for a constant map."""

    mean: float | None


def _checks(
    question: Question, network: EmbeddingNetwork, name: str, seed: int
) -> Generator[Interim | Randomised | Steadiness, None, None]:
    assert question.reference is not None
    yield from randomisation_steps(name, network, question.view, question.reference, seed)
    yield Steadiness((yield from stability_steps(replace(question, network=network), name, seed)))


def _results(row: Row) -> list[Any]:
    """Summary, plot, table, agreement, the maps to remove pixels by, and an emptied picture of the removal."""
    found = row.found
    randoms = [one.gap for one in row.randoms]
    curves = {
        trust_words.title(name): {"insertion": one.insertion, "deletion": one.deletion}
        for name, one in row.measured.items()
    }
    faint = [trust_words.title(name) for name in row.measured if EXPLAINERS[name].baseline]
    listed = [(trust_words.title(name), name) for name in row.measured]
    return [
        trust_words.summary(found, row.measured, randoms) if row.done == len(row.asked) else "",
        removal_figure(curves, faint) if curves else None,
        trust_words.table(row.measured, found),
        _agreement(row),
        gr.update(choices=listed, value=listed[0][1] if listed else None),
        "",
    ]


def _agreement(row: Row) -> Any:
    """The rank correlations between the chosen maps; nothing for one map alone."""
    maps = {name: one.drawn.map for name, one in row.measured.items() if not EXPLAINERS[name].baseline}
    if len(maps) < 2:
        return None
    return score_figure(agreement_matrix(maps), [trust_words.title(name) for name in maps], "rank correlation")


def _cards(row: Row, stopped: bool = False) -> Cards:
    found = row.found
    cards = [
        replace(card, verdict=trust_words.verdict(found[name]), better=_good(found[name])) if name in found else card
        for name, card in row.cards.items()
    ]
    if stopped:
        cards = [replace(card, state="stopped") if card.state in UNDER_WAY else card for card in cards]
    return Cards(picture_file(row.question.view), row.question.view.aspect, cards)


def _good(better: Better | None) -> bool | None:
    """Good news, bad news, or something between."""
    return {"better than chance": True, "no better than chance": False, "worse than chance": False}.get(better or "")


def _as_measured(asked: Asked) -> Asked:
    """How a row measures that map: baselines have seeds of their own."""
    return next((one for one in baselines(asked) if one.explainer == asked.explainer), asked)


def _question_key(asked: list[Any], side: str, fill: str, setting: str, seed: Any) -> str:
    """Another text for each question; pictures are told apart by their files' names, which Gradio makes of content."""
    return repr((*asked, side, fill, setting, seed))


def _visitor(request: gr.Request | None, doing: str = "trust") -> str:
    """Apart from the same visitor's drawing on the Compare tab."""
    return f"{visitor_of(request)} {doing}"


def _address(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
