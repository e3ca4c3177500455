"""Pictures damaged in every way that bytes, blocks, numbers and metadata can be, made of small ones that fit."""

import random
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.worst_pictures import bmp, chunk, encoded, png, tiff_of
from simvis_core import open_picture

HERE = Path(__file__).parent.parent
HEIC = HERE / "tests" / "simvis_core" / "pictures" / "formats" / "berlin_cathedral.heic"
PHOTOGRAPH = HERE / "sample_data" / "pictures" / "berlin_cathedral" / "berlin_cathedral_1.jpg"
SIZE = WIDTH, HEIGHT = 60, 44
EXTREMES = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
EXIF = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01\x02\0\x09\0\0\0\x26\0\0\0\0\0\0\0"
    b"a camera\0"
)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
Pieces = list[bytes]


def opened(path: Path) -> object:
    """Opens it as a stranger's upload; whatever a decoder warns of, is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return open_picture(path).tobytes()


def seeds(folder: Path) -> list[Path]:
    """A small sound picture in every format that is read, under each of its codings."""
    for name, content in _sound().items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def _sound() -> dict[str, bytes]:
    photograph = Image.open(PHOTOGRAPH).convert("RGB").resize(SIZE)
    grey, palette, ink = photograph.convert("L"), photograph.convert("P"), photograph.convert("1")
    clear = photograph.convert("RGBA")
    clear.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    made: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "baseline.jpg": (photograph, "JPEG", {"exif": EXIF, "icc_profile": b"colours" * 9, "comment": b"words"}),
        "progressive.jpg": (photograph, "JPEG", {"progressive": True, "subsampling": 0}),
        "restarts.jpg": (grey, "JPEG", {"restart_marker_blocks": 2}),
        "ink.jpg": (photograph.convert("CMYK"), "JPEG", {"progressive": True, "quality": 30}),
        "two.mpo": (photograph, "MPO", {"save_all": True, "append_images": [photograph]}),
        "colour.png": (photograph, "PNG", {"exif": EXIF, "icc_profile": b"colours" * 9}),
        "palette.png": (palette, "PNG", {"transparency": 3}),
        "deep.png": (deep, "PNG", {}),
        "moving.png": (photograph, "PNG", {"save_all": True, "append_images": [photograph.rotate(90)]}),
        "moving.gif": (palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)], "transparency": 3}),
        "lossy.webp": (photograph, "WEBP", {"exif": EXIF, "xmp": XMP}),
        "lossless.webp": (clear, "WEBP", {"lossless": True}),
        "alpha.webp": (clear, "WEBP", {"quality": 20}),
        "moving.webp": (clear, "WEBP", {"save_all": True, "append_images": [clear.rotate(90)]}),
        "plain.tif": (photograph, "TIFF", {"tiffinfo": {274: 6, 270: "words"}}),
        "deep.tif": (deep, "TIFF", {}),
        "big.tif": (photograph, "TIFF", {"big_tiff": True}),
        "fax.tif": (ink, "TIFF", {"compression": "group4"}),
        "old_fax.tif": (ink, "TIFF", {"compression": "group3"}),
        "jpeg.tif": (photograph, "TIFF", {"compression": "jpeg"}),
        "predicted.tif": (photograph, "TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}, "strip_size": 900}),
        "runs.tif": (clear, "TIFF", {"compression": "packbits"}),
        "deflated.tif": (palette, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "zstandard.tif": (grey, "TIFF", {"compression": "zstd"}),
        "palette.bmp": (palette, "BMP", {}),
        "colour.bmp": (photograph, "BMP", {}),
        "picture.avif": (clear, "AVIF", {"exif": EXIF, "speed": 10}),
    }
    files = {name: encoded(image, kind, **options) for name, (image, kind, options) in made.items()}
    return {**files, **_by_hand(photograph, grey), "picture.heic": HEIC.read_bytes()}


def _by_hand(photograph: Image.Image, grey: Image.Image) -> dict[str, bytes]:
    """What Pillow does not write: interlaced rows, tiles, runs, text."""
    samples = np.asarray(grey)
    text = " ".join(map(str, samples.ravel())).encode()
    tags = ((256, 4, 32), (257, 4, 16), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1), (322, 3, 32), (323, 3, 16))
    tiled = [(tag, kind, 1, value) for tag, kind, value in (*tags, (324, 4, 134), (325, 4, 512))]
    head = f"{WIDTH} {HEIGHT}".encode()
    return {
        "interlaced.png": png((8, 8), 8, 6, zlib.compress(bytes(15 + 4 * 64)), 1),
        "tiles.tif": tiff_of(tiled, samples[:16, :32].tobytes()),
        "runs.bmp": bmp(b"\x3c\7\0\0" * HEIGHT, (WIDTH, HEIGHT)),
        "grey.pgm": b"P5 " + head + b" 255\n" + samples.tobytes(),
        "deep.pgm": b"P5 " + head + b" 65535\n" + bytes(2) * samples.size,
        "text.pgm": b"P2 # words\n" + head + b" 255\n" + text,
        "colour.ppm": b"P6 " + head + b" 255\n" + photograph.tobytes(),
        "ink.pbm": b"P4 " + head + b"\n" + bytes(-(-WIDTH // 8) * HEIGHT),
        "text.pbm": b"P1 " + head + b"\n" + b"01" * (samples.size // 2),
    }


def damaged(sound: list[Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """One of the sound files with one kind of damage, and in words what was done."""
    source, words = chance.choice(sound), chance.choice([*DAMAGES])
    data = DAMAGES[words](source.read_bytes(), chance)
    if words.startswith("spliced"):
        other = chance.choice(sound).read_bytes()
        data = data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]
    (folder / source.name).write_bytes(data)
    return folder / source.name, f"{words}: {source.name}"


# Bytes


def _flipped(data: bytes, chance: random.Random) -> bytes:
    """At the beginning, where the headers are, or anywhere."""
    changed = bytearray(data)
    span = chance.choice((32, 128, len(data)))
    for _ in range(chance.choice((1, 2, 8, 64))):
        changed[chance.randrange(min(span, len(data)))] = chance.randrange(256)
    return bytes(changed)


def _cut(data: bytes, chance: random.Random) -> bytes:
    length = chance.choice((chance.randrange(64), chance.randrange(len(data)), len(data) - 1 - chance.randrange(32)))
    return data[:length] if chance.random() < 0.8 else data[length:]


def _whole(data: bytes, _: random.Random) -> bytes:
    return data


def _repeated(data: bytes, chance: random.Random) -> bytes:
    """A piece once or many times more, or left out."""
    start, length = chance.randrange(len(data)), chance.choice((1, 4, 64, 1024))
    return data[:start] + data[start : start + length] * chance.choice((0, 2, 20, 2000)) + data[start + length :]


def _numbers(data: bytes, chance: random.Random) -> bytes:
    """Numbers of 1 to 8 bytes in either order, as large or small as can be."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 3))):
        size, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
        at = chance.randrange(min(chance.choice((64, 256, len(data))), len(data)))
        value = chance.choice((*EXTREMES, chance.randrange(1 << 32))) % (1 << 8 * size)
        changed[at : at + size] = value.to_bytes(size, "little" if order == "little" else "big")
    return bytes(changed)


