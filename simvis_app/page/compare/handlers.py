"""What the Compare tab's events do: component values in, component values out."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

import model_zoo
from model_zoo.checkpoints.choices import with_arguments
from model_zoo.checkpoints.doubts import UndecidedError
from simvis_app.page import choices
from simvis_app.page.address.address import Address
from simvis_app.page.compare import own_questions, panels
from simvis_app.page.pair.networks import about, backbones
from simvis_app.page.visits import visitor_of
from simvis_app.service import samples, words
from simvis_app.service.files import kept, served
from simvis_app.service.links import LinkedPictures
from simvis_app.service.marks import checked_pin
from simvis_app.service.references import References
from simvis_app.service.sessions.session import Session, Settings, content_hash
from simvis_core import EmbeddingNetwork, PairExplanation, Pooling, SimvisError
from simvis_core.explainers.masks import MASKED
from simvis_core.files.writing import zipped
from simvis_core.pairs.explain import Explaining
from simvis_core.pairs.export import Export
from simvis_core.pairs.sides import Side

# score, ledger, credits, method, viewer, then plot, k, rows, features, rows, then rows, plot
EMPTY = [
    *("", "", "", gr.update(visible=False), None, None, gr.skip(), None),
    *(gr.update(choices=[], value=None), None, None, None),
]
Point = tuple[Side, float, float]
Asked = tuple[Any, ...]  # both pictures and every setting, as the page sends them
WAIT = 0.5  # seconds between two looks whether a reference is measured
IDLE = ["", gr.update(visible=False)]  # no progress, no button to stop it
CLEARED = [*IDLE, None]  # nor what was said of a link or an export of the pair before
NOTHING_FOLLOWS = ["", ""]  # neither how the score stands nor a map is still to come


class Handlers:
    """What the tab's events do: each takes component values and gives component values."""

    def __init__(self, session: Session, pictures: LinkedPictures, references: References | None = None) -> None:
        self.session, self.pictures, self.references = session, pictures, references

    def compare(
        self,
        image_a: str | None,
        image_b: str | None,
        backbone: str,
        pooling: str,
        exponent: float,
        short_side: int,
        framing: Any,
        method: str | None,
        viewer: dict[str, Any],
        k: float | None,
        link_pin: Any,
        request: gr.Request | None = None,
        said: str = "",
    ) -> list[Any]:
        """Everything the tab shows about the pair; a sentence and empty panels where it cannot be explained.

        A black box's maps come later, by `draw`, unless they were drawn before. ``said`` is a notice about files that
        were dropped and not taken.
        """
        asked: Asked = (image_a, image_b, backbone, pooling, exponent, short_side, framing, method)
        self.session.ask(visitor_of(request), asked)
        if image_a is None or image_b is None:
            asks = words.notice("Drop a picture into both places to compare them.")
            return [said or asks, *EMPTY, link_pin, *CLEARED, *NOTHING_FOLLOWS]
        try:
            pair = self._pair(*asked)
            shown = self._shown(pair, asked, viewer, k, link_pin)
        except SimvisError as error:
            return [words.notice(str(error)), *EMPTY, link_pin, *CLEARED, *NOTHING_FOLLOWS]
        return [
            said + words.warning(*pair.warnings),
            *shown,
            None,
            *CLEARED,
            self._to_stand(asked),
            self._to_draw(pair, asked),
        ]

    def draw(self, viewer: dict[str, Any], k: float | None, request: gr.Request | None = None) -> Iterator[list[Any]]:
        """A black box's maps by masks: how far they are, step by step, then what `compare` shows, with them.

        It draws what the visitor asked for last, and ends when that is something else, or the visitor leaves.
        """
        visitor, started = visitor_of(request), time.monotonic()
        asked, nothing = self.session.asked(visitor), [gr.skip()] * (3 + len(EMPTY))
        yield nothing  # Gradio empties the outputs of a generator that yields nothing
        if asked is None or None in asked[:2]:
            return
        for pair, done, count in _followed(self._drawing(*asked)):
            if self.session.asked(visitor) != asked:
                yield nothing  # else Gradio, as it ends, repeats the last step over what the page shows by now
                return
            if pair is None:
                seconds = time.monotonic() - started
                yield [words.progress(done, count, seconds), gr.update(visible=True), *nothing[2:]]
            else:
                yield [*IDLE, words.warning(*pair.warnings), *self._shown(pair, asked, viewer, k, None)]

    def stand(self, request: gr.Request | None = None) -> Iterator[Any]:
        """The score's line once it is known how high the score is for its network.

        It ends when the visitor asks for something else, leaves, or the reference cannot be measured.
        """
        visitor = visitor_of(request)
        asked = self.session.asked(visitor)
        yield gr.skip()  # Gradio empties the outputs of a generator that yields nothing
        if asked is None or None in asked[:2] or self.references is None:
            return
        while self.references.ask(self.settings(*asked[2:])):
            time.sleep(WAIT)
            if self.session.asked(visitor) != asked:
                return
        pair = self._asked_pair(list(asked))
        yield words.score_line(pair, self._stands(pair, asked))

    def _to_stand(self, asked: Asked) -> str:
        """Another text for each score of which it is still being measured how high it is; none for any other."""
        on_its_way = self.references is not None and self.references.ask(self.settings(*asked[2:]))
        return uuid.uuid4().hex if on_its_way else ""

    def _stands(self, pair: PairExplanation, asked: Asked) -> str:
        """How high the score is for its network, in a sentence; or that this is being measured."""
        if self.references is None:
            return ""
        settings = self.settings(*asked[2:])
        reference = self.references.held(settings)
        if reference is not None:
            return words.stands(pair.score, reference)
        return words.MEASURING if self.references.ask(settings) else ""

    def _to_draw(self, pair: PairExplanation, asked: Asked) -> str:
        """Another text for each drawing that is to follow, which starts it; none for a pair that needs none."""
        return uuid.uuid4().hex if self.session.needs_masks(pair, self.settings(*asked[2:])) else ""

    def _drawing(self, image_a: str, image_b: str, *chosen: Any) -> Explaining:
        """The session's drawing; even the settings are read inside it, where a refusal is met."""
        return (yield from self.session.drawing(image_a, image_b, self.settings(*chosen)))

    def stop(
        self,
        image_a: str | None,
        image_b: str | None,
        backbone: str,
        pooling: str,
        exponent: float,
        short_side: int,
        framing: Any,
        method: str | None,
        request: gr.Request | None = None,
    ) -> list[Any]:
        """Ends the visitor's drawing; the method goes back to the one whose map is shown."""
        self.session.ask(visitor_of(request), None)
        method = self._asked_pair([image_a, image_b, backbone, pooling, exponent, short_side, framing, method]).method
        said = words.notice("Stopped. The score stands; choose a method to draw its map after all.")
        return [said, IDLE[1], method if method in choices.METHODS else None]

    def leave(self, request: gr.Request) -> None:
        """Ends the drawing of a visitor who closes the page."""
        self.session.ask(visitor_of(request), None)

    def _shown(self, pair: PairExplanation, asked: Any, viewer: dict[str, Any], k: Any, link_pin: Any) -> list[Any]:
        image_a, image_b, _, _, exponent, _, framing, method = asked
        others = panels.pooling_pairs(pair, exponent)
        hashes = [content_hash(image) for image in (image_a, image_b)]
        key = ":".join([*hashes, str(pair.a.grid), str(pair.b.grid), framing])
        same = viewer["key"].split("#")[0] == key
        if link_pin is not None:
            key += f"#{uuid.uuid4().hex}"  # told anew, though the pair may be on screen
        elif same:
            key = viewer["key"]
        pin = (link_pin or None) if link_pin is not None else viewer["pin"] if same else None
        return [
            words.score_line(pair, self._stands(pair, asked)),
            words.ledger_line(pair),
            samples.credits_of(hashes),
            _methods(pair, method),
            (pair, key, pin, viewer["mode"]),
            *self._topk(pair, k),
            panels.pooling_rows(others),
            panels.pooling_figure(others),
        ]

    def top_k(self, *values: Any) -> Any:
        """The maps of only the top k features."""
        *asked, k = values
        pair = self._asked_pair(asked)
        return panels.topk_rows(pair, _held(k, pair))

    def feature(self, *values: Any) -> Any:
        """Where the chosen feature fires; no change for one that the list has lost meanwhile."""
        *asked, feature = values
        return gr.skip() if feature is None else panels.feature_rows(self._asked_pair(asked), feature)

    def choose_network(self, backbone: str, pooling: str, working: str) -> list[Any]:
        """Loads the network, offers the poolings its head takes, shows its card; keeps ``working`` if it cannot."""
        try:
            network = self.session.network(backbone)
            card = about(self.session, backbone)
        except SimvisError as error:
            return [working, gr.skip(), gr.skip(), words.notice(str(error)), about(self.session, working), working]
        fits = list(network.poolings)
        chosen = pooling if pooling in fits and not network.trained_pooling.inner else str(network.trained_pooling)
        offered = gr.update(choices=fits, value=chosen)
        shown = gr.update(choices=backbones(self.session, backbone), value=backbone)
        return [shown, offered, _shown_for(chosen), words.notice(_note(backbone, network)), card, backbone]

    def opened(self, settings: Settings, working: str) -> list[Any]:
        """The tab's choices for a pair that another tab opens: settings, then notice, card and network.

        Raises gr.Error for a network that cannot be had any more.
        """
        backbone, offered, _, *network = self.choose_network(settings.backbone, settings.pooling, working)
        if network[2] != settings.backbone:
            raise gr.Error(f"The network '{settings.backbone}' cannot be loaded here.", print_exception=False)
        pooling = Pooling.parse(settings.pooling)
        exponent = gr.update(visible=pooling.name == "gem", value=pooling.exponent)
        shown = gr.update(choices=offered["choices"], value=pooling.name)
        return [backbone, shown, exponent, self._size(settings), settings.framing, *network]

    def _size(self, settings: Settings) -> Any:
        """The page's size that the network takes as this one, or this one beside the page's."""
        preprocess = self.session.network(settings.backbone).preprocess
        for size in choices.SIZES.values():
            if preprocess.fixed_size or preprocess.whole_cells(size) == settings.short_side:
                return size
        offered = [*choices.SIZES.items(), (f"as indexed: {settings.short_side}", settings.short_side)]
        return gr.update(choices=offered, value=settings.short_side)

    def open_model(
        self,
        pooling: str,
        working: str,
        file: str | None,
        upload: Any,
        architecture: str,
        head: str,
        asked: own_questions.Asked | None = None,
        _: Any = None,
        *answers: Any,
    ) -> list[Any]:
        """Loads a checkpoint, says what was loaded, and chooses it; keeps the working network where it cannot.

        What its file does not tell is asked for below, and shown with what was taken once it is loaded.
        """
        of = [file or upload, (architecture or "").strip(), head]
        unchanged = [gr.skip()] * 6
        try:
            said = with_arguments(own_questions.said(asked, of, answers), None, head, None)
            source, own = self._checkpoint(file, upload), upload is None
            name, report = self.session.open_model(source, of[1], said, public=own)
        except UndecidedError as error:
            return [words.notice(str(error)), *unchanged, *own_questions.shown(error.doubts, of)]
        except SimvisError as error:
            return [words.notice(str(error)), *unchanged, *[gr.skip()] * (2 + own_questions.MOST)]
        shown = own_questions.shown(self.session.own.doubts(name), of)
        return [words.report(report), *self.choose_network(name, pooling, working), *shown]

    def _checkpoint(self, file: str | None, upload: str | None) -> Path:
        """The chosen file; the page has no place to upload one where the owner allows none, but a request may."""
        if upload is not None:
            return self.session.own.uploaded(upload)
        if not file:
            raise SimvisError("no checkpoint", "one of the list, or an upload", "choose one first")
        return self.session.own.path(file)

    def choose_pooling(self, pooling: str) -> Any:
        """Whether the exponent's slider is there."""
        return _shown_for(pooling)

    def show_example(self, event: gr.SelectData) -> list[str]:
        """The two pictures of the chosen ready-made pair."""
        pair = samples.pairs()[int(event.index)]
        return [served(samples.PICTURES / pair[side]) for side in "ab"]

    def link(self, *values: Any) -> str:
        """The query of a link to what is shown; both pictures are kept for it. Raises as `link_to` does."""
        return self.link_to(list(values))

    def link_to(self, values: list[Any], **more: Any) -> str:
        """The query of a link to what is shown; ``more`` are other fields of its address.

        Raises gr.Error where a picture is missing, cannot be read or cannot be kept.
        """
        *asked, colours, opacity, viewer = values
        self._asked_pair(asked)
        try:
            a, b = (self.pictures.keep(image) for image in asked[:2])
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        settings = dict(zip(choices.CHOICES, [*asked[2:-1], asked[-1] or "auto", colours, opacity], strict=True))
        return Address(a=a, b=b, **settings, pin=viewer["pin"], mode=viewer["mode"], **more).query()

    def export(self, *values: Any) -> str:
        """The path of a zip with overlays, maps and manifest of what is shown."""
        *asked, colours, opacity, viewer = values
        pair = self._asked_pair(asked)
        point, region = _pinned(pair, viewer["pin"])
        files = Export(pair, point, colours, opacity, region=region, ground=viewer["ground"]).files()
        return kept(zipped(files), "simvis.zip")

    def figure(self, *values: Any) -> str:
        """The path of one picture to share: what is shown, with the score and what it was measured with."""
        *asked, colours, opacity, viewer = values
        pair = self._asked_pair(asked)
        point, region = _pinned(pair, viewer["pin"])
        facts = samples.facts_of(asked[:2], [content_hash(image) for image in asked[:2]])
        return kept(Export(pair, point, colours, opacity, facts, region, viewer["ground"]).figure_png(), "simvis.png")

    def _asked_pair(self, asked: list[Any]) -> PairExplanation:
        if asked[0] is None or asked[1] is None:
            raise gr.Error("Drop a picture into both places first.", print_exception=False)
        try:
            return self._pair(*asked)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def _pair(self, image_a: str, image_b: str, *chosen: Any) -> PairExplanation:
        return self.session.explain(image_a, image_b, self.settings(*chosen))

    def settings(
        self, backbone: str, pooling: str, exponent: float, short_side: int, framing: Any, method: str | None
    ) -> Settings:
        """The page offers three sizes; the network takes the nearest of whole cells."""
        size = self.session.network(backbone).preprocess.whole_cells(short_side)
        return Settings(backbone, str(Pooling(pooling, exponent)), size, framing, method)

    def _topk(self, pair: PairExplanation, k: float | None) -> list[Any]:
        listed = panels.feature_choices(pair)
        kept = _held(k, pair)
        return [
            panels.topk_figure(pair),
            gr.update(maximum=pair.contributions.numel(), value=kept),
            panels.topk_rows(pair, kept),
            gr.update(choices=listed, value=listed[0][1]),
            panels.feature_rows(pair, listed[0][1]),
        ]


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


