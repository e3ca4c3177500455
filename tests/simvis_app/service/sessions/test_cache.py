"""The bounded cache: its limit, its order, and one making for however many ask."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simvis_app.service.sessions.cache import BoundedCache

WAIT = 20  # seconds before a stuck thread fails the test


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=40))
def test_behaves_as_a_list_in_order_of_use(limit, asked):
    """Against a plain model: the sizes kept never pass the limit, the least recently used go first."""
    cache, model = BoundedCache(limit, len), []
    for key, size in asked:
        value = cache.get(key, lambda size=size: b"x" * size)
        held = dict(model)
        kept = held.get(key, size)
        assert len(value) == kept
        if key in held or size <= limit:
            model = [entry for entry in model if entry[0] != key] + [(key, kept)]
        while sum(size for _, size in model) > limit:
            model.pop(0)
        assert list(cache._values) == [key for key, _ in model]
        assert cache.bytes == sum(size for _, size in model) <= limit
        assert len(cache) == len(model)


def test_what_alone_passes_the_limit_is_handed_out_and_pushes_nothing_out():
    cache = BoundedCache(10, len)
    cache.get("small", lambda: b"12345")
    assert cache.get("large", lambda: b"x" * 11) == b"x" * 11
    assert (len(cache), cache.bytes) == (1, 5)


def test_what_is_put_takes_the_place_of_what_was_there():
    cache = BoundedCache(10, len)
    assert cache.put("a", b"1234") == b"1234"
    assert cache.put("a", b"12") == b"12"
    assert (cache.held("a"), cache.bytes) == (b"12", 2)
    assert cache.put("a", b"x" * 11) == b"x" * 11  # too large to be kept, and the old one is no longer true
    assert (cache.held("a"), cache.bytes) == (None, 0)


def test_many_threads_make_a_value_once():
    cache, made, start = BoundedCache(100, len), [], threading.Barrier(8)

    def make():
        made.append(threading.get_ident())
        threading.Event().wait(0.05)
        return b"value"

    def ask(_):
        start.wait(WAIT)
        return cache.get("key", make)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    assert len(made) == 1
    assert all(answer is answers[0] for answer in answers)


def test_different_keys_do_not_wait_for_each_other():
    cache, both = BoundedCache(100, len), threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        makings = [threads.submit(cache.get, key, lambda: bytes(both.wait(WAIT))) for key in "ab"]
        for making in makings:
            making.result(WAIT)


def test_what_fails_is_raised_and_nothing_is_kept():
    cache = BoundedCache(100, len)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get("key", lambda: b"x" * (1 // 0))
    assert (len(cache), cache.bytes, cache._turns) == (0, 0, {})
    assert cache.get("key", lambda: b"value") == b"value"


def test_a_failure_does_not_let_two_make_the_same_value():
    """One fails, one waited for it, a third comes later: the last two must not make side by side."""
    cache, running, most = BoundedCache(100, len), [0], [0]
    failing, second_runs, go_on = (threading.Event() for _ in range(3))

    def fail():
        failing.wait(WAIT)
        raise ZeroDivisionError

    def make():
        running[0] += 1
        most[0] = max(most[0], running[0])
        second_runs.set()
        go_on.wait(WAIT)
        running[0] -= 1
        return b"value"

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(cache.get, "key", fail)
        second = threads.submit(cache.get, "key", make)
        threading.Event().wait(0.05)
        failing.set()
        assert second_runs.wait(WAIT)
        third = threads.submit(cache.get, "key", make)
        threading.Event().wait(0.1)
        go_on.set()
        assert isinstance(first.exception(WAIT), ZeroDivisionError)
        assert second.result(WAIT) is third.result(WAIT)
    assert most[0] == 1
    assert (cache.bytes, cache._turns) == (5, {})
