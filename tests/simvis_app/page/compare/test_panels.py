"""What the panels show is what the explanation holds."""

import numpy as np
import pytest
import torch

from simvis_app.page.compare import panels


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
    choices = panels.feature_choices(pair)
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
