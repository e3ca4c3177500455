"""Hits of a gallery chosen or ordered by an attribute, of which the stored unit embeddings tell how sure one can be."""

import difflib
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_zoo.attributes import fitted
from model_zoo.attributes.fitted import StoredUsual
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.stored import AttributeUse, StoredConfidences, chosen_places
from simvis_core.stores.contract import Hit, Row, Space, VectorIndex

MOST_FILTERED = 10_000  # nearest hits that a filter looks at
RERANKED = 100  # nearest hits that are put in another order
LOOKED_AT: Mapping[AttributeUse, int] = {"filter": MOST_FILTERED, "rerank": RERANKED}
SPACES = 8  # whose confidences are kept


@dataclass(frozen=True)
class AttributeWish:
    """An attribute, and whether hits that do not show it are left out or the nearest are ordered by it."""

    name: str
    use: AttributeUse = "filter"


@dataclass(frozen=True)
class AttributeTold:
    """What is said of an attribute beside hits.

    ``confidences`` are log-odds above the reference pictures', by a row's id, estimated at the usual ``length`` of an
    embedding. An attribute counts as shown above ``shown_from``, which is a ``share`` of the softmax; ``usual_share``
    is its mean on the reference pictures. Of the ``looked`` nearest hits ``showing`` show it.
    """

    wish: AttributeWish
    confidences: Mapping[str, float]
    length: float
    shown_from: float
    share: float
    usual_share: float
    looked: int
    showing: int

    def of(self, row: Row) -> float | None:
        """The confidence in a row; None for one whose stored embedding is damaged or gone."""
        sure = self.confidences.get(row.id, math.nan)
        return None if math.isnan(sure) else sure

    def shows(self, row: Row) -> bool:
        """Whether the row's picture counts as showing it."""
        sure = self.of(row)
        return sure is not None and sure > self.shown_from


class HitAttributes:
    """Asks stored embeddings for attributes, each row once as long as its space is not indexed again."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: BoundedCache[StoredConfidences] = BoundedCache(SPACES, lambda _: 1)
        self._groups_of: BoundedCache[tuple[ClassGroups, StoredUsual]] = BoundedCache(SPACES, lambda _: 1)
        self._adding = threading.Lock()

    def names(self, space: Space) -> tuple[str, ...]:
        """The attributes that hits of a space can be asked for, by name.

        Raises SimvisError for a network without attributes, and for a space that was indexed under another pooling or
        at another size than they were learnt at.
        """
        return tuple(sorted(self._groups(space)[0].names))

    def has(self, space: Space) -> bool:
        """Whether hits of a space can be asked for attributes; where not, `names` has the reason."""
        try:
            return bool(self.names(space))
        except SimvisError:
            return False

    def check(self, space: Space, wish: AttributeWish) -> None:
        """Raises SimvisError as `names` does, and for an attribute that there is not, naming the nearest."""
        names = self.names(space)
        if wish.name not in names:
            near = difflib.get_close_matches(wish.name, names, 3) or names[:3]
            listed = ", ".join(repr(name) for name in near)
            raise SimvisError(
                f"the attribute '{wish.name}'", f"one of {len(names)} ({listed}, ...)", "choose one of these"
            )

    def chosen(
        self, index: VectorIndex, space: Space, hits: Sequence[Hit], wish: AttributeWish, run: int = 0
    ) -> tuple[list[Hit], AttributeTold]:
        """The hits that a wish leaves, in its order, and what is said of all of them.

        ``run`` counts the times that the space was indexed. Raises SimvisError as `check` does.
        """
        told = self.told(index, space, [hit.row for hit in hits], wish, run)
        places = chosen_places(list(told.confidences.values()), wish.use, told.shown_from)
        return [hits[place] for place in places], told

    def told(
        self, index: VectorIndex, space: Space, rows: Sequence[Row], wish: AttributeWish, run: int = 0
    ) -> AttributeTold:
        """What is said of an attribute beside rows of a space. Raises SimvisError as `check` does."""
        self.check(space, wish)
        model, usual = self._groups(space)
        known = self._of_space(space, run)
        ids = [row.id for row in rows]
        sure = self._sure(known, index, space, dict(zip(ids, rows, strict=True)), wish.name)
        odds = math.log(model.reference[wish.name] / (1 - model.reference[wish.name])) + usual.shown_from
        return AttributeTold(
            wish=wish,
            confidences=dict(zip(ids, sure, strict=True)),
            length=known.length,
            shown_from=usual.shown_from,
            share=1 / (1 + math.exp(-odds)),
            usual_share=model.reference[wish.name],
            looked=len(rows),
            showing=len(chosen_places(sure, "filter", usual.shown_from)),
        )

    def prepare(self, index: VectorIndex, space: Space, run: int = 0) -> None:
        """Computes the confidences in all rows before somebody waits for them, where a filter would look at all.

        Raises SimvisError as `names` does.
        """
        known = self._of_space(space, run)
        if index.count(space) > MOST_FILTERED:
            return
        with self._adding:
            if new := known.missing([row.id for row in index.scan(space)]):
                known.add(list(index.scan(space, new, embeddings=True)))

    def _of_space(self, space: Space, run: int) -> StoredConfidences:
        model, usual = self._groups(space)
        return self._known.get((space.name, run), lambda: StoredConfidences(model, usual.lengths[space.seen[1]]))

    def _sure(
        self, known: StoredConfidences, index: VectorIndex, space: Space, rows: Mapping[str, Row], name: str
    ) -> list[float]:
        """The confidence in rows by their ids; embeddings that they do not bring are read from the store."""
        with self._adding:
            new = known.missing(list(rows))
            bare = [id for id in new if rows[id].embedding is None]
            known.add([*(rows[id] for id in new), *(index.scan(space, bare, embeddings=True) if bare else ())])
            return known.of(list(rows), name)

    def _groups(self, space: Space) -> tuple[ClassGroups, StoredUsual]:
        """The attributes of a space, and what stored embeddings need."""
        if space.network not in fitted.fitted_names():
            raise SimvisError(
                f"attributes of {space.network}",
                "a network that kept its ImageNet classifier, which tells them",
                f"choose a gallery that was indexed with {' or '.join(fitted.fitted_names())}",
            )
        network = self.session.network(space.network)
        key = (network.fingerprint, space.pooling, space.view)
        return self._groups_of.get(key, lambda: _stored(space, network))


def _stored(space: Space, network: EmbeddingNetwork) -> tuple[ClassGroups, StoredUsual]:
    """What was learnt of the network. Raises SimvisError for a space under another pooling or at another size."""
    known = fitted.attributes_of(space.network, network)
    if (space.pooling, space.seen[0]) != (str(network.trained_pooling), known.short_side):
        raise SimvisError(
            f"attributes of {space.network} under {space.pooling} pooling at {space.seen[0]} pixels",
            f"{network.trained_pooling} pooling at {known.short_side}, as they were learnt",
            "index the gallery so",
        )
    assert isinstance(known.model, ClassGroups)
    assert known.stored is not None  # every network of the file has it: tests/model_zoo holds that
    return known.model, known.stored
