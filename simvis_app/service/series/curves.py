"""The curves beside the step viewer: which figures there are, from where, and what is left out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from simvis_core.progress.queries.hits import QueriedStep, Study
from simvis_core.progress.queries.step_plots import StepCurve, step_figure

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class CurvePanel:
    """A figure over steps. ``carried`` is its name in a series' own figures, ``pair`` in those of the followed pair.

    ``beside`` is another of the series' figures, drawn dotted: what the first is to be read against.
    """

    title: str
    carried: str
    pair: str = ""
    beside: str = ""


def panel_figures(studies: Sequence[Study], marked: int | None) -> tuple[list[Any], list[str]]:
    """A plot for each of `PANELS`, None for one that nothing is known for; and the titles of those."""
    figures, missing = list[Any](), list[str]()
    for panel in PANELS:
        curves = list(_apart(curve for study in studies for curve in _curves(study, panel, len(studies) > 1)))
        figures.append(step_figure(curves, marked, panel.title) if curves else None)
        missing += [] if curves else [panel.title]
    return figures, missing


def _curves(study: Study, panel: CurvePanel, several: bool) -> Iterator[StepCurve]:
    """The pair's own curve, else the series'; what it is read against behind it."""
    prefix = f"{study.name}: " if several else ""
    own = _points(study, lambda one: _of_pair(one, panel.pair))
    series = _points(study, lambda one: _carried(study, one, panel.carried))
    if own:
        yield StepCurve(f"{prefix}this query", own, study.name)
    if series:
        called = "mean of the series' pairs" if own or study.watch else "the series"
        yield StepCurve(f"{prefix}{called}", series, study.name, beside=bool(own))
    against = _points(study, lambda one: _of_pair(one, panel.beside)) or _points(
        study, lambda one: one.step.figures.get(panel.beside)
    )
    if against and (own or series):
        yield StepCurve("an even map", against, study.name, beside=True)


def _apart(curves: Iterable[StepCurve]) -> Iterator[StepCurve]:
    """The curves, of several that run alike behind others the first: an even map is one for both series."""
    drawn: list[Points] = []
    for curve in curves:
        if curve.beside and list(curve.points) in drawn:
            continue
        drawn.append(list(curve.points))
        yield curve


def _points(study: Study, value: Callable[[QueriedStep], float | None]) -> Points:
    found = [(one.step.step, value(one)) for one in study.steps]
    return [(step, number) for step, number in found if number is not None]


def _of_pair(one: QueriedStep, name: str) -> float | None:
    return one.pair.figures().get(name) if name and one.pair is not None else None


def _carried(study: Study, one: QueriedStep, name: str) -> float | None:
    """What the training measured, else what its gallery gives."""
    measured = one.step.figures.get(name)
    return study.figures.get(one.step.step, {}).get(name) if measured is None else measured


PANELS = (
    CurvePanel("MAP@R (1: every class found whole)", "map@r"),
    CurvePanel("share of the map on shared objects", "on_objects", "on_objects", "even"),
    CurvePanel("score of the pair", "score", "score"),
    CurvePanel("share of places with half the score", "concentration", "concentration"),
    CurvePanel("share of the top 10 features", "top", "top"),
    CurvePanel("change of the map since the step before", "change", "change"),
)
