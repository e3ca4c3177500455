"""Links: what goes in comes out, what was tampered with is refused, and the folder stays small and whole."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simvis_core import POOLINGS, SimvisError
from simvis_core.colours import STOPS
from simvis_core.images import FRAMINGS
from tests.damage import DAMAGE
from ui import choices, links, samples
from ui.components import checked_pin
from ui.files import served
from ui.links import LinkedPictures

SETTINGS = st.fixed_dictionaries(
    {
        "backbone": st.sampled_from(["efficientnet_lite0", "timm/vit_tiny_patch16_224.augreg", "yours/my net-1a2b3c"]),
        "pooling": st.sampled_from(list(POOLINGS)),
        "exponent": st.integers(2, 40).map(lambda steps: steps / 2),
        "short_side": st.sampled_from([224, 384, 512]),
        "framing": st.sampled_from(FRAMINGS),
        "method": st.sampled_from(["auto", "last-block values", "sliding window", "RISE"]),
        "colours": st.sampled_from(list(STOPS)),
        "opacity": st.integers(2, 20).map(lambda steps: steps / 20),
    }
)
PINS = st.none() | st.fixed_dictionaries(
    {"side": st.sampled_from("ab"), "row": st.integers(0, 63), "col": st.integers(0, 63)}
)


def read(query):
    """A query as a server reads it."""
    return {key: values[0] for key, values in parse_qs(query, strict_parsing=True).items()}


@given(SETTINGS, PINS, st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_what_a_link_says_is_read_back(settings, pin, name):
    asked = read(links.query(f"sample/{name}", "b c.jpg", settings, pin))
    assert (asked["a"], asked["b"]) == (f"sample/{name}", "b c.jpg")
    assert choices.read(asked) == [settings[name] for name in choices.CHOICES]
    assert links.pin_of(asked.get("pin", "")) == pin


def test_settings_that_a_link_leaves_out_are_the_pages_own():
    assert choices.read({}) == ["efficientnet_lite0", "avg", 3.0, 224, "whole", "auto", "blue-red", 0.85]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pooling", "gem:4"),
        ("exponent", "0.5"),
        ("exponent", "nan"),
        ("exponent", "inf"),
        ("exponent", "x"),
        ("short_side", "223"),
        ("short_side", "99999999999"),
        ("framing", "<script>"),
        ("method", "decomposition"),
        ("colours", ""),
        ("opacity", "-1"),
        ("opacity", "1e9"),
    ],
)
def test_settings_the_page_does_not_offer_are_refused(name, text):
    with pytest.raises(SimvisError, match=name):
        choices.read({name: text})


@pytest.mark.parametrize("text", ["", "c.1.1", "a.1", "a.-1.2", "a.1.2.3", "a.1.2\n", "a.99999.1", "a.1e1.2", "a.٣.1"])
def test_a_pin_that_cannot_be_read_is_none(text):
    found = links.pin_of(text)
    assert found is None or (text == "a.٣.1" and found["row"] == 3)


WEIGHTS = st.lists(st.floats(-1, 1), min_size=1, max_size=200)


@given(st.sampled_from("ab"), WEIGHTS)
def test_a_region_comes_back_to_one_step_of_127(side, weights):
    asked = read(links.query("a", "b", {}, {"side": side, "weights": weights}))
    pin = links.pin_of(asked["pin"])
    assert pin["side"] == side
    assert pin["weights"] == pytest.approx(weights, abs=0.5 / 127 + 1e-9)
    again = read(links.query("a", "b", {}, pin))
    assert again["pin"] == asked["pin"]


def test_steps_of_a_region_are_exact_and_heavier_cells_keep_their_weight():
    weights = [step / 127 for step in range(-127, 128)]
    text = links.query("a", "b", {}, {"side": "a", "weights": weights})
    assert links.pin_of(read(text)["pin"])["weights"] == weights
    text = links.query("a", "b", {}, {"side": "a", "weights": [3.0, -2.5, 0.0]})
    assert links.pin_of(read(text)["pin"])["weights"] == pytest.approx([3.0, -2.5, 0.0], abs=3 / 254)
    assert "%" not in text


@pytest.mark.parametrize(
    "text", ["a.w", "c.w.AAAA", "a.w.A", "a.w.AAAAA", "a.w.AA==", "a.w.A+/A", "a.w.AAAA\n", "a.x.AAAA", "a.w.ÄÄÄÄ"]
)
def test_a_region_that_cannot_be_read_is_none(text):
    assert links.pin_of(text) is None


@given(st.text(st.sampled_from("abw.AZ09_-=+/"), max_size=30))
def test_no_text_of_a_link_breaks_the_page(text):
    pin = links.pin_of(text)
    assert pin is None or checked_pin(pin, {"a": (2, 3), "b": (1, 1)}) in (None, pin)


@pytest.fixture
def pictures(tmp_path):
    return LinkedPictures(tmp_path / "links")


def picture(path, colour="red", kind="BMP"):
    """A small picture; as BMP all of one length."""
    Image.new("RGB", (8, 8), colour).save(path, kind)
    return path


def test_an_uploaded_picture_is_kept_under_its_content(pictures, tmp_path):
    file = picture(tmp_path / "my own <name>.png")
    name = pictures.keep(file)
    assert re.fullmatch(r"[0-9a-f]{64}\.bmp", name)
    found = pictures.find(name)
    assert os.path.dirname(found) == str(pictures.folder)
    with open(found, "rb") as kept:
        assert kept.read() == file.read_bytes()


def test_what_a_link_names_is_served_from_a_folder_that_gradio_shows(pictures, tmp_path):
    name = pictures.keep(picture(tmp_path / "mine.png"))
    file = served(pictures.find(name))
    assert Path(file).is_relative_to(tmp_path / "gradio")
    assert Path(file).read_bytes() == (pictures.folder / name).read_bytes()


def test_a_picture_that_cannot_be_read_is_said_without_its_folder(tmp_path):
    with pytest.raises(SimvisError, match=r"'gone\.png', which this server cannot read") as caught:
        served(tmp_path / "gone.png")
    assert str(tmp_path) not in str(caught.value)


def test_a_read_only_folder_of_links_can_be_followed(pictures, tmp_path, monkeypatch):
    name = pictures.keep(picture(tmp_path / "mine.png"))

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert pictures.find(name).endswith(name)


@pytest.mark.parametrize("spoil", [spoil for name, spoil in DAMAGE.items() if name != "gone"])
def test_a_damaged_copy_is_told_and_mended_by_a_new_link(pictures, tmp_path, spoil):
    mine = picture(tmp_path / "mine.png")
    name = pictures.keep(mine)
    kept = pictures.folder / name
    spoil(kept)
    with pytest.raises(SimvisError, match=r"is damaged|does not keep"):
        pictures.find(name)
    if kept.is_dir():  # nothing writes over a folder
        kept.rmdir()
    assert pictures.keep(mine) == name
    assert Path(pictures.find(name)).read_bytes() == mine.read_bytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_kind_of_picture_comes_back(pictures, tmp_path, kind):
    name = pictures.keep(picture(tmp_path / "upload", kind=kind))
    with Image.open(pictures.find(name)) as image:
        assert image.format == kind


def test_the_same_picture_is_kept_once(pictures, tmp_path):
    first = pictures.keep(picture(tmp_path / "one.png"))
    assert pictures.keep(picture(tmp_path / "two.png")) == first
    assert [path.name for path in pictures.folder.iterdir()] == [first]


def test_a_sample_picture_is_named_and_not_copied(pictures):
    file = samples.credits_list()[0]["file"]
    name = pictures.keep(samples.PICTURES / file)
    assert name == f"sample/{file}"
    assert pictures.find(name) == str(samples.PICTURES / file)
    assert not pictures.folder.exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../etc/passwd",
        "/etc/passwd",
        "sample/../credits.json",
        "sample/../../app.py",
        "sample//etc/passwd",
        "sample/",
        "sample/x",
        f"{'0' * 64}.png",
        f"../links/{'0' * 64}.png",
        f"{'0' * 64}.png\n",
        f"{'0' * 64}.png/../x",
        f"{'0' * 63}.png",
        "\x00",
        "x" * 5000,
    ],
)
def test_a_tampered_name_is_refused_in_one_sentence(pictures, tmp_path, name):
    pictures.keep(picture(tmp_path / "x.png"))
    with pytest.raises(SimvisError, match="upload the picture again") as caught:
        pictures.find(name)
    assert name == "" or name not in str(caught.value)


def test_the_ones_unused_for_longest_are_forgotten_over_the_limit(tmp_path):
    colours = ("red", "green", "blue", "white")
    files = [picture(tmp_path / f"{colour}.png", colour) for colour in colours]
    pictures = LinkedPictures(tmp_path / "links", limit=3 * files[0].stat().st_size)
    names = []
    for number, file in enumerate(files[:3]):
        names.append(pictures.keep(file))
        os.utime(pictures.folder / names[-1], (1000 + number, 1000 + number))
    pictures.find(names[0])  # looked at again: now green is the one unused for longest
    names.append(pictures.keep(files[3]))
    for name, forgotten in zip(names, (False, True, False, False), strict=True):
        assert (pictures.folder / name).exists() != forgotten
    with pytest.raises(SimvisError, match="does not keep"):
        pictures.find(names[1])


def test_a_new_link_to_a_kept_picture_counts_as_use(tmp_path):
    red, green, blue = (picture(tmp_path / f"{colour}.png", colour) for colour in ("red", "green", "blue"))
    pictures = LinkedPictures(tmp_path / "links", limit=2 * red.stat().st_size)
    for number, file in enumerate((red, green)):
        os.utime(pictures.folder / pictures.keep(file), (1000 + number, 1000 + number))
    again = pictures.keep(red)
    pictures.keep(blue)
    assert (pictures.folder / again).exists()


def test_a_picture_is_written_whole_or_not_at_all(pictures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SimvisError, match="No space left on device"):
        pictures.keep(picture(tmp_path / "x.png"))
    assert list(pictures.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SimvisError, match="cannot be written"):
        LinkedPictures(tmp_path / "file").keep(picture(tmp_path / "x.png"))


def test_the_address_is_plain(pictures):
    """No character of a link needs an escape in a mail or a chat."""
    name = pictures.keep(samples.PICTURES / samples.credits_list()[0]["file"])
    settings = dict(zip(choices.CHOICES, choices.read({}), strict=True))
    text = links.query(name, name, settings, {"side": "a", "row": 1, "col": 2})
    assert urlsplit(f"http://host/?{text}").query == text
    assert "%" not in text
    assert text.endswith("&pin=a.1.2")
