"""Answers in pieces: the items of a generator are sent as it yields them, and no faster than the client reads.

A plain generator runs in one thread from beginning to end, because its resources may belong to that thread. An asynchronous
generator runs in the task of its request for the same reason. Both are closed when the client has left.
"""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

from fairway.server.answers import CLOSE, SAFE, ClientGone, Line, Refusal, internal_error
from fairway.server.requests import Request
from fairway.server.results import BYTES, encoded

LINES = b"application/x-ndjson"
EVENTS = b"text/event-stream"
_AT_ONCE = (b"x-accel-buffering", b"no")
_AHEAD = 16
_AHEAD_BYTES = 256 * 1024
_CLOSE_SECONDS = 5.0
_HEAD = b"HTTP/1.1 200 OK\r\n"


class Framing:
    """The form of an item in the answer: a line of JSON, a server-sent event, or plain bytes."""

    def __init__(self, events: bool, kind: bytes = b"") -> None:
        self.kind = kind or (EVENTS if events else LINES)
        self._events = events
        self._raw: bool | None = bool(kind) or None

    def item(self, value: object) -> bytes:
        """Return the bytes of an item. Raises TypeError for a value without a JSON form."""
        if self._raw is None:
            self._raw = isinstance(value, bytes | bytearray | memoryview)
            self.kind = BYTES if self._raw else self.kind
        if self._raw:
            if not isinstance(value, bytes | bytearray | memoryview):
                raise TypeError(f"a stream of bytes has an item of type {type(value).__name__}")
            return bytes(cast("bytes", value))
        text = encoded(value)
        return b"data: %b\n\n" % text if self._events else text + b"\n"

    def error(self, body: bytes) -> bytes:
        """Return the last item of a stream that failed. A stream of bytes has no room for an error."""
        if self._raw:
            return b""
        return b"event: error\ndata: %b\n\n" % body if self._events else body + b"\n"


class Source(Protocol):
    """A source of pieces."""

    async def take(self) -> bytes | None:
        """Return the next piece in its final form; None at the end. Raises the error of the generator."""
        ...

    async def close(self) -> None:
        """Close the generator."""
        ...


class InLoop:
    """The source for an asynchronous iterator."""

    def __init__(self, items: AsyncIterator[object], framing: Framing) -> None:
        self._items = items
        self._framing = framing

    async def take(self) -> bytes | None:
        """Return the next piece; None at the end. Raises the error of the generator."""
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            return None
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:  # such as `sys.exit()`: it would end the event loop
            raise _as_error(error) from error
        return self._framing.item(item)

    async def close(self) -> None:
        """Close the generator. Its `finally` may take up to `_CLOSE_SECONDS`."""
        closing = getattr(self._items, "aclose", None)
        if closing is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closing()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            internal_error(_as_error(error))


class InThread:
    """The source for a plain iterator. It runs in a thread, ahead of the client by at most `_AHEAD` pieces."""

    def __init__(
        self, make: Callable[[], Iterator[object]], framing: Framing, pool: ThreadPoolExecutor
    ) -> None:
        self._make = make
        self._framing = framing
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: BaseException | None = None
        self._over = self._left = False
        self._work = pool.submit(self._produce)

    async def take(self) -> bytes | None:
        """Return all pieces that are ready, or wait for the next; None at the end. Raises the error of the generator."""
        while True:
            # Clear before looking: a piece that comes after the look sets the event again, so it is never missed.
            self._ready.clear()
            with self._changed:
                if self._pieces:
                    pieces, self._pieces, self._size = self._pieces, [], 0
                    self._changed.notify()
                    return b"".join(pieces)
                if self._over:
                    break
            await self._ready.wait()
        if self._error is not None:
            raise self._error
        return None

    async def close(self) -> None:
        """Let the thread close the generator at its next item. A generator that has not begun never begins."""
        with self._changed:
            self._left = True
            self._changed.notify()
        self._work.cancel()

    def _produce(self) -> None:
        items: Iterator[object] | None = None
        try:
            items = self._make()
            for item in items:
                if not self._keep(self._framing.item(item)):
                    break
        except BaseException as error:  # also `sys.exit()`, which must end this answer and not the worker
            self._error = _as_error(error)
        if items is not None and (closing := getattr(items, "close", None)) is not None:
            try:
                closing()
            except BaseException as error:
                self._error = self._error or _as_error(error)
        with self._changed:
            self._over = True
            unseen = self._error if self._left else None
        if unseen is not None:  # no client is there to get this error, so it goes to the log
            internal_error(unseen)
        self._wake()

    def _keep(self, piece: bytes) -> bool:
        with self._changed:
            first = not self._pieces
            self._pieces.append(piece)
            self._size += len(piece)
        if first:
            self._wake()
        with self._changed:
            while not self._left and (len(self._pieces) >= _AHEAD or self._size >= _AHEAD_BYTES):
                self._changed.wait()
            return not self._left

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._ready.set)


