"""uvicorn's HTTP/1.1 protocol with the bounds it lacks.

It bounds the time in which a request comes and its answer is taken, the size of heads and trailers, the number of
connections, and the requests that one connection sends ahead. A request that comes whole in one piece, as most do, costs no
timer and no look at its single headers. An answer leaves in one piece too, where ASGI's two messages would be two packets,
and who waits for a model learns of a client that left without a task that watches: the application finds how under `WHOLE`
and `LEFT` in the extensions of the scope.
"""

import asyncio
import resource
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast
from weakref import ref

import msgspec
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fairway.server.unread import Connection, Unread

WHOLE = "fairway.whole"
"""Names `async (head, body, close) -> None` in a scope's extensions. It sends a whole answer and then closes the connection
if `close`, which `head` has said then; `head` lacks the empty line at its end."""

PIECES = "fairway.pieces"
"""Names `() -> Pieces` in a scope's extensions, for an answer that comes in pieces."""

_HEADER_SECONDS = 10.0
_BODY_SECONDS = 60.0
_HEADER_BYTES = 64 * 1024
_URL_BYTES = 8 * 1024
_PIECE_BYTES = 256 * 1024
_AHEAD = 128
"""Requests that one connection may send before the first of them is answered."""

_CONNECTIONS = 1024
_IDLE_SECONDS = 1.0
"""A connection that was quiet for so long makes room for a new one when there are too many."""

_SMALL = 64 * 1024
_REFUSED = (
    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n%s"
)
_FULL_BODY = b'{"error":"too many connections are open"}'
_FULL = _REFUSED % (b"503 Service Unavailable", len(_FULL_BODY), b"retry-after: 1\r\n", _FULL_BODY)

LEFT = "fairway.left"
"""Names `(call, *arguments) -> None`, which has `call` called when the client leaves before it was answered."""


class _Trailers(list[tuple[bytes, bytes]]):
    """Takes the place of a request's headers once its head is whole, and keeps nothing of what comes then."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Drop a trailer: what comes behind a body must not pass for a header."""


