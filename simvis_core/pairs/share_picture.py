"""One picture of a pair to share: both with their maps, the scale, the score, and what it was measured with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from simvis_core.decomposition import Method
from simvis_core.files import colours
from simvis_core.files.lettering import font, name, paragraph, plain, shortened
from simvis_core.files.numbers import number, of_score, sum_of, three
from simvis_core.pictures.views import View, enlarge

# A messenger shows 1080 pixels as some 400: text is large here so that it can be read there.
FIGURE_WIDTH, MARGIN, GAP = 1080, 36, 16
TEXT_WIDTH = FIGURE_WIDTH - 2 * MARGIN
TALLEST = 900  # of a row of pictures
LARGE, TEXT, LESS, SMALL = 110, 34, 31, 24  # sizes of letters
INK, FAINT = (24, 28, 36), (92, 98, 110)
BAR, BEHIND = (300, 30), (138, 138, 138)
RING = 15  # the radius of a pinned point's ring


@dataclass(frozen=True)
class Look:
    """How maps are drawn; see `overlay`."""

    colour_map: str = colours.DEFAULT_COLOURS
    opacity: float = 0.85
    ground: colours.Ground = "colours"


PLAIN_LOOK = Look()


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture under a map, or bare; ``pin`` is a point of the view as shares of its width and height."""

    view: View
    map: Float[Tensor, "H W"] | None
    caption: str
    pin: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class PanelRow:
    """Pictures beside each other on one scale, under what is said of them."""

    said: str
    panels: Sequence[Panel]
    scale: float
    unit: str


def pair_figure(facts: Mapping[str, Any], rows: Sequence[PanelRow], look: Look, credit: str = "") -> Image.Image:
    """The figure, RGB on white, 1080 pixels wide. Its numbers are those of ``facts``, a pair's manifest, and the rows'.

    Raises SimvisError for a look that cannot be drawn.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.share_picture import Look, pair_figure
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> pair_figure(pair.manifest(), rows=[], look=Look()).width
    1080
    """
    colours.check_ground(look.ground)
    blocks = [_headline(facts), *(block for row in rows for block in _row(row, look))]
    blocks.append(paragraph(network_line(facts), TEXT, TEXT_WIDTH, INK))
    blocks.append(paragraph(view_line(facts), TEXT, TEXT_WIDTH, INK))
    blocks.append(paragraph(f"{credit} Drawn by SimVis." if credit else "Drawn by SimVis.", SMALL, TEXT_WIDTH, FAINT))
    return _stacked(blocks)


def row_figure(row: PanelRow, look: Look = PLAIN_LOOK, width: int = FIGURE_WIDTH) -> Image.Image:
    """One row as a figure of its own, RGB on white, with what is said of it and its scale; at most 1080 pixels wide.

    Raises SimvisError for a look that cannot be drawn.

    >>> import torch
    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.pairs.share_picture import Panel, PanelRow, row_figure
    >>> view = Preprocess(short_side=32, stride=8).view(Image.new("RGB", (60, 40), "white"))
    >>> row = PanelRow("step 100", [Panel(view, torch.ones(4, 6), "A")], 1.0, "share of the score")
    >>> row_figure(row, width=540).width
    540
    """
    colours.check_ground(look.ground)
    whole = _stacked(_row(row, look))
    height = round(whole.height * width / FIGURE_WIDTH)
    return whole if width >= FIGURE_WIDTH else whole.resize((width, height), Image.Resampling.LANCZOS)


def _stacked(blocks: Sequence[Image.Image]) -> Image.Image:
    """The blocks under each other, on white."""
    blocks = [block for block in blocks if block.height]
    height = 2 * MARGIN + sum(block.height for block in blocks) + GAP * (len(blocks) - 1)
    figure, top = Image.new("RGB", (FIGURE_WIDTH, height), "white"), MARGIN
    for block in blocks:
        figure.paste(block, (MARGIN, top))
        top += block.height + GAP
    return figure


