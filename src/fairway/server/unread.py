"""Bounds on answers that wait in memory because their clients do not read them.

A client must read a part of its answer within a time, and all waiting answers together have a maximum size. A timer checks
the connections, so an answer that is read at once costs nothing. Knows no protocol.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol
from weakref import WeakKeyDictionary

TAKE_SECONDS = 30.0
"""Within this time a client must read half of the bytes that wait for it, or `_TAKE_BYTES`."""

_TAKE_BYTES = 2**20
_PAUSE = 2.0
_TOGETHER = 512 * 2**20
"""Maximum number of bytes that wait for all clients of a worker. Beyond it, the client with the most is cut off."""


class Connection(Protocol):
    """The connection of a client."""

    transport: asyncio.Transport


class Unread:
    """The answers that wait on the connections of one server.

    Args:
        connections: the server's own collection of its open connections.
        later: calls a function after some seconds.
    """

    def __init__(self, connections: Collection[Connection], later: Callable[..., object]) -> None:
        self._connections = connections
        self._later = later
        self._now = 0.0
        self._waiting: dict[asyncio.Transport, tuple[float, int]] = {}
        """For each client, the beginning of its present window of time and the bytes that waited then."""
        self._large: dict[asyncio.Transport, int] = {}
        self._looking = False

    @classmethod
    def of(
        cls, server: object, connections: Collection[Connection], loop: asyncio.AbstractEventLoop
    ) -> "Unread":
        """Return the object of a server. The first call makes it."""
        found = _of_server.get(server)
        if found is None:
            found = _of_server[server] = cls(connections, loop.call_later)
        found.look_later()
        return found

    def look_later(self) -> None:
        """Check the connections after a pause, and again while any is open."""
        if not self._looking:
            self._looking = True
            self._later(_PAUSE, self._look)

    def grown(self, transport: asyncio.Transport) -> None:
        """Count a connection whose buffer is full, and cut off the largest if all together are too large."""
        self._large[transport] = transport.get_write_buffer_size()
        if sum(self._large.values()) > _TOGETHER:
            most = max(self._large, key=self._large.__getitem__)
            self.forget(most)
            most.abort()

    def forget(self, transport: asyncio.Transport) -> None:
        """Stop counting a client that read most of its answer or left."""
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
