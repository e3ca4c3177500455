"""Evaluations: which cases there are, plain records of them, a run that goes on after a stop, and tables by hand."""

import csv
import io
import json
import random
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.evaluation.cases import Case, ViewAsked, folder_cases, retrieval_cases, room_cases
from simvis_core.evaluation.measuring import question_for, records
from simvis_core.evaluation.records import Records
from simvis_core.evaluation.table import as_csv, as_markdown, mean_curves, removal_of, rows, verification
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.hotel_rooms.rooms import OBJECTS, different_pair, planted_pair, same_pair
from simvis_core.pictures.pairing import drawn_pairs
from simvis_core.trust.faithfulness import interval, removal_curve
from simvis_core.trust.localisation import localisation
from simvis_core.trust.measuring import Asked
from simvis_core.trust.sanity import randomisation, stability
from tests import references
from tests.simvis_core import drawings
from tests.simvis_core.cases import BLACK_BOXES
from tests.simvis_core.drawings import drawn, network, recording


def small(**given):
    return network(dtype=torch.float32, **given)


@cache
def rooms():
    """A planted pair, two views of one room and two rooms; each is drawn once."""
    return room_cases(1, 4)


# Cases: rooms


def test_room_cases_are_the_rooms_of_their_numbers():
    cases = room_cases(5, 20)
    assert [case.kind for case in cases] == ["planted"] * 5 + ["same"] * 5 + ["different"] * 5
    assert len({case.name for case in cases}) == 15
    assert [case.same for case in cases] == [True] * 10 + [False] * 5
    wanted = {
        "planted": planted_pair(OBJECTS[4 % len(OBJECTS)], 24),
        "same": same_pair(24, 24),
        "different": different_pair(24),
    }
    for case in cases[4::5]:
        pair = wanted[case.kind]
        assert case.picture().tobytes() == pair.a.image.tobytes()
        assert [other().tobytes() for other in case.others] == [pair.b.image.tobytes()]
        if case.kind == "different":
            assert case.mask is None
        else:
            assert np.array_equal(case.mask(), pair.a.mask(*pair.shared))


def test_the_objects_take_turns_and_another_seed_draws_other_rooms():
    shapes = [case.mask().sum() for case in room_cases(4, 3)[:4]]
    own = [planted_pair(name, 3 + at).a.masks[name].sum() for at, name in enumerate(OBJECTS)]
    assert shapes == own
    one, again, other = (room_cases(1, seed)[0].picture().tobytes() for seed in (3, 3, 4))
    assert one == again != other


# Cases: folders


@pytest.fixture
def folders(tmp_path):
    """Three classes of 3, 2 and 1 pictures of one colour each, and one picture without a class."""
    root = tmp_path / "rooms"
    colours = iter(range(10, 250, 30))
    for label, count in (("a", 3), ("b", 2), ("c", 1)):
        (root / label).mkdir(parents=True)
        for number in range(count):
            shade = next(colours)
            Image.new("RGB", (24, 16), (shade, 250 - shade, 90)).save(root / label / f"{number}.png")
    Image.new("RGB", (24, 16), (200, 20, 200)).save(root / "loose.png")
    return root


SAME = {"a/0.png | a/1.png", "a/0.png | a/2.png", "a/1.png | a/2.png", "b/0.png | b/1.png"}


def unordered(name):
    return " | ".join(sorted(name.split(" | ")))


def test_all_pairs_of_a_folder_come_once_where_more_are_asked_for(folders):
    cases = folder_cases(folders, 100)
    same = [unordered(case.name) for case in cases if case.kind == "same"]
    different = [unordered(case.name) for case in cases if case.kind == "different"]
    assert sorted(same) == sorted(SAME)
    labelled = [f"{label}/{number}.png" for label, count in (("a", 3), ("b", 2), ("c", 1)) for number in range(count)]
    every = {" | ".join(pair) for pair in combinations(labelled, 2)}
    assert sorted(different) == sorted(every - SAME)
    for case in cases:
        assert case.same == (case.kind == "same")
        assert case.mask is None
        a, b = case.name.split(" | ")
        assert case.picture().getpixel((0, 0)) == Image.open(folders / a).getpixel((0, 0))
        assert [other().getpixel((0, 0)) for other in case.others] == [Image.open(folders / b).getpixel((0, 0))]


