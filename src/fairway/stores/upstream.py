"""The connection of a pod to the store of its control plane: requests by digest and by attempt, over HTTP.

Every request may be repeated: content has its digest as its name, and a record is only ever created. So a request whose answer
was lost is sent again, for minutes if the control plane restarts. A connection belongs to the process that opened it and is
never used after a fork. Knows the routes, and not what content or records mean.
"""

import importlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar, cast

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from socket import socket

T = TypeVar("T")

BASE = "/api/v1/store"
CREDENTIAL = "X-Fairway-Run"
"""Name of the header with the credential of a run."""

_PATIENCE = 300.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_PIECE = 1 << 20
_BLOCK = 1 << 18
_MOST_SAID = 1 << 16
_FULL = 507
_AGAIN = frozenset({401, 408, 425, 429, 500, 502, 503, 504, _FULL})
"""Answers after which a request is sent again: the control plane is busy or restarts, or gives the run a new credential.

Or its disk takes nothing, and somebody may make room. The work of hours waits for that for a while.
"""


class _Refusal(msgspec.Struct):
    """The body of a refusal."""

    error: str
    hint: str = ""


class Pieces(Protocol):
    """Content that is read once, in pieces."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the content."""
        ...


class _Again(Exception):
    """A request that has to be sent again, with the reason, and a hint if somebody has to do something."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class Answer:
    """The answer to a request: its status, the size that it announces, and a body that is read once."""

    def __init__(self, response: "HTTPResponse", method: str) -> None:
        self._response = response
        self.status = response.status
        self.size = int(response.headers.get("content-length") or 0)
        self._left = 0 if method == "HEAD" else self.size

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield the body. If the connection breaks off, the request is sent again from its beginning."""
        from http.client import HTTPException

        try:
            while piece := self._response.read(_PIECE):
                self._left -= len(piece)
                yield piece
        # A caller that writes the pieces to a file would take an OSError for one of the file.
        except (HTTPException, OSError) as error:
            raise _Again(_why(error)) from error
        # A body that is read in pieces just ends where the connection broke off.
        if self._left > 0:
            raise _Again("the connection broke off")

    def whole(self) -> bytes:
        """Return the body."""
        return b"".join(self.pieces())


