"""The query picture, on which a visitor marks what to search for."""

from collections.abc import Callable
from typing import Any

from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HAND, HERE, MAPS, PagePart
from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import in_steps
from simvis_app.service.marks import Marked, checked_regions
from simvis_core import View

Picked = tuple[View, str, tuple[int, int], list[Marked], list[float] | None, float, str, str]
Moved = Callable[[str, list[Marked]], dict[str, Any] | None]  # what a ticket and regions ask for


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
    ticket: str = ""


class RegionPicker(PagePart):
    """A picture with its map, on which regions are marked: boxes, brush strokes and points, for or against.

    As an output it takes ``(view, key, grid, regions, map, scale, unit, ticket)`` or None; as an input it gives the
    key and the regions, checked. A region is in fractions of the view, x to the right and y down::

        {"kind": "box", "sign": 1 or -1, "box": [x, y, w, h]}
        {"kind": "brush", "sign": ..., "radius": of the view's width, "points": [[x, y], ...]}
        {"kind": "point", "sign": ..., "at": [x, y]}

    The event is ``mark``, once a mark is made. An answer of the same key changes the map; the regions stay as the
    visitor has them. While a mark moves the browser calls ``moved`` with the ticket and the regions, checked: past
    Gradio's events, each of which costs its page more than a search. What that answers, a page of hits as it travels,
    is shown by the grids of the class ``live``; where it answers None, or there is no ticket, ``mark`` is told.
    """

    data_model = PickerData
    files = HERE / "region_picker"
    behind = MAPS + HAND

    def __init__(self, value: object = None, moved: Moved | None = None, **options: object) -> None:
        def hits(told: object) -> dict[str, Any] | None:  # Gradio notes on a plain function that a browser may call it
            if moved is None or not isinstance(told, dict) or not isinstance(told.get("ticket"), str):
                return None
            return moved(told["ticket"], checked_regions(told.get("regions")))

        super().__init__(value, server_functions=[hits], **options)

    def preprocess(self, payload: PickerData | None) -> dict[str, Any]:
        """``{"key", "regions"}``: what is searched for, and where in it; no regions stand for the whole picture."""
        if payload is None:
            return {"key": "", "regions": []}
        return {"key": payload.key, "regions": checked_regions(payload.regions)}

    def postprocess(self, value: Picked | None) -> PickerData:
        """The page's data for a picture."""
        if value is None:
            return PickerData()
        view, key, grid, regions, map, scale, unit, ticket = value
        return PickerData(
            key=key,
            picture=picture_file(view),
            aspect=view.aspect,
            grid=grid,
            regions=checked_regions(regions),
            map=in_steps(map, scale),
            scale=scale,
            unit=unit,
            ticket=ticket,
        )
