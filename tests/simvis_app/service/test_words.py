"""Sentences about numbers: what is shown rounded still adds up."""

import re
from decimal import Decimal
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from simvis_app.service import words
from simvis_core.decomposition import Method
from simvis_core.files.numbers import UNITS
from simvis_core.galleries.classes import ClassMembers
from simvis_core.galleries.curves import MeanCurve
from simvis_core.galleries.indexing import Progress
from simvis_core.stores.contract import Row, Space

COSINES = st.floats(-1, 1)


def stub(score, cells_cells, verdict="exact", method="decomposition"):
    """As much of an explanation as the score lines read."""
    network = SimpleNamespace(pooling="avg", trained_pooling="avg")
    ledger = {"cells_cells": cells_cells}
    return SimpleNamespace(score=score, ledger=ledger, verdict=verdict, network=network, method=method)


@given(COSINES, st.floats(-2, 2))
@example(0.742, 0.69)
@example(-0.0001, 0.3)
@example(0.0004, 0.0005)
@example(0.5, 0.7)
def test_the_rounded_numbers_of_the_ledger_line_add_up(score, cells_cells):
    line = words.ledger_line(stub(score, cells_cells))
    number = r"(-?\d\.\d{3})"
    found = re.match(rf"{number} in the pictures ([+-]) {number} from the bias = {number} ", line)
    assert found, line
    pictures, sign, bias, total = found.groups()
    assert Decimal(pictures) + Decimal(sign + bias) == Decimal(total)
    assert not Decimal(bias).is_signed()
    assert abs(float(total) - score) <= 0.000501
    assert abs(float(pictures) - cells_cells) <= 0.001001
    assert "-0.000" not in line


def test_a_negative_bias_is_taken_away():
    assert words.ledger_line(stub(0.5, 0.7)).startswith("0.700 in the pictures - 0.200 from the bias = 0.500 ")


@pytest.mark.parametrize("verdict", ["exact", "exact at this input", "black box"])
def test_every_verdict_has_words(verdict):
    assert verdict in words.ledger_line(stub(0.5, 0.5, verdict))


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_has_words_a_unit_and_a_sum_only_where_it_adds_up(method):
    line = words.ledger_line(stub(0.5, 0.2, "black box", method))
    assert words.METHODS[method] in line
    assert (" = 0.500" in line) == (method in ("decomposition", "last-block values"))
    assert bool(UNITS[method]) == (method != "none")


def test_progress_is_a_bar_with_its_numbers_or_nothing():
    assert words.progress(0, 0, 1.0) == ""
    assert "left" not in words.progress(0, 96, 0.0)
    assert "24 of 96 masked pictures, about 30 s left" in words.progress(24, 96, 10.0)
    assert "about 5 min left" in words.progress(24, 96, 100.0)
    assert '<progress value="24" max="96">' in words.progress(24, 96, 1.0)


@given(COSINES)
@example(-0.0)
@example(-0.0003)
def test_a_score_is_never_minus_zero(score):
    assert "-0.000" not in words.score_line(stub(score, score))
    assert f"{abs(score):.3f}" in words.score_line(stub(score, score))


@given(st.floats(-1, 1))
@example(0.0)
@example(-0.0)
@example(0.0095)
@example(1e-9)
def test_a_number_keeps_what_would_vanish(value):
    text = words.number(value)
    assert abs(float(text) - value) <= max(0.0005001, 0.051 * abs(value))
    assert (float(text) == 0) == (value == 0)
    assert text != "-0.000"


def test_percent_of_nothing_is_left_out():
    assert words.percent(0.1, 0) == ""
    assert words.percent(0.25, 0.5) == "50.0 %"
    assert words.percent(-0.25, 0.5) == "-50.0 %"
    assert words.of_score(0.1, 0) == "0.100 of 0.000"
    assert words.of_score(0.031, 0.742) == "0.031 of 0.742, 4.2 %"


def with_maps(score, **maps):
    return SimpleNamespace(score=score, side=lambda side: (None, None, torch.tensor(maps[side])))


def test_concentration_says_how_few_cells_carry_half():
    one_of_four, two_of_four = [[0.0, 0.1], [0.5, 0.1]], [[0.2, 0.25], [0.15, 0.2]]
    text = words.concentration(with_maps(0.8, a=one_of_four, b=two_of_four))
    assert text == "half of the score: 25 % of A's cells, 50 % of B's cells"


@pytest.mark.parametrize("score", [-0.5, 0.0, 0.9])
def test_concentration_where_nothing_carries_half(score):
    """A negative score, none, and one that mostly comes from the bias."""
    nobody = with_maps(score, a=[[0.1, 0.1]], b=[[0.1, 0.1]])
    assert words.concentration(nobody) == "no number of cells carries half of the score"


def test_another_pooling_is_called_a_what_if(pair):
    assert words.what_if(pair) == ""
    assert words.what_if(pair.with_pooling("max")) == "what-if: trained with avg"


# Galleries

HOSTILE = "<img src=x onerror=alert(1)>"


def space(pooling="avg", view="224 whole", fingerprint="abcdef123", network="mobilenet_v2"):
    return Space("animals", network, pooling, 9, fingerprint, view)


