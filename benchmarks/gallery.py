"""Galleries: how fast pictures are indexed and found, how that grows, and how well the sample photographs are found."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

import model_zoo
from benchmarks.pictures import FOLDER
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Budget, Job, Race, race
from model_zoo.running.engines import with_engine
from simvis_core import EmbeddingNetwork, SimvisError, open_picture
from simvis_core.galleries.classes import Quality, retrieval_quality
from simvis_core.galleries.gallery import open_gallery
from simvis_core.galleries.indexing import BATCH, USUAL, Progress, index_pictures
from simvis_core.galleries.search import embedding_of, find
from simvis_core.pictures.listing import Listing, listed
from simvis_core.stores.contract import EXACT_BELOW, Row, Space
from simvis_core.stores.edge import EdgeIndex

WIDTH = 1280  # of EfficientNet-Lite0's embeddings
SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (200, 400)
LANDMARKS = (
    *("chateau_de_chenonceau", "christ_the_redeemer", "eiffel_tower", "great_wall_of_china", "louvre"),
    *("mount_rushmore", "neuschwanstein_castle", "pyramid", "qutub_minar", "statue_of_liberty"),
    *("sydney_opera_house", "taj_mahal"),
)
COPIES = 4
LONG = Budget(4, 30)  # a round takes many seconds
POOLED = ("avg", "max", "gem")


def tables(quick: bool) -> list[Table]:
    """Indexing, searching, quality."""
    return [_indexing(quick), _searching(QUICK_SIZES if quick else SIZES, quick), _quality(quick)]


# ---------------------------------------------------------------- indexing


def _indexing(quick: bool) -> Table:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        listing = _many(Path(folder), 3 if quick else 257, 1 if quick else COPIES)
        for engine in ("eager",) if quick else ("eager", "openvino"):
            network = _engine("efficientnet_lite0", engine)
            if network is None:
                continue
            jobs: dict[str, Job] = {
                "network": partial(_embed, network, _batches(network, listing)),
                "index": partial(_index, network, listing),
            }
            result = race(jobs, [("index", "network")], QUICK if quick else LONG)
            count = len(listing.pictures)
            speeds = [number(1000 * count / result.milliseconds(job)) for job in ("network", "index")]
            rows.append([f"efficientnet_lite0, {engine}", *speeds, _inverse(result)])
    notes = [
        f"{count} pictures (the samples, each {COPIES} times with other bytes at its end), in the same batches. "
        "`network` embeds pixels that lie in memory; `index` reads, hashes, decodes, shrinks, makes thumbnails, embeds "
        "and writes into a new store."
    ]
    columns = ["network", "network, pictures a second", "index, pictures a second", "index over network"]
    return Table("Indexing", columns, rows, notes)


def _many(folder: Path, pictures: int, copies: int) -> Listing:
    """Sample pictures, each several times with other bytes at its end, which no decoder minds."""
    files = {}
    for number_, source in enumerate(list(listed(FOLDER / "pictures").pictures)[:pictures]):
        for copy in range(copies):
            file = folder / f"{number_}_{copy}.jpg"
            file.write_bytes(Path(source).read_bytes() + bytes(copy))
            files[str(file)] = ""
    return Listing(files)


def _embed(network: EmbeddingNetwork, batches: list[Tensor]) -> None:
    for pixels in batches:
        network.embed(pixels)


def _inverse(result: Race) -> str:
    return f"{1 / result.ratio('index', 'network'):.3f} ± {result.error('index', 'network'):.3f}"


def _engine(name: str, engine: str) -> EmbeddingNetwork | None:
    try:
        return with_engine(model_zoo.load(name), engine)
    except SimvisError:
        return None


def _batches(network: EmbeddingNetwork, listing: Listing) -> list[Tensor]:
    """What the indexer makes of the listing: views of one shape together, full batches and rests."""
    shapes: dict[torch.Size, list[Tensor]] = {}
    for file in listing.pictures:
        pixels = network.view(open_picture(file), 224).pixels
        shapes.setdefault(pixels.shape, []).append(pixels)
    return [
        torch.stack(some)
        for shape, views in shapes.items()
        for some in _chunks(views, max(1, BATCH * USUAL // (shape[-1] * shape[-2])))
    ]


def _chunks(views: list[Tensor], size: int) -> Iterator[list[Tensor]]:
    for start in range(0, len(views), size):
        yield views[start : start + size]


def _index(network: EmbeddingNetwork, listing: Listing) -> Progress:
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex(Path(folder) / "index")
        gallery = open_gallery("measured", folder, index, create=True)
        *_, last = index_pictures(gallery, listing, [network], 224)
        index.close()
    assert last.added + last.duplicates == len(listing.pictures), last
    return last


# ---------------------------------------------------------------- searching


def _searching(sizes: tuple[int, ...], quick: bool) -> Table:
    rows = []
    for size in sizes:
        embeddings = synthetic(size)
        query = _region_query(embeddings)
        with stored(embeddings) as (index, space), threadpool_limits(1):
            vector, whole = torch.from_numpy(query), torch.from_numpy(embeddings[0])
            jobs: dict[str, Job] = {
                "numpy": partial(_floor, embeddings, query),
                "store": partial(index.search, space, query, 20),
                "found": partial(find, index, space, vector, whole, 20),
            }
            result = race(jobs, [("store", "numpy")], QUICK if quick else FULL)
        milliseconds = [number(result.milliseconds(job)) for job in jobs]
        rows.append(
            [f"{size:,} x {WIDTH}", *milliseconds, *(ratio(result, job, "numpy") for job in ("store", "found"))]
        )
    notes = [
        "A region's query (not a unit vector), 20 hits, every row compared, one thread. `numpy`: float32 product and "
        "argpartition, the floor. `found`: with the hits' embeddings read back and their scores computed anew."
    ]
    columns = ["rows", "numpy, ms", "store, ms", "found, ms", "store over numpy", "found over numpy"]
    return Table("Searching by a region", columns, rows, notes)


def _floor(embeddings: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.argpartition(-(embeddings @ query), 20)


def synthetic(count: int, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """Unit rows like a network's: clusters in 48 latent dimensions behind a ReLU."""
    chance = np.random.default_rng(seed)
    directions = chance.standard_normal((48, width)).astype(np.float32)
    centres = chance.standard_normal((800, 48)).astype(np.float32)
    rows = np.empty((count, width), dtype=np.float32)
    for start in range(0, count, 10_000):
        some = slice(start, min(count, start + 10_000))
        latent = centres[chance.integers(0, 800, some.stop - start)]
        latent = latent + 0.6 * chance.standard_normal(latent.shape).astype(np.float32)
        rows[some] = np.maximum(latent @ directions, 0)
        rows[some] /= np.linalg.norm(rows[some], axis=1, keepdims=True)
    return rows


