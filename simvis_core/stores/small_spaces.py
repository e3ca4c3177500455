"""Small spaces in memory: one product compares a query with every row, and the hits bring their embeddings."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from simvis_core.stores.contract import Hit, Row, Space

MOST_BYTES = 32 * 2**20  # bytes of embeddings kept together, 6 500 rows of 1280
TWICE = 2  # a space is read into memory when it is searched this often unchanged: one search alone is not worth it


@dataclass(frozen=True, eq=False)
class Table:
    """Every row of a space, each with its line of ``embeddings`` as its embedding.

    >>> import numpy as np
    >>> from simvis_core.stores.contract import Row
    >>> from simvis_core.stores.small_spaces import Table
    >>> table = Table([Row("a" * 64, "owl.jpg"), Row("b" * 64, "jay.jpg")], np.eye(2, dtype=np.float32))
    >>> [hit.row.file for hit in table.search(np.float32([0.5, 1]), k=2, labels=None, skip=0, without=())]
    ['jay.jpg', 'owl.jpg']
    """

    rows: list[Row]
    embeddings: Float[np.ndarray, "N D"]

    def search(
        self, query: Float[np.ndarray, " D"], k: int, labels: Sequence[str] | None, skip: int, without: Sequence[str]
    ) -> list[Hit]:
        """See `VectorIndex.search`. Of rows of one score the first stays first, whatever page is asked for."""
        scores = self.embeddings @ query
        if labels is not None:
            wanted_labels = [self._codes[label] for label in set(labels) if label in self._codes]
            scores[~np.isin(self._labels, wanted_labels)] = -np.inf
        for id in without:
            if id in self._places:
                scores[self._places[id]] = -np.inf
        wanted = min(k + skip, len(scores))
        if not wanted:
            return []
        least = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
        places = np.flatnonzero((scores >= least) & (scores > -np.inf))
        best = places[np.argsort(-scores[places], kind="stable")][skip : skip + k]
        return [Hit(self.rows[at], float(scores[at])) for at in best]

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {label: code for code, label in enumerate({row.label for row in self.rows})}

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.array([self._codes[row.label] for row in self.rows])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {row.id: at for at, row in enumerate(self.rows)}


class SmallSpaces:
    """The tables of spaces that were searched lately, together at most ``limit`` bytes; the oldest go first.

    Whoever changes a space tells it by `changed`, before and after.

    >>> import numpy as np
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.small_spaces import SmallSpaces
    >>> space, rows = Space("birds", "tiny", "avg", 2, "0123"), [Row("a" * 64, "owl.jpg", "", np.float32([1, 0]))]
    >>> small = SmallSpaces()
    >>> [small.table(space, lambda: len(rows), lambda: rows) is None for _ in range(2)]
    [True, False]
    >>> small.count(space, lambda: len(rows))
    1
    >>> small.changed(space)
    >>> small.table(space, lambda: len(rows), lambda: rows) is None
    True
    """

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self.limit = limit
        self._tables: OrderedDict[str, Table] = OrderedDict()
        self._searched: Counter[str] = Counter()  # since the last change
        self._changes: Counter[str] = Counter()
        self._counts: dict[str, int] = {}  # of spaces of any size
        self._lock = threading.Lock()

    def table(self, space: Space, count: Callable[[], float], read: Callable[[], Iterable[Row]]) -> Table | None:
        """The space's table, read on its second search; None before, and for a space that is not small."""
        with self._lock:
            if space.name in self._tables:
                self._tables.move_to_end(space.name)
                return self._tables[space.name]
            self._searched[space.name] += 1
            before, searched = self._changes[space.name], self._searched[space.name]
        if searched < TWICE or 4 * space.width * count() > self.limit:
            return None
        table = _table(space, read())
        with self._lock:
            if table is not None and self._changes[space.name] == before:  # else another thread has written meanwhile
                self._tables[space.name] = table
                self._forget_oldest()
        return table

    def count(self, space: Space, count: Callable[[], int]) -> int:
        """How many rows a space of any size has, counted once as long as it is unchanged."""
        with self._lock:
            if space.name in self._counts:
                return self._counts[space.name]
            before = self._changes[space.name]
        counted = count()
        with self._lock:
            if self._changes[space.name] == before:
                self._counts[space.name] = counted
        return counted

    def changed(self, space: Space) -> None:
        """Forgets a space's table and count."""
        with self._lock:
            self._changes[space.name] += 1
            self._counts.pop(space.name, None)
            self._searched.pop(space.name, None)
            self._tables.pop(space.name, None)

    def _forget_oldest(self) -> None:
        while sum(table.embeddings.nbytes for table in self._tables.values()) > self.limit:
            self._tables.popitem(last=False)


def _table(space: Space, rows: Iterable[Row]) -> Table | None:
    """The rows as a table; None where an embedding is not what was written, which the store's own answer shows."""
    read = list(rows)
    embeddings = np.empty((len(read), space.width), dtype=np.float32)
    for at, row in enumerate(read):
        if row.embedding is None or row.embedding.shape != (space.width,):
            return None
        embeddings[at] = row.embedding
    if not np.isfinite(embeddings).all():
        return None
    return Table([replace(row, embedding=embeddings[at]) for at, row in enumerate(read)], embeddings)
