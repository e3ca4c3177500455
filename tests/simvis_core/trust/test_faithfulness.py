"""Removal curves: law 16, a loop that builds each picture pixel by pixel, and cases worked by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers import masks
from simvis_core.galleries.figures import score_figure
from simvis_core.pictures.fills import BLUR, FILLS, filled
from simvis_core.trust.faithfulness import (
    CURVE_KINDS,
    RemovalCurve,
    equal_error_threshold,
    interval,
    ranks,
    removal_curve,
    removal_steps,
    removed,
    retrieval_query,
    verification_curve,
)
from simvis_core.trust.figures import removal_figure
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.drawings import TALL, WIDE, finished, network, plain_view, question, recording, view

NEAR = {"blur": 1e-9, "mean": 1e-9, "grey": 1e-7}  # grey is known to single precision
every_fill = pytest.mark.parametrize("fill", FILLS)
every_kind = pytest.mark.parametrize("kind", CURVE_KINDS)
sizes = pytest.mark.parametrize("size", [WIDE, TALL], ids=str)


def noise(size, seed=0):
    """A map without ties."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score_of(asked, picture):
    return references.dot(asked.network.embed(picture[None])[0].tolist(), asked.query.tolist())


def loop_fill(asked, fill):
    """What stands for each pixel that is taken away, one pixel at a time."""
    pixels, preprocess = asked.view.pixels, asked.network.preprocess
    sigma = BLUR * min(asked.size)
    result = torch.zeros_like(pixels)
    for channel, row, column in np.ndindex(*pixels.shape):
        if fill == "grey":
            result[channel, row, column] = (0.5 - preprocess.mean[channel]) / preprocess.std[channel]
        if fill == "blur":
            reach = max(1, math.ceil(3 * sigma))
            result[channel, row, column] = references.gaussian_at(pixels[channel].tolist(), row, column, sigma, reach)
    return result


def loop_pictures(asked, map, kind, fill, steps):
    """Every step's share and picture, for a map of the view's own pixels without ties."""
    height, width = asked.size
    places = sorted(np.ndindex(height, width), key=lambda place: -float(map[place]))
    background, total = loop_fill(asked, fill), height * width
    last = min(steps - 1, total)
    for step in range(last + 1):
        touched = step * total // last if kind == "insertion" else total - (last - step) * total // last
        picture = (background if kind == "insertion" else asked.view.pixels).clone()
        source = asked.view.pixels if kind == "insertion" else background
        for row, column in places[:touched]:
            picture[:, row, column] = source[:, row, column]
        yield touched / total, picture


def loop_area(shares, scores):
    return math.fsum((shares[i + 1] - shares[i]) * (scores[i + 1] + scores[i]) / 2 for i in range(len(shares) - 1))


# Law 16


@every_fill
@sizes
def test_a_curve_goes_from_the_background_to_the_picture_or_back(size, fill):
    asked, map = question(network(), view(size)), noise((2, 3))
    background = score_of(asked, loop_fill(asked, fill))
    insertion, deletion = (removal_curve(asked, map, kind, fill, 7) for kind in ("insertion", "deletion"))
    for curve, ends in ((insertion, (0, -1)), (deletion, (-1, 0))):
        assert abs(float(curve.scores[ends[0]]) - background) < NEAR[fill]
        assert abs(float(curve.scores[ends[1]]) - asked.score) < 1e-9
        assert abs(curve.background - background) < NEAR[fill]
        assert abs(curve.full - asked.score) < 1e-9
        assert (float(curve.shares[0]), float(curve.shares[-1])) == (0, 1)
        assert bool((curve.shares.diff() > 0).all())
    assert abs(asked.score - background) > 1e-3


@every_fill
@sizes
@pytest.mark.parametrize("steps", [2, 8, 51, 1000])
def test_deletion_is_the_reversed_insertion_of_the_negative_map(size, fill, steps):
    asked, map = question(network(), view(size)), noise(size)
    deletion = removal_curve(asked, map, "deletion", fill, steps)
    insertion = removal_curve(asked, -map, "insertion", fill, steps)
    assert torch.allclose(deletion.scores, insertion.scores.flip(0), rtol=0, atol=1e-12)
    assert torch.allclose(deletion.shares, 1 - insertion.shares.flip(0), rtol=0, atol=1e-12)
    assert deletion.auc == pytest.approx(insertion.auc, abs=1e-12)


