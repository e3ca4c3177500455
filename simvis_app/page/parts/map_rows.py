"""Rows of maps over the same two pictures."""

from typing import Any

from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HERE, MAPS, PagePart
from simvis_app.page.parts.files import picture_file
from simvis_core.files.numbers import UNITS
from simvis_core.pairs.explanation import PairExplanation

Box = tuple[int, int, str]  # row and column of a cell, and what stands at its frame


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


class MapRows(PagePart):
    """The pair's pictures under several maps. Takes ``(explanation, rows, scale)`` or None.

    A row is ``{"title", "note", "a": [...], "b": [...]}`` with each map's cells row by row, as `map_row` makes it, and
    ``"boxes"``, by side: row and column of each cell that is framed, and what stands at it. The maps are told in the
    method's unit, or in ``unit``.
    """

    data_model = MapRowsData
    files = HERE / "map_rows"
    behind = MAPS

    def __init__(self, value: object = None, unit: str = "", **options: object) -> None:
        self.unit = unit
        super().__init__(value=value, **options)

    def preprocess(self, payload: object) -> None:
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
            unit=self.unit or UNITS[pair.method],
            rows=rows,
        )


def map_row(title: str, note: str, maps: dict[Any, Any], boxes: dict[Any, list[Box]] | None = None) -> dict[str, Any]:
    """A row of both pictures' maps: cells row by row, to five digits, which is what a screen can show."""
    cells = {side: [float(f"{value:.5g}") for value in map.flatten().tolist()] for side, map in maps.items()}
    return {"title": title, "note": note, "boxes": boxes or {}, **cells}
