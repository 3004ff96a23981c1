"""Answers that wait in this process because their clients do not read them.

A client must take something of its answer within a time, and all such answers together have a bound. Looks at the
connections from time to time, so that an answer that is taken at once costs nothing. Knows no protocol.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol
from weakref import WeakKeyDictionary

TAKE_SECONDS = 30.0
"""Within this time a client must have taken half of what waits for it, or `_TAKE_BYTES`."""

_TAKE_BYTES = 2**20
_PAUSE = 2.0
_TOGETHER = 512 * 2**20
"""Bytes that wait for all clients of a worker at most; beyond it the one that keeps most is cut off."""


class Connection(Protocol):
    """One client's connection."""

    transport: asyncio.Transport


class Unread:
    """Watches the connections of one server. `connections` is the server's own collection of those that are open."""

    def __init__(self, connections: Collection[Connection], later: Callable[..., object]) -> None:
        self._connections = connections
        self._later = later
        self._now = 0.0
        self._waiting: dict[asyncio.Transport, tuple[float, int]] = {}
        """When the present window of time began for a client, and what waited for it then."""
        self._large: dict[asyncio.Transport, int] = {}
        self._looking = False

    @classmethod
    def of(
        cls, server: object, connections: Collection[Connection], loop: asyncio.AbstractEventLoop
    ) -> "Unread":
        """The one of a server, made at the first call."""
        found = _of_server.get(server)
        if found is None:
            found = _of_server[server] = cls(connections, loop.call_later)
        found.look_later()
        return found

    def look_later(self) -> None:
        """Look at the connections in a while, and again as long as there are any."""
        if not self._looking:
            self._looking = True
            self._later(_PAUSE, self._look)

    def grown(self, transport: asyncio.Transport) -> None:
        """More waits for this client than its connection holds."""
        self._large[transport] = transport.get_write_buffer_size()
        if sum(self._large.values()) > _TOGETHER:
            most = max(self._large, key=self._large.__getitem__)
            self.forget(most)
            most.abort()

    def forget(self, transport: asyncio.Transport) -> None:
        """The client took most of what waited for it, or is gone."""
        self._large.pop(transport, None)
        self._waiting.pop(transport, None)

    def _look(self) -> None:
        self._looking = False
        self._now += _PAUSE
        for connection in tuple(self._connections):
            transport = connection.transport
            size = transport.get_write_buffer_size()
            since, before = self._waiting.get(transport, (self._now, 0))
            if not size:
                self._waiting.pop(transport, None)
            elif not before or size <= before - min(_TAKE_BYTES, (before + 1) // 2):
                self._waiting[transport] = self._now, size
            elif self._now - since >= TAKE_SECONDS:
                self.forget(transport)
                transport.abort()
        if self._connections:
            self.look_later()


_of_server: WeakKeyDictionary[object, Unread] = WeakKeyDictionary()
