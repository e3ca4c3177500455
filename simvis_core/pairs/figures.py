"""A pair's contribution curves as a plot."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from simvis_core.files.plots import AXIS, LAYOUT, LINE_COLOURS, PAPER_K


def contribution_figure(curves: Mapping[str, tuple[Float[Tensor, " D"], float]], marked: int = PAPER_K) -> go.Figure:
    """Cumulative contribution of the first k features, one line for each named curve.

    ``curves`` maps a name to (contributions sorted largest first, score). The y axis is the share of that score in
    per cent, or score units where a score is 0 and no share exists. The point at ``marked`` features is marked.

    >>> import torch
    >>> from simvis_core.pairs.figures import contribution_figure
    >>> figure = contribution_figure({"avg": (torch.tensor([0.4, 0.2, 0.1]), 0.7)}, marked=1)
    >>> figure.data[0].name
    'avg: top 1 carry 57.1 %'
    """
    shares = all(score != 0 for _, score in curves.values())
    traces = []
    for colour, (name, (ranked, score)) in zip(cycle(LINE_COLOURS), curves.items(), strict=False):
        curve = ranked.double().cumsum(0).cpu().numpy() / (score / 100 if shares else 1)
        traces += _curve(name, curve, marked, " %" if shares else "", colour)
    title = "share of the score (%)" if shares else "score so far (the score is 0: no share exists)"
    layout = {
        "xaxis": {"title": {"text": "number of features, strongest first"}, "type": "log", "dtick": 1, **AXIS},
        "yaxis": {"title": {"text": title}, "rangemode": "tozero", **AXIS},
        **LAYOUT,
    }
    return go.Figure({"data": traces, "layout": layout})  # one go: adding trace by trace validates all of it each time


def _curve(name: str, curve: np.ndarray, marked: int, unit: str, colour: str) -> list[dict[str, object]]:
    """The line and its marked point."""
    count = np.arange(1, len(curve) + 1)
    kept = np.unique(np.round(np.geomspace(1, len(curve), 400)).astype(int)) - 1  # what a screen can show
    at = min(marked, len(curve)) - 1
    both = {"type": "scatter", "hovertemplate": f"first %{{x}} features: %{{y:.3g}}{unit}<extra>{name}</extra>"}
    label = f"{name}: top {at + 1} carry {curve[at]:.3g}{unit}"
    line = {"x": count[kept], "y": curve[kept], "mode": "lines", "name": label, "line": {"color": colour, "width": 2.5}}
    marker = {"size": 11, "color": colour}
    point = {"x": [at + 1], "y": [curve[at]], "mode": "markers", "marker": marker, "showlegend": False}
    return [both | line, both | point]
