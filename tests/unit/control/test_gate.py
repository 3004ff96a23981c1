import asyncio
import sqlite3
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from fairway.control import api, query_values
from fairway.control.bodies import BODY_LIMIT
from fairway.control.gate import Gate
from fairway.control.known import Known
from fairway.control.routes import Entry, application, body, check, openapi, public_paths
from fairway.spec.access import Actor, Role
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.stores import queries

TOKEN = "t" * 64
HOST = (b"host", b"127.0.0.1:7700")
AUTHORIZED = (b"authorization", f"Bearer {TOKEN}".encode())
JSON = (b"content-type", b"application/json")


class Echo(msgspec.Struct):
    text: str = ""


async def live(request: Request) -> object:
    """Whether it lives."""
    return {"live": True}


async def echo(request: Request) -> object:
    """The text again."""
    return {"text": (await body(request, Echo)).text}


async def broken(request: Request) -> object:
    """Breaks in a way named by the path."""
    if request.path_params["how"] == "known":
        raise NotFound("there is no such thing", hint="look again")
    if request.path_params["how"] == "conflict":
        raise FairwayError("it did not become ready")
    raise ZeroDivisionError("/home/somebody/secret.py")


ENTRIES = [
    Entry(method="GET", path="/healthz", policy="public", handler=live),
    Entry(method="POST", path="/echo", policy="viewer", handler=echo, takes=Echo),
    Entry(method="GET", path="/broken/{how}", policy="viewer", handler=broken),
]