# Blocks: a JPEG's segments and scans, a PNG's chunks, the boxes of others


def _rearranged(data: bytes, chance: random.Random) -> bytes:
    """Whole blocks twice, two thousand times, missing, exchanged or emptied; checks and lengths are right."""
    start, pieces = _pieces(data)
    for _ in range(chance.choice((1, 1, 3))):
        if not pieces:
            break
        one, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        pieces[one : one + 1] = chance.choice(
            ([pieces[one]] * 2, [pieces[one]] * 2000, [], [pieces[other]], [pieces[other], pieces[one]])
        )
    return start + b"".join(pieces)


def _refilled(data: bytes, chance: random.Random) -> bytes:
    """Other content in a block whose length and check are right."""
    start, pieces = _pieces(data)
    if not pieces:
        return _numbers(data, chance)
    at = chance.randrange(len(pieces))
    head = 4 if data[:2] == b"\xff\xd8" else 8
    content = pieces[at][head : -4 if data[:4] == b"\x89PNG" else None]
    changed = chance.choice((_flipped, _numbers, _cut, _repeated))(content, chance) if content else chance.randbytes(9)
    pieces[at] = _block(data, pieces[at][:head], changed)
    return start + b"".join(pieces)


def _described(data: bytes, chance: random.Random) -> bytes:
    """Metadata beside the pixels that says impossible things."""
    start, pieces = _pieces(data)
    exif = _numbers(EXIF, chance) if chance.random() < 0.7 else _flipped(EXIF, chance)
    told = chance.choice((exif, exif * 50, XMP, _flipped(XMP, chance), b"", b"\0" * 40_000))
    if data[:2] == b"\xff\xd8":
        content = chance.choice((told, b"http://ns.adobe.com/xap/1.0/\0" + told, b"ICC_PROFILE\0\1\1" + told))
        block = _block(data, b"\xff" + bytes([chance.choice((0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE))]) + b"\0\0", content)
    elif data[:4] == b"\x89PNG":
        kind = chance.choice((b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"iCCP", b"pHYs", b"acTL", b"fcTL", b"tRNS", b"gAMA"))
        block = chunk(kind, chance.choice((told[6:], told, b"XML:com.adobe.xmp\0\0\0\0\0" + told)))
    elif data[:4] == b"RIFF":
        block = _block(data, chance.choice((b"EXIF", b"XMP ", b"ICCP", b"VP8X", b"ANIM")) + bytes(4), told)
    else:
        return _numbers(data, chance)
    pieces.insert(chance.randrange(1 + len(pieces)), block)
    return start + b"".join(pieces)


