"""The cards of a search's hits, page by page, with their maps on one scale."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from simvis_app.page.galleries.cards import Scales, row_card
from simvis_app.page.parts.hit_grid import HitCard, Page
from simvis_app.service import words
from simvis_app.service.attributes.hits_in_words import sure_note, wish_line
from simvis_app.service.galleries.galleries import Answer, Asked, Galleries
from simvis_app.service.sessions.session import Pictured
from simvis_core.galleries.search import Found, query_maps
from simvis_core.pictures.overlays import common_scale

if TYPE_CHECKING:
    from torch import Tensor

WHOLE, MARKED = ":whole", ":marked"  # ends of the keys of the nearest classes
UNIT = "share of the score, per cell"
PAGE = 24  # hits that are shown at a time
DEEP_PAGE = 4  # hits whose maps at a depth come at a time, each of which takes some passes


class HitPages:
    """The pages of every search of this server, and the colour scale that each search keeps."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries = galleries
        self._scales: Scales[tuple[float, float]] = Scales()

    def page(self, answer: Answer, with_maps: bool = False) -> Page:
        """The answer's hits; with the hits' own maps it is an addition to what is on screen."""
        key = search_key(answer)
        depth = answer.asked.depth
        hits = [self.galleries.hit(one, answer.space, depth) if with_maps else (one, None) for one in answer.found]
        own, found = answer.picture.decomposition, [one for one, _ in hits]
        mapped = own.method != "none" and (with_maps or not depth.layer)  # at a depth a map takes passes
        maps = query_maps(own, found, answer.weights) if mapped else [None] * len(found)
        cards = [self.card(one, hit, answer, map) for (one, hit), map in zip(hits, maps, strict=True)]
        scales = self._scales.of(key, lambda: _scales_of(answer)) if mapped else self._scales.held(key)
        scale_query, scale_hit = scales or (0.0, 0.0)
        return Page(
            key=key,
            skip=answer.skip,
            total=answer.total,
            more=answer.more,
            scale_query=scale_query,
            scale_hit=scale_hit,
            unit=UNIT,
            always=False,
            hits=cards,
            late=with_maps or answer.skip > 0,
            ranked=_ranked(answer),
        )

    def best_of_classes(self, asked: Asked, whole: bool) -> Page | None:
        """The best of each of the three nearest classes, by the whole picture or by what is marked.

        None for a gallery without classes.
        """
        page = self.page(self.galleries.best_of_classes(asked, whole), with_maps=True)
        # Not late: these grids show nothing else.
        return replace(page, late=False, key=page.key + (WHOLE if whole else MARKED)) if page.hits else None

    def card(self, one: Found, hit: Pictured | None, answer: Answer, query_map: "Tensor | None" = None) -> HitCard:
        """A hit's card; its own map only where its picture was run."""
        plain = row_card(self.galleries, one.row, answer.space)
        on_hit = None if hit is None or hit.decomposition.method == "none" else hit.decomposition
        hit_map = None if on_hit is None else on_hit.similarity_map(answer.query)
        return replace(
            plain,
            label=one.row.label,
            score=words.three(one.score) if answer.weights is None else words.number(one.score),
            note=_note(one, answer, hit_map),
            query_grid=answer.picture.decomposition.grid,
            query_map=None if query_map is None else query_map.flatten().tolist(),
            hit_grid=(0, 0) if on_hit is None else on_hit.grid,
            hit_map=None if hit_map is None else hit_map.flatten().tolist(),
            stale=one.stale or plain.stale,
        )


def _note(one: Found, answer: Answer, hit_map: "Tensor | None") -> str:
    """What the number is a part of, how sure the network is of an attribute, and at a depth what the hit's map sums to.

    At the last features that is told of the whole search, as what the bias leaves out hardly differs between hits.
    """
    said = [] if answer.weights is None else [words.region_note(one.score, one.cosine)]
    said += [] if answer.attribute is None else [sure_note(answer.attribute, one.row)]
    if answer.asked.depth.layer and hit_map is not None:
        said.append(f"its cells carry {words.number(float(hit_map.sum()))}")
    return "; ".join(said)


def search_key(answer: Answer) -> str:
    """A text for the grid of a search: one for all its pages, another for each other search."""
    asked = answer.asked
    place = (answer.picture.sha256, asked.gallery, asked.space)
    facts = (*place, asked.regions, asked.labels, asked.exact, asked.attribute, asked.depth)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def _ranked(answer: Answer) -> str:
    """What the hits are ranked by, and what an attribute makes of that."""
    by = words.ranked_by(_region(answer))
    return by if answer.attribute is None else f"{by}; {wish_line(answer.attribute.wish)}"


def _region(answer: Answer) -> float | None:
    """What the marked region carries of the picture's score with itself, 1; None where nothing is marked."""
    return None if answer.weights is None else float(answer.query @ answer.picture.decomposition.embedding)


def _scales_of(answer: Answer) -> tuple[float, float]:
    """One scale for all pages of a search: what the query's picture shows with itself."""
    own = answer.picture.decomposition
    map = own.similarity_map(own.embedding)
    carried = map if answer.weights is None else map * answer.weights.to(map)
    return common_scale(carried), common_scale(own.similarity_map(answer.query))
