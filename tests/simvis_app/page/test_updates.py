"""What the page's handlers rely on: Gradio's dictionaries of components, there and back."""

import asyncio
from dataclasses import dataclass

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from simvis_app.page.updates import by_name, unchanged

NOT_TOLD = {"__type__": "update"}


def answered(handler, outputs=2):
    """What the page is told of two fields by a handler that takes both of them as a set."""

    async def told():
        with gr.Blocks(analytics_enabled=False) as app:
            first, second = gr.Textbox(), gr.Textbox()
            app.load(handler(first, second), {first, second}, [first, second][:outputs])
        return await app.process_api(app.fns[0], ["one", "two"], SessionState(app), request=object())

    return asyncio.run(told())["data"]


def test_only_what_is_named_changes_whatever_its_place():
    assert answered(lambda first, second: lambda values: {second: values[first]}) == [NOT_TOLD, "one"]


@pytest.mark.parametrize("outputs", [1, 2])
def test_an_answer_may_change_nothing(outputs):
    assert answered(lambda *_: lambda _: unchanged(), outputs) == [NOT_TOLD] * outputs


def test_a_request_stands_beside_the_dictionary():
    def handler(first, second):
        def told(values, request: gr.Request):
            return {first: f"{values[second]} {type(request).__name__}"}

        return told

    assert answered(handler) == ["two object", NOT_TOLD]


def test_values_are_read_by_the_names_of_the_components_that_were_handed_over(built):
    @dataclass(frozen=True)
    class Places:
        picture: gr.Textbox
        seed: gr.Number
        several: list

    places, other = built(lambda: (Places(gr.Textbox(), gr.Number(), []), gr.Textbox()))
    assert by_name({places.picture: None, other: "x"}, places) == {"picture": None}
