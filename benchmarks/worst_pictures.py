"""Pictures made to cost as much as a stranger's limits let them: 20 megapixels and 10 MB, in every format."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 5000, 4000
MOST = 10 * 2**20
TURNED = (
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # a quarter turn, which costs a copy
)
PALETTE = [level for level in range(256) for _ in "rgb"]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grain(strength: int, channels: int = 3) -> Image.Image:
    """20 megapixels of noise, which is made once for 1 % of them and repeated."""
    tile = np.random.default_rng(0).integers(-strength, strength + 1, (400, 500, channels))
    whole = np.tile((tile + 128).clip(0, 255).astype(np.uint8), (HEIGHT // 400, WIDTH // 500, 1))
    return Image.fromarray(whole if channels > 1 else whole[..., 0])


def flat(mode: str = "RGB") -> Image.Image:
    """20 megapixels of one colour."""
    image = Image.new(mode, (WIDTH, HEIGHT), 1)
    if mode == "P":
        image.putpalette(PALETTE)
    return image


# JPEG


def scans(count: int, image: Image.Image, **options: Any) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    data = encoded(image, "JPEG", progressive=True, **options)
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * count + data[-2:]


def fill_bytes() -> bytes:
    """A JPEG that pads its end with 10 MB of what may stand before a marker."""
    data = encoded(Image.new("L", (9, 9)), "JPEG")
    return data[:-2] + b"\xff" * (MOST - len(data)) + b"\0"


# PNG


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its length and its check."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, interlaced: int = 0, extra: bytes = b"") -> bytes:
    """A PNG of compressed rows; ``extra`` chunks come before them."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header), extra, chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def interlaced_png() -> bytes:
    """16-bit RGBA in seven passes, and turned."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    length = sum(-(-(HEIGHT - y) // down) * (1 + 8 * -(-(WIDTH - x) // across)) for x, y, across, down in steps)
    return png((WIDTH, HEIGHT), 16, 6, zlib.compress(bytes(length), 1), 1, chunk(b"eXIf", TURNED[6:]))


def many_deflate_blocks() -> bytes:
    """A PNG whose pixels come behind a million blocks that hold nothing but their code tables."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    fields = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4), *((int(code in (1, 18)), 3) for code in order)]
    fields += [(0, 1), (1, 1), (127, 7), (1, 1), (106, 7), (0, 1), (0, 1), (1, 1)]  # the lengths, then the end
    bits = [value >> at & 1 for value, count in fields for at in range(count)]
    empty = np.packbits(np.tile(np.array(bits, np.uint8), 8), bitorder="little").tobytes()
    rows = bytes((WIDTH + 1) * HEIGHT)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(rows) + packer.flush() + struct.pack(">I", zlib.adler32(rows))
    blocks = (MOST - len(body) - 100) // len(empty)
    return png((WIDTH, HEIGHT), 8, 0, b"\x78\x01" + empty * blocks + body)


