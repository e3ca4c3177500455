"""The shim that lets torchvision be imported beside a PyTorch its compiled operators do not fit."""

import importlib.util

import pytest
import torch

from model_zoo.operators import declare_missing_operators


def test_a_machine_without_torchvision_is_told_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="torchvision") as caught:
        declare_missing_operators()
    assert caught.value.name == "torchvision"


def test_where_the_extension_loads_nothing_is_declared(monkeypatch):
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    assert declare_missing_operators() is None


def test_torchvision_and_timm_can_be_imported_after_it():
    import model_zoo.cards.backbones  # noqa: F401

    assert importlib.util.find_spec("torchvision") is not None
    assert hasattr(torch.ops.torchvision, "nms")