class Unmoved(nn.Module):
    """Sees nothing."""

    def forward(self, pixels):
        return (torch.tensor([0.1, 0.7, 1 / 3]).to(pixels)[:, None, None]).expand(len(pixels), 3, 2, 3)


def silent():
    """A query that is 0: every score is."""
    asked = question(network())
    return replace(asked, query=torch.zeros_like(asked.query))


FLAT = {
    "the picture is the fill": lambda: (question(network(), plain_view()), "mean"),
    "blur of a plain picture": lambda: (question(network(), plain_view()), "blur"),
    "a plain picture in float32": lambda: (
        question(network(dtype=torch.float32), plain_view(dtype=torch.float32)),
        "mean",
    ),
    "a score of 0": lambda: (silent(), "grey"),
    "a network that sees nothing": lambda: (
        question(EmbeddingNetwork(Unmoved(), "avg", None, drawings.SMALL), view(dtype=torch.float32)),
        "grey",
    ),
}


@every_kind
@pytest.mark.parametrize("name", FLAT)
def test_a_flat_curve_has_no_rescaled_area_and_no_nan(name, kind):
    asked, fill = FLAT[name]()
    curve = removal_curve(asked, noise((2, 3)), kind, fill, 7)
    assert bool(curve.scores.isfinite().all())
    assert curve.rescaled_auc is None
    assert curve.auc == pytest.approx(asked.score, abs=1e-6)


@every_kind
def test_a_picture_that_scores_hardly_more_than_its_fill_has_no_rescaled_area(kind):
    """A share of next to nothing, or of something negative, would say the opposite of what happened."""
    curve = lambda end: RemovalCurve(kind, *(torch.tensor(t, dtype=torch.float64) for t in ([0, 1], [0.3, end])))
    up = 1 if kind == "insertion" else -1
    for end in (0.3, 0.3 + 0.049 * up, 0.3 - 0.2 * up):
        assert curve(end).rescaled_auc is None
    assert curve(0.3 + 0.051 * up).rescaled_auc == pytest.approx(0.5)


# Against the loop


@every_fill
@every_kind
@sizes
@pytest.mark.parametrize("steps", [2, 8])
def test_scores_and_areas_are_those_of_the_loop(size, kind, fill, steps):
    asked, map = question(network(), view(size)), noise(size, 4)
    shares, pictures = zip(*loop_pictures(asked, map, kind, fill, steps), strict=True)
    scores = [score_of(asked, picture) for picture in pictures]
    curve = removal_curve(asked, map, kind, fill, steps)
    assert curve.kind == kind
    assert torch.allclose(curve.shares, torch.tensor(shares, dtype=torch.float64), rtol=0, atol=1e-12)
    assert np.allclose(curve.scores.tolist(), scores, rtol=0, atol=NEAR[fill])
    area = loop_area(shares, scores)
    full, background = (scores[-1], scores[0]) if kind == "insertion" else (scores[0], scores[-1])
    assert curve.auc == pytest.approx(area, abs=NEAR[fill])
    gained = full - background
    expected = (area - background) / gained if gained >= 0.05 else None
    assert curve.rescaled_auc == (expected if expected is None else pytest.approx(expected, abs=1e-5))


@every_kind
@pytest.mark.parametrize(
    ("size", "steps", "points"), [(WIDE, 51, 51), ((8, 8), 51, 51), ((8, 8), 64, 64), ((8, 8), 500, 65)]
)
def test_every_picture_of_the_usual_numbers_of_steps(size, steps, points, kind):  # fmt: skip
    """2 % each; and never more steps than pixels: then one at a time."""
    asked, map = question(network(), view(size)), noise(size, 5)
    made, shown = recording(asked.network)
    curve = removal_curve(replace(asked, network=made), map, kind, "mean", steps)
    expected = [picture for _, picture in loop_pictures(asked, map, kind, "mean", steps)]
    assert len(curve.scores) == len(expected) == points
    assert torch.equal(shown.pictures, torch.stack(expected))


