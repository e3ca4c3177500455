"""The pair viewer: pointing, pinning, keys and touch; what it draws is what Python computes."""

import statistics

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file

from simvis_app.service import samples
from simvis_app.service.sessions.session import Settings
from simvis_core import enlarge
from simvis_core.files.colours import paint
from tests.e2e.visitor import PICTURES, carried, pixels

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow]

A, B = (PICTURES / samples.pairs()[0][side] for side in "ab")


@pytest.fixture(scope="module")
def pair(session):
    return session.explain(A, B, Settings())


def same_picture(canvas, map, scale, colours="blue-red", opacity=0.85):
    """Whether a canvas shows a map as Python would paint it; browsers keep colours premultiplied, a step or two off."""
    h, w = canvas.shape[:2]
    wanted = paint(enlarge(map.double(), (h, w)).numpy(), scale, colours, opacity).astype(int)
    assert np.abs(canvas[..., 3] - wanted[..., 3]).max() <= 1
    strong = wanted[..., 3] > 60
    return bool(strong.any()) and int(np.abs(canvas[strong] - wanted[strong])[:, :3].max()) <= 6


def point_scale(pair, map):
    """A point's own largest value, but never less than a quarter of the table's."""
    return max(float(map.abs().max()), float(pair.joint_map.abs().max()) / 4)


def test_both_maps_are_drawn_as_python_paints_them(desk, pair):
    scale = max(float(map.abs().max()) for map in (pair.map_a, pair.map_b))
    for side in "ab":
        assert same_picture(desk.canvas(side), pair.side(side)[2], scale)
    assert desk.text("#pair_viewer .bar .high") == f"{scale:.3f}"
    assert desk.text("#pair_viewer .bar .low") == f"{-scale:.3f}"


@pytest.mark.parametrize(("side", "far", "row", "column"), [("a", "b", 2, 5), ("b", "a", 6, 0)])
def test_pointing_at_a_cell_draws_its_map_on_the_other_picture_only(desk, pair, side, far, row, column):
    grid = pair.side(side)[1].grid
    desk.page.mouse.move(*desk.point(side, row, column, grid))
    desk.page.wait_for_selector(f'#pair_viewer [data-point="{side}:{row},{column}"]')
    map = pair.joint_map[row, column] if side == "a" else pair.joint_map[:, :, row, column]
    assert desk.canvas(side)[..., 3].max() == 0
    assert same_picture(desk.canvas(far), map, point_scale(pair, map))
    assert desk.text("#pair_viewer .readout").startswith(f"Here: cell {row},{column} of {side.upper()} carries ")
    desk.page.mouse.move(1, 1)
    desk.page.wait_for_selector('#pair_viewer [data-point=""]')
    assert desk.canvas(side)[..., 3].max() > 0


def test_forty_moves_are_drawn_without_a_request(desk, pair):
    x, y = desk.point("a", 0, 0, pair.a.grid)
    desk.page.mouse.move(x, y)
    desk.page.wait_for_timeout(900)  # the address asks once, a moment after the last pin
    draws, requests = desk.page.evaluate("window.simvisDraws"), len(desk.requests)
    for step in range(40):
        desk.page.mouse.move(x + 3 * step, y + 2 * step)
        desk.after_frames(1)
    drawn = desk.page.evaluate("window.simvisDraws") - draws
    assert 30 <= drawn <= 40
    assert len(desk.requests) == requests


def test_redrawing_fits_into_a_frame(desk):
    desk.page.evaluate("window.drawTimes.length = 0")
    desk.page.evaluate("""async () => {
      const stage = document.querySelector("#pair_viewer [data-side=a]"), box = stage.getBoundingClientRect();
      for (let i = 0; i < 200; i++) {
        stage.dispatchEvent(new PointerEvent("pointermove", { pointerType: "mouse", bubbles: true,
          clientX: box.left + (box.width * (i % 23)) / 23, clientY: box.top + (box.height * (i % 17)) / 17 }));
        await new Promise(requestAnimationFrame);
      }
    }""")
    times = desk.page.evaluate("window.drawTimes")
    assert len(times) >= 190
    assert statistics.median(times) < 16


def test_a_click_pins_a_cell_and_says_what_it_carries(desk, pair, server):
    row, column = 1, 5
    desk.click_cell("a", row, column, pair.a.grid)
    desk.page.mouse.move(1, 1)
    desk.page.wait_for_selector('#pair_viewer [data-point="a:1,5"]')  # stays when the pointer leaves
    cell, side, share, score = carried(desk.status)
    assert desk.status.startswith("Pinned: cell 1,5 of A carries ")
    assert (cell, side) == ((row, column), "a")
    client = Client(server.address, verbose=False)
    answer = client.predict(
        handle_file(A), handle_file(B), side="a", x=32 * column + 15.5, y=32 * row + 15.5, api_name="/explain_point"
    )
    client.close()
    assert answer["cell"] == [row, column]
    assert share == pytest.approx(answer["share"], abs=0.0006)
    assert score == pytest.approx(answer["score"], abs=0.0006)
    map = torch.tensor(answer["map"], dtype=torch.float64)
    assert same_picture(desk.canvas("b"), map, point_scale(pair, map))
    best = map.flatten().sort(descending=True)
    named = [f"{int(at) // map.shape[1]},{int(at) % map.shape[1]}" for at in best.indices[:3]]
    assert f"Best matches in B, by share: {named[0]} (" in desk.status
    for cell in named[1:]:
        assert f", {cell} (" in desk.status
    boxes = desk.at("#pair_viewer [data-side=b] .cell.match:visible")
    assert boxes.count() == 3
    box, stage = boxes.first.bounding_box(), desk.stage("b").bounding_box()
    at = (round((box["y"] - stage["y"]) / box["height"]), round((box["x"] - stage["x"]) / box["width"]))
    assert f"{at[0]},{at[1]}" == named[0]


