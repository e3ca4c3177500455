"""API twins of the page's clicks: the same numbers as JSON."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from simvis_app.api.fields import whole
from simvis_app.api.told import PictureDrop, told
from simvis_app.service import defaults, words
from simvis_app.service.lanes import QUICK, Lanes, Turns, paced
from simvis_app.service.references import References
from simvis_app.service.sessions.budget import USUAL_METHOD, Budget
from simvis_app.service.sessions.depths import DepthAsked, Depths, carried, depth_named, is_little
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import EmbeddingNetwork, PairExplanation, SimvisError
from simvis_core.explainers.masks import MASKED
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pairs.standing import Reference, standing
from simvis_core.pictures.views import Framing, cell_at
from simvis_core.steps import Ended

Upload = dict[str, object]  # as it came: {"path", ...}
Progress = dict[str, int]  # {"done", "of"}


def add_api(
    session: Session,
    references: References | None = None,
    lanes: Lanes | None = None,
    budget: Budget = Budget(),  # noqa: B008 - it never changes
) -> None:
    """Adds /explain_pair and /explain_point to the app that is being built."""
    explaining = Explaining(session, lanes or Lanes(), budget)

    async def explain_pair(
        image_a: Upload,
        image_b: Upload,
        backbone: str,
        pooling: str,
        view_size: float,
        framing: Framing,
        method: str = "",
        layer: str = "",
        rule: str = "",
        reference: str = "",
        backbone_b: str = "",
        pooling_b: str = "",
        view_size_b: float = 0,
        layer_b: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Why two pictures are similar: score, maps, ledger and verdict.

        image_a, image_b: picture files. backbone: a name that `app.py models` lists, timm/NAME, torchvision/NAME,
        transformers/NAME or open_clip/NAME. pooling: avg, max, gem, gem:4, avgmax, catavgmax, flatten, token or own.
        view_size: short side of the views in pixels. framing: whole, square or crop. method: "sliding window" or "RISE"
        draw the maps by masks, with a forward pass for each; empty, only those of a black box are. Maps are rows of
        cells, signed, in units of the score; where additive is true, map_a plus bias_part.a sums to the score.
        standing: the shares of pairs of unrelated reference pictures, and of pairs of one class, that this network
        scores lower; null while that is being measured (ask again), and where it cannot be, as of two networks. layer:
        where in the network the maps are drawn, such as blocks.2 or pixels, finer further in front; empty, at its last
        features. rule: frozen (the network's gates held) or path, which starts from a reference: blur, mean or grey.
        bias_parts: what each bias comes from, offsets, reference, tokens without a place, remainder. depth: null at the
        last features; else what the cells carry of the score, little where that is under a fifth, and how far its score
        is off the engine's. backbone_b, pooling_b, view_size_b, layer_b: what encodes image_b where that is another
        network of one embedding width (two towers), or another pooling or view; empty or 0, image_a's, and of another
        network its own. tower_b: what image_b was encoded by; null for image_a's network. While masks draw, answers of
        {"done", "of"} come first; whoever stops listening stops them.
        """
        with told():
            files = _files(image_a, image_b)
            settings = _settings(backbone, pooling, view_size, framing, method)
            settings = await explaining.with_second(settings, backbone_b, pooling_b, view_size_b)
            depth = _depth(layer, rule, reference, method, layer_b)
            async for pair in explaining.steps(*files, settings, depth):
                yield (
                    pair_json(pair, _reference(references, pair, settings), explaining.served(files, settings, depth))
                    if isinstance(pair, PairExplanation)
                    else pair
                )

    async def explain_point(
        image_a: Upload,
        image_b: Upload,
        backbone: str,
        pooling: str,
        side: Side,
        x: float,
        y: float,
        view_size: float,
        framing: Framing,
        method: str = "",
        layer: str = "",
        rule: str = "",
        reference: str = "",
        backbone_b: str = "",
        pooling_b: str = "",
        view_size_b: float = 0,
        layer_b: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Where a point of one picture counts in the other, and what it carries of the score.

        side: a or b. x, y: pixels of that picture's view, whole numbers at pixel centres. A click on a cell of the page
        is the point at the cell's centre. layer, rule, reference, backbone_b, pooling_b, view_size_b, layer_b: as
        /explain_pair takes them. While masks draw, answers of {"done", "of"} come first.
        """
        with told():
            at = _number("x", x), _number("y", y)
            files = _files(image_a, image_b)
            settings = _settings(backbone, pooling, view_size, framing, method)
            settings = await explaining.with_second(settings, backbone_b, pooling_b, view_size_b)
            depth = _depth(layer, rule, reference, method, layer_b)
            async for pair in explaining.steps(*files, settings, depth):
                yield point_json(pair, side, *at) if isinstance(pair, PairExplanation) else pair

    with gr.Row(visible=False):
        pictures = [PictureDrop(type="filepath", label=name) for name in ("image_a", "image_b")]
        choices = [gr.Textbox(defaults.BACKBONE, label="backbone"), gr.Textbox(defaults.POOLING, label="pooling")]
        point = [gr.Textbox("a", label="side"), gr.Number(0, label="x"), gr.Number(0, label="y")]
        view = [gr.Number(defaults.SHORT_SIDE, label="view_size"), gr.Textbox(defaults.FRAMING, label="framing")]
        how = [gr.Textbox("", label=name) for name in ("method", "layer", "rule", "reference")]
        how += [gr.Textbox("", label=name) for name in ("backbone_b", "pooling_b")]
        how += [gr.Number(0, label="view_size_b"), gr.Textbox("", label="layer_b")]
        answer = gr.JSON()
        ask = gr.Button()
    # What is known is told at once; the rest takes turns inside. The fields are checked and plain: Gradio would read
    # each in a thread, and a dozen changes of threads on a busy processor are what an answer waits for.
    asked = {"concurrency_limit": None, "concurrency_id": QUICK, "preprocess": False, "postprocess": False}
    ask.click(explain_pair, [*pictures, *choices, *view, *how], answer, api_name="explain_pair", **asked)
    ask.click(explain_point, [*pictures, *choices, *point, *view, *how], answer, api_name="explain_point", **asked)


class Explaining:
    """Explanations for programs: known ones at once, others one after the other, and those by masks among themselves.

    A black box takes as many passes as there are masks: nobody who asks for a split network waits for them.
    """

    def __init__(self, session: Session, lanes: Lanes, budget: Budget = Budget()) -> None:  # noqa: B008
        self.session, self.lanes, self.budget = session, lanes, budget
        self.depths = Depths(session)
        self._passes, self._masks = Turns(), Turns()

    async def with_second(self, settings: Settings, backbone: str, pooling: str, view_size: float | None) -> Settings:
        """The settings with what image_b alone is seen by, if anything: of another network its own pooling and view.

        Raises SimvisError as `Session.network` does, and for a view's size that is no whole number.
        """
        size = whole(view_size or 0, "view_size_b")
        if not backbone:
            return self.session.with_second(settings, backbone, pooling, size)
        return await self.lanes.slow(lambda: self.session.with_second(settings, backbone, pooling, size))

    async def steps(
        self,
        image_a: str,
        image_b: str,
        settings: Settings,
        depth: DepthAsked = DepthAsked(),  # noqa: B008
    ) -> AsyncIterator[PairExplanation | Progress]:
        """How far the masks are, ``{"done", "of"}``, then the explanation; at a depth without masks.

        Raises SimvisError as `Session.explain` and `Depths.drawing` do, where too many wait, and for more than the
        budget.
        """
        if depth.layer:
            self.budget.check_depth(settings, depth.rule)
            async with self._masks.turn():
                yield await self.lanes.slow(lambda: self.depths.explained(image_a, image_b, settings, depth))
            return
        pair = await self.lanes.quick(lambda: self.session.known(image_a, image_b, settings))
        if pair is None:
            self.budget.check_masks(settings, settings.method)
            async with self._passes.turn():
                pair = await self.lanes.slow(lambda: self.session.explain(image_a, image_b, settings))
        if not self.session.needs_masks(pair, settings):
            yield pair
            return
        self.budget.check_masks(settings, settings.method or USUAL_METHOD)
        async with self._masks.turn(), aclosing(self._drawn(image_a, image_b, settings)) as steps:
            async for step in steps:
                yield step

    def served(self, files: tuple[str, str], settings: Settings, depth: DepthAsked) -> PairExplanation | None:
        """What the engine itself says of a pair at a depth, which was explained for it; None at the last features."""
        return self.session.explain(*files, settings) if depth.layer else None

    async def _drawn(
        self, image_a: str, image_b: str, settings: Settings
    ) -> AsyncGenerator[PairExplanation | Progress]:
        drawing = self.lanes.stepped(self.session.drawing(image_a, image_b, settings))
        async with aclosing(paced(drawing)) as steps:
            async for step in steps:
                yield step.result if isinstance(step, Ended) else {"done": step[0], "of": step[1]}


def pair_json(
    pair: PairExplanation, reference: Reference | None = None, served: PairExplanation | None = None
) -> dict[str, Any]:
    """Everything of a pair that fits JSON; with a reference, how its score stands there.

    ``served`` is the pair as the engine explains it, where ``pair`` is that at a depth.
    """
    return {
        "score": pair.score,
        "warnings": pair.warnings,
        "standing": None if reference is None else standing_json(pair.score, reference),
        "map_a": pair.map_a.tolist(),
        "map_b": pair.map_b.tolist(),
        "ledger": pair.ledger if pair.additive else None,
        "bias_part": {"a": pair.bias_part("a"), "b": pair.bias_part("b")} if pair.additive else None,
        "bias_parts": pair.bias_parts if pair.additive else None,
        "depth": None if served is None else depth_json(pair, served),
        "verdict": pair.verdict,
        "method": pair.method,
        "additive": pair.additive,
        "engine": pair.network.engine,
        "grids": {"a": list(pair.a.grid), "b": list(pair.b.grid)},
        "view_sizes": {"a": list(pair.view_a.size), "b": list(pair.view_b.size)},
        "backbone": pair.network.name,
        "pooling": str(pair.network.pooling),
        "tower_b": None if pair.network_b is None else _tower_json(pair.network_b),
    }


def _tower_json(network: EmbeddingNetwork) -> dict[str, str]:
    return {"backbone": network.name, "pooling": str(network.pooling), "engine": network.engine}


def depth_json(pair: PairExplanation, served: PairExplanation) -> dict[str, Any]:
    """At which layer a pair's maps are, by which rule, what of the score they carry, and how far off the engine is."""
    facts = {} if pair.network.depth is None else dict(pair.network.depth.facts)
    if pair.network_b is not None and pair.network_b.depth is not None:
        facts["layer_b"] = pair.network_b.depth.layer
    off = {"engine_served": served.network.engine, "score_off_engine": pair.score - served.score}
    steps = {side: int(getattr(pair.side(side)[1], "steps", 0)) for side in SIDES}
    return {**facts, "steps": steps, "cells_share": carried(pair), "little": is_little(pair), **off}


def standing_json(score: float, reference: Reference) -> dict[str, Any]:
    """How a score stands among the pairs of the reference pictures, as numbers and as a sentence."""
    facts = {"separation": reference.separation, "pictures": reference.pictures}
    return asdict(standing(score, reference)) | facts | {"sentence": words.stands(score, reference)}


def _reference(references: References | None, pair: PairExplanation, settings: Settings) -> Reference | None:
    """What is known of the network's scores; else it is asked for. Two towers have none: it is of one network."""
    if references is None or settings.other is not None:
        return None
    settings = replace(settings, pooling=str(pair.network.pooling))
    references.ask(settings)
    return references.held(settings)


def point_json(pair: PairExplanation, side: Side, x: float, y: float) -> dict[str, Any]:
    """A point's map on the other picture, its share in units of the score, and the cell it lies in."""
    view, own, _ = pair.side(side)
    map = pair.point_map(side, x, y)
    return {
        "map": map.tolist(),
        "share": pair.point_share(side, x, y),
        "score": pair.score,
        "cell": list(cell_at(x, y, view.size, own.grid)),
    }


def _files(image_a: Upload | None, image_b: Upload | None) -> tuple[str, str]:
    """The uploads' paths. Raises SimvisError where one is missing."""
    if not image_a or not image_b:
        raise SimvisError("one picture", "two", "send image_a and image_b")
    return str(image_a["path"]), str(image_b["path"])


def _settings(backbone: str, pooling: str, view_size: float, framing: Framing, method: str) -> Settings:
    """What the fields ask for. Raises SimvisError for what no answer can be given to."""
    size = _number("view_size", view_size)
    if not size.is_integer():
        raise SimvisError(f"view_size {size:g}", "a whole number", f"send {defaults.SHORT_SIDE}")
    if method and method not in MASKED:
        raise SimvisError(f"method '{method}'", f"one of {', '.join(MASKED)}, or nothing", "send one of these")
    return Settings(backbone, pooling, int(size), framing, method or None, True)


def _depth(layer: str, rule: str, reference: str, method: str, layer_b: str) -> DepthAsked:
    """What the fields ask for. Raises SimvisError for what does not go together, and for what there is not."""
    asked = depth_named(layer, rule, reference, layer_b)
    if layer and method:
        raise SimvisError("both a layer and a method", "one way to draw the maps", "leave one of them empty")
    return asked


def _number(name: str, value: float | None) -> float:
    """A field that the caller may have left empty."""
    if value is None:
        raise SimvisError(f"no {name}", "a number", f"send {name}")
    return float(value)
