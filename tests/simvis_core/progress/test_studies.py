"""Many pairs over the steps: means, intervals and comparisons are those of the pairs' own numbers."""

import csv
import io

import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.galleries.curves import mean_curve
from simvis_core.progress.series_files import SeriesFiles
from simvis_core.progress.studies import difference, following, maps_agreement, room_pairs, step_curves, study_files
from simvis_core.progress.watching import WatchedPair, map_change, watched
from simvis_core.progress.worst import disagreements
from simvis_core.steps import run
from simvis_core.trust.faithfulness import interval


@pytest.fixture(scope="module")
def pairs():
    return room_pairs(4, size=(48, 64))


def networks(tiny_preprocess, seed, steps=(0, 10, 20)):
    for step in steps:
        torch.manual_seed(seed + step)
        yield step, EmbeddingNetwork(nn.Conv2d(3, 6, 8, 8), "avg", None, tiny_preprocess)


@pytest.fixture(scope="module")
def two(tiny_preprocess, pairs):
    return tuple(
        run(following(name, networks(tiny_preprocess, at), pairs)) for at, name in enumerate(("one", "other"), 1)
    )


def test_what_is_followed_is_what_is_watched_step_by_step(tiny_preprocess, pairs):
    told, before = [], [None] * 4
    found = run(following("run", networks(tiny_preprocess, 1), pairs), told.append)
    assert told == [(step, done) for step in (0, 10, 20) for done in (1, 2, 3, 4)]
    for row, (_, network) in zip(found.rows, networks(tiny_preprocess, 1), strict=True):
        wanted = [watched(network, pair, old) for pair, old in zip(pairs, before, strict=True)]
        assert [one.figures() for one in row] == [one.figures() for one in wanted]
        before = [one.maps for one in wanted]
    curve = found.curve("on_objects")
    assert [step for step, _ in curve] == [0, 10, 20]
    assert curve[1][1] == interval([one.on_objects for one in found.rows[1]])
    assert curve[1][1].low < curve[1][1].mean < curve[1][1].high
    assert [step for step, _ in found.curve("change")] == [10, 20]


def test_agreement_is_that_of_the_maps_and_chance_of_other_pictures(two):
    found = maps_agreement(*two)
    assert [(one.step, one.other_step) for one in found] == [(0, 0), (10, 10), (20, 20)]
    a, b = (one.rows[1] for one in two)
    alike = [1 - (map_change(x.map_a, y.map_a) + map_change(x.map_b, y.map_b)) / 2 for x, y in zip(a, b, strict=True)]
    turned = [
        1 - (map_change(a[at].map_a, b[(at + 1) % 4].map_a) + map_change(a[at].map_b, b[(at + 1) % 4].map_b)) / 2
        for at in range(4)
    ]
    assert found[1].maps == interval(alike)
    assert found[1].chance == interval(turned)
    assert maps_agreement(two[0], two[0])[2].maps.mean == pytest.approx(1)


def test_steps_that_only_one_has_are_left_out_but_the_ends_are_compared(tiny_preprocess, pairs, two):
    shorter = run(following("short", networks(tiny_preprocess, 3, (0, 15)), pairs))
    assert [(one.step, one.other_step) for one in maps_agreement(two[0], shorter)] == [(0, 0), (20, 15)]
    assert (
        maps_agreement(
            run(following("a", networks(tiny_preprocess, 1), pairs[:1])),
            run(following("b", networks(tiny_preprocess, 1), pairs[:1])),
        )[0].chance
        is None
    )


def test_difference_is_that_of_the_pairs(two):
    found = difference(*two, "on_objects")
    values = [a.on_objects - b.on_objects for a, b in zip(two[0].last, two[1].last, strict=True)]
    assert found == interval(values)
    assert difference(*two, "change").pairs == 4


