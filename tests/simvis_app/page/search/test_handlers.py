"""The Search tab's handlers: what the grid, the picker and the Compare tab are given."""

import base64
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from simvis_app.page.galleries.cards import GONE
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.search.hits import MARKED, WHOLE
from simvis_app.page.search.inputs import region_of
from simvis_app.page.search.why import Why
from simvis_app.service import samples, words
from simvis_app.service.galleries.galleries import SAMPLES, Asked, Galleries
from simvis_app.service.marks import checked_pin
from simvis_app.service.sessions.session import content_hash
from simvis_core.galleries.regions import region_weights
from simvis_core.galleries.search import difference_map, query_map
from simvis_core.stores.edge import EdgeIndex
from tests.driving import UNMARKED, merged
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, PLAIN, TinySession, indexed

BOX = {"kind": "box", "sign": 1, "box": [0.1, 0.1, 0.5, 0.6]}
MARKS = {
    "box": [BOX],
    "brush": [{"kind": "brush", "sign": 1, "radius": 0.1, "points": [[0.2, 0.2], [0.7, 0.4]]}],
    "point": [{"kind": "point", "sign": 1, "at": [0.4, 0.6]}],
    "several": [BOX, {"kind": "point", "sign": 1, "at": [0.9, 0.1]}, {**BOX, "sign": -1, "box": [0.5, 0.5, 0.5, 0.5]}],
}


NO_WHY = {"why_said": Why().said, "why_grid": None}
NOTHING_BEFORE = NO_WHY | {"by_region": None, "by_whole": None, "pending": None}  # what belongs to the search before


@pytest.fixture
def tab(driven, library):
    return driven.search(library)


@pytest.fixture
def asked(photos, space):
    """Picture, gallery and space as the page sends them."""
    return {"query": str(photos / "bee" / "bee_0.png"), "gallery": "animals", "space": space.name}


def picker_of(told, *regions):
    """The picker as the page sends it back once the picture is shown."""
    return {"key": told["picker"][1], "regions": list(regions)}


def searched(tab, asked, regions=()):
    """What the page sends once these regions are marked on the picture, and what the search told it."""
    marked = asked | {"picker": picker_of(tab.fill(**asked), *regions)}
    told = tab.fill(**marked)
    assert NOTHING_BEFORE.items() <= told.items()
    return marked, told


def sent(page, **changes):
    """The grid as it comes back from the page."""
    return {"key": page.key, "wanted": 0, "chosen": "", "why": [], **changes}


def ids(page):
    return [card.id for card in page.hits]


# Searching


def test_of_a_large_gallery_every_picture_can_be_compared(tab, asked, space, library, monkeypatch):
    def offered(**place):
        return tab.offer_exact(**{"gallery": "animals", "space": space.name} | place)["exact"]["visible"]

    assert (offered(), offered(space=None)) == (False, False)
    assert "graph" not in tab.fill(**asked)["status"]
    monkeypatch.setattr(library.index, "exact_below", 12)
    assert (offered(), offered(gallery="gone")) == (True, False)
    asks = []
    search = EdgeIndex.search
    monkeypatch.setattr(EdgeIndex, "search", lambda *facts: asks.append(facts[-1]) or search(*facts))
    near, exact = (tab.fill(**asked, exact=tick) for tick in (False, True))
    assert asks == [False, True]
    assert "along a graph, which may miss some" in near["status"]
    assert "graph" not in exact["status"]
    assert near["grid"].key != exact["grid"].key
    assert ids(near["grid"]) == ids(exact["grid"])
    # A page of one search is none of the other.
    again = asked | {"picker": picker_of(near), "exact": True}
    assert tab.more(**again, grid=sent(near["grid"])) == {}
    assert ids(tab.more(**again, grid=sent(exact["grid"]))["grid"]) == ids(exact["grid"])


