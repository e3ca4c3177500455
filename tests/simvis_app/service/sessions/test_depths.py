"""Maps at other layers, as the session keeps them: what is offered, drawn in steps, and told of a point."""

import pytest
import torch

from simvis_app.service.sessions.depths import DepthAsked, Depths, carried, checked_depth, is_little
from simvis_core import SimvisError
from simvis_core.pairs.sides import SIDES
from simvis_core.steps import run


@pytest.fixture
def depths(session):
    return Depths(session)


@pytest.fixture
def asked(files, small):
    return (*map(str, files), small())


def adds_up(pair):
    return all(
        abs(float(pair.side(side)[2].sum()) + sum(pair.bias_parts[side].values()) - pair.score) < 1e-5 for side in SIDES
    )


def test_the_offered_layers_have_the_grids_that_their_maps_have(depths, asked):
    offered = depths.offered(*asked)
    assert [one.layer for one in offered][-1] == "pixels"
    assert "features" not in [one.layer for one in offered]
    for one in offered:
        pair = depths.explained(*asked, DepthAsked(one.layer))
        assert (pair.a.grid, pair.b.grid) == (one.grid_a, one.grid_b)
        assert adds_up(pair)


def test_no_layer_is_the_pair_itself(depths, asked, pair):
    assert depths.explained(*asked, DepthAsked()).map_a.equal(pair.map_a)


@pytest.mark.parametrize("reference", ["blur", "mean"])
def test_a_path_is_drawn_once_and_its_bias_is_its_reference(depths, asked, reference, backbone_calls):
    drawn = run(depths.drawing(*asked, DepthAsked("pixels", "path", reference)))
    assert adds_up(drawn)
    for side in SIDES:
        parts = drawn.bias_parts[side]
        assert abs(parts["remainder"]) <= max(0.01 * abs(drawn.score), 0.002)
        assert parts["offsets"] == parts["tokens"] == 0 != parts["reference"]
    ran = len(backbone_calls)
    assert depths.explained(*asked, DepthAsked("pixels", "path", reference)) is drawn
    assert depths.held(*asked, DepthAsked("pixels", "path", reference)) is drawn
    assert len(backbone_calls) == ran


def test_another_pooling_is_another_drawing(depths, files, small):
    drawn = [depths.explained(*files, small(pooling=name), DepthAsked("pixels")) for name in ("avg", "max")]
    assert [str(pair.network.pooling) for pair in drawn] == ["avg", "max"]
    assert not torch.allclose(drawn[0].map_a, drawn[1].map_a)


def test_a_points_map_is_the_frozen_pairs(depths, asked):
    pair = depths.explained(*asked, DepthAsked("pixels"))
    h, w = pair.view_b.size
    found = depths.point(asked[:2], asked[2], "pixels", "b", ((3 + 0.5) / w, (5 + 0.5) / h))
    assert found.cell == (5, 3)
    assert torch.allclose(found.map, pair.point_map("b", 3, 5), atol=1e-6)
    assert found.share == pytest.approx(float(pair.map_b[5, 3]), abs=1e-6)


def test_little_is_less_than_a_fifth_in_either_picture(depths, asked):
    pair = depths.explained(*asked, DepthAsked("pixels"))
    assert carried(pair)["a"] == pytest.approx(float(pair.map_a.sum()) / pair.score)
    assert is_little(pair) == (min(carried(pair).values()) < 0.2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (DepthAsked("nowhere"), "which the network does not have"),
        (DepthAsked("0", "straight"), "one of frozen, path"),
        (DepthAsked("0", "path", "black"), "one of blur, mean, grey"),
        (DepthAsked("", "path"), "a rule or a reference without a layer"),
    ],
)
def test_what_there_is_not_is_a_sentence(depths, asked, wrong, said):
    with pytest.raises(SimvisError, match=said):
        run(depths.drawing(*asked, wrong))


def test_checked_depth_gives_back_what_is_right():
    assert checked_depth(DepthAsked("0", "path", "grey")) == DepthAsked("0", "path", "grey")
