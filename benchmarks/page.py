"""What the server does for one comparison on the page, from files to the data that the browser gets."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from benchmarks.pictures import first_pair
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Job, race
from simvis_app.page.choices import EXPONENT
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.layout import TOP_K, Widgets, build
from simvis_app.page.parts.drops import PictureDrops
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.sessions.session import Session, Settings

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
            widgets = build(known.session, pictures, PictureDrops(), References(known.session))
        yield {
            COLD: lambda: _compare(new),
            WARM: lambda: _compare(known),
            SENT: lambda: _sent(widgets, _compare(known)),
        }


def _compare(handlers: Handlers) -> list[Any]:
    asked, viewer = Settings(), {"key": "", "pin": None, "mode": "share"}
    a, b = (str(file) for file in first_pair())
    return handlers.compare(
        *(a, b, asked.backbone, asked.pooling, EXPONENT.default, asked.short_side, asked.framing, asked.method),
        *(viewer, TOP_K, None),
    )


def _sent(widgets: Widgets, answer: list[Any]) -> object:
    """What each component makes of its value; updates of properties (dicts) cost nothing to speak of."""
    shown = [*widgets.head, widgets.settings[-1], widgets.viewer, *widgets.topk, *widgets.pooling]
    return [
        component.postprocess(value)
        for component, value in zip(shown, answer, strict=False)
        if not isinstance(value, dict)
    ]
