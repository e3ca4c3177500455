"""What a picture's file says around its pixels: how large it is, which way up, and its bytes without all the rest.

Cameras and programs write much into a file that no pixel needs, some of it malformed, and strangers may write thousands
of blocks of it. So decoders get the pixels' own bytes only. What decoding will cost is counted before anything is
decoded; what is malformed raises `Damaged`.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simvis_core.errors import SimvisError

CURE = "save it as a JPEG, PNG or WebP picture and try again"
ORIENTATION = 0x0112  # the EXIF tag: 1 to 8
SCANS = 25  # a JPEG's passes over the largest picture allowed; programs write about ten
SEGMENTS = 5000  # segments of a JPEG
BLOCKS, BLOCK = 10_000, 64  # blocks of other files: so many, and one for so many bytes of the file
RUN_BYTES = 2**20  # of a run-length coded BMP, which Pillow decodes slowly


class Damaged(Exception):  # noqa: N818  (told to nobody: `open_picture` says it in a sentence)
    """The file's structure is not that of its kind, or is cut off."""


@dataclass(frozen=True)
class Bare:
    """A file's pixels: their size as stored, the orientation (1 to 8) and the bytes for the decoder.

    ``white_is_zero`` is a TIFF's word that Pillow passes over for some depths.
    """

    size: tuple[int, int]
    orientation: int
    data: bytes
    white_is_zero: bool = False


def too_much_work(got: str) -> SimvisError:
    """The refusal of a picture whose pixels are few and whose decoding is not.

    >>> from simvis_core.pictures.formats.bare import too_much_work
    >>> print(too_much_work("a JPEG of 4000 scans"))
    Got a JPEG of 4000 scans; wanted one that is quickly decoded: save it as a JPEG, PNG or WebP picture and try again.
    """
    return SimvisError(got, "one that is quickly decoded", CURE)


def exif_orientation(exif: bytes) -> int:
    """The orientation that an EXIF block (a small TIFF) tells, 1 where it tells none; nothing else of it is read.

    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.bare import exif_orientation
    >>> exif = Image.Exif()
    >>> exif[0x0112] = 6
    >>> exif_orientation(exif.tobytes()), exif_orientation(b"")
    (6, 1)
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return 1
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    for at in range(start + 2, min(len(exif), start + 2 + 12 * 200) - 11, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", exif, at)
        if tag == ORIENTATION:
            code = {1: "B", 3: "H", 4: "I"}.get(kind)
            value = struct.unpack_from(f"{order}{code}", exif, at + 8)[0] if code and count == 1 else 1
            return value if value in range(1, 9) else 1
    return 1


def xmp_orientation(xmp: bytes) -> int:
    """The orientation, 1 to 8, that an XMP packet tells; 1 where it tells none.

    >>> from simvis_core.pictures.formats.bare import xmp_orientation
    >>> xmp_orientation(b'<rdf:Description tiff:Orientation="6"/>'), xmp_orientation(b"")
    (6, 1)
    """
    found = re.search(rb"tiff:Orientation(?:=[\"']|>)([1-8])", xmp)
    return int(found[1]) if found else 1


# ---------------------------------------------------------------- JPEG

_MARKER = re.compile(rb"\xff([\x01-\xfe])")  # of several 0xff the last: to try each one would take hours
_BETWEEN_SCANS = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # restarts are the scan's own
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_USUAL = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; the others are arithmetic or lossless, and slow


def bare_jpeg(data: bytes, most: int) -> Bare:
    """A JPEG without its metadata and whatever follows its end.

    Raises `Damaged` for a file without a frame or a scan, and SimvisError for a rare coding or more scans than ``most``
    pixels are worth.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.bare import bare_jpeg
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3)).save(file, "JPEG", comment=b"taken on a Monday")
    >>> bare = bare_jpeg(file.getvalue() + b"what follows the end", most=20_000_000)
    >>> bare.size, bare.orientation, b"Monday" in bare.data
    ((4, 3), 1, False)
    """
    segments = list(_segments(data))
    scans = [start for marker, start, _ in segments if marker == 0xDA]
    frames = [start for marker, start, _ in segments if marker in _FRAMES]
    if not scans or not frames:
        raise Damaged
    if any(data[start + 1] not in _USUAL for start in frames):
        raise SimvisError("a JPEG of a rare coding (arithmetic, lossless or in layers)", "a usual JPEG", CURE)
    width, height = _frame_size(data, frames[0])
    if len(scans) > 1 and len(scans) * width * height > SCANS * most:
        raise too_much_work(f"a JPEG of {len(scans)} scans")
    kept, turns = _jpeg_head(data, [segment for segment in segments if segment[2] <= scans[0]])
    body = data[scans[0] : segments[-1][2] if segments[-1][0] == 0xD9 else len(data)]
    return Bare((width, height), _first(turns), data[:2] + b"".join(kept) + body)


def _jpeg_head(data: bytes, segments: Sequence[tuple[int, int, int]]) -> tuple[list[bytes], list[int]]:
    """The segments before the first scan that a decoder needs, and what the others say of the orientation."""
    kept = [data[start:stop] for marker, start, stop in segments if _needed(marker, data[start + 4 : stop])]
    return kept, [_app1_orientation(data[start + 4 : stop]) for marker, start, stop in segments if marker == 0xE1]


def _first(turns: Sequence[int]) -> int:
    """The first orientation that is one."""
    return next((turn for turn in turns if turn != 1), 1)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment's marker and where it begins and ends; junk between them, and a scan's own data, is passed over."""
    at, pattern = 2, _MARKER
    for _ in range(SEGMENTS):
        found = pattern.search(data, at)
        if found is None:
            return
        marker, start = found[1][0], found.end() - 2
        at = found.end()
        if marker not in _ALONE and marker != 0xD9:
            if at + 2 > len(data):
                return
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
        yield marker, start, at
        if marker == 0xD9:
            return
        pattern = _BETWEEN_SCANS if marker == 0xDA else pattern
    raise too_much_work(f"a JPEG of more than {SEGMENTS} segments")


