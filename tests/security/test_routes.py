"""Every route that the applications declare, under every disguise: denied but for the exact public paths."""

import asyncio
import hashlib
import itertools
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from fairway.control import routes as control_routes
from fairway.control.admission import ClusterGate, admit
from fairway.control.api import Api
from fairway.control.entering import LEAVE
from fairway.control.front import front
from fairway.control.identity import Credentials, People
from fairway.control.known import Known
from fairway.control.store_routes import StoreRoutes
from fairway.pages.site import Site
from fairway.pages.threshold import ENTER
from fairway.server.answers import as_json
from fairway.server.app import Application
from fairway.server.gate import Gate
from fairway.server.routes import Route as ServerRoute
from fairway.spec.access import Actor, Role
from fairway.spec.endpoint import ServerLimits

HOST = "127.0.0.1:7700"
TOKEN = "a1" * 32
OTHER = "b2" * 32
CLOSED = (1000, 1008)
"""Codes of a WebSocket that was closed before it was accepted."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "HEAD", "OPTIONS")
API_PUBLIC = {"/healthz", "/readyz"}
PLATFORM_PUBLIC = API_PUBLIC | {"/enter", "/static/page.css", "/static/page.js", "/static/icon.svg"}
SERVER_PUBLIC = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}
CREDENTIALS: dict[str, list[tuple[bytes, bytes]]] = {
    "none": [],
    "bad": [(b"authorization", b"Bearer wrong")],
    "another project's": [(b"authorization", f"Bearer {OTHER}".encode())],
    "empty": [(b"authorization", b"Bearer ")],
    "basic": [(b"authorization", f"Basic {TOKEN}".encode())],
    "no scheme": [(b"authorization", TOKEN.encode())],
    "cut short": [(b"authorization", f"Bearer {TOKEN[:-1]}".encode())],
    "upper case": [(b"authorization", f"Bearer {TOKEN.upper()}".encode())],
    "its digest": [(b"authorization", b"Bearer " + hashlib.sha256(TOKEN.encode()).hexdigest().encode())],
    "two": [(b"authorization", b"Bearer wrong"), (b"authorization", f"Bearer {TOKEN}".encode())],
    "a pod's": [(b"x-fairway-run", b"made up")],
    "a person's": [(b"x-fairway-token", b"made up")],
    "in a cookie": [(b"cookie", f"token={TOKEN}".encode())],
    "in another header": [(b"x-authorization", f"Bearer {TOKEN}".encode()), (b"x-original-url", b"/healthz"),
                          (b"x-rewrite-url", b"/healthz"), (b"x-http-method-override", b"GET")],
}  # fmt: skip


class Nothing:
    """Metrics that count nothing."""

    in_flight = 0

    def answered(self, *_: object) -> None: ...

    def text(self) -> Any:
        return as_json({})


class Served:
    """What is served, as the gate sees it: the routes of a model."""

    runtime = samples = "none"

    def routes(self) -> dict[str, ServerRoute]:
        async def answer(request: object) -> Any:
            return as_json({"reached": True})

        paths = ("/", "/v2", "/openapi.json", "/v2/models/toy", "/v2/models/toy/ready", "/v2/models/toy/infer",
                 "/v2/models/toy/versions/1/infer")  # fmt: skip
        return {path: ServerRoute("route", {"GET": answer, "POST": answer}) for path in paths}


def platform() -> tuple[Any, set[str]]:
    """The front of a platform on a machine: its API, its pages, and the ways in."""
    entries = Api(None).entries()  # type: ignore[arg-type]
    site = Site(None, asyncio.Event())  # type: ignore[arg-type]
    known = Known(Actor(name="me", role=Role.ADMINISTRATOR), TOKEN)
    gate = front(known, None, entries, site, 7700)  # type: ignore[arg-type]
    paths = (
        {entry.path for entry in entries}
        | {view.path for view in site.views()}
        | {ENTER, LEAVE}
        | set(site.open_paths())
    )
    return gate, {re.sub("{[^}]*}", "some", path) for path in paths}


def server() -> tuple[Any, set[str]]:
    gate = Gate([HOST], hashlib.sha256(TOKEN.encode()).hexdigest())
    app = Application(Served(), gate, Nothing(), ServerLimits())  # type: ignore[arg-type]
    return app, set(app._routes)


def control_plane() -> tuple[Any, set[str]]:
    """The application of a control plane in a cluster, whose handlers a request never reaches here."""

    async def review(token: str) -> str:
        return ""

    made = [*Api(None).entries(), *StoreRoutes(None, None).entries()]  # type: ignore[arg-type]
    gate = ClusterGate(
        control_routes.application(made, admit=admit), People(review, "team"), Credentials(), control_routes.public_paths(made)  # type: ignore[arg-type]
    )  # fmt: skip
    names = {"{name}": "some", "{digest}": "0" * 64, "{run}": "r1", "{step}": "s", "{attempt}": "1"}
    paths = {entry.path for entry in made}
    for name, value in names.items():
        paths = {path.replace(name, value) for path in paths}
    return gate, paths


def disguises(path: str) -> Iterable[str]:
    """Spellings that some router, proxy or check may take for another path."""
    parts = path.strip("/").split("/")
    yield from (
        path,
        path + "/",
        path + "/health",
        path + "/healthz",
        path + "/readyz",
        path + "/livez",
        path + "/ready",
    )
    yield from (
        path + ";/healthz",
        path + ";a=b",
        path + "%00",
        path + "%20",
        path + "?x=/healthz",
        path + "#/healthz",
    )
    yield from (
        path + "/..",
        path + "/../healthz",
        path + "/..;/healthz",
        path + "/%2e%2e/healthz",
        path + "/.",
    )
    yield from ("/" + path, "//" + path, "/healthz/.." + path, "/healthz//" + path, "/healthz;" + path)
    yield from (
        "/healthz/%2e%2e" + path,
        "/healthz%2f.." + path,
        "/readyz/" + path.lstrip("/"),
        "/./" + path.lstrip("/"),
    )
    yield from (
        path.upper(),
        path.title(),
        path.replace("/", "\\"),
        path.replace("/", "%2f"),
        path.replace("/", "%5c"),
    )
    yield from (
        "".join(f"%{ord(letter):02x}" for letter in path),
        "/" + "/".join(f"%2e/{part}" for part in parts),
    )
    yield from (
        path.replace("e", "%65"),
        path.replace("a", "%2561"),
        "/healthz%00" + path,
        "/healthz?" + path,
    )
    yield from (
        "/HEALTHZ",
        "/healthz/",
        "/healthz/x",
        "/Readyz",
        "/livez/",
        "/v2/health",
        "/v2/health/live/",
        "/metrics/",
    )


async def ask(
    app: Any, method: str, target: str, headers: list[tuple[bytes, bytes]], kind: str = "http"
) -> int:
    """The status, with the target as a server hands it to an application."""
    raw, _, query = target.partition("?")
    sent: list[Any] = []
    messages: list[Any] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind, "method": method, "path": unquote(raw), "raw_path": raw.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", HOST.encode()), *headers], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 7700), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    return int(sent[0].get("status", sent[0].get("code", 0)))


def reached(app: Any, paths: set[str], public: set[str]) -> tuple[int, list[str]]:
    """How many requests were tried, and those that were let in though no rule says so."""

    async def all_of_them() -> tuple[int, list[str]]:
        count, through = 0, []
        for path in sorted(paths):
            for target, method, (who, headers) in itertools.product(
                dict.fromkeys(disguises(path)), METHODS, CREDENTIALS.items()
            ):
                count += 1
                status = await ask(app, method, target, headers)
                if status not in (401, 403) and unquote(target.partition("?")[0]) not in public:
                    through.append(f"{method} {target} with {who}: {status}")
        return count, through

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("made", ["platform", "server", "control plane"])
def test_every_route_is_denied_without_the_right_token_under_every_disguise(
    made: str, measured, full: bool
) -> None:
    app, paths = {"platform": platform, "server": server, "control plane": control_plane}[made]()
    public = {"server": SERVER_PUBLIC, "platform": PLATFORM_PUBLIC, "control plane": API_PUBLIC}[made]
    assert public <= paths
    public = public | ({f"{path}/" for path in public} if made == "server" else set[str]())
    chosen = paths if full else set(sorted(paths)[::3]) | {"/", "/api/v1/shutdown", "/metrics"} & paths
    count, through = reached(app, chosen, public)
    assert through == []
    assert count > 5_000
    identity, where = {
        "platform": ("T28", "platform"),
        "server": ("T28-server", "model server"),
        "control plane": ("T28-cluster", "control plane"),
    }[made]
    measured(identity, f"Requests of every route × method × credential × disguise, on the {where}",
             goal="all denied but the exact public paths", requests=count, let_in=len(through), routes=len(chosen))  # fmt: skip


def test_a_gate_that_compares_ends_of_paths_is_caught() -> None:
    app, _ = platform()

    class Careless(frozenset[str]):
        def __contains__(self, path: object) -> bool:
            return str(path).endswith(("/healthz", "/readyz"))

    app._public = Careless()
    assert reached(app, {"/api/v1/runs"}, PLATFORM_PUBLIC)[1]


def test_the_token_opens_and_public_paths_need_none() -> None:
    right = [(b"authorization", f"Bearer {TOKEN}".encode())]
    for app, path in ((platform()[0], "/api/v1/openapi.json"), (server()[0], "/v2/models/toy")):
        assert asyncio.run(ask(app, "GET", path, right)) == 200
        assert asyncio.run(ask(app, "GET", path, [])) == 401
    for app, public in ((platform()[0], PLATFORM_PUBLIC), (server()[0], SERVER_PUBLIC)):
        assert {asyncio.run(ask(app, "GET", path, [])) for path in public} == {200}


@pytest.mark.parametrize("path", ["/", "/api/v1/runs", "/healthz"])
def test_websockets_are_closed(path: str) -> None:
    for app in (platform()[0], server()[0]):
        assert asyncio.run(ask(app, "GET", path, [], kind="websocket")) in CLOSED


@pytest.mark.parametrize("route", [
    Route("/new", lambda request: None), Route("/api/v1/runs", lambda request: None, methods=["DELETE"]),
    WebSocketRoute("/live", lambda socket: None), Mount("/files", Starlette()),
])  # fmt: skip
def test_a_new_route_without_a_policy_is_refused(route: Any) -> None:
    entries = Api(None).entries()  # type: ignore[arg-type]
    app = control_routes.application(entries)
    app.router.routes.append(route)
    with pytest.raises(RuntimeError, match="declares no policy"):
        control_routes.check(app, entries)


def test_a_route_cannot_be_written_without_a_policy() -> None:
    with pytest.raises(TypeError):
        control_routes.Entry(method="GET", path="/new", handler=None)  # type: ignore[call-arg]
    wide = control_routes.Entry(
        method="GET", path="/files/{path}", policy="public", handler=lambda request: None
    )
    with pytest.raises(RuntimeError, match="not one exact path"):
        control_routes.application([wide])
    assert ServerRoute("new", {}).policy == "open", "closed where the endpoint has a key"


def test_the_public_paths_are_these_and_no_others() -> None:
    entries = Api(None).entries()  # type: ignore[arg-type]
    assert control_routes.public_paths(entries) == API_PUBLIC
    app, _ = server()
    assert {path for path, route in app._routes.items() if route.policy == "public"} == SERVER_PUBLIC


TARGETS = (
    "/api/v1/runs", "http://127.0.0.1:{port}/api/v1/runs", "http://evil.example/api/v1/runs", "//api/v1/runs",
    "/healthz/../api/v1/runs", "/healthz/..%2fapi/v1/runs", "/%2e%2e/api/v1/runs", "/api/v1/runs;/healthz",
    "/api/v1/runs/healthz", "/healthz%2f..%2fapi%2fv1%2fruns", "/API/V1/RUNS", "/api/v1/runs%00", "*", "/api\\v1\\runs",
    "http://127.0.0.1:{port}//api/v1/runs", "/v2/models/closed", "/", "/metrics", "//", "/openapi.json", "/v2",
)  # fmt: skip


def test_over_the_wire_no_spelling_of_the_target_gets_in(live) -> None:
    for port, secret in ((live.port, live.token), (live.private, live.key)):
        for target, method in itertools.product(TARGETS, ("GET", "POST", "DELETE", "OPTIONS", "HEAD")):
            status = said(port, method, target.format(port=port))
            assert status in (400, 401, 403, 0), (target, method, status)
        path = "/api/v1/runs" if port == live.port else "/v2/models/closed"
        assert said(port, "GET", path, f"Authorization: Bearer {secret}\r\n") == 200
        other = live.key if secret == live.token else live.token
        assert said(port, "GET", path, f"Authorization: Bearer {other}\r\n") == 401


def said(port: int, method: str, target: str, headers: str = "") -> int:
    """The status of a request with exactly this target; 0 when the connection is just closed."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall(f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\n"
                     "Content-Length: 0\r\n\r\n".encode())  # fmt: skip
        data = line.recv(4096)
    return int(data.split()[1]) if data else 0