def test_a_picture_fills_status_picker_and_grid(tab, asked, library):
    told = tab.fill(**asked)
    assert set(told) == {"notice", "status", "picker", "grid", *NOTHING_BEFORE}
    assert NOTHING_BEFORE.items() <= told.items()
    answer = library.search(Asked(*asked.values()), 24)
    assert told["notice"] == ""
    assert told["status"] == "<p>Your own file is in the gallery and left out.</p>"
    view, key, grid, regions, *_ = told["picker"]
    assert (view.size, grid, regions) == ((32, 48), (4, 6), [])
    assert key.startswith(content_hash(asked["query"]))
    page = told["grid"]
    assert (ids(page), page.total, page.skip, page.more) == ([one.row.id for one in answer.found], 11, 0, False)
    assert page.ranked == "by their score with the whole picture"
    for card, one in zip(page.hits, answer.found, strict=True):
        assert card.score == f"{one.score:.3f}"
        assert card.query_map == pytest.approx(query_map(answer.picture.decomposition, one).flatten().tolist())
        assert (card.query_grid, card.hit_map, card.stale) == ((4, 6), None, "")
        assert card.title == f"{one.row.label}/{Path(one.row.file).name}"
        with Image.open(card.image) as image:
            assert image.width / image.height == pytest.approx(card.aspect)


@pytest.mark.parametrize("kind", MARKS)
def test_marks_rank_by_their_share(tab, asked, library, kind):
    marked, told = searched(tab, asked, MARKS[kind])
    regions = tuple(map(region_of, MARKS[kind]))
    answer = library.search(Asked(*asked.values(), regions), 24)
    own = answer.picture.decomposition
    weights = region_weights(regions, answer.picture.view.size, own.grid)
    assert told["notice"] == ""
    assert told["picker"][3] == MARKS[kind]
    carried = float((weights * own.similarity_map(own.embedding)).sum())
    assert told["grid"].ranked.startswith("by the share of the score that the marked region carries")
    assert told["grid"].ranked.endswith(f"it carries {words.number(carried)} of 1")
    assert ids(told["grid"]) == [one.row.id for one in answer.found]
    for card in told["grid"].hits:
        assert float(card.score) == pytest.approx(sum(card.query_map), abs=6e-4)  # what was marked, and nothing else
        assert all(weight or not value for weight, value in zip(weights.flatten(), card.query_map, strict=True))
        assert "of the whole score" in card.note
    assert tab.mark(**marked) == {"notice": "", "status": told["status"], "grid": told["grid"]} | NO_WHY


def test_marks_of_another_picture_do_not_count(tab, asked, photos):
    marked, before = searched(tab, asked, MARKS["several"])
    asked["query"] = marked["query"] = str(photos / "cat" / "cat_0.png")
    told = tab.fill(**marked)
    assert "the whole picture" in told["grid"].ranked
    assert told["picker"][3] == []
    assert told["grid"] == tab.fill(**asked)["grid"]
    assert told["grid"].key != before["grid"].key


def test_labels_narrow_the_hits(tab, asked):
    page = tab.fill(**asked, labels=["cat", "dog"])["grid"]
    assert {card.label for card in page.hits} == {"cat", "dog"}
    assert page.total == 6


@pytest.mark.parametrize("file", [None, "text", "missing"])
def test_what_is_no_picture_is_a_sentence_and_empties_the_page(tab, asked, tmp_path, file):
    (tmp_path / "<i>text.png").write_bytes(b"text")
    asked["query"] = None if file is None else str(tmp_path / f"<i>{file}.png")
    told = tab.fill(**asked)
    notice = told.pop("notice")
    assert {None: "Drop a picture", "text": "not a picture", "missing": "cannot be opened"}[file] in notice
    assert "<i>" not in notice
    assert told == {"status": "", "picker": None, "grid": None} | NOTHING_BEFORE
    assert tab.mark(**asked | {"query": None}) == {}
    assert tab.mark(**asked) == {}  # nothing can be marked yet


