"""The doors: names, frames, and how much a visitor sends; each against the app that Gradio makes."""

import asyncio
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.routes import App
from starlette.testclient import TestClient

from simvis_app.page import doors
from simvis_app.page.doors import DAY, LEAST_FREE, LOOPBACK, MOST_FILES, MOST_TEXT, Doors, Ledger

KIB = 1024
PLACE = "/gradio_api/upload"


@pytest.fixture
def room(monkeypatch):
    """A disk with room; a test may take it."""
    disk = SimpleNamespace(free=LEAST_FREE + 2**40)
    monkeypatch.setattr(doors.shutil, "disk_usage", lambda _: disk)
    return disk


@pytest.fixture(scope="module")
def app():
    """A small page, without doors."""

    async def built():
        with gr.Blocks(analytics_enabled=False) as page:
            gr.Textbox()
        page.max_file_size = None
        return App.create_app(page)

    return asyncio.run(built())


@pytest.fixture
def called(app, room, tmp_path, monkeypatch):
    """A visitor of the page behind doors; by default of a strange name."""
    monkeypatch.setattr(app, "uploaded_file_dir", str(tmp_path / "gradio"))

    def visit(rules, address="10.0.0.1", base="http://anything.example"):
        behind = app
        for one in reversed(rules.middleware()):
            behind = one.cls(behind, *one.args, **one.kwargs)
        return TestClient(behind, base_url=base, client=(address, 5))

    return visit


def kept(tmp_path):
    return sorted(path.stat().st_size for path in (tmp_path / "gradio").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["/config", "/robots.txt", "/gradio_api/info", "/nothing-here"])
def test_every_answer_says_who_may_frame_it_and_that_types_are_not_guessed(called, path):
    headers = called(Doors(frames=("'self'", "https://*.hf.space"))).get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "frame-ancestors 'self' https://*.hf.space"


@pytest.mark.parametrize(
    ("names", "base", "status"),
    [
        (LOOPBACK, "http://localhost:7860", 200),
        (LOOPBACK, "http://127.0.0.1:7860", 200),
        (LOOPBACK, "http://[::1]:7860", 200),
        (LOOPBACK, "http://attacker.example", 400),
        (LOOPBACK, "http://localhost.attacker.example", 400),
        (("*.hotel.example",), "http://simvis.hotel.example", 200),
        (("*.hotel.example",), "http://hotel.example.net", 400),
        (("*",), "http://whatever.example", 200),
    ],
)
def test_the_page_is_called_by_its_names_only(called, names, base, status):
    answer = called(Doors(names), base=base).get("/config")
    assert answer.status_code == status
    assert "x-content-type-options" in answer.headers


@pytest.mark.parametrize(
    ("host", "space", "shared", "found"),
    [
        ("127.0.0.1", False, False, LOOPBACK),
        ("127.0.0.1", False, True, ("*",)),
        ("0.0.0.0", False, False, ("*",)),
        ("0.0.0.0", True, False, ("*", "*.hf.space")),
    ],
)
def test_names_follow_who_can_reach_the_server(host, space, shared, found):
    assert doors.names(host, space, shared) == found


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-gradio-server"])
def test_a_foreign_name_is_not_handed_on(called, header):
    """Gradio would make every address of the page of it."""
    foreign = {header: "https://attacker.example" if header == "x-gradio-server" else "attacker.example"}
    for names in (("*",), ("*", "*.hf.space"), ("anything.example",)):
        http = called(Doors(names))
        assert "attacker.example" not in http.get("/config", headers=foreign).text


def test_a_name_of_ours_passes(called):
    http = called(Doors(("*", "*.hf.space")))
    headers = {"x-forwarded-host": "me-simvis.hf.space, proxy", "x-forwarded-proto": "https"}
    assert http.get("/config", headers=headers).json()["root"] == "https://me-simvis.hf.space"


def test_a_visitor_sends_so_much_and_another_as_much_again(called, tmp_path):
    rules = Doors(uploads=100 * KIB)
    http = called(rules)
    assert http.post(PLACE, files={"files": ("a", b"a" * 60 * KIB)}).status_code == 200
    refused = http.post(PLACE, files={"files": ("b", b"b" * 60 * KIB)})
    assert refused.status_code == 413
    assert refused.text.startswith("Got more than this server takes of a visitor in a day; wanted at most ")
    assert (
        http.post(PLACE, files={"files": ("c", b"c" * 20 * KIB)}).status_code == 200
    )  # what was refused is not counted
    assert kept(tmp_path) == [20 * KIB, 60 * KIB]
    http._transport.client = ("10.0.0.2", 5)
    assert http.post(PLACE, files={"files": ("b", b"b" * 60 * KIB)}).status_code == 200