def widths_and_height(aspects: Sequence[float], width: int, tallest: int = TALLEST) -> tuple[list[int], int]:
    """Pictures of these aspects (width over height) in one row, all of one height, over at most ``width`` pixels.

    >>> from simvis_core.pairs.share_picture import widths_and_height
    >>> widths_and_height([1.5, 1.0], width=1016)
    ([600, 400], 400)
    """
    height = min(tallest, (width - GAP * (len(aspects) - 1)) / sum(aspects))
    return [max(1, int(aspect * height)) for aspect in aspects], max(1, int(height))


def sum_line(facts: Mapping[str, Any]) -> str:
    """What the score is made of, or what drew the map of one that is no sum.

    >>> from simvis_core.pairs.share_picture import sum_line
    >>> facts = {"method": {"name": "decomposition"}, "score": 0.742, "ledger": {"cells_cells": 0.69}}
    >>> sum_line(facts)
    '0.690 in the pictures + 0.052 from the bias = 0.742'
    """
    method: Method = facts["method"]["name"]
    if facts["ledger"] is None:
        return "no map is drawn" if method == "none" else f"map by {method}: its parts need not add up to the score"
    return sum_of(method, facts["score"], facts["ledger"]["cells_cells"]) or "no map is drawn"


def network_line(facts: Mapping[str, Any]) -> str:
    """Network, pooling and weights; of two towers, each side's.

    >>> from simvis_core.pairs.share_picture import network_line
    >>> network = {"name": "mobilenet_v2", "pooling": "max", "trained_pooling": "avg", "origin": ""}
    >>> network_line({"network": network})
    'mobilenet_v2, max pooling (a what-if: trained with avg).'
    >>> above = {"name": "above", "pooling": "avg", "trained_pooling": "avg", "origin": ""}
    >>> network_line({"network": above | {"name": "streets"}, "network_b": above})
    'A: streets, avg pooling. B: above, avg pooling.'
    """
    if facts.get("network_b") is None:
        return _network_said(facts["network"])
    return f"A: {_network_said(facts['network'])} B: {_network_said(facts['network_b'])}"


def view_line(facts: Mapping[str, Any]) -> str:
    """What the network saw of each picture: width x height in pixels.

    >>> from simvis_core.pairs.share_picture import view_line
    >>> picture = {"view_size": (224, 320), "view_box": (0, 0, 600, 420), "size": (420, 600)}
    >>> view_line({"pictures": {"a": picture, "b": picture}})
    'Views: A 320 x 224 pixels, B 320 x 224 pixels.'
    """
    sides = [_seen(facts["pictures"][side]) for side in "ab"]
    return f"Views: A {sides[0]}, B {sides[1]}."


def pin_line(facts: Mapping[str, Any]) -> str:
    """What the pinned point or region carries; empty where none is pinned.

    >>> from simvis_core.pairs.share_picture import pin_line
    >>> pin_line({"score": 0.742, "point": {"side": "a", "cell": [2, 3], "share": 0.031}})
    'Pinned: cell 2,3 of A, 0.031 of 0.742, 4.2 %. Where it counts in B:'
    """
    pin = facts.get("point") or facts.get("region")
    if not pin:
        return ""
    side = pin["side"].upper()
    what = f"cell {pin['cell'][0]},{pin['cell'][1]} of {side}" if "cell" in pin else f"the marked region of {side}"
    other = "B" if side == "A" else "A"
    return f"Pinned: {what}, {of_score(pin['share'], facts['score'])}. Where it counts in {other}:"


def _network_said(network: Mapping[str, Any]) -> str:
    trained = network["trained_pooling"]
    what_if = "" if network["pooling"] == trained else f" (a what-if: trained with {trained})"
    weights = f" Weights: {network['origin']}." if network["origin"] else ""
    return f"{network['name'] or 'A network'}, {network['pooling']} pooling{what_if}.{weights}"


def _seen(picture: Mapping[str, Any]) -> str:
    (height, width), (left, top, right, bottom) = picture["view_size"], picture["view_box"]
    part = (right - left, bottom - top) != tuple(reversed(picture["size"]))
    return f"{width} x {height} pixels{' (cropped)' if part else ''}"


