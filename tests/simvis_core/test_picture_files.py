"""What files say around their pixels: read by the orientation alone, bounded by work, right in value."""

import struct
import time

import pi_heif
import pytest
from PIL import Image

from simvis_core import SimvisError, open_picture, picture_process
from simvis_core.picture_files import SCANS, exif_orientation, xmp_orientation
from tests.simvis_core.test_pictures import DAMAGED, GREY_16, NOISE, chunk, encoded, opened, png, refusal

MALFORMED = {
    "a fraction outside the file": (0x011A, 5, 1, 0xFFFFFFF0),
    "endless text": (0x010F, 2, 0xFFFFFFFF, 8),
    "a kind that is none": (0x0132, 99, 1, 0),
    "a number too many": (0x0128, 3, 9, 0xFFFFFF),
}


def exif(order, *entries):
    """A TIFF header and one directory of (tag, kind, count, value)."""
    packed = b"".join(
        struct.pack(f"{order}HHI", *entry[:3])
        + (struct.pack(f"{order}HH", entry[3], 0) if entry[1:3] == (3, 1) else struct.pack(f"{order}I", entry[3]))
        for entry in entries
    )
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return b"Exif\0\0" + start + struct.pack(f"{order}H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_tag_beside_the_orientation_refuses_nothing(kind, order):
    block = exif(order, MALFORMED[kind], (0x0112, 3, 1, 6))
    for format, options in (("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(Image.new("RGB", (12, 8), "teal"), format, exif=block, **options)
        assert open_picture(data).size == (8, 12)


def test_an_orientation_in_xmp_counts_where_exif_has_none():
    assert xmp_orientation(b'<a tiff:Orientation="6"/>') == xmp_orientation(b"<tiff:Orientation>6<") == 6
    assert exif_orientation(b"") == exif_orientation(b"II*\0") == 1
    packet = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="8"/>'
    seen = opened(png(2, 1, 8, 0, b"\0\x10\x20", chunk(b"iTXt", packet)))
    assert seen[..., 0].tolist() == [[0x20], [0x10]]


def test_sixteen_bit_grey_with_a_transparent_level_keeps_the_others():
    transparent = chunk(b"tRNS", struct.pack(">H", 257))
    seen = opened(png(3, 1, 16, 0, b"\0" + struct.pack(">3H", 0, 257, 514), transparent))
    assert seen[0, :, 0].tolist() == [0, 255, 2]


def tiff(order, photometric, bits, pixels):
    """An uncompressed grey TIFF of one row, by hand."""
    width = len(pixels) * 8 // bits
    tags = ((256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 1))
    entries = [(tag, 3, 1, value) for tag, value in tags] + [(279, 3, 1, len(pixels))]
    packed = b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(pixels))
    return head + pixels + struct.pack(f"{order}H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize("order", "<>")
def test_a_tiff_whose_zero_is_white_is_no_negative(order):
    deep = struct.pack(f"{order}2H", 0, 65535)
    assert opened(tiff(order, 0, 16, deep))[0, :, 0].tolist() == [255, 0]
    assert opened(tiff(order, 1, 16, deep))[0, :, 0].tolist() == [0, 255]
    assert opened(tiff(order, 0, 8, b"\0\xff"))[0, :, 0].tolist() == [255, 0]
    assert opened(tiff(order, 0, 1, b"\x55"))[0, :2, 0].tolist() == [255, 0]


def test_pgm_of_any_depth_is_scaled():
    assert opened(b"P5 2 1 100\n\x00\x64")[0, :, 0].tolist() == [0, 255]
    assert opened(b"P2 # a word\n2 1 1000 0 1000")[0, :, 0].tolist() == [0, 255]
    assert opened(b"P1\n3 1\n010")[0, :, 0].tolist() == [255, 0, 255]
    assert opened(b"P3 1 1 65535 65535 0 257")[0, 0].tolist() == [255, 0, 1]
    assert opened(b"P5 4 2 65535\n" + GREY_16.astype(">u2").tobytes())[..., 0].max() == 255
    for short in (b"P5 2 1 100\n\x00", b"P5 2 1 100\n\x00\xff", b"P2 2 1 9 1", b"P6 1 1 0\n", b"P4 9 1\n\x00"):
        assert refusal(short) == DAMAGED


# Work


def scans(count):
    """A JPEG of 2000 x 2000 whose last scan comes again and again."""
    data = encoded(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * count + data[-2:]


GIF, WEBP = (encoded(Image.new("L", (2, 2)), kind) for kind in ("GIF", "WEBP"))
BOMBS = {
    "scans": (lambda: scans(300), "Got a JPEG of 30. scans; wanted one that is quickly decoded"),
    "many scans": (lambda: scans(20_000), "Got a JPEG of more than 5000 segments"),
    "comments of a GIF": (
        lambda: encoded(Image.new("P", (2, 2)), "GIF")[:13] + b"!\xfe\1a\0" * 300_000,
        "Got a GIF of",
    ),
    "chunks of a PNG": (lambda: png(2, 1, 8, 0, b"\0\0\0", chunk(b"tEXt", b"") * 300_000), "Got a PNG of more than"),
    "chunks of a WebP": (
        lambda: encoded(Image.new("RGB", (2, 2)), "WEBP") + b"JUNK\0\0\0\0" * 300_000,
        "Got a WebP of",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_keeps_decoders_busy_is_refused_at_once(kind):
    make, message = BOMBS[kind]
    data = make()
    started = time.process_time()
    with pytest.raises(SimvisError, match=message):
        open_picture(data)
    assert time.process_time() - started < 2


def test_the_usual_scans_are_read():
    assert SCANS > 12
    assert open_picture(encoded(Image.new("RGB", (64, 48)), "JPEG", progressive=True)).size == (64, 48)


# HEIC and AVIF, in a process of their own


def test_an_avif_is_turned_and_a_broken_one_is_damaged():
    data = encoded(Image.fromarray(NOISE).resize((48, 32)), "AVIF", quality=100, subsampling="4:4:4")
    assert open_picture(data).size == (48, 32)
    assert refusal(data[:-40]) == DAMAGED
    assert refusal(data[:60]) == DAMAGED


def test_heic_is_known_by_its_brand():
    assert pi_heif.libheif_version()
    assert refusal(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40)) == DAMAGED


def test_a_decoder_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(picture_process.NEEDED, "HEIF", "no_such_decoder")
    message = refusal(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40))
    assert "whose decoder is not installed here; wanted one that can be decoded: install no-such-decoder" in message


def test_a_decoder_has_only_so_much_time(monkeypatch):
    monkeypatch.setattr(picture_process, "PATIENCE", 0.0001)
    assert "that takes more than" in refusal(encoded(Image.new("RGB", (16, 16)), "AVIF"))
