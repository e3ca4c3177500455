"""The page's own components: the picture drop, the pair viewer and the rows of maps."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel, ImageData

from simvis_core import PairExplanation, SimvisError
from simvis_core.colours import FADE, GROUNDS, STOPS
from simvis_core.packing import packed_numbers
from simvis_core.written import UNITS
from ui.choices import METHODS, MODES
from ui.files import kept, picture_file

HERE = Path(__file__).parent
HEAVIEST = 33.0  # of a region's weights on a cell: a box and 32 points


def _script(name: str) -> str:
    """A component's script behind the drawing they share."""
    drawing = (HERE / "maps.js").read_text()
    drawing = drawing.replace("/*STOPS*/ {}", json.dumps(STOPS)).replace("/*FADE*/ 1", str(FADE))
    return drawing + (HERE / name).read_text()


class PictureDrop(gr.Image):  # type: ignore[misc]
    """A drop zone that hands on the uploaded file as it came: `open_picture` decides what can be read."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, undecoded; None for an empty zone."""
        if payload is None:
            return None
        if payload.path is None:
            error = SimvisError("a picture as text in the request", "an uploaded file", "upload the picture")
            raise gr.Error(str(error), print_exception=False)
        return str(payload.path)


class HeldSlider(gr.Slider):  # type: ignore[misc]
    """A slider for which a number typed outside its range counts as the nearest inside, not as an error."""

    is_template = True

    def preprocess(self, payload: float | None) -> float:
        """The number, held to the range; the least for an emptied field."""
        return float(min(max(self.minimum if payload is None else payload, self.minimum), self.maximum))


class PoolingChoice(gr.Dropdown):  # type: ignore[misc]
    """A dropdown that hands on what was chosen or typed though the list may have changed; the session checks it.

    Gradio tells of a choice twice. The answer to the first may shorten the list while the second is on its way.
    """

    is_template = True

    def preprocess(self, payload: Any) -> str:
        """The name as it was chosen; an empty one for none."""
        return "" if payload is None else str(payload)


class MethodChoice(gr.Radio):  # type: ignore[misc]
    """A list of methods that follows the network; one that does not apply any more counts as none chosen."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        """The chosen method, or None."""
        return payload if payload in METHODS else None


class ChangingChoice(gr.Radio):  # type: ignore[misc]
    """A list that may have been replaced, by another pair's, while a choice was on its way."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """What was chosen; None for what the list no longer holds."""
        return payload if any(payload == value for _, value in self.choices) else None


class PairData(GradioModel):  # type: ignore[misc]
    """What the viewer gets; the heavy numbers travel as one cached file. As it stands, no pair is shown.

    The empty viewer has a value too: the page would send null back as text, which is no `PairData`.
    """

    key: str = ""
    score: float = 0.0
    grid_a: tuple[int, int] = (0, 0)
    grid_b: tuple[int, int] = (0, 0)
    aspect_a: float = 1.0
    aspect_b: float = 1.0
    scale_map: float = 0.0
    scale_share: float = 0.0
    scale_cosine: float = 0.0
    a: FileData | None = None
    b: FileData | None = None
    numbers: FileData | None = None
    method: str = "decomposition"
    unit: str = ""
    pin: dict[str, Any] | None = None
    mode: str = "share"
    ground: str = "colours"


