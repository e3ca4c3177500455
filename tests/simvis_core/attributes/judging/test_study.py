"""The study: balanced trials, a page that gives nothing away, and an analysis that recovers readers' known skill."""

import csv
import io
import json
import random
from collections import Counter

import pytest
import torch
from PIL import Image

from simvis_core import SimvisError
from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.attributes.judging.choices import OURS, chosen_attributes
from simvis_core.attributes.judging.looks import Looks
from simvis_core.attributes.judging.protocol import LearntTerms
from simvis_core.attributes.judging.study_answers import ANSWER_COLUMNS, ReaderAnswer, read_answers, study_results
from simvis_core.attributes.judging.study_design import (
    CONDITIONS,
    LEAST_MARGIN,
    StudyTrial,
    condition_of,
    order_of,
    study_trials,
)
from simvis_core.attributes.judging.study_page import TrialPictures, pages_of_study
from tests.simvis_core.attributes.judging.test_judging import KNOWN, PRIORS, drawn

LEARNT = LearntTerms(tuple(PRIORS), KNOWN)


def test_trials_are_of_different_queries_with_the_higher_one_on_either_side():
    looks = drawn(0, count=40)
    trials = study_trials(looks, range(40), LEARNT)
    assert len({trial.query for trial in trials}) == len(trials) == 24
    assert Counter(trial.higher for trial in trials) == {"left": 12, "right": 12}
    few = [study_trials(looks, range(40), LEARNT, count=4, seed=seed) for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]
    for trial in trials:
        left, right = (float(looks.embeddings[at] @ looks.embeddings[trial.query]) for at in (trial.left, trial.right))
        assert abs(left - right) >= LEAST_MARGIN
        assert trial.higher == ("left" if left > right else "right")
        assert len({trial.query, trial.left, trial.right}) == 3


def test_words_are_those_of_each_candidate_and_none_without_a_condition_that_has_them():
    looks = drawn(2, count=40)
    everything = torch.ones(len(looks.labels.names), dtype=torch.bool)
    for trial in study_trials(looks, range(40), LEARNT)[:6]:
        assert tuple(trial.words) == CONDITIONS
        assert trial.words["nothing"] == trial.words["map"] == ("", "")
        for side, candidate in enumerate((trial.left, trial.right)):
            named = chosen_attributes(looks, (candidate, trial.query), PRIORS, KNOWN, everything)
            assert trial.words["map and the named attribute"][side] == looks.labels.names[named[OURS]]
            surest = int(looks.confidences[candidate].argmax())
            assert trial.words["map and the surest attribute"][side] == looks.labels.names[surest]


def test_too_few_pictures_are_refused():
    with pytest.raises(SimvisError, match=r"20 pictures, of which \d+ have two hits .*; wanted 24 such queries"):
        study_trials(drawn(0, count=20), range(20), LEARNT)


def test_forms_are_balanced():
    for form in range(5):
        assert sorted(Counter(condition_of(trial, form) for trial in range(24)).values()) == [4, 5, 5, 5, 5]
        assert sorted(order_of(24, form)) == list(range(24))
    for trial in range(24):
        assert {condition_of(trial, form) for form in range(5)} == set(CONDITIONS)


@pytest.fixture(scope="module")
def files():
    image = Image.new("RGB", (30, 20), "orange")
    words = dict.fromkeys(CONDITIONS, ("</script><b>", "dome"))
    trials = [StudyTrial(at, at + 1, at + 2, "left" if at % 3 else "right", words) for at in range(24)]
    return pages_of_study(trials, [TrialPictures(image, (image, image), (image, image))] * 24)


def test_the_page_needs_nothing_else_and_does_not_tell_what_is_right(files):
    page = files["study.html"].decode()
    assert "http://" not in page
    assert "https://" not in page
    assert "</script><b>" not in page
    data = json.loads(page.partition('id="study">')[2].partition("</script>")[0])
    assert set(data) == {"study", "forms", "conditions", "trials"}
    assert set(data["trials"][0]) == {"query", "left", "right", "words"}
    key = json.loads(files["key.json"])
    assert key["study"] == data["study"]
    assert key["forms"] == data["forms"]


def simulated(folder, files, skill, readers, seed=0):
    """Readers that are right by chance of their skill under each condition, and take two seconds more with nothing."""
    key, chance = json.loads(files["key.json"]), random.Random(seed)
    (folder / "key.json").write_bytes(files["key.json"])
    paths = []
    for reader in range(1, readers + 1):
        form = (reader - 1) % 5
        rows = io.StringIO()
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(ANSWER_COLUMNS)
        for place, trial in enumerate(key["forms"][form]["order"]):
            condition = key["forms"][form]["conditions"][trial]
            right = chance.random() < skill[CONDITIONS[condition]]
            side = key["higher"][trial] if right else {"left": "right", "right": "left"}[key["higher"][trial]]
            time = chance.gauss(5000 if condition == 0 else 3000, 300)
            writer.writerow([key["study"], reader, form, trial, place, condition, side, round(time)])
        paths.append(folder / f"answers-{reader}.csv")
        paths[-1].write_text(rows.getvalue())
    return paths


