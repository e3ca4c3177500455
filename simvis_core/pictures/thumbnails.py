"""Thumbnails: a picture as a small JPEG, whether one is still whole, and the part of it that a view covers."""

import io
import math

from PIL import Image

from simvis_core.pictures.views import Framing, covered

THUMBNAIL = 224  # pixels of its longer side


def thumbnail(image: Image.Image) -> bytes:
    """A picture as a small JPEG, its longer side at most 224 pixels.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.thumbnails import thumbnail
    >>> Image.open(io.BytesIO(thumbnail(Image.new("RGB", (448, 100))))).size
    (224, 50)
    """
    if max(image.size) > THUMBNAIL:
        ratio = THUMBNAIL / max(image.size)
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def is_whole(data: bytes) -> bool:
    """Whether a file begins and ends as a JPEG does: one that was cut off, emptied or written over does not.

    >>> from PIL import Image
    >>> from simvis_core.pictures.thumbnails import is_whole, thumbnail
    >>> small = thumbnail(Image.new("RGB", (448, 100)))
    >>> is_whole(small), is_whole(small[:-10])
    (True, False)
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.endswith(b"\xff\xd9")):
        return False
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return max(image.size) <= THUMBNAIL
    except (OSError, ValueError, SyntaxError):
        return False


def seen_part(thumbnail: bytes, framing: Framing) -> tuple[bytes, float]:
    """The part of a thumbnail that a framing covers, and its width over height, as maps are drawn on it.

    >>> from PIL import Image
    >>> from simvis_core.pictures.thumbnails import seen_part, thumbnail
    >>> small = thumbnail(Image.new("RGB", (200, 100)))
    >>> seen_part(small, "whole")[1], seen_part(small, "crop")[1]
    (2.0, 1.0)
    """
    image = Image.open(io.BytesIO(thumbnail), formats=["JPEG"])
    if framing != "crop":
        return thumbnail, image.width / image.height
    box = covered(image, framing)
    left, top = math.floor(box[0] + 0.5), math.floor(box[1] + 0.5)
    whole = (left, top, max(left + 1, math.floor(box[2] + 0.5)), max(top + 1, math.floor(box[3] + 0.5)))
    buffer = io.BytesIO()
    image.crop(whole).save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), (box[2] - box[0]) / (box[3] - box[1])
