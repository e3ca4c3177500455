"""How maps lie on pictures: a choice beside the map, one for the page; and what a phone shows without scrolling."""

import numpy as np
import pytest
from playwright.sync_api import expect

from simvis_app.service import samples
from simvis_app.service.sessions.session import Settings
from simvis_core import enlarge
from simvis_core.files.colours import outline
from simvis_core.pictures.overlays import common_scale
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]

FILES = [PICTURES / samples.pairs()[0][side] for side in "ab"]
CHOSEN = "{} .ground input:checked"
FILTER = "(image) => getComputedStyle(image).filter"
SHOWN = "(canvas) => [getComputedStyle(canvas).animationName, getComputedStyle(canvas).opacity]"


def as_python_draws(canvas, map, scale):
    h, w = canvas.shape[:2]
    wanted = outline(enlarge(map.double(), (h, w)).numpy(), scale, "blue-red")
    return (canvas == wanted).all(-1).mean() > 0.995  # the browser's maps are float32


@pytest.mark.slow
def test_keys_lay_the_maps_on_grey_as_lines_or_hide_them_on_every_tab(visitor, session):
    page, pair = visitor.page, session.explain(*FILES, Settings())
    picture, canvas = (visitor.at(f"#pair_viewer [data-side=a] {part}") for part in ("img", "canvas"))
    visitor.at("#pair_viewer [name=pair-mode]:checked").focus()
    page.keyboard.press("Tab")
    chosen = visitor.at(CHOSEN.format("#pair_viewer"))
    assert chosen.evaluate("(input) => input === document.activeElement && input.value") == "colours"
    assert picture.evaluate(FILTER) == "none"
    requests = len(visitor.requests)
    page.keyboard.press("ArrowRight")
    assert "grayscale(1)" in picture.evaluate(FILTER)
    assert "grayscale(1)" in visitor.at("#pooling_panel img").first.evaluate(FILTER)
    page.keyboard.press("ArrowRight")
    assert picture.evaluate(FILTER) == "none"
    for side in "ab":
        assert as_python_draws(visitor.canvas(side), pair.side(side)[2], common_scale(pair.map_a, pair.map_b))
    assert len(visitor.requests) == requests  # drawn anew without asking for anything
    visitor.click_cell("a", 2, 5, pair.a.grid)
    scale = max(float(pair.joint_map[2, 5].abs().max()), float(pair.joint_map.abs().max()) / 4)
    assert as_python_draws(visitor.canvas("b"), pair.joint_map[2, 5], scale)
    visitor.at(CHOSEN.format("#pair_viewer")).focus()
    page.keyboard.press(
        "ArrowRight"
    )  # this visitor wants no motion: nothing blinks, the map is gone until another choice
    assert canvas.evaluate(SHOWN) == ["none", "0"]
    assert visitor.text("#pair_viewer .ground label:has(:checked)") == "no map"

    page.get_by_role("tab", name="Search").click()
    expect(visitor.at("#hits .hit").first).to_be_visible(timeout=120_000)
    for tab, place in (("Search", "#hits"), ("Classes", "#members"), ("Trust", "#map_cards")):
        page.get_by_role("tab", name=tab).click()
        expect(visitor.at(CHOSEN.format(place))).to_be_visible(timeout=120_000)
        assert visitor.at(CHOSEN.format(place)).input_value() == "blink"
    assert visitor.at("#why_grid .ground").count() == 1
    assert visitor.at("#nearest_whole .ground:visible").count() == 0  # one a tab
    visitor.at("#map_cards .ground input[value=outline]").check()
    lines = visitor.at("#map_cards canvas").nth(1)
    assert lines.evaluate(SHOWN) == ["none", "1"]
    page.get_by_role("tab", name="Compare").click()
    expect(visitor.at(CHOSEN.format("#pair_viewer"))).to_have_value("outline")
    assert canvas.evaluate(SHOWN) == ["none", "1"]


@pytest.mark.slow
def test_a_phones_first_screen_has_score_and_both_maps_and_then_the_answer_to_a_tap(visit):
    visitor = visit(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, reduced_motion="no-preference"
    )
    page = visitor.page

    def on_screen(selector):
        box = visitor.at(selector).bounding_box()
        return box["y"] >= 0 and box["y"] + box["height"] <= 844

    assert page.evaluate("window.scrollY") == 0
    for part in ("#score .big", '#pair_viewer [data-side="a"]', '#pair_viewer [data-side="b"]'):
        assert on_screen(part), part
    for side in "ab":
        name, remove = (
            visitor.at(f"#image_{side} {part}").bounding_box()
            for part in ("[data-testid=block-label]", "[aria-label='Remove Image']")
        )
        assert name["x"] + name["width"] <= remove["x"]
        assert min(remove["width"], remove["height"]) >= 44
    visitor.at('#pair_viewer [data-side="a"]').tap()
    expect(visitor.at("#pair_viewer [role=status]")).to_contain_text("Pinned: cell ")
    page.wait_for_timeout(300)
    assert on_screen("#pair_viewer [role=status]")
    assert on_screen('#pair_viewer [data-side="b"]')
    page.evaluate("window.scrollTo(0, 0)")
    visitor.at("#pair_viewer .ground label:has-text('blink')").tap()
    assert visitor.at("#pair_viewer [data-side=b] canvas").evaluate(SHOWN)[0] == "simvis-blink"
    label = visitor.at("#pair_viewer .ground label").first.bounding_box()
    assert label["height"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert np.any(visitor.canvas("b")[..., 3])
