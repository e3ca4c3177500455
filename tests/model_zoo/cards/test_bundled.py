"""The networks that come with SimVis: real weights, on sample photographs."""

import io
import itertools
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file

import model_zoo
from model_zoo.cards.weights import HERE
from simvis_core import SimvisError, explain_features, open_picture

PICTURES = Path(__file__).parents[3] / "sample_data" / "pictures"

pytestmark = pytest.mark.network

# 7 x 11 and 9 x 7 cells at the default view.
WIDE, TALL = "taj_mahal/taj_mahal_1.jpg", "statue_of_liberty/statue_of_liberty_1.jpg"


@pytest.fixture(scope="module", params=model_zoo.bundled())
def network(request):
    return model_zoo.load(request.param)


@pytest.fixture(scope="module")
def photographs():
    return open_picture(PICTURES / WIDE), open_picture(PICTURES / TALL)


@pytest.mark.parametrize("name", model_zoo.bundled())
def test_loads_without_a_network_connection(name, monkeypatch):
    def refused(*_):
        raise AssertionError("a bundled network asked for a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    assert model_zoo.load(name).name == name


def test_is_exact_in_eval_mode_and_has_its_trained_pooling(network):
    card = model_zoo.card(network.name)
    modules = [module for module in (network.backbone, network.head) if module is not None]
    assert not any(part.training for module in modules for part in module.modules())
    assert network.verdict == "exact"
    assert str(network.pooling) == str(network.trained_pooling) == card.pooling
    assert (network.head is None) == (card.head == "none")
    assert network.preprocess is card.preprocess


def test_cells_sum_to_the_embedding_and_maps_to_the_score(network, photographs):
    for name, framing in itertools.product(network.poolings, ("whole", "square")):
        under = network.with_pooling(name)
        if under.pooling.positional and framing == "whole":
            continue  # compares position by position: needs two grids alike
        views = [under.view(picture, framing=framing) for picture in photographs]
        features = [under.features(view.pixels[None])[0] for view in views]
        pair = explain_features(under, *views, *features)
        embeddings = [under.embed(view.pixels[None])[0] for view in views]
        for side, embedding in zip("ab", embeddings, strict=True):
            _, cells, map = pair.side(side)
            assert torch.allclose(cells.cells.sum((0, 1)) + cells.bias, embedding, atol=1e-5)
            assert abs(float(map.double().sum()) + pair.bias_part(side) - pair.score) < 1e-5
        cosine = torch.nn.functional.cosine_similarity(embeddings[0].double(), embeddings[1].double(), dim=0)
        assert abs(pair.score - float(cosine)) < 1e-5
        assert abs(sum(pair.ledger.values()) - pair.score) < 1e-5


def test_the_grid_follows_the_pictures_shape(network, photographs):
    grids = [network.decompose(network.view(picture).pixels).grid for picture in photographs]
    assert grids == ([(2, 2), (2, 2)] if network.preprocess.fixed_size else [(7, 11), (9, 7)])


def test_a_pooling_is_chosen_by_name_or_refused():
    assert str(model_zoo.load("mobilenet_v2", "gem:4").pooling) == "gem:4"
    with pytest.raises(SimvisError, match="nosuchpooling"):
        model_zoo.load("mobilenet_v2", "nosuchpooling")


def test_a_pooling_that_the_head_cannot_take_is_a_sentence(photographs):
    network = model_zoo.load("face_resnet29", "catavgmax")
    assert "catavgmax" not in network.poolings
    with pytest.raises(SimvisError, match="512 pooled features"):
        network.decompose(network.view(photographs[0]).pixels)


# The right weights in the right slots: the classifier behind the trunk names what anybody would.

NAMED = {  # ImageNet-1k class by sample picture
    "cheetah/cheetah_1.jpg": 293,
    "polar_bear/polar_bear_1.jpg": 296,
    "koala/koala_1.jpg": 105,
    "hedgehog/hedgehog_1.jpg": 334,
    "camel/camel_1.jpg": 354,
    "bison/bison_1.jpg": 347,
    "penguin/penguin_1.jpg": 145,
    "red_panda/red_panda_1.jpg": 387,
    "baseball/baseball_1.jpg": 429,
    "screwdriver/screwdriver_1.jpg": 784,
}


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_the_classifier_names_obvious_pictures(name):
    network = model_zoo.load(name)
    pixels = [network.view(open_picture(PICTURES / file), framing="crop").pixels for file in NAMED]
    with torch.inference_mode():
        chances = network.backbone.network.forward_head(network.features(torch.stack(pixels))).softmax(-1)
    assert chances.argmax(-1).tolist() == list(NAMED.values())
    assert chances.max(-1).values.min() > 0.7


def test_mobilenet_knows_two_views_of_one_building_from_a_hammer():
    network = model_zoo.load("mobilenet_v2")
    files = (WIDE, "taj_mahal/taj_mahal_3.jpg", "hammer/hammer_1.jpg")
    pixels = torch.stack([network.view(open_picture(PICTURES / file), framing="square").pixels for file in files])
    embeddings = network.embed(pixels)
    same, other = float(embeddings[0] @ embeddings[1]), float(embeddings[0] @ embeddings[2])
    assert same > other + 0.1


def test_a_large_jpeg_decoded_no_larger_than_needed_keeps_its_score_to_a_hundredth():
    network = model_zoo.load("efficientnet_lite0")
    embeddings = {}
    for enough in (None, 1024):
        opened = [open_picture(large_jpeg(file), enough) for file in (WIDE, "taj_mahal/taj_mahal_3.jpg")]
        views = [network.view(picture, framing="square") for picture in opened]
        embeddings[enough] = network.embed(torch.stack([view.pixels for view in views]))
    whole, small = (float(pair[0] @ pair[1]) for pair in embeddings.values())
    assert min(opened[0].size) >= 1024
    assert max(opened[0].size) < 2048
    assert abs(whole - small) < 0.01


def large_jpeg(file):
    """A sample picture as a camera would give it: 5.5 megapixels."""
    buffer = io.BytesIO()
    open_picture(PICTURES / file).resize((2700, 2050)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


# The face network once more, slowly: dlib's layer list in numpy float64, nothing shared with model_zoo.


def test_the_face_network_equals_a_slow_forward_in_numpy(photographs):
    network = model_zoo.load("face_resnet29")
    view = network.view(photographs[0])
    features, embedding = slow_face(view.pixels.double().numpy())
    assert features.shape == (256, 2, 2)
    ours = network.features(view.pixels[None])[0]
    assert np.abs(ours.numpy() - features).max() < 1e-5 * np.abs(features).max()
    assert np.abs(network.embed(view.pixels[None])[0].numpy() - embedding).max() < 1e-5


def slow_face(x):
    """Features (256, 2, 2) and the unit embedding (128,) of pixels (3, 150, 150)."""
    weights = {name: array.astype(np.float64) for name, array in load_file(HERE / "face_resnet29.safetensors").items()}
    assert sum(array.size for array in weights.values()) == 5_614_592
    x = relu(affine(convolved(x, weights, "conv0", stride=2, padding=0), weights, "aff0"))
    assert x.shape == (32, 72, 72)
    x = windows(x, 3, 2).max((-2, -1))
    shapes = [(32, 35)] * 3 + [(64, 17)] * 4 + [(128, 8)] * 3 + [(256, 4)] * 3 + [(256, 2)]
    for number, (channels, side) in enumerate(shapes):
        down = x.shape[1] != side
        name = f"blocks.{number}"
        branch = convolved(x, weights, f"{name}.conv1", 2 if down else 1, 0 if down else 1)
        branch = relu(affine(branch, weights, f"{name}.aff1"))
        branch = affine(convolved(branch, weights, f"{name}.conv2", 1, 1), weights, f"{name}.aff2")
        shortcut = windows(x, 2, 2).mean((-2, -1)) if down else x
        total = np.zeros((channels, side, side))
        for part in (branch, shortcut):
            total[: part.shape[0], : part.shape[1], : part.shape[2]] += part
        x = relu(total)
    embedding = weights["fc.weight"] @ x.mean((1, 2))
    return x, embedding / np.sqrt((embedding**2).sum())


def windows(x, size, stride):
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def convolved(x, weights, name, stride, padding):
    kernel = weights[f"{name}.weight"]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    parts = np.tensordot(kernel, windows(x, kernel.shape[-1], stride), axes=([1, 2, 3], [0, 3, 4]))
    return parts + weights[f"{name}.bias"][:, None, None]


def affine(x, weights, name):
    return x * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


def relu(x):
    return np.maximum(x, 0)
