"""A request for a handler: its headers, and its body, which is read within bounds of size."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from fairway.server import encodings
from fairway.server.answers import CLOSE, ClientGone, Refusal
from fairway.spec.endpoint import ServerLimits
from fairway.spec.quantities import whole_number

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
WhenLeft = Callable[..., None]
"""A function `(call, *arguments)` that calls `call` if the client leaves before its answer is complete."""

JSON = b"application/json"
_SMALL = 64 * 1024
"""Bodies up to this size are not counted. The number of connections and the queue bound their sum."""

_TOGETHER = 4


def never(call: Callable[..., object], *arguments: object) -> None:
    """Do nothing. Used where the server cannot notice that a client left."""


class Held:
    """The bytes of all bodies that a worker holds at one time. `body` is the bound of a single body."""

    def __init__(self, body: int) -> None:
        self._most = _TOGETHER * body
        self.size = 0

    def take(self, size: int) -> None:
        """Count more bytes. Raises Refusal 503 if the bodies together become too large."""
        if self.size + size > self._most:
            raise Refusal(
                503, "the bodies of other requests fill the memory for them", headers=(CLOSE, _AGAIN)
            )
        self.size += size


_AGAIN = (b"retry-after", b"1")


class Request:
    """A request with a known route."""

    __slots__ = ("_held", "_limits", "_named", "_receive", "headers", "holds", "path", "when_left")

    def __init__(
        self,
        path: str,
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        limits: ServerLimits,
        when_left: WhenLeft = never,
        held: Held | None = None,
    ) -> None:
        self.path = path
        self.headers = headers
        self._named = dict(reversed(headers))
        self._receive = receive
        self._limits = limits
        self.when_left = when_left
        self._held = held
        self.holds = 0

    def header(self, wanted: bytes) -> bytes:
        """Return the first value of a header by its lower-case name; empty if it is absent."""
        return self._named.get(wanted, b"")

    def kind(self) -> bytes:
        """Return the media type of the body without its parameters; JSON if the client names none."""
        given = self._named.get(b"content-type")
        return given.partition(b";")[0].strip().lower() or JSON if given else JSON

    async def body(self) -> bytes:
        """Read the whole body and unpack it if it is compressed. Raises Refusal 400, 413, 415 or 503, ClientGone."""
        encoding = self._named.get(b"content-encoding")
        packed = encoding is not None and not encodings.plain(encoding)
        length = self._named.get(b"content-length")
        if length:
            size = whole_number(length)
            if size is None:
                raise Refusal(400, "Content-Length is not a number of bytes", headers=(CLOSE,))
            if size > self._limits.body:
                raise self._too_large()
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        body = cast("bytes", message.get("body", b""))
        if message.get("more_body"):
            body = await self._rest(body)
        elif len(body) > _SMALL:
            self._take(len(body))
        if len(body) > self._limits.body:
            raise self._too_large()
        return await self._unpacked(body, cast("bytes", encoding)) if packed else body

    def release(self) -> None:
        """Stop counting the body, because the request was answered."""
        if self._held is not None:
            self._held.size -= self.holds
        self.holds = 0

    async def _rest(self, first: bytes) -> bytes:
        self._take(len(first))
        parts, size = bytearray(first), len(first)
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            part = cast("bytes", message.get("body", b""))
            size += len(part)
            if size > self._limits.body:
                raise self._too_large()
            self._take(len(part))
            parts += part
            if not message.get("more_body"):
                return bytes(parts)

    async def _unpacked(self, body: bytes, encoding: bytes) -> bytes:
        work = encodings.unpacked, body, encoding, self._limits.body
        made = await asyncio.to_thread(*work) if len(body) > _SMALL else encodings.unpacked(*work[1:])
        self._take(len(made))
        return made

    def _take(self, size: int) -> None:
        if self._held is not None:
            self._held.take(size)
            self.holds += size

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._limits.body} bytes", headers=(CLOSE,))