class PairViewer(gr.HTML):  # type: ignore[misc]
    """Both pictures with their maps; hovering and pinning happen in the browser.

    As an output it takes ``(explanation, key, pin, mode)`` or None; as an input it gives the pin and mode, checked.
    """

    data_model = PairData

    def __init__(self, value: Any = None, **options: Any) -> None:
        super().__init__(
            value=value,
            html_template=(HERE / "pair_viewer.html").read_text(),
            css_template=(HERE / "pair_viewer.css").read_text(),
            js_on_load=_script("pair_viewer.js"),
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: PairData | None) -> dict[str, Any]:
        """``{"key", "pin", "mode", "ground"}``: its pair, the pinned cell or None, share or cosine, how maps lie.

        What the browser sends is not trusted: a pin that is no cell of the grid counts as none.
        """
        if payload is None:
            return {"key": "", "pin": None, "mode": MODES[0], "ground": GROUNDS[0]}
        mode = payload.mode if payload.mode in MODES else MODES[0]
        grids = {"a": payload.grid_a, "b": payload.grid_b}
        ground = payload.ground if payload.ground in GROUNDS else GROUNDS[0]  # blinking ones are in colours
        return {"key": payload.key, "pin": checked_pin(payload.pin, grids), "mode": mode, "ground": ground}

    def postprocess(self, value: tuple[PairExplanation, str, Any, str] | None) -> PairData:
        """The page's data for a pair; a pin outside its grids is dropped."""
        if value is None:
            return PairData()
        pair, key, pin, mode = value
        numbers = packed_numbers(pair)
        return PairData(
            key=key,
            score=pair.score,
            grid_a=pair.a.grid,
            grid_b=pair.b.grid,
            aspect_a=pair.view_a.aspect,
            aspect_b=pair.view_b.aspect,
            scale_map=numbers.scale_map,
            scale_share=numbers.scale_share,
            scale_cosine=numbers.scale_cosine,
            a=picture_file(pair.view_a),
            b=picture_file(pair.view_b),
            numbers=FileData(path=kept(numbers.content, "numbers.bin")),
            method=pair.method,
            unit=UNITS[pair.method],
            pin=checked_pin(pin, {"a": pair.a.grid, "b": pair.b.grid}),
            mode=mode,
        )


class MapRowsData(GradioModel):  # type: ignore[misc]
    """Rows of maps over the same two pictures, on one scale."""

    a: FileData
    b: FileData
    grid_a: tuple[int, int]
    grid_b: tuple[int, int]
    aspect_a: float
    aspect_b: float
    scale: float
    unit: str
    rows: list[dict[str, Any]]


class MapRows(gr.HTML):  # type: ignore[misc]
    """The pair's pictures under several maps. Takes ``(explanation, rows, scale)`` or None.

    A row is ``{"title", "note", "a": [...], "b": [...]}`` with each map's cells row by row.
    """

    data_model = MapRowsData

    def __init__(self, value: Any = None, **options: Any) -> None:
        super().__init__(
            value=value,
            html_template=(HERE / "map_rows.html").read_text(),
            css_template=(HERE / "map_rows.css").read_text(),
            js_on_load=_script("map_rows.js"),
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: Any) -> None:
        """Nothing: the rows are for looking at."""

    def postprocess(self, value: tuple[PairExplanation, list[dict[str, Any]], float] | None) -> MapRowsData | None:
        """The page's data for the rows."""
        if value is None:
            return None
        pair, rows, scale = value
        return MapRowsData(
            a=picture_file(pair.view_a),
            b=picture_file(pair.view_b),
            grid_a=pair.a.grid,
            grid_b=pair.b.grid,
            aspect_a=pair.view_a.aspect,
            aspect_b=pair.view_b.aspect,
            scale=scale,
            unit=UNITS[pair.method],
            rows=rows,
        )


def checked_pin(pin: Any, grids: dict[str, Any]) -> dict[str, Any] | None:
    """The pin if it names a cell of the pair's grids, or a weight for each cell of one picture, else None."""
    if not isinstance(pin, dict) or pin.get("side") not in ("a", "b"):
        return None
    rows, columns = grids[pin["side"]]
    if "weights" in pin:
        weights = checked_weights(pin["weights"], rows * columns)
        return None if weights is None else {"side": pin["side"], "weights": weights}
    row, column = pin.get("row"), pin.get("col")
    if not (type(row) is int and type(column) is int and 0 <= row < rows and 0 <= column < columns):
        return None
    return {"side": pin["side"], "row": row, "col": column}


def checked_weights(weights: Any, cells: int) -> list[float] | None:
    """A region's weight for each cell, or None for what is none."""
    if not isinstance(weights, list) or len(weights) != cells or not any(weights):
        return None
    fits = all(type(weight) in (int, float) and abs(weight) <= HEAVIEST for weight in weights)
    return [float(weight) for weight in weights] if fits else None
