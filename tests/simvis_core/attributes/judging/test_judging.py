"""The protocol on planted pictures: what is chosen, what a swap does, what is averaged, and what chance has."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.attributes.judging.choices import OURS, THE_PAPERS, chosen_attributes
from simvis_core.attributes.judging.figures import agreement_of_choices, by_class, precision_of_attributes
from simvis_core.attributes.judging.looks import Looks
from simvis_core.attributes.judging.protocol import LearntTerms, judge_steps, judgement_table, learnt_terms
from simvis_core.attributes.judging.swaps import swap
from simvis_core.attributes.ranker import Bound, Calibration, Phi, ShownAttributes, rank
from simvis_core.decomposition import Decomposition
from simvis_core.steps import run

NAMES = tuple("uvwxy")
KNOWN = {
    preset: Calibration(preset, (Bound(-3, 3), Bound(-1, 1), Bound(0, 1)), phi, 0.5)
    for preset, phi in (("simvis", Phi(0.4, 0.6, 0)), ("sane", Phi(0.2, 0.7, 0.1)))
}
PRIORS = [0.2, 0.5, 0.9, 0.5, 0.4]
ALL = torch.ones(len(NAMES), dtype=torch.bool)


def drawn(seed, count=12, kinds=None):
    """Pictures of three cells by two, with random embeddings, attributes and labels, some of which nobody can tell."""
    chance = torch.Generator().manual_seed(seed)
    splits, shown = [], []
    for _ in range(count):
        cells = torch.randn(3, 2, 4, generator=chance, dtype=torch.float64)
        length = cells.sum((0, 1)).norm()
        splits.append(Decomposition(cells / length, torch.zeros(4, dtype=torch.float64)))
        confidences = 2 * torch.randn(len(NAMES), generator=chance, dtype=torch.float64)
        shown.append(ShownAttributes(confidences, torch.randn(len(NAMES), 3, 2, generator=chance, dtype=torch.float64)))
    values = torch.randint(3, (count, len(NAMES)), generator=chance).double()
    values[values == 2] = torch.nan
    names = tuple(f"{at}.jpg" for at in range(count))
    labels = AttributeLabels(names, tuple(str(at // 2) for at in range(count)), NAMES, values)
    directions = [torch.randn(len(NAMES), 4, generator=chance, dtype=torch.float64) for _ in range(count)]
    return Looks(labels, kinds or ("",) * count, shown, splits, directions)


def test_ours_and_the_papers_are_the_rankers_first():
    looks = drawn(0)
    for pair in ((0, 1), (3, 8), (5, 2)):
        found = chosen_attributes(looks, pair, PRIORS, KNOWN, ALL)
        for way, preset in ((OURS, "simvis"), (THE_PAPERS, "sane")):
            terms = looks.terms(*pair, PRIORS, preset, both=preset == "simvis")
            assert NAMES[found[way]] == rank(NAMES, terms, KNOWN[preset]).attributes[0].name
        sure = looks.confidences[list(pair)].tolist()
        product = [1 / (1 + math.exp(-one)) / (1 + math.exp(-other)) for one, other in zip(*sure, strict=True)]
        assert found["most confident"] == sure[0].index(max(sure[0]))
        assert found["confidence product"] == product.index(max(product))


@settings(max_examples=25)
@given(st.integers(0, 5), st.integers(1, 2 ** len(NAMES) - 1))
def test_only_what_is_asked_is_named(seed, asked):
    mask = torch.tensor([bool(asked >> at & 1) for at in range(len(NAMES))])
    found = chosen_attributes(drawn(seed), (0, 1), PRIORS, KNOWN, mask)
    assert all(mask[at] for at in found.values())


def test_random_names_are_fixed_by_the_seed_and_differ_between_pairs():
    looks = drawn(1)
    names = [chosen_attributes(looks, (0, at), PRIORS, KNOWN, ALL, seed=4)["random"] for at in range(1, 12)]
    assert names == [chosen_attributes(looks, (0, at), PRIORS, KNOWN, ALL, seed=4)["random"] for at in range(1, 12)]
    assert len(set(names)) > 1


@pytest.mark.parametrize("seed", range(4))
def test_a_swap_is_that_of_a_search_by_hand(seed):
    kinds = tuple("shoe" if at % 3 else "hat" for at in range(12))
    looks = drawn(seed, kinds=kinds)
    units, values = looks.embeddings.tolist(), looks.labels.values.tolist()

    def dot(one, other):
        return math.fsum(a * b for a, b in zip(units[one], units[other], strict=True))

    for a, b in ((0, 1), (4, 9)):
        for attribute in range(len(NAMES)):
            score, near = dot(a, b), {}
            for value in (0.0, 1.0):
                others = [
                    at
                    for at in range(12)
                    if at not in (a, b) and kinds[at] == kinds[a] and values[at][attribute] == value
                ]
                near[value] = dot(max(others, key=lambda at: dot(at, a)), b) if others else None
            found = swap(looks, (a, b), attribute)
            own = values[a][attribute]
            expected = (
                score - near[0.0] if own == 1 and near[0.0] is not None else None,
                near[1.0] - score if own == 0 and near[1.0] is not None else None,
                near[1.0] - near[0.0] if None not in near.values() else None,
            )
            for got, wanted in zip(found, expected, strict=True):
                assert got == (None if wanted is None else pytest.approx(wanted, abs=1e-12))


def planted(seed):
    """Sixteen classes of three pictures; one attribute of each class makes the embedding, the others are noise."""
    looks, chance = drawn(seed, 48), torch.Generator().manual_seed(seed)
    values, shown, splits = torch.zeros(48, len(NAMES), dtype=torch.float64), [], []
    for at in range(48):
        own = at // 3 % len(NAMES)
        values[at, own] = 1
        unit = 0.2 * torch.randn(8, generator=chance, dtype=torch.float64)
        unit[own] += 1
        cells = 0.05 * torch.randn(3, 2, 8, generator=chance, dtype=torch.float64)
        place = int(torch.randint(6, (1,), generator=chance))
        cells[place // 2, place % 2] += unit
        splits.append(Decomposition(cells / cells.sum((0, 1)).norm(), torch.zeros(8, dtype=torch.float64)))
        maps = 0.3 * torch.randn(len(NAMES), 3, 2, generator=chance, dtype=torch.float64)
        maps[own, place // 2, place % 2] += 1
        confidences = torch.randn(len(NAMES), generator=chance, dtype=torch.float64)
        confidences[own] += 1
        shown.append(ShownAttributes(confidences, maps))
    labels = AttributeLabels(tuple(map(str, range(48))), tuple(str(at // 3) for at in range(48)), NAMES, values)
    directions = [torch.eye(8, dtype=torch.float64)[: len(NAMES)]] * 48
    return Looks(labels, looks.kinds[:1] * 48, shown, splits, directions)


def test_what_is_planted_is_named_and_its_removal_lowers_the_score():
    looks = planted(0)
    strangers = [(at, at + 3) for at in range(0, 21)]
    learnt = learnt_terms(looks, [*((at, at + 1) for at in range(0, 24, 3)), *strangers])
    pairs = [(at, at + 1) for at in range(24, 48, 3)]
    told = []
    steps = judge_steps(looks, pairs, learnt)
    table = {row["by"]: row for row in judgement_table(run(steps, told.append))}
    assert told[-1] == (8, 8)
    assert table[OURS]["true"].mean > 0.8
    assert table[OURS]["over_random"].low > 0
    assert table[OURS]["removed"].low > 0.1
    assert table[OURS]["with_less_without"].mean > table["random"]["with_less_without"].mean
    assert table["random"]["true"].mean < 0.6


def test_a_pair_of_which_nothing_is_known_is_not_judged():
    looks = planted(1)
    looks.labels.values[:2] = torch.nan
    learnt = LearntTerms(tuple(PRIORS), KNOWN)
    assert {one["a"] for one in run(judge_steps(looks, [(0, 1), (3, 4)], learnt))} == {"3"}


def test_means_are_over_classes():
    assert by_class([1.0, 1.0, 1.0, 0.0, None], list("aaabb")).mean == 0.5
    assert by_class([None, None], ["a", "b"]) is None


def test_precision_is_that_of_ranks_by_hand_and_chance_of_a_random_order():
    """Shown are the first, third and fourth by confidence: (1 + 2/3 + 3/4) / 3."""
    values = torch.tensor([[1.0], [0.0], [1.0], [1.0], [0.0], [float("nan")]])
    precisions, shares = precision_of_attributes(torch.tensor([[9.0], [8.0], [7.0], [6.0], [5.0], [99.0]]), values)
    assert precisions == [pytest.approx((1 + 2 / 3 + 3 / 4) / 3)]
    assert shares == [3 / 5]
    assert precision_of_attributes(torch.zeros(2, 1), torch.ones(2, 1)) == ([], [])


def test_choices_that_do_not_look_at_the_pair_agree_as_chance_has_it():
    chance = random.Random(3)
    one, other = ([chance.choices(range(4), (6, 2, 1, 1))[0] for _ in range(3000)] for _ in range(2))
    found = agreement_of_choices(one, other, [str(at) for at in range(3000)])
    assert found.share.low < found.chance < found.share.high
    alike = agreement_of_choices(one, one, [str(at) for at in range(3000)])
    assert alike.share.mean == 1
    assert alike.chance < 0.5