def test_a_box_that_covers_nothing_is_a_sentence_and_the_picture_stays(tab, asked):
    cancelled = [BOX, {**BOX, "sign": -1}]
    marked, told = searched(tab, asked, cancelled)
    assert "cancelling out" in told["notice"]
    assert told["picker"][3] == cancelled
    assert told["grid"] is None
    again = tab.mark(**marked)
    assert "cancelling out" in again["notice"]
    assert set(again) == {"notice"}


def test_a_gallery_indexed_otherwise_is_a_sentence_and_the_page_stays_usable(driven, shelf, own_photos):
    [space] = shelf.spaces("animals")
    shelf.close()
    session = TinySession()
    session.seed = 12
    later = Galleries(session, shelf.home)
    tab = driven.search(later)
    asked = {"query": str(own_photos / "ape" / "ape_0.png"), "gallery": "animals", "space": space.name}
    told = tab.fill(**asked)
    assert f"which was indexed with {NETWORK} (avg) but with other weights" in told.pop("notice")
    assert told == {"status": "", "picker": None, "grid": None} | NOTHING_BEFORE
    new = indexed(later, "animals", own_photos)
    [offered] = driven.offers(later).open_tab(gallery="animals", space=space.name)
    labels = [label for label, _ in offered["space"]["choices"]]
    assert len(set(labels)) == 2
    assert all("weights" in label for label in labels)
    assert tab.fill(**asked | {"space": new.name})["notice"] == ""
    later.close()


def test_a_locked_gallery_is_a_sentence_with_the_cure_and_compare_goes_on(driven, shelf, own_photos):
    [space] = shelf.spaces("animals")
    shelf.close()
    other, late = EdgeIndex(shelf.home / "index"), Galleries(TinySession(), shelf.home)
    other.ensure(space)
    tab, offers = driven.search(late), driven.offers(late)
    files = [own_photos / "ape" / f"ape_{at}.png" for at in (0, 1)]
    asked = {"query": str(files[0]), "gallery": "animals", "space": space.name}
    [told] = offers.open_tab(gallery="animals", space=space.name)
    assert "another process holds open" in told["notice"]
    assert "--index-url" in told["notice"]
    listed = [told[name]["choices"] for name in ("gallery", "space", "labels")]
    assert listed == [[SAMPLES, "animals"], [], []]  # the others can be chosen
    for said in (offers.choose_gallery(gallery="animals", space=None), tab.fill(**asked)):
        assert "another process holds open" in said["notice"]
    assert late.session.explain(*files, PLAIN).score
    other.close()
    assert tab.fill(**asked)["notice"] == ""
    late.close()


# Further pages and maps


def test_further_pages_are_the_one_long_list_and_a_stale_key_is_skipped(tab, asked, monkeypatch):
    _, told = searched(tab, asked, MARKS["several"])
    long = told["grid"]
    monkeypatch.setattr("simvis_app.page.search.handlers.PAGE", 4)
    marked, told = searched(tab, asked, MARKS["several"])
    first = told["grid"]
    pages = [first]
    while pages[-1].more:
        wanted = sum(len(page.hits) for page in pages)
        pages.append(tab.more(**marked, grid=sent(first, wanted=wanted))["grid"])
    assert [id for page in pages for id in ids(page)] == ids(long)
    assert [page.skip for page in pages] == [0, 4, 8]
    assert {(page.key, page.scale_query, page.scale_hit) for page in pages} == {
        (first.key, first.scale_query, first.scale_hit)
    }
    for change in (
        {"picker": UNMARKED},
        {"labels": ["cat"]},
        {"query": None},
        {"grid": sent(first, key="", wanted=4)},
        {"space": "nosuchspace"},
    ):
        other = marked | {"grid": sent(first, wanted=4)} | change
        assert tab.more(**other) == {}
        assert merged(tab.maps(**other)) == {}
    assert ids(tab.more(**marked, grid=sent(first, wanted=1000))["grid"]) == []


