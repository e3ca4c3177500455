"""A lent graphics card, with a stand-in for the Space's package and for the card."""

import gc
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from simvis_app.service.sessions import zero_gpu
from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, explain_pair, open_picture
from tests.backbones import Token


@pytest.fixture
def calls(monkeypatch):
    """What runs on the lent card: the shapes of the pixels of each call."""
    made = []

    def lend(function):
        def inside(number, pixels):
            made.append(tuple(pixels.shape))
            return function(number, pixels)

        return inside

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))
    monkeypatch.setenv(zero_gpu.LENT, "1")
    monkeypatch.setattr(zero_gpu, "moved", lambda backbone, device: backbone)
    return made


def test_passes_run_on_the_lent_card_and_nothing_else_changes(calls, session, files, small, tiny_network):
    usual = explain_pair(tiny_network, *(open_picture(file) for file in files))
    lent = session
    pair = lent.explain(*files, small())
    assert calls == [(1, 3, 16, 24), (1, 3, 24, 16)]
    assert pair.score == pytest.approx(usual.score, abs=1e-6)
    assert pair.network.fingerprint == tiny_network.fingerprint
    lent.explain_fully(*files, small())
    assert len(calls) == 2


def test_a_class_token_comes_back_too(calls, tiny_preprocess):
    network = EmbeddingNetwork(Token(), "token", None, tiny_preprocess)
    pixels = torch.randn(2, 3, 16, 24)
    wanted = network.embed(pixels)
    placed = zero_gpu.LentGpu().placed(network)
    assert torch.allclose(placed.embed(pixels), wanted)
    assert placed.inner_pooling == "token"
    assert calls == [(2, 3, 16, 24)]


def test_a_network_that_nobody_uses_is_forgotten(calls, tiny_preprocess):
    lent = zero_gpu.LentGpu()
    network = lent.placed(EmbeddingNetwork(nn.Conv2d(3, 6, 8, 8), "avg", None, tiny_preprocess))
    assert len(lent._backbones) == 1
    del network
    gc.collect()
    assert len(lent._backbones) == 0


def test_elsewhere_nothing_is_lent(monkeypatch):
    monkeypatch.delenv(zero_gpu.LENT, raising=False)
    assert not zero_gpu.lent()
    assert Session()._lent_gpu is None
