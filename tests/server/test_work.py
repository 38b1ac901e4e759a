"""Work for visitors: one network, in turn, and nothing for those who left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from segscope.server.errors import VisitorGone
from segscope.server.work import Work


def visitor(receive: Callable[[], Awaitable[Message]]) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


async def stay() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nobody sends anything")


def leave_when(event: asyncio.Event) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        await event.wait()
        return {"type": "http.disconnect"}

    return receive


def run(scenario: Callable[[Work], Awaitable[None]]) -> None:
    work = Work()
    try:
        asyncio.run(asyncio.wait_for(scenario(work), 30))
    finally:
        work.close()


def test_results_and_errors_come_through() -> None:
    async def scenario(work: Work) -> None:
        assert await work.on_network(visitor(stay), lambda: 42) == 42
        assert await work.on_pictures(visitor(stay), lambda: "a") == "a"
        with pytest.raises(ZeroDivisionError, match="division"):
            await work.on_network(visitor(stay), lambda: 1 // 0)

    run(scenario)


def test_visitor_who_leaves_the_queue_costs_nothing() -> None:
    async def scenario(work: Work) -> None:
        release, left, asked = threading.Event(), asyncio.Event(), []
        first = asyncio.ensure_future(work.on_network(visitor(stay), lambda: release.wait(20)))
        second = asyncio.ensure_future(work.on_network(visitor(leave_when(left)), lambda: asked.append("second")))
        third = asyncio.ensure_future(work.on_network(visitor(stay), lambda: asked.append("third")))
        await asyncio.sleep(0.05)
        left.set()
        with pytest.raises(VisitorGone, match="left"):
            await second
        assert not first.done()
        release.set()
        await asyncio.gather(first, third)
        assert asked == ["third"]

    run(scenario)


def test_visitor_who_leaves_during_the_work_is_not_waited_for() -> None:
    async def scenario(work: Work) -> None:
        begun, release, left = threading.Event(), threading.Event(), asyncio.Event()

        def slow() -> None:
            begun.set()
            release.wait(20)

        job = asyncio.ensure_future(work.on_network(visitor(leave_when(left)), slow))
        await asyncio.to_thread(begun.wait, 20)
        left.set()
        with pytest.raises(VisitorGone, match="left"):
            await job
        release.set()
        assert await work.on_network(visitor(stay), lambda: "the next one") == "the next one"

    run(scenario)


def test_one_question_at_a_time_in_the_order_in_which_they_came() -> None:
    async def scenario(work: Work) -> None:
        running, most, order = 0, 0, []

        def job(number: int) -> Callable[[], None]:
            def answer() -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                order.append(number)
                running -= 1

            return answer

        await asyncio.gather(*(work.on_network(visitor(stay), job(number)) for number in range(50)))
        assert most == 1
        assert order == list(range(50))

    run(scenario)


def test_event_loop_answers_while_the_network_works() -> None:
    async def scenario(work: Work) -> None:
        release = threading.Event()
        slow = asyncio.ensure_future(work.on_network(visitor(stay), lambda: release.wait(20)))
        assert await asyncio.wait_for(work.on_pictures(visitor(stay), lambda: "picture"), 10) == "picture"
        assert not slow.done()
        release.set()
        await slow

    run(scenario)


def test_upload_that_breaks_off_is_no_failure(app: Any) -> None:
    async def scenario() -> None:
        first: Message = {"type": "http.request", "body": b"half", "more_body": True}
        pieces = iter([first, {"type": "http.disconnect"}])
        sent = []

        async def receive() -> Message:
            return next(pieces)

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"image/png")]
        scope = {"type": "http", "method": "POST", "path": "/api/images", "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        assert sent[0]["status"] == 499
        assert len(app.state.session.gallery.images()) == 3

    asyncio.run(scenario())


def test_request_that_was_left_is_answered_499(app: Any) -> None:
    """The whole way, with a visitor who closes the connection while another one's question is worked on."""

    async def scenario() -> None:
        release, sent = threading.Event(), []
        session = app.state.session
        blocker = asyncio.ensure_future(session.work.on_network(visitor(stay), lambda: release.wait(20)))
        left = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/api/images/{session.gallery.images()[0].id}/mask",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
        }

        async def send(message: Message) -> None:
            sent.append(message)

        answer = asyncio.ensure_future(app(scope, leave_when(left), send))
        await asyncio.sleep(0.05)
        left.set()
        await asyncio.wait_for(answer, 20)
        release.set()
        await blocker
        assert sent[0]["status"] == 499
        assert len(session.predictions) == 0

    asyncio.run(scenario())