def texts() -> bytes:
    """A PNG with as many small chunks of text as fit into 10 MB, and one that unpacks to a gigabyte."""
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    many = chunk(b"tEXt", b"a\0b") * (2**20 // 3)
    return png((WIDTH, HEIGHT), 8, 0, zlib.compress(bytes((WIDTH + 1) * HEIGHT), 1), 0, many + chunk(b"zTXt", bomb))


def one_pixel_wide() -> bytes:
    """20 million rows, each of which costs more than its pixel."""
    return png((1, WIDTH * HEIGHT), 8, 6, zlib.compress(bytes(5 * WIDTH * HEIGHT), 1))


# TIFF


def tiff(compression: str, image: Callable[[], Image.Image], **options: Any) -> bytes:
    """A TIFF as libtiff writes it."""
    return encoded(image(), "TIFF", compression=compression, **options)


def tiff_of(entries: list[tuple[int, int, int, int]], rest: bytes, again: int = 1) -> bytes:
    """A TIFF by hand: its directory's entries (tag, kind, count, value), ``again`` times, and what follows it."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries) * again
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries) * again) + packed + bytes(4) + rest


def tiles(side: int) -> bytes:
    """A TIFF of so small tiles, all of them the same bytes."""
    count = -(-WIDTH // side) * -(-HEIGHT // side)
    start = 8 + 2 + 12 * 10 + 4
    facts = [(256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    facts += [(322, 3, 1, side), (323, 3, 1, side)]
    facts += [(324, 4, count, start), (325, 4, count, start + 4 * count)]
    pixels = struct.pack("<I", start + 8 * count) * count + struct.pack("<I", side * side) * count
    return tiff_of(facts, pixels + bytes(side * side))


def repeated_tag() -> bytes:
    """A TIFF of a thousand entries, all of which hold the whole file."""
    return tiff_of([(273, 3, (MOST - 20_000) // 2, 8)], bytes(MOST - 20_000), 1000)


# The others


def bmp(runs: bytes, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """A run-length coded BMP."""
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 1078) + header + bytes(1024) + runs + b"\0\1"


def comments() -> bytes:
    """A GIF of as many comments as fit into 10 MB."""
    return encoded(flat("P"), "GIF")[: 13 + 768] + b"!\xfe\1a\0" * (2**21 - 10_000)


def animated(kind: str) -> bytes:
    """Two frames of 20 megapixels, half transparent."""
    return encoded(flat("RGBA"), kind, save_all=True, append_images=[grain(1, 4)], lossless=True, quality=0, method=0)


WORST: dict[str, Callable[[], bytes]] = {
    "JPEG, dense and progressive": lambda: scans(0, grain(60), quality=55, subsampling=0, exif=TURNED),
    "JPEG, 24 scans of 20 megapixels": lambda: scans(14, flat(), quality=25, subsampling=0),
    "JPEG, 24 dense scans": lambda: scans(14, grain(5), quality=50, subsampling=0),
    "JPEG, CMYK": lambda: scans(0, grain(60, 4).convert("CMYK"), quality=30, exif=TURNED),
    "JPEG, a restart at every block": lambda: encoded(grain(4), "JPEG", quality=30, restart_marker_blocks=1),
    "JPEG, 300 scans": lambda: scans(300, flat("L")),
    "JPEG, 10 MB of padding": fill_bytes,
    "PNG, 16-bit RGBA, interlaced": interlaced_png,
    "PNG, a million deflate blocks": many_deflate_blocks,
    "PNG, transparent palette": lambda: encoded(flat("P"), "PNG", transparency=bytes(range(256)), exif=TURNED),
    "PNG, 300 000 texts and a zip bomb": texts,
    "PNG, one pixel wide": one_pixel_wide,
    "GIF, transparent": lambda: encoded(flat("P"), "GIF", transparency=0),
    "GIF, dense": lambda: encoded(grain(60, 1).crop((0, 0, 5000, 1800)), "GIF"),
    "GIF, 2 million comments": comments,
    "WebP, lossless": lambda: encoded(
        grain(40, 4), "WEBP", lossless=True, quality=20, method=1, exact=True, exif=TURNED
    ),
    "WebP, lossy with alpha": lambda: encoded(grain(40, 4), "WEBP", quality=30, method=0),
    "WebP, animated": partial(animated, "WEBP"),
    "TIFF, LZW": partial(tiff, "tiff_lzw", partial(grain, 1, 1)),
    "TIFF, LZW with a predictor": partial(tiff, "tiff_lzw", flat, tiffinfo={317: 2}),
    "TIFF, deflate": partial(tiff, "tiff_adobe_deflate", partial(grain, 1)),
    "TIFF, RGBA": partial(tiff, "tiff_lzw", lambda: flat("RGBA"), tiffinfo={274: 6}),
    "TIFF, JPEG": partial(tiff, "jpeg", partial(grain, 30), quality=50),
    "TIFF, fax": partial(tiff, "group4", lambda: grain(60, 1).convert("1").point(lambda ink: ink)),
    "TIFF, Zstandard": partial(tiff, "zstd", partial(grain, 60)),
    "TIFF, tiles of 16 x 16": partial(tiles, 16),
    "TIFF, tiles of 32 x 32": partial(tiles, 32),
    "TIFF, a strip for every row": partial(tiff, "tiff_lzw", lambda: flat("L"), strip_size=1),
    "TIFF, one tag a thousand times": repeated_tag,
    "BMP, run-length coded": lambda: bmp((b"\xff\7" * 19 + b"\x9b\7\0\0") * HEIGHT),
    "BMP, runs of one": lambda: bmp(b"\1\7" * (2**19 - 1000)),
    "PGM, as text": lambda: b"P2 2500 2000 9\n" + b"1 " * 5_000_000,
    "PBM": lambda: b"P4 5000 4000\n" + bytes(2_500_000),
    "AVIF": lambda: encoded(grain(30), "AVIF", quality=40, speed=10, exif=TURNED),
    "AVIF, transparent": lambda: encoded(flat("RGBA"), "AVIF", speed=10),
}
