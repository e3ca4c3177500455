"""The embedded store: a folder of Qdrant Edge shards, one for each space."""

import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import qdrant_edge as edge
from jaxtyping import Float

from simvis_core.errors import SimvisError
from simvis_core.export import write_whole
from simvis_core.index import EXACT_BELOW, Hit, Row, Space, check_count, checked, in_batches

NEVER = 10**9  # KB: no graph is built below this size of a segment
GRAPH = edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10)
SEARCHED = 128  # candidates a graph keeps while it is searched
FREE = 128 * 2**20  # bytes that must be free: the store maps files into memory, where a full disk kills the process
SCROLL = 1000


class EdgeIndex:
    """`VectorIndex` in this process, by Qdrant Edge; every row is compared below ``exact_below`` rows.

    One process at a time may hold a space. Upserts go through a write-ahead log.
    """

    def __init__(self, folder: str | Path, exact_below: int = EXACT_BELOW) -> None:
        self.folder, self.exact_below = Path(folder), exact_below
        self._shards: dict[str, edge.EdgeShard] = {}
        self._lock = threading.RLock()

    def ensure(self, space: Space) -> None:
        """See `VectorIndex`."""
        self._shard(space)

    def upsert(self, space: Space, rows: Iterable[Row]) -> int:
        """See `VectorIndex`."""
        shard, count = self._shard(space), 0
        for together in in_batches(rows):
            points = [edge.Point(row.id, checked(row.embedding, space).tolist(), _payload(row)) for row in together]
            self._check_room()
            with self._lock, self._told(space):
                shard.update(edge.UpdateOperation.upsert_points(points))
            count += len(points)
        return count

    def delete(self, space: Space, ids: Sequence[str]) -> None:
        """See `VectorIndex`."""
        shard = self._shard(space)
        with self._lock, self._told(space):
            shard.update(edge.UpdateOperation.delete_points(list(ids)))

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
        """See `VectorIndex`."""
        check_count(k)
        request = edge.QueryRequest(
            limit=k,
            offset=skip,
            query=edge.Query.Nearest(checked(query, space).tolist()),
            filter=_filter(labels, without),
            with_payload=True,
            params=edge.SearchParams(hnsw_ef=max(SEARCHED, k), exact=exact),
        )
        shard = self._shard(space)
        with self._told(space):
            return [Hit(_row(point), float(point.score)) for point in shard.query(request)]

    def scan(
        self,
        space: Space,
        ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        embeddings: bool = False,
    ) -> Iterator[Row]:
        """See `VectorIndex`."""
        shard = self._shard(space)
        if ids is not None:
            with self._told(space):
                points = shard.retrieve(list(ids), True, embeddings)
            yield from map(_row, points)
            return
        offset = None
        while True:
            request = edge.ScrollRequest(offset, SCROLL, _filter(labels), True, embeddings)
            with self._told(space):
                points, offset = shard.scroll(request)
            yield from map(_row, points)
            if offset is None:
                return

    def labels(self, space: Space) -> dict[str, int]:
        """See `VectorIndex`."""
        shard = self._shard(space)
        with self._told(space):
            found = shard.facet(edge.FacetRequest("label", limit=max(1, self.count(space)), exact=True))
        return {str(hit.value): hit.count for hit in found.hits if hit.count}  # deleted ones stay, with 0

    def count(self, space: Space) -> int:
        """See `VectorIndex`."""
        shard = self._shard(space)
        with self._told(space):
            return shard.count(edge.CountRequest(exact=True))

    def spaces(self) -> list[Space]:
        """See `VectorIndex`."""
        return [Space(**json.loads(file.read_text())) for file in sorted(self.folder.glob("*/space.json"))]

    def settle(self, space: Space) -> None:
        """See `VectorIndex`."""
        with self._lock, self._told(space):
            self._shard(space).flush()
            if self.count(space) >= self.exact_below:
                self._build_graph(space)

    def drop(self, space: Space) -> None:
        """See `VectorIndex`."""
        with self._lock:
            if space.name in self._shards:
                self._shards.pop(space.name).close()
            # Renamed first: a kill in between leaves no half of a collection under its name.
            if (self.folder / space.name).exists():
                gone = self.folder / f".{space.name}.gone"
                shutil.rmtree(gone, ignore_errors=True)
                (self.folder / space.name).rename(gone)
                shutil.rmtree(gone)

    def close(self) -> None:
        """See `VectorIndex`."""
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
            self._check_room()
            # Made under another name: a kill in between leaves nothing that looks like a collection.
            new = self.folder / f".{space.name}.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            write_whole(new / "space.json", json.dumps(asdict(space)).encode())
            shard = edge.EdgeShard.create(str(new / "shard"), _config(space, NEVER))
            shard.update(edge.UpdateOperation.create_field_index("label", edge.PayloadSchemaType.Keyword))
            shard.flush()
            shard.close()
            new.rename(home)
        return edge.EdgeShard.load(str(home / "shard"))

    def _build_graph(self, space: Space) -> None:
        self._shards.pop(space.name).close()
        shard = edge.EdgeShard.load(str(self.folder / space.name / "shard"), _config(space, 1))
        self._shards[space.name] = shard
        shard.optimize()
        shard.flush()

    def _check_room(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < FREE:
            raise _full(self.folder, f"{free / 2**20:.0f} MiB free")

    @contextmanager
    def _told(self, space: Space) -> Iterator[None]:
        """The store raises bare `Exception`s: those with a cure become sentences, the rest stay what they are."""
        try:
            yield
        except OSError as error:
            raise SimvisError(
                f"'{self.folder}', which cannot be used ({error.strerror})",
                "a folder that can be written",
                "name another with --galleries, or free some room",
            ) from error
        except Exception as error:
            if "WouldBlock" in str(error):
                raise _locked(space) from error
            if "No space left" in str(error):
                raise _full(self.folder, "no room on the disk") from error
            raise


def _locked(space: Space) -> SimvisError:
    return SimvisError(
        f"gallery '{space.gallery}', which another process holds open (a running SimVis, perhaps)",
        "one process at a time",
        "close the other one, or share a Milvus server with --index-url",
    )


def _full(folder: Path, got: str) -> SimvisError:
    return SimvisError(f"{got} at '{folder}'", f"at least {FREE // 2**20} MiB", "free some room and index again")


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


def _row(point: edge.Record | edge.ScoredPoint) -> Row:
    facts = dict(point.payload or {})
    embedding = None if point.vector is None else np.asarray(point.vector, dtype=np.float32)
    return Row(facts["sha256"], facts["file"], facts["label"], embedding)
