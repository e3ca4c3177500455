"""What a step sees: batches that follow from seed and step, rates over the steps, pictures changed by chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.learning.augmenting import Augmenting, augmented
from simvis_core.learning.sampling import class_batches
from simvis_core.learning.schedules import SCHEDULES, rate_share

LABELS = np.repeat(np.arange(7) * 3, [2, 3, 9, 4, 5, 2, 6])


@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 9), st.integers(0, 200))
def test_a_batch_is_p_classes_with_k_pictures_of_each(classes, each, seed, step):
    batch = class_batches(LABELS, classes, each, seed).at(step)
    groups = LABELS[batch].reshape(classes, each)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0].tolist())) == classes
    for label, members in zip(groups[:, 0], batch.reshape(classes, each), strict=True):
        assert len(set(members.tolist())) == min(each, int((label == LABELS).sum()))
    assert (class_batches(LABELS, classes, each, seed).at(step) == batch).all()


def test_every_picture_comes_and_seeds_and_steps_differ():
    batches = class_batches(LABELS, 3, 2, 0)
    seen = np.concatenate([batches.at(step) for step in range(60)])
    assert set(seen.tolist()) == set(range(len(LABELS)))
    first = [LABELS[batches.at(step)][::2] for step in range(2)]
    assert len(set(np.concatenate(first).tolist())) == 6  # no class twice in a round
    assert len({tuple(batches.at(step).tolist()) for step in range(60)}) > 55
    assert not (batches.at(0) == class_batches(LABELS, 3, 2, 1).at(0)).all()


@pytest.mark.parametrize(
    ("classes", "each", "told"),
    [
        (8, 2, "8 classes x 2 pictures from 7 classes"),
        (7, 5, "7 classes x 5 .* with 31"),
        (1, 4, "wanted at least 2 x 2"),
        (2, 1, "2 x 2"),
    ],
)
def test_more_than_there_is_is_refused(classes, each, told):
    with pytest.raises(SimvisError, match=told):
        class_batches(LABELS, classes, each)


@given(st.sampled_from(list(SCHEDULES)), st.integers(1, 60), st.data())
def test_a_rate_rises_then_never_again(schedule, steps, data):
    warm_up = data.draw(st.integers(0, steps - 1))
    shares = [rate_share(schedule, step, steps, warm_up) for step in range(steps)]
    assert all(0 < share <= 1 for share in shares)
    assert shares[:warm_up] == sorted(shares[:warm_up])
    assert shares[warm_up:] == sorted(shares[warm_up:], reverse=True)
    assert shares[warm_up] == 1


def test_an_unknown_schedule_and_too_long_a_warm_up_are_refused():
    with pytest.raises(SimvisError, match="the schedule 'step'; wanted one of cosine, constant"):
        rate_share("step", 0, 10)
    with pytest.raises(SimvisError, match="a warm-up of 10 steps; wanted 0 to 9"):
        rate_share("cosine", 0, 10, 10)


PIXELS = torch.rand(40, 3, 9, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_mirror_mirrors_about_half():
    found = augmented(PIXELS, (9, 13), Augmenting(flip=True), seed=1)
    mirrored = [torch.allclose(one, other.flip(-1), atol=1e-6) for one, other in zip(found, PIXELS, strict=True)]
    kept = [torch.allclose(one, other, atol=1e-6) for one, other in zip(found, PIXELS, strict=True)]
    assert sum(mirrored) + sum(kept) == len(PIXELS)
    assert 10 < sum(mirrored) < 30


def test_a_crop_shows_an_upright_part_of_the_share_asked_for():
    """Pixels that hold their own place tell what is shown."""
    place = torch.stack(torch.meshgrid(torch.linspace(0, 1, 51), torch.linspace(0, 1, 101), indexing="ij"))
    pixels = torch.cat([place, place[:1] * 0])[None].repeat(90, 1, 1, 1).double()
    found = augmented(pixels, (20, 40), Augmenting(crop=0.3), seed=2)
    high, wide = (found[:, 0, -1, 0] - found[:, 0, 0, 0]) * 20 / 19, (found[:, 1, 0, -1] - found[:, 1, 0, 0]) * 40 / 39
    assert bool((high > 0).all() and (wide > 0).all())
    assert bool((high * wide > 0.27).all() and (high * wide < 1.02).all())
    assert bool((wide / high > 0.74).all() and (wide / high < 1.36).all())
    assert found[:, 1].amin() < 0.1 < 0.9 < found[:, 1].amax()
    torch.testing.assert_close(found[:, 0, :, 0], found[:, 0, :, -1])  # not turned


def test_colours_change_within_their_share_and_nothing_leaves_0_to_1():
    grey = torch.full((50, 3, 2, 2), 0.4, dtype=torch.float64)
    found = augmented(grey, (2, 2), Augmenting(colour=0.5), seed=3)
    assert bool((found >= 0.2 - 1e-9).all() and (found <= 0.6 + 1e-9).all())
    assert found.std() > 0.05
    torch.testing.assert_close(found[:, 0], found[:, 2])  # grey stays grey
    assert bool(
        (
            augmented(PIXELS, (9, 13), Augmenting(colour=0.9), 4).clamp(0, 1)
            - augmented(PIXELS, (9, 13), Augmenting(colour=0.9), 4)
            == 0
        ).all()
    )


def test_equal_seeds_change_equally_and_others_otherwise():
    how = Augmenting(0.5, True, 0.3)
    one = augmented(PIXELS, (8, 8), how, 5)
    assert torch.equal(one, augmented(PIXELS, (8, 8), how, 5))
    assert not torch.equal(one, augmented(PIXELS, (8, 8), how, 6))


def test_impossible_changes_are_refused():
    with pytest.raises(SimvisError, match=r"a colour change of 1; wanted 0 to below 1"):
        Augmenting(colour=1)
    with pytest.raises(SimvisError, match=r"a crop of 1.5"):
        Augmenting(crop=1.5)
