"""Hits while a mark moves: those of the event that follows, and nothing for what is not known."""

import pytest

from simvis_app.page.parts.hit_grid import grid_data
from simvis_app.page.search import live as live_search
from simvis_app.page.search.live import LiveSearch
from simvis_app.service.galleries.galleries import Asked
from tests.simvis_app.page.search.test_handlers import BOX, MARKS

CANCELLED = [BOX, {**BOX, "sign": -1}]


@pytest.fixture
def asked(photos, space):
    return {"query": str(photos / "bee" / "bee_0.png"), "gallery": "animals", "space": space.name, "labels": ["cat"]}


@pytest.mark.parametrize("kind", MARKS)
def test_hits_of_a_moving_mark_are_those_of_the_mark_once_it_is_made(driven, library, asked, kind):
    tab = driven.search(library)
    live = tab.handlers.live
    _, key, *_, ticket = tab.fill(**asked)["picker"]
    found = live.hits(ticket, MARKS[kind])
    made = tab.mark(**asked, picker={"key": key, "regions": MARKS[kind]})["grid"]
    assert found == grid_data(made).model_dump()
    assert {hit["label"] for hit in found["hits"]} == {"cat"}
    assert live.hits(ticket, [])["key"] == tab.fill(**asked)["grid"].key


def test_each_search_has_a_ticket_of_its_own_and_one_without_hits_has_none(driven, library, asked):
    tab = driven.search(library)
    tickets = [tab.fill(**asked)["picker"][-1] for _ in range(2)]
    assert all(tickets)
    assert tickets[0] != tickets[1]
    _, key, *_ = tab.fill(**asked)["picker"]
    assert tab.fill(**asked, picker={"key": key, "regions": CANCELLED})["picker"][-1] == ""


def test_what_cannot_be_searched_for_is_nothing(library, asked, black, monkeypatch):
    monkeypatch.setattr(live_search, "TICKETS", 2)
    live = LiveSearch(library)
    place = Asked(asked["query"], "animals", asked["space"])
    first, second = (live.ticket(place) for _ in range(2))
    assert live.hits(first, CANCELLED) is None
    assert live.hits("nosuchticket", MARKS["box"]) is None
    box = live.ticket(Asked(asked["query"], "animals", black.name))
    assert live.hits(box, MARKS["box"]) is None  # regions of a black box
    assert live.hits(first, MARKS["box"]) is None  # the oldest is forgotten
    assert live.hits(second, MARKS["box"])["hits"]
    gone = live.ticket(Asked("/nowhere.png", "animals", asked["space"]))
    assert live.hits(gone, MARKS["box"]) is None
