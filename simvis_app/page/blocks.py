"""Gradio's blocks, with a sentence for what a program sends wrongly, where Gradio itself would answer null."""

from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.exceptions import ComponentProcessingError, InvalidPathError
from pydantic import ValidationError

from simvis_app.api.fields import check_fields
from simvis_app.service.lanes import Lanes
from simvis_core import SimvisError


class Page(gr.Blocks):  # type: ignore[misc]
    """The app. Values of an API function are checked before files are looked at and anything is computed.

    Each event's functions run in threads of its lane.
    """

    def __init__(self, **options: object) -> None:
        self.lanes = Lanes()
        super().__init__(**options)

    @property
    def limiter(self) -> Any:
        """The threads of the event at hand."""
        return self.lanes.at_hand

    @limiter.setter
    def limiter(self, _: object) -> None:
        """Gradio sets one for all events."""

    async def process_api(self, block_fn: BlockFunction | int, *values: object, **options: object) -> Any:
        """What an event's function answers."""
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        self.lanes.enter(function.concurrency_id)
        return await super().process_api(function, *values, **options)

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[object]) -> None:
        """Raises gr.Error for values that the function does not take."""
        try:
            if block_fn.api_visibility == "public":
                check_fields(block_fn, inputs)
            elif len(inputs) < len(block_fn.inputs):
                raise SimvisError(f"{len(inputs)} values", f"{len(block_fn.inputs)}", "reload the page")
        except SimvisError as error:
            raise gr.Error(str(error), print_exception=False) from error

    async def preprocess_data(self, *values: object, **options: object) -> Any:
        """What the function gets. Raises gr.Error for a file that was not uploaded, and for what is no value at all."""
        try:
            return await super().preprocess_data(*values, **options)
        except (InvalidPathError, ComponentProcessingError, ValidationError) as error:
            told = SimvisError("a value that the page does not send", "one of its own", "reload the page")
            raise gr.Error(str(told), print_exception=False) from error
