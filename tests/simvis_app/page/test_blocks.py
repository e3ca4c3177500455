"""Functions that are told many values in one, and events that keep no status in the browser."""

import asyncio

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from simvis_app.page.blocks import Page, unpacked


@pytest.fixture
def page():
    """A function that is told three values, which the second one brings; three events with and without progress."""
    return asyncio.run(built())  # gradio makes itself a loop, and leaves it open, where none runs


async def built():
    with Page(analytics_enabled=False) as page:
        state, carrier, number = gr.State("a"), gr.JSON({}), gr.Number(3)
        page.told, page.carrier = [], carrier

        def note(values):
            page.told.append([values[one] for one in (state, carrier, number)])
            return {carrier: {"sum": "done"}}

        page.carry(carrier, carrier.change, note, {number, state}, show_progress="hidden", api_visibility="private")
        gr.Button().click(lambda: None, None, number, show_progress="hidden")
        gr.Button().click(lambda: None, None, number, show_progress="hidden", show_progress_on=carrier)
        gr.Button().click(lambda: None, None, number)
    return page


async def _answered(page, values):
    (function,) = page.carriers
    return await page.process_api(page.fns[function], values, SessionState(page), request=object())


def answered(page, values):
    return asyncio.run(_answered(page, values))["data"]


def test_the_browser_knows_of_one_input_and_a_script_collects_the_rest(page):
    collecting, told = page.get_config_file()["dependencies"][:2]
    assert told["inputs"] == told["outputs"] == [page.carrier._id]
    assert not collecting["backend_fn"]
    assert len(collecting["inputs"]) == 3
    assert "values[1], others: values.filter((_, i) => i !== 1)" in collecting["js"]


def test_the_function_is_told_each_value_in_its_place(page):
    (answer,) = answered(page, [{"own": 1, "others": ["a state, which the server has", 7]}])
    assert page.told == [["a", {"own": 1}, 7]]
    assert answer.root == {"sum": "done"}


@pytest.mark.parametrize("others", [[], [1], None, {"a": 1}])
def test_too_few_values_are_a_sentence(page, others):
    with pytest.raises(gr.Error, match="reload the page"):
        answered(page, [{"own": 1, "others": others}])


def test_values_that_came_by_themselves_stay_as_they_are():
    assert unpacked(["a", {"own": 1}, 7], 1) == ["a", {"own": 1}, 7]
    assert unpacked([], 1) == []
    assert unpacked([{"own": 1}], 0) == [{"own": 1}]


def test_what_shows_no_progress_tells_one_place_of_it(page):
    page.hush(page.carrier)
    on = [one["show_progress_on"] for one in page.get_config_file()["dependencies"]]
    assert on == [[page.carrier._id]] * 4 + [None]
