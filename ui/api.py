"""API twins of the page's clicks: the same numbers as JSON."""

from dataclasses import asdict
from typing import Any

import gradio as gr

from simvis_core import PairExplanation, SimvisError
from simvis_core.images import cell_at
from simvis_core.perturbation import MASKED
from simvis_core.standing import Reference, standing
from ui import words
from ui.components import PictureDrop
from ui.references import References
from ui.session import Session, Settings


def add_api(session: Session, references: References | None = None) -> None:
    """Adds /explain_pair and /explain_point to the app that is being built."""

    def explain_pair(
        image_a: str, image_b: str, backbone: str, pooling: str, view_size: float, framing: str, method: str = ""
    ) -> dict[str, Any]:
        """Why two pictures are similar: score, maps, ledger and verdict.

        image_a, image_b: picture files. backbone: a name that `app.py models` lists, timm/NAME or torchvision/NAME.
        pooling: avg, max, gem, gem:4, avgmax, catavgmax, flatten, token or own. view_size: short side of the views in
        pixels. framing: whole, square or crop. method: "sliding window" or "RISE" draw the maps by masks, with a
        forward pass for each; empty, only those of a black box are. Maps are rows of cells, signed, in units of the
        score; where additive is true, map_a plus bias_part.a sums to the score. standing: the shares of pairs of
        unrelated reference pictures, and of pairs of one class, that this network scores lower; null while that is
        being measured (ask again), and where it cannot be.
        """
        pair = _explain(session, image_a, image_b, backbone, pooling, view_size, framing, method)
        return pair_json(pair, _reference(references, pair, backbone, view_size, framing))

    def explain_point(
        image_a: str,
        image_b: str,
        backbone: str,
        pooling: str,
        side: str,
        x: float,
        y: float,
        view_size: float,
        framing: str,
        method: str = "",
    ) -> dict[str, Any]:
        """Where a point of one picture counts in the other, and what it carries of the score.

        side: a or b. x, y: pixels of that picture's view, whole numbers at pixel centres. A click on a cell of the page
        is the point at the cell's centre.
        """
        pair = _explain(session, image_a, image_b, backbone, pooling, view_size, framing, method)
        try:
            return point_json(pair, side, _number("x", x), _number("y", y))
        except SimvisError as error:
            raise gr.Error(str(error), print_exception=False) from error

    with gr.Row(visible=False):
        pictures = [PictureDrop(type="filepath", label=name) for name in ("image_a", "image_b")]
        choices = [gr.Textbox("efficientnet_lite0", label="backbone"), gr.Textbox("avg", label="pooling")]
        point = [gr.Textbox("a", label="side"), gr.Number(0, label="x"), gr.Number(0, label="y")]
        view = [gr.Number(224, label="view_size"), gr.Textbox("whole", label="framing")]
        method = gr.Textbox("", label="method")
        answer = gr.JSON()
        ask = gr.Button()
    # A black box takes as many passes as there are masks: not more than one such answer is made at a time.
    asked = {"concurrency_limit": 1, "concurrency_id": "api"}
    ask.click(explain_pair, [*pictures, *choices, *view, method], answer, api_name="explain_pair", **asked)
    ask.click(explain_point, [*pictures, *choices, *point, *view, method], answer, api_name="explain_point", **asked)


def pair_json(pair: PairExplanation, reference: Reference | None = None) -> dict[str, Any]:
    """Everything of a pair that fits JSON; with a reference, how its score stands there."""
    return {
        "score": pair.score,
        "standing": None if reference is None else standing_json(pair.score, reference),
        "map_a": pair.map_a.tolist(),
        "map_b": pair.map_b.tolist(),
        "ledger": pair.ledger if pair.additive else None,
        "bias_part": {"a": pair.bias_part("a"), "b": pair.bias_part("b")} if pair.additive else None,
        "verdict": pair.verdict,
        "method": pair.method,
        "additive": pair.additive,
        "engine": pair.network.engine,
        "grids": {"a": list(pair.a.grid), "b": list(pair.b.grid)},
        "view_sizes": {"a": list(pair.view_a.size), "b": list(pair.view_b.size)},
        "backbone": pair.network.name,
        "pooling": str(pair.network.pooling),
    }


def standing_json(score: float, reference: Reference) -> dict[str, Any]:
    """How a score stands among the pairs of the reference pictures, as numbers and as a sentence."""
    facts = {"separation": reference.separation, "pictures": reference.pictures}
    return asdict(standing(score, reference)) | facts | {"sentence": words.stands(score, reference)}


def _reference(
    references: References | None, pair: PairExplanation, backbone: str, view_size: float, framing: Any
) -> Reference | None:
    """What is known of the network's scores; else it is asked for."""
    if references is None:
        return None
    settings = Settings(backbone, str(pair.network.pooling), int(view_size), framing)
    references.ask(settings)
    return references.held(settings)


def point_json(pair: PairExplanation, side: Any, x: float, y: float) -> dict[str, Any]:
    """A point's map on the other picture, its share in units of the score, and the cell it lies in."""
    view, own, _ = pair.side(side)
    map = pair.point_map(side, x, y)
    return {
        "map": map.tolist(),
        "share": pair.point_share(side, x, y),
        "score": pair.score,
        "cell": list(cell_at(x, y, view.size, own.grid)),
    }


def _explain(
    session: Session,
    image_a: str,
    image_b: str,
    backbone: str,
    pooling: str,
    view_size: float,
    framing: Any,
    method: str,
) -> PairExplanation:
    if not image_a or not image_b:
        raise gr.Error(str(SimvisError("one picture", "two", "send image_a and image_b")), print_exception=False)
    try:
        size = _number("view_size", view_size)
        if not size.is_integer():
            raise SimvisError(f"view_size {size:g}", "a whole number", "send 224")
        if method and method not in MASKED:
            raise SimvisError(f"method '{method}'", f"one of {', '.join(MASKED)}, or nothing", "send one of these")
        return session.explain_fully(
            image_a, image_b, Settings(backbone, pooling, int(size), framing, method or None, True)
        )
    except SimvisError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _number(name: str, value: float | None) -> float:
    """A field that the caller may have left empty."""
    if value is None:
        raise SimvisError(f"no {name}", "a number", f"send {name}")
    return float(value)
