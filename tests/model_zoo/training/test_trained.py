"""What is trained of a network: its head, its last stage, and a whitening whose split is exact."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from model_zoo.training.states import drawn
from model_zoo.training.trained import (
    Embedder,
    beginning,
    choose_part,
    head_asked,
    last_stage,
    whitened,
    with_new_head,
)
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError

PIXELS = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def network(head=None):
    torch.manual_seed(0)
    trunk = nn.Sequential(
        nn.Conv2d(3, 4, 4, 4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 2, 2),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 6, 1),
    )
    return EmbeddingNetwork(trunk, "avg", head, Preprocess(short_side=16, stride=8))


@pytest.mark.parametrize(
    ("asked", "width"), [("none", 6), ("fc:5", 5), ("fc_bn:3", 3), ("whiten:2", 6)]
)  # a whitening comes later
def test_a_head_stands_behind_a_copy(asked, width):
    base = network()
    before = {name: one.clone() for name, one in base.backbone.state_dict().items()}
    other = with_new_head(base, asked, seed=1)
    assert other.width() == width
    with torch.no_grad():
        for parameter in other.backbone.parameters():
            parameter.zero_()
    assert all(torch.equal(one, before[name]) for name, one in base.backbone.state_dict().items())
    again = with_new_head(base, asked, seed=1)
    if other.head is not None:
        assert all(torch.equal(a, b) for a, b in zip(other.head.parameters(), again.head.parameters(), strict=True))


def test_a_head_stands_behind_the_networks_own():
    other = with_new_head(network(nn.Linear(6, 4)), "fc_bn:3", seed=0)
    assert [type(layer) for layer in other.head] == [nn.Linear, nn.Linear, nn.BatchNorm1d]
    assert other.head[1].in_features == 4


@pytest.mark.parametrize("wrong", ["fc", "fc:0", "fc:x", "none:3", "mlp:5", "whiten:-1"])
def test_another_head_is_refused(wrong):
    with pytest.raises(SimvisError, match="wanted none, fc:WIDTH, fc_bn:WIDTH"):
        head_asked(wrong)


def test_the_last_stage_is_what_works_on_the_last_grid():
    one = network()
    assert last_stage(one) == [one.backbone[3], one.backbone[4], one.backbone[5]]
    choose_part(one, "last")
    learned = [name for name, parameter in one.backbone.named_parameters() if parameter.requires_grad]
    assert {name.partition(".")[0] for name in learned} == {"3", "4", "5"}


def test_parts_of_a_trunk():
    one = network(nn.Linear(6, 4))
    for part, trunk in (("frozen", False), ("whole", True)):
        choose_part(one, part)
        assert {parameter.requires_grad for parameter in one.backbone.parameters()} == {trunk}
        assert one.head.weight.requires_grad
    with pytest.raises(SimvisError, match="the part 'first' of a trunk; wanted one of frozen, last, whole"):
        choose_part(one, "first")


@pytest.mark.network
def test_the_last_stages_of_real_networks():
    resnet = drawn("timm/test_resnet", 0)
    named = {module: name for name, module in resnet.backbone.named_modules()}
    assert {named[layer].split(".")[1] for layer in last_stage(resnet)} == {"layer4"}
    vit = drawn("timm/test_vit", 0)
    layers = [module for module in vit.backbone.modules() if list(module.parameters(recurse=False))]
    assert 0 < len(last_stage(vit)) <= len(layers) / 4


def test_a_module_gives_the_networks_unit_embeddings_and_gradients_flow():
    one = network(nn.Linear(6, 4))
    found = Embedder(one)(PIXELS)
    torch.testing.assert_close(found, one.embed(PIXELS))
    found[:, 0].sum().backward()
    assert one.backbone[0].weight.grad.abs().sum() > 0


def test_gem_is_trained_through_dead_channels():
    """A channel that is 0 everywhere has no slope: its root gave NaN."""
    one = network().with_pooling("gem")
    with torch.no_grad():
        one.backbone[5].weight[0] = 0
        one.backbone[5].bias[0] = -1
    normalize(one.raw_embedding(PIXELS), dim=1)[:, 1].sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in one.backbone.parameters())


def test_a_whitened_network_is_exact_and_white():
    one = whitened(network(nn.Linear(6, 5)), lambda: iter(PIXELS.split(5)), "whiten:3")
    assert one.verdict == "exact"
    raw = one.raw_embedding(PIXELS).detach()
    torch.testing.assert_close(raw.T @ raw / len(raw), torch.eye(3), atol=1e-2, rtol=0)


def test_a_training_begins_where_it_is_asked_to():
    one = beginning("timm/test_resnet", "max", 3, 64)
    assert (str(one.pooling), one.preprocess.short_side) == ("max", 64)
    with pytest.raises(SimvisError, match="a short side of 50 pixels"):
        beginning("timm/test_resnet", None, 3, 50)
