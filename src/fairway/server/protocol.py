"""uvicorn's HTTP/1.1 protocol with the bounds it lacks: time for a request to come, and the size of its head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADER_SECONDS = 10.0
_BODY_SECONDS = 60.0
_HEADER_BYTES = 64 * 1024
_URL_BYTES = 8 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that send no whole request in time, and refuses heads that are too large."""

    _timer: asyncio.TimerHandle | None = None
    _size = 0

    def connection_made(self, transport: Any) -> None:
        """A client connected: its first request head is awaited."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(_HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._size = 0
        if self._timer is None:
            self._timer = self.loop.call_later(_HEADER_SECONDS, self._late)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        super().on_url(url)
        if len(self.url) > _URL_BYTES:
            raise ValueError("the target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._size += len(name) + len(value)
        if self._size > _HEADER_BYTES:
            raise ValueError("the headers are too large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; its body is awaited."""
        self._stop()
        self._timer = self.loop.call_later(_BODY_SECONDS, self._late)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._stop()
        super().on_message_complete()

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
