"""Which scores are explained: pairs of drawn rooms, pairs of a folder, and searches within one."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.rooms import OBJECTS, PlantedPair, different_pair, planted_pair, same_pair
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.listing import listed
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.pairing import drawn_pairs
from simvis_core.pictures.views import Framing

ROOMS = "rooms"
Picture = Callable[[], Image.Image]


@dataclass(frozen=True)
class Case:
    """One score to explain: a picture, the others it is compared with, and what is known of them.

    The query is the mean of the others' embeddings: one other is a pair, several are a search's hits. ``same`` says
    whether they are of one class; ``mask`` gives the pixels of the picture that make them alike, where that is known.
    """

    name: str
    kind: str
    picture: Picture
    others: tuple[Picture, ...]
    same: bool
    mask: Callable[[], Bool[np.ndarray, "h w"]] | None = None


def room_cases(count: int, seed: int = 0) -> list[Case]:
    """Drawn rooms: ``count`` pairs with one object in common, as many of one identity, as many with nothing in common.

    The objects take turns. Their pixels are known, so that a map can be located.

    >>> from simvis_core.evaluation.cases import room_cases
    >>> [case.name for case in room_cases(2)]
    ['planted 0', 'planted 1', 'same 0', 'same 1', 'different 0', 'different 1']
    """
    kinds: dict[str, Callable[[int], PlantedPair]] = {
        "planted": lambda at: planted_pair(OBJECTS[at % len(OBJECTS)], seed + at),
        "same": lambda at: same_pair(seed + at, seed + at),
        "different": lambda at: different_pair(seed + at),
    }
    return [_room_case(kind, at, partial(draw, at)) for kind, draw in kinds.items() for at in range(count)]


def _room_case(kind: str, at: int, draw: Callable[[], PlantedPair]) -> Case:
    pair = lru_cache(maxsize=1)(draw)

    def picture() -> Image.Image:
        return pair().a.image

    def mask() -> Bool[np.ndarray, "h w"]:
        found = pair().a.mask(*pair().shared)
        pair.cache_clear()  # asked for last: a long run must not keep every room
        return found

    return Case(
        f"{kind} {at}",
        kind,
        picture,
        (lambda: pair().b.image,),
        kind != "different",
        None if kind == "different" else mask,
    )


def folder_cases(source: str | Path, count: int, seed: int = 0, limits: Limits = OWNERS) -> list[Case]:
    """``count`` random pairs of one class and as many of two, from class folders or a CSV; fewer where there are fewer.

    Raises SimvisError as `listed` does, and for pictures among which no two have one label.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.evaluation.cases import folder_cases
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("owl/1.png", "owl/2.png", "jay/3.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     [case.kind for case in folder_cases(folder, count=1)]
    ...
    ['same', 'different']
    """
    pictures = {file: label for file, label in listed(source).pictures.items() if label}
    same, different = drawn_pairs(pictures, count, random.Random(seed))  # noqa: S311  (a draw of pairs keeps no secret)
    if not same:
        raise SimvisError(
            f"'{source}' without two pictures of one class", "class folders or a CSV with labels", "label some pictures"
        )
    root = os.path.commonpath(list(pictures))
    return [
        Case(
            f"{os.path.relpath(a, root)} | {os.path.relpath(b, root)}",
            kind,
            partial(_opened, a, limits),
            (partial(_opened, b, limits),),
            kind == "same",
        )
        for kind, pairs in (("same", same), ("different", different))
        for a, b in pairs
    ]


def retrieval_cases(
    source: str | Path,
    network: EmbeddingNetwork,
    count: int,
    hits: int,
    view: "ViewAsked",
    seed: int = 0,
    limits: Limits = OWNERS,
) -> list[Case]:
    """``count`` random pictures, each with its ``hits`` nearest others under the network; runs each picture once.

    Raises SimvisError as `listed` does, and for fewer pictures than hits.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.cases import ViewAsked, retrieval_cases
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for colour in ("orange", "red", "blue"):
    ...         Image.new("RGB", (40, 40), colour).save(f"{folder}/{colour}.png")
    ...     [(case.kind, len(case.others)) for case in retrieval_cases(folder, net, count=1, hits=2, view=ViewAsked())]
    ...
    [('search, 2 hits', 2)]
    """
    files = list(listed(source).pictures)
    if not 1 <= hits < len(files):
        raise SimvisError(f"{hits} hits among {len(files)} pictures", f"1 to {len(files) - 1}", "choose fewer")
    embeddings = torch.stack([embedded(network, _opened(file, limits), view) for file in files])
    chosen = random.Random(seed).sample(range(len(files)), min(count, len(files)))  # noqa: S311
    root = os.path.commonpath(files)
    return [
        Case(
            os.path.relpath(files[at], root),
            f"search, {hits} hits",
            partial(_opened, files[at], limits),
            tuple(partial(_opened, files[hit], limits) for hit in _nearest(embeddings, at, hits)),
            True,
        )
        for at in chosen
    ]


def _opened(file: str, limits: Limits) -> Image.Image:
    """The picture; a refusal names the file."""
    try:
        return open_picture(file, limits=limits)
    except SimvisError as error:
        raise SimvisError(f"{error.got} in '{os.path.basename(file)}'", error.wanted, error.cure) from error


def _nearest(embeddings: Tensor, at: int, hits: int) -> list[int]:
    scores = embeddings @ embeddings[at]
    scores[at] = -torch.inf
    return scores.topk(hits).indices.tolist()


class ViewAsked(NamedTuple):
    """How every network sees the pictures: the short side of its views, None for its own, and their framing."""

    short_side: int | None = None
    framing: Framing = "whole"


def embedded(network: EmbeddingNetwork, image: Image.Image, seen: ViewAsked) -> Tensor:
    """The picture's unit embedding (D,), seen as asked. Raises SimvisError for a picture the view cannot take.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.evaluation.cases import ViewAsked, embedded
    >>> embedded(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), Image.new("RGB", (60, 40)), ViewAsked(short_side=64)).shape
    torch.Size([4])
    """
    return network.embed(network.view(image, seen.short_side, seen.framing).pixels[None])[0].cpu().double()