def members(count, label="cat"):
    rows = tuple(Row(f"{at:064x}", f"/photos/{HOSTILE}/{at}{HOSTILE}.png", label) for at in range(count))
    embeddings = torch.eye(9)[:count]
    return ClassMembers(label, rows, embeddings, torch.linspace(0.9, 0.1, count))


def curve(score=0.5):
    counts, shares = torch.tensor([1, 9]), torch.tensor([0.25, 1.0], dtype=torch.float64)
    return MeanCurve(counts, shares, shares, shares, 7, 2, score)


PROGRESS = Progress(40, 8, 1, 0, 0, 0, {f"/x/{HOSTILE}/{at}.png": f"not {HOSTILE}" for at in range(25)}, 4.0)


@pytest.mark.parametrize(
    "text",
    [
        words.notice(HOSTILE),
        words.why(HOSTILE, HOSTILE, 0.5),
        words.waiting(HOSTILE, PROGRESS),
        words.indexed(PROGRESS, stopped=True),
        words.class_status(members(3)),
        words.class_status(members(1)),
        words.nearest_classes([(HOSTILE, 3, 0.5), (HOSTILE, 1, 0.25)]),
        words.curve_table({HOSTILE: curve()}),
        words.report(HOSTILE),
    ],
    ids=["notice", "why", "waiting", "indexed", "class", "class of one", "nearest", "curves", "report"],
)
def test_a_stranger_s_name_is_text_wherever_it_is_quoted(text):
    assert "<img" not in text
    assert "onerror" not in text or "&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_status_says_what_ranked():
    assert words.ranked_by(None) == "by their score with the whole picture"
    assert words.ranked_by(0.25).endswith("it carries 0.250 of 1")
    assert words.search_status() == ""
    assert words.search_status(True, True).count(".") == 2


def test_a_hits_share_is_part_of_its_score():
    assert words.region_note(0.2, 0.8) == "of the whole score 0.800 (25.0 %)"
    assert words.region_note(-0.2, 0.8) == "of the whole score 0.800 (-25.0 %)"
    assert words.region_note(0.2, 0.0) == "of the whole score 0.000"


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.500"), (-0.5, "-0.500"), (-0.0, "+0.000"), (-0.0001, "-0.0001"), (3e-5, "+3e-05")]
)
def test_a_difference_has_a_sign_and_none_that_says_nothing(value, text):
    assert words.signed(value) == text


def test_why_says_more_or_less():
    assert "0.250 more with <em>x</em> than with <em>y</em>" in words.why("x", "y", 0.25)
    assert "0.250 less with <em>x</em> than with <em>y</em>" in words.why("x", "y", -0.25)


def test_two_spaces_of_one_label_are_told_apart_and_others_are_short():
    one, other, third = space(), space(fingerprint="123456789"), space("max")
    assert words.space_labels([one, third]) == {
        one.name: words.space_label("mobilenet_v2", "avg", "224 whole"),
        third.name: words.space_label("mobilenet_v2", "max", "224 whole"),
    }
    labels = words.space_labels([one, other, third])
    assert len(set(labels.values())) == 3
    assert labels[one.name].endswith(", weights abcdef")
    assert labels[other.name].endswith(", weights 123456")
    assert "weights" not in labels[third.name]
    assert words.space_label("yours/<b>", "avg", "224 whole").startswith("yours/<b>, avg")  # a list shows it as text


@pytest.mark.parametrize(
    ("file", "name"),
    [("/a/b/c.png", "b/c.png"), ("c.png", "c.png"), ("C:\\a\\b\\c.png", "b/c.png"), ("/c.png", "/c.png"), ("", "")],
)
def test_a_file_is_named_with_its_folder(file, name):
    assert words.file_name(file) == name


def test_indexing_says_how_far_it_is_and_what_was_left_out():
    assert "0 of 40 pictures, 0.0 a second" in words.indexing(Progress(40))
    assert "34 of 40 pictures, 2.0 a second, about 1 s left" in words.indexing(PROGRESS)
    assert 'value="0.850"' in words.indexing(PROGRESS)
    assert 'value="0.000"' in words.indexing(Progress(0))
    text = words.indexed(PROGRESS, stopped=False)
    assert text.count("<li>") == words.LISTED_SKIPPED + 1
    assert "and 5 more" in text
    assert "Stopped" not in text
    assert words.indexed(PROGRESS, stopped=True).startswith("<p>Stopped; what is indexed stays")
    assert "<ul>" not in words.indexed(Progress(40, 40), stopped=False)


def test_a_class_is_described_by_its_ends():
    assert "One picture" in words.class_status(members(1))
    text = words.class_status(members(3))
    assert "3 pictures with a mean score of 0.500" in text
    assert "(0.900); least typical" in text
    assert [words.typical(rank, 3).split(",")[0] for rank in range(3)] == [
        "most typical",
        "mean score with the others",
        "least typical",
    ]
    assert words.typical(0, 1) == "alone in its class"


def test_nearest_classes_count_their_pictures():
    text = words.nearest_classes([("cat", 3, 0.5), ("dog", 1, -0.0001)])
    assert "cat: 0.500 (3 pictures)" in text
    assert "dog: 0.000 (1 picture)" in text


def test_curves_have_a_row_each():
    text = words.curve_table({"one": curve(), "two": curve(-0.0)})
    assert text.count("<tr>") == 3
    assert '<th scope="row">one</th><td>100.0 %</td><td>0.500</td><td>7</td><td>2</td>' in text
