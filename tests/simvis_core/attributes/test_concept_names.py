"""Concepts' names: the attribute that fires where a concept does, or none."""

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import SimvisError
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.concept_names import CHANCE_DIRECTIONS, ConceptName, ConceptNames, naming
from simvis_core.attributes.dictionaries.dictionary import dictionary_of
from simvis_core.attributes.dictionaries.places import picture_places
from simvis_core.pictures.opening import open_picture
from simvis_core.steps import run
from tests.simvis_core.drawings import network

GROUPS = {"dome": [0], "fur": [1, 2], "water": [3]}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A network, attributes of it, and three pictures of noise."""
    torch.manual_seed(6)
    net, chance, folder = network(), np.random.default_rng(3), tmp_path_factory.mktemp("named")
    files = []
    for number, size in enumerate(((40, 56, 3), (56, 40, 3), (48, 48, 3))):
        files.append(str(folder / f"{number}.png"))
        Image.fromarray(chance.integers(0, 256, size).astype(np.uint8)).save(files[-1])
    weight = torch.randn(5, net.width(), generator=torch.Generator().manual_seed(1))
    return net, ClassGroups(net, weight, torch.zeros(5), GROUPS, dict.fromkeys(GROUPS, 0.2)), files


def correlations_of_all_places(net, model, files, codes_of):
    """A slow reference: every place is kept, and numpy correlates."""
    codes, maps = [], []
    for file in files:
        activations = net.activations(net.view(open_picture(file)).pixels[None]).one()
        places = picture_places(net.decompose_features(activations)).double()
        codes.append(codes_of(places).numpy())
        maps.append(model.activation_maps(activations).double().flatten(1).T.numpy() * len(places))
    codes, maps = np.concatenate(codes), np.concatenate(maps)
    maps = (maps - maps.mean(0)) / maps.std(0)
    maps -= maps.mean(1, keepdims=True)
    count = codes.shape[1]
    found = np.corrcoef(codes.T, maps.T)[:count, count:]
    return found - found.mean(0)


def test_likeness_is_the_correlation_over_all_places_less_what_is_common(seen):
    net, model, files = seen
    made = dictionary_of(torch.randn(4, net.width(), generator=torch.Generator().manual_seed(5)))
    found = run(naming(made, net, model, files, seed=2))
    wanted = correlations_of_all_places(net, model, files, made.codes)
    assert [one.likeness for one in found.best] == pytest.approx(wanted.max(1).tolist(), abs=1e-6)
    assert [one.name for one in found.best] == [model.names[at] for at in wanted.argmax(1)]
    drawn = torch.randn(CHANCE_DIRECTIONS, net.width(), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    by_chance = correlations_of_all_places(net, model, files, lambda places: places @ drawn.T).max(1)
    assert found.chance == pytest.approx(np.quantile(by_chance, 0.95), abs=1e-6)


def test_a_concept_that_is_an_attributes_own_direction_has_its_name(seen):
    net, model, files = seen
    planted = model.weight - model.weight.mean(0)
    found = run(naming(dictionary_of(planted[[3, 0]]), net, model, files))
    assert [one.name for one in found.best] == ["water", "dome"]
    assert all(one.likeness > 0.15 for one in found.best)


def test_no_more_than_chance_is_no_name():
    best = ConceptName("dome", 0.31), ConceptName("fur", 0.3), ConceptName("dome", float("nan"))
    assert ConceptNames(best, chance=0.3).words == {0: "dome"}


def test_a_direction_that_never_fires_is_unnamed(seen):
    net, model, files = seen
    found = run(
        naming(dictionary_of(torch.eye(net.width())[:2] * 1e-9 + 1e-9, coding="non-negative"), net, model, files)
    )
    assert len(found.best) == 2
    assert all(one.likeness == one.likeness for one in found.best)  # no NaN


def test_pictures_that_cannot_be_opened_are_passed_over_and_all_of_them_refused(seen, tmp_path):
    net, model, files = seen
    made, steps = dictionary_of(torch.eye(net.width())), []
    gone = str(tmp_path / "gone.png")
    with_gone = run(naming(made, net, model, [gone, *files]), steps.append)
    assert steps[-1] == (4, 4)
    assert with_gone.best == run(naming(made, net, model, files)).best
    with pytest.raises(SimvisError, match="no picture to name concepts by"):
        run(naming(made, net, model, [gone]))
    with pytest.raises(SimvisError, match="a dictionary of 2 numbers a direction"):
        run(naming(dictionary_of(torch.eye(2)), net, model, files))
