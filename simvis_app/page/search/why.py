"""Why one hit and not another: a sentence, and the visitor's picture under the map of the difference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simvis_app.page.galleries.cards import own_card
from simvis_app.page.parts.hit_grid import HitCard, Page
from simvis_app.page.search.hits import UNIT, HitPages, search_key
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Answer
from simvis_core.galleries.search import Found, difference_map, lead_map
from simvis_core.pictures.overlays import common_scale

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Why:
    """What is said, and the cards that show it, None for none."""

    said: str = "<p>Press <em>Why this?</em> on a hit, or on two to compare them.</p>"
    page: Page | None = None


def why_two(pages: HitPages, answer: Answer) -> Why:
    """Why the first hit of the answer and not the second: the picture under the difference, between the two."""
    first, second = answer.found
    names = words.file_name(first.row.file), words.file_name(second.row.file)
    lead = first.score - second.score
    difference = difference_map(answer.picture.decomposition, first.row, second.row, answer.weights)
    middle = _middle(answer, difference, lead, "red: speaks for the first, blue: for the second")
    sides = [
        replace(pages.card(one, None, answer), note=f"the {place}")
        for one, place in zip(answer.found, ("first", "second"), strict=True)
    ]
    said = words.why(*names, lead, _is_mapped(answer), answer.weights is not None)
    return Why(said, _page(answer, answer.found, difference, [sides[0], middle, sides[1]]))


def why_one(pages: HitPages, answer: Answer, top: Sequence[Found]) -> Why:
    """Where the answer's only hit is ahead of the mean of the others at the top."""
    (hit,) = answer.found
    others = [one for one in top if one.row.id != hit.row.id]
    if not others:
        return Why("<p>There is no other hit to compare with.</p>")
    lead = hit.score - sum(one.score for one in others) / len(others)
    name = words.file_name(hit.row.file)
    said = words.why_one(name, lead, len(others), _is_mapped(answer), answer.weights is not None)
    map = lead_map(answer.picture.decomposition, hit.row, [one.row for one in others], answer.weights)
    middle = _middle(answer, map, lead, "red: speaks for this hit, blue: for the others")
    card = replace(pages.card(hit, None, answer), note="this hit")
    return Why(said, _page(answer, [hit], map, [card, middle]))


def _is_mapped(answer: Answer) -> bool:
    return answer.picture.decomposition.method != "none"


def _page(answer: Answer, hits: Sequence[Found], map: "Tensor", cards: list[HitCard]) -> Page:
    key, scale = ":".join(["why", search_key(answer), *(one.row.id for one in hits)]), common_scale(map)
    return Page(key, 0, len(cards), False, scale, scale, UNIT, True, cards)


def _middle(answer: Answer, map: "Tensor", difference: float, note: str) -> HitCard:
    """The visitor's picture under a map of differences."""
    picture = answer.picture
    return replace(own_card(picture, map, picture.sha256, "your picture", words.signed(difference)), note=note)
