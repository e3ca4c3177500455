"""A gallery's plots: scores of its classes, and mean contribution curves."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from simvis_core.files.plots import AXIS, LAYOUT, LINE_COLOURS, PAPER_K, faint, safe
from simvis_core.galleries.curves import MeanCurve

LONGEST_TICK = 18


def score_figure(scores: Float[Tensor, "N N"], names: Sequence[str], unit: str = "score") -> go.Figure:
    """A matrix of scores (or of another ``unit``) as a heat map; what is NaN stays empty.

    Names stand along both sides, as many of them as there is room for on the screen; each cell names its two when it is
    pointed at or tapped.

    >>> import torch
    >>> from simvis_core.galleries.figures import score_figure
    >>> score_figure(torch.tensor([[1.0, 0.3], [0.3, torch.nan]]), ["owl", "jay"]).data[0].z[1]
    [0.3, None]
    """
    values = [[None if math.isnan(value) else round(value, 4) for value in line] for line in scores.tolist()]
    ticks = {"type": "category", "fixedrange": True, "tickfont": {"size": 11}}
    called = _apart([_short(name) for name in names])
    text = [[f"{safe(a)}<br>{safe(b)}" for b in names] for a in names]
    cells = {
        "type": "heatmap",
        "x": called,
        "y": called,
        "z": values,
        "text": text,
        "hovertemplate": "%{text}: %{z:.3f}<extra></extra>",
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": unit}, "thickness": 12},
    }
    layout = LAYOUT | {
        "height": 420,
        "margin": {"l": 110, "r": 8, "t": 16, "b": 110},
        "xaxis": ticks | {"tickangle": 45},
        "yaxis": ticks | {"autorange": "reversed"},
    }
    return go.Figure({"data": [cells], "layout": layout})


def mean_curve_figure(curves: Mapping[str, MeanCurve], marked: int = PAPER_K) -> go.Figure:
    """Mean contribution curves with their spread (10 % to 90 % of the pairs), one line for each name.

    >>> import torch
    >>> from simvis_core.galleries.curves import mean_curve
    >>> from simvis_core.galleries.figures import mean_curve_figure
    >>> unit = torch.tensor([[0.8, 0.6]])
    >>> mean_curve_figure({"same class": mean_curve(unit, unit)}, marked=1).data[2].name
    'same class: top 1 carry 64.0 % (1 pairs)'
    """
    traces: list[dict[str, object]] = []
    for colour, (name, curve) in zip(cycle(LINE_COLOURS), curves.items(), strict=False):
        counts, mean, low, high = (one.tolist() for one in (curve.counts, curve.mean, curve.low, curve.high))
        percent = [[100 * value for value in values] for values in (mean, low, high)]
        label = f"{safe(name)}: top {marked} carry {100 * curve.share(marked):.1f} % ({curve.pairs} pairs)"
        common = {"type": "scatter", "mode": "lines", "legendgroup": name, "name": label}
        band = {"line": {"width": 0, "color": colour}, "hoverinfo": "skip", "showlegend": False}
        traces += [
            common | band | {"x": counts, "y": percent[1]},
            common | band | {"x": counts, "y": percent[2], "fill": "tonexty", "fillcolor": faint(colour)},
            common
            | {
                "x": counts,
                "y": percent[0],
                "line": {"color": colour, "width": 2.5},
                "hovertemplate": f"first %{{x}} features: %{{y:.3g}} %<extra>{safe(name)}</extra>",
            },
        ]
    layout = LAYOUT | {
        "height": 380,
        "xaxis": {"title": {"text": "number of features, strongest first"}, "type": "log", "dtick": 1, **AXIS},
        "yaxis": {"title": {"text": "share of the score (%)"}, "rangemode": "tozero", **AXIS},
        "legend": {"orientation": "h", "y": -0.2, "bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 120},
    }
    return go.Figure({"data": traces, "layout": layout})


def _short(name: str) -> str:
    return safe(name if len(name) <= LONGEST_TICK else f"{name[: LONGEST_TICK - 1]}\N{HORIZONTAL ELLIPSIS}")


def _apart(names: Sequence[str]) -> list[str]:
    """The names, numbered where two are alike: on an axis of names equal ones would share a place."""
    times: Counter[str] = Counter()
    told = []
    for name in names:
        times[name] += 1
        told.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return told
