"""The gate in front of every route: exact Host and Origin, no cross-site fetches, a known person. Closed by default.

It decides before routing, for HTTP and WebSocket alike, and lets a request through only by a rule. A token opens everything that
its role allows. The cookie of a session opens pages alone. Must not know what a route does, only the exact paths that are public.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any, cast
from urllib.parse import quote

import msgspec

from fairway.control.bodies import Bodies, Body
from fairway.control.headers import Headers, Send, safeguarded
from fairway.control.known import Known
from fairway.control.refused import Refused
from fairway.control.sessions import HOLDER, OWNER
from fairway.pages.site import ACTOR
from fairway.pages.threshold import ask_in, onward
from fairway.server import errorlog
from fairway.spec import versions
from fairway.spec.access import Actor, acting

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/api/"
"""The beginning of the addresses that are for programs."""

_POLICY_VIOLATION = 1008
_MOST_COOKIES = 8192


class Gate:
    """An ASGI application in front of another.

    Args:
        hosts: accepted values of the Host header. `http://` and one of them is an accepted Origin.
        known: the people.
        public: exact paths that need no token.
        cookie: the name of the cookie of a session. It holds the port, because a browser sends cookies to every port of a host.
    """

    def __init__(
        self,
        inner: Application,
        hosts: Iterable[str],
        known: Known,
        public: Collection[str],
        cookie: str = "",
    ) -> None:
        self._inner = inner
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._known = known
        self._public = frozenset(public)
        self._cookie = cookie
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._inner(scope, receive, send)
            return
        if kind == "http":
            send = safeguarded(send, lambda status: _note(scope, status))
        try:
            if kind not in ("http", "websocket"):
                raise Refused(403, "this kind of connection is not accepted")
            headers = cast("Headers", scope["headers"])
            host = self._check_host(headers)
            if self._is_link(scope, headers):
                await onward(f"http://{host}{_target(scope)}")(scope, receive, send)  # type: ignore[arg-type]
                return
            self._check_origin(headers)
            if scope["path"] not in self._public:
                scope[ACTOR] = actor = self._person(scope, headers)
                acting.set(actor.name)
            self._bodies.check(headers)
        except Refused as refused:
            await self._refuse(refused, scope, receive, send)
            return
        body = Body(self._bodies, receive)
        try:
            await self._inner(scope, body, send)
        finally:
            body.release()

    def _check_host(self, headers: Headers) -> str:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise Refused(403, "this host name is not accepted")
        return hosts[0].decode().lower()

    def _is_link(self, scope: Scope, headers: Headers) -> bool:
        """Tell whether somebody follows a link that another site has to one of the pages.

        Only a whole window that looks at something counts. Then the cookie of the session was held back, so the answer holds
        nothing yet. A form, a frame, a picture or a script of another site is refused as before.
        """
        if scope["type"] != "http" or scope["method"] != "GET" or not self._is_page(scope["path"]):
            return False
        asked = {name: value for name, value in headers if name.startswith(b"sec-fetch-")}
        return (
            asked.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
            and asked.get(b"sec-fetch-mode") == b"navigate"
            and asked.get(b"sec-fetch-dest") == b"document"
            and not any(name == b"origin" for name, _ in headers)
            and sum(name.startswith(b"sec-fetch-site") for name, _ in headers) == 1
        )

    def _is_page(self, path: str) -> bool:
        return path not in self._public and not path.startswith(API)

    def _check_origin(self, headers: Headers) -> None:
        for name, value in headers:
            if name == b"origin" and value not in self._origins:
                raise Refused(403, "requests from other origins are not accepted")
            if name == b"sec-fetch-site" and value not in (b"same-origin", b"none"):
                raise Refused(403, "requests from other sites are not accepted")

    def _person(self, scope: Scope, headers: Headers) -> Actor:
        """Return who asks. Raises Refused."""
        given = [value for name, value in headers if name == b"authorization"]
        if not given and scope["type"] == "http" and self._is_page(scope["path"]):
            secret = self._secret(headers)
            actor = self._known.in_session(secret, self._known.peers.user(scope)) if secret else None
            if actor is not None:
                return actor
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        holder = self._known.holder(token.strip())
        actor = self._known.person(holder) if holder is not None else None
        if scheme.lower() != b"bearer" or actor is None:
            raise Refused(401, "a token is needed", "it is in `.fairway/platform/token`")
        scope[HOLDER] = holder
        self._known.note_use(holder or OWNER)
        return actor

    def _secret(self, headers: Headers) -> str:
        """Return the secret in the cookie of the session; empty without one, or if there are two."""
        sent = [value.decode("latin-1") for name, value in headers if name == b"cookie"]
        parts = [part.strip() for text in sent for part in text[:_MOST_COOKIES].split(";")]
        found = [part.partition("=")[2] for part in parts if part.partition("=")[0] == self._cookie]
        return found[0] if len(found) == 1 and self._cookie else ""

    async def _refuse(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        elif refused.status == 401 and self._is_page(scope["path"]) and _wants_page(scope):
            answer = ask_in(to=_target(scope) if scope["method"] == "GET" else "/")
            answer.headers["www-authenticate"] = "Bearer"
            await answer(scope, receive, send)  # type: ignore[arg-type]
        else:
            await refuse(send, refused)


def _wants_page(scope: Scope) -> bool:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"text/html" in accepted or b"*/*" in accepted


def _target(scope: Scope) -> str:
    """Return the path of a request with what is behind the question mark, as it was sent."""
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope.get("query_string", b"")
    return quote(path + (b"?" + query if query else b""), safe="/%?&=+:,;@!$'()*~-._[]")


def _note(scope: Scope, status: int) -> None:
    """Write to the log that a person was refused. `errorlog` bounds how much that can be."""
    actor: Actor | None = scope.get(ACTOR)
    if status == 403 and actor is not None:
        line = {"level": "warning", "refused": f"{scope['method']} {scope['path'][:200]}"}
        errorlog.write(lambda: json.dumps({**line, "who": actor.name, "role": actor.role.word}))


async def refuse(send: Send, refused: Refused) -> None:
    """Answer a request that goes no further."""
    body = msgspec.json.encode({"error": refused.error, "hint": refused.hint})
    headers = [
        (b"content-type", b"application/json"),
        (versions.HEADER.encode(), versions.this().encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status in (400, 413, 503):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
