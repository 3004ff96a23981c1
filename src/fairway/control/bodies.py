"""Bounds for the bodies of requests to the platform: for each body, and for all bodies held at one time.

A body counts from its first byte until its request is answered. A body without a limit of its own, which is taken piece by piece,
counts with the pieces that its request holds. This module does not know what is in a body.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from fairway.control.refused import Refused
from fairway.spec.quantities import whole_number

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

BODY_LIMIT = 2**20
"""Bytes of a request's body at most."""

TOGETHER = 16 * BODY_LIMIT
"""Bytes of all bodies together at most."""


class Bodies:
    """The bodies that the platform holds now, counted in bytes."""

    def __init__(self) -> None:
        self.size = 0

    def check(self, headers: Iterable[tuple[bytes, bytes]], limit: int | None = BODY_LIMIT) -> None:
        """Refuse a request that announces a body that is too large, or of no size. Raises Refused 400 or 413."""
        for name, value in headers:
            if name == b"content-length":
                size = whole_number(value)
                if size is None:
                    raise Refused(400, "Content-Length is not a number of bytes")
                if limit is not None and size > limit:
                    raise _too_large(limit)

    def take(self, size: int) -> None:
        """Count more bytes. Raises Refused 503 if the bodies together become too large."""
        if self.size + size > TOGETHER:
            raise Refused(
                503, "the bodies of other requests fill the memory for them", "ask again in a second"
            )
        self.size += size

    def give_back(self, size: int) -> None:
        """Stop counting bytes, because their request was answered."""
        self.size -= size


class Body:
    """The body of one request. A call receives the next message and counts it.

    Args:
        bodies: the count of all bodies.
        receive: receives messages of the request.
        limit: bytes of the body at most; None for a body of any size, whose handler calls `release` after each piece.
    """

    def __init__(self, bodies: Bodies, receive: Receive, limit: int | None = BODY_LIMIT) -> None:
        self._bodies = bodies
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def __call__(self) -> Message:
        """Receive a message. Raises Refused 413 or 503."""
        message = await self._receive()
        size = len(message.get("body", b""))
        if self._limit is not None and self._size + size > self._limit:
            raise _too_large(self._limit)
        self._bodies.take(size)
        self._size += size
        return message

    def release(self) -> None:
        """Stop counting what was received."""
        self._bodies.give_back(self._size)
        self._size = 0


def _too_large(limit: int) -> Refused:
    return Refused(413, f"a request has at most {limit} bytes")
