"""Tiny networks that the laws at every layer run over: skips, gates, norms, maxima, tokens without a place."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

from simvis_core import EmbeddingNetwork, Preprocess, explain_features
from simvis_core.networks.backbone import Activations
from tests.simvis_core.cases import blank_view

SIZE_A, SIZE_B = (16, 24), (24, 16)
PREPROCESS = Preprocess(short_side=16, stride=4)


class Residual(nn.Module):
    """A block whose branch is no cut: squeeze and excitation on it, activations of several kinds."""

    def __init__(self, width):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.SiLU(True)
        self.squeeze = nn.Conv2d(width, width, 1)

    def forward(self, x):
        branch = self.act(self.norm(self.conv(x)))
        return functional.relu(x + branch * self.squeeze(branch.mean((2, 3), keepdim=True)).sigmoid(), inplace=True)


class Gated(nn.Module):
    """Products of two live branches: GLU, SwiGLU, and ConvNeXt's global response."""

    def __init__(self, width):
        super().__init__()
        self.wide, self.gate, self.value = (nn.Conv2d(width, n * width, 1) for n in (2, 1, 1))

    def forward(self, x):
        x = x + functional.glu(self.wide(x), 1)
        x = x + functional.silu(self.gate(x)) * self.value(x)
        length = x.norm(p=2, dim=(2, 3), keepdim=True)
        return x + x * (length / (length.mean(1, keepdim=True) + 1e-6))


class Attending(nn.Module):
    """A transformer's block on tokens, by PyTorch's own layer or by the fused function."""

    def __init__(self, width, fused):
        super().__init__()
        self.fused = fused
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads = nn.MultiheadAttention(width, 2, batch_first=True)
        self.qkv = nn.Linear(width, 3 * width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self._attended(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attended(self, x):
        if not self.fused:
            return self.heads(x, x, x, need_weights=False)[0]
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 2, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)


class Tokens(nn.Module):
    """Patches as tokens behind a class token and a register, pooled into the class token."""

    inner_pooling = "token"

    def __init__(self, width=8):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.front = nn.Parameter(torch.randn(1, 2, width))
        self.blocks = nn.Sequential(Attending(width, False), Attending(width, True))
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels):
        patches = self.patches(pixels)
        tokens = torch.cat([self.front.expand(len(pixels), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        tokens = self.norm(self.blocks(tokens))
        return Activations(tokens[:, 2:].transpose(1, 2).unflatten(2, patches.shape[2:]), tokens[:, 0])


class ChannelsLast(nn.Module):
    """Layers that keep (B, H, W, C), group and root mean square norms."""

    def __init__(self):
        super().__init__()
        self.stem, self.group = nn.Conv2d(3, 6, 4, 4), nn.GroupNorm(2, 6)
        self.last = nn.Sequential(nn.RMSNorm(6), nn.Linear(6, 7), nn.Hardswish())

    def forward(self, pixels):
        return self.last(self.group(self.stem(pixels)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def convolutional():
    return nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU6(True), nn.MaxPool2d(2), Residual(4))


def gated():
    return nn.Sequential(nn.Conv2d(3, 4, 4, 4), Gated(4), nn.Conv2d(4, 5, 1), nn.Tanh())


NETWORKS = {
    "convolutional": (convolutional, "avg", lambda: nn.Linear(4, 5)),
    "convolutional, gem": (convolutional, "gem", lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 5))),
    "convolutional, both": (convolutional, "catavgmax", lambda: None),
    "gated": (gated, "max", lambda: nn.Sequential(nn.Linear(5, 5), nn.PReLU())),
    "tokens": (Tokens, "token", lambda: None),
    "channels last": (ChannelsLast, "avg", lambda: nn.Linear(7, 5)),
}


@cache
def network(name):
    """One of `NETWORKS` in float64, with batch norms whose vectors all matter."""
    torch.manual_seed(3)
    backbone, pooling, head = NETWORKS[name]
    body, top = backbone().double(), head()
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            for vector, low, high in ((module.weight, 0.5, 2), (module.bias, -0.5, 1), (module.running_mean, -1, 1)):
                nn.init.uniform_(vector, low, high)
    return EmbeddingNetwork(body, pooling, top if top is None else top.double(), PREPROCESS, name=name)


def pictures():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(3, *size, generator=generator, dtype=torch.float64) for size in (SIZE_A, SIZE_B)]


CASES = [(name, cut.layer, rule) for name in NETWORKS for cut in network(name).cuts for rule in ("frozen", "path")]
# The default run has these layers, the slow one all.
USUAL = {"convolutional, gem": "3", "gated": "0", "tokens": "blocks.0"}
FEW = [case for case in CASES if case[1] in ("pixels", "4", "features", USUAL.get(case[0], "0"))]


def marked(cases):
    """The cases as a test's parameters; all but the usual ones belong to the slow run."""
    slow = pytest.mark.slow
    return [pytest.param(*one, marks=() if one[1] == USUAL.get(one[0]) else slow) for one in dict.fromkeys(cases)]


@cache
def at(name, layer, rule):
    return network(name).at(layer, rule)


@cache
def pair(name, layer, rule, swapped=False):
    """Two pictures of different shapes under a network at a layer."""
    net = at(name, layer, rule)
    a, b = pictures()[::-1] if swapped else pictures()
    seen = [net.activations(one[None]).one() for one in (a, b)]
    views = [blank_view((one.shape[1] // 2, one.shape[2] // 2)) for one in (a, b)]
    return explain_features(net, *views, *seen)
