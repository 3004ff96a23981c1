"""The ways into the pages of a platform: codes that are good once, and sessions of browsers, each known by its hash alone.

Sessions outlive the process, so that a page stays open when the platform is started again. Codes do not.
"""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from fairway.control.peers import is_other
from fairway.spec.decoding import UNREADABLE

SESSION_SECONDS = 12 * 3600
_CODE_SECONDS = 300.0
_MOST_SESSIONS = 200
_MOST_CODES = 50
_WRONG = 20
_WRONG_SECONDS = 60.0

OWNER = ""
"""The holder of a session that began with a code of the owner. Otherwise the holder is the hash of a token."""


HOLDER = "fairway.holder"
"""The key of the ASGI scope under which the gate leaves the holder of the token that a request shows."""


class File(Protocol):
    """A file that holds the sessions."""

    def read(self) -> bytes:
        """Return the content; nothing if there is none."""
        ...

    def write(self, content: bytes) -> None:
        """Replace the content."""
        ...


class Session(msgspec.Struct, frozen=True):
    """A session of a browser.

    Attributes:
        digest: the hash of its secret.
        holder: who holds it.
        until: the time of its end.
        user: the user of this machine with whose browser it began; None if nobody can tell.
    """

    digest: str
    holder: str
    until: float
    user: int | None = None


class Sessions:
    """The sessions of one platform.

    Args:
        file: keeps them; None to forget them with the process.
        clock: returns the seconds since the epoch.
    """

    def __init__(self, file: File | None = None, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._by_digest = {one.digest: one for one in self._read()}

    def begin(self, holder: str, user: int | None = None) -> str:
        """Begin a session and return its secret. The oldest session ends if there are too many."""
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        session = Session(_digest(secret), holder, now + SESSION_SECONDS, user)
        living = [one for one in self._by_digest.values() if one.until > now][1 - _MOST_SESSIONS :]
        self._keep([*living, session])
        return secret

    def holder(self, secret: str, user: int | None = None) -> str | None:
        """Return who holds a session; None if there is no such session any more, or another user of the machine shows it."""
        session = self._by_digest.get(_digest(secret))
        if session is None or session.until <= self._clock() or is_other(session.user, user):
            return None
        return session.holder

    def end(self, secret: str) -> None:
        """End a session. An unknown one is fine."""
        if _digest(secret) in self._by_digest:
            self._keep([one for one in self._by_digest.values() if one.digest != _digest(secret)])

    def _keep(self, sessions: list[Session]) -> None:
        self._by_digest = {one.digest: one for one in sessions}
        if self._file is not None:
            self._file.write(msgspec.json.encode(sessions))

    def _read(self) -> list[Session]:
        held = self._file.read() if self._file is not None else b""
        try:
            return msgspec.json.decode(held or b"[]", type=list[Session])
        except UNREADABLE:
            return []


class Codes:
    """Codes that let a browser in, each once and for a short time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._holders: dict[str, tuple[str, float]] = {}

    def make(self, holder: str) -> str:
        """Return a new code. The oldest one ends if there are too many."""
        code = secrets.token_urlsafe(32)
        kept = list(self._holders.items())[1 - _MOST_CODES :]
        self._holders = {**dict(kept), _digest(code): (holder, self._clock() + _CODE_SECONDS)}
        return code

    def redeem(self, code: str) -> str | None:
        """Return for whom a code was made; None if it is unknown, used or too old. It is good no more."""
        holder, until = self._holders.pop(_digest(code), ("", 0.0))
        return holder if until > self._clock() else None


class Guesses:
    """The wrong codes and tokens of the last minute. When they are many, nothing is compared until the minute is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=_WRONG)

    def are_many(self) -> bool:
        """Tell whether nothing may be tried now."""
        return len(self._wrong) == _WRONG and self._clock() - self._wrong[0] < _WRONG_SECONDS

    def wrong(self) -> None:
        """Count a wrong one."""
        self._wrong.append(self._clock())


def proof_of(secret: str) -> str:
    """Return the proof that the forms of a session carry. Nobody can tell the secret from it."""
    return hashlib.sha256(b"form " + secret.encode()).hexdigest()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
