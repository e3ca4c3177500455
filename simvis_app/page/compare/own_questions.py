"""What a checkpoint's file does not tell, as dropdowns: filled from the doubts, read back as choices."""

from collections.abc import Sequence
from typing import Any, TypedDict

import gradio as gr

from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt

MOST = 8  # dropdowns; further questions come once these are answered
LEAD = "The file does not tell what stands below. Choose what it was trained with, then Load again."


class Asked(TypedDict):
    """What the dropdowns ask about: a file's place, architecture and layers, and each question's key and default."""

    of: list[Any]
    keys: list[tuple[str, str | None]]


def widgets() -> list[Any]:
    """A state, a sentence, and dropdowns, hidden until a file leaves something open."""
    lead = gr.HTML(f"<p>{LEAD}</p>", visible=False, elem_id="own_lead")
    slots = [
        gr.Dropdown([], value=None, visible=False, interactive=True, elem_id=f"own_question_{number}")
        for number in range(MOST)
    ]
    return [gr.State(None), lead, *slots]


def shown(doubts: Sequence[Doubt], of: list[Any]) -> list[Any]:
    """The state, the sentence and the dropdowns for a file's doubts; what nobody said keeps its default."""
    first = doubts[:MOST]
    keys = [(doubt.key, None if doubt.said else doubt.taken) for doubt in first]
    slots = [
        gr.update(
            label=doubt.words,
            info=f"as a choice: {doubt.key}",
            choices=[(meaning, value) for value, meaning in doubt.options.items()],
            value=doubt.taken,
            allow_custom_value=any(value.endswith(":N") for value in doubt.options),  # a number to be typed
            visible=True,
        )
        for doubt in first
    ]
    hidden = [gr.update(visible=False, choices=[], value=None)] * (MOST - len(first))
    return [Asked(of=of, keys=keys), gr.update(visible=bool(first)), *slots, *hidden]


def said(asked: Asked | None, of: list[Any], values: Sequence[Any]) -> Choices:
    """The answers to the questions of this file; those of another file do not count, nor a default left as it was.

    Raises SimvisError for an answer that there is not.
    """
    choices = Choices()
    if asked is None or asked["of"] != of:
        return choices
    for (key, default), value in zip(asked["keys"], values, strict=False):
        if value is not None and value != default:
            choices = choices.said(key, str(value))
    return choices
