"""Asking a gallery: hits with their embeddings, scores checked, and the best of each of the nearest classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.index import Hit, Row, Space, VectorIndex

STALE_SCORE = 1e-3  # a stored score that is further from <query, stored embedding> is not of this row
UNIT = 1e-3  # a stored embedding whose length is further from 1 is not as it was written
SAME_EMBEDDING = 0.999  # cosine of a stored embedding with the picture's own, below which the row is out of date


@dataclass(frozen=True, eq=False)
class Found:
    """A hit whose score was computed anew in float32 from the stored embedding; ``stale`` says what is wrong with it.

    ``score = <query, embedding>``, and ``cosine`` is the whole query picture's score with it.
    """

    row: Row
    score: float
    cosine: float
    stale: str = ""


def find(
    index: VectorIndex,
    space: Space,
    query: Float[Tensor, " D"],
    whole: Float[Tensor, " D"],
    k: int,
    labels: Sequence[str] | None = None,
    skip: int = 0,
    without: Sequence[str] = (),
    exact: bool = False,
) -> list[Found]:
    """The best hits for a query, best first; ``whole`` is the embedding of the query's picture.

    With ``exact`` every row is compared, however many there are.

    Raises SimvisError as `VectorIndex.search` does.
    """
    vector, whole_vector = _array(query), _array(whole)
    hits = index.search(space, vector, k, labels, skip, without, exact)
    found = [_rescored(hit, row, vector, whole_vector) for hit, row in _stored(index, space, hits)]
    return sorted(found, key=lambda one: -one.score)


def found_rows(
    index: VectorIndex, space: Space, ids: Sequence[str], query: Float[Tensor, " D"], whole: Float[Tensor, " D"]
) -> list[Found]:
    """The rows of the ids that are there, in their order, with what a search for the query would say of them."""
    stored = {row.id: row for row in index.scan(space, ids, embeddings=True)}
    vector, whole_vector = _array(query), _array(whole)
    return [_scored(stored[id], vector, whole_vector) for id in ids if id in stored]


def best_of_classes(
    index: VectorIndex,
    space: Space,
    query: Float[Tensor, " D"],
    whole: Float[Tensor, " D"],
    count: int = 3,
    without: Sequence[str] = (),
    exact: bool = False,
) -> list[Found]:
    """The best picture of each of the ``count`` most similar classes, best first (Stylianou 2019, fig. 8 and 9).

    A class is as similar as its best picture; pictures without a label belong to none.
    """
    left = {label for label in index.labels(space) if label}
    best: dict[str, Hit] = {}
    labels: list[str] | None = None
    while left and len(best) < count:
        hits = index.search(space, _array(query), 16 * count, labels, without=without, exact=exact)
        for hit in hits:
            if hit.row.label:
                best.setdefault(hit.row.label, hit)
        if not hits:
            break
        left -= best.keys()
        labels = sorted(left)  # one class may fill every first rank
    kept = _stored(index, space, list(best.values())[:count])
    return [_rescored(hit, row, _array(query), _array(whole)) for hit, row in kept]


def checked_against(found: Found, picture: Decomposition, sha256: str) -> Found:
    """The hit, marked stale where its file is another now, or the network gives it another embedding."""
    if sha256 != found.row.sha256:
        return _stale(found, "its file has changed since it was indexed: index again")
    embedding = found.row.embedding
    assert embedding is not None
    if float(picture.embedding.float().cpu() @ torch.from_numpy(embedding)) < SAME_EMBEDDING:
        return _stale(found, "the network gives it another embedding now: index again")
    return found


def query_map(
    picture: Decomposition, found: Found, weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "H W"]:
    """Where in the query's picture the hit's cosine comes from: signed shares of it.

    With a region's ``weights`` of the cells it is what the region carries, and sums to the score of the region's query.
    """
    return _weighed(picture.similarity_map(embedding_of(found.row).to(picture.cells)), weights)


def difference_map(
    picture: Decomposition, first: Row, second: Row, weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "H W"]:
    """Why the first row and not the second: each cell's part of the difference of their cosines.

    Positive cells speak for the first. The map and the bias's part sum to the difference. With a region's ``weights``
    of the cells it is the difference of what the region carries, and the map alone sums to it.
    """
    map = picture.similarity_map((embedding_of(first) - embedding_of(second)).to(picture.cells))
    return _weighed(map, weights)


def lead_map(
    picture: Decomposition, first: Row, others: Sequence[Row], weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "H W"]:
    """Why the first row and not the others on average: each cell's part of its lead over the mean of their cosines.

    Sums as `difference_map` does, which it is for one other. Raises SimvisError without any other row.
    """
    if not others:
        raise SimvisError("no other hit", "one or more to compare with", "search a larger gallery")
    mean = torch.stack([embedding_of(row) for row in others]).mean(0)
    return _weighed(picture.similarity_map((embedding_of(first) - mean).to(picture.cells)), weights)


def embedding_of(row: Row) -> Float[Tensor, " D"]:
    """The row's embedding. Raises SimvisError for a row that was read without it."""
    if row.embedding is None:
        raise SimvisError("a row without its embedding", "one read with it", "scan with embeddings=True")
    return torch.from_numpy(row.embedding)


def _stored(index: VectorIndex, space: Space, hits: Sequence[Hit]) -> Iterator[tuple[Hit, Row]]:
    """Each hit with its row and the embedding that is stored; without those that have gone meanwhile."""
    bare = [hit.row.id for hit in hits if hit.row.embedding is None]
    stored = {row.id: row for row in index.scan(space, bare, embeddings=True)} if bare else {}
    for hit in hits:
        row = hit.row if hit.row.embedding is not None else stored.get(hit.row.id)
        if row is not None:
            yield hit, row


def _weighed(map: Tensor, weights: Tensor | None) -> Tensor:
    return map if weights is None else map * weights.to(map)


def _rescored(hit: Hit, row: Row, query: np.ndarray, whole: np.ndarray) -> Found:
    found = _scored(row, query, whole)
    if not abs(float(embedding_of(row).norm()) - 1) < UNIT:  # NaN fails too
        return _stale(found, "the store keeps a damaged embedding of it: index again with --rebuild")
    if abs(found.score - hit.score) > STALE_SCORE:
        return _stale(found, f"the store's score {hit.score:.3f} is not that of the embedding it keeps: index again")
    return found


def _scored(row: Row, query: np.ndarray, whole: np.ndarray) -> Found:
    assert row.embedding is not None
    return Found(row, float(query @ row.embedding), float(whole @ row.embedding))


def _stale(found: Found, why: str) -> Found:
    return Found(found.row, found.score, found.cosine, why)


def _array(vector: Tensor) -> np.ndarray:
    return vector.detach().float().cpu().numpy()