def test_other_pairs_are_refused(tiny_preprocess, pairs, two):
    other = run(following("run", networks(tiny_preprocess, 1), pairs[:2]))
    with pytest.raises(SimvisError, match="other pairs in 'one' than in 'run'"):
        maps_agreement(two[0], other)
    with pytest.raises(SimvisError, match="no pair to follow"):
        run(following("run", networks(tiny_preprocess, 1), []))
    with pytest.raises(SimvisError, match="rooms 'odd'; wanted one of planted, same"):
        room_pairs(1, "odd")


def test_rooms_carry_the_masks_of_what_they_share():
    [pair] = room_pairs(1, "same", seed=7, size=(48, 64))
    assert pair.name == "room 7"
    assert all(0 < mask.mean() < 1 for mask in pair.masks)
    [planted] = room_pairs(1, seed=7, size=(48, 64))
    assert planted.name == "headboard 7"
    assert planted.masks[0].mean() < pair.masks[0].mean()


def test_the_files_hold_every_number(two):
    files = study_files(two)
    charts = [f"{figure}.svg" for figure in ("change", "concentration", "on_objects", "score", "top")]
    assert sorted(files) == sorted([*charts, "compared.csv", "curves.csv", "pairs.csv"])
    rows = list(csv.DictReader(io.StringIO(files["pairs.csv"].decode())))
    assert len(rows) == 2 * 3 * 4
    assert float(rows[-1]["on_objects"]) == two[1].last[-1].on_objects
    curves = list(csv.DictReader(io.StringIO(files["curves.csv"].decode())))
    [row] = [row for row in curves if (row["series"], row["step"], row["figure"]) == ("one", "10", "score")]
    assert float(row["mean"]) == interval([one.score for one in two[0].rows[1]]).mean
    assert b"concentration, one less other" in files["compared.csv"]
    assert files["score.svg"].count(b"<polyline") == 2
    assert files["score.svg"].count(b"<polygon") == 2
    assert files["score.svg"].count(b"<circle") == 6
    assert study_files(two) == files


def test_queries_that_two_networks_answer_unlike_are_those_of_the_slow_way():
    torch.manual_seed(0)
    one, other, labels = torch.randn(20, 4), torch.randn(20, 7), [*"aabbccddeeaabbccddee"]
    labels[3] = "alone"

    def hit(embeddings, at):
        scores = torch.nn.functional.cosine_similarity(embeddings[at], embeddings)
        scores[at] = -9
        return int(scores.argmax())

    wanted = []
    for at in range(20):
        hits = hit(one, at), hit(other, at)
        right = [labels[place] == labels[at] for place in hits]
        if right[0] != right[1]:
            wanted.append((at, hits, right.index(True)))
    assert len(wanted) >= 3
    assert [tuple(found) for found in disagreements(one, other, labels)] == wanted


def test_a_pair_of_ones_own_has_no_objects(tiny_preprocess, two_pictures):
    found = run(following("run", networks(tiny_preprocess, 1, (5,)), [WatchedPair("mine", *two_pictures)]))
    assert found.curve("on_objects") == []
    assert "on_objects.svg" not in study_files([found])


def test_a_steps_curve_is_that_of_the_same_class_pairs_of_its_gallery(tmp_path):
    torch.manual_seed(0)
    labels = [*"aaabbcd"]
    kept = torch.rand(7, 12)
    files = SeriesFiles(tmp_path, "run", "any", "avg", about={"labels": labels})
    files.add(0, {"a": torch.ones(1)})
    series = files.add(5, {"a": torch.ones(1)}, embeddings=([f"{at}.jpg" for at in range(7)], kept))
    unit = torch.nn.functional.normalize(kept.half().float())
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4)]
    wanted = mean_curve(unit[[a for a, _ in pairs]], unit[[b for _, b in pairs]])
    found = step_curves(series)
    assert list(found) == [5]
    assert torch.allclose(found[5].mean, wanted.mean)
    assert step_curves(series, count=2)[5].pairs == 2
    with pytest.raises(SimvisError, match="which tells of no two pictures of one class"):
        step_curves(SeriesFiles(tmp_path / "none", "run", "any", "avg", about={"labels": ["a", "b"]}).series())
