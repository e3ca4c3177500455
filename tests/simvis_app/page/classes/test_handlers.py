"""The Classes tab's handlers as plain functions: members, matrices, the nearest classes, curves, a pair to open."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from simvis_app.page.classes.handlers import ORDERS, ClassHandlers
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.search.handlers import GONE
from simvis_app.service.galleries.galleries import SAMPLES
from simvis_app.service.links import LinkedPictures
from simvis_core.galleries.classes import class_map
from tests.simvis_app.conftest import CLASSES, NETWORK, PLAIN, indexed, photographs

TYPICAL, UNTYPICAL = ORDERS


def tab_of(galleries, folder):
    return ClassHandlers(galleries, Handlers(galleries.session, LinkedPictures(folder / "links")))


@pytest.fixture
def tab(library, tmp_path):
    return tab_of(library, tmp_path)


@pytest.fixture
def place(space):
    return ["animals", space.name]


def sent(page, **changes):
    return {"key": page.key, "wanted": 0, "chosen": "", "why": [], **changes}


def ids(page):
    return [card.id for card in page.hits]


def test_the_classes_are_listed_and_a_chosen_one_stays(tab, place):
    listed = tab.labels(*place, None)
    assert listed["choices"] == [(f"{label} (3)", label) for label in CLASSES]
    assert listed["value"] == "ape"
    assert tab.labels(*place, "dog")["value"] == "dog"
    assert tab.labels(*place, "gone")["value"] == "ape"
    for gallery, space in (("animals", ""), ("animals", None), (SAMPLES, "gone")):
        assert tab.labels(gallery, space, "dog") == gr.update(choices=[], value=None)


def test_classes_of_one_come_last_and_pictures_without_a_label_make_none(shelf, tmp_path):
    folder = photographs(tmp_path / "few")
    (folder / "ape" / "ape_0.png").rename(folder / "loose.png")
    for at in (0, 1):
        (folder / "bee" / f"bee_{at}.png").unlink()
    space = indexed(shelf, "few", folder)
    listed = tab_of(shelf, tmp_path).labels("few", space.name, None)
    assert listed["choices"] == [("ape (2)", "ape"), ("cat (3)", "cat"), ("dog (3)", "dog"), ("bee (1)", "bee")]
    assert listed["value"] == "cat"


def test_a_class_is_shown_with_its_members_and_both_matrices(tab, place, library, space):
    notice, status, page, matrix, means = tab.show(*place, "cat", TYPICAL)
    members = library.members(space, "cat")
    assert notice == ""
    assert f"3 pictures with a mean score of {float(members.typicality.mean()):.3f}" in status
    assert ids(page) == [row.id for row in members.rows]
    assert [card.score for card in page.hits] == [f"{value:.3f}" for value in members.typicality.tolist()]
    assert (page.total, page.more, page.always) == (3, False, True)
    assert np.allclose(np.array(matrix.data[0].z, dtype=float), members.scores.numpy(), atol=6e-5)
    assert np.allclose(np.array(means.data[0].z, dtype=float), library.means(space).scores.numpy(), atol=6e-5)
    backwards = tab.show(*place, "cat", UNTYPICAL)[2]
    assert ids(backwards) == ids(page)[::-1]
    assert "least typical" in backwards.hits[0].note
    assert backwards.key != page.key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({2: None}, "a gallery without classes"),
        ({2: ""}, "a gallery without classes"),
        ({2: "<b>unicorn"}, "class &#x27;&lt;b&gt;unicorn&#x27;"),
        ({1: "gone"}, "not indexed with that network"),
    ],
)
def test_a_class_that_is_not_there_is_a_sentence(tab, place, change, reason):
    asked = [change.get(at, value) for at, value in enumerate([*place, "cat"])]
    notice, *rest = tab.show(*asked, TYPICAL)
    assert reason in notice
    assert rest == ["", None, None, None]


def test_members_come_page_by_page_with_their_maps(tab, place, library, space, monkeypatch):
    monkeypatch.setattr("simvis_app.page.classes.handlers.PAGE", 2)
    page = tab.show(*place, "cat", TYPICAL)[2]
    assert (len(page.hits), page.more) == (2, True)
    rest = tab.more(*place, "cat", TYPICAL, sent(page, wanted=2))
    assert (rest.key, rest.skip, rest.more, len(rest.hits)) == (page.key, 2, False, 1)
    members = library.members(space, "cat")
    assert ids(page) + ids(rest) == [row.id for row in members.rows]
    mapped = tab.maps(*place, "cat", TYPICAL, sent(page))
    for at, card in enumerate(mapped.hits):
        own = library.picture(members.rows[at].file, space).decomposition
        others = members.others(at) / 2
        assert card.hit_map == pytest.approx(class_map(own, others).flatten().tolist(), abs=1e-6)
        assert sum(card.hit_map) + float(own.bias @ others) == pytest.approx(float(members.typicality[at]), abs=1e-5)
        assert card.hit_grid == own.grid
    assert tab.maps(*place, "cat", TYPICAL, sent(page, wanted=2)).scale_hit == mapped.scale_hit > 0
    HitGrid().postprocess(mapped)


@pytest.mark.parametrize("change", [{1: "gone"}, {2: "dog"}, {2: "gone"}, {3: UNTYPICAL}])
def test_a_stale_grid_is_left_alone(tab, place, change):
    page = tab.show(*place, "cat", TYPICAL)[2]
    asked = [change.get(at, value) for at, value in enumerate([*place, "cat", TYPICAL])]
    assert tab.more(*asked, sent(page)) == gr.skip()
    assert tab.maps(*asked, sent(page)) == gr.skip()


def test_members_whose_files_are_gone_or_changed_are_said_to_be_stale(shelf, own_photos, tmp_path):
    [space] = shelf.spaces("animals")
    tab = tab_of(shelf, tmp_path)
    (own_photos / "cat" / "cat_0.png").unlink()
    Image.new("RGB", (30, 30), "teal").save(own_photos / "cat" / "cat_1.png")
    page = tab.show("animals", space.name, "cat", TYPICAL)[2]
    stale = {card.title: card.stale for card in tab.maps("animals", space.name, "cat", TYPICAL, sent(page)).hits}
    assert "cannot be opened" in stale["cat/cat_0.png"]
    assert "has changed" in stale["cat/cat_1.png"]
    assert stale["cat/cat_2.png"] == ""
    for row in shelf.index.scan(space):
        shelf.gallery("animals").thumbnail_file(row.sha256).unlink()
    gone = {card.title: card.stale for card in tab.show("animals", space.name, "cat", TYPICAL)[2].hits}
    assert gone == {"cat/cat_0.png": GONE, "cat/cat_1.png": GONE, "cat/cat_2.png": ""}


def test_a_picture_alone_in_its_class(shelf, own_photos, tmp_path):
    for at in (0, 1):
        (own_photos / "cat" / f"cat_{at}.png").unlink()
    space = indexed(shelf, "fewer", own_photos)
    tab = tab_of(shelf, tmp_path)
    notice, status, page, *_ = tab.show("fewer", space.name, "cat", TYPICAL)
    assert (notice, len(page.hits)) == ("", 1)
    assert "nothing to be alike with" in status
    [card] = tab.maps("fewer", space.name, "cat", TYPICAL, sent(page)).hits
    assert (card.hit_map, card.note) == (None, "alone in its class")
    with pytest.raises(gr.Error, match="no second picture"):
        tab.open_pair("fewer", space.name, "cat", sent(page, chosen=card.id), NETWORK)


def test_a_black_box_has_classes_without_maps(tab, black, photos):
    place = ["animals", black.name]
    page = tab.show(*place, "cat", TYPICAL)[2]
    assert {card.hit_map for card in tab.maps(*place, "cat", TYPICAL, sent(page)).hits} == {None}
    said, where = tab.belongs(str(photos / "cat" / "cat_0.png"), *place)
    assert "Nearest class" in said
    assert where is None


# Which class a picture belongs to


def test_the_nearest_classes_of_a_picture_and_where_that_shows(tab, place, library, space, photos):
    file = str(photos / "dog" / "dog_1.png")
    said, page = tab.belongs(file, *place)
    picture = library.picture(file, space)
    means = library.means_for(picture, space)
    nearest = means.nearest(picture.decomposition.embedding, 5)
    first, second = (means.labels[at] for at, _ in nearest[:2])
    assert f"Nearest class: <strong>{first}</strong>, with a mean score of {nearest[0][1]:.3f}" in said
    assert "(2 pictures)" in said
    assert [card.title for card in page.hits] == [f"like {first}", f"{first} rather than {second}"]
    own = picture.decomposition
    bias = float(own.bias @ means.means[nearest[0][0]])
    assert sum(page.hits[0].hit_map) + bias == pytest.approx(nearest[0][1], abs=1e-5)
    HitGrid().postprocess(page)


def test_a_picture_that_cannot_be_placed_is_a_sentence(tab, place, tmp_path, shelf):
    assert tab.belongs(None, *place) == ["", None]
    (tmp_path / "x.png").write_bytes(b"text")
    said, page = tab.belongs(str(tmp_path / "x.png"), *place)
    assert ("not a picture" in said, page) == (True, None)
    assert "not indexed with that network" in tab.belongs(str(tmp_path / "x.png"), "animals", "gone")[0]
    loose = tmp_path / "loose"
    loose.mkdir()
    Image.effect_noise((40, 30), 90).convert("RGB").save(loose / "new.png")
    space = indexed(shelf, "loose", loose)
    other = tab_of(shelf, tmp_path)
    assert "without labels" in other.belongs(str(loose / "new.png"), "loose", space.name)[0]
    assert other.labels("loose", space.name, None)["value"] is None
    (loose / "cat").mkdir()
    (loose / "new.png").rename(loose / "cat" / "new.png")
    indexed(shelf, "loose", loose)
    said, page = other.belongs(str(loose / "cat" / "new.png"), "loose", space.name)
    assert ("without other pictures that have labels" in said, page) == (True, None)


# Curves


def test_curves_of_what_was_chosen(tab, place, library, space, black):
    notice, figure, table = tab.curves("animals", [space.name, black.name], 10)
    assert notice == ""
    assert table.count("<tr>") == 1 + 4
    wanted = library.curves(space, 10)
    assert set(wanted) == {"same class", "different classes"}
    assert f"{100 * wanted['same class'].share():.1f} %" in table
    assert len(figure.data) >= 4


@pytest.mark.parametrize(
    ("names", "count", "reason"),
    [
        ([], 10, "no network"),
        (None, 10, "no network"),
        (["gone"], 10, "not indexed"),
        (True, 0, "0 pairs"),
        (True, None, "0 pairs"),
        (True, -5, "-5 pairs"),
    ],
)
def test_curves_of_nothing_are_a_sentence(tab, place, names, count, reason):
    notice, figure, table = tab.curves("animals", [place[1]] if names is True else names, count)
    assert reason in notice
    assert (figure, table) == (None, "")


# The Compare tab


def test_a_member_opens_beside_the_most_typical_other_one(tab, place, library, space):
    page = tab.show(*place, "cat", TYPICAL)[2]
    rows = library.members(space, "cat").rows
    for chosen, other in ((2, 0), (0, 1)):
        tabs, a, b, backbone, *_, working, pin = tab.open_pair(*place, "cat", sent(page, chosen=ids(page)[chosen]), "x")
        assert [Path(file).read_bytes() for file in (a, b)] == [
            Path(rows[at].file).read_bytes() for at in (chosen, other)
        ]
        assert (tabs["selected"], backbone["value"], working, pin) == ("Compare", NETWORK, NETWORK, None)
    score = library.session.explain(a, b, PLAIN).score
    assert score == pytest.approx(float(rows[0].embedding @ rows[1].embedding), abs=1e-5)


def test_a_member_that_is_gone_is_refused(tab, place):
    page = tab.show(*place, "cat", TYPICAL)[2]
    for asked, reason in (((*place, "gone"), "class 'gone'"), (("animals", "gone", "cat"), "not indexed")):
        with pytest.raises(gr.Error, match=reason):
            tab.open_pair(*asked, sent(page, chosen=ids(page)[0]), NETWORK)
    with pytest.raises(gr.Error, match="not in the gallery any more"):
        tab.open_pair(*place, "cat", sent(page), NETWORK)
