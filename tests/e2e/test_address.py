"""The address: what is on screen comes back by Back, Forward and Reload, and for whoever opens a copy of it."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]
TAB = "#tabs [role=tab][aria-selected=true]"
HITS, MEMBERS = "#hits .grid", "#members .grid"


def parts(visitor):
    """The address's query, part by part."""
    return {name: texts[0] for name, texts in parse_qs(urlsplit(visitor.page.url).query).items()}


def turn(visitor, tab):
    visitor.page.get_by_role("tab", name=tab).click()
    expect(visitor.page).to_have_url(re.compile(f"tab={tab}"))


def shows(visitor, tab, part, value):
    """Waits until the address names both and the tab is on screen; the page follows the address, or the other way."""
    expect(visitor.at(TAB)).to_have_text(tab)
    visitor.page.wait_for_function(
        "([name, value]) => new URLSearchParams(location.search).get(name) === value", arg=[part, value]
    )


@pytest.mark.slow
def test_each_tab_comes_back_by_back_forward_reload_and_for_somebody_else(visitor, visit):
    page, opening = visitor.page, visitor.text("#score .big")
    assert urlsplit(page.url).query == ""
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "max"))
    shows(visitor, "Compare", "pooling", "max")
    score = visitor.text("#score .big")
    turn(visitor, "Search")
    expect(visitor.at(HITS)).to_have_attribute("data-count", "24")
    first_hits = visitor.at(HITS).get_attribute("data-key")
    visitor.at("#search_with_b").click()
    shows(visitor, "Search", "q", "sample/taj_mahal/taj_mahal_3.jpg")
    expect(visitor.at(HITS)).not_to_have_attribute("data-key", first_hits)
    hits = visitor.at(HITS).get_attribute("data-key")
    turn(visitor, "Classes")
    expect(visitor.at(MEMBERS)).to_have_attribute("data-key", re.compile("."))
    first_members = visitor.at(MEMBERS).get_attribute("data-key")
    page.get_by_label("least typical first").check()
    shows(visitor, "Classes", "order", "least typical first")
    expect(visitor.at(MEMBERS)).not_to_have_attribute("data-key", first_members)
    members = visitor.at(MEMBERS).get_attribute("data-key")
    turn(visitor, "Trust")
    page.get_by_label("picture B", exact=True).check()
    shows(visitor, "Trust", "side", "b")
    whole = parts(visitor)

    page.go_back()
    shows(visitor, "Trust", "side", None)
    expect(page.get_by_label("picture A", exact=True)).to_be_checked()
    page.go_back()
    shows(visitor, "Classes", "order", "least typical first")
    page.go_back()
    shows(visitor, "Classes", "order", None)
    expect(visitor.at(MEMBERS)).to_have_attribute("data-key", first_members)
    page.go_back()
    shows(visitor, "Search", "q", "sample/taj_mahal/taj_mahal_3.jpg")
    page.go_back()
    shows(visitor, "Search", "q", None)
    expect(visitor.at(HITS)).to_have_attribute("data-key", first_hits)
    page.evaluate("() => { history.go(-2); }")  # several steps at once, as the button's list offers them
    shows(visitor, "Compare", "pooling", None)
    expect(visitor.at("#score .big")).to_have_text(opening)
    page.evaluate("() => { history.go(7); }")
    shows(visitor, "Trust", "side", "b")
    expect(page.get_by_label("picture B", exact=True)).to_be_checked()
    assert parts(visitor) == whole

    visitor.reload()
    friend = visit(f"?{urlsplit(page.url).query}", stranger=True)
    for one in (visitor, friend):
        shows(one, "Trust", "side", "b")
        expect(one.page.get_by_label("picture B", exact=True)).to_be_checked()
    turn(visitor, "Search")
    expect(visitor.at(HITS)).to_have_attribute("data-key", hits)
    turn(friend, "Classes")
    expect(friend.at(MEMBERS)).to_have_attribute("data-key", members)
    friend.page.get_by_role("tab", name="Compare").click()
    expect(friend.at("#score .big")).to_have_text(score)
    assert friend.at("#pooling input").input_value() == "max"


@pytest.mark.slow
def test_ones_own_picture_comes_back_for_oneself_and_for_nobody_else(visitor, visit, tmp_path):
    own = tmp_path / "my picture.png"
    with Image.open(PICTURES / "cheetah" / "cheetah_1.jpg") as image:
        image.save(own)
    opening = visitor.text("#score .big")
    visitor.changing_the_score(lambda: visitor.upload("a", own))
    expect(visitor.page).to_have_url(re.compile(r"\?a=own/[0-9a-f]{32}$"))
    score = visitor.text("#score .big")
    visitor.page.go_back()
    expect(visitor.at("#score .big")).to_have_text(opening)
    visitor.page.go_forward()
    expect(visitor.at("#score .big")).to_have_text(score)
    visitor.reload()
    expect(visitor.at("#score .big")).to_have_text(score)
    stranger = visit(f"?{urlsplit(visitor.page.url).query}", stranger=True)
    expect(stranger.page.locator(".toast-wrap")).to_contain_text("somebody's own picture")
    expect(stranger.at("#score .big")).to_have_text(opening)
