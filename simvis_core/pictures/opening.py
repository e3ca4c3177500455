"""Opening a picture that a stranger sent: what can be read is read right, the rest is a `SimvisError`."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from simvis_core.errors import SimvisError
from simvis_core.pictures.formats import netpbm
from simvis_core.pictures.formats.bare import BARE, CURE, ORIENTATION, Bare, Damaged, exif_orientation
from simvis_core.pictures.formats.process import decoded_elsewhere
from simvis_core.pictures.formats.tiff import bare_tiff


@dataclass(frozen=True)
class Limits:
    """The largest picture that is opened: bytes of its file, pixels, and pixels of a side."""

    bytes: int
    pixels: int
    side: int = 65_535  # a JPEG has no more; memory is taken row by row

    def to(self, megapixels: float | None) -> "Limits":
        """Limits for pictures of at most so many megapixels, bytes in proportion; these limits themselves for None.

        Raises SimvisError for a number of megapixels below 1.

        >>> from simvis_core.pictures.opening import STRANGERS
        >>> STRANGERS.to(40).pixels, STRANGERS.to(40).bytes / STRANGERS.bytes
        (40000000, 2.0)
        """
        if megapixels is None:
            return self
        if not megapixels >= 1:
            raise SimvisError(f"{megapixels:g} megapixels as the most", "1 or more", "name a larger number")
        pixels = round(megapixels * 1e6)
        return replace(self, bytes=self.bytes * pixels // self.pixels, pixels=pixels)


STRANGERS = Limits(10 * 2**20, 20_000_000)
OWNERS = Limits(200 * 2**20, 200_000_000)  # of one's own pictures on one's own machine: the largest that phones make

WHITE_BAND = 1_000_000  # pixels whose transparency is laid on white together

# What decoders raise on damaged bytes.
_UNREADABLE = (
    Damaged,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def open_picture(
    source: str | Path | bytes | BinaryIO, enough: int | None = None, limits: Limits = STRANGERS
) -> Image.Image:
    """The picture as upright RGB, decoded whole.

    The file's orientation is applied, transparency is laid on white, 16-bit samples are scaled to 8, CMYK is
    converted, an animation gives its first frame; colour profiles are not applied. Nothing else that a file says
    beside its pixels is read. Size and work are checked before a pixel is decoded: within the limits for strangers no
    picture costs more than 2 seconds of a processor or 500 MB.

    ``enough`` is a short side in pixels that the caller can do with: a JPEG of twice that or more is then decoded at
    1/2, 1/4 or 1/8 of its size, never below ``enough``. That saves time and memory and is not the same picture: scores
    of 12-megapixel photographs at 1024 move by 0.001, at most 0.005, as under any other way of shrinking them.

    Raises SimvisError for anything that is not such a picture: another kind of file, zero bytes, a truncated or
    damaged file, one above ``limits`` (10 MB, 20 megapixels) or made to keep decoders busy; and for ``enough`` below 1.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core import open_picture
    >>> file = io.BytesIO()
    >>> Image.new("RGBA", (4, 3), (255, 0, 0, 0)).save(file, "PNG")
    >>> picture = open_picture(file.getvalue())
    >>> picture.mode, picture.size, picture.getpixel((0, 0))
    ('RGB', (4, 3), (255, 255, 255))
    >>> open_picture(b"no picture at all")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a file that is not a picture; wanted a JPEG, PNG or WebP picture: save ...
    """
    if enough is not None and enough < 1:
        raise SimvisError(f"{enough} pixels as enough", "at least 1", "give a short side, or None for every pixel")
    data = _read(source, limits)
    kind = _kind(data)
    if kind is None:
        raise SimvisError("a file that is not a picture", "a JPEG, PNG or WebP picture", CURE)
    try:
        return _upright(*_decoded(data, kind, enough, limits))
    except SimvisError:
        raise
    except _UNREADABLE as error:
        raise SimvisError("a damaged or cut-off picture", "a whole file", CURE) from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB, turned as its EXIF tag says.

    Raises SimvisError for an image without pixels, and for 32-bit measurements.

    >>> from PIL import Image
    >>> from simvis_core import upright_rgb
    >>> lying = Image.new("L", (4, 3), 200)
    >>> lying.getexif()[0x0112] = 6  # the EXIF tag for "turn me by 90 degrees"
    >>> upright_rgb(lying).size, upright_rgb(lying).mode
    ((3, 4), 'RGB')
    """
    if image.width * image.height == 0:
        raise SimvisError(f"a picture of {image.width} x {image.height} pixels", "at least 1 x 1", CURE)
    image.load()  # Pillow turns a TIFF by itself as it loads
    exif = image.info.get("exif")
    told = exif_orientation(exif) if exif else image.getexif().get(ORIENTATION, 1)
    return _upright(image, told if isinstance(told, int) else 1)


