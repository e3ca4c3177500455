"""Indexing: from a listing of pictures to rows in a store, with reading and writing beside the computing."""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.galleries.cores import Cores
from simvis_core.galleries.gallery import Gallery, content
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.listing import Listing
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.thumbnails import thumbnail
from simvis_core.pictures.views import Framing
from simvis_core.stores.contract import Row

BATCH = 32  # usual views that are run together, fewer of larger ones
USUAL = 224 * 288  # pixels of such a view
PENDING = 4  # batches' worth of views that wait for others of their shape
READERS, AHEAD = 2, 64
TOLD = 200  # files that are read, after which progress is told whatever they were


@dataclass(frozen=True)
class Progress:
    """How far indexing is. Pictures counted here are in the store, whatever happens next.

    ``known`` were there already; ``duplicates`` name the same content twice; ``changed`` had another label or file
    name before; ``removed`` rows belonged to files whose content is another now. ``skipped`` gives a reason for
    each file that was left out.

    >>> from simvis_core.galleries.indexing import Progress
    >>> progress = Progress(total=10, added=3, known=2, seconds=1.5)
    >>> progress.done, progress.rate, progress.seconds_left
    (5, 2.0, 1.5)
    >>> progress.sentence()
    '10 pictures: 3 added, 2 there already; 2.0 a second'
    """

    total: int
    added: int = 0
    known: int = 0
    changed: int = 0
    removed: int = 0
    duplicates: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Files that are dealt with."""
        return self.added + self.known + self.changed + self.duplicates + len(self.skipped)

    @property
    def rate(self) -> float:
        """Pictures added a second."""
        return self.added / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before there is one."""
        return self.seconds * (self.total - self.done) / self.done if self.done and self.seconds else None

    def sentence(self) -> str:
        """What happened, in words."""
        counts = {
            "added": self.added,
            "there already": self.known,
            "with a new label or place": self.changed,
            "of the same content as another": self.duplicates,
            "rows of changed or lost files removed": self.removed,
            "left out": len(self.skipped),
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        none = "nothing to do" if self.done == self.total else "none of them done yet"
        return f"{self.total} pictures: {told or none}; {self.rate:.1f} a second"


@dataclass(frozen=True)
class _Read:
    """A file as a reader left it: its hash, and unless that is known its pixels, or why it cannot be had."""

    file: str
    label: str
    sha256: str = ""
    pixels: Tensor | None = None
    problem: str = ""


class _Run:
    """One run's state: what the spaces hold, what was seen, what waits for its batch or for the store."""

    def __init__(
        self,
        gallery: Gallery,
        networks: Sequence[EmbeddingNetwork],
        short_side: int,
        framing: Framing,
        batch: int,
        limits: Limits,
    ):
        self.batch, self.limits = batch, limits  # a batch's pixels
        self.cores = Cores(networks[0])
        self.gallery, self.networks, self.short_side, self.framing = gallery, networks, short_side, framing
        self.spaces = [gallery.space(network, short_side, framing) for network in networks]
        for space in self.spaces:
            gallery.index.ensure(space)
        held = [{row.sha256: (row.file, row.label) for row in gallery.index.scan(space)} for space in self.spaces]
        self.known = {sha: {other[sha] for other in held} for sha in held[0] if all(sha in other for other in held)}
        self.held = {sha: facts for one in held for sha, facts in one.items()}
        self.seen: dict[str, tuple[str, str]] = {}
        self.unread: set[str] = set()
        self.waiting: dict[tuple[int, ...], list[_Read]] = {}
        self.writes: list[tuple[Future, int]] = []
        self.started = time.perf_counter()

    def read(self, file: str, label: str) -> _Read:
        """In a reader's thread: everything up to the pixels."""
        data = content(file, self.limits)
        if data is None:
            return _Read(file, label, problem="it cannot be opened")
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in self.known:
            return _Read(file, label, sha256)
        try:
            image = open_picture(data, limits=self.limits)
            pixels = self.networks[0].view(image, self.short_side, self.framing).pixels
        except SimvisError as error:
            return _Read(file, label, sha256, problem=str(error))
        self._keep_thumbnail(sha256, image)
        return _Read(file, label, sha256, pixels)

    def _keep_thumbnail(self, sha256: str, image: Image.Image) -> None:
        if not self.gallery.has_thumbnail(sha256):
            self.gallery.keep_thumbnail(sha256, thumbnail(image))

    def take(self, read: _Read, progress: Progress) -> Progress:
        """Sorts a file into what it is; the new ones wait for their batch."""
        if read.problem:
            if not read.sha256:
                self.unread.add(read.file)
            return _skipping(progress, read.file, read.problem)
        if read.sha256 in self.seen:
            return self._again(read, progress)
        self.seen[read.sha256] = (read.file, read.label)
        if read.pixels is None:
            if self.known[read.sha256] == {(read.file, read.label)}:
                return replace(progress, known=progress.known + 1)
            self._move(read)
            return replace(progress, changed=progress.changed + 1)
        self.waiting.setdefault(tuple(read.pixels.shape), []).append(read)
        return progress

    def _again(self, read: _Read, progress: Progress) -> Progress:
        first, label = self.seen[read.sha256]
        if label != read.label:
            problem = f"the same picture as '{first}', whose label '{label}' is kept"
            return _skipping(progress, read.file, problem)
        return replace(progress, duplicates=progress.duplicates + 1)

    def _move(self, read: _Read) -> None:
        """A new label or file name for a known picture; its embeddings stay."""
        for space in self.spaces:
            rows = self.gallery.index.scan(space, [Row(read.sha256, "").id], embeddings=True)
            moved = [replace(row, file=read.file, label=read.label) for row in rows]
            self.gallery.index.upsert(space, moved)

    def ready(self, rest: bool = False) -> Iterator[list[_Read]]:
        """Batches of one shape: the full ones, the largest where too much waits, at the end all."""
        while self.waiting:
            shape = max(self.waiting, key=lambda shape: len(self.waiting[shape]) * _area(shape))
            size = max(1, self.batch // _area(shape))
            waits = sum(len(reads) * _area(shape) for shape, reads in self.waiting.items())
            if not rest and len(self.waiting[shape]) < size and waits < PENDING * self.batch:
                return
            batch, self.waiting[shape] = self.waiting[shape][:size], self.waiting[shape][size:]
            if not self.waiting[shape]:
                del self.waiting[shape]
            yield batch

    def rows(self, batch: list[_Read]) -> tuple[list[list[Row]], dict[str, str]]:
        """For each space the batch's rows; pictures that have no embedding are told apart one by one."""
        try:
            return self._rows(batch), {}
        except SimvisError as error:
            if len(batch) == 1:
                return [[] for _ in self.spaces], {batch[0].file: str(error)}
        halves = [self.rows(half) for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :])]
        together = [first + second for first, second in zip(halves[0][0], halves[1][0], strict=True)]
        return together, halves[0][1] | halves[1][1]

    def _rows(self, batch: list[_Read]) -> list[list[Row]]:
        pixels = torch.stack([read.pixels for read in batch if read.pixels is not None])
        parts = self.cores.mapped(self._vectors, pixels)
        tables = (chain(*own) for own in zip(*parts, strict=True))
        return [
            [Row(read.sha256, read.file, read.label, vector) for read, vector in zip(batch, table, strict=True)]
            for table in tables
        ]

    def _vectors(self, pixels: Tensor) -> list[np.ndarray]:
        """For each network the embeddings, a row each."""
        activations = self.networks[0].activations(pixels)
        return [network.embed_activations(activations).float().cpu().numpy() for network in self.networks]

    def write(self, tables: list[list[Row]]) -> int:
        """In the writer's thread: a picture counts once every space has it."""
        for space, rows in zip(self.spaces, tables, strict=True):
            self.gallery.index.upsert(space, rows)
        return len(tables[0])

    def written(self, progress: Progress, wait: bool = False) -> Progress:
        """Counts what the writer has finished. Raises what it met."""
        while self.writes and (wait or len(self.writes) > 4 or self.writes[0][0].done()):
            future, _ = self.writes.pop(0)
            progress = replace(progress, added=progress.added + future.result())
        return replace(progress, seconds=time.perf_counter() - self.started)

    def outdated(self, listing: Listing, prune: bool) -> list[str]:
        """Ids of rows whose file holds other content now, or with ``prune`` is gone."""
        read = listing.pictures.keys() - self.unread
        gone = [
            sha
            for sha, (file, _) in self.held.items()
            if sha not in self.seen and (file in read or (prune and not os.path.exists(file)))
        ]
        return [Row(sha, "").id for sha in gone]


