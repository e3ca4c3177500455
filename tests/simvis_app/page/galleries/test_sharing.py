"""The files that both tabs give away."""

import zipfile
from pathlib import Path

from simvis_app.page.galleries.sharing import refusal, zip_file
from simvis_core import SimvisError


def files_of(path):
    """What a zip holds, by name."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_zip_is_named_after_what_it_holds():
    path = zip_file("class", {"class.json": b"{}"})
    assert Path(path).name == "simvis-class.zip"
    assert files_of(path) == {"class.json": b"{}"}


def test_a_refusal_is_the_whole_sentence_as_text():
    told = refusal(SimvisError("class '<b>'", "one of the gallery's", "choose one"))
    assert "Got class '&lt;b&gt;'; wanted one of" in str(told.message)
