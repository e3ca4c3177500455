"""A small trunk, files of it with layers beside it, and what the original module makes of the same pixels."""

import functools

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoints.doubts import UndecidedError
from model_zoo.checkpoints.opening import open_checkpoint

ARCHITECTURE, WIDTH = "timm/test_resnet", 96  # 0.4 million weights, views of 160 pixels, cells of 32
PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
POOL = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def shaken(module, seed=0):
    """The module with offsets and statistics of its own, as training would leave them."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.data += 0.3 * torch.rand(tensor.shape, generator=generator)
    return module.eval()


@functools.cache
def trunk():
    """Maps, not pooled."""
    torch.manual_seed(0)
    return shaken(timm.create_model("test_resnet", num_classes=0, global_pool=""))


def under(prefix, module):
    return {f"{prefix}.{key}": tensor for key, tensor in module.state_dict().items()}


def written(folder, parts, save=torch.save, name="m.pth"):
    """A file of the trunk under ``net`` and of modules and tensors beside it."""
    state = under("net", trunk())
    for path, part in parts.items():
        state |= under(path, part) if isinstance(part, nn.Module) else {path: part}
    save(state, folder / name)
    return folder / name


def opened(folder, parts, **options):
    return open_checkpoint(written(folder, parts), ARCHITECTURE, **options)


def same(network, *modules, pixels=PIXELS):
    """Whether the network's embeddings are those of the modules in a row, behind the trunk."""
    return like(network, trunk(), *modules, pixels=pixels)


def like(network, *modules, pixels=PIXELS):
    with torch.no_grad():
        wanted = pixels
        for module in modules:
            wanted = module(wanted)
    wanted = normalize(wanted.flatten(1), dim=-1)
    return bool((network.embed(pixels) * wanted).sum(1).min() > 1 - 1e-6)


def embedder(gives=16):
    torch.manual_seed(1)
    return shaken(nn.Sequential(nn.Linear(WIDTH, gives), nn.BatchNorm1d(gives)))


def asks(folder, parts, **options):
    """The questions without an answer, with their options, and the sentence."""
    with pytest.raises(UndecidedError) as caught:
        opened(folder, parts, **options)
    return {doubt.key: list(doubt.options) for doubt in caught.value.doubts if doubt.taken is None}, str(caught.value)
