"""What the server does for one comparison on the page, from files to the data that the browser gets."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from benchmarks.pictures import first_pair
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Job, race
from simvis_app.page.compare import shown
from simvis_app.page.compare.handlers import Compared, Handlers
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.compare.layout import TOP_K, Widgets, layout
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session

COLD, WARM, SENT = "new pictures", "known pictures", "known pictures, and sending"


def tables(quick: bool) -> list[Table]:
    """Cold, warm, and with what Gradio makes of the answer."""
    with _jobs() as jobs:
        result = race(jobs, [(SENT, WARM), (COLD, WARM)], QUICK if quick else FULL)
    rows = [[job, number(result.milliseconds(job)), ratio(result, job, WARM)] for job in jobs]
    notes = [
        "`new`: both files opened and run through efficientnet_lite0. `known`: features cached. `sending`: the answer "
        "as Gradio's data, with both pictures as JPEG for the viewer and each row of maps."
    ]
    return [Table("The page's comparison on the server", ["pictures", "ms", f"times {WARM}"], rows, notes)]


@contextmanager
def _jobs() -> Iterator[dict[str, Job]]:
    with tempfile.TemporaryDirectory() as folder:
        pictures = LinkedPictures(Path(folder))
        known, new = (Handlers(session, pictures) for session in (Session(), Session(features_limit=0)))
        with gr.Blocks(analytics_enabled=False):
            widgets = layout(known.session)
        yield {
            COLD: lambda: _compare(new),
            WARM: lambda: _compare(known),
            SENT: lambda: _sent(widgets, _compare(known)),
        }


def _compare(handlers: Handlers) -> Compared:
    a, b = (str(file) for file in first_pair())
    answer = handlers.compare(CompareAsked(PairAsked(a, b), k=TOP_K))
    assert isinstance(answer, Compared)
    return answer


def _sent(widgets: Widgets, answer: Compared) -> object:
    """What each component makes of its value; updates of properties (dicts) cost nothing to speak of."""
    updates = shown.panels_shown(answer.panels, widgets)
    return [component.postprocess(value) for component, value in updates.items() if not isinstance(value, dict)]
