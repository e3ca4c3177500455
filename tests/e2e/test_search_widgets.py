"""The two parts of the search tab in a browser, over a small app of their own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import gradio as gr
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import HitCard, HitGrid, Page
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_core import View
from tests.e2e.visitor import Visitor, pixels, profile

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
ODD = """"'><img src=x onerror=alert(1)><script>alert(2)</script>${alert(3)}{{alert}} 🦊.jpg"""
GRID = (6, 9)
UNIT = "share of the score, per cell"
PAGE = 24
OLDER = {"kind": "point", "sign": 1, "at": [0.5, 0.5]}
SLOW = 0.15  # seconds an answer takes, so that marks overtake it
SCROLLED = """async () => {
  const frame = () => new Promise(requestAnimationFrame), times = [];
  for (let i = 0; i < 8; i++) {
    const start = performance.now();
    scrollBy(0, 2500);
    await frame(); await frame();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[4];
}"""


def hit_id(number):
    return f"00000000-0000-0000-0000-{number:012d}"


# The app, in a process of its own


class Search:
    """Answers like a search would, and writes down what it is asked."""

    def __init__(self, log):
        files = sorted((ROOT / "sample_data" / "pictures").glob("*/*.jp*g"))[:6]
        self.log, self.views = log, [whole(Image.open(file).convert("RGB")) for file in files]
        self.thumbnails = [(picture_file(view).path, view.aspect) for view in self.views]

    def note(self, event, asked):
        with open(self.log, "a", encoding="utf-8") as lines:
            lines.write(json.dumps({"event": event, "at": time.time(), **asked}) + "\n")

    def picked(self, regions=(), cell=(1, 2), unit=UNIT):
        return self.views[0], "first", GRID, list(regions), hot(*cell), 0.5, unit, "ticket"

    def moved(self, ticket, regions):
        self.note("moved", {"ticket": ticket, "regions": regions})
        time.sleep(SLOW)
        return {"hits": []}  # no grid here takes them

    def mark(self, asked):
        self.note("mark", asked)
        time.sleep(SLOW)
        return self.picked(asked["regions"], (len(asked["regions"]) % GRID[0], 4))

    def card(self, number, maps):
        image, aspect = self.thumbnails[number % len(self.thumbnails)]
        odd = number == 1
        return HitCard(
            id=hit_id(number),
            title=ODD if odd else f"picture {number}.jpg",
            label=ODD if odd else f"fox no. {number}",
            score=f"{0.99 - number / 10000:.3f}",
            note=f"region carries 0.012 of {0.99 - number / 10000:.3f}",
            image=image,
            aspect=aspect,
            query_grid=GRID,
            query_map=hot(number % GRID[0], 1),
            hit_grid=(4, 5),
            hit_map=hot(2, 3, 0.4, (4, 5)) if maps else None,
            stale="The file has changed since it was indexed." if number == 2 else "",
        )

    def page(self, key, first=0, count=PAGE, maps=True, **changes):
        cards = [self.card(i, maps) for i in range(first, first + count)]
        return replace(Page(key, first, 5000, True, 0.5, 0.4, UNIT, False, cards), **changes)

    def further(self, asked):
        self.note("more", asked)
        time.sleep(SLOW)
        return self.page(asked["key"], asked["wanted"])

    def blocks(self):
        with gr.Blocks(analytics_enabled=False) as blocks:
            with gr.Row():
                with gr.Column(scale=1, min_width=320):
                    picker = RegionPicker(self.picked(), self.moved, elem_id="picker")
                with gr.Column(scale=2, min_width=320):
                    grid = HitGrid(self.page("one"), elem_id="hits")
            quiet = {"show_progress": "hidden"}
            press = {
                "other": (lambda: (self.views[1], "second", (4, 4), [], None, 0.0, "", ""), picker),
                "older": (lambda: self.picked([OLDER], unit=""), picker),
                "nothing": (lambda: (None, None), [picker, grid]),
                "search": (lambda: self.page("two", 6, skip=0), grid),
                "again": (lambda: self.page("three", count=5, maps=False, total=5, more=False), grid),
                "maps": (lambda: self.page("three", count=5, total=5, more=False), grid),
                "late": (lambda: self.page("over", 24), grid),
                "overtaken": (lambda: self.page("one", late=True), grid),
                "always": (lambda: self.page("four", always=True), grid),
                "many": (lambda: self.page("five", count=2000, more=False), grid),
            }
            for name, (answer, output) in press.items():
                gr.Button(name, elem_id=name).click(answer, None, output, **quiet)
            picker.mark(self.mark, picker, picker, trigger_mode="always_last", **quiet)
            grid.more(self.further, grid, grid, **quiet)
            grid.open(lambda asked: self.note("open", asked), grid, None, **quiet)
            grid.why(lambda asked: self.note("why", asked), grid, None, **quiet)
        return blocks


