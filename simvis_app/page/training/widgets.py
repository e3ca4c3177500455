"""The Training tab's components."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.parts.share_row import ShareRow
from simvis_app.page.training.step_viewer import StepViewer


@dataclass(frozen=True)
class Widgets:
    """The tab's components, each by what it holds."""

    series: PoolingChoice
    beside: PoolingChoice
    about: gr.HTML
    query: PictureDrop
    samples: gr.Gallery  # of the series' gallery
    notice: gr.HTML
    progress: gr.HTML
    viewer: StepViewer
    step: gr.Textbox  # where the slider stands; empty for the last step
    curves: tuple[gr.Plot, ...]
    curves_said: gr.HTML
    compared: gr.HTML
    only_first: gr.Gallery  # queries that only one of two networks gets right
    only_second: gr.Gallery
    share: ShareRow
    refusals: Refusals
    offered: gr.State  # the pictures' names in `samples`, `only_first` and `only_second`
    shown_for: gr.State  # what the results on the page answer; None where there are none

    @property
    def asked(self) -> set[Any]:
        """What an answer depends on."""
        return {self.series, self.beside, self.query}

    @property
    def lists(self) -> list[Any]:
        """What can be chosen from."""
        return [self.series, self.beside, self.about, self.query, self.samples, self.offered]

    @property
    def results(self) -> list[Any]:
        """What an answer may set."""
        told = [self.notice, self.progress, self.viewer, *self.curves, self.curves_said]
        two = [self.compared, self.only_first, self.only_second]
        return [*self.lists, *told, *two, self.shown_for, self.refusals.seen]

    @property
    def places(self) -> dict[str, Any]:
        """What holds each field of the page's address that is this tab's."""
        return {"series": self.series, "other": self.beside, "subject": self.query, "step": self.step}
