"""What a visitor marks, checked: a pinned cell or region of a pair, and the regions that are searched for."""

from collections.abc import Callable
from typing import Any

FINEST = 4096  # cells on a side of a grid
HEAVIEST = 33.0  # of a region's weights on a cell: a box and 32 points
MOST_REGIONS, MOST_POINTS = 32, 500
ROUNDING = 1e-3  # of the picture's side: so far outside still counts as its edge
THINNEST = 0.002  # a box with a smaller side is a slip of the hand
WIDEST = 0.5  # the brush's largest radius, of the picture's width
Marked = dict[str, Any]


def checked_pin(pin: object, grids: dict[str, Any]) -> dict[str, Any] | None:
    """The pin if it names a cell of the pair's grids, or a weight for each cell of one picture, else None.

    A cell of another layer's grid names that grid beside, as ``of``: rows and columns.
    """
    if not isinstance(pin, dict) or pin.get("side") not in ("a", "b"):
        return None
    rows, columns = grids[pin["side"]]
    if "weights" in pin:
        weights = checked_weights(pin["weights"], rows * columns)
        return None if weights is None else {"side": pin["side"], "weights": weights}
    finer = {"of": pin["of"]} if _is_grid(pin.get("of")) else {}
    rows, columns = finer.get("of", (rows, columns))
    row, column = pin.get("row"), pin.get("col")
    if not (type(row) is int and type(column) is int and 0 <= row < rows and 0 <= column < columns):
        return None
    return {"side": pin["side"], "row": row, "col": column, **finer}


def _is_grid(of: object) -> bool:
    """Whether it is rows and columns, of cells no smaller than a view's pixels."""
    return isinstance(of, list) and len(of) == 2 and all(type(one) is int and 0 < one <= FINEST for one in of)


def checked_weights(weights: object, cells: int) -> list[float] | None:
    """A region's weight for each cell, or None for what is none."""
    if not isinstance(weights, list) or len(weights) != cells or not any(weights):
        return None
    fits = all(type(weight) in (int, float) and abs(weight) <= HEAVIEST for weight in weights)
    return [float(weight) for weight in weights] if fits else None


def checked_regions(regions: object) -> list[Marked]:
    """Those of the first 32 that are regions, held to the picture; what the browser sends is not trusted."""
    if not isinstance(regions, list):
        return []
    checked = (_checked(region) for region in regions[:MOST_REGIONS])
    return [region for region in checked if region is not None]


def _checked(region: object) -> Marked | None:
    if not isinstance(region, dict) or not isinstance(region.get("kind"), str):
        return None
    sign, shape = region.get("sign"), KINDS.get(region["kind"])
    if shape is None or type(sign) is not int or sign not in (1, -1):
        return None
    found = shape(region)
    return None if found is None else {"kind": region["kind"], "sign": sign, **found}


def _box(region: Marked) -> Marked | None:
    box = _fractions(region.get("box"), 4)
    if box is None:
        return None
    x, y, width, height = box
    width, height = min(width, 1 - x), min(height, 1 - y)
    return {"box": [x, y, width, height]} if min(width, height) >= THINNEST else None


def _brush(region: Marked) -> Marked | None:
    radius: Any = region.get("radius")
    points: Any = region.get("points")
    if type(radius) not in (int, float) or not 0 < radius <= WIDEST:
        return None
    if not isinstance(points, list) or not 1 <= len(points) <= MOST_POINTS:
        return None
    places = [_fractions(point, 2) for point in points]
    return None if None in places else {"radius": float(radius), "points": places}


def _point(region: Marked) -> Marked | None:
    at = _fractions(region.get("at"), 2)
    return None if at is None else {"at": at}


def _fractions(numbers: object, count: int) -> list[float] | None:
    """So many numbers from 0 to 1, or None. Not-a-number fails both comparisons."""
    if not isinstance(numbers, list) or len(numbers) != count:
        return None
    if not all(type(n) in (int, float) and -ROUNDING <= n <= 1 + ROUNDING for n in numbers):
        return None
    return [min(max(float(n), 0.0), 1.0) for n in numbers]


KINDS: dict[str, Callable[[Marked], Marked | None]] = {"box": _box, "brush": _brush, "point": _point}