def test_as_many_pairs_as_were_asked_for_of_each_kind_by_seed(folders):
    names = [[case.name for case in folder_cases(folders, 2, seed)] for seed in (0, 0, 1, 2, 3)]
    assert all(len(one) == len(set(one)) == 4 for one in names)
    assert names[0] == names[1]
    assert len({tuple(one) for one in names}) > 2


def test_a_csv_names_pictures_and_classes(folders):
    text = "file,label\nrooms/a/0.png,x\nrooms/b/0.png,x\nrooms/c/0.png,y\nrooms/loose.png,\n"
    (folders.parent / "list.csv").write_text(text)
    cases = folder_cases(folders.parent / "list.csv", 9)
    assert sorted((case.kind, unordered(case.name)) for case in cases) == [
        ("different", "a/0.png | c/0.png"),
        ("different", "b/0.png | c/0.png"),
        ("same", "a/0.png | b/0.png"),
    ]


@pytest.mark.parametrize(
    "text", ["file\nrooms/a/0.png\nrooms/b/0.png\n", "file,label\nrooms/a/0.png,x\nrooms/b/0.png,y\n"]
)
def test_pictures_of_which_no_two_are_of_one_class_are_refused(folders, text):
    (folders.parent / "list.csv").write_text(text)
    match = (
        r"list.csv' without two pictures of one class; wanted class folders or a CSV with labels: label some pictures"
    )
    with pytest.raises(SimvisError, match=match):
        folder_cases(folders.parent / "list.csv", 3)
    with pytest.raises(SimvisError, match="a folder of pictures"):
        folder_cases(folders / "nowhere", 3)


def test_one_class_has_no_pairs_of_two(folders):
    cases = folder_cases(_only(folders, "a"), 10)
    assert [case.kind for case in cases] == ["same"] * 3


def _only(folders, label):
    (folders.parent / "one").mkdir()
    (folders / label).rename(folders.parent / "one" / label)
    return folders.parent / "one"


def test_every_pair_has_the_same_chance():
    pictures = {f"{label}{number}": label for label, count in (("a", 4), ("b", 2), ("c", 3)) for number in range(count)}
    counted = Counter()
    for seed in range(3000):
        same, different = drawn_pairs(pictures, 1, random.Random(seed))
        counted.update(frozenset(pair) for pair in (*same, *different))
    same = [pair for pair in map(frozenset, combinations(pictures, 2)) if len({pictures[one] for one in pair}) == 1]
    different = [pair for pair in map(frozenset, combinations(pictures, 2)) if pair not in same]
    assert set(counted) == {*same, *different}
    for pairs in (same, different):
        expected = 3000 / len(pairs)
        assert max(abs(counted[pair] - expected) for pair in pairs) < 5 * expected**0.5


def test_a_large_folders_pairs_come_once_and_a_rare_class_is_found():
    """1500 pictures, more than a million pairs; among 3000 others one class of two."""
    pictures = {str(number): str(number % 7) for number in range(1500)}
    for pairs, alike in zip(drawn_pairs(pictures, 4000, random.Random(0)), (True, False), strict=True):
        assert len({frozenset(pair) for pair in pairs}) == 4000
        assert all((pictures[a] == pictures[b]) == alike and a != b for a, b in pairs)
    singles = {str(number): str(number) for number in range(3000)} | {"x": "twice", "y": "twice"}
    same, different = drawn_pairs(singles, 5, random.Random(0))
    assert list(map(set, same)) == [{"x", "y"}]
    assert len(different) == 5


# Cases: searches


def test_the_hits_of_a_search_are_the_nearest_others(folders):
    made, seen = small(), ViewAsked()
    files = sorted(path.relative_to(folders) for path in folders.rglob("*.png"))
    embed = lambda file: made.embed(made.view(Image.open(folders / file)).pixels[None])[0].tolist()
    embeddings = {str(file): embed(file) for file in files}
    cases = retrieval_cases(folders, made, 100, 3, seen)
    assert sorted(case.name for case in cases) == sorted(embeddings)
    for case in cases:
        scores = {
            name: references.dot(embeddings[case.name], one) for name, one in embeddings.items() if name != case.name
        }
        nearest = sorted(scores, key=lambda name: -scores[name])[:3]
        colours = [Image.open(folders / name).getpixel((0, 0)) for name in nearest]
        assert [other().getpixel((0, 0)) for other in case.others] == colours
        assert (case.kind, case.mask) == ("search, 3 hits", None)
        asked = question_for(case, made, seen)
        assert asked.reference is None
        assert asked.score == pytest.approx(np.mean([scores[name] for name in nearest]), abs=1e-5)


