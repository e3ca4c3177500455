"""What a checkpoint's file does not tell, as dropdowns: filled from the doubts, read back as choices."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt
from simvis_app.page.updates import Updates

MOST = 8  # dropdowns; further questions come once these are answered
LEAD = "The file does not tell what stands below. Choose what it was trained with, then Load again."
Of = tuple[str | None, str, str]  # a file's place, its architecture, and which layers behind the pooling are meant


@dataclass(frozen=True)
class Questions:
    """What the dropdowns ask, one after the other: each question's key, and its default where nobody has said it."""

    of: Of
    keys: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class QuestionFields:
    """What keeps the questions, the sentence above them, and a dropdown for each, as many as there may be."""

    asked: gr.State
    lead: gr.HTML
    slots: tuple[gr.Dropdown, ...]

    @property
    def all(self) -> set[gr.blocks.Block]:
        """All of its components."""
        return {self.asked, self.lead, *self.slots}


def question_fields() -> QuestionFields:
    """Lays the questions out, hidden until a file leaves something open."""
    lead = gr.HTML(f"<p>{LEAD}</p>", visible=False, elem_id="own_lead")
    slots = tuple(
        gr.Dropdown([], value=None, visible=False, interactive=True, elem_id=f"own_question_{number}")
        for number in range(MOST)
    )
    return QuestionFields(gr.State(None), lead, slots)


def shown(doubts: Sequence[Doubt], of: Of, fields: QuestionFields) -> Updates:
    """The questions for a file's doubts, none for none; what nobody said keeps its default."""
    first = doubts[:MOST]
    keys = tuple((doubt.key, None if doubt.said else doubt.taken) for doubt in first)
    asked = {slot: _slot(doubt) for slot, doubt in zip(fields.slots, first, strict=False)}
    hidden = {slot: gr.update(visible=False, choices=[], value=None) for slot in fields.slots[len(first) :]}
    return {fields.asked: Questions(of, keys), fields.lead: gr.update(visible=bool(first)), **asked, **hidden}


def _slot(doubt: Doubt) -> Updates:
    update: Updates = gr.update(
        label=doubt.words,
        info=f"as a choice: {doubt.key}",
        choices=[(meaning, value) for value, meaning in doubt.options.items()],
        value=doubt.taken,
        allow_custom_value=any(value.endswith(":N") for value in doubt.options),  # a number to be typed
        visible=True,
    )
    return update


def said(asked: Questions | None, of: Of, values: Sequence[str | None]) -> Choices:
    """The answers to the questions of this file; those of another file do not count, nor a default left as it was.

    Raises SimvisError for an answer that there is not.
    """
    choices = Choices()
    if asked is None or asked.of != of:
        return choices
    for (key, default), value in zip(asked.keys, values, strict=False):
        if value is not None and value != default:
            choices = choices.said(key, str(value))
    return choices
