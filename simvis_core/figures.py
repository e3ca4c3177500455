"""Pictures and plots from results; computes nothing that an explanation does not already hold."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.colours import DEFAULT, paint
from simvis_core.images import View

PAPER_K = 10  # the paper marks the ten strongest features (Stylianou 2019, fig. 3)


def common_scale(*maps: Float[Tensor, "_ _"]) -> float:
    """The one scale for a row of pictures: the largest absolute value of all their maps, in score units."""
    return max(map.abs().max().item() for map in maps)


def overlay(
    view: View, map: Float[Tensor, "H W"], scale: float, colours: str = DEFAULT, opacity: float = 0.85
) -> Image.Image:
    """The map over the whole original picture at its own resolution, coloured after enlarging."""
    rgba = paint(view.on_original(map.cpu().double()).numpy(), scale, colours, opacity)
    return Image.alpha_composite(view.image.convert("RGBA"), Image.fromarray(rgba)).convert("RGB")


def contribution_figure(curves: Mapping[str, tuple[Float[Tensor, " D"], float]], marked: int = PAPER_K) -> go.Figure:
    """Cumulative contribution of the first k features, one line for each named curve.

    ``curves`` maps a name to (contributions sorted largest first, score). The y axis is the share of that score in
    per cent, or score units where a score is 0 and no share exists. The point at ``marked`` features is marked.
    """
    shares = all(score != 0 for _, score in curves.values())
    figure = go.Figure()
    for name, (ranked, score) in curves.items():
        curve = ranked.double().cumsum(0).cpu().numpy() / (score / 100 if shares else 1)
        _add_curve(figure, name, curve, marked, " %" if shares else "")
    title = "share of the score (%)" if shares else "score so far (the score is 0: no share exists)"
    figure.update_layout(
        xaxis={"title": "number of features, strongest first", "type": "log", "dtick": 1, **_AXIS},
        yaxis={"title": title, "rangemode": "tozero", **_AXIS},
        **_LAYOUT,
    )
    return figure


def _add_curve(figure: go.Figure, name: str, curve: np.ndarray, marked: int, unit: str) -> None:
    count = np.arange(1, len(curve) + 1)
    kept = np.unique(np.round(np.geomspace(1, len(curve), 400)).astype(int)) - 1  # what a screen can show
    hover = f"first %{{x}} features: %{{y:.3g}}{unit}<extra>{name}</extra>"
    colour = _LINES[len(figure.data) // 2 % len(_LINES)]
    at = min(marked, len(curve)) - 1
    label = f"{name}: top {at + 1} carry {curve[at]:.3g}{unit}"
    line = {"color": colour, "width": 2.5}
    figure.add_scatter(x=count[kept], y=curve[kept], mode="lines", name=label, hovertemplate=hover, line=line)
    marker = {"size": 11, "color": colour}
    figure.add_scatter(x=[at + 1], y=[curve[at]], mode="markers", marker=marker, showlegend=False, hovertemplate=hover)


_LINES = ("#2f6fdf", "#d9541e", "#1a936f", "#8e44ad")
_AXIS = {"fixedrange": True, "gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
_LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "height": 320,
    "legend": {"x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    "font": {"size": 13},
}
