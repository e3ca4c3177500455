"""Pictures of links: what goes in comes out, what was tampered with is refused, the folder stays small and whole."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from simvis_app.service import samples
from simvis_app.service.files import served
from simvis_app.service.links import LinkedPictures
from simvis_core import SimvisError
from tests.damage import DAMAGE


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
