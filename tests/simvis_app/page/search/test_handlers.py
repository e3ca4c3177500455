"""The Search tab's handlers as plain functions: what the grid, the picker and the Compare tab are given."""

import base64
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.search.handlers import EMPTY, GONE, MARKED, NO_WHY, WHOLE, SearchHandlers, region_of
from simvis_app.service import samples, words
from simvis_app.service.galleries.galleries import SAMPLES, Asked, Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.marks import checked_pin
from simvis_app.service.sessions.session import content_hash
from simvis_core.galleries.regions import region_weights
from simvis_core.galleries.search import difference_map, query_map
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_app.conftest import BLACK_BOX, NETWORK, PLAIN, TinySession, indexed

NOTHING = {"key": "", "regions": []}
BOX = {"kind": "box", "sign": 1, "box": [0.1, 0.1, 0.5, 0.6]}
MARKS = {
    "box": [BOX],
    "brush": [{"kind": "brush", "sign": 1, "radius": 0.1, "points": [[0.2, 0.2], [0.7, 0.4]]}],
    "point": [{"kind": "point", "sign": 1, "at": [0.4, 0.6]}],
    "several": [BOX, {"kind": "point", "sign": 1, "at": [0.9, 0.1]}, {**BOX, "sign": -1, "box": [0.5, 0.5, 0.5, 0.5]}],
}


def tab_of(galleries, folder):
    return SearchHandlers(galleries, Handlers(galleries.session, LinkedPictures(folder / "links")))


@pytest.fixture
def tab(library, tmp_path):
    return tab_of(library, tmp_path)


@pytest.fixture
def asked(photos, space):
    """Picture, gallery, space and labels as the page sends them."""
    return [str(photos / "bee" / "bee_0.png"), "animals", space.name, []]


def searched(tab, asked, regions=()):
    """The picker as the page sends it back once the picture is shown, and the first page."""
    picked = tab.search(*asked, NOTHING)[2]
    picker = {"key": picked[1], "regions": list(regions)}
    answer = tab.search(*asked, picker)
    assert answer[4:] == EMPTY  # of the search before
    return picker, answer[:4]


def sent(page, **changes):
    """The grid as it comes back from the page."""
    return {"key": page.key, "wanted": 0, "chosen": "", "why": [], **changes}


def ids(page):
    return [card.id for card in page.hits]


# The page as it opens


def test_the_tab_opens_with_a_gallery_its_networks_and_its_labels(tab, space, black):
    [(notice, gallery, spaces, labels)] = list(tab.open_tab("animals", None, None))
    assert notice == ""
    assert (gallery["value"], gallery["choices"]) == ("animals", [SAMPLES, "animals"])
    assert {value for _, value in spaces["choices"]} == {space.name, black.name}
    assert spaces["value"] in (space.name, black.name)
    assert labels["choices"] == [(f"{name} (3)", name) for name in ("ape", "bee", "cat", "dog")]
    [(_, _, kept, chosen)] = list(tab.open_tab("animals", black.name, ["cat", "gone"]))
    assert (kept["value"], chosen["value"]) == (black.name, ["cat"])


def test_a_gallery_that_is_gone_gives_way_to_the_first(tab):
    [(_, gallery, spaces, _)] = list(tab.open_tab("deleted", None, None))
    assert (gallery["value"], spaces["value"], spaces["choices"]) == (SAMPLES, None, [])


def test_the_samples_are_waited_for_and_other_runs_are_not(shelf, tmp_path, monkeypatch):
    tab = tab_of(shelf, tmp_path)
    run = shelf.indexing("animals", shelf.listing("animals", "."), PLAIN)
    next(run)
    assert len(list(tab.open_tab(SAMPLES, None, None))) == 1
    assert len(list(tab.open_tab("animals", None, None))) == 1
    run.close()
    monkeypatch.setattr(samples, "PICTURES", shelf.pictures)
    with shelf.session._turn:  # the samples cannot begin
        thread = shelf.index_samples(PLAIN)
        opening = tab.open_tab(SAMPLES, None, None)
        notice, *rest = next(opening)
        assert "Gallery 'samples' is being indexed" in notice
        assert all(part == gr.skip() for part in rest)
        assert len(list(tab.open_tab("animals", None, None))) == 1
    thread.join(60)
    notice, gallery, spaces, labels = list(opening)[-1]
    assert (notice, gallery["value"], len(spaces["choices"]), len(labels["choices"])) == ("", SAMPLES, 1, 4)


