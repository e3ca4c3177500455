"""Gradient explainers: law 9, hand-derived maps, gradients by differences, and the same by two other libraries."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients
from pytorch_grad_cam import GradCAM, HiResCAM
from torch import nn

import model_zoo
from simvis_core import (
    POOLINGS,
    Activations,
    EmbeddingModule,
    EmbeddingNetwork,
    SimilarityTarget,
    SimvisError,
    open_picture,
)
from simvis_core.explainers import gradients
from simvis_core.explainers.gradients import grad_cam, hires_cam, input_x_gradient, integrated_gradients, pixel_gradient
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import drawing
from simvis_core.pictures.views import Preprocess
from simvis_core.steps import run
from tests import references
from tests.backbones import Token
from tests.simvis_core import drawings
from tests.simvis_core.cases import AFFINE_HEADS, GRID_A, TOLERANCE, blank_view, features, make_head, make_network
from tests.simvis_core.drawings import drawn, finished, network, question

EVERY = {
    "grad_cam": grad_cam,
    "hires_cam": hires_cam,
    "input_x_gradient": input_x_gradient,
    "integrated_gradients": integrated_gradients,
}
every = pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
PHOTOGRAPH = Path(__file__).parents[3] / "sample_data/pictures/taj_mahal/taj_mahal_1.jpg"


def of_features(pooling, head="none", dtype=torch.float64, seed=1):
    """A question about features that are hard on purpose: ties, a channel of zeros, one of nothing but negatives."""
    made = make_network(pooling, head, dtype)
    known = Activations(features(GRID_A, seed, dtype))
    width = len(made.unsplit(known, (1, 1)).bias)
    query = torch.randn(width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return Question(made, blank_view(GRID_A), (query / query.norm()).to(dtype), known=known)


def cut(asked):
    """The share of each cell, and what no cell brought in."""
    split = asked.network.decompose_features(asked.activations)
    return split.similarity_map(asked.query), float(split.bias @ asked.query)


# Law 9


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("head", AFFINE_HEADS)
def test_grad_cam_of_average_pooling_is_the_decomposition_with_bias(head, dtype):
    asked = of_features("avg", head, dtype)
    map, bias = cut(asked)
    found = drawn(grad_cam, asked)
    assert torch.allclose(found, map, rtol=0, atol=TOLERANCE[dtype])
    assert abs(float(found.sum()) + bias - asked.score) < TOLERANCE[dtype]


@pytest.mark.parametrize("head", AFFINE_HEADS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_hires_cam_is_the_decomposition_whatever_the_pooling(pooling, head):
    """Every pooling is of degree 1: by Euler's theorem its features times their gradients add up to it."""
    asked = of_features(pooling, head)
    assert torch.allclose(drawn(hires_cam, asked), cut(asked)[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("exponent", [1.0, 3.0, 10.0])
def test_hires_cam_of_gem_by_hand(exponent):
    """d g / d x = x^(p-1) / (n g^(p-1)), times x and the query seen through the head."""
    asked = of_features(f"gem:{exponent:g}", "fc")
    values, head = asked.activations.features.numpy(), asked.network.head
    share = references.gem_share(values, exponent)
    raw = references.through_fc(head.weight.tolist(), references.gem_pool(values, exponent)) + head.bias.tolist()
    seen = references.through_fc(head.weight.T.tolist(), asked.query.tolist())
    by_hand = np.einsum("chw,c->hw", share, seen) / references.length(raw)
    assert np.allclose(drawn(hires_cam, asked).numpy(), by_hand, rtol=0, atol=1e-9)


def test_hires_cam_of_max_by_hand():
    asked = of_features("max")
    values = asked.activations.features.numpy()
    by_hand = np.einsum("chw,c->hw", references.max_surrogate(values), asked.query.numpy())
    by_hand /= references.length(references.max_pool(values))
    assert np.allclose(drawn(hires_cam, asked).numpy(), by_hand, rtol=0, atol=1e-9)


@pytest.mark.parametrize("head", ["none", "fc without bias"])
def test_the_cosines_grad_cam_of_a_bias_free_network_is_the_map_less_score_times_selfmap(head):
    asked = of_features("avg", head)
    split = asked.network.decompose_features(asked.activations)
    own = split.similarity_map(asked.embedding)
    found = drawn(grad_cam, asked, normalised=True)
    assert torch.allclose(found, split.similarity_map(asked.query) - asked.score * own, rtol=0, atol=1e-9)
    assert abs(float(found.sum())) < 1e-9 < float(found.abs().max()) / 100


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(("pooling", "head"), [("avg", "fc+gelu+fc"), ("gem", "none"), ("gem", "layer norm")])
def test_cam_maps_by_finite_differences(pooling, head, normalised):
    """Against the paper's formula with a gradient that no autograd has touched."""
    asked = of_features(pooling, head)
    values = asked.activations.features.abs() + 0.1  # off the corners, where no difference quotient is right
    asked = Question(asked.network, asked.view, asked.query, known=Activations(values))
    raw = lambda at: asked.network.raw_from(Activations(at[None]))[0].detach()
    size = raw(values).norm()
    target = lambda at: raw(at) @ asked.query / (raw(at).norm() if normalised else size)
    slope = references.gradient_by_differences(target, values)
    expected = references.grad_cam_map(slope, values.numpy())
    assert np.allclose(drawn(grad_cam, asked, normalised=normalised).numpy(), expected, rtol=0, atol=1e-8)
    if not normalised:
        assert np.allclose(drawn(hires_cam, asked).numpy(), references.hires_cam_map(slope, values.numpy()), atol=1e-8)


def test_cam_maps_run_nothing_but_pooling_and_head():
    made, shown = drawings.recording(network())
    asked = question(made, known=True)
    shown.seen.clear()
    drawn(grad_cam, asked)
    drawn(hires_cam, asked)
    assert not shown.seen


@pytest.mark.parametrize("head", [None, nn.Linear(6, 4)])
def test_a_class_token_has_no_cam_map(head):
    asked = question(EmbeddingNetwork(Token(), "token", head, drawings.SMALL), drawings.view(dtype=torch.float32))
    for draw in (grad_cam, hires_cam):
        with pytest.raises(SimvisError, match=r"under 'token', whose embedding does not come from its cells; wanted a"):
            drawn(draw, asked)
    assert drawn(input_x_gradient, asked).shape == drawings.WIDE


# The picture's own pixels


def smooth():
    """So smooth that 50 points of Gauss and Legendre's follow it exactly."""
    return nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.Tanh())


def test_input_times_gradient_by_finite_differences():
    made, shown = network(), drawings.view((8, 16))
    asked = question(made, shown)
    slope = references.gradient_by_differences(lambda at: made.embed(at[None])[0] @ asked.query, shown.pixels)
    expected = (slope * shown.pixels.numpy()).sum(0)
    assert np.allclose(drawn(input_x_gradient, asked).numpy(), expected, rtol=0, atol=1e-9)
    assert np.abs(expected).max() > 1e-3


def test_input_times_gradient_of_a_bias_free_linear_network_sums_to_zero():
    """The cosine does not know how long the embedding is: it does not change as the picture gains contrast."""
    made = network(backbone=nn.Conv2d(3, 6, 8, 8, bias=False), head="free")
    map = drawn(input_x_gradient, question(made))
    assert abs(float(map.sum())) < 1e-9 < float(map.abs().max())


def test_integrated_gradients_is_a_long_sum_of_small_steps():
    asked = question(network(backbone=smooth()))
    one = lambda at: nn.functional.normalize(asked.network.raw_embedding(at[None])[0], dim=0) @ asked.query
    slow = references.integrated_gradients_map(one, asked.view.pixels, 400)
    assert torch.allclose(drawn(integrated_gradients, asked), slow, rtol=0, atol=2e-6)
    assert float(slow.abs().max()) > 1e-2


def test_integrated_gradients_sum_to_what_the_score_gained_over_a_blank_picture():
    asked = question(network(backbone=smooth()))
    blank = float(asked.scores(torch.zeros(1, 3, *asked.size, dtype=torch.float64))[0])
    assert abs(asked.score - blank) > 0.03
    assert abs(float(drawn(integrated_gradients, asked, steps=80).sum()) - (asked.score - blank)) < 1e-9


@pytest.mark.parametrize("steps", [1, 3, 80])
def test_what_the_points_of_integrated_gradients_miss_is_told(steps):
    asked = question(network(backbone=smooth()))
    blank = float(asked.scores(torch.zeros(1, 3, *asked.size, dtype=torch.float64))[0])
    made = run(drawing("integrated_gradients", asked, steps=steps))
    assert made.left == pytest.approx(asked.score - blank - float(made.map.sum()), abs=1e-12)
    assert (abs(made.left) > 1e-9) == (steps < 80)
    assert run(drawing("input_x_gradient", asked)).left is None


def test_one_step_of_integrated_gradients_is_the_gradient_half_way():
    asked = question(network())
    pixels = asked.view.pixels
    half = pixel_gradient(asked.network, pixels[None] / 2, asked.query)[0]
    assert torch.allclose(drawn(integrated_gradients, asked, steps=1), (pixels * half).sum(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_the_batch_does_not_show_in_integrated_gradients(monkeypatch, batch):
    asked = question(network())
    whole = drawn(integrated_gradients, asked, steps=10)
    monkeypatch.setattr(gradients, "_half_batch", lambda size: batch)
    map, told = finished(integrated_gradients(asked, steps=10))
    assert torch.allclose(map, whole, rtol=0, atol=1e-12)
    assert [step.done for step in told] == [min(done, 10) for done in range(batch, 10 + batch, batch)]
    assert torch.equal(told[-1].map, map)
    assert len(told) == 1 or not torch.allclose(told[0].map, map)


def test_each_picture_of_a_batch_has_its_own_gradient():
    made = network()
    pictures = torch.stack([drawings.view(seed=seed).pixels for seed in range(3)])
    query = question(made).query
    alone = torch.cat([pixel_gradient(made, one[None], query) for one in pictures])
    assert torch.allclose(pixel_gradient(made, pictures, query), alone, rtol=0, atol=1e-12)


# Nothing is left behind


@every
def test_repeated_calls_give_the_same_map_and_leave_no_gradient(draw):
    asked = question(network())
    first = drawn(draw, asked)
    assert torch.equal(drawn(draw, asked), first)
    assert torch.equal(drawn(draw, asked, seed=5), first)
    parameters = [*asked.network.backbone.parameters(), *asked.network.head.parameters()]
    assert all(parameter.grad is None for parameter in parameters)
    assert not first.requires_grad


@every
def test_gradients_flow_where_the_caller_wants_none_and_from_queries_made_by_the_network(draw):
    asked = question(network())
    expected = drawn(draw, asked)
    with torch.no_grad():
        assert torch.equal(drawn(draw, asked), expected)
    other = Question(asked.network, asked.view, asked.network.embed(drawings.view(seed=4).pixels[None])[0])
    assert other.query.is_inference()
    assert drawn(draw, other).isfinite().all()


@every
def test_pixels_and_query_of_another_precision(draw):
    """Views are float32; a network may be double, and the other way round."""
    asked = question(network())
    single = Question(asked.network, drawings.view(dtype=torch.float32), asked.query.float())
    assert torch.allclose(drawn(draw, single).double(), drawn(draw, asked), atol=1e-5)
    double = Question(network(dtype=torch.float32), asked.view, asked.query)
    assert torch.allclose(drawn(draw, double).double(), drawn(draw, asked), atol=1e-5)


@pytest.mark.parametrize("draw", [input_x_gradient, integrated_gradients])
def test_an_engine_without_gradients_is_refused(draw):
    made = copy.copy(network())
    made.engine = "onnx"
    with pytest.raises(SimvisError, match=r"Got small network under the engine 'onnx', through which no gradient"):
        drawn(draw, question(made))


# The same by other libraries


def raw_cam(kind, made, pixels, query):
    """pytorch-grad-cam's map before its ReLU and scaling, and the length of the embedding."""

    class Raw(kind):
        def compute_cam_per_layer(self, input_tensor, targets, eigen_smooth):
            recorded = self.activations_and_grads
            seen = recorded.activations[0].numpy(), recorded.gradients[0].numpy()
            self.raw = self.get_cam_image(input_tensor, self.target_layers[0], targets, *seen, eigen_smooth)
            return super().compute_cam_per_layer(input_tensor, targets, eigen_smooth)

    module = EmbeddingModule(made)
    with Raw(model=module, target_layers=[module.backbone]) as cam:
        cam(input_tensor=pixels[None], targets=[SimilarityTarget(query)])
    return cam.raw[0] / float(module(pixels[None]).norm().detach())


def agree_with_the_peers(asked, tolerance=1e-5, steps=50):
    made, pixels, query = asked.network, asked.view.pixels, asked.query
    for kind, draw in ((GradCAM, grad_cam), (HiResCAM, hires_cam)):
        assert np.allclose(raw_cam(kind, made, pixels, query), drawn(draw, asked).numpy(), rtol=0, atol=tolerance)
    module = EmbeddingModule(made)
    score = lambda batch: nn.functional.normalize(module(batch), dim=-1) @ query
    theirs = IntegratedGradients(score).attribute(
        pixels[None], torch.zeros_like(pixels)[None], n_steps=steps, method="gausslegendre"
    )
    ours = drawn(integrated_gradients, asked, steps=steps)
    assert np.allclose(ours.numpy(), theirs[0].sum(0).detach().numpy(), rtol=0, atol=tolerance)
    theirs = InputXGradient(score).attribute(pixels[None].clone().requires_grad_())
    ours = drawn(input_x_gradient, asked)
    assert np.allclose(ours.numpy(), theirs[0].sum(0).detach().numpy(), rtol=0, atol=tolerance)
    assert float(ours.abs().max()) > 10 * tolerance


@pytest.mark.parametrize(
    ("pooling", "head"), [("avg", "fc+bn"), ("max", "layer norm"), ("gem", "none"), ("avg", "none")]
)
def test_the_peers_agree(pooling, head):
    agree_with_the_peers(question(network(pooling, make_head(head, 6))), 1e-7)  # captum's places are float32


@pytest.mark.network
def test_the_peers_agree_on_a_real_network_and_photograph():
    made = model_zoo.load("efficientnet_lite0")
    shown = made.view(open_picture(PHOTOGRAPH), 64)
    other = made.embed(made.view(open_picture(PHOTOGRAPH.with_name("taj_mahal_2.jpg")), 64).pixels[None])[0]
    agree_with_the_peers(Question(made, shown, other.clone()), steps=16)


def test_a_network_that_looks_at_no_pixel_has_no_gradient_there():
    class Blind(nn.Module):
        def __init__(self, looks):
            super().__init__()
            self.looks, self.weight = looks, nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, pixels):
            seen = pixels.sum() * 0 if self.looks else 0
            return (self.weight + seen)[None, :, None, None].expand(len(pixels), -1, 2, 3)

    pictures = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    for looks in (False, True):
        network = EmbeddingNetwork(Blind(looks), "avg", None, Preprocess(short_side=8, stride=4))
        gradient = pixel_gradient(network, pictures, torch.ones(3, dtype=torch.float64))
        assert torch.equal(gradient, torch.zeros_like(pictures))
    frozen = EmbeddingNetwork(Blind(False).requires_grad_(False), "avg", None, Preprocess(short_side=8, stride=4))
    with pytest.raises(SimvisError, match="no gradient comes back"):  # nor from one that runs in another process
        pixel_gradient(frozen, pictures, torch.ones(3, dtype=torch.float64))
