"""Sentences about numbers: what is shown rounded still adds up."""

import re
from decimal import Decimal
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from simvis_core.decomposition import Method
from ui import words

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
    assert bool(words.UNITS[method]) == (method != "none")


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
