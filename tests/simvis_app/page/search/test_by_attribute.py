"""The Search tab's attribute: what is offered where, what it leaves of the hits, and that links and files carry it."""

import json

import pytest

from model_zoo.attributes import fitted
from simvis_app.page.address import address
from simvis_app.page.search.sharing import SearchSharing
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.links import LinkedPictures
from tests.driving import merged
from tests.simvis_app.attribute_cases import GROUPS, SETTINGS, known
from tests.simvis_app.conftest import NETWORK, PLAIN, TinySession, indexed
from tests.simvis_app.page.galleries.test_sharing import files_of
from tests.simvis_app.page.search.test_handlers import BOX, picker_of, sent


@pytest.fixture(scope="module")
def gallery(photos, tmp_path_factory):
    galleries = Galleries(TinySession(), tmp_path_factory.mktemp("attributes"))
    indexed(galleries, "animals", photos, SETTINGS)
    indexed(galleries, "animals", photos, PLAIN)
    yield galleries
    galleries.close()


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())


@pytest.fixture
def tab(driven, gallery):
    return driven.search(gallery)


@pytest.fixture
def asked(photos, gallery):
    space = gallery.target("animals", SETTINGS).name
    return {"query": str(photos / "bee" / "bee_0.png"), "gallery": "animals", "space": space}


@pytest.fixture
def plain(gallery):
    """The space of a network without attributes."""
    return gallery.target("animals", PLAIN).name


def offered(tab, asked, attribute=""):
    told = tab.offer_attributes(gallery=asked["gallery"], space=asked["space"], attribute=attribute)
    return told["panel"], told["attribute"], told["without"]


def test_a_network_with_attributes_offers_all_of_them_and_stays_closed_until_one_is_chosen(tab, asked):
    panel, attribute, without = offered(tab, asked)
    assert (panel["visible"], panel["open"], without) == (True, False, "")
    assert attribute["choices"][1:] == sorted(GROUPS)
    assert attribute["value"] == ""
    panel, attribute, _ = offered(tab, asked, "arch")
    assert (panel["open"], attribute["value"]) == (True, "arch")


def test_a_network_without_says_so_in_one_sentence_and_stays_closed(tab, asked, plain):
    for attribute in ("", "arch"):
        panel, offer, without = offered(tab, asked | {"space": plain}, attribute)
        assert (panel["visible"], panel["open"]) == (False, False)
        assert offer["value"] == attribute  # for a gallery that has it, which may be chosen next
        assert "that takes a network that kept its ImageNet classifier" in without
        assert without.count("<p>") == 1
    for nowhere in ({"space": None}, {"space": "gone"}):
        panel, _, without = offered(tab, asked | nowhere)
        assert (panel["visible"], without) == (False, "")


def test_a_panel_that_is_opened_has_the_gallery_read(tab, asked, plain, gallery, monkeypatch):
    read = []
    monkeypatch.setattr(Galleries, "prepare_attributes", lambda galleries, space: read.append(space.name))
    open_panel = lambda space: tab.handlers.prepare_attributes(tab.values(gallery="animals", space=space))
    open_panel(asked["space"])
    monkeypatch.undo()
    for nowhere in (None, "gone", plain):
        open_panel(nowhere)  # nobody has asked for an attribute yet
    assert read == [asked["space"]]


def test_there_it_does_not_count_and_the_search_goes_on(tab, asked, plain):
    asked = asked | {"space": plain}
    told, plain_told = tab.fill(**asked, attribute="arch"), tab.fill(**asked)
    assert (told["grid"], told["status"], told["notice"]) == (plain_told["grid"], plain_told["status"], "")


@pytest.mark.parametrize("use", ["filter", "rerank"])
def test_hits_are_chosen_counted_and_say_how_sure(tab, asked, use):
    before, told = tab.fill(**asked), tab.fill(**asked, attribute="arch", use=use)
    assert told["notice"] == ""
    assert told["grid"].key != before["grid"].key
    ranked = {"filter": "only those that show 'arch'", "rerank": "of the nearest 100 the surest of 'arch' first"}
    assert told["grid"].ranked == f"by their score with the whole picture; {ranked[use]}"
    said = (
        "of 11 shown: the others do not show &#x27;arch&#x27;"
        if use == "filter"
        else "the surest of &#x27;arch&#x27; come"
    )
    assert said in told["status"]
    assert all(card.note.startswith("arch +") for card in told["grid"].hits)
    assert len(told["grid"].hits) == told["grid"].total
    assert (told["grid"].total < 11) == (use == "filter")


def test_marks_and_further_pages_keep_to_it(tab, asked, monkeypatch):
    asked = asked | {"attribute": "arch", "use": "rerank"}
    marked = asked | {"picker": picker_of(tab.fill(**asked), BOX)}
    long = tab.fill(**marked)["grid"]
    assert all("of the whole score" in card.note and "; arch +" in card.note for card in long.hits)
    assert tab.mark(**marked)["grid"] == long
    live = tab.handlers.live.hits(tab.fill(**asked)["picker"][-1], [BOX])  # while the box is held
    assert [hit["note"] for hit in live["hits"]] == [card.note for card in long.hits]
    assert (live["key"], live["ranked"]) == (long.key, long.ranked)
    monkeypatch.setattr("simvis_app.page.search.handlers.PAGE", 4)
    first = tab.fill(**marked)["grid"]
    more = tab.more(**marked, grid=sent(first, wanted=4))["grid"]
    assert [card.id for card in (*first.hits, *more.hits)] == [card.id for card in long.hits[:8]]
    assert tab.more(**marked | {"use": "filter"}, grid=sent(first, wanted=4)) == {}
    maps = merged(tab.maps(**marked, grid=sent(first, wanted=0)))
    assert [card.id for card in maps["grid"].hits] == [card.id for card in first.hits]
    assert all("arch +" in card.note for card in maps["by_whole"].hits)


def test_a_typo_is_a_sentence(tab, asked):
    told = tab.fill(**asked, attribute="acrh")
    assert "the attribute &#x27;acrh&#x27;" in told["notice"] or "the attribute 'acrh'" in told["notice"]
    assert told["grid"] is None


def test_a_link_and_the_files_carry_it(tab, asked, gallery, plain, tmp_path):
    sharing = SearchSharing(gallery, LinkedPictures(tmp_path / "links"), tab.handlers.widgets)
    values = tab.values(**asked, attribute="arch", use="rerank", labels=["cat", "bee"])
    found, wrong = address.read(sharing.link(values))
    assert (found.shows, found.use, found.labels, wrong) == ("arch", "rerank", ("cat", "bee"), [])
    files = files_of(sharing.export(values))
    told = json.loads(files["search.json"])
    assert (told["attribute"]["name"], told["attribute"]["use"]) == ("arch", "rerank")
    assert all("confidence" in hit for hit in told["hits"])
    assert "come first" in files["search.html"].decode()
    none, _ = address.read(sharing.link(tab.values(**asked | {"space": plain}, attribute="arch")))
    assert (none.shows, none.use) == (None, None)
    assert NETWORK in none.space