def parts(sizes):
    """A request of files whose length nobody tells beforehand."""
    for number, size in enumerate(sizes):
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n' % number
        for _ in range(size // KIB):
            yield b"%d" % (number % 10) * KIB
        yield b"\r\n"
    yield b"--x--\r\n"


def sent(http, sizes, **headers):
    return http.post(
        PLACE, content=parts(sizes), headers={"content-type": "multipart/form-data; boundary=x", **headers}
    )


@pytest.mark.parametrize(
    ("sizes", "free", "reason"),
    [
        ([40 * KIB, 80 * KIB], 2**40, "of a visitor in a day"),
        ([KIB] * (MOST_FILES + 1), 2**40, f"at most {MOST_FILES}"),
        ([990] * 990, 2**40, f"at most {MOST_FILES}"),
        ([40 * KIB], 30 * KIB, "a disk that is nearly full"),
        ([40 * KIB], -1, "a disk that is nearly full"),
    ],
)
def test_what_is_too_much_on_the_way_is_broken_off_and_leaves_nothing(called, room, tmp_path, sizes, free, reason):
    room.free = LEAST_FREE + free
    answer = sent(called(Doors(uploads=100 * KIB)), sizes)
    assert answer.status_code == 400
    assert reason in answer.text
    assert answer.text.count("; wanted ") == 1
    assert kept(tmp_path) == []


def test_as_many_files_as_are_allowed_come_through(called, tmp_path):
    answer = sent(called(Doors(uploads=100 * KIB)), [KIB * (1 + n % 2) for n in range(MOST_FILES)])
    assert len(answer.json()) == MOST_FILES


def test_visitors_behind_a_proxy_are_told_apart_by_what_the_proxy_says(called):
    http = called(Doors(uploads=60 * KIB, proxied=True))
    for claimed, status in (("1.2.3.4, 9.9.9.1", 200), ("5.6.7.8, 9.9.9.1", 400), ("1.2.3.4, 9.9.9.2", 200)):
        assert sent(http, [40 * KIB], **{"x-forwarded-for": claimed}).status_code == status
    http = called(Doors(uploads=60 * KIB))  # without a proxy anybody could say anything
    for claimed, status in (("9.9.9.1", 200), ("9.9.9.2", 400)):
        assert sent(http, [40 * KIB], **{"x-forwarded-for": claimed}).status_code == status


def test_one_customers_addresses_are_one_visitor(called):
    http = called(Doors(uploads=60 * KIB), address="2001:db8:1:2::1")
    assert sent(http, [40 * KIB]).status_code == 200
    http._transport.client = ("2001:db8:1:2:ffff::9", 5)
    assert sent(http, [40 * KIB]).status_code == 400


def test_a_day_later_a_visitor_may_send_again():
    now = [0.0]
    ledger = Ledger(100, lambda: now[0])
    ledger.begin("anna").size = 70
    now[0] = DAY - 1
    ledger.begin("anna").size = 20
    assert (ledger.left("anna"), ledger.left("bert")) == (10, 100)
    now[0] = DAY
    assert ledger.left("anna") == 80


def test_a_sender_who_leaves_leaves_no_file(called, tmp_path):
    app = called(Doors()).app
    messages = [{"type": "http.request", "body": body, "more_body": True} for body in list(parts([4 * KIB]))[:3]]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": "POST",
        "path": PLACE,
        "raw_path": PLACE.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("anything.example", 80),
        "client": ("10.0.0.1", 5),
        "headers": [(b"host", b"anything.example"), (b"content-type", b"multipart/form-data; boundary=x")],
    }
    answers = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    asyncio.run(app(scope, receive, send))
    assert kept(tmp_path) == []
    assert answers[0]["status"] == 400


def test_text_has_a_limit_too(called):
    answer = called(Doors()).post("/gradio_api/queue/join", content=b" " * (MOST_TEXT + 1))
    assert answer.status_code == 413
    assert "where no files are sent" in answer.text


def test_counting_parts_does_not_depend_on_how_a_request_is_cut():
    body = b"".join(parts([KIB] * 3))
    for step in (1, 2, 3, 7, len(body)):
        counted = doors._Body(lambda _: None, b"--x")
        for start in range(0, len(body), step):
            counted.take({"type": "http.request", "body": body[start : start + step]})
        assert counted._parts == 4


def test_other_requests_are_not_counted(called):
    http = called(Doors(uploads=0))
    assert http.get("/config").status_code == 200
