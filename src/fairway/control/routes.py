"""The routes of the platform: a table with the policy of each, and the application made of it.

Must not know how a request is answered, only what it may contain and who may ask.
"""

import json
import re
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.control.gate import Refused
from fairway.server import errorlog
from fairway.spec import versions
from fairway.spec.errors import CorruptArtifact, FairwayError, NotAllowed, NotFound, StorageError, UsageError

Policy = Literal["public", "token"]
"""The policy of a route: open to anybody on this machine, or to whoever has the token."""

Handler = Callable[[Request], Awaitable[object]]

_STATUS: tuple[tuple[type[FairwayError], int], ...] = (
    (UsageError, 400),
    (NotAllowed, 403),
    (NotFound, 404),
    # Unlike a full disk, damaged content does not become better by asking again.
    (CorruptArtifact, 410),
    (StorageError, 507),
)

_SHOWN = 4000
"""Characters of an error in the log at most."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A route of the platform's API.

    Attributes:
        handler: returns the value that is answered as JSON, or a whole response. The first line of its docstring describes
            the route.
        takes: type of the request's body; None without a body.
        gives: type of the answer.
    """

    method: str
    path: str
    policy: Policy
    handler: Any
    takes: Any = None
    gives: Any = dict[str, object]


def application(entries: list[Entry]) -> Starlette:
    """Build the application that answers these routes and nothing else."""
    routes = [Route(entry.path, _answering(entry.handler), methods=[entry.method]) for entry in entries]
    made = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    check(made, entries)
    return made


def check(made: Starlette, entries: list[Entry]) -> None:
    """Refuse an application with a route that declares no policy, or a public one that is not exact."""
    declared = {(entry.path, entry.method): entry.policy for entry in entries}
    for route in made.routes:
        methods = (getattr(route, "methods", None) or {"*"}) - {"HEAD"}
        path = cast("str", getattr(route, "path", ""))
        for method in methods:
            policy = declared.get((path, method))
            if policy not in ("public", "token"):
                raise RuntimeError(f"route {method} {path} declares no policy")
            if policy == "public" and "{" in path:
                raise RuntimeError(f"route {method} {path} is public, but not one exact path")


def public_paths(entries: list[Entry]) -> frozenset[str]:
    """Return the paths that need no token, whatever the method."""
    needing = {entry.path for entry in entries if entry.policy != "public"}
    return frozenset(entry.path for entry in entries if entry.policy == "public") - needing


def as_json(value: object, status: int = 200) -> Response:
    """Build an answer with a value as JSON."""
    headers = {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        versions.HEADER: versions.this(),
    }
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def body(request: Request, kind: type[Any]) -> Any:
    """Decode the request's body. Raises UsageError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UsageError("the body is not JSON", hint="send `Content-Type: application/json`")
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"the body cannot be read: {error}") from None


def openapi(entries: list[Entry]) -> dict[str, object]:
    """Return the OpenAPI description of all routes."""
    kinds = [kind for entry in entries for kind in (entry.takes, entry.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        kinds, schema_hook=_any, ref_template="#/components/schemas/{name}"
    )
    by_kind = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, object]] = {}
    for entry in entries:
        operation: dict[str, object] = {
            "summary": (entry.handler.__doc__ or "").strip().partition("\n")[0],
            "responses": {
                "200": {"description": "done", "content": _content(by_kind[str(entry.gives)])},
                "default": {"description": "refused", "content": _content(_ERROR)},
            },
            "security": [] if entry.policy == "public" else [{"token": []}],
        }
        names = re.findall(r"{(\w+)", entry.path)
        if names:
            operation["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ]
        if entry.takes is not None:
            operation["requestBody"] = {"required": True, "content": _content(by_kind[str(entry.takes)])}
        paths.setdefault(entry.path, {})[entry.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fairway platform", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}, "details": {"type": "string"}},
    "required": ["error", "hint"],
}


def _any(kind: type) -> dict[str, object]:
    return {"description": "any JSON value"}


def _content(schema: object) -> dict[str, object]:
    return {"application/json": {"schema": schema}}


def _answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            answer = await handler(request)
            return answer if isinstance(answer, Response) else as_json(answer)
        except FairwayError as error:
            status = next((number for kind, number in _STATUS if isinstance(error, kind)), 409)
            said = {"error": error.message, "hint": error.hint}
            return as_json(said | ({"details": error.details} if error.details else {}), status)
        except Refused as refused:
            return as_json({"error": refused.error, "hint": refused.hint}, refused.status)
        except Exception as error:
            return _internal(request, error)

    return answer


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {404: "there is nothing here", 405: f"{request.method} is not answered here"}
    response = as_json({"error": said.get(status, "refused"), "hint": "see /api/v1/openapi.json"}, status)
    if isinstance(error, HTTPException) and error.headers and "Allow" in error.headers:
        response.headers["allow"] = error.headers["Allow"]
    return response


def _internal(request: Request, error: Exception) -> Response:
    errorlog.write(lambda: _line(request.url.path, error))
    return as_json({"error": "internal error", "hint": "its cause is in `.fairway/platform/log`"}, 500)


def _line(path: str, error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"
    return json.dumps({"level": "error", "path": path[:200], "error": shown})
