"""Who may do what at a control plane: every route is tried with every role, with a run's credential, and with nothing."""

import asyncio
from collections.abc import Awaitable, MutableMapping
from typing import Any, TypeVar

import msgspec
import pytest
from starlette.requests import Request

from fairway.control import identity
from fairway.control.admission import ClusterGate, admit
from fairway.control.api import Api
from fairway.control.ended_routes import EndedRoutes
from fairway.control.identity import PODS, SERVERS, Credentials, People
from fairway.control.refused import Refused
from fairway.control.routes import Entry, application, public_paths
from fairway.control.store_routes import StoreRoutes
from fairway.control.waiting_routes import WaitingRoutes
from fairway.spec.access import Role
from fairway.spec.errors import FairwayError

T = TypeVar("T")

ACCOUNTS = {
    f"token-of-{role}": f"system:serviceaccount:team:fairway-{role}"
    for role in ("viewer", "runner", "deployer")
}
ACCOUNTS |= {
    "other namespace": "system:serviceaccount:other:fairway-deployer",
    "step": "system:serviceaccount:team:fairway-step",
    "server": "system:serviceaccount:team:fairway-server",
    "server of another namespace": "system:serviceaccount:other:fairway-server",
    "a person": "fairway-deployer",
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}


async def review(token: str) -> str:
    return ACCOUNTS.get(token, "")


async def reached(request: Request) -> object:
    """Reached."""
    return {"reached": True}


def entries() -> list[Entry]:
    """Every route of a control plane, each with a handler that is content with anything."""
    parts = (Api(None), StoreRoutes(None, None), WaitingRoutes(lambda key: []), EndedRoutes(lambda name: []))  # type: ignore[arg-type]
    made = [entry for part in parts for entry in part.entries()]
    return [msgspec.structs.replace(entry, handler=reached) for entry in made]


NEEDED = {(entry.method, entry.path): entry.role for entry in entries()}


def gate(pods: Credentials | None = None) -> ClusterGate:
    made = entries()
    return ClusterGate(
        application(made, admit=admit), People(review, "team"), pods or Credentials(), public_paths(made)
    )  # type: ignore[arg-type]


async def ask(
    app: ClusterGate, method: str, path: str, *headers: tuple[str, str], kind: str = "http"
) -> tuple[int, Any]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in (("host", "10.96.0.1:6443"), *headers)]
    scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": given, "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    await app(scope, receive, send)
    if kind == "websocket":
        return int(sent[0]["code"]), None
    return int(sent[0]["status"]), msgspec.json.decode(
        b"".join(message.get("body", b"") for message in sent[1:])
    )


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    return asyncio.run(main())


def filled(path: str) -> str:
    return (
        path.replace("{digest}", "0" * 64)
        .replace("{run}", "r1")
        .replace("{step}", "s")
        .replace("{attempt}", "1")
        .replace("{name}", "some")
    )


def test_the_routes_for_pods_are_routes() -> None:
    assert set(NEEDED) >= PODS | SERVERS | OPEN


def test_a_route_that_declares_no_role_stops_the_start() -> None:
    for policy in ("token", "", None, "Viewer", "owner"):
        wrong = Entry(method="GET", path="/api/v1/new", policy=policy, handler=reached)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="declares no policy"):
            application([wrong], admit=admit)


@pytest.mark.parametrize("route", sorted(NEEDED), ids=" ".join)
def test_a_route_is_open_to_its_role_and_the_higher_ones_and_to_nobody_else(route: tuple[str, str]) -> None:
    method, path = route[0], filled(route[1])
    pods = Credentials()
    app = gate(pods)
    needed = NEEDED[route]
    for role in (Role.VIEWER, Role.RUNNER, Role.DEPLOYER):
        status, _ = run(ask(app, method, path, ("x-fairway-token", f"token-of-{role.name.lower()}")))
        assert status == (200 if route in OPEN or (needed is not None and role >= needed) else 403), role
    of_run = ("x-fairway-run", pods.credential_for("r1"))
    expected = 200 if route in PODS | OPEN else 403
    assert run(ask(app, method, path, of_run))[0] == expected
    expected = 200 if route in SERVERS | OPEN else 403
    for fetching in ("server", "step"):
        assert run(ask(app, method, path, ("x-fairway-token", fetching)))[0] == expected, fetching
    for nobody in (
        (),
        (("x-fairway-token", "made up"),),
        (("x-fairway-run", "made up"),),
        (("authorization", "Bearer token-of-deployer"),),
    ):
        assert run(ask(app, method, path, *nobody))[0] == (200 if route in OPEN else 401), nobody
    for other in ("other namespace", "a person", "server of another namespace"):
        assert run(ask(app, method, path, ("x-fairway-token", other)))[0] == (
            200 if route in OPEN else 403
        ), other


