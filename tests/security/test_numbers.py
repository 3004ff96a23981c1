"""Numbers of any length end in a sentence, on every command and on every route."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest
from projects import Project

from fairway.spec.quantities import whole_number

LONG = ("99999999999999999999", "9" * 400, "9" * 5000, "0" * 5000 + "1" + "0" * 30, "1e400", "-" + "9" * 5000)

STEP = """
@fw.task
def double(x: int) -> int:
    return 2 * x

@fw.pipeline
def main(x: int = 1, ys: list[float] = [1.0]) -> int:
    return double(x)
"""


@pytest.mark.parametrize(
    ("text", "most", "number"),
    [("0", 9, 0), ("007", 9, 7), ("9", 9, 9), ("10", 9, None), ("0" * 9000, 9, None), ("9" * 5000, 9, None), ("", 9, None),
     ("-1", 9, None), ("1_0", 99, None), ("٣", 9, None), ("²", 9, None), (b"12", 99, 12), (b"\xb2", 9, None)],
)  # fmt: skip
def test_a_whole_number_is_read_without_reading_more_digits_than_it_may_have(
    text: str | bytes, most: int, number: int | None
) -> None:
    assert whole_number(text, most) == number


COMMANDS = (
    ("models", "show", "sums:{}"),
    ("models", "compare", "sums:{}", "sums:1"),
    ("models", "alias", "sums", "champion", "--", "{}"),
    ("deploy", "sums:{}"),
    ("deploy", "sums@{}"),
    ("deploy", "sums", "--port={}"),
    ("deploy", "sums", "--replicas={}"),
    ("rollback", "sums", "--", "{}"),
    ("runs", "--limit={}"),
    ("show", "{}"),
    ("logs", "{}"),
    ("cancel", "{}"),
    ("resume", "{}"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_a_number_of_any_length_in_a_sentence(
    live: Any, words: tuple[str, ...]
) -> None:
    for number in LONG[:4:2]:
        done = live.project.fairway(*(word.format(number) for word in words), expect=None)
        assert done.returncode in (2, 4), done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert "Error" not in done.stderr


def test_hours_of_any_length_do_not_end_the_clean_up(live: Any) -> None:
    for number in ("9" * 5000, "1e400", "nan"):
        done = live.project.fairway("gc", f"--older-than={number}", expect=None)
        assert done.returncode in (0, 2)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [LONG[0], LONG[2], LONG[4]])
def test_a_flag_of_a_pipeline_takes_or_refuses_a_number_of_any_length(project: Project, number: str) -> None:
    project.write(STEP)
    (project.folder / "all.json").write_text(json.dumps({}).replace("}", f'"x": {number.lstrip("0")}}}'))
    (project.folder / "all.toml").write_text(f"x = {number.lstrip('0')}\n")
    for words in ((f"--x={number}",), (f"--ys={number}",), ("--config=all.json",), ("--config=all.toml",)):
        done = project.fairway("run", "project.py", *words, expect=None)
        assert done.returncode in (0, 2), done.stderr
        assert "Traceback" not in done.stderr


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    line = HTTPConnection("127.0.0.1", port, timeout=240)
    named = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    try:
        line.request(method, path, body, named)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


GETS = (
    "/runs?limit={}", "/runs/{}", "/runs/{}/logs", "/runs/{}/logs?step={}", "/models/sums:{}", "/models/sums@{}", "/models/{}",
)  # fmt: skip
POSTS = (
    ("/endpoints/sums/rollback", '{{"revision": {}}}'),
    ("/deploy", '{{"name": "sums", "model": "sums:{}"}}'),
    ("/deploy", '{{"name": "sums", "model": "sums", "replicas": {{"low": {0}, "high": {0}}}}}'),
    ("/deploy", '{{"name": "sums", "model": "sums", "port": {}}}'),
    ("/deploy", '{{"name": "sums", "model": "sums", "limits": {{"queue": {}}}}}'),
    ("/deploy", '{{"name": "sums", "model": "sums", "limits": {{"body": {}}}}}'),
    ("/deploy", '{{"name": "sums", "model": "sums", "limits": {{"drain_seconds": {}}}}}'),
)


def test_every_route_of_the_platform_refuses_a_number_of_any_length_in_a_sentence(live: Any) -> None:
    token = {"Authorization": f"Bearer {live.token}"}
    answers: dict[str, int] = {}
    for number in LONG:
        for path in GETS:
            answers[f"{path} {number[:25]}"] = ask(
                live.port, "GET", f"/api/v1{path.format(number, number)}", **token
            )[0]
        for path, body in POSTS:
            status, _ = ask(live.port, "POST", f"/api/v1{path}", body.format(number).encode(), **token)
            answers[f"{body} {number[:25]}"] = status
    assert {what: status for what, status in answers.items() if status not in (400, 404, 414)} == {}


def test_every_route_of_a_server_refuses_a_number_of_any_length_in_a_sentence(live: Any) -> None:
    tensor = '{{"inputs": [{{"name": "input", "shape": [{shape}, 3], "datatype": "FP32", "data": [{data}, 2, 3]}}]}}'
    answers: dict[str, int] = {}
    for number in LONG:
        named = number[:25]
        for path in (
            "/v2/models/sums/versions/{}",
            "/v2/models/sums/versions/{}/infer",
            "/v2/models/{}/ready",
        ):
            answers[f"{path} {named}"] = ask(live.model, "GET", path.format(number))[0]
        for body in (
            tensor.format(shape=number, data=1),
            tensor.format(shape=1, data=number),
            f"[[{number}, 1, 2]]",
        ):
            path = "/v2/models/sums/infer" if body.startswith("{") else "/"
            answers[f"{body[:90]} {named}"] = ask(live.model, "POST", path, body.encode())[0]
        status, _ = ask(
            live.model, "POST", "/v2/models/sums/infer", b"{}", Inference_Header_Content_Length=number
        )
        answers[f"header {named}"] = status
    fits = {
        what
        for what in answers
        if what.endswith(" 99999999999999999999") and '"shape"' in what and '"shape": [9' not in what
    }
    fits.add("[[99999999999999999999, 1, 2]] 99999999999999999999")
    assert {answers[what] for what in fits} == {200}  # twenty digits are a number that FP32 holds
    assert {
        what: status for what, status in answers.items() if what not in fits and not 400 <= status < 500
    } == {}
