"""The shared store: a Milvus server, with one collection for each space."""

import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from math import inf
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Float

from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND, installing
from simvis_core.stores.contract import (
    EXACT_BELOW,
    UPSERT,
    Hit,
    Row,
    Space,
    best_by_scan,
    check_hit_count,
    checked,
    in_batches,
)

MOST_IN_ANSWER = 16_384  # rows in one answer: Milvus gives no more, and no rank below that
ANSWER = 16 * 2**20  # bytes of embeddings asked for at once; a server may refuse to send more than 64 MiB
LENGTHS = {"id": 36, "sha256": 64, "file": 4096, "label": 1024}  # in bytes of UTF-8
MILVUS_FACTS = ["sha256", "file", "label"]
EVERY_ROW = {"index_type": "FLAT", "metric_type": "IP", "params": {}}
MILVUS_GRAPH = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 16, "efConstruction": 200}}
MILVUS_CANDIDATES = 512  # candidates a graph keeps while it is searched: 128 took as long here, and missed more
BUILT = 4 * 3600  # seconds that a graph may take; a server that dies meanwhile is noticed within half a minute
KNOCK_AFTER = (
    1.0  # seconds after which a server is tried before it is asked: pymilvus alone needs the timeout to see it gone
)
RETRY_SECONDS = 0.2  # seconds between two tries while a server is starting


