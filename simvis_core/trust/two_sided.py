"""Is a joint map faithful? Parts of both pictures are hidden together, and its sums are held against the scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.masks import batch_of
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.fills import filled
from simvis_core.pictures.views import View

BLOCKS_A_SIDE = 4  # on the short side of a view: what is hidden or kept as a whole
KEPT_SHARES = (0.25, 0.5, 0.75)  # of a picture's blocks
MASKS_A_SIDE = 30  # of each picture, as many of each share; crossed they are 900 double masks
NO_SPREAD = 1e-12  # of scores that are alike whatever is hidden

Grid = tuple[int, int]


class BlockParts(NamedTuple):
    """An embedding as a sum over blocks of the view: ``blocks.sum(0) + bias``; or a score, with D = 1."""

    blocks: Float[Tensor, "K D"]
    bias: Float[Tensor, " D"]


class TwoSided(NamedTuple):
    """How much of the scores' variance a joint map predicts (R^2); 1 is all, and below 0 it is worse than their mean.

    ``raw`` as it stands, ``raw_renormalised`` with both masked sums made unit vectors again as the network does;
    ``fitted`` and ``fitted_renormalised`` after a scale and an offset that other masks gave. None where there is
    nothing to predict, and for maps that have no vectors to renormalise.
    """

    raw: float | None
    fitted: float | None
    raw_renormalised: float | None = None
    fitted_renormalised: float | None = None


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a pair scores with parts of both pictures hidden; every mask of one goes with every mask of the other.

    ``kept_a`` (2 M, K_a) and ``kept_b`` (2 M, K_b) say which blocks are shown. The first M masks of each side are for
    fitting, the last M for testing: ``fit`` and ``test`` (M, M) are the scores.
    """

    grid_a: Grid
    grid_b: Grid
    kept_a: Bool[Tensor, "N K"]
    kept_b: Bool[Tensor, "N K2"]
    fit: Float[Tensor, "M M"]
    test: Float[Tensor, "M M"]


def block_grid(size: tuple[int, int], a_side: int = BLOCKS_A_SIDE) -> Grid:
    """Rows and columns of blocks of a view (h, w), about square.

    >>> from simvis_core.trust.two_sided import block_grid
    >>> block_grid((224, 320)), block_grid((320, 224)), block_grid((3, 9))
    ((4, 6), (6, 4), (3, 9))
    """
    short = min(*size, a_side)
    rows, columns = (max(1, round(short * side / min(size))) for side in size)
    return min(rows, size[0]), min(columns, size[1])


def block_weights(blocks: Grid, grid: Grid) -> Float[Tensor, "K H W"]:
    """For each block the share of each cell's area that lies in it; over all blocks they sum to 1.

    >>> from simvis_core.trust.two_sided import block_weights
    >>> block_weights((1, 2), (1, 3))
    tensor([[[1.0000, 0.5000, 0.0000]],
    <BLANKLINE>
            [[0.0000, 0.5000, 1.0000]]], dtype=torch.float64)
    """
    down, across = (_shares(several, cells) for several, cells in zip(blocks, grid, strict=True))
    return torch.einsum("rh,cw->rchw", down, across).flatten(0, 1)


def _shares(blocks: int, cells: int) -> Float[Tensor, "blocks cells"]:
    """Share of each cell's length in each block; columns sum to 1."""
    starts, edges = torch.arange(cells, dtype=torch.float64), torch.arange(blocks + 1, dtype=torch.float64)
    ends = edges * cells / blocks
    overlap = torch.minimum(ends[1:, None], starts + 1) - torch.maximum(ends[:-1, None], starts)
    return overlap.clamp(min=0)


