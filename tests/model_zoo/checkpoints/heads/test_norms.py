"""Norms behind the pooling: the right numbers, or a sentence that says what the file does not tell."""

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoints.doubts import UndecidedError
from model_zoo.checkpoints.opening import open_checkpoint
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


class Scale(nn.Module):
    """A factor for each channel, with an offset or without."""

    def __init__(self, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.bias = nn.Parameter(torch.zeros(WIDTH)) if bias else None

    def forward(self, pooled):
        return pooled * self.weight + (0 if self.bias is None else self.bias)


@pytest.mark.parametrize(
    ("name", "norm", "answer", "words"),
    [
        (
            "gn",
            nn.GroupNorm(8, WIDTH),
            "group:8",
            "gn (256), GroupNorm by its name, whose count of groups is in no file",
        ),
        ("neck.group_norm", nn.GroupNorm(32, WIDTH), "group:32", "neck.group_norm (256), GroupNorm by its name"),
        ("head.gn1", nn.GroupNorm(1, WIDTH), "group:1", "GroupNorm by its name"),
        ("rms_norm", Scale(True), "scale", None),
        ("in1", nn.LayerNorm(WIDTH), "layer", "InstanceNorm by its name, which needs maps"),
        (
            "norm",
            nn.RMSNorm(WIDTH),
            "rms",
            "a weight of one axis alone, which RMSNorm, a LayerNorm without bias, PReLU",
        ),
        ("norm", nn.LayerNorm(WIDTH, bias=False), "layer", "a LayerNorm without bias, PReLU and a scale have alike"),
        ("head.0", Scale(False), "scale", "a scale have alike"),
        ("norm", nn.PReLU(WIDTH), "prelu", "a weight of one axis alone"),
    ],
)
def test_a_norm_that_the_file_does_not_tell_is_asked_for(tmp_path, trunk, name, norm, answer, words):
    norm = shaken(norm)
    if words is not None:
        with pytest.raises(UndecidedError) as caught:
            opened(tmp_path, trunk, name, norm)
        assert words in str(caught.value)
        assert f"say kinds.{name}=layer (LayerNorm)" in str(caught.value)
        assert caught.value.doubts[0].taken is None
        found = opened(tmp_path, trunk, name, norm, choices={"kinds": {name: answer}})
        assert cosine(found.network, trunk, norm) > 0.99999
        assert found.report.choices.kinds == {name: answer}
        assert f"kinds.{name}={answer}" in found.network.origin
    bare = opened(tmp_path, trunk, name, norm, head="none")
    assert cosine(bare.network, trunk) > 0.99999


@pytest.mark.parametrize("name", ["bn", "embedding.batchNorm", "bnneck.0"])
def test_a_batch_norm_without_statistics_is_asked_for_or_left_out(tmp_path, trunk, name):
    norm = shaken(nn.BatchNorm1d(WIDTH, track_running_stats=False))
    with pytest.raises(UndecidedError, match="its numbers depend on the other pictures of a batch"):
        opened(tmp_path, trunk, name, norm)
    assert cosine(opened(tmp_path, trunk, name, norm, choices={"layers": {name: "out"}}).network, trunk) > 0.99999


@pytest.mark.parametrize(
    ("name", "norm", "taken"),
    [
        ("ln", nn.LayerNorm(WIDTH), ""),
        ("layer_norm.0", nn.LayerNorm(WIDTH), ""),
        ("neck.LayerNorm", nn.LayerNorm(WIDTH), ""),
        ("norm", nn.LayerNorm(WIDTH), "taken as LayerNorm (or say kinds.norm=group:N)"),
        ("head.0", nn.LayerNorm(WIDTH), "taken as LayerNorm (or say kinds.head.0=group:N)"),
        ("rms_norm", nn.RMSNorm(WIDTH), "taken as RMSNorm (or say kinds.rms_norm=layer or"),
        ("ln", nn.LayerNorm(WIDTH, bias=False), "taken as LayerNorm (or say kinds.ln=rms or"),
        ("act", nn.PReLU(WIDTH), "taken as PReLU of a slope for each channel (or"),
        ("gamma", Scale(False), "taken as a factor for each channel"),
        ("gn", nn.BatchNorm1d(WIDTH), ""),  # with its statistics, whatever it is called
        ("bn", nn.BatchNorm1d(WIDTH, affine=False), ""),
    ],
)
def test_a_norm_that_the_file_tells_is_read_and_a_likely_one_is_stated(tmp_path, trunk, name, norm, taken):
    found = opened(tmp_path, trunk, name, shaken(norm))
    assert cosine(found.network, trunk, norm) > 0.99999
    assert taken in found.report.sentence()
    assert bool(taken) == ("not told by the file" in found.report.sentence())


def test_a_norm_between_layers_is_what_is_said(tmp_path, trunk):
    head = shaken(nn.Sequential(nn.Linear(WIDTH, 32), nn.GroupNorm(4, 32), nn.Linear(32, 8)))
    found = opened(tmp_path, trunk, "head", head, choices={"kinds": {"head.1": "group:4"}})
    assert cosine(found.network, trunk, head) > 0.99999
    assert "GroupNorm of 4 groups 32" in found.report.head


def test_an_instance_norm_with_statistics_is_a_batch_norm(tmp_path, trunk):
    norm = shaken(nn.InstanceNorm1d(WIDTH, affine=True, track_running_stats=True))
    found = opened(tmp_path, trunk, "in1", norm)
    assert cosine(found.network, trunk, lambda pooled: norm(pooled[:, :, None])[:, :, 0]) > 0.99999


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"gn": "group:7"}, r"kinds\.gn=group:7 for 256 channels; wanted a count of groups that divides 256"),
        ({"gn": "group:0"}, r"kinds\.gn='group:0'; wanted one of layer, group:N"),
        ({"gn": "batch"}, r"wanted one of layer, group:N, rms, prelu, scale"),
        ({"gn": "rms"}, "RMSNorm for a layer with a bias; wanted a kind that has one"),
        ({"gn": "prelu"}, "PReLU for a layer with a bias"),
        ({"gn": "layer", "other": "layer"}, r"the choice kinds\.other, which this checkpoint has no place for"),
        ("gn", "kinds='gn'; wanted a dict by names of layers"),
    ],
)
def test_an_answer_that_does_not_fit_is_a_sentence(tmp_path, trunk, kinds, words):
    with pytest.raises(SimvisError, match=words):
        opened(tmp_path, trunk, "gn", nn.GroupNorm(8, WIDTH), choices={"kinds": kinds})
