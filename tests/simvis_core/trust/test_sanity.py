"""Checks without ground truth: rank correlations against SciPy, random weights layer by layer, shifts undone."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers.question import Interim
from simvis_core.explainers.table import draw_map
from simvis_core.trust import sanity
from simvis_core.trust.sanity import (
    SHIFTS,
    agreement,
    agreement_matrix,
    coarsened,
    randomisation,
    randomisation_steps,
    randomised,
    rank_correlation,
    stability,
    stability_steps,
)
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.drawings import TALL, WIDE, network, noise, question, view

# Rank correlation


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=6, max_size=6))
def test_the_rank_correlation_is_scipys_with_ties(pairs):
    one, other = (torch.tensor(column, dtype=torch.float64).reshape(2, 3) / 3 for column in zip(*pairs, strict=True))
    found = rank_correlation(one, other)
    if one.unique().numel() == 1 or other.unique().numel() == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(one.flatten(), other.flatten()).statistic, abs=1e-12)


@pytest.mark.parametrize("grids", [((4, 6), (4, 6)), ((2, 3), (8, 5)), ((7, 2), (3, 9)), ((1, 4), (5, 1))], ids=str)
def test_maps_of_two_grids_are_compared_at_the_finer_one(grids):
    one, other = noise(grids[0], 1), noise(grids[1], 2)
    finer = tuple(max(sides) for sides in zip(*grids, strict=True))
    large = [references.bilinear(map.numpy(), finer).round(9).flatten() for map in (one, other)]
    found = rank_correlation(one, other)
    assert found == pytest.approx(spearmanr(*large).statistic, abs=1e-9)
    assert found == rank_correlation(other, one)


def test_only_the_order_counts():
    map = noise(WIDE)
    assert rank_correlation(map, map) == pytest.approx(1)
    assert rank_correlation(map, (5 * map + 3).exp()) == pytest.approx(1)
    assert rank_correlation(map, -map.float()) == pytest.approx(-1)
    assert abs(rank_correlation(map, noise(WIDE, 1))) < 0.15


@pytest.mark.parametrize("value", [0.0, 1 / 3, -0.1])
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (7, 7), (7, 11)], ids=str)
def test_a_constant_map_agrees_with_nothing(value, grid):
    """Also where enlarging it leaves its last digit to the place."""
    constant = torch.full(grid, value, dtype=torch.float64)
    for other in (noise((48, 33)), noise((2, 3)), constant):
        assert rank_correlation(constant, other) is None
        assert rank_correlation(other, constant) is None


# Agreement


def test_the_table_of_agreement_is_symmetric_and_its_diagonal_is_1():
    maps = {"a": noise((2, 3)), "b": noise((4, 6), 1), "c": noise((56, 84), 2), "even": torch.full((3, 4), 1 / 3)}
    table, matrix = agreement(maps), agreement_matrix(maps)
    assert list(table) == list(maps)
    for row, one in enumerate(maps):
        for column, other in enumerate(maps):
            assert table[one][other] == table[other][one]
            wanted = math.nan if table[one][other] is None else table[one][other]
            assert float(matrix[row, column]) == pytest.approx(wanted, nan_ok=True)
            if "even" in (one, other):
                assert table[one][other] is None
            elif one == other:
                assert table[one][one] == pytest.approx(1)
    assert table["a"]["b"] == pytest.approx(rank_correlation(maps["a"], maps["b"]))
    means = torch.tensor(
        [[maps["c"][2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(42)] for r in range(28)]
    )
    assert table["b"]["c"] == pytest.approx(rank_correlation(maps["b"], means.double()), abs=1e-9)


@pytest.mark.parametrize("size", [(56, 84), (84, 56), (112, 112)], ids=str)
def test_a_map_of_pixels_is_averaged_to_cells(size):
    map = noise(size)
    found, step = coarsened(map), min(size) // 28
    assert min(found.shape) == 28
    for row, column in ((0, 0), (3, 17), (found.shape[0] - 1, found.shape[1] - 1)):
        block = map[row * step : (row + 1) * step, column * step : (column + 1) * step]
        assert float(found[row, column]) == pytest.approx(float(block.mean()))
    assert float(found.mean()) == pytest.approx(float(map.mean()))


def test_a_coarse_map_stays_as_it_is():
    for size in ((2, 3), (28, 40), (28, 1000)):
        assert torch.equal(coarsened(noise(size)), noise(size))
    assert coarsened(noise((8, 12)), 2).shape == (2, 3)
    assert coarsened(noise((90, 30)), 1).shape == (3, 1)


# Random weights


def layered():
    """Four layers with weights, one of them a norm with statistics, and some without."""
    torch.manual_seed(5)
    backbone = nn.Sequential(
        nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.Sequential(nn.Conv2d(6, 6, 2, 2), nn.Tanh())
    )
    nn.init.uniform_(backbone[1].running_mean, -1, 1)
    nn.init.normal_(backbone[1].weight)
    return EmbeddingNetwork(backbone, "avg", nn.Linear(6, 5), drawings.SMALL, name="layered")


ORDER = ["backbone.0", "backbone.1", "backbone.3.0", "head"]


def weights(made):
    return {f"backbone.{k}": v.clone() for k, v in made.backbone.state_dict().items()} | {
        f"head.{k}": v.clone() for k, v in made.head.state_dict().items()
    }


def changed(one, other):
    """The layers in which any number differs."""
    before, after = weights(one), weights(other)
    assert before.keys() == after.keys()
    keys = [key for key, value in before.items() if not torch.equal(value, after[key])]
    return [layer for layer in ORDER if any(key.startswith(f"{layer}.") for key in keys)]


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_the_last_share_of_the_layers_is_drawn_anew_and_the_original_is_left_alone(share, count):
    made = layered()
    before = weights(made)
    other = randomised(made, share, 1)
    assert changed(made, other) == ORDER[-count:]
    assert all(torch.equal(v, before[k]) for k, v in weights(made).items())
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(other.backbone[1], name), getattr(made.backbone[1], name))
    assert (other.pooling, other.preprocess, other.name) == (made.pooling, made.preprocess, made.name)
    assert not other.backbone.training
    pixels = view(dtype=torch.float32).pixels[None]
    assert not torch.allclose(other.embed(pixels), made.embed(pixels), atol=1e-3)


def test_another_seed_draws_other_weights():
    made = layered()
    first, again, other = (randomised(made, 1.0, seed) for seed in (3, 3, 4))
    assert changed(first, again) == []
    assert changed(first, other) == ORDER


def test_weights_keep_their_mean_and_spread():
    torch.manual_seed(0)
    wide = EmbeddingNetwork(nn.Conv2d(3, 600, 8, 8), "avg", None, drawings.SMALL)
    nn.init.normal_(wide.backbone.weight, 0.7, 3)
    found, weight = (made.backbone.weight.detach() for made in (randomised(wide, 1.0), wide))
    assert float(found.mean()) == pytest.approx(float(weight.mean()), abs=0.05)
    assert float(found.std()) == pytest.approx(float(weight.std()), abs=0.05)
    assert abs(np.corrcoef(found.flatten(), weight.flatten())[0, 1]) < 0.02


def test_a_layer_of_one_number_keeps_it_and_half_precision_stays():
    backbone = nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.PReLU()).to(torch.float16)
    found = randomised(EmbeddingNetwork(backbone, "avg", None, drawings.SMALL), 1.0).backbone
    assert torch.equal(found[1].weight, backbone[1].weight)
    assert found[0].weight.dtype == torch.float16
    assert bool(found[0].weight.isfinite().all())
    assert not torch.equal(found[0].weight, backbone[0].weight)


def test_the_copy_is_another_network():
    """Its fingerprint, which caches go by, is its own, and what the original remembers of noise is not."""
    made = layered()
    made.fingerprint  # noqa: B018  (kept from now on)
    made.width()
    other = randomised(made, 1.0)
    assert other.fingerprint != made.fingerprint
    assert other._probes == {}
    other.width()
    assert all(not torch.equal(other._probes[size].features, made._probes[size].features) for size in made._probes)


def test_a_network_without_weights_and_an_engine_without_gradients_are_refused():
    plain = EmbeddingNetwork(nn.AvgPool2d(8), "avg", None, drawings.SMALL, name="plain")
    with pytest.raises(SimvisError, match="Got plain, which has no weights; wanted a trained network: choose another"):
        randomised(plain, 0.5)
    made = copy.copy(layered())
    for engine, refused in (("openvino", True), ("onnx", True), ("channels_last", False), ("eager", False)):
        made.engine = engine
        if refused:
            with pytest.raises(SimvisError, match=f"layered under the engine '{engine}', through which no gradient"):
                randomised(made, 0.5)
            with pytest.raises(SimvisError, match="no gradient flows"):
                list(randomisation("decomposition", made, view(dtype=torch.float32), view(TALL, 3, torch.float32)))
        else:
            randomised(made, 0.5)


# Randomisation


def test_each_stage_is_the_correlation_with_the_map_under_those_weights():
    """The whole of it again: both embeddings, both maps and their correlation, for each share."""
    made, seen, other = layered(), view(dtype=torch.float32), view(TALL, 3, torch.float32)
    before = weights(made)

    def map_under(shaken):
        query = shaken.embed(other.pixels[None])[0]
        bias = shaken.decompose(other.pixels).bias
        return draw_map("decomposition", shaken, seen, query, query_bias=bias).map

    found = list(randomisation("decomposition", made, seen, other, seed=7))
    assert [one.share for one in found] == [0.25, 0.5, 0.75, 1]
    for stage, one in enumerate(found, 1):
        wanted = rank_correlation(map_under(made), map_under(randomised(made, stage / 4, 7 + stage)))
        assert one.correlation == pytest.approx(wanted, abs=1e-9)
    assert min(one.correlation for one in found) < 0.9
    assert all(torch.equal(v, before[k]) for k, v in weights(made).items())
    assert found == list(randomisation("decomposition", made, seen, other, seed=7))
    assert len(list(randomisation("decomposition", made, seen, other, stages=2))) == 2


@pytest.mark.parametrize("explainer", ["centre", "random"])
def test_what_ignores_the_network_stays_the_same(explainer):
    found = list(randomisation(explainer, layered(), view(dtype=torch.float32), view(TALL, 3, torch.float32)))
    assert [one.correlation for one in found] == pytest.approx([1] * 4)


def test_a_map_without_an_order_has_no_correlation():
    class Even(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4))

        def forward(self, pixels):
            return self.weight[None, :, None, None].expand(len(pixels), 4, 2, 3)

    made = EmbeddingNetwork(Even(), "avg", None, drawings.SMALL)
    found = list(randomisation("decomposition", made, view(dtype=torch.float32), view(TALL, 3, torch.float32)))
    assert [one.correlation for one in found] == [None] * 4
    asked = question(made, view(dtype=torch.float32))
    assert stability(asked, "decomposition") is None


# Shifts


class Pixelwise(nn.Module):
    """Every pixel is a cell of its own colour: moves with the picture, exactly."""

    def forward(self, pixels):
        return torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)


@pytest.mark.parametrize("size", [(24, 40), (40, 24), (48, 48)], ids=str)
def test_a_map_that_moves_with_the_picture_is_stable(size):
    """On noise, where a map moved back the wrong way would agree with nothing."""
    values = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    shown = drawings.SMALL.view(Image.fromarray(values), min(size))
    made = EmbeddingNetwork(Pixelwise(), "avg", None, drawings.SMALL)
    asked = question(made, replace(shown, pixels=shown.pixels.double()))
    assert stability(asked, "decomposition") > (0.999 if max(size) < 48 else 0.9)


@pytest.mark.parametrize("size", [(24, 40), (40, 24)], ids=str)
def test_a_map_that_stays_where_it_is_is_not(size):
    """The same noise for every picture: what was under it has moved by a pixel."""
    asked = question(network(), view(size))
    fine = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    original, sanity._map = sanity._map, lambda *_: at_once(fine)
    try:
        assert abs(stability(asked, "decomposition")) < 0.2
    finally:
        sanity._map = original
    assert 0.5 < stability(asked, "centre") < 1


def at_once(map):
    """A drawing of one step."""
    yield Interim(1, 1)
    return map


def test_checks_give_way_at_every_step_of_a_drawing():
    """Others take their turns between steps: none of them may be a whole check."""
    made, seen, other = layered(), view(dtype=torch.float32), view(TALL, 3, torch.float32)
    steps = list(randomisation_steps("sbsm", made, seen, other, stages=2))
    drawings_of = [step for step in steps if isinstance(step, Interim)]
    assert len(drawings_of) >= 3
    assert [step for step in steps if not isinstance(step, Interim)] == randomisation(
        "sbsm", made, seen, other, stages=2
    )
    asked = question(network(), view())
    shifted = stability_steps(asked, "decomposition")
    assert sum(isinstance(step, Interim) for step in shifted) == 5


@pytest.mark.parametrize("size", [(24, 40), (80, 56)], ids=str)
def test_the_shifted_questions_by_a_loop(size, monkeypatch):
    """4 % of the short side, each way, the edge repeated; the query and all else as it was, but not what was known."""
    asked = question(network(), view(size), known=True)
    seen = []
    monkeypatch.setattr(
        sanity, "_map", lambda explainer, other, seed: at_once(seen.append((explainer, other, seed)) or noise((2, 3)))
    )
    assert stability(asked, "lime", 5) == pytest.approx(1, abs=0.3)
    by = round(0.04 * min(size))
    assert by == min(size) // 24
    assert len(seen) == 1 + len(SHIFTS) == 5
    assert seen[0][1] is asked
    for (explainer, other, seed), (down, across) in zip(seen[1:], ((0, by), (0, -by), (by, 0), (-by, 0)), strict=True):
        assert (explainer, seed) == ("lime", 5)
        assert other.known is None
        assert torch.equal(other.query, asked.query)
        slow = torch.zeros_like(asked.view.pixels)
        for row, column in np.ndindex(*size):
            source = min(max(row - down, 0), size[0] - 1), min(max(column - across, 0), size[1] - 1)
            slow[:, row, column] = asked.view.pixels[:, source[0], source[1]]
        assert torch.equal(other.view.pixels, slow)
        # Explainers that look at the picture itself (superpixels) see it moved as well.
        shown = drawings.SMALL.view(other.view.picture(max(size)), min(size))
        assert float((shown.pixels.double() - slow).abs().max()) < 0.05
        assert float((other.activations.features - asked.network.features(slow[None])[0]).abs().max()) < 1e-9
