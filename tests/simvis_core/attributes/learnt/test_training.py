"""Learning a layer: it learns what is there, by seed and pictures alone, and goes on from any stop bit for bit."""

import dataclasses

import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.attributes.learnt.labelled import LabelledPictures
from simvis_core.attributes.learnt.layer import LearntAttributes
from simvis_core.attributes.learnt.precision import average_precisions
from simvis_core.attributes.learnt.seeing import SeenPictures, pair_targets, seeing
from simvis_core.attributes.learnt.training import PRESETS_LEARNT, LayerRecipe, learning_layer, parted
from simvis_core.steps import run

NAMES = ("fur", "dome", "water")
QUICK = LayerRecipe(rate=0.05, epochs=12, batch=8)


def seen_pictures(count=24, seed=0):
    """Each attribute has a channel that is high in one cell where it is true."""
    chance = torch.Generator().manual_seed(seed)
    truth = torch.eye(3).bool()[torch.randint(3, (count,), generator=chance)]
    truth[[0, 1, count - 1], [1, 2, 0]] = True
    features = 0.3 * torch.rand(count, 4, 2, 3, generator=chance)
    features[:, :3, 1, 2] += 3 * truth
    torch.manual_seed(5)
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))
    return SeenPictures(network, LabelledPictures(tuple(map(str, range(count))), (), NAMES, truth), features)


def learnt(seen, recipe=QUICK, of=None, state=None):
    return run(learning_layer(seen, list(range(16)) if of is None else of, recipe, state))


THOROUGH = dataclasses.replace(QUICK, rate=0.3, epochs=25)


@pytest.mark.parametrize("recipe", [THOROUGH, dataclasses.replace(THOROUGH, map_weight=0.01)])
def test_it_learns_what_is_true_of_pictures_that_it_has_not_seen_and_where(recipe):
    seen = seen_pictures()
    model = LearntAttributes(seen.network, learnt(seen, recipe))
    held_out = range(16, 24)
    scores = model.layer.scores(seen.features[16:])
    assert average_precisions(scores, seen.labelled.truth[16:]).nanmean() == 1
    for at in held_out:
        for map in model.activation_maps(seen.activations[at])[seen.labelled.truth[at]]:
            assert map.argmax() == 5


def test_the_process_keeps_its_random_state(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    few = dataclasses.replace(QUICK, epochs=1)
    seen = seen_pictures()
    torch.manual_seed(3)
    for _ in ("anew", "from a file"):
        learnt(seen, few, state=tmp_path / "state.pt")
        assert torch.equal(before, torch.get_rng_state())


LATER = [pytest.param(*one, marks=pytest.mark.slow) for one in ((0.0, 1), (0.0, 17), (0.2, 17))]


@pytest.mark.parametrize(("weight", "stop"), [(0.2, 3), *LATER])
def test_it_goes_on_from_any_stop_with_equal_numbers(tmp_path, monkeypatch, weight, stop):
    from simvis_core.attributes.learnt import training

    monkeypatch.setattr(training, "SAVED_EACH", -1.0)  # after every step
    recipe, seen = dataclasses.replace(QUICK, map_weight=weight), seen_pictures()
    whole = learnt(seen, recipe)
    steps = learning_layer(seen, list(range(16)), recipe, tmp_path / "state.pt")
    for _ in range(stop + 1):  # the last of them is made and not yet saved
        next(steps)
    steps.close()
    rest = list(learning_layer(seen, list(range(16)), recipe, tmp_path / "state.pt"))
    assert rest[0].step == stop + 1
    again = learnt(seen, recipe, state=tmp_path / "state.pt")
    assert torch.equal(again.weight, whole.weight)
    assert torch.equal(again.usual, whole.usual)


def test_a_state_of_another_run_is_refused(tmp_path):
    seen, state = seen_pictures(), tmp_path / "state.pt"
    learnt(seen, dataclasses.replace(QUICK, epochs=1), state=state)
    with pytest.raises(SimvisError, match=r"'state.pt' of a run with another recipe; wanted the run that is to go on"):
        learnt(seen, QUICK, state=state)
    with pytest.raises(SimvisError, match="another pictures and another truth"):
        learnt(seen, dataclasses.replace(QUICK, epochs=1), of=list(range(17)), state=state)
    other = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))
    with pytest.raises(SimvisError, match="another network"):
        learnt(dataclasses.replace(seen, network=other), dataclasses.replace(QUICK, epochs=1), state=state)


