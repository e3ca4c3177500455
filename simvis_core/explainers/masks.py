"""Maps of networks whose score cannot be split: hide parts of a picture and see what becomes of its embedding."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition, Method
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork

WINDOW = 2 / 7  # of the short side: 32 of 112 pixels (Plummer 2020)
RISE_MASKS, RISE_CELLS, RISE_SHOWN = 2000, 8, 0.5  # Petsiuk 2018, as Plummer 2020 uses it
BATCH_PIXELS = 16 * 224 * 224  # of one batch of masked pictures: 10 MB, and what two cores are kept busy by
MAX_MASKS = 20_000

MasksDone = tuple[int, int]  # masked pictures done, and in all
Drawing = Generator[MasksDone, None, Decomposition]


@dataclass(frozen=True)
class MaskedMethod:
    """One row of MASKED: how a pair's maps are drawn by masks, for all queries at once.

    ``draw`` takes a network, pixels (3, h, w), the whole embedding (D,) and the maps' grid, and gives the steps of a
    `Decomposition`. ``passes`` is about how many pictures are run for one, ``waits`` how long that takes in a word,
    ``says`` what the map is in a sentence or two, ``parameters`` what a manifest tells, so that it can be made again.
    """

    draw: Callable[[EmbeddingNetwork, Tensor, Tensor, tuple[int, int]], Drawing]
    passes: int
    waits: str
    says: str
    parameters: Mapping[str, object]


class Masks(NamedTuple):
    """Masks over a picture in 0..1 (1 is shown, 0 is hidden), and how much each says about each cell.

    The cells' estimate is the mean of the masked embeddings weighted by ``weights``.
    """

    shown: Float[Tensor, "N h w"]
    weights: Float[Tensor, "N H W"]


def sliding_windows(
    size: tuple[int, int], grid: tuple[int, int], side: int | None = None, step: int | None = None
) -> tuple[int, Iterator[Masks]]:
    """How many, and in batches: windows that hide ``side`` cells of a grid, ``step`` cells apart.

    Without them, ``WINDOW`` of the short side, half a window apart. They reach over the edges, so that a cell at the
    edge is hidden as often as one in the middle; windows are whole cells, so that what is hidden and what is drawn lie
    on each other exactly. The weight is what is hidden.

    >>> from simvis_core.explainers.masks import sliding_windows
    >>> count, batches = sliding_windows((32, 48), grid=(4, 6), side=2, step=1)
    >>> masks = next(batches)
    >>> count, masks.shown.shape, masks.weights.shape
    (35, torch.Size([35, 32, 48]), torch.Size([35, 4, 6]))
    """
    side = max(1, round(WINDOW * min(grid))) if side is None else side
    step = max(1, round(side / 2)) if step is None else step
    rows, columns = (range(step - side, cells, step) for cells in grid)
    corners = [(row, column) for row in rows for column in columns]
    hidden = torch.zeros(len(corners), *grid)
    for mask, (row, column) in zip(hidden, corners, strict=True):
        mask[max(row, 0) : row + side, max(column, 0) : column + side] = 1
    return len(corners), (Masks(1 - _blocks(part, size), part) for part in hidden.split(batch_of(size)))


def rise_masks(
    size: tuple[int, int],
    grid: tuple[int, int],
    count: int = RISE_MASKS,
    seed: int = 0,
    cells: int = RISE_CELLS,
    chance: float = RISE_SHOWN,
) -> tuple[int, Iterator[Masks]]:
    """How many, and in batches: random coarse masks, enlarged bilinearly and shifted at random (Petsiuk 2018, RISE).

    ``cells`` of them on the short side, each shown with a ``chance``; the same seed gives the same masks.
    The weight is what is shown of the cell.

    Raises SimvisError for a count outside 1..20000.

    >>> from simvis_core.explainers.masks import rise_masks
    >>> count, batches = rise_masks((32, 48), grid=(4, 6), count=10)
    >>> masks = next(batches)
    >>> count, masks.shown.shape, masks.weights.shape
    (10, torch.Size([10, 32, 48]), torch.Size([10, 4, 6]))
    """
    check_count(count)
    return count, _rise_batches(size, grid, count, torch.Generator().manual_seed(seed), min(size) / cells, chance)


def check_count(count: int) -> None:
    """Raises SimvisError for a number of masks outside 1..20000.

    >>> from simvis_core.explainers.masks import check_count
    >>> check_count(2000)
    >>> check_count(0)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 0 masks; wanted 1 to 20000: choose a number in that range.
    """
    if not 1 <= count <= MAX_MASKS:
        raise SimvisError(f"{count} masks", f"1 to {MAX_MASKS}", "choose a number in that range")


def _rise_batches(
    size: tuple[int, int], grid: tuple[int, int], count: int, generator: torch.Generator, cell: float, chance: float
) -> Iterator[Masks]:
    coarse = [math.ceil(side / cell) for side in size]
    for number in torch.arange(count).split(batch_of(size)):
        shown = (torch.rand(len(number), 1, coarse[0] + 1, coarse[1] + 1, generator=generator) < chance).float()
        large = torch.nn.functional.interpolate(
            shown, size=[math.ceil((cells + 1) * cell) for cells in coarse], mode="bilinear", align_corners=False
        )[:, 0]
        shifts = (torch.rand(len(number), 2, generator=generator) * cell).long().tolist()
        masks = torch.stack(
            [mask[top : top + size[0], left : left + size[1]] for mask, (top, left) in zip(large, shifts, strict=True)]
        )
        yield Masks(masks, torch.nn.functional.adaptive_avg_pool2d(masks[:, None], grid)[:, 0])


def weighted_embeddings(
    network: EmbeddingNetwork, pixels: Float[Tensor, "3 h w"], count: int, batches: Iterator[Masks]
) -> Generator[MasksDone, None, tuple[Tensor, Tensor]]:
    """For each cell the mean embedding of the masked pictures, weighted by the masks (H, W, D); and the plain mean.

    What is hidden takes the mean colour of the network's training pictures (0 after preprocessing). Yields how far it
    is after each batch, so that a caller can show it, do something else meanwhile, or stop.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.masks import rise_masks, weighted_embeddings
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8))
    >>> masks = rise_masks((32, 48), (4, 6), count=10)
    >>> cells, mean = run(weighted_embeddings(net, torch.rand(3, 32, 48), *masks))
    >>> cells.shape, mean.shape
    (torch.Size([4, 6, 5]), torch.Size([5]))
    """
    nothing = torch.zeros((), dtype=torch.float64)
    done, total, sums, weights = 0, nothing, nothing, nothing
    yield done, count
    for masks in batches:
        embeddings = network.embed(pixels * masks.shown[:, None]).cpu().double()
        total = total + embeddings.sum(0)
        sums = sums + torch.einsum("nhw,nd->hwd", masks.weights.double(), embeddings)
        weights = weights + masks.weights.double().sum(0)
        done += len(embeddings)
        yield done, count
    return sums / weights.clamp(min=1e-12)[:, :, None], total / done


def _by_sliding_window(network: EmbeddingNetwork, pixels: Tensor, whole: Tensor, grid: tuple[int, int]) -> Drawing:
    """A cell is what the embedding loses, on average, while a window over the cell is hidden (Zeiler 2014)."""
    means, _ = yield from weighted_embeddings(network, pixels, *sliding_windows(_size(pixels), grid))
    return _estimate(whole, whole - means, "sliding window")


def _by_rise(network: EmbeddingNetwork, pixels: Tensor, whole: Tensor, grid: tuple[int, int]) -> Drawing:
    """A cell is how the mean embedding differs while the cell is shown (Petsiuk 2018, eq. 6, less the plain mean)."""
    means, mean = yield from weighted_embeddings(network, pixels, *rise_masks(_size(pixels), grid))
    return _estimate(whole, means - mean, "RISE")


def draw(
    network: EmbeddingNetwork, pixels: Float[Tensor, "3 h w"], activations: Activations, method: Method
) -> Drawing:
    """A black box's `Decomposition` as a method of MASKED estimates it; runs the network once for each mask.

    Its cells are in units of the score like any other's, but they are no shares: they need not add up to the
    embedding, and ``bias`` holds what they leave over. A generator: it yields (done, all) and returns the result.

    Raises SimvisError for a method that is not in MASKED.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.masks import draw
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pixels = torch.rand(3, 32, 48)
    >>> drawn = run(draw(net, pixels, net.activations(pixels[None]).one(), "sliding window"))
    >>> drawn.grid, drawn.method, drawn.verdict
    ((4, 6), 'sliding window', 'black box')
    """
    if method not in MASKED:
        raise SimvisError(f"method '{method}'", f"one of {', '.join(MASKED)}", "choose one of these")
    whole = network.unsplit(activations, (1, 1)).embedding.cpu().double()
    decomposition = yield from MASKED[method].draw(network, pixels, whole, map_grid(network, pixels, activations))
    return decomposition


def map_grid(network: EmbeddingNetwork, pixels: Float[Tensor, "3 h w"], activations: Activations) -> tuple[int, int]:
    """The grid of a black box's maps: that of its features, or cells of its stride where it has none.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.masks import map_grid
    >>> net, pixels = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8)), torch.rand(3, 32, 48)
    >>> map_grid(net, pixels, net.activations(pixels[None]).one())
    (4, 6)
    """
    rows, columns = activations.features.shape[-2:]
    if rows * columns > 1:
        return rows, columns
    height, width = _size(pixels)
    return max(1, height // network.preprocess.stride), max(1, width // network.preprocess.stride)


def batch_of(size: tuple[int, int]) -> int:
    """How many masked pictures of a size are run at once.

    >>> from simvis_core.explainers.masks import batch_of
    >>> batch_of((224, 224)), batch_of((448, 448))
    (16, 4)
    """
    return max(1, BATCH_PIXELS // (size[0] * size[1]))


def _estimate(whole: Tensor, cells: Tensor, method: Method) -> Decomposition:
    single = cells.float()
    return Decomposition(single, whole.float() - single.sum((0, 1)), "black box", method)


def _blocks(cells: Float[Tensor, "N H W"], size: tuple[int, int]) -> Float[Tensor, "N h w"]:
    return torch.nn.functional.interpolate(cells[:, None], size=size, mode="nearest-exact")[:, 0]


def _size(pixels: Tensor) -> tuple[int, int]:
    return pixels.shape[-2], pixels.shape[-1]


MASKED: dict[Method, MaskedMethod] = {
    "sliding window": MaskedMethod(
        _by_sliding_window,
        100,  # half a window apart, over 7 x 10 cells
        "seconds",
        "Map by a sliding window: how much the score falls while a window around the place is hidden. "
        "These falls need not add up to the score.",
        {"window": WINDOW, "step": WINDOW / 2, "of": "short side", "fill": "training mean"},
    ),
    "RISE": MaskedMethod(
        _by_rise,
        RISE_MASKS,
        "minutes",
        "Map by RISE: how much higher the score is, on average, while the place is shown among random masks. "
        "These differences need not add up to the score.",
        {"masks": RISE_MASKS, "cells": RISE_CELLS, "shown": RISE_SHOWN, "seed": 0, "fill": "training mean"},
    ),
}
