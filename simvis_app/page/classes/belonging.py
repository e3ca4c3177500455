"""Which classes a picture from outside is nearest to, and where that shows."""

import hashlib
from dataclasses import dataclass

from simvis_app.page.classes.members import UNIT
from simvis_app.page.galleries import fineness
from simvis_app.page.galleries.cards import own_card
from simvis_app.page.galleries.choice import Place
from simvis_app.page.galleries.fineness import depth_of
from simvis_app.page.parts.hit_grid import Page
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Pictured
from simvis_core.galleries.classes import ClassMeans, class_map
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.stores.contract import Space

NEAREST = 5  # classes of a picture that are named
Near = tuple[str, int, float]  # a class, how many pictures it has, and the picture's mean score with them


@dataclass(frozen=True)
class Belonging:
    """The nearest classes in words, and where in the picture that shows; None for a network that cannot be split."""

    said: str
    page: Page | None = None


def belonging(galleries: Galleries, file: str, place: Place) -> Belonging:
    """What is found for a picture.

    Raises SimvisError for one that cannot be read, and for a gallery without classes.
    """
    where = galleries.space(place.gallery, place.space)
    depth = depth_of(galleries, where, place.layer, place.rule)
    picture = galleries.picture(file, where, depth=depth)
    means = galleries.means_for(picture, where)
    embedding = galleries.picture(file, where).decomposition.embedding  # at any depth: the scores are the engine's
    nearest = [(means.labels[at], means.counts[at], score) for at, score in means.nearest(embedding, NEAREST)]
    warned = words.warning(view_warning(picture.view, words.YOURS))
    said = warned + words.nearest_classes(nearest, galleries.holds(picture, where)) + fineness.said(picture, depth)
    return Belonging(said, _page(picture, where, means, nearest))


def _page(picture: Pictured, space: Space, means: ClassMeans, nearest: list[Near]) -> Page | None:
    """Where the picture looks like the nearest class, and where more like it than like the second."""
    own = picture.decomposition
    if own.method == "none":
        return None
    by_label = dict(zip(means.labels, means.means, strict=True))
    shown = [(f"like {nearest[0][0]}", class_map(own, by_label[nearest[0][0]]), words.three(nearest[0][2]))]
    if len(nearest) > 1:
        (first, _, score), (second, _, other) = nearest[:2]
        difference = class_map(own, by_label[first] - by_label[second])
        shown.append((f"{first} rather than {second}", difference, words.signed(score - other)))
    scale = common_scale(*(map for _, map, _ in shown))
    cards = [
        own_card(picture, map, hashlib.sha256(f"{title}{number}".encode()).hexdigest(), title, score)
        for number, (title, map, score) in enumerate(shown)
    ]
    key = f"belongs:{space.name}:{picture.sha256}"
    return Page(key, 0, len(cards), False, scale, scale, UNIT, True, cards)
