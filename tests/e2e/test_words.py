"""What is said in words outside of the Attributes tab: Compare's sentence, its concepts, what is typical of a class."""

import pytest
from playwright.sync_api import expect

from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked
from simvis_app.service.concepts import split_over_concepts
from simvis_app.service.sessions.session import Session, Settings
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow]
PAIR = tuple(PICTURES / "taj_mahal" / f"taj_mahal_{number}.jpg" for number in (1, 3))


@pytest.fixture(scope="module")
def session():
    return Session()


def test_compare_says_in_words_what_the_match_is_mostly_of(visitor, session):
    visitor.wait_ready()
    found = AttributeAnswers(session).explained(PAIR, "efficientnet_lite0", "whole", AttributesAsked())
    names = [one.name for one in found.ranking.attributes[:2]]
    expect(visitor.at("#in_words")).to_contain_text(names[0])
    visitor.choose("#backbone", "MobileNetV2")  # a network whose classifier is not kept
    expect(visitor.at("#in_words")).not_to_contain_text(names[0])


def test_concepts_add_up_to_the_score_and_one_is_chosen_by_click_and_by_keys(visitor, session):
    visitor.wait_ready()
    choices = visitor.page.locator("#concepts label")
    expect(choices.first).to_be_visible()
    split = split_over_concepts(session.explain(*PAIR, Settings()))
    assert choices.count() == min(len(split.strongest(8)), 8) + 2  # and the mean picture, and the residual
    visitor.page.locator("#concepts_said summary").click()
    expect(visitor.at("#concepts_said table")).to_be_visible()
    maps = visitor.page.locator("#concept_maps .rows canvas")
    expect(maps).to_have_count(2)
    before = [visitor.page.evaluate("(c) => c.toDataURL()", canvas.element_handle()) for canvas in maps.all()]
    choices.nth(1).click()
    expect(visitor.page.locator("#concepts input").nth(1)).to_be_checked()
    visitor.page.wait_for_function(
        "(before) => document.querySelectorAll('#concept_maps .rows canvas')[0].toDataURL() !== before", arg=before[0]
    )
    assert visitor.page.locator("#concept_places img").count() >= 3


def test_a_class_is_told_in_words_and_another_class_takes_the_words_away(visitor):
    visitor.page.get_by_role("tab", name="Classes").click()
    visitor.choose("#class_label", "taj_mahal (3)")
    expect(visitor.at("#members .grid")).to_have_attribute("data-ready", "1")
    visitor.at("#class_say").click()
    expect(visitor.at("#class_in_words")).to_contain_text("dome")
    visitor.choose("#class_label", "fish (28)")
    expect(visitor.at("#class_in_words")).to_have_text("")