@every_fill
@every_kind
def test_a_picture_at_a_share_is_the_curves_own_step(kind, fill):
    asked, map = question(network()), noise((2, 3), 6)
    made, shown = recording(asked.network)
    curve = removal_curve(replace(asked, network=made), map, kind, fill, 37, seed=3)
    for share, picture in zip(curve.shares.tolist(), shown.pictures, strict=True):
        assert torch.equal(removed(asked, map, kind, share, fill, seed=3), picture)


@every_kind
def test_a_share_that_is_no_whole_number_of_pixels_in_floating_point(kind):
    """1 / 49 x 49 is less than 1."""
    asked, map = question(network(), view((56, 112))), noise((2, 3), 6)
    made, shown = recording(asked.network)
    curve = removal_curve(replace(asked, network=made), map, kind, "mean", 50)
    for share, picture in zip(curve.shares.tolist()[:5], shown.pictures[:5], strict=True):
        assert torch.equal(removed(asked, map, kind, share, "mean"), picture)


def test_a_picture_at_a_share_of_none_and_all():
    asked, map = question(network()), noise((2, 3))
    fill = filled(asked.view.pixels, "blur", asked.network.preprocess)
    assert torch.equal(removed(asked, map, "deletion", 0), asked.view.pixels)
    assert torch.equal(removed(asked, map, "insertion", 1), asked.view.pixels)
    assert torch.equal(removed(asked, map, "deletion", 1), fill)
    assert torch.equal(removed(asked, map, "insertion", 0), fill)
    half = removed(asked, map, "deletion", 0.5)
    assert int((half != asked.view.pixels).any(0).sum()) == asked.view.pixels[0].numel() // 2


def test_by_hand():
    """Two pixels that a network of one number adds up: 3 and -1 of a bias of 2, asked for the first number."""

    class Sum(nn.Module):
        def forward(self, pixels):
            total = pixels[:, :1].sum((2, 3), keepdim=True) + 2
            return torch.cat([total, 4 * torch.ones_like(total)], 1)

    made = EmbeddingNetwork(Sum(), "avg", None, drawings.SMALL)
    pixels = torch.zeros(3, 1, 2, dtype=torch.float64)
    pixels[0] = torch.tensor([[3.0, -1.0]])
    asked = replace(question(network()), network=made, view=replace(view(), pixels=pixels))
    asked = replace(asked, query=torch.tensor([1.0, 0.0], dtype=torch.float64))
    score = lambda total: total / math.hypot(total, 4)
    map = torch.tensor([[0.2, 0.1]])
    insertion = removal_curve(asked, map, "insertion", "mean", 3)
    deletion = removal_curve(asked, map, "deletion", "mean", 3)
    assert insertion.scores.tolist() == pytest.approx([score(2), score(5), score(4)])
    assert deletion.scores.tolist() == pytest.approx([score(4), score(1), score(2)])
    assert insertion.shares.tolist() == deletion.shares.tolist() == [0, 0.5, 1]
    assert insertion.auc == pytest.approx((score(2) + 2 * score(5) + score(4)) / 4)
    expected = ((score(2) + 2 * score(5) + score(4)) / 4 - score(2)) / (score(4) - score(2))
    assert insertion.rescaled_auc == pytest.approx(expected)
    assert (insertion.at(0.0), insertion.at(0.3), insertion.at(0.9)) == pytest.approx([score(2), score(5), score(4)])


def test_a_better_map_has_a_larger_area_of_insertion_and_a_smaller_one_of_deletion():
    """Among maps of one network whose score is a sum over pixels, the sum's own terms are the best order."""

    class Mean(nn.Module):
        def forward(self, pixels):
            return torch.cat([pixels, 5 * torch.ones_like(pixels)], 1)

    asked = question(EmbeddingNetwork(Mean(), "avg", None, drawings.SMALL))
    asked = replace(asked, query=torch.tensor([1.0, -0.5, 0.3, 0, 0, 0], dtype=torch.float64))
    terms = torch.einsum("chw,c->hw", asked.view.pixels, asked.query[:3])
    areas = {
        kind: [removal_curve(asked, map, kind, "mean", 20).auc for map in (terms, noise(WIDE), -terms)]
        for kind in CURVE_KINDS
    }
    assert areas["insertion"][0] > areas["insertion"][1] > areas["insertion"][2]
    assert areas["deletion"][0] < areas["deletion"][1] < areas["deletion"][2]


