"""What files say around their pixels: read by the orientation alone, bounded by work, right in value."""

import struct
import time
from pathlib import Path

import numpy as np
import pi_heif
import pytest
from PIL import Image

from simvis_core import SimvisError, open_picture
from simvis_core.pictures.formats import process
from simvis_core.pictures.formats.bare import SCANS, exif_orientation, xmp_orientation
from tests.simvis_core.pictures.test_opening import DAMAGED, GREY_16, chunk, encoded, opened, png, refusal

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


def test_an_orientation_at_the_very_end_of_a_block_counts():
    """Nothing need follow the last entry; one that is cut off is none."""
    block = exif(">", (0x0100, 4, 1, 12), (0x0112, 3, 1, 6)).removesuffix(bytes(4))
    assert exif_orientation(block) == 6
    assert exif_orientation(block[:-1]) == 1


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


def test_bytes_that_fill_up_before_a_marker_are_passed_over_in_one_go():
    started = time.process_time()
    assert refusal(encoded(Image.new("L", (9, 9)), "JPEG")[:-2] + b"\xff" * 2_000_000 + b"\0") == DAMAGED
    assert time.process_time() - started < 2


def test_more_pixels_a_side_than_a_jpeg_has_are_refused():
    wanted = "wanted at most 65535 pixels a side: make the picture smaller and try again."
    assert refusal(png(1, 65536, 8, 0, b"")) == f"Got 1 x 65536 pixels; {wanted}"
    assert refusal(png(65536, 1, 8, 0, b"")) == f"Got 65536 x 1 pixels; {wanted}"
    assert open_picture(png(65535, 1, 8, 0, bytes(65536))).size == (65535, 1)


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA])
def test_a_jpeg_of_a_rare_coding_is_named(marker):
    data = bytearray(encoded(Image.new("L", (9, 9)), "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = marker
    assert refusal(bytes(data)).startswith(
        "Got a JPEG of a rare coding (arithmetic, lossless or in layers); wanted a usual"
    )


def test_a_tiff_of_a_rare_compression_or_an_endless_tag_is_named():
    assert refusal(tiff("<", 1, 8, b"ab").replace(b"\3\1\3\0\1\0\0\0\1\0", b"\3\1\3\0\1\0\0\0\x4d\x88")) == (
        "Got a TIFF of a rare compression; wanted none, LZW, deflate, JPEG, fax, PackBits or Zstandard: save it as a "
        "JPEG, PNG or WebP picture and try again."
    )
    entry = struct.pack("<HHII", 273, 3, 1_000_000, 8)
    started = time.process_time()
    assert "a TIFF with a tag of 1000000 values" in refusal(b"II*\0\x08\0\0\0\xe8\3" + entry * 1000 + bytes(2**21))
    assert time.process_time() - started < 2


def test_the_usual_scans_are_read():
    assert SCANS > 12
    assert open_picture(encoded(Image.new("RGB", (64, 48)), "JPEG", progressive=True)).size == (64, 48)


# HEIC and AVIF, in a process of their own


def test_an_avif_is_turned_and_a_broken_one_is_damaged():
    photograph = Image.open(PHOTOGRAPH).resize((48, 32))
    data = encoded(photograph, "AVIF", quality=100, subsampling="4:4:4")
    assert abs(opened(data) - np.asarray(photograph)).mean() < 3
    turned = encoded(photograph, "AVIF", quality=100, subsampling="4:4:4", exif=exif("<", (0x0112, 3, 1, 6)))
    assert abs(opened(turned) - np.rot90(photograph, 3)).mean() < 3
    assert refusal(data[:-40]) == DAMAGED
    assert refusal(data[:60]) == DAMAGED


# The Berlin Cathedral by Gary Todd, CC0-1.0, from Wikimedia Commons: the sample photograph of that name at 160 x 106,
# saved by libheif's heif-enc.
HEIC = Path(__file__).with_name("berlin_cathedral.heic").read_bytes()
PHOTOGRAPH = Path(__file__).parents[4] / "sample_data/pictures/berlin_cathedral/berlin_cathedral_1.jpg"


def turned_heic(angle):
    """The photograph with a property more, which turns it by so many quarters against the clock."""
    data = bytearray(HEIC)
    for box, more in ((b"meta", 10), (b"iprp", 10), (b"ipco", 9), (b"ipma", 1)):
        at = data.index(box) - 4
        data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + more)
    place = data.index(b"iloc") + 22  # where the pixels begin in the file
    data[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", data, place)[0] + 10)
    at = data.index(b"ipma")
    data[at + 14] += 1  # properties, of which this is the fourth
    data[at + 18 : at + 18] = b"\x84"
    data[at - 4 : at - 4] = struct.pack(">I", 9) + b"irot" + bytes([angle])
    return bytes(data)


def test_a_heic_photograph_is_read_and_turned():
    seen = opened(HEIC)
    whole = np.asarray(Image.open(PHOTOGRAPH).resize((160, 107))).astype(int)[:106]
    assert seen.shape == (106, 160, 3)
    assert abs(seen - whole).mean() < 10 < abs(seen - whole[:, ::-1]).mean()
    assert np.array_equal(opened(turned_heic(1)), np.rot90(seen))
    assert refusal(HEIC[:-300]) == DAMAGED


def test_heic_is_known_by_its_brand():
    assert pi_heif.libheif_version()
    assert refusal(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40)) == DAMAGED


def test_a_decoder_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(process.NEEDED, "HEIF", "no_such_decoder")
    message = refusal(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40))
    assert "whose decoder is not installed here; wanted one that can be decoded: install no-such-decoder" in message


def test_a_decoder_has_only_so_much_time(monkeypatch):
    monkeypatch.setattr(process, "WALL_TIMES", 0.0001)
    assert "that takes more than" in refusal(encoded(Image.new("RGB", (16, 16)), "AVIF"))
