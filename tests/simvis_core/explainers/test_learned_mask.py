"""The learned mask: the same descent by a loop with gradients by differences, and what it must find."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers.learned_mask import mask
from simvis_core.pictures.fills import BLUR, blurred
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.drawings import TALL, WIDE, drawn, finished, network, plain_view, question, recording, view

sizes = pytest.mark.parametrize("size", [WIDE, TALL], ids=str)
NUMBERS = {"cells": 2, "steps": 4, "rate": 0.15, "sparse": 0.02, "smooth": 0.3, "power": 3.0}
GRID = {WIDE: (2, 3), TALL: (3, 2)}


def slow_blur(pixels):
    sigma = BLUR * min(pixels.shape[1:])
    reach = int(np.ceil(3 * sigma))
    at = lambda channel, place: references.gaussian_at(channel, *place, sigma, reach)
    return np.array([[[at(c, (i, j)) for j in range(pixels.shape[2])] for i in range(pixels.shape[1])] for c in pixels])


@cache
def corners(grid, size):
    """Each cell's mask enlarged alone: enlarging is linear."""
    return {
        place: references.bilinear(np.eye(1, np.prod(grid), at).reshape(grid), size)
        for at, place in enumerate(np.ndindex(*grid))
    }


def mixed(shown, pixels, blur):
    large = sum(shown[place] * corner for place, corner in corners(shown.shape, pixels.shape[1:]).items())
    return torch.from_numpy(pixels.numpy() * large + blur * (1 - large))


def cost(shown, numbers):
    """Fong & Vedaldi 2017, eq. 4, without its jitter."""
    sparse = numbers["sparse"] * np.mean(np.abs(1 - shown))
    return sparse + numbers["smooth"] * references.total_variation(shown, numbers["power"])


@sizes
@pytest.mark.parametrize("setting", ["fixed", "pair"])
def test_the_descent_is_adam_on_the_papers_cost(size, setting):
    asked = question(network(), view(size), reference=view(size[::-1], 3))
    views = [asked.view, asked.reference] if setting == "pair" else [asked.view]
    blurs = [slow_blur(one.pixels) for one in views]
    grids = [GRID[one.size] for one in views]
    embed = lambda shown, at: asked.network.embed(mixed(shown, views[at].pixels, blurs[at])[None])[0].clone()

    def loss(flat):
        first = flat[: grids[0][0] * grids[0][1]].reshape(grids[0]).numpy()
        second = flat[first.size :].reshape(grids[-1]).numpy() if setting == "pair" else None
        other = asked.query if second is None else embed(second, 1)
        extra = 0 if second is None else cost(second, NUMBERS)
        return float(embed(first, 0) @ other) + cost(first, NUMBERS) + extra

    slope = lambda flat: references.gradient_by_differences(loss, torch.from_numpy(flat))
    start = np.ones(sum(rows * columns for rows, columns in grids))
    slow = references.adam(slope, start, NUMBERS["steps"], NUMBERS["rate"], lambda moved: moved.clip(0, 1))
    expected = 1 - slow[: grids[0][0] * grids[0][1]].reshape(grids[0])
    found = drawn(mask, asked, setting=setting, **NUMBERS)
    assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-4)
    assert np.ptp(expected) > (0.05 if setting == "fixed" else 0.01)


@pytest.mark.parametrize(("size", "cells", "grid"), [(WIDE, 8, (8, 12)), (TALL, 3, (4, 3)), ((16, 64), 1, (1, 4))])
def test_cells_are_counted_on_the_short_side(size, cells, grid):
    found = drawn(mask, question(network(), view(size)), cells=cells, steps=2)
    assert found.shape == grid
    assert found.min() >= 0
    assert found.max() <= 1


def test_it_blurs_the_one_block_that_counts_and_nothing_else():
    block = (16, 32, 24, 40)  # top, left, bottom, right: rows 4 and 5, columns 8 and 9 of cells of 4 pixels
    made = EmbeddingNetwork(drawings.OneBlock(block), "own", None, drawings.SMALL)
    spread = torch.tensor([0.0] * 3 + [1] * 3 + [0] * 3, dtype=torch.float64)  # which a blur takes away
    found = drawn(mask, replace(question(made, view((32, 48))), query=spread), cells=8, steps=80, sparse=0.5)
    assert found.shape == (8, 12)
    within, around = found[4:6, 8:10], found.clone()
    around[4:6, 8:10] = 0
    assert float(within.min()) > 0.8
    assert float(around.mean()) < 0.1
    around[3:7, 7:11] = 0  # a cell reaches half way over its neighbours
    assert float(around.max()) < 0.1


def test_more_weight_on_sparseness_blurs_less():
    asked = question(network())
    little, much = (float(drawn(mask, asked, steps=40, sparse=sparse).mean()) for sparse in (0.01, 3.0))
    assert much < little / 2
    assert little > 0.05


