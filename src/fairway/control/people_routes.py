"""The routes that tell who asks, let a browser in, and give and take tokens. Must not know who may ask."""

from collections.abc import Callable

import msgspec
from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, body
from fairway.control.sessions import HOLDER, Codes
from fairway.pages.visit import ACTOR
from fairway.ports.platform import Platform
from fairway.spec.access import Actor, Me, NewToken, Token
from fairway.spec.errors import UsageError


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token to give: the name of a person or program, and a role."""

    name: str
    role: str


class Code(msgspec.Struct, frozen=True):
    """A code that lets a browser in once."""

    code: str


class PeopleRoutes(Handlers):
    """The handlers for people.

    Args:
        platform: returns the platform.
        codes: returns the codes that let a browser in; None for a platform without pages.
    """

    def __init__(self, platform: Callable[[], Platform], codes: Callable[[], Codes | None]) -> None:
        super().__init__(platform)
        self._codes = codes

    def entries(self) -> list[Entry]:
        """Return all routes."""
        get, tokens = "GET", f"{BASE}/tokens"
        return [
            Entry(method=get, path=f"{BASE}/me", policy="viewer", handler=self.me, gives=Me),
            Entry(method="POST", path=f"{BASE}/codes", policy="viewer", handler=self.code, gives=Code),
            Entry(method=get, path=tokens, policy="administrator", handler=self.tokens, gives=list[Token]),
            Entry(
                method="POST",
                path=tokens,
                policy="administrator",
                handler=self.give,
                takes=TokenRequest,
                gives=NewToken,
            ),
            Entry(method="DELETE", path=f"{tokens}/{{name}}", policy="administrator", handler=self.take),
        ]

    async def me(self, request: Request) -> object:
        """Return the name and the role of whoever asks."""
        actor: Actor = request.scope[ACTOR]
        return Me(name=actor.name, role=actor.role.word)

    async def code(self, request: Request) -> object:
        """Return a code with which a browser gets in as whoever asks, once and within five minutes, at `/enter?code=`."""
        codes = self._codes()
        if codes is None:
            raise UsageError(
                "this platform has no pages of its own",
                hint="`fairway ui --target NAME` shows them on your machine",
            )
        return Code(code=codes.make(request.scope[HOLDER]))

    async def tokens(self, request: Request) -> object:
        """Return every token, by name, without its text."""
        return await self._platform().people.tokens()

    async def give(self, request: Request) -> object:
        """Give a person a token with a role. Its text is in this answer alone."""
        wanted: TokenRequest = await body(request, TokenRequest)
        return await self._platform().people.give(wanted.name, wanted.role)

    async def take(self, request: Request) -> object:
        """Take a token away, with the sessions that began with it."""
        name = values.name(request)
        await self._platform().people.take(name)
        return {"taken": name}