def _needed(marker: int, content: bytes) -> bool:
    if marker == 0xE0:
        return content.startswith(b"JFIF\0") and len(content) >= 14
    if marker == 0xEE:
        return content.startswith(b"Adobe") and len(content) >= 12
    return marker not in _ALONE and not 0xE0 <= marker <= 0xFE


def _frame_size(data: bytes, start: int) -> tuple[int, int]:
    if start + 9 > len(data):
        raise Damaged
    height, width = struct.unpack_from(">HH", data, start + 5)
    return width, height


def _app1_orientation(content: bytes) -> int:
    if content.startswith(b"Exif\0"):
        return exif_orientation(content[6:])
    return xmp_orientation(content) if content.startswith(b"http://ns.adobe.com/xap/1.0/\0") else 1


# ---------------------------------------------------------------- PNG

_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def bare_png(data: bytes, most: int) -> Bare:
    """A PNG without its metadata; of an animation the first frame, or the picture that stands in for it.

    Raises `Damaged` for a cut-off chunk or a missing header, and SimvisError for too many chunks.

    >>> from PIL import Image
    >>> from simvis_core.files.writing import png
    >>> from simvis_core.pictures.formats.bare import bare_png
    >>> bare = bare_png(png(Image.new("RGB", (4, 3)), {"Comment": "taken on a Monday"}), most=20_000_000)
    >>> bare.size, bare.orientation, b"Monday" in bare.data
    ((4, 3), 1, False)
    """
    chunks = list(_png_chunks(data))
    kept = [data[start:stop] for kind, start, stop in chunks if kind in _PNG_KEPT]
    if not kept or kept[0][4:8] != b"IHDR" or len(kept[0]) != 25:
        raise Damaged
    width, height = struct.unpack_from(">II", kept[0], 8)
    turns = [_PNG_TURNS[kind](data[start + 8 : stop - 4]) for kind, start, stop in chunks if kind in _PNG_TURNS]
    return Bare((width, height), _first(turns), data[:8] + b"".join(kept))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind and where it begins and ends. Raises `Damaged` for one that is cut off."""
    at = 8
    for _ in _allowed(data, "PNG"):
        kind, stop = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if len(kind) < 4:
            return
        if stop > len(data):
            raise Damaged
        yield kind, at, stop
        if kind == b"IEND":
            return
        at = stop


_PNG_TURNS: dict[bytes, Callable[[bytes], int]] = {b"eXIf": exif_orientation, b"iTXt": xmp_orientation}


# ---------------------------------------------------------------- GIF


def bare_gif(data: bytes, most: int) -> Bare:
    """A GIF's first frame, without comments and the frames that follow.

    Raises `Damaged` for a file without a frame, and SimvisError for too many blocks.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.bare import bare_gif
    >>> file = io.BytesIO()
    >>> Image.new("P", (4, 3)).save(file, "GIF", comment=b"taken on a Monday")
    >>> bare = bare_gif(file.getvalue(), most=20_000_000)
    >>> bare.size, b"Monday" in bare.data
    ((4, 3), False)
    """
    at, control = _gif_table(data, 6, 10) + 7, b""
    head = data[:at]
    for _ in _allowed(data, "GIF"):
        if data[at] == 0x2C:
            return _gif_frame(data, at, head, control)
        if data[at] == 0x3B:
            raise Damaged
        if data[at] == 0x21:
            stop = _gif_blocks(data, at + 2)
            control = data[at:stop] if data[at + 1] == 0xF9 else control
            at = stop
        else:
            at += 1
    raise Damaged


def _gif_frame(data: bytes, at: int, head: bytes, control: bytes) -> Bare:
    screen = struct.unpack_from("<HH", data, 6)
    left, top, width, height = struct.unpack_from("<HHHH", data, at + 1)
    stop = _gif_blocks(data, _gif_table(data, at, at + 9) + 11)
    size = max(screen[0], left + width), max(screen[1], top + height)
    return Bare(size, 1, head + control + data[at:stop] + b";")


def _gif_table(data: bytes, at: int, flags: int) -> int:
    """``at`` and the length of the colour table that the flags tell of."""
    return at + (3 * 2 ** ((data[flags] & 7) + 1) if data[flags] & 0x80 else 0)


def _gif_blocks(data: bytes, at: int) -> int:
    """Behind a chain of sub-blocks and the empty one that ends it."""
    for _ in _allowed(data, "GIF"):
        length = data[at]
        at += length + 1
        if not length:
            return at
    raise Damaged


# ---------------------------------------------------------------- WebP

_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}


def bare_webp(data: bytes, most: int) -> Bare:
    """A WebP without its metadata; of an animation the first frame.

    Raises `Damaged` for a cut-off chunk or a missing picture, and SimvisError for too many chunks.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.bare import bare_webp
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3)).save(file, "WEBP", xmp=b"taken on a Monday")
    >>> bare = bare_webp(file.getvalue(), most=20_000_000)
    >>> bare.size, b"Monday" in bare.data
    ((4, 3), False)
    """
    chunks = list(_webp_chunks(data))
    kept: dict[bytes, bytes] = {}
    for kind, content in chunks:
        if kind in _WEBP_KEPT and kind not in kept:
            kept[kind] = kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    if b"VP8X" in kept:  # flags: no colour profile, EXIF or XMP any more
        kept[b"VP8X"] = kept[b"VP8X"][:8] + bytes([kept[b"VP8X"][8] & ~0x2C]) + kept[b"VP8X"][9:]
    body = b"WEBP" + b"".join(kept.values())
    turns = [_WEBP_TURNS[kind](content) for kind, content in chunks if kind in _WEBP_TURNS]
    return Bare(_webp_size(kept), _first(turns), b"RIFF" + struct.pack("<I", len(body)) + body)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's kind and content. Raises `Damaged` for one that is cut off."""
    at = 12
    for _ in _allowed(data, "WebP"):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(kind) < 4:
            return
        content = data[at + 8 : at + 8 + length]
        if len(content) < length:
            raise Damaged
        yield kind, content
        at += 8 + length + length % 2


