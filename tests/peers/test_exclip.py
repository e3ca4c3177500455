"""Maps along a path beside the integrated Jacobian of exclip (Moeller 2025), which loops over every dimension.

Their package knows CLIP only; its own function integrates a tiny network here: the straight line between a layer's
outputs, evenly spaced points in place of Gauss-Legendre's, and all of the embedding's Jacobian in place of products.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess

pytestmark = pytest.mark.slow
POINTS = 2000


@pytest.fixture
def exclip():
    return pytest.importorskip("exclip.explanation")


@pytest.fixture
def network():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.GELU(), nn.Conv2d(6, 5, 2, 2), nn.Tanh()).double().eval()
    return EmbeddingNetwork(trunk, "avg", nn.Linear(5, 4).double(), Preprocess(short_side=16, stride=8))


def picture(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8))


def their_cells(exclip, network, pixels, reference):
    """E (H, W, D) at layer 0 by their interpolation and their loop over the embedding's dimensions."""
    front, behind = network.backbone[:1], network.backbone[1:]
    ends = torch.cat([front(pixels[None]), front(reference[None])]).detach()
    points = exclip.interpolate_reference_embedding(ends, POINTS).requires_grad_()
    raw = network.head(behind(points).mean((2, 3)))
    unit = raw / raw.norm(dim=1, keepdim=True)
    jacobian = exclip.Explainer._compute_integrated_jacobian(None, unit[:-1], points, verbose=False)
    return torch.einsum("dchw,chw->hwd", jacobian, ends[0] - ends[1]), unit[0].detach(), unit[-1].detach()


def test_cells_along_a_path_are_their_integrated_jacobian(exclip, network):
    a, b = (network.view(picture(seed)) for seed in (1, 2))
    grey = Image.fromarray(np.full((16, 24, 3), 128, dtype=np.uint8))
    deep = network.at("0", "path", grey)
    start = network.view(grey).pixels.double()
    ours = {side: deep.decompose(view.pixels.double()) for side, view in (("a", a), ("b", b))}
    theirs = {side: their_cells(exclip, network, view.pixels.double(), start) for side, view in (("a", a), ("b", b))}
    for side, made in ours.items():
        cells, unit, began = theirs[side]
        assert torch.allclose(made.embedding, unit, atol=1e-9)
        assert torch.allclose(made.bias_parts["reference"], began, atol=1e-9)
        assert float((made.cells - cells).abs().max()) < 2e-3 * float(cells.abs().max())  # their points are even
    joint = torch.einsum("pqd,rsd->pqrs", ours["a"].cells, ours["b"].cells)
    second = torch.einsum("pqd,rsd->pqrs", theirs["a"][0], theirs["b"][0])  # their equation 10
    assert float((joint - second).abs().max()) < 4e-3 * float(second.abs().max())


def test_more_of_their_points_come_nearer_to_ours(exclip, network, monkeypatch):
    view, grey = network.view(picture(1)), Image.fromarray(np.full((16, 24, 3), 128, dtype=np.uint8))
    ours = network.at("0", "path", grey).decompose(view.pixels.double()).cells
    gaps = []
    for points in (10, 100, 1000):
        monkeypatch.setattr(f"{__name__}.POINTS", points)
        cells, _, _ = their_cells(exclip, network, view.pixels.double(), network.view(grey).pixels.double())
        gaps.append(float((ours - cells).abs().max()))
    assert gaps[1] < gaps[0] / 5
    assert gaps[2] < gaps[1] / 5
