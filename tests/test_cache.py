"""The cache of predictions: what it keeps, what it drops, and threads that ask at once."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

import segscope
from segscope import InvalidInput, PredictionCache, SegmentationModel


@pytest.fixture
def make(model: SegmentationModel, image: Any) -> Any:
    # A model's first pass keeps copies that later ones don't need.
    model.predict(image).close()
    return lambda: model.predict(image)


def test_makes_once_and_keeps(make: Any) -> None:
    cache = PredictionCache(10**9)
    first = cache.get("a", make)
    assert cache.get("a", lambda: pytest.fail("made again")) is first
    assert "a" in cache
    assert len(cache) == 1
    assert cache.nbytes == first.nbytes


def test_least_recently_used_go_first(make: Any) -> None:
    size = make().nbytes
    cache = PredictionCache(int(size * 3.5))
    for key in "abc":
        cache.get(key, make)
    cache.get("a", make)
    cache.get("d", make)
    assert [key in cache for key in "abcd"] == [True, False, True, True]
    cache.get("e", make)
    assert [key in cache for key in "abcde"] == [True, False, False, True, True]
    assert cache.nbytes <= cache.max_bytes
    assert len(cache) == 3


def test_last_one_is_kept_even_if_too_large(make: Any) -> None:
    cache = PredictionCache(1)
    assert cache.get("a", make) is cache.get("a", make)
    cache.get("b", make)
    assert ["a" in cache, "b" in cache] == [False, True]


def test_dropped_predictions_are_freed_when_nobody_uses_them(make: Any) -> None:
    cache = PredictionCache(1)
    held = cache.get("held", make)
    free = weakref.ref(cache.get("free", make))
    cache.get("last", make)
    assert free() is None
    assert held.explain(0, segscope.Region.everywhere()).map.shape == held.size


def test_clear_closes(make: Any) -> None:
    with PredictionCache(10**9) as cache:
        prediction = cache.get("a", make)
    assert prediction.closed
    assert len(cache) == 0
    assert cache.nbytes == 0


def test_closed_prediction_is_made_again(make: Any) -> None:
    cache = PredictionCache(10**9)
    cache.get("a", make).close()
    again = cache.get("a", make)
    assert not again.closed
    assert len(cache) == 1


def test_failure_does_not_poison_the_key(make: Any) -> None:
    cache = PredictionCache(10**9)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="zero"):
            cache.get("a", lambda: 1 // 0)  # type: ignore[arg-type,return-value] # it fails
    assert cache.get("a", make) is cache.get("a", make)
    assert cache._making == {}


def test_nothing_is_remembered_of_keys_that_were_dropped(make: Any) -> None:
    cache = PredictionCache(1)
    for key in range(20):
        cache.get(key, make)
        cache.get(key, make)
    assert cache._making == {}
    assert len(cache) == 1


def test_threads_that_ask_for_one_key_make_it_once(make: Any) -> None:
    cache, made, got = PredictionCache(10**9), [], []
    ready = threading.Barrier(6)

    def slowly() -> Any:
        made.append(threading.get_ident())
        time.sleep(0.1)
        return make()

    def work() -> None:
        ready.wait()
        got.append(cache.get("a", slowly))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len({id(prediction) for prediction in got}) == 1
    assert len(got) == 6
    assert cache._making == {}


def test_threads_that_ask_for_other_keys_do_not_wait(make: Any) -> None:
    cache = PredictionCache(10**9)
    inside, leave = threading.Event(), threading.Event()

    def waiting() -> Any:
        inside.set()
        assert leave.wait(20)
        return make()

    slow = threading.Thread(target=cache.get, args=("slow", waiting))
    slow.start()
    assert inside.wait(20)
    cache.get("fast", make)
    assert "fast" in cache
    assert "slow" not in cache
    leave.set()
    slow.join()
    assert "slow" in cache


def test_waiting_thread_makes_it_when_the_first_one_failed(make: Any) -> None:
    cache = PredictionCache(10**9)
    inside, leave = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def failing() -> Any:
        inside.set()
        assert leave.wait(20)
        raise ValueError("broken image")

    def first() -> None:
        try:
            cache.get("a", failing)
        except ValueError as error:
            errors.append(error)

    got: list[Any] = []
    one = threading.Thread(target=first)
    one.start()
    assert inside.wait(20)
    two = threading.Thread(target=lambda: got.append(cache.get("a", make)))
    two.start()
    leave.set()
    one.join()
    two.join()
    assert len(errors) == len(got) == 1
    assert cache._making == {}


def test_random_use_from_many_threads_stays_within_the_bound(make: Any) -> None:
    size = make().nbytes
    cache = PredictionCache(size * 3)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for key in random.integers(6, size=25).tolist():
            closed = cache.get(key, make).closed
            wrong.extend([key] * (closed or len(cache) > 3))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.nbytes <= cache.max_bytes
    assert cache._making == {}


@pytest.mark.parametrize("bound", [0, -1, "1 GB", None, float("nan")])
def test_bound_must_be_positive(bound: Any) -> None:
    with pytest.raises(InvalidInput, match="The bound of the cache is"):
        PredictionCache(bound)
