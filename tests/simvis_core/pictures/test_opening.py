"""Pictures from strangers: read right, or refused with a message; never another exception, never a warning.

Every file is made here, by Pillow or byte by byte. Warnings are errors in this test run.
"""

import io
import struct
import warnings
import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from simvis_core import SimvisError, open_picture, upright_rgb
from simvis_core.pictures import opening

DAMAGED = "Got a damaged or cut-off picture; wanted a whole file: save it as a JPEG, PNG or WebP picture and try again."
NOT_A_PICTURE = "Got a file that is not a picture; wanted a JPEG, PNG or WebP picture: save it as a JPEG"
TOO_LARGE = "; wanted at most 20 megapixels: make the picture smaller and try again."
NOISE = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data):
    """The picture as an array of integers (h, w, 3)."""
    picture = open_picture(data)
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


class Upload(io.BytesIO):
    """An open file in memory, with the two attributes that the shape checker misses in a BytesIO."""

    name, mode = "upload", "rb"


def refusal(data):
    with pytest.raises(SimvisError) as raised:
        open_picture(data)
    return str(raised.value)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour_type, rows, *extra):
    """A PNG by hand: ``rows`` is the raw data, each row after a filter byte 0; ``extra`` chunks come before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# The plain case


LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_lossless_picture_comes_out_as_it_was(format):
    assert np.array_equal(opened(encoded(Image.fromarray(NOISE), format, **LOSSLESS[format])), NOISE)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"comment": b"hello"}], ids=str
)
def test_a_jpeg_comes_out_nearly_as_it_was(options):
    data = encoded(Image.new("RGB", (17, 9), (200, 100, 50)), "JPEG", **options)
    assert abs(opened(data) - (200, 100, 50)).max() <= 3


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_an_avif_comes_out_nearly_as_it_was():
    data = encoded(Image.new("RGB", (16, 16), (200, 100, 50)), "AVIF", quality=100)
    assert abs(opened(data) - (200, 100, 50)).max() <= 6


def test_a_path_a_name_bytes_and_an_open_file_are_the_same(tmp_path):
    data = encoded(Image.fromarray(NOISE), "PNG")
    path = tmp_path / "büro photo 1.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, str(path), data, file, Upload(data)):
            assert np.array_equal(opened(source), NOISE)


def test_the_name_says_nothing_the_content_does(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
    assert np.array_equal(opened(path), NOISE)


# Not a picture


@pytest.mark.parametrize(
    "data",
    [
        b"Dear friend, this is a letter.\n" * 20,
        b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"PK\x03\x04" + bytes(60),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0",
    ],
)
def test_what_is_not_a_picture_is_named_so(data):
    assert refusal(data).startswith(NOT_A_PICTURE)


def test_a_text_named_jpg_is_not_a_picture(tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear friend, this is a letter.")
    assert refusal(path).startswith(NOT_A_PICTURE)


@pytest.mark.parametrize("format", ["ICO", "TGA", "PCX", "EPS", "PDF", "SGI", "ICNS"])
def test_formats_off_the_list_are_refused(format):
    assert refusal(encoded(Image.new("RGB", (64, 64)), format)).startswith("Got a ")


def test_zero_bytes_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    message = "Got an empty file of zero bytes; wanted a picture: save it as a JPEG, PNG or WebP picture and try again."
    assert refusal(b"") == refusal(tmp_path / "empty.png") == refusal(Upload()) == message


def test_a_folder_is_refused(tmp_path):
    assert refusal(tmp_path).endswith(
        "which cannot be opened (Is a directory); wanted a picture file: check the name and the permission to read it."
    )


def test_a_missing_file_is_refused(tmp_path):
    assert "nowhere.png', which cannot be opened (No such file or directory)" in refusal(tmp_path / "nowhere.png")


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "x" * 5000], ids=["nul", "surrogate", "long"])
def test_an_impossible_name_is_refused(name):
    message = refusal(name)
    assert "which cannot be opened" in message
    message.encode()  # fit to be shown


# Damaged


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF"])
@pytest.mark.parametrize("kept", [0.95, 0.5])
def test_a_cut_off_picture_is_refused(format, kept):
    data = encoded(Image.effect_noise((64, 48), 90).convert("RGB"), format)
    assert refusal(data[: int(len(data) * kept)]) == DAMAGED


def test_a_png_whose_pixels_were_changed_is_refused():
    data = bytearray(encoded(Image.effect_noise((400, 400), 90), "PNG"))  # its pixels fill more than one chunk
    data[len(data) // 3] ^= 1
    assert refusal(bytes(data)) == DAMAGED


def test_a_header_alone_is_refused():
    assert refusal(b"\x89PNG\r\n\x1a\n").startswith("Got a ")
    assert refusal(b"\xff\xd8\xff").startswith("Got a ")


# Limits


def test_more_than_ten_megabytes_are_refused_before_they_are_read(tmp_path):
    message = "Got a file of more than 10 MB; wanted at most 10 MB: make the picture smaller and try again."
    data = encoded(Image.fromarray(NOISE), "BMP") + bytes(10 * 2**20)
    (tmp_path / "large.bmp").write_bytes(data)
    assert refusal(data) == refusal(tmp_path / "large.bmp") == refusal(Upload(data)) == message


def test_an_endless_source_is_not_read_to_its_end():
    class Endless(Upload):
        asked = 0

        def read(self, size=-1):
            self.asked += size
            assert size > 0, "read() without a limit would never return"
            return b"x" * size

    source = Endless()
    assert "more than 10 MB" in refusal(source)
    assert source.asked <= 10 * 2**20 + 1


def test_ten_megabytes_exactly_are_read():
    data = encoded(Image.fromarray(NOISE), "BMP")
    assert np.array_equal(opened(data + bytes(10 * 2**20 - len(data))), NOISE)


def test_twenty_megapixels_are_the_most():
    exact = encoded(Image.new("1", (5000, 4000)), "PNG")
    assert open_picture(exact).size == (5000, 4000)
    assert refusal(encoded(Image.new("1", (5001, 4000)), "PNG")) == f"Got 5001 x 4000 pixels{TOO_LARGE}"


def test_a_decompression_bomb_is_refused():
    assert refusal(encoded(Image.new("1", (12000, 12000)), "PNG")) == f"Got 12000 x 12000 pixels{TOO_LARGE}"


def test_a_giant_bomb_is_refused():
    assert refusal(png(60000, 60000, 8, 2, b"")) == f"Got 60000 x 60000 pixels{TOO_LARGE}"


@pytest.mark.parametrize("size", [(6000, 4000), (9000, 9999), (60000, 60000)])
def test_the_size_is_checked_before_a_pixel_is_decoded(size):
    """There are no pixels in this file: decoding first would call it damaged."""
    assert refusal(png(*size, 8, 2, b"")).endswith(TOO_LARGE)


def test_a_text_bomb_inside_a_png_is_never_unpacked():
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20)))
    assert opened(png(2, 1, 8, 0, b"\0\x10\x20", bomb))[0, :, 0].tolist() == [0x10, 0x20]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_pictures_are_pictures(size):
    assert open_picture(encoded(Image.new("RGB", size, "teal"), "PNG")).size == size


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(SimvisError, match="Got a picture of 0 x 5 pixels; wanted at least 1 x 1: save it"):
        upright_rgb(Image.new("RGB", (0, 5)))


def test_a_large_picture_in_memory_is_its_owners():
    assert upright_rgb(Image.new("1", (5000, 5000))).size == (5000, 5000)


# Colours and depths


def test_a_cmyk_jpeg_is_rgb():
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    assert abs(opened(encoded(picture, "JPEG")) - (255, 0, 0)).max() <= 8


GREY_16 = np.array([[0, 255, 256, 32768], [40000, 65279, 65280, 65535]], dtype=np.uint16)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_cut_off(format):
    seen = opened(encoded(Image.fromarray(GREY_16), format))
    assert np.array_equal(seen[..., 0], np.round(GREY_16 / 257))
    assert np.array_equal(seen.min(2), seen.max(2))


@pytest.mark.parametrize("order", [">", "<"])
def test_sixteen_bit_grey_of_either_byte_order(order):
    mode = {">": "I;16B", "<": "I;16"}[order]
    image = Image.frombytes(mode, (4, 2), GREY_16.astype(f"{order}u2").tobytes())
    assert np.array_equal(np.asarray(upright_rgb(image))[..., 0], np.round(GREY_16 / 257))


def test_a_sixteen_bit_pgm_is_scaled():
    data = b"P5 4 2 65535\n" + GREY_16.astype(">u2").tobytes()
    assert np.array_equal(opened(data)[..., 0], np.round(GREY_16 / 257))


def test_sixteen_bit_rgb_is_scaled():
    values = [0, 257, 32768, 65535, 40000, 1000]  # two pixels
    seen = opened(png(2, 1, 16, 2, b"\0" + struct.pack(">6H", *values)))
    assert abs(seen.flatten() - np.array(values) / 257).max() <= 1


def test_sixteen_bit_rgba_is_laid_on_white():
    seen = opened(png(2, 1, 16, 6, b"\0" + struct.pack(">8H", 0, 0, 0, 0, 65535, 0, 0, 65535)))
    assert seen.tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_sixteen_bit_grey_with_alpha_is_laid_on_white():
    seen = opened(png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0, 0, 32768, 65535)))
    assert seen[0, 0].tolist() == [255] * 3
    assert abs(seen[0, 1] - 128).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_spans_black_to_white(bits):
    seen = opened(png(2, 1, bits, 0, bytes([0, (2**bits - 1) << (8 - 2 * bits)])))
    assert seen[0, :, 0].tolist() == [0, 255]


def test_one_bit_is_black_and_white():
    picture = Image.new("1", (3, 1))
    picture.putpixel((1, 0), 1)
    for format in ("PNG", "TIFF", "BMP", "PPM"):
        assert opened(encoded(picture, format))[0, :, 0].tolist() == [0, 255, 0]


def tiff_of(array):
    return encoded(Image.fromarray(array), "TIFF")


def test_thirty_two_bit_integers_within_sixteen_bits_are_scaled():
    assert opened(tiff_of(np.array([[0, 65535]], dtype=np.int32)))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_other_thirty_two_bit_integers_are_refused(value):
    message = refusal(tiff_of(np.array([[0, value]], dtype=np.int32)))
    assert message.startswith(
        "Got a picture of 32-bit integer samples; wanted 8 or 16 bits a sample: save it as a JPEG"
    )


def test_floating_point_samples_are_refused():
    message = refusal(tiff_of(np.array([[0.0, 0.5]], dtype=np.float32)))
    assert message.startswith("Got a picture of 32-bit floating-point samples; wanted 8 or 16 bits a sample: save it")


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "LAB", "RGBX", "CMYK"])
def test_other_colour_spaces_are_converted(mode):
    seen = np.asarray(upright_rgb(Image.new("RGB", (4, 4), (200, 100, 50)).convert(mode))).astype(int)
    assert abs(seen - (200, 100, 50)).max() <= 4


# Transparency is laid on white


def half_clear(mode, opaque, clear):
    picture = Image.new(mode, (2, 1), opaque)
    picture.putpixel((1, 0), clear)
    return picture


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_rgba_is_laid_on_white(format):
    picture = half_clear("RGBA", (255, 0, 0, 255), (0, 0, 255, 0))
    assert opened(encoded(picture, format, **LOSSLESS[format])).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_half_transparent_is_half_white():
    seen = opened(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG"))
    assert abs(seen - 127).max() <= 1


def test_la_is_laid_on_white():
    assert opened(encoded(half_clear("LA", (30, 255), (30, 0)), "PNG"))[0, :, 0].tolist() == [30, 255]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_entry_is_laid_on_white(format):
    picture = half_clear("P", 0, 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert opened(encoded(picture, format, transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_a_palette_with_an_alpha_for_each_entry_is_laid_on_white():
    picture = half_clear("P", 0, 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert opened(encoded(picture, "PNG", transparency=b"\xff\x00")).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(("mode", "opaque", "key"), [("RGB", (255, 0, 0), (0, 0, 255)), ("L", 30, 90)])
def test_a_colour_declared_transparent_is_laid_on_white(mode, opaque, key):
    seen = opened(encoded(half_clear(mode, opaque, key), "PNG", transparency=key))
    assert seen[0, 1].tolist() == [255] * 3
    assert seen[0, 0].tolist() != [255] * 3


def test_a_palette_without_transparency_keeps_its_colours():
    picture = half_clear("P", 0, 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    for format in ("PNG", "GIF", "BMP", "TIFF"):
        assert opened(encoded(picture, format)).tolist() == [[[255, 0, 0], [0, 0, 255]]]


# Animations and stereo files give their first frame


FRAMES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]


@pytest.mark.parametrize(("format", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_an_animation_gives_its_first_frame(format, options):
    data = encoded(FRAMES[0], format, save_all=True, append_images=FRAMES[1:], **options)
    assert opened(data).tolist() == [[[255, 0, 0]] * 8] * 8


def test_a_transparent_animated_gif_gives_its_first_frame_on_white():
    frames = [half_clear("P", 0, index) for index in (1, 0)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=1, disposal=2)
    assert opened(data).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_an_mpo_gives_its_first_picture():
    data = encoded(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
    assert abs(opened(data) - (255, 0, 0)).max() <= 3


def test_a_broken_mpo_is_read_as_the_jpeg_it_is():
    data = bytearray(encoded(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]))
    at = data.index(b"MPF\0") + 12
    data[at : at + 8] = b"\xff" * 8
    assert abs(opened(bytes(data)) - (255, 0, 0)).max() <= 3


# EXIF orientation: which side of the shown picture the file's first row and first column are (EXIF 2.3, tag 274)


ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def shown(stored, orientation):
    """The stored array as it is meant to be seen, pixel by pixel."""
    first_row, first_column = ORIENTATIONS[orientation]
    rows, columns = stored.shape[:2]
    turned = first_row in ("left", "right")
    result = np.zeros((columns, rows, 3) if turned else stored.shape, dtype=stored.dtype)
    for i in range(rows):
        for j in range(columns):
            along = i if first_row in ("top", "left") else rows - 1 - i
            across = j if first_column in ("top", "left") else columns - 1 - j
            result[(across, along) if turned else (along, across)] = stored[i, j]
    return result


def oriented(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_applied_pixel_by_pixel(orientation, format):
    data = encoded(Image.fromarray(NOISE), format, exif=oriented(orientation), **LOSSLESS[format])
    assert np.array_equal(opened(data), shown(NOISE, orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_of_a_jpeg_is_applied(orientation):
    stored = np.zeros((24, 16, 3), dtype=np.uint8)
    stored[:8, :8], stored[:8, 8:], stored[16:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    seen = opened(encoded(Image.fromarray(stored), "JPEG", exif=oriented(orientation), quality=100, subsampling=0))
    assert seen.shape == shown(stored, orientation).shape
    assert abs(seen - shown(stored, orientation)).max() <= 12


def test_an_upright_picture_is_not_turned_twice():
    picture = open_picture(encoded(Image.fromarray(NOISE), "PNG", exif=oriented(6)))
    assert np.array_equal(np.asarray(upright_rgb(picture)), np.asarray(picture))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_unknown_orientation_changes_nothing(orientation):
    assert np.array_equal(opened(encoded(Image.fromarray(NOISE), "PNG", exif=oriented(orientation))), NOISE)


# Odd metadata neither warns nor refuses


EXIF = b"Exif\0\0"
BROKEN_EXIF = [
    EXIF + b"garbage",
    EXIF + b"MM\0*\0\0\0\x08",
    EXIF + b"II*\0\xff\xff\xff\xff",
    EXIF + b"II*\0\x08\0\0\0\x05\0\x12\x01",  # five entries are promised, half a one is there
    EXIF + b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # the orientation is a letter
    EXIF + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x09\0\0\0\xff\xff\xff\xff\0\0\0\0",  # it lies outside the file
]


@pytest.mark.parametrize("exif", BROKEN_EXIF, ids=range(len(BROKEN_EXIF)))
def test_broken_exif_neither_warns_nor_refuses(exif):
    data = encoded(Image.new("RGB", (9, 7), "red"), "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert open_picture(data).size == (9, 7)
    assert not told


def test_the_warning_filters_are_left_as_they_were():
    before = list(warnings.filters)
    open_picture(encoded(Image.fromarray(NOISE), "PNG"))
    refusal(b"x")
    assert list(warnings.filters) == before


def test_an_invalid_colour_profile_is_ignored():
    data = encoded(Image.fromarray(NOISE), "PNG", icc_profile=b"not a profile")
    assert np.array_equal(opened(data), NOISE)


# Hostile bytes: a SimvisError or an RGB picture, nothing else


@cache
def seeds():
    """A small valid file of each kind."""
    colour, exif = Image.fromarray(NOISE), oriented(6)
    palette = colour.convert("P")
    exif[270] = "a description"
    return {
        "jpeg": encoded(colour, "JPEG", exif=exif),
        "cmyk": encoded(colour.convert("CMYK"), "JPEG", progressive=True),
        "mpo": encoded(colour, "MPO", save_all=True, append_images=[colour]),
        "png": encoded(colour, "PNG", exif=exif),
        "palette png": encoded(palette, "PNG", transparency=3),
        "apng": encoded(colour, "PNG", save_all=True, append_images=[Image.fromarray(NOISE[::-1])]),
        "webp": encoded(colour, "WEBP", exif=exif),
        "gif": encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(90)], transparency=3),
        "bmp": encoded(palette, "BMP"),
        "tiff": encoded(colour, "TIFF", exif=exif),
        "packed tiff": encoded(colour, "TIFF", compression="tiff_lzw"),
        "grey tiff": tiff_of(GREY_16),
        "pgm": encoded(colour.convert("L"), "PPM"),
    }


def survives(data):
    """The law itself."""
    try:
        picture = open_picture(data)
    except SimvisError:
        return
    assert picture.mode == "RGB"
    assert 0 < picture.width * picture.height <= 20_000_000
    picture.tobytes()


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_any_bytes_are_survived(data):
    survives(data)


@given(st.sampled_from(sorted(seeds())), st.binary(max_size=60))
@settings(max_examples=80)
def test_any_bytes_after_a_true_beginning_are_survived(kind, rest):
    survives(seeds()[kind][:16] + rest)


@pytest.mark.parametrize("kind", seeds())
@given(st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=60)
def test_flipped_bytes_are_survived(kind, flips):
    data = bytearray(seeds()[kind])
    for at, value in flips:
        data[at % len(data)] = value
    survives(bytes(data))


@pytest.mark.parametrize("kind", seeds())
@given(st.integers(0, 10**4), st.integers(0, 300))
@example(0, 1)
def test_a_hole_in_the_file_is_survived(kind, at, width):
    data = seeds()[kind]
    survives(data[: at % len(data)] + data[at % len(data) + width :])


@pytest.mark.parametrize("kind", ["png", "palette png", "apng"])
@given(st.integers(0, 3), st.binary(min_size=1, max_size=30))
@settings(max_examples=40)
def test_a_png_of_nonsense_with_true_checksums_is_survived(kind, which, content):
    """Random bytes hardly ever have a right CRC; these do, so they reach the chunk readers."""
    data, at, chunks = seeds()[kind], 8, []
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    which = which % (len(chunks) - 1)
    chunks[which] = (chunks[which][0], (content + chunks[which][1])[: max(len(chunks[which][1]), 1)])
    survives(data[:8] + b"".join(chunk(*one) for one in chunks))


@pytest.mark.parametrize("error", [RuntimeError("Failed to decode image"), MemoryError(), zlib.error("bad")], ids=repr)
def test_whatever_a_decoder_raises_on_damage_is_told_as_damage(monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setitem(opening._PILLOW, "PNG", broken)
    assert refusal(encoded(Image.fromarray(NOISE), "PNG")) == DAMAGED


# Decoding no more than is needed


def gradient(width, height):
    """A smooth picture that tells its corners apart, so that shrinking it changes little and turning it much."""
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([columns, rows, 255 - columns], -1).astype(np.uint8))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 320))
def test_a_jpeg_is_never_smaller_than_what_is_enough(width, height, enough):
    picture = open_picture(encoded(Image.new("RGB", (width, height), "teal"), "JPEG"), enough)
    assert min(picture.size) >= min(enough, width, height)
    step = next(step for step in (8, 4, 2, 1) if min(width, height) // enough >= step or step == 1)
    assert picture.size == (-(-width // step), -(-height // step))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_jpeg_decoded_small_is_turned_alike(orientation):
    data = encoded(gradient(96, 64), "JPEG", exif=oriented(orientation), quality=95)
    small, whole = open_picture(data, 16), open_picture(data)
    assert small.size == (whole.width // 4, whole.height // 4)
    shrunk = np.asarray(whole.reduce(4)).astype(int)
    assert abs(np.asarray(small).astype(int) - shrunk).max() <= 12


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}], ids=str)
def test_every_kind_of_jpeg_can_be_decoded_small(options):
    for mode in ("RGB", "L", "CMYK"):
        picture = open_picture(encoded(gradient(96, 64).convert(mode), "JPEG", **options), 8)
        assert (picture.mode, picture.size) == ("RGB", (12, 8))


def test_a_picture_below_twice_what_is_enough_is_left_whole():
    data = encoded(Image.fromarray(NOISE).resize((62, 31)), "JPEG")
    assert np.array_equal(np.asarray(open_picture(data, 16)), opened(data))


@pytest.mark.parametrize("format", LOSSLESS)
def test_other_formats_are_left_whole(format):
    data = encoded(gradient(64, 48), format, **LOSSLESS[format])
    assert np.array_equal(np.asarray(open_picture(data, 1)), opened(data))


def test_size_limits_are_those_of_the_whole_picture():
    data = encoded(Image.new("L", (5001, 4000)), "JPEG")
    with pytest.raises(SimvisError, match="5001 x 4000 pixels" + TOO_LARGE):
        open_picture(data, 16)


def test_a_cut_off_jpeg_decoded_small_is_refused_too():
    data = encoded(Image.effect_noise((256, 256), 90), "JPEG")
    with pytest.raises(SimvisError, match=DAMAGED):
        open_picture(data[: len(data) // 2], 16)


@pytest.mark.parametrize("enough", [0, -5])
def test_enough_is_at_least_one_pixel(enough):
    with pytest.raises(SimvisError, match=f"Got {enough} pixels as enough; wanted at least 1"):
        open_picture(encoded(Image.fromarray(NOISE), "PNG"), enough)
