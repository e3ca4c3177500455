"""The app as a user starts it, a browser, and visitors who notice everything that should not happen."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from simvis_app.service.sessions.session import Session
from tests.e2e.visitor import FLAGS, Visitor, profile
from tests.simvis_app.conftest import photographs
from tests.small_series import small_series

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
# Gradio's own words where a page is left, or loaded anew, before its stream of answers has begun.
BROKEN_OFF = re.compile(
    r"^ERROR: +Exception in ASGI application\n(?:(?!ERROR:).*\n)*?"
    r"RuntimeError: Caught handled exception, but response already started\.\n",
    re.MULTILINE,
)
START = 180  # seconds until the app must answer; it takes ten on an idle machine


def missing(what):
    """Skips, or fails where the run insists on a browser."""
    if os.environ.get("SIMVIS_REQUIRE_BROWSER") == "1":
        pytest.fail(f"SIMVIS_REQUIRE_BROWSER is 1, but {what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="package")  # its event loop would disturb tests that come after
def browser():
    """Debian's chromium."""
    if not Path(CHROMIUM).exists():
        missing(CHROMIUM)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Server:
    """``python app.py`` with a home of its own, and no way to the internet.

    The home lies outside the temporary folder, as every user's does: what only works inside it must fail here.
    """

    def __init__(self, home, *options):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.home, self.log, self.address = home, home / "server.log", f"http://127.0.0.1:{port}"
        temporary = home / "temporary"
        temporary.mkdir()
        environment = {key: value for key, value in os.environ.items() if key != "GRADIO_TEMP_DIR"} | {
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "TORCH_HOME": str(home / "torch"),
            "https_proxy": "http://127.0.0.1:9",  # nobody answers there: downloads fail everywhere alike
        }
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(port), *map(str, options)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def wait(self):
        """Until it answers."""
        end = time.monotonic() + START
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.address, timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"the app does not answer:\n{self.said()}")

    def said(self):
        """Everything it has printed."""
        return self.log.read_text(encoding="utf-8")

    def complained(self, since=0):
        """What it printed from the first traceback on, after that many characters; `BROKEN_OFF` is none."""
        told = BROKEN_OFF.sub(lambda found: "" if "sse_stream" in found[0] else found[0], self.said()[since:])
        _, found, rest = told.partition("Traceback")
        return found + (rest if len(rest) < 12_000 else f"{rest[:6000]}\n...\n{rest[-6000:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="package")
def server(browser, tmp_path_factory):
    """The running app. Its engine is named: measuring all of them took a tenth of the time."""
    series = tmp_path_factory.mktemp("series")
    photos = photographs(tmp_path_factory.mktemp("photographs"))
    small_series(series / "first", photos)
    small_series(series / "second", photos, seed=50, steps=(0, 20))
    running = Server(tmp_path_factory.mktemp("home"), "--engine", "eager", "--series", series)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="package")
def _usual(browser):
    usual = profile(browser)
    yield usual
    usual.close()


@pytest.fixture
def visit(browser, server, _usual):
    """Opens the page for a new visitor; no visitor may meet an error or a foreign host.

    With ``options``, or as a ``stranger``, in a browser profile of its own.
    """
    visitors, profiles = [], []

    def arrive(query="", stranger=False, **options):
        if stranger or options:
            profiles.append(profile(browser, **options))
        visitors.append(Visitor(profiles[-1] if stranger or options else _usual, server.address, query))
        return visitors[-1]

    before = len(server.said())
    yield arrive
    for leaving in (*(visitor.page for visitor in visitors), *profiles):
        leaving.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []
    assert server.complained(before) == ""


@pytest.fixture
def visitor(visit):
    """One who has just opened the page."""
    return visit()


@pytest.fixture(scope="module")
def _desk(_usual, server):
    staying = Visitor(_usual, server.address)
    yield staying
    staying.page.close()


@pytest.fixture
def guest(_desk, server):
    """A visitor who stays for all tests of a file and takes the page as the last test left it."""
    before = len(server.said())
    yield _desk
    problems, _desk.problems[:] = list(_desk.problems), []
    assert problems == []
    assert server.complained(before) == ""


@pytest.fixture
def desk(guest):
    """A visitor who stays for all tests of a file and finds the page as it opens."""
    guest.settle()
    if guest.state() != guest.opened:
        guest.enter()
        guest.problems.clear()  # leaving a page breaks off its open requests
    guest.page.mouse.move(1, 1)
    guest.stage("a").press("Escape")
    return guest


@pytest.fixture(scope="session")
def session():
    """The same computing in this process."""
    return Session()
