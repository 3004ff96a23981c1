"""One request as a handler sees it: its headers and its body, read within bounds of size."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from fairway.server.answers import CLOSE, ClientGone, Refusal
from fairway.spec.endpoint import ServerLimits

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
WhenLeft = Callable[..., None]
"""Called as `(call, *arguments)`; has `call` called when the client leaves before it was answered."""


def never(call: Callable[..., object], *arguments: object) -> None:
    """For a server that cannot tell."""


class Request:
    """A request whose route is known."""

    __slots__ = ("_limits", "_named", "_receive", "headers", "path", "when_left")

    def __init__(
        self,
        path: str,
        headers: list[tuple[bytes, bytes]],
        receive: Receive,
        limits: ServerLimits,
        when_left: WhenLeft = never,
    ) -> None:
        self.path = path
        self.headers = headers
        self._named = dict(reversed(headers))
        self._receive = receive
        self._limits = limits
        self.when_left = when_left

    def header(self, wanted: bytes) -> bytes:
        """A header's first value by its lower-case name; empty when it is absent."""
        return self._named.get(wanted, b"")

    def kind(self) -> bytes:
        """The media type of the body, without its parameters; empty when the client does not say."""
        return self.header(b"content-type").partition(b";")[0].strip().lower()

    async def body(self) -> bytes:
        """The whole body. Raises Refusal 413 or 415, ClientGone."""
        if self.header(b"content-encoding").lower() not in (b"", b"identity"):
            raise Refusal(
                415, "a compressed body is not read; send it without Content-Encoding", headers=(CLOSE,)
            )
        length = self.header(b"content-length")
        if length and (not length.isdigit() or int(length) > self._limits.body):
            raise self._too_large()
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        body = cast("bytes", message.get("body", b""))
        if not message.get("more_body"):
            if len(body) > self._limits.body:
                raise self._too_large()
            return body
        return await self._rest(body)

    async def left(self) -> None:
        """Return when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _rest(self, first: bytes) -> bytes:
        parts, size = [first], len(first)
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            part = cast("bytes", message.get("body", b""))
            size += len(part)
            if size > self._limits.body:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._limits.body} bytes", headers=(CLOSE,))
