"""The part of a platform that knows who may do what, reached over HTTP."""

from urllib.parse import quote

import msgspec

from fairway.remote.asking import Part
from fairway.spec.access import Me, NewToken, Token


class RemotePeople(Part):
    """The people of a platform."""

    async def tokens(self) -> list[Token]:
        """Return every token, by name. Raises FairwayError."""
        return await self._ask("GET", "/tokens", list[Token])

    async def give(self, name: str, role: str) -> NewToken:
        """Give a person a token with a role. Raises FairwayError."""
        body = msgspec.json.encode({"name": name, "role": role})
        return await self._ask("POST", "/tokens", NewToken, body)

    async def take(self, name: str) -> None:
        """Take a token away. Raises FairwayError."""
        await self._ask("DELETE", f"/tokens/{quote(name, safe='')}", dict[str, object])

    async def me(self) -> Me:
        """Return the name and the role with which the platform knows whoever asks. Raises FairwayError."""
        return await self._ask("GET", "/me", Me)

    async def code(self) -> str:
        """Return a code with which a browser gets in once. Raises FairwayError."""
        return (await self._ask("POST", "/codes", _Code)).code


class _Code(msgspec.Struct):
    code: str
