"""Gradio's blocks, with a sentence for what a program sends wrongly, where Gradio itself would answer null.

Also what keeps events cheap in the browser. Gradio's page holds a status for each output that shows a function's
progress and for each input of a function that was called; with every event to come it looks each of them up among all
components and copies all that it holds: `Page.hush` and `Page.carry` spare most of that.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.components import Component
from gradio.events import Dependency
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
        self.carriers: dict[
            int, int
        ] = {}  # by function: the place, among its inputs, of the one that brings the others
        super().__init__(**options)

    @property
    def limiter(self) -> Any:
        """The threads of the event at hand."""
        return self.lanes.at_hand

    @limiter.setter
    def limiter(self, _: object) -> None:
        """Gradio sets one for all events."""

    def hush(self, place: Component) -> None:
        """Events that show no progress tell ``place`` alone of it, which stands early on the page and holds little."""
        for function in self.fns.values():
            if function.show_progress == "hidden" and function.show_progress_on is None:
                function.show_progress_on = [place]

    def carry(
        self,
        carrier: Component,
        event: Callable[..., Dependency],
        function: object,
        others: set[Component],
        **listener: Any,
    ) -> None:
        """Binds an event to a function that is told the carrier's value, an object, and others; it answers the carrier.

        As far as the browser knows the function has that one input: a script, which leaves no status behind, puts the
        others' values into it.
        """
        told = sorted({carrier, *others}, key=lambda one: one._id)  # as gradio sorts them
        at = told.index(carrier)
        script = f"(...values) => [{{ ...values[{at}], others: values.filter((_, i) => i !== {at}) }}]"
        collected = event(None, told, carrier, js=script, **listener)
        self.carriers[collected.then(function, set(told), carrier, queue=False, **listener)["id"]] = at

    def get_config_file(self) -> dict[str, Any]:
        """What the browser knows of the page."""
        config: dict[str, Any] = super().get_config_file()
        for function in config["dependencies"]:
            if (at := self.carriers.get(function["id"])) is not None:
                function["inputs"] = [function["inputs"][at]]
        return config

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

    async def preprocess_data(self, function: BlockFunction, inputs: Any, *rest: object, **options: object) -> Any:
        """What the function gets. Raises gr.Error for a file that was not uploaded, and for what is no value at all."""
        try:
            values = unpacked(inputs, self.carriers[function._id]) if function._id in self.carriers else inputs
            return await super().preprocess_data(function, values, *rest, **options)
        except (InvalidPathError, ComponentProcessingError, ValidationError) as error:
            told = SimvisError("a value that the page does not send", "one of its own", "reload the page")
            raise gr.Error(str(told), print_exception=False) from error


def unpacked(inputs: list[Any], at: int) -> list[Any]:
    """A function's values, of which the one that belongs at a place has brought the others; as they are where not."""
    carrier = inputs[0] if inputs else None
    if not isinstance(carrier, dict) or not isinstance(others := carrier.get("others"), list):
        return inputs
    own = {name: value for name, value in carrier.items() if name != "others"}
    return [*others[:at], own, *others[at:]]