# The order


@sizes
@pytest.mark.parametrize("grid", [(2, 3), (1, 4), (5, 5), (1, 1), (40, 50)], ids=str)
def test_ranks_are_a_permutation_that_follows_the_enlarged_map(size, grid):
    map = noise(grid, 2)
    place = ranks(map, size)
    assert place.shape == size
    assert sorted(place.flatten().tolist()) == list(range(size[0] * size[1]))
    slow = torch.from_numpy(references.bilinear(map.numpy(), size)).flatten()
    in_order = torch.empty_like(slow)
    in_order[place.flatten()] = slow
    assert float(in_order.diff().max()) < 1e-11


def test_the_strongest_cell_goes_first():
    map = torch.zeros(2, 3)
    map[1, 2] = 1
    place = ranks(map, WIDE)
    assert set(map.shape) == {2, 3}
    assert (place[12:, 20:] < 16).all()  # the plateau beyond the cell's centre: 4 x 4 pixels
    assert (ranks(-map, WIDE)[12:, 20:] >= 384 - 16).all()


@pytest.mark.parametrize("value", [0.0, 1 / 3, -0.1, 7e-300, 1e300])
@pytest.mark.parametrize(("grid", "size"), [((2, 3), WIDE), ((7, 7), (48, 33)), ((1, 1), TALL), ((7, 11), (16, 24))])
def test_ties_go_at_random_by_seed(value, grid, size):
    """Also where enlarging a constant map leaves its last digit to the place."""
    map = torch.full(grid, value, dtype=torch.float64)
    first, again, other = (ranks(map, size, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first, ranks(torch.zeros(1, 1), size, 3))  # the order is the draw's, whatever the constant
    assert abs(np.corrcoef(first.flatten(), np.arange(first.numel()))[0, 1]) < 0.15


def test_a_plateau_is_in_random_order_and_the_rest_is_not():
    map = torch.zeros(WIDE)
    map[4:12, 6:18] = 1 / 3
    one, other = ranks(map, WIDE, 0), ranks(map, WIDE, 1)
    assert not torch.equal(one, other)
    for place in (one, other):
        assert sorted(place[4:12, 6:18].flatten().tolist()) == list(range(96))


@every_kind
def test_the_seed_decides_the_curve_of_a_constant_map_and_of_no_other(kind):
    asked = question(network())
    constant = torch.full((2, 3), 1 / 3)
    first, again, other = (removal_curve(asked, constant, kind, "grey", 9, seed) for seed in (3, 3, 4))
    assert torch.equal(first.scores, again.scores)
    assert not torch.allclose(first.scores, other.scores, rtol=0, atol=1e-6)
    untied = [removal_curve(asked, noise(WIDE), kind, "grey", 9, seed).scores for seed in (3, 4)]
    assert torch.equal(*untied)


def test_a_map_of_one_cell_is_a_constant_map():
    asked = question(network())
    curves = [removal_curve(asked, torch.full((1, 1), value), "insertion", steps=5) for value in (-2.0, 5.0)]
    assert torch.equal(curves[0].scores, curves[1].scores)


def test_a_map_in_single_precision_is_taken_as_it_is():
    assert torch.equal(ranks(noise(WIDE).float(), WIDE), ranks(noise(WIDE), WIDE))
    asked = question(network(dtype=torch.float32), view(dtype=torch.float32))
    curve = removal_curve(asked, noise(WIDE).float(), "insertion", "blur", 5)
    assert curve.scores.dtype == torch.float64


# Step by step


@every_kind
def test_the_batch_does_not_show_in_the_curve(kind, monkeypatch):
    asked, map = question(network()), noise((2, 3))
    whole = removal_curve(asked, map, kind, "blur", 20)
    monkeypatch.setattr(masks, "BATCH_PIXELS", 7 * 16 * 24)
    made, shown = recording(asked.network)
    curve, told = finished(removal_steps(replace(asked, network=made), map, kind, "blur", 20))
    assert [len(seen) for seen in shown.seen] == [7, 7, 6]
    assert [(step.done, step.total, step.map) for step in told] == [(7, 20, None), (14, 20, None), (20, 20, None)]
    assert torch.allclose(curve.scores, whole.scores, rtol=0, atol=1e-12)
    assert torch.equal(curve.shares, whole.shares)


def test_a_curve_can_be_left_at_any_step(monkeypatch):
    monkeypatch.setattr(masks, "BATCH_PIXELS", 1)
    made, shown = recording(network())
    asked = question(network())
    steps = removal_steps(replace(asked, network=made), noise((2, 3)), "insertion")
    next(steps)
    steps.close()
    assert len(shown.seen) == 1


# What is refused


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_map_with_anything_but_numbers_is_refused(broken):
    asked, map = question(network()), torch.zeros(2, 3)
    map[1, 1] = broken
    for act in (
        lambda: removal_curve(asked, map, "insertion"),
        lambda: removed(asked, map, "deletion", 0.5),
        lambda: ranks(map, WIDE),
    ):
        with pytest.raises(
            SimvisError, match="Got a map with NaN or infinity; wanted numbers: draw it again, or choose"
        ):
            act()


def test_numbers_and_names_out_of_range_are_refused():
    asked, map = question(network()), noise((2, 3))
    for steps in (1, 0, -3):
        with pytest.raises(SimvisError, match=f"Got {steps} steps; wanted at least 2: take 51"):
            removal_curve(asked, map, "insertion", steps=steps)
    with pytest.raises(SimvisError, match="Got fill 'white'; wanted one of blur, mean, grey: choose one of these"):
        removal_curve(asked, map, "insertion", "white")
    for share in (-0.01, 1.01, math.nan):
        with pytest.raises(SimvisError, match=f"Got a share of {share:g}; wanted 0 to 1: choose one in that range"):
            removed(asked, map, "insertion", share)


def test_an_unknown_kind_is_refused_without_the_shape_checker(unchecked):
    asked, map = question(network()), torch.eye(2)
    for act in (lambda: removal_curve(asked, map, "removal"), lambda: removed(asked, map, "removal", 0.5)):
        with pytest.raises(SimvisError) as raised:
            act()
        assert str(raised.value) == "Got 'removal'; wanted one of insertion, deletion: choose one of these."


# Searches


@every_kind
def test_the_curve_of_the_mean_query_is_the_mean_of_the_curves(kind):
    asked, map = question(network()), noise((2, 3))
    hits = torch.stack([asked.network.embed(view(WIDE, seed).pixels[None])[0] for seed in (1, 2, 3)])
    singles = [removal_curve(replace(asked, query=hit), map, kind, "grey", 9) for hit in hits]
    whole = removal_curve(replace(asked, query=retrieval_query(hits)), map, kind, "grey", 9)
    assert torch.allclose(whole.scores, torch.stack([one.scores for one in singles]).mean(0), rtol=0, atol=1e-12)
    assert whole.auc == pytest.approx(np.mean([one.auc for one in singles]))


def test_a_search_without_hits_is_refused():
    with pytest.raises(SimvisError, match="Got no hits; wanted one or more: search first"):
        retrieval_query(torch.zeros(0, 4))


# Verification


def curve_of(scores, kind="deletion"):
    scores = torch.tensor(scores, dtype=torch.float64)
    return RemovalCurve(kind, torch.linspace(0, 1, len(scores), dtype=torch.float64), scores)


def test_verification_by_hand():
    """Clean scores .9 .8 .3 of one class, .7 .2 .1 of two: at .5 one of each is wrong."""
    scores = [(0.9, 0.6, 0.0), (0.8, 0.4, 0.6), (0.3, 0.3, 0.3), (0.7, 0.1, 0.5), (0.2, 0.2, 0.2), (0.1, 0.9, 0.1)]
    same = torch.tensor([True, True, True, False, False, False])
    found = verification_curve([curve_of(one) for one in scores], same)
    assert found.threshold == pytest.approx(0.5)
    assert found.accuracy.tolist() == pytest.approx([4 / 6, 3 / 6, 3 / 6])
    assert found.shares.tolist() == [0, 0.5, 1]
    assert found.auc == pytest.approx((4 / 6 + 2 * 3 / 6 + 3 / 6) / 4)
    turned = [curve_of(one[::-1], "insertion") for one in scores]  # whose clean scores are their last
    assert verification_curve(turned, same).accuracy.tolist() == pytest.approx([3 / 6, 3 / 6, 4 / 6])


def test_pairs_told_apart_whatever_goes():
    same = torch.tensor([True, False])
    found = verification_curve([curve_of([0.9, 0.8]), curve_of([0.1, 0.2])], same)
    assert (found.threshold, found.auc) == (pytest.approx(0.5), pytest.approx(1))
    upside_down = verification_curve([curve_of([0.1, 0.2]), curve_of([0.9, 0.8])], same)
    assert upside_down.auc <= 0.5


def test_views_of_other_sizes_count_alike():
    """2 % of 384 pixels and of 320 are not the same number of whole pixels."""
    map = noise((2, 3))
    curves = [
        removal_curve(question(network(), shown), map, "deletion")
        for shown in (view((16, 24)), view((24, 16), 1), view((16, 32), 2), view((16, 16), 3))
    ]
    assert not torch.equal(curves[0].shares, curves[2].shares)
    found = verification_curve(curves, torch.tensor([True, False, True, False]))
    assert len(found.accuracy) == 51


def test_curves_that_cannot_be_compared_are_refused():
    one, other = curve_of([0.9, 0.8]), curve_of([0.1, 0.2])
    for same in ([True, True], [False, False], [True, False, True], []):
        with pytest.raises(
            SimvisError, match=r"Got 2 curves with \d same-class pairs of \d; wanted pairs of one class"
        ):
            verification_curve([one, other], torch.tensor(same, dtype=torch.bool))
    for odd in (curve_of([0.1, 0.2], "insertion"), curve_of([0.1, 0.2, 0.3])):
        with pytest.raises(
            SimvisError, match="Got curves of several kinds or steps; wanted one kind: measure them alike"
        ):
            verification_curve([one, odd], torch.tensor([True, False]))


def error_rates(scores, same, threshold):
    accepted = [score >= threshold for score in scores]
    wrong = [sum(a == (not s) and s == which for a, s in zip(accepted, same, strict=True)) for which in (False, True)]
    return wrong[0] / same.count(False), wrong[1] / same.count(True)


@given(st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=2, max_size=30))
def test_the_threshold_has_the_most_equal_errors_that_any_has(pairs):
    scores, same = [score / 20 for score, _ in pairs], [one for _, one in pairs]
    if len(set(same)) < 2:
        return
    found = equal_error_threshold(torch.tensor(scores, dtype=torch.float64), torch.tensor(same))
    accepted, refused = error_rates(scores, same, found)
    false, true, _ = roc_curve(same, scores, drop_intermediate=False)
    assert abs(accepted - refused) == pytest.approx(float(np.abs(false - (1 - true)).min()), abs=1e-6)
    assert found not in scores  # it lies between them, so that rounding decides nothing
    candidates = [-1.1, *((a + b) / 2 for a, b in zip(sorted(set(scores)), sorted(set(scores))[1:], strict=False)), 1.1]
    best = min(abs(np.subtract(*error_rates(scores, same, at))) for at in candidates)
    lowest = min(at for at in candidates if abs(np.subtract(*error_rates(scores, same, at))) < best + 1e-6)
    assert error_rates(scores, same, found) == error_rates(scores, same, lowest)


