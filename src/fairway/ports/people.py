"""The part of a platform that knows who may do what."""

from typing import Protocol

from fairway.spec.access import NewToken, Token


class People(Protocol):
    """The people to whom the owner of a platform gave a token."""

    async def tokens(self) -> list[Token]:
        """Return every token, by name, without the text that only its person knows."""
        ...

    async def give(self, name: str, role: str) -> NewToken:
        """Give a person a token with a role. Its text is in the answer alone. Raises UsageError."""
        ...

    async def take(self, name: str) -> None:
        """Take a token away, with the sessions that began with it. Raises NotFound."""
        ...
