"""Answers to clients, and the errors that become answers. Knows nothing of models."""

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
"""Maximum length of an error's text, in letters."""

CLOSE = (b"connection", b"close")
_encode = msgspec.json.Encoder().encode
_STATUS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}


class Answer:
    """A complete response: status, body and headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes, kind: bytes = JSON, extra: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *extra, *SAFE]

    def head(self) -> bytes:
        """Return the status line and the headers of HTTP/1.1, without the empty line that ends them."""
        parts = [_STATUS[self.status]]
        for name, value in self.headers:
            parts += (name, b": ", value, b"\r\n")
        return b"".join(parts)


class Line(Protocol):
    """The part of a connection that an answer in pieces needs."""

    keep_alive: bool

    async def write(self, data: bytes) -> bool:
        """Send data and wait until the client reads it. Return false if the client has left."""
        ...

    def end(self, data: bytes) -> None:
        """Send the last piece. The connection can take the next request afterwards."""
        ...

    def cut(self, *, at_once: bool) -> None:
        """Close the connection: at once, or after the data that waits has been sent."""
        ...


class InPieces(Protocol):
    """An answer whose end is not known when it begins."""

    async def send(self, line: Line, *, chunked: bool, close: bool) -> int:
        """Send the whole answer and return the status that the metrics count.

        Args:
            line: the connection.
            chunked: true if the client understands chunks. Otherwise the end of the connection ends the answer.
            close: true if the connection is closed after the answer.
        """
        ...


class Refusal(Exception):
    """A request that the server refuses. The client gets `status`, `message` and `hint`."""

    def __init__(
        self, status: int, message: str, *, hint: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = headers

    def answer(self) -> Answer:
        """Return the response. It repeats at most `_TOLD` letters, because a message can contain what the client sent."""
        said = {"error": _clipped(self.message)}
        if self.hint:
            said["hint"] = _clipped(self.hint)
        return Answer(self.status, _encode(said), extra=self.headers)


class ClientGone(Exception):
    """The client left before it had its answer."""


def out_of_memory() -> Refusal:
    """Return a refusal with status 503 for a request that needs too much memory. The worker continues."""
    return Refusal(
        503, "there is not enough memory for this request", headers=(CLOSE, (b"retry-after", b"1"))
    )


def as_json(value: object, status: int = 200) -> Answer:
    """Return a value as a JSON response."""
    return Answer(status, _encode(value))


def unreadable(said: str, error: Exception, body: bytes) -> Refusal:
    """Return the refusal of a body that is not JSON. Python writes a missing number as `NaN`, which JSON does not have."""
    hint = "JSON has no NaN; send null for a missing value" if b"NaN" in body else ""
    return Refusal(400, f"{said}: {error}", hint=hint)


def internal_error(error: BaseException) -> Answer:
    """Log an error under a new id and return an answer that contains only the id: the text may hold private data."""
    number = secrets.token_hex(6)
    errorlog.write(lambda: f"error {number}: {legible(tracebacks.whole(error))}\n")
    return Answer(500, _encode({"error": "internal error", "id": number}))


def too_many(message: str = "too many requests are waiting") -> Refusal:
    """Return a refusal with status 429 and the time after which the client may try again."""
    return Refusal(429, message, headers=((b"retry-after", b"1"),))


def _clipped(text: str) -> str:
    text = text if len(text) <= _TOLD else text[:_TOLD] + " …"
    return legible(text)