def _headline(facts: Mapping[str, Any]) -> Image.Image:
    score = three(facts["score"])
    wide = int(font(LARGE).getlength(score)) + 2 * GAP
    told = [
        paragraph(text, size, TEXT_WIDTH - wide, colour)
        for text, size, colour in (("similarity score (cosine, -1 to 1)", TEXT, INK), (sum_line(facts), LESS, FAINT))
    ]
    drawn = Image.new("RGB", (TEXT_WIDTH, max(LARGE, sum(block.height for block in told))), "white")
    ImageDraw.Draw(drawn).text((0, drawn.height // 2), score, fill=INK, font=font(LARGE), anchor="lm", stroke_width=1)
    top = (drawn.height - sum(block.height for block in told)) // 2
    for block in told:
        drawn.paste(block, (wide, top))
        top += block.height
    return drawn


def _row(row: PanelRow, look: Look) -> list[Image.Image]:
    widths, height = widths_and_height([panel.view.aspect for panel in row.panels], TEXT_WIDTH)
    captions = any(panel.caption for panel in row.panels)
    drawn = Image.new("RGB", (TEXT_WIDTH, height + (round(1.5 * TEXT) if captions else 0)), "white")
    left, pen = 0, ImageDraw.Draw(drawn)
    for panel, width in zip(row.panels, widths, strict=True):
        drawn.paste(_panel(panel, (width, height), row.scale, look), (left, 0))
        pen.text(
            (left, height + round(0.85 * TEXT)),
            shortened(panel.caption, TEXT, width),
            fill=INK,
            font=font(TEXT),
            anchor="lm",
        )
        left += width + GAP
    return [paragraph(row.said, TEXT, TEXT_WIDTH, INK), drawn, *([_bar(row, look)] if row.unit else [])]


def _panel(panel: Panel, size: tuple[int, int], scale: float, look: Look) -> Image.Image:
    drawn = panel.view.picture(max(size)).resize(size, Image.Resampling.BICUBIC)
    if panel.map is not None:
        values = enlarge(panel.map.cpu().double(), size[::-1]).numpy()
        drawn = colours.laid(drawn, values, scale, look.colour_map, look.opacity, look.ground)
    if panel.pin:
        x, y = panel.pin[0] * size[0], panel.pin[1] * size[1]
        pen = ImageDraw.Draw(drawn)
        for radius, width, colour in ((RING + 2, 8, "black"), (RING, 4, "white")):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)
    return drawn


def _bar(row: PanelRow, look: Look) -> Image.Image:
    low, high = number(-row.scale), number(row.scale)
    unit = f"{row.unit}; lines at 1/4, 1/2 and 3/4" if look.ground == "outline" else row.unit
    start = int(font(TEXT).getlength(low)) + GAP
    end = start + BAR[0] + GAP
    told = end + int(font(TEXT).getlength(high)) + GAP
    words = paragraph(unit, TEXT, TEXT_WIDTH - told, INK)
    drawn = Image.new("RGB", (TEXT_WIDTH, max(words.height, round(1.3 * TEXT))), "white")
    middle, pen = drawn.height // 2, ImageDraw.Draw(drawn)
    pen.text((0, middle), low, fill=INK, font=font(TEXT), anchor="lm")
    steps = np.linspace(-1, 1, BAR[0])[None].repeat(BAR[1], 0)
    drawn.paste(
        colours.laid(Image.new("RGB", BAR, BEHIND), steps, 1.0, look.colour_map, look.opacity),
        (start, middle - BAR[1] // 2),
    )
    pen.text((end, middle), high, fill=INK, font=font(TEXT), anchor="lm")
    drawn.paste(words, (told, middle - words.height // 2))
    return drawn


def caption(side: str, file: str) -> str:
    """``A: kitchen.jpg``; the letter alone for a file without a name, or in a script that the font lacks.

    >>> from simvis_core.pairs.share_picture import caption
    >>> caption("a", "kitchen.jpg"), caption("b", "")
    ('A: kitchen.jpg', 'B')
    """
    written = name(file)
    return plain(f"{side.upper()}: {written}") if written else side.upper()
