"""Where a score stands among reference pairs: hand-worked tables, slow loops, and what is refused."""

from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess, SimvisError, open_picture
from simvis_core.pairs.standing import QUANTILES, Reference, reference_of, reference_steps, standing
from simvis_core.steps import run

LADDER = tuple(at / 100 for at in range(QUANTILES))  # scores spread evenly from 0 to 1


def unit(rows):
    rows = torch.tensor(rows, dtype=torch.float64)
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("score", "share"), [(-1, 0), (0, 0), (0.25, 0.25), (0.253, 0.253), (0.995, 0.995), (1, 1), (2, 1)]
)
def test_a_score_stands_above_the_share_of_pairs_that_are_lower(score, share):
    found = standing(score, Reference(LADDER, tuple(2 * value for value in LADDER), 1.0, 9))
    assert found.above_same == pytest.approx(share)
    assert found.above_different == pytest.approx(min(max(score / 2, 0), 1))


def test_a_network_that_gives_every_pair_one_score_puts_it_in_the_middle():
    flat = Reference((0.995,) * QUANTILES, (0.995,) * QUANTILES, 0.5, 9)
    assert standing(0.995, flat).above_same == standing(0.995, flat).above_different == 0.5
    assert (standing(0.9951, flat).above_same, standing(0.9949, flat).above_same) == (1.0, 0.0)


def test_every_pair_is_one_score_of_its_kind():
    """Against the loop over all pairs, with classes of three, two and one."""
    embeddings, labels = unit(np.random.default_rng(0).normal(size=(6, 4)).tolist()), list("aabbac")
    found = reference_of(embeddings, labels)
    pairs = [(float(embeddings[i] @ embeddings[j]), labels[i] == labels[j]) for i, j in combinations(range(6), 2)]
    same, different = ([score for score, alike in pairs if alike is kind] for kind in (True, False))
    assert (len(same), len(different)) == (4, 11)
    for quantiles, scores in ((found.same, same), (found.different, different)):
        assert quantiles == pytest.approx(np.quantile(scores, np.linspace(0, 1, QUANTILES)), abs=1e-5)
    higher = [(one > other) + 0.5 * (one == other) for one in same for other in different]
    assert found.separation == pytest.approx(np.mean(higher))
    assert found.pictures == 6


def test_separation_of_a_network_that_tells_classes_apart_and_of_one_that_cannot():
    apart = reference_of(unit([[1, 0], [1, 0], [0, 1], [0, 1]]), list("aabb"))
    assert apart.separation == 1.0
    assert standing(1.0, apart).above_different == 1.0
    assert reference_of(unit([[1, 1]] * 4), list("aabb")).separation == 0.5


@pytest.mark.parametrize("labels", ["abcd", "aaaa"])
def test_one_kind_of_pairs_alone_is_refused(labels):
    with pytest.raises(SimvisError, match="pairs of one class, and pairs of two"):
        reference_of(unit([[1, 0], [1, 1], [0, 1], [1, 2]]), list(labels))


@pytest.fixture
def pictures(tmp_path):
    """Nine wide and one high picture, two classes; not one of them is square."""
    chance, files = np.random.default_rng(1), {}
    for at in range(10):
        size = (48, 32, 3) if at == 4 else (32, 40, 3)
        file = tmp_path / f"{at}.png"
        Image.fromarray(chance.integers(0, 256, size, dtype=np.uint8)).save(file)
        files[file] = "ab"[at % 2]
    return files


@pytest.fixture
def network():
    torch.manual_seed(0)
    preprocess = Preprocess((0.5,) * 3, (0.5,) * 3, short_side=32, stride=8)
    backbone = nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.ReLU()).eval()
    return EmbeddingNetwork(backbone, "avg", preprocess=preprocess)


def test_pictures_go_through_in_batches_once_for_all_poolings(network, pictures):
    told = []
    with torch.no_grad():
        found = run(reference_steps(network, pictures, 32, poolings=("avg", "max")), told.append)
    assert told[0] == (0, 10)
    assert told[-1] == (10, 10)
    assert len(told) == 4  # eight wide ones, the ninth, the high one
    for pooling in ("avg", "max"):
        one = network.with_pooling(pooling)
        embeddings = torch.cat([one.embed(one.view(open_picture(file), 32).pixels[None]) for file in pictures])
        wanted = reference_of(embeddings, list(pictures.values()))
        assert found[pooling].same == pytest.approx(wanted.same, abs=2e-5)
        assert found[pooling].different == pytest.approx(wanted.different, abs=2e-5)


def test_a_picture_that_cannot_be_read_is_named(network, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(SimvisError, match=r"torn|picture"):
        list(reference_steps(network, {tmp_path / "torn.png": "a"}, 32))
