"""What Search and Classes give away: a link that finds the same again, and files that hold what is on screen."""

import json
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from simvis_app.page.address import address
from simvis_app.page.search.sharing import GallerySharing
from simvis_app.service.links import LinkedPictures
from tests.simvis_app.page.search.test_handlers import BOX, NOTHING, tab_of


@pytest.fixture
def sharing(library, tmp_path):
    return GallerySharing(library, LinkedPictures(tmp_path / "links"), tab_of(library, tmp_path))


@pytest.fixture
def asked(photos, space):
    """Picture, gallery, space and labels as the page sends them."""
    return [str(photos / "bee" / "bee_0.png"), "animals", space.name, ["bee", "cat"]]


def marked(sharing, asked):
    """The picker as the page sends it back with a box on the picture."""
    return {"key": sharing.search.search(*asked, NOTHING)[2][1], "regions": [BOX]}


def files_of(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_link_to_a_search_names_everything_and_keeps_its_picture(sharing, asked, space):
    found, wrong = address.read(sharing.search_link(*asked, marked(sharing, asked), True))
    assert wrong == []
    kept = sharing.pictures.find(found.q)
    assert Path(kept).read_bytes() == Path(asked[0]).read_bytes()
    assert (found.tab, found.gallery, found.space, found.exact) == ("Search", "animals", space.name, True)
    assert (found.labels, found.marks) == (("bee", "cat"), (BOX,))


def test_marks_of_another_picture_are_not_in_the_link(sharing, asked, photos):
    picker = marked(sharing, asked)
    asked[0] = str(photos / "cat" / "cat_0.png")
    assert address.read(sharing.search_link(*asked, picker, False))[0].marks is None


def test_the_files_of_a_search_hold_the_hits_on_screen_and_no_path(sharing, asked, photos):
    picker = marked(sharing, asked)
    page = sharing.search.search(*asked, picker)[3]
    files = files_of(sharing.search_export(*asked, picker, False))
    assert set(files) == {"search.html", "search.json"}
    told = json.loads(files["search.json"])
    assert [hit["id"] for hit in told["hits"]] == [card.id for card in page.hits]
    assert {hit["label"] for hit in told["hits"]} == {"bee", "cat"}
    weights = told["query"]["region_weights"]
    assert 0 < sum(map(sum, weights)) < len(weights) * len(weights[0])
    assert all(hit["file"] in files["search.html"].decode() for hit in told["hits"])
    assert str(photos) not in files["search.json"].decode() + files["search.html"].decode()


def test_the_link_and_the_files_of_a_class(sharing, space, photos):
    shown = ("animals", space.name, "cat", "least typical first")
    found, wrong = address.read(sharing.class_link(*shown))
    assert wrong == []
    assert (found.tab, found.gallery, found.space, found.label, found.order) == ("Classes", *shown)
    files = files_of(sharing.class_export(*shown))
    assert set(files) == {"class.html", "class.json"}
    told = json.loads(files["class.json"])
    assert sorted(member["file"] for member in told["members"]) == ["cat/cat_0.png", "cat/cat_1.png", "cat/cat_2.png"]
    assert str(photos) not in files["class.json"].decode() + files["class.html"].decode()


def test_what_cannot_be_shared_is_said(sharing, asked):
    for share in (sharing.search_link, sharing.search_export):
        with pytest.raises(gr.Error, match="Got no picture"):
            share(None, *asked[1:], NOTHING, False)
        with pytest.raises(gr.Error, match="not indexed with that network"):
            share(*asked[:2], "gone", [], NOTHING, False)
    with pytest.raises(gr.Error, match="Got no class"):
        sharing.class_export(*asked[1:3], None, "most typical first")
    with pytest.raises(gr.Error, match="not indexed with that network"):
        sharing.class_export("animals", "gone", "cat", "most typical first")
