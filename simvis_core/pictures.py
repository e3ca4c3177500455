"""Opening a picture that a stranger sent: what can be read is read right, the rest is a `SimvisError`."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from simvis_core.errors import SimvisError

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 20_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")  # Pillow opens MPO as JPEG
ORIENTATION = 0x0112  # the EXIF tag
CURE = "save it as a JPEG, PNG or WebP picture and try again"

# What Pillow's decoders raise on damaged bytes.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,  # libavif
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def open_picture(source: str | Path | bytes | BinaryIO, enough: int | None = None) -> Image.Image:
    """The picture as upright RGB, decoded whole.

    EXIF rotation is applied, transparency is laid on white, 16-bit samples are scaled to 8, CMYK is converted,
    an animation gives its first frame. The size is checked before a pixel is decoded.

    ``enough`` is a short side in pixels that the caller can do with: a JPEG of twice that or more is then decoded at
    1/2, 1/4 or 1/8 of its size, never below ``enough``. That saves time and memory and is not the same picture: scores
    of 12-megapixel photographs at 1024 move by 0.001, at most 0.005, as under any other way of shrinking them.

    Raises SimvisError for anything that is not such a picture: another kind of file, zero bytes, a truncated or
    damaged file, more than 10 MB or 20 megapixels; and for ``enough`` below 1.
    """
    data = _read(source)
    with warnings.catch_warnings():
        # Pillow warns of odd metadata that does not matter here, and of sizes that our own lower limit refuses.
        warnings.filterwarnings("ignore", module="PIL")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                return upright_rgb(_decoded(image, enough))
        except SimvisError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_many_pixels("more than 178 million pixels") from error
        except UnidentifiedImageError as error:
            raise SimvisError("a file that is not a picture", "a JPEG, PNG or WebP picture", CURE) from error
        except _UNREADABLE as error:
            raise SimvisError("a damaged or cut-off picture", "a whole file", CURE) from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB, turned as its EXIF tag says.

    Raises SimvisError for an image without pixels, for one over 20 megapixels, and for 32-bit measurements.
    """
    _check_size(image)
    if image.getexif().get(ORIENTATION, 1) != 1:  # without a turn Pillow would still copy every pixel
        image = ImageOps.exif_transpose(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_integers(image).convert("RGB")
    if image.mode == "F":
        raise SimvisError("a picture of 32-bit floating-point samples", "8 or 16 bits a sample", CURE)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _read(source: str | Path | bytes | BinaryIO) -> bytes:
    if isinstance(source, (str, Path)):
        try:
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the name
            raise SimvisError(
                f"{str(source)!r}, which cannot be opened ({getattr(error, 'strerror', None) or error})",
                "a picture file",
                "check the name and the permission to read it",
            ) from error
    else:
        data = source if isinstance(source, bytes) else source.read(MAX_BYTES + 1)
    if not data:
        raise SimvisError("an empty file of zero bytes", "a picture", CURE)
    if len(data) > MAX_BYTES:
        raise SimvisError("a file of more than 10 MB", "at most 10 MB", "make the picture smaller and try again")
    return data


def _decoded(image: Image.Image, enough: int | None) -> Image.Image:
    if enough is not None:
        if enough < 1:
            raise SimvisError(f"{enough} pixels as enough", "at least 1", "give a short side, or None for every pixel")
        image.draft(image.mode, (enough, enough))  # of JPEG only; the other formats have nothing to leave out
    image.load()
    return image


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(f"{image.width} x {image.height} pixels")
    if image.width * image.height == 0:
        raise SimvisError(f"a picture of {image.width} x {image.height} pixels", "at least 1 x 1", CURE)


def _too_many_pixels(got: str) -> SimvisError:
    return SimvisError(got, "at most 20 megapixels", "make the picture smaller and try again")


def _from_integers(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits; Pillow's own conversion would cut every sample off at 255."""
    samples = np.asarray(image).astype(np.int64)
    if samples.min() < 0 or samples.max() > 65535:
        raise SimvisError("a picture of 32-bit integer samples", "8 or 16 bits a sample", CURE)
    return Image.fromarray(((samples + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