def test_maps_are_added_for_the_asked_range(tab, asked, library, monkeypatch):
    monkeypatch.setattr("simvis_app.page.search.handlers.PAGE", 4)
    marked, told = searched(tab, asked, MARKS["box"])
    first = told["grid"]
    told = merged(tab.maps(**marked, grid=sent(first, wanted=4)))
    page, by_region, by_whole = (told[name] for name in ("grid", "by_region", "by_whole"))
    regions = tuple(map(region_of, MARKS["box"]))
    answer = library.search(Asked(*asked.values(), regions), 4, 4)
    assert (page.key, page.skip, ids(page)) == (first.key, 4, [one.row.id for one in answer.found])
    for card, one in zip(page.hits, answer.found, strict=True):
        own = library.picture(one.row.file, answer.space).decomposition
        assert (card.hit_grid, card.stale) == (own.grid, "")
        assert card.hit_map == pytest.approx(own.similarity_map(answer.query).flatten().tolist(), abs=1e-6)
        # Cells of the hit, its bias's part, and the region's share are one number.
        assert sum(card.hit_map) + float(own.bias @ answer.query) == pytest.approx(one.score, abs=1e-5)
    assert (by_region.key, by_whole.key) == (first.key + MARKED, tab.fill(**asked)["grid"].key + WHOLE)
    for page in (by_region, by_whole):
        assert len({card.label for card in page.hits}) == len(page.hits) == 3
        assert all(card.hit_map is not None for card in page.hits)


def test_the_grid_takes_every_page(tab, asked):
    marked, told = searched(tab, asked, MARKS["several"])
    page = told["grid"]
    mapped = merged(tab.maps(**marked, grid=sent(page)))
    why = tab.why(**marked, grid=sent(page, why=ids(page)[:2]))["why_grid"]
    grid = HitGrid()
    for shown in (page, mapped["grid"], mapped["by_region"], mapped["by_whole"], why):
        data = grid.postprocess(shown)
        assert len(data.hits) == len(shown.hits)
        for card, made in zip(data.hits, shown.hits, strict=True):
            steps = np.frombuffer(base64.b64decode(card.hit_map or ""), "<i2")
            assert len(steps) == len(made.hit_map or [])


def test_a_hit_whose_file_is_gone_or_changed_is_said_to_be_stale(driven, shelf, own_photos):
    [space] = shelf.spaces("animals")
    tab = driven.search(shelf)
    asked = {"query": str(own_photos / "ape" / "ape_0.png"), "gallery": "animals", "space": space.name}
    (own_photos / "cat" / "cat_0.png").unlink()
    Image.new("RGB", (30, 30), "teal").save(own_photos / "cat" / "cat_1.png")
    marked, told = searched(tab, asked)
    maps = merged(tab.maps(**marked, grid=sent(told["grid"])))["grid"]
    stale = {card.title: card for card in maps.hits if card.stale}
    assert set(stale) == {"cat/cat_0.png", "cat/cat_1.png"}
    assert "cannot be opened" in stale["cat/cat_0.png"].stale
    assert "has changed since it was indexed" in stale["cat/cat_1.png"].stale
    assert stale["cat/cat_0.png"].hit_map is None
    for row in shelf.index.scan(space):
        shelf.gallery("animals").thumbnail_file(row.sha256).unlink()
    page = tab.fill(**marked)["grid"]
    gone = {card.title: card for card in page.hits if card.image is None}
    assert set(gone) == {"cat/cat_0.png", "cat/cat_1.png"}
    assert {card.stale for card in gone.values()} == {GONE}
    with pytest.raises(gr.Error, match="file is gone"):
        tab.open_pair(**marked, grid=sent(page, chosen=gone["cat/cat_0.png"].id))


# Black boxes


