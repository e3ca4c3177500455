"""Pictures and plots from results; computes nothing that an explanation does not already hold."""

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.colours import DEFAULT, Ground, laid
from simvis_core.curves import MeanCurve
from simvis_core.faithfulness import RemovalCurve
from simvis_core.images import View

LONGEST_TICK = 18
PAPER_K = 10  # the paper marks the ten strongest features (Stylianou 2019, fig. 3)


def common_scale(*maps: Float[Tensor, "_ _"]) -> float:
    """The one scale for a row of pictures: the largest absolute value of all their maps, in score units."""
    return max(map.abs().max().item() for map in maps)


def overlay(
    view: View,
    map: Float[Tensor, "H W"],
    scale: float,
    colours: str = DEFAULT,
    opacity: float = 0.85,
    ground: Ground = "colours",
) -> Image.Image:
    """The map over the whole original picture at its own resolution, coloured after enlarging.

    ``ground`` is how it lies there. Raises SimvisError as `laid` does.
    """
    return laid(view.image, view.on_original(map.cpu().double()).numpy(), scale, colours, opacity, ground)


def contribution_figure(curves: Mapping[str, tuple[Float[Tensor, " D"], float]], marked: int = PAPER_K) -> go.Figure:
    """Cumulative contribution of the first k features, one line for each named curve.

    ``curves`` maps a name to (contributions sorted largest first, score). The y axis is the share of that score in
    per cent, or score units where a score is 0 and no share exists. The point at ``marked`` features is marked.
    """
    shares = all(score != 0 for _, score in curves.values())
    traces = []
    for colour, (name, (ranked, score)) in zip(cycle(_LINES), curves.items(), strict=False):
        curve = ranked.double().cumsum(0).cpu().numpy() / (score / 100 if shares else 1)
        traces += _curve(name, curve, marked, " %" if shares else "", colour)
    title = "share of the score (%)" if shares else "score so far (the score is 0: no share exists)"
    layout = {
        "xaxis": {"title": {"text": "number of features, strongest first"}, "type": "log", "dtick": 1, **_AXIS},
        "yaxis": {"title": {"text": title}, "rangemode": "tozero", **_AXIS},
        **_LAYOUT,
    }
    return go.Figure({"data": traces, "layout": layout})  # one go: adding trace by trace validates all of it each time


def score_figure(scores: Float[Tensor, "N N"], names: Sequence[str], unit: str = "score") -> go.Figure:
    """A matrix of scores (or of another ``unit``) as a heat map; what is NaN stays empty.

    Names stand along both sides, as many of them as there is room for on the screen; each cell names its two when it is
    pointed at or tapped.
    """
    values = [[None if math.isnan(value) else round(value, 4) for value in line] for line in scores.tolist()]
    ticks = {"type": "category", "fixedrange": True, "tickfont": {"size": 11}}
    called = _apart([_short(name) for name in names])
    text = [[f"{_safe(a)}<br>{_safe(b)}" for b in names] for a in names]
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
    layout = _LAYOUT | {
        "height": 420,
        "margin": {"l": 110, "r": 8, "t": 16, "b": 110},
        "xaxis": ticks | {"tickangle": 45},
        "yaxis": ticks | {"autorange": "reversed"},
    }
    return go.Figure({"data": [cells], "layout": layout})


