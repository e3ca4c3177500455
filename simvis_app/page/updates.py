"""What the answer to an event changes on the page, by component; every component that is not named stays as it is."""

from typing import Any

import gradio as gr

Updates = dict[Any, Any]  # component: its new value, or a `gr.update`; Gradio types neither


def unchanged() -> Updates:
    """The answer that changes nothing. An empty one will not do: Gradio takes it for the value of an only output."""
    return dict(gr.skip())
