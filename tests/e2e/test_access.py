"""What screen readers, keyboards and fingers need: axe-core finds nothing on any tab, focus is never lost, targets."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect

from simvis_app.page.glossary import GLOSSARY

pytestmark = [pytest.mark.browser, pytest.mark.network]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
# Every rule, those that axe itself leaves off as experimental too; only what it leaves off for level AAA stays so.
SCAN = """async () => {
  const rules = axe.getRules().filter((rule) => !rule.tags.includes("wcag2aaa")).map((rule) => rule.ruleId);
  const found = await axe.run(document, { resultTypes: ["violations"], runOnly: { type: "rule", values: rules } });
  return found.violations.filter((one) => one.impact !== "minor").flatMap((one) =>
    one.nodes.map((node) => `${one.impact} ${one.id}: ${node.html.slice(0, 120)} ${node.failureSummary.slice(0, 99)}`));
}"""
# What can be pressed and is smaller than so many pixels; a button in a sentence and a link in a text may be.
SMALL = """(least) => [...document.querySelectorAll("button, a[href], input, select, [role=tab]")].flatMap((node) => {
  const box = (node.matches("[type=radio], [type=checkbox]") && node.closest("label")) || node;
  const { width, height } = box.getBoundingClientRect();
  if (!width || !height || node.disabled) return [];
  if (node.matches("a") && node.closest("p, li, #credits") || node.closest(".js-plotly-plot, .skip")) return [];
  const fits = width + 0.5 >= least && height + 0.5 >= least;
  return fits ? [] : [`${width.toFixed()} x ${height.toFixed()}: ${node.outerHTML.slice(0, 100)}`];
})"""
SETTLED = """() => !document.querySelector(".pending")
  && !document.getAnimations().some((one) => one.playState === "running" && one.effect?.getTiming().iterations < 9)"""
TERM = "button.term:text-is('{}')"
HELD = "() => document.activeElement !== document.body && document.activeElement.getClientRects().length > 0"
RAW_KEYS = """() => [...document.querySelectorAll("[aria-live], [role=status], .sr-only")]
  .map((node) => node.textContent.trim()).filter((text) => /^[a-z_]+\\.[a-z_]+$/.test(text))"""


def unfolded(visitor):
    """Opens every folded part of the tab that is shown."""
    for fold in visitor.at("button.label-wrap:not(.open)").all():
        if fold.is_visible():
            fold.click()
    settle(visitor)


def settle(visitor):
    """Until nothing fades in or waits for an answer: what is half there has no contrast."""
    visitor.page.wait_for_timeout(600)
    visitor.page.wait_for_function(SETTLED)


def complaints(visitor):
    settle(visitor)
    if not visitor.page.evaluate("() => Boolean(window.axe)"):
        visitor.page.evaluate(AXE)
    return visitor.page.evaluate(SCAN)


def shown(visitor, tab):
    """A tab with something on it."""
    visitor.page.get_by_role("tab", name=tab).click()
    ready = {"Compare": '#pair_viewer [data-ready="1"]', "Search": "#hits .hit", "Classes": "#members .hit"}
    ready["Attributes"] = '#attribute_table [data-ready="1"]'
    ready["Training"] = '#step_viewer [data-ready="1"]'
    expect(visitor.at(ready.get(tab, "#map_cards [data-drawn='1']")).first).to_be_visible(timeout=120_000)
    settle(visitor)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.slow
def test_axe_finds_nothing_on_any_tab_loaded_and_with_everything_unfolded(visit, theme):
    visitor, found, small = visit(f"?__theme={theme}"), {}, {}
    for tab in ("Compare", "Search", "Classes", "Trust", "Attributes", "Training"):
        shown(visitor, tab)
        found[tab] = complaints(visitor) if theme == "light" else []
        unfolded(visitor)
        found[f"{tab}, unfolded"] = complaints(visitor)
        small[tab] = visitor.page.evaluate(SMALL, 24)
    assert {where: what for where, what in found.items() if what} == {}
    assert {where: what for where, what in small.items() if what} == {}
    assert visitor.page.evaluate(RAW_KEYS) == []


@pytest.mark.slow
def test_axe_finds_nothing_in_an_empty_place_or_beside_an_opened_hit_and_focus_is_never_lost(visitor):
    page = visitor.page
    visitor.at("#image_a").get_by_role("button", name="Remove Image").focus()
    page.keyboard.press("Enter")
    expect(visitor.at("#notice .notice")).to_be_visible()
    page.wait_for_function(HELD)
    assert page.evaluate("() => Boolean(document.activeElement.closest('#image_a'))")
    assert complaints(visitor) == []
    shown(visitor, "Search")
    first = visitor.at("#hits .hit").first
    first.locator("button.why").click()
    expect(visitor.at("#why_grid .hit").first).to_be_visible()
    assert complaints(visitor) == []
    first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    visitor.wait_ready()
    page.wait_for_function(HELD)
    assert complaints(visitor) == []


@pytest.mark.slow
def test_the_keyboard_skips_to_the_content_moves_between_tabs_and_reads_a_word(visitor):
    page = visitor.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.getAttribute('role')") == "tabpanel"
    page.get_by_role("tab", name="Compare").focus()
    for key, tab in (
        ("ArrowRight", "Search"),
        ("ArrowLeft", "Compare"),
        ("ArrowLeft", "Training"),
        ("Home", "Compare"),
    ):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        assert page.evaluate("() => document.activeElement.textContent.trim()") == tab
    word, tip = visitor.at(TERM.format("bias")), visitor.at("#term-tip")
    word.hover()
    expect(tip).to_have_text(GLOSSARY["bias"])
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.mouse.move(1, 1)
    visitor.at(TERM.format("ledger")).focus()
    page.keyboard.press("Tab")
    expect(tip).to_have_text(GLOSSARY["bias"])


@pytest.mark.slow
def test_a_finger_finds_every_target_and_a_tap_explains_a_word(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    small = {}
    for tab in ("Compare", "Search", "Classes", "Trust", "Attributes", "Training"):
        shown(visitor, tab)
        unfolded(visitor)
        small[tab] = visitor.page.evaluate(SMALL, 44)
    assert {where: what for where, what in small.items() if what} == {}
    visitor.at(TERM.format("MAP@R")).tap()
    expect(visitor.at("#term-tip")).to_have_text(GLOSSARY["MAP@R"])
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
