"""One measurement: the parts put together by hand, the drawer's part in it, and what chance scores."""

import math
from dataclasses import replace

import pytest
import torch

from simvis_core import SimvisError, explain_pair
from simvis_core.explainers.table import EXPLAINERS, draw_map
from simvis_core.trust.faithfulness import RemovalCurve, removal_curve
from simvis_core.trust.measuring import (
    RANDOMS,
    Asked,
    Measured,
    against_chance,
    asked_of,
    baselines,
    drawable,
    measuring,
    question_of,
)
from simvis_core.trust.sanity import coarsened
from tests.simvis_core.cases import BLACK_BOXES
from tests.simvis_core.drawings import TALL, finished, network, noise, question, recording, view

# Measuring

SEVERAL = {
    "decomposition": Asked("decomposition", steps=6),
    "rise": Asked("rise", "pair", 3, "grey", 5, (("masks", 30), ("cells", 3))),
    "integrated gradients": Asked("integrated_gradients", "fixed", 0, "mean", 4, (("steps", 3),)),
    "random": Asked("random", seed=9, fill="mean", steps=7),
    "ties, broken by seed": Asked("centre", seed=4, fill="mean", steps=23),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_a_measurement_is_the_map_and_both_its_curves(name):
    wanted, asked = SEVERAL[name], question(network(), reference=view(TALL, 3))
    measured, parts = finished(measuring(asked, wanted))
    drawn = draw_map(
        wanted.explainer,
        asked.network,
        asked.view,
        asked.query,
        reference=asked.reference,
        setting=wanted.setting,
        seed=wanted.seed,
        **dict(wanted.parameters),
    )
    assert measured.asked == wanted
    assert torch.equal(measured.drawn.map, drawn.map)
    assert (measured.drawn.passes, measured.drawn.parameters) == (drawn.passes, drawn.parameters)
    for kind in ("insertion", "deletion"):
        curve = removal_curve(asked, drawn.map, kind, wanted.fill, wanted.steps, wanted.seed)
        found = getattr(measured, kind)
        assert found.kind == kind
        assert torch.equal(found.scores, curve.scores)
        assert torch.equal(found.shares, curve.shares)
    assert [part.doing for part in parts][-2:] == ["insertion", "deletion"]
    assert {part.doing for part in parts[:-2]} == {"drawing"}
    assert [part.interim.done for part in parts[-2:]] == [wanted.steps] * 2


def test_the_gap_by_hand():
    curve = lambda kind, scores: RemovalCurve(
        kind, torch.tensor([0, 0.5, 1], dtype=torch.float64), torch.tensor(scores, dtype=torch.float64)
    )
    drawn = draw_map("centre", network(), view(), noise(5))
    measured = Measured(Asked("centre"), drawn, curve("insertion", [0.2, 0.9, 0.6]), curve("deletion", [0.6, 0.3, 0.2]))
    assert measured.gap == pytest.approx((0.2 + 2 * 0.9 + 0.6) / 4 - (0.6 + 2 * 0.3 + 0.2) / 4)
    assert not measured.flat
    # A fill that scores higher than the picture turns nothing round.
    other = replace(
        measured, insertion=curve("insertion", [0.6, 0.5, 0.2]), deletion=curve("deletion", [0.2, 0.1, 0.6])
    )
    assert other.gap == pytest.approx((0.6 + 2 * 0.5 + 0.2) / 4 - (0.2 + 2 * 0.1 + 0.6) / 4)
    assert other.gap > 0
    assert other.insertion.rescaled_auc is other.deletion.rescaled_auc is None
    still = replace(measured, insertion=curve("insertion", [0.3] * 3), deletion=curve("deletion", [0.3] * 3))
    assert still.flat
    assert still.gap == 0


def test_how_a_map_is_to_be_measured_is_checked_where_it_enters():
    assert asked_of("rise", "pair", 3.0, "mean", 7, {"masks": 30}) == Asked(
        "rise", "pair", 3, "mean", 7, (("masks", 30),)
    )
    assert asked_of("decomposition", "pair", None, "blur") == Asked("decomposition")
    for name, entry in EXPLAINERS.items():  # two of them call a parameter "steps", as the curves do
        asked = asked_of(name, "fixed", 0, "blur", 7, entry.parameters)
        assert (dict(asked.parameters), asked.steps) == (dict(entry.parameters), 7)
    for wrong, sentence in (
        (("rice", "fixed", 0, "blur"), "explainer 'rice'"),
        (("rise", "both", 0, "blur"), "setting 'both'"),
        (("rise", "fixed", 0, "black"), "fill 'black'"),
        (("rise", "fixed", -1, "blur"), "seed -1"),
        (("rise", "fixed", 1.5, "blur"), "seed 1.5"),
        (("rise", "fixed", 1e300, "blur"), "seed 1e"),
        (("rise", "fixed", float("nan"), "blur"), "seed nan"),
        (("rise", "fixed", float("inf"), "blur"), "seed inf"),
        (("rise", "fixed", 0, "blur", 1), "1 steps"),
    ):
        with pytest.raises(SimvisError, match=sentence):
            asked_of(*wrong)
    with pytest.raises(SimvisError, match="masks 0"):
        asked_of("rise", "fixed", 0, "blur", parameters={"masks": 0})


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_the_drawer_draws_where_gradients_or_attention_are_needed_and_measures_nothing(explainer):
    few = {"masks": 4, "samples": 4, "steps": 2, "steps_a_side": 3}
    given = tuple((k, v) for k, v in few.items() if k in EXPLAINERS[explainer].parameters)
    measurer, measured_on = recording(network())
    drawer, drawn_on = recording(network())
    asked = question(network(), known=True)
    finished(
        measuring(
            replace(asked, network=measurer),
            Asked(explainer, steps=3, parameters=given),
            replace(asked, network=drawer),
        )
    )
    assert bool(drawn_on.seen) == (EXPLAINERS[explainer].needs in ("gradients", "layers", "attention"))
    assert [len(seen) for seen in measured_on.seen[-2:]] == [3, 3]
    if drawn_on.seen:
        assert len(measured_on.seen) == 2


def test_without_a_drawer_the_question_draws():
    made, seen = recording(network())
    finished(measuring(replace(question(network(), known=True), network=made), Asked("input_x_gradient", steps=3)))
    assert [len(one) for one in seen.seen] == [1, 3, 3]


# Questions of a pair


@pytest.mark.parametrize("head", ["fc", "free", "none"])
def test_the_question_of_a_pair_is_its_score_and_its_map(head, two_pictures):
    pair = explain_pair(network(head=head), *two_pictures)
    for side, other in (("a", pair.b), ("b", pair.a)):
        asked = question_of(pair, side)
        assert asked.score == pytest.approx(pair.score, abs=1e-9)
        assert asked.view is pair.side(side)[0]
        assert asked.reference is pair.side("b" if side == "a" else "a")[0]
        assert torch.equal(asked.query, other.embedding)
        assert torch.equal(asked.query_bias, other.bias)
        measured = finished(measuring(asked, Asked("decomposition_bias", steps=2)))[0]
        assert torch.allclose(measured.drawn.map, pair.side(side)[2], rtol=0, atol=1e-9)
        without = finished(measuring(asked, Asked("decomposition", steps=2)))[0].drawn.map
        joint = pair.joint_map.sum((2, 3) if side == "a" else (0, 1))
        assert torch.allclose(without, joint, rtol=0, atol=1e-9)


def test_the_pairs_activations_are_used_again(two_pictures):
    made, seen = recording(network())
    pair = explain_pair(made, *two_pictures)
    before = len(seen.seen)
    assert question_of(pair, "b").score == pytest.approx(pair.score)
    assert question_of(pair, "b").activations is pair.activations_b
    assert question_of(pair, "a").activations is pair.activations_a
    assert len(seen.seen) == before


@pytest.mark.parametrize("method", ["none", "sliding window"])
def test_a_black_boxs_question_has_no_bias(method, two_pictures):
    black = network(head=BLACK_BOXES["normalise"](6))
    pair = explain_pair(black, *two_pictures, **({} if method == "none" else {"method": method}))
    assert pair.method != "decomposition"
    for side in ("a", "b"):
        asked = question_of(pair, side)
        assert asked.query_bias is None
        assert asked.score == pytest.approx(pair.score, abs=1e-6)
        measured = finished(measuring(asked, Asked("sliding_window", steps=3, parameters=(("steps_a_side", 4),))))[0]
        assert measured.insertion.full == pytest.approx(pair.score, abs=1e-6)


# Chance


def test_the_baselines_are_the_centre_and_some_random_maps_measured_alike():
    asked = Asked("rise", "pair", 7, "grey", 21, (("masks", 30),))
    centre, *randoms = baselines(asked)
    assert centre == Asked("centre", "fixed", 7, "grey", 21, ())
    assert randoms == [Asked("random", "fixed", 35 + at, "grey", 21, ()) for at in range(RANDOMS)]
    assert not {*randoms} & {*baselines(replace(asked, seed=8))}  # other random maps, all of them


RANDOM_GAPS = [-0.1, 0.0, 0.1]  # mean 0, spread 0.1: clearly is beyond 0.2


@pytest.mark.parametrize(
    ("gap", "randoms", "centre", "wanted"),
    [
        (0.5, RANDOM_GAPS, 0.3, "better than chance"),
        (0.21, RANDOM_GAPS, 0.2, "better than chance"),
        (0.5, RANDOM_GAPS, 0.5, "no better than the centre"),
        (0.5, RANDOM_GAPS, 0.6, "no better than the centre"),
        (0.19, RANDOM_GAPS, -0.5, "no better than chance"),
        (0.0, RANDOM_GAPS, -0.5, "no better than chance"),
        (-0.19, RANDOM_GAPS, -0.5, "no better than chance"),
        (-0.21, RANDOM_GAPS, -0.5, "worse than chance"),
        (0.3, [0.0] * 9 + [0.3], 0.0, "no better than chance"),  # as good as one of them
        (-0.3, [0.0] * 9 + [-0.3], 0.0, "no better than chance"),
        (0.31, [0.0] * 9 + [0.3], 0.0, "better than chance"),
        (0.05, [0.0], 0.0, "better than chance"),
        (0.0, [0.0], 0.0, "no better than chance"),
        (-0.05, [0.0], 0.0, "worse than chance"),
    ],
)
def test_chance_by_hand(gap, randoms, centre, wanted):
    assert against_chance(gap, randoms, centre) == wanted


# For a screen


def test_a_coarse_map_is_drawn_over_its_strongest_value():
    map = torch.tensor([[0.5, -2.0, 0.0], [1.0, 0.25, -0.125]])
    assert drawable(map) == ((2, 3), [0.25, -1, 0, 0.5, 0.125, -0.0625], 2)
    assert drawable(-map) == ((2, 3), [-0.25, 1, 0, -0.5, -0.125, 0.0625], 2)
    assert drawable(torch.zeros(2, 3)) == ((2, 3), [0] * 6, 0)


@pytest.mark.parametrize("size", [(56, 84), (112, 64)], ids=str)
def test_a_map_of_pixels_is_averaged_to_few_cells_and_keeps_its_signs(size):
    map = noise(size)
    grid, cells, strongest = drawable(map)
    means = coarsened(map, 28)
    assert grid == tuple(means.shape)
    assert min(grid) == 28
    assert strongest == float(map.abs().max())
    assert max(map_ := [abs(cell) for cell in cells]) == 1
    assert 2 <= map_.count(1) <= len(cells) * 0.015  # the top 1 % share the end of the scale
    for cell, mean in zip(cells, means.flatten().tolist(), strict=True):
        assert cell == pytest.approx(
            math.copysign(min(abs(mean) / float(means.abs().quantile(0.99)), 1), mean), abs=1e-5
        )


def test_a_map_of_a_few_pixels_is_not_drawn_as_nothing():
    """All but one cell are 0, and so is the 99 % quantile."""
    map = torch.zeros(56, 84)
    map[10, 20] = 4e-4
    map[40, 60] = -2e-4
    _, cells, strongest = drawable(map)
    assert strongest == pytest.approx(4e-4)
    assert (cells[5 * 42 + 10], cells[20 * 42 + 30]) == (1, pytest.approx(-0.5))
    assert sum(cell != 0 for cell in cells) == 2
