"""Class groups: confidence, direction and map against slow loops, the law that the map adds up, and refusals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from simvis_core import Activations, EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.attributes.class_groups import ClassGroups, mean_shares
from simvis_core.attributes.ranker import AttributeModel
from tests import references

GROUPS = {"fur": [0, 3, 4], "wheels": [1], "stripes": [3, 6], "most": [0, 1, 2, 3, 4, 5]}
REFERENCE = {"fur": 0.3, "wheels": 0.05, "stripes": 0.2, "most": 0.9}
CLASSES, WIDTH = 7, 5
seeds = st.integers(0, 10_000)


def made(seed, pooling="avg", head=None):
    chance = torch.Generator().manual_seed(seed)
    network = EmbeddingNetwork(nn.Conv2d(3, WIDTH, 8, 8).double(), pooling, head, Preprocess(short_side=16, stride=8))
    weight = torch.randn(CLASSES, WIDTH, generator=chance, dtype=torch.float64)
    bias = torch.randn(CLASSES, generator=chance, dtype=torch.float64)
    picture = Activations(torch.randn(WIDTH, 3, 4, generator=chance, dtype=torch.float64))
    return ClassGroups(network, weight, bias, GROUPS, REFERENCE), picture


def class_scores(model, picture):
    pooled = references.avg_pool(picture.features.numpy())
    return [
        references.dot(row, pooled) + float(offset)
        for row, offset in zip(model.weight.numpy(), model.bias.numpy(), strict=True)
    ]


def test_it_is_an_attribute_model():
    assert isinstance(made(0)[0], AttributeModel)


@given(seeds)
def test_confidence_is_the_log_odds_of_the_share_over_those_of_the_mean_share(seed):
    model, picture = made(seed)
    scores = class_scores(model, picture)
    total = math.fsum(math.exp(score) for score in scores)
    for name, found in zip(model.names, model.confidences(picture).tolist(), strict=True):
        share = math.fsum(math.exp(scores[number]) for number in GROUPS[name]) / total
        expected = math.log(share / (1 - share)) - math.log(REFERENCE[name] / (1 - REFERENCE[name]))
        assert found == pytest.approx(expected, abs=1e-9)
    assert model.shares(picture)[1].item() == pytest.approx(math.exp(scores[1]) / total, abs=1e-12)


def test_a_picture_like_the_reference_has_confidence_zero_whatever_the_groups_size():
    model, picture = made(4)
    mean = mean_shares(model.shares(picture)[None], model.names)
    alike = ClassGroups(model.network, model.weight, model.bias, GROUPS, mean)
    assert alike.confidences(picture).abs().max() < 1e-9


def test_certainty_has_finite_odds():
    model, picture = made(4)
    sure = ClassGroups(model.network, 1e3 * model.weight, model.bias, GROUPS, REFERENCE)
    assert sure.confidences(picture).isfinite().all()
    assert 0 < mean_shares(torch.zeros(2, 1), ["fur"])["fur"] < mean_shares(torch.ones(2, 1), ["fur"])["fur"] < 1


# The law: the map is the one object's, and it adds up


@pytest.mark.parametrize("pooling", ["avg", "max", "gem"])
@given(seed=seeds)
def test_the_map_and_the_biass_part_add_up_to_the_direction(pooling, seed):
    model, picture = made(seed, pooling)
    split = model.network.decompose_features(picture)
    raw = model.network.raw_from(Activations(picture.features[None]))[0].detach()
    for direction, map in zip(model.directions(picture), model.activation_maps(picture), strict=True):
        assert torch.allclose(map, split.similarity_map(direction), rtol=0, atol=1e-12)
        total = map.sum() + split.bias @ direction
        assert total.item() == pytest.approx((split.embedding @ direction).item(), abs=1e-9)
        assert (raw.norm() * total).item() == pytest.approx((raw @ direction).item(), abs=1e-9)


@given(seeds)
def test_the_direction_asks_for_the_groups_mean_class_score_less_that_of_all(seed):
    model, picture = made(seed)
    scores, pooled = class_scores(model, picture), references.avg_pool(picture.features.numpy())
    for name, direction in zip(model.names, model.directions(picture), strict=True):
        within = math.fsum(math.exp(scores[number]) for number in GROUPS[name])
        part = {number: math.exp(scores[number]) / within for number in GROUPS[name]}
        asked = math.fsum(share * (scores[n] - float(model.bias[n])) for n, share in part.items())
        mean = math.fsum(scores[n] - float(model.bias[n]) for n in range(CLASSES)) / CLASSES
        assert references.dot(direction.numpy(), pooled) == pytest.approx(asked - mean, abs=1e-9)


def test_the_bias_of_a_head_is_in_no_cell():
    torch.manual_seed(1)
    model, picture = made(1, head=nn.Linear(WIDTH, WIDTH).double())
    split = model.network.decompose_features(picture)
    assert split.bias.norm() > 0.01
    for direction, map in zip(model.directions(picture), model.activation_maps(picture), strict=True):
        total = map.sum() + split.bias @ direction
        assert total.item() == pytest.approx((split.embedding @ direction).item(), abs=1e-9)


def test_a_group_of_one_class_has_that_classs_weight_for_a_direction():
    model, picture = made(2)
    assert torch.allclose(model.directions(picture)[1], model.weight[1] - model.weight.mean(0), rtol=0, atol=1e-12)


def test_the_verdict_is_at_this_input_or_worse():
    assert made(0)[0].verdict == "exact at this input"
    assert made(0, head=nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Softmax(1)).double())[0].verdict == "black box"


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ([], "0 classes, 0 of them different, in the group 'fur'"),
        ([1, 1], "2 classes, 1 of them different, in the group 'fur'"),
        ([7], "class 7 in the group 'fur'; wanted some of the classes 0 to 6, each once: correct the table"),
        (list(range(7)), "7 classes, 7 of them different, in the group 'fur'"),
    ],
)
def test_a_group_that_is_no_set_of_classes_is_refused(group, said):
    model, _ = made(0)
    with pytest.raises(SimvisError, match=said):
        ClassGroups(model.network, model.weight, model.bias, {"fur": group}, REFERENCE)


def test_a_classifier_of_another_width_and_a_missing_reference_are_refused():
    model, _ = made(0)
    with pytest.raises(SimvisError, match="a classifier of 4 features for your network, whose embedding has 5"):
        ClassGroups(model.network, model.weight[:, :4], model.bias, GROUPS, REFERENCE)
    with pytest.raises(SimvisError, match="the group 'fur' without a reference"):
        ClassGroups(model.network, model.weight, model.bias, GROUPS, {})
