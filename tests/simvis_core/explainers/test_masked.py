"""Maps by hidden parts: against loops over the pictures that the network was really shown, and law 15."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers import masks as perturbation
from simvis_core.explainers.masked import corr_rise, lime, rise, sbsm, sliding_window, superpixels
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.drawings import TALL, WIDE, drawn, finished, network, plain_view, question, recording, view

# Small numbers of everything, so that a loop can follow.
QUICK = {
    sliding_window: {"window": 2, "steps_a_side": 5},
    rise: {"masks": 40, "cells": 3},
    corr_rise: {"masks": 40},
    sbsm: {"window": 3, "step": 2, "steps_a_side": 6},
    lime: {"samples": 40, "segments": 7},
}
SEEDED = (rise, corr_rise, lime)
every = pytest.mark.parametrize("draw", QUICK, ids=lambda draw: draw.__name__)
seeded = pytest.mark.parametrize("draw", SEEDED, ids=lambda draw: draw.__name__)
pairwise = pytest.mark.parametrize("draw", [rise, lime], ids=lambda draw: draw.__name__)
sizes = pytest.mark.parametrize("size", [WIDE, TALL], ids=str)


def one_score(asked):
    """What the query scores on one picture, as a plain number."""
    return lambda picture: float(asked.scores(picture[None])[0])


def watched(draw, asked, **parameters):
    """The map, and every picture the network was shown for it; the whole picture's own pass is left out."""
    made, shown = recording(asked.network)
    asked = replace(asked, network=made, known=asked.activations)
    return drawn(draw, asked, **(QUICK[draw] | parameters)), shown.pictures


def masks_of(pictures, asked):
    """What was shown of each pixel, read off the masked pictures: they were made by nothing but a product."""
    masks = pictures / asked.view.pixels
    assert torch.allclose(masks, masks[:, :1].expand_as(masks), rtol=0, atol=1e-9)
    return masks[:, 0]


# Slow references


@pytest.mark.parametrize(("size", "window", "steps"), [(WIDE, 1, 4), (TALL, 2, 5), (WIDE, 3, 8), (TALL, 6, 5)], ids=str)
def test_sliding_window_is_the_mean_loss_of_the_windows_over_a_place(size, window, steps):
    asked = question(network(), view(size))
    lattice = (steps, round(steps * 1.5)) if size == WIDE else (round(steps * 1.5), steps)
    score = one_score(asked)
    whole = score(asked.view.pixels)
    slow = references.window_map(lambda hidden: whole - score(hidden), asked.view.pixels, lattice, window, 1)
    found = drawn(sliding_window, asked, window=window, steps_a_side=steps)
    assert found.shape == lattice
    assert np.allclose(found.numpy(), slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("size", "window", "step", "steps"), [(WIDE, 1, 1, 4), (TALL, 3, 2, 6), (WIDE, 5, 2, 7), (TALL, 2, 2, 5)], ids=str
)
def test_sbsm_is_the_mean_of_how_much_farther_the_query_is(size, window, step, steps):
    asked = question(network(), view(size))
    asked = replace(asked, query=asked.query * 1.3)  # not a unit vector, where distance and score differ in order too
    lattice = (steps, round(steps * 1.5)) if size == WIDE else (round(steps * 1.5), steps)
    far = lambda picture: references.length((asked.network.embed(picture[None])[0] - asked.query).tolist())
    whole = far(asked.view.pixels)
    slow = references.window_map(lambda hidden: far(hidden) - whole, asked.view.pixels, lattice, window, step)
    found = drawn(sbsm, asked, window=window, step=step, steps_a_side=steps)
    assert np.allclose(found.numpy(), slow, rtol=0, atol=1e-9)


@sizes
def test_rise_is_the_papers_map_less_the_mean_score(size):
    asked = question(network(), view(size))
    map, pictures = watched(rise, asked)
    masks, score = masks_of(pictures, asked), one_score(asked)
    assert len(masks) == 40
    slow = references.rise_map(score, asked.view.pixels, masks) - np.mean([score(one) for one in pictures])
    assert map.shape == size
    assert np.allclose(map.numpy(), slow, rtol=0, atol=1e-9)