def test_rapid_clicks_end_on_the_last(desk, pair):
    cells = [(row, column) for row in (1, 3, 5) for column in (2, 5, 8)]
    places = [desk.point("a", *cell, pair.a.grid) for cell in cells]
    for place in places:
        desk.page.mouse.click(*place)
    desk.page.wait_for_selector('#pair_viewer [data-point="a:5,8"]')
    desk.page.wait_for_timeout(700)  # late answers, if there were any
    assert desk.status.startswith("Pinned: cell 5,8 of A carries ")
    assert desk.stage("a").page.locator('#pair_viewer [data-point="a:5,8"]').count() == 1


def test_keys_move_pin_and_clear(desk, pair):
    rows, columns = pair.b.grid
    stage = desk.stage("b")
    stage.focus()
    assert stage.evaluate("(e) => getComputedStyle(e).outlineStyle") != "none"
    middle = rows // 2, columns // 2
    stage.press("ArrowLeft")
    assert desk.status.startswith(f"cell {middle[0]},{middle[1] - 1} of B carries ")
    stage.press("ArrowUp")
    stage.press("Enter")
    assert desk.status.startswith(f"Pinned: cell {middle[0] - 1},{middle[1] - 1} of B carries ")
    for _ in range(columns + 2):
        stage.press("ArrowRight")
    for _ in range(rows + 2):
        stage.press("ArrowDown")
    assert desk.status.startswith(f"cell {rows - 1},{columns - 1} of B carries ")  # held inside the picture
    stage.press(" ")
    assert desk.status.startswith(f"Pinned: cell {rows - 1},{columns - 1} of B")
    stage.press("Escape")
    assert desk.status.startswith("No point is pinned")
    assert desk.at("#pair_viewer [data-point='']").count() == 1


def test_the_pin_moves_by_buttons_too(desk, pair):
    nudge = desk.at("#pair_viewer .nudge")
    assert not nudge.is_visible()
    desk.click_cell("a", 3, 3, pair.a.grid)
    nudge.get_by_role("button", name="Move the pin right").click()
    nudge.get_by_role("button", name="Move the pin down").click()
    assert desk.status.startswith("Pinned: cell 4,4 of A")
    nudge.get_by_role("button", name="Clear").click()
    assert desk.status.startswith("No point is pinned")


def test_cosine_of_the_patches_is_another_map(desk, pair):
    desk.click_cell("a", 2, 5, pair.a.grid)
    desk.page.mouse.move(1, 1)
    desk.after_frames()
    requests = len(desk.requests)
    desk.page.get_by_label("cosine of the patches").check()
    desk.page.wait_for_selector('#pair_viewer .unit:has-text("cosine with the cell of A")')
    assert same_picture(desk.canvas("b"), pair.patch_cosines[2, 5], float(pair.patch_cosines.abs().max()))
    assert "Best matches in B, by cosine: " in desk.status
    desk.page.get_by_label("share of the score").check()
    assert same_picture(desk.canvas("b"), pair.joint_map[2, 5], point_scale(pair, pair.joint_map[2, 5]))
    assert len(desk.requests) == requests


def test_colours_and_opacity_are_drawn_without_running_anything(visitor, pair):
    scale = max(float(map.abs().max()) for map in (pair.map_a, pair.map_b))
    visitor.open("View and colours")
    requests = len(visitor.requests)
    before = visitor.canvas("a")
    visitor.choose("#colours", "purple-green")
    visitor.after_frames()
    recoloured = visitor.canvas("a")
    assert np.abs(recoloured - before).max() > 60
    assert same_picture(recoloured, pair.map_a, scale, "purple-green")
    number = visitor.at("#opacity input[type=number]")
    number.fill("0.4")
    number.press("Enter")
    visitor.after_frames()
    assert same_picture(visitor.canvas("a"), pair.map_a, scale, "purple-green", 0.4)
    small = pixels(visitor.at("#pooling_panel canvas").first)
    assert small[..., 3].max() <= 0.4 * 255 + 1
    assert [url for url in visitor.requests[requests:] if "/queue/" in url or "/run/" in url] == []


def test_a_tap_pins(visit, pair):
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    x, y = visitor.point("a", 4, 6, pair.a.grid)
    visitor.page.touchscreen.tap(x, y)
    visitor.page.wait_for_selector('#pair_viewer [data-point="a:4,6"]')
    assert visitor.status.startswith("Pinned: cell 4,6 of A carries ")
    arrow = visitor.page.get_by_role("button", name="Move the pin left")
    arrow.tap()
    assert visitor.status.startswith("Pinned: cell 4,5 of A")
    box = arrow.bounding_box()
    assert min(box["width"], box["height"]) >= 44
