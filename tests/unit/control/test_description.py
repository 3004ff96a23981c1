"""The description of the API is complete: a route for all that a platform can be asked, and each value that a route reads."""

import ast
import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from starlette.datastructures import QueryParams
from starlette.requests import Request

from fairway.control.api import Api
from fairway.control.ended_routes import EndedRoutes
from fairway.control.routes import Entry, openapi
from fairway.control.waiting_routes import WaitingRoutes
from fairway.pages import visit
from fairway.ports.people import People
from fairway.ports.platform import Platform
from fairway.ports.projects import Projects
from fairway.ports.serving import Serving
from fairway.ports.webhooks import Webhooks
from fairway.spec.errors import FairwayError

PARTS = {"people.": People, "projects.": Projects, "serving.": Serving, "webhooks.": Webhooks}
TOGETHER = {
    "bring": "`piece`, again and again, until there is nothing more",
    "follow": "`updates`, again and again, until the run is over",
    "close": "what a client ends on its own side",
    "place": "what a client knows already",
}
"""What has no route of its own, and by which others it comes."""


class Asked:
    """A platform that keeps what it is asked, and answers nothing."""

    def __init__(self, kept: list[str], part: str = "") -> None:
        self._kept = kept
        self._part = part

    def __getattr__(self, name: str) -> Any:
        if f"{name}." in PARTS:
            return Asked(self._kept, f"{name}.")

        async def answer(*_: object, **__: object) -> None:
            self._kept.append(self._part + name)
            raise FairwayError("asked")

        return answer


class Read(QueryParams):
    """The values behind a question mark, of which each that is looked for is kept."""

    kept: list[str]

    def get(self, key: Any, default: Any = None) -> Any:
        self.kept.append(key)
        return super().get(key, default)

    def __contains__(self, key: Any) -> bool:
        self.kept.append(key)
        return False


def sample(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """Return the smallest value that a schema allows."""
    if "$ref" in schema:
        return sample(known[schema["$ref"].rpartition("/")[2]], known)
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], known)
    if schema.get("type") == "object":
        return {name: sample(schema["properties"][name], known) for name in schema.get("required", [])}
    return {"string": "0" * 64, "integer": 1, "number": 1.0, "array": [], "boolean": False}.get(
        schema.get("type", "")
    )


def body_for(kind: Any) -> bytes:
    """Return the smallest body of a type."""
    schemas, known = msgspec.json.schema_components([kind], schema_hook=lambda _: {})
    return msgspec.json.encode(sample(schemas[0], known))


def entries(platform: Any) -> list[Entry]:
    """Return all routes that people may use, those of a control plane in a cluster among them."""

    def notes(key: str) -> list[Any]:
        return []

    return Api(platform, more=[*WaitingRoutes(notes).entries(), *EndedRoutes(notes).entries()]).entries()


def driven(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send the smallest request to a route, and return the names of the values that were read behind the question mark."""
    read = Read("")
    read.kept = []
    monkeypatch.setattr(Request, "query_params", read)
    content = b"" if entry.takes is None else body_for(entry.takes)

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {
        "type": "http", "method": entry.method, "path": entry.path, "headers": [(b"content-type", b"application/json")],
        "path_params": {"name": "some", "digest": "0" * 64}, "query_string": b"", visit.ACTOR: None,
    }  # fmt: skip
    # Most routes end with what the platform raises here; a few need nothing of it, or somebody who asks.
    with contextlib.suppress(FairwayError, AttributeError, KeyError):
        asyncio.run(entry.handler(Request(scope, receive)))
    return read.kept


def methods(port: type[Protocol], part: str = "") -> Iterator[str]:  # type: ignore[valid-type]
    """Return the names of all that a port can be asked."""
    for name in vars(port):
        if not name.startswith("_") and f"{name}." not in PARTS:
            yield part + name


def test_whatever_a_platform_can_be_asked_has_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    for entry in entries(Asked(kept)):
        driven(entry, monkeypatch)
    wanted = {*methods(Platform), *(name for part, port in PARTS.items() for name in methods(port, part))}
    assert len(wanted) > 50
    assert wanted - set(kept) == set(TOGETHER)
    assert set(kept) <= wanted


def test_whatever_a_page_asks_has_a_route() -> None:
    asked = {name for path in Path(visit.__file__).parent.glob("*.py") for name in asked_in(path)}
    known = {*methods(Platform), *(name for port in PARTS.values() for name in methods(port))}
    parts = {part.rstrip(".") for part in PARTS}
    assert {"runs", "past", "log", "models", "traffic", "tokens", "deeds", "people"} <= asked
    assert asked - parts <= known - (set(TOGETHER) - {"place"})


def asked_in(path: Path) -> Iterator[str]:
    """Return the names of what a file asks a platform or a part of it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            asked = ast.unparse(node.value)
            if re.search(r"\bplatform(\.(people|projects|serving|webhooks))?$", asked):
                yield node.attr


def test_each_value_that_a_route_reads_is_described_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    found = entries(Asked([]))
    described = openapi(found)["paths"]
    assert isinstance(described, dict)
    for entry in found:
        parameters = described[entry.path][entry.method.lower()].get("parameters", [])
        told = {one["name"] for one in parameters if one["in"] == "query"}
        assert told == set(driven(entry, monkeypatch)), entry.path


def test_content_is_described_as_the_bytes_that_come() -> None:
    described: Any = openapi(entries(Asked([])))["paths"]
    for path in ("/api/v1/content/{digest}", "/api/v1/backups/{name}"):
        assert list(described[path]["get"]["responses"]["200"]["content"]) == ["application/octet-stream"]
    assert list(described["/api/v1/content"]["post"]["responses"]["200"]["content"]) == ["application/json"]
