"""Hiding parts of both pictures: exact where the network is a sum, slow loops beside, and what is drawn how often."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from torch import nn

from simvis_core import Decomposition, EmbeddingNetwork, SimvisError
from simvis_core.pictures.fills import FILLS, filled
from simvis_core.trust.two_sided import (
    KEPT_SHARES,
    BlockParts,
    Hidden,
    block_grid,
    block_weights,
    hidden_scores,
    mean_of_parts,
    parts_of,
    parts_of_map,
    r_squared,
    two_sided,
)
from tests.simvis_core import drawings
from tests.simvis_core.drawings import TALL, WIDE, network, noise, view


def hidden(net=None, fill="mean", seed=3, masks=6, a_side=2):
    return hidden_scores(net or network(), view(WIDE), view(TALL, 4), fill, seed, masks, a_side)


def some_parts(blocks, width, seed):
    return BlockParts(noise((blocks, width), seed), noise((width,), seed + 1))


@pytest.mark.parametrize(
    ("size", "a_side", "grid"),
    [((224, 320), 4, (4, 6)), ((64, 64), 7, (7, 7)), ((3, 9), 4, (3, 9)), ((2, 100), 1, (1, 50))],
)
def test_blocks_are_about_square_and_no_smaller_than_a_pixel(size, a_side, grid):
    assert block_grid(size, a_side) == grid


@pytest.mark.parametrize(("blocks", "grid"), [((2, 3), (4, 6)), ((2, 2), (5, 7)), ((3, 4), (2, 3)), ((1, 1), (3, 2))])
def test_every_cell_lies_in_blocks_as_its_area_does(blocks, grid):
    weights = block_weights(blocks, grid)
    assert weights.shape == (blocks[0] * blocks[1], *grid)
    assert torch.allclose(weights.sum(0), torch.ones(grid).double())
    fine = 60  # pixels a cell: a count of pixels instead of an overlap
    for block in range(len(weights)):
        row, column = divmod(block, blocks[1])
        for cell in np.ndindex(*grid):
            inside = [
                np.mean([int((at + 0.5) / (grid[axis] * fine) * blocks[axis]) == place
                         for at in range(cell[axis] * fine, (cell[axis] + 1) * fine)])
                for axis, place in ((0, row), (1, column))
            ]  # fmt: skip
            assert float(weights[block][cell]) == pytest.approx(inside[0] * inside[1], abs=2 / fine)


def test_parts_sum_to_the_embedding_and_a_maps_to_the_score():
    made = network().decompose(view().pixels)
    parts = parts_of(made, (2, 2))
    assert torch.allclose(parts.blocks.sum(0) + parts.bias, made.embedding, atol=1e-12)
    assert torch.allclose(parts.bias, made.bias, atol=1e-12)
    assert torch.allclose(parts_of(made, (2, 3)).blocks.unflatten(0, (2, 3)), made.cells, atol=1e-12)
    map = noise((4, 6))
    one = parts_of_map(map, 0.75, (2, 3))
    assert float(one.blocks.sum() + one.bias) == pytest.approx(0.75)
    assert float(one.blocks[4]) == pytest.approx(float(map[2:, 2:4].sum()))


def test_a_mean_of_splits_is_a_split():
    one, other = some_parts(4, 5, 1), some_parts(4, 5, 7)
    other = BlockParts(other.blocks, one.blocks.sum(0) + one.bias - other.blocks.sum(0))
    made = mean_of_parts([one, other], [0.25, 0.75])
    assert torch.allclose(made.blocks.sum(0) + made.bias, one.blocks.sum(0) + one.bias)
    assert torch.allclose(made.blocks, 0.25 * one.blocks + 0.75 * other.blocks)


@pytest.mark.parametrize("fill", FILLS)
def test_the_scores_are_those_of_pictures_built_block_by_block(fill):
    net, found = network(), hidden(fill=fill)
    views, grids, kept = (view(WIDE), view(TALL, 4)), (found.grid_a, found.grid_b), (found.kept_a, found.kept_b)
    assert grids == ((2, 3), (3, 2))
    seen = []
    for one, grid, masks in zip(views, grids, kept, strict=True):
        background, pictures = filled(one.pixels, fill, net.preprocess), []
        for mask in masks:
            picture = one.pixels.clone()
            for row, column in np.ndindex(*one.size):
                block = row * grid[0] // one.size[0] * grid[1] + column * grid[1] // one.size[1]
                if not mask[block]:
                    picture[:, row, column] = background[:, row, column]
            pictures.append(net.embed(picture[None])[0])
        seen.append(torch.stack(pictures))
    assert torch.allclose(found.fit, seen[0][:6] @ seen[1][:6].T, atol=1e-12)
    assert torch.allclose(found.test, seen[0][6:] @ seen[1][6:].T, atol=1e-12)


def test_masks_show_a_quarter_a_half_and_three_quarters_of_the_blocks_and_differ():
    found = hidden(masks=9, a_side=4)
    for kept, grid in ((found.kept_a, found.grid_a), (found.kept_b, found.grid_b)):
        blocks = grid[0] * grid[1]
        assert kept.sum(1).tolist() == [round(share * blocks) for share in KEPT_SHARES] * 6
        assert len({tuple(row.tolist()) for row in kept}) == len(kept)
    assert torch.equal(hidden(masks=9, a_side=4).kept_a, found.kept_a)
    assert not torch.equal(hidden(masks=9, a_side=4, seed=4).kept_a, found.kept_a)
    with pytest.raises(SimvisError, match="Got 2 masks; wanted 3 or more: take 30"):
        hidden(masks=2)


def test_a_network_that_is_a_sum_is_predicted_whole_once_renormalised():
    """A bias-free convolution under average pooling, with the mean colour as nothing: the check that can fail."""
    torch.manual_seed(2)
    net = EmbeddingNetwork(nn.Conv2d(3, 6, 8, 8, bias=False).double(), "avg", None, drawings.SMALL)
    found = hidden(net)
    parts = [parts_of(net.decompose(one.pixels), grid) for one, grid in
             ((view(WIDE), found.grid_a), (view(TALL, 4), found.grid_b))]  # fmt: skip
    made = two_sided(*parts, found)
    assert made.raw_renormalised == pytest.approx(1, abs=1e-9)
    assert made.fitted_renormalised == pytest.approx(1, abs=1e-9)
    assert made.raw < 0.99  # as it stands, the hidden parts' length is missing
    wrong = [parts[0]._replace(blocks=parts[0].blocks.flip(0)), parts[1]]
    assert two_sided(*wrong, found).fitted_renormalised < 0.9
    blurred = hidden(net, "blur")
    assert two_sided(*parts, blurred).raw_renormalised < 1 - 1e-6


def test_fitting_takes_a_scale_and_an_offset_from_other_masks_and_no_more():
    a, b, found = some_parts(6, 5, 1), some_parts(6, 5, 3), hidden()
    sums = [part.bias + kept.double() @ part.blocks for part, kept in ((a, found.kept_a), (b, found.kept_b))]
    fit, test = (sums[0][some] @ sums[1][some].T for some in (slice(6), slice(6, None)))
    line = LinearRegression().fit(fit.flatten()[:, None].numpy(), found.fit.flatten().numpy())
    due = r2_score(found.test.flatten().numpy(), line.predict(test.flatten()[:, None].numpy()))
    made = two_sided(a, b, found)
    assert made.fitted == pytest.approx(due)
    assert made.raw == pytest.approx(r2_score(found.test.flatten().numpy(), test.flatten().numpy()))
    scaled = two_sided(a, b, replace(found, fit=3 * found.fit - 2, test=3 * found.test - 2))
    assert scaled.fitted == pytest.approx(made.fitted)
    assert scaled.raw != pytest.approx(made.raw)
    other = two_sided(a, b, replace(found, fit=found.fit.flip(0)))
    assert other.raw == made.raw
    assert other.fitted != pytest.approx(made.fitted)


def test_the_outer_product_of_two_maps_of_one_number_is_the_joint_map():
    """Embeddings of one number: the maps are E e_b and E e_a, and their product over the score is E E."""
    parts = [some_parts(6, 1, seed) for seed in (1, 5)]
    ends = [float(part.blocks.sum() + part.bias) for part in parts]
    score = ends[0] * ends[1]
    outer = [
        parts_of_map(part.blocks.reshape(grid) * end, score, grid)
        for part, end, grid in zip(parts, ends[::-1], ((2, 3), (3, 2)), strict=True)
    ]
    found = hidden()
    joint, product = two_sided(*parts, found), two_sided(*outer, found, 1 / score)
    assert product.raw == pytest.approx(joint.raw)
    assert product.fitted == pytest.approx(joint.fitted)
    assert product.raw_renormalised is product.fitted_renormalised is None


def test_where_nothing_is_to_be_predicted_or_nothing_is_said_there_is_no_wrong_number():
    kept = torch.tensor([[True, False], [False, True]]).repeat(2, 1)
    level = torch.full((2, 2), 0.3, dtype=torch.float64)
    flat = Hidden((1, 2), (1, 2), kept, kept, level, level)
    part = some_parts(2, 1, 1)
    assert two_sided(part, part, flat) == (None, None, None, None)
    nothing = BlockParts(torch.zeros(2, 1).double(), torch.ones(1).double())
    moved = Hidden((1, 2), (1, 2), kept, kept, noise((2, 2)), noise((2, 2), 1))
    assert two_sided(nothing, nothing, moved).fitted == pytest.approx(
        r_squared(moved.fit.mean().expand(2, 2), moved.test)
    )
    still = Decomposition(torch.zeros(1, 2, 3).double(), torch.tensor([0.0, 0.6, 0.8]).double())
    assert two_sided(parts_of(still, (1, 2)), parts_of(still, (1, 2)), moved).raw_renormalised is not None
