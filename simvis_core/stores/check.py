"""What SimVis expects of a store, as checks that anybody can run on their own server."""

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from simvis_core.errors import SimvisError
from simvis_core.stores.contract import Hit, Row, Space, VectorIndex

GALLERY = "simvis store-check"
VECTOR_WIDTH = 32
# Rows: enough that Milvus builds a graph for them where it is told to (1024); fewer, for what a graph answers nearly
# only, such as a search within one label; a handful.
MANY, SOME, FEW = 1200, 300, 40
LABELS = (
    "cat",
    "",
    'say "meow"',
    "it's",
    "back\\slash \\n \\u0041",
    "two\nlines\tand\rmore",
    "Käfer 🐞 甲虫",
    "<script>alert(1)</script>",
    "100%_*",
    "] or id != [",
    "\u2028\x00\x7f",
)
STORE_CURE = "this store does not do what SimVis needs, so look at its version and its configuration"


def check_store(index: VectorIndex) -> Iterator[tuple[str, float]]:
    """Runs every check of `CHECKS` on a store; yields the name and the seconds of each as it passes.

    Leaves nothing behind: each check drops its scratch spaces. Raises SimvisError for the first that fails.

    >>> import tempfile
    >>> from simvis_core.stores.check import check_store
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     next(check_store(index))[0]  # the first of them; `list` runs all
    ...     index.close()
    ...
    'an empty space'
    """
    for name, check in CHECKS.items():
        start = time.perf_counter()
        check(index)
        yield name, time.perf_counter() - start


def _empty(index: VectorIndex) -> None:
    with _scratch(index) as space:
        index.ensure(space)
        index.ensure(space)
        rows = _rows(2)
        index.delete(space, [rows[0].id])
        _same("the count of an empty space", index.count(space), 0)
        _same("the labels of an empty space", index.labels(space), {})
        _same("the hits of an empty space", index.search(space, _embedding(rows[0]), 3), [])
        _same("the rows of an empty space", list(index.scan(space)), [])
        _same("absent rows by id", list(index.scan(space, [rows[1].id])), [])


