"""What the Attributes tab's events answer: from what the components hold to what changes on the page."""

from dataclasses import replace

import gradio as gr

from simvis_app.page.attributes import words as attribute_words
from simvis_app.page.attributes.attribute_table import Ranked
from simvis_app.page.attributes.handlers import AttributesHandlers, InWordsShown, NothingShown
from simvis_app.page.attributes.inputs import read
from simvis_app.page.attributes.layout import BEST, Widgets
from simvis_app.page.parts.map_rows import map_row
from simvis_app.page.updates import Updates, Values
from simvis_app.service import words
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.overlays import common_scale


class AttributesAnswers:
    """The answers to the tab's events."""

    def __init__(self, widgets: Widgets, handlers: AttributesHandlers) -> None:
        self.widgets, self.handlers = widgets, handlers

    def show(self, values: Values) -> Updates:
        """Everything: the pair in words, its weights, all attributes, and the chosen one."""
        shown = self.handlers.told(read(values, self.widgets))
        return all_shown(shown, self.widgets) | sliders_shown(shown, self.widgets)

    def choose(self, values: Values) -> Updates:
        """The attribute whose row was chosen; the table shows that itself."""
        inputs = read(values, self.widgets)
        shown = self.handlers.told(replace(inputs, attribute=inputs.row))
        return {self.widgets.attribute: inputs.row} | one_shown(shown, self.widgets)

    def ask(self, values: Values) -> Updates:
        """The attribute that was chosen or typed."""
        shown = self.handlers.told(read(values, self.widgets))
        return table_shown(shown, self.widgets) | one_shown(shown, self.widgets)

    def weigh(self, values: Values) -> Updates:
        """Everything by the weights that the sliders hold."""
        weights, shown = self.handlers.weighed(read(values, self.widgets))
        return all_shown(shown, self.widgets) | {self.widgets.weights: weights}

    def reset(self, values: Values) -> Updates:
        """Everything by the learnt weights."""
        shown = self.handlers.told(replace(read(values, self.widgets), weights=""))
        return all_shown(shown, self.widgets) | sliders_shown(shown, self.widgets) | {self.widgets.weights: ""}


Shown = InWordsShown | NothingShown


def all_shown(shown: Shown, widgets: Widgets) -> Updates:
    """Everything but the weights' sliders."""
    if isinstance(shown, NothingShown):
        said = words.notice(shown.reason)
        said = f'<div class="nothing-told">{said}</div>' if shown.whatever else said
        nothing = {widgets.line: said, widgets.sentence: "", widgets.weighed: ""}
        return nothing | table_shown(shown, widgets) | one_shown(shown, widgets)
    found = shown.found
    names = sorted(found.known.model.names)
    return {
        widgets.line: attribute_words.pair_line(found, shown.asked),
        widgets.sentence: attribute_words.sentence(found),
        widgets.weighed: attribute_words.weights_note(found),
        widgets.attribute: gr.update(choices=[(BEST, ""), *((name, name) for name in names)]),
        **table_shown(shown, widgets),
        **one_shown(shown, widgets),
    }


def sliders_shown(shown: Shown, widgets: Widgets) -> Updates:
    """The weights' sliders as the pair is weighed; as they are where it is not."""
    if isinstance(shown, NothingShown):
        return {}
    return dict(zip(widgets.sliders, (round(weight, 2) for weight in shown.found.ranking.weights), strict=True))


def table_shown(shown: Shown, widgets: Widgets) -> Updates:
    """All attributes, the chosen one marked."""
    if isinstance(shown, NothingShown):
        return {widgets.table: None}
    said, line = attribute_words.caption(shown.found), attribute_words.dividing(shown.found)
    return {widgets.table: Ranked(shown.found.ranking, shown.name, said, line)}


def one_shown(shown: Shown, widgets: Widgets) -> Updates:
    """What is shown of the chosen attribute; its maps stay where they are on screen."""
    if isinstance(shown, NothingShown):
        empty = {widgets.own_maps: None, widgets.where_maps: None, widgets.drawn: None}
        return {widgets.why: "", widgets.bars: "", **empty}
    texts = {
        widgets.why: shown.unknown or attribute_words.why(shown.found, shown.name),
        widgets.bars: attribute_words.bars(shown.found, shown.name),
    }
    return texts if shown.same else texts | _maps(shown, widgets)


def _maps(shown: InWordsShown, widgets: Widgets) -> Updates:
    found, pair = shown.found, shown.found.pair
    own, where = (pair.map_a, pair.map_b), found.maps(shown.name)
    rows = {
        widgets.own_maps: ("The pair's similarity map", attribute_words.own_note(found), own),
        widgets.where_maps: (f"Where '{shown.name}' is", attribute_words.where_note(found), where),
    }
    return {widgets.drawn: shown.drawn} | {
        part: (pair, [map_row(title, note, dict(zip(SIDES, maps, strict=True)))], common_scale(*maps))
        for part, (title, note, maps) in rows.items()
    }