def test_more_weight_on_smoothness_makes_it_smoother():
    asked = question(network())
    variations = [
        references.total_variation(drawn(mask, asked, steps=40, smooth=smooth).numpy(), 3) for smooth in (0.0, 20.0)
    ]
    assert variations[1] < variations[0] / 2


def test_a_picture_compared_with_itself_stays_as_it_is():
    """Its score is the greatest there is: no direction takes it down, and blurring costs."""
    asked = question(network())
    assert float(drawn(mask, replace(asked, query=asked.embedding), steps=5).abs().max()) == 0


def test_the_score_falls():
    asked = question(network())
    found = drawn(mask, asked, cells=3, steps=60)
    blur = blurred(asked.view.pixels, BLUR * 16).numpy()
    picture = mixed((1 - found).numpy(), asked.view.pixels, blur)
    assert float(asked.scores(picture[None])[0]) < asked.score - 0.05


def test_steps_are_told_and_every_tenth_shows_its_map():
    map, told = finished(mask(question(network()), cells=2, steps=23))
    assert [step.done for step in told] == list(range(1, 24))
    assert {step.total for step in told} == {23}
    assert [step.done for step in told if step.map is not None] == [10, 20, 23]
    assert torch.equal(told[-1].map, map)
    assert not torch.equal(told[9].map, map)  # an interim is left alone by later steps


def test_the_pair_setting_masks_both_and_costs_twice():
    asked = question(network(), reference=view(TALL, 3))
    asked = replace(asked, query=asked.network.embed(asked.reference.pixels[None])[0])
    maps = {}
    for setting, passes in (("fixed", 12), ("pair", 24)):
        made, shown = recording(asked.network)
        maps[setting], told = finished(mask(replace(asked, network=made), setting=setting, steps=12))
        assert sum(map(len, shown.seen)) == told[-1].done == told[-1].total == passes
        assert all(not seen.is_inference() for seen in shown.seen)
    assert not torch.allclose(maps["fixed"], maps["pair"], atol=1e-4)


def test_the_same_map_for_every_seed_and_nothing_left_behind():
    asked = question(network())
    pixels = asked.view.pixels.clone()
    first = drawn(mask, asked, cells=3, steps=5)
    assert torch.equal(drawn(mask, asked, cells=3, steps=5, seed=9), first)
    with torch.no_grad():
        assert torch.equal(drawn(mask, asked, cells=3, steps=5), first)
    assert torch.equal(asked.view.pixels, pixels)
    assert all(parameter.grad is None for parameter in asked.network.backbone.parameters())
    assert not first.requires_grad


def test_queries_made_by_the_network_and_other_precisions():
    asked = question(network())
    inference = asked.network.embed(view(seed=4).pixels[None])[0]
    assert drawn(mask, replace(asked, query=inference), steps=3).isfinite().all()
    single = replace(question(network(dtype=torch.float32), view(dtype=torch.float32)), query=inference.float())
    assert drawn(mask, single, steps=3).dtype == torch.float32
    assert drawn(mask, replace(single, network=asked.network), steps=3).isfinite().all()
    assert drawn(mask, replace(asked, network=single.network), steps=3).isfinite().all()


@pytest.mark.parametrize("shown", [plain_view(), view((8, 8)), plain_view((8, 8)), view((8, 32))])
def test_blank_pictures_and_single_cells(shown):
    """A blur changes nothing in a blank picture: nothing pulls at the mask."""
    found = drawn(mask, question(network(), shown), steps=5)
    assert found.isfinite().all()
    if not shown.pixels.any():
        assert float(found.abs().max()) == 0


def test_one_cell_has_no_variation():
    assert drawn(mask, question(network(), view((8, 8))), cells=1, steps=5).shape == (1, 1)


def test_an_engine_without_gradients_and_a_missing_reference_are_refused():
    made = copy.copy(network())
    made.engine = "openvino"
    with pytest.raises(SimvisError, match=r"Got small network under the engine 'openvino', through which no gradient"):
        drawn(mask, question(made))
    with pytest.raises(SimvisError, match=r"Got 'mask' in the pair setting, for a query without a picture; wanted a"):
        drawn(mask, question(network()), setting="pair")


def test_the_mask_of_a_network_with_a_kink_at_zero_is_no_number():
    """Never NaN in silence: `drawing` refuses it, see test_explainers.py; the loop itself must end."""

    class Kink(nn.Module):
        def forward(self, pixels):
            return nn.functional.avg_pool2d((pixels * 0).sqrt() + pixels, 8)

    made = EmbeddingNetwork(Kink(), "avg", None, drawings.SMALL)
    assert not drawn(mask, question(made), cells=2, steps=3).isfinite().all()
