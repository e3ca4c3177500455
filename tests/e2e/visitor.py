"""A visitor of the page: one browser tab, what it sees, and what goes wrong in it."""

import base64
import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import expect

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-features=PreloadTopChromeWebUI",  # a second of work for each new visitor, for a window nobody sees
]
PICTURES = Path(__file__).parents[2] / "sample_data" / "pictures"
PATIENCE = 120_000  # milliseconds, on busy cores
expect.set_options(timeout=PATIENCE)
CANVAS = """(canvas) => {
  const { width, height } = canvas, data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return { width, height, data: btoa(text) };
}"""
STATE = """() => [...["#score .big", "#backbone input", "#pooling input", "#k input", "#topk_maps h3"]
    .map((s) => document.querySelector(s)).map((e) => e && (e.value || e.innerText)),
  ...[..."ab"].map((side) => document.querySelector(`#image_${side} img`)?.src)]"""
PENDING = "#score [data-testid=status-tracker]:not(.hide)"
TIMED_FRAMES = """window.drawTimes = [];
const frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) => frame((now) => {
  const before = window.simvisDraws, start = performance.now();
  callback(now);
  if (window.simvisDraws > before) window.drawTimes.push(performance.now() - start);
});"""


def profile(browser, **options):
    """A browser profile; its tabs share what they have fetched."""
    viewport = {"width": 1280, "height": 900}
    context = browser.new_context(**{"viewport": viewport, "reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE)
    context.add_init_script(TIMED_FRAMES)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return context


class Visitor:
    """A tab of a browser profile; ``problems`` collects errors and requests to other hosts."""

    def __init__(self, context, address, query=""):
        self.address, self.problems, self.requests = address, [], []
        self.page = context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)
        self.query = query
        self.enter()
        self.opened = self.state()

    def enter(self):
        """Opens the page, or opens it anew."""
        self.page.goto(f"{self.address}/{self.query}")
        self.wait_ready()

    def reload(self):
        """Loads the page anew. What the page before had still asked for is broken off, which is no problem."""
        assert self.problems == []
        self.page.reload(wait_until="commit")
        self.problems.clear()
        self.wait_ready()

    def state(self):
        """Score, choices and pictures, to see whether they are as the page opened."""
        return self.page.evaluate(STATE)

    def _on_console(self, message):
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _on_dialog(self, dialog):
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request):
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.address:
            self.problems.append(f"request to {request.url}")

    # What is shown

    def at(self, selector):
        return self.page.locator(selector)

    def text(self, selector):
        return self.at(selector).inner_text().strip()

    @property
    def score(self):
        """The number in large print."""
        return float(self.text("#score .big"))

    @property
    def status(self):
        return self.text('#pair_viewer [role="status"]')

    def stage(self, side):
        return self.at(f"#pair_viewer [data-side={side}]")

    def canvas(self, side):
        """The map drawn on a picture as (height, width, RGBA)."""
        return pixels(self.at(f"#pair_viewer [data-side={side}] canvas"))

    # What the visitor does

    def wait_ready(self):
        """Until a pair is explained, be it on a tab behind the one on screen."""
        self.page.wait_for_selector('#pair_viewer [data-ready="1"]', state="attached", timeout=PATIENCE)

    def wait_score(self, other_than):
        """Until another score than this text is shown, and drawn."""
        expect(self.at("#score .big")).not_to_have_text(other_than)
        self.wait_ready()

    def changing_the_score(self, action):
        """Does something and waits until it shows."""
        before = self.text("#score .big")
        action()
        self.wait_score(before)
        self.settle()

    def settle(self):
        """Until no comparison is under way: a choice by mouse asks twice (Gradio's dropdown), a late answer counts."""
        self.page.wait_for_function(f"document.querySelectorAll('{PENDING}').length === 0")

    def upload(self, side, file):
        """Drops a file: a path, or name and content."""
        if isinstance(file, tuple):
            name, content = file
            file = {"name": name, "mimeType": "image/jpeg", "buffer": content}
        self.at(f"#image_{side} input[type=file]").set_input_files(file)

    def drag(self, selector, *files):
        """Drags files over a part of the page and drops them, as a desktop does."""
        spot = self.at(selector)
        spot.scroll_into_view_if_needed()
        box = spot.bounding_box()
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": list(map(str, files)), "dragOperationsMask": 1}
        devtools = self.page.context.new_cdp_session(self.page)
        for event in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": event, **place, "data": data})
        devtools.detach()

    def collect_garbage(self):
        """Frees what the page holds no more, as a browser does sooner or later."""
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.send("HeapProfiler.collectGarbage")
        devtools.detach()

    def choose(self, dropdown, text):
        """Picks an entry of a dropdown."""
        self.at(f"{dropdown} input").click()
        self.page.get_by_role("option", name=text, exact=True).click()

    def choose_by_keys(self, dropdown, steps):
        """The same by arrow keys, so many entries further down."""
        self.at(f"{dropdown} input").click()
        for _ in range(steps):
            self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")

    def open(self, title):
        """Unfolds an accordion."""
        self.page.get_by_role("button", name=title).click()

    def point(self, side, row, column, grid):
        """Page coordinates of a cell's centre."""
        self.stage(side).scroll_into_view_if_needed()
        box = self.stage(side).bounding_box()
        return box["x"] + (column + 0.5) * box["width"] / grid[1], box["y"] + (row + 0.5) * box["height"] / grid[0]

    def click_cell(self, side, row, column, grid):
        self.page.mouse.click(*self.point(side, row, column, grid))

    def after_frames(self, count=3):
        """Lets the page draw."""
        self.page.evaluate(
            "(count) => new Promise((done) => {"
            " const step = () => count-- ? requestAnimationFrame(step) : done(); step(); })",
            count,
        )


def pixels(canvas):
    """A canvas as (height, width, RGBA)."""
    found = canvas.evaluate(CANVAS)
    data = np.frombuffer(base64.b64decode(found["data"]), np.uint8)
    return data.reshape(found["height"], found["width"], 4).astype(int)


def carried(sentence):
    """Cell, side, and what it carries, from the status line."""
    found = re.search(r"cell (\d+),(\d+) of ([AB]) carries (\S+) of (\S+?)(?:,|\.)\s", sentence)
    row, column, side, share, score = found.groups()
    return (int(row), int(column)), side.lower(), float(share), float(score)
