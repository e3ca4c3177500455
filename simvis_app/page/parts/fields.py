"""Fields that take what is sent at any moment: a number out of range, a choice that the list no longer holds."""

from typing import Any

import gradio as gr

from simvis_app.page.choices import METHODS


class HeldSlider(gr.Slider):  # type: ignore[misc]
    """A slider for which a number typed outside its range counts as the nearest inside, not as an error."""

    is_template = True

    def preprocess(self, payload: float | None) -> float:
        """The number, held to the range; the least for an emptied field."""
        return float(min(max(self.minimum if payload is None else payload, self.minimum), self.maximum))


class PoolingChoice(gr.Dropdown):  # type: ignore[misc]
    """A dropdown that hands on what was chosen or typed though the list may have changed; the session checks it.

    Gradio tells of a choice twice. The answer to the first may shorten the list while the second is on its way.
    """

    is_template = True

    def preprocess(self, payload: object) -> str:
        """The name as it was chosen; an empty one for none."""
        return "" if payload is None else str(payload)


class MethodChoice(gr.Radio):  # type: ignore[misc]
    """A list of methods that follows the network; one that does not apply any more counts as none chosen."""

    is_template = True

    def preprocess(self, payload: object) -> str | None:
        """The chosen method, or None."""
        return payload if payload in METHODS else None


class LayerChoice(gr.Radio):  # type: ignore[misc]
    """A list of layers that follows the network; the session refuses one that the network does not have."""

    is_template = True

    def preprocess(self, payload: object) -> str:
        """The layer as it was chosen; an empty one for none."""
        return payload if isinstance(payload, str) else ""


class ChangingChoice(gr.Radio):  # type: ignore[misc]
    """A list that may have been replaced, by another pair's, while a choice was on its way."""

    is_template = True

    def preprocess(self, payload: object) -> Any:
        """What was chosen; None for what the list no longer holds."""
        return payload if any(payload == value for _, value in self.choices) else None
