"""uvicorn's HTTP/1.1 protocol with the bounds that it lacks.

The bounds are: the time in which a request must arrive and its answer must be read, the size of heads and trailers, the number
of connections, and the number of requests that one connection sends ahead.

Most requests arrive in one piece. Such a request costs no timer and no look at its single headers.

The extensions of the scope have four functions for the application. `WHOLE` sends an answer in one write, where ASGI needs two.
`PIECES` sends an answer in parts. `LEFT` reports that the client left, so the application needs no task that watches for this.
`MORE_TIME` lets the rest of a large body take longer.
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
"""Key of `async (head, body, close) -> None` in the extensions of the scope, which sends a whole answer.

`head` is the status line and headers without the final empty line. With `close=True` it already contains `Connection: close`,
and the connection is closed after the answer."""

PIECES = "fairway.pieces"
"""Key of `() -> Pieces` in the extensions of the scope, for an answer that is sent in pieces."""

_HEADER_SECONDS = 10.0
_BODY_SECONDS = 60.0
_HEADER_BYTES = 64 * 1024
_URL_BYTES = 8 * 1024
_PIECE_BYTES = 256 * 1024
_AHEAD = 128
"""Maximum number of requests that one connection sends before the first of them is answered."""

_CONNECTIONS = 1024
_IDLE_SECONDS = 1.0
"""A connection that was idle for this long is closed for a new one if there are too many."""

_SMALL = 64 * 1024
_REFUSED = (
    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%scache-control: no-store\r\n"
    b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n%s"
)
_FULL_BODY = b'{"error":"too many connections are open"}'
_FULL = _REFUSED % (b"503 Service Unavailable", len(_FULL_BODY), b"retry-after: 1\r\n", _FULL_BODY)

LEFT = "fairway.left"
"""Key of `(call, *arguments) -> None` in the extensions of the scope.

It calls `call` with the arguments if the client leaves before its answer is complete."""


MORE_TIME = "fairway.time"
"""Key of `() -> None` in the extensions of the scope.