def _read(source: str | Path | bytes | BinaryIO, limits: Limits) -> bytes:
    if isinstance(source, (str, Path)):
        try:
            with open(source, "rb") as file:
                data = file.read(limits.bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the name
            raise SimvisError(
                f"{str(source)!r}, which cannot be opened ({getattr(error, 'strerror', None) or error})",
                "a picture file",
                "check the name and the permission to read it",
            ) from error
    else:
        data = source if isinstance(source, bytes) else source.read(limits.bytes + 1)
    if not data:
        raise SimvisError("an empty file of zero bytes", "a picture", CURE)
    if len(data) > limits.bytes:
        most = f"{limits.bytes / 2**20:.0f} MB"
        raise SimvisError(f"a file of more than {most}", f"at most {most}", "make the picture smaller and try again")
    return data


def _kind(data: bytes) -> str | None:
    """What the file is by its first bytes; its name says nothing."""
    if data[4:8] == b"ftyp":
        length = int.from_bytes(data[:4], "big")
        brands = {data[at : at + 4] for at in (8, *range(16, min(length, 128, len(data)), 4))}
        return next((kind for kind, names in _BRANDS.items() if brands & names), None)
    return next((kind for start, kind in _STARTS if data.startswith(start) and _agrees(kind, data)), None)


def _agrees(kind: str, data: bytes) -> bool:
    if kind == "PNM":
        return data[2:3].isspace() or data[2:3] == b"#"
    return kind != "WEBP" or data[8:12] == b"WEBP"


def _decoded(data: bytes, kind: str, enough: int | None, limits: Limits) -> tuple[Image.Image, int, bool]:
    """The pixels as they are stored, their orientation, and whether white is zero."""
    if kind in ("HEIF", "AVIF"):
        image, size, orientation = decoded_elsewhere(data, kind, limits.pixels)
        check_size(size, limits)
        assert image is not None
        return image, orientation, False
    if kind == "PNM":
        check_size(netpbm.header(data)[0], limits)
        return netpbm.picture(data), 1, False
    bare = bare_tiff(data, limits.pixels) if kind == "TIFF" else BARE[kind](data, limits.pixels)
    check_size(bare.size, limits)
    return _by_pillow(bare, kind, enough, limits), bare.orientation, bare.white_is_zero


def _by_pillow(bare: Bare, kind: str, enough: int | None, limits: Limits) -> Image.Image:
    # The decoder itself and not `Image.open`, which warns above a limit of its own: to silence a warning is to change
    # what every other thread is told.
    with _PILLOW[kind](io.BytesIO(bare.data)) as image:
        check_size(image.size, limits)
        if enough is not None:
            image.draft(image.mode, (enough, enough))  # of JPEG only; the other formats have nothing to leave out
        image.load()
        return image


def check_size(size: tuple[int, int], limits: Limits = STRANGERS) -> None:
    """Raises SimvisError for a picture of more pixels than the limits have, and for one without any.

    >>> from simvis_core.pictures.opening import check_size
    >>> check_size((4000, 3000))
    >>> check_size((40000, 30000))
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 40000 x 30000 pixels; wanted at most 20 megapixels: make the picture ...
    """
    width, height = size
    if max(size) > limits.side:
        most = f"at most {limits.side} pixels a side"
        raise SimvisError(f"{width} x {height} pixels", most, "make the picture smaller and try again")
    if width * height > limits.pixels:
        most = f"at most {limits.pixels / 1e6:.0f} megapixels"
        raise SimvisError(f"{width} x {height} pixels", most, "make the picture smaller and try again")
    if width * height == 0:
        raise SimvisError(f"a picture of {width} x {height} pixels", "at least 1 x 1", CURE)


def _upright(image: Image.Image, orientation: int, white_is_zero: bool = False) -> Image.Image:
    plain = _rgb(image, white_is_zero)
    return plain.transpose(_TURNS[orientation]) if orientation in _TURNS else plain


def _rgb(image: Image.Image, white_is_zero: bool) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_integers(image, white_is_zero)
    if image.mode == "F":
        raise SimvisError("a picture of 32-bit floating-point samples", "8 or 16 bits a sample", CURE)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")


def _from_integers(image: Image.Image, white_is_zero: bool) -> Image.Image:
    """16-bit grey scaled to 8 bits; Pillow's own conversion would cut every sample off at 255."""
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise SimvisError("a picture of 32-bit integer samples", "8 or 16 bits a sample", CURE)
    clear = image.info.get("transparency")
    levels = ((np.arange(65536) + 128) // 257).astype(np.uint8)
    if white_is_zero:
        levels = levels[::-1]
    if isinstance(clear, int) and 0 <= clear <= 65535:
        levels[clear] = 255  # transparency is laid on white
    return Image.fromarray(levels[samples]).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Band by band: each step on the whole picture would take its memory once more."""
    plain = Image.new("RGB", image.size)
    rows = max(1, WHITE_BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        white.alpha_composite(band)
        plain.paste(white.convert("RGB"), (0, top))
    return plain


_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"RIFF", "WEBP"),
    (b"BM", "BMP"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((b"P%d" % kind, "PNM") for kind in range(1, 7)),
)
_BRANDS = {
    "AVIF": {b"avif", b"avis"},
    "HEIF": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"},
}
_PILLOW: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
