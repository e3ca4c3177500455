"""What the Search tab gives away: a link that finds the same again, and files that hold what is on screen."""

import json
from pathlib import Path

import gradio as gr
import pytest

from simvis_app.page.address import address
from simvis_app.page.search.sharing import SearchSharing
from simvis_app.service.links import LinkedPictures
from tests.driving import UNMARKED
from tests.simvis_app.page.galleries.test_sharing import files_of
from tests.simvis_app.page.search.test_handlers import BOX, picker_of


@pytest.fixture
def tab(driven, library):
    return driven.search(library)


@pytest.fixture
def sharing(tab, library, tmp_path):
    """The row's functions, which take the values of the widgets that are named."""
    return SearchSharing(library, LinkedPictures(tmp_path / "links"), tab.handlers.widgets)


@pytest.fixture
def asked(photos, space):
    """Picture, gallery, space and labels as the page sends them."""
    place = {"gallery": "animals", "space": space.name}
    return {"query": str(photos / "bee" / "bee_0.png"), **place, "labels": ["bee", "cat"]}


@pytest.fixture
def marked(tab, asked):
    """The same with a box on the picture."""
    return asked | {"picker": picker_of(tab.fill(**asked), BOX)}


def test_a_link_to_a_search_names_everything_and_keeps_its_picture(tab, sharing, asked, marked, space):
    found, wrong = address.read(sharing.link(tab.values(**marked, exact=True)))
    assert wrong == []
    kept = sharing.pictures.find(found.q)
    assert Path(kept).read_bytes() == Path(asked["query"]).read_bytes()
    assert (found.tab, found.gallery, found.space, found.exact) == ("Search", "animals", space.name, True)
    assert (found.labels, found.marks) == (("bee", "cat"), (BOX,))


def test_marks_of_another_picture_are_not_in_the_link(tab, sharing, marked, photos):
    marked["query"] = str(photos / "cat" / "cat_0.png")
    assert address.read(sharing.link(tab.values(**marked, exact=False)))[0].marks is None


def test_the_files_of_a_search_hold_the_hits_on_screen_and_no_path(tab, sharing, marked, photos):
    page = tab.fill(**marked)["grid"]
    files = files_of(sharing.export(tab.values(**marked, exact=False)))
    assert set(files) == {"search.html", "search.json"}
    told = json.loads(files["search.json"])
    assert [hit["id"] for hit in told["hits"]] == [card.id for card in page.hits]
    assert {hit["label"] for hit in told["hits"]} == {"bee", "cat"}
    weights = told["query"]["region_weights"]
    assert 0 < sum(map(sum, weights)) < len(weights) * len(weights[0])
    assert all(hit["file"] in files["search.html"].decode() for hit in told["hits"])
    assert str(photos) not in files["search.json"].decode() + files["search.html"].decode()


def test_what_cannot_be_shared_is_said(tab, sharing, asked):
    for share in (sharing.link, sharing.export):
        with pytest.raises(gr.Error, match="Got no picture"):
            share(tab.values(**asked | {"query": None}, picker=UNMARKED, exact=False))
        with pytest.raises(gr.Error, match="not indexed with that network"):
            share(tab.values(**asked | {"space": "gone"}, picker=UNMARKED, exact=False))