def index_pictures(
    gallery: Gallery,
    listing: Listing,
    networks: Sequence[EmbeddingNetwork],
    short_side: int,
    framing: Framing = "whole",
    prune: bool = False,
    together: int = BATCH,
    limits: Limits = OWNERS,
) -> Generator[Progress, None, None]:
    """Brings the listing's pictures into the gallery; yields its progress, the last time when all is settled.

    ``networks`` are one network under one or several poolings: each picture is run once for all of them. What is
    there already is not run again, so an interrupted run is resumed by running it again. It can be left at any yield.
    With ``prune`` rows whose file is gone are removed. ``together`` usual views make a batch, fewer of larger ones.
    Pictures above ``limits`` are left out.

    Pictures are shrunk as they were when the gallery was indexed with these networks before.

    Raises SimvisError where the store or the folder cannot be written.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.galleries.gallery import open_gallery
    >>> from simvis_core.galleries.indexing import index_pictures
    >>> from simvis_core.pictures.listing import listed
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8), name="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for colour in ("orange", "red"):
    ...         Image.new("RGB", (40, 40), colour).save(f"{folder}/{colour}.png")
    ...     index = EdgeIndex(f"{folder}/index")
    ...     gallery = open_gallery("colours", folder, index, create=True)
    ...     *_, last = index_pictures(gallery, listed(folder), [net], short_side=32)
    ...     last.added, index.count(gallery.space(net, 32, "whole"))
    ...     index.close()
    ...
    (2, 2)
    """
    resizing = gallery.as_indexed(networks[0], short_side, framing).preprocess.resizing
    networks = [network.with_resizing(resizing) for network in networks]
    run = _Run(gallery, networks, short_side, framing, together * USUAL, limits)
    progress = Progress(len(listing.pictures) + len(listing.left_out), skipped=dict(listing.left_out))
    yield progress
    reading = ThreadPoolExecutor(READERS, initializer=_give_way)
    with run.cores, reading as readers, ThreadPoolExecutor(1) as writer:
        try:
            progress = yield from _added(run, listing, readers, writer, progress)
        finally:
            readers.shutdown(cancel_futures=True)
            writer.shutdown(cancel_futures=True)
    outdated = run.outdated(listing, prune)
    if outdated:
        gallery.remove(outdated)
    for space in run.spaces:
        gallery.index.settle(space)
    yield replace(progress, removed=len(outdated), seconds=time.perf_counter() - run.started)


