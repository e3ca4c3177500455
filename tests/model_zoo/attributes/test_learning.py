"""Learnt attributes from pictures to a folder: they rank a pair, go on after a stop, and refuse what cannot be."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model_zoo.attributes.learning import (
    LAYER_FILE,
    PicturesSeen,
    learn_attributes,
    learnt_attributes,
    network_of_attributes,
)
from model_zoo.attributes.matches import labelled_matches
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.attributes.learnt.labelled import LabelledPictures
from simvis_core.attributes.learnt.layer_files import open_layer, save_layer
from simvis_core.attributes.learnt.training import LayerRecipe
from simvis_core.attributes.ranker import Phi
from simvis_core.learning.loop import LearningStep
from simvis_core.steps import run

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
RECIPE = LayerRecipe(rate=0.1, epochs=30, batch=16, held_out=0.5)


def network(seed=0):
    """Its three channels are the three colours, cell by cell."""
    plain = nn.Conv2d(3, 3, 8, 8, bias=False)
    torch.manual_seed(seed)
    with torch.no_grad():
        plain.weight[:] = torch.eye(3)[:, :, None, None] / 64 + 0.001 * torch.rand(3, 3, 1, 1)
    preprocess = Preprocess((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), short_side=32, stride=8)
    return EmbeddingNetwork(plain, preprocess=preprocess, name="colours")


def quarters(picture, at):
    """A grey picture with a quarter of that colour."""
    shown = np.full((32, 32, 3), 90, np.uint8)
    place = at % 4
    shown[16 * (place // 2) :, 16 * (place % 2) :][:16, :16] = COLOURS[picture]
    return Image.fromarray(shown)


def labelled(count=36):
    names = list(COLOURS)
    pictures = [quarters(names[at % 3], at) for at in range(count)]
    openers = tuple(lambda side, one=one: one for one in pictures)
    truth = torch.tensor([[at % 3 == which for which in range(3)] for at in range(count)])
    return LabelledPictures(tuple(map(str, range(count))), openers, tuple(names), truth)


def learnt(folder, **more):
    return run(learn_attributes(network(), labelled(), RECIPE, folder, 32, **more))


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """What was learnt once, for those who only read it."""
    return learnt(tmp_path_factory.mktemp("once"))


def test_it_learns_ranks_and_comes_back_from_its_folder(tmp_path):
    told = []
    outcome = run(learn_attributes(network(), labelled(), RECIPE, tmp_path / "new", 32), told.append)
    assert [event for event in told if isinstance(event, PicturesSeen)][-1] == PicturesSeen(36, 36)
    assert sum(isinstance(event, LearningStep) for event in told) == 2 * 30
    assert (outcome.precision.mean, outcome.learnt) == (1.0, 18)
    assert outcome.chance == pytest.approx(1 / 3, abs=0.01)
    assert outcome.file == tmp_path / "new" / LAYER_FILE
    assert network_of_attributes(tmp_path / "new") == "colours"
    known = learnt_attributes(tmp_path / "new", network())
    assert known.short_side == 32
    assert set(known.priors) == set(COLOURS)
    for preset in ("sane", "simvis"):
        for name in COLOURS:
            pair = explain_pair(network(), quarters(name, 0), quarters(name, 3))
            assert known.explain(pair, preset, Phi(1, 0, 0)).attributes[0].name == name
        apart = known.explain(explain_pair(network(), quarters("red", 0), quarters("blue", 3)), "simvis")
        assert apart.sentence() == "no attribute explains this"


@pytest.mark.slow
def test_it_goes_on_after_a_stop_and_ends_as_if_it_had_not_stopped(tmp_path, monkeypatch):
    from simvis_core.attributes.learnt import training

    monkeypatch.setattr(training, "SAVED_EACH", -1.0)
    whole = learnt(tmp_path / "whole")
    steps = learn_attributes(network(), labelled(), RECIPE, tmp_path / "stopped", 32)
    for _ in range(36 + 20):
        next(steps)
    steps.close()
    assert not (tmp_path / "stopped" / LAYER_FILE).exists()
    with pytest.raises(SimvisError, match="which holds a run; wanted a folder without one: resume it"):
        learnt(tmp_path / "stopped")
    again = learnt(tmp_path / "stopped", resumed=True)
    assert torch.equal(again.layer.weight, whole.layer.weight)
    assert again.file.read_bytes() == whole.file.read_bytes()


def test_pairs_that_all_share_an_attribute_are_refused_before_anything_is_learnt(tmp_path):
    both = labelled()
    everywhere = torch.cat([both.truth, torch.ones(36, 1).bool()], 1)
    everywhere[0, 3] = False  # of one picture alone it is not true
    shared = dataclasses.replace(both, attributes=(*both.attributes, "grey"), truth=everywhere)
    with pytest.raises(SimvisError, match=r"pairs of held-out pictures, of which .* share an attribute"):
        run(learn_attributes(network(), shared, dataclasses.replace(RECIPE, seed=1), tmp_path, 32))
    assert list(tmp_path.iterdir()) == []


def test_another_network_and_a_spoilt_file_are_refused(tmp_path, once):
    file = tmp_path / LAYER_FILE
    file.write_bytes(once.file.read_bytes())
    with pytest.raises(SimvisError, match="attributes that colours learnt, for colours; wanted the network that"):
        learnt_attributes(tmp_path, network(seed=1))
    layer, told = open_layer(file)
    del told["priors"]
    save_layer(file, layer, told)
    with pytest.raises(SimvisError, match=r"'attributes.safetensors' of .*, which is damaged"):
        learnt_attributes(tmp_path, network())
    with pytest.raises(SimvisError, match="which is missing"):
        learnt_attributes(tmp_path / "nowhere", network())


def test_what_was_learnt_is_told_as_plain_json(once):
    told = open_layer(once.file)[1]
    assert json.loads(json.dumps(told)) == told
    assert told["pictures"] == {"learnt": 18, "held_out": 18}
    assert told["presets"]["sane"]["tested"]["best_is_true_by_confidence_alone"]["mean"] == 1


def test_pairs_of_pictures_that_are_labelled_by_themselves():
    embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    truth = torch.tensor([[True, False], [False, True], [True, False], [False, False]])
    found = labelled_matches([0, 1, 2], embeddings, truth)
    assert [tuple(one) for one in found if one.kind == "same"] == [(0, 2, "same"), (2, 0, "same")]
    assert [tuple(one) for one in found if one.kind == "near"] == [(0, 1, "near"), (1, 0, "near"), (2, 1, "near")]
    strangers = {(one.a, one.b) for one in found if one.kind == "stranger"}
    assert strangers <= {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert len(strangers) == 3
