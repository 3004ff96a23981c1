import asyncio
import gzip
import sys
from typing import Any

import pytest

from fairway.server.answers import Answer, ClientGone, Refusal, as_json
from fairway.server.app import Application
from fairway.server.gate import Gate
from fairway.server.protocol import WHOLE
from fairway.server.requests import Request
from fairway.server.routes import Route
from fairway.spec.endpoint import ServerLimits


class Counted:
    """What the application tells its metrics."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.seen: list[tuple[str, int]] = []

    def answered(self, route: str, code: int, seconds: float) -> None:
        assert self.in_flight == 1
        self.seen.append((route, code))

    def text(self) -> Answer:
        return as_json("metrics")


class Service:
    """Answers, refuses, breaks, or its client leaves."""

    name = "toy"
    number = "3"
    runtime = samples = "none"

    def routes(self) -> dict[str, Route]:
        async def answer(request: Request) -> Answer:
            return as_json({"n": len(await request.body())})

        async def fail(request: Request) -> Answer:
            raise {
                "/refuse": Refusal(409, "no"),
                "/break": KeyError("x"),
                "/leave": ClientGone(),
                "/memory": MemoryError(),
            }[request.path]

        paths = {"/answer": answer, "/refuse": fail, "/break": fail, "/leave": fail, "/memory": fail}
        return {path: Route(path[1:], {"POST": handler, "GET": handler}) for path, handler in paths.items()}


def ask(
    path: str,
    method: str = "POST",
    *headers: tuple[bytes, bytes],
    whole: bool = False,
    draining: bool = False,
    host: bytes = b"h",
) -> Any:
    """Status, body, headers, and what was counted."""
    metrics = Counted()
    app = Application(Service(), Gate(["h"], ""), metrics, ServerLimits())  # type: ignore[arg-type]
    app.draining = draining
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"abc", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def at_once(head: bytes, body: bytes, close: bool) -> None:
        lines = head.split(b"\r\n")
        headers = [tuple(line.split(b": ", 1)) for line in lines[1:-1]]
        sent.extend([{"status": int(lines[0].split()[1]), "headers": headers}, {"body": body}])
        assert close is ((b"connection", b"close") in headers)

    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": [(b"host", host), *headers],
        "extensions": {WHOLE: at_once} if whole else {},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert metrics.in_flight == 0
    if not sent:
        return None, b"", {}, metrics.seen
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"]), metrics.seen


@pytest.mark.parametrize("whole", [True, False], ids=["one piece", "plain ASGI"])
@pytest.mark.parametrize(
    ("path", "method", "status", "counted"),
    [
        ("/answer", "POST", 200, "answer"),
        ("/refuse", "POST", 409, "refuse"),
        ("/break", "POST", 500, "break"),
        ("/answer", "DELETE", 405, "answer"),
        ("/answer/", "POST", 200, "answer"),
        ("/answer//", "POST", 404, "none"),
        ("//answer", "POST", 404, "none"),
        ("/livez", "GET", 200, "live"),
    ],
)
def test_every_request_is_answered_and_counted_once(
    whole: bool, path: str, method: str, status: int, counted: str
) -> None:
    got, body, headers, seen = ask(path, method, whole=whole)
    assert got == status
    assert seen == [(counted, status)]
    assert headers[b"content-length"] == b"%d" % len(body)
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"connection" not in headers


@pytest.mark.parametrize("whole", [True, False])
def test_head_has_the_length_of_the_body_that_it_leaves_out(whole: bool) -> None:
    status, body, headers, _ = ask("/answer", "HEAD", whole=whole)
    assert (status, body, headers[b"content-length"]) == (200, b"", b"7")


@pytest.mark.parametrize("whole", [True, False])
def test_a_draining_server_answers_and_closes_and_says_that_it_is_not_ready(whole: bool) -> None:
    status, _, headers, _ = ask("/answer", whole=whole, draining=True)
    assert (status, headers[b"connection"]) == (200, b"close")
    assert ask("/readyz", "GET", draining=True)[0] == 503
    assert ask("/livez", "GET", draining=True)[0] == 200


def test_a_client_that_left_is_counted_and_gets_nothing() -> None:
    status, _, _, seen = ask("/leave")
    assert status is None
    assert seen == [("leave", 499)]


def test_a_request_that_memory_does_not_suffice_for_is_refused_and_may_come_again() -> None:
    status, body, headers, seen = ask("/memory")
    assert (status, seen) == (503, [("memory", 503)])
    assert b"not enough memory" in body
    assert (headers[b"retry-after"], headers[b"connection"]) == (b"1", b"close")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/models/other/infer", "unknown model 'other'; this endpoint serves 'toy'"),
        ("/v2/models/toy/versions/9/infer", "model 'toy' has no version '9' here; this endpoint serves 3"),
        ("/v2/models/toy/nothing", "there is nothing at '/v2/models/toy/nothing'"),
        ("/nothing", "there is nothing at '/nothing'"),
    ],
)
def test_an_unknown_model_a_version_and_a_path_are_told_apart(path: str, said: str) -> None:
    status, body, _, _ = ask(path)
    assert (status, said in body.decode()) == (404, True)


def test_an_answer_is_compressed_where_its_client_asks_for_that() -> None:
    _, body, headers, _ = ask("/answer", "POST", (b"accept-encoding", b"gzip"), whole=True)
    assert headers[b"content-encoding"] == b"gzip"
    assert gzip.decompress(body) == b'{"n":3}'
    assert ask("/answer", "POST", (b"accept-encoding", b"gzip, deflate"))[1] == b'{"n":3}'


def test_a_host_may_be_written_in_capitals() -> None:
    assert ask("/answer", host=b"H")[0] == 200


def test_an_unknown_compression_is_refused_by_its_header_and_not_by_its_bytes() -> None:
    status, body, headers, _ = ask("/answer", "POST", (b"content-encoding", b"br"))
    assert (status, headers[b"accept-encoding"]) == (415, b"gzip, deflate")
    assert b"gzip or deflate" in body
    assert headers[b"connection"] == b"close", "its bytes may still be on the way"
    assert ask("/answer", "POST", (b"content-encoding", b"Identity"))[0] == 200


def test_a_foreign_host_reaches_no_route(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("/break", host=b"evil")[0] == 403
    assert "KeyError" not in capsys.readouterr().err
    assert ask("/break")[0] == 500
    assert "KeyError" in capsys.readouterr().err
    assert sys.exc_info()[0] is None
