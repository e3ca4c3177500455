"""Laws of work in steps: the same values in the same order, the same result, and everything closed behind it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simvis_core.steps import Ended, advanced, counted, in_turn, mapped, run


class Work:
    """Steps that note what became of them."""

    def __init__(self, values, result="the result", fails_at=None):
        self.values, self.result, self.fails_at = values, result, fails_at
        self.closed, self.threads = 0, []

    def steps(self):
        try:
            for at, value in enumerate(self.values):
                self.threads.append(threading.get_ident())
                if at == self.fails_at:
                    raise ValueError("the work's own mistake")
                yield value
            return self.result
        finally:
            self.closed += 1


def at_once(work):
    return work()


WAYS = {
    "as they are": lambda steps: steps,
    "mapped": lambda steps: mapped(steps, lambda step: step),
    "in turn": lambda steps: in_turn(steps, at_once),
    "both": lambda steps: in_turn(mapped(steps, lambda step: step), at_once),
}
every_way = pytest.mark.parametrize("way", WAYS)
values = st.lists(st.one_of(st.integers(), st.none(), st.tuples(st.integers(), st.integers())), max_size=6)


@every_way
@given(values, st.one_of(st.none(), st.integers(), st.just(Ended(3)), st.just(StopIteration)))
def test_values_order_and_result_stay(way, given_values, result):
    work, told = Work(given_values, result), []
    assert run(WAYS[way](work.steps()), told.append) == result
    assert told == given_values
    assert work.closed == 1


@given(values)
def test_mapped_tells_each_step_in_other_words(given_values):
    told = []
    assert run(mapped(Work(given_values).steps(), lambda step: ("told", step)), told.append) == "the result"
    assert told == [("told", value) for value in given_values]


@every_way
def test_nothing_is_run_before_it_is_asked_for(way):
    work = Work([1, 2, 3])
    steps = WAYS[way](work.steps())
    assert len(work.threads) == 0
    for done in (1, 2, 3):
        assert next(steps) == done
        assert len(work.threads) == done


@every_way
def test_who_closes_closes_what_is_inside(way):
    """At once: not when Python finds the generator unused."""
    work = Work([1, 2, 3])
    inner = work.steps()
    steps = WAYS[way](inner)
    assert next(steps) == 1
    assert work.closed == 0
    steps.close()
    assert work.closed == 1
    assert inner.gi_frame is None


@every_way
def test_an_error_inside_is_the_callers(way):
    work = Work([1, 2, 3], fails_at=1)
    steps = WAYS[way](work.steps())
    assert next(steps) == 1
    with pytest.raises(ValueError, match="the work's own mistake"):
        next(steps)
    assert work.closed == 1


def test_an_error_of_the_listener_closes_the_steps():
    work = Work([1, 2, 3])
    inner = work.steps()
    with pytest.raises(ZeroDivisionError):
        run(inner, lambda step: 1 / (step - 2))
    assert work.closed == 1
    work = Work([1, 2, 3])
    steps = mapped(work.steps(), lambda step: 1 / (step - 2))
    assert next(steps) == -1
    with pytest.raises(ZeroDivisionError):
        next(steps)
    assert work.closed == 1


def test_each_step_is_made_inside_its_turn_and_nothing_between_two():
    work, turns = Work("abc"), []

    def turn(asked):
        turns.append("begins")
        found = asked()
        turns.append(found)
        return found

    steps = in_turn(work.steps(), turn)
    for value in "abc":
        before = len(turns)
        assert next(steps) == value
        assert turns[before:] == ["begins", value]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "the result"
    assert turns[-1] == Ended("the result")


def test_an_end_comes_through_a_thread():
    work = Work([1])
    with ThreadPoolExecutor(1) as pool:
        assert run(in_turn(work.steps(), lambda asked: pool.submit(asked).result())) == "the result"
    assert threading.get_ident() not in work.threads


def test_advanced_tells_a_step_from_an_end_by_its_kind():
    """A step may be None, a result too."""
    steps = Work([None], None).steps()
    assert advanced(steps) is None
    assert advanced(steps) == Ended(None)


def test_counted_hands_on_the_first_two_numbers():
    told = []
    run(Work([(0, 5), (3, 5, "more")]).steps(), counted(lambda done, count: told.append((done, count))))
    assert told == [(0, 5), (3, 5)]
    assert counted(None) is None
