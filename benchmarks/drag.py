"""How long a visitor waits for another ranking while a box moves over a picture, in a real browser."""

import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

import model_zoo
from benchmarks.pictures import FOLDER
from benchmarks.tables import Table, number
from simvis_core.galleries.gallery import Gallery, open_gallery
from simvis_core.galleries.indexing import index_pictures
from simvis_core.pictures.listing import listed
from simvis_core.stores.contract import Row
from simvis_core.stores.edge import EdgeIndex

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
NAME = "many pictures"
SIZES, QUICK_SIZES = (257, 10_000), (60,)
MOVES = 24
PAUSE = 220  # milliseconds between movements: the visitor does not stop, so no maps are asked for
# From a pointer's movement inside the box to the frame after the grid shows another search.
WATCH = """() => {
  const grid = document.querySelector("#hits .grid");
  let moved = 0, key = grid.dataset.key;
  window.answers = [];
  document.querySelector("#picker .stage").addEventListener("pointermove", () => { moved = performance.now(); }, true);
  new MutationObserver(() => {
    if (grid.dataset.key === key) return; // the same hits, with their maps
    key = grid.dataset.key;
    requestAnimationFrame(() => window.answers.push(performance.now() - moved));
  }).observe(grid, { attributes: true, attributeFilter: ["data-key"] });
}"""


def tables(quick: bool) -> list[Table]:
    """Milliseconds from a movement of the box to the page with other hits."""
    rows = []
    for size in QUICK_SIZES if quick else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            many(Path(folder), size)
            with served(Path(folder)) as address:
                times = _measured(address, 4 if quick else MOVES)
        rows.append([f"{size:,}", number(statistics.median(times)), number(max(times)), str(len(times))])
    notes = [
        "A box is dragged in steps, with a pause after each; from the movement in the browser to the frame that shows "
        "other hits, 24 with thumbnails. Server, browser and driver share the cores; efficientnet_lite0, eager."
    ]
    return [Table("A box moves: other hits", ["pictures", "median, ms", "longest, ms", "movements"], rows, notes)]


def many(home: Path, count: int) -> Gallery:
    """A gallery of so many rows: the samples' embeddings with noise, and links to their thumbnails."""
    index = EdgeIndex(home / "index")
    gallery = open_gallery(NAME, home, index, create=True)
    network = model_zoo.load("efficientnet_lite0")
    for _ in index_pictures(gallery, listed(FOLDER / "pictures"), [network], 224):
        pass
    space = gallery.space(network, 224, "whole")
    index.upsert(space, _noisy(gallery, list(index.scan(space, embeddings=True)), count))
    index.settle(space)
    index.close()
    return gallery


def _noisy(gallery: Gallery, rows: list[Row], count: int) -> Iterator[Row]:
    chance = np.random.default_rng(0)
    for at in range(len(rows), count):
        row = rows[at % len(rows)]
        assert row.embedding is not None
        embedding = row.embedding + 0.001 * chance.standard_normal(row.embedding.shape).astype(np.float32)
        sha256 = hashlib.sha256(str(at).encode()).hexdigest()
        thumbnail = gallery.thumbnail_file(sha256)
        thumbnail.parent.mkdir(parents=True, exist_ok=True)
        os.link(gallery.thumbnail_file(row.sha256), thumbnail)
        yield Row(sha256, row.file, row.label, embedding / np.linalg.norm(embedding))


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The app with these galleries; its address."""
    with running(home) as (address, _):
        yield address


@contextmanager
def running(home: Path) -> Iterator[tuple[str, int]]:
    """The app with these galleries; its address, and the number of its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(FOLDER.parent / "app.py"), "--port", str(port), "--engine", "eager"]
    app = subprocess.Popen([*command, "--galleries", str(home)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address)
        yield address, app.pid
    finally:
        app.terminate()
        app.wait(30)


def _wait(address: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError(f"the app does not answer at {address}")


def _measured(address: str, moves: int) -> list[float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(address)
        page.wait_for_selector('#pair_viewer [data-ready="1"]')
        open_gallery_on(page, NAME)
        page.wait_for_timeout(6000)  # the samples are being indexed, hits get their maps
        times = drag(page, moves)
        browser.close()
    return times


def open_gallery_on(page: Page, name: str) -> None:
    """Chooses a gallery on the Search tab and waits for its hits."""
    page.get_by_role("tab", name="Search").click()
    page.wait_for_selector('#hits .grid[data-ready="1"]')
    before = page.locator("#hits .grid").get_attribute("data-key")
    page.locator("#search_gallery input").click()
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_function(f"document.querySelector('#hits .grid').dataset.key !== '{before}'")


def drag(page: Page, moves: int) -> list[float]:
    """Drags a box in steps; milliseconds from each movement to other hits."""
    stage = page.locator("#picker .stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    at = lambda x, y: (left + x * width, top + y * height)
    page.evaluate(WATCH)
    page.mouse.move(*at(0.1, 0.1))
    page.mouse.down()
    for step in range(1, moves + 1):
        page.mouse.move(*at(0.1 + 0.8 * step / moves, 0.1 + 0.8 * step / moves))
        page.wait_for_timeout(PAUSE)
    page.mouse.up()
    page.wait_for_timeout(1000)
    return [float(value) for value in page.evaluate("window.answers")]