def ask(
    path: str,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    chunks: tuple[bytes, ...] = (b"",),
    kind: str = "http",
) -> tuple[int, dict[str, Any], dict[bytes, bytes]]:
    known = Known(Actor(name="me", role=Role.ADMINISTRATOR), TOKEN)
    gate = Gate(application(ENTRIES), ["127.0.0.1:7700", "localhost:7700"], known, public_paths(ENTRIES))  # type: ignore[arg-type]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": place < len(chunks) - 1}
        for place, chunk in enumerate(chunks)
    ]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": list(headers), "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    asyncio.run(gate(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return sent[0]["code"], {}, {}
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], msgspec.json.decode(text), dict(sent[0]["headers"])


def test_public_routes_answer_without_a_token() -> None:
    assert ask("/healthz", HOST)[:2] == (200, {"live": True})


@pytest.mark.parametrize(
    "path", ["/healthz/", "/healthz/x", "/HEALTHZ", "//healthz", "/healthz%2f", "/echo", "/"]
)
def test_everything_else_needs_the_token(path: str) -> None:
    status, said, headers = ask(path, HOST)
    assert status == 401
    assert set(said) == {"error", "hint"}
    assert headers[b"www-authenticate"] == b"Bearer"


@pytest.mark.parametrize(
    "given",
    [
        ((b"authorization", b"Bearer wrong"),),
        ((b"authorization", f"Basic {TOKEN}".encode()),),
        ((b"authorization", TOKEN.encode()),),
        ((b"authorization", b"Bearer " + TOKEN[:-1].encode()),),
        (AUTHORIZED, AUTHORIZED),
        ((b"cookie", f"token={TOKEN}".encode()),),
    ],
)
def test_wrong_tokens_are_refused(given: tuple[tuple[bytes, bytes], ...]) -> None:
    assert ask("/echo", HOST, *given, method="POST")[0] == 401


@pytest.mark.parametrize(
    "given",
    [
        (),
        ((b"host", b"evil.example:7700"),),
        ((b"host", b"127.0.0.1"),),
        ((b"host", b"127.0.0.1:7700.evil.example"),),
        (HOST, HOST),
        (HOST, (b"origin", b"http://evil.example")),
        (HOST, (b"origin", b"null")),
        (HOST, (b"origin", b"https://127.0.0.1:7700")),
        (HOST, (b"sec-fetch-site", b"cross-site")),
        (HOST, (b"sec-fetch-site", b"same-site")),
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/echo"])
def test_foreign_hosts_and_origins_are_refused_even_with_the_token(
    given: tuple[tuple[bytes, bytes], ...], path: str
) -> None:
    assert ask(path, AUTHORIZED, *given)[0] == 403


def test_our_own_origin_is_accepted() -> None:
    own = ((b"origin", b"http://localhost:7700"), (b"sec-fetch-site", b"same-origin"))
    assert ask("/healthz", (b"host", b"localhost:7700"), *own)[0] == 200


def test_websockets_pass_the_same_gate() -> None:
    assert ask("/echo", HOST, kind="websocket")[0] == 1008
    assert ask("/echo", (b"host", b"evil.example"), AUTHORIZED, kind="websocket")[0] == 1008


def test_unknown_paths_and_methods_are_said_after_the_token() -> None:
    status, said, _ = ask("/nothing", HOST, AUTHORIZED)
    assert (status, said["error"]) == (404, "there is nothing here")
    assert ask("/echo", HOST, AUTHORIZED, method="PUT")[0] == 405


def test_bodies_are_json_and_bounded() -> None:
    sent = (HOST, AUTHORIZED, JSON)
    assert ask("/echo", *sent, method="POST", chunks=(b'{"text":', b'"a"}'))[1] == {"text": "a"}
    for wrong in (b"{", b'{"text":1}', b"[" * 100_000, b"\xff"):
        assert ask("/echo", *sent, method="POST", chunks=(wrong,))[0] == 400
    assert ask("/echo", HOST, AUTHORIZED, method="POST", chunks=(b"{}",))[0] == 400
    declared = (b"content-length", str(BODY_LIMIT + 1).encode())
    assert ask("/echo", *sent, declared, method="POST")[0] == 413
    assert ask("/echo", *sent, (b"content-length", b"-1"), method="POST")[0] == 400
    large = (b'{"text":"' + b"a" * BODY_LIMIT, b'"}')
    assert ask("/echo", *sent, method="POST", chunks=large)[0] == 413


def test_errors_say_what_and_next_without_our_insides(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("/broken/known", HOST, AUTHORIZED)[:2] == (
        404,
        {"error": "there is no such thing", "hint": "look again"},
    )
    assert ask("/broken/conflict", HOST, AUTHORIZED)[0] == 409
    status, said, _ = ask("/broken/unknown", HOST, AUTHORIZED)
    assert (status, said["error"]) == (500, "internal error")
    assert "secret" not in str(said)
    assert "secret.py" in capsys.readouterr().err


def test_an_application_with_an_undeclared_or_inexact_public_route_does_not_start() -> None:
    made = application(ENTRIES)
    with pytest.raises(RuntimeError, match="declares no policy"):
        check(made, ENTRIES[1:])
    with pytest.raises(RuntimeError, match="not one exact path"):
        application([Entry(method="GET", path="/{anything}", policy="public", handler=live)])
    with pytest.raises(RuntimeError, match="declares no policy"):
        application([Entry(method="GET", path="/x", policy="everybody", handler=live)])  # type: ignore[arg-type]


def test_a_path_is_public_only_when_all_its_methods_are() -> None:
    both = [
        Entry(method="GET", path="/x", policy="public", handler=live),
        Entry(method="POST", path="/x", policy="viewer", handler=live),
    ]
    assert public_paths(both) == frozenset()


def test_the_description_names_every_route() -> None:
    described: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi(ENTRIES)))
    assert set(described["paths"]) == {"/healthz", "/echo", "/broken/{how}"}
    assert described["paths"]["/echo"]["post"]["security"] == [{"token": []}]
    assert described["paths"]["/healthz"]["get"]["security"] == []
    assert described["paths"]["/echo"]["post"]["summary"] == "The text again."


@pytest.mark.parametrize("length", [b"0" * 5000 + b"7", b"9" * 5000, b"-1", b"1e3"])
def test_a_length_that_is_no_number_of_bytes_is_refused(length: bytes) -> None:
    status, _, headers = ask("/echo", HOST, AUTHORIZED, JSON, (b"content-length", length), method="POST")
    assert (status, headers[b"connection"]) == (400, b"close")


def test_a_host_may_be_written_in_capitals() -> None:
    assert ask("/healthz", (b"host", b"LOCALHOST:7700"))[0] == 200


@pytest.mark.parametrize("limit", ["0" * 5000 + "7", "9" * 5000, "000000001" + "0" * 5000, "-1", ""])
def test_a_number_of_thousands_of_digits_is_refused_in_a_sentence(limit: str) -> None:
    request = Request({"type": "http", "query_string": f"limit={limit}".encode(), "headers": []})
    with pytest.raises(UsageError, match="limit is a number from 1 to 1000") as refused:
        query_values.number(request, "limit", 50, 1000)
    assert len(refused.value.message) < 200


def test_errors_in_the_log_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(300):
        assert ask("/broken/how", HOST, AUTHORIZED)[0] == 500
    assert capsys.readouterr().err.count('"level"') <= 110


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000 + "1", str(2**64)])
def test_a_version_of_thousands_of_digits_is_refused_in_a_sentence(number: str) -> None:
    with (
        sqlite3.connect(":memory:") as database,
        pytest.raises(UsageError, match="does not name a version") as refused,
    ):
        queries.resolve(database, f"churn:{number}")
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("revision", [b"-1", b"9223372036854775808", b"1" * 5000])
def test_a_revision_that_none_can_have_is_refused(revision: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"revision": %s}' % revision, type=api.RollbackRequest)
