"""What the lists of both tabs offer as a tab opens, and as another gallery is chosen."""

import pytest

from simvis_app.service import samples
from simvis_app.service.galleries.galleries import SAMPLES
from simvis_core import SimvisError
from tests.simvis_app.conftest import CLASSES, PLAIN

TABS = ("Search", "Classes")


@pytest.fixture
def offers(driven, library):
    return driven.offers(library)


@pytest.mark.parametrize("tab", TABS)
def test_a_tab_opens_with_what_all_tabs_have_in_common(driven, library, space, black, tab):
    offers = driven.offers(library, tab)
    [told] = offers.open_tab(shared_gallery="animals", shared_space=None)
    assert told["notice"] == ""
    assert (told["gallery"]["value"], told["gallery"]["choices"]) == ("animals", [SAMPLES, "animals"])
    assert {value for _, value in told["space"]["choices"]} == {space.name, black.name}
    assert told["space"]["value"] in (space.name, black.name)
    [told] = offers.open_tab(shared_gallery="animals", shared_space=black.name)
    assert told["space"]["value"] == black.name
    [told] = offers.open_tab(gallery="animals", space=space.name)  # as after indexing
    assert told["space"]["value"] == space.name


def test_labels_are_offered_where_a_tab_filters_by_them_and_the_chosen_stay(driven, library, black):
    offers = driven.offers(library)
    [told] = offers.open_tab(shared_gallery="animals")
    assert told["labels"]["choices"] == [(f"{name} (3)", name) for name in CLASSES]
    [told] = offers.open_tab(shared_gallery="animals", shared_space=black.name, labels=["cat", "gone"])
    assert (told["space"]["value"], told["labels"]["value"]) == (black.name, ["cat"])
    [told] = driven.offers(library, "Classes").open_tab(shared_gallery="animals")
    assert set(told) == {"notice", "gallery", "space", "layer", "rule"}


def test_a_gallery_that_is_gone_gives_way_to_the_first(offers):
    [told] = offers.open_tab(shared_gallery="deleted")
    assert (told["gallery"]["value"], told["space"]["value"], told["space"]["choices"]) == (SAMPLES, None, [])


def test_the_samples_are_waited_for_and_other_runs_are_not(driven, shelf, monkeypatch):
    offers = driven.offers(shelf)
    run = shelf.indexing("animals", shelf.listing("animals", "."), PLAIN)
    next(run)
    assert len(list(offers.open_tab(shared_gallery=SAMPLES))) == 1
    assert len(list(offers.open_tab(shared_gallery="animals"))) == 1
    run.close()
    monkeypatch.setattr(samples, "PICTURES", shelf.pictures)
    with shelf.session._turn:  # the samples cannot begin
        thread = shelf.index_samples(PLAIN)
        opening = offers.open_tab(shared_gallery=SAMPLES)
        told = next(opening)
        assert "Gallery 'samples' is being indexed" in told["notice"]
        assert set(told) == {"notice"}
        assert len(list(offers.open_tab(shared_gallery="animals"))) == 1
    thread.join(60)
    told = list(opening)[-1]
    assert (told["notice"], told["gallery"]["value"]) == ("", SAMPLES)
    assert (len(told["space"]["choices"]), len(told["labels"]["choices"])) == (1, 4)


def test_samples_of_which_nothing_is_known_yet_change_nothing(driven, shelf, monkeypatch):
    monkeypatch.setattr(shelf, "preparing", True)
    opening = driven.offers(shelf).open_tab(shared_gallery=SAMPLES)
    assert next(opening) == {}
    monkeypatch.setattr(shelf, "preparing", False)
    assert next(opening)["gallery"]["value"] == SAMPLES


@pytest.mark.parametrize("tab", TABS)
def test_samples_that_could_not_be_indexed_are_said_to_be_so(driven, shelf, tab):
    shelf.failed = "Got <b>nothing</b>."
    [told] = driven.offers(shelf, tab).open_tab(shared_gallery=SAMPLES)
    assert "Got &lt;b&gt;nothing" in told["notice"]
    [told] = driven.offers(shelf, tab).open_tab(shared_gallery="animals")
    assert told["notice"] == ""


def test_galleries_that_cannot_be_listed_are_a_sentence_and_the_lists_stay(driven, shelf, refused):
    [told] = driven.offers(refused(shelf)).open_tab(shared_gallery="animals")
    assert "nobody answers" in told["notice"]
    assert set(told) == {"notice"}


@pytest.fixture
def refused(monkeypatch):
    def cannot_list(galleries):
        def names():
            raise SimvisError("a store, but nobody answers", "a server", "start it")

        monkeypatch.setattr(galleries, "names", names)
        return galleries

    return cannot_list


def test_another_gallery_brings_its_own_choices(offers, space, black):
    told = offers.choose_gallery(gallery="animals", space=black.name)
    assert set(told) == {"notice", "space", "labels", "layer", "rule"}
    assert (told["notice"], told["space"]["value"], told["labels"]["value"]) == ("", black.name, [])
    told = offers.choose_gallery(gallery=SAMPLES, space=space.name)
    assert (told["notice"], told["space"]["value"]) == ("", None)
    assert (told["space"]["choices"], told["labels"]["choices"]) == ([], [])
