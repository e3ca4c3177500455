"""A pair's explanation against the papers' loops, worked by hand, and its export."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError, explain_features, explain_pair, half_share, weights_in
from simvis_core.pairs.export import Export
from simvis_core.pictures.overlays import overlay
from tests import references
from tests.simvis_core import cases
from tests.simvis_core.cases import GRID_A, GRID_B, blank_view, explain, features, make_pair

A, B = features(GRID_A, 1), features(GRID_B, 2)
A_NP, B_NP = A.numpy(), B.numpy()


def same(one, other):
    return np.allclose(np.asarray(one), np.asarray(other), rtol=0, atol=1e-12)


# Stylianou 2019


def test_average_map_is_the_papers():
    pair = make_pair("avg", "none")
    assert same(pair.map_a, references.stylianou_avg_map(A_NP, B_NP))
    assert same(pair.map_b, references.stylianou_avg_map(B_NP, A_NP))


def test_max_map_is_the_papers_with_ties_shared():
    tied = A.round()
    pair = explain(cases.make_network("max"), tied, B)
    assert max((channel == channel.max()).sum().item() for channel in tied[1:]) > 1
    assert same(pair.map_a, references.stylianou_max_map(tied.numpy(), B_NP))


@pytest.mark.parametrize("exponent", [1.0, 2.5, 3.0])
def test_gem_map_is_the_share_of_the_powers(exponent):
    pair = explain(cases.make_network(f"gem:{exponent}"), A, B)
    assert same(pair.map_a, references.gem_map(A_NP, B_NP, exponent))


def test_contribution_curve_is_the_papers():
    pair = make_pair("avg", "fc")
    assert same(pair.contribution_curve(), references.contribution_curve(pair.a.embedding, pair.b.embedding))


# Zhu 2021


def arrays(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def zhu_case(name, a=A_NP, b=B_NP):
    """Parts of both pictures and the bias, by the paper's row for GAP, GAP+BN, GAP+FC or GMP+FC."""
    pooling, _, head = name.partition("+")
    split = references.gap_parts if pooling == "avg" else references.gmp_parts
    parts = [split(map) for map in (a, b)]
    if not head:
        return parts, np.zeros(cases.CHANNELS)
    module = cases.make_head(head, cases.CHANNELS)
    if head == "fc":
        weight, bias = arrays(module.weight, module.bias)
        return [{p: references.through_fc(weight, e) for p, e in part.items()} for part in parts], bias
    gamma, beta, mean, var = arrays(module.weight, module.bias, module.running_mean, module.running_var)
    offset = references.bn_offset(beta, gamma, mean, var, module.eps)
    return [{p: references.through_bn(gamma, var, module.eps, e) for p, e in part.items()} for part in parts], offset


ZHU = pytest.mark.parametrize("name", ["avg", "avg+bn", "avg+fc", "max+fc"])


def zhu_pair(name):
    pooling, _, head = name.partition("+")
    return make_pair(pooling, head or "none")


@ZHU
def test_joint_map_is_the_papers_point_to_point_decomposition(name):
    (parts_a, parts_b), bias = zhu_case(name)
    joint, _ = references.zhu_joint_map(parts_a, parts_b, bias, bias)
    assert same([float(zhu_pair(name).joint_map[p + u]) for p, u in joint], list(joint.values()))


@ZHU
def test_ledger_is_the_papers_four_terms(name):
    (parts_a, parts_b), bias = zhu_case(name)
    assert list(zhu_pair(name).ledger) == ["cells_cells", "cells_bias", "bias_cells", "bias_bias"]
    assert same(list(zhu_pair(name).ledger.values()), references.zhu_ledger(parts_a, parts_b, bias, bias))


@ZHU
def test_point_between_cells_is_the_bilinear_mix_of_its_neighbours(name):
    (parts_a, parts_b), bias = zhu_case(name)
    joint, _ = references.zhu_joint_map(parts_a, parts_b, bias, bias)
    weights = references.bilinear_weights(GRID_A, (2.75 + 0.5) / 2, (4.25 + 0.5) / 2)  # cells are 2 pixels
    expected = np.zeros(GRID_B)
    for u in references.cells_of(B_NP):
        expected[u] = sum(weight * joint[p, u] for p, weight in weights.items())
    assert same(zhu_pair(name).point_map("a", 4.25, 2.75), expected)