def test_thresholds_by_hand():
    for scores, same, wanted in (
        ([0.9, 0.1], [True, False], 0.5),
        ([0.9, 0.8, 0.3, 0.7, 0.2, 0.1], [True] * 3 + [False] * 3, 0.5),
        ([0.5, 0.5], [True, False], 0.5 - 1e-9),  # accept both or none: as bad; the lower one
    ):
        assert equal_error_threshold(torch.tensor(scores), torch.tensor(same)) == pytest.approx(wanted, abs=1e-7)


# Intervals


def test_an_interval_by_hand():
    assert interval([0.25]) == (0.25, None, None, 1)
    assert interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5, 3)
    found = interval([0.0, 1.0, 2.0, 5.0])
    assert (found.mean, found.pairs) == (2, 4)
    assert found.low < 1 < 3 < found.high
    assert found.low >= 0
    assert found.high <= 5
    assert found == interval([0.0, 1.0, 2.0, 5.0])
    odd = [0.0, 1.01, 2.2, 5.3, 0.7, 3.14]
    one, other = interval(odd), interval(odd, seed=1)
    assert one != other
    assert one.mean == other.mean
    assert one.low == pytest.approx(other.low, abs=0.2)


def test_two_values_by_hand():
    """Of four draws one is 0, 0 and one is 1, 1: both ends have a quarter of the weight."""
    assert interval([0.0, 1.0]) == (0.5, 0.0, 1.0, 2)


