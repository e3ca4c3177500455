"""The query picture, on which a visitor marks what to search for."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from simvis_core import View
from ui.components import HERE, _script
from ui.files import picture_file
from ui.hit_grid import in_steps

MOST_REGIONS, MOST_POINTS = 32, 500
ROUNDING = 1e-3  # of the picture's side: so far outside still counts as its edge
THINNEST = 0.002  # a box with a smaller side is a slip of the hand
WIDEST = 0.5  # the brush's largest radius, of the picture's width
Region = dict[str, Any]
Marked = tuple[View, str, tuple[int, int], list[Region], list[float] | None, float, str]


class PickerData(GradioModel):  # type: ignore[misc]
    """What the picker gets; ``map`` is in steps of ``scale``, as the grid of hits has it. As it stands, it is empty.

    ``regions`` may be anything until it is checked: one that is broken must not stop the others.
    """

    key: str = ""
    picture: FileData | None = None
    aspect: float = 1.0
    grid: tuple[int, int] = (0, 0)
    regions: Any = ()
    map: str | None = None
    scale: float = 0.0
    unit: str = ""


class RegionPicker(gr.HTML):  # type: ignore[misc]
    """A picture with its map, on which regions are marked: boxes, brush strokes and points, for or against.

    As an output it takes ``(view, key, grid, regions, map, scale, unit)`` or None; as an input it gives the key and
    the regions, checked. A region is in fractions of the view, x to the right and y down::

        {"kind": "box", "sign": 1 or -1, "box": [x, y, w, h]}
        {"kind": "brush", "sign": ..., "radius": of the view's width, "points": [[x, y], ...]}
        {"kind": "point", "sign": ..., "at": [x, y]}

    The event is ``mark``, also while a region is being dragged. An answer of the same key changes the map; the regions
    stay as the visitor has them.
    """

    data_model = PickerData

    def __init__(self, value: Any = None, **options: Any) -> None:
        super().__init__(
            value=value,
            html_template=(HERE / "region_picker.html").read_text(),
            css_template=(HERE / "region_picker.css").read_text(),
            js_on_load=_script("region_picker.js"),
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: PickerData | None) -> dict[str, Any]:
        """``{"key", "regions"}``: what is searched for, and where in it; no regions stand for the whole picture."""
        if payload is None:
            return {"key": "", "regions": []}
        return {"key": payload.key, "regions": checked_regions(payload.regions)}

    def postprocess(self, value: Marked | None) -> PickerData:
        """The page's data for a picture."""
        if value is None:
            return PickerData()
        view, key, grid, regions, map, scale, unit = value
        return PickerData(
            key=key,
            picture=picture_file(view),
            aspect=view.aspect,
            grid=grid,
            regions=checked_regions(regions),
            map=in_steps(map, scale),
            scale=scale,
            unit=unit,
        )


def checked_regions(regions: Any) -> list[Region]:
    """Those of the first 32 that are regions, held to the picture; what the browser sends is not trusted."""
    if not isinstance(regions, list):
        return []
    checked = (_checked(region) for region in regions[:MOST_REGIONS])
    return [region for region in checked if region is not None]


def _checked(region: Any) -> Region | None:
    if not isinstance(region, dict) or not isinstance(region.get("kind"), str):
        return None
    sign, shape = region.get("sign"), KINDS.get(region["kind"])
    if shape is None or type(sign) is not int or sign not in (1, -1):
        return None
    found = shape(region)
    return None if found is None else {"kind": region["kind"], "sign": sign, **found}


def _box(region: Region) -> Region | None:
    box = _fractions(region.get("box"), 4)
    if box is None:
        return None
    x, y, width, height = box
    width, height = min(width, 1 - x), min(height, 1 - y)
    return {"box": [x, y, width, height]} if min(width, height) >= THINNEST else None


def _brush(region: Region) -> Region | None:
    radius: Any = region.get("radius")
    points: Any = region.get("points")
    if type(radius) not in (int, float) or not 0 < radius <= WIDEST:
        return None
    if not isinstance(points, list) or not 1 <= len(points) <= MOST_POINTS:
        return None
    places = [_fractions(point, 2) for point in points]
    return None if None in places else {"radius": float(radius), "points": places}


def _point(region: Region) -> Region | None:
    at = _fractions(region.get("at"), 2)
    return None if at is None else {"at": at}


def _fractions(numbers: Any, count: int) -> list[float] | None:
    """So many numbers from 0 to 1, or None. Not-a-number fails both comparisons."""
    if not isinstance(numbers, list) or len(numbers) != count:
        return None
    if not all(type(n) in (int, float) and -ROUNDING <= n <= 1 + ROUNDING for n in numbers):
        return None
    return [min(max(float(n), 0.0), 1.0) for n in numbers]


KINDS: dict[str, Callable[[Region], Region | None]] = {"box": _box, "brush": _brush, "point": _point}
