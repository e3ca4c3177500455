"""What is on screen becomes an address and comes back from it; one's own pictures come back for oneself only."""

import os
from pathlib import Path

import gradio as gr
import pytest

from simvis_app.page import TABS
from simvis_app.page.address import address
from simvis_app.page.address.address import FIELDS, Address
from simvis_app.page.address.handlers import AddressHandlers, BarTold
from simvis_app.page.address.shown import AddressAnswers, AddressFields
from simvis_app.page.pair.places import NetworkFields
from simvis_app.service import samples
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.pictures import OWN, Pictures
from simvis_app.service.sessions.session import content_hash
from simvis_core import SimvisError

ANNE, BERT = "a" * 32, "b" * 32
VIEWER, PICKER = {"key": "", "pin": None, "mode": "share"}, {"key": "", "regions": []}
BOX = {"kind": "box", "sign": 1, "box": [0.1, 0.2, 0.3, 0.4]}


@pytest.fixture
def pictures(tmp_path):
    return Pictures(LinkedPictures(tmp_path / "links"))


@pytest.fixture
def page(session, pictures, tmp_path, built):
    galleries = Galleries(session, tmp_path / "galleries")
    handlers = AddressHandlers(session, {name: tab.shows for name, tab in TABS.items()}, galleries, pictures)
    yield built(lambda: Screen(handlers))
    galleries.close()


@pytest.fixture
def said(monkeypatch):
    """What the visitor is told."""
    told = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: told.append(text))
    return told


class Screen:
    """Components for everything that an address names, and the bar's answers, read by name."""

    def __init__(self, handlers):
        with gr.Blocks(analytics_enabled=False):
            places = {name: gr.State() for name in FIELDS}
            named = {name: places[name] for name in ("backbone", "pooling", "exponent")}
            network = NetworkFields(**named, notice=gr.HTML(), card=gr.Markdown(), working=gr.State())
            again = {name: gr.Textbox() for name in TABS}
            self.fields = AddressFields(gr.State(), gr.State(), gr.State(), places, network, gr.Tabs(), again)
        self.opening, self.handlers = handlers.opening, handlers
        self.answers = AddressAnswers(self.fields, handlers)

    def values(self, **changes):
        """The page as it opens, as its components send it."""
        shown = self.opening.named() | {"method": None, "pin": None, "marks": None}
        files = {name: str(samples.path(shown[name].removeprefix("sample/"))) for name in ("a", "b", "q")}
        return {self.fields.places[name]: value for name, value in (shown | files | changes).items()}


def followed(page, viewer=VIEWER, picker=PICKER, key=ANNE, **changes):
    told = {page.fields.bar: BarTold("", "", key, 3), page.fields.viewer: viewer, page.fields.picker: picker}
    ((bar, (query, turn)),) = page.answers.follow(page.values(**changes) | told).items()
    assert (bar, turn) == (page.fields.bar, 3)
    return query


def restored(page, query, before="", key=ANNE, turn=1):
    """The fields that change, by name; then what else does, and the tabs that are filled anew."""
    answer = page.answers.restore(BarTold(query, before, key, turn), page.opening.backbone)
    if answer == gr.skip():
        return {}, {}, set()
    fields = {name: answer[place] for name, place in page.fields.places.items() if place in answer}
    network = page.fields.network
    others = {"notice": network.notice, "card": network.card, "working": network.working, "tabs": page.fields.tabs}
    rest = {name: answer[place] for name, place in others.items() if place in answer}
    asks = {name for name, place in page.fields.again.items() if answer.get(place)}
    assert len(answer) == len(fields) + len(rest) + len(asks)
    return fields, rest, asks


def test_the_page_as_it_opens_has_no_query_and_nothing_to_restore(page):
    assert followed(page) == ""
    assert restored(page, "") == ({}, {}, set())


def test_a_change_is_an_address_and_comes_back_from_it(page):
    query = followed(page, pooling="max", tab="Search", gallery="samples", labels=["a,b"], exact=True, seed=4)
    assert query == "tab=Search&pooling=max&labels=a%5C,b&exact=1&seed=4"
    fields, rest, _ = restored(page, query)
    assert fields["pooling"]["value"] == "max"
    assert fields["labels"]["value"] == ["a,b"]
    assert (fields["tab"], fields["exact"], fields["seed"]) == ("Search", True, 4)
    assert rest["tabs"]["selected"] == "Search"
    # Only what differs from what is on screen changes: back to the same address without the seed.
    assert set(restored(page, query.removesuffix("&seed=4"), before=query)[0]) == {"seed"}