def test_a_black_box_is_searched_whole_without_maps_and_its_regions_are_refused(tab, asked, black):
    asked["space"] = black.name
    marked, told = searched(tab, asked)
    assert told["notice"] == ""
    assert len(told["grid"].hits) == 11
    assert {card.query_map for card in told["grid"].hits} == {None}
    mapped = merged(tab.maps(**marked, grid=sent(told["grid"])))
    assert {card.hit_map for card in mapped["grid"].hits} == {None}
    assert len(mapped["by_region"].hits) == 3
    HitGrid().postprocess(mapped["grid"])
    marked, told = searched(tab, asked, MARKS["box"])
    assert f"a region for {BLACK_BOX} under avg, a black box" in told["notice"]
    assert (told["picker"][3], told["grid"]) == (MARKS["box"], None)
    assert "a black box" in tab.mark(**marked)["notice"]


# Why, and the Compare tab


def test_why_one_hit_and_not_another_adds_up(tab, asked, library):
    marked, told = searched(tab, asked)
    page = told["grid"]
    both = [page.hits[0], page.hits[-1]]
    why = tab.why(**marked, grid=sent(page, why=[card.id for card in both]))
    assert set(why) == {"why_said", "why_grid"}
    answer = library.hits(Asked(*asked.values()), [card.id for card in both])
    first, second = answer.found
    assert f"scores {first.cosine - second.cosine:.3f} more with <em>{both[0].title}" in why["why_said"]
    left, middle, right = why["why_grid"].hits
    assert [left.id, right.id] == [card.id for card in both]
    own = answer.picture.decomposition
    assert middle.hit_map == pytest.approx(difference_map(own, first.row, second.row).flatten().tolist(), abs=1e-6)
    bias = float(own.bias @ torch.from_numpy(first.row.embedding - second.row.embedding))
    assert sum(middle.hit_map) + bias == pytest.approx(first.cosine - second.cosine, abs=1e-5)
    turned = tab.why(**marked, grid=sent(page, why=[card.id for card in both[::-1]]))["why_said"]
    assert f"{first.cosine - second.cosine:.3f} less with <em>{both[1].title}" in turned


def test_why_of_marks_is_the_difference_of_what_they_carry(tab, asked, library):
    marked, told = searched(tab, asked, MARKS["box"])
    both = [told["grid"].hits[0], told["grid"].hits[-1]]
    why = tab.why(**marked, grid=sent(told["grid"], why=[card.id for card in both]))
    regions = tuple(map(region_of, MARKS["box"]))
    first, second = library.hits(Asked(*asked.values(), regions), [card.id for card in both]).found
    assert first.score > second.score
    assert f"What you marked carries {first.score - second.score:.3f} more with" in why["why_said"]
    assert sum(why["why_grid"].hits[1].hit_map) == pytest.approx(first.score - second.score, abs=1e-5)


@pytest.mark.parametrize("marks", [None, "box"])
def test_why_one_hit_is_its_lead_over_the_mean_of_the_others(tab, asked, library, marks):
    marked, told = searched(tab, asked, *([MARKS[marks]] if marks else []))
    page = told["grid"]
    last = page.hits[-1]
    why = tab.why(**marked, grid=sent(page, why=[last.id]))
    regions = tuple(map(region_of, MARKS[marks])) if marks else ()
    answer = library.hits(Asked(*asked.values(), regions), [card.id for card in page.hits])
    *others, hit = answer.found
    lead = hit.score - sum(one.score for one in others) / len(others)
    assert lead < 0
    who = "What you marked carries" if marks else "Your picture scores"
    said = f"{who} {words.number(-lead)} less with <em>{last.title}</em> than with the mean of the {len(others)}"
    assert said in why["why_said"]
    card, middle = why["why_grid"].hits
    assert (card.id, middle.score) == (last.id, words.signed(lead))
    own, mean = answer.picture.decomposition, sum(one.row.embedding for one in others) / len(others)
    bias = 0.0 if marks else float(own.bias @ torch.from_numpy(hit.row.embedding - mean))
    assert sum(middle.hit_map) + bias == pytest.approx(lead, abs=1e-5)
    assert tab.why(**marked, grid=sent(page, why=[])) == NO_WHY


