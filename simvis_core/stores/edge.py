"""The embedded store: a folder of Qdrant Edge shards, one for each space."""

import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import qdrant_edge as edge
from jaxtyping import Float

from simvis_core.errors import SimvisError
from simvis_core.stores.contract import EXACT_BELOW, Hit, Row, Space, check_hit_count, checked, in_batches
from simvis_core.stores.edge_folder import SHARD, check_room, collections_in, describe, sentences_for, spoilt
from simvis_core.stores.small_spaces import SmallSpaces

NEVER = 10**9  # KB: no graph is built below this size of a segment
GRAPH = edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10)
SEARCHED = 128  # candidates a graph keeps while it is searched
SCROLL = 1000
BROUGHT = 100  # hits that bring their embeddings with them, which is cheaper than asking for those afterwards
FACTS = {"sha256", "file", "label"}


class EdgeIndex:
    """`VectorIndex` in this process, by Qdrant Edge; every row is compared below ``exact_below`` rows.

    One process at a time may hold a space. Upserts go through a write-ahead log. Small spaces that are searched again
    and again are compared in memory.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> rows = [Row("a" * 64, "owl.jpg", "owl", np.float32([1, 0])), Row("b" * 64, "jay.jpg", "", np.float32([0, 1]))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.ensure(space)
    ...     index.upsert(space, rows)
    ...     index.settle(space)
    ...     [(hit.row.file, hit.score) for hit in index.search(space, np.float32([0.5, 1]), k=2)]
    ...     index.delete(space, [rows[1].id])
    ...     index.count(space), index.labels(space), [row.file for row in index.scan(space)]
    ...     index.spaces() == [space], index.damaged()
    ...     index.drop(space)
    ...     index.close()
    ...
    2
    [('jay.jpg', 1.0), ('owl.jpg', 0.5)]
    (1, {'owl': 1}, ['owl.jpg'])
    (True, [])
    """

    def __init__(self, folder: str | Path, exact_below: int = EXACT_BELOW) -> None:
        self.folder, self.exact_below = Path(folder), exact_below
        self._shards: dict[str, edge.EdgeShard] = {}
        self._lock = threading.RLock()
        self._small = SmallSpaces()

    def ensure(self, space: Space) -> None:
        """Makes the space's collection where there is none yet.

        A collection that does not say any more what it is of is told so again.
        """
        self._shard(space)
        with self._told(space):
            describe(self.folder / space.name, space)

    def upsert(self, space: Space, rows: Iterable[Row]) -> int:
        """Adds rows, or replaces those of the same id; gives how many. What it returned from survives a kill."""
        shard, count = self._shard(space), 0
        for together in in_batches(rows):
            points = [edge.Point(row.id, checked(row.embedding, space).tolist(), _payload(row)) for row in together]
            check_room(self.folder)
            self._update(space, shard, edge.UpdateOperation.upsert_points(points))
            count += len(points)
        return count

    def delete(self, space: Space, ids: Sequence[str]) -> None:
        """Removes rows; an id that is not there is no error."""
        self._update(space, self._shard(space), edge.UpdateOperation.delete_points(list(ids)))

    def search(
        self,
        space: Space,
        query: Float[np.ndarray, " D"],
        k: int,
        labels: Sequence[str] | None = None,
        skip: int = 0,
        without: Sequence[str] = (),
        exact: bool = False,
    ) -> list[Hit]:
        """The rows with the largest ``<query, embedding>``, best first, from rank ``skip`` on, at most ``k``."""
        check_hit_count(k)
        vector = checked(query, space)
        table = self._small.table(space, partial(self._held, space), partial(self.scan, space, embeddings=True))
        if table is not None:
            return table.search(vector, k, labels, skip, without)
        brings = k <= BROUGHT
        request = edge.QueryRequest(
            limit=k,
            offset=skip,
            query=edge.Query.Nearest(vector.tolist()),
            filter=_filter(labels, without),
            with_payload=True,
            with_vector=brings,
            params=edge.SearchParams(hnsw_ef=max(SEARCHED, k), exact=exact),
        )
        shard = self._shard(space)
        with self._told(space):
            points = shard.query(request)
        return [Hit(row, float(point.score)) for row, point in zip(_rows(points, space, brings), points, strict=True)]

    def scan(
        self,
        space: Space,
        ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        embeddings: bool = False,
    ) -> Iterator[Row]:
        """Rows in no order: those of the ids that are there, or those of the labels, or all; embeddings if asked."""
        shard = self._shard(space)
        if ids is not None:
            with self._told(space):
                points = shard.retrieve(list(ids), True, embeddings)
            yield from _rows(points, space, embeddings)
            return
        offset = None
        while True:
            request = edge.ScrollRequest(offset, SCROLL, _filter(labels), True, embeddings)
            with self._told(space):
                points, offset = shard.scroll(request)
            yield from _rows(points, space, embeddings)
            if offset is None:
                return

    def labels(self, space: Space) -> dict[str, int]:
        """How many rows each label has."""
        shard = self._shard(space)
        with self._told(space):
            found = shard.facet(edge.FacetRequest("label", limit=max(1, self.count(space)), exact=True))
        return {str(hit.value): hit.count for hit in found.hits if hit.count}  # deleted ones stay, with 0

    def count(self, space: Space) -> int:
        """How many rows there are."""
        return self._small.count(space, partial(self._count, space))

    def spaces(self) -> list[Space]:
        """Every space that the store holds, but for those of `damaged`."""
        return [found for found in collections_in(self.folder) if isinstance(found, Space)]

    def damaged(self) -> list[SimvisError]:
        """For each collection that does not say any more what it is of: what is wrong with it, and what mends it."""
        return [found for found in collections_in(self.folder) if isinstance(found, SimvisError)]

    def settle(self, space: Space) -> None:
        """After many upserts: puts everything on disk, and builds the graph where there are enough rows."""
        with self._lock, self._told(space):
            self._shard(space).flush()
            if self.count(space) >= self.exact_below:
                self._build_graph(space)

    def drop(self, space: Space) -> None:
        """Removes the space's collection and everything in it."""
        with self._lock, self._told(space):
            self._small.changed(space)
            if space.name in self._shards:
                self._shards.pop(space.name).close()
            # Renamed first: a kill in between leaves no half of a collection under its name.
            if (self.folder / space.name).exists():
                gone = self.folder / f".{space.name}.gone"
                shutil.rmtree(gone, ignore_errors=True)
                (self.folder / space.name).rename(gone)
                shutil.rmtree(gone)

    def close(self) -> None:
        """Lets go of the store; nothing may be asked after."""
        with self._lock:
            for shard in self._shards.values():
                shard.flush()
                shard.close()
            self._shards.clear()

    def _shard(self, space: Space) -> edge.EdgeShard:
        with self._lock:
            if space.name not in self._shards:
                with self._told(space):
                    self._shards[space.name] = self._opened(space)
            return self._shards[space.name]

    def _opened(self, space: Space) -> edge.EdgeShard:
        home = self.folder / space.name
        if not home.exists():
            check_room(self.folder)
            # Made under another name: a kill in between leaves nothing that looks like a collection.
            new = self.folder / f".{space.name}.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            describe(new, space)
            shard = edge.EdgeShard.create(str(new / SHARD), _config(space, NEVER))
            shard.update(edge.UpdateOperation.create_field_index("label", edge.PayloadSchemaType.Keyword))
            shard.flush()
            shard.close()
            new.rename(home)
        return edge.EdgeShard.load(str(home / SHARD))

    def _update(self, space: Space, shard: edge.EdgeShard, operation: edge.UpdateOperation) -> None:
        self._small.changed(space)
        with self._lock, self._told(space):
            shard.update(operation)
        self._small.changed(space)

    def _count(self, space: Space) -> int:
        shard = self._shard(space)
        with self._told(space):
            return shard.count(edge.CountRequest(exact=True))

    def _held(self, space: Space) -> float:
        """How many rows may be compared in memory: all, but none where a graph is searched."""
        count = self.count(space)
        return count if count < self.exact_below else inf

    def _build_graph(self, space: Space) -> None:
        self._shards.pop(space.name).close()
        shard = edge.EdgeShard.load(str(self.folder / space.name / SHARD), _config(space, 1))
        self._shards[space.name] = shard
        shard.optimize()
        shard.flush()

    def _told(self, space: Space) -> AbstractContextManager[None]:
        return sentences_for(self.folder, space)


def _config(space: Space, threshold: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            space.width, edge.Distance.Dot, datatype=edge.VectorStorageDatatype.Float32, hnsw_config=GRAPH
        ),
        optimizers=edge.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=threshold, max_segment_size=NEVER
        ),
    )


def _filter(labels: Sequence[str] | None, without: Sequence[str] = ()) -> edge.Filter:
    return edge.Filter(
        must=None if labels is None else [edge.FieldCondition("label", match=edge.MatchAny(list(labels)))],
        must_not=[edge.HasIdCondition(set(without))] if without else None,
    )


def _payload(row: Row) -> dict[str, str]:
    return {"sha256": row.sha256, "file": os.fspath(row.file), "label": row.label}


def _rows(points: Sequence[edge.Record | edge.ScoredPoint], space: Space, embeddings: bool = False) -> Iterator[Row]:
    """The points as rows. Raises SimvisError for one that lacks its facts, or its embedding where that is asked."""
    for point in points:
        facts = dict(point.payload or {})
        if facts.keys() != FACTS or (embeddings and not isinstance(point.vector, list)):
            raise spoilt(space)
        embedding = np.asarray(point.vector, dtype=np.float32) if embeddings else None
        yield Row(facts["sha256"], facts["file"], facts["label"], embedding)