@sizes
def test_rise_without_coverage_is_the_papers_estimator(size):
    """Eq. 6 as it stands: over the number of masks times the chance of being shown."""
    asked = question(network(), view(size))
    map, pictures = watched(rise, asked, coverage=0, chance=0.3)
    masks, scores = masks_of(pictures, asked), asked.scores(pictures)
    papers = torch.tensordot(scores, masks.double(), dims=1) / (0.3 * len(pictures)) - scores.mean()
    assert torch.allclose(map, papers, atol=1e-9)
    assert not torch.allclose(map, watched(rise, asked, chance=0.3)[0], atol=1e-3)


def test_rises_masks_are_coarse_and_half_of_them_shown():
    asked = question(network(), view())
    masks = masks_of(watched(rise, asked, masks=1000, cells=4)[1], asked)
    assert abs(float(masks.mean()) - 0.5) < 0.02
    assert float((masks.mean(0) - 0.5).abs().max()) < 0.06  # no place is favoured
    assert float(masks.diff(dim=2).abs().max()) <= 0.25 + 1e-6  # cells of 4 pixels: a quarter from pixel to pixel
    assert abs(float(masks_of(watched(rise, asked, masks=300, chance=0.2)[1], asked).mean()) - 0.2) < 0.03


def test_rise_in_the_pair_setting_is_the_same_loop_over_both_pictures():
    """Plummer 2020: mask i of the one goes with mask i of the other."""
    asked = question(network(), view(WIDE), reference=view(TALL, 3))
    made, shown = recording(asked.network)
    map = drawn(rise, replace(asked, network=made, known=asked.activations), setting="pair", **QUICK[rise])
    ours = torch.cat([seen for seen in shown.seen if seen.shape[2:] == WIDE])
    theirs = torch.cat([seen for seen in shown.seen if seen.shape[2:] == TALL])
    assert len(ours) == len(theirs) == 40
    embed = asked.network.embed
    scores = [references.dot(embed(a[None])[0], embed(b[None])[0]) for a, b in zip(ours, theirs, strict=True)]
    turn = iter(scores)
    slow = references.rise_map(lambda _: next(turn), asked.view.pixels, masks_of(ours, asked)) - np.mean(scores)
    assert np.allclose(map.numpy(), slow, rtol=0, atol=1e-9)
    assert np.corrcoef(ours.abs().mean((1, 2, 3)), theirs.abs().mean((1, 2, 3)))[0, 1] < 0.5


@sizes
def test_corr_rise_is_pearsons_correlation_at_each_pixel(size):
    asked = question(network(), view(size))
    map, pictures = watched(corr_rise, asked)
    slow = references.correlation_map(masks_of(pictures, asked).numpy(), asked.scores(pictures).numpy())
    assert map.shape == size
    assert np.allclose(map.numpy(), slow, rtol=0, atol=1e-8)
    assert map.abs().max() <= 1


def test_corr_rise_of_scores_that_hardly_differ():
    """A network that a hidden part moves by a ten-millionth: the picture is almost nothing beside its bias."""
    loud = nn.Linear(6, 5).double()
    nn.init.constant_(loud.bias, 1e6)
    asked = question(network(head=loud))
    map, pictures = watched(corr_rise, asked)
    scores = asked.scores(pictures)
    assert 1e-8 < float(scores.std()) < 1e-6
    slow = references.correlation_map(masks_of(pictures, asked).numpy(), scores.numpy())
    assert np.allclose(map.numpy(), slow, rtol=0, atol=1e-6)


def test_corr_rise_hides_so_many_squares_of_that_side_anywhere():
    asked = question(network(), view())
    hidden = 1 - masks_of(watched(corr_rise, asked, masks=800, patches=1, side=5 / 16)[1], asked)
    for mask in hidden:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert (len(rows), len(columns), float(mask.sum())) == (5, 5, 25)
        assert (int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) == (4, 4)
    assert hidden.any(0).all()  # corners too
    several = 1 - masks_of(watched(corr_rise, asked, patches=3, side=5 / 16)[1], asked)
    areas = several.sum((1, 2))
    assert areas.max() <= 75
    assert areas.mean() > 45
    assert set(several.unique().tolist()) == {0, 1}


