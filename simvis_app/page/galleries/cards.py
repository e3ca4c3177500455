"""What the cards of hits and of members have in common, and the colour scales that their pages keep."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import HitCard
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Pictured
from simvis_core.stores.contract import Row, Space

if TYPE_CHECKING:
    from torch import Tensor

GONE = "its picture is gone"
SCALES = 10_000  # of what was shown, that are remembered
Scale = TypeVar("Scale")


@dataclass(frozen=True)
class Wanted:
    """What a visitor asks of a grid that shows ``key``: cards from rank ``wanted`` on, or hits by their ids."""

    key: str = ""
    wanted: int = 0
    chosen: str = ""
    why: tuple[str, ...] = ()


def wanted_of(grid: dict[str, Any]) -> Wanted:
    """What a `HitGrid` gives as an input."""
    return Wanted(grid["key"], grid["wanted"], grid["chosen"], tuple(grid["why"]))


class Scales(Generic[Scale]):
    """The colour scale of each thing that is shown, so that all its pages are on that of the first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Scale] = OrderedDict()

    def of(self, key: str, make: Callable[[], Scale]) -> Scale:
        """The scale of a key, made on first use; the oldest is forgotten once there are very many."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > SCALES:
                self._kept.popitem(last=False)
        return self._kept[key]

    def held(self, key: str) -> Scale | None:
        """The scale of a key if there is one."""
        return self._kept.get(key)


def row_card(galleries: Galleries, row: Row, space: Space) -> HitCard:
    """A picture of a gallery with its thumbnail, without label, score and maps."""
    thumbnail = galleries.thumbnail(row, space)
    image, aspect = (None, 1.0) if thumbnail is None else thumbnail
    return HitCard(
        id=row.id,
        title=words.file_name(row.file),
        label="",
        score="",
        note="",
        image=image,
        aspect=aspect,
        stale="" if thumbnail is not None else GONE,
    )


def own_card(picture: Pictured, map: "Tensor", name: str, title: str, score: str) -> HitCard:
    """The visitor's own picture under a map of its cells; ``name`` tells the cards of one page apart."""
    return HitCard(
        id=Row(name, "").id,
        title=title,
        label="",
        score=score,
        note="",
        image=picture_file(picture.view).path,
        aspect=picture.view.aspect,
        hit_grid=picture.decomposition.grid,
        hit_map=map.flatten().tolist(),
    )
