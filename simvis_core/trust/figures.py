"""Insertion and deletion curves as a plot."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import plotly.graph_objects as go

from simvis_core.files.plots import AXIS, LAYOUT, LINE_COLOURS, QUARTERS, safe
from simvis_core.trust.faithfulness import RemovalCurve


def removal_figure(curves: Mapping[str, Mapping[str, RemovalCurve]], faint: Sequence[str] = ()) -> go.Figure:
    """Deletion and insertion curves beside each other, one line for each name in both; those of ``faint`` in grey.

    ``curves`` maps a name to its curves by kind. The y axis is the score, on one scale.

    >>> import torch
    >>> from simvis_core.trust.faithfulness import RemovalCurve
    >>> from simvis_core.trust.figures import removal_figure
    >>> shares = torch.tensor([0.0, 1.0])
    >>> curves = {kind: RemovalCurve(kind, shares, 0.5 * shares) for kind in ("insertion", "deletion")}
    >>> [line.name for line in removal_figure({"RISE": curves}).data]
    ['RISE', 'RISE']
    """
    traces: list[dict[str, object]] = []
    colours, dashes = cycle(LINE_COLOURS), cycle(("dash", "dot"))
    for name, both in curves.items():
        look = {"color": "#888888", "width": 1.5, "dash": next(dashes)} if name in faint else {"color": next(colours)}
        for axis, kind in (("", "deletion"), ("2", "insertion")):
            curve = both[kind]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": safe(name),
                    "legendgroup": name,
                    "showlegend": not axis,
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "x": [round(100 * share, 2) for share in curve.shares.tolist()],
                    "y": [round(score, 5) for score in curve.scores.tolist()],
                    "line": look,
                    "hovertemplate": f"%{{x:.0f}} % of the pixels: %{{y:.3f}}<extra>{safe(name)}</extra>",
                }
            )
    layout = LAYOUT | {
        "height": 360,
        "xaxis": {"title": {"text": "taken away (%)"}, "domain": [0, 0.46], "tickvals": QUARTERS, **AXIS},
        "xaxis2": {"title": {"text": "put back (%)"}, "domain": [0.54, 1], "tickvals": QUARTERS, **AXIS},
        "yaxis": {"title": {"text": "score"}, **AXIS},
        "yaxis2": {"anchor": "x2", "matches": "y", "showticklabels": False, **AXIS},
        "legend": {"orientation": "h", "y": -0.25, "bgcolor": "rgba(0,0,0,0)"},
        "margin": {"l": 56, "r": 16, "t": 16, "b": 110},
    }
    return go.Figure({"data": traces, "layout": layout})
