"""Of depths that are measured the one with the largest gap is named, and nothing where there is no choice."""

import pytest
import torch

from simvis_core.explainers.table import EXPLAINERS, PATH_DEPTHS, DrawnMap, depth_drawn, path_named
from simvis_core.trust.depths import closest_depth
from simvis_core.trust.faithfulness import RemovalCurve
from simvis_core.trust.measuring import Asked, Measured


def measured(name, gap):
    shares = torch.tensor([0.0, 1.0])
    curves = [
        RemovalCurve(kind, shares, torch.tensor([low, low])) for kind, low in (("insertion", gap), ("deletion", 0.0))
    ]
    return Measured(Asked(name), DrawnMap(torch.ones(2, 3), name, 1, 0.0), *curves)


@pytest.mark.parametrize(
    ("gaps", "best"),
    [
        ({"decomposition_bias": 0.1, "path_at_depth_1": 0.3, "path_at_depth_3": 0.2}, "path_at_depth_1"),
        ({"path_at_depth_3": 0.5, "path_at_depth_1": 0.3}, "path_at_depth_3"),
        ({"path_at_depth_3": -0.5, "decomposition_bias": -0.1}, "decomposition_bias"),
        ({"path_at_depth_2": 0.25, "path_at_depth_1": 0.25}, "path_at_depth_1"),  # of equals the coarser
        ({"path_at_depth_2": 0.25, "rise": 0.5, "decomposition": 0.6}, None),  # a choice of one
        ({}, None),
    ],
)
def test_the_largest_gap_among_depths(gaps, best):
    assert closest_depth({name: measured(name, gap) for name, gap in gaps.items()}) == best


def test_every_depth_has_its_row_and_nothing_else_draws_at_one():
    drawn = {name: depth_drawn(name) for name in EXPLAINERS}
    assert {name: depth for name, depth in drawn.items() if depth is not None} == {
        "decomposition_bias": 0,
        **{path_named(depth): depth for depth in PATH_DEPTHS},
    }
    for depth in PATH_DEPTHS:
        assert EXPLAINERS[path_named(depth)].parameters["depth"] == depth
