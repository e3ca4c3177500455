"""Lanes: what is quick has threads of its own, and a visit costs nothing to begin."""

import asyncio
import threading

import gradio as gr
import pytest
from gradio.routes import App
from starlette.testclient import TestClient

from simvis_app.page.blocks import Page
from simvis_app.page.visits import Visits, remembered
from simvis_app.service.lanes import QUICK, SLOW_THREADS, Lanes
from simvis_core import SimvisError
from simvis_core.steps import Ended


def test_the_quick_lane_answers_while_every_slow_thread_waits():
    lanes, end = Lanes(), threading.Event()

    async def crowd():
        waiting = [asyncio.create_task(lanes.slow(lambda: end.wait(60))) for _ in range(SLOW_THREADS + 5)]
        await asyncio.sleep(0.1)
        answer = await asyncio.wait_for(lanes.quick(lambda: "known"), 20)
        assert not any(task.done() for task in waiting)
        end.set()
        assert await asyncio.gather(*waiting) == [True] * len(waiting)
        return answer

    assert asyncio.run(crowd()) == "known"


def test_steps_come_one_by_one_and_are_closed_by_whoever_leaves():
    closed = []

    def steps(last):
        try:
            yield 1
            yield 2
            if last is None:
                raise SimvisError("a", "b", "c")
            return last
        finally:
            closed.append(last)

    async def told(last, most=9):
        found = []
        moments = Lanes().stepped(steps(last))
        async for moment in moments:
            found.append(moment)
            if len(found) == most:
                await moments.aclose()
        return found

    assert asyncio.run(told("end")) == [1, 2, Ended("end")]
    assert asyncio.run(told("left", most=1)) == [1]
    with pytest.raises(SimvisError):
        asyncio.run(told(None))
    assert closed == ["end", "left", None]


@pytest.fixture(scope="module")
def page():
    """A counter, and a function that tells the limiter it runs under."""

    async def built():
        with Page(analytics_enabled=False) as made:
            private = {"api_visibility": "private"}
            count, shown, ask = gr.State(0), gr.Number(), gr.Button()
            ask.click(lambda before: (before + 1, before + 1), count, [count, shown], api_name="count", **private)
            for name in (QUICK, "another"):
                ask.click(lambda: made.limiter.total_tokens, None, shown, api_name=name, concurrency_id=name, **private)
        made.queue(api_open=True)
        made.state_session_capacity = 3
        return made, App.create_app(made, app_kwargs={"lifespan": remembered})

    return asyncio.run(built())


@pytest.fixture
def ask(page):
    with TestClient(page[1]) as http:
        yield lambda name, visit: http.post(
            f"/gradio_api/run/{name}", json={"data": [None], "session_hash": visit}
        ).json()["data"][-1]


def test_an_events_functions_run_in_threads_of_its_lane(page, monkeypatch):
    made, seen = page[0], []
    monkeypatch.setattr(gr.Number, "postprocess", lambda self, value: seen.append(made.limiter.total_tokens))
    functions = {function.api_name: function for function in made.fns.values()}
    for name in (QUICK, "another"):
        asyncio.run(made.process_api(functions[name], [], made.default_config and None))
    assert seen == [4, SLOW_THREADS]


def test_visits_keep_their_values_apart_and_no_copy_of_the_page(page, ask):
    assert [ask("count", visit) for visit in ("anna", "anna", "bert", "anna")] == [1, 2, 1, 3]
    holder = page[1].state_holder
    assert isinstance(holder, Visits)
    kept = [config["type"] for visit in holder.session_data.values() for config in visit.config_values.values()]
    assert kept == ["state"] * 2  # each visit's own counter, of a page of many more components


def test_the_visit_unused_for_longest_is_forgotten_first(page, ask):
    for visit in ("1", "2", "3", "1", "4"):
        ask("count", visit)
    assert list(page[1].state_holder.session_data) == ["3", "1", "4"]
    assert ask("count", "1") == 3
