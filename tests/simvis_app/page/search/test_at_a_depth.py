"""Search and Classes with finer maps: regions, hits and members at another layer of the gallery's network."""

import numpy as np
import pytest
import torch

from simvis_app.page.galleries.fineness import COARSE
from simvis_app.page.search.inputs import region_of
from simvis_app.page.search.live import LiveSearch
from simvis_app.service.galleries.answers import class_sheet, search_json, search_sheet
from simvis_app.service.galleries.galleries import Asked
from simvis_app.service.sessions.depths import DepthAsked
from simvis_core import SimvisError
from simvis_core.files.numbers import number
from simvis_core.galleries.regions import region_weights
from tests.driving import UNMARKED, merged
from tests.simvis_app.conftest import NETWORK

LAYER = "1"  # of the tiny networks: twice as fine as their last features
BOX = {"kind": "box", "sign": 1, "box": [0.1, 0.1, 0.5, 0.6]}
RULES = ("frozen", "path")


@pytest.fixture
def tab(driven, library):
    return driven.search(library)


@pytest.fixture(params=RULES)
def asked(request, photos, space):
    picture = str(photos / "bee" / "bee_0.png")
    return {"query": picture, "gallery": "animals", "space": space.name, "layer": LAYER, "rule": request.param}


def search_at(library, space, photos, rule="frozen", regions=(), layer=LAYER):
    place = str(photos / "bee" / "bee_0.png"), "animals", space.name
    marks = tuple(map(region_of, regions))
    return library.search(Asked(*place, marks, depth=DepthAsked(layer, rule) if layer else DepthAsked()), 30)


def sent(page, **changes):
    return {"key": page.key, "wanted": 0, "chosen": "", "why": [], **changes}


def test_a_whole_pictures_scores_stay_bit_for_bit(library, space, photos):
    coarse, *deep = (
        search_at(library, space, photos, rule, layer=layer)
        for rule, layer in (("frozen", ""), ("frozen", LAYER), ("path", LAYER))
    )
    told = [[(one.row.id, one.score, one.cosine) for one in answer.found] for answer in (coarse, *deep)]
    assert told[0] == told[1] == told[2]
    assert deep[0].picture.decomposition.grid == tuple(2 * side for side in coarse.picture.decomposition.grid)


@pytest.mark.parametrize("rule", RULES)
def test_a_regions_score_is_what_its_fine_cells_carry(library, space, photos, rule):
    answer = search_at(library, space, photos, rule, [BOX])
    own = answer.picture.decomposition
    weights = region_weights([region_of(BOX)], answer.picture.view.size, own.grid)
    assert answer.weights.equal(weights)
    for one in answer.found:
        map = own.similarity_map(torch.from_numpy(one.row.embedding))
        assert float((weights * map).sum()) == pytest.approx(one.score, abs=1e-5)
    assert [one.score for one in answer.found] == sorted((one.score for one in answer.found), reverse=True)


def test_hits_come_at_once_and_their_maps_a_few_at_a_time(tab, asked, library, monkeypatch):
    monkeypatch.setattr("simvis_app.page.search.handlers.DEEP_PAGE", 3)
    first = tab.fill(**asked)["grid"]
    assert (len(first.hits), first.scale_query, first.scale_hit) == (11, 0.0, 0.0)
    assert all(card.query_map is None and card.hit_map is None for card in first.hits)
    shown, told = 0, []
    while shown < len(first.hits):
        answer = merged(tab.maps(**asked, grid=sent(first, wanted=shown)))
        page = answer["grid"]
        assert (page.key, page.late, page.skip) == (first.key, True, shown)
        assert ("by_region" in answer) == (shown == 0)  # the nearest classes come with the first
        told += page.hits
        shown += len(page.hits)
    assert [card.id for card in told] == [card.id for card in first.hits]
    for card in told:
        assert card.hit_map is not None
        assert len(card.hit_map) == np.prod(card.hit_grid)
        assert len(card.query_map) == np.prod(card.query_grid)
        assert card.note.endswith(f"its cells carry {number(sum(card.hit_map))}")
    assert (
        len(
            {(page.scale_query, page.scale_hit) for page in (page, merged(tab.maps(**asked, grid=sent(first)))["grid"])}
        )
        == 1
    )


def test_what_the_cells_leave_out_is_said(tab, asked, library, space):
    status = tab.fill(**asked)["status"]
    own = library.picture(asked["query"], space, depth=DepthAsked(LAYER, asked["rule"])).decomposition
    missing = float(own.bias @ own.embedding)
    assert f"they leave out {missing:.3f}" in status
    assert f"{own.grid[0]} x {own.grid[1]} cells" in status
    assert "leave out" not in tab.fill(**asked | {"layer": ""})["status"]


def test_another_depth_is_another_search_on_screen(tab, asked):
    pages = [tab.fill(**asked | {"layer": layer})["grid"].key for layer in ("", LAYER, "pixels")]
    assert len(set(pages)) == 3


def test_marks_move_at_the_depth(tab, asked, library):
    told = tab.fill(**asked)
    key, ticket = told["picker"][1], told["picker"][7]
    made = tab.mark(**asked, picker={"key": key, "regions": [BOX]})["grid"]
    moving = LiveSearch(library)
    again = moving.hits(moving.ticket(tab.handlers.live._asked[ticket]), [BOX])
    assert [hit["id"] for hit in again["hits"]] == [card.id for card in made.hits]
    assert again["key"] == made.key


