"""A line chart with bands as an SVG file, for documents: no browser, no script, the same bytes for the same numbers."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from simvis_core.files.plots import LINE_COLOURS

CHART_WIDTH, CHART_HEIGHT = 640, 360
LEFT_EDGE, RIGHT_EDGE, TOP_EDGE, BOTTOM_EDGE = 64, 16, 56, 48
TICKS = 5
_FONT = 'font-family="system-ui,sans-serif" font-size="13"'
_TEXT = f'{_FONT} fill="#333"'

ChartPoint = tuple[float, float, float | None, float | None]  # x, y, and the ends of y's interval, if there is one


@dataclass(frozen=True)
class ChartLine:
    """A line's name, and its points: x, y, low and high; None where a point has no interval."""

    name: str
    points: Sequence[ChartPoint]


def line_chart(lines: Sequence[ChartLine], across: str, up: str) -> bytes:
    """The lines over each other with their intervals as bands, axes named, as an SVG file; up to eight colours.

    >>> from simvis_core.files.charts import ChartLine, line_chart
    >>> svg = line_chart([ChartLine("avg", [(0, 0.25, 0.2, 0.3), (100, 0.5, None, None)])], "steps", "score")
    >>> svg[:4], svg.count(b"<polyline"), b">score</text>" in svg
    (b'<svg', 1, True)
    """
    points = [point for line in lines for point in line.points]
    xs = [point[0] for point in points]
    ys = [value for point in points for value in point[1:] if value is not None]
    frame = _Frame(*_ends(xs), *_ends(ys))
    drawn = [_axes(frame, across, up)]
    drawn += [_band(frame, line, LINE_COLOURS[at % len(LINE_COLOURS)]) for at, line in enumerate(lines)]
    drawn += [_drawn(frame, line, LINE_COLOURS[at % len(LINE_COLOURS)]) for at, line in enumerate(lines)]
    drawn.append(_names(lines))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}">'
    ground = f'<rect width="{CHART_WIDTH}" height="{CHART_HEIGHT}" fill="white"/>'
    return "\n".join([head, ground, *(part for part in drawn if part), "</svg>\n"]).encode()


@dataclass(frozen=True)
class _Frame:
    """The ends of both axes, and where a value stands in the picture."""

    x0: float
    x1: float
    y0: float
    y1: float

    def at(self, x: float, y: float) -> str:
        return f"{self.across(x):.1f},{self.up(y):.1f}"

    def across(self, x: float) -> float:
        return LEFT_EDGE + (x - self.x0) / (self.x1 - self.x0) * (CHART_WIDTH - LEFT_EDGE - RIGHT_EDGE)

    def up(self, y: float) -> float:
        return (
            CHART_HEIGHT - BOTTOM_EDGE - (y - self.y0) / (self.y1 - self.y0) * (CHART_HEIGHT - TOP_EDGE - BOTTOM_EDGE)
        )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest, apart."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends."""
    step = 10 ** math.floor(math.log10((high - low) / TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= TICKS)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _axes(frame: _Frame, across: str, up: str) -> str:
    floor = CHART_HEIGHT - BOTTOM_EDGE
    parts = [f'<path d="M{LEFT_EDGE} {TOP_EDGE}V{floor}H{CHART_WIDTH - RIGHT_EDGE}" fill="none" stroke="#888"/>']
    for x in _ticks(frame.x0, frame.x1):
        parts.append(f'<text x="{frame.across(x):.1f}" y="{floor + 18}" text-anchor="middle" {_TEXT}>{x:g}</text>')
    for y in _ticks(frame.y0, frame.y1):
        place = f"{frame.up(y):.1f}"
        parts.append(f'<path d="M{LEFT_EDGE} {place}H{CHART_WIDTH - RIGHT_EDGE}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT_EDGE - 6}" y="{place}" dy="4" text-anchor="end" {_TEXT}>{y:.4g}</text>')
    middle = (LEFT_EDGE + CHART_WIDTH - RIGHT_EDGE) / 2
    parts.append(f'<text x="{middle}" y="{CHART_HEIGHT - 8}" text-anchor="middle" {_TEXT}>{html.escape(across)}</text>')
    parts.append(f'<text x="{LEFT_EDGE - 48}" y="16" {_TEXT}>{html.escape(up)}</text>')
    return "\n".join(parts)


def _band(frame: _Frame, line: ChartLine, colour: str) -> str:
    known = [(x, low, high) for x, _, low, high in line.points if low is not None and high is not None]
    if not known:
        return ""
    edge = [frame.at(x, high) for x, _, high in known] + [frame.at(x, low) for x, low, _ in reversed(known)]
    return f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity="0.15"/>'


def _drawn(frame: _Frame, line: ChartLine, colour: str) -> str:
    places = " ".join(frame.at(x, y) for x, y, _, _ in line.points)
    dots = "".join(
        f'<circle cx="{frame.across(x):.1f}" cy="{frame.up(y):.1f}" r="3" fill="{colour}"/>'
        for x, y, _, _ in line.points
    )
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _names(lines: Sequence[ChartLine]) -> str:
    """The lines' names in their colours, in one row above the chart."""
    spans = [
        f'<tspan dx="{16 * bool(at)}" fill="{LINE_COLOURS[at % len(LINE_COLOURS)]}">{html.escape(line.name)}</tspan>'
        for at, line in enumerate(lines)
    ]
    return f'<text x="{LEFT_EDGE}" y="38" {_FONT} font-weight="600">{"".join(spans)}</text>'