def test_flatten_fc_bn_is_the_papers_position_by_position():
    b = features(GRID_A, 2)
    pair = explain(cases.make_network("flatten", "fc+bn"), A, b)
    fc, bn = pair.network.head
    weight, fc_bias = arrays(fc.weight, fc.bias)
    gamma, beta, mean, var = arrays(bn.weight, bn.bias, bn.running_mean, bn.running_var)

    def through(vector):
        return references.through_bn(gamma, var, bn.eps, references.through_fc(weight, vector))

    parts = [{p: through(e) for p, e in references.flat_parts(map).items()} for map in (A_NP, b.numpy())]
    bias = references.through_bn(gamma, var, bn.eps, fc_bias) + references.bn_offset(beta, gamma, mean, var, bn.eps)
    joint, _ = references.zhu_joint_map(*parts, bias, bias)
    assert same([float(pair.joint_map[p + u]) for p, u in joint], list(joint.values()))
    assert same(list(pair.ledger.values()), references.zhu_ledger(*parts, bias, bias))


# Parts of the interface


def test_patch_cosines_compare_cells_before_pooling():
    table = make_pair("avg", "fc").patch_cosines
    cell = lambda maps, at: maps[:, at[0], at[1]]
    expected = [
        [cases.cosine(cell(A_NP, p), cell(B_NP, u)) for u in references.cells_of(B_NP)]
        for p in references.cells_of(A_NP)
    ]
    assert same(table.flatten(2).flatten(0, 1), expected)


def test_patch_cosine_of_an_empty_cell_is_zero():
    empty = A.clone()
    empty[:, 2, 3] = 0
    table = explain(cases.make_network("avg"), empty, B).patch_cosines
    assert torch.equal(table[2, 3], torch.zeros(GRID_B).double())


def test_region_map_weighs_cells_by_the_area_covered():
    pair = make_pair("avg", "fc")
    mask = torch.zeros(8, 10, dtype=torch.bool)
    mask[1:6, 2:7] = True
    shares = references.covered_share(mask.numpy(), GRID_A)
    expected = np.einsum("pq,pqrs->rs", shares, pair.joint_map.numpy())
    assert same(pair.region_map("a", mask), expected)


def test_an_empty_region_gives_an_empty_map():
    map = make_pair("avg", "fc").region_map("b", torch.zeros(6, 14, dtype=torch.bool))
    assert torch.equal(map, torch.zeros(GRID_A).double())


@pytest.mark.parametrize("k", [0, 1, 3])
def test_top_map_holds_the_k_strongest_features_and_not_the_strongest_against(k):
    against = B.clone()
    against[5] *= -3
    pair = explain(cases.make_network("avg"), A, against)
    assert pair.contributions.abs().argmax() == pair.contributions.argmin() == 5
    strongest = sorted(range(6), key=lambda d: -pair.contributions[d])[:k]
    expected = sum((pair.feature_map("a", d) for d in strongest), torch.zeros(GRID_A).double())
    assert same(pair.top_map("a", k), expected)


def test_feature_maps_add_up_to_the_features_contribution_without_bias():
    pair = make_pair("avg", "none")
    assert same([pair.feature_map("a", d).sum() for d in range(6)], pair.contributions)


def test_the_score_is_a_float_and_the_maps_have_each_pictures_grid():
    pair = make_pair("avg", "fc")
    assert isinstance(pair.score, float)
    assert (pair.map_a.shape, pair.map_b.shape) == (GRID_A, GRID_B)


def test_a_negative_score_keeps_its_sign():
    pair = explain(cases.make_network("avg"), A, -B)
    assert pair.score == pytest.approx(-make_pair("avg", "none").score)
    assert pair.map_a.sum().item() == pytest.approx(pair.score)


def test_curve_of_a_negative_score_still_ends_at_one():
    assert explain(cases.make_network("avg"), A, -B).contribution_curve()[-1].item() == pytest.approx(1)


def test_verdict_is_the_less_exact_of_both():
    assert make_pair("avg", "fc").verdict == "exact"
    assert make_pair("avg", "layer norm").verdict == "exact at this input"
    pair = make_pair("avg", "fc")
    mixed = replace(pair, b=replace(pair.b, verdict="exact at this input"))
    assert mixed.verdict == replace(mixed, a=mixed.b, b=mixed.a).verdict == "exact at this input"