_TRAILERS = _Trailers()


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that send no whole request or take no answer in time, and refuses what is too large."""

    _timer: asyncio.TimerHandle | None = None
    _awaited = _HEADER_SECONDS
    """How long what is missing of a request may take; 0 between two requests."""
    _left: Callable[[], object] | None = None
    _piece = 0
    _size = 0
    """Bytes since the head under way began or a part of a body came, and what came in one piece with it."""
    _unread: Unread | None = None

    def connection_made(self, transport: Any) -> None:
        """A client connected: its first request head is awaited."""
        super().connection_made(transport)
        self._unread = Unread.of(self.server_state, cast("set[Connection]", self.connections), self.loop)
        if len(self.connections) > most_connections() and not self._make_room():
            transport.write(_FULL)
            transport.close()
            return
        self._timer = self.loop.call_later(_HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop()
        if self._unread is not None:
            self._unread.forget(self.transport)
        super().connection_lost(exc)
        if self._left is not None:
            self._left()

    def data_received(self, data: bytes) -> None:
        """A piece of a request, or of several."""
        self._piece = len(data)
        self._size += self._piece
        super().data_received(data)
        if not self._awaited or self.transport.is_closing():
            return
        if self._timer is None:
            self._timer = self.loop.call_later(self._awaited, self._late)
        if self._size > _HEADER_BYTES + _PIECE_BYTES:
            self.send_400_response("the head or the trailer is too large")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._awaited = _HEADER_SECONDS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole; its body is awaited."""
        self._stop()
        self._awaited = _BODY_SECONDS
        if self._size > _URL_BYTES or self.pipeline:
            self._measure()
        super().on_headers_complete()
        self.headers = _TRAILERS
        cycle = self.cycle
        # Weakly: a scope that holds its own request would wait for the collector of cycles, which comes seldom.
        cast("dict[str, Any]", cycle.scope)["extensions"] = {
            WHOLE: partial(_send, ref(cycle)),
            LEFT: self._when_left,
            PIECES: partial(_pieces, ref(cycle)),
        }

    def on_body(self, body: bytes) -> None:
        """A part of a body came; what follows it up to the next one is bounded as a head is."""
        self._size = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stop()
        self._awaited = 0.0
        self._size = self._piece
        super().on_message_complete()

    def _when_left(self, call: Callable[..., object], *arguments: object) -> None:
        self._left = partial(call, *arguments)
        if not self.pipeline:
            self.flow.resume_reading()  # a client that leaves is not noticed where nothing is read

    def on_response_complete(self) -> None:
        """The answer was sent."""
        self._left = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.grown(self.transport)

    def resume_writing(self) -> None:
        """The client has taken nearly all."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.forget(self.transport)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it, and close the connection."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode({"error": msg})
        self.transport.write(_REFUSED % (b"400 Bad Request", len(body), b"", body))
        self.transport.close()

    def quiet_since(self) -> float | None:
        """The loop's time since which this connection has no request under way; None when it has one."""
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        if self.cycle is None and self._timer is not None:  # pyright: ignore[reportUnnecessaryComparison]
            return self._timer.when() - _HEADER_SECONDS
        return None

    def _make_room(self) -> bool:
        """Close a connection that has been quiet for a while; false when there is none."""
        until = self.loop.time() - _IDLE_SECONDS
        for other in cast("set[BoundedProtocol]", self.connections):
            since = other.quiet_since()
            if since is not None and since <= until and not other.transport.is_closing():
                other.transport.close()
                return True
        return False

    def _measure(self) -> None:
        if len(self.pipeline) >= _AHEAD:
            self.transport.close()
            raise ValueError("too many requests were sent ahead")
        if len(self.url) > _URL_BYTES:
            raise ValueError("the target is too long")
        if sum(len(name) + len(value) for name, value in self.headers) > _HEADER_BYTES:
            raise ValueError("the headers are too large")

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Pieces:
    """Sends the bytes of an answer one after another, as far as the client reads them."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open afterwards."""
        return self._cycle.keep_alive

    @keep_alive.setter
    def keep_alive(self, stays: bool) -> None:
        self._cycle.keep_alive = stays

    async def write(self, data: bytes) -> bool:
        """Send, and wait until the client reads; false when it has left."""
        cycle = self._cycle
        if cycle.disconnected:
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = True
        cycle.transport.write(data)
        if cycle.flow.write_paused:
            await cycle.flow.drain()
        return not cycle.disconnected

    def end(self, data: bytes) -> None:
        """Send the last piece; the connection is free for the next request, or is closed."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        if data:
            cycle.transport.write(data)
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def cut(self, *, at_once: bool) -> None:
        """Close the connection, after what was sent has gone out or at once."""
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        cycle.keep_alive = False
        if at_once:
            cycle.transport.abort()
        else:
            cycle.transport.close()


def _pieces(asked: "ref[RequestResponseCycle]") -> Pieces:
    cycle = asked()
    assert cycle is not None, "its task holds it until it was answered"
    return Pieces(cycle)


@cache
def most_connections() -> int:
    """Connections of this process at most; some descriptors stay for its other files."""
    return min(_CONNECTIONS, max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64, 16))


async def _send(asked: "ref[RequestResponseCycle]", head: bytes, body: bytes, close: bool) -> None:
    """What the cycle's own `send` does with a start and a body, in one write."""
    cycle = asked()
    assert cycle is not None, "its task holds it until it was answered"
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    end = b"\r\n" if close or cycle.keep_alive else b"connection: close\r\n\r\n"
    if len(body) <= _SMALL:
        cycle.transport.write(b"".join((head, end, body)))
    else:  # a copy of a large answer would cost more than a second packet
        cycle.transport.write(head + end)
        cycle.transport.write(body)
    cycle.message_event.set()
    if close or not cycle.keep_alive:
        cycle.keep_alive = False
        cycle.transport.close()
    cycle.on_response()
