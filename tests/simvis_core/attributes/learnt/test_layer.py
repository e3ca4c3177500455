"""The attribute model of a layer: its maps sum to its scores, and are the network's own where the verdict says so."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simvis_core import Activations, EmbeddingNetwork, SimvisError
from simvis_core.attributes.learnt.layer import AttributeLayer, LearntAttributes, usual_shares
from simvis_core.attributes.learnt.layer_files import open_layer, save_layer
from simvis_core.attributes.ranker import AttributeModel

seeds = st.integers(0, 2**31)
NAMES = ("fur", "dome", "water")
CHANNELS = 5


def made(seed, kernel=1, pooling="avg", head=None):
    chance = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, CHANNELS, kernel, kernel, generator=chance, dtype=torch.float64)
    usual = torch.rand(3, generator=chance, dtype=torch.float64) * 0.8 + 0.1
    network = EmbeddingNetwork(nn.Conv2d(3, CHANNELS, 8, 8).double(), pooling, head)
    features = torch.rand(CHANNELS, 3, 4, generator=chance, dtype=torch.float64)
    return LearntAttributes(network, AttributeLayer(NAMES, weight, usual)), Activations(features)


def head(seed=1, *more):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(CHANNELS, 4), *more).double().eval()


@pytest.mark.parametrize("kernel", [1, 3])
@settings(max_examples=8)
@given(seed=seeds)
def test_maps_sum_to_scores_less_the_mean_score_of_all(kernel, seed):
    model, picture = made(seed, kernel)
    scores = model.layer.maps(picture.features).mean((1, 2))
    totals = model.activation_maps(picture).sum((1, 2))
    assert torch.allclose(totals, scores - scores.mean(), rtol=0, atol=1e-12)


@settings(max_examples=8)
@given(seeds)
def test_where_the_verdict_is_the_networks_the_map_is_the_directions(seed):
    """So it adds up: the map of <embedding, direction>, times the embedding's length before the unit norm."""
    model, picture = made(seed)
    assert model.verdict == model.network.verdict == "exact"
    split = model.network.decompose_features(picture)
    length = model.network.raw_from(Activations(picture.features[None]))[0].norm()
    for direction, map in zip(model.directions(picture), model.activation_maps(picture), strict=True):
        assert torch.allclose(map, length * split.similarity_map(direction), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "pooling", "own"),
    [(3, "avg", None), (1, "max", None), (1, "gem", None), (1, "avg", head()), (1, "avg", head(1, nn.Softmax(1)))],
)
def test_elsewhere_it_says_that_a_map_is_no_share(kernel, pooling, own):
    assert made(0, kernel, pooling, own)[0].verdict == "black box"


@pytest.mark.parametrize(("pooling", "own"), [("avg", head()), ("gem", None), ("max", head(2, nn.Tanh()))])
@settings(max_examples=8)
@given(seed=seeds)
def test_directions_are_how_the_embedding_moves_with_the_features(pooling, own, seed):
    model, picture = made(seed, 1, pooling, own)
    weights = model.layer.weight[:, :, 0, 0]
    for direction, way in zip(model.directions(picture), weights - weights.mean(0), strict=True):
        step = 1e-6
        moved = [picture.features + sign * step * way[:, None, None] for sign in (1, -1)]
        with torch.no_grad():
            up, down = (model.network.raw_from(Activations(one[None]))[0] for one in moved)
        assert torch.allclose(direction, (up - down) / (2 * step), rtol=0, atol=1e-6)


def test_a_wide_layers_direction_is_the_sum_over_its_places():
    model, picture = made(4, kernel=3)
    weights = model.layer.weight.sum((2, 3))
    assert torch.allclose(model.directions(picture), weights - weights.mean(0))


@given(seeds)
def test_confidences_are_log_odds_above_the_usual(seed):
    model, picture = made(seed)
    shares = model.layer.scores(picture.features).softmax(0)
    assert torch.allclose(model.confidences(picture), shares.logit() - model.layer.usual.logit())
    usual = dataclasses.replace(model.layer, usual=usual_shares(shares[None], NAMES))
    assert LearntAttributes(model.network, usual).confidences(picture).abs().max() < 1e-9


def test_certainty_has_finite_odds():
    model, picture = made(2)
    sure = dataclasses.replace(model.layer, weight=1e5 * model.layer.weight)
    assert LearntAttributes(model.network, sure).confidences(picture).isfinite().all()


def test_it_is_an_attribute_model():
    assert isinstance(made(0)[0], AttributeModel)


def test_other_features_and_networks_that_pool_by_themselves_are_refused():
    model, picture = made(0)
    with pytest.raises(SimvisError, match="attributes of 5 features for your network, which has 2"):
        model.confidences(Activations(picture.features[:2]))
    with pytest.raises(SimvisError, match=r"your network under 'own', which pools by itself; .* such as avg"):
        LearntAttributes(EmbeddingNetwork(nn.Flatten(), "own"), model.layer)


def test_a_file_gives_the_layer_back(tmp_path):
    layer = made(3, 3)[0].layer
    again, told = open_layer(save_layer(tmp_path / "new" / "a.safetensors", layer, {"priors": {"fur": [0.5, 1.0]}}))
    assert again.names == NAMES
    assert torch.equal(again.weight, layer.weight)
    assert torch.equal(again.usual, layer.usual)
    assert told == {"priors": {"fur": [0.5, 1.0]}}


def changed(layer, **changes):
    return dataclasses.replace(layer, **changes)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda layer: changed(layer, names=("fur", "dome")),
        lambda layer: changed(layer, names=("fur", "fur", "dome")),
        lambda layer: changed(layer, weight=layer.weight * torch.nan),
        lambda layer: changed(layer, weight=layer.weight[:, :, :2, :2]),
        lambda layer: changed(layer, usual=layer.usual * 0),
    ],
)
def test_a_file_that_holds_no_whole_layer_is_refused(tmp_path, spoilt):
    file = save_layer(tmp_path / "a.safetensors", spoilt(made(3, 3)[0].layer), {})
    with pytest.raises(SimvisError, match=r"'a.safetensors', which is damaged"):
        open_layer(file)


def test_torn_and_other_files_are_refused(tmp_path):
    file = save_layer(tmp_path / "a.safetensors", made(3)[0].layer, {})
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(SimvisError, match="which is damaged"):
        open_layer(file)
    import safetensors.torch

    safetensors.torch.save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(SimvisError, match="which is no layer of attributes"):
        open_layer(file)
    safetensors.torch.save_file({"weight": torch.zeros(1)}, file, {"simvis": '{"format": "later"}'})
    with pytest.raises(SimvisError, match="which is no layer of attributes of this version"):
        open_layer(file)
