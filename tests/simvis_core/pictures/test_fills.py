"""What stands where pixels are taken away: blurs against a loop, means, greys, and pictures smaller than the blur."""

import numpy as np
import pytest
import torch

from simvis_core import Preprocess, SimvisError
from simvis_core.pictures.fills import BLUR, FILLS, blurred, filled
from tests import references

PREPROCESS = Preprocess((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def noise(*size, dtype=torch.float64):
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(2), dtype=dtype)


@pytest.mark.parametrize("sigma", [0.4, 1.3, 2.5])
@pytest.mark.parametrize("size", [(7, 11), (3, 20), (1, 5)])
def test_the_blur_is_a_gaussian_mean_around_each_pixel(size, sigma):
    picture = noise(*size)
    reach = max(1, int(np.ceil(3 * sigma)))
    slow = [
        [
            [references.gaussian_at(channel, row, column, sigma, reach) for column in range(size[1])]
            for row in range(size[0])
        ]
        for channel in picture.tolist()
    ]
    assert np.allclose(blurred(picture, sigma).numpy(), slow, rtol=0, atol=1e-12)


def test_a_point_becomes_a_bell_of_the_wanted_width():
    point = torch.zeros(3, 61, 81, dtype=torch.float64)
    point[:, 30, 40] = 1
    bell = blurred(point, 4.0)[0]
    down, across = torch.arange(61.0) - 30, torch.arange(81.0) - 40
    assert abs(float(bell.sum()) - 1) < 1e-12
    assert abs(float((bell.sum(1) * down**2).sum()) ** 0.5 - 4) < 0.1  # cut at three deviations: a little narrower
    assert abs(float((bell.sum(0) * across**2).sum()) ** 0.5 - 4) < 0.1
    assert torch.allclose(bell, bell.flip(0, 1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_blur_keeps_a_constant_picture_and_nearly_the_mean(dtype):
    constant = torch.tensor([1.5, -2.0, 0.25], dtype=dtype)[:, None, None].expand(3, 40, 64)
    assert torch.allclose(filled(constant, "blur", PREPROCESS), constant, rtol=0, atol=1e-6)
    picture = noise(40, 64, dtype=dtype)
    blur = filled(picture, "blur", PREPROCESS)
    assert blur.dtype == dtype
    assert torch.allclose(blur.mean((1, 2)), picture.mean((1, 2)), rtol=0, atol=0.05)
    assert blur.var() < picture.var() / 3
    assert not torch.equal(blur, picture)


def test_the_blur_goes_by_the_short_side():
    """10 pixels at 224, whatever the other side is."""
    picture = noise(28, 40)
    assert pytest.approx(10) == BLUR * 224
    assert torch.equal(filled(picture, "blur", PREPROCESS), blurred(picture, 28 * 10 / 224))
    assert torch.allclose(
        filled(picture.mT, "blur", PREPROCESS), filled(picture, "blur", PREPROCESS).mT, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (224, 16)])
@pytest.mark.parametrize("fill", FILLS)
def test_narrow_views_are_filled_too(fill, size):
    found = filled(noise(*size, dtype=torch.float32), fill, PREPROCESS)
    assert found.shape == (3, *size)
    assert found.isfinite().all()


def test_a_view_narrower_than_the_blurs_reach():
    assert torch.allclose(blurred(noise(2, 3), 50.0), blurred(noise(2, 3), 50.0).mean((1, 2), keepdim=True), atol=1.5)
    assert blurred(noise(2, 3), 50.0).isfinite().all()


def test_mean_is_zero_and_grey_is_the_middle_of_the_colours():
    picture = noise(4, 6)
    before = picture.clone()
    assert torch.equal(filled(picture, "mean", PREPROCESS), torch.zeros_like(picture))
    grey = filled(picture, "grey", PREPROCESS)
    assert np.allclose(grey[:, 2, 5].numpy(), [0, 0.5, 2 / 3], atol=1e-7)
    assert torch.equal(grey, grey[:, :1, :1].expand_as(grey))
    assert set(np.asarray(PREPROCESS.picture(grey)).flatten()) == {128}
    grey[0, 0, 0] = 9  # it is a picture of its own
    assert torch.equal(picture, before)


def test_an_unknown_fill_is_refused():
    with pytest.raises(SimvisError, match=r"Got fill 'black'; wanted one of blur, mean, grey: choose one of these."):
        filled(noise(4, 6), "black", PREPROCESS)