class Stream:
    """An answer in pieces. Its owner must close it.

    Args:
        source: the source of the pieces.
        framing: the form of an item.
        seconds: seconds that one piece may take to come, and to be read.
        release: called once when the answer has ended.
    """

    def __init__(self, source: Source, framing: Framing, seconds: float, release: Callable[[], None]) -> None:
        self._source = source
        self._framing = framing
        self._seconds = seconds
        self._release = release
        self._first: bytes | None = None
        self._task: asyncio.Task[Any] | None = None
        self._gone = self._over = False

    async def begin(self, request: Request) -> None:
        """Wait for the first piece. An error before it can still get an answer with its own status."""
        self._task = asyncio.current_task()
        request.when_left(self._leave)
        try:
            self._first = await self._within_time(self._source.take())
        except BaseException:
            await self.close()
            raise

    async def send(self, line: Line, *, chunked: bool, close: bool) -> int:
        """Send all pieces and return the status for the metrics. The client has got status 200 even if a later piece fails."""
        frame = _chunk if chunked else bytes
        try:
            data = self._head(line, chunked, close)
            piece = self._first
            while piece is not None:
                await self._write(line, data + frame(piece) if piece else data)
                data = b""
                piece = await self._within_time(self._source.take())
            self._over = True
            line.end(data + (b"0\r\n\r\n" if chunked else b""))
            return 200
        except ClientGone:
            return 499
        except Exception as error:
            self._over = True
            return await self._fail(line, error, frame)
        finally:
            self._over = True
            await self.close()

    async def close(self) -> None:
        """Close the generator and release its place."""
        self._over = True
        release, self._release = self._release, _nothing
        release()
        await self._source.close()

    def _head(self, line: Line, chunked: bool, close: bool) -> bytes:
        if close:
            line.keep_alive = False
        headers = [(b"content-type", self._framing.kind), _AT_ONCE, *SAFE]
        headers += [(b"transfer-encoding", b"chunked")] if chunked else []
        headers += [] if line.keep_alive else [CLOSE]
        return _HEAD + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n"

    async def _write(self, line: Line, data: bytes) -> None:
        try:
            if not await self._within_time(line.write(data)):
                raise ClientGone
        except Refusal:  # the client does not read
            line.cut(at_once=True)
            raise ClientGone from None

    async def _fail(self, line: Line, error: Exception, frame: Callable[[bytes], bytes]) -> int:
        answer = error.answer() if isinstance(error, Refusal) else internal_error(error)
        body = self._framing.error(answer.body)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await line.write(frame(body) if body else b"")
        line.cut(at_once=False)
        return answer.status

    async def _within_time(self, work: Any) -> Any:
        limit = asyncio.timeout(self._seconds)
        done: Any = None
        try:
            async with limit:
                done = await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise Refusal(504, f"no further answer within {self._seconds:g} seconds") from None
        except asyncio.CancelledError:
            assert self._task is not None
            if not self._gone and self._task.cancelling():
                raise
            if not self._gone:
                raise RuntimeError("the function cancelled itself") from None
        if self._gone:
            assert self._task is not None
            self._task.uncancel()
            raise ClientGone
        return done

    def _leave(self) -> None:
        if not self._over and not self._gone and self._task is not None:
            self._gone = True
            self._task.cancel()


def is_iterator(value: object) -> bool:
    """Tell whether a result is answered in pieces."""
    return isinstance(value, Iterator | AsyncIterator)


def wants_events(accept: bytes) -> bool:
    """Return true if an Accept header prefers server-sent events to lines."""
    events = lines = 0.0
    for part in accept.lower().split(b","):
        kind, *options = (word.strip() for word in part.split(b";"))
        weight = next((_weight(word[2:]) for word in options if word.startswith(b"q=")), 1.0)
        if kind == EVENTS:
            events = weight
        elif kind == LINES:
            lines = weight
    return events > lines


def is_generator(function: Callable[..., object]) -> bool:
    """Tell whether a call of the function only makes a generator."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def pieces_of(path: str, size: int = 256 * 1024) -> Iterator[bytes]:
    """Read a file in pieces."""
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _weight(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _as_error(error: BaseException) -> Exception:
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    found = RuntimeError(f"the function raised {type(error).__name__}")
    found.__cause__ = error
    return found


def _nothing() -> None:
    pass
