"""The query picture, on which a visitor marks what to search for."""

from typing import Any

from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HERE, MAPS, PagePart
from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import in_steps
from simvis_app.service.marks import Marked, checked_regions
from simvis_core import View

Picked = tuple[View, str, tuple[int, int], list[Marked], list[float] | None, float, str]


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


class RegionPicker(PagePart):
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
    files = HERE / "region_picker"
    behind = MAPS

    def preprocess(self, payload: PickerData | None) -> dict[str, Any]:
        """``{"key", "regions"}``: what is searched for, and where in it; no regions stand for the whole picture."""
        if payload is None:
            return {"key": "", "regions": []}
        return {"key": payload.key, "regions": checked_regions(payload.regions)}

    def postprocess(self, value: Picked | None) -> PickerData:
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
