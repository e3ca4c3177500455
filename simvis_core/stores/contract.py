"""Where a gallery's embeddings are kept and searched: one interface for every store."""

import hashlib
import re
import shlex
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.pictures.resizing import Resizing
from simvis_core.pictures.views import FRAMINGS, Framing

UPSERT = 500  # rows that are sent together
_FRAMING: dict[str, Framing] = {name: name for name in FRAMINGS}
EXACT_BELOW = 200_000  # rows up to which every one is compared; above, a graph (HNSW) is searched


class SpoiltError(SimvisError):
    """A space whose files are damaged: it can only be made anew, or deleted."""


@dataclass(frozen=True)
class Space:
    """What must agree for two embeddings to be compared, and the collection that keeps such embeddings together.

    ``fingerprint`` stands for weights, preprocessing, pooling and view; `Gallery.space` makes it. ``view`` says what
    the fingerprint holds of the view: short side, framing, and "quick" where pictures are not shrunk by Pillow.

    >>> from simvis_core.stores.contract import Space
    >>> space = Space("birds", "mobilenet_v2", "avg", 1280, "0123", view="224 whole quick")
    >>> space.seen, space.name[:30]
    ((224, 'whole', 'quick'), 'simvis_birds_mobilenet_v2_avg_')
    """

    gallery: str
    network: str
    pooling: str
    width: int
    fingerprint: str
    view: str = "224 whole"

    @property
    def seen(self) -> tuple[int, Framing, Resizing]:
        """Short side, framing and resizing of the views."""
        short_side, framing, *resizing = self.view.split()
        return int(short_side), _FRAMING[framing], "quick" if resizing == ["quick"] else "reference"

    @property
    def name(self) -> str:
        """A name that every store and file system takes; spaces that differ in anything differ in it."""
        facts = repr((self.gallery, self.network, self.pooling, self.width, self.fingerprint))
        readable = re.sub(r"[^A-Za-z0-9]+", "_", f"{self.gallery}_{self.network}_{self.pooling}")[:80]
        return f"simvis_{readable}_{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Row:
    """One picture of a space: hash of its file's bytes, the file, its label ("" for none), and its unit embedding.

    >>> from simvis_core.stores.contract import Row
    >>> Row("0123456789abcdef" * 4, "owl.jpg").id
    '01234567-89ab-cdef-0123-456789abcdef'
    """

    sha256: str
    file: str
    label: str = ""
    embedding: Float[np.ndarray, " D"] | None = None

    @property
    def id(self) -> str:
        """A UUID made of the hash: equal for equal bytes, so that adding a picture again changes nothing."""
        return str(uuid.UUID(self.sha256[:32]))


@dataclass(frozen=True, eq=False)
class Hit:
    """A row that a search found, and ``score = <query, embedding>``.

    For a whole picture's query that is the cosine, for a region's query the region's share of it.
    """

    row: Row
    score: float


@runtime_checkable
class VectorIndex(Protocol):
    """A store of embeddings. Every call names the space; a row is unique in it by `Row.id`.

    Scores are inner products in float32, so that a region's query is answered with its share of the cosine. Every
    method raises SimvisError for a store that is locked, down or full, and says what to do.
    """

    exact_below: int  # rows from which on a graph is searched

    def ensure(self, space: Space) -> None:
        """Makes the space's collection where there is none yet."""

    def upsert(self, space: Space, rows: Iterable[Row]) -> int:
        """Adds rows, or replaces those of the same id; gives how many. What it returned from survives a kill.

        Raises SimvisError for an embedding that is missing, not finite, or of another width.
        """

    def delete(self, space: Space, ids: Sequence[str]) -> None:
        """Removes rows; an id that is not there is no error."""

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

        With ``labels`` only rows that have one of them; rows with an id in ``without`` are passed over. From
        ``exact_below`` rows on a graph is searched, which may miss some; with ``exact`` every row is compared there
        too. A hit's row may bring its embedding.

        Raises SimvisError for ``k`` below 1 and a query that is not finite or of another width.
        """

    def scan(
        self,
        space: Space,
        ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        embeddings: bool = False,
    ) -> Iterator[Row]:
        """Rows in no order: those of the ids that are there, or those of the labels, or all; embeddings if asked."""

    def labels(self, space: Space) -> dict[str, int]:
        """How many rows each label has."""

    def count(self, space: Space) -> int:
        """How many rows there are."""

    def spaces(self) -> list[Space]:
        """Every space that the store holds, but for those of `damaged`."""

    def damaged(self) -> list[SimvisError]:
        """For each collection that does not say any more what it is of: what is wrong with it, and what mends it."""

    def settle(self, space: Space) -> None:
        """After many upserts: puts everything on disk, and builds the graph where there are enough rows."""

    def drop(self, space: Space) -> None:
        """Removes the space's collection and everything in it."""

    def close(self) -> None:
        """Lets go of the store; nothing may be asked after."""


