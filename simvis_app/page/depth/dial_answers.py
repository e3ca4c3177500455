"""What the dial's events answer: the steps it offers, the maps at the chosen depth, and a pinned point's map there."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.depth import depth_words
from simvis_app.page.depth.dial import DialFields
from simvis_app.page.pair.asked import PairAsked
from simvis_app.page.updates import Listener, Updates, Values, unchanged
from simvis_app.page.visits import visitor_of
from simvis_app.service.sessions.depths import DepthAsked, Depths, Offered, is_little
from simvis_app.service.sessions.session import Settings
from simvis_core import PairExplanation, SimvisError
from simvis_core.files.numbers import UNITS
from simvis_core.pairs.packing import packed_map
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.overlays import common_scale
from simvis_core.steps import Ended, advanced

FINE_JS = """(text) => { document.dispatchEvent(new CustomEvent("simvis-fine", { detail: text })); }"""
POINT_JS = """(text) => { document.dispatchEvent(new CustomEvent("simvis-fine-point", { detail: text })); }"""
_PRIVATE: Listener = {"show_progress": "hidden", "api_visibility": "private"}
Files = tuple[str, str]


def read_depth(values: Values, held: DialFields) -> DepthAsked:
    """The depth that the dial stands at; none where no layer is chosen, whatever the rule."""
    layer = values.get(held.layer) or ""
    return DepthAsked(layer, values.get(held.rule) or choices.RULE.default) if layer else DepthAsked()


def wire_dial(
    held: DialFields, depths: Depths, viewer: Any, pair: set[Any], read: Callable[[Values], PairAsked]
) -> None:
    """Binds the dial: another pair and another depth bring maps, a pin brings its map there."""
    answers = DialAnswers(held, depths, viewer, read)
    asked = pair | {held.layer, held.rule}
    gr.on(
        [held.to_offer.change, held.layer.input, held.rule.input],
        answers.draw,
        asked,
        held.told,
        trigger_mode="multiple",  # the older one ends by itself
        concurrency_limit=8,
        concurrency_id="dial",
        **_PRIVATE,
    )
    held.fine_maps.change(None, held.fine_maps, None, js=FINE_JS)
    held.fine_point.change(None, held.fine_point, None, js=POINT_JS)
    viewer.deepen(
        answers.point,
        asked | {viewer},
        held.fine_point,
        trigger_mode="always_last",
        concurrency_limit=4,
        concurrency_id="dial-point",
        **_PRIVATE,
    )


class DialAnswers:
    """What the events answer; ``read`` gives the pair that the tab's fields hold."""

    def __init__(self, held: DialFields, depths: Depths, viewer: Any, read: Callable[[Values], PairAsked]) -> None:
        self.held, self.depths, self.viewer, self.read = held, depths, viewer, read

    def draw(self, values: Values, request: gr.Request | None = None) -> Iterator[Updates]:
        """The dial's steps for the pair, then the maps at the chosen one, each time they are better.

        A refusal is a sentence, and the coarse map stays. It ends when its visitor asks for another depth, or leaves.
        """
        yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
        asked, depth = self.read(values), read_depth(values, self.held)
        visitor, token = _visitor(request), (uuid.uuid4().hex,)
        self.depths.session.ask(visitor, token)
        if asked.files is None:
            return
        try:
            settings = asked.settings(self.depths.session)
            for updates in self._steps(asked.files, settings, depth):
                if self.depths.session.asked(visitor) != token:
                    return
                yield updates
        except SimvisError as error:
            yield self._refused(depth, str(error))
        yield unchanged()  # else Gradio, as it ends, repeats the last step over what the page shows by now

    def point(self, values: Values) -> str | Updates:
        """The pinned point's map at the chosen depth, as JSON; nothing changes without a depth or a point."""
        asked, depth = self.read(values), read_depth(values, self.held)
        pin = values[self.viewer]["pin"]
        if asked.files is None or not depth.layer or not pin or "weights" in pin or "of" not in pin:
            return unchanged()
        at = tuple((pin[name] + 0.5) / cells for name, cells in zip(("col", "row"), pin["of"][::-1], strict=True))
        settings = asked.settings(self.depths.session)
        try:
            found = self.depths.point(asked.files, settings, depth.layer, pin["side"], (at[0], at[1]))
        except SimvisError as error:
            return json.dumps({**pin, "refused": f"{error}"})
        scale = common_scale(found.map)
        packed = base64.b64encode(packed_map(found.map, scale)).decode()
        grid = list(found.map.shape)
        return json.dumps({**pin, "grid": grid, "scale": scale, "share": found.share, "map": packed})

    def _steps(self, files: Files, settings: Settings, depth: DepthAsked) -> Iterator[Updates]:
        """What the page shows, one after the other."""
        served = self.depths.session.explain(*files, settings)
        offered = self.depths.offered(*files, settings)
        depth, lost = self._kept(depth, offered)
        yield self._offered(served, offered, depth, lost)
        if not depth.layer:
            return
        drawing = self.depths.drawing(*files, settings, depth)
        drawn = None
        while not isinstance(step := advanced(drawing), Ended):
            drawn = step
            yield self._drawn(drawn, served, depth, under_way=depth.rule == "path")
        yield {
            self.held.depth_told: depth_words.said(step.result, depth.rule, served, under_way=False),
            self.held.layer: self._listed(served, files, settings, offered, depth),
        }

    def _kept(self, depth: DepthAsked, offered: list[Offered]) -> tuple[DepthAsked, str]:
        """The depth, and nothing; or the coarse one where the network has no such layer, and which one that was."""
        if not depth.layer or any(one.layer == depth.layer for one in offered):
            return depth, ""
        return DepthAsked(), depth.layer

    def _offered(self, served: PairExplanation, offered: list[Offered], depth: DepthAsked, lost: str) -> Updates:
        """The steps, before anything is drawn; the viewer goes back to the coarse map."""
        listed = depth_words.steps_of_dial(served.a.grid, offered, frozenset())
        told = depth_words.drawing(depth.layer) if depth.layer else depth_words.coarse_said()
        if lost:
            told = depth_words.refused(f"This network offers no maps at '{lost}'.")
        return {
            self.held.layer: gr.update(choices=listed, value=depth.layer),
            self.held.rule: gr.update(visible=bool(depth.layer)),
            self.held.depth_told: told,
            **({} if depth.layer else {self.held.fine_maps: _nothing()}),
        }

    def _listed(
        self, served: PairExplanation, files: Files, settings: Settings, offered: list[Offered], depth: DepthAsked
    ) -> Updates:
        """The steps, those that are known to carry little of the score by this rule marked."""
        drawn = {one.layer: self.depths.held(*files, settings, DepthAsked(one.layer, depth.rule)) for one in offered}
        marked = frozenset(layer for layer, pair in drawn.items() if pair is not None and is_little(pair))
        update: Updates = gr.update(choices=depth_words.steps_of_dial(served.a.grid, offered, marked))
        return update

    def _drawn(self, drawn: PairExplanation, served: PairExplanation, depth: DepthAsked, under_way: bool) -> Updates:
        return {
            self.held.depth_told: depth_words.said(drawn, depth.rule, served, under_way),
            self.held.fine_maps: fine_json(drawn),
        }

    def _refused(self, depth: DepthAsked, sentence: str) -> Updates:
        return {
            self.held.depth_told: depth_words.refused(sentence),
            self.held.rule: gr.update(visible=bool(depth.layer)),
            self.held.fine_maps: _nothing(),
        }


def nothing_drawn(held: DialFields) -> Updates:
    """The dial without a pair."""
    return {held.to_offer: "", held.rule: gr.update(visible=False), held.depth_told: ""}


def fine_json(pair: PairExplanation) -> str:
    """Both maps at a depth for the viewer, with their grids and their scale; another text each time."""
    scale = common_scale(pair.map_a, pair.map_b)
    maps = {f"map_{side}": base64.b64encode(packed_map(pair.side(side)[2], scale)).decode() for side in SIDES}
    grids = {f"grid_{side}": list(pair.side(side)[1].grid) for side in SIDES}
    facts = {"stamp": uuid.uuid4().hex, "scale": scale, "score": pair.score, "unit": UNITS[pair.method]}
    return json.dumps({**facts, **grids, **maps})


def _nothing() -> str:
    return json.dumps({"stamp": uuid.uuid4().hex})


def _visitor(request: gr.Request | None) -> str:
    """Under which the session knows what this visitor asks the dial for."""
    return f"{visitor_of(request)} dial"
