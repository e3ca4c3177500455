"""Trunks that turn pixels (B, 3, h, w) into features (B, C, H, W), with the heads that were trained on them."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

Builder = Callable[[], tuple[nn.Module, nn.Module | None]]


class TimmTrunk(nn.Module):
    """A timm network up to its pooling: the library's own ``forward_features``."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.network = timm.create_model(architecture, pretrained=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network.forward_features(pixels)


class FrozenAffine(nn.Module):
    """A batch norm folded to one gain and one offset a channel, as dlib stores it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class FaceBlock(nn.Module):
    """dlib's residual block; a narrower or shorter branch is filled with zeros at the far end."""

    def __init__(self, channels_in: int, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(channels_in, channels, 3, 2 if down else 1, 0 if down else 1)
        self.aff1 = FrozenAffine(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.aff2 = FrozenAffine(channels)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.aff2(self.conv2(functional.relu(self.aff1(self.conv1(x)))))
        shortcut = functional.avg_pool2d(x, 2, 2) if self.down else x
        shape = [max(sizes) for sizes in zip(branch.shape[1:], shortcut.shape[1:], strict=True)]
        return functional.relu(_filled(branch, shape) + _filled(shortcut, shape))


class FaceTrunk(nn.Module):
    """The 29 convolutions of dlib's face network (King 2017); 150 x 150 pixels give a grid of 2 x 2 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 32, 7, 2)
        self.aff0 = FrozenAffine(32)
        self.blocks = nn.Sequential(*_face_blocks())

    def forward(self, pixels: Tensor) -> Tensor:
        stem = functional.relu(self.aff0(self.conv0(pixels)))
        return self.blocks(functional.max_pool2d(stem, 3, 2))


def _face_blocks() -> Iterable[FaceBlock]:
    before = 32
    for channels, count, down in ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True)):
        for number in range(count):
            yield FaceBlock(before, channels, down and number == 0)
            before = channels


def _filled(x: Tensor, shape: list[int]) -> Tensor:
    c, h, w = (wanted - have for wanted, have in zip(shape, x.shape[1:], strict=True))
    return functional.pad(x, (0, w, 0, h, 0, c))


def _timm(architecture: str) -> Builder:
    return lambda: (TimmTrunk(architecture), None)


def _face() -> tuple[nn.Module, nn.Module | None]:
    return FaceTrunk(), nn.Linear(256, 128, bias=False)


def _torchvision_features(architecture: str) -> Builder:
    """For architectures that keep their trunk in ``features``."""
    return lambda: (torchvision.models.get_model(architecture, weights=None).features, None)


def _resnet(architecture: str) -> Builder:
    def build() -> tuple[nn.Module, nn.Module | None]:
        network = torchvision.models.get_model(architecture, weights=None)
        layers = [(name, layer) for name, layer in network.named_children() if name not in ("avgpool", "fc")]
        return nn.Sequential(OrderedDict(layers)), None

    return build


def _convnext() -> tuple[nn.Module, nn.Module | None]:
    """ConvNeXt normalises after pooling: its LayerNorm is the head."""
    network = torchvision.models.get_model("convnext_tiny", weights=None)
    return network.features, nn.LayerNorm(768, eps=1e-6)


BACKBONES: dict[str, Builder] = {
    "tf_efficientnet_lite0": _timm("tf_efficientnet_lite0"),
    "tf_efficientnet_lite2": _timm("tf_efficientnet_lite2"),
    "mobilenet_v2": _torchvision_features("mobilenet_v2"),
    "face_resnet29": _face,
    "resnet18": _resnet("resnet18"),
    "resnet50": _resnet("resnet50"),
    "vgg16": _torchvision_features("vgg16"),
    "convnext_tiny": _convnext,
}