@sizes
@pytest.mark.parametrize("setting", ["fixed", "pair"])
def test_lime_is_sklearns_weighted_ridge_regression(size, setting):
    asked = question(network(), view(size), reference=view(size[::-1], 3))
    made, shown = recording(asked.network)
    map = drawn(lime, replace(asked, network=made, known=asked.activations), setting=setting, **QUICK[lime])
    pictures = torch.cat([seen for seen in shown.seen if seen.shape[2:] == size])
    labels = superpixels(asked.view, 7)
    parts = [labels == part for part in range(int(labels.max()) + 1)]
    assert len(parts) > 2
    codes = np.array([[torch.equal(p[:, part], asked.view.pixels[:, part]) for part in parts] for p in pictures], float)
    for picture, code in zip(pictures, codes, strict=True):
        for part, kept in zip(parts, code, strict=True):
            mean = asked.view.pixels[:, part].mean(1, keepdim=True)
            assert kept or torch.allclose(picture[:, part], mean.expand(3, int(part.sum())), rtol=0, atol=1e-9)
    assert codes[0].all()
    assert 0.35 < codes[1:].mean() < 0.65
    if setting == "fixed":
        scores = asked.scores(pictures).numpy()
    else:
        others = torch.cat([seen for seen in shown.seen if seen.shape[2:] == size[::-1]])
        scores = (asked.network.embed(pictures) * asked.network.embed(others)).sum(1).numpy()
    cosines = codes.sum(1) / np.sqrt(np.maximum(codes.sum(1), 1) * len(parts))
    kernel = np.sqrt(np.exp(-((1 - cosines) ** 2) / 0.25**2))
    ridge = Ridge(alpha=1).fit(codes, scores, sample_weight=kernel)
    assert np.allclose(map.numpy(), ridge.coef_[labels.numpy()], rtol=0, atol=1e-9)


def test_limes_kernel_and_ridge_are_its_parameters():
    asked = question(network())
    maps = [drawn(lime, asked, **QUICK[lime], **other) for other in ({}, {"width": 0.6}, {"alpha": 10.0})]
    assert not torch.allclose(maps[0], maps[1], atol=1e-5)
    assert float(maps[2].abs().sum()) < float(maps[0].abs().sum())


@pairwise
def test_the_two_pictures_of_a_pair_are_hidden_independently(draw):
    """A picture with itself: the same mask on both would leave a score of 1 all the time, and an empty map."""
    asked = question(network(), reference=view())
    map = drawn(draw, asked, setting="pair", **QUICK[draw])
    assert float(map.abs().max()) > 1e-3


# Superpixels