def _again(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _rows(FEW)
        _same("the number of rows sent", index.upsert(space, iter(rows)), FEW)
        index.upsert(space, rows[:10])
        _same("the count after adding ten pictures again", index.count(space), FEW)
        index.upsert(space, [rows[0], replace(rows[0], label="second"), replace(rows[0], label="last")])
        _same("the count after one picture three times in a call", index.count(space), FEW)
        _same("its label", [row.label for row in index.scan(space, [rows[0].id])], ["last"])


def _scores(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, MANY)
        for query in _queries():
            hits = index.search(space, query, 20)
            wanted = np.sort(_matrix(rows) @ query)[::-1][:20]
            _close("the scores of a search", np.array([hit.score for hit in hits]), wanted, 2e-5)


def _ranks(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, MANY)
        for query in _queries():
            wanted = _ranked(rows, query)[:60]
            _same("the order of 60 hits", _ids(index.search(space, query, 60)), wanted)
            pages = [hit for skip in range(0, 60, 12) for hit in index.search(space, query, 12, skip=skip)]
            _same("the order of 60 hits on 5 pages", _ids(pages), wanted)


def _every_row(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, MANY)
        query = _queries()[2]
        wanted = np.sort(_matrix(rows) @ query)[::-1]
        hits = index.search(space, query, MANY, exact=True)
        _same("the rows that were compared", set(_ids(hits)), {row.id for row in rows})
        _close("their scores", np.array([hit.score for hit in hits]), wanted, 2e-4)
        page = index.search(space, query, 30, skip=400, exact=True)
        _same("a page of them", _ids(page), _ids(hits)[400:430])
        chosen = {row.id for row in rows if row.label in LABELS[:2]} - {hits[0].row.id}
        found = index.search(space, query, MANY, labels=LABELS[:2], without=[hits[0].row.id], exact=True)
        _same("those of two labels without one", set(_ids(found)), chosen)


def _beyond(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, FEW)
        query = _queries()[0]
        _same("hits where more are asked for", _ids(index.search(space, query, 100)), _ranked(rows, query))
        _same("hits of the last page", _ids(index.search(space, query, 10, skip=35)), _ranked(rows, query)[35:])
        _same("hits behind the last", index.search(space, query, 10, skip=FEW), [])


def _filter(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, SOME)
        query = _queries()[1]
        for labels in (*([label] for label in LABELS), LABELS[:3], LABELS, ["nobody has it"], ["", "nobody's"], []):
            wanted = _ranked([row for row in rows if row.label in labels], query)[:30]
            _same(f"the hits of {labels!r}", _ids(index.search(space, query, 30, labels=labels)), wanted)
        wanted = _ranked([row for row in rows if row.label == "cat"], query)[5:15]
        _same("a page of one label", _ids(index.search(space, query, 10, labels=["cat"], skip=5)), wanted)


def _passed_over(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, SOME)
        query = _queries()[1]
        best = _ranked(rows, query)
        left_out = [best[0], best[3], _rows(SOME + 1)[-1].id]
        wanted = [id for id in best if id not in left_out]
        _same("the hits without three", _ids(index.search(space, query, 20, without=left_out)), wanted[:20])
        _same("their second page", _ids(index.search(space, query, 10, skip=10, without=left_out)), wanted[10:20])
        cats = [row.id for row in rows if row.label == "cat"]
        wanted = [id for id in best if id in cats and id != cats[0]][:10]
        _same("cats without one", _ids(index.search(space, query, 10, labels=["cat"], without=[cats[0]])), wanted)


def _of_labels(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, SOME)
        for labels in (*([label] for label in LABELS), LABELS[:3], ["nobody has it"], []):
            wanted = sorted(row.id for row in rows if row.label in labels)
            found = sorted(row.id for row in index.scan(space, labels=labels, embeddings=True))
            _same(f"the rows of {labels!r}", found, wanted)


def _replaced(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, FEW)
        query = _queries()[0]
        changed = replace(rows[7], file="/moved/here.jpg", label="changed", embedding=query)
        index.upsert(space, [changed])
        (best,) = index.search(space, query, 1)
        _same("the best hit", _facts(best.row), _facts(changed))
        _close("its score", np.array([best.score]), np.array([query @ query]), 2e-5)
        _same("the count", index.count(space), FEW)
        _same("hits of the old label", rows[7].id in _ids(index.search(space, query, FEW, labels=LABELS)), False)


def _deleted(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, MANY)
        index.delete(space, [])
        index.delete(space, [row.id for row in rows[:600]] + [_rows(MANY + 1)[-1].id])
        _same("the count after deleting 600", index.count(space), MANY - 600)
        query = _queries()[0]
        _same("the hits after it", _ids(index.search(space, query, 50)), _ranked(rows[600:], query)[:50])
        index.upsert(space, rows[:1])
        _same("the count after adding one again", index.count(space), MANY - 599)


def _read_back(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, MANY)
        by_id = {row.id: row for row in rows}
        for asked in (None, [row.id for row in rows[100:900]], [rows[3].id, _rows(MANY + 1)[-1].id], []):
            wanted = [row for row in rows if asked is None or row.id in asked]
            got = list(index.scan(space, asked, embeddings=True))
            _same("rows read", sorted(map(_facts, got)), sorted(map(_facts, wanted)))
            for row in got:
                _close("an embedding read", _embedding(row), _embedding(by_id[row.id]), 0, 1e-6)
        _same("embeddings not asked for", [row.embedding for row in index.scan(space, [rows[3].id])], [None])


def _two_widths(index: VectorIndex) -> None:
    with _scratch(index) as space, _scratch(index, width=64) as wide:
        index.upsert(space, _rows(FEW))
        index.upsert(wide, _rows(3, width=64))
        _same("the counts of two spaces", (index.count(space), index.count(wide)), (FEW, 3))
        query = _embedding(_rows(1, width=64)[0])
        _same("the hits in the second", _ids(index.search(wide, query, 9)), _ranked(_rows(3, width=64), query))
        index.drop(wide)
        _same("the count of the first without the second", index.count(space), FEW)


def _refusals(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _rows(FEW)
        index.upsert(space, rows)
        for wrong in (np.ones(VECTOR_WIDTH + 1, np.float32), np.full(VECTOR_WIDTH, np.nan, np.float32), None):
            _refused(f"an embedding {wrong!r:.40}", index.upsert, space, [rows[0], replace(rows[1], embedding=wrong)])
        for query in (np.ones(VECTOR_WIDTH - 1, np.float32), np.full(VECTOR_WIDTH, np.inf, np.float32)):
            _refused(f"a query {query!r:.40}", index.search, space, query, 3)
        _same("the count after refusals", index.count(space), FEW)
        (kept,) = index.scan(space, [rows[1].id], embeddings=True)
        _close("the embedding that a wrong one would have replaced", _embedding(kept), _embedding(rows[1]), 0, 1e-6)


def _no_hits(index: VectorIndex) -> None:
    with _scratch(index) as space:
        for k in (0, -1):
            _refused(f"k = {k}", index.search, space, _queries()[0], k)


def _label_counts(index: VectorIndex) -> None:
    with _scratch(index) as space:
        rows = _filled(index, space, FEW)
        _same("the labels", index.labels(space), dict(Counter(row.label for row in rows)))
        index.delete(space, [row.id for row in rows if row.label == "cat"])
        _same(
            "the labels without one",
            index.labels(space),
            dict(Counter(row.label for row in rows if row.label != "cat")),
        )


def _listed(index: VectorIndex) -> None:
    with _scratch(index) as space:
        _same("a space that was not made is listed", space in index.spaces(), False)
        index.ensure(space)
        _same("a space that was made is listed", space in index.spaces(), True)


def _dropped(index: VectorIndex) -> None:
    with _scratch(index) as space:
        index.upsert(space, _rows(FEW))
        index.drop(space)
        _same("a dropped space is listed", space in index.spaces(), False)
        index.drop(space)
        index.ensure(space)
        _same("the count of a space that was dropped and made again", index.count(space), 0)


@contextmanager
def _scratch(index: VectorIndex, width: int = VECTOR_WIDTH) -> Iterator[Space]:
    """A space that nobody else has, and that is gone afterwards."""
    space = Space(GALLERY, "random", "avg", width, secrets.token_hex(8))
    try:
        yield space
    except BaseException:
        with suppress(SimvisError):  # what went wrong first is what to tell
            index.drop(space)
        raise
    index.drop(space)


def _filled(index: VectorIndex, space: Space, number: int) -> list[Row]:
    rows = _rows(number, space.width)
    index.upsert(space, rows)
    index.settle(space)
    return rows


def _rows(number: int, width: int = VECTOR_WIDTH) -> list[Row]:
    drawn = np.random.default_rng(1).standard_normal((number, width)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return [
        Row(hashlib.sha256(str(at).encode()).hexdigest(), f"/pictures/{label} {at}.jpg", label, unit[at])
        for at, label in ((at, LABELS[at % len(LABELS)]) for at in range(number))
    ]


def _queries() -> tuple[Float[np.ndarray, " D"], ...]:
    """A unit query, and two as regions ask them: signed, and short or long."""
    drawn = np.random.default_rng(2).standard_normal((3, VECTOR_WIDTH)).astype(np.float32)
    return drawn[0] / np.linalg.norm(drawn[0]), drawn[1] * np.float32(0.01), drawn[2] * np.float32(7)


def _embedding(row: Row) -> Float[np.ndarray, " D"]:
    if row.embedding is None:
        raise SimvisError(f"no embedding for '{row.file}'", "the one that was stored", STORE_CURE)
    return row.embedding


def _matrix(rows: Sequence[Row]) -> Float[np.ndarray, "N D"]:
    return np.stack([_embedding(row) for row in rows])


def _ranked(rows: Sequence[Row], query: Float[np.ndarray, " D"]) -> list[str]:
    return [rows[at].id for at in np.argsort(-(_matrix(rows) @ query))] if rows else []


def _ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.row.id for hit in hits]


def _facts(row: Row) -> tuple[str, str, str]:
    return row.sha256, row.file, row.label


def _same(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise SimvisError(f"{what}: {_short(got)}", _short(wanted), STORE_CURE)


def _close(
    what: str, got: Float[np.ndarray, " N"], wanted: Float[np.ndarray, " N"], relative: float, most: float = 1e-7
) -> None:
    if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=relative, atol=most):
        raise SimvisError(f"{what}: {_short(got.tolist())}", _short(wanted.tolist()), STORE_CURE)


def _refused(what: str, call: Callable[..., object], *facts: object) -> None:
    try:
        call(*facts)
    except SimvisError:
        return
    raise SimvisError(f"{what}, which the store took", "a sentence that refuses it", STORE_CURE)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


CHECKS: dict[str, Callable[[VectorIndex], None]] = {
    "an empty space": _empty,
    "a picture that is added again": _again,
    "scores are inner products": _scores,
    "ranks and pages": _ranks,
    "every row is compared": _every_row,
    "more hits than rows": _beyond,
    "labels filter": _filter,
    "rows are passed over": _passed_over,
    "rows of labels": _of_labels,
    "a row is replaced": _replaced,
    "rows are deleted": _deleted,
    "rows are read back": _read_back,
    "two widths": _two_widths,
    "wrong vectors are refused": _refusals,
    "no hits are refused": _no_hits,
    "labels are counted": _label_counts,
    "spaces are listed": _listed,
    "a space is dropped": _dropped,
}