def test_explain_features_runs_no_forward_pass():
    class Never(nn.Module):
        def forward(self, _):
            raise AssertionError

    network = EmbeddingNetwork(Never(), "avg")
    pair = explain_features(network, blank_view(GRID_A), blank_view(GRID_B), A, B)
    assert pair.verdict == "exact"
    assert pair.with_pooling("max").score != pair.score


# half_share


def test_half_share_counts_the_strongest_cells():
    map = torch.tensor([[0.1, 0.4], [0.3, 0.2]])
    assert half_share(map, 1.0) == 0.5  # 0.4 + 0.3 reach a half
    assert half_share(map, 0.8) == 0.25


def test_half_share_of_one_cell_is_that_cell():
    assert half_share(torch.tensor([[0.0, 0.9], [0.0, 0.0]]), 0.9) == 0.25


@pytest.mark.parametrize("score", [0.0, -0.3, 4.0])
def test_half_share_is_none_where_no_cells_carry_half(score):
    assert half_share(torch.tensor([[0.5, 0.5]]), score) is None


# Export


@pytest.fixture(scope="module")
def exported(tiny_backbone, tiny_preprocess, two_pictures):
    torch.manual_seed(4)
    network = EmbeddingNetwork(
        tiny_backbone, "gem:2.5", nn.Linear(6, 5), tiny_preprocess, name="tiny", trained_pooling="avg"
    )
    pair = explain_pair(network, *two_pictures)
    return pair, Export(pair, point=("b", 3.0, 12.0), facts={"note": "hello"}).files()


def test_the_export_has_pictures_maps_and_a_manifest(exported):
    assert set(exported[1]) == {"overlay_a.png", "overlay_b.png", "point_on_a.png", "maps.npz", "manifest.json"}


def test_overlays_have_the_pictures_own_size(exported, two_pictures):
    for name, picture in zip(("overlay_a.png", "overlay_b.png"), two_pictures, strict=True):
        with Image.open(io.BytesIO(exported[1][name])) as drawn:
            assert (drawn.size, drawn.mode) == (picture.size, "RGB")


@pytest.fixture(scope="module")
def with_region(exported):
    """The same pair with a region of b: weights of its 3 x 2 cells, row by row."""
    pair, _ = exported
    weights = [0.0, 0.5, -1.0, 1.0, 0.25, 0.0]
    return pair, weights, Export(pair, region=("b", weights)).files()


def test_cells_by_weight_map_as_their_region_does():
    pair = make_pair("avg", "fc")
    mask = torch.zeros(pair.view_a.size, dtype=torch.bool)
    mask[1:5, 2:7] = True
    assert same(pair.cells_map("a", weights_in(mask, pair.a.grid)), pair.region_map("a", mask))