def test_the_known_skill_of_simulated_readers_is_recovered(files, tmp_path):
    skill = dict(zip(CONDITIONS, (0.5, 0.7, 0.6, 0.95, 0.75), strict=True))
    paths = simulated(tmp_path, files, skill, readers=60)
    results = study_results(read_answers(paths, tmp_path / "key.json"))
    assert [one.condition for one in results] == list(CONDITIONS)
    for one in results:
        assert (one.readers, one.accuracy.pairs) == (60, 60)
        assert one.accuracy.low - 0.02 < skill[one.condition] < one.accuracy.high + 0.02
        assert abs(one.seconds.mean - (5 if one.condition == "nothing" else 3)) < 0.15
    named = {one.condition: one.over_map for one in results}
    assert named["map and the named attribute"].low > 0 > named["nothing"].high
    assert named["map"] is None
    assert sum(one.answers for one in results) == 60 * 24


def test_where_all_guess_no_condition_is_better(files, tmp_path):
    """Of 95 % intervals one in twenty misses: of these at most four."""
    covered = []
    for seed in range(4):
        paths = simulated(tmp_path, files, dict.fromkeys(CONDITIONS, 0.5), readers=40, seed=seed)
        for one in study_results(read_answers(paths, tmp_path / "key.json")):
            covered.append(one.accuracy.low < 0.5 < one.accuracy.high)
            assert one.over_map is None or abs(one.over_map.mean) < 0.15
    assert sum(covered) >= 16


def test_one_reader_has_no_interval():
    [one] = study_results([ReaderAnswer("1", "map", True, 2.0), ReaderAnswer("1", "map", False, 4.0)])
    assert (one.accuracy.mean, one.accuracy.low, one.seconds.mean) == (0.5, None, 3.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda text: text.replace("study,", "page,", 1), "'answers-1.csv'; wanted the columns study, reader"),
        (lambda text: "", "wanted the columns study, reader"),
        (lambda text: text[: text.index("\n") + 1], r"line 1, which is cut off"),
        (lambda text: text[:-20], r"which is cut off|as nothing was asked|numbers that"),
        (lambda text: text.replace(",left,", ",up,", 1), "'up' to trial"),
        (lambda text: text.replace(",1,0,", ",1,7,", 1), "line 2: numbers that the study does not have"),
        (lambda text: text.replace(",1,0,", ",1,1,", 1), "in form 1, as nothing was asked"),
        (lambda text: text + text.splitlines()[-1] + "\n", r"line 26: trial \d+ once more"),
        (
            lambda text: "\n".join(["x" + line[1:] for line in text.splitlines()]).replace("xtudy", "study"),
            "of study x",
        ),
    ],
)
def test_answers_that_do_not_fit_are_named_by_file_and_line(files, tmp_path, wrong, said):
    [path] = simulated(tmp_path, files, dict.fromkeys(CONDITIONS, 0.5), readers=1)
    path.write_text(wrong(path.read_text()))
    with pytest.raises(SimvisError, match=said):
        read_answers([path], tmp_path / "key.json")


def test_a_reader_in_two_files_or_another_key_is_refused(files, tmp_path):
    one, _ = simulated(tmp_path, files, dict.fromkeys(CONDITIONS, 0.5), readers=2)
    (tmp_path / "again.csv").write_text(one.read_text())
    with pytest.raises(SimvisError, match=r"'again.csv', line 2: reader 1, who is in '.*answers-1.csv' too"):
        read_answers([one, tmp_path / "again.csv"], tmp_path / "key.json")
    (tmp_path / "key.json").write_text('{"study": 1}')
    with pytest.raises(SimvisError, match=r"which is no key of a study; .*name the key.json"):
        read_answers([one], tmp_path / "key.json")
    with pytest.raises(SimvisError, match="is missing"):
        read_answers([one], tmp_path / "nowhere.json")


def test_looks_of_one_kind_of_attribute_make_trials_too():
    """A model with a single attribute names it everywhere."""
    looks = drawn(3, count=40)
    labels = AttributeLabels(looks.labels.pictures, looks.labels.classes, ("fur",), looks.labels.values[:, :1])
    shown = [one._replace(confidences=one.confidences[:1], maps=one.maps[:1]) for one in looks.shown]
    trials = study_trials(Looks(labels, looks.kinds, shown, looks.splits), range(40), LearntTerms((0.5,), KNOWN))
    assert {trial.words["map and a random attribute"] for trial in trials} == {("fur", "fur")}