def hot(row, column, value=0.5, grid=GRID):
    """A map with one warm cell."""
    cells = [-0.05] * (grid[0] * grid[1])
    cells[row * grid[1] + column] = value
    return cells


def whole(image):
    """A view of the whole picture, without the numbers for a network."""
    return View(image, torch.zeros(3, 1, 1), (0.0, 0.0, float(image.width), float(image.height)))


if __name__ == "__main__":
    blocks = Search(sys.argv[2]).blocks()
    blocks.launch(server_port=int(sys.argv[1]), run_history=False, enable_monitoring=False)


# Who uses it


class Searcher(Visitor):
    """A visitor of the small app."""

    def wait_ready(self):
        self.page.wait_for_selector('#picker [data-ready="1"]')
        self.page.wait_for_selector('#hits [data-ready="1"]')

    def state(self):
        return None

    @property
    def regions(self):
        return json.loads(self.at("#picker .picker").get_attribute("data-regions"))

    def tool(self, name):
        self.at(f'#picker button[data-tool="{name}"]').click()

    def place(self, *places):
        """Page coordinates of fractions of the picture."""
        self.at("#picker .stage").scroll_into_view_if_needed()
        box = self.at("#picker .stage").bounding_box()
        return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]

    def drag(self, *places, steps=6, drop=True):
        first, *others = self.place(*places)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in others:
            self.page.mouse.move(*place, steps=steps)
        if drop:
            self.page.mouse.up()

    def click_at(self, *place):
        self.page.mouse.click(*self.place(place)[0])

    def hits(self, count):
        expect(self.at("#hits .grid")).to_have_attribute("data-count", str(count))

    def press(self, name):
        """Presses a button of the small app, without scrolling to it."""
        self.at(f"#{name}").evaluate("(button) => button.click()")

    def card(self, number):
        return self.at(f'#hits [data-id="{hit_id(number)}"]')


