"""A session over a tiny network, and small picture files; nothing here downloads or is slow."""

import asyncio
import copy
from pathlib import Path

import pytest

import model_zoo
from ui.session import Session, Settings


@pytest.fixture(autouse=True)
def _own_cache_folder(tmp_path, monkeypatch):
    """Gradio's cache of sent files, out of everybody's way."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))


@pytest.fixture
def built():
    """Runs a function inside an event loop: elsewhere, gradio opens loops of its own and never closes them."""

    def build(make):
        async def inside():
            return make()

        return asyncio.run(inside())

    return build


@pytest.fixture
def backbone_calls(tiny_backbone):
    """Counts what really runs: one entry for each batch that goes through the tiny backbone."""
    calls = []
    hook = tiny_backbone.register_forward_hook(lambda _module, inputs, _output: calls.append(inputs[0].shape))
    yield calls
    hook.remove()


@pytest.fixture
def session(monkeypatch, tiny_network):
    """A session whose networks are the tiny one, whatever their name."""
    monkeypatch.setattr(model_zoo, "load", lambda name: copy.copy(tiny_network))
    return Session()


@pytest.fixture
def small():
    """Settings that fit the tiny network."""

    def make(**changes):
        return Settings(**{"short_side": 16, **changes})

    return make


@pytest.fixture
def files(two_pictures, tmp_path) -> tuple[Path, Path]:
    """The two pictures as PNG files."""
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for picture, path in zip(two_pictures, paths, strict=True):
        picture.save(path)
    return paths


@pytest.fixture
def pair(session, files, small):
    """The explanation of the two files."""
    return session.explain(*files, small())
