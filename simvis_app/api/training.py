"""API twin of the Training tab: a picture over the steps of a training, as JSON."""

from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop, told
from simvis_app.service.lanes import Lanes, paced
from simvis_app.service.series.answers import right_json, study_json
from simvis_app.service.series.looking import evenly
from simvis_app.service.series.studies import Studies
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Settings
from simvis_core import SimvisError
from simvis_core.progress.queries.hits import FOUND
from simvis_core.steps import Ended, mapped


def add_training_api(
    studies: Studies,
    lanes: Lanes | None = None,
    budget: Budget = Budget(),  # noqa: B008 - it never changes
) -> None:
    """Adds /training to the app that is being built."""
    lanes = lanes or Lanes()

    async def training(image: str, series: str = "", beside: str = "") -> AsyncIterator[dict[str, Any]]:
        """A picture's best hits at each step of a training, with both maps, and the figures of every step.

        image: a picture file. series: the name of a checkpoint series, empty for the first there is. beside: another,
        or empty; then "compared" lists which of the galleries' pictures each network finds by class. Maps are rows of
        cells, signed, in units of the score. Until then come answers of {"done", "of", "series", "doing"}; whoever
        stops listening stops the work.
        """
        with told():
            names = _names(studies, series or "", beside or "")
            _check(studies, names, budget)
            async with aclosing(paced(lanes.stepped(training_steps(studies, names, image)))) as steps:
                async for step in steps:
                    yield step.result if isinstance(step, Ended) else step

    with gr.Row(visible=False):
        image = PictureDrop(type="filepath", label="image")
        asked = [gr.Textbox("", label="series"), gr.Textbox("", label="beside")]
        answer, ask = gr.JSON(), gr.Button()
    ask.click(
        training,
        [image, *asked],
        answer,
        api_name="training",
        concurrency_limit=1,
        concurrency_id="training api",
    )


def training_steps(
    studies: Studies, names: tuple[str, ...], file: str
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """A picture under one series or two, as JSON, and how far it is on the way there.

    Raises SimvisError as `Studies.studying` does.
    """
    found = []
    for name in names:
        steps = studies.studying(name, file)
        found.append(
            (
                yield from mapped(
                    steps,
                    lambda part, name=name: {  # type: ignore[misc]
                        "done": part.done,
                        "of": part.of,
                        "series": name,
                        "doing": part.doing,
                    },
                )
            )
        )
    answer: dict[str, Any] = {"there_are": studies.names(), "series": [study_json(study) for study in found]}
    series = [study for study in found if not study.watch]
    return answer | ({"compared": right_json(studies.compared(*names))} if len(series) == 2 else {})


def _names(studies: Studies, series: str, beside: str) -> tuple[str, ...]:
    """The series that are asked about. Raises SimvisError for one that there is not, and for one beside itself."""
    there = studies.names()
    first = series or next(iter(there), "")
    if beside and beside == first:
        raise SimvisError(f"'{first}' beside itself", "another series", "leave beside empty")
    names = (first, beside) if beside else (first,)
    for name in names:
        if not studies.watched(name):
            studies.open(name)
    return names


def _check(studies: Studies, names: tuple[str, ...], budget: Budget) -> None:
    """Raises SimvisError for more forward passes than one answer may take."""
    for name in (name for name in names if not studies.watched(name)):
        whole, gallery = studies.open(name), studies.gallery(name)
        steps, _ = evenly(whole.steps)
        a_step = 1 + FOUND + 2 + (0 if gallery.carried else len(gallery.pictures))
        side = whole.series.short_side or Settings.short_side
        budget.check(len(steps) * a_step, Settings(short_side=side), f"{len(steps)} steps of '{name}'")
