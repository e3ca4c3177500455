"""The cards of a class's members, page by page, with what of each makes it alike to the others."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simvis_app.page.choices import ORDERS
from simvis_app.page.galleries.cards import Scales, row_card
from simvis_app.page.parts.hit_grid import HitCard, Page
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.depths import DepthAsked
from simvis_app.service.sessions.session import Pictured
from simvis_core.galleries.classes import ClassMembers, class_map
from simvis_core.galleries.search import Found
from simvis_core.pictures.overlays import common_scale
from simvis_core.stores.contract import Space

if TYPE_CHECKING:
    from torch import Tensor

PAGE = 12  # members that are shown at a time
DEEP_PAGE = 4  # members whose maps at a depth come at a time, each of which takes some passes
UNIT = "share of the mean score, per cell"
Mapped = tuple[Pictured | None, Any, str]  # a member's picture, its map, and why it may not be what was indexed


@dataclass(frozen=True)
class MembersShown:
    """Which class is shown, in which order, with maps at which depth."""

    space: Space
    label: str
    order: str
    depth: DepthAsked = DepthAsked()  # noqa: RUF009 - it never changes

    @property
    def key(self) -> str:
        """A text for its grid: one for all its pages, another for each other class, order or depth."""
        facts = (self.space.name, self.label, self.order, self.depth)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


class MemberPages:
    """The pages of every class of this server, and the colour scale that each keeps once its maps are made."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries
        self._scales: Scales[float] = Scales()

    def page(self, shown: MembersShown, members: ClassMembers, skip: int = 0, with_maps: bool = False) -> Page:
        """The members from a rank on; with their maps it is an addition to what is on screen, of a few at a depth."""
        space, key, count = shown.space, shown.key, len(members.rows)
        at_once = DEEP_PAGE if with_maps and shown.depth.layer else PAGE
        ranks = list(range(count))[:: -1 if ORDERS[shown.order] else 1][skip : skip + at_once]
        if with_maps:
            seen = {rank: self._mapped(members, rank, shown) for rank in ranks}
            scale = self._scales.of(key, lambda: _scale_of(seen))
        else:
            seen = dict.fromkeys(ranks, (None, None, ""))
            scale = self._scales.held(key) or 0.0
        cards = [self._card(members, rank, space, *seen[rank]) for rank in ranks]
        late = with_maps or skip > 0
        return Page(key, skip, count, skip + len(ranks) < count, scale, scale, UNIT, True, cards, late)

    def _mapped(self, members: ClassMembers, rank: int, shown: MembersShown) -> Mapped:
        """A member's picture, its map of class similarity as shares of its mean score, and what is stale."""
        found, picture = self.galleries.hit(Found(members.rows[rank], 1.0, 1.0), shown.space, shown.depth)
        if picture is None or picture.decomposition.method == "none" or len(members.rows) < 2:
            return picture, None, found.stale
        return picture, class_map(picture.decomposition, members.others(rank)) / (len(members.rows) - 1), found.stale

    def _card(
        self, members: ClassMembers, rank: int, space: Space, picture: Pictured | None, map: "Tensor | None", stale: str
    ) -> HitCard:
        plain = row_card(self.galleries, members.rows[rank], space)
        return replace(
            plain,
            score=words.three(float(members.typicality[rank])) if len(members.rows) > 1 else "",
            note=words.typical(rank, len(members.rows)),
            hit_grid=(0, 0) if picture is None else picture.decomposition.grid,
            hit_map=None if map is None else map.flatten().tolist(),
            stale=stale or plain.stale,
        )


def _scale_of(seen: dict[int, Mapped]) -> float:
    maps = [map for _, map, _ in seen.values() if map is not None]
    return common_scale(*maps) if maps else 0.0
