"""The grid of a search's hits: thumbnails with their maps, appended page by page."""

import html
import re
import sys
from array import array
from base64 import b64encode
from dataclasses import dataclass, fields
from typing import Any

from gradio.data_classes import FileData, GradioModel
from gradio_client.utils import encode_file_path

from simvis_app.page.parts.drawing import HAND, HERE, MAPS, PagePart

STEPS = 32767  # a map's scale in int16 steps
MOST_WANTED = 1_000_000
BLANK = '<p class="blank"></p>'
ID = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True)
class HitCard:
    """One hit. Texts may be strangers' file names: the page sets them as text, never as markup.

    ``image`` is the path of a thumbnail inside gradio's cache folder, in the shape of ``aspect`` (width over height).
    The maps' cells go row by row, in score units; None where there is no map, or not yet. ``stale`` is a warning.
    """

    id: str
    title: str
    label: str
    score: str
    note: str
    image: str | None
    aspect: float
    query_grid: tuple[int, int] = (0, 0)
    query_map: list[float] | None = None
    hit_grid: tuple[int, int] = (0, 0)
    hit_map: list[float] | None = None
    stale: str = ""


@dataclass(frozen=True)
class Page:
    """Hits ``skip`` to ``skip + len(hits)`` of the search ``key``, which found ``total``; ``more`` can be asked for.

    Pages of one key belong on the same two scales, so that their colours compare. ``always`` keeps the maps painted.
    A ``late`` page adds to a search that is on screen, and is passed over once another is. ``ranked`` says by what
    the hits are in order, as plain text.
    """

    key: str
    skip: int
    total: int
    more: bool
    scale_query: float
    scale_hit: float
    unit: str
    always: bool
    hits: list[HitCard]
    late: bool = False
    ranked: str = ""


class HitData(GradioModel):  # type: ignore[misc]
    """A card as it travels: ``image`` as it stands in an address, its maps as steps of their scale."""

    id: str
    title: str
    label: str
    score: str
    note: str
    image: str | None
    aspect: float
    query_grid: tuple[int, int]
    query_map: str | None
    hit_grid: tuple[int, int]
    hit_map: str | None
    stale: str


class GridData(GradioModel):  # type: ignore[misc]
    """A page as it travels there, and ``wanted, chosen, why`` as they come back, without the hits.

    Gradio gives ``sample`` an address, in which ``sample_image`` stands for it; every other image has the same address
    with its own in that place. Giving each its address takes gradio longer than the search that found them.

    The empty grid has a value too: the page would send null back as text.
    """

    key: str = ""
    skip: int = 0
    total: int = 0
    more: bool = False
    scale_query: float = 0.0
    scale_hit: float = 0.0
    unit: str = ""
    always: bool = False
    late: bool = False
    ranked: str = ""
    hits: tuple[HitData, ...] = ()
    sample: FileData | None = None
    sample_image: str = ""
    wanted: Any = 0
    chosen: Any = ""
    why: Any = ()


class HitGrid(PagePart):
    """A grid of hits. As an output it takes a `Page` or None; as an input it gives what the visitor asks for.

    A page of another key replaces the grid, the next page of its key is appended, and cards that are on screen are
    updated where they are. ``blank`` stands in it as long as it is empty. The events are ``more``, ``open``, ``why``,
    and ``settle``: the visitor pauses, and the maps of the hits from rank ``wanted`` on are still missing.

    A grid of the class ``live`` also takes pages that a `RegionPicker` has brought while a mark moves.
    """

    data_model = GridData
    files = HERE / "hit_grid"
    behind = MAPS + HAND

    def __init__(self, value: object = None, blank: str = "", **options: object) -> None:
        super().__init__(value, **options)
        self.html_template = self.html_template.replace(BLANK, BLANK[:-4] + html.escape(blank) + "</p>")

    def preprocess(self, payload: GridData | None) -> dict[str, Any]:
        """``{"key", "wanted", "chosen", "why"}``: the search, how many cards are shown, and the hits' ids, checked.

        What the browser sends is not trusted: what is no id counts as none, what is no number as 0.
        """
        if payload is None:
            return {"key": "", "wanted": 0, "chosen": "", "why": []}
        wanted, why = payload.wanted, payload.why
        counted = type(wanted) is int and 0 <= wanted <= MOST_WANTED
        both = isinstance(why, list) and len(why) <= 2 and all(is_id(id) for id in why)
        return {
            "key": payload.key,
            "wanted": wanted if counted else 0,
            "chosen": payload.chosen if is_id(payload.chosen) else "",
            "why": list(why) if both else [],
        }

    def postprocess(self, value: Page | None) -> GridData:
        """The page's data for the cards."""
        if value is None:
            return GridData()
        # As gradio notes its own: whatever is noted is deleted in time.
        self.temp_files.update(card.image for card in value.hits if card.image is not None)
        return grid_data(value)


def grid_data(page: Page) -> GridData:
    """The page as it travels."""
    file = next((card.image for card in page.hits if card.image is not None), None)
    own = {field.name: getattr(page, field.name) for field in fields(page) if field.name != "hits"}
    return GridData(
        sample=None if file is None else FileData(path=file),
        sample_image="" if file is None else encode_file_path(file),
        hits=tuple(_hit(card, page) for card in page.hits),
        **own,
    )


def is_id(text: object) -> bool:
    """Whether this can be a hit's id."""
    return isinstance(text, str) and ID.fullmatch(text) is not None


def in_steps(map: list[float] | None, scale: float) -> str | None:
    """The map as base64 of little-endian int16: ``value = step * scale / 32767``. Beyond the scale it is cut off."""
    if map is None:
        return None
    unit = STEPS / scale if scale > 0 else 0.0
    steps = array("h", (round(max(-STEPS, min(STEPS, value * unit))) for value in map))
    if sys.byteorder == "big":
        steps.byteswap()
    return b64encode(steps.tobytes()).decode()


def _hit(card: HitCard, page: Page) -> HitData:
    return HitData(
        id=card.id,
        title=card.title,
        label=card.label,
        score=card.score,
        note=card.note,
        image=None if card.image is None else encode_file_path(card.image),
        aspect=card.aspect,
        query_grid=card.query_grid,
        query_map=in_steps(card.query_map, page.scale_query),
        hit_grid=card.hit_grid,
        hit_map=in_steps(card.hit_map, page.scale_hit),
        stale=card.stale,
    )