def test_searches_are_drawn_by_seed_and_counted(folders):
    names = [
        [case.name for case in retrieval_cases(folders, small(), 2, 1, ViewAsked(), seed)] for seed in (0, 0, 1, 2)
    ]
    assert all(len(set(one)) == 2 for one in names)
    assert names[0] == names[1]
    assert len({tuple(one) for one in names}) > 1


def test_more_hits_than_pictures_are_refused(folders):
    for hits in (0, 7, 100):
        with pytest.raises(SimvisError, match=f"Got {hits} hits among 7 pictures; wanted 1 to 6: choose fewer"):
            retrieval_cases(folders, small(), 2, hits, ViewAsked())


# Questions


def test_the_question_of_a_pair_is_its_score(folders):
    made = small()
    case = folder_cases(folders, 1)[0]
    for seen in (ViewAsked(), ViewAsked(32, "square"), ViewAsked(24, "crop")):
        asked = question_for(case, made, seen)
        views = [made.view(one(), seen.short_side, seen.framing) for one in (case.picture, *case.others)]
        embeddings = [made.embed(one.pixels[None])[0] for one in views]
        assert torch.equal(asked.view.pixels, views[0].pixels)
        assert torch.equal(asked.reference.pixels, views[1].pixels)
        assert asked.score == pytest.approx(float(embeddings[0] @ embeddings[1]), abs=1e-5)
        assert torch.allclose(asked.query_bias, made.decompose(views[1].pixels).bias, atol=1e-6)
    black = small(head=BLACK_BOXES["normalise"](6))
    assert question_for(case, black, ViewAsked()).query_bias is None


# Records

QUICK = [Asked("decomposition", steps=6), Asked("centre", steps=6), Asked("random", steps=6, seed=2)]


def test_a_record_holds_what_was_measured():
    case, made = rooms()[0], small()
    asked = question_for(case, made, ViewAsked(16, "crop"))
    found = list(records(case, asked, QUICK))
    assert [one["explainer"] for one in found] == ["decomposition", "centre", "random"]
    for wanted, record in zip(QUICK, found, strict=True):
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert (record["case"], record["kind"], record["same"]) == ("planted 0", "planted", True)
        assert (record["seed"], record["score"]) == (wanted.seed, pytest.approx(asked.score))
        map = drawn(EXPLAINERS[wanted.explainer].draw, asked, seed=wanted.seed)
        curves = {
            kind: removal_curve(asked, map, kind, steps=6, seed=wanted.seed) for kind in ("insertion", "deletion")
        }
        for kind, curve in curves.items():
            assert record[kind] == pytest.approx(curve.auc)
            assert record[f"{kind}_rescaled"] == pytest.approx(curve.rescaled_auc)
            kept = removal_of(record, kind)
            assert kept.kind == kind
            assert torch.allclose(kept.scores, curve.scores, rtol=0, atol=1e-6)
            assert torch.allclose(kept.shares, curve.shares, rtol=0, atol=1e-6)  # an insertion's are not a deletion's
        assert not torch.equal(curves["insertion"].shares, curves["deletion"].shares)
        assert record["gap"] == pytest.approx(record["insertion"] - record["deletion"])
        assert record["passes"] == (1 if wanted.explainer == "decomposition" else 0)
        assert record["seconds"] >= 0
        located = localisation(map, torch.from_numpy(loop_mask(case.mask(), asked.view)), wanted.seed)
        assert {name: record[name] for name in located._fields} == pytest.approx(located._asdict())
        assert not {"refused", "randomised", "stability", "unchecked"} & record.keys()


def loop_mask(mask, view):
    """The mask under each view pixel's centre."""
    left, top, right, bottom = view.box
    height, width = view.size
    seen = np.zeros(view.size, bool)
    for row, column in np.ndindex(height, width):
        y, x = top + (row + 0.5) * (bottom - top) / height, left + (column + 0.5) * (right - left) / width
        seen[row, column] = mask[int(y), int(x)]
    return seen


class Unmoved(nn.Module):
    """Sees nothing: every map of it is constant, every curve flat."""

    def forward(self, pixels):
        return 0 * nn.functional.avg_pool2d(pixels, 8) + torch.tensor([0.1, 0.7, 1 / 3])[:, None, None]


