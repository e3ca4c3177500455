"""The dictionaries that come along: whose they are, what they add up to, and how they were made."""

import pytest
import torch

import model_zoo
from model_zoo.attributes.dictionaries import building as making
from model_zoo.attributes.dictionaries.bundled import concepts_of, with_concepts
from model_zoo.attributes.fitted import attributes_of, fitted_names
from model_zoo.attributes.groups import class_groups
from simvis_app.service import samples
from simvis_core import SimvisError, explain_pair, open_picture
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.learning import CONCEPTS, KIND
from simvis_core.steps import run


def test_networks_with_attributes_have_concepts_named_by_them():
    assert set(with_concepts()) == set(fitted_names())
    for name in with_concepts():
        made = concepts_of(name, model_zoo.load(name))
        assert (made.size, made.source.kind, made.source.network) == (CONCEPTS, KIND, name)
        assert set(made.names) - {""} <= set(class_groups())
        assert sum(map(bool, made.names)) > CONCEPTS / 2
        assert all(samples.path(place.picture) for places in made.firings for place in places)


def test_another_network_is_refused_with_who_has_concepts():
    with pytest.raises(
        SimvisError, match="concepts of resnet18; wanted a network that has some: efficientnet_lite0 or"
    ):
        concepts_of("resnet18", model_zoo.load("mobilenet_v2"))
    with pytest.raises(SimvisError, match="a dictionary of efficientnet_lite0"):
        concepts_of("efficientnet_lite0", model_zoo.load("mobilenet_v2"))


@pytest.mark.network
def test_a_pair_of_domes_is_told_by_few_concepts_that_add_up():
    network = model_zoo.load("efficientnet_lite0")
    a, b = (open_picture(samples.PICTURES / f"taj_mahal/taj_mahal_{number}.jpg") for number in (1, 3))
    pair = explain_pair(network, a, b, attributes_of(network.name, network).short_side)
    split = ConceptPair(pair.a, pair.b, concepts_of(network.name, network))
    assert split.mean_totals.score == pytest.approx(pair.score, abs=1e-6)
    assert split.dictionary.name(int(split.strongest(1))) == "dome"
    assert 1 <= int((split.split_a.codes > 0).sum()) < 16


@pytest.mark.slow
@pytest.mark.network
def test_they_are_made_as_the_module_says(tmp_path):
    folder = tmp_path / "pictures"
    for place in ("taj_mahal/taj_mahal_1.jpg", "taj_mahal/taj_mahal_3.jpg", "scissors/scissors_1.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes((samples.PICTURES / place).read_bytes())
    steps = []
    made = run(making.building("efficientnet_lite0", folder, size=3), steps.append)
    assert steps == [(1, 3), (2, 3), (3, 3)] * 3
    assert (made.size, made.source.pictures, made.source.short_side) == (3, 3, 224)
    assert {place.picture.split("/")[0] for places in made.firings for place in places} <= {"taj_mahal", "scissors"}
    assert torch.equal(made.directions, run(making.building("efficientnet_lite0", folder, size=3)).directions)