def _region_query(embeddings: np.ndarray) -> np.ndarray:
    """A part of a row, as a region's cells are a part of its picture's embedding."""
    return (embeddings[7] * np.random.default_rng(1).uniform(0, 0.3, embeddings.shape[1])).astype(np.float32)


@contextmanager
def stored(
    embeddings: np.ndarray,
    files: list[str] | None = None,
    folder: str | None = None,
    exact_below: int = EXACT_BELOW,
) -> Iterator[tuple[EdgeIndex, Space]]:
    """A store that holds the rows, and its space."""
    with tempfile.TemporaryDirectory() as temporary:
        index = EdgeIndex(folder or temporary, exact_below)
        space = Space("synthetic", "efficientnet_lite0", "avg", embeddings.shape[1], "synthetic")
        names = files or ["none.jpg"]
        rows = (
            Row(hashlib.sha256(str(at).encode()).hexdigest(), names[at % len(names)], f"label {at % 50}", embedding)
            for at, embedding in enumerate(embeddings)
        )
        index.upsert(space, rows)
        index.settle(space)
        yield index, space
        index.close()


# ---------------------------------------------------------------- quality


def _quality(quick: bool) -> Table:
    names = [name for name in model_zoo.bundled() if "face" not in model_zoo.card(name).task]
    rows = []
    for name in names[: 1 if quick else None]:
        for pooling in POOLED[: 1 if quick else None]:
            landmarks, classes = quality(name, pooling, 40 if quick else None)
            rows.append([f"{name}, {pooling}", *_told(landmarks), *_told(classes)])
    notes = [
        f"Leave-one-out over the sample photographs, whole views of short side 224: {len(LANDMARKS)} landmarks, and "
        "classes of things and animals, of two pictures or more; every other picture is there to be confused with."
    ]
    columns = ["network, pooling", "landmarks R@1", "mAP", "classes R@1", "mAP"]
    return Table("How well pictures are found", columns, rows, notes)


def quality(name: str, pooling: str, most: int | None = None) -> tuple[Quality | None, Quality | None]:
    """Landmarks and classes; None where none of the pictures can ask."""
    network = model_zoo.load(name, pooling=pooling)
    pictures = list(listed(FOLDER / "pictures").pictures.items())[:most]
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex(Path(folder) / "index")
        gallery = open_gallery("measured", folder, index, create=True)
        for _ in index_pictures(gallery, Listing(dict(pictures)), [network], 224):
            pass
        rows = list(index.scan(gallery.space(network, 224, "whole"), embeddings=True))
        index.close()
    embeddings, labels = torch.stack([embedding_of(row) for row in rows]), [row.label for row in rows]
    return tuple(  # type: ignore[return-value]
        _asked(embeddings, labels, [(label in LANDMARKS) == landmarks for label in labels])
        for landmarks in (True, False)
    )


def _asked(embeddings: Tensor, labels: list[str], asked: list[bool]) -> Quality | None:
    try:
        return retrieval_quality(embeddings, labels, asked)
    except SimvisError:
        return None


def _told(quality: Quality | None) -> list[str]:
    if quality is None:
        return ["", ""]
    return [f"{quality.recall_at_1:.2f}", f"{quality.mean_average_precision:.2f}"]
