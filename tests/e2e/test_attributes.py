"""The Attributes tab: the pair in words, an attribute chosen by click, by keys and by name, weights, link, phone."""

import csv
import io
import re
import zipfile

import pytest
from playwright.sync_api import expect

from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked
from simvis_app.service.attributes.telling import why_not
from simvis_app.service.sessions.session import Session
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow]
PAIR = tuple(PICTURES / "taj_mahal" / f"taj_mahal_{number}.jpg" for number in (1, 3))
ROW, CHOSEN = "#attribute_table tr[data-name='{}']", "#attribute_table tr.chosen"
INSIDE = """(row) => {
  const own = row.getBoundingClientRect(), list = row.closest(".scroller").getBoundingClientRect();
  return list.top <= own.top && own.bottom <= list.bottom; }"""
MAPS = '#{} .maps[data-ready="1"] canvas'


@pytest.fixture(scope="module")
def ranking():
    """What the tab is to show."""
    answers = AttributeAnswers(Session())
    return lambda **how: answers.explained(PAIR, "efficientnet_lite0", "whole", AttributesAsked(**how)).ranking


def turned(visitor):
    visitor.page.get_by_role("tab", name="Attributes").click()
    expect(visitor.at('#attribute_table [data-ready="1"]')).to_be_visible()
    return visitor


def title(visitor):
    return visitor.at("#where_maps h3")


def typed(visitor, text):
    """Types a name into the field of attributes, as a visitor who looks for it does."""
    visitor.at("#attribute input").click()
    visitor.at("#attribute input").press("ControlOrMeta+a")
    visitor.page.keyboard.type(text)
    visitor.page.keyboard.press("Enter")


def test_the_pair_is_told_and_any_attribute_is_chosen_by_click_by_keys_and_by_its_name(visitor, ranking):
    turned(visitor)
    expected = ranking()
    names = [one.name for one in expected.attributes]
    said = expected.sentence()
    expect(visitor.at("#attributes_sentence .in-words")).to_have_text(f"{said[0].upper()}{said[1:]}.")
    rows = visitor.at("#attribute_table tr[data-name]")
    expect(rows).to_have_count(len(names))
    assert [row.get_attribute("data-name") for row in rows.all()[:5]] == names[:5]
    shown = [float(cell) for cell in rows.first.locator("td").all_inner_texts()[1:]]
    best = expected.attributes[0]
    assert shown == pytest.approx([best.score, best.confidence, best.overlap, best.prior], abs=0.006)
    expect(title(visitor)).to_have_text(f"Where '{names[0]}' is")
    for maps in ("own_maps", "where_maps"):
        expect(visitor.at(MAPS.format(maps))).to_have_count(3)  # both pictures, and the scale
    expect(visitor.at("#where_maps p").first).to_contain_text("Exact at this input")

    visitor.at(ROW.format(names[3])).locator("td").first.click()  # anywhere in the row
    expect(title(visitor)).to_have_text(f"Where '{names[3]}' is")
    expect(visitor.at("#attribute input")).to_have_value(names[3])
    visitor.page.keyboard.press("ArrowDown")
    expect(title(visitor)).to_have_text(f"Where '{names[4]}' is")
    expect(visitor.at(CHOSEN)).to_have_attribute("data-name", names[4])
    visitor.page.keyboard.press("ArrowUp")
    visitor.page.keyboard.press("ArrowUp")
    expect(title(visitor)).to_have_text(f"Where '{names[2]}' is")
    assert visitor.page.evaluate("() => document.activeElement.value") == names[2]  # the keys stay where they are

    typed(visitor, "arch")
    place = expected.place("arch")
    expect(visitor.at("#why_not .why-not")).to_have_text(f"Place {place} of {len(names)}. {why_not(expected, 'arch')}.")
    expect(visitor.at(CHOSEN)).to_have_attribute("data-name", "arch")
    assert visitor.at(CHOSEN).evaluate(INSIDE)  # far down in its list
    expect(visitor.at("#terms .other")).to_have_count(4)
    typed(visitor, "domes")
    expect(visitor.at("#why_not .notice")).to_contain_text("There is no attribute 'domes': try dome")


