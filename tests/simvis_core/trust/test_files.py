"""What an export of measurements holds: every map as drawn, every number again, what it is of."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_core import EmbeddingNetwork, SimvisError, explain_pair
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.trust.faithfulness import RemovalCurve
from simvis_core.trust.files import measured_files
from simvis_core.trust.measuring import Asked, Measured, compared, measuring, question_of
from tests.simvis_core.drawings import finished

WANTED = (
    Asked("decomposition", steps=5),
    Asked("rise", "pair", 3, "grey", 4, (("cells", 3), ("masks", 20))),
    Asked("input_x_gradient", seed=2, steps=6),
    Asked("centre", steps=5),
    Asked("random", seed=2, steps=5),
    Asked("random", seed=3, steps=5),
)
NAMES = ["decomposition", "rise", "input_x_gradient", "centre", "random_seed_2", "random_seed_3"]


@pytest.fixture(scope="module")
def pair(tiny_backbone, tiny_preprocess, two_pictures):
    return explain_pair(EmbeddingNetwork(tiny_backbone, "avg", None, tiny_preprocess), *two_pictures)


@pytest.fixture(scope="module")
def measured(pair):
    return [finished(measuring(question_of(pair, "b"), asked))[0] for asked in WANTED]


@pytest.fixture(scope="module")
def files(pair, measured):
    return measured_files(pair, "b", measured)


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_there_is_a_picture_for_each_map_beside_numbers_curves_and_manifest(files, pair):
    tables = ["maps.npz", "measured.csv", "curves.csv", "manifest.json"]
    assert list(files) == [f"{name}.png" for name in NAMES] + tables
    drawn = {name: Image.open(io.BytesIO(files[f"{name}.png"])).convert("RGB") for name in NAMES}
    assert {one.size for one in drawn.values()} == {pair.view_b.image.size}
    assert len({one.tobytes() for one in drawn.values()}) == len(NAMES)


def test_maps_are_as_drawn_signed_and_in_their_own_unit(files, measured):
    with np.load(io.BytesIO(files["maps.npz"])) as maps:
        assert list(maps) == NAMES
        for name, one in zip(NAMES, measured, strict=True):
            assert np.array_equal(maps[name], one.drawn.map.numpy())


def test_numbers_are_those_of_the_measurements(files, measured):
    table = rows(files["measured.csv"])
    assert [row["map"] for row in table] == NAMES
    found = compared(dict(zip(NAMES, measured, strict=True)), measured[4:], measured[3])
    for row, one in zip(table, measured, strict=True):
        assert row["unit"] == EXPLAINERS[one.asked.explainer].unit
        assert row["additive"] == str(EXPLAINERS[one.asked.explainer].additive)
        assert float(row["difference"]) == one.gap == pytest.approx(float(row["insertion"]) - float(row["deletion"]))
        for kind in ("deletion", "insertion"):
            rescaled = getattr(one, kind).rescaled_auc
            assert row[f"{kind}_rescaled"] == ("" if rescaled is None else str(rescaled))
        assert float(row["sum"]) == pytest.approx(float(one.drawn.map.sum()))
        assert float(row["strongest"]) == pytest.approx(float(one.drawn.map.abs().max()))
        assert (int(row["passes"]), int(row["seed"]), row["fill"]) == (one.drawn.passes, one.asked.seed, one.asked.fill)
        assert row["compared"] == found.get(row["map"], "")
    assert "cells=3; " in table[1]["parameters"]
    assert table[1]["setting"] == "pair"


def test_curves_give_the_areas_again(files, measured):
    table = rows(files["curves.csv"])
    for name, one in zip(NAMES, measured, strict=True):
        for kind in ("deletion", "insertion"):
            own = [row for row in table if (row["map"], row["kind"]) == (name, kind)]
            shares, scores = (np.array([float(row[key]) for row in own]) for key in ("share", "score"))
            assert np.trapezoid(scores, shares) == pytest.approx(getattr(one, kind).auc)
            assert (shares[0], shares[-1]) == (0, 1)


def test_the_manifest_is_the_pairs_with_the_side(files, pair):
    manifest = json.loads(files["manifest.json"])
    assert manifest["explained"] == "b"
    assert manifest["maps"] == NAMES
    assert manifest["score"] == pair.score
    assert manifest["network"]["fingerprint"] == pair.network.fingerprint


def test_nothing_is_compared_without_a_baseline(pair, measured):
    table = rows(measured_files(pair, "b", measured[:3])["measured.csv"])
    assert {row["compared"] for row in table} == {""}


def test_what_cannot_be_compared_is_left_empty(pair, measured):
    level = [
        RemovalCurve(kind, torch.tensor([0.0, 1.0], dtype=torch.float64), torch.full((2,), 0.3, dtype=torch.float64))
        for kind in ("insertion", "deletion")
    ]
    flat = Measured(measured[0].asked, measured[0].drawn, *level)
    table = rows(measured_files(pair, "b", [flat, *measured[3:]])["measured.csv"])
    assert (table[0]["compared"], table[0]["insertion_rescaled"]) == ("", "")


def test_none_and_twice_the_same_are_refused(pair, measured):
    with pytest.raises(SimvisError, match="no measurement"):
        measured_files(pair, "b", [])
    with pytest.raises(SimvisError, match="two measurements of 'decomposition'"):
        measured_files(pair, "b", [*measured, measured[0]])
