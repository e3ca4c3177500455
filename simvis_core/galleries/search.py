"""Asking a gallery: hits with their embeddings, scores checked, and the best of each of the nearest classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.stores.contract import Hit, Row, Space, VectorIndex

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

    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.search import find
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space, query = Space("birds", "tiny", "avg", 2, "0123"), torch.tensor([0.0, 1.0])
    >>> rows = [Row("a" * 64, "1.jpg", "owl", np.float32([1, 0])), Row("b" * 64, "2.jpg", "jay", np.float32([0, 1]))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, rows)
    ...     [(found.row.file, found.score, found.stale) for found in find(index, space, query, query, k=2)]
    ...     index.close()
    ...
    2
    [('2.jpg', 1.0, ''), ('1.jpg', 0.0, '')]
    """
    hits = nearest_hits(index, space, query, k, labels, skip, without, exact)
    found = found_hits(index, space, hits, query, whole)
    return sorted(found, key=lambda one: -one.score)


def nearest_hits(
    index: VectorIndex,
    space: Space,
    query: Float[Tensor, " D"],
    k: int,
    labels: Sequence[str] | None = None,
    skip: int = 0,
    without: Sequence[str] = (),
    exact: bool = False,
) -> list[Hit]:
    """The best hits for a query as the store tells them, best first, for whoever looks at many and shows few.

    Raises SimvisError as `VectorIndex.search` does.

    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.search import nearest_hits
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, [Row("a" * 64, "owl.jpg", "owl", np.float32([1, 0]))])
    ...     [hit.score for hit in nearest_hits(index, space, torch.tensor([0.5, 1.0]), k=9)]
    ...     index.close()
    ...
    1
    [0.5]
    """
    return index.search(space, _array(query), k, labels, skip, without, exact)


def found_hits(
    index: VectorIndex,
    space: Space,
    hits: Sequence[Hit],
    query: Float[Tensor, " D"],
    whole: Float[Tensor, " D"],
) -> list[Found]:
    """Hits of a search for the query, in their order, with their embeddings and with scores computed anew from those.

    ``whole`` is the embedding of the query's picture. Hits that have gone meanwhile are left out.

    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.search import found_hits
    >>> from simvis_core.stores.contract import Hit, Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space, query = Space("birds", "tiny", "avg", 2, "0123"), torch.tensor([0.0, 1.0])
    >>> row = Row("a" * 64, "owl.jpg", "owl", np.float32([1, 0]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, [row])
    ...     [(one.score, one.stale) for one in found_hits(index, space, [Hit(row, 0.9)], query, query)]
    ...     index.close()
    ...
    1
    [(0.0, "the store's score 0.900 is not that of the embedding it keeps: index again")]
    """
    return _rescored(_stored(index, space, hits), _array(query), _array(whole))


def found_rows(
    index: VectorIndex, space: Space, ids: Sequence[str], query: Float[Tensor, " D"], whole: Float[Tensor, " D"]
) -> list[Found]:
    """The rows of the ids that are there, in their order, with what a search for the query would say of them.

    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.search import found_rows
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space, query = Space("birds", "tiny", "avg", 2, "0123"), torch.tensor([0.6, 0.8])
    >>> row = Row("a" * 64, "owl.jpg", "owl", np.float32([1, 0]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, [row])
    ...     [round(found.score, 3) for found in found_rows(index, space, [row.id], query, query)]
    ...     index.close()
    ...
    1
    [0.6]
    """
    stored = {row.id: row for row in index.scan(space, ids, embeddings=True)}
    rows = [stored[id] for id in ids if id in stored]
    scores, cosines, _ = _scores(rows, _array(query), _array(whole))
    return [Found(row, score, cosine) for row, score, cosine in zip(rows, scores, cosines, strict=True)]


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

    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.search import best_of_classes
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space, query = Space("birds", "tiny", "avg", 2, "0123"), torch.tensor([0.0, 1.0])
    >>> rows = [Row("a" * 64, "1.jpg", "owl", np.float32([1, 0])), Row("b" * 64, "2.jpg", "jay", np.float32([0, 1]))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, rows)
    ...     [found.row.label for found in best_of_classes(index, space, query, query, count=2)]
    ...     index.close()
    ...
    2
    ['jay', 'owl']
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
    return _rescored(_stored(index, space, list(best.values())[:count]), _array(query), _array(whole))