class MilvusIndex:
    """`VectorIndex` on a Milvus server, by calls that exist from Milvus 2.3 to 3.0.

    This object sees its own writes: its first read after one waits for the server's next tick (0.2 to 0.4 s), the
    others do not; what another client writes is seen some moments later. Every call ends within about twice the
    ``timeout`` (seconds); `settle` lasts while the server builds its graph, and searches fail meanwhile.
    Raises SimvisError for a missing package, and for a server that is not there.

    >>> from simvis_core.stores.milvus import MilvusIndex
    >>> MilvusIndex("localhost")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'localhost' as the address of a Milvus server; wanted http://host:port: ...
    """

    def __init__(self, url: str, token: str = "", exact_below: int = EXACT_BELOW, timeout: float = 10) -> None:
        self.exact_below, self.timeout = exact_below, timeout
        self._address = _address(url)
        self.url = f"{urlsplit(url).scheme}://{self._address[0]}:{self._address[1]}"  # as shown: without a password
        self._pymilvus, self._trouble = _optional()
        self._changing: dict[str, threading.RLock] = {}  # one thread opens, settles or drops a collection at a time
        self._open: set[str] = set()  # collections that are there and loaded
        self._writes: Counter[str] = Counter()  # of this object into each collection
        self._seen: dict[str, int] = {}  # how many of them a read has seen for certain
        self._heard = -inf  # when the server last answered
        # Not shared with other clients of this process: a shared connection stays open when its client is closed.
        self._client = self._asked(self._pymilvus.MilvusClient, uri=url, token=token, dedicated=True)

    def ensure(self, space: Space) -> None:
        """Makes the space's collection where there is none yet.

        Raises SimvisError for a gallery that the server is still loading.
        """
        if space.name in self._open:
            return
        with self._alone(space):
            if not self._asked(self._client.has_collection, space.name):
                self._asked(self._client.create_collection, space.name, schema=self._schema(space))
            if not self._asked(self._client.list_indexes, space.name):
                self._make(space, EVERY_ROW)
            self._asked(self._client.load_collection, space.name)
            self._open.add(space.name)

    def upsert(self, space: Space, rows: Iterable[Row]) -> int:
        """Adds rows, or replaces those of the same id; gives how many. What it returned from survives a kill.

        Raises SimvisError for a label above 1024 bytes of UTF-8 or a file above 4096.
        """
        self.ensure(space)
        count = 0
        for together in in_batches(rows):
            # By id: Milvus keeps both rows where one call brings an id twice.
            unique = {row.id: _record(row, space) for row in together}
            self._write(space, self._client.upsert, data=list(unique.values()))
            count += len(together)
        return count

    def delete(self, space: Space, ids: Sequence[str]) -> None:
        """Removes rows; an id that is not there is no error."""
        self.ensure(space)
        for start in range(0, len(ids), UPSERT):
            self._write(space, self._client.delete, filter=_one_of("id", ids[start : start + UPSERT]))

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
        """The rows with the largest ``<query, embedding>``, best first, from rank ``skip`` on, at most ``k``.

        Raises SimvisError for ``k + skip`` above 16384 too.

        With ``exact`` every row of a collection with a graph is fetched: Milvus has no such search.
        """
        check_hit_count(k)
        vector = checked(query, space)
        _check_rank(k + skip)
        if labels is not None and not labels:
            return []
        self.ensure(space)
        if exact and self._kind(space) != EVERY_ROW["index_type"]:
            return best_by_scan(self.scan(space, labels=labels, embeddings=True), vector, k, skip, without)
        found = self._read(
            space,
            self._client.search,
            data=[vector],
            anns_field="embedding",
            limit=k,
            offset=skip,
            filter=_both(*_labelled(labels), *([f"not ({_one_of('id', without)})"] if without else [])),
            output_fields=MILVUS_FACTS,
            # Without a graph Milvus passes over `ef`; so another client may build one at any time.
            search_params={"metric_type": "IP", "params": {"ef": max(MILVUS_CANDIDATES, k + skip)}},
        )
        return [Hit(_row(hit["entity"]), float(hit["distance"])) for hits in found for hit in hits]

    def scan(
        self,
        space: Space,
        ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        embeddings: bool = False,
    ) -> Iterator[Row]:
        """Rows in no order: those of the ids that are there, or those of the labels, or all; embeddings if asked."""
        if labels is not None and not labels:
            return
        fields = [*MILVUS_FACTS, "embedding"] if embeddings else MILVUS_FACTS
        most = min(MOST_IN_ANSWER, max(1, ANSWER // (4 * space.width))) if embeddings else MOST_IN_ANSWER
        every = ids is None
        answers = self._pages(space, fields, most, labels) if every else self._chosen(space, fields, ids or (), most)
        for answer in answers:
            yield from map(_row, answer)

    def labels(self, space: Space) -> dict[str, int]:
        """How many rows each label has."""
        return dict(Counter(facts["label"] for page in self._pages(space, ["label"], MOST_IN_ANSWER) for facts in page))

    def count(self, space: Space) -> int:
        """How many rows there are."""
        return int(self._read(space, self._client.query, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def spaces(self) -> list[Space]:
        """Every space that the store holds, but for those of `damaged`.

        Collections of other programs are passed over.
        """
        names = sorted(name for name in self._asked(self._client.list_collections) if name.startswith("simvis_"))
        told = {name: _space(self._description(name)) for name in names}
        return [space for name, space in told.items() if space and space.name == name]

    def damaged(self) -> list[SimvisError]:
        """For each collection that does not say any more what it is of: what is wrong with it, and what mends it.

        A server keeps a collection with its description or not at all.
        """
        return []

    def settle(self, space: Space) -> None:
        """After many upserts: puts everything on disk, and builds the graph where there are enough rows.

        Milvus keeps upserts in its log, so only the graph is left to do; a graph stays.
        """
        self.ensure(space)
        with self._alone(space):
            if self.count(space) >= self.exact_below and self._kind(space) == EVERY_ROW["index_type"]:
                self._build_graph(space)

    def drop(self, space: Space) -> None:
        """Removes the space's collection and everything in it."""
        with self._alone(space):
            self._open.discard(space.name)
            self._seen.pop(space.name, None)
            if self._asked(self._client.has_collection, space.name):
                self._asked(self._client.drop_collection, space.name)

    def close(self) -> None:
        """Lets go of the store; nothing may be asked after."""
        self._client.close()

    def _alone(self, space: Space) -> threading.RLock:
        return self._changing.setdefault(space.name, threading.RLock())

    def _schema(self, space: Space) -> Any:
        kinds = self._pymilvus.DataType
        # The description keeps the space, so that any other client can list it.
        schema = self._pymilvus.MilvusClient.create_schema(description=json.dumps(asdict(space)))
        for name, length in LENGTHS.items():
            schema.add_field(name, kinds.VARCHAR, is_primary=name == "id", max_length=length)
        schema.add_field("embedding", kinds.FLOAT_VECTOR, dim=space.width)
        return schema

    def _description(self, name: str) -> str:
        try:
            return str(self._asked(self._client.describe_collection, name)["description"])
        except SimvisError:
            if self._asked(self._client.has_collection, name):
                raise
            return ""  # another client dropped it since it was listed

    def _make(self, space: Space, index: Mapping[str, Any], **how: Any) -> None:
        wanted = self._client.prepare_index_params()
        wanted.add_index(field_name="embedding", index_name="embedding", **index)
        self._asked(self._client.create_index, space.name, wanted, **how)

    def _kind(self, space: Space) -> str:
        return str(self._asked(self._client.describe_index, space.name, "embedding")["index_type"])

    def _build_graph(self, space: Space) -> None:
        # Only whole segments get a graph, and only an index that is not loaded can be replaced.
        self._asked(self._client.flush, space.name, timeout=BUILT)
        self._asked(self._client.release_collection, space.name)
        self._asked(self._client.drop_index, space.name, "embedding")
        self._make(space, MILVUS_GRAPH, timeout=BUILT)
        self._asked(self._client.load_collection, space.name, timeout=BUILT)

    def _chosen(self, space: Space, fields: list[str], ids: Sequence[str], most: int) -> Iterator[list[Any]]:
        step = min(most, UPSERT)
        for start in range(0, len(ids), step):
            chosen = _one_of("id", ids[start : start + step])
            yield self._read(space, self._client.query, filter=chosen, output_fields=fields)

    def _pages(
        self, space: Space, fields: list[str], most: int, labels: Sequence[str] | None = None
    ) -> Iterator[list[Any]]:
        """Every row once, or those of the labels, by the first digits of its id.

        An answer that is not full holds all that begin so. Ids are digests, so they spread evenly; and unlike an
        iterator this needs no order from the server.
        """
        digits, count = 0, self.count(space)
        while count > 16**digits * most / 2:
            digits += 1
        beginnings = ["".join(some) for some in product("0123456789abcdef", repeat=digits)]
        while beginnings:
            begun = beginnings.pop()
            chosen = _both(*([f'id like "{begun}%"'] if begun else []), *_labelled(labels))
            page = self._read(space, self._client.query, filter=chosen, output_fields=fields, limit=most)
            if len(page) < most:
                yield page
            else:
                beginnings += [begun + digit for digit in "0123456789abcdef-"]

    def _write(self, space: Space, call: Callable[..., Any], **how: Any) -> None:
        try:
            self._asked(call, space.name, **how)
        finally:  # also one without an answer may have been done
            self._writes[space.name] += 1

    def _read(self, space: Space, call: Callable[..., Any], **how: Any) -> Any:
        self.ensure(space)
        # The first read, and the first after a write, see all that was written before, for which they wait. "Session"
        # alone would miss deletions: Milvus 2.3 does not tell when they took place.
        writes = self._writes[space.name]
        level = "Session" if self._seen.get(space.name) == writes else "Strong"
        answer = self._asked(call, space.name, consistency_level=level, **how)
        self._seen[space.name] = writes
        return answer

    def _asked(self, call: Callable[..., Any], *facts: Any, timeout: float | None = None, **how: Any) -> Any:
        """The answer to one call of pymilvus; trouble becomes a sentence, and a server that is starting is awaited."""
        until = time.monotonic() + self.timeout
        while True:
            self._knock()
            try:
                answer = call(*facts, timeout=timeout or self.timeout, **how)
            except self._trouble as error:
                self._heard = -inf
                kind = _kind(error)
                if kind == "gone":
                    self._open.clear()
                if kind != "starting" or time.monotonic() > until:
                    raise self._sentence(kind, error) from error
            else:
                self._heard = time.monotonic()
                return answer
            time.sleep(RETRY_SECONDS)

    def _knock(self) -> None:
        if time.monotonic() - self._heard < KNOCK_AFTER:
            return
        try:
            socket.create_connection(self._address, timeout=self.timeout).close()
        except OSError as error:
            raise self._sentence("down", error) from error

    def _sentence(self, kind: str, error: Exception) -> SimvisError:
        got, wanted, cure = TROUBLE[kind]
        facts = {"url": self.url, "seconds": f"{self.timeout:g}", "why": _why(error)}
        return SimvisError(got.format(**facts), wanted.format(**facts), cure.format(**facts))


def _optional() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    try:
        import grpc  # noqa: PLC0415 - optional, and half a second
        import pymilvus  # noqa: PLC0415
    except ImportError as error:
        raise SimvisError(
            "the address of a Milvus server, but no package pymilvus",
            "pymilvus beside SimVis",
            installing("milvus", "pymilvus"),
        ) from error
    # It prints a traceback for every error, also for those that it raises.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus, (pymilvus.MilvusException, grpc.RpcError, grpc.FutureTimeoutError)


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 19530
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme not in ("http", "https") or not host:
        raise SimvisError(f"'{url}' as the address of a Milvus server", "http://host:port", "write it like that")
    return host, port


def _check_rank(rank: int) -> None:
    if rank > MOST_IN_ANSWER:
        raise SimvisError(
            f"k + skip = {rank} hits",
            f"at most {MOST_IN_ANSWER}, Milvus' limit",
            "ask for fewer, or for those of a label",
        )


def _both(*expressions: str) -> str:
    return " and ".join(expressions)


def _labelled(labels: Sequence[str] | None) -> list[str]:
    return [] if labels is None else [_one_of("label", labels)]


def _one_of(field: str, texts: Sequence[str]) -> str:
    # JSON escapes what Milvus' expressions want escaped; its \uD83D\uDE42 for one character they do not know.
    return f"{field} in {json.dumps([_utf8(field, text) for text in texts], ensure_ascii=False)}"


def _utf8(field: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SimvisError(f"the {field} {text!a}", "a text that UTF-8 can write", "rename it") from error
    return text


def _record(row: Row, space: Space) -> dict[str, Any]:
    record = {"id": row.id, "sha256": row.sha256, "file": row.file, "label": row.label}
    for field, text in record.items():
        length, most = len(_utf8(field, text).encode()), LENGTHS[field]
        if length > most:
            raise SimvisError(
                f"a {field} of {length} bytes ('{text[:40]}...')",
                f"at most {most} bytes of UTF-8 on a Milvus server",
                "shorten it and index again",
            )
    return record | {"embedding": checked(row.embedding, space)}


def _row(facts: Mapping[str, Any]) -> Row:
    embedding = np.asarray(facts["embedding"], dtype=np.float32) if "embedding" in facts else None
    return Row(facts["sha256"], facts["file"], facts["label"], embedding)


def _space(description: str) -> Space | None:
    """The space in a collection's description; None for the collection of another program."""
    try:
        return Space(**json.loads(description))
    except (ValueError, TypeError):
        return None


def _why(error: Exception) -> str:
    told = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(told).split())[:200]


def _kind(error: Exception) -> str:
    """Which `TROUBLE` an error is: by gRPC's status where there is one, else by the server's words."""
    code = getattr(error, "code", None)
    status = getattr(code() if callable(code) else code, "name", "")
    if status in STATUS:
        return STATUS[status]
    return next((kind for words, kind in SERVER_WORDS.items() if words in str(error)), "refusing")


STATUS = {
    "DEADLINE_EXCEEDED": "silent",
    "UNAVAILABLE": "down",
    "UNAUTHENTICATED": "closed",
    "PERMISSION_DENIED": "closed",
}
# Numbers differ between Milvus 2.3 and 3.0, these words do not.
SERVER_WORDS = {
    "Fail connecting": "down",
    "auth check failure": "closed",
    "collection not found": "gone",
    "can't find collection": "gone",
    "loading collection timeout": "loading",
    "not loaded": "starting",
    "not fully loaded": "starting",
    "channel not available": "starting",
    "not ready": "starting",
}
TROUBLE = {
    "down": (
        "no connection to a Milvus server at {url} within {seconds} seconds ({why})",
        "a running server",
        "start it, check the address, or leave --index-url out to keep galleries in a folder",
    ),
    "silent": (
        "no answer from the Milvus server at {url} within {seconds} seconds",
        "an answer in that time",
        "try again, and look how busy the server is",
    ),
    "closed": (
        "a Milvus server at {url} that lets nobody in without the right token",
        "a token that it knows",
        "write it into the address, as in http://user:password@host:port",
    ),
    "gone": (
        "a gallery that is no longer on the Milvus server at {url}",
        "one that is there",
        "choose another, or index its pictures again",
    ),
    "loading": (
        "a gallery that the Milvus server at {url} is still loading after {seconds} seconds",
        "a loaded one",
        "try again in a minute",
    ),
    "starting": (
        "a gallery that the Milvus server at {url} cannot search yet ({why})",
        "a server that has started and built its graph",
        "try again in a minute",
    ),
    "refusing": (
        "'{why}' from the Milvus server at {url}",
        "a server that does what Milvus 2.3 to 3.0 do",
        "try it with: " + COMMAND + " store-check --index-url {url}",
    ),
}