def silent(case, made):
    return replace(question_for(case, made, ViewAsked()), query=torch.zeros(5))


@pytest.mark.parametrize("name", ["sees nothing", "black box", "score 0"])
@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_records_are_plain_json_whatever_happens(name, explainer):
    case = rooms()[0]
    made = {
        "sees nothing": EmbeddingNetwork(Unmoved(), "avg", None, drawings.SMALL),
        "black box": small(head=BLACK_BOXES["normalise"](6)),
        "score 0": small(),
    }[name]
    asked = silent(case, made) if name == "score 0" else question_for(case, made, ViewAsked())
    few = {"masks": 4, "samples": 4, "steps": 2, "steps_a_side": 3}
    given = tuple((k, v) for k, v in few.items() if k in EXPLAINERS[explainer].parameters)
    (record,) = records(case, asked, [Asked(explainer, steps=4, parameters=given)], checks=not given)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    if explainer == "decomposition" and name == "black box":
        assert "cannot be split over cells" in record["refused"]
        assert "insertion" not in record
    if name != "black box" and "refused" not in record:
        assert record["insertion_rescaled"] is record["deletion_rescaled"] is None
        assert record["gap"] == pytest.approx(0, abs=1e-6)
    if "refused" not in record:
        assert len(record["shares"]) == len(record["insertion_curve"]) == 4
    assert rows([{"network": "n", **record}])[0]["explainer"] == explainer


def test_where_the_view_shows_nothing_of_the_object_no_place_is_recorded():
    case = rooms()[0]
    for marked in (True, False):
        other = replace(case, mask=lambda marked=marked: np.full((224, 320), marked))
        (record,) = records(other, question_for(other, small(), ViewAsked()), QUICK[:1])
        assert "inside" not in record
        assert "gap" in record
    plain = rooms()[2]
    assert "inside" not in next(records(plain, question_for(plain, small(), ViewAsked()), QUICK[:1]))


def test_checks_are_those_of_the_explainer_and_only_of_quick_ones():
    case, made = rooms()[1], small()
    asked = question_for(case, made, ViewAsked())
    wanted = [
        *QUICK,
        Asked("integrated_gradients", steps=3, parameters=(("steps", 2),)),
        Asked("rise", steps=3, parameters=(("masks", 3),)),
    ]
    found = {one["explainer"]: one for one in records(case, asked, wanted, checks=True)}
    assert [name for name, one in found.items() if "stability" in one] == ["decomposition", "integrated_gradients"]
    stages = list(randomisation("decomposition", made, asked.view, asked.reference, 0, stages=1))
    assert stages[0].share == 1
    assert found["decomposition"]["randomised"] == pytest.approx(stages[0].correlation)
    assert found["decomposition"]["stability"] == pytest.approx(stability(asked, "decomposition"))


def test_what_was_measured_stays_where_the_checks_cannot_be_made():
    """No weights to draw anew: that is said, and the record counts."""
    case = rooms()[0]
    plain = EmbeddingNetwork(nn.AvgPool2d(8), "avg", None, drawings.SMALL, name="plain")
    (record,) = records(case, question_for(case, plain, ViewAsked()), QUICK[:1], checks=True)
    assert "which has no weights" in record["unchecked"]
    assert "refused" not in record
    assert rows([{"network": "n", **record}])[0]["cases"] == 1


def test_the_drawer_draws_and_is_checked():
    case, made = rooms()[0], small()
    asked = question_for(case, made, ViewAsked())
    other = small(width=8)
    drawer = replace(question_for(case, other, ViewAsked()), query=asked.query)
    measured, seen = recording(made)
    wanted = [Asked("input_x_gradient", steps=4)]
    (record,) = records(case, replace(asked, network=measured), wanted, drawer, checks=True)
    assert record["score"] == pytest.approx(asked.score)
    map = drawn(EXPLAINERS["input_x_gradient"].draw, drawer)
    assert record["insertion"] == pytest.approx(removal_curve(asked, map, "insertion", steps=4).auc, abs=1e-6)
    assert record["stability"] == pytest.approx(stability(drawer, "input_x_gradient"))
    assert [len(one) for one in seen.seen] == [1, 4, 4]  # the score and both curves, and nothing else


# Records on disk


def record_of(number, explainer="centre", network="n", seed=0, **more):
    return {"network": network, "case": f"c{number}", "explainer": explainer, "seed": seed, **more}


def case_of(number):
    return Case(f"c{number}", "same", lambda: None, (), True)


