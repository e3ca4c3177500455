"""Libraries' own outputs put in order: small networks that give numbers in order, whose maps are worked by hand."""

import pytest
import torch
from torch import nn

from model_zoo.architectures.trunks import MapTrunk, TokenTrunk, as_grid, token_grid


class Giving(nn.Module):
    """A network whose features are these, whatever the picture."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward_features(self, _):
        return self.features


def view(height, width):
    return torch.zeros(1, 3, height, width)


@pytest.mark.parametrize(
    ("count", "size", "grid"),
    [
        (6, (16, 24), (2, 3)),
        (6, (24, 16), (3, 2)),
        (6, (64, 16), (6, 1)),
        (16, (20, 20), (4, 4)),
        (7, (90, 100), (1, 7)),
        (12, (32, 90), (2, 6)),
    ],
)
def test_tokens_lie_in_the_views_shape(count, size, grid):
    assert token_grid(count, size) == grid


@pytest.mark.parametrize(("size", "rows"), [((16, 24), [[0, 2, 4], [6, 8, 10]]), ((24, 16), [[0, 2], [4, 6], [8, 10]])])
def test_tokens_become_maps_row_by_row(size, rows):
    tokens = torch.arange(12).reshape(1, 6, 2)
    maps = as_grid(tokens, view(*size))
    assert maps[0, 0].tolist() == rows
    assert (maps[0, 1] == maps[0, 0] + 1).all()


def test_tokens_behind_the_prefix_are_the_cells():
    trunk = TokenTrunk(Giving(torch.arange(8.0).reshape(1, 8, 1)), prefix=2)
    assert trunk(view(16, 24))[0, 0].tolist() == [[2, 3, 4], [5, 6, 7]]


def test_channels_last_come_first():
    features = torch.arange(12.0).reshape(1, 2, 3, 2)
    maps = MapTrunk(Giving(features), channels_last=True)(view(16, 24))
    assert maps[0].tolist() == [[[0, 2, 4], [6, 8, 10]], [[1, 3, 5], [7, 9, 11]]]
    assert MapTrunk(Giving(features), channels_last=False)(view(16, 24)) is features