class Upstream:
    """The store routes of a control plane.

    Args:
        url: such as "http://fairway.team.svc:7700".
        credential: path of the file that holds the credential of the run. It is read again when the control plane refuses it.
        patience: seconds for which a request is sent again before it fails.
        header: name of the header with the credential.
    """

    def __init__(
        self, url: str, credential: str, patience: float = _PATIENCE, *, header: str = CREDENTIAL
    ) -> None:
        # Only pods need it, and every host loads this module.
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise StorageError(
                f"{url[:80]!r} is no address of a control plane", hint="it has the form `http://HOST:PORT`"
            )
        self._host, self._port = parts.hostname, parts.port or 80
        self._file = credential
        self._header = header
        self._patience = patience
        self._credential = ""
        self._process = 0
        self._idle: list[HTTPConnection] = []
        self._address: tuple[str, int] | None = None

    @property
    def place(self) -> str:
        """Host and port of the control plane, for people."""
        return f"{self._host}:{self._port}"

    def prepare(self) -> None:
        """Load what requests need and look the address up, so that processes forked from here need not.

        In a cluster a name takes several questions to the name server, and every attempt is a process.
        """
        importlib.import_module("http.client")
        if self._address is None:
            import socket

            with suppress(OSError):  # it goes wrong again in the process that connects, which tries again
                found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                self._address = (str(found[0][4][0]), self._port)

    def size(self, digest: str) -> int | None:
        """Return the size of a blob, which no sweep removes for a day from now on; None if there is none."""
        return self._ask(
            "HEAD", f"/blobs/{digest}", lambda answer: answer.size if answer.status == 200 else None
        )

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that the store has no blob for."""
        body = msgspec.json.encode({"digests": digests})
        return self._ask("POST", "/missing", _digests, lambda: body)

    def put(self, digest: str, path: str) -> None:
        """Store the content of a file under its digest. Raises StorageError."""
        self._ask("PUT", f"/blobs/{digest}", Answer.whole, lambda: open(path, "rb"))  # noqa: SIM115, `_send` closes it

    def get(self, digest: str, take: Callable[[Pieces], None], *, check: bool = False) -> bool:
        """Pass the content of a blob to `take`, which is called again if the connection breaks off. Return false without a blob.

        Args:
            check: true to let the control plane check its copy first, and move it aside if it is damaged.
        """

        def taken(answer: Answer) -> bool:
            if answer.status == 200:
                take(answer)
            return answer.status == 200

        return self._ask("GET", f"/blobs/{digest}{'?check=1' if check else ''}", taken)

    def create(self, names: tuple[str, str, int], record: bytes) -> tuple[bool, bool]:
        """Create the record of an attempt, named by run, step and number.

        Return true if there was none before. The second value is true if the request was sent more than once, so that the record
        that was there before may be this one.
        """
        sent = 0

        def body() -> bytes:
            nonlocal sent
            sent += 1
            return record

        created = self._ask("PUT", _record_path(names), lambda answer: answer.status == 201, body)
        return created, sent > 1

    def record(self, names: tuple[str, str, int]) -> bytes | None:
        """Return the record of an attempt; None if there is none."""
        return self._ask(
            "GET", _record_path(names), lambda answer: answer.whole() if answer.status == 200 else None
        )

    def _ask(
        self,
        method: str,
        path: str,
        take: Callable[[Answer], T],
        body: "Callable[[], bytes | BinaryIO] | None" = None,
    ) -> T:
        """Send a request until it is answered with 2xx or 404, and return what `take` makes of the answer.

        Raises:
            StorageError: the control plane refused it, or did not answer for `patience` seconds.
        """
        from http.client import HTTPException

        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            connection, used = self._connection()
            try:
                answer = self._send(connection, method, path, body)
                taken = take(answer)
                answer.whole()
                self._idle.append(connection)
                return taken
            except (_Again, HTTPException, OSError) as error:
                connection.close()
                if time.monotonic() > until:
                    raise self._silent(error) from error
                # The control plane closes connections that are idle, so a used one may be closed already.
                if not (used and isinstance(error, ConnectionError | HTTPException)):
                    time.sleep(pause * (0.5 + os.urandom(1)[0] / 255))
                    pause = min(pause * 2, _LONGEST_PAUSE)
            except BaseException:
                connection.close()
                raise

    def _connection(self) -> "tuple[HTTPConnection, bool]":
        """Return a connection of this process, and whether it was used before."""
        from http.client import HTTPConnection

        if self._process != os.getpid():
            # The other ends belong to the process from which this one was forked.
            self._process, self._idle = os.getpid(), []
        if self._idle:
            return self._idle.pop(), True
        return HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS, blocksize=_BLOCK), False

    def _connect(self, connection: "HTTPConnection") -> None:
        """Connect to the address that is known, or to the one that the name has now. Raises OSError."""
        if self._address is not None:
            import socket

            try:
                connection.sock = socket.create_connection(self._address, _CONNECT_SECONDS)
            except OSError:
                self._address = None
                raise
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection.connect()

    def _send(
        self,
        connection: "HTTPConnection",
        method: str,
        path: str,
        body: "Callable[[], bytes | BinaryIO] | None",
    ) -> Answer:
        """Send a request once. Raises _Again if it has to be repeated, StorageError if it is refused."""
        line = cast("socket | None", connection.sock)
        if line is None:
            self._connect(connection)
            cast("socket", connection.sock).settimeout(_ANSWER_SECONDS)
        content = body() if body is not None else None
        try:
            # Content is sent as it is. A question is JSON, and the API of the control plane takes nothing else for one.
            kind = "application/json" if method == "POST" else "application/octet-stream"
            headers = {self._header: self._key(), "Content-Type": kind}
            if content is not None:
                size = len(content) if isinstance(content, bytes) else os.fstat(content.fileno()).st_size
                headers["Content-Length"] = str(size)
            with suppress(
                BrokenPipeError, ConnectionResetError
            ):  # it may have been refused, and the answer says why
                connection.request(method, BASE + path, content, headers)
            answer = Answer(connection.getresponse(), method)
        finally:
            if content is not None and not isinstance(content, bytes):
                content.close()
        if answer.status < 300 or answer.status == 404:
            return answer
        said = _refusal(answer)
        if answer.status == 401:
            self._credential = ""
        if answer.status in _AGAIN:
            raise _Again(said.error, said.hint if answer.status == _FULL else "")
        raise StorageError(said.error, hint=said.hint)

    def _key(self) -> str:
        """Return the credential of the run. Its file is written once the control plane knows this pod."""
        if not self._credential:
            try:
                with open(self._file, encoding="ascii") as file:
                    self._credential = file.read(_MOST_SAID).strip()
            except (OSError, ValueError):
                raise _Again(f"there is no credential in {self._file} yet") from None
        return self._credential

    def _silent(self, error: Exception) -> StorageError:
        return StorageError(
            f"the control plane at {self.place} could not be used for {self._patience:.0f} seconds: {_why(error)}",
            hint=(error.hint if isinstance(error, _Again) else "")
            or "see whether its pod runs: `kubectl get pods`",
        )


def _digests(answer: Answer) -> list[str]:
    return msgspec.json.decode(answer.whole(), type=list[str])


def _record_path(names: tuple[str, str, int]) -> str:
    """Return the path of a record. Names are quoted twice, because a server decodes a path before it is split."""
    run, step, attempt = names
    return f"/results/{_quoted(run)}/{_quoted(step)}/{attempt}"


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(quote(name, safe="").replace(".", "%2E"), safe="")


def _refusal(answer: Answer) -> _Refusal:
    """Read a refusal."""
    try:
        return msgspec.json.decode(answer.whole()[:_MOST_SAID], type=_Refusal)
    except UNREADABLE:
        return _Refusal(f"the control plane answered with status {answer.status}")


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
