import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fairway.server.answers import CLOSE, SAFE, Answer, ClientGone, Refusal, internal_error, too_many
from fairway.server.requests import Request
from fairway.spec.endpoint import ServerLimits

JSON = (b"content-type", b"application/json")


def body_of(
    *messages: dict[str, Any], headers: tuple[tuple[bytes, bytes], ...] = (), limit: int = 10
) -> bytes:
    coming: Iterator[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(coming)

    return asyncio.run(Request("/", list(headers), receive, ServerLimits(body=limit)).body())


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_put_together_from_its_parts() -> None:
    assert body_of(part(b"abc")) == b"abc"
    assert body_of(part(b"ab", True), part(b"", True), part(b"c")) == b"abc"


@pytest.mark.parametrize(
    ("messages", "headers"),
    [
        ((), ((b"content-length", b"11"),)),
        ((part(b"x" * 11),), ()),
        ((part(b"x" * 6, True), part(b"x" * 5, True)), ()),
    ],
    ids=["said", "at once", "bit by bit"],
)
def test_a_body_over_its_limit_is_refused_as_soon_as_that_is_known_and_the_connection_ends(
    messages: tuple[dict[str, Any], ...], headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    with pytest.raises(Refusal) as refused:
        body_of(*messages, headers=headers)
    assert refused.value.status == 413
    assert CLOSE in refused.value.answer().headers


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"0" * 5000 + b"3", b"9" * 5000, "²".encode("latin-1")])
def test_a_length_that_is_no_number_of_bytes_is_refused(length: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        body_of(part(b"abc"), headers=((b"content-length", length),))
    assert refused.value.status == 400
    assert CLOSE in refused.value.answer().headers


def test_an_error_repeats_no_more_than_the_beginning_of_what_was_sent() -> None:
    answer = Refusal(400, "x" * 10_000_000 + "\ud800", hint="y" * 5000).answer()
    assert len(answer.body) < 2100
    assert Refusal(400, "lone \ud800").answer().body == b'{"error":"lone \\\\ud800"}'


def test_a_client_that_leaves_in_its_body_is_gone() -> None:
    with pytest.raises(ClientGone):
        body_of({"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        body_of(part(b"a", True), {"type": "http.disconnect"})


def test_the_first_of_two_headers_counts_and_an_absent_one_is_empty() -> None:
    request = Request("/", [(b"a", b"1"), (b"a", b"2")], None, ServerLimits())  # type: ignore[arg-type]
    assert request.header(b"a") == b"1"
    assert request.header(b"b") == b""


def test_a_head_has_the_status_the_length_and_the_safe_headers() -> None:
    head = Answer(404, b"{}", extra=((b"x", b"y"),)).head()
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 404 Not Found"
    assert lines[1:4] == [b"content-type: application/json", b"content-length: 2", b"x: y"]
    assert lines[4:] == [name + b": " + value for name, value in SAFE] + [b""]


def test_a_client_learns_of_our_failures_an_id_only_and_the_log_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = internal_error(ValueError("password hunter2"))
    said = json.loads(answer.body)
    assert answer.status == 500
    assert b"hunter2" not in answer.body
    logged = capsys.readouterr().err
    assert said["id"] in logged
    assert "hunter2" in logged


def test_too_many_says_when_to_come_back() -> None:
    answer = too_many().answer()
    assert answer.status == 429
    assert (b"retry-after", b"1") in answer.headers
