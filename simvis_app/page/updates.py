"""What the page's events are handed and hand back, by component; every component that is not named stays as it is."""

from dataclasses import fields
from typing import Any

import gradio as gr

Values = dict[Any, Any]  # component: its value, of an event's set of inputs; Gradio types neither
Listener = dict[str, Any]  # the arguments of an event, by their names in Gradio
Updates = dict[Any, Any]  # component: its new value, or a `gr.update`


def unchanged() -> Updates:
    """The answer that changes nothing. An empty one will not do: Gradio takes it for the value of an only output."""
    return dict(gr.skip())


def by_name(values: Values, widgets: Any) -> dict[str, Any]:
    """The values of a dataclass of components, by its fields' names.

    Components that are no inputs of the event are left out, so that what the values are read into keeps its default.
    """
    held = {one.name: getattr(widgets, one.name) for one in fields(widgets)}
    return {
        name: values[component]
        for name, component in held.items()
        if isinstance(component, gr.blocks.Block) and component in values
    }
