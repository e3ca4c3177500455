"""A TIFF's first picture with the tags that its pixels need, each checked before a decoder believes it."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from simvis_core.errors import SimvisError
from simvis_core.pictures.formats.bare import CURE, ORIENTATION, SCANS, Bare, Damaged, too_much_work

_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # the integer types; of 16 BigTIFF alone
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _COUNTS, _TILE, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, (322, 323), 324, 325
_ONE = (_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, 266, 277, 278, 284, 292, 293, 317, *_TILE, 512, 513, 514, 515, 531)
_MANY = (_BITS, _OFFSETS, _COUNTS, 320, _TILE_OFFSETS, _TILE_COUNTS, 338, 339, 519, 520, 521, 530)
_TABLES, _REFERENCE = 347, 532  # the JPEG tables, as bytes; reference black and white, six fractions
_JPEG = (6, 7)
_CODINGS = (1, 2, 3, 4, 5, *_JPEG, 8, 32773, 32946, 50000)  # none, fax, LZW, JPEG, deflate, PackBits, Zstandard
_LONGEST = 3 * 65536  # values of a tag, beside the pieces: a palette of 16 bits
_PIECE = 1000  # pixels: more strips and tiles than the largest picture has of such are not sewn together


@dataclass(frozen=True)
class _Layout:
    """How this file writes a directory: classic TIFF or BigTIFF, in either byte order."""

    order: str
    big: bool

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    raw: bytes  # as it stands in the entry
    values: tuple[int, ...]


def bare_tiff(data: bytes, most: int) -> Bare:
    """A TIFF whose first directory has the tags of its pixels only, and no other directory behind it.

    Raises `Damaged` for tags that are missing or reach beyond the file, and SimvisError for a rare compression, or for
    more pieces, scans or values than ``most`` pixels are worth.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.tiff import bare_tiff
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3)).save(file, "TIFF", description="taken on a Monday")
    >>> bare = bare_tiff(file.getvalue(), most=20_000_000)
    >>> bare.size, Image.open(io.BytesIO(bare.data)).tag_v2.get(270)
    ((4, 3), None)
    """
    layout = _Layout("<" if data[:2] == b"II" else ">", 43 in data[2:4])
    (start,) = struct.unpack_from(layout.offset, data, 8 if layout.big else 4)
    entries = _entries(data, start, layout, max(_LONGEST, most // _PIECE))
    if _one(entries, _COMPRESSION, 1) not in _CODINGS:
        raise SimvisError("a TIFF of a rare compression", "none, LZW, deflate, JPEG, fax, PackBits or Zstandard", CURE)
    size = _one(entries, _WIDTH), _one(entries, _HEIGHT)
    _check_pieces(entries, size, len(data), most)
    _check_scans(entries, size, data, most)
    orientation = _one(entries, ORIENTATION, 1)
    white = _one(entries, _PHOTOMETRIC, 1) == 0 and _sixteen(entries)
    bare = _rewritten(data, start, layout, {tag: one for tag, one in entries.items() if tag != ORIENTATION}, white)
    return Bare(size, orientation if orientation in range(1, 9) else 1, bare, white)


def _entries(data: bytes, start: int, layout: _Layout, longest: int) -> dict[int, _Entry]:
    """The tags that pixels need, each as it comes first, of at most so many values."""
    (count,) = struct.unpack_from(layout.count, data, start)
    found: dict[int, _Entry] = {}
    at = start + struct.calcsize(layout.count)
    for _ in range(min(count, 1000)):
        tag, kind, number, raw = struct.unpack_from(layout.entry, data, at)
        at += struct.calcsize(layout.entry)
        if tag in found:
            continue
        if tag in (*_ONE, *_MANY, ORIENTATION):
            if number > longest:
                raise too_much_work(f"a TIFF with a tag of {number} values")
            found[tag] = _Entry(kind, number, raw, _values(data, kind, number, raw, layout))
        elif tag in (_TABLES, _REFERENCE):
            _check_within(data, number * (1 if tag == _TABLES else 8), raw, layout)
            found[tag] = _Entry(kind, number, raw, ())
    return found


def _values(data: bytes, kind: int, number: int, raw: bytes, layout: _Layout) -> tuple[int, ...]:
    code = _CODES.get(kind)
    if code is None or not number:
        raise Damaged
    length = struct.calcsize(layout.order + code) * number
    _check_within(data, length, raw, layout)
    if length <= len(raw):
        return struct.unpack_from(f"{layout.order}{number}{code}", raw)
    return struct.unpack_from(f"{layout.order}{number}{code}", data, *struct.unpack(layout.offset, raw))


def _check_within(data: bytes, length: int, raw: bytes, layout: _Layout) -> None:
    if length > len(data) or (length > len(raw) and struct.unpack(layout.offset, raw)[0] + length > len(data)):
        raise Damaged


def _one(entries: Mapping[int, _Entry], tag: int, default: int | None = None) -> int:
    if tag in entries:
        return entries[tag].values[0]
    if default is None:
        raise Damaged
    return default


def _sixteen(entries: Mapping[int, _Entry]) -> bool:
    return _BITS in entries and set(entries[_BITS].values) == {16}


def _check_pieces(entries: Mapping[int, _Entry], size: tuple[int, int], length: int, most: int) -> None:
    """Strips and tiles may be so many, may not be read over and over, and may not be much larger than the picture."""
    offsets = [one for tag in (_OFFSETS, _TILE_OFFSETS) if tag in entries for one in entries[tag].values]
    read = sum(one for tag in (_COUNTS, _TILE_COUNTS) if tag in entries for one in entries[tag].values)
    across, down = _tile(entries, size)
    tiles = -(-size[0] // across) * -(-size[1] // down)
    if len(offsets) > most // _PIECE or read > 2 * length + 2**16:
        raise too_much_work(f"a TIFF of {len(offsets)} pieces")
    if tiles * across * down > 4 * size[0] * size[1] + 2**22:
        raise too_much_work(f"a TIFF of {across} x {down} tiles")


def _tile(entries: Mapping[int, _Entry], size: tuple[int, int]) -> tuple[int, int]:
    if _TILE[0] not in entries:
        return max(1, size[0]), max(1, size[1])
    return max(1, _one(entries, _TILE[0])), max(1, _one(entries, _TILE[1]))


def _check_scans(entries: Mapping[int, _Entry], size: tuple[int, int], data: bytes, most: int) -> None:
    """A JPEG inside, which may go over its pixels again and again."""
    if _one(entries, _COMPRESSION, 1) not in _JPEG:
        return
    pieces = len(entries.get(_OFFSETS, entries.get(_TILE_OFFSETS, _Entry(0, 0, b"", (0,)))).values)
    scans = data.count(b"\xff\xda")
    if scans > SCANS * pieces or scans * size[0] * size[1] > SCANS * most * pieces:
        raise too_much_work(f"a TIFF of {scans} JPEG scans")


def _rewritten(data: bytes, start: int, layout: _Layout, entries: Mapping[int, _Entry], white: bool) -> bytes:
    """The file with the kept entries in place of the old ones; every offset stays true."""
    directory = struct.pack(layout.count, len(entries))
    for tag, entry in sorted(entries.items()):
        count, kind, raw = entry.count, entry.kind, entry.raw
        if tag in _ONE:  # some programs write one number twice
            value = 1 if white and tag == _PHOTOMETRIC else entry.values[0]
            count, raw = 1, struct.pack(layout.order + _CODES[kind], value).ljust(len(raw), b"\0")
        directory += struct.pack(layout.entry, tag, kind, count, raw)
    directory += struct.pack(layout.offset, 0)
    room = struct.calcsize(layout.count) + struct.calcsize(layout.entry) * len(entries)
    kept = bytearray(data)
    kept[start : start + room + struct.calcsize(layout.offset)] = directory
    return bytes(kept[: max(len(data), start + len(directory))])
