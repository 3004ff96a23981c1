"""The gate in front of every route: exact Host and Origin, no cross-site fetches, the token. Closed by default.

It decides before routing, for HTTP and WebSocket alike, and lets a request through only by a rule. Must not know what a
route does, only the exact paths that are public.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any, cast

import msgspec

from fairway.control.bodies import Bodies, Body
from fairway.control.refused import Refused
from fairway.spec import versions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_POLICY_VIOLATION = 1008
_SAFE = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Gate:
    """An ASGI application in front of another.

    Args:
        hosts: accepted values of the Host header. `http://` and one of them is an accepted Origin.
        token: the token that `Authorization: Bearer …` must carry.
        public: exact paths that need no token.
    """

    def __init__(self, inner: Application, hosts: Iterable[str], token: str, public: Collection[str]) -> None:
        self._inner = inner
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._digest = hashlib.sha256(token.encode()).digest()
        self._public = frozenset(public)
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._inner(scope, receive, send)
            return
        try:
            if kind not in ("http", "websocket"):
                raise Refused(403, "this kind of connection is not accepted")
            headers = cast("Headers", scope["headers"])
            self._check_origin(headers)
            if scope["path"] not in self._public:
                self._check_token(headers)
            self._bodies.check(headers)
        except Refused as refused:
            if kind == "websocket":
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            else:
                await refuse(send, refused)
            return
        body = Body(self._bodies, receive)
        try:
            await self._inner(scope, body, send)
        finally:
            body.release()

    def _check_origin(self, headers: Headers) -> None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(403, "this host name is not accepted")
        for name, value in headers:
            if name == b"origin" and value not in self._origins:
                raise Refused(403, "requests from other origins are not accepted")
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
                raise Refused(403, "requests from other sites are not accepted")

    def _check_token(self, headers: Headers) -> None:
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        same = hmac.compare_digest(hashlib.sha256(token.strip()).digest(), self._digest)
        if scheme.lower() != b"bearer" or not same:
            raise Refused(401, "a token is needed", "it is in `.fairway/platform/token`")


async def refuse(send: Send, refused: Refused) -> None:
    """Answer a request that goes no further."""
    body = msgspec.json.encode({"error": refused.error, "hint": refused.hint})
    headers = [
        *_SAFE,
        (versions.HEADER.encode(), versions.this().encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status in (400, 413, 503):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
