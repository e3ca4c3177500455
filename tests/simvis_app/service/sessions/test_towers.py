"""Two towers in the session: each picture by its own network, kept and keyed apart, at layers and by masks too."""

import copy

import pytest
import torch
from torch import nn

import model_zoo
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.depths import DepthAsked, Depths
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError, explain_pair, open_picture
from simvis_core.steps import run
from simvis_core.trust.measuring import Asked


@pytest.fixture
def above():
    """Another stride, view size, width of features and pooling; embeddings as wide as the tiny network's."""
    torch.manual_seed(21)
    layers = nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 7, 3, 3)
    preprocess = Preprocess((0.5,) * 3, (0.3,) * 3, short_side=24, stride=12)
    return EmbeddingNetwork(nn.Sequential(*layers), "gem", nn.Linear(7, 5), preprocess, name="above")


@pytest.fixture
def towers(session, monkeypatch, tiny_network, above):
    """The session with two networks: "above", and the tiny one for every other name."""
    monkeypatch.setattr(model_zoo, "load", lambda name: copy.copy(above if name == "above" else tiny_network))
    return session


def test_a_pair_is_what_the_core_computes_from_both_networks(towers, files, small, tiny_network, above):
    settings = towers.with_second(small(), "above", "", 0)
    assert (settings.other.pooling, settings.other.short_side) == ("gem:3", 24)
    pair = towers.explain(*files, settings)
    fresh = explain_pair(tiny_network, *(open_picture(file) for file in files), network_b=above)
    assert pair.score == pytest.approx(fresh.score, abs=1e-6)
    assert torch.allclose(pair.joint_map, fresh.joint_map, atol=1e-6)
    assert [net.name for net in pair.networks.values()] == ["tiny", "above"]


def test_each_picture_is_run_once_by_each_network_that_sees_it(towers, files, small):
    plain, second = small(), towers.with_second(small(), "above", "", 0)
    alone = towers.explain(*files, plain)
    assert towers.known(*files, second) is None
    pair = towers.explain(*files, second)
    assert towers.forward_passes == 3  # a by the first is known
    assert torch.equal(pair.a.cells, alone.a.cells)
    assert towers.known(*files, second).score == pair.score
    assert towers.known(*files, plain).score == alone.score
    towers.explain(*files, towers.with_second(small(), "above", "max", 0))
    assert towers.forward_passes == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("", "", 0), None),
        (("", "max", 0), ("tiny", "max", 16)),
        (("", "", 24), ("tiny", "avg", 24)),
        (("tiny", "", 0), ("tiny", "avg", 16)),
        (("above", "avg", 0), ("above", "avg", 24)),
        (("above", "", 36), ("above", "gem:3", 36)),
    ],
)
def test_what_is_not_said_is_as_own(towers, small, said, expected):
    other = towers.with_second(small(backbone="tiny"), *said).other
    assert expected == (None if other is None else (other.backbone, other.pooling, other.short_side))


def test_masks_are_drawn_once_for_each_network(towers, files, small):
    settings = towers.with_second(small(method="sliding window", insist=True), "above", "", 0)
    pair = towers.explain_fully(*files, settings)
    assert pair.method == "sliding window"
    assert towers.known(*files, settings).map_b.equal(pair.map_b)
    alone = towers.explain_fully(*files, small(method="sliding window", insist=True))
    assert torch.allclose(alone.a.cells, pair.a.cells)
    assert not torch.equal(alone.b.cells.sum((0, 1)), pair.b.cells.sum((0, 1)))


@pytest.mark.parametrize("rule", ["frozen", "path"])
def test_maps_at_a_layer_of_each_network(towers, files, small, rule):
    depths, settings = Depths(towers), towers.with_second(small(), "above", "", 0)
    asked = DepthAsked("pixels", rule, layer_b="0")
    pair = depths.explained(*map(str, files), settings, asked)
    assert pair.a.grid == pair.view_a.size
    assert pair.b.grid == tuple(side // 4 for side in pair.view_b.size)
    for side in "ab":
        cells = float(pair.side(side)[2].sum())
        assert cells + sum(pair.bias_parts[side].values()) == pytest.approx(pair.score, abs=1e-5)
    assert depths.held(*map(str, files), settings, asked) is pair
    assert depths.held(*map(str, files), small(), asked) is None
    both = depths.explained(*map(str, files), settings, DepthAsked("pixels", rule))
    assert both.b.grid == both.view_b.size


def test_trust_measures_a_picture_under_its_own_network(towers, files, small):
    settings = towers.with_second(small(), "above", "", 0)
    asked = Asked("input_x_gradient", steps=3)
    measured = run(towers.measuring(*files, settings, "b", asked))
    question = towers.question(*files, settings, "b")
    assert question.network.name == "above"
    assert measured.drawn.map.shape == question.view.size
    assert towers.measured(*files, settings, "b", [asked])[0] is measured
    assert towers.measured(*files, small(), "b", [asked])[0] is None


def test_widths_that_differ_are_told(towers, monkeypatch, files, small, tiny_network, above):
    wide = above.with_head(nn.Linear(7, 6))
    monkeypatch.setattr(model_zoo, "load", lambda name: copy.copy(wide if name == "above" else tiny_network))
    with pytest.raises(SimvisError, match=r"embeddings of 5 numbers from tiny \('avg'\) for A and of 6 from above"):
        towers.explain(*files, towers.with_second(small(), "above", "", 0))


def test_the_larger_view_counts_in_the_budget(towers, small):
    settings = towers.with_second(small(), "above", "", 2240)
    Budget(100).check(2, small(), "a pair")
    with pytest.raises(SimvisError, match="at 2240 pixels, about 200 forward passes"):
        Budget(100).check(2, settings, "a pair")
