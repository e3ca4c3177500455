"""Retakes the README's pictures from the running app; needs Debian's chromium."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
PORT = 7899
ADDRESS = f"http://127.0.0.1:{PORT}"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Starts the app in a home of its own, takes each picture, stops the app."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "HOME": home}
        _shared(environment)
        _taken(environment)


def _taken(environment: dict[str, str]) -> None:
    app = subprocess.Popen([sys.executable, HERE.parent / "app.py", "--port", str(PORT)], env=environment)  # noqa: S603
    try:
        _wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            _desktop(browser)
            _galleries(browser)
            _trust(browser)
            _attributes(browser)
            _training(browser)
            _phone(browser)
    finally:
        app.terminate()


def _wait() -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(ADDRESS, timeout=5)
        except OSError:
            time.sleep(1)
        else:
            return
    raise TimeoutError(f"the app does not answer at {ADDRESS}")


def _opened(browser: Browser, address: str, **options: object) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(address)
    page.wait_for_selector('#pair_viewer [data-ready="1"]')
    page.wait_for_timeout(3000)
    return page


def _desktop(browser: Browser) -> None:
    page = _opened(browser, ADDRESS, viewport={"width": 1360, "height": 900})
    page.screenshot(path=HERE / "compare.jpg", type="jpeg", quality=88)
    page.click('#pair_viewer [data-side="a"]', position={"x": 205, "y": 95})
    page.mouse.move(5, 5)
    page.wait_for_timeout(800)
    page.screenshot(path=HERE / "pinned.jpg", type="jpeg", quality=88)
    page.locator("#topk_plot").scroll_into_view_if_needed()
    panel = page.locator(".block:has(> button):has(#pooling_panel)").last
    page.set_viewport_size({"width": 1360, "height": 2400})
    page.wait_for_timeout(1500)
    panel.screenshot(path=HERE / "poolings.jpg", type="jpeg", quality=88)


def _galleries(browser: Browser) -> None:
    page = _opened(browser, ADDRESS, viewport={"width": 1360, "height": 900})
    page.get_by_role("tab", name="Search").click()
    page.wait_for_selector('#hits .grid[data-count="24"]', timeout=120_000)
    stage = page.locator("#picker .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_timeout(6000)
    page.locator("#hits .hit").first.hover()
    page.wait_for_timeout(800)
    page.screenshot(path=HERE / "search.jpg", type="jpeg", quality=88)
    page.get_by_role("tab", name="Classes").click()
    page.wait_for_selector("#members .hit canvas")
    page.wait_for_timeout(2000)
    page.set_viewport_size({"width": 1360, "height": 1300})
    page.wait_for_timeout(2500)
    page.screenshot(path=HERE / "classes.jpg", type="jpeg", quality=88)


def _trust(browser: Browser) -> None:
    page = _opened(browser, ADDRESS, viewport={"width": 1360, "height": 1250})
    page.get_by_role("tab", name="Trust").click()
    page.wait_for_selector("#trust_pair b")
    page.click("#measure")
    page.wait_for_selector("#trust_table table", timeout=300_000)
    page.mouse.move(5, 5)
    page.wait_for_timeout(2500)
    page.screenshot(path=HERE / "trust.jpg", type="jpeg", quality=88)


def _attributes(browser: Browser) -> None:
    page = _opened(browser, ADDRESS, viewport={"width": 1360, "height": 1250})
    page.get_by_role("tab", name="Attributes").click()
    page.wait_for_selector('#attribute_table [data-ready="1"]')
    page.click("#attribute_table tr[data-name='tower']")
    page.mouse.move(5, 5)
    page.wait_for_timeout(2500)
    page.screenshot(path=HERE / "attributes.jpg", type="jpeg", quality=88)


def _training(browser: Browser) -> None:
    page = browser.new_context(viewport={"width": 1360, "height": 1250}).new_page()
    page.goto(f"{ADDRESS}/?tab=Training&series=rooms_avg&other=rooms_max")
    page.wait_for_selector('#step_viewer [data-ready="1"]', timeout=300_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=HERE / "training.jpg", type="jpeg", quality=88)


def _phone(browser: Browser) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = _opened(browser, f"{ADDRESS}/?__theme=dark", **phone)
    page.tap('#pair_viewer [data-side="a"]', position={"x": 92, "y": 44})
    page.wait_for_timeout(800)
    page.screenshot(path=HERE / "phone.jpg", type="jpeg", quality=88)


def _shared(environment: dict[str, str]) -> None:
    pictures = HERE.parent / "sample_data" / "pictures"
    files = [pictures / "bee" / "bee_1.jpg", pictures / "taiko_drums" / "taiko_drums_1.jpg"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pair.png"
        command = [sys.executable, HERE.parent / "app.py", "explain", *files, "--ground", "outline", "--png", place]
        subprocess.run(command, env=environment, check=True)  # noqa: S603
        with Image.open(place) as image:
            image.convert("RGB").save(HERE / "shared.jpg", quality=88)


if __name__ == "__main__":
    main()