def test_samples_that_could_not_be_indexed_are_said_to_be_so(shelf, tmp_path):
    shelf.failed = "Got <b>nothing</b>."
    [(notice, *_)] = list(tab_of(shelf, tmp_path).open_tab(SAMPLES, None, None))
    assert "Got &lt;b&gt;nothing" in notice
    [(notice, *_)] = list(tab_of(shelf, tmp_path).open_tab("animals", None, None))
    assert notice == ""


def test_another_gallery_brings_its_own_choices(tab, space, black):
    notice, spaces, labels = tab.choose_gallery("animals", black.name)
    assert (notice, spaces["value"], labels["value"]) == ("", black.name, [])
    notice, spaces, labels = tab.choose_gallery(SAMPLES, space.name)
    assert (notice, spaces["value"], spaces["choices"], labels["choices"]) == ("", None, [], [])


# Searching


def test_of_a_large_gallery_every_picture_can_be_compared(tab, asked, space, library, monkeypatch):
    assert tab.offer_exact("animals", space.name)["visible"] is False
    assert tab.offer_exact("animals", None)["visible"] is False
    assert "graph" not in tab.search(*asked, NOTHING)[1]
    monkeypatch.setattr(library.index, "exact_below", 12)
    assert tab.offer_exact("animals", space.name)["visible"] is True
    assert tab.offer_exact("gone", space.name)["visible"] is False
    asks = []
    search = EdgeIndex.search
    monkeypatch.setattr(EdgeIndex, "search", lambda *facts: asks.append(facts[-1]) or search(*facts))
    near, exact = (tab.search(*asked, NOTHING, tick) for tick in (False, True))
    assert asks == [False, True]
    assert "along a graph, which may miss some" in near[1]
    assert "graph" not in exact[1]
    assert near[3].key != exact[3].key
    assert ids(near[3]) == ids(exact[3])
    # A page of one search is none of the other.
    picker = {"key": near[2][1], "regions": []}
    assert tab.more(*asked, picker, True, sent(near[3])) == gr.skip()
    assert ids(tab.more(*asked, picker, True, sent(exact[3]))) == ids(exact[3])


def test_a_picture_fills_status_picker_and_grid(tab, asked, library):
    notice, status, picked, page, *rest = tab.search(*asked, NOTHING)
    assert rest == EMPTY
    answer = library.search(Asked(*asked[:3]), 24)
    assert notice == ""
    assert "11 pictures, ranked by their score with the whole picture" in status
    view, key, grid, regions, *_ = picked
    assert (view.size, grid, regions) == ((32, 48), (4, 6), [])
    assert key.startswith(content_hash(asked[0]))
    assert (ids(page), page.total, page.skip, page.more) == ([one.row.id for one in answer.found], 11, 0, False)
    for card, one in zip(page.hits, answer.found, strict=True):
        assert card.score == f"{one.score:.3f}"
        assert card.query_map == pytest.approx(query_map(answer.picture.decomposition, one).flatten().tolist())
        assert (card.query_grid, card.hit_map, card.stale) == ((4, 6), None, "")
        assert card.title == f"{one.row.label}/{Path(one.row.file).name}"
        with Image.open(card.image) as image:
            assert image.width / image.height == pytest.approx(card.aspect)


@pytest.mark.parametrize("kind", MARKS)
def test_marks_rank_by_their_share(tab, asked, library, kind):
    picker, (notice, status, picked, page) = searched(tab, asked, MARKS[kind])
    regions = tuple(map(region_of, MARKS[kind]))
    answer = library.search(Asked(*asked[:3], regions), 24)
    own = answer.picture.decomposition
    weights = region_weights(regions, answer.picture.view.size, own.grid)
    assert notice == ""
    assert picked[3] == MARKS[kind]
    assert "the share of the score that the marked region carries" in status
    assert ids(page) == [one.row.id for one in answer.found]
    for card in page.hits:
        assert float(card.score) == pytest.approx(sum(card.query_map), abs=6e-4)  # what was marked, and nothing else
        assert all(weight or not value for weight, value in zip(weights.flatten(), card.query_map, strict=True))
        assert "of the whole score" in card.note
    assert tab.mark(*asked, picker) == ["", status, page, *NO_WHY]


