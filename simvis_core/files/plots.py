"""How plots look: their colours, axes and layout, and names as they are shown."""

import html

PAPER_K = 10  # the paper marks the ten strongest features (Stylianou 2019, fig. 3)
LINE_COLOURS = ("#2f6fdf", "#d9541e", "#1a936f", "#8e44ad", "#c2185b", "#00838f", "#b8860b", "#5d4037")
QUARTERS = [0, 25, 50, 75, 100]
AXIS = {"fixedrange": True, "gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "height": 320,
    "legend": {"x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    "font": {"size": 13},
}


def faint(colour: str) -> str:
    """A line's colour, "#rrggbb", at 13 % opacity, for the band behind the line.

    >>> from simvis_core.files.plots import faint
    >>> faint("#2f6fdf")
    'rgba(47,111,223,0.13)'
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def safe(name: str) -> str:
    """A name that plotly shows as it is: it reads a little HTML (not &quot;), and its own %{...}.

    >>> from simvis_core.files.plots import safe
    >>> safe("a < b, %{x}")
    'a &lt; b, %&#123;x}'
    """
    return html.escape(name, quote=False).replace("%{", "%&#123;")