def parts_of(made: Decomposition, blocks: Grid) -> BlockParts:
    """A decomposition summed over blocks: a region query for each, and the rest of the embedding as the bias.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.trust.two_sided import parts_of
    >>> parts_of(Decomposition(torch.ones(2, 4, 3) / 8, torch.zeros(3)), (1, 2)).blocks
    tensor([[0.5000, 0.5000, 0.5000],
            [0.5000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    found = torch.stack([made.region_query(weights).cpu().double() for weights in block_weights(blocks, made.grid)])
    return BlockParts(found, made.embedding.cpu().double() - found.sum(0))


def parts_of_map(map: Float[Tensor, "H W"], score: float, blocks: Grid) -> BlockParts:
    """A one-sided map summed over blocks; what it leaves out of the score is its bias, whichever map it is.

    >>> import torch
    >>> from simvis_core.trust.two_sided import parts_of_map
    >>> [part.flatten().tolist() for part in parts_of_map(torch.tensor([[0.25, 0.5]]), 1.0, (1, 2))]
    [[0.25, 0.5], [0.25]]
    """
    found = (block_weights(blocks, (map.shape[0], map.shape[1])) * map.double()).sum((1, 2))
    return BlockParts(found[:, None], (score - found.sum())[None])


def mean_of_parts(parts: Sequence[BlockParts], weights: Sequence[float]) -> BlockParts:
    """The weighted mean of several splits of one embedding; weights that sum to 1 leave it what it is.

    >>> import torch
    >>> from simvis_core.trust.two_sided import BlockParts, mean_of_parts
    >>> one, other = torch.ones(1), torch.zeros(1)
    >>> mean_of_parts([BlockParts(one.expand(2, 1), other), BlockParts(other.expand(2, 1), one)], [0.5, 0.5])
    BlockParts(blocks=tensor([[0.5000],
            [0.5000]]), bias=tensor([0.5000]))
    """
    pairs = list(zip(parts, weights, strict=True))
    return BlockParts(
        torch.stack([weight * part.blocks for part, weight in pairs]).sum(0),
        torch.stack([weight * part.bias for part, weight in pairs]).sum(0),
    )


def hidden_scores(
    network: EmbeddingNetwork,
    view_a: View,
    view_b: View,
    fill: str = "blur",
    seed: int = 0,
    masks: int = MASKS_A_SIDE,
    a_side: int = BLOCKS_A_SIDE,
) -> Hidden:
    """Runs twice ``masks`` masked pictures of each side, a quarter, a half and three quarters of the blocks shown.

    A score needs no more than the two embeddings, so every masked picture of one side meets every one of the other.
    Source: the evaluation of FIxLIP (Baniecki 2025), which hides parts of both inputs. Raises SimvisError for fewer
    than 3 masks, and for an unknown fill.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.trust.two_sided import hidden_scores
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> a, b = (net.view(Image.linear_gradient("L").resize(size)) for size in ((60, 40), (40, 40)))
    >>> found = hidden_scores(net, a, b, masks=3)
    >>> found.kept_a.shape, found.grid_b, found.test.shape
    (torch.Size([6, 24]), (4, 4), torch.Size([3, 3]))
    """
    if masks < len(KEPT_SHARES):
        raise SimvisError(f"{masks} masks", f"{len(KEPT_SHARES)} or more", "take 30")
    generator = torch.Generator().manual_seed(seed)
    grids = [block_grid(view.size, a_side) for view in (view_a, view_b)]
    kept = [torch.cat([_drawn_masks(grid, masks, generator) for _ in range(2)]) for grid in grids]
    seen = [
        _embedded(network, view, grid, shown, fill)
        for view, grid, shown in zip((view_a, view_b), grids, kept, strict=True)
    ]
    fit, test = (a @ b.T for a, b in zip(*(one.split(masks) for one in seen), strict=True))
    return Hidden(grids[0], grids[1], kept[0], kept[1], fit, test)


def _drawn_masks(grid: Grid, masks: int, generator: torch.Generator) -> Bool[Tensor, "masks K"]:
    """As many masks of each share of blocks, the shares in turn."""
    blocks = grid[0] * grid[1]
    order = torch.stack([torch.randperm(blocks, generator=generator) for _ in range(masks)])
    counts = torch.tensor([round(KEPT_SHARES[at % len(KEPT_SHARES)] * blocks) for at in range(masks)])
    return order < counts[:, None]


def _embedded(
    network: EmbeddingNetwork, view: View, grid: Grid, kept: Bool[Tensor, "N K"], fill: str
) -> Float[Tensor, "N D"]:
    rows, columns = (torch.arange(side) * several // side for side, several in zip(view.size, grid, strict=True))
    shown = kept.unflatten(1, grid)[:, rows][:, :, columns]
    pixels, background = view.pixels, filled(view.pixels, fill, network.preprocess)
    found = [network.embed(torch.where(some[:, None], pixels, background)) for some in shown.split(batch_of(view.size))]
    return torch.cat(found).cpu().double()


def two_sided(a: BlockParts, b: BlockParts, hidden: Hidden, scale: float = 1.0) -> TwoSided:
    """What the sum over shown blocks of both sides predicts of the scores: (sum m_a E_a + b_a) . (sum m_b E_b + b_b).

    For two one-sided maps (`parts_of_map`) it is their outer product, with ``scale`` 1 / score: for an embedding of one
    number that is the joint map itself. There is nothing to renormalise then.

    >>> import torch
    >>> from simvis_core.trust.two_sided import Hidden, BlockParts, two_sided
    >>> kept = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
    >>> part = BlockParts(torch.tensor([[0.25], [0.5]]).double(), torch.tensor([0.25]).double())
    >>> sums = kept.double() @ part.blocks[:, 0] + 0.25
    >>> scores = torch.outer(sums, sums)
    >>> hidden = Hidden((1, 2), (1, 2), kept, kept, scores[:2, :2], scores[2:, 2:])
    >>> two_sided(part, part, hidden)
    TwoSided(raw=1.0, fitted=1.0, raw_renormalised=None, fitted_renormalised=None)
    """
    sums = [part.bias + kept.double() @ part.blocks for part, kept in ((a, hidden.kept_a), (b, hidden.kept_b))]
    raw, fitted = _explained([scale * one for one in sums[:1]] + sums[1:], hidden)
    if a.blocks.shape[1] == 1:
        return TwoSided(raw, fitted)
    return TwoSided(raw, fitted, *_explained([one / one.norm(dim=1, keepdim=True) for one in sums], hidden))


def _explained(sums: Sequence[Tensor], hidden: Hidden) -> tuple[float | None, float | None]:
    masks = len(hidden.fit)
    fit, test = (sums[0][some] @ sums[1][some].T for some in (slice(masks), slice(masks, None)))
    spread = fit - fit.mean()
    scale = (spread * hidden.fit).sum() / spread.square().sum() if bool(spread.abs().max() > NO_SPREAD) else 0.0
    fitted = hidden.fit.mean() + scale * (test - fit.mean())
    return r_squared(test, hidden.test), r_squared(fitted, hidden.test)


def r_squared(predicted: Float[Tensor, "..."], found: Float[Tensor, "..."]) -> float | None:
    """The share of the variance of what was found that is predicted; None where everything found is alike.

    >>> import torch
    >>> from simvis_core.trust.two_sided import r_squared
    >>> r_squared(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])), r_squared(torch.ones(2), torch.ones(2))
    (1.0, None)
    """
    total = (found - found.mean()).square().sum()
    if float(total) <= NO_SPREAD**2 * found.numel():
        return None
    value = float(1 - (found - predicted).square().sum() / total)
    return value if math.isfinite(value) else None