def mean_curve_figure(curves: Mapping[str, MeanCurve], marked: int = PAPER_K) -> go.Figure:
    """Mean contribution curves with their spread (10 % to 90 % of the pairs), one line for each name."""
    traces: list[dict[str, object]] = []
    for colour, (name, curve) in zip(cycle(_LINES), curves.items(), strict=False):
        counts, mean, low, high = (one.tolist() for one in (curve.counts, curve.mean, curve.low, curve.high))
        percent = [[100 * value for value in values] for values in (mean, low, high)]
        label = f"{_safe(name)}: top {marked} carry {100 * curve.share(marked):.1f} % ({curve.pairs} pairs)"
        common = {"type": "scatter", "mode": "lines", "legendgroup": name, "name": label}
        band = {"line": {"width": 0, "color": colour}, "hoverinfo": "skip", "showlegend": False}
        traces += [
            common | band | {"x": counts, "y": percent[1]},
            common | band | {"x": counts, "y": percent[2], "fill": "tonexty", "fillcolor": _faint(colour)},
            common
            | {
                "x": counts,
                "y": percent[0],
                "line": {"color": colour, "width": 2.5},
                "hovertemplate": f"first %{{x}} features: %{{y:.3g}} %<extra>{_safe(name)}</extra>",
            },
        ]
    layout = _LAYOUT | {
        "height": 380,
        "xaxis": {"title": {"text": "number of features, strongest first"}, "type": "log", "dtick": 1, **_AXIS},
        "yaxis": {"title": {"text": "share of the score (%)"}, "rangemode": "tozero", **_AXIS},
        "legend": {"orientation": "h", "y": -0.2, "bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 120},
    }
    return go.Figure({"data": traces, "layout": layout})


def removal_figure(curves: Mapping[str, Mapping[str, RemovalCurve]], faint: Sequence[str] = ()) -> go.Figure:
    """Deletion and insertion curves beside each other, one line for each name in both; those of ``faint`` in grey.

    ``curves`` maps a name to its curves by kind. The y axis is the score, on one scale.
    """
    traces: list[dict[str, object]] = []
    colours, dashes = cycle(_LINES), cycle(("dash", "dot"))
    for name, both in curves.items():
        look = {"color": "#888888", "width": 1.5, "dash": next(dashes)} if name in faint else {"color": next(colours)}
        for axis, kind in (("", "deletion"), ("2", "insertion")):
            curve = both[kind]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": _safe(name),
                    "legendgroup": name,
                    "showlegend": not axis,
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "x": [round(100 * share, 2) for share in curve.shares.tolist()],
                    "y": [round(score, 5) for score in curve.scores.tolist()],
                    "line": look,
                    "hovertemplate": f"%{{x:.0f}} % of the pixels: %{{y:.3f}}<extra>{_safe(name)}</extra>",
                }
            )
    layout = _LAYOUT | {
        "height": 360,
        "xaxis": {"title": {"text": "taken away (%)"}, "domain": [0, 0.46], "tickvals": _QUARTERS, **_AXIS},
        "xaxis2": {"title": {"text": "put back (%)"}, "domain": [0.54, 1], "tickvals": _QUARTERS, **_AXIS},
        "yaxis": {"title": {"text": "score"}, **_AXIS},
        "yaxis2": {"anchor": "x2", "matches": "y", "showticklabels": False, **_AXIS},
        "legend": {"orientation": "h", "y": -0.25, "bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 110},
    }
    return go.Figure({"data": traces, "layout": layout})


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def _safe(name: str) -> str:
    """A name that plotly shows as it is: it reads a little HTML (not &quot;), and its own %{...}."""
    return html.escape(name, quote=False).replace("%{", "%&#123;")


def _short(name: str) -> str:
    return _safe(name if len(name) <= LONGEST_TICK else f"{name[: LONGEST_TICK - 1]}\N{HORIZONTAL ELLIPSIS}")


def _apart(names: Sequence[str]) -> list[str]:
    """The same names, told apart where two are alike: on an axis of names equal ones would share a place."""
    times: Counter[str] = Counter()
    told = []
    for name in names:
        times[name] += 1
        told.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return told


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


_LINES = ("#2f6fdf", "#d9541e", "#1a936f", "#8e44ad", "#c2185b", "#00838f", "#b8860b", "#5d4037")
_QUARTERS = [0, 25, 50, 75, 100]
_AXIS = {"fixedrange": True, "gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
_LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "height": 320,
    "legend": {"x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    "font": {"size": 13},
}
