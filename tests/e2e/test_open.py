"""How the page opens: explained, readable, on any screen."""

import pytest

from simvis_app.service import samples

pytestmark = [pytest.mark.browser, pytest.mark.network]

PARTS = (
    "#image_a",
    "#image_b",
    "#backbone",
    "#pooling",
    "#score",
    "#ledger",
    '#pair_viewer [data-ready="1"]',
    "#pair_viewer [data-side=a]",
    "#pair_viewer [data-side=b]",
    "#pair_viewer [role=status]",
    "#topk_plot .plot-container",
    "#pooling_panel section",
    "#features label",
    "#examples button",
)


def test_the_first_sample_pair_is_explained(desk, session):
    from simvis_app.service.sessions.session import Settings

    for part in PARTS:
        desk.page.wait_for_selector(part)
    first = samples.pairs()[0]
    pair = session.explain(*(samples.PICTURES / first[side] for side in "ab"), Settings())
    assert desk.text("#score .big") == f"{pair.score:.3f}"
    assert desk.text("#ledger").startswith(f"{pair.ledger['cells_cells']:.3f} in the pictures + ")
    assert "exact" in desk.text("#ledger")
    assert "No point is pinned" in desk.status
    assert not desk.at("#notice").is_visible()
    assert first["note"] in desk.text("#credits")
    for side in "ab":
        credit = samples.credit(samples_hash(first[side]))
        assert credit["author"] in desk.text("#credits")
        painted = desk.canvas(side)
        assert painted[..., 3].max() > 100
        assert desk.at(f"#pair_viewer [data-side={side}] img").evaluate("(image) => image.naturalWidth") > 100


def samples_hash(file):
    from simvis_app.service.sessions.session import content_hash

    return content_hash(samples.PICTURES / file)


def test_all_credits_can_be_read(desk):
    desk.open("Credits of all sample pictures")
    desk.page.wait_for_selector("text=Jonathanawhite")
    assert desk.page.get_by_role("listitem").count() >= len(samples.credits_list())


CONTRAST = """(selectors) => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return text.startsWith("color(srgb")
    ? [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const answer = {};
  for (const selector of selectors) {
    const element = document.querySelector(selector), chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(e);
    let under = [255, 255, 255], opacity = 1;
    for (const e of chain) {
      const style = getComputedStyle(e);
      under = over(parse(style.backgroundColor), under);
      opacity *= Number(style.opacity);
    }
    const colour = parse(getComputedStyle(element).color);
    const text = over([...colour.slice(0, 3), colour[3] * opacity], under);
    const [low, high] = [light(text), light(under)].sort((a, b) => a - b);
    answer[selector] = (high + 0.05) / (low + 0.05);
  }
  return answer;
}"""
TEXTS = (
    "#intro h1",
    "#compare_intro p",
    "#score .big",
    "#score .unit",
    "#ledger",
    "#ledger em",
    "#credits",
    "#pair_viewer figcaption",
    "#pair_viewer [role=status]",
    "#pair_viewer .readout",
    "#pair_viewer .bar .unit",
    "#pair_viewer .switch label",
    "#pooling_panel h3",
    "#pooling_panel p",
    "#link_button",
    "#features label:not(.selected) span",
)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background(visit, theme):
    visitor = visit(f"?__theme={theme}")
    assert ("dark" in (visitor.at("body").get_attribute("class") or "")) == (theme == "dark")
    contrast = visitor.page.evaluate(CONTRAST, list(TEXTS))
    assert {name: round(ratio, 2) for name, ratio in contrast.items() if ratio < 4.5} == {}


@pytest.mark.slow
def test_a_phone_shows_everything_without_scrolling_sideways(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    width, room = visitor.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= room == 390
    a, b = (visitor.at(f"#image_{side}").bounding_box() for side in "ab")
    assert abs(a["y"] - b["y"]) < 2  # side by side
    score = visitor.at("#score .big").bounding_box()
    assert score["y"] + score["height"] <= 844  # on the first screen
    for part in ("#score", "#ledger", "#pair_viewer [data-side=a]", "#pair_viewer [data-side=b]"):
        box = visitor.at(part).bounding_box()
        assert box["width"] > 100
        assert box["x"] + box["width"] <= 390
    # A source's long address breaks: it is part of the licence, and a line that is cut cannot be read.
    assert visitor.at("#credits p").last.evaluate("(e) => e.scrollWidth <= e.clientWidth")


def test_everything_can_be_reached_by_name(desk):
    """What a screen reader is told: pictures, stages and buttons have names."""
    nameless = desk.page.evaluate("""() => [...document.querySelectorAll("button, [role=application], img, input")]
      .filter((e) => e.offsetParent && !(e.innerText || "").trim() && !e.getAttribute("aria-label") && !e.alt
        && !e.title && !e.closest("label") && e.getAttribute("alt") !== ""
        && !(e.id && document.querySelector(`label[for="${e.id}"]`)))
      .map((e) => e.outerHTML.slice(0, 120))""")
    assert [html for html in nameless if "#examples" not in html] == []
