"""The benchmarks run and print their tables; how fast things are is not a test's business."""

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tables import Table, number
from benchmarks.timing import Budget, Race, race

ROOT = Path(__file__).parents[2]
# Memory and waiting start a dozen processes more.
QUESTIONS = (
    *("embed", "explain", "interact", "naive", "page", "gallery", "recall", "masks", "training", "concepts", "depth"),
    *("learnt_attributes", "crowd"),
)


@pytest.mark.network
@pytest.mark.slow
def test_the_quick_form_prints_every_table_and_writes_them(tmp_path):
    command = [sys.executable, "-m", "benchmarks", *QUESTIONS, "--quick", "--json", str(tmp_path / "all.json")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written = json.loads((tmp_path / "all.json").read_text())
    assert [entry["question"] for entry in written["answers"]] == list(QUESTIONS)
    assert "torch" in written["versions"]
    for table in (table for entry in written["answers"] for table in entry["tables"]):
        assert f"### {table['title']}\n" in answer.stdout
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) and all(row) for row in table["rows"])


@pytest.mark.network
@pytest.mark.slow
def test_a_peak_of_memory_never_sinks_and_the_cache_keeps_its_limit():
    command = [sys.executable, "-m", "benchmarks.memory", "session", "8", "1", "2", "3"]
    answer = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    peaks = [answer[count] for count in ("1", "2", "3")]
    assert peaks == sorted(peaks)
    assert answer["cached"] <= 8


def test_jobs_take_turns_and_each_begins_a_round():
    calls = []
    race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, [], Budget(2, 0))
    assert "".join(calls) == "ab" + "ab" + "ba"


def test_a_ratio_is_the_median_over_rounds_not_the_ratio_of_medians():
    rounds = Race({"base": [1.0, 10.0, 100.0], "job": [3.0, 20.0, 100.0]})
    assert rounds.ratio("job", "base") == 2
    assert rounds.milliseconds("job") == 20_000
    assert rounds.error("base", "base") == 0


def test_a_race_stops_once_the_ratio_is_stable_or_time_is_up():
    instant = {"a": lambda: None, "b": lambda: None}
    assert len(race(instant, [], Budget(5, 60)).seconds["a"]) == 5
    assert len(race(instant, [("a", "b")], Budget(3, 0)).seconds["a"]) == 3


def test_the_error_of_a_ratio_is_that_of_a_median():
    ratios = statistics.NormalDist(1, 0.1).inv_cdf
    rounds = Race({"base": [1.0] * 99, "job": [ratios((i + 1) / 100) for i in range(99)]})
    assert math.isclose(rounds.error("job", "base"), 1.25 * 0.1 / math.sqrt(99), rel_tol=0.02)


def test_a_table_is_markdown():
    table = Table("Title", ["what", "ms"], [["one", number(1.234)], ["two", number(123.4)]], ["Note."])
    assert table.markdown() == "### Title\n\n| what | ms |\n| --- | ---: |\n| one | 1.23 |\n| two | 123 |\n\nNote."
