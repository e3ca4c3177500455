"""What the Compare tab's components show of what its handlers computed."""

import uuid

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.compare import panels
from simvis_app.page.compare.handlers import Compared, MasksRun, NotCompared
from simvis_app.page.compare.layout import Widgets
from simvis_app.page.compare.panels import Panels
from simvis_app.page.concepts.concept_panel import nothing_split
from simvis_app.page.depth.dial_answers import nothing_drawn
from simvis_app.page.updates import Updates
from simvis_app.service import words
from simvis_core import PairExplanation
from simvis_core.explainers.masks import MASKED


def compared(found: Compared | NotCompared, said: str, widgets: Widgets) -> Updates:
    """The answer to a comparison; of one that came to nothing, the reason and empty panels.

    ``said`` is a notice about dropped files that stands before the pair's own warnings. What was said of a link or an
    export of the pair before goes.
    """
    if isinstance(found, NotCompared):
        return {
            widgets.notice: said + found.notice,
            **_nothing(widgets),
            **_begun(widgets),
            **_follows("", "", "", "", widgets),
            **nothing_drawn(widgets.dial),
            **nothing_split(widgets.concepts),
        }
    return {
        widgets.notice: said + words.warning(*found.panels.pair.warnings),
        **panels_shown(found.panels, widgets),
        widgets.link_pin: None,
        **_begun(widgets),
        **_follows(found.to_stand, found.to_draw, found.to_say, found.to_split, widgets),
        widgets.dial.to_offer: found.to_offer,
    }


def drawn(step: MasksRun | Panels, widgets: Widgets) -> Updates:
    """A step of a drawing, or what it came to."""
    if isinstance(step, MasksRun):
        told = words.progress(step.done, step.count, step.seconds)
        return {widgets.progress: told, widgets.stop: gr.update(visible=True)}
    notice = words.warning(*step.pair.warnings)
    again = {widgets.dial.to_offer: uuid.uuid4().hex}  # the viewer goes back to the coarse map
    return {**_idle(widgets), widgets.notice: notice, **panels_shown(step, widgets), **again}


def stopped(method: str, widgets: Widgets) -> Updates:
    """After a drawing was ended: the method goes back to the one whose map is shown."""
    return {
        widgets.progress: words.notice("Stopped. The score stands; choose a method to draw its map after all."),
        widgets.stop: gr.update(visible=False),
        widgets.pair.method: method if method in choices.METHODS else None,
    }


def panels_shown(found: Panels, widgets: Widgets) -> Updates:
    """Everything that is shown of an explained pair."""
    return {
        widgets.score: words.score_line(found.pair, found.standing),
        widgets.ledger: words.ledger_line(found.pair),
        widgets.credits: found.credits,
        widgets.pair.method: _methods(found.pair, found.method),
        widgets.look.viewer: (found.pair, found.key, found.pin, found.mode),
        widgets.topk_plot: panels.topk_figure(found.pair),
        widgets.k: gr.update(maximum=found.pair.contributions.numel(), value=found.k),
        widgets.topk_maps: found.topk,
        widgets.feature: gr.update(choices=found.features, value=found.features[0][1]),
        widgets.feature_maps: found.fires,
        widgets.pooling_maps: panels.pooling_rows(found.poolings),
        widgets.pooling_plot: panels.pooling_figure(found.poolings),
    }


def _nothing(widgets: Widgets) -> Updates:
    """What `panels_shown` fills, emptied; k stays."""
    empty = (widgets.look.viewer, widgets.topk_plot, widgets.topk_maps, widgets.feature_maps)
    return {
        **dict.fromkeys((widgets.score, widgets.ledger, widgets.credits), ""),
        **dict.fromkeys((*empty, widgets.pooling_maps, widgets.pooling_plot)),
        widgets.pair.method: gr.update(visible=False),
        widgets.feature: gr.update(choices=[], value=None),
    }


def _idle(widgets: Widgets) -> Updates:
    """No progress, and no button to stop it."""
    return {widgets.progress: "", widgets.stop: gr.update(visible=False)}


def _begun(widgets: Widgets) -> Updates:
    return {**_idle(widgets), widgets.share.told: None}


def _follows(to_stand: str, to_draw: str, to_say: str, to_split: str, widgets: Widgets) -> Updates:
    """What is still to come; the place of words is held, so that nothing moves as they come."""
    to_come = {widgets.to_stand: to_stand, widgets.to_draw: to_draw, widgets.to_say: to_say}
    return to_come | {widgets.concepts.to_split: to_split, widgets.in_words: words.TO_BE_SAID if to_say else ""}


def _methods(pair: PairExplanation, asked: str | None) -> Updates:
    """What may draw the maps of a black box, and what does; nothing to choose for any other network."""
    update: Updates = gr.update(visible=False, value=None)
    if pair.verdict != "black box":
        return update
    inner = pair.network.inner_pooling == str(pair.network.pooling) == "token"
    offered = list(choices.METHODS if inner else MASKED)
    chosen = next(method for method in (asked, pair.method, offered[0]) if method in offered)
    listed = [(words.METHOD_LABELS[method], method) for method in offered]
    return update | {"visible": True, "choices": listed, "value": chosen}
