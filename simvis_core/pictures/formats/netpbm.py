"""PBM, PGM and PPM pictures, as text and in binary, of any depth: Pillow reads most of them sample by sample."""

import re

import numpy as np
from PIL import Image

from simvis_core.pictures.formats.bare import Damaged

_KINDS = {b"P1": (1, True), b"P2": (1, True), b"P3": (3, True), b"P4": (1, False), b"P5": (1, False), b"P6": (3, False)}
_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*(\d{1,10})", re.DOTALL)
_LONGEST_HEADER = 2**16


def header(data: bytes) -> tuple[tuple[int, int], int, int]:
    """Size, the value of white, and where the samples begin. Raises `Damaged` for a header that is none.

    >>> from simvis_core.pictures.formats.netpbm import header
    >>> header(b"P2 2 1 255 0 255")
    ((2, 1), 255, 11)
    """
    numbers, at = [], 2
    for _ in range(2 if data[:2] in (b"P1", b"P4") else 3):
        found = _TOKEN.match(data[:_LONGEST_HEADER], at)
        if found is None:
            raise Damaged
        numbers.append(int(found[1]))
        at = found.end()
    white = numbers[2] if len(numbers) == 3 else 1
    if not 1 <= white <= 65535:
        raise Damaged
    return (numbers[0], numbers[1]), white, at + 1


def picture(data: bytes) -> Image.Image:
    """The picture, scaled to 8 bits a sample; what follows it is passed over. Raises `Damaged` for too few samples.

    >>> from simvis_core.pictures.formats.netpbm import picture
    >>> image = picture(b"P2 2 1 15 0 15")
    >>> image.size, image.getpixel((1, 0))
    ((2, 1), 255)
    """
    (width, height), white, start = header(data)
    channels, text = _KINDS[data[:2]]
    if data[:2] == b"P4":
        samples = _bits(data, start, width, height)
    else:
        samples = (_numbers if text else _binary)(data, start, width * height * channels, white)
    if data[:2] in (b"P1", b"P4"):  # ink, not light
        samples = 1 - samples
    if white != 255:
        samples = ((samples.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)
    return Image.fromarray(samples.reshape((height, width, 3) if channels == 3 else (height, width)))


def _binary(data: bytes, start: int, count: int, white: int) -> np.ndarray:
    kind = np.dtype("u1" if white < 256 else ">u2")
    if len(data) - start < count * kind.itemsize:
        raise Damaged
    return _within(np.frombuffer(data, kind, count, start), white)


def _bits(data: bytes, start: int, width: int, height: int) -> np.ndarray:
    row = -(-width // 8)
    if len(data) - start < row * height:
        raise Damaged
    packed = np.frombuffer(data, np.uint8, row * height, start).reshape(height, row)
    return np.unpackbits(packed, axis=1, count=width)


def _numbers(data: bytes, start: int, count: int, white: int) -> np.ndarray:
    text = re.sub(rb"#[^\r\n]*", b" ", data[start - 1 :])
    if data[:2] == b"P1":  # its digits need no space between them
        digits = np.frombuffer(text, np.uint8)
        found = digits[(digits == ord("0")) | (digits == ord("1"))][:count] - ord("0")
    else:
        if re.search(rb"[^\d\s]|\d{6}", text):
            raise Damaged
        found = np.array(text.split(None, count)[:count], dtype=np.uint32)
    if len(found) < count:
        raise Damaged
    return _within(found, white)


def _within(samples: np.ndarray, white: int) -> np.ndarray:
    if samples.size and int(samples.max()) > white:
        raise Damaged
    return samples
