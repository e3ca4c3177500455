"""Pictures: a visitor's own, the ready-made pairs, and all that can be wrong with a file."""

import io
import json
import zlib

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

import app
from simvis_app.service import samples
from simvis_app.service.sessions.session import Settings
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]

OWN = PICTURES / "cheetah" / "cheetah_1.jpg", PICTURES / "jaguar" / "jaguar_1.jpg"


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photograph():
    with Image.open(OWN[0]) as image:
        return image.convert("RGB")


def test_own_pictures_get_the_same_numbers_on_page_api_and_command_line(desk, server, session, tmp_path, photograph):
    """Neither file is a sample: both are saved anew."""
    files = tmp_path / "my cat.png", tmp_path / "ärgerlich ü.jpg"
    photograph.save(files[0])
    with Image.open(OWN[1]) as second:
        second.save(files[1], quality=80)

    client = Client(server.address, verbose=False)
    answer = client.predict(*(handle_file(file) for file in files), api_name="/explain_pair")
    client.close()
    app.main(["explain", *map(str, files), "--out", str(tmp_path / "out")])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    pair = session.explain(*files, Settings())
    assert answer["score"] == pytest.approx(manifest["score"], abs=1e-6)
    assert answer["score"] == pytest.approx(pair.score, abs=1e-6)
    assert np.allclose(answer["map_a"], pair.map_a.numpy(), atol=1e-6)
    with np.load(tmp_path / "out" / "maps.npz") as maps:
        assert np.allclose(answer["map_b"], maps["map_b"], atol=1e-6)
    assert answer["ledger"] == pytest.approx(manifest["ledger"], abs=1e-6)

    desk.changing_the_score(lambda: desk.upload("a", files[0]))
    desk.changing_the_score(lambda: desk.upload("b", files[1]))
    assert desk.text("#score .big") == f"{answer['score']:.3f}"
    assert desk.text("#ledger").endswith("add up to the score")
    assert desk.text("#credits") == ""


@pytest.mark.slow
def test_a_ready_made_pair_fills_both_places(desk, session):
    for number in (9, 5):
        pair = samples.pairs()[number]
        desk.changing_the_score(lambda number=number: desk.at("#examples button").nth(number).click())
        wanted = session.explain(*(PICTURES / pair[side] for side in "ab"), Settings()).score
        assert desk.text("#score .big") == f"{wanted:.3f}"
        assert pair["note"] in desk.text("#credits")
        for side in "ab":
            assert pair[side].split("/")[1] in desk.at(f"#image_{side} img").get_attribute("src")


@pytest.mark.slow
def test_a_cleared_picture_is_asked_for_and_the_other_stays(desk):
    before = desk.text("#score .big")
    desk.at("#image_b").get_by_label("Remove Image").click()
    expect(desk.at("#notice")).to_contain_text("Drop a picture into both places")
    expect(desk.at("#score")).to_have_text("")
    assert desk.at("#image_a img").is_visible()
    assert desk.canvas("a")[..., 3].max() == 0
    desk.upload("b", PICTURES / samples.pairs()[0]["b"])
    desk.wait_ready()
    assert desk.text("#score .big") == before
    assert desk.at("#notice").is_hidden()


@pytest.mark.slow
def test_clearing_both_and_choosing_settings_breaks_nothing(visitor):
    for side in "ab":
        visitor.at(f"#image_{side}").get_by_label("Remove Image").click()
        expect(visitor.at("#notice")).to_contain_text("Drop a picture into both places")
    visitor.choose("#pooling", "max")
    visitor.at("#link_button").click()
    visitor.page.get_by_text("Drop a picture into both places first.").wait_for()
    visitor.stage("a").click()
    visitor.stage("a").press("ArrowDown")
    visitor.stage("a").press("Enter")
    visitor.at("#examples button").nth(0).click()
    visitor.wait_ready()
    assert visitor.at("#pooling input").input_value() == "max"


@pytest.mark.slow
def test_a_file_name_is_never_markup(visitor, photograph):
    name = "<img src=x onerror=alert(1)>.jpg"
    visitor.changing_the_score(lambda: visitor.upload("a", (name, encoded(photograph, "JPEG"))))
    visitor.upload("b", (name, b"not a picture"))
    expect(visitor.at("#notice")).to_contain_text("not a picture")
    assert visitor.page.locator("img[src='x']").count() == 0
    visitor.page.wait_for_timeout(200)