def test_what_a_point_shows_and_a_class_come_back(page):
    query = followed(page, tab="Classes", mode="cosine", label="a cat")
    assert query == "tab=Classes&mode=cosine&label=a+cat"
    fields, *_ = restored(page, query)
    assert fields["mode"] == "cosine"
    assert (fields["label"]["value"], fields["label"]["choices"]) == ("a cat", ["a cat"])
    # What a point shows is drawn by the browser: nothing is computed for it.
    assert set(restored(page, "mode=cosine")[0]) == {"mode"}
    assert restored(page, "mode=cosine")[2] == set()
    assert restored(page, "", before=query)[0]["label"]["value"] is None


def test_an_attribute_its_preset_and_weights_come_back_and_go(page):
    query = followed(page, tab="Attributes", attribute="palace or church", preset="sane", weights="0.5,0.25,0")
    assert query == "tab=Attributes&preset=sane&attribute=palace+or+church&weights=0.5,0.25,0"
    fields, *_ = restored(page, query)
    told = {name: fields[name] for name in ("attribute", "preset", "weights")}
    assert told == {"attribute": "palace or church", "preset": "sane", "weights": "0.5,0.25,0"}
    back, _, asks = restored(page, "tab=Attributes", before=query)
    assert back == {"attribute": "", "preset": "simvis", "weights": None}
    assert asks == {"Attributes"}
    assert followed(page, attribute="", weights="") == ""


def test_the_attribute_of_a_searchs_hits_comes_back_and_goes(page):
    query = followed(page, tab="Search", shows="big cat", use="rerank")
    assert query == "tab=Search&shows=big+cat&use=rerank"
    fields, *_ = restored(page, query)
    assert (fields["shows"], fields["use"]) == ("big cat", "rerank")
    back, _, asks = restored(page, "tab=Search", before=query)
    assert (back, asks) == ({"shows": "", "use": "filter"}, {"Search"})
    assert followed(page, shows="", use="filter") == ""


def test_a_tab_that_is_turned_to_fills_itself_and_the_one_on_screen_is_asked(page):
    asks = lambda *asked: restored(page, *asked)[2]
    assert asks("tab=Search&exact=1", "") == set()
    assert asks("tab=Search&exact=1", "tab=Search") == {"Search"}
    assert asks("tab=Trust&pooling=max", "tab=Trust") == {"Compare", "Trust"}
    assert asks("tab=Classes&label=x", "tab=Classes") == {"Classes"}
    assert restored(page, "pooling=max", turn=0)[2] == set()  # a page that opens fills itself


def test_a_tab_that_is_not_here_is_said_and_none_is_turned_to(page, said):
    fields, rest, _ = restored(page, "tab=%3Cb%3E&seed=4")
    assert (fields, rest) == ({"seed": 4}, {})
    assert "a link whose tab is '&lt;b&gt;'" in said[0]
    assert restored(page, "", before="tab=nowhere") == ({}, {}, set())


def test_a_pin_and_marks_count_for_their_own_pictures_only(page, files):
    a, b = map(str, files)
    pin = {"side": "a", "row": 1, "col": 0}
    viewer = {**VIEWER, "pin": pin, "key": f"{content_hash(a)}:{content_hash(b)}:(1, 2):(1, 2):whole"}
    picker = {"key": f"{content_hash(a)}:(0, 0, 1, 1)#x", "regions": [BOX]}
    assert "pin=a.1.0" in followed(page, viewer, a=a, b=b)
    assert "pin" not in followed(page, viewer, a=b, b=a)
    assert "marks=b1000.2000.3000.4000" in followed(page, picker=picker, q=a)
    assert "marks" not in followed(page, picker=picker, q=b)
    # What is still to be drawn counts before what is on screen.
    assert "pin=b.0.0" in followed(page, viewer, a=a, b=b, pin={"side": "b", "row": 0, "col": 0})
    assert "marks" not in followed(page, picker=picker, q=a, marks=[])
    fields, *_ = restored(page, "", before="pin=a.1.0&marks=b1000.2000.3000.4000")
    assert (fields["pin"], fields["marks"]) == ({}, [])