def test_marks_of_another_picture_do_not_count(tab, asked, photos):
    picker, (_, _, _, marked) = searched(tab, asked, MARKS["several"])
    asked[0] = str(photos / "cat" / "cat_0.png")
    _, status, picked, page = tab.search(*asked, picker)[:4]
    assert "the whole picture" in status
    assert picked[3] == []
    assert page == tab.search(*asked, NOTHING)[3]
    assert page.key != marked.key


def test_labels_narrow_the_hits(tab, asked):
    asked[3] = ["cat", "dog"]
    page = tab.search(*asked, NOTHING)[3]
    assert {card.label for card in page.hits} == {"cat", "dog"}
    assert page.total == 6


@pytest.mark.parametrize("file", [None, "text", "missing"])
def test_what_is_no_picture_is_a_sentence_and_empties_the_page(tab, asked, tmp_path, file):
    (tmp_path / "<i>text.png").write_bytes(b"text")
    asked[0] = None if file is None else str(tmp_path / f"<i>{file}.png")
    notice, status, picked, page, *rest = tab.search(*asked, NOTHING)
    assert rest == EMPTY
    assert {None: "Drop a picture", "text": "not a picture", "missing": "cannot be opened"}[file] in notice
    assert "<i>" not in notice
    assert (status, picked, page) == ("", None, None)
    assert tab.mark(None, *asked[1:], NOTHING) == [gr.skip()] * 5


def test_a_box_that_covers_nothing_is_a_sentence_and_the_picture_stays(tab, asked):
    cancelled = [BOX, {**BOX, "sign": -1}]
    picker, (notice, _, picked, page) = searched(tab, asked, cancelled)
    assert "cancelling out" in notice
    assert picked[3] == cancelled
    assert page is None
    said, *rest = tab.mark(*asked, picker)
    assert "cancelling out" in said
    assert rest == [gr.skip()] * 4


def test_a_gallery_indexed_otherwise_is_a_sentence_and_the_page_stays_usable(shelf, own_photos, tmp_path):
    [space] = shelf.spaces("animals")
    shelf.close()
    session = TinySession()
    session.seed = 12
    later = Galleries(session, shelf.home)
    tab = tab_of(later, tmp_path)
    asked = [str(own_photos / "ape" / "ape_0.png"), "animals", space.name, []]
    notice, *rest = tab.search(*asked, NOTHING)
    assert f"which was indexed with {NETWORK} (avg) but with other weights" in notice
    assert rest == ["", None, None, *EMPTY]
    new = indexed(later, "animals", own_photos)
    [(_, _, spaces, _)] = list(tab.open_tab("animals", space.name, None))
    labels = [label for label, _ in spaces["choices"]]
    assert len(set(labels)) == 2
    assert all("weights" in label for label in labels)
    asked[2] = new.name
    assert tab.search(*asked, NOTHING)[0] == ""
    later.close()


def test_a_locked_gallery_is_a_sentence_with_the_cure_and_compare_goes_on(shelf, own_photos, tmp_path):
    [space] = shelf.spaces("animals")
    shelf.close()
    other, late = EdgeIndex(shelf.home / "index"), Galleries(TinySession(), shelf.home)
    other.ensure(space)
    tab = tab_of(late, tmp_path)
    files = [str(own_photos / "ape" / f"ape_{at}.png") for at in (0, 1)]
    [(notice, *rest)] = list(tab.open_tab("animals", space.name, None))
    assert "another process holds open" in notice
    assert "--index-url" in notice
    assert [part["choices"] for part in rest] == [[SAMPLES, "animals"], [], []]  # the others can be chosen
    for said in (tab.choose_gallery("animals", None), tab.search(files[0], "animals", space.name, [], NOTHING)):
        assert "another process holds open" in said[0]
    viewer = {"key": "", "pin": None, "mode": "share"}
    assert tab.compare.compare(*files, NETWORK, "avg", 3.0, 32, "whole", None, viewer, 3, None)[0] == ""
    other.close()
    assert tab.search(files[0], "animals", space.name, [], NOTHING)[0] == ""
    late.close()