def test_an_interval_is_as_wide_as_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found, half = interval(values.tolist()), 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)


def test_about_95_of_100_intervals_hold_the_truth():
    generator = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        found = interval(generator.normal(0.3, 1, 30).tolist(), trial)
        held += found.low <= 0.3 <= found.high
    assert 180 <= held <= 197


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(SimvisError, match="Got no values; wanted one or more: measure a pair first"):
        interval([])


# Shown


def test_preprocessed_pixels_are_a_picture_again():
    shown = view(WIDE)
    picture = drawings.SMALL.picture(shown.pixels)
    assert (picture.mode, picture.size) == ("RGB", (24, 16))
    assert np.array_equal(np.asarray(picture), np.asarray(shown.image))  # 24 x 16 itself: nothing was resized
    beyond = torch.stack([torch.full((2, 3), value) for value in (-9.0, 0.0, 9.0)])
    assert np.asarray(drawings.SMALL.picture(beyond))[1, 2].tolist() == [0, 102, 255]
    half = removed(question(network()), noise(WIDE), "deletion", 0.5, "mean")
    apart = np.abs(np.asarray(drawings.SMALL.picture(half)) - np.array([127.5, 102, 76.5])).max(-1)
    assert 0.49 < (apart <= 0.5).mean() < 0.52


