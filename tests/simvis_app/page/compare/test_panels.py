"""What the panels show is what the explanation holds."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from simvis_app.page.compare import panels
from simvis_core.pairs.sides import SIDES


def cells(row, side, pair):
    return torch.tensor(row[side]).reshape(pair.side(side)[1].grid)


@pytest.mark.parametrize("k", [0, 1, 3, 5, 99])
def test_the_maps_of_the_top_features(pair, k):
    shown, [row], scale = panels.topk_rows(pair, k)
    assert shown is pair
    for side in "ab":
        assert torch.allclose(cells(row, side, pair), pair.top_map(side, k), rtol=1e-4, atol=1e-8)
    assert scale == max(float(pair.map_a.abs().max()), float(pair.map_b.abs().max()))
    kept = float(pair.ranked_contributions()[:k].sum())
    assert row["title"] == f"Only the top {k} features"
    assert f"{100 * kept / pair.score:.1f} %" in row["note"]


def test_all_features_together_are_the_full_maps(pair):
    _, [row], _ = panels.topk_rows(pair, pair.contributions.numel())
    assert torch.allclose(cells(row, "a", pair), pair.map_a, rtol=1e-4, atol=1e-7)
    assert "100.0 %" in row["note"]


def test_the_strongest_features_are_listed_strongest_first(pair):
    *choices, every = panels.feature_choices(pair)
    assert every == (f"the {len(choices)} of them, a box each", panels.EVERY)
    values = [float(pair.contributions[feature]) for _, feature in choices]
    assert values == sorted(pair.contributions.tolist(), reverse=True)[: panels.LISTED]
    assert all(label.startswith(f"feature {feature}: ") for label, feature in choices)


def test_one_features_maps_sum_to_its_contribution(pair):
    for feature in range(pair.contributions.numel()):
        _, [row], scale = panels.feature_rows(pair, feature)
        wanted = pair.feature_map("a", feature)
        assert torch.allclose(cells(row, "a", pair), wanted, rtol=1e-4, atol=1e-8)
        assert scale >= float(wanted.abs().max())
        bias = float(pair.a.bias[feature] * pair.b.embedding[feature])
        assert abs(sum(row["a"]) + bias - float(pair.contributions[feature])) < 1e-4


def test_each_listed_feature_has_a_box_where_it_carries_most(pair):
    found, [row], scale = panels.feature_rows(pair, panels.EVERY)
    assert found is pair
    strongest = [feature for _, feature in panels.feature_choices(pair)[:-1]]
    for side in SIDES:
        boxes = {int(rank): (at, to) for at, to, ranks in row["boxes"][side] for rank in ranks.split(", ")}
        assert sorted(boxes) == list(range(1, len(strongest) + 1))
        assert len(set(boxes.values())) == len(row["boxes"][side])
        for rank, feature in enumerate(strongest, 1):
            map = pair.feature_map(side, feature)
            sign = 1 if float(pair.contributions[feature]) >= 0 else -1
            assert float(sign * map[boxes[rank]]) == float((sign * map).max())
        assert torch.allclose(cells(row, side, pair), pair.top_map(side, len(strongest)), rtol=1e-4, atol=1e-8)
        assert scale >= max(abs(value) for value in row[side])
    assert row["note"].startswith(f"1: feature {strongest[0]}, 2: feature {strongest[1]}")


def test_a_feature_against_the_score_has_its_box_where_it_speaks_against_it_most():
    map = torch.tensor([[0.3, -0.1, 0.0], [-0.4, -0.2, 0.1]])
    against, by = (
        SimpleNamespace(contributions=torch.tensor([sign]), feature_map=lambda *_: map) for sign in (-0.3, 0.3)
    )
    assert panels._best_cell(against, "a", 0) == (1, 0)
    assert panels._best_cell(by, "a", 0) == (0, 0)
    assert panels._framed([(0, 1), (2, 0), (0, 1)]) == [(0, 1, "1, 3"), (2, 0, "2")]


def test_poolings_are_compared_side_by_side_on_one_scale(pair):
    pairs = panels.pooling_pairs(pair, 4.0)
    assert [str(other.network.pooling) for other in pairs] == ["avg", "max", "gem:4"]
    assert all(other.features_a is pair.features_a for other in pairs)
    _, rows, scale = panels.pooling_rows(pairs)
    for other, row in zip(pairs, rows, strict=True):
        assert f"score {other.score:.3f}" in row["title"]
        assert ("what-if" in row["title"]) == (other is not pairs[0])
        assert torch.allclose(cells(row, "a", other), other.map_a, rtol=1e-4, atol=1e-8)
    assert scale == max(float(map.abs().max()) for other in pairs for map in (other.map_a, other.map_b))


def test_curves_end_at_the_whole_score(pair):
    figure = panels.topk_figure(pair)
    curve = figure.data[0].y
    assert curve[-1] == pytest.approx(100, abs=1e-3)
    ranked = np.cumsum(sorted(pair.contributions.tolist(), reverse=True)) / pair.score * 100
    assert np.allclose(curve, ranked, atol=1e-3)
    assert len(panels.pooling_figure(panels.pooling_pairs(pair, 3.0)).data) == 6


def test_numbers_travel_short(pair):
    _, rows, _ = panels.pooling_rows(panels.pooling_pairs(pair, 3.0))
    assert all(len(f"{value!r}") <= 13 for row in rows for side in "ab" for value in row[side])
