"""What goes back to a client, and the errors that become such answers. Knows nothing of models."""

import http
import secrets
from typing import Protocol

import msgspec

from fairway.author import tracebacks
from fairway.server import errorlog
from fairway.spec.text import legible

JSON = b"application/json"
SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""Headers of every answer."""

_TOLD = 1000
"""Letters of an error's text at most."""

CLOSE = (b"connection", b"close")
_encode = msgspec.json.Encoder().encode
_STATUS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}


class Answer:
    """A finished response: status, body and headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes, kind: bytes = JSON, extra: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *extra, *SAFE]

    def head(self) -> bytes:
        """The status line and the headers as they go over HTTP/1.1, without the empty line behind them."""
        parts = [_STATUS[self.status]]
        for name, value in self.headers:
            parts += (name, b": ", value, b"\r\n")
        return b"".join(parts)


class Line(Protocol):
    """The connection, as an answer in pieces uses it."""

    keep_alive: bool

    async def write(self, data: bytes) -> bool:
        """Send, and wait until the client reads; false when it has left."""
        ...

    def end(self, data: bytes) -> None:
        """Send the last piece; the connection is free for the next request."""
        ...

    def cut(self, *, at_once: bool) -> None:
        """Close the connection, after what was sent has gone out or at once."""
        ...


class InPieces(Protocol):
    """An answer that is not known as a whole when it begins."""

    async def send(self, line: Line, *, chunked: bool, close: bool) -> int:
        """Send it all; returns the status that the metrics count.

        Args:
            line: the connection.
            chunked: whether the client knows chunks; the end of the connection is the end of the answer otherwise.
            close: whether the connection is closed behind it.
        """
        ...


class Refusal(Exception):
    """A request that cannot be answered as asked; `status`, `message` and `hint` are for the client."""

    def __init__(
        self, status: int, message: str, *, hint: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = headers

    def answer(self) -> Answer:
        """The response that says so. It repeats no more than the beginning of what a client sent."""
        said = {"error": _clipped(self.message)}
        if self.hint:
            said["hint"] = _clipped(self.hint)
        return Answer(self.status, _encode(said), extra=self.headers)


class ClientGone(Exception):
    """The client left; nobody reads an answer."""


def out_of_memory() -> Refusal:
    """503: this request needs more memory than there is; the worker goes on."""
    return Refusal(
        503, "there is not enough memory for this request", headers=(CLOSE, (b"retry-after", b"1"))
    )


def as_json(value: object, status: int = 200) -> Answer:
    """A JSON response."""
    return Answer(status, _encode(value))


def unreadable(said: str, error: Exception, body: bytes) -> Refusal:
    """The refusal of a body that is no JSON; what Python writes for a missing number is none."""
    hint = "JSON has no NaN; send null for a missing value" if b"NaN" in body else ""
    return Refusal(400, f"{said}: {error}", hint=hint)


def internal_error(error: BaseException) -> Answer:
    """What a client may know of a failure of ours: an id, under which the log has the rest."""
    number = secrets.token_hex(6)
    errorlog.write(lambda: f"error {number}: {legible(tracebacks.whole(error))}\n")
    return Answer(500, _encode({"error": "internal error", "id": number}))


def too_many(message: str = "too many requests are waiting") -> Refusal:
    """429 with the time after which to try again."""
    return Refusal(429, message, headers=((b"retry-after", b"1"),))


def _clipped(text: str) -> str:
    text = text if len(text) <= _TOLD else text[:_TOLD] + " …"
    return legible(text)