# Further pages and maps


def test_further_pages_are_the_one_long_list_and_a_stale_key_is_skipped(tab, asked, monkeypatch):
    picker, (*_, long) = searched(tab, asked, MARKS["several"])
    monkeypatch.setattr("simvis_app.page.search.handlers.PAGE", 4)
    picker, (*_, first) = searched(tab, asked, MARKS["several"])
    pages = [first]
    while pages[-1].more:
        shown = sum(len(page.hits) for page in pages)
        pages.append(tab.more(*asked, picker, sent(first, wanted=shown)))
    assert [id for page in pages for id in ids(page)] == ids(long)
    assert [page.skip for page in pages] == [0, 4, 8]
    assert {(page.key, page.scale_query, page.scale_hit) for page in pages} == {
        (first.key, first.scale_query, first.scale_hit)
    }
    for values in (
        (*asked, NOTHING, sent(first, wanted=4)),
        (*asked[:3], ["cat"], picker, sent(first, wanted=4)),
        (None, *asked[1:], picker, sent(first, wanted=4)),
        (*asked, picker, sent(first, key="", wanted=4)),
        (*asked[:2], "nosuchspace", [], picker, sent(first, wanted=4)),
    ):
        assert tab.more(*values) == gr.skip()
        assert tab.maps(*values) == [gr.skip()] * 3
    assert ids(tab.more(*asked, picker, sent(first, wanted=1000))) == []


def test_maps_are_added_for_the_asked_range(tab, asked, library, monkeypatch):
    monkeypatch.setattr("simvis_app.page.search.handlers.PAGE", 4)
    picker, (*_, first) = searched(tab, asked, MARKS["box"])
    page, by_region, by_whole = tab.maps(*asked, picker, sent(first, wanted=4))
    regions = tuple(map(region_of, MARKS["box"]))
    answer = library.search(Asked(*asked[:3], regions), 4, 4)
    assert (page.key, page.skip, ids(page)) == (first.key, 4, [one.row.id for one in answer.found])
    for card, one in zip(page.hits, answer.found, strict=True):
        own = library.picture(one.row.file, library.space(*asked[1:3])).decomposition
        assert (card.hit_grid, card.stale) == (own.grid, "")
        assert card.hit_map == pytest.approx(own.similarity_map(answer.query).flatten().tolist(), abs=1e-6)
        # Cells of the hit, its bias's part, and the region's share are one number.
        assert sum(card.hit_map) + float(own.bias @ answer.query) == pytest.approx(one.score, abs=1e-5)
    assert (by_region.key, by_whole.key) == (first.key + MARKED, tab.search(*asked, NOTHING)[3].key + WHOLE)
    for page in (by_region, by_whole):
        assert len({card.label for card in page.hits}) == len(page.hits) == 3
        assert all(card.hit_map is not None for card in page.hits)


def test_the_grid_takes_every_page(tab, asked):
    picker, (*_, page) = searched(tab, asked, MARKS["several"])
    grid = HitGrid()
    for shown in (
        page,
        *tab.maps(*asked, picker, sent(page)),
        tab.why(*asked, picker, sent(page, why=ids(page)[:2]))[1],
    ):
        data = grid.postprocess(shown)
        assert len(data.hits) == len(shown.hits)
        for card, made in zip(data.hits, shown.hits, strict=True):
            steps = np.frombuffer(base64.b64decode(card.hit_map or ""), "<i2")
            assert len(steps) == len(made.hit_map or [])


