"""The tables that the law tests run over: heads, feature maps that are hard on purpose, pairs of pictures."""

from functools import cache

import torch
from PIL import Image
from torch import nn

from simvis_core import POOLINGS, EmbeddingNetwork, Pooling, Preprocess, View, explain_features
from tests import references

CHANNELS, LENGTH = 6, 7
GRID_A, GRID_B = (4, 5), (3, 7)
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}  # relative to the score, MATHS.md section 5


def fc(width, bias=True):
    return nn.Linear(width, LENGTH, bias=bias)


def bn(width):
    """Batch norm whose four vectors and eps all matter."""
    norm = nn.BatchNorm1d(width, eps=0.3)
    for vector, low, high in ((norm.weight, -1, 2), (norm.bias, -0.5, 1), (norm.running_mean, -1, 1)):
        nn.init.uniform_(vector, low, high)
    nn.init.uniform_(norm.running_var, 0.05, 3)
    return norm


def layer_norm(width):
    norm = nn.LayerNorm(width, eps=0.2)
    nn.init.uniform_(norm.weight, -2, 2)
    nn.init.uniform_(norm.bias, -1, 1)
    return norm


def prelu(width):
    activation = nn.PReLU(width)
    nn.init.uniform_(activation.weight, -0.5, 0.9)
    return activation


chain = nn.Sequential
HEADS = {
    "none": lambda width: None,
    "fc": fc,
    "fc without bias": lambda width: fc(width, bias=False),
    "bn": bn,
    "fc+bn": lambda width: chain(fc(width), bn(LENGTH)),
    "bn+fc": lambda width: chain(bn(width), fc(width)),
    "dropout": lambda width: chain(nn.Dropout(0.5), fc(width), nn.Dropout(0.9)),
    "layer norm": layer_norm,
    "fc+layer norm": lambda width: chain(fc(width), layer_norm(LENGTH)),
    "bn+relu": lambda width: chain(bn(width), nn.ReLU()),
    "fc+prelu": lambda width: chain(fc(width), prelu(LENGTH)),
    "fc+gelu+fc": lambda width: chain(fc(width), nn.GELU(), fc(LENGTH)),
    "leaky relu in place+fc": lambda width: chain(nn.LeakyReLU(0.1, inplace=True), fc(width)),
}
LINEAR_HEADS = ("none", "fc without bias")
AFFINE_HEADS = ("none", "fc", "fc without bias", "bn", "fc+bn", "bn+fc", "dropout")


class Normalise(nn.Module):
    """A custom module that no split can see through."""

    def forward(self, x):
        return nn.functional.normalize(x, dim=-1)


BLACK_BOXES = {
    "softmax": lambda width: chain(fc(width), nn.Softmax(-1)),
    "normalise": lambda width: Normalise(),
    "sigmoid": lambda width: chain(fc(width), nn.Sigmoid()),
    "group norm": lambda width: nn.GroupNorm(2, width),
    "square": lambda width: _Square(),
}


class _Square(nn.Module):
    def forward(self, x):
        return x * x


def features(grid, seed, dtype=torch.float64):
    """Signed values in steps of 1/4, so that maxima tie; channel 0 is zero everywhere, channel 1 all negative.

    A part is common to every seed, so that no score comes out near 0.
    """
    generator = torch.Generator().manual_seed(seed)
    common = torch.linspace(-1, 2, CHANNELS, dtype=torch.float64)[:, None, None]
    values = torch.randn(CHANNELS, *grid, generator=generator, dtype=torch.float64) + common
    values = (values * 4).round() / 4
    values[0], values[1] = 0, -values[1].abs() - 0.5
    return values.to(dtype)


def grids(pooling):
    """Two different grids, or the same one twice where a pooling compares position by position."""
    return (GRID_A, GRID_A) if Pooling(pooling).positional else (GRID_A, GRID_B)


def make_head(head, width, dtype=torch.float64, table=HEADS):
    torch.manual_seed(17)
    module = table[head](width)
    return module if module is None else module.to(dtype).eval()


def make_network(pooling, head="none", dtype=torch.float64, grid=GRID_A, table=HEADS):
    """A network for feature tests: its backbone is never run."""
    width = POOLINGS[Pooling.parse(pooling).name].width(CHANNELS, *grid)
    return EmbeddingNetwork(nn.Identity(), pooling, make_head(head, width, dtype, table), Preprocess())


def blank_view(grid, cell=2):
    height, width = grid[0] * cell, grid[1] * cell
    return View(
        Image.new("RGB", (width, height)), torch.zeros(3, height, width), (0.0, 0.0, float(width), float(height))
    )


def explain(network, a, b):
    return explain_features(network, blank_view(a.shape[1:]), blank_view(b.shape[1:]), a, b)


@cache
def make_pair(pooling, head, dtype=torch.float64, swapped=False):
    """The pair that the laws are stated about; made once for each case."""
    grid_a, grid_b = grids(pooling)
    a, b = features(grid_a, 1, dtype), features(grid_b, 2, dtype)
    return explain(make_network(pooling, head, dtype), *((b, a) if swapped else (a, b)))


def raw_embedding(network, map):
    """The network's embedding before the unit norm, by the reference pooling and the head itself."""
    pooled = references.POOLS[network.pooling.name](map.double().numpy(), network.pooling.exponent)
    pooled = torch.from_numpy(pooled)
    if network.head is None:
        return pooled
    with torch.no_grad():
        return network.head(pooled.to(map.dtype)[None])[0].double()


def cosine(a, b):
    return references.dot(a, b) / (references.length(a) * references.length(b))
