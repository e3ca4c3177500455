"""What a network does to its pictures before its first layer: done, or stated, never passed over."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoints.opening import open_checkpoint
from simvis_core import SimvisError
from simvis_core.pictures.fills import filled

ARCHITECTURE = "timm/test_efficientnet"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))


class Normalises(nn.Module):
    """A network for pictures as they are, with its normalisation in buffers."""

    def __init__(self, net, scale=1.0, shape=(3,), turned=False, names=("mean", "std"), mean=MEAN, std=STD):
        super().__init__()
        self.net, self.turned, self.names, self.scale = net, turned, names, scale
        for name, values in zip(names, (mean, std), strict=True):
            row = torch.tensor(values[::-1] if turned else values) * scale
            self.register_buffer(name, row.reshape(shape))

    def forward(self, pictures):
        mean, std = (getattr(self, name).view(-1, 1, 1) for name in self.names)
        return self.net(((pictures.flip(1) if self.turned else pictures) - mean) / std)


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return timm.create_model("test_efficientnet", num_classes=0).eval()


def cosine(network, module, pixels):
    with torch.no_grad():
        wanted = module(pixels)
    return float((network.embed(pixels) * normalize(wanted, dim=1)).sum(1).min())


def on_picture(network, module, scale):
    """The cosine of both on one picture, each fed as it wants to be."""
    view = network.view(PICTURE)
    pictures = network.preprocess.picture(view.pixels)  # what the view holds, in 0..255
    fed = torch.from_numpy(np.array(pictures)).permute(2, 0, 1)[None].float() / (255 / scale)
    with torch.no_grad():
        wanted = normalize(module(fed), dim=1)
    return float((network.embed(view.pixels[None]) * wanted).sum())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shape": (1, 3, 1, 1), "names": ("pixel_mean", "pixel_std")},
        {"shape": (3, 1, 1), "names": ("normMean", "normStd"), "mean": (0.5, 0.4, 0.3)},
        {"scale": 255.0, "shape": (1, 3, 1, 1)},
        {"scale": 255.0, "turned": True},
        {"turned": True, "names": ("img_mean", "img_std")},
        {"names": ("input_mean", "input_std"), "mean": (0.5,) * 3, "std": (0.5,) * 3},
    ],
)
@pytest.mark.parametrize("place", ["", "model.", "normalize"])
def test_a_normalisation_in_the_file_is_done_inside(tmp_path, trunk, options, place):
    module = Normalises(trunk, **options)
    state = module.state_dict()
    if place == "normalize":  # a module of its own in front of the network
        state = {key if key.startswith("net.") else f"normalize.{key}": tensor for key, tensor in state.items()}
    else:
        state = {place + key: tensor for key, tensor in state.items()}
    torch.save(state, tmp_path / "x.pth")
    found = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE)
    scale = options.get("scale", 1.0)
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * scale
    assert cosine(found.network, module, pixels) > 0.99999
    assert on_picture(found.network, module, scale) > 0.999  # rounded to bytes on the way
    words = found.report.sentence()
    assert f"of 0..{scale:g}, taken as" in words
    assert "taken as colours as they are, then by the file's own mean and spread (or say input=library or" in words
    assert ("blue, green and red" in words) == options.get("turned", False)
    assert found.report.left_out == ()
    mean = torch.tensor(options.get("mean", MEAN)) * scale
    assert torch.allclose(filled(torch.zeros(3, 2, 2), "mean", found.network.preprocess)[:, 0, 1], mean)


@pytest.mark.parametrize(
    ("mean", "std", "scale"),
    [
        (torch.tensor([123, 116, 103]), torch.tensor([58, 57, 57]), 255),
        (torch.tensor(0.5), torch.tensor(0.25), 1),
        (torch.tensor([127.5]), torch.tensor([128.0]), 255),
        (torch.tensor([123.675, 116.28, 103.53]), torch.ones(3), 255),
        (torch.tensor([123.675, 116.28, 103.53]), None, 255),
        (torch.tensor(MEAN, dtype=torch.float64), torch.tensor(STD, dtype=torch.float16), 1),
    ],
)
def test_whole_numbers_single_numbers_and_a_mean_alone(tmp_path, trunk, mean, std, scale):
    state = {f"net.{key}": tensor for key, tensor in trunk.state_dict().items()} | {"pixel_mean": mean}
    torch.save(state | ({} if std is None else {"pixel_std": std}), tmp_path / "x.pth")
    network = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE).network
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * scale
    spread = torch.ones(1) if std is None else std.float()
    step = lambda x: trunk((x - mean.float().view(-1, 1, 1)) / spread.view(-1, 1, 1))
    assert cosine(network, step, pixels) > 0.99999


def test_a_class_token_keeps_its_parts_and_its_attention_behind_the_normalisation(tmp_path):
    torch.manual_seed(3)
    state = timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save(state | {"mean": torch.tensor(MEAN), "std": torch.tensor(STD)}, tmp_path / "own.pth")
    names = ("plain.pth", "own.pth")
    networks = [open_checkpoint(tmp_path / name, "timm/vit_tiny_patch16_224").network for name in names]
    half = (0.5, 0.5, 0.5)
    assert (networks[0].preprocess.mean, networks[0].preprocess.std) == (half, half)
    pixels = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(4))
    mean, std = (torch.tensor(row)[:, None, None] for row in (MEAN, STD))
    seen = [(pixels - mean) / std, pixels]
    with torch.inference_mode():
        maps = [network.backbone.attentions(one) for network, one in zip(networks, seen, strict=True)]
        kept = [network.activations(one).one() for network, one in zip(networks, seen, strict=True)]
        found = [network.backbone.inner_parts(one) for network, one in zip(networks, kept, strict=True)]
    assert torch.allclose(*maps, atol=1e-5)
    assert found[0][0].shape == (2, 3, 192)
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert networks[1].verdict == networks[0].verdict
    assert networks[1].poolings == networks[0].poolings


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"a.mean": torch.tensor(MEAN), "a.std": torch.tensor(STD), "b.mean": torch.ones(3), "b.std": torch.ones(3)},
            "more than one normalisation of pictures",
        ),
        (
            {"mean": torch.tensor([-0.03, -0.088, -0.188]), "std": torch.ones(3)},
            "no mean and spread of colours (-0.03, ",
        ),
        ({"mean": torch.tensor(MEAN), "std": torch.zeros(3)}, "no mean and spread of colours"),
        ({"mean": torch.tensor([float("nan")] * 3), "std": torch.ones(3)}, "colours in 0..1 or 0..255"),
        (
            {"scaling_layer.shift": torch.ones(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)},
            "no known layer",
        ),
        ({"bn0.running_mean": torch.ones(3), "bn0.running_var": torch.ones(3)}, "does not fit"),
    ],
)
def test_what_is_no_normalisation_is_a_sentence(tmp_path, trunk, more, words):
    torch.save({f"net.{key}": tensor for key, tensor in trunk.state_dict().items()} | more, tmp_path / "x.pth")
    with pytest.raises(SimvisError, match=words.replace("(", r"\(").replace("..", r"\.\.")):
        open_checkpoint(tmp_path / "x.pth", ARCHITECTURE)


def test_the_same_normalisation_twice_counts_once(tmp_path, trunk):
    twice = {f"{name}.{key}": torch.tensor(row) for name in ("a", "b") for key, row in (("mean", MEAN), ("std", STD))}
    torch.save({f"net.{key}": tensor for key, tensor in trunk.state_dict().items()} | twice, tmp_path / "x.pth")
    assert "a.mean and a.std of the file say" in open_checkpoint(tmp_path / "x.pth", ARCHITECTURE).report.sentence()


def test_torchvisions_change_of_the_input_is_made_and_stated(tmp_path):
    torch.manual_seed(0)
    net = torchvision.models.googlenet(transform_input=True, init_weights=False).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    state = net.state_dict()
    net.fc = nn.Identity()
    torch.save(state, tmp_path / "x.pth")
    found = open_checkpoint(tmp_path / "x.pth", "torchvision/googlenet")
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    pixels[1] = pixels[1] * 0.3 + 1
    assert cosine(found.network, net, pixels) > 0.99999
    assert "torchvision changes them inside from its pretrained weights on" in found.report.sentence()
    assert "(or say input=library or input=unit or input=bytes)" in found.report.sentence()
    net.transform_input = False
    plain = open_checkpoint(tmp_path / "x.pth", "torchvision/googlenet", choices={"input": "library"})
    assert cosine(plain.network, net, pixels) > 0.99999
    assert plain.report.choices.input == "library"


@pytest.mark.parametrize(("answer", "scale"), [("unit", 1), ("bytes", 255)])
def test_colours_come_in_as_they_are_where_that_is_said(tmp_path, trunk, answer, scale):
    """As for a network whose first layer holds the normalisation, which no file shows."""
    torch.save({f"net.{key}": tensor for key, tensor in trunk.state_dict().items()}, tmp_path / "x.pth")
    plain = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE)
    assert plain.report.doubts == ()
    found = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, choices={"input": answer})
    assert on_picture(found.network, trunk, scale) > 0.999
    assert found.network.fingerprint != plain.network.fingerprint
    assert f"input={answer}" in found.network.origin
    found.report.write(tmp_path / "choices.json")
    again = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, choices=tmp_path / "choices.json")
    assert again.network.fingerprint == found.network.fingerprint


def test_a_normalisation_of_the_file_can_be_left_out(tmp_path, trunk):
    module = Normalises(trunk)
    torch.save(module.state_dict(), tmp_path / "x.pth")
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for choices in ({"input": "library"}, {"layers": {"mean": "out", "std": "out"}}):
        network = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, choices=choices).network
        assert cosine(network, trunk, pixels) > 0.99999
    with pytest.raises(SimvisError, match="the choice input=changed, which this checkpoint has no place for"):
        open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, choices={"input": "changed"})
    with pytest.raises(SimvisError, match="input='inside'; wanted one of library, changed"):
        open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, choices={"input": "inside"})