def test_equal_seeds_give_equal_layers_and_others_do_not():
    seen = seen_pictures()
    few = dataclasses.replace(QUICK, epochs=2)
    assert torch.equal(learnt(seen, few).weight, learnt(seen, few).weight)
    assert not torch.equal(learnt(seen, few).weight, learnt(seen, dataclasses.replace(few, seed=1)).weight)


def test_the_mean_of_the_features_is_all_that_a_plain_layer_needs():
    """The short way, without a map term, gives the layer of the long way."""
    seen = seen_pictures()
    few = dataclasses.replace(QUICK, epochs=2)
    short, long = learnt(seen, few), learnt(seen, dataclasses.replace(few, map_weight=1e-12))
    assert torch.allclose(short.weight, long.weight, atol=1e-4)


def test_what_cannot_be_learnt_by_is_refused():
    for change, words in (
        ({"kernel": 2}, "a kernel of 2; wanted 1 or 3"),
        ({"map_weight": -1.0}, "a lambda of -1; wanted 0 or more"),
        ({"map_weight": float("nan")}, "a lambda of nan"),
        ({"epochs": 0}, "fewer than 1 epoch"),
        ({"held_out": 1.0}, "1 of the pictures held out"),
        ({"schedule": "steps"}, "the schedule 'steps'"),
        ({"rate": 0.0}, "rates above 0"),
    ):
        with pytest.raises(SimvisError, match=words):
            learnt(seen_pictures(), dataclasses.replace(QUICK, **change))


def test_a_rate_that_diverges_is_said_to():
    with pytest.raises(SimvisError, match="a training that diverged"):
        learnt(dataclasses.replace(seen_pictures(), features=torch.full((24, 4, 2, 3), 1e38)))


def test_pictures_are_parted_once_each():
    parts = parted(seen_pictures(), LayerRecipe(held_out=0.25))
    assert (len(parts.learnt), len(parts.held_out)) == (18, 6)
    assert sorted(parts.learnt + parts.held_out) == list(range(24))
    assert parted(seen_pictures(), LayerRecipe(seed=1)).held_out != parts.held_out
    with pytest.raises(SimvisError, match="1 of 4 pictures to hold out"):
        parted(seen_pictures(4), LayerRecipe())


def test_pairs_share_an_attribute_and_their_maps_are_the_pairs_own():
    seen = seen_pictures()
    places = [20, 3, 5, 9, 11]
    found = pair_targets(seen, places, references=3)
    truth = seen.labelled.truth
    for target, at in zip(found, places, strict=True):
        others = [other for other in places if other != at and (truth[at] & truth[other]).any()]
        maps = {
            other: seen.splits[at].similarity_map(seen.splits[other].embedding).clamp(min=0).flatten()
            for other in others
        }
        if not others:
            assert target.isnan().all()
        for row in target if others else []:
            assert any(torch.allclose(row, map / map.sum(), atol=1e-5) for map in maps.values())


def test_a_picture_that_cannot_be_opened_is_left_out(two_pictures, tiny_network):
    def gone(side):
        raise SimvisError("'9.jpg', which is damaged", "a picture", "save it again")

    openers = [lambda side, one=one: one for one in (*two_pictures, *two_pictures)] + [gone]
    truth = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]]).bool()
    labelled = LabelledPictures(("1", "2", "3", "4", "9"), tuple(openers), NAMES, truth)
    told = []
    seen = run(seeing(tiny_network, labelled, 16), told.append)
    assert told == [(done, 5) for done in range(1, 6)]
    assert seen.labelled.names == ("1", "2", "3", "4")
    assert seen.features.shape == (4, 6, 2, 2)
    assert dict(seen.labelled.left_out) == {
        "9": "Got '9.jpg', which is damaged; wanted a picture: save it again.",
        "the attribute 'water'": "no picture has it",
    }
    only_gone = dataclasses.replace(labelled, opened=(gone,) * 5)
    with pytest.raises(SimvisError, match=r"no labelled picture that can be used .Got '9.jpg', which is damaged"):
        run(seeing(tiny_network, only_gone, 16))


def test_the_presets_are_what_they_are_said_to_be():
    sane = PRESETS_LEARNT["sane"]
    assert (sane.kernel, sane.map_weight, sane.rate) == (3, 5e-3, 5e-4)
    for recipe in PRESETS_LEARNT.values():
        recipe.check()
