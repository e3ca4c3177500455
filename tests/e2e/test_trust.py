"""The Trust tab: maps are drawn and measured, the score is watched while pixels go, a long drawing is stopped."""

import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from simvis_app.service.sessions.session import Settings
from simvis_core.steps import run
from simvis_core.trust.measuring import Asked, question_of
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]
CARD = "#map_cards [role=listitem][data-name='{}']"


@pytest.fixture
def doubter(visitor):
    """A visitor on the Trust tab."""
    visitor.page.get_by_role("tab", name="Trust").click()
    expect(visitor.at("#trust_pair b").first).to_be_visible()
    return visitor


def only(visitor, *titles):
    """Chooses these explainers and no others."""
    if not visitor.at("#explainers").is_visible():
        visitor.open("Explainers, and how they are measured")
    boxes = visitor.at("#explainers input")
    for box in boxes.all():
        box.uncheck()
    for title in titles:
        visitor.page.locator("#explainers label", has_text=re.compile(rf"^\s*{re.escape(title)} \(")).locator(
            "input"
        ).check()


def measured_in_full(visitor):
    """Behind what the tab opens with."""
    expect(visitor.at("#measuring")).to_contain_text("at a glance", timeout=120_000)
    visitor.at("#measure").click()
    expect(visitor.at("#measuring progress")).to_be_visible()
    expect(visitor.at("#measuring")).to_have_text("", timeout=120_000)
    expect(visitor.at("#trust_table table")).to_be_visible()


@pytest.mark.slow
def test_the_tab_opens_with_quick_maps_measured(doubter):
    expect(doubter.at("#measuring")).to_contain_text("at a glance: the quick explainers", timeout=120_000)
    expect(doubter.at(CARD.format("decomposition") + " .verdict")).to_contain_text("chance")
    expect(doubter.at(CARD.format("grad_cam_normalised"))).to_have_attribute("data-drawn", "1")
    expect(doubter.at("#trust_table table")).to_be_visible()
    expect(doubter.at("#removal_picture img.removed")).to_be_visible()


@pytest.mark.slow
def test_two_maps_are_measured_and_the_score_is_watched_while_pixels_go(doubter, session):
    assert "0.766" in doubter.text("#trust_pair")
    only(doubter, "Decomposition", "Grad-CAM of the cosine")
    measured_in_full(doubter)
    expect(doubter.at(CARD.format("decomposition") + " .verdict")).to_contain_text("chance")
    for name in ("decomposition", "grad_cam_normalised", "centre", "random"):
        expect(doubter.at(CARD.format(name))).to_have_attribute("data-drawn", "1")
    assert "5 random maps" in doubter.text("#trust_summary")
    expect(doubter.at("#removal_plot .legendtext")).to_have_count(4)

    files = [PICTURES / "taj_mahal" / f"taj_mahal_{number}.jpg" for number in (1, 3)]
    measured = run(session.measuring(*files, Settings(), "a", Asked("decomposition")))
    assert question_of(session.explain(*files, Settings()), "a").score == pytest.approx(0.766385, abs=1e-5)
    row = doubter.page.locator("#trust_table tr", has_text=re.compile("^Decomposition"))
    shown = [float(cell) for cell in row.locator("td").all_inner_texts()[1:6]]
    insertion, deletion = measured.insertion, measured.deletion
    expected = [measured.gap, deletion.auc, insertion.auc, deletion.rescaled_auc, insertion.rescaled_auc]
    assert shown == pytest.approx(expected, abs=2e-3)  # the page's engine is another

    expect(doubter.at("#removal_picture img.removed")).to_be_visible()
    before, source = doubter.text("#removal_picture .big"), doubter.at("#removal_picture img").get_attribute("src")
    assert float(before) == pytest.approx(deletion.at(0.2), abs=2e-3)
    doubter.at("#removal_share input[type=number]").fill("60")
    doubter.at("#removal_share input[type=number]").press("Enter")
    expect(doubter.at("#removal_picture .big")).not_to_have_text(before)
    assert float(doubter.text("#removal_picture .big")) == pytest.approx(deletion.at(0.6), abs=2e-3)
    assert doubter.at("#removal_picture img").get_attribute("src") != source