def test_the_figure_shows_each_curve_over_its_own_axis():
    curves = {
        name: {kind: curve_of([0.123456789, 0.5, 0.9], kind) for kind in CURVE_KINDS}
        for name in ("<b>ours</b>", "Random")
    }
    figure = json.loads(removal_figure(curves, faint=["Random"]).to_json())
    traces = figure["data"]
    assert [(one["name"], one["xaxis"], one["yaxis"]) for one in traces] == [
        ("&lt;b&gt;ours&lt;/b&gt;", "x", "y"),
        ("&lt;b&gt;ours&lt;/b&gt;", "x2", "y2"),
        ("Random", "x", "y"),
        ("Random", "x2", "y2"),
    ]
    assert all(one["x"] == [0, 50, 100] and one["y"] == [0.12346, 0.5, 0.9] for one in traces)
    assert [one["showlegend"] for one in traces] == [True, False, True, False]
    assert traces[0]["line"] == traces[1]["line"] != traces[2]["line"]
    assert traces[2]["line"]["color"] == "#888888"
    layout = figure["layout"]
    assert "taken away" in layout["xaxis"]["title"]["text"]
    assert "put back" in layout["xaxis2"]["title"]["text"]
    assert (layout["yaxis2"]["matches"], layout["yaxis2"]["anchor"]) == ("y", "x2")  # one scale for both


def test_a_matrix_says_its_unit_and_leaves_out_what_is_not_known():
    figure = json.loads(
        score_figure(torch.tensor([[1.0, math.nan], [math.nan, 1.0]]), ["a", "b"], "agreement").to_json()
    )
    assert figure["data"][0]["z"] == [[1, None], [None, 1]]
    assert figure["data"][0]["colorbar"]["title"]["text"] == "agreement"
