"""The study of depths on a tiny network: what is measured, what a stop costs, and what the records decide."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.evaluation.cases import Case, ViewAsked
from simvis_core.evaluation.depth_study import running
from simvis_core.evaluation.depth_study.choosing import TODAY, default_map, mean_gap, picked
from simvis_core.evaluation.depth_study.measuring import (
    PEER,
    removal_records,
    room_records,
    study_question,
    two_sided_records,
)
from simvis_core.evaluation.depth_study.results import flat, study_markdown, study_rows
from simvis_core.evaluation.depth_study.running import StudySize, pairs_of, study_steps
from simvis_core.evaluation.depth_study.settings import SCREENED, DepthSetting, LayersDrawn, studied
from simvis_core.evaluation.joint import JOINT, both_ways, joint_numbers
from simvis_core.evaluation.measuring import records
from simvis_core.evaluation.records import Records
from simvis_core.explainers.depths.combined import mean_over_depths
from simvis_core.explainers.depths.layer_maps import layer_map, split_at
from simvis_core.explainers.table import PATH_DEPTHS, draw_map, path_named
from simvis_core.pictures.fills import FILLS
from simvis_core.steps import run
from simvis_core.trust.faithfulness import removal_curve
from simvis_core.trust.localisation import localisation
from simvis_core.trust.measuring import Asked, measuring
from simvis_core.trust.two_sided import hidden_scores, parts_of, parts_of_map, two_sided

SMALL = StudySize(screening=1, pairs=3, two_sided=1, rooms=1, screening_steps=3, steps=3)
SEEN = ViewAsked(short_side=16)


@cache
def tiny():
    torch.manual_seed(4)
    layers = [nn.Conv2d(3, 6, 2, 2), nn.Tanh(), nn.Conv2d(6, 6, 2, 2), nn.Tanh(), nn.Conv2d(6, 6, 2, 2), nn.Sigmoid()]
    return EmbeddingNetwork(nn.Sequential(*layers), preprocess=Preprocess(short_side=16, stride=8), name="tiny")


def picture(seed):
    values = np.random.default_rng(seed).integers(0, 255, (8, 12, 3)).astype(np.uint8)
    return lambda: Image.fromarray(values).resize((60, 40))


def case(number, kind="same"):
    return Case(f"{number} | {number + 1}", kind, picture(number), (picture(number + 1),), same=True)


CASES = ([case(0)], [case(number) for number in (2, 4, 6)])


def left_half():
    return np.arange(60)[None].repeat(40, 0) < 30


def question(number=2):
    return study_question(case(number), tiny(), SEEN)


def studying(folder, networks=None, size=SMALL):
    kept = Records(folder, {})
    networks = networks or {"tiny": tiny()}
    return kept, study_steps(kept, networks, dict.fromkeys(networks, SEEN), CASES, size)


def untimed(kept):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in kept.known]


def removal(case, name, gap, kind="removal", seconds=0.1, network="tiny"):
    gaps = {f"gap_{fill}": gap + off for fill, off in zip(FILLS, (-0.01, 0, 0.01), strict=True)}
    facts = {"kind": kind, "case": case, "explainer": name, "network": network, "seconds": seconds, "seed": 0}
    return facts | gaps | {"passes": 1, "remainder": -0.01}


# The settings


def test_settings_have_names_that_tell_them_apart_and_the_study_has_at_most_eight():
    assert len({setting.name for setting in SCREENED}) == len(SCREENED)
    for steps, reference in ((8, ("blur",)), (16, ("grey",))):
        settings = studied(steps, reference)
        assert len({setting.name for setting in settings}) == len(settings) <= 8
        assert settings[0].name == TODAY
        assert all(setting.steps == steps for setting in settings if setting.name.startswith(("path", "mean", "shar")))
    with pytest.raises(SimvisError, match="Got shares of 3 maps; wanted a coarse and a finer one: name two depths"):
        LayersDrawn(question()).map(DepthSetting((0, 1, 2), together="shares"))


def test_layers_are_drawn_once_and_give_what_the_explainers_draw(monkeypatch):
    asked, made = question(), []
    real = layer_map
    monkeypatch.setattr(
        "simvis_core.evaluation.depth_study.settings.layer_map", lambda *given: made.append(given[1:]) or real(*given)
    )
    drawn = LayersDrawn(asked)
    for setting in studied():
        drawn.map(setting)
    assert len(made) == len(set(map(repr, made))) == 5  # depths 0 to 3 by path, 1 frozen
    mean = draw_map("mean_of_depths", asked.network, asked.view, asked.query)
    assert torch.equal(drawn.map(DepthSetting((0, 1, 2)))[0].map, mean.map)
    assert drawn.map(DepthSetting((0, 1, 2)))[0].passes == mean.passes


# What is measured


def test_removal_is_measured_under_every_fill_and_a_setting_that_is_not_there_is_refused():
    asked = question()
    found = dict(removal_records(asked, [DepthSetting((1,)), DepthSetting((9,))], steps=4, seed=2))
    assert list(found) == ["path 1, blur, 8 steps", "path 9, blur, 8 steps", "random", "centre"]
    made = layer_map(asked, 1)
    for fill in FILLS:
        put, taken = (removal_curve(asked, made.map, kind, fill, 4, 2).auc for kind in ("insertion", "deletion"))
        assert found["path 1, blur, 8 steps"][f"gap_{fill}"] == pytest.approx(put - taken, abs=1e-12)
    assert found["path 1, blur, 8 steps"]["remainder"] == pytest.approx(made.left["remainder"])
    assert "Got depth 9 of tiny" in found["path 9, blur, 8 steps"]["refused"]


def test_rooms_are_measured_where_the_view_shows_the_region():
    asked, mask = question(), np.zeros((40, 60), dtype=bool)
    mask[:20, :30] = True
    found = dict(room_records(asked, mask, [DepthSetting((0,))], peer=True))
    assert list(found) == [TODAY, "random", "centre", PEER[0]]
    height, width = asked.size
    region = torch.zeros(height, width, dtype=torch.bool)
    region[: height // 2, : width // 2] = True
    own = localisation(layer_map(asked, 0).map, region)
    assert (found[TODAY]["inside"], found[TODAY]["pointing"]) == pytest.approx((own.inside, own.pointing), abs=0.03)
    assert found[PEER[0]]["passes"] == 500
    assert list(room_records(asked, np.zeros((40, 60), dtype=bool), [DepthSetting((0,))], peer=False)) == []


def test_two_sided_numbers_are_those_of_the_joint_map_and_of_the_outer_product():
    asked = question()
    settings = [DepthSetting((0,)), DepthSetting((0, 2)), DepthSetting((0, 2), together="shares")]
    found = dict(two_sided_records(asked, settings, seed=3))
    hidden = hidden_scores(asked.network, asked.view, asked.reference, "mean", 3)
    sides = both_ways(asked)
    own = [parts_of(split_at(side, 0), grid) for side, grid in zip(sides, (hidden.grid_a, hidden.grid_b), strict=True)]
    assert found[TODAY]["fitted_mean"] == pytest.approx(two_sided(*own, hidden).fitted)
    outer = [
        parts_of_map(layer_map(side, 0).map, asked.score, grid)
        for side, grid in zip(sides, (hidden.grid_a, hidden.grid_b), strict=True)
    ]
    due = two_sided(*outer, hidden, 1 / asked.score)
    assert (found[TODAY]["outer_raw_mean"], found[TODAY]["outer_fitted_mean"]) == pytest.approx((due.raw, due.fitted))
    assert "fitted_blur" in found["mean 0 + 2, blur, 8 steps"]
    for name in ("shares 0 by 2, blur, 8 steps", "random", "centre"):
        assert "fitted_blur" not in found[name]
        assert "outer_fitted_blur" in found[name]


SLOW = {"mean_of_depths", *map(path_named, PATH_DEPTHS)}


@pytest.mark.parametrize(
    "explainer",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in (*JOINT, "random", "corr_rise")],
)
def test_evaluate_measures_explainers_on_both_sides(explainer):
    asked = replace(question(), query_bias=None)
    given = (("masks", 9),) if explainer == "corr_rise" else ()
    hidden = hidden_scores(asked.network, asked.view, asked.reference, "blur")
    measured = run(measuring(asked, Asked(explainer, steps=3, parameters=given)))
    found = joint_numbers(measured, asked, hidden)
    assert ("joint_fitted" in found) == (explainer in JOINT)
    other = both_ways(asked)[1]
    seed = 1 if explainer == "random" else 0
    map = draw_map(explainer, other.network, other.view, other.query, seed=seed, **dict(given)).map
    outer = [parts_of_map(one, asked.score, grid) for one, grid in
             ((measured.drawn.map, hidden.grid_a), (map, hidden.grid_b))]  # fmt: skip
    assert found["outer_fitted"] == pytest.approx(two_sided(*outer, hidden, 1 / asked.score).fitted)
    (record,) = records(case(2), asked, [Asked(explainer, steps=3, parameters=given)], both_sides=True)
    assert {name: record[name] for name in found} == pytest.approx(found)
    json.dumps(record, allow_nan=False)
    if explainer == "mean_of_depths":
        layers = [[layer_map(side, depth) for depth in range(3)] for side in both_ways(asked)]
        weights = [mean_over_depths(one).weights for one in layers]
        assert weights[0] != weights[1]


def test_a_score_of_nothing_gives_an_outer_product_no_unit_and_a_search_no_other_side():
    asked = replace(question(), query=torch.zeros(6))
    measured = run(measuring(asked, Asked("random", steps=3)))
    hidden = hidden_scores(asked.network, asked.view, asked.reference, "blur")
    assert joint_numbers(measured, asked, hidden) == {}
    (record,) = records(case(2), replace(asked, reference=None), [Asked("random", steps=3)], both_sides=True)
    assert not any(name.startswith(("joint", "outer")) for name in record)


# The run


@pytest.fixture
def few(monkeypatch):
    """Three settings in the place of all, which a run goes through alike."""
    monkeypatch.setattr(running, "SCREENED", (DepthSetting((0,)), DepthSetting((1,))))
    monkeypatch.setattr(running, "studied", lambda *picked: [DepthSetting((0,)), DepthSetting((1,), "frozen")])
    monkeypatch.setattr(running, "PEER", ("corr_rise", 5))
    monkeypatch.setattr(
        running, "room_cases", lambda count, seed: [replace(case(8, "planted"), mask=left_half)] * count
    )
    monkeypatch.setattr("simvis_core.evaluation.depth_study.measuring.PEER", ("corr_rise", 5))


@pytest.mark.usefixtures("few")
def test_a_run_that_is_stopped_anywhere_goes_on_and_ends_with_the_same_records(tmp_path):
    kept, steps = studying(tmp_path / "whole")
    told = list(steps)
    assert told == [
        ("screening", 1, 1),
        *(("removal", number, 3) for number in (1, 2, 3)),
        ("two-sided", 1, 1),
        ("rooms", 1, 1),
    ]
    assert {record["kind"] for record in kept.known} == {"screening", "removal", "two-sided", "rooms"}
    _, steps = studying(tmp_path / "stopped")
    for _ in range(3):
        next(steps)
    steps.close()
    again, steps = studying(tmp_path / "stopped")
    assert list(steps) == told[3:]
    assert untimed(again) == untimed(kept)
    with (tmp_path / "stopped" / "measured.jsonl").open("r+") as file:  # a stop within a case, and within a line
        file.truncate(len(file.read()) * 2 // 3)
    again, steps = studying(tmp_path / "stopped")
    assert 0 < len(list(steps)) < len(told)
    assert sorted(untimed(again), key=str) == sorted(untimed(kept), key=str)


@pytest.mark.usefixtures("few")
def test_a_picture_that_cannot_be_read_is_refused_once_for_all_settings_and_the_others_go_on(tmp_path):
    def broken():
        raise SimvisError("a damaged picture", "a whole file", "save it again")

    kept = Records(tmp_path, {})
    bad = Case("bad | 1", "same", broken, (picture(1),), same=True)
    size = replace(SMALL, two_sided=0, rooms=0)
    told = list(study_steps(kept, {"tiny": tiny()}, {"tiny": SEEN}, ([case(0)], [bad, case(2)]), size))
    assert told[-1] == ("removal", 2, 2)
    refused = [record for record in kept.known if "refused" in record]
    assert {record["refused"] for record in refused} == {"Got a damaged picture; wanted a whole file: save it again."}
    assert len(refused) == 2 + 2
    assert list(study_steps(kept, {"tiny": tiny()}, {"tiny": SEEN}, ([case(0)], [bad, case(2)]), size)) == []
    assert study_rows(kept.known)[0]["pairs"] == 1


@pytest.mark.usefixtures("few")
def test_the_screening_runs_on_two_networks_and_the_study_on_all(tmp_path):
    size = replace(SMALL, two_sided=0, rooms=0)
    kept, steps = studying(tmp_path, {"one": tiny(), "two": tiny(), "three": tiny()}, size)
    assert [(part, total) for part, _, total in steps] == [("screening", 2)] * 2 + [("removal", 9)] * 9
    screened = [record for record in kept.known if record["kind"] == "screening"]
    assert len(screened) == 2 * (2 + 2)


def test_no_pair_is_in_the_screening_and_in_the_study(tmp_path):
    for label in "ab":
        for number in range(4):
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("RGB", (24, 16), (10 * number, 90, 90)).save(tmp_path / label / f"{number}.png")
    size = StudySize(screening=3, pairs=100)
    screening, pairs = pairs_of(tmp_path, size)
    names = [one.name for one in (*screening, *pairs)]
    assert (len(screening), len(pairs), len(set(names))) == (3, 9, 12)
    assert all(one.same for one in (*screening, *pairs))
    assert [one.name for one in pairs_of(tmp_path, size)[1]] == [one.name for one in pairs]
    assert [one.name for one in pairs_of(tmp_path, replace(size, seed=1))[1]] != [one.name for one in pairs]
    with pytest.raises(SimvisError, match=r"Got 12 pairs of one class in .*; wanted more than 12: name a larger"):
        pairs_of(tmp_path, replace(size, screening=12))


# What it comes to


def test_the_screening_picks_the_best_reference_and_the_fewest_steps_that_are_enough():
    gaps = {
        **{f"path 2, blur, {steps} steps": gap for steps, gap in ((4, 0.2), (8, 0.297), (16, 0.3))},
        **{f"path 2, {name}, 8 steps": gap for name, gap in (("mean", 0.1), ("grey", 0.31), ("blur + mean", 0.25))},
        "path 3, blur, 8 steps": 0.9,
    }
    found = [removal("a", name, gap, "screening") for name, gap in gaps.items()]
    assert picked(found) == (8, ("grey",))
    assert picked([record | {"kind": "removal"} for record in found]) == (8, ("blur",))
    refused = {"kind": "screening", "explainer": "path 2, grey, 8 steps", "refused": "no"}
    assert picked([one for one in found if "grey" not in one["explainer"]] + [refused]) == (8, ("blur",))
    below = [removal("a", f"path 2, blur, {steps} steps", -steps, "screening") for steps in (4, 8, 16)]
    assert picked(below)[0] == 4


def test_the_default_is_chosen_on_one_half_and_its_numbers_are_the_other_halfs():
    chosen = {TODAY: 0.2, "path 1": 0.4, "path 2": 0.3, "slow": 0.9, "centre": 0.95}
    reported = {TODAY: 0.25, "path 1": 0.1, "path 2": 0.9, "slow": 0.9, "centre": 0.95}
    found = [
        removal(str(at), name, gap, seconds=5.0 if name == "slow" else 0.5, network=network)
        for at in range(6)
        for network in ("one", "two")
        for name, gap in (chosen if at % 2 == 0 else reported).items()
    ]
    made = default_map(found)
    assert made.name == "path 1"
    assert (made.gap.mean, made.today.mean, made.over_today.mean) == pytest.approx((0.1, 0.25, -0.15))
    assert made.gap.pairs == 3
    assert default_map(found[:10]) is None  # one pair alone has no other half
    assert "the difference -0.150 (-0.150 to -0.150): less." in study_markdown(found)


def test_rows_hold_means_over_pairs_and_differences_on_the_same_pair():
    found = [removal("a", TODAY, 0.1), removal("b", TODAY, 0.5), removal("b", "path 1", 0.6), removal("c", "path 1", 9)]
    rooms = {"network": "tiny", "case": "r", "explainer": "path 1", "kind": "rooms", "inside": 0.4, "pointing": 1.0}
    both = {"network": "tiny", "case": "b", "explainer": "path 1", "kind": "two-sided"}
    both |= {f"fitted_{fill}": value for fill, value in zip(FILLS, (0.1, 0.2, 0.3), strict=True)}
    today, path = study_rows([*found, rooms, both])
    assert (today["pairs"], today["gap"].mean, today["over_today"]) == (2, pytest.approx(0.3), None)
    assert path["over_today"].mean == pytest.approx(0.1)
    assert path["over_today"].pairs == 1
    assert path["gap_blur"].mean == pytest.approx(4.79)
    assert (path["joint_fitted"].mean, path["inside"].mean, path["rooms"]) == (pytest.approx(0.2), 0.4, 1)
    assert path["remainder"].mean == pytest.approx(0.01)
    (plain, _) = flat([today, path])
    assert (plain["gap"], plain["inside"], plain["inside_low"]) == (0.3, None, None)
    assert mean_gap(found[0]) == pytest.approx(0.1)
    screened = study_rows([removal("a", TODAY, 0.1, "screening")], "screening")
    assert [row["pairs"] for row in screened] == [1]