def test_weights_and_preset_are_the_visitors_and_a_link_and_a_file_keep_them(visitor, visit, ranking, server):
    turned(visitor)
    visitor.at(ROW.format("tower")).click()
    expect(title(visitor)).to_have_text("Where 'tower' is")
    number = visitor.at("#weight_overlap input[type=number]")
    learnt = ranking().weights
    expect(number).to_have_value(f"{learnt.overlap:g}")
    visitor.at("#weight_overlap input[type=range]").focus()
    visitor.page.keyboard.press("Home")
    expect(number).to_have_value("0")
    weights = (learnt.confidence, 0, learnt.prior)
    alone = ranking(weights=weights)
    expect(visitor.at("#attribute_table tr[data-name]").first).to_have_attribute("data-name", alone.attributes[0].name)
    expect(visitor.at("#weighed")).to_contain_text("Your weights")
    expect(visitor.at("#terms")).to_contain_text("learnt for other weights")
    expect(visitor.at(CHOSEN)).to_have_attribute("data-name", "tower")
    visitor.page.get_by_label("sane: the paper's, picture A only").check()
    sane = ranking(preset="sane", weights=weights)
    expect(visitor.at("#attribute_table tr[data-name]").first).to_have_attribute("data-name", sane.attributes[0].name)
    expect(visitor.at("#own_maps p").first).to_contain_text("picture A only")
    expect(visitor.page).to_have_url(re.compile(f"weights={learnt.confidence:g},0,{learnt.prior:g}"))
    expect(visitor.page).to_have_url(re.compile("attribute=tower"))

    told = visitor.at("#attributes_share_told [role=status]")
    visitor.at("#attributes_link_button").click()
    expect(told).to_contain_text("Link copied")
    link = visitor.page.evaluate("navigator.clipboard.readText()")
    with visitor.page.expect_download() as saved:
        visitor.at("#attributes_export_button").click()
    with zipfile.ZipFile(saved.value.path()) as held:
        assert "b_tower.png" in held.namelist()
        rows = csv.DictReader(io.StringIO(held.read("terms.csv").decode("utf-8-sig")))
        assert next(rows)["name"] == sane.attributes[0].name

    friend = visit(stranger=True)
    friend.page.goto(link)
    expect(title(friend)).to_have_text("Where 'tower' is")
    expect(friend.at("#attribute_table tr[data-name]").first).to_have_attribute("data-name", sane.attributes[0].name)
    expect(friend.at("#weight_overlap input[type=number]")).to_have_value("0")
    friend.reload()
    expect(title(friend)).to_have_text("Where 'tower' is")
    expect(friend.at("#weighed")).to_contain_text("Your weights")
    friend.at("#learnt_weights").click()
    own = ranking(preset="sane")
    expect(friend.at("#attribute_table tr[data-name]").first).to_have_attribute("data-name", own.attributes[0].name)
    expect(friend.at("#weighed")).to_contain_text("As learnt")
    expect(friend.at("#weight_overlap input[type=number]")).to_have_value(f"{own.weights.overlap:g}")


def test_a_network_without_attributes_says_which_have_some_and_another_pair_is_told_anew(visitor):
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "MobileNetV2"))
    visitor.page.get_by_role("tab", name="Attributes").click()
    expect(visitor.at("#attributes_pair .notice")).to_contain_text("has no attributes")
    for nothing in ('#attribute_table [data-ready="1"]', "#attribute", "#preset", "#attributes_link_button"):
        expect(visitor.at(nothing)).to_be_hidden()
    visitor.page.get_by_role("tab", name="Compare").click()
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "EfficientNet-Lite0"))
    visitor.changing_the_score(lambda: visitor.at("#examples .thumbnail-item").nth(3).click())
    turned(visitor)
    expect(visitor.at("#attributes_pair")).not_to_contain_text("taj_mahal")
    expect(visitor.at(MAPS.format("where_maps"))).to_have_count(3)


def test_a_phone_shows_all_of_it_without_sideways_scrolling(visit):
    visitor = turned(visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    visitor.at(ROW.format("tower")).locator("label").tap()
    expect(title(visitor)).to_have_text("Where 'tower' is")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visitor.at("#attribute_table .scroller").evaluate("(list) => list.scrollWidth <= list.clientWidth")
