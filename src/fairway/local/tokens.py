"""The tokens that the owner of a store gave to people, by hash. Must not know what a role allows."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable

import msgspec

from fairway.local.sealed_file import SealedFile
from fairway.spec.access import NewToken, Role, Token
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import NotFound, UsageError

_MOST = 1000
_TO_THE_MINUTE = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Kept(Token, frozen=True, kw_only=True):
    """A token as the file holds it."""

    digest: str


def digest_of(token: str) -> str:
    """Return the hash by which a token is known."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Tokens:
    """The tokens of one store. Several processes may use them at once, and each sees a change of another at once.

    Args:
        file: holds them.
        owner: the name of the owner of the store, which no token may have.
    """

    def __init__(self, file: SealedFile, owner: str, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._owner = owner
        self._clock = clock
        self._stamp: tuple[int, int] = (0, 0)
        self._by_digest: dict[str, Kept] = {}

    def all(self) -> list[Token]:
        """Return every token without its hash, by name."""
        known = sorted(self._read().values(), key=lambda one: one.name)
        return [Token(name=one.name, role=one.role, given=one.given, used=one.used) for one in known]

    def find(self, digest: str) -> Token | None:
        """Return the token with a hash."""
        return self._read().get(digest)

    def give(self, name: str, role: str) -> NewToken:
        """Make a token for a person. Raises UsageError."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name[:80]!r} is no name for a token",
                hint="use letters, digits, and . _ @ - in it, such as `ana`",
            )
        if name == self._owner:
            raise UsageError(
                f"{name} is the owner of this platform and needs no token", hint="choose another name"
            )
        role = Role.of(role).word
        text = f"fw_{secrets.token_urlsafe(32)}"
        with self._file.changing():
            known = self._read()
            if any(one.name == name for one in known.values()):
                raise UsageError(
                    f"{name} has a token already", hint=f"take it first: `fairway tokens rm {name}`"
                )
            if len(known) >= _MOST:
                raise UsageError(
                    f"there are {_MOST} tokens already", hint="take some: `fairway tokens rm NAME`"
                )
            kept = Kept(name=name, role=role, given=self._clock(), digest=digest_of(text))
            self._write({**known, kept.digest: kept})
        return NewToken(name=name, role=role, token=text)

    def take(self, name: str) -> None:
        """Take a token away. Raises NotFound."""
        with self._file.changing():
            known = self._read()
            left = {digest: one for digest, one in known.items() if one.name != name}
            if len(left) == len(known):
                raise NotFound(f"there is no token {name[:80]!r}", hint="`fairway tokens` lists them")
            self._write(left)

    def is_news(self, token: Token) -> bool:
        """Tell whether the last use of a token that is used now is not on record to the minute."""
        return self._clock() - token.used >= _TO_THE_MINUTE

    def used(self, digest: str) -> None:
        """Record that a token is used now."""
        with self._file.changing():
            known = self._read()
            if digest in known:
                now = msgspec.structs.replace(known[digest], used=self._clock())
                self._write({**known, digest: now})

    def _read(self) -> dict[str, Kept]:
        stamp = self._file.stamp()
        if stamp != self._stamp:
            try:
                found = msgspec.json.decode(self._file.read() or b"[]", type=list[Kept])
            except UNREADABLE:
                found = []
            self._by_digest = {one.digest: one for one in found}
            self._stamp = stamp
        return self._by_digest

    def _write(self, known: dict[str, Kept]) -> None:
        self._file.write(msgspec.json.encode([*known.values()]))
