"""How a figure moves over a training's steps, as a plot with a line at the step that is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import plotly.graph_objects as go

from simvis_core.files.plots import AXIS, LAYOUT, LINE_COLOURS, safe

LEAST_RANGE = 0.06  # of a figure's axis


@dataclass(frozen=True)
class StepCurve:
    """A figure over steps: (step, value) in the order of the steps; ``beside`` is drawn dotted, a mean or a reference.

    ``group`` are the curves of one series, which have one colour.
    """

    name: str
    points: Sequence[tuple[int, float]]
    group: str = ""
    beside: bool = False


def step_figure(curves: Sequence[StepCurve], marked: int | None = None, title: str = "") -> go.Figure:
    """Curves over steps, and a vertical line at the step ``marked``: the first of the figure's shapes.

    >>> from simvis_core.progress.queries.step_plots import StepCurve, step_figure
    >>> figure = step_figure([StepCurve("MAP@R", [(0, 0.25), (100, 0.5)])], marked=100)
    >>> figure.data[0].y, figure.layout.shapes[0].x0
    ((0.25, 0.5), 100)
    """
    colours = _colours(curves)
    traces = [_trace(curve, colours[curve.group]) for curve in curves]
    line = {"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "x0": marked, "x1": marked}
    line |= {"line": {"color": "rgba(128,128,128,0.9)", "width": 2}}
    rows = len(curves) if len(curves) > 1 else 0  # of the legend, on a narrow screen
    layout = LAYOUT | {
        "height": 215 + 19 * rows,
        "margin": {"l": 48, "r": 12, "t": 30, "b": 46 + 19 * rows},
        "title": {"text": safe(title), "font": {"size": 13}, "x": 0.01, "xanchor": "left", "y": 0.98, "yanchor": "top"},
        "xaxis": {"title": {"text": "step", "standoff": 2, "font": {"size": 12}}, "nticks": 6, **AXIS},
        "yaxis": {"nticks": 5, "range": _range(curves), **AXIS},
        "showlegend": rows > 0,
        "legend": {
            **{"orientation": "h", "bgcolor": "rgba(0,0,0,0)", "font": {"size": 11}},
            **{"x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        },
        "shapes": [] if marked is None else [line],
    }
    return go.Figure({"data": traces, "layout": layout})


def _range(curves: Sequence[StepCurve]) -> list[float]:
    """From the least to the most, with some room (not below 0 for it), and never so narrow that noise looks large."""
    values = [value for curve in curves for _, value in curve.points]
    least, most = min(values, default=0.0), max(values, default=0.0)
    middle, half = (least + most) / 2, max(0.56 * (most - least), LEAST_RANGE / 2)
    low = middle - half
    return [max(low, 0.0) if least >= 0 else low, middle + half]


def _colours(curves: Sequence[StepCurve]) -> Mapping[str, str]:
    groups = dict.fromkeys(curve.group for curve in curves)
    return dict(zip(groups, cycle(LINE_COLOURS), strict=False))


def _trace(curve: StepCurve, colour: str) -> dict[str, object]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": safe(curve.name),
        "x": [step for step, _ in curve.points],
        "y": [round(value, 5) for _, value in curve.points],
        "line": {"color": colour, "width": 1.5 if curve.beside else 2.5, "dash": "dot" if curve.beside else "solid"},
        "marker": {"size": 4 if curve.beside else 6, "color": colour},
        "hovertemplate": f"step %{{x}}: %{{y:.3f}}<extra>{safe(curve.name)}</extra>",
    }
