"""The authorization of requests to a registry: basic, or by tokens that a token server gives for the user's login.

A registry says in its first refusal which one it wants. Tokens live for minutes, so an upload may need several of them.
"""

import asyncio
import re
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx2
import msgspec

from fairway.cluster.images.credentials import Login
from fairway.cluster.images.names import Place
from fairway.cluster.images.refusals import RegistryError, denied, unreachable
from fairway.spec.text import one_line, shortened

_SCHEME = re.compile(r"\s*,?\s*(basic|bearer)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_DEFAULT_SECONDS = 60.0
_MARGIN_SECONDS = 10.0
_MOST = 64 * 1024
_CLIENT = "fairway"
_TRIES = 3
_WAIT_SECONDS = 0.5
_PASSING = (429, 500, 502, 503, 504)
"""The answers of a token server after which another try may do better."""


class Challenge(msgspec.Struct, frozen=True):
    """The way in which a registry wants requests to be authorized.

    Attributes:
        scheme: `basic` or `bearer`.
        realm: the address of the token server.
        service: the name of the registry at the token server.
    """

    scheme: str
    realm: str = ""
    service: str = ""


class _Token(msgspec.Struct):
    """The answer of a token server."""

    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


class _Held(msgspec.Struct, frozen=True):
    """A token in use."""

    value: str
    until: float


def parse_challenges(headers: Iterable[str]) -> Challenge | None:
    """Return the challenge of a refusal. Bearer is preferred. None if there is none that this module knows."""
    found: dict[str, Challenge] = {}
    for header in headers:
        at = 0
        while scheme := _SCHEME.match(header, at):
            at = scheme.end()
            values: dict[str, str] = {}
            while parameter := _PARAMETER.match(header, at):
                at = parameter.end()
                quoted = re.sub(r"\\(.)", r"\1", parameter[2] or "")
                values[parameter[1].lower()] = quoted or parameter[3] or ""
            name = scheme[1].lower()
            found.setdefault(name, Challenge(name, values.get("realm", ""), values.get("service", "")))
    return found.get("bearer") or found.get("basic")


class Authorizer:
    """The holder of a login and of the tokens that it got for one registry.

    Args:
        client: the HTTP client that asks the token server.
        place: the registry.
        login: the user's login; an empty one asks for tokens that everybody gets.
    """

    def __init__(self, client: httpx2.AsyncClient, place: Place, login: Login) -> None:
        self._client = client
        self._place = place
        self._login = login
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], _Held] = {}
        self._asking = asyncio.Lock()

    async def headers(self, scopes: frozenset[str]) -> dict[str, str]:
        """Return the headers that authorize a request; none before the registry has refused one.

        Args:
            scopes: the rights that the request needs, such as `repository:team/fairway:pull,push`.
        """
        if self._challenge is None:
            return {}
        if self._challenge.scheme == "basic":
            return {"Authorization": self._login.basic()} if self._login else {}
        # One request at a time asks: the others then find the token here.
        async with self._asking:
            held = self._tokens.get(scopes)
            if held is None or held.until <= time.monotonic():
                held = self._tokens[scopes] = await self._fetch(self._challenge, scopes)
        return {"Authorization": f"Bearer {held.value}"}

    def learn(self, refused: httpx2.Response, scopes: frozenset[str]) -> bool:
        """Take in a refusal with status 401. Tell whether another try may do better."""
        challenge = parse_challenges(refused.headers.get_list("www-authenticate"))
        if challenge is None or (challenge.scheme == "basic" and not self._login):
            return False
        self._challenge = challenge
        self._tokens.pop(scopes, None)
        return True

    async def _fetch(self, challenge: Challenge, scopes: frozenset[str]) -> _Held:
        realm = urlsplit(challenge.realm)
        if realm.scheme != "https" and not (realm.scheme == "http" and self._place.plain):
            raise RegistryError(
                f"{self._place.host} asks for a token of {shortened(challenge.realm, 100)!r}, which is not safe to ask",
                hint=f"if this is meant, write the registry as `http://{self._place.host}`",
            )
        asked = time.monotonic()
        response = await self._answer(challenge, sorted(scopes))
        if response.status_code in (400, 401, 403):
            raise denied(self._place, self._login, scopes, response.status_code)
        if response.status_code != 200 or len(response.content) > _MOST:
            raise RegistryError(
                f"{one_line(realm.netloc)}, which gives tokens for {self._place.host}, answered {response.status_code}",
                hint="try again in a minute",
            )
        return self._held(response.content, asked)

    async def _answer(self, challenge: Challenge, scopes: list[str]) -> httpx2.Response:
        """Return the answer of the token server. Ask again while it is out of reach or overloaded, a few times."""
        for left in reversed(range(_TRIES)):
            try:
                response = await self._ask(challenge, scopes)
            except httpx2.HTTPError as error:
                if not left:
                    realm = urlsplit(challenge.realm)
                    raise unreachable(realm.netloc, error, plain=realm.scheme == "http") from None
            else:
                if response.status_code not in _PASSING or not left:
                    return response
            await asyncio.sleep(_WAIT_SECONDS * (_TRIES - left))
        raise AssertionError("the last try returns or raises")

    async def _ask(self, challenge: Challenge, scopes: list[str]) -> httpx2.Response:
        parameters = [("service", challenge.service)] if challenge.service else []
        if self._login.is_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": self._login.secret,
                "client_id": _CLIENT,
                "scope": " ".join(scopes),
                **dict(parameters),
            }
            return await self._client.post(challenge.realm, data=form)
        parameters += [("client_id", _CLIENT)] + [("scope", scope) for scope in scopes]
        headers = {"Authorization": self._login.basic()} if self._login else {}
        url = httpx2.URL(challenge.realm)
        url = url.copy_with(params=[*url.params.multi_items(), *parameters])
        return await self._client.get(url, headers=headers)

    def _held(self, content: bytes, asked: float) -> _Held:
        try:
            token = msgspec.json.decode(content, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            token = _Token()
        value = token.token or token.access_token
        if not value or not value.isascii() or not value.isprintable():
            raise RegistryError(
                f"the token server of {self._place.host} did not answer with a token",
                hint="try again in a minute",
            )
        lives = token.expires_in if token.expires_in and token.expires_in > 0 else _DEFAULT_SECONDS
        return _Held(value, asked + max(lives - _MARGIN_SECONDS, lives / 2))
