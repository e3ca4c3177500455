"""The Classes tab's handlers: members, matrices, the nearest classes, curves, a pair to open."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from simvis_app.page.choices import ORDERS
from simvis_app.page.galleries.cards import GONE
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.service.galleries.galleries import SAMPLES
from simvis_core.galleries.classes import class_map
from tests.simvis_app.conftest import CLASSES, NETWORK, PLAIN, indexed, photographs

TYPICAL, UNTYPICAL = ORDERS


@pytest.fixture
def tab(driven, library):
    return driven.classes(library)


@pytest.fixture
def place(space):
    return {"gallery": "animals", "space": space.name}


@pytest.fixture
def cats(place):
    """The class of cats, the most typical first, as the page asks for it."""
    return place | {"label": "cat", "order": TYPICAL}


def sent(page, **changes):
    return {"key": page.key, "wanted": 0, "chosen": "", "why": [], **changes}


def ids(page):
    return [card.id for card in page.hits]


def test_the_classes_are_listed_and_a_chosen_one_stays(tab, place):
    listed = tab.labels(**place)["label"]
    assert listed["choices"] == [(f"{label} (3)", label) for label in CLASSES]
    assert listed["value"] == "ape"
    assert tab.labels(**place, label="dog")["label"]["value"] == "dog"
    assert tab.labels(**place, label="gone")["label"]["value"] == "ape"
    for gallery, space in (("animals", ""), ("animals", None), (SAMPLES, "gone")):
        told = tab.labels(gallery=gallery, space=space, label="dog")
        assert told == {"label": gr.update(choices=[], value=None)}


def test_classes_of_one_come_last_and_pictures_without_a_label_make_none(driven, shelf, tmp_path):
    folder = photographs(tmp_path / "few")
    (folder / "ape" / "ape_0.png").rename(folder / "loose.png")
    for at in (0, 1):
        (folder / "bee" / f"bee_{at}.png").unlink()
    space = indexed(shelf, "few", folder)
    listed = driven.classes(shelf).labels(gallery="few", space=space.name)["label"]
    assert listed["choices"] == [("ape (2)", "ape"), ("cat (3)", "cat"), ("dog (3)", "dog"), ("bee (1)", "bee")]
    assert listed["value"] == "cat"


def test_a_class_is_shown_with_its_members_and_both_matrices(tab, cats, library, space):
    told = tab.show(**cats)
    page, matrix, means = told["grid"], told["matrix"], told["means"]
    members = library.members(space, "cat")
    assert told["notice"] == ""
    assert f"3 pictures with a mean score of {float(members.typicality.mean()):.3f}" in told["status"]
    assert ids(page) == [row.id for row in members.rows]
    assert [card.score for card in page.hits] == [f"{value:.3f}" for value in members.typicality.tolist()]
    assert (page.total, page.more, page.always) == (3, False, True)
    assert np.allclose(np.array(matrix.data[0].z, dtype=float), members.scores.numpy(), atol=6e-5)
    assert np.allclose(np.array(means.data[0].z, dtype=float), library.means(space).scores.numpy(), atol=6e-5)
    backwards = tab.show(**cats | {"order": UNTYPICAL})["grid"]
    assert ids(backwards) == ids(page)[::-1]
    assert "least typical" in backwards.hits[0].note
    assert backwards.key != page.key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": None}, "a gallery without classes"),
        ({"label": ""}, "a gallery without classes"),
        ({"label": "<b>unicorn"}, "class &#x27;&lt;b&gt;unicorn&#x27;"),
        ({"space": "gone"}, "not indexed with that network"),
    ],
)
def test_a_class_that_is_not_there_is_a_sentence(tab, cats, change, reason):
    told = tab.show(**cats | change)
    assert reason in told.pop("notice")
    assert told == {"status": "", "grid": None, "matrix": None, "means": None}


def test_members_come_page_by_page_with_their_maps(tab, cats, library, space, monkeypatch):
    monkeypatch.setattr("simvis_app.page.classes.members.PAGE", 2)
    page = tab.show(**cats)["grid"]
    assert (len(page.hits), page.more) == (2, True)
    rest = tab.more(**cats, grid=sent(page, wanted=2))["grid"]
    assert (rest.key, rest.skip, rest.more, len(rest.hits)) == (page.key, 2, False, 1)
    members = library.members(space, "cat")
    assert ids(page) + ids(rest) == [row.id for row in members.rows]
    mapped = tab.maps(**cats, grid=sent(page))["grid"]
    for at, card in enumerate(mapped.hits):
        own = library.picture(members.rows[at].file, space).decomposition
        others = members.others(at) / 2
        assert card.hit_map == pytest.approx(class_map(own, others).flatten().tolist(), abs=1e-6)
        assert sum(card.hit_map) + float(own.bias @ others) == pytest.approx(float(members.typicality[at]), abs=1e-5)
        assert card.hit_grid == own.grid
    assert tab.maps(**cats, grid=sent(page, wanted=2))["grid"].scale_hit == mapped.scale_hit > 0
    assert tab.show(**cats)["grid"].scale_hit == mapped.scale_hit
    HitGrid().postprocess(mapped)


@pytest.mark.parametrize("change", [{"space": "gone"}, {"label": "dog"}, {"label": "gone"}, {"order": UNTYPICAL}])
def test_a_stale_grid_is_left_alone(tab, cats, change):
    page = tab.show(**cats)["grid"]
    assert tab.more(**cats | change, grid=sent(page)) == {}
    assert tab.maps(**cats | change, grid=sent(page)) == {}


def test_members_whose_files_are_gone_or_changed_are_said_to_be_stale(driven, shelf, own_photos, cats):
    [space] = shelf.spaces("animals")
    tab, cats = driven.classes(shelf), cats | {"space": space.name}
    (own_photos / "cat" / "cat_0.png").unlink()
    Image.new("RGB", (30, 30), "teal").save(own_photos / "cat" / "cat_1.png")
    page = tab.show(**cats)["grid"]
    stale = {card.title: card.stale for card in tab.maps(**cats, grid=sent(page))["grid"].hits}
    assert "cannot be opened" in stale["cat/cat_0.png"]
    assert "has changed" in stale["cat/cat_1.png"]
    assert stale["cat/cat_2.png"] == ""
    for row in shelf.index.scan(space):
        shelf.gallery("animals").thumbnail_file(row.sha256).unlink()
    gone = {card.title: card.stale for card in tab.show(**cats)["grid"].hits}
    assert gone == {"cat/cat_0.png": GONE, "cat/cat_1.png": GONE, "cat/cat_2.png": ""}


def test_a_picture_alone_in_its_class(driven, shelf, own_photos, cats):
    for at in (0, 1):
        (own_photos / "cat" / f"cat_{at}.png").unlink()
    space = indexed(shelf, "fewer", own_photos)
    tab, alone = driven.classes(shelf), cats | {"gallery": "fewer", "space": space.name}
    told = tab.show(**alone)
    page = told["grid"]
    assert (told["notice"], len(page.hits), told["matrix"]) == ("", 1, None)
    assert "nothing to be alike with" in told["status"]
    [card] = tab.maps(**alone, grid=sent(page))["grid"].hits
    assert (card.hit_map, card.note) == (None, "alone in its class")
    alone.pop("order")
    with pytest.raises(gr.Error, match="no second picture"):
        tab.open_pair(**alone, grid=sent(page, chosen=card.id))


def test_a_black_box_has_classes_without_maps(tab, cats, black, photos):
    cats["space"] = black.name
    page = tab.show(**cats)["grid"]
    assert {card.hit_map for card in tab.maps(**cats, grid=sent(page))["grid"].hits} == {None}
    told = tab.belongs(outside=str(photos / "cat" / "cat_0.png"), gallery="animals", space=black.name)
    assert "Nearest class" in told["belongs"]
    assert told["belongs_maps"] is None


# Which class a picture belongs to


def test_the_nearest_classes_of_a_picture_and_where_that_shows(tab, place, library, space, photos):
    file = str(photos / "dog" / "dog_1.png")
    told = tab.belongs(outside=file, **place)
    said, page = told["belongs"], told["belongs_maps"]
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


def test_a_picture_that_cannot_be_placed_is_a_sentence(driven, tab, place, tmp_path, shelf):
    assert tab.belongs(**place) == {"belongs": "", "belongs_maps": None}
    (tmp_path / "x.png").write_bytes(b"text")
    told = tab.belongs(outside=str(tmp_path / "x.png"), **place, refused=("Not taken. ",))
    assert told["belongs"].startswith("Not taken. ")
    assert ("not a picture" in told["belongs"], told["belongs_maps"]) == (True, None)
    told = tab.belongs(outside=str(tmp_path / "x.png"), gallery="animals", space="gone")
    assert "not indexed with that network" in told["belongs"]
    told = tab.forget_outside()
    assert ("Drop a picture" in told["belongs"], told["belongs_maps"]) == (True, None)
    loose = tmp_path / "loose"
    loose.mkdir()
    Image.effect_noise((40, 30), 90).convert("RGB").save(loose / "new.png")
    space = indexed(shelf, "loose", loose)
    other, place = driven.classes(shelf), {"gallery": "loose", "space": space.name}
    assert "without labels" in other.belongs(outside=str(loose / "new.png"), **place)["belongs"]
    assert other.labels(**place)["label"]["value"] is None
    (loose / "cat").mkdir()
    (loose / "new.png").rename(loose / "cat" / "new.png")
    indexed(shelf, "loose", loose)
    told = other.belongs(outside=str(loose / "cat" / "new.png"), **place)
    assert "without other pictures that have labels" in told["belongs"]
    assert told["belongs_maps"] is None


# Curves


def test_everything_that_a_gallery_was_indexed_with_is_offered_for_curves(tab, space, black):
    offered = tab.offer_spaces(gallery="animals")["curve_spaces"]
    assert {value for _, value in offered["choices"]} == {*offered["value"]} == {space.name, black.name}
    assert tab.offer_spaces(gallery="gone") == {"curve_spaces": gr.update(choices=[], value=[])}


def test_curves_of_what_was_chosen(tab, library, space, black):
    told = tab.curves(gallery="animals", curve_spaces=[space.name, black.name], pairs=10)
    figure, table = told["curve_plot"], told["curve_table"]
    assert told["curve_notice"] == ""
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
    names = [place["space"]] if names is True else names
    told = tab.curves(gallery="animals", curve_spaces=names, pairs=count)
    assert reason in told.pop("curve_notice")
    assert told == {"curve_plot": None, "curve_table": ""}


# The Compare tab


def test_a_member_opens_beside_the_most_typical_other_one(tab, cats, place, library, space):
    page = tab.show(**cats)["grid"]
    rows = library.members(space, "cat").rows
    for chosen, other in ((2, 0), (0, 1)):
        opened = tab.open_pair(**place, label="cat", grid=sent(page, chosen=ids(page)[chosen]), working="x")
        a, b = opened["image_a"], opened["image_b"]
        assert [Path(file).read_bytes() for file in (a, b)] == [
            Path(rows[at].file).read_bytes() for at in (chosen, other)
        ]
        assert (opened["tabs"]["selected"], opened["backbone"]["value"]) == ("Compare", NETWORK)
        assert (opened["working"], opened["state"]) == (NETWORK, None)
    score = library.session.explain(a, b, PLAIN).score
    assert score == pytest.approx(float(rows[0].embedding @ rows[1].embedding), abs=1e-5)


def test_a_member_that_is_gone_is_refused(tab, cats, place):
    page = tab.show(**cats)["grid"]
    cat = place | {"label": "cat"}
    for change, reason in (({"label": "gone"}, "class 'gone'"), ({"space": "gone"}, "not indexed")):
        with pytest.raises(gr.Error, match=reason):
            tab.open_pair(**cat | change, grid=sent(page, chosen=ids(page)[0]))
    with pytest.raises(gr.Error, match="not in the gallery any more"):
        tab.open_pair(**cat, grid=sent(page))
