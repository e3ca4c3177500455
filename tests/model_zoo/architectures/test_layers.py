"""Layers behind the pooling in the core's words: each does to a vector what the library's own does."""

import pytest
import torch
from timm.layers import BatchNormAct2d, LayerNorm2d, RmsNorm
from torch import nn

from model_zoo.architectures.layers import chain, known
from simvis_core.networks.heads import Elementwise

WIDTH, EPS = 6, 0.3
LAYERS = {
    "batch norm and ReLU": lambda: BatchNormAct2d(WIDTH, eps=EPS),
    "batch norm": lambda: nn.BatchNorm2d(WIDTH, eps=EPS),
    "layer norm over channels": lambda: LayerNorm2d(WIDTH, eps=EPS),
    "convolution": lambda: nn.Conv2d(WIDTH, 4, 1),
}
VECTORS = {
    "layer norm": lambda: nn.LayerNorm(WIDTH, eps=EPS),
    "RMS norm": lambda: RmsNorm(WIDTH, eps=EPS),
    "GELU": nn.GELU,
    "Hardswish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(-1),
    "dropout": lambda: nn.Dropout(0.5),
}


def filled(module):
    """With numbers of its own in every weight and statistic, in eval mode."""
    torch.manual_seed(7)
    for tensor in (*module.parameters(), *(one for one in module.buffers() if one.is_floating_point())):
        nn.init.uniform_(tensor, 0.2, 2)
    return module.eval()


@pytest.mark.parametrize("name", [*LAYERS, *VECTORS])
def test_a_known_layer_is_the_librarys_own(name):
    layer = filled((LAYERS | VECTORS)[name]())
    vectors = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        wanted = layer(vectors[:, :, None, None]).flatten(1) if name in LAYERS else layer(vectors)
        head = chain([layer])
        found = vectors if head is None else head.eval()(vectors)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_only_what_works_on_each_entry_is_marked_so():
    assert isinstance(known(nn.Sigmoid())[0], Elementwise)
    assert [type(one) for one in known(nn.Sequential(nn.ReLU(), nn.Softmax(-1)))] == [nn.ReLU, nn.Softmax]
    assert chain([nn.Dropout(), nn.Identity()]) is None
