"""Work that takes long: it gives way to quick questions, takes turns, tells how far it is, ends when nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segscope.server.errors import TooBusy, VisitorGone
from segscope.server.turns import Turns
from segscope.server.work import LONG_AT_ONCE, Tell, Work

from .test_work import leave_when, run, stay, visitor

NAME = "0123456789abcdef" * 2


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the scenario's own limit ends what never does."""
    while not holds():  # noqa: ASYNC110  # threads do it, which set no event of the loop
        await asyncio.sleep(0.002)


def batches(log: list[str], name: str, gate: threading.Event, count: int = 4) -> Callable[[Tell], str]:
    """Return work of some batches, which begins once a gate is open."""

    def work(tell: Tell) -> str:
        log.append(f"{name} begins")
        assert gate.wait(20)
        for number in range(count):
            log.append(f"{name}{number}")
            tell((number + 1) / count)
        return name

    return work


def test_quick_question_is_answered_between_two_batches() -> None:
    async def scenario(work: Work) -> None:
        log: list[str] = []
        gate = threading.Event()
        long = asyncio.ensure_future(work.at_length(visitor(stay), batches(log, "long", gate), name=None))
        await until(lambda: bool(log))
        quick = asyncio.ensure_future(work.on_network(visitor(stay), lambda: log.append("quick")))
        await asyncio.sleep(0.05)
        assert log == ["long begins"]
        gate.set()
        await asyncio.gather(long, quick)
        assert log == ["long begins", "long0", "quick", "long1", "long2", "long3"]

    run(scenario)


def test_long_work_takes_turns() -> None:
    async def scenario(work: Work) -> None:
        log: list[str] = []
        gate = threading.Event()
        jobs = [asyncio.ensure_future(work.at_length(visitor(stay), batches(log, "a", gate, 3), name=None))]
        await until(lambda: log == ["a begins"])
        jobs.append(asyncio.ensure_future(work.at_length(visitor(stay), batches(log, "b", gate, 3), name=None)))
        await until(lambda: len(work._turns._waiting) == 1)
        gate.set()
        assert await asyncio.gather(*jobs) == ["a", "b"]
        assert log == ["a begins", "a0", "b begins", "b0", "a1", "b1", "a2", "b2"]

    run(scenario)


def test_only_so_many_are_begun_and_the_others_are_told_how_many_wait_before_them() -> None:
    async def scenario(work: Work) -> None:
        log: list[str] = []
        gate = threading.Event()
        names = [f"{number:032x}" for number in range(LONG_AT_ONCE + 2)]
        jobs = [
            asyncio.ensure_future(work.at_length(visitor(stay), batches(log, name[-1], gate), name=name))
            for name in names
        ]
        await until(lambda: log == ["0 begins"])
        first, last = work.progress(names[0]), work.progress(names[-1])
        assert first is not None
        assert last is not None
        assert (first.begun, last.begun) == (True, False)
        assert (work.ahead_of(first), work.ahead_of(last)) == (0, LONG_AT_ONCE)
        gate.set()
        await asyncio.gather(*jobs)
        assert log.index(f"{LONG_AT_ONCE} begins") > log.index("03")
        assert work.progress(names[0]) is None

    run(scenario)


def test_long_work_ends_when_its_visitor_leaves() -> None:
    async def scenario(work: Work) -> None:
        left, log = asyncio.Event(), []
        ended = threading.Event()

        def endless(tell: Tell) -> None:
            try:
                while True:
                    log.append("batch")
                    tell(0.5)
            finally:
                ended.set()

        job = asyncio.ensure_future(work.at_length(visitor(leave_when(left)), endless, name=NAME))
        await until(lambda: len(log) > 3)
        left.set()
        with pytest.raises(VisitorGone, match="left"):
            await job
        assert await asyncio.to_thread(ended.wait, 20)
        assert work.progress(NAME) is None
        assert await work.on_network(visitor(stay), lambda: "free again") == "free again"

    run(scenario)


def test_visitor_who_leaves_while_others_have_their_turn_costs_nothing_more() -> None:
    async def scenario(work: Work) -> None:
        log: list[str] = []
        gate, left = threading.Event(), asyncio.Event()
        first = asyncio.ensure_future(work.at_length(visitor(stay), batches(log, "a", gate), name=None))
        await until(lambda: log == ["a begins"])
        second = asyncio.ensure_future(work.at_length(visitor(leave_when(left)), batches(log, "b", gate), name=None))
        await until(lambda: len(work._turns._waiting) == 1)
        left.set()
        with pytest.raises(VisitorGone, match="left"):
            await second
        await until(lambda: not work._turns._waiting)
        gate.set()
        await first
        assert not any(entry.startswith("b") for entry in log)

    run(scenario)


