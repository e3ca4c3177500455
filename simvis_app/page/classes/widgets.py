"""The Classes tab's components."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.galleries.choice import GalleryChoice
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.fields import PoolingChoice
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.share_row import ShareRow


@dataclass(frozen=True)
class Widgets:
    """The tab's components, each by what it holds."""

    choice: GalleryChoice
    label: PoolingChoice
    order: gr.Radio
    notice: gr.HTML
    status: gr.HTML
    say: gr.Button
    in_words: gr.HTML
    grid: HitGrid
    share: ShareRow
    matrix: gr.Plot  # scores between the members
    means: gr.Plot  # and between classes
    outside: PictureDrop  # a picture whose class is asked for
    belongs: gr.HTML
    belongs_maps: HitGrid
    curves: gr.Accordion
    curve_spaces: gr.Dropdown
    pairs: gr.Number
    draw: gr.Button
    curve_notice: gr.HTML
    curve_plot: gr.Plot
    curve_table: gr.HTML
    refusals: Refusals
    working: gr.State  # the network that the Compare tab has loaded

    @property
    def asked(self) -> set[Any]:
        """What is shown of a class depends on these."""
        return {*self.choice.drawn, self.label, self.order}