@pytest.fixture(scope="module")
def app(browser, tmp_path_factory):
    """The small app's address, and the file it writes down what it is asked."""
    home = tmp_path_factory.mktemp("widgets")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", home / "asked"
    log.touch()
    environment = os.environ | {
        "HOME": str(home),
        "GRADIO_TEMP_DIR": str(home / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    command = [sys.executable, "-m", "tests.e2e.test_search_widgets", str(port), str(log)]
    with open(home / "server.log", "w", encoding="utf-8") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
    try:
        wait(address, process)
        yield address, log
        assert "Traceback" not in (home / "server.log").read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait(30)


def wait(address, process):
    """Until it answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the small app does not answer")


@pytest.fixture(scope="module")
def usual(browser):
    """One browser profile: what a tab has fetched, the next need not fetch."""
    context = profile(browser)
    yield context
    context.close()


@pytest.fixture
def arrive(browser, usual, app):
    """Opens the small app; no visitor may meet an error, a dialog or a foreign host."""
    profiles, visitors = [], []

    def opened(**options):
        if options:
            profiles.append(profile(browser, **options))
        visitors.append(Searcher(profiles[-1] if options else usual, app[0]))
        return visitors[-1]

    yield opened
    for leaving in (*(visitor.page for visitor in visitors), *profiles):
        leaving.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest.fixture
def searcher(arrive):
    return arrive()


@pytest.fixture
def asked(app):
    """What Python has been asked since the test began, of one kind; waits for the last to be so."""
    before = len(app[1].read_text().splitlines())

    def found(event, until=lambda asked: True, patience=10):
        end = time.monotonic() + patience
        while True:
            lines = [json.loads(line) for line in app[1].read_text().splitlines()[before:]]
            lines = [line for line in lines if line["event"] == event]
            if (lines and until(lines[-1])) or time.monotonic() > end:
                assert lines
                assert until(lines[-1]), lines[-1]
                return lines
            time.sleep(0.03)

    return found


def near(box, wanted):
    return len(box) == 4 and all(abs(a - b) < 0.01 for a, b in zip(box, wanted, strict=True))


# The picker


def test_a_dragged_box_is_told_while_it_grows_and_at_the_end(searcher, asked):
    """Dragging over the whole picture chooses the box by itself."""
    searcher.drag((0.2, 0.3), (0.4, 0.5), (0.6, 0.8), steps=25)
    [region] = searcher.regions
    assert (region["kind"], region["sign"]) == ("box", 1)
    assert near(region["box"], (0.2, 0.3, 0.4, 0.5))
    assert [line["regions"] for line in asked("mark", lambda line: line["regions"] == [region])] == [[region]]
    lines = asked("moved")
    assert len(lines) > 1, "no live update"
    assert {line["ticket"] for line in lines} == {"ticket"}
    assert lines[0]["regions"][0]["box"][2] < region["box"][2]
    assert all(later["at"] - line["at"] > SLOW for line, later in pairwise(lines)), "overlapping"
    expect(searcher.at('#picker [data-tool="box"][aria-pressed="true"]')).to_be_visible()
    assert "40 % wide" in searcher.text('#picker [role="status"]')


def test_a_box_is_moved_resized_and_replaced(searcher, asked):
    searcher.tool("box")
    searcher.drag((0.2, 0.2), (0.5, 0.5))
    searcher.drag((0.35, 0.35), (0.45, 0.4))  # inside: moves
    assert near(searcher.regions[0]["box"], (0.3, 0.25, 0.3, 0.3))
    searcher.drag((0.6, 0.55), (0.8, 0.75))  # its lower right corner
    assert near(searcher.regions[0]["box"], (0.3, 0.25, 0.5, 0.5))
    searcher.drag((0.3, 0.25), (0.99, 0.95))  # its upper left corner, over to the other side
    assert near(searcher.regions[0]["box"], (0.8, 0.75, 0.19, 0.2))
    searcher.drag((0.1, 0.1), (0.3, 0.2))
    assert len(searcher.regions) == 1, "a new drag replaces"
    searcher.page.keyboard.down("Shift")
    searcher.drag((0.5, 0.5), (0.9, 0.9))
    searcher.page.keyboard.up("Shift")
    assert len(searcher.regions) == 2, "shift keeps"
    searcher.click_at(0.05, 0.95)
    assert len(searcher.regions) == 2, "a click is no drag"
    searcher.at("#picker .undo").click()
    assert near(searcher.regions[0]["box"], (0.1, 0.1, 0.2, 0.1))
    searcher.tool("whole")
    asked("mark", lambda line: line["regions"] == [])


def test_brush_point_and_what_to_steer_away_from(searcher, asked):
    searcher.tool("brush")
    searcher.drag((0.1, 0.1), (0.5, 0.2), (0.5, 0.8), steps=15)
    [stroke] = searcher.regions
    assert stroke["radius"] == 0.04
    assert 10 < len(stroke["points"]) < 100
    searcher.at('#picker button[data-sign="-1"]').click()  # keeps what is there
    searcher.tool("point")
    searcher.click_at(0.7, 0.4)
    [_, point] = searcher.regions
    assert (point["kind"], point["sign"]) == ("point", -1)
    assert near([*point["at"], 0, 0], (0.7, 0.4, 0, 0))
    assert searcher.at("#picker svg .minus").count() == 1
    dashes = searcher.at("#picker svg .minus .line").evaluate("(e) => getComputedStyle(e).strokeDasharray")
    assert dashes != "none"
    asked("mark", lambda line: line["regions"] == searcher.regions)


def test_the_picker_by_keyboard(searcher, asked):
    searcher.tool("box")
    stage = searcher.at("#picker .stage")
    stage.press("Enter")
    x, y, width, height = searcher.regions[0]["box"]
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        stage.press(key)
    assert near(searcher.regions[0]["box"], (x + 1 / GRID[1], y - 1 / GRID[0], width, height + 1 / GRID[0]))
    stage.press("Enter")
    asked("mark", lambda line: line["regions"] == searcher.regions)
    stage.press("Escape")
    assert searcher.regions == []
    searcher.tool("point")
    stage.press("ArrowLeft")
    stage.press("ArrowLeft")
    assert searcher.regions[0]["at"][0] == pytest.approx(3.5 / GRID[1], abs=1e-3)
    stage.press("Control+z")
    stage.press("Control+z")
    asked("mark", lambda line: line["regions"] == [])


def test_an_answer_changes_the_map_and_leaves_the_drag_alone(searcher, asked):
    canvas = searcher.at("#picker .stage canvas")
    before = pixels(canvas)
    searcher.drag((0.6, 0.6), (0.9, 0.9))
    searcher.drag((0.1, 0.1), (0.5, 0.5), drop=False)  # the answer to the first comes while the second is held
    asked("mark")
    end = time.monotonic() + 5
    while (pixels(canvas) == before).all() and time.monotonic() < end:
        searcher.after_frames()
    assert (pixels(canvas) != before).any(), "the answer's map is not drawn"
    assert near(searcher.regions[0]["box"], (0.1, 0.1, 0.4, 0.4))
    searcher.page.mouse.move(*searcher.place((0.9, 0.8))[0], steps=3)
    searcher.page.mouse.up()
    searcher.page.wait_for_timeout(700)  # all answers are in
    assert near(searcher.regions[0]["box"], (0.1, 0.1, 0.8, 0.7))
    assert asked("mark")[-1]["regions"] == searcher.regions
    searcher.press("other")
    expect(searcher.at("#picker .picker")).to_have_attribute("data-regions", "[]")
    expect(searcher.at("#picker .picker")).to_have_attribute("data-map", "")
    searcher.press("nothing")
    expect(searcher.at("#picker .picker.empty")).to_be_attached()
    searcher.hits(0)


def test_the_last_mark_counts_however_the_answers_fall(searcher, asked):
    """An answer to older marks brings none back; should the newer have been lost, Python is told once more."""
    searcher.press("older")
    expect(searcher.at("#picker .picker .unit")).to_have_text("")
    assert searcher.regions == []
    assert [line["regions"] for line in asked("mark")] == [[]]
    for turn in range(4):
        searcher.drag((0.1, 0.1), (0.3 + turn / 10, 0.5), steps=4)
        searcher.page.wait_for_timeout(40 + 23 * turn)
        searcher.tool("whole")
    searcher.drag((0.1, 0.1), (0.77, 0.5), steps=4)
    assert near(searcher.regions[0]["box"], (0.1, 0.1, 0.67, 0.4))
    asked("mark", lambda line: line["regions"] == searcher.regions)
    searcher.page.wait_for_timeout(900)
    assert asked("mark")[-1]["regions"] == searcher.regions


def test_on_a_phone_a_tap_marks_a_point_and_the_page_scrolls(arrive, asked):
    phone = arrive(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    action = "(e) => getComputedStyle(e).touchAction"
    stage = phone.at("#picker .stage")
    for tool, wanted in (("whole", "auto"), ("box", "none"), ("brush", "none"), ("point", "auto")):
        phone.at(f'#picker button[data-tool="{tool}"]').tap()
        assert stage.evaluate(action) == wanted
    phone.page.touchscreen.tap(*phone.place((0.25, 0.5))[0])
    asked(
        "mark",
        lambda line: line["regions"] == phone.regions and near([*line["regions"][0]["at"], 0, 0], (0.25, 0.5, 0, 0)),
    )
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    small = "(all) => all.filter((e) => e.offsetHeight && e.getBoundingClientRect().height < 40).length"
    assert phone.at("#picker button").evaluate_all(small) == 0
    # On a hit: the first tap shows its maps and its buttons, and opens nothing.
    phone.card(0).locator(".thumb").tap()
    expect(phone.card(0).locator("canvas")).to_be_attached()
    expect(phone.at("#picker .picker")).to_have_attribute("data-map", "hit")
    phone.card(0).locator("button.open").tap()
    assert [line["chosen"] for line in asked("open")] == [hit_id(0)]


# The grid


def test_pointing_at_a_hit_shows_both_maps_and_words_stay_words(searcher, asked):
    own = pixels(searcher.at("#picker .stage canvas"))
    searcher.card(3).locator(".thumb").hover()
    expect(searcher.at("#picker .picker")).to_have_attribute("data-map", "hit")
    drawn = pixels(searcher.card(3).locator("canvas"))
    height, width = drawn.shape[:2]
    hottest = drawn[int(2.5 * height / 4), int(3.5 * width / 5)]
    assert hottest[3] > 180
    assert hottest[0] > hottest[2], "positive is red"
    best = searcher.card(3).locator(".best").evaluate("(e) => [e.style.left, e.style.top]")
    assert best == ["60%", "50%"]
    fit = "(canvas) => getComputedStyle(canvas).objectFit"
    assert searcher.card(3).locator("canvas").evaluate(fit) == "fill", "the map covers the whole picture"
    assert (pixels(searcher.at("#picker .stage canvas")) != own).any()
    assert "picture 3.jpg" in searcher.text("#picker .bar .unit")
    searcher.page.mouse.move(2, 2)
    expect(searcher.at("#picker .picker")).to_have_attribute("data-map", "own")
    assert (pixels(searcher.at("#picker .stage canvas")) == own).all()
    assert searcher.at("#hits canvas").count() == 1, "only the colour bar is left"
    searcher.card(3).locator(".thumb").click()
    assert asked("open")[-1] == asked("open")[-1] | {"key": "one", "chosen": hit_id(3), "why": []}
    assert searcher.card(1).locator(".label").text_content() == ODD
    assert searcher.card(1).locator("img").get_attribute("alt") == ODD
    assert searcher.at("#hits script").count() == 0
    searcher.card(1).hover()
    expect(searcher.at("#picker .bar .unit")).to_contain_text(ODD)


def test_opening_and_asking_why_by_keyboard_and_mouse(searcher, asked):
    searcher.card(0).focus()
    searcher.page.keyboard.press("ArrowRight")
    expect(searcher.card(1)).to_be_focused()
    expect(searcher.card(1).locator("canvas")).to_be_attached()
    searcher.page.keyboard.press("End")
    searcher.page.keyboard.press("Home")
    searcher.page.keyboard.press("Enter")
    assert asked("open")[-1]["chosen"] == hit_id(0)
    searcher.page.keyboard.press("Tab")
    searcher.page.keyboard.press("Tab")
    searcher.page.keyboard.press("Space")
    expect(searcher.card(0).locator("button.why")).to_have_text("1st")

    searcher.page.keyboard.press("Space")

    def ask(number):
        searcher.card(number).hover()
        searcher.card(number).locator("button.why").click()

    ask(0)
    asked("why", lambda line: line["why"] == [hit_id(0)])  # one hit alone is answered for
    ask(1)
    expect(searcher.card(1).locator("button.why")).to_have_text("2nd")
    asked("why", lambda line: line["why"] == [hit_id(0), hit_id(1)])
    ask(4)
    asked("why", lambda line: line["why"] == [hit_id(1), hit_id(4)])
    expect(searcher.card(0).locator("button.why")).to_have_text("Why this?")
    ask(4)
    expect(searcher.card(4).locator("button.why")).to_have_text("Why this?")
    assert ODD in searcher.at("#hits .marked").text_content()  # and Visitor tells of every dialog


def test_pages_are_appended_as_the_end_comes_in_sight(searcher, asked):
    searcher.hits(PAGE)
    searcher.card(2).hover()
    before = searcher.card(0).evaluate_handle("(e) => e")
    searcher.at("#hits .more").scroll_into_view_if_needed()
    searcher.hits(2 * PAGE)
    first = asked("more")[0]
    assert (first["key"], first["wanted"]) == ("one", PAGE)
    assert searcher.card(PAGE).locator(".rank").text_content() == str(PAGE + 1)
    assert before.evaluate("(e) => e.isConnected && e === document.querySelector('#hits .hit')")
    searcher.at("#hits .more").click()
    asked("more", lambda line: line["wanted"] >= 2 * PAGE)
    wanted = [line["wanted"] for line in asked("more")]
    searcher.page.wait_for_timeout(300)
    assert len(set(wanted)) >= len(wanted) - 1, "once a page, but for the click"
    searcher.press("search")
    expect(searcher.at("#hits .grid")).to_have_attribute("data-key", "two")
    searcher.press("late")  # the next page of a search that is over
    searcher.press("overtaken")  # the maps of one
    searcher.page.wait_for_timeout(300)
    assert searcher.at("#hits .grid").get_attribute("data-key") == "two"
    assert searcher.at("#hits .hit:first-child .rank").text_content() == "1"


def test_maps_come_later_or_stay_painted(searcher):
    searcher.press("again")
    searcher.hits(5)
    expect(searcher.at("#hits .more")).to_be_hidden()
    searcher.card(2).focus()
    searcher.press("maps")
    expect(searcher.card(2).locator("canvas")).to_be_attached()
    expect(searcher.card(2)).to_be_focused()
    searcher.hits(5)

    searcher.press("always")
    expect(searcher.at("#hits .grid")).to_have_attribute("data-key", "four")
    expect(searcher.card(0).locator("canvas")).to_be_attached()
    searcher.card(0).hover()
    searcher.page.mouse.move(2, 2)
    expect(searcher.card(0).locator("canvas")).to_be_attached()


def test_two_thousand_cards_stay_quick(searcher):
    searcher.press("many")
    searcher.hits(2000)
    took = searcher.page.evaluate(SCROLLED)
    assert took < 400, f"{took:.0f} ms for two frames"
    searcher.page.evaluate("scrollTo(0, 0)")
    start = time.monotonic()
    searcher.card(5).hover()
    expect(searcher.at("#picker .picker")).to_have_attribute("data-map", "hit")
    assert time.monotonic() - start < 5
