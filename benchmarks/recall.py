"""What a graph misses: its hits beside those of comparing every row, over embeddings of real pictures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import model_zoo
from benchmarks.gallery import stored
from benchmarks.pictures import FOLDER
from benchmarks.tables import Table, number
from benchmarks.timing import FULL, QUICK, race
from model_zoo.running.engines import with_engine
from simvis_core import EmbeddingNetwork, SimvisError, open_picture
from simvis_core.decomposition import Decomposition
from simvis_core.galleries.regions import Box, regions_query
from simvis_core.pictures.listing import listed
from simvis_core.stores.contract import Space
from simvis_core.stores.edge import EdgeIndex

NETWORK = "efficientnet_lite0"
CROPS, QUICK_CROPS = 80, 2  # of each sample photograph
LEAST = 0.3  # of the short side, that a crop's side has
BATCH = 32
K = 20


def tables(quick: bool) -> list[Table]:
    """Recall of the graph, and how long both searches take."""
    network = _network()
    pictures = [Path(file) for file in listed(FOLDER / "pictures").pictures][: 8 if quick else None]
    embeddings = _embedded(network, pictures, QUICK_CROPS if quick else CROPS)
    queries = _queries(network, pictures)
    rows = []
    with stored(embeddings, exact_below=1) as (index, space):
        for kind, asked in queries.items():
            recalls = [_recall(index, space, query) for query in asked]
            jobs = {
                "graph": partial(_search, index, space, asked[0]),
                "every": partial(_search, index, space, asked[0], True),
            }
            times = race(jobs, [("graph", "every")], QUICK if quick else FULL)
            share = f"{np.mean(recalls):.4f} ± {np.std(recalls) / len(recalls) ** 0.5:.4f}"
            rows.append([kind, share, f"{min(recalls):.2f}", *(number(times.milliseconds(job)) for job in jobs)])
    notes = [
        f"{len(embeddings):,} embeddings of {NETWORK}: random square crops of {len(pictures)} photographs; "
        f"{len(pictures)} queries of each kind, {K} hits. A region is a random box of a photograph. Recall: the share "
        "of the hits of comparing every row that the graph finds too."
    ]
    columns = ["query", f"recall at {K}", "worst query", "graph, ms", "every row, ms"]
    return [Table("What a graph misses", columns, rows, notes)]


def _network() -> EmbeddingNetwork:
    network = model_zoo.load(NETWORK)
    try:
        return with_engine(network, "openvino")
    except SimvisError:
        return network


def _embedded(network: EmbeddingNetwork, pictures: list[Path], crops: int) -> np.ndarray:
    found, waiting = [], []
    for view in _crops(network, pictures, crops):
        waiting.append(view)
        if len(waiting) == BATCH:
            found.append(network.embed(torch.stack(waiting)))
            waiting = []
    if waiting:
        found.append(network.embed(torch.stack(waiting)))
    return torch.cat(found).float().numpy()


def _crops(network: EmbeddingNetwork, pictures: list[Path], crops: int) -> Iterator[torch.Tensor]:
    chance = np.random.default_rng(0)
    for file in pictures:
        image: Image.Image = open_picture(file)
        for _ in range(crops):
            side = int(min(image.size) * chance.uniform(LEAST, 1))
            left, top = (int(chance.integers(0, whole - side + 1)) for whole in image.size)
            yield network.view(image.crop((left, top, left + side, top + side)), 224).pixels


def _queries(network: EmbeddingNetwork, pictures: list[Path]) -> dict[str, list[np.ndarray]]:
    chance, whole, regions = np.random.default_rng(1), [], []
    for file in pictures:
        view = network.view(open_picture(file), 224)
        split: Decomposition = network.decompose(view.pixels)
        width, height = chance.uniform(0.15, 0.6, 2)
        box = Box(chance.uniform(0, 1 - width), chance.uniform(0, 1 - height), width, height)
        whole.append(split.embedding.float().numpy())
        regions.append(regions_query(split, [box], view.size).float().numpy())
    return {"whole picture": whole, "region": regions}


def _recall(index: EdgeIndex, space: Space, query: np.ndarray) -> float:
    near, every = (_search(index, space, query, exact) for exact in (False, True))
    return len(near & every) / len(every)


def _search(index: EdgeIndex, space: Space, query: np.ndarray, exact: bool = False) -> set[str]:
    return {hit.row.id for hit in index.search(space, query, K, exact=exact)}