def _pieces(data: bytes) -> tuple[bytes, Pieces]:
    """What a file begins with, and its blocks; none for a file that has none."""
    for mark, length, read in ((b"\xff\xd8", 2, _segment), (b"\x89PNG", 8, _chunk), (b"RIFF", 12, _riff)):
        if data.startswith(mark):
            return data[:length], _split(data, length, read)
    return (b"", _split(data, 0, _box)) if data[4:8] == b"ftyp" else (data, [])


def _split(data: bytes, at: int, length: Callable[[bytes, int], int]) -> Pieces:
    pieces = []
    while at < len(data):
        stop = max(at + 1, at + length(data, at))
        pieces.append(data[at:stop])
        at = stop
    return pieces


def _segment(data: bytes, at: int) -> int:
    """A scan's data belongs to its segment."""
    if data[at + 1] == 0xD9:
        return 2
    length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    while data[at + 1] == 0xDA and at + length < len(data):
        if data[at + length] == 0xFF and data[at + length + 1] not in (0, *range(0xD0, 0xD8)):
            break
        length += 1
    return length


def _chunk(data: bytes, at: int) -> int:
    return 12 + int.from_bytes(data[at : at + 4], "big")


def _riff(data: bytes, at: int) -> int:
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    return 8 + length + length % 2


def _box(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _block(data: bytes, head: bytes, content: bytes) -> bytes:
    """A block of the file's kind with its true length."""
    if data[:2] == b"\xff\xd8":
        content = content[:65_533]
        return head[:2] + struct.pack(">H", 2 + len(content)) + content
    if data[:4] == b"\x89PNG":
        return chunk(head[4:8], content)
    if data[:4] == b"RIFF":
        return head[:4] + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return struct.pack(">I", 8 + len(content)) + head[4:8] + content


# The directory of a TIFF


def _tagged(data: bytes, chance: random.Random) -> bytes:
    """Another kind, count or value of a tag; the other formats have numbers changed instead."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return _numbers(data, chance)
    changed, (start,) = bytearray(data), struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = start + 2 + 12 * chance.randrange(count)
        offset, size = chance.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
        value = chance.choice((*EXTREMES, *TAGS, chance.randrange(1, 20))) % (1 << (16 if size == "H" else 32))
        struct.pack_into(order + size, changed, at + offset, value)
    return bytes(changed)


TAGS = (
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 317, 320, 322, 323, 324, 325, 338, 339, 347),
    *(512, 513, 514, 530, 531, 532, 6, 8, 32773, 32946, 34925, 50000, 50001, 34887),
)
DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bytes flipped": _flipped,
    "cut off": _cut,
    "pieces left out or repeated": _repeated,
    "spliced with another": _whole,
    "extreme numbers": _numbers,
    "blocks rearranged": _rearranged,
    "blocks refilled": _refilled,
    "false metadata": _described,
    "false tags": _tagged,
}