def test_why_needs_hits_that_are_there(tab, asked):
    marked, told = searched(tab, asked)
    page = told["grid"]
    gone = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    for why in ([gone], [page.hits[0].id, gone]):
        assert tab.why(**marked, grid=sent(page, why=why)) == {}
    asks = sent(page, why=ids(page)[:2])
    assert tab.why(**marked | {"query": None}, grid=asks) == {}
    with pytest.raises(gr.Error, match="not indexed with that network"):
        tab.why(**asked | {"space": "gone"}, grid=asks)


def test_a_hit_opens_beside_the_query_with_its_settings_and_its_region(tab, asked, library):
    marked, told = searched(tab, asked, MARKS["several"])
    hit = told["grid"].hits[2]
    opened = tab.open_pair(**marked, grid=sent(told["grid"], chosen=hit.id), working="efficientnet_lite0")
    assert opened["tabs"]["selected"] == "Compare"
    image_a, image_b, pooling = opened["image_a"], opened["image_b"], opened["pooling"]
    assert image_a == asked["query"]
    [row] = [row for row in library.index.scan(library.space("animals", asked["space"])) if row.id == hit.id]
    assert Path(image_b).read_bytes() == Path(row.file).read_bytes()
    assert image_b != row.file  # a copy that the browser may fetch
    assert (opened["backbone"]["value"], opened["working"]) == (NETWORK, NETWORK)
    assert (pooling["value"], opened["exponent"]["visible"]) == ("avg", False)
    assert (opened["short_side"]["value"], opened["framing"]) == (32, "whole")
    pin = opened["state"]
    assert checked_pin(pin, {"a": (4, 6), "b": (6, 4)}) == pin
    pair = library.session.explain(image_a, image_b, PLAIN)
    share = float((torch.tensor(pin["weights"]).reshape(4, 6) * pair.map_a).sum())
    assert float(hit.score) == pytest.approx(share, abs=1e-3)


def test_a_whole_search_and_a_hit_of_the_whole_picture_open_without_a_region(tab, asked):
    whole, told = searched(tab, asked)
    assert tab.open_pair(**whole, grid=sent(told["grid"], chosen=ids(told["grid"])[0]))["state"] is None
    marked, told = searched(tab, asked, MARKS["box"])
    page = told["grid"]
    grid = sent(page, key=page.key + WHOLE, chosen=ids(page)[0])
    assert tab.open_pair(**marked, by_whole=grid)["state"] is None
    grid = sent(page, key=page.key + MARKED, chosen=ids(page)[0])
    assert tab.open_pair(**marked, by_region=grid)["state"] is not None


@pytest.mark.parametrize("chosen", ["", "0" * 8 + "-0000-0000-0000-" + "0" * 12])
def test_a_hit_that_is_gone_is_refused(tab, asked, chosen):
    marked, told = searched(tab, asked)
    with pytest.raises(gr.Error, match="not in the gallery any more"):
        tab.open_pair(**marked, grid=sent(told["grid"], chosen=chosen))


def test_an_example_is_the_chosen_picture(tab):
    for number, file in enumerate(samples.singles()):
        told = tab.show_example(SimpleNamespace(index=number))
        assert Path(told["query"]).read_bytes() == file.read_bytes()


def test_a_picture_of_the_compare_tab_is_taken_where_there_is_one(tab, asked):
    assert tab.take(asked["query"]) == {"query": asked["query"]}
    with pytest.raises(gr.Error, match="no such picture on the Compare tab"):
        tab.take(None)


def test_a_search_says_what_was_not_taken_and_draws_marks_that_are_pending(tab, asked):
    told = tab.fill(**asked, refused=("kept",), pending=MARKS["box"])
    assert (told["notice"], told["seen"], told["pending"]) == ("kept", 1, None)
    assert "the marked region carries" in told["grid"].ranked
    assert told["picker"][3] == MARKS["box"]
    told_anew = picker_of(told, *MARKS["box"])
    assert tab.fill(**asked, picker=told_anew)["picker"][:-1] == told["picker"][:-1]
