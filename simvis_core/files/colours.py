"""Diverging colour maps: negative one hue, positive another, nothing at zero; and what shows on red pictures too."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from simvis_core.errors import SimvisError

# Stops from -1 to +1, after ColorBrewer's colour-blind-safe diverging schemes (RdBu, PuOr, PRGn, BrBG).
STOPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "blue-red": ((5, 40, 150), (40, 105, 225), (235, 235, 235), (250, 60, 30), (185, 0, 20)),
    "purple-orange": ((60, 10, 110), (140, 110, 190), (247, 247, 247), (245, 150, 30), (150, 70, 0)),
    "purple-green": ((85, 10, 100), (160, 110, 175), (247, 247, 247), (70, 175, 80), (0, 85, 30)),
    "teal-brown": ((0, 80, 75), (60, 165, 155), (247, 247, 247), (205, 145, 60), (110, 60, 5)),
}
DEFAULT_COLOURS = "blue-red"
Ground = Literal["colours", "grey", "outline"]
GROUNDS: tuple[Ground, ...] = ("colours", "grey", "outline")  # how a map lies: in colours, on a grey picture, as lines
LINE_LEVELS = 4  # lines at a quarter, half and three quarters of the scale
LINE_SHARE = 288  # a line is two of so many parts of the picture's longer side
STRONG_UP, STRONG_DOWN = 215, 40  # of the 256 colours: the strong ones of a positive and of a negative line
FADE = 0.8  # opacity is |value / scale| to this power: 1 would hide what is half as strong, 0.5 veils the picture


def lookup_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """256 colours from -scale to +scale; the middle is near white. Raises SimvisError for an unknown name.

    >>> from simvis_core.files.colours import lookup_table
    >>> table = lookup_table("blue-red")
    >>> table.shape, table[0].tolist(), table[255].tolist()
    ((256, 3), [5, 40, 150], [185, 0, 20])
    """
    if name not in STOPS:
        raise SimvisError(f"colour map '{name}'", f"one of {', '.join(STOPS)}", "choose one of these names")
    stops = np.array(STOPS[name], dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def paint(values: Float[np.ndarray, "h w"], scale: float, name: str, opacity: float) -> UInt8[np.ndarray, "h w 4"]:
    """Values coloured on -scale..+scale; the colour grows opaque with the value's size, so zero shows the picture.

    Values beyond the scale take its end colour. A scale of 0 (an all-zero map) paints nothing.

    Raises SimvisError for an unknown colour map and an opacity outside 0..1.

    >>> import numpy as np
    >>> from simvis_core.files.colours import paint
    >>> paint(np.array([[-0.2, 0.0, 0.1]]), 0.2, "blue-red", 1.0).tolist()
    [[[5, 40, 150, 255], [235, 234, 233, 0], [250, 61, 31, 146]]]
    """
    if not 0 <= opacity <= 1:
        raise SimvisError(f"an opacity of {opacity:g}", "0 to 1", "choose one in that range")
    share = np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)
    index = np.round((share + 1) * 127.5).astype(np.uint8)
    alpha = np.round(np.abs(share) ** FADE * opacity * 255).astype(np.uint8)
    return np.concatenate([lookup_table(name)[index], alpha[..., None]], axis=-1)


def outline(values: Float[np.ndarray, "h w"], scale: float, name: str) -> UInt8[np.ndarray, "h w 4"]:
    """Lines where the values pass a quarter, half and three quarters of the scale, up and down, opaque.

    Each is in the map's strong colour of its sign, rimmed in white and in black, so that it shows on any picture, a red
    one too. Where no line runs the picture shows.

    Raises SimvisError for an unknown colour map.

    >>> import numpy as np
    >>> from simvis_core.files.colours import outline
    >>> values = np.linspace(0, 1, 64).reshape(1, 64).repeat(8, 0)
    >>> int((outline(values, 1.0, "blue-red")[0, :, 3] > 0).sum())  # pixels of a row that a line covers
    22
    """
    table, unit = lookup_table(name), max(1, round(max(values.shape) / LINE_SHARE))
    share = np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)
    steps = np.trunc(share * LINE_LEVELS).astype(np.int8)
    right, below = np.pad(steps, ((0, 0), (0, 1)), "edge")[:, 1:], np.pad(steps, ((0, 1), (0, 0)), "edge")[1:]
    least, most = (pick.reduce([steps, right, below]) for pick in (np.minimum, np.maximum))
    edge, down = least != most, least + most < 0
    painted = np.zeros((*values.shape, 4), dtype=np.uint8)
    for line, rim, colour in (
        (edge, 2, (0, 0, 0)),
        (edge, 1, (255, 255, 255)),
        (edge & ~down, 0, table[STRONG_UP]),
        (edge & down, 0, table[STRONG_DOWN]),
    ):
        painted[_widened(line, (rim + 1) * unit - 1, (rim + 1) * unit)] = (*colour, 255)
    return painted


def laid(
    picture: Image.Image,
    values: Float[np.ndarray, "h w"],
    scale: float,
    name: str = DEFAULT_COLOURS,
    opacity: float = 0.85,
    ground: Ground = "colours",
) -> Image.Image:
    """The RGB picture, of w x h pixels, under values of its own size; ``ground`` says how they lie on it.

    In colours (`paint`), in colours on a grey picture, or as lines (`outline`, without opacity). Raises SimvisError for
    another ground, and as `paint` does.

    >>> import numpy as np
    >>> from PIL import Image
    >>> from simvis_core.files.colours import laid
    >>> laid(Image.new("RGB", (2, 1), "white"), np.array([[0.0, 1.0]]), 1.0, opacity=1.0).getpixel((1, 0))
    (185, 0, 20)
    """
    check_ground(ground)
    rgba = outline(values, scale, name) if ground == "outline" else paint(values, scale, name, opacity)
    below = greyed(picture) if ground == "grey" else picture
    return Image.alpha_composite(below.convert("RGBA"), Image.fromarray(rgba)).convert("RGB")


def greyed(image: Image.Image) -> Image.Image:
    """The RGB picture without its colours and a little paler, as the page shows it under a map.

    >>> from PIL import Image
    >>> from simvis_core.files.colours import greyed
    >>> greyed(Image.new("RGB", (1, 1), (200, 30, 30))).getpixel((0, 0))
    (86, 86, 86)
    """
    grey = image.convert("L", (0.2126, 0.7152, 0.0722, 0))
    return grey.point([min(255, round(1.1 * (0.8 * (level - 127.5) + 127.5))) for level in range(256)]).convert("RGB")


def check_ground(ground: str) -> None:
    """Raises SimvisError for no way that a map can lie on its picture.

    >>> from simvis_core.files.colours import check_ground
    >>> check_ground("outline")
    >>> check_ground("sky")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got ground 'sky'; wanted one of colours, grey, outline: choose one of these.
    """
    if ground not in GROUNDS:
        raise SimvisError(f"ground '{ground}'", f"one of {', '.join(GROUNDS)}", "choose one of these")


def _widened(line: Bool[np.ndarray, "h w"], before: int, after: int) -> Bool[np.ndarray, "h w"]:
    """True from so many pixels before each true one to so many after it, along both axes."""
    for axis in (0, 1):
        length = line.shape[axis]
        counts = np.insert(line.cumsum(axis, dtype=np.int32), 0, 0, axis=axis)
        at = np.arange(length)
        first, last = np.clip(at - after, 0, length), np.clip(at + before + 1, 0, length)
        line = counts.take(last, axis) > counts.take(first, axis)
    return line
