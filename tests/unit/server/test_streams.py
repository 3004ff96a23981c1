"""How a stream is written, and what it does with a generator that fails, waits or is left."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fairway.server.answers import ClientGone
from fairway.server.requests import Request
from fairway.server.streams import Framing, InLoop, InThread, Source, Stream, wants_events
from fairway.spec.endpoint import ServerLimits


class Line:
    """A client that takes everything."""

    def __init__(self) -> None:
        self.keep_alive = True
        self.sent = b""
        self.how = "open"

    async def write(self, data: bytes) -> bool:
        self.sent += data
        return True

    def end(self, data: bytes) -> None:
        self.sent += data
        self.how = "ended"

    def cut(self, *, at_once: bool) -> None:
        self.how = "aborted" if at_once else "cut"


class Odd(BaseException):
    """No ordinary exception."""


def asked(leave: list[Any] | None = None) -> Request:
    """A request whose client leaves when the one call in `leave` is made."""
    kept = [] if leave is None else leave

    async def receive() -> Any:
        raise AssertionError

    return Request("/", [], receive, ServerLimits(), lambda call, *arguments: kept.append(call))


def source_of(items: Any, framing: Framing) -> Source:
    if hasattr(items, "__anext__"):
        return InLoop(items, framing)
    return InThread(lambda: items, framing, ThreadPoolExecutor(1))


async def answered(items: Any, seconds: float = 30.0) -> tuple[Line, int, list[str]]:
    """The line, the counted status, and how often the place was given back."""
    framing, line, released = Framing(False), Line(), list[str]()
    stream = Stream(source_of(items, framing), framing, seconds, lambda: released.append("released"))
    await stream.begin(asked())
    status = await stream.send(line, chunked=False, close=False)
    return line, status, released


def plain(*items: object) -> Iterator[object]:
    for item in items:
        if isinstance(item, BaseException):
            raise item
        yield item


async def later(*items: object) -> AsyncIterator[object]:
    for item in items:
        await asyncio.sleep(0)
        if isinstance(item, BaseException):
            raise item
        yield item


@pytest.mark.parametrize("make", [plain, later])
def test_items_are_written_and_the_place_is_given_back_once(make: Any) -> None:
    line, status, released = asyncio.run(answered(make(1, "a\nb", {"c": None})))
    assert line.sent.partition(b"\r\n\r\n")[2] == b'1\n"a\\nb"\n{"c":null}\n'
    assert (line.how, status, released) == ("ended", 200, ["released"])


@pytest.mark.parametrize("make", [plain, later])
@pytest.mark.parametrize(
    "error",
    [ValueError("inside"), SystemExit(1), KeyboardInterrupt(), object(), Odd("inside"), GeneratorExit("inside"),
     StopIteration("inside"), StopAsyncIteration("inside"), EOFError(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_fails_in_the_middle_is_said_without_its_text_and_cut(make: Any, error: Any) -> None:
    line, status, released = asyncio.run(answered(make(1, error)))
    body = line.sent.partition(b"\r\n\r\n")[2]
    assert body.startswith(b'1\n{"error":"internal error","id":"')
    assert (line.how, status, released) == ("cut", 500, ["released"])
    assert b"inside" not in body


@pytest.mark.parametrize("make", [plain, later])
def test_what_fails_before_the_first_item_raises(make: Any) -> None:
    with pytest.raises(ValueError, match="first"):
        asyncio.run(answered(make(ValueError("first"))))


def test_an_item_that_does_not_come_in_time_ends_the_stream() -> None:
    async def slow() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(30)

    line, status, _ = asyncio.run(answered(slow(), seconds=0.05))
    assert (line.how, status) == ("cut", 504)
    assert b"no further answer within 0.05 seconds" in line.sent


def test_a_timeout_of_the_functions_own_is_its_failure() -> None:
    _, status, _ = asyncio.run(answered(later(1, TimeoutError())))
    assert status == 500


def test_a_client_that_leaves_while_nothing_comes_closes_the_generator() -> None:
    closed: list[str] = []

    async def waiting() -> AsyncIterator[int]:
        try:
            await asyncio.sleep(30)
            yield 1
        finally:
            closed.append("closed")

    async def work() -> None:
        framing, leave = Framing(False), list[Any]()
        stream = Stream(InLoop(waiting(), framing), framing, 30, lambda: closed.append("released"))
        asyncio.get_running_loop().call_later(0.05, lambda: leave[0]())
        with pytest.raises(ClientGone):
            await stream.begin(asked(leave))

    asyncio.run(asyncio.wait_for(work(), 60))
    assert sorted(closed) == ["closed", "released"]


def test_a_plain_generator_runs_in_one_thread_and_only_some_items_ahead() -> None:
    threads: list[int] = []

    def counted() -> Iterator[int]:
        for number in range(1000):
            threads.append(threading.get_ident())
            yield number

    async def work() -> int:
        framing = Framing(False)
        source = InThread(counted, framing, ThreadPoolExecutor(1))
        assert await source.take() is not None
        before = -1
        while before != len(threads):
            before = len(threads)
            await asyncio.sleep(0.1)
        await source.close()
        return before

    assert asyncio.run(work()) < 50
    assert len(set(threads)) == 1


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        (b"", False),
        (b"*/*", False),
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"application/json, text/event-stream", True),
        (b"text/event-stream;q=0", False),
        (b"application/x-ndjson, text/event-stream;q=0.5", False),
        (b"text/event-stream;q=x", False),
    ],
)
def test_a_client_says_whether_it_wants_events(accept: bytes, events: bool) -> None:
    assert wants_events(accept) is events


def test_bytes_are_sent_as_they_are_and_nothing_else_among_them() -> None:
    framing = Framing(True)
    assert (framing.item(b"a"), framing.kind) == (b"a", b"application/octet-stream")
    with pytest.raises(TypeError, match="item of type str"):
        framing.item("a")
    assert framing.error(b"x") == b""