_WEBP_TURNS: dict[bytes, Callable[[bytes], int]] = {b"EXIF": exif_orientation, b"XMP ": xmp_orientation}


def _webp_size(kept: dict[bytes, bytes]) -> tuple[int, int]:
    if b"VP8X" in kept:
        facts = kept[b"VP8X"]
        return int.from_bytes(facts[12:15], "little") + 1, int.from_bytes(facts[15:18], "little") + 1
    if b"VP8L" in kept:
        (bits,) = struct.unpack_from("<I", kept[b"VP8L"], 9)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if b"VP8 " in kept:
        width, height = struct.unpack_from("<HH", kept[b"VP8 "], 14)
        return width & 0x3FFF, height & 0x3FFF
    raise Damaged


# ---------------------------------------------------------------- BMP


def bare_bmp(data: bytes, most: int) -> Bare:
    """A BMP as it is: there is nothing around its pixels. Raises SimvisError for a run-length coded one above 1 MB.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.bare import bare_bmp
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3)).save(file, "BMP")
    >>> bare_bmp(file.getvalue(), most=20_000_000).size
    (4, 3)
    """
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    if length >= 40 and data[30] in (1, 2) and len(data) > RUN_BYTES:
        raise too_much_work("a run-length coded BMP of more than 1 MB")
    return Bare((abs(width), abs(height)), 1, data)


def _allowed(data: bytes, kind: str) -> Iterator[int]:
    """As many steps as a file of this length may have blocks, then a refusal."""
    count = BLOCKS + len(data) // BLOCK
    yield from range(count)
    raise too_much_work(f"a {kind} of more than {count} blocks")


BARE: dict[str, Callable[[bytes, int], Bare]] = {
    "JPEG": bare_jpeg,
    "PNG": bare_png,
    "GIF": bare_gif,
    "WEBP": bare_webp,
    "BMP": bare_bmp,
}