SETTINGS = {"pairs": 3, "source": "rooms", "view": (16, "whole")}


def test_records_are_kept_line_by_line_and_found_again(tmp_path):
    kept = Records(tmp_path / "deep" / "here", SETTINGS)
    assert kept.known == []
    kept.add(record_of(0, gap=None, text="ä\u2028\n\x85"))
    assert kept.has("n", case_of(0), Asked("centre"))
    for other in (
        ("m", case_of(0), Asked("centre")),
        ("n", case_of(1), Asked("centre")),
        ("n", case_of(0), Asked("rise")),
        ("n", case_of(0), Asked("centre", seed=1)),
    ):
        assert not kept.has(*other)
    for more, added in (
        (("m", case_of(0), Asked("centre")), record_of(0, network="m")),
        (("n", case_of(0), Asked("rise")), record_of(0, "rise")),
        (("n", case_of(0), Asked("centre", seed=1)), record_of(0, seed=1)),
    ):
        aside = Records(tmp_path / "aside", SETTINGS)
        assert not aside.has(*more)
        aside.add(added)
        assert aside.has(*more)
    kept.add(record_of(1))
    again = Records(tmp_path / "deep" / "here", SETTINGS)
    assert again.known == kept.known == [record_of(0, gap=None, text="ä\u2028\n\x85"), record_of(1)]
    assert again.has("n", case_of(0), Asked("centre"))
    again.add(record_of(2))
    assert len(Records(str(tmp_path / "deep" / "here"), SETTINGS).known) == 3
    lines = (tmp_path / "deep" / "here" / "measured.jsonl").read_text().splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["c0", "c1", "c2"]


@pytest.mark.parametrize("cut", [2, 5, 20, 50])
def test_a_last_line_that_was_cut_off_is_measured_again(tmp_path, cut):
    kept = Records(tmp_path, SETTINGS)
    for number in range(3):
        kept.add(record_of(number))
    path = tmp_path / "measured.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = Records(tmp_path, SETTINGS)
    assert again.known == [record_of(0), record_of(1)]
    assert not again.has("n", case_of(2), Asked("centre"))
    again.add(record_of(2, gap=0.5))
    assert Records(tmp_path, SETTINGS).known == [record_of(0), record_of(1), record_of(2, gap=0.5)]
    assert not list(tmp_path.glob(".*"))


def test_a_line_damaged_in_the_middle_or_written_twice_counts_once_or_not(tmp_path):
    kept = Records(tmp_path, SETTINGS)
    for number in range(3):
        kept.add(record_of(number))
    path = tmp_path / "measured.jsonl"
    first, second, third = path.read_text().splitlines(keepends=True)
    for damaged in (second[:30] + "\n", "\n", "[1, 2]\n", '{"case": 3}\n', "null\n", "\udcff\n"):
        path.write_bytes((first + damaged + third + first).encode(errors="surrogateescape"))
        again = Records(tmp_path, SETTINGS)
        assert again.known == [record_of(0), record_of(2)]
        assert not again.has("n", case_of(1), Asked("centre"))
        assert len(path.read_text().splitlines()) == 2
    path.write_text(first + second.rstrip("\n"))  # whole but for its end: the next line must not join it
    again = Records(tmp_path, SETTINGS)
    again.add(record_of(2))
    assert Records(tmp_path, SETTINGS).known == [record_of(0), record_of(1), record_of(2)]
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(SimvisError, match="damaged"):
        Records(tmp_path, SETTINGS)


def test_nothing_but_half_a_line_is_a_new_beginning(tmp_path):
    Records(tmp_path, SETTINGS)
    (tmp_path / "measured.jsonl").write_text('{"network": "n", "ca')
    kept = Records(tmp_path, SETTINGS)
    assert kept.known == []
    kept.add(record_of(0))
    assert Records(tmp_path, SETTINGS).known == [record_of(0)]


