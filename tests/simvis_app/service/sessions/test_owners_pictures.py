"""The owner's own pictures take the owner's limits; pictures that suit their view badly are spoken of everywhere."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import app
from simvis_app.api.pairs import pair_json
from simvis_app.commands import parsed
from simvis_app.commands.opening import session_of
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.galleries.pairs import public
from simvis_app.page.pair.asked import PairAsked
from simvis_app.page.parts.drops import Dropped, accepted
from simvis_app.page.trust.inputs import TrustQuestion
from simvis_app.page.trust.measurements import Measurements
from simvis_app.service import words
from simvis_app.service.galleries.answers import belongs_json, search_json
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.galleries.search import Found
from simvis_core.pictures.opening import OWNERS, STRANGERS, Limits
from tests.simvis_app.conftest import NETWORK, PLAIN, TinySession

FEW = Limits(10**6, 300)  # pixels, fewer than any picture here has
SQUEEZED = "is 320 x 40 and was squeezed to 128 x 32: shapes are distorted; crop it first."


@pytest.fixture
def long(tmp_path):
    """A picture of 8:1."""
    Image.effect_noise((320, 40), 90).convert("RGB").save(tmp_path / "long.png")
    return str(tmp_path / "long.png")


def test_strangers_pictures_are_held_to_the_sessions_limits_and_the_owners_are_not(photos):
    file = str(photos / "bee" / "bee_0.png")
    session = TinySession(limits=FEW)
    with pytest.raises(SimvisError, match="Got 36 x 24 pixels as picture A; wanted at most"):
        session.picture(file, PLAIN, "A")
    session.admit(file)
    assert session.picture(file, PLAIN, "A").view.image.size == (36, 24)
    with pytest.raises(SimvisError, match="Got 24 x 36 pixels"):
        session.picture(str(photos / "bee" / "bee_1.png"), PLAIN)


def test_a_gallerys_hits_open_whatever_strangers_may_send(library, space, photos, tmp_path):
    file = str(photos / "bee" / "bee_0.png")
    rows = {row.file: row for row in library.index.scan(space, embeddings=True)}
    strict = Galleries(TinySession(limits=FEW), library.home)
    strict._index = library.index
    with pytest.raises(SimvisError, match="pixels"):
        strict.search(Asked(file, "animals", space.name), 3)
    hit, pictured = strict.hit(Found(rows[file], 0.5, 0.5), space)
    assert (hit.stale, pictured.view.image.size) == ("", (36, 24))
    other = Galleries(TinySession(limits=FEW), library.home)
    other._index = library.index
    shown = public(str(photos / "cat" / "cat_1.png"), other.session)  # on its way to the Compare tab
    assert other.session.picture(shown, PLAIN).view.image.size == (24, 36)


def test_an_operators_limits_hold_for_drops_too(photos):
    file = str(photos / "bee" / "bee_0.png")
    assert accepted(Dropped((file,)), [None], ["A"])[0] == [file]
    held, said = accepted(Dropped((file,), ("x.png",)), [None], ["A"], Limits(5 * 2**20, 300))
    assert held == [None]
    assert "36 x 24 pixels as picture A" in said
    assert "a file of at most 5 MB" in said


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ([], STRANGERS),
        (["--max-megapixels", "40"], Limits(20 * 2**20, 40_000_000)),
        (["explain", "a", "b"], OWNERS),
        (["explain", "a", "b", "--max-megapixels", "400"], Limits(400 * 2**20, 400_000_000)),
        (["search", "a", "--max-megapixels", "20"], Limits(20 * 2**20, 20_000_000)),
        (["classes"], OWNERS),
        (["index", "a", "--name", "b"], OWNERS),
        (["evaluate", "rooms"], OWNERS),
    ],
)
def test_the_command_line_takes_the_owners_limits_and_the_page_strangers(options, limits):
    session, _ = session_of(parsed(options))
    assert session.limits == limits


@pytest.mark.parametrize("number", ["0.5", "-1", "nan"])
def test_a_largest_picture_of_no_pixels_is_refused(capsys, number):
    assert app.main(["explain", "a", "b", "--max-megapixels", number]) == 2
    assert "megapixels as the most; wanted 1 or more: name a larger number." in capsys.readouterr().err


def test_the_command_line_reads_what_the_page_does_not_and_warns(capsys, tmp_path, monkeypatch, long, photos):
    monkeypatch.setattr(Session, "_load", TinySession()._load)
    monkeypatch.setattr("simvis_core.pictures.opening.STRANGERS", FEW)
    asked = ["explain", long, str(photos / "bee" / "bee_0.png"), "--backbone", NETWORK, "--view-size", "32"]
    assert app.main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == f"simvis: A {SQUEEZED}\n"
    assert SQUEEZED in (tmp_path / "out" / "manifest.json").read_text()


def test_every_tab_and_every_answer_warns_of_a_squeezed_picture(driven, library, space, photos, long, tmp_path):
    session, other = library.session, str(photos / "bee" / "bee_0.png")
    compare = Handlers(session, LinkedPictures(tmp_path / "links"))
    asked = [long, other, NETWORK, "avg", 3.0, 32, "whole", None]
    notice = words.warning(f"A {SQUEEZED}")
    pair = PairAsked(*asked)
    assert words.warning(*compare.compare(CompareAsked(pair)).panels.pair.warnings) == notice
    assert not compare.compare(CompareAsked(replace(pair, image_a=other))).panels.pair.warnings
    assert Measurements(session).line(TrustQuestion(pair)).startswith(notice)
    assert pair_json(session.explain(long, other, Settings(NETWORK, "avg", 32)))["warnings"] == [f"A {SQUEEZED}"]
    yours = words.warning(f"Your picture {SQUEEZED}")
    place = {"gallery": "animals", "space": space.name}
    assert driven.search(library).fill(query=long, **place)["status"].startswith(yours)
    assert yours in driven.classes(library).belongs(outside=long, **place)["belongs"]
    answer = library.search(Asked(long, "animals", space.name), 2)
    assert search_json(answer)["query"]["warnings"] == [f"Your picture {SQUEEZED}"]
    assert belongs_json(library, space, long)["warnings"] == [f"Your picture {SQUEEZED}"]


def test_a_warning_is_text():
    assert words.warning("", "") == ""
    assert words.warning("<b>") == '<div role="status" class="notice">&lt;b&gt;</div>'


def test_files_of_other_kinds_are_named_when_indexing(own_photos, shelf):
    (Path(own_photos) / "ape" / "raw.cr2").write_bytes(b"x")
    *_, last = shelf.indexing("more", shelf.listing("more", "."), PLAIN)
    assert (last.total, last.added) == (13, 12)
    assert "raw.cr2: .cr2 files are not read" in words.indexed(last, False)
    assert "1 left out" in last.sentence()