@pytest.mark.parametrize("side", ["a", "b"])
def test_cells_by_weight_map_as_the_weighted_sum_of_their_rows_of_the_joint_map(side):
    pair = make_pair("max", "fc")
    own, other = pair.side(side)[1], pair.side({"a": "b", "b": "a"}[side])[1]
    weights = torch.randn(own.grid, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = np.zeros(other.grid)
    for p in references.cells_of(np.zeros((1, *own.grid))):
        for q in references.cells_of(expected[None]):
            expected[q] += float(weights[p]) * references.dot(own.cells[p], other.cells[q])
    assert same(pair.cells_map(side, weights), expected)


def test_weights_of_another_grid_are_refused(exported):
    pair = make_pair("avg", "fc")
    with pytest.raises(SimvisError, match=r"Got weights of \(3, 7\); wanted the grid \(4, 5\): give one for each cell"):
        pair.cells_map("a", torch.zeros(3, 7))
    for number in (0, 5, 7):
        with pytest.raises(
            SimvisError, match=rf"Got {number} weights; wanted one for each cell of the grid \(3, 2\): mark"
        ):
            Export(exported[0], region=("b", [1.0] * number)).files()


def test_a_region_comes_with_its_weights_map_and_picture(with_region):
    pair, weights, files = with_region
    assert set(files) == {"overlay_a.png", "overlay_b.png", "region_on_a.png", "maps.npz", "manifest.json"}
    grid = torch.tensor(weights, dtype=torch.float64).reshape(pair.b.grid)
    map = pair.cells_map("b", grid)
    with np.load(io.BytesIO(files["maps.npz"]), allow_pickle=False) as maps:
        assert maps["region_weights"].tolist() == [weights[:2], weights[2:4], weights[4:]]
        assert np.array_equal(maps["region_map"], map)
    with Image.open(io.BytesIO(files["region_on_a.png"])) as drawn:
        assert drawn.tobytes() == overlay(pair.view_a, map, map.abs().max().item()).tobytes()


def test_a_point_and_a_region_can_come_together(exported):
    pair, _ = exported
    files = Export(pair, point=("a", 1.0, 1.0), region=("a", [1.0] * 6)).files()
    assert {"point_on_b.png", "region_on_b.png"} <= set(files)


def test_the_maps_come_back_as_they_were(exported):
    pair, files = exported
    with np.load(io.BytesIO(files["maps.npz"]), allow_pickle=False) as maps:
        assert np.array_equal(maps["map_a"], pair.map_a)
        assert np.array_equal(maps["map_b"], pair.map_b)
        assert np.array_equal(maps["joint_map"], pair.joint_map)
        assert np.array_equal(maps["contributions"], pair.contributions)
        assert np.array_equal(maps["point_map"], pair.point_map("b", 3.0, 12.0))


def test_the_manifest_adds_up_and_says_what_was_done(exported):
    pair, files = exported
    manifest = json.loads(files["manifest.json"])
    assert manifest["score"] == pair.score == pytest.approx(sum(manifest["ledger"].values()), rel=1e-5)
    assert manifest["network"] == {
        "name": "tiny",
        "fingerprint": pair.network.fingerprint,
        "pooling": "gem:2.5",
        "trained_pooling": "avg",
        "origin": "",
        "engine": "eager",
        "resizing": "quick",
        "dtype": "float32",
    }
    assert manifest["note"] == "hello"
    assert manifest["method"] == {"name": "decomposition", "additive": True}
    assert set(manifest["versions"]) == {"torch", "numpy", "pillow"}


def test_the_manifest_knows_the_pictures(exported, two_pictures):
    facts = json.loads(exported[1]["manifest.json"])["pictures"]["a"]
    assert facts["size"] == [25, 40]
    assert facts["view_size"] == [16, 24]
    assert facts["grid"] == [2, 3]
    assert facts["view_box"] == [0, 0, 40, 25]
    assert facts["sha256_of_rgb"] == hashlib.sha256(two_pictures[0].tobytes()).hexdigest()


def test_the_manifest_names_the_points_cell_and_share(exported):
    pair, files = exported
    point = json.loads(files["manifest.json"])["point"]
    assert (point["side"], point["cell"]) == ("b", [1, 0])
    assert point["share"] == pytest.approx(pair.point_share("b", 3.0, 12.0))


def test_maps_of_one_row_share_one_scale(exported):
    pair, files = exported
    peaks = [map.abs().max().item() for map in (pair.map_a, pair.map_b)]
    assert peaks[0] != peaks[1]
    assert json.loads(files["manifest.json"])["scale"] == max(peaks)
    for side in ("a", "b"):
        view, _, map = pair.side(side)
        with Image.open(io.BytesIO(files[f"overlay_{side}.png"])) as drawn:
            assert drawn.tobytes() == overlay(view, map, max(peaks)).tobytes()


def test_save_writes_what_files_gives(tmp_path, tiny_network, two_pictures):
    pair = explain_pair(tiny_network, *two_pictures)
    paths = pair.save(tmp_path / "new" / "folder")
    assert {path.name: path.read_bytes() for path in paths}.keys() == Export(pair).files().keys()
    assert paths[-1].parent == tmp_path / "new" / "folder"


def test_a_bfloat16_pair_can_be_exported():
    pair = make_pair("max", "none", torch.bfloat16)
    with np.load(io.BytesIO(Export(pair).files()["maps.npz"]), allow_pickle=False) as maps:
        assert np.array_equal(maps["map_a"], pair.map_a.float())


def test_a_point_outside_is_refused(tiny_network, two_pictures):
    with pytest.raises(SimvisError, match="the point"):
        explain_pair(tiny_network, *two_pictures).point_map("a", 24.0, 3.0)