def test_failure_of_long_work_comes_through_and_leaves_the_network_free() -> None:
    async def scenario(work: Work) -> None:
        with pytest.raises(ZeroDivisionError, match="division"):
            await work.at_length(visitor(stay), lambda _tell: 1 // 0, name=None)
        assert await work.at_length(visitor(stay), lambda _tell: "next", name=None) == "next"

    run(scenario)


def test_who_comes_when_too_many_wait_is_told_so() -> None:
    async def scenario(work: Work) -> None:
        gate = threading.Event()

        def wait(_tell: Tell) -> None:
            gate.wait(20)

        jobs = [asyncio.ensure_future(work.at_length(visitor(stay), wait, name=None)) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy, match="64 questions .* ask again"):
            await work.at_length(visitor(stay), wait, name=None)
        gate.set()
        await asyncio.gather(*jobs)

    run(scenario)


def test_closing_ends_long_work() -> None:
    ended = threading.Event()

    async def scenario() -> None:
        work, begun = Work(), threading.Event()

        def endless(tell: Tell) -> None:
            try:
                while True:
                    begun.set()
                    tell(0)
            finally:
                ended.set()

        job = asyncio.ensure_future(work.at_length(visitor(stay), endless, name=None))
        assert await asyncio.to_thread(begun.wait, 20)
        work.close()
        assert await asyncio.to_thread(ended.wait, 20)
        with pytest.raises(VisitorGone, match="left"):
            await job

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_long_work_gets_on_however_many_quick_questions_come() -> None:
    turns, stop, asked = Turns(patience=0.02), threading.Event(), []

    def hurry() -> None:
        while not stop.is_set():
            with turns.quick():
                asked.append(0)

    # Two, so that one always waits while the other has the network.
    threads = [threading.Thread(target=hurry, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    with turns.long(threading.Event()) as turn:
        begun = len(asked)
        for _ in range(5):
            turn.give_way()
    assert len(asked) > begun
    stop.set()
    for thread in threads:
        thread.join(20)


def test_work_that_holds_the_network_itself_does_not_wait_for_those_who_need_it(model: Any) -> None:
    """Else both would wait for each other for ever."""

    async def scenario(work: Work) -> None:
        begun, gate = threading.Event(), threading.Event()

        def held(tell: Tell) -> str:
            with model.at_rest():
                begun.set()
                assert gate.wait(20)
                tell(0.5)
            tell(1)
            return "done"

        def predict() -> str:
            with model.at_rest():
                return "predicted"

        long = asyncio.ensure_future(work.at_length(visitor(stay), held, name=None))
        assert await asyncio.to_thread(begun.wait, 20)
        quick = asyncio.ensure_future(work.on_network(visitor(stay), predict))
        await asyncio.sleep(0.02)
        gate.set()
        assert [await long, await quick] == ["done", "predicted"]

    run(scenario)


def test_random_numbers_go_on_as_if_nobody_had_come_between() -> None:
    def draw() -> list[float]:
        return [float(torch.rand(())), float(np.random.rand())]  # noqa: NPY002  # what libraries draw from

    def begin() -> None:
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002

    begin()
    expected = draw() + draw()

    async def scenario(work: Work) -> None:
        begun, gate = threading.Event(), threading.Event()

        def draws(tell: Tell) -> list[float]:
            begin()
            begun.set()
            first = draw()
            assert gate.wait(20)
            tell(0.5)
            return first + draw()

        long = asyncio.ensure_future(work.at_length(visitor(stay), draws, name=None))
        assert await asyncio.to_thread(begun.wait, 20)
        quick = asyncio.ensure_future(work.on_network(visitor(stay), draw))
        await asyncio.sleep(0.02)
        gate.set()
        await quick
        assert await long == expected

    run(scenario)


def test_background_work_waits_for_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segscope.server.work._QUIET_SECONDS", 0.01)

    async def scenario(work: Work) -> None:
        log: list[str] = []
        gate, stop = threading.Event(), threading.Event()
        long = asyncio.ensure_future(work.at_length(visitor(stay), batches(log, "long", gate), name=None))
        await until(lambda: bool(log))
        background = asyncio.ensure_future(
            asyncio.to_thread(work.in_background, lambda: log.append("background"), stop)
        )
        await asyncio.sleep(0.1)
        gate.set()
        await asyncio.gather(long, background)
        assert log[-1] == "background"

    run(scenario)