def test_the_routes_of_records_are_open_to_no_person() -> None:
    records = {route for route in NEEDED if "/results/" in route[1]}
    assert records
    assert {NEEDED[route] for route in records} == {None}
    assert records <= PODS


def test_a_model_server_may_read_content_by_its_digest_and_nothing_else() -> None:
    assert {("GET", "/api/v1/store/blobs/{digest}")} == SERVERS
    status, said = run(ask(gate(), "GET", "/api/v1/models", ("x-fairway-token", "server")))
    assert status == 403
    assert "a model server may read content" in said["error"]


@pytest.mark.parametrize(
    "headers",
    [
        (("x-fairway-token", "token-of-viewer"), ("x-fairway-token", "token-of-viewer")),
        (("x-fairway-token", "token-of-viewer"), ("x-fairway-run", "r")),
        (("x-fairway-token", "t" * 20_000),),
        (("x-fairway-token", "ü"),),
        (("x-fairway-token", "token-of-viewer"), ("host", "other")),
    ],
)
def test_a_request_with_odd_headers_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    assert run(ask(gate(), "GET", "/api/v1/runs", *headers))[0] == 400


def test_pages_of_a_browser_and_other_connections_are_refused() -> None:
    token = ("x-fairway-token", "token-of-deployer")
    for marked in (
        ("origin", "null"),
        ("origin", "http://10.96.0.1:6443"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ):
        assert run(ask(gate(), "GET", "/api/v1/runs", token, marked))[0] == 403
    assert run(ask(gate(), "GET", "/api/v1/runs", token, ("sec-fetch-site", "none")))[0] == 200
    assert run(ask(gate(), "GET", "/api/v1/runs", token, kind="websocket"))[0] == 1008


def test_a_token_is_asked_about_once_a_minute_however_often_it_is_sent() -> None:
    asked, now = list[str](), [0.0]

    async def counting(token: str) -> str:
        asked.append(token)
        await asyncio.sleep(0)
        return ACCOUNTS.get(token, "")

    async def main() -> None:
        people = People(counting, "team", lambda: now[0])
        await asyncio.gather(*(people.caller("token-of-viewer") for _ in range(20)))
        assert asked == ["token-of-viewer"]
        now[0] = 59.0
        await people.caller("token-of-viewer")
        assert len(asked) == 1
        now[0] = 61.0
        del ACCOUNTS["token-of-viewer"]
        with pytest.raises(Refused, match="not valid"):
            await people.caller("token-of-viewer")
        now[0] = 62.0
        with pytest.raises(Refused, match="not valid"):
            await people.caller("token-of-viewer")
        assert len(asked) == 2, "a wrong token is not asked about again at once"

    try:
        run(main())
    finally:
        ACCOUNTS["token-of-viewer"] = "system:serviceaccount:team:fairway-viewer"


def test_a_token_that_cannot_be_checked_lets_nobody_in_and_is_asked_about_again() -> None:
    answers: list[Any] = [FairwayError("the API server does not answer"), ACCOUNTS["token-of-viewer"]]

    async def sometimes(token: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, FairwayError):
            raise answer
        return answer

    async def main() -> None:
        people = People(sometimes, "team")
        with pytest.raises(Refused) as caught:
            await people.caller("token-of-viewer")
        assert caught.value.status == 503
        assert (await people.caller("token-of-viewer")).role is Role.VIEWER

    run(main())


def test_no_token_is_kept_in_memory() -> None:
    people = People(review, "team")
    run(people.caller("token-of-viewer"))
    assert b"token-of-viewer" not in msgspec.msgpack.encode([*people._known])


def test_tokens_that_are_made_up_do_not_fill_the_memory() -> None:
    people = People(review, "team")

    async def main() -> None:
        for number in range(identity._MOST_KNOWN + 10):
            with pytest.raises(Refused):
                await people.caller(f"made up {number}")

    run(main())
    assert len(people._known) <= identity._MOST_KNOWN


def test_a_run_has_one_credential_until_it_is_over() -> None:
    pods = Credentials()
    first = pods.credential_for("r1")
    assert pods.credential_for("r1") == first
    assert pods.credential_for("r2") != first
    assert pods.caller(first).run == "r1"
    pods.revoke("r1")
    with pytest.raises(Refused):
        pods.caller(first)
    assert pods.credential_for("r1") != first
    with pytest.raises(Refused):
        Credentials().caller(pods.credential_for("r1"))
