"""A client that goes away: its job ends, and the next one gets its turn."""

import asyncio
import json
import threading
import time

import httpx
import pytest
import uvicorn
from gradio.routes import App

from simvis_app.api.pairs import add_api
from simvis_app.page.blocks import Page
from simvis_app.page.visits import remembered
from simvis_core.explainers import masks


@pytest.fixture
def address(session, tiny_backbone, monkeypatch):
    """A served page whose masks take their time."""
    monkeypatch.setattr(masks, "BATCH_PIXELS", 10 * 16 * 16)
    slow = tiny_backbone.register_forward_hook(lambda *_: time.sleep(0.02))

    async def built():
        with Page(analytics_enabled=False) as page:
            add_api(session)
        page.queue()
        page.has_launched, page.max_file_size = True, None
        return App.create_app(page, app_kwargs={"lifespan": remembered})

    server = uvicorn.Server(uvicorn.Config(asyncio.run(built()), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    assert httpx.get(f"{address}/gradio_api/startup-events", timeout=60).json()
    yield address
    server.should_exit = True
    thread.join(60)
    slow.remove()


def test_masks_end_when_nobody_listens_any_more_and_the_next_job_begins(address, files, backbone_calls):
    with httpx.Client(base_url=address, timeout=60) as http:
        sent = http.post("/gradio_api/upload", files=[("files", (file.name, file.read_bytes())) for file in files])
        pictures = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in sent.json()]

        def ask(method):
            values = {"data": [*pictures, "tiny", "avg", 16, "whole", method, "", "", "", "", "", 0, ""]}
            number = http.post("/gradio_api/call/explain_pair", json=values).json()["event_id"]
            return http.stream("GET", f"/gradio_api/call/explain_pair/{number}")

        with ask("RISE") as lines:
            first = next(line for line in lines.iter_lines() if line.startswith("data: "))
            assert json.loads(first.removeprefix("data: "))[0]["of"] == 2 * masks.RISE_MASKS
        time.sleep(1)  # of 8 that all the masks would take
        ran = len(backbone_calls)
        with ask("sliding window") as lines:
            last = [line for line in lines.iter_lines() if line.startswith("data: ")][-1]
        assert json.loads(last.removeprefix("data: "))[0]["method"] == "sliding window"
        window = len(backbone_calls) - ran
        time.sleep(0.5)
    assert ran < 150 < 2 * masks.RISE_MASKS // 10
    assert len(backbone_calls) == ran + window < 250
