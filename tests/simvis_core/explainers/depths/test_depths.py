"""Maps at depths as explainers: sums, shares, weights; which layers are a network's depths; how many pictures run."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import model_zoo
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.explainers.depths.combined import finer_shares, mean_over_depths, spread_over
from simvis_core.explainers.depths.ladder import deepened, ladder, layer_at
from simvis_core.explainers.depths.layer_maps import LayerMap, layer_map, passes_at, split_at
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import draw_map
from simvis_core.networks.depth import path
from simvis_core.networks.depth.behind import Behind
from simvis_core.pictures.fills import filled
from tests.simvis_core import drawings
from tests.simvis_core.networks.depth import tiny


def asked(name="convolutional", seed=1, pixels=None):
    net, pixels = tiny.network(name), tiny.pictures()[0] if pixels is None else pixels
    query = torch.randn(net.embed(pixels[None]).shape[1], generator=torch.Generator().manual_seed(seed)).double()
    view = replace(drawings.view((pixels.shape[1], pixels.shape[2])), pixels=pixels)
    return Question(net, view, query)


def part(values, sizes=None, **left):
    return LayerMap("a layer", torch.tensor(values, dtype=torch.float64), left, 1)


def noise(rows, columns, seed=0):
    return LayerMap("noise", drawings.noise((rows, columns), seed), {"offsets": 0.1 * seed})


def test_a_networks_depths_go_from_its_last_features_to_the_pixels():
    layers = [nn.Conv2d(3, 4, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1), nn.AvgPool2d(2), nn.Tanh()]
    deep = EmbeddingNetwork(nn.Sequential(*layers), preprocess=Preprocess(short_side=16, stride=8))
    assert ladder(deep) == ("features", "3", "1", "pixels")  # the last of each grid: 2, 4 and 8 cells


def test_a_transformer_has_depths_by_quarters_and_a_class_token_none_at_the_end():
    layers = ladder(tiny.network("tokens"))
    inside = [cut.layer for cut in tiny.network("tokens").cuts if cut.layer != "pixels"]
    assert layers[-1] == "pixels"
    assert layers[0] == inside[round(0.75 * (len(inside) - 1))] != inside[-1]
    assert [inside.index(layer) for layer in layers[:-1]] == sorted(map(inside.index, layers[:-1]), reverse=True)


@pytest.mark.slow
def test_depths_of_the_bundled_network_are_the_stages_before_each_halving():
    net = model_zoo.load("efficientnet_lite0")
    assert ladder(net)[:4] == ("features", "network.blocks.4", "network.blocks.2", "network.blocks.1")


@pytest.mark.parametrize("depth", [-1, 3])
def test_a_depth_that_there_is_not_is_refused(depth):
    one = EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 4, 8, 8)))
    match = rf"Got depth {depth} of your network; wanted 0 \(the last\) to 2 \(the pixels\): choose one of its depths"
    with pytest.raises(SimvisError, match=match):
        layer_at(one, depth)


def test_what_a_layer_was_proved_for_is_kept_by_name_and_a_picture_is_not():
    net = tiny.network("convolutional")
    assert deepened(net, "2", "path", "blur") is deepened(net, "2", "path", "blur")
    assert deepened(net, "2", "path", "blur") is not deepened(net, "2", "path", "mean")
    assert deepened(net, "2", "path", "blur") is not deepened(net, "2", "frozen", "blur")
    assert deepened(net.with_pooling("max"), "2", "path", "blur").pooling.name == "max"
    picture = torch.zeros(3, *tiny.SIZE_A, dtype=torch.float64)
    assert deepened(net, "2", "path", [picture]) is not deepened(net, "2", "path", [picture])


@pytest.mark.parametrize("rule", ["path", "frozen"])
@pytest.mark.parametrize("name", ["convolutional", "tokens", "convolutional, gem"])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_depths_map_and_what_it_leaves_out_sum_to_the_score(name, rule, depth):
    question = asked(name)
    found = layer_map(question, depth, rule, "blur", steps=6)
    assert float(found.map.sum()) + found.bias == pytest.approx(question.score, abs=1e-9)
    made = split_at(question, depth, rule, "blur", steps=6)
    assert torch.allclose(found.map, made.similarity_map(question.query), atol=1e-9)
    for kind, value in made.bias_parts.items():
        assert found.left.get(kind, 0.0) == pytest.approx(float(value @ question.query), abs=1e-9)


def test_a_paths_parts_are_the_references_score_and_a_remainder_that_steps_make_small():
    question = asked("gated")
    few, many = (layer_map(question, 1, steps=steps) for steps in (1, 32))
    blurred = filled(question.view.pixels, "blur", tiny.PREPROCESS)
    for found in (few, many):
        assert found.left["reference"] == pytest.approx(float(question.scores(blurred[None])[0]), abs=1e-9)
    assert abs(many.left["remainder"]) < abs(few.left["remainder"]) / 50


def test_maps_from_several_references_are_averaged():
    question = asked("gated")
    both, *single = (layer_map(question, 1, reference=one, steps=4) for one in (["blur", "grey"], "blur", "grey"))
    assert torch.allclose(both.map, (single[0].map + single[1].map) / 2, atol=1e-12)


@pytest.mark.parametrize("reference", ["blur", ["blur", "grey"]])
@pytest.mark.parametrize("steps", [3, 8])
def test_passes_are_the_picture_its_references_and_the_points_whose_gradients_are_taken(monkeypatch, reference, steps):
    question, ran = asked("gated"), []
    question.embedding  # noqa: B018  (the question's own pass, which it may know)
    deepened(question.network, layer_at(question.network, 1), "path", "blur")  # proved before
    layer_map(question, 1, reference="blur", steps=steps)
    for name in ("whole", "front", "run"):
        plain = getattr(Behind, name)

        def counted(self, given, *args, plain=plain, name=name):
            ran.append((name, len(given), given.requires_grad))
            return plain(self, given, *args)

        monkeypatch.setattr(Behind, name, counted)
    monkeypatch.setattr("simvis_core.networks.network.check_cut", lambda *args: None)
    found = layer_map(question, 1, reference=reference, steps=steps)
    pictures = sum(count for name, count, graded in ran if name != "run" or graded)
    assert pictures == found.passes == passes_at(question, 1, "path", reference, steps)


# Together


@pytest.mark.parametrize("scale", [1.0, -3.0])
def test_a_mean_weighs_by_sizes_and_sums_to_the_score_less_the_mean_bias(scale):
    parts = [noise(2, 3, 1), noise(4, 6, 2), noise(7, 9, 3)]
    parts = [replace(one, map=scale * one.map, left={"offsets": scale * one.bias}) for one in parts]
    made = mean_over_depths(parts)
    assert sum(made.weights) == pytest.approx(1)
    sizes = [weight * one.sizes for weight, one in zip(made.weights, parts, strict=True)]
    assert sizes == pytest.approx([sizes[0]] * 3)
    assert made.map.shape == (7, 9)
    due = sum(weight * float(one.map.sum()) for weight, one in zip(made.weights, parts, strict=True))
    assert float(made.map.sum()) == pytest.approx(due)
    assert made.bias == pytest.approx(sum(w * one.bias for w, one in zip(made.weights, parts, strict=True)))
    assert made.parts == tuple(parts)


def test_maps_of_nothing_have_no_scale():
    nothing, some = part([[0.0, 0.0]]), part([[1.0, -2.0]], offsets=0.5)
    assert mean_over_depths([nothing, some]).weights == (0.0, 1.0)
    assert torch.equal(mean_over_depths([nothing, some]).map, some.map)
    assert mean_over_depths([nothing, nothing]).weights == (0.5, 0.5)
    with pytest.raises(SimvisError, match="Got no map; wanted maps of one or more depths"):
        mean_over_depths([])


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (2, 3), (16, 24)])
def test_a_map_laid_out_finer_keeps_its_sum_and_each_cell_its_place(grid):
    map = drawings.noise((2, 3))
    finer = spread_over(map, grid)
    assert finer.shape == grid
    assert float(finer.sum()) == pytest.approx(float(map.sum()), abs=1e-12)
    one = torch.zeros(2, 3, dtype=torch.float64)
    one[1, 2] = 1
    assert float(spread_over(one, grid).sum()) == pytest.approx(1)
    down, across = divmod(int(spread_over(one, grid).argmax()), grid[1])
    assert (down * 2 // grid[0], across * 3 // grid[1]) == (1, 2)
    if grid == (4, 6):
        assert torch.allclose(spread_over(torch.ones(2, 3).double(), grid), torch.full(grid, 0.25).double())


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (9, 8), (2, 3)])
def test_each_coarse_cell_keeps_its_share_and_its_sign(grid):
    coarse, fine = noise(2, 3, 1), noise(*grid, 2)
    made = finer_shares(coarse, fine)
    cell = lambda place, axis: int((place + 0.5) * coarse.map.shape[axis] / grid[axis])
    found = torch.zeros(2, 3, dtype=torch.float64)
    for row in range(grid[0]):
        for column in range(grid[1]):
            value, own = made.map[row, column], coarse.map[cell(row, 0), cell(column, 1)]
            found[cell(row, 0), cell(column, 1)] += value
            assert float(value * own) >= 0
            if float(fine.map[row, column] * own) > 0:
                assert float(value * own) > 0
    assert torch.allclose(found, coarse.map, atol=1e-12)
    assert made.bias == coarse.bias
    with pytest.raises(SimvisError, match=r"to draw one of \(9, 9\) finer; wanted more cells both ways"):
        finer_shares(noise(9, 9), fine)


def test_shares_of_a_cell_without_its_own_sign_within_are_even():
    made = finer_shares(part([[0.5, -0.4]]), part([[-1.0, -3.0, -1.0, -3.0]]))
    assert torch.allclose(made.map, torch.tensor([[0.25, 0.25, -0.1, -0.3]]).double())


def test_the_explainers_are_these_maps():
    question = asked("gated")
    drawn = lambda name, **asked: draw_map(name, question.network, question.view, question.query, **asked)
    maps = [layer_map(question, depth, steps=4) for depth in range(3)]
    assert torch.equal(drawn("path_at_depth_1", steps=4).map, maps[1].map)
    mean = drawn("mean_of_depths", depths=3, steps=4)
    assert torch.allclose(mean.map, mean_over_depths(maps).map, atol=1e-15)
    assert mean.passes == sum(one.passes for one in maps)
    assert torch.equal(drawn("shares_by_depth", depth=2, steps=4).map, finer_shares(maps[0], maps[2]).map)


def test_an_engine_without_gradients_and_numbers_that_are_none_are_refused():
    question = asked("gated")
    other = question.network.with_backbone(question.network.backbone, engine="onnx")
    with pytest.raises(SimvisError, match="no gradient flows"):
        draw_map("mean_of_depths", other, question.view, question.query)


def test_a_path_whose_reference_breaks_the_network_is_refused():
    class Root(nn.Module):
        def forward(self, pixels):
            return nn.functional.avg_pool2d(pixels, 8).abs() + (pixels.abs().amax((1, 2, 3), True) - 0.1).sqrt()

    net = EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 3, 1), Root()).double(), preprocess=drawings.SMALL)
    pixels = drawings.view().pixels
    question = Question(net, drawings.view(), torch.ones(3).double())
    dark = torch.zeros_like(pixels)
    nn.init.zeros_(net.backbone[0].bias)
    with pytest.raises(SimvisError, match=r"length nan|NaN or infinity on the way to layer"):
        layer_map(question, 2, reference=[dark])


def test_the_start_of_a_path_is_the_references_mean_embedding():
    question = asked("gated")
    made = split_at(question, 1, "path", ["blur", "mean"], 4)
    assert isinstance(made.moves, path.PathMoves)
    pictures = torch.stack([filled(question.view.pixels, fill, tiny.PREPROCESS) for fill in ("blur", "mean")])
    assert torch.allclose(made.moves.start, question.network.embed(pictures).mean(0), atol=1e-12)