@sizes
def test_superpixels_are_numbered_through_and_follow_the_picture(size):
    colours = np.zeros((*size, 3), np.uint8)
    colours[: size[0] // 2] = (200, 30, 30)
    colours[size[0] // 2 :] = (30, 30, 200)
    shown = drawings.SMALL.view(Image.fromarray(colours), min(size))
    labels = superpixels(shown, 8)
    assert labels.shape == size
    assert sorted(labels.unique().tolist()) == list(range(int(labels.max()) + 1))
    assert len(labels.unique()) > 3
    assert not set(labels[: size[0] // 2].unique().tolist()) & set(labels[size[0] // 2 :].unique().tolist())
    assert torch.equal(superpixels(shown, 8), labels)


def test_superpixels_lie_on_what_the_view_covers():
    """A crop of 35 x 35 from column 32.5: red ends at column 58 of the picture, and at 11.7 of the view's 16."""
    colours = np.zeros((40, 100, 3), np.uint8)
    colours[:, :58], colours[:, 58:] = (200, 30, 30), (30, 30, 200)
    shown = drawings.SMALL.view(Image.fromarray(colours), 16, "crop")
    labels = superpixels(shown, 8)
    assert labels.shape == (16, 16)
    assert not set(labels[:, :11].unique().tolist()) & set(labels[:, 13:].unique().tolist())


# Law 15


def test_masks_that_show_everything_give_a_map_of_no_difference():
    asked = question(network())
    assert float(drawn(rise, asked, masks=20, chance=1.0).abs().max()) < 1e-7
    assert float(drawn(rise, asked, masks=20, chance=0.0).abs().max()) == 0  # nothing was ever shown


class Unmoved(nn.Module):
    """Sees nothing: the same odd numbers for every picture."""

    def forward(self, pixels):
        return (torch.tensor([0.1, 0.7, 1 / 3]).to(pixels)[:, None, None]).expand(len(pixels), 3, 2, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every
def test_a_network_that_sees_nothing_has_an_empty_map(draw, dtype):
    made = EmbeddingNetwork(Unmoved(), "avg", None, drawings.SMALL)
    map = drawn(
        draw, question(made, view(dtype=dtype)), **(QUICK[draw] | ({"masks": 333} if draw is corr_rise else {}))
    )
    assert float(map.abs().max()) < (1e-6 if draw in (sbsm, sliding_window, rise, lime) else 1e-300)


BLOCK = (16, 32, 24, 40)  # top, left, bottom, right of 32 x 48


def block_view(dtype=torch.float64):
    """A block of red checks on a calm ground of another colour than the mean."""
    colours = np.full((32, 48, 3), (60, 160, 150), np.uint8)
    colours[BLOCK[0] : BLOCK[2], BLOCK[1] : BLOCK[3]] = (255, 0, 0)
    colours[BLOCK[0] : BLOCK[2] : 2, BLOCK[1] : BLOCK[3]] = (190, 60, 60)
    found = drawings.SMALL.view(Image.fromarray(colours), 32)
    return replace(found, pixels=found.pixels.to(dtype))


def inside(map):
    """The map in the block's pixels and in all others, whatever its grid."""
    large = nn.functional.interpolate(map[None, None], size=(32, 48), mode="nearest-exact")[0, 0]
    block = torch.zeros(32, 48, dtype=torch.bool)
    block[BLOCK[0] : BLOCK[2], BLOCK[1] : BLOCK[3]] = True
    return large[block], large[~block]


PEAKED = {
    sliding_window: {"window": 2, "steps_a_side": 8},
    sbsm: {"window": 2, "step": 1, "steps_a_side": 8},
    rise: {"masks": 600},
    corr_rise: {"masks": 600, "side": 8 / 32},
    lime: {"samples": 300, "segments": 24},
}


@every
def test_the_map_peaks_inside_the_one_block_that_counts(draw):
    made, shown = EmbeddingNetwork(drawings.OneBlock(BLOCK), "own", None, drawings.SMALL), block_view()
    asked = replace(question(made, shown), query=made.embed(shown.pixels[None])[0])
    within, around = inside(drawn(draw, asked, **PEAKED[draw]))
    assert float(within.max()) > float(around.max())
    assert float(within.mean()) > 3 * float(around.abs().mean())
    assert float(within.min()) > 0


@every
def test_a_block_that_speaks_against_the_query_is_negative(draw):
    """The sign: + is where the score is higher while the place is shown."""
    made, shown = EmbeddingNetwork(drawings.OneBlock(BLOCK), "own", None, drawings.SMALL), block_view()
    asked = replace(question(made, shown), query=-made.embed(shown.pixels[None])[0])
    within, around = inside(drawn(draw, asked, **PEAKED[draw]))
    assert float(within.mean()) < -3 * float(around.abs().mean())


@every
def test_same_seed_same_map(draw):
    asked = question(network())
    assert torch.equal(drawn(draw, asked, seed=3, **QUICK[draw]), drawn(draw, asked, seed=3, **QUICK[draw]))


@every
def test_another_seed_gives_another_map_where_anything_is_random(draw):
    asked = question(network())
    one, other = (drawn(draw, asked, seed=seed, **QUICK[draw]) for seed in (3, 4))
    assert torch.equal(one, other) == (draw not in SEEDED)


@pairwise
def test_the_pair_setting_costs_twice_the_passes_and_draws_another_map(draw):
    asked = question(network(), reference=view(TALL, 3))
    asked = replace(asked, query=asked.network.embed(asked.reference.pixels[None])[0])
    maps = {}
    for setting, passes in (("fixed", 40), ("pair", 80)):
        made, shown = recording(asked.network)
        maps[setting], told = finished(draw(replace(asked, network=made), setting=setting, **QUICK[draw]))
        assert sum(map(len, shown.seen)) == passes
        assert (told[-1].done, told[-1].total) == (passes, passes)
    assert maps["fixed"].shape == maps["pair"].shape == WIDE
    assert not torch.allclose(maps["fixed"], maps["pair"], atol=1e-4)


# Batches


@every
def test_the_batch_does_not_show_in_the_map(draw, monkeypatch):
    """But for the seeded ones, whose numbers are drawn batch by batch: there nothing but the passes stays the same."""
    asked = question(network(), known=True)
    map, pictures = watched(draw, asked)
    monkeypatch.setattr(perturbation, "BATCH_PIXELS", 7 * 16 * 24)
    made, shown = recording(asked.network)
    small, told = finished(draw(replace(asked, network=made), **QUICK[draw]))
    assert max(map_ := [len(seen) for seen in shown.seen]) == 7
    assert len(map_) == len(told) == -(-len(pictures) // 7)
    assert [step.done for step in told] == list(np.cumsum(map_))
    assert torch.allclose(told[-1].map, small, rtol=0, atol=1e-12)
    assert not torch.allclose(told[0].map, small, rtol=0, atol=1e-6)
    if draw in (sliding_window, sbsm, lime):
        assert torch.allclose(small, map, rtol=0, atol=1e-9)
    first = told[0].map  # an interim is the map of what was seen so far, and later steps leave it alone
    assert torch.equal(first, next(draw(asked, **QUICK[draw])).map)


@pytest.mark.parametrize("draw", [rise, corr_rise])
def test_sums_run_on_from_batch_to_batch(draw, monkeypatch):
    monkeypatch.setattr(perturbation, "BATCH_PIXELS", 7 * 16 * 24)
    asked = question(network())
    map, pictures = watched(draw, asked)
    masks, scores = masks_of(pictures, asked), asked.scores(pictures)
    if draw is corr_rise:
        slow = references.correlation_map(masks.numpy(), scores.numpy())
    else:
        turn = iter(scores.tolist())
        slow = references.rise_map(lambda _: next(turn), asked.view.pixels, masks) - scores.mean().item()
    assert np.allclose(map.numpy(), slow, rtol=0, atol=1e-9)


def test_pairs_of_views_whose_batches_differ(monkeypatch):
    """Masks go together by number: how many pictures of each fit into a batch changes nothing."""
    asked = question(network(), view(WIDE), reference=view((16, 64), 3))
    whole = drawn(lime, asked, setting="pair", **QUICK[lime])
    monkeypatch.setattr(perturbation, "BATCH_PIXELS", 7 * 16 * 24)
    assert torch.allclose(drawn(lime, asked, setting="pair", **QUICK[lime]), whole, rtol=0, atol=1e-9)


# Edges


@every
def test_a_picture_of_nothing_but_the_fill_has_an_empty_map(draw):
    map = drawn(draw, question(network(), plain_view()), **QUICK[draw])
    assert float(map.abs().max()) < 1e-9


@every
@pytest.mark.parametrize("size", [(8, 8), (8, 16)], ids=str)
def test_a_view_of_one_cell_and_numbers_as_they_are_by_default(draw, size):
    few = {name: 30 for name in ("masks", "samples") if name in QUICK[draw]}
    map = drawn(draw, question(network(), view(size)), **few)
    assert map.isfinite().all()
    assert map.abs().max() > 0 or draw is lime  # whose superpixels of one pixel are their own mean
    assert map.shape[1] * size[0] == map.shape[0] * size[1]


def test_a_lattice_is_never_finer_than_the_pixels():
    assert drawn(sliding_window, question(network()), window=2).shape == WIDE
    assert drawn(sbsm, question(network()), window=2).shape == WIDE


def test_a_window_over_everything_hides_everything_at_its_middle():
    """Windows as large as the view: each place loses the mean of what the windows over it lose, all of it or less."""
    asked = question(network())
    map = drawn(sliding_window, asked, window=40, steps_a_side=4)
    nothing = one_score(asked)(torch.zeros_like(asked.view.pixels))
    assert map.shape == (4, 6)
    assert np.allclose(map.numpy(), map[0, 0].item(), atol=abs(asked.score - nothing))


def test_numbers_of_masks_out_of_range_are_refused():
    asked = question(network())
    for draw, name in ((rise, "masks"), (corr_rise, "masks"), (lime, "samples")):
        for count in (0, 20_001):
            with pytest.raises(SimvisError, match=rf"Got {count} masks; wanted 1 to 20000: choose a number in that"):
                drawn(draw, asked, **{name: count})


@pairwise
def test_a_pair_needs_a_reference(draw):
    match = rf"Got '{draw.__name__}' in the pair setting, for a query without a picture; wanted a reference view: give"
    with pytest.raises(SimvisError, match=match):
        drawn(draw, question(network()), setting="pair", **QUICK[draw])