def test_a_hit_whose_file_is_gone_or_changed_is_said_to_be_stale(shelf, own_photos, tmp_path):
    [space] = shelf.spaces("animals")
    tab = tab_of(shelf, tmp_path)
    asked = [str(own_photos / "ape" / "ape_0.png"), "animals", space.name, []]
    (own_photos / "cat" / "cat_0.png").unlink()
    Image.new("RGB", (30, 30), "teal").save(own_photos / "cat" / "cat_1.png")
    picker, (*_, page) = searched(tab, asked)
    maps, *_ = tab.maps(*asked, picker, sent(page))
    stale = {card.title: card for card in maps.hits if card.stale}
    assert set(stale) == {"cat/cat_0.png", "cat/cat_1.png"}
    assert "cannot be opened" in stale["cat/cat_0.png"].stale
    assert "has changed since it was indexed" in stale["cat/cat_1.png"].stale
    assert stale["cat/cat_0.png"].hit_map is None
    for row in shelf.index.scan(space):
        shelf.gallery("animals").thumbnail_file(row.sha256).unlink()
    page = tab.search(*asked, picker)[3]
    gone = {card.title: card for card in page.hits if card.image is None}
    assert set(gone) == {"cat/cat_0.png", "cat/cat_1.png"}
    assert {card.stale for card in gone.values()} == {GONE}
    with pytest.raises(gr.Error, match="file is gone"):
        tab.open_pair(*asked, picker, sent(page, chosen=gone["cat/cat_0.png"].id), NETWORK)


# Black boxes


def test_a_black_box_is_searched_whole_without_maps_and_its_regions_are_refused(tab, asked, black):
    asked[2] = black.name
    picker, (notice, _, _, page) = searched(tab, asked)
    assert notice == ""
    assert len(page.hits) == 11
    assert {card.query_map for card in page.hits} == {None}
    maps, by_region, _ = tab.maps(*asked, picker, sent(page))
    assert {card.hit_map for card in maps.hits} == {None}
    assert len(by_region.hits) == 3
    HitGrid().postprocess(maps)
    picker, (notice, _, picked, page) = searched(tab, asked, MARKS["box"])
    assert f"a region for {BLACK_BOX} under avg, a black box" in notice
    assert (picked[3], page) == (MARKS["box"], None)
    assert "a black box" in tab.mark(*asked, picker)[0]


# Why, and the Compare tab


def test_why_one_hit_and_not_another_adds_up(tab, asked, library):
    picker, (*_, page) = searched(tab, asked)
    both = [page.hits[0], page.hits[-1]]
    said, shown = tab.why(*asked, picker, sent(page, why=[card.id for card in both]))
    answer = library.hits(Asked(*asked[:3]), [card.id for card in both])
    first, second = answer.found
    assert f"scores {first.cosine - second.cosine:.3f} more with <em>{both[0].title}" in said
    left, middle, right = shown.hits
    assert [left.id, right.id] == [card.id for card in both]
    own = answer.picture.decomposition
    assert middle.hit_map == pytest.approx(difference_map(own, first.row, second.row).flatten().tolist(), abs=1e-6)
    bias = float(own.bias @ torch.from_numpy(first.row.embedding - second.row.embedding))
    assert sum(middle.hit_map) + bias == pytest.approx(first.cosine - second.cosine, abs=1e-5)
    turned, _ = tab.why(*asked, picker, sent(page, why=[card.id for card in both[::-1]]))
    assert f"{first.cosine - second.cosine:.3f} less with <em>{both[1].title}" in turned


def test_why_of_marks_is_the_difference_of_what_they_carry(tab, asked, library):
    picker, (*_, page) = searched(tab, asked, MARKS["box"])
    both = [page.hits[0], page.hits[-1]]
    said, shown = tab.why(*asked, picker, sent(page, why=[card.id for card in both]))
    regions = tuple(map(region_of, MARKS["box"]))
    first, second = library.hits(Asked(*asked[:3], regions), [card.id for card in both]).found
    assert first.score > second.score
    assert f"What you marked carries {first.score - second.score:.3f} more with" in said
    assert sum(shown.hits[1].hit_map) == pytest.approx(first.score - second.score, abs=1e-5)


@pytest.mark.parametrize("marks", [None, "box"])
def test_why_one_hit_is_its_lead_over_the_mean_of_the_others(tab, asked, library, marks):
    picker, (*_, page) = searched(tab, asked, *([MARKS[marks]] if marks else []))
    last = page.hits[-1]
    said, shown = tab.why(*asked, picker, sent(page, why=[last.id]))
    regions = tuple(map(region_of, MARKS[marks])) if marks else ()
    answer = library.hits(Asked(*asked[:3], regions), [card.id for card in page.hits])
    *others, hit = answer.found
    lead = hit.score - sum(one.score for one in others) / len(others)
    assert lead < 0
    who = "What you marked carries" if marks else "Your picture scores"
    assert (
        f"{who} {words.number(-lead)} less with <em>{last.title}</em> than with the mean of the {len(others)}" in said
    )
    card, middle = shown.hits
    assert (card.id, middle.score) == (last.id, words.signed(lead))
    own, mean = answer.picture.decomposition, sum(one.row.embedding for one in others) / len(others)
    bias = 0.0 if marks else float(own.bias @ torch.from_numpy(hit.row.embedding - mean))
    assert sum(middle.hit_map) + bias == pytest.approx(lead, abs=1e-5)
    assert tab.why(*asked, picker, sent(page, why=[])) == NO_WHY