def _methods(pair: PairExplanation, asked: str | None) -> Any:
    """What may draw the maps of a black box, and what does; nothing to choose for any other network."""
    inner = pair.network.inner_pooling == str(pair.network.pooling) == "token"
    offered = list(choices.METHODS if inner else MASKED)
    if pair.verdict != "black box":
        return gr.update(visible=False, value=None)
    chosen = next(method for method in (asked, pair.method, offered[0]) if method in offered)
    listed = [(words.METHOD_LABELS[method], method) for method in offered]
    return gr.update(visible=True, choices=listed, value=chosen)


def _note(name: str, network: EmbeddingNetwork) -> str:
    """What to know beforehand of a network that takes one size of view only."""
    if network.preprocess.fixed_size is None:
        return ""
    if name in model_zoo.names():
        return model_zoo.card(name).note
    h, w = network.preprocess.fixed_size
    return f"This network takes views of {h} x {w} pixels only: pictures are squeezed into that shape."


def _shown_for(pooling: str) -> Any:
    return gr.update(visible=pooling == "gem")


def _held(k: float | None, pair: PairExplanation) -> int:
    """A number of features that the pair has; an emptied field counts as 1."""
    return min(max(int(k or 1), 1), pair.contributions.numel())


def _pinned(pair: PairExplanation, pin: Any) -> tuple[Point | None, tuple[Side, list[float]] | None]:
    """The view pixel at the centre of the pinned cell, or the pinned region's weights."""
    pin = checked_pin(pin, {"a": pair.a.grid, "b": pair.b.grid})
    if pin is None:
        return None, None
    if "weights" in pin:
        return None, (pin["side"], pin["weights"])
    view, own, _ = pair.side(pin["side"])
    x, y = (
        (at + 0.5) * side / cells - 0.5
        for at, side, cells in zip((pin["col"], pin["row"]), view.size[::-1], own.grid[::-1], strict=True)
    )
    return (pin["side"], x, y), None