def test_a_number_that_json_has_no_word_for_is_no_record(tmp_path):
    kept = Records(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        kept.add(record_of(0, gap=float("nan")))
    assert Records(tmp_path, SETTINGS).known == []


def test_other_settings_are_refused_with_what_differs(tmp_path):
    Records(tmp_path, SETTINGS).add(record_of(0))
    for other, differs in (
        (SETTINGS | {"pairs": 4}, "pairs"),
        (SETTINGS | {"pairs": 4, "view": (16, "crop")}, "pairs, view"),
        ({"pairs": 3, "view": (16, "whole")}, "source"),
        (SETTINGS | {"seed": 0}, "seed"),
    ):
        match = f"which holds an evaluation with another {differs}; wanted the same settings, to go on with it: name"
        with pytest.raises(SimvisError, match=match):
            Records(tmp_path, other)
    assert len(Records(tmp_path, dict(reversed(SETTINGS.items()))).known) == 1


def test_entries_may_join_a_table_of_settings_and_may_not_change(tmp_path):
    """Networks and explainers come one by one; what is known of each must stay."""
    first, second = SETTINGS | {"networks": {"n": "1"}}, SETTINGS | {"networks": {"m": "2"}}
    Records(tmp_path, first).add(record_of(0))
    assert Records(tmp_path, second).known == [record_of(0)]
    assert Records(tmp_path, first).known == [record_of(0)]
    for names in ({"m": "3"}, {"n": "1", "m": "3"}, {"n": "2"}, None, "n"):
        with pytest.raises(SimvisError, match="another networks; wanted the same settings"):
            Records(tmp_path, SETTINGS | {"networks": names})
    kept = json.loads((tmp_path / "evaluation.json").read_text())
    assert kept == {"pairs": 3, "source": "rooms", "view": [16, "whole"], "networks": {"n": "1", "m": "2"}}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(
        SimvisError, match=r"file', which cannot be written \(.*\); wanted a folder that can: name another"
    ):
        Records(tmp_path / "file", SETTINGS)


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not(tmp_path):
    cases, made, wanted = rooms(), small(), QUICK[:2]

    def run(folder, stop=None):
        kept, count = Records(folder, SETTINGS), 0
        for case in cases:
            missing = [asked for asked in wanted if not kept.has("n", case, asked)]
            for record in records(case, question_for(case, made, ViewAsked()), missing):
                kept.add({"network": "n", **record})
                count += 1
                if count == stop:
                    return count
        return count

    assert run(tmp_path / "whole") == 6
    assert run(tmp_path / "parts", 3) == 3
    assert run(tmp_path / "parts", 1) == 1
    assert run(tmp_path / "parts") == 2
    assert run(tmp_path / "parts") == 0
    whole, parts = (
        [{k: v for k, v in one.items() if k != "seconds"} for one in Records(tmp_path / name, SETTINGS).known]
        for name in ("whole", "parts")
    )
    assert whole == parts


# Tables


def measured(case, explainer, gap, network="n", kind="planted", **more):
    return {
        "network": network,
        "case": case,
        "kind": kind,
        "same": kind != "different",
        "explainer": explainer,
        "seed": 0,
        "score": 0.8,
        "insertion": gap,
        "deletion": 0.0,
        "insertion_rescaled": gap,
        "deletion_rescaled": 0.0,
        "gap": gap,
        "passes": 3,
        "seconds": 0.25,
        **more,
    }


RECORDS = [
    measured("1", "random", 0.1),
    measured("1", "grad_cam", 0.5, inside=0.4, area=0.1),
    measured("2", "grad_cam", 0.7, inside=0.6, area=0.2),  # before its random map
    measured("2", "random", -0.1),
    measured("3", "grad_cam", None, inside=None),
    measured("3", "random", 0.2),
    measured("1", "decomposition", 0.9, kind="same"),
    {"network": "n", "case": "2", "kind": "same", "same": True, "explainer": "rise", "seed": 0, "refused": "Got a, b"},
    measured("1", "grad_cam", 0.3, network="m"),  # whose case 1 has no random map
]


def test_rows_by_hand():
    table = rows(RECORDS)
    assert [(row["network"], row["kind"], row["explainer"], row["cases"]) for row in table] == [
        ("n", "planted", "grad_cam", 3),
        ("n", "planted", "random", 3),
        ("n", "same", "decomposition", 1),
        ("n", "same", "rise", 0),
        ("m", "planted", "grad_cam", 1),
    ]
    cam, chance, same, refused, other = table
    assert cam["difference"] == interval([0.5, 0.7])
    assert cam["insertion"].mean == pytest.approx(0.6)
    assert cam["deletion"] == interval([0.0, 0.0, 0.0])
    assert cam["over_random"] == interval([0.5 - 0.1, 0.7 + 0.1])
    assert cam["inside"] == interval([0.4, 0.6])
    assert cam["area"].mean == pytest.approx(0.15)
    assert cam["passes"].mean == 3
    assert cam["seconds"].mean == 0.25
    assert cam["pointing"] is cam["randomised"] is cam["stability"] is None
    assert chance["over_random"] is None
    assert chance["difference"].pairs == 3
    assert same["difference"] == (0.9, None, None, 1)
    assert same["over_random"].mean == pytest.approx(0.8)  # case 1's random map, of that network
    assert other["over_random"] is None
    assert refused["refused"] == "Got a, b"
    assert {refused[name] for name in ("difference", "passes", "seconds", "area")} == {None}
    assert [row["refused"] for row in table if row is not refused] == [""] * 4
    assert rows([]) == []


def test_rows_are_seeded_and_pair_by_case_is_narrower():
    """The random maps' own ups and downs, which are common to a case, go out of the difference."""
    generator = np.random.default_rng(0)
    found = []
    for case, common in enumerate(generator.normal(0, 1, 20)):
        found += [
            measured(str(case), "random", common),
            measured(str(case), "lime", common + generator.normal(0.3, 0.1)),
        ]
    row = rows(found)[0]
    width = lambda value: value.high - value.low
    assert width(row["over_random"]) < width(row["difference"]) / 4
    assert row["over_random"].mean == pytest.approx(0.3, abs=0.1)
    assert rows(found) == rows(found)
    assert rows(found, 1)[0]["over_random"] != row["over_random"]


def test_the_csv_can_be_read_back():
    table = rows(RECORDS)
    text = as_csv(table).decode()
    assert "nan" not in text.lower().replace("name", "")
    assert "None" not in text
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(read) == len(table)
    for line, row in zip(read, table, strict=True):
        assert None not in line
        assert (line["network"], line["explainer"], line["cases"]) == (
            row["network"],
            row["explainer"],
            str(row["cases"]),
        )
        assert line["refused"] == row["refused"]
        for name in ("insertion", "difference", "over_random", "inside", "stability", "area", "passes", "seconds"):
            values = [line[name], line[f"{name}_low"], line[f"{name}_high"]]
            wanted = [None] * 3 if row[name] is None else row[name][:3]
            assert [float(value) if value else None for value in values] == pytest.approx(wanted)
    assert as_csv([]).decode().splitlines() == ["network"]


def test_the_markdown_has_a_column_for_each_number_there_is():
    table = rows(RECORDS)
    told = [{"network": "n", "explainer": "lime", "pairs": 4, "clean": 0.75, "auc": 0.5, "threshold": 0.3}]
    sections = as_markdown(table, told).split("### ")[1:]
    assert [section.splitlines()[0] for section in sections] == ["n, planted", "n, same", "m, planted", "Verification"]
    heads = [cell.strip() for cell in sections[0].splitlines()[2].strip("|").split("|")]
    common = ["insertion", "deletion", "difference", "over random", "insertion rescaled", "deletion rescaled"]
    assert heads == ["explainer", "cases", *common, "inside", "passes", "seconds"]
    for section in sections:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) == {"|", "-"}
    cam = [cell.strip() for cell in sections[0].splitlines()[4].strip("|").split("|")]
    low, high = table[0]["difference"][1:3]
    assert cam[:2] == ["Grad-CAM", "3"]
    assert cam[4] == f"0.600 ({low:.3f} to {high:.3f})"
    assert cam[-2:] == ["3", "0.25"]
    assert "15.0 % of the picture" in sections[0]
    assert "of the picture" not in sections[1]
    assert "| n | LIME | 4 | 0.750 | 0.500 |" in sections[3]
    assert "0.900 |" in sections[1]
    assert "Verification" not in as_markdown(table)