def test_why_needs_hits_that_are_there(tab, asked):
    picker, (*_, page) = searched(tab, asked)
    gone = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    for why in ([gone], [page.hits[0].id, gone]):
        assert tab.why(*asked, picker, sent(page, why=why)) == [gr.skip()] * 2
    assert tab.why(None, *asked[1:], picker, sent(page, why=ids(page)[:2])) == [gr.skip()] * 2
    with pytest.raises(gr.Error, match="not indexed with that network"):
        tab.why(*asked[:2], "gone", [], NOTHING, sent(page, why=ids(page)[:2]))


def test_a_hit_opens_beside_the_query_with_its_settings_and_its_region(tab, asked, library):
    picker, (*_, page) = searched(tab, asked, MARKS["several"])
    opened = tab.open_pair(*asked, picker, sent(page, chosen=page.hits[2].id), "efficientnet_lite0")
    tabs, image_a, image_b, backbone, pooling, exponent, size, framing, _, _, working, pin = opened
    assert tabs["selected"] == "Compare"
    assert image_a == asked[0]
    [row] = [row for row in library.index.scan(library.space(*asked[1:3])) if row.id == page.hits[2].id]
    assert Path(image_b).read_bytes() == Path(row.file).read_bytes()
    assert image_b != row.file  # a copy that the browser may fetch
    assert (backbone["value"], working, pooling["value"], exponent["visible"]) == (NETWORK, NETWORK, "avg", False)
    assert (size["value"], framing) == (32, "whole")
    assert checked_pin(pin, {"a": (4, 6), "b": (6, 4)}) == pin
    pair = library.session.explain(image_a, image_b, PLAIN)
    share = float((torch.tensor(pin["weights"]).reshape(4, 6) * pair.map_a).sum())
    assert float(page.hits[2].score) == pytest.approx(share, abs=1e-3)


def test_a_whole_search_and_a_hit_of_the_whole_picture_open_without_a_region(tab, asked):
    picker, (*_, page) = searched(tab, asked)
    assert tab.open_pair(*asked, picker, sent(page, chosen=ids(page)[0]), NETWORK)[-1] is None
    picker, (*_, page) = searched(tab, asked, MARKS["box"])
    grid = sent(page, key=page.key + WHOLE, chosen=ids(page)[0])
    assert tab.open_pair(*asked, picker, grid, NETWORK)[-1] is None
    grid = sent(page, key=page.key + MARKED, chosen=ids(page)[0])
    assert tab.open_pair(*asked, picker, grid, NETWORK)[-1] is not None


@pytest.mark.parametrize("chosen", ["", "0" * 8 + "-0000-0000-0000-" + "0" * 12])
def test_a_hit_that_is_gone_is_refused(tab, asked, chosen):
    picker, (*_, page) = searched(tab, asked)
    with pytest.raises(gr.Error, match="not in the gallery any more"):
        tab.open_pair(*asked, picker, sent(page, chosen=chosen), NETWORK)


def test_an_example_is_the_chosen_picture(tab):
    for number, file in enumerate(samples.singles()):
        assert Path(tab.show_example(SimpleNamespace(index=number))).read_bytes() == file.read_bytes()


def test_a_search_says_what_was_not_taken_and_draws_marks_that_are_pending(tab, asked):
    notice, status, picked, *_, pending = tab.fill(*asked, NOTHING, False, "kept", MARKS["box"])
    assert (notice, pending) == ("kept", None)
    assert "the marked region carries" in status
    assert picked[3] == MARKS["box"]
    told_anew = {**NOTHING, "key": picked[1], "regions": picked[3]}
    assert tab.fill(*asked, told_anew, False, "", None)[2] == picked