def test_a_hit_opens_with_the_region_in_the_coarse_cells_that_compare_has(tab, asked, library, space):
    told = tab.fill(**asked)
    marked = asked | {"picker": {"key": told["picker"][1], "regions": [BOX]}}
    page = tab.mark(**marked)["grid"]
    found = tab.open_pair(**marked, grid=sent(page, chosen=page.hits[0].id))
    pin = next(value for value in found.values() if isinstance(value, dict) and "weights" in str(value))
    coarse = library.picture(asked["query"], space).decomposition.grid
    assert len(pin["pin"]["weights"] if "pin" in pin else pin["weights"]) == np.prod(coarse)


def test_a_layer_that_the_network_has_not_is_passed_over(tab, asked):
    told = tab.fill(**asked | {"layer": "nowhere"})
    assert told["grid"].key == tab.fill(**asked | {"layer": ""})["grid"].key


def test_the_list_offers_the_layers_from_coarse_to_fine(driven, library, space):
    offers = driven.offers(library)
    [told] = offers.open_tab(
        shared_gallery="animals", shared_space=space.name, shared_layer=LAYER, shared_rule="frozen"
    )
    listed = [value for _, value in told["layer"]["choices"]]
    assert (listed[0], listed[-1], told["layer"]["value"], told["rule"]) == ("", "pixels", LAYER, "frozen")
    [told] = offers.open_tab(shared_gallery="animals", shared_space=space.name, shared_layer="nowhere")
    assert told["layer"]["value"] == ""
    [told] = offers.open_tab(shared_gallery="animals", shared_space=space.name)
    assert told["layer"]["choices"] == [COARSE]  # which takes no passes


def test_members_are_mapped_at_the_depth(driven, library, space):
    tab = driven.classes(library)
    cats = {"gallery": "animals", "space": space.name, "label": "cat", "order": "most typical first"}
    fine = cats | {"layer": LAYER, "rule": "frozen"}
    coarse, deep = (tab.show(**place)["grid"] for place in (cats, fine))
    assert coarse.key != deep.key
    mapped = [tab.maps(**place, grid=sent(page))["grid"] for place, page in ((cats, coarse), (fine, deep))]
    for few, many in zip(mapped[0].hits, mapped[1].hits, strict=True):
        assert many.hit_grid == tuple(2 * side for side in few.hit_grid)
        assert few.score == many.score


def test_a_picture_from_outside_is_mapped_at_the_depth_and_keeps_its_scores(driven, library, space, photos):
    tab = driven.classes(library)
    place = {"outside": str(photos / "bee" / "bee_0.png"), "gallery": "animals", "space": space.name}
    coarse, deep = tab.belongs(**place), tab.belongs(**place, layer=LAYER, rule="path")
    assert [card.score for card in coarse["belongs_maps"].hits] == [card.score for card in deep["belongs_maps"].hits]
    assert len(deep["belongs_maps"].hits[0].hit_map) == 4 * len(coarse["belongs_maps"].hits[0].hit_map)
    assert "they leave out" in deep["belongs"]
    assert "they leave out" not in coarse["belongs"]


def test_a_hit_that_cannot_be_split_there_says_so_and_the_others_stay(tab, asked, library, monkeypatch):
    page = tab.fill(**asked)["grid"]
    usual = library.depths.picture

    def refusing(file, *rest):
        if page.hits[1].title in str(file):
            raise SimvisError(f"a picture {file} that is its reference", "another", "choose another reference")
        return usual(file, *rest)

    monkeypatch.setattr(library.depths, "picture", refusing)
    mapped = merged(tab.maps(**asked, grid=sent(page)))["grid"].hits
    assert mapped[1].hit_map is None
    assert mapped[1].stale.startswith("no map at this depth: a picture ")
    assert str(library.home) not in mapped[1].stale
    assert f"a picture {page.hits[1].title} that" in mapped[1].stale  # not where it lies
    assert all(card.hit_map is not None for card in (mapped[0], mapped[2]))


@pytest.mark.parametrize("rule", RULES)
def test_numbers_and_pages_tell_the_depth(library, space, photos, rule):
    answer = search_at(library, space, photos, rule, [BOX])
    told = search_json(answer)["query"]
    assert (told["depth"]["layer"], told["depth"]["rule"]) == (LAYER, rule)
    assert told["depth"]["reference"] == ("blur" if rule == "path" else None)
    assert told["depth"]["carried"] + sum(told["depth"]["bias_parts"].values()) == pytest.approx(1, abs=1e-5)
    assert told["grid"] == list(answer.picture.decomposition.grid)
    line = f"Maps at layer {LAYER} by the rule {rule}.".encode()
    assert line in search_sheet(library, answer)
    assert line in class_sheet(library, space, "cat", DepthAsked(LAYER, rule))
    plain = search_at(library, space, photos, layer="")
    assert search_json(plain)["query"]["depth"] is None
    assert b"Maps at layer" not in search_sheet(library, plain)


def test_nothing_marked_is_no_region(tab, asked):
    assert tab.mark(**asked, picker=UNMARKED) == {}
    assert NETWORK in asked["space"]
