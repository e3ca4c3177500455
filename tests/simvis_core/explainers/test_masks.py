"""Maps by masks: against slow loops from the papers, and the laws that any of them holds (MATHS.md, law 15)."""

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core import Activations, EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.explainers import masks as perturbation
from simvis_core.explainers.masks import MASKED, draw, map_grid, rise_masks, sliding_windows
from simvis_core.pairs.explain import explain_by
from simvis_core.steps import run
from tests import references
from tests.simvis_core.cases import BLACK_BOXES

every_method = pytest.mark.parametrize("method", MASKED)
SMALL = Preprocess((0.5,) * 3, (0.25,) * 3, short_side=16, stride=4)


class Blocks(nn.Module):
    """Mean colours of 4 x 4 blocks, squashed: a network whose every feature belongs to one place."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, pixels):
        return nn.functional.avg_pool2d(pixels, 4) * self.scale + 2


@pytest.fixture
def network():
    """A black box: its head takes the product of neighbouring features."""
    return EmbeddingNetwork(Blocks(), "flatten", BLACK_BOXES["square"](0), SMALL, name="blocks")


@pytest.fixture
def view():
    return torch.randn(3, 12, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(network, view, method):
    return run(draw(network, view, network.activations(view[None]).one(), method))


def test_a_window_hides_as_often_at_the_edge_as_in_the_middle():
    for grid in ((7, 11), (14, 14), (3, 4), (1, 5)):
        count, batches = sliding_windows((grid[0] * 4, grid[1] * 4), grid)
        hidden = torch.cat([masks.weights for masks in batches])
        assert len(hidden) == count
        side = max(1, round(2 / 7 * min(grid)))
        if side <= 2 or side % 2 == 0:
            assert hidden.sum(0).unique().numel() == 1
        assert (hidden.sum(0) > 0).all()


def test_what_is_hidden_and_what_is_drawn_lie_on_each_other():
    _, batches = sliding_windows((12, 20), (3, 5))
    for masks in batches:
        shares = nn.functional.adaptive_avg_pool2d(1 - masks.shown[:, None], (3, 5))[:, 0]
        assert torch.equal(shares, masks.weights)


def test_the_sliding_window_is_the_mean_loss_over_the_windows_on_a_cell(network, view):
    grid, side = (3, 5), 1
    windows = [(r * 4, c * 4, (r + side) * 4, (c + side) * 4) for r in range(grid[0]) for c in range(grid[1])]
    embed = lambda pixels: network.embed(pixels[None])[0].tolist()
    slow = np.array(references.hidden_window_losses(embed, view, windows)).reshape(*grid, -1)
    found = drawn(network, view, "sliding window")
    assert np.allclose(found.cells.double().numpy(), slow, atol=1e-6)


def test_overlapping_windows_are_averaged(network):
    """8 x 8 cells take windows of 2 x 2 cells, one cell apart: four on each cell."""
    view = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    corners = [(r, c) for r in range(-1, 8) for c in range(-1, 8)]
    windows = [(r * 4, c * 4, (r + 2) * 4, (c + 2) * 4) for r, c in corners]
    embed = lambda pixels: network.embed(pixels[None])[0].tolist()
    losses = np.array(references.hidden_window_losses(embed, view, windows))
    slow = [
        [
            losses[[i for i, (r, c) in enumerate(corners) if r <= y <= r + 1 and c <= x <= c + 1]].mean(0)
            for x in range(8)
        ]
        for y in range(8)
    ]
    assert np.allclose(drawn(network, view, "sliding window").cells.double().numpy(), np.array(slow), atol=1e-6)


def test_rise_is_the_papers_map_less_the_plain_mean(network, view, monkeypatch):
    monkeypatch.setattr(perturbation, "RISE_MASKS", 30)
    monkeypatch.setattr(perturbation, "rise_masks", lambda size, grid: rise_masks(size, grid, 30))
    query = network.embed(torch.randn(1, 3, 12, 20, dtype=torch.float64))[0]
    masks = torch.cat([masks.shown for masks in rise_masks((12, 20), (12, 20), 30)[1]]).double()
    score = lambda pixels: float(network.embed(pixels[None])[0] @ query)
    slow = references.rise_map(score, view, masks) - np.mean([score(view * mask) for mask in masks])
    # A cell's weight is the mean of the mask over it, so the map at pixel cells is the paper's.
    whole = network.embed(view[None])[0]
    found = run(MASKED["RISE"].draw(network, view, whole, (12, 20)))
    assert np.allclose(found.similarity_map(query.float()).double().numpy(), slow, atol=1e-5)


def test_masks_that_show_everything_change_nothing(network, view):
    shown = perturbation.Masks(torch.ones(4, 12, 20), torch.ones(4, 3, 5))
    means, mean = run(perturbation.weighted_embeddings(network, view, 4, iter([shown])))
    whole = network.embed(view[None])[0]
    assert torch.allclose(means, whole.expand(3, 5, -1))
    assert torch.allclose(mean, whole)


@every_method
def test_the_map_peaks_on_the_one_block_that_counts(method):
    class OneBlock(nn.Module):
        """Sees rows 4-8, columns 12-16, and nothing else."""

        def forward(self, pixels):
            block = pixels[:, :, 4:8, 12:16].mean((2, 3))
            return torch.cat([block, torch.ones_like(block)], 1)

    network = EmbeddingNetwork(OneBlock(), "own", None, SMALL)
    view = torch.full((3, 16, 20), 3.0)
    found = drawn(network, view, method)
    map = found.similarity_map(network.embed(view[None])[0])
    assert found.grid == (4, 5)
    assert found.method == method
    assert divmod(int(map.argmax()), 5) == (1, 3)
    if method == "sliding window":
        others = map.clone()
        others[1, 3] = 0
        assert map[1, 3] > 0.1
        assert others.abs().max() < 1e-6


@every_method
def test_the_same_map_twice(network, view, method):
    assert torch.equal(drawn(network, view, method).cells, drawn(network, view, method).cells)


def test_another_seed_gives_other_masks():
    one, other = (next(rise_masks((8, 12), (2, 3), 5, seed)[1]).shown for seed in (0, 1))
    assert one.shape == (5, 8, 12)
    assert not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1


@every_method
def test_what_the_estimate_leaves_over_is_the_bias(network, view, method):
    found = drawn(network, view, method)
    assert found.verdict == "black box"
    assert torch.allclose(found.embedding.double(), network.embed(view[None])[0], atol=1e-5)


@every_method
def test_progress_counts_masks_and_ends_at_all_of_them(network, two_pictures, method):
    steps = []
    pair = explain_pair(network, *two_pictures, framing="square", method=method, progress=lambda *at: steps.append(at))
    assert pair.method == method
    assert not pair.additive
    done, counts = zip(*steps, strict=True)
    assert len(set(counts)) == 1
    assert done[0] == 0
    assert done[-1] == counts[0]
    assert list(done) == sorted(done)


def test_a_drawing_can_be_left_at_any_step(network, two_pictures):
    pair = explain_pair(network, *two_pictures, framing="square")
    steps = explain_by(pair, "RISE")
    assert next(steps)[0] == 0
    assert next(steps)[0] > 0
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_a_network_without_a_grid_gets_cells_of_its_stride():
    network = EmbeddingNetwork(nn.Flatten(), "own", None, SMALL)
    pixels = torch.randn(3, 16, 20)
    activations = network.activations(pixels[None]).one()
    assert activations.features.shape == (3 * 16 * 20, 1, 1)
    assert map_grid(network, pixels, activations) == (4, 5)
    assert map_grid(network, pixels, Activations(torch.zeros(2, 3, 7))) == (3, 7)


def test_unknown_methods_and_impossible_counts_are_refused(network, view):
    activations = network.activations(view[None]).one()
    with pytest.raises(
        SimvisError, match=r"Got method 'none'; wanted one of sliding window, RISE: choose one of these."
    ):
        run(draw(network, view, activations, "none"))
    for count in (0, -1, 20_001):
        with pytest.raises(SimvisError, match=rf"Got {count} masks; wanted 1 to 20000"):
            rise_masks((8, 8), (2, 2), count)
