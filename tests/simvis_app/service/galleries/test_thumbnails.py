"""Thumbnails that the browser fetches: read once, and again where the gallery's own or the served copy is another."""

import os
from pathlib import Path

import pytest
from PIL import Image

from simvis_app.service.galleries.thumbnails import Thumbnails
from simvis_core.pictures.thumbnails import thumbnail
from simvis_core.stores.contract import Row
from tests.simvis_app.conftest import indexed


@pytest.fixture
def shelf_row(shelf, own_photos):
    """A gallery and one row of it; its picture is 3:2."""
    space = indexed(shelf, "animals", own_photos)
    row = next(row for row in shelf.index.scan(space) if row.file.endswith("ape_0.png"))
    return shelf.gallery("animals"), row


def test_a_thumbnail_is_read_once(shelf_row, monkeypatch):
    gallery, row = shelf_row
    reads, read = [], type(gallery).thumbnail
    monkeypatch.setattr(type(gallery), "thumbnail", lambda self, row: reads.append(row.id) or read(self, row))
    shown = Thumbnails()
    first = shown.shown(gallery, row, "whole")
    assert (shown.shown(gallery, row, "whole"), first[1]) == (first, 1.5)
    assert reads == [row.id]
    assert Path(first[0]).read_bytes() == gallery.thumbnail_file(row.sha256).read_bytes()
    assert shown.shown(gallery, row, "crop")[1] == 1.0  # another framing is another picture


def test_what_gradio_deleted_is_made_again(shelf_row):
    gallery, row = shelf_row
    shown = Thumbnails()
    file, _ = shown.shown(gallery, row, "whole")
    os.utime(file, (1, 1))
    shown.shown(gallery, row, "whole")
    assert Path(file).stat().st_mtime > 1_000_000  # shown today is kept today
    Path(file).unlink()
    assert shown.shown(gallery, row, "whole")[0] == file
    assert Path(file).is_file()


def test_another_thumbnail_under_the_same_name_is_shown(shelf_row):
    gallery, row = shelf_row
    shown = Thumbnails()
    before = shown.shown(gallery, row, "whole")
    gallery.thumbnail_file(row.sha256).write_bytes(thumbnail(Image.new("RGB", (20, 40), "teal")))
    after = shown.shown(gallery, row, "whole")
    assert (after[0] != before[0], after[1]) == (True, 0.5)


def test_a_thumbnail_that_is_gone_is_made_from_the_picture_or_missed(shelf_row):
    gallery, row = shelf_row
    shown = Thumbnails()
    shown.shown(gallery, row, "whole")
    gallery.thumbnail_file(row.sha256).unlink()
    assert shown.shown(gallery, row, "whole")[1] == 1.5
    gallery.thumbnail_file(row.sha256).unlink()
    Path(row.file).unlink()
    assert shown.shown(gallery, row, "whole") is None
    assert shown.shown(gallery, Row("0" * 64, row.file), "whole") is None
