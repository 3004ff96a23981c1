"""schemathesis sends to every route what its description allows, on endpoints, on the platform and on its pages.

No answer is a server error, and an answer of the platform is as it is described.
"""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode

import page_document
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

LEFT_OUT = {("POST", "/api/v1/shutdown"), ("POST", "/api/v1/tries")}
"""The end of the platform, and tries of an object storage that it has not."""

Values = dict[str, list[str]]

KNOWN: Values = {"name": ["sums", "nobody"], "version": ["1"], "step": ["build"], "endpoint": ["sums"]}
"""Values that lead somewhere, of which some requests take one."""


class Line:
    """A connection that sends a request at a time, and tells its status, the type of its answer and the answer itself."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = {"Authorization": f"Bearer {token}"} if token else {}
        self._line: HTTPConnection | None = None

    def ask(self, method: str, target: str, body: bytes, media: str) -> tuple[int, str, bytes]:
        """Send a request. A connection that is closed without an answer is a status of 0."""
        try:
            line = self._line = self._line or HTTPConnection("127.0.0.1", self._port, timeout=240)
            line.request(method, target, body, self._head | {"Content-Type": media})
            answer = line.getresponse()
            kind = answer.headers.get_content_type()
            # A stream of events has no end.
            content = b"" if kind == "text/event-stream" else answer.read()
            if kind == "text/event-stream":
                self.close()
            return answer.status, kind, content
        except TimeoutError:
            raise
        except (OSError, ValueError, HTTPException):
            self.close()
            return 0, "", b""

    def close(self) -> None:
        """Let the next request have a connection of its own."""
        if self._line is not None:
            self._line.close()
        self._line = None


def described(live: Any, which: str) -> tuple[dict[str, Any], int, str]:
    """Return the description of something that listens, its port and a token for it."""
    port, token = {"model": (live.model, ""), "private": (live.private, live.key)}.get(
        which, (live.port, live.token)
    )
    if which == "pages":
        return page_document.document(), port, token
    path = "/api/v1/openapi.json" if which == "platform" else "/openapi.json"
    status, _, content = Line(port, token).ask("GET", path, b"", "")
    assert status == 200
    return json.loads(content), port, token


def sent(case: Any) -> tuple[str, bytes, str]:
    """Return the target, the body and the type of a request."""
    found = case.as_transport_kwargs(base_url="http://x")
    target = found["url"].removeprefix("http://x")
    query = urlencode(found.get("params") or {}, doseq=True, errors="replace")
    target = f"{quote(target, safe='/%?&=')}{'?' if query else ''}{query}"
    if "json" in found:
        return target, json.dumps(found["json"]).encode("utf-8", "surrogatepass"), "application/json"
    data = found.get("data") or b""
    if isinstance(data, dict):
        form = urlencode({key: str(value) for key, value in data.items()}, errors="replace")
        return target, form.encode(), "application/x-www-form-urlencoded"
    return (
        target,
        data if isinstance(data, bytes) else str(data).encode("utf-8", "replace"),
        "application/json",
    )


def check_answer(document: dict[str, Any], operation: dict[str, Any], kind: str, content: bytes) -> None:
    """Check that an answer of 200 is as it is described."""
    import jsonschema_rs  # here, because every worker of the test runner imports every file

    told = operation["responses"]["200"].get("content")
    if told is None:
        return
    assert kind in told
    if kind == "application/json":
        schema = told[kind]["schema"] | {"components": document["components"]}
        assert [
            str(one) for one in jsonschema_rs.validator_for(schema).iter_errors(json.loads(content))
        ] == []


def statuses_of(
    document: dict[str, Any], operation: Any, line: Line, examples: int, values: Values
) -> set[int]:
    """Send requests to a route, and return the statuses of its answers."""
    seen: set[int] = set()
    described = document["paths"][operation.path][operation.method.lower()]
    # What would remove or end something gets no name of anything.
    may_lead = operation.method.upper() == "GET"

    @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
              derandomize=True, suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(), choice=st.integers(0, 3))
    def run(case: Any, choice: int) -> None:
        for name in case.path_parameters or {}:
            if may_lead and choice < len(values.get(name, [])):
                case.path_parameters[name] = values[name][choice]
        target, body, media = sent(case)
        status, kind, content = line.ask(case.method, target, body, media)
        assert status < 500, (case.method, target, body[:300], content[:300])
        seen.add(status)
        if status == 200 and "components" in document:
            check_answer(document, described, kind, content)

    run()
    return seen


def fuzzed(document: dict[str, Any], line: Line, examples: int, values: Values) -> dict[str, set[int]]:
    """Send requests to every route that a description has, and return the statuses of each."""
    import schemathesis  # here, because every worker of the test runner imports every file

    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    return {
        f"{one.method.upper()} {one.path}": statuses_of(document, one, line, examples, values)
        for one in operations
        if (one.method.upper(), one.path) not in LEFT_OUT
    }


@pytest.mark.parametrize("which", ["model", "private", "platform", "pages"])
def test_no_route_answers_what_its_description_allows_with_a_server_error(
    live: Any, which: str, full: bool
) -> None:
    document, port, token = described(live, which)
    run = json.loads(live.project.fairway("runs", "--json").stdout)[0]["name"]
    values = {**KNOWN, "name": [run, *KNOWN["name"]]}
    seen = fuzzed(document, Line(port, token), 150 if full else 12, values)
    wanted = {
        f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations
    }
    assert wanted - set(seen) == {f"{method} {path}" for method, path in LEFT_OUT} & wanted
    if which in ("platform", "pages"):
        gets = [statuses for route, statuses in seen.items() if route.startswith("GET ")]
        reached = sum(200 in statuses for statuses in gets)
        assert reached >= len(gets) // 2, "most pages were never reached"
        assert live.pids()["platform"]


def test_an_answer_that_is_not_as_described_is_caught(live: Any) -> None:
    document, port, token = described(live, "platform")
    kept = dict(document["paths"]["/api/v1/runs"]["get"])
    wrong = {"200": {"description": "", "content": {"application/json": {"schema": {"type": "string"}}}}}
    document["paths"] = {"/api/v1/runs": {"get": kept | {"responses": wrong}}}
    with pytest.raises(AssertionError):
        fuzzed(document, Line(port, token), 5, {})
