"""The panel: which concepts carry the score, where each lies in both pictures, and where else it fires."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.page.concepts import concept_words
from simvis_app.page.glossary import terms
from simvis_app.page.pair.asked import PairAsked
from simvis_app.page.parts.fields import ChangingChoice
from simvis_app.page.parts.map_rows import MapRows, map_row
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.page.visits import visitor_of
from simvis_app.service.concepts import (
    MEAN,
    RESIDUAL,
    concept_maps,
    concepts_scale,
    firing_places,
    split_over_concepts,
)
from simvis_app.service.sessions.session import Session
from simvis_core import PairExplanation, SimvisError
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.pairs.sides import SIDES

LISTED = 8  # concepts; a picture rarely has more
CROSSED = 5  # concepts of each picture in the table of both


@dataclass(frozen=True)
class ConceptFields:
    """The panel's components. ``to_split`` changes when another pair is to be split over concepts."""

    said: gr.HTML
    choice: ChangingChoice
    places: gr.HTML
    maps: MapRows
    to_split: gr.Textbox

    @property
    def told(self) -> list[Any]:
        """What is shown of a pair."""
        return [self.said, self.choice, self.places, self.maps]


def concept_panel() -> ConceptFields:
    """Lays the panel out."""
    gr.HTML(terms("concept", "mean picture", "residual"), elem_classes="words")
    with gr.Row():
        with gr.Column(min_width=320):
            said = gr.HTML(elem_id="concepts_said")
            choice = ChangingChoice([], label="Concepts and what each contributes", elem_id="concepts", visible=False)
        with gr.Column(min_width=320):
            maps = MapRows(elem_id="concept_maps")
    places = gr.HTML(elem_id="concept_places")
    return ConceptFields(said, choice, places, maps, gr.Textbox(visible="hidden", elem_id="to_split"))


def wire_concepts(held: ConceptFields, session: Session, pair: set[Any], read: Callable[[Values], PairAsked]) -> None:
    """Binds the panel's two events: another pair, and another concept of it."""
    answers = ConceptPanelAnswers(held, session, read)
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    held.to_split.change(
        answers.split,
        None,
        held.told,
        **quiet,
        trigger_mode="multiple",  # the older one changes nothing
        concurrency_limit=4,
        concurrency_id="concepts",
    )
    held.choice.input(
        answers.choose, pair | {held.choice}, [held.maps, held.places], **quiet, trigger_mode="always_last"
    )


class ConceptPanelAnswers:
    """What the events answer."""

    def __init__(self, held: ConceptFields, session: Session, read: Callable[[Values], PairAsked]) -> None:
        self.held, self.session, self.read = held, session, read

    def split(self, request: gr.Request | None = None) -> Updates:
        """The pair that the visitor asked for last over its concepts; no change where that is another by then."""
        visitor = visitor_of(request)
        asked = self.session.asked(visitor)
        if not isinstance(asked, PairAsked) or asked.files is None:
            return unchanged()
        try:
            pair = self.session.explain(*asked.files, asked.settings(self.session))
            found = split_shown(split_over_concepts(pair), pair, self.held)
        except SimvisError as error:
            found = nothing_split(self.held, concept_words.without(error))
        return found if self.session.asked(visitor) == asked else unchanged()

    def choose(self, values: Values) -> Updates:
        """The maps and places of the chosen concept; no change for one that the list has lost meanwhile."""
        asked, chosen = self.read(values), values.get(self.held.choice)
        if chosen is None or asked.files is None:
            return unchanged()
        try:
            pair = self.session.explain(*asked.files, asked.settings(self.session))
            split = split_over_concepts(pair)
        except SimvisError:
            return unchanged()  # the comparison itself says why
        return _one_shown(split, pair, int(chosen), self.held)


def split_shown(split: ConceptPair, pair: PairExplanation, held: ConceptFields) -> Updates:
    """The sum of the parts, the concepts to choose from, and the strongest of them."""
    strongest = split.strongest(LISTED).tolist()
    choices = [(concept_words.choice(split, of), of) for of in (*strongest, MEAN, RESIDUAL)]
    return {
        held.said: concept_words.said(split, len(strongest)) + concept_words.matrix(split, CROSSED),
        held.choice: gr.update(choices=choices, value=choices[0][1], visible=True),
        **_one_shown(split, pair, choices[0][1], held),
    }


def nothing_split(held: ConceptFields, reason: str = "") -> Updates:
    """The panel without a pair, or with the reason why it cannot be split."""
    empty = gr.update(choices=[], value=None, visible=False)
    return {held.said: reason, held.choice: empty, held.places: "", held.maps: None}


def _one_shown(split: ConceptPair, pair: PairExplanation, of: int, held: ConceptFields) -> Updates:
    listed = [*split.strongest(LISTED).tolist(), MEAN, RESIDUAL]
    maps = dict(zip(SIDES, concept_maps(split, of), strict=True))
    row = map_row(concept_words.title(split, of), concept_words.note(split, of), maps)
    places = firing_places(pair.network, of) if of >= 0 else ()
    return {
        held.maps: (pair, [row], concepts_scale(split, listed)),
        held.places: concept_words.places(split, of, places),
    }