@pytest.mark.slow
def test_depths_are_measured_and_the_one_followed_most_closely_opens_in_compare(doubter):
    only(doubter)
    doubter.at("#every_depth").click()
    expect(doubter.at("#explainers input:checked")).to_have_count(4)
    only(doubter, "Decomposition + bias", "Path at depth 1")
    measured_in_full(doubter)
    [best] = re.findall(r"depth (\d) is followed most closely", doubter.text("#trust_summary"))
    assert re.search(r"at depth 0 \(7 x 11 cells\).* at depth 1 \(14 x 22 cells\)", doubter.text("#trust_summary"))
    expect(doubter.at("#closest_depth")).to_have_text(f"Show depth {best} in Compare")
    doubter.at("#closest_depth").click()
    expect(doubter.page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
    expect(doubter.at("#pair_viewer")).to_be_in_viewport()
    if best == "1":
        doubter.page.wait_for_selector('#pair_viewer [data-fine="14,22"]')
        expect(doubter.page).to_have_url(re.compile("layer=network"))
    else:
        doubter.page.wait_for_selector("#pair_viewer .pair:not([data-fine])")
        expect(doubter.at("#layer input").first).to_be_checked()


@pytest.mark.slow
def test_a_long_drawing_shows_its_map_so_far_and_stops(doubter):
    only(doubter, "RISE")
    doubter.at("#measure").click()
    expect(doubter.at(CARD.format("rise") + " .state")).to_have_text("being drawn", timeout=60_000)
    expect(doubter.at(CARD.format("rise"))).to_have_attribute("data-drawn", "1")
    expect(doubter.at("#measuring progress")).to_be_visible()
    doubter.at("#stop_measuring").click()
    expect(doubter.at("#measuring")).to_contain_text("Stopped")
    expect(doubter.at(CARD.format("rise") + " .state")).to_have_text("stopped")
    doubter.page.wait_for_timeout(2000)  # what a measuring said last must not come back
    expect(doubter.at("#measuring")).to_contain_text("Stopped")
    expect(doubter.at("#measuring progress")).to_have_count(0)
    expect(doubter.at("#stop_measuring")).to_be_hidden()
    # Another question empties what was said of the one before.
    doubter.page.locator("#trust_side label", has_text="picture B").click()
    expect(doubter.at(CARD.format("rise"))).to_have_count(0)
    expect(doubter.at("#trust_pair")).to_contain_text("Picture B")


@pytest.mark.slow
def test_nothing_chosen_is_told_on_the_page_and_the_phone_needs_no_sideways_scrolling(visit):
    visitor = visit(viewport={"width": 390, "height": 800})
    visitor.page.get_by_role("tab", name="Trust").click()
    only(visitor)
    visitor.at("#measure").click()
    expect(visitor.at("#measuring .notice")).to_contain_text("no explainer")
    expect(visitor.at("#trust_pair b").first).to_be_visible()
    only(visitor, "Decomposition")
    visitor.at("#measure").click()
    expect(visitor.at("#measuring")).to_have_text("", timeout=120_000)
    expect(visitor.at("#trust_table table")).to_be_visible()
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_a_link_opens_the_tab_with_its_choices_and_an_export_holds_what_was_measured(doubter, visit, server):
    only(doubter, "Decomposition", "RGrad-CAM / HiResCAM")
    doubter.page.locator("#trust_side label", has_text="picture B").click()
    expect(doubter.at("#trust_pair")).to_contain_text("Picture B")
    expect(doubter.at("#measuring")).to_contain_text("at a glance", timeout=120_000)
    told = doubter.at("#trust_share_told [role=status]")
    doubter.at("#trust_link_button").click()
    expect(told).to_contain_text("Link copied")
    link = doubter.page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{server.address}/?")

    friend = visit(stranger=True)
    friend.page.goto(link)
    expect(friend.at("#trust_pair")).to_contain_text("Picture B, taj_mahal_3.jpg")
    friend.open("Explainers, and how they are measured")
    boxes = friend.at("#explainers label").filter(has=friend.page.locator("input:checked"))
    assert [text.split(" (")[0] for text in boxes.all_inner_texts()] == ["Decomposition", "RGrad-CAM / HiResCAM"]
    measured_in_full(friend)
    with friend.page.expect_download() as download:
        friend.at("#trust_export_button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert json.loads(archive.read("manifest.json"))["explained"] == "b"
        assert [name for name in archive.namelist() if name.endswith(".png")][:2] == [
            "decomposition.png",
            "hires_cam.png",
        ]
