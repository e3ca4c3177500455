"""What the Training tab's events answer, and what each answer changes on the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from simvis_app.page.training import words as training_words
from simvis_app.page.training.inputs import Offered, TrainingQuestion
from simvis_app.page.training.step_viewer import Steps
from simvis_app.page.training.widgets import Widgets
from simvis_app.page.updates import Updates, unchanged
from simvis_app.service import words
from simvis_app.service.series.curves import panel_figures
from simvis_app.service.series.thumbs import Thumb
from simvis_core.progress.queries.hits import RightQueries, Study


@dataclass(frozen=True)
class Choices:
    """Which series can be chosen and which are; what the first is; thumbnails of its gallery (None: as they are).

    A picture is ``searched`` for unless all of them are watches, which follow pairs of their own.
    """

    names: tuple[str, ...] = ()
    series: str | None = None
    beside: str = ""
    about: str = training_words.EMPTY
    samples: Sequence[Thumb] | None = ()
    offered: Offered = Offered()  # noqa: RUF009 - it never changes
    searched: bool = True


@dataclass(frozen=True)
class TrainingRefused:
    """Why nothing is shown, after what is said of a file that was not taken; ``choices`` where they are known."""

    reason: str
    choices: Choices | None = None
    said: str = ""


@dataclass(frozen=True)
class TrainingSaid:
    """What is said of a file that was not taken, beside an answer that stays; empty for nothing."""

    notice: str


@dataclass(frozen=True)
class TrainingUnderWay:
    """How far an answer is, as HTML; ``choices`` where they are not on the page yet."""

    progress: str
    choices: Choices | None = None


@dataclass(frozen=True)
class TrainingShown:
    """A query under one series or two; ``stamps`` are those of the series' folders as they were."""

    question: TrainingQuestion
    stamps: tuple[str, ...]
    studies: tuple[Study, ...]
    choices: Choices
    step: int | None = None
    said: str = ""
    compared: RightQueries | None = None
    only: tuple[Sequence[Thumb], Sequence[Thumb]] = field(default=((), ()))


TrainingAnswer = Choices | TrainingRefused | TrainingSaid | TrainingUnderWay | TrainingShown


def shown(answer: TrainingAnswer, widgets: Widgets) -> Updates:
    """What the answer changes on the page."""
    match answer:
        case Choices():
            return _lists(answer, widgets)
        case TrainingRefused(reason, choices, said):
            lists = {} if choices is None else _lists(choices, widgets)
            return lists | _emptied(widgets) | {widgets.notice: said + words.notice(reason)}
        case TrainingSaid(notice):
            return {widgets.notice: notice} if notice else unchanged()
        case TrainingUnderWay(progress, choices):
            return ({} if choices is None else _lists(choices, widgets)) | {widgets.progress: progress}
        case TrainingShown():
            return _lists(answer.choices, widgets) | _shown(answer, widgets)


def _lists(found: Choices, widgets: Widgets) -> Updates:
    others = [("none", ""), *((name, name) for name in found.names if name != found.series)]
    updates: Updates = {
        widgets.series: gr.update(choices=list(found.names), value=found.series, visible=bool(found.names)),
        widgets.beside: gr.update(choices=others, value=found.beside, visible=len(found.names) > 1),
        widgets.about: found.about,
        widgets.query: gr.update(visible=found.searched),
        widgets.offered: found.offered,
    }
    if found.samples is not None:
        updates[widgets.samples] = gr.update(value=list(found.samples), visible=bool(found.samples))
    return updates


def _emptied(widgets: Widgets) -> Updates:
    """Nothing of an answer, and of no question."""
    plots: Updates = {plot: gr.update(value=None, visible=False) for plot in widgets.curves}
    gone: Updates = {one: gr.update(value=[], visible=False) for one in (widgets.only_first, widgets.only_second)}
    said: Updates = {widgets.curves_said: "", widgets.compared: "", widgets.progress: "", widgets.notice: ""}
    return plots | gone | said | {widgets.viewer: None, widgets.shown_for: None}


def _shown(answer: TrainingShown, widgets: Widgets) -> Updates:
    studies = answer.studies
    figures, missing = panel_figures(studies, _marked(answer))
    plots: Updates = {
        plot: gr.update(value=figure, visible=figure is not None)
        for plot, figure in zip(widgets.curves, figures, strict=True)
    }
    return (
        plots
        | _compared(answer, widgets)
        | {
            widgets.notice: answer.said + training_words.troubles(studies),
            widgets.progress: "",
            widgets.viewer: Steps(studies, answer.step),
            widgets.curves_said: training_words.left_out_curves(missing),
            widgets.shown_for: (answer.question, answer.stamps),
        }
    )


def _marked(answer: TrainingShown) -> int:
    """The step that the curves are marked at until the browser moves the mark."""
    return max(one.step.step for study in answer.studies for one in study.steps) if answer.step is None else answer.step


def _compared(answer: TrainingShown, widgets: Widgets) -> Updates:
    galleries = (widgets.only_first, widgets.only_second)
    if answer.compared is None:
        gone: Updates = {gallery: gr.update(value=[], visible=False) for gallery in galleries}
        return gone | {widgets.compared: training_words.NOBODY}
    names = [study.name for study in answer.studies]
    lists: dict[Any, Any] = {
        gallery: gr.update(value=list(thumbs), visible=bool(thumbs), label=f"Only {name} is right")
        for gallery, thumbs, name in zip(galleries, answer.only, names, strict=True)
    }
    return lists | {widgets.compared: training_words.compared(answer.compared, names[0], names[1])}