def rebuilding(space: Space) -> str:
    """What makes a damaged space anew, for a person to type.

    >>> from simvis_core.stores.contract import Space, rebuilding
    >>> "--rebuild" in rebuilding(Space("birds", "mobilenet_v2", "avg", 1280, "0123"))
    True
    """
    short_side, framing, resizing = space.seen
    seen = f" --view-size {short_side} --framing {framing} --resizing {resizing}"
    return (
        f"make it anew: {COMMAND} index FOLDER --name {shlex.quote(space.gallery)} --backbone {space.network} "
        f"--pooling {space.pooling}{seen} --rebuild"
    )


def copied(source: VectorIndex, target: VectorIndex, space: Space) -> int:
    """Copies a space from one store into another; gives the number of rows.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.stores.contract import Row, Space, copied
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
    ...     one, other = EdgeIndex(here), EdgeIndex(there)
    ...     one.upsert(space, [Row("a" * 64, "owl.jpg", "owl", np.float32([1, 0]))])
    ...     copied(one, other, space)
    ...     one.close(), other.close()
    ...
    1
    1
    (None, None)
    """
    target.ensure(space)
    count = target.upsert(space, source.scan(space, embeddings=True))
    target.settle(space)
    return count


def best_by_scan(
    rows: Iterable[Row], query: Float[np.ndarray, " D"], k: int, skip: int = 0, without: Sequence[str] = ()
) -> list[Hit]:
    """What a search gives, by comparing every one of some rows; for stores that cannot do so themselves.

    >>> import numpy as np
    >>> from simvis_core.stores.contract import Row, best_by_scan
    >>> rows = [Row("a" * 64, "owl.jpg", "", np.float32([1, 0])), Row("b" * 64, "jay.jpg", "", np.float32([0, 1]))]
    >>> [(hit.row.file, hit.score) for hit in best_by_scan(rows, np.float32([0.5, 1]), k=2)]
    [('jay.jpg', 1.0), ('owl.jpg', 0.5)]
    """
    best: list[Hit] = []
    for together in in_batches(row for row in rows if row.id not in without):
        scores = np.stack([row.embedding for row in together if row.embedding is not None]) @ query
        best += [Hit(replace(row, embedding=None), float(score)) for row, score in zip(together, scores, strict=True)]
        best = sorted(best, key=lambda hit: -hit.score)[: k + skip]
    return best[skip:]


def in_batches(rows: Iterable[Row], size: int = UPSERT) -> Iterator[list[Row]]:
    """The rows in lists of at most ``size``.

    >>> from simvis_core.stores.contract import Row, in_batches
    >>> [len(batch) for batch in in_batches([Row("a" * 64, "owl.jpg")] * 5, size=2)]
    [2, 2, 1]
    """
    rest = iter(rows)
    while together := list(islice(rest, size)):
        yield together


def checked(vector: Float[np.ndarray, " _"] | None, space: Space) -> Float[np.ndarray, " D"]:
    """The vector in float32. Raises SimvisError for one that does not belong into the space.

    >>> import numpy as np
    >>> from simvis_core.stores.contract import Space, checked
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> checked(np.array([0.6, 0.8]), space).dtype
    dtype('float32')
    >>> checked(np.ones(3), space)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a vector of 3 numbers for tiny under avg; wanted 2 numbers: index the ...
    """
    array = np.asarray([] if vector is None else vector, dtype=np.float32)
    if array.shape != (space.width,):
        raise SimvisError(
            f"a vector of {array.size} numbers for {space.network} under {space.pooling}",
            f"{space.width} numbers",
            "index the pictures again with the network that asks",
        )
    if not np.isfinite(array).all():
        raise SimvisError("a vector with NaN or infinity", "finite numbers", "check the weights and the picture")
    return array


def check_hit_count(k: int) -> None:
    """Raises SimvisError for a number of hits below 1.

    >>> from simvis_core.stores.contract import check_hit_count
    >>> check_hit_count(20)
    >>> check_hit_count(0)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got k = 0 hits; wanted at least 1: ask for one hit or more.
    """
    if k < 1:
        raise SimvisError(f"k = {k} hits", "at least 1", "ask for one hit or more")
