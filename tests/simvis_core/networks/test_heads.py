"""Heads: their split against the papers' loops, and the verdicts."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess
from simvis_core.networks.heads import Elementwise, UnitLength, is_affine, split_head
from tests import references
from tests.simvis_core import cases
from tests.simvis_core.cases import AFFINE_HEADS, BLACK_BOXES, HEADS, TOLERANCE, make_head

X = torch.tensor([0.5, -1.5, 2.0, 0.0, 3.0, -0.25], dtype=torch.float64)


@torch.no_grad()
def split(head, x=X):
    return split_head(head, x)


@torch.no_grad()
def output(head, x=X):
    return x if head is None else head(x[None].clone())[0]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", HEADS)
def test_linear_part_and_bias_add_up_to_the_head(name, dtype):
    head = make_head(name, 6, dtype)
    made = split(head, X.to(dtype))
    with torch.no_grad():
        total = made.linear(X.to(dtype)[None])[0] + made.bias
    assert torch.allclose(total, output(head, X.to(dtype)), rtol=0, atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("name", HEADS)
def test_the_linear_part_adds_over_the_parts(name):
    made = split(make_head(name, 6))
    parts = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(made.linear(parts).sum(0), made.linear(parts.sum(0)[None])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", HEADS)
def test_verdict_tells_affine_heads_from_frozen_ones(name):
    assert split(make_head(name, 6)).verdict == ("exact" if name in AFFINE_HEADS else "exact at this input")


@pytest.mark.parametrize("name", BLACK_BOXES)
def test_verdict_of_what_does_not_split_is_black_box(name):
    assert split(make_head(name, 6, table=BLACK_BOXES)).verdict == "black box"


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_black_box_inside_a_chain_makes_the_chain_one(dtype):
    head = nn.Sequential(nn.Linear(6, 4), cases.Normalise(), nn.Linear(4, 3)).to(dtype)
    assert split(head, X.to(dtype)).verdict == "black box"


def test_a_residual_chain_under_a_sequentials_name_is_not_believed():
    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    assert split(Residual(nn.Linear(6, 6)).double()).verdict == "black box"


def test_splitting_leaves_the_pooled_vector_untouched():
    x = X.clone()
    split(nn.Sequential(nn.LeakyReLU(0.1, inplace=True), nn.ReLU(inplace=True)), x)
    assert torch.equal(x, X)


# Against the papers' loops


def as_arrays(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def test_fc_is_the_weight_and_the_bias():
    head = make_head("fc", 6)
    made, (weight, bias) = split(head), as_arrays(head.weight, head.bias)
    assert np.allclose(made.linear(X[None])[0].detach(), references.through_fc(weight, X), atol=1e-12)
    assert np.allclose(made.bias, bias, atol=1e-12)


def test_batch_norm_divides_by_the_root_of_variance_plus_eps():
    head = make_head("bn", 6)
    made = split(head)
    gamma, beta, mean, var = as_arrays(head.weight, head.bias, head.running_mean, head.running_var)
    assert np.allclose(made.linear(X[None])[0].detach(), references.through_bn(gamma, var, head.eps, X), atol=1e-12)
    assert np.allclose(made.bias, references.bn_offset(beta, gamma, mean, var, head.eps), atol=1e-12)


def test_layer_norm_by_hand():
    """x = (1, 3): mean 2, variance 1; with eps 3 the scale is 1/2; its bias is beta alone."""
    norm = nn.LayerNorm(2, eps=3).double()
    norm.weight.data, norm.bias.data = torch.tensor([10.0, 20.0]).double(), torch.tensor([0.5, 0.25]).double()
    made = split(norm, torch.tensor([1.0, 3.0]).double())
    assert made.bias.tolist() == [0.5, 0.25]
    assert made.linear(torch.tensor([[1.0, 0.0]]).double())[0].tolist() == [2.5, -5.0]


def test_layer_norm_without_its_own_numbers():
    made = split(nn.LayerNorm(6, elementwise_affine=False).double())
    assert torch.equal(made.bias, torch.zeros_like(X))
    assert made.verdict == "exact at this input"


def test_relu_keeps_the_mask_of_the_whole_input():
    made = split(nn.ReLU())
    assert made.linear(torch.ones(1, 6).double())[0].tolist() == [1, 0, 1, 0, 1, 0]
    assert torch.equal(made.bias, torch.zeros_like(X))


@pytest.mark.parametrize(
    "activation", [nn.ReLU6(), nn.LeakyReLU(0.3), nn.SiLU(), nn.Tanh(), nn.Hardswish(), nn.GELU()], ids=str
)
def test_activations_keep_each_entrys_slope(activation):
    made = split(activation)
    assert torch.allclose(made.linear(X[None])[0], activation(X), atol=1e-15)
    assert made.verdict == "exact at this input"


# Affinity is tested, not assumed


@pytest.mark.parametrize("name", [name for name in AFFINE_HEADS if name != "none"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_affine_heads_are_seen_as_affine(name, dtype):
    with torch.no_grad():
        assert is_affine(make_head(name, 6, dtype), X.to(dtype))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    "module",
    [nn.ReLU(), nn.Softplus(), nn.Softmax(-1), nn.Hardtanh(-20, 20), nn.Softshrink(0.1), nn.ELU(), cases.Normalise()],
    ids=str,
)
def test_bends_are_seen(module, dtype):
    with torch.no_grad():
        assert not is_affine(module.to(dtype), X.to(dtype))


def test_a_module_of_ones_own_is_affine_when_it_is():
    class Scale(nn.Module):
        def forward(self, x):
            return x.flip(-1) * 2 - 3

    made = split(Scale())
    assert made.verdict == "exact"
    assert made.bias.tolist() == [-3] * 6


def test_dropout_is_the_identity_in_eval_mode():
    made = split(nn.Dropout(0.9).eval())
    assert torch.equal(made.linear(X[None])[0], X)


@torch.no_grad()
def test_an_rms_norm_is_frozen_without_an_offset():
    torch.manual_seed(2)
    norm = nn.RMSNorm(6, eps=0.1).double()
    nn.init.uniform_(norm.weight, -2, 2)
    parts = torch.randn(5, 6, dtype=torch.float64)
    split = split_head(norm, parts.sum(0))
    assert split.verdict == "exact at this input"
    assert split.bias.abs().max() == 0
    assert torch.allclose(split.linear(parts).sum(0), norm(parts.sum(0)), atol=1e-9)
    assert split_head(nn.RMSNorm(3).double(), torch.randn(6, dtype=torch.float64)).verdict == "black box"


@torch.no_grad()
def test_a_function_marked_elementwise_is_frozen_with_its_value_at_zero_as_the_bias():
    head = nn.Sequential(Elementwise(lambda x: x.cos() + 2), nn.Linear(4, 3)).double()
    parts = torch.randn(5, 4, dtype=torch.float64)
    split = split_head(head, parts.sum(0))
    assert split.verdict == "exact at this input"
    assert torch.allclose(split.linear(parts).sum(0) + split.bias, head(parts.sum(0)[None])[0], atol=1e-9)
    softplus = split_head(Elementwise(nn.Softplus()), torch.randn(4, dtype=torch.float64))
    assert torch.allclose(softplus.bias, torch.full((4,), math.log(2), dtype=torch.float64))


# Chains with a layer that cannot be split


class Narrowing(nn.Module):
    """A gated unit: half of a linear map opens and closes the other half."""

    def __init__(self, takes, gives):
        super().__init__()
        self.linear = nn.Linear(takes, 2 * gives)

    def forward(self, x):
        return nn.functional.glu(self.linear(x))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Narrowing(6, 3)],
        lambda: [Narrowing(6, 9), nn.Linear(9, 2)],
        lambda: [nn.Linear(6, 5), Narrowing(5, 2), nn.BatchNorm1d(2)],
        lambda: [nn.ReLU(), nn.Sequential(Narrowing(6, 4), nn.LayerNorm(4)), nn.Linear(4, 6)],
        lambda: [nn.Linear(6, 4), nn.GLU(), nn.Linear(2, 3)],
    ],
)
def test_a_box_that_changes_the_width_makes_its_chain_a_black_box_with_the_right_score(layers):
    torch.manual_seed(5)
    head = nn.Sequential(*layers()).double().eval()
    made = split(head)
    assert made.verdict == "black box"
    network = EmbeddingNetwork(nn.Identity(), "avg", head, Preprocess())
    a, b = (torch.randn(1, 6, 2, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 2))
    with torch.no_grad():
        wanted = nn.functional.cosine_similarity(head(a.mean((2, 3))), head(b.mean((2, 3))))
        first, second = (network.unsplit(map[0], (2, 3)) for map in (a, b))
        assert network.split(a[0]) is None
    assert first.verdict == "black box"
    assert (first.embedding @ second.embedding).item() == pytest.approx(wanted.item(), abs=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_step_to_unit_length_is_frozen(dtype):
    torch.manual_seed(6)
    head = nn.Sequential(UnitLength(), nn.Linear(6, 4)).to(dtype)
    made, x = split(head, X.to(dtype)), X.to(dtype)
    assert made.verdict == "exact at this input"
    assert torch.allclose(made.bias, head[1].bias)
    total, wanted = made.linear(x[None])[0] + made.bias, head[1](x / x.norm())
    assert torch.allclose(total, wanted, rtol=0, atol=10 * TOLERANCE[dtype])
    assert torch.equal(split(UnitLength(), torch.zeros(3)).linear(torch.zeros(1, 3)), torch.zeros(1, 3))