# What cannot be read, and what only looks odd. One visitor meets them all, one after the other.


def bomb():
    """A PNG of a few kilobytes that says it has 144 million pixels."""
    return encoded(Image.new("1", (12000, 12000)), optimize=True)


def chunk_lies():
    """A PNG whose header promises more pixels than its data hold."""
    content = bytearray(encoded(Image.new("RGB", (20, 20), "red")))
    content[16:20] = (40).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "text as a JPEG": (lambda image: b"I am a text.\n" * 100, "not a picture"),
    "zero bytes": (lambda image: b"", "zero bytes"),
    "truncated": (lambda image: encoded(image, "JPEG")[:4000], "cut-off"),
    "a bomb": (lambda image: bomb(), "20 megapixels"),
    "an SVG": (
        lambda image: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "not a picture",
    ),
    "lying header": (lambda image: chunk_lies(), "cut-off"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_read_is_a_sentence_and_spoils_nothing(desk, photograph, kind, tmp_path, capsys):
    """The same sentence as on the command line, under the limits for strangers' pictures."""
    make, reason = BAD[kind]
    score, kept = desk.text("#score .big"), [desk.at(f"#image_{side} img").get_attribute("src") for side in "ab"]
    content = make(photograph)
    (tmp_path / "picture.jpg").write_bytes(content)
    good = str(PICTURES / samples.pairs()[0]["b"])
    asked = ["explain", str(tmp_path / "picture.jpg"), good, "--out", str(tmp_path / "out")]
    assert app.main([*asked, "--max-megapixels", "20"]) == 2
    sentence = capsys.readouterr().err.removeprefix("simvis: ").strip()
    assert reason in sentence
    assert "as picture A;" in sentence
    desk.upload("a", ("picture.jpg", content))
    expect(desk.at("#notice")).to_have_text(sentence)
    assert desk.at("#notice [role=alert]").count() == 1
    assert desk.text("#score .big") == score
    assert [desk.at(f"#image_{side} img").get_attribute("src") for side in "ab"] == kept
    assert desk.at("#pooling input").input_value() == "avg"
    desk.upload("a", PICTURES / samples.pairs()[0]["a"])
    expect(desk.at("#notice")).to_be_hidden()
    assert desk.text("#score .big") == score


def rotated(image):
    """Stored lying on its side, with the note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def sixteen_bit(image):
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return encoded(Image.fromarray(grey))


def palette(image):
    small = image.quantize(64)
    return encoded(small, transparency=3)


def animation(image):
    return encoded(image, "GIF", save_all=True, append_images=[image.rotate(180)], duration=100)


ODD = {
    "one pixel": (lambda image: encoded(Image.new("RGB", (1, 1), "red")), 1),
    "one pixel wide": (lambda image: encoded(Image.effect_noise((1, 5000), 80)), 0.25),
    "CMYK": (lambda image: encoded(image.convert("CMYK"), "JPEG"), 1.5),
    "16 bits": (sixteen_bit, 1.5),
    "palette with transparency": (palette, 1.5),
    "animation": (animation, 1.5),
    "grey with alpha": (lambda image: encoded(image.convert("LA")), 1.5),
    "turned by EXIF": (rotated, 1.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_picture_is_explained(guest, session, photograph, tmp_path, kind):
    make, aspect = ODD[kind]
    content = make(photograph)
    (tmp_path / "picture").write_bytes(content)
    pair = session.explain(tmp_path / "picture", PICTURES / samples.pairs()[0]["b"], Settings())
    guest.changing_the_score(lambda: guest.upload("a", ("picture.png", content)))
    assert guest.text("#score .big") == f"{pair.score:.3f}"
    told = guest.at("#notice")
    expect(told).to_have_text(" ".join(pair.warnings)) if pair.warnings else expect(told).to_be_hidden()
    box = guest.stage("a").bounding_box()
    if aspect == 1.5:
        aspect = photograph.width / photograph.height
    assert box["width"] / box["height"] == pytest.approx(aspect, rel=0.02)
    natural = guest.at("#pair_viewer [data-side=a] img").evaluate("(image) => image.naturalWidth / image.naturalHeight")
    assert natural == pytest.approx(aspect, rel=0.05)
