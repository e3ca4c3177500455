"""Norms behind the pooling: the right numbers, or a sentence that says what the file does not tell."""

import model_zoo.operators  # noqa: F401  (timm cannot be imported before it)

# isort: split

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoint_norms import other_norm, taken_words
from model_zoo.checkpoints import open_checkpoint
from simvis_core import SimvisError

ARCHITECTURE = "timm/test_efficientnet"
PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
WIDTH = 256


def shaken(module):
    generator = torch.Generator().manual_seed(5)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data += 0.3 * torch.rand(tensor.shape, generator=generator)
    return module.eval()


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return timm.create_model("test_efficientnet", num_classes=0).eval()


def opened(tmp_path, trunk, name, norm, **options):
    state = {f"backbone.{key}": tensor for key, tensor in trunk.state_dict().items()}
    torch.save(state | {f"{name}.{key}": tensor for key, tensor in norm.state_dict().items()}, tmp_path / "x.pth")
    return open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, **options)


def cosine(network, *modules):
    with torch.no_grad():
        wanted = PIXELS
        for module in modules:
            wanted = module(wanted)
    return float((network.embed(PIXELS) * normalize(wanted, dim=1)).sum(1).min())


class Rms(nn.Module):
    """As language models have it, with a bias besides."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.zeros(WIDTH))


@pytest.mark.parametrize(
    ("name", "norm", "words"),
    [
        ("gn", nn.GroupNorm(8, WIDTH), "gn (weight 256, bias 256) behind the trunk: GroupNorm, whose count of groups"),
        ("neck.group_norm", nn.GroupNorm(8, WIDTH), "neck.group_norm (weight 256, bias 256) behind the trunk: GroupN"),
        ("head.gn1", nn.GroupNorm(32, WIDTH), "GroupNorm, whose count of groups is in no file"),
        ("bn", nn.BatchNorm1d(WIDTH, track_running_stats=False), "BatchNorm without running statistics"),
        ("embedding.batchNorm", nn.BatchNorm1d(WIDTH, track_running_stats=False), "depend on the other pictures"),
        ("bnneck.0", nn.BatchNorm1d(WIDTH, track_running_stats=False), "BatchNorm without running statistics"),
        ("instance_norm", nn.InstanceNorm1d(WIDTH, affine=True), "InstanceNorm, which needs maps"),
        ("rms_norm", Rms(), "another norm than LayerNorm, which subtracts no mean"),
        ("norm", nn.RMSNorm(WIDTH), "RMSNorm, LayerNorm without bias, PReLU or a scale, which the tensors do not tell"),
        ("ln", nn.LayerNorm(WIDTH, bias=False), "LayerNorm without bias, PReLU or a scale"),
        ("act", nn.PReLU(WIDTH), "PReLU or a scale"),
    ],
)
def test_a_norm_that_the_file_does_not_tell_is_no_layer_norm(tmp_path, trunk, name, norm, words):
    with pytest.raises(SimvisError) as caught:
        opened(tmp_path, trunk, name, norm)
    assert words in str(caught.value)
    assert "a layer that its tensors tell" in str(caught.value)
    assert "build the head in Python with EmbeddingNetwork(...), or give head='none'" in str(caught.value)
    bare = opened(tmp_path, trunk, name, norm, head="none")
    assert cosine(bare.network, trunk) > 0.99999
    assert all("part of a head (weight 256" in line for line in bare.report.left_out)


@pytest.mark.parametrize(
    ("name", "norm", "taken"),
    [
        ("ln", nn.LayerNorm(WIDTH), False),
        ("layer_norm.0", nn.LayerNorm(WIDTH), False),
        ("neck.LayerNorm", nn.LayerNorm(WIDTH), False),
        ("norm", nn.LayerNorm(WIDTH), True),
        ("head.0", nn.LayerNorm(WIDTH), True),
        ("gn", nn.BatchNorm1d(WIDTH), False),  # with its statistics, whatever it is called
        ("bn", nn.BatchNorm1d(WIDTH, affine=False), False),
    ],
)
def test_a_norm_that_the_file_tells_is_read_and_a_likely_one_is_stated(tmp_path, trunk, name, norm, taken):
    found = opened(tmp_path, trunk, name, shaken(norm))
    assert cosine(found.network, trunk, norm) > 0.99999
    stated = f"; {name} taken for LayerNorm by the shapes, which a GroupNorm or a BatchNorm without statistics has too"
    assert (stated in found.report.sentence()) == taken


def test_an_instance_norm_with_statistics_is_a_batch_norm(tmp_path, trunk):
    norm = shaken(nn.InstanceNorm1d(WIDTH, affine=True, track_running_stats=True))
    found = opened(tmp_path, trunk, "in1", norm)
    assert cosine(found.network, trunk, lambda pooled: norm(pooled[:, :, None])[:, :, 0]) > 0.99999


def test_names_say_what_a_norm_is():
    assert [other_norm(name) for name in ("norm", "ln", "head.1", "in_proj_norm", "inner", "bnorms", "", "0")] == [
        ""
    ] * 8
    for name in ("x.in1", "in", "GroupNorm.0", "syncBN", "gn_2", "head.bn3.0"):
        assert other_norm(name)
    assert taken_words(["ln", "fc_ln", "LayerNorm_0"]) == ""
