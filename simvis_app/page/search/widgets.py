"""The Search tab's components."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop
from simvis_app.page.galleries.choice import GalleryChoice
from simvis_app.page.parts.drops import Refusals
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_app.page.parts.share_row import ShareRow
from simvis_app.page.search.by_attribute import AttributeChoice


@dataclass(frozen=True)
class Widgets:
    """The tab's components, each by what it holds."""

    query: PictureDrop
    choice: GalleryChoice
    labels: gr.Dropdown
    exact: gr.Checkbox
    shows: AttributeChoice  # what hits are to show
    notice: gr.HTML
    status: gr.HTML
    picker: RegionPicker
    grid: HitGrid
    by_region: HitGrid  # the best of the nearest classes by what is marked
    by_whole: HitGrid  # and by the whole picture
    why_said: gr.HTML
    why_grid: HitGrid
    examples: gr.Gallery
    with_a: gr.Button  # searches with a picture of the Compare tab
    with_b: gr.Button
    share: ShareRow
    refusals: Refusals
    pending: gr.State  # marks to be drawn by the next search; None for those on screen
    working: gr.State  # the network that the Compare tab has loaded

    @property
    def asked(self) -> set[Any]:
        """What a search depends on."""
        return {self.query, *self.choice.drawn, self.labels, self.picker, self.exact, *self.shows.asked}

    @property
    def grids(self) -> tuple[HitGrid, ...]:
        """Whatever shows hits that can be opened."""
        return self.grid, self.by_region, self.by_whole
