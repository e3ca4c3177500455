"""A trunk under other names than its library's gives the original's embeddings, or a sentence."""

import re

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoints.opening import open_checkpoint
from simvis_core import SimvisError

PIXELS = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def opened(tmp_path, state, name):
    torch.save(state, tmp_path / "x.pth")
    return open_checkpoint(tmp_path / "x.pth", name)


def embeds(found, module, pixels=PIXELS):
    with torch.no_grad():
        wanted = normalize(module.eval()(pixels).flatten(1), dim=-1)
    return (found.network.embed(pixels) - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=0).eval()


@pytest.mark.parametrize("word", ["_orig_mod", "_fsdp_wrapped_module", "anything"])
def test_a_wrappers_word_inside_the_keys(tmp_path, trunk, word):
    state = {re.sub(r"^(layer\d\.0)\.", rf"\1.{word}.", key): one for key, one in trunk.state_dict().items()}
    found = opened(tmp_path, state, "timm/resnet10t")
    assert embeds(found, trunk)
    assert f"without the wrapper's name {word}" in found.report.names


@pytest.mark.parametrize("start", ["", "backbone."])
def test_numbered_children(tmp_path, trunk, start):
    row = nn.Sequential(*list(trunk.children())[:-1])
    found = opened(tmp_path, {start + key: one for key, one in row.state_dict().items()}, "timm/resnet10t")
    assert embeds(found, trunk)
    assert "by order and shape: 0 = conv1" in found.report.names


def test_words_are_never_taken_by_their_order(tmp_path, trunk):
    state = {re.sub(r"^layer", "stage", key): one for key, one in trunk.state_dict().items()}
    with pytest.raises(SimvisError, match="resnet10t"):
        opened(tmp_path, state, "timm/resnet10t")


def test_names_of_features_only(tmp_path):
    network = timm.create_model("convnext_atto", features_only=True).eval()
    found = opened(tmp_path, network.state_dict(), "timm/convnext_atto")
    assert embeds(found, lambda_of(lambda pixels: network(pixels)[-1].mean((2, 3))))
    assert "which left out head.norm" in found.report.names


def lambda_of(function):
    module = nn.Module()
    module.forward = function
    return module


def test_a_transformer_under_average_pooling_and_its_mask_token(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, global_pool="avg").eval()
    state = {**network.state_dict(), "mask_token": torch.zeros(1, 1, 192), "temperature": torch.ones(1)}
    found = opened(tmp_path, state, "timm/vit_tiny_patch16_224")
    assert embeds(found, network)
    assert "global_pool=avg" in found.report.names
    assert "mask_token (1 x 1 x 192), of the pre-training" in found.report.left_out
    assert "temperature (1), a single number" in found.report.left_out
