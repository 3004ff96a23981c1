"""The people of a platform: tokens are given and taken, and both are put on record. Must not know how a token is kept."""

from collections.abc import Callable
from typing import Protocol

from fairway.engine.aside import Aside
from fairway.ports import Clock, MetadataStore
from fairway.spec.access import NewToken, Token
from fairway.spec.errors import UsageError
from fairway.spec.event import Body, Event, TokenGiven, TokenTaken


class TokenStore(Protocol):
    """The place where tokens are kept, by hash."""

    def all(self) -> list[Token]:
        """Return every token, by name."""
        ...

    def give(self, name: str, role: str) -> NewToken:
        """Make a token. Raises UsageError."""
        ...

    def take(self, name: str) -> None:
        """Remove a token. Raises NotFound."""
        ...


class People:
    """The people of a platform in this process.

    Args:
        open: opens the place where tokens are kept; None where the target itself knows who may do what.
        metadata: the record.
        clock: the time.
        aside: calls functions that block.
    """

    def __init__(
        self,
        open: Callable[[], TokenStore] | None,
        metadata: MetadataStore,
        clock: Clock,
        aside: Aside,
    ) -> None:
        self._open = open
        self._metadata = metadata
        self._clock = clock
        self._aside = aside

    async def tokens(self) -> list[Token]:
        """Return every token, by name. Raises UsageError."""
        return await self._aside(lambda: self._store().all())

    async def give(self, name: str, role: str) -> NewToken:
        """Give a person a token with a role. Raises UsageError."""
        return await self._aside(self._give, name, role)

    async def take(self, name: str) -> None:
        """Take a token away. Raises NotFound, UsageError."""
        await self._aside(self._take, name)

    def _give(self, name: str, role: str) -> NewToken:
        made = self._store().give(name, role)
        self._note(TokenGiven(name=name, role=made.role))
        return made

    def _take(self, name: str) -> None:
        self._store().take(name)
        self._note(TokenTaken(name=name))

    def _note(self, body: Body) -> None:
        self._metadata.append([Event(body=body, time=self._clock.now())])

    def _store(self) -> TokenStore:
        if self._open is None:
            raise UsageError(
                "roles on a cluster are given by Kubernetes and not by tokens of Fairway",
                hint="see docs/howto/cluster.md: who may make a token of the account fairway-viewer is a viewer",
            )
        return self._open()