def _added(
    run: _Run, listing: Listing, readers: ThreadPoolExecutor, writer: ThreadPoolExecutor, progress: Progress
) -> Generator[Progress, None, Progress]:
    for count, read in enumerate(_reading(run, listing, readers), start=1):
        progress = run.take(read, progress)
        if count % TOLD == 0:
            progress = run.written(progress)
            yield progress
        for batch in run.ready():
            progress = yield from _embedded(run, batch, writer, progress)
    for batch in run.ready(rest=True):
        progress = yield from _embedded(run, batch, writer, progress)
    return run.written(progress, wait=True)


def _embedded(
    run: _Run, batch: list[_Read], writer: ThreadPoolExecutor, progress: Progress
) -> Generator[Progress, None, Progress]:
    tables, problems = run.rows(batch)
    run.writes.append((writer.submit(run.write, tables), len(batch)))
    for file, problem in problems.items():
        progress = _skipping(progress, file, problem)
    progress = run.written(progress)
    yield progress
    return progress


def _reading(run: _Run, listing: Listing, readers: ThreadPoolExecutor) -> Iterator[_Read]:
    """The files in the listing's order, some of them read ahead."""
    rest = iter(listing.pictures.items())
    ahead = [readers.submit(run.read, *item) for item in islice(rest, AHEAD)]
    while ahead:
        yield ahead.pop(0).result()
        ahead += [readers.submit(run.read, *item) for item in islice(rest, 1)]


def _give_way() -> None:
    """Lets this thread run where the network leaves a core idle, for which it only waits."""
    if sys.platform == "linux":  # elsewhere a priority belongs to the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def _skipping(progress: Progress, file: str, problem: str) -> Progress:
    return replace(progress, skipped={**progress.skipped, file: problem})


def _area(shape: tuple[int, ...]) -> int:
    return shape[-2] * shape[-1]