def checked_against(found: Found, picture: Decomposition, sha256: str) -> Found:
    """The hit, marked stale where its file is another now, or the network gives it another embedding.

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.search import Found, checked_against
    >>> from simvis_core.stores.contract import Row
    >>> hit = Found(Row("a" * 64, "owl.jpg", "", np.float32([1, 0])), score=0.5, cosine=0.5)
    >>> picture = Decomposition(torch.tensor([[[1.0, 0.0]]]), torch.zeros(2))
    >>> checked_against(hit, picture, "a" * 64).stale, checked_against(hit, picture, "b" * 64).stale
    ('', 'its file has changed since it was indexed: index again')
    """
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

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.search import Found, query_map
    >>> from simvis_core.stores.contract import Row
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> query_map(picture, Found(Row("a" * 64, "owl.jpg", "", np.float32([0, 1])), score=0.8, cosine=0.8))
    tensor([[0.1000, 0.7000]])
    """
    return query_maps(picture, [found], weights)[0]


def query_maps(
    picture: Decomposition, found: Sequence[Found], weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "N H W"]:
    """For each hit, where in the query's picture its cosine comes from: signed shares of it, by one product for all.

    With a region's ``weights`` of the cells each is what the region carries, and sums to the score of the region's
    query. Raises SimvisError for a hit that was read without its embedding.

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.search import Found, query_maps
    >>> from simvis_core.stores.contract import Row
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> hit = Found(Row("a" * 64, "owl.jpg", "", np.float32([0, 1])), score=0.8, cosine=0.8)
    >>> query_maps(picture, [hit, hit], weights=torch.tensor([[0.0, 1.0]]))
    tensor([[[0.0000, 0.7000]],
    <BLANKLINE>
            [[0.0000, 0.7000]]])
    """
    if not found:
        return picture.embedding.new_zeros(0, *picture.grid)
    embeddings = torch.stack([embedding_of(one.row) for one in found]).to(picture.embedding)
    return _weighed(picture.similarity_maps(embeddings), weights)


def difference_map(
    picture: Decomposition, first: Row, second: Row, weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "H W"]:
    """Why the first row and not the second: each cell's part of the difference of their cosines.

    Positive cells speak for the first. The map and the bias's part sum to the difference. With a region's ``weights``
    of the cells it is the difference of what the region carries, and the map alone sums to it.

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.search import difference_map
    >>> from simvis_core.stores.contract import Row
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> owl, jay = Row("a" * 64, "owl.jpg", "", np.float32([1, 0])), Row("b" * 64, "jay.jpg", "", np.float32([0, 1]))
    >>> difference_map(picture, owl, jay)
    tensor([[ 0.5000, -0.7000]])
    """
    map = picture.similarity_map((embedding_of(first) - embedding_of(second)).to(picture.embedding))
    return _weighed(map, weights)


def lead_map(
    picture: Decomposition, first: Row, others: Sequence[Row], weights: Float[Tensor, "H W"] | None = None
) -> Float[Tensor, "H W"]:
    """Why the first row and not the others on average: each cell's part of its lead over the mean of their cosines.

    Sums as `difference_map` does, which it is for one other. Raises SimvisError without any other row.

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.search import lead_map
    >>> from simvis_core.stores.contract import Row
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> owl, jay = Row("a" * 64, "owl.jpg", "", np.float32([1, 0])), Row("b" * 64, "jay.jpg", "", np.float32([0, 1]))
    >>> lead_map(picture, owl, [jay, jay])
    tensor([[ 0.5000, -0.7000]])
    """
    if not others:
        raise SimvisError("no other hit", "one or more to compare with", "search a larger gallery")
    mean = torch.stack([embedding_of(row) for row in others]).mean(0)
    return _weighed(picture.similarity_map((embedding_of(first) - mean).to(picture.embedding)), weights)


def embedding_of(row: Row) -> Float[Tensor, " D"]:
    """The row's embedding. Raises SimvisError for a row that was read without it.

    >>> import numpy as np
    >>> from simvis_core.galleries.search import embedding_of
    >>> from simvis_core.stores.contract import Row
    >>> embedding_of(Row("a" * 64, "owl.jpg", "", np.float32([0.6, 0.8])))
    tensor([0.6000, 0.8000])
    >>> embedding_of(Row("a" * 64, "owl.jpg"))
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a row without its embedding; wanted one read with it: scan with ...
    """
    if row.embedding is None:
        raise SimvisError("a row without its embedding", "one read with it", "scan with embeddings=True")
    return torch.from_numpy(row.embedding)


def _stored(index: VectorIndex, space: Space, hits: Sequence[Hit]) -> list[Hit]:
    """The hits, each with the embedding that is stored; without those that have gone meanwhile."""
    bare = [hit.row.id for hit in hits if hit.row.embedding is None]
    stored = {row.id: row for row in index.scan(space, bare, embeddings=True)} if bare else {}
    whole = [hit if hit.row.embedding is not None else _with(hit, stored.get(hit.row.id)) for hit in hits]
    return [hit for hit in whole if hit is not None]


def _with(hit: Hit, row: Row | None) -> Hit | None:
    return None if row is None else Hit(row, hit.score)


def _weighed(map: Tensor, weights: Tensor | None) -> Tensor:
    return map if weights is None else map * weights.to(map)


def _rescored(hits: Sequence[Hit], query: np.ndarray, whole: np.ndarray) -> list[Found]:
    """The hits with scores computed anew, all by one product; those that the store has wrong are marked stale."""
    scores, cosines, lengths = _scores([hit.row for hit in hits], query, whole)
    return [
        Found(hit.row, score, cosine, _spoilt(hit.score, score, length))
        for hit, score, cosine, length in zip(hits, scores, cosines, lengths, strict=True)
    ]


def _spoilt(told: float, score: float, length: float) -> str:
    if not abs(length - 1) < UNIT:  # NaN fails too
        return "the store keeps a damaged embedding of it: index again with --rebuild"
    if abs(score - told) > STALE_SCORE:
        return f"the store's score {told:.3f} is not that of the embedding it keeps: index again"
    return ""


def _scores(
    rows: Sequence[Row], query: Float[np.ndarray, " D"], whole: Float[np.ndarray, " D"]
) -> tuple[list[float], list[float], list[float]]:
    """Each row's score with the query and with the whole picture, and the length of its embedding."""
    if not rows:
        return [], [], []
    embeddings = np.stack([row.embedding for row in rows if row.embedding is not None])
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    return (embeddings @ query).tolist(), (embeddings @ whole).tolist(), lengths.tolist()


def _stale(found: Found, why: str) -> Found:
    return Found(found.row, found.score, found.cosine, why)


def _array(vector: Tensor) -> np.ndarray:
    return vector.detach().float().cpu().numpy()
