"""Laws that hold for every card of the catalogue, and preprocessing against the libraries the weights come from."""

import re

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

import model_zoo
from model_zoo.cards import catalog
from model_zoo.cards.backbones import BACKBONES
from simvis_core import SimvisError

CARDS = [pytest.param(card, id=name) for name, card in model_zoo.CATALOG.items()]


@pytest.mark.parametrize("card", CARDS)
def test_a_card_says_everything_a_person_choosing_needs(card):
    for field in ("name", "title", "licence", "origin", "paper", "task", "head", "note"):
        assert getattr(card, field).strip(), field
    assert model_zoo.card(card.name) is card
    assert card.architecture in BACKBONES
    assert card.weights.megabytes > 0


@pytest.mark.parametrize("card", CARDS)
def test_weights_are_named_by_their_hash(card):
    digits = 64 if card.bundled else 8
    assert re.fullmatch(rf"[0-9a-f]{{{digits},64}}", card.weights.sha256)
    if not card.bundled:
        assert card.weights.where.startswith("https://")
        assert card.weights.where.endswith(f"-{card.weights.sha256}.pth")


def test_names_are_unique_and_the_default_comes_first():
    assert len(catalog._CARDS) == len(model_zoo.CATALOG)
    assert model_zoo.names() == tuple(card.name for card in catalog._CARDS)
    assert model_zoo.names()[0] == "efficientnet_lite0"
    assert len({card.title for card in catalog._CARDS}) == len(catalog._CARDS)


def test_the_bundled_names_are_cards_that_download_nothing():
    assert set(model_zoo.bundled()) == {"efficientnet_lite0", "efficientnet_lite2", "mobilenet_v2", "face_resnet29"}
    assert model_zoo.names()[0] in model_zoo.bundled()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(SimvisError, match="nosuchnet") as caught:
        model_zoo.load("nosuchnet")
    for name in model_zoo.names():
        assert name in str(caught.value)


# Preprocessing: the same picture through the library that the weights were published for.


@pytest.fixture(scope="module", params=[256, 512])
def square(request):
    """A square picture, at the library's size before its centre crop and at twice that."""
    generator = np.random.default_rng(7)
    coarse = Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    return coarse.resize((request.param, request.param), Image.Resampling.BICUBIC)


def test_mobilenet_sees_what_torchvision_would_show_it(square):
    theirs = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()(square)
    ours = model_zoo.card("mobilenet_v2").preprocess.view(square, 224, "crop").pixels
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "convnext_tiny"])
def test_networks_to_download_have_torchvisions_colour_statistics(name):
    theirs = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    ours = model_zoo.card(name).preprocess
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert ours.resampling == theirs.interpolation.value


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_lite_networks_see_what_timm_would_show_them(square, name):
    """timm rounds Google's (x - 127) / 128 to (x - 127.5) / 127.5: at most 0.008 apart on a scale of -1 to 1."""
    config = timm.data.resolve_data_config(timm.get_pretrained_cfg(f"tf_{name}").to_dict())
    theirs = timm.data.create_transform(**config | {"input_size": (3, 224, 224), "crop_pct": 0.875})(square)
    ours = model_zoo.card(name).preprocess.view(square, 224, "crop").pixels
    assert config["interpolation"] == model_zoo.card(name).preprocess.resampling
    assert (ours - theirs).abs().max() <= 0.008
    assert torch.allclose(ours * 128 + 127, torch.round(ours * 128 + 127), atol=1e-3)  # Google's formula, exactly


def test_the_face_network_sees_dlibs_numbers():
    picture = Image.new("RGB", (150, 150), (200, 100, 50))
    pixels = model_zoo.card("face_resnet29").preprocess.view(picture).pixels
    wanted = [(200 - 122.782) / 256, (100 - 117.001) / 256, (50 - 104.298) / 256]
    assert pixels.shape == (3, 150, 150)
    assert torch.allclose(pixels[:, 75, 75], torch.tensor(wanted), atol=1e-6)
