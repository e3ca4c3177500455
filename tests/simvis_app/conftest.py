"""A session over a tiny network, and small picture files; nothing here downloads or is slow."""

import asyncio
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import model_zoo
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import EmbeddingNetwork, Preprocess
from simvis_core.pictures.listing import listed
from simvis_core.steps import run


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


# Galleries


NETWORK, BLACK_BOX = "mobilenet_v2", "resnet18"  # cards whose weights are tiny ones here
SIZES = ((36, 24), (24, 36), (24, 24))  # width and height: views of 32 x 48, 48 x 32 and 32 x 32, in cells of 8
CLASSES = ("ape", "bee", "cat", "dog")


def tiny(name, seed=11):
    """Signed features of 12 channels; a head with a bias, or for the black box one that cannot be split."""
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 8, 4, 4, bias=False), nn.ReLU(), nn.Conv2d(8, 12, 2, 2, bias=False)
    linear = nn.Linear(12, 9).requires_grad_(False)
    linear.weight *= 6  # else the bias would make all pictures alike
    head = linear if name != BLACK_BOX else nn.Sequential(linear, nn.Softmax(-1))
    preprocess = Preprocess((0.0,) * 3, (1.0,) * 3, short_side=32, stride=8)
    backbone = nn.Sequential(*layers).eval().requires_grad_(False)
    return EmbeddingNetwork(backbone, "avg", head, preprocess, name=name)


class TinySession(Session):
    """A session whose networks are tiny; ``seed`` chooses the weights. Names that no card has are refused."""

    seed = 11

    def _load(self, name):
        if name not in model_zoo.names():
            return super()._load(name)
        return tiny(name, self.seed)


def photographs(folder):
    """Three pictures in each of four folders, alike in colour: labels and sizes vary."""
    chance = np.random.default_rng(7)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        base = chance.integers(0, 256, (4, 6, 3))
        for number, size in enumerate(SIZES):
            blocks = np.clip(base + chance.integers(-90, 91, base.shape), 0, 255).astype(np.uint8)
            image = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)
            image.save(folder / label / f"{label}_{number}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """The pictures of the gallery that nobody changes."""
    return photographs(tmp_path_factory.mktemp("photos"))


VIEW = 32
PLAIN = Settings(NETWORK, "avg", VIEW)


def indexed(galleries, name, folder, settings=PLAIN):
    """Indexes a folder and gives the space."""
    return run(galleries.indexing(name, listed(folder), settings))


@pytest.fixture(scope="session")
def library(photos, tmp_path_factory):
    """Gallery 'animals' under avg and under a black box, for tests that only read."""
    galleries = Galleries(TinySession(), tmp_path_factory.mktemp("library"))
    indexed(galleries, "animals", photos)
    indexed(galleries, "animals", photos, replace(PLAIN, backbone=BLACK_BOX))
    yield galleries
    galleries.close()


@pytest.fixture(scope="session")
def space(library):
    """The gallery under the network that can be split."""
    return next(space for space in library.spaces("animals") if space.network == NETWORK)


@pytest.fixture(scope="session")
def black(library):
    """The gallery under the black box."""
    return next(space for space in library.spaces("animals") if space.network == BLACK_BOX)


@pytest.fixture
def own_photos(tmp_path):
    """Pictures that a test may change."""
    return photographs(tmp_path / "photos")


@pytest.fixture
def shelf(own_photos, tmp_path):
    """Galleries that a test may change; visitors may index the pictures. 'animals' is there."""
    galleries = Galleries(TinySession(), tmp_path / "shelf", pictures=own_photos)
    indexed(galleries, "animals", own_photos)
    yield galleries
    galleries.close()