CURVES = {"shares": [0.0, 0.5, 1.0], "insertion_curve": [0.2, 0.5, 0.9], "deletion_curve": [0.9, 0.6, 0.2]}


def curved(case, kind, deletion, explainer="centre", network="n", insertion=(0.0, 0.0, 0.0), **more):
    lines = {"shares": [0.0, 0.5, 1.0], "insertion_curve": list(insertion), "deletion_curve": list(deletion)}
    return measured(case, explainer, 0.1, network=network, kind=kind, **lines, **more)


def test_verification_by_hand():
    found = verification(
        [
            curved("1", "same", (0.9, 0.6, 0.0)),
            curved("2", "same", (0.3, 0.3, 0.3)),
            curved("3", "different", (0.2, 0.6, 0.2)),
            curved("4", "different", (0.1, 0.1, 0.1)),
            curved("5", "planted", (0.0, 0.0, 0.0)),  # neither
            curved("1", "same", (0.9, 0.9, 0.9), network="only one kind"),
            {
                "network": "n",
                "case": "9",
                "kind": "same",
                "same": True,
                "explainer": "rise",
                "seed": 0,
                "refused": "no",
            },
            curved("1", "same", (0.9, 0.9, 0.9), "decomposition"),
            curved("3", "different", (0.1, 0.1, 0.9), "decomposition"),
        ]
    )
    assert [(row["network"], row["explainer"], row["pairs"]) for row in found] == [
        ("n", "decomposition", 2),
        ("n", "centre", 4),
    ]
    assert found[1]["threshold"] == pytest.approx(0.25)
    assert found[1]["clean"] == 1
    # Half gone: .6 and .3 accepted, .6 accepted wrongly, .1 refused. All gone: 0 wrong, .3 right, .2 and .1 right.
    assert found[1]["auc"] == pytest.approx((1 + 2 * 0.75 + 0.75) / 4)
    assert found[0]["auc"] == pytest.approx((1 + 2 * 1 + 0.5) / 4)
    assert verification([]) == []


