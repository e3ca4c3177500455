"""A pair that another tab found, as it comes to stand in the Compare tab's fields."""

import gradio as gr
import pytest

import model_zoo
from simvis_app.page.compare.layout import layout
from simvis_app.page.pair.opening import opened, opened_updates
from simvis_app.page.pair.places import PairPlaces
from simvis_app.service.sessions.session import Settings
from simvis_core import SimvisError


@pytest.fixture
def places(session, built):
    def page():
        with gr.Blocks(analytics_enabled=False):
            widgets = layout(session)
        return PairPlaces(widgets.pair, widgets.look, widgets.network, widgets.link_pin, {})

    return built(page)


@pytest.mark.parametrize("size", [16, 24])
def test_it_sets_the_choices_it_was_found_with(session, places, size):
    pin = {"side": "a", "row": 0, "col": 0}
    found = opened(session, ("a.png", "b.png"), Settings("mobilenet_v2", "gem:4", size, "crop"), "x", pin)
    page = opened_updates(found, places)
    pair, chosen = places.pair, places.chosen
    assert set(page) == set(places.opens)
    assert (page[pair.image_a], page[pair.image_b], page[places.pin]) == ("a.png", "b.png", pin)
    assert (page[pair.backbone]["value"], page[chosen.working]) == ("mobilenet_v2", "mobilenet_v2")
    assert (page[pair.pooling]["value"], page[pair.framing], page[chosen.notice]) == ("gem", "crop", "")
    assert (page[pair.exponent]["value"], page[pair.exponent]["visible"]) == (4, True)
    assert page[pair.short_side]["value"] == size
    assert size in [value for _, value in page[pair.short_side]["choices"]]


def test_a_view_size_of_the_page_is_chosen_from_its_list(session, places):
    page = opened_updates(opened(session, ("a", "b"), Settings("mobilenet_v2", "avg", 224), "x"), places)
    assert page[places.pair.short_side] == 224
    assert page[places.pair.exponent]["visible"] is False
    assert page[places.pin] is None


def test_a_network_that_cannot_be_had_any_more_is_not_opened(session, monkeypatch):
    def load(name):
        raise SimvisError(f"the card '{name}', but nobody answers", "weights", "use another")

    monkeypatch.setattr(model_zoo, "load", load)
    with pytest.raises(gr.Error, match="'resnet18' cannot be loaded here"):
        opened(session, ("a", "b"), Settings("resnet18"), "mobilenet_v2")