It gives the rest of the body the time of a whole body from now on. A handler of large bodies calls it after each piece."""


class _Trailers(list[tuple[bytes, bytes]]):
    """A list that stays empty. It replaces the headers of a request once its head is complete."""

    def append(self, item: tuple[bytes, bytes]) -> None:
        """Drop a trailer. A field that comes after the body must not count as a header."""


_TRAILERS = _Trailers()


class BoundedProtocol(HttpToolsProtocol):
    """A connection with bounds: it is closed when the client is too slow, and refuses a request that is too large."""

    _timer: asyncio.TimerHandle | None = None
    _awaited = _HEADER_SECONDS
    """Seconds that the rest of the request may take; 0 between two requests."""
    _left: Callable[[], object] | None = None
    _piece = 0
    _size = 0
    """Bytes received since the head began or the last part of the body came, counted from the start of that piece."""
    _unread: Unread | None = None
    _made_at = 0.0
    _ending = False

    def connection_made(self, transport: Any) -> None:
        """Accept a connection and start the timer for its first head, or refuse it if there are too many."""
        super().connection_made(transport)
        self._made_at = self.loop.time()
        self._unread = Unread.of(self.server_state, cast("set[Connection]", self.connections), self.loop)
        if len(self.connections) > most_connections() and not self._make_room():
            transport.write(_FULL)
            transport.close()
            return
        self._timer = self.loop.call_later(_HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and report to the application that the client left."""
        self._stop()
        if self._unread is not None:
            self._unread.forget(self.transport)
        super().connection_lost(exc)
        if self._left is not None:
            self._left()

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a request, or of several, and check the bounds of a head that is not complete yet."""
        self._piece = len(data)
        self._size += self._piece
        super().data_received(data)
        # The checks come after parsing: most requests are complete by then, and those need neither timer nor size check.
        if not self._awaited or self.transport.is_closing():
            return
        if self._timer is None:
            self._timer = self.loop.call_later(self._awaited, self._late)
        if self._size > _HEADER_BYTES + _PIECE_BYTES:
            self.send_400_response("the head or the trailer is too large")

    def on_message_begin(self) -> None:
        """Begin a request: its head may take `_HEADER_SECONDS`."""
        self._awaited = _HEADER_SECONDS
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the size of a complete head, give the application its extensions, and begin the body."""
        self._stop()
        self._awaited = _BODY_SECONDS
        # A smaller head breaks no bound, so its headers need no look.
        if self._size > _URL_BYTES or self.pipeline:
            self._measure()
        super().on_headers_complete()
        self.headers = _TRAILERS
        cycle = self.cycle
        # The references are weak. The scope belongs to the cycle: a strong reference back would keep both, with the body,
        # until the garbage collector runs.
        cast("dict[str, Any]", cycle.scope)["extensions"] = {
            WHOLE: partial(_send, ref(cycle)),
            LEFT: self._when_left,
            PIECES: partial(_pieces, ref(cycle)),
            MORE_TIME: self._give_time,
        }
        if self._ending:
            cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body. The bytes up to the next part, such as chunk headers or trailers, are bounded like a head."""
        self._size = 0
        cycle = self.cycle
        if cycle.response_complete:  # nobody reads the body any more, and keeping it would fill the memory
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End a request: stop its timer. Bytes that came in the same piece count for the next head."""
        self._stop()
        self._awaited = 0.0
        self._size = self._piece
        super().on_message_complete()

    def _give_time(self) -> None:
        if self._awaited and self._timer is not None:
            self._stop()
            self._timer = self.loop.call_later(self._awaited, self._late)

    def _when_left(self, call: Callable[..., object], *arguments: object) -> None:
        self._left = partial(call, *arguments)
        if not self.pipeline:
            self.flow.resume_reading()  # asyncio notices that a client left only while it reads

    def on_response_complete(self) -> None:
        """Forget who wanted to know that the client left: the answer is complete."""
        self._left = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Report that the client reads its answer more slowly than it is written."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.grown(self.transport)

    def resume_writing(self) -> None:
        """Report that the client has read nearly all of its answer."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.forget(self.transport)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP or is too large, and close the connection."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode({"error": msg})
        self.transport.write(_REFUSED % (b"400 Bad Request", len(body), b"", body))
        self.transport.close()

    def end_if_old(self, seconds: float) -> None:
        """Close the connection after its next answer if it is older than so many seconds."""
        self._ending = self._ending or self.loop.time() - self._made_at > seconds

    def quiet_since(self) -> float | None:
        """Return the time of the loop since which the connection is idle; None while it has a request."""
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        if self.cycle is None and self._timer is not None:  # pyright: ignore[reportUnnecessaryComparison]
            return self._timer.when() - _HEADER_SECONDS
        return None

    def _make_room(self) -> bool:
        """Close a connection that has been idle for `_IDLE_SECONDS`. Return false if there is none."""
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
    """An answer that is sent in pieces, no faster than the client reads."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def keep_alive(self) -> bool:
        """True if the connection stays open after the answer."""
        return self._cycle.keep_alive

    @keep_alive.setter
    def keep_alive(self, stays: bool) -> None:
        self._cycle.keep_alive = stays

    async def write(self, data: bytes) -> bool:
        """Send data and wait until the client reads it. Return false if the client has left."""
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
        """Send the last piece. Then close the connection, or let it take the next request."""
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
        """Close the connection: at once, or after the data that waits has been sent."""
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
    """Return the maximum number of connections. 64 descriptors stay free for other files."""
    return min(_CONNECTIONS, max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64, 16))


async def _send(asked: "ref[RequestResponseCycle]", head: bytes, body: bytes, close: bool) -> None:
    """Send a whole answer in one write. It does what the cycle's own `send` does with two messages."""
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
    else:  # joining a large answer would copy it, and that costs more than a second packet
        cycle.transport.write(head + end)
        cycle.transport.write(body)
    cycle.message_event.set()
    # Close before `on_response`: it would otherwise begin the next request that this connection sent ahead.
    if close or not cycle.keep_alive:
        cycle.keep_alive = False
        cycle.transport.close()
    cycle.on_response()
