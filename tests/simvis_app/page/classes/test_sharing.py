"""What the Classes tab gives away: a link to a class, and files that hold its members."""

import json

import gradio as gr
import pytest

from simvis_app.page.address import address
from simvis_app.page.classes.sharing import ClassSharing
from tests.simvis_app.page.galleries.test_sharing import files_of


@pytest.fixture
def tab(driven, library):
    return driven.classes(library)


@pytest.fixture
def sharing(tab, library):
    return ClassSharing(library, tab.handlers.widgets)


@pytest.fixture
def cats(space):
    return {"gallery": "animals", "space": space.name, "label": "cat", "order": "least typical first"}


def test_the_link_and_the_files_of_a_class(tab, sharing, cats, photos):
    found, wrong = address.read(sharing.link(tab.values(**cats)))
    assert wrong == []
    assert (found.tab, found.gallery, found.space, found.label, found.order) == ("Classes", *cats.values())
    files = files_of(sharing.export(tab.values(**cats)))
    assert set(files) == {"class.html", "class.json"}
    told = json.loads(files["class.json"])
    assert sorted(member["file"] for member in told["members"]) == ["cat/cat_0.png", "cat/cat_1.png", "cat/cat_2.png"]
    assert str(photos) not in files["class.json"].decode() + files["class.html"].decode()


def test_what_cannot_be_shared_is_said(tab, sharing, cats):
    for change, reason in (({"label": None}, "Got no class"), ({"space": "gone"}, "not indexed with that network")):
        with pytest.raises(gr.Error, match=reason):
            sharing.export(tab.values(**cats | change))