def test_verification_of_pictures_of_several_shapes(tmp_path):
    """Views of unlike sizes: their steps are other whole numbers of pixels."""
    generator, made = np.random.default_rng(0), small()
    for label in "ab":
        (tmp_path / label).mkdir()
        for number, size in enumerate(((16, 24), (24, 16), (16, 40))):
            values = generator.integers(0, 255, (*size, 3), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / label / f"{number}.png")
    found = []
    for case in folder_cases(tmp_path, 3):
        asked = question_for(case, made, ViewAsked())
        found += [{"network": "n", **one} for one in records(case, asked, [Asked("centre")])]
    assert len({tuple(one["shares"]) for one in found}) > 1
    assert [row["pairs"] for row in verification(found)] == [6]
    assert {len(both["deletion"].scores) for both in mean_curves(found)["n, same"].values()} == {51}


def test_mean_curves_by_hand():
    short = {"shares": [0.0, 1.0], "insertion_curve": [0.0, 1.0], "deletion_curve": [1.0, 0.0]}
    found = mean_curves(
        [
            curved("1", "same", (0.9, 0.6, 0.0), insertion=(0.0, 0.2, 0.9)),
            curved("2", "same", (0.5, 0.2, 0.2), insertion=(0.2, 0.4, 0.5)),
            curved("3", "different", (0.1, 0.1, 0.1)),
            curved("1", "same", (0.7, 0.7, 0.7), "lime"),
            {**curved("2", "same", (0.7, 0.7, 0.7), "lime"), **short},
            {
                "network": "n",
                "case": "9",
                "kind": "same",
                "same": True,
                "explainer": "rise",
                "seed": 0,
                "refused": "no",
            },
        ]
    )
    assert {place: list(both) for place, both in found.items()} == {
        "n, same": ["centre", "lime"],
        "n, different": ["centre"],
    }
    centre = found["n, same"]["centre"]
    assert list(centre) == ["insertion", "deletion"]
    assert centre["deletion"].scores.tolist() == pytest.approx([0.7, 0.4, 0.1])
    assert centre["insertion"].scores.tolist() == pytest.approx([0.1, 0.3, 0.7])
    assert (centre["insertion"].kind, centre["deletion"].kind) == ("insertion", "deletion")
    assert centre["deletion"].shares.tolist() == [0, 0.5, 1]
    assert (centre["deletion"].full, centre["insertion"].background) == pytest.approx((0.7, 0.1))
    lime = found["n, same"]["lime"]  # a tiny picture has fewer steps: only those that have as few are averaged
    assert lime["deletion"].scores.tolist() == [1, 0]
    assert mean_curves([]) == {}


def test_a_kept_curve_is_the_curve():
    record = measured("1", "centre", 0.1, **CURVES)
    insertion, deletion = removal_of(record, "insertion"), removal_of(record, "deletion")
    assert (insertion.kind, insertion.full, insertion.background) == ("insertion", 0.9, 0.2)
    assert (deletion.kind, deletion.full, deletion.background) == ("deletion", 0.9, 0.2)
    uneven = removal_of(record | {"shares": [0.0, 0.6, 1.0]}, "insertion")
    assert uneven.shares.tolist() == pytest.approx([0, 0.4, 1])
