"""The ASGI application: it checks a request, finds its route and sends the answer.

Every request runs through this module, so each line here costs time on every request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, cast

from fairway.server import encodings
from fairway.server.answers import (
    CLOSE,
    Answer,
    ClientGone,
    InPieces,
    Refusal,
    as_json,
    internal_error,
    out_of_memory,
)
from fairway.server.gate import Gate
from fairway.server.metrics import Metrics
from fairway.server.protocol import LEFT, PIECES, WHOLE
from fairway.server.requests import Held, Receive, Request, never
from fairway.server.routes import Route
from fairway.spec.endpoint import ServerLimits

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LARGE = 64 * 1024
_NONE: dict[str, Any] = {}


class Service(Protocol):
    """A model or a function that an endpoint serves."""

    name: str
    number: str
    runtime: str
    samples: str

    def routes(self) -> dict[str, Route]:
        """Return the routes by their exact paths."""
        ...


class Application:
    """The HTTP application of one service. While `draining` is true, every answer closes its connection.

    It is not ready then either, unless it is `lingering`: it still accepts connections, so routing here is right. `asked_at` is
    the time of the last request since then that was more than a question about its health, on the clock `perf_counter`.
    """

    def __init__(self, service: Service, gate: Gate, metrics: Metrics, limits: ServerLimits) -> None:
        self._service = service
        self._gate = gate
        self._metrics = metrics
        self._limits = limits
        self._held = Held(limits.body)
        self.draining = False
        self.lingering = False
        self.asked_at = 0.0
        health = {"GET": self._live}
        ready = {"GET": self._ready}
        self._routes = {
            **service.routes(),
            "/livez": Route("live", health, "public"),
            "/readyz": Route("ready", ready, "public"),
            "/v2/health/live": Route("live", health, "public"),
            "/v2/health/ready": Route("ready", ready, "public"),
            "/metrics": Route("metrics", {"GET": self._text}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        begun = time.perf_counter()
        self._metrics.in_flight += 1
        name = "none"
        try:
            path = cast("bytes", scope["raw_path"]).decode("latin-1")
            route = self._routes.get(path) or self._routes.get(path.removesuffix("/"))
            if self.draining and route is not None and route.policy == "open":
                self.asked_at = begun
            answer: Answer | InPieces
            try:
                answer, name = await self._answer(scope, receive, route)
            except Refusal as refusal:
                answer = refusal.answer()
                name = route.name if route is not None else "none"
            except ClientGone:
                self._metrics.answered(route.name if route is not None else "none", 499, 0.0)
                return
            except MemoryError:
                answer = out_of_memory().answer()
                name = route.name if route is not None else "none"
            except Exception as error:
                answer = internal_error(error)
                name = route.name if route is not None else "none"
            if isinstance(answer, Answer):
                await self._send(scope, send, answer)
                status = answer.status
            else:
                pieces = scope["extensions"][PIECES]()
                status = await answer.send(
                    pieces, chunked=scope["http_version"] != "1.0", close=self.draining
                )
            self._metrics.answered(name, status, time.perf_counter() - begun)
        finally:
            self._metrics.in_flight -= 1

    async def _answer(
        self, scope: Scope, receive: Receive, route: Route | None
    ) -> tuple[Answer | InPieces, str]:
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        self._gate.check(headers, "open" if route is None else route.policy)
        if route is None:
            raise self._nothing(cast("str", scope["path"]))
        method = cast("str", scope["method"])
        handler = route.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ", ".join(route.handlers).encode()
            raise Refusal(405, f"{method} is not answered here", headers=((b"allow", allowed),))
        when_left = scope.get("extensions", _NONE).get(LEFT, never)
        request = Request(cast("str", scope["path"]), headers, receive, self._limits, when_left, self._held)
        try:
            answer = await handler(request)
        finally:
            if request.holds:
                request.release()
        accept = request.header(b"accept-encoding")
        if accept and isinstance(answer, Answer):
            answer = await _packed(answer, accept)
        return answer, route.name

    def _nothing(self, path: str) -> Refusal:
        """Return a refusal with status 404 that says which is unknown: the model, its version or the path."""
        parts = path.split("/")
        if parts[1:3] == ["v2", "models"] and len(parts) > 3 and parts[3] != "stats":
            if parts[3] != self._service.name:
                return Refusal(
                    404, f"unknown model {parts[3][:100]!r}; this endpoint serves {self._service.name!r}"
                )
            if parts[4:5] == ["versions"] and parts[5:6] not in ([], [self._service.number]):
                return Refusal(
                    404,
                    f"model {self._service.name!r} has no version {parts[5][:100]!r} here; "
                    f"this endpoint serves {self._service.number}",
                )
        return Refusal(
            404, f"there is nothing at {path[:200]!r}", hint="`GET /` and `GET /openapi.json` say what is"
        )

    async def _send(self, scope: Scope, send: Send, answer: Answer) -> None:
        body = b"" if scope["method"] == "HEAD" else answer.body
        if self.draining and CLOSE not in answer.headers:
            answer.headers.append(CLOSE)
        whole = scope.get("extensions", _NONE).get(WHOLE)
        if whole is not None:
            await whole(answer.head(), body, CLOSE in answer.headers)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, request: Request) -> Answer:
        return as_json({"live": True})

    async def _ready(self, request: Request) -> Answer:
        ready = self.lingering or not self.draining
        return as_json({"ready": ready, "draining": self.draining}, 200 if ready else 503)

    async def _text(self, request: Request) -> Answer:
        return self._metrics.text()


async def _packed(answer: Answer, accept: bytes) -> Answer:
    """Compress an answer if its client asks for it. A large one is compressed in a thread, so that others need not wait."""
    encoding = encodings.asked_for(accept)
    if not encoding or not answer.body:
        return answer
    if len(answer.body) > _LARGE:
        return await asyncio.to_thread(encodings.packed, answer, encoding)
    return encodings.packed(answer, encoding)
