"""Diverging colour maps: negative one hue, positive another, nothing at zero."""

import numpy as np
from jaxtyping import Float, UInt8

from simvis_core.errors import SimvisError

# Stops from -1 to +1, after ColorBrewer's colour-blind-safe diverging schemes (RdBu, PuOr, PRGn, BrBG).
STOPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "blue-red": ((5, 40, 150), (40, 105, 225), (235, 235, 235), (250, 60, 30), (185, 0, 20)),
    "purple-orange": ((60, 10, 110), (140, 110, 190), (247, 247, 247), (245, 150, 30), (150, 70, 0)),
    "purple-green": ((85, 10, 100), (160, 110, 175), (247, 247, 247), (70, 175, 80), (0, 85, 30)),
    "teal-brown": ((0, 80, 75), (60, 165, 155), (247, 247, 247), (205, 145, 60), (110, 60, 5)),
}
DEFAULT = "blue-red"
FADE = 0.8  # opacity is |value / scale| to this power: 1 would hide what is half as strong, 0.5 veils the picture


def lookup_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """256 colours from -scale to +scale; the middle is near white. Raises SimvisError for an unknown name."""
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
    """
    if not 0 <= opacity <= 1:
        raise SimvisError(f"an opacity of {opacity:g}", "0 to 1", "choose one in that range")
    share = np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)
    index = np.round((share + 1) * 127.5).astype(np.uint8)
    alpha = np.round(np.abs(share) ** FADE * opacity * 255).astype(np.uint8)
    return np.concatenate([lookup_table(name)[index], alpha[..., None]], axis=-1)
