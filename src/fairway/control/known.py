"""The people that a platform on this machine knows: its owner, and those to whom the owner gave a token.

A person shows a token, or the secret of a session that began with one. Must not know what is asked.
"""

import asyncio
import hashlib
import hmac
from typing import Protocol

import msgspec

from fairway.control.peers import Peers
from fairway.control.sessions import OWNER, Codes, Guesses, Sessions, proof_of
from fairway.spec.access import Actor, Role, Token


class Tokens(Protocol):
    """The tokens that were given to people."""

    def find(self, digest: str) -> Token | None:
        """Return the token with a hash."""
        ...

    def is_news(self, token: Token) -> bool:
        """Tell whether the last use of a token that is used now is not on record."""
        ...

    def used(self, digest: str) -> None:
        """Record that a token is used now."""
        ...


class Known:
    """The people of one platform.

    Args:
        owner: the person whose platform it is.
        token: the owner's token.
        tokens: those of other people; None where there are none.
        sessions: the sessions of browsers.
    """

    def __init__(
        self, owner: Actor, token: str, tokens: Tokens | None = None, sessions: Sessions | None = None
    ) -> None:
        self._owner = owner
        self._digest = hashlib.sha256(token.encode()).digest()
        self._tokens = tokens
        self.sessions = sessions or Sessions()
        self.codes = Codes()
        self.guesses = Guesses()
        self.peers = Peers()
        self._noting: dict[str, asyncio.Future[None]] = {}

    def holder(self, token: bytes) -> str | None:
        """Return the holder of a token for `person`; None for a token that nobody holds."""
        found = hashlib.sha256(token)
        if hmac.compare_digest(found.digest(), self._digest):
            return OWNER
        # The hash is looked up, so the time that this takes tells nothing about a token.
        return found.hexdigest() if self.person(found.hexdigest()) is not None else None

    def person(self, holder: str) -> Actor | None:
        """Return the person behind a holder as the rights are now; None if they were taken away."""
        if holder == OWNER:
            return self._owner
        token = self._tokens.find(holder) if self._tokens is not None else None
        return Actor(name=token.name, role=Role.of(token.role)) if token is not None else None

    def in_session(self, secret: str, user: int | None = None) -> Actor | None:
        """Return the person whose session it is, with the proof for its forms.

        None if it is over, or if another user of the machine shows its secret.
        """
        holder = self.sessions.holder(secret, user)
        actor = self.person(holder) if holder is not None else None
        return msgspec.structs.replace(actor, proof=proof_of(secret)) if actor is not None else None

    def note_use(self, holder: str) -> None:
        """Record that a token is used now, to the minute, without a wait for the disk."""
        token = self._tokens.find(holder) if self._tokens is not None and holder else None
        if token is None or holder in self._noting or not (self._tokens and self._tokens.is_news(token)):
            return
        noting = asyncio.get_running_loop().run_in_executor(None, self._tokens.used, holder)
        self._noting[holder] = noting
        noting.add_done_callback(lambda done: self._noted(holder, done))

    def _noted(self, holder: str, done: "asyncio.Future[None]") -> None:
        del self._noting[holder]
        if not done.cancelled():
            done.exception()  # A use that cannot be written is not worth a refusal.