def test_ones_own_picture_comes_back_for_oneself_and_for_nobody_else(page, files, said):
    query = followed(page, a=str(files[0]))
    assert query.startswith(f"a={OWN}")
    assert content_hash(files[0])[:16] not in query
    assert restored(page, query)[0]["a"] == str(files[0])
    for stranger in (BERT, "", "x" * 32):
        fields, *_ = restored(page, query, key=stranger)
        assert "a" not in fields
        assert "'Copy link'" in said.pop().replace("&#x27;", "'")
    assert followed(page, key="no key", a=str(files[0])) == ""
    os.remove(files[0])
    assert "a" not in restored(page, query)[0]
    assert len(said) == 1
    assert followed(page, a=str(files[0])) == ""


def test_the_name_of_an_own_picture_is_another_for_each_visitor(pictures, files):
    names = {pictures.name(file, key) for file in files for key in (ANNE, BERT)}
    assert len(names) == 4
    with pytest.raises(SimvisError, match="own picture"):
        pictures.find(pictures.name(files[0], BERT), ANNE)


def test_a_use_keeps_an_own_picture_from_being_deleted(pictures, files):
    os.utime(files[0], (1000, 1000))
    name = pictures.name(files[0], ANNE)
    assert files[0].stat().st_mtime > 1e9
    os.utime(files[0], (1000, 1000))
    pictures.find(name, ANNE)
    assert files[0].stat().st_mtime > 1e9


def test_a_picture_of_a_link_keeps_the_name_that_works_for_everybody(pictures, files):
    name = pictures.linked.keep(files[0])
    assert pictures.name(pictures.find(name, BERT), ANNE) == name
    assert pictures.name(files[0], ANNE) != name  # the same picture of one's own stays one's own


def test_only_so_many_pictures_of_a_visitor_are_remembered(pictures, files, monkeypatch):
    monkeypatch.setattr("simvis_app.service.pictures.EACH", 1)
    first, second = (pictures.name(file, ANNE) for file in files)
    assert pictures.find(second, ANNE) == str(files[1])
    with pytest.raises(SimvisError, match="own picture"):
        pictures.find(first, ANNE)


@pytest.mark.parametrize("name", ["/etc/passwd", "sample/../credits.json", f"{'0' * 64}.png", "own/x", "own/../x"])
def test_a_pair_that_cannot_be_had_stays_as_it_is_and_the_rest_is_restored(page, said, name):
    good = samples.pairs()[1]["a"]
    fields, *_ = restored(page, f"a=sample/{good}&b={name}&pooling=max")
    assert "a" not in fields
    assert "b" not in fields
    assert fields["pooling"]["value"] == "max"
    assert len(said) == 1
    assert "upload the picture again" in said[0]


def test_an_old_link_and_its_empty_places_and_wrong_parts(page, said):
    pair = samples.pairs()[1]
    fields, *_ = restored(page, f"a=sample/{pair['a']}&b=&side=%3Cb%3E&fill=pink&short_side=240&method=RISE")
    assert Path(fields["a"]).name == Path(pair["a"]).name
    assert fields["b"] is None
    assert fields["short_side"]["value"] == 240
    assert fields["method"]["value"] == "RISE"
    assert len(said) == 2
    assert "&lt;b&gt;" in said[0]


def test_a_gallery_that_is_not_here_is_said(page, said):
    fields, *_ = restored(page, "tab=Search&gallery=gone&space=x")
    assert "gallery" not in fields
    assert "'gone', which is not here" in said[0].replace("&#x27;", "'")


def test_a_network_that_cannot_be_had_leaves_the_working_one(page, said, monkeypatch):
    def refuse(name):
        raise SimvisError(f"the card '{name}'", "weights", "use another")

    monkeypatch.setattr(page.handlers.session, "network", refuse)
    monkeypatch.setattr("simvis_app.page.pair.networks.about", lambda *_: "card")
    fields, rest, _ = restored(page, "backbone=resnet18&pooling=max&exponent=4")
    assert fields["backbone"] == rest["working"] == page.opening.backbone
    assert "pooling" not in fields  # the working one keeps its own
    assert "the card" in rest["notice"]


def test_numbers_that_no_address_can_name_are_left_out(page):
    assert followed(page, seed=1.5, exponent=None, short_side=None) == ""
    assert address.read(followed(page, short_side=240))[0] == Address(short_side=240)
