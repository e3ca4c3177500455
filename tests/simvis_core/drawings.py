"""What the explainers' tests ask: small networks in float64, views that are not square, drawings run to their end."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess
from simvis_core.explainers.question import Question
from simvis_core.networks.attention import attention_weights
from simvis_core.steps import run

STRIDE = 8
SMALL = Preprocess((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), short_side=16, stride=STRIDE)
TALL, WIDE = (24, 16), (16, 24)


def view(size=WIDE, seed=0, dtype=torch.float64):
    """A picture of four colours in wavy fields with some noise; no pixel is the mean colour."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    fields = (np.sin(rows / 3 + seed) > 0) * 2 + (np.cos(columns / 4 - rows / 9 + seed) > 0)
    colours = generator.integers(20, 220, (4, 3))
    values = colours[fields] + generator.integers(-15, 16, (*size, 3))
    found = SMALL.view(Image.fromarray(values.astype(np.uint8)), min(size))
    assert found.size == size
    return replace(found, pixels=found.pixels.to(dtype))


def plain_view(size=WIDE, dtype=torch.float64):
    """A picture of nothing but the mean colour: every pixel is 0."""
    found = SMALL.view(Image.new("RGB", size[::-1], (128, 102, 77)), min(size))
    return replace(found, pixels=torch.zeros(3, *size, dtype=dtype))


class Attending(nn.Module):
    """Cells of 8 x 8 pixels that look at each other once, smoothly: every explainer can draw it."""

    def __init__(self, width=6):
        super().__init__()
        self.patches = nn.Conv2d(3, width, STRIDE, STRIDE)
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)

    def attend(self, tokens):
        queries, keys, values = self.qkv(tokens).unflatten(1, (3, 2, -1)).permute(1, 2, 0, 3)
        return queries, keys, values

    def forward(self, pixels):
        cells = torch.tanh(self.patches(pixels))
        return torch.stack([self._one(one) for one in cells])

    def _one(self, cells):
        tokens = cells.flatten(1).T
        weights, values = attention_weights((self.norm, self.attend), tokens), self.attend(self.norm(tokens))[2]
        return (tokens + (weights @ values).permute(1, 0, 2).flatten(1)).T.unflatten(1, cells.shape[1:])

    def attentions(self, pixels):
        tokens = torch.tanh(self.patches(pixels))[0].flatten(1).T
        return attention_weights((self.norm, self.attend), tokens)[None]


def network(pooling="avg", head="fc", dtype=torch.float64, backbone=None, width=6):
    """A network with weights large enough that every part of the picture tells."""
    torch.manual_seed(8)
    backbone = backbone or Attending(width)
    heads = {"none": None, "fc": nn.Linear(width, 5), "free": nn.Linear(width, 5, bias=False)}
    made = heads[head] if isinstance(head, str) else head
    return EmbeddingNetwork(
        backbone.to(dtype), pooling, made if made is None else made.to(dtype), SMALL, name="small network"
    )


class OneBlock(nn.Module):
    """Sees the pixels of one rectangle (top, left, bottom, right), and nothing else."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, pixels):
        top, left, bottom, right = self.block
        block = pixels[:, :, top:bottom, left:right]
        mean, spread = block.mean((2, 3)), block.var((2, 3))  # a superpixel's mean colour keeps the one
        return torch.cat([mean, spread, torch.ones_like(mean)], 1)


class Shared(list):
    """A list that copies of its owner share."""

    def __deepcopy__(self, _memo):
        return self


class Recording(nn.Module):
    """Another backbone that remembers every picture it was shown, as copies of it are."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.seen = backbone, Shared()

    def forward(self, pixels):
        self.seen.append(pixels.detach().clone())
        return self.backbone(pixels)

    def attentions(self, pixels):
        self.seen.append(pixels.detach().clone())
        return self.backbone.attentions(pixels)

    @property
    def pictures(self):
        return torch.cat(self.seen)


def recording(network):
    """The same network, and the pictures it will have been shown."""
    recorder = Recording(network.backbone)
    return network.with_backbone(recorder, engine=network.engine), recorder


def question(network, shown=None, seed=1, known=False, reference=None):
    """What a query of unit length, no picture's own, scores on a view."""
    shown = view() if shown is None else shown
    width = network.embed(shown.pixels[None]).shape[1]
    query = torch.randn(width, generator=torch.Generator().manual_seed(seed), dtype=shown.pixels.dtype)
    asked = Question(network, shown, query / query.norm(), reference=reference)
    return replace(asked, known=network.activations(shown.pixels[None]).one()) if known else asked


def noise(size, seed=0):
    """A signed map or vector of chance numbers."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def finished(steps):
    """What a drawing ends with, and what it told on the way."""
    told = []
    return run(steps, told.append), told


def drawn(draw, *args, **kwargs):
    """The map by one of the explainers' functions."""
    return finished(draw(*args, **kwargs))[0]
