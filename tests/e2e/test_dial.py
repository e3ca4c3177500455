"""The dial in a browser: a finer map by click and by key, a pin at its cell, the sum below, the address, and back."""

import re

import pytest
from playwright.sync_api import expect

from simvis_app.service import samples
from simvis_app.service.sessions.depths import DepthAsked, Depths
from simvis_app.service.sessions.session import Settings
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.overlays import common_scale
from tests.e2e.test_viewer import same_picture
from tests.e2e.visitor import PICTURES, carried

pytestmark = [pytest.mark.browser, pytest.mark.network]

A, B = (PICTURES / samples.pairs()[0][side] for side in "ab")
GRID = (14, 22)


def fine(session, layer):
    """The frozen maps at a layer, as Python draws them."""
    return Depths(session).explained(A, B, Settings(), DepthAsked(layer))


@pytest.mark.slow
def test_a_finer_map_is_drawn_pinned_told_and_linked(desk, session, visit):
    steps = desk.at("#layer label")
    expect(steps).to_have_count(6)
    assert [steps.nth(at).inner_text().strip() for at in (0, 1)] == ["coarse: 7 x 11", "14 x 22"]
    assert desk.at("#layer input").first.is_checked()
    steps.nth(1).click()
    desk.page.wait_for_selector('#pair_viewer [data-fine="14,22"]')
    desk.page.get_by_label("gates held (frozen)").check()
    expect(desk.at("#depth_told")).to_contain_text("Gates held")
    pair = fine(session, "blocks.4")
    scale = common_scale(pair.map_a, pair.map_b)
    assert all(same_picture(desk.canvas(side), pair.side(side)[2], scale) for side in SIDES)
    for part in ("cells of the map", "offsets of the layers", "tokens without a place", "remainder"):
        assert part in desk.text("#depth_told")
    desk.click_cell("a", 5, 10, GRID)
    desk.page.wait_for_selector('#pair_viewer [data-fine-point="a:5,10"]')
    cell, side, share, _ = carried(desk.status)
    assert (cell, side) == ((5, 10), "a")
    assert share == pytest.approx(float(pair.map_a[5, 10]), abs=6e-4)
    view = pair.view_a.size
    point = pair.point_map("a", 10.5 * view[1] / 22 - 0.5, 5.5 * view[0] / 14 - 0.5)
    assert same_picture(desk.canvas("b"), point, common_scale(point))
    expect(desk.page).to_have_url(re.compile(r"layer=network\.blocks\.4&rule=frozen"))
    expect(desk.page).to_have_url(re.compile(r"pin=a\.5\.10\.14\.22"))
    other = visit(f"?{desk.page.url.partition('?')[2]}")
    other.page.wait_for_selector('#pair_viewer [data-fine-point="a:5,10"]')
    assert same_picture(other.canvas("b"), point, common_scale(point))
    desk.at("#layer input").first.focus()
    desk.page.keyboard.press("Space")  # back to the coarse map
    desk.page.wait_for_selector("#pair_viewer .pair:not([data-fine])")
    expect(desk.at("#rule")).to_have_count(0)
    assert "Pinned: cell 2,5 of A" in desk.status


@pytest.mark.slow
def test_a_path_draws_at_once_what_it_then_refines(visitor):
    visitor.at("#layer label").nth(1).click()
    expect(visitor.at("#depth_told")).to_contain_text("along 8 points")
    expect(visitor.at("#depth_told")).not_to_contain_text("Refining")
    assert "the blurred reference" in visitor.text("#depth_told")
