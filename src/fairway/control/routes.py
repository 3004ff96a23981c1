"""The routes of the platform: a table with the policy of each, and the application made of it.

Must not know how a request is answered, only what it may contain and who may ask.
"""

import json
import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, cast, get_args

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.control.refused import Refused
from fairway.pages.visit import ACTOR
from fairway.server import errorlog
from fairway.spec import versions
from fairway.spec.access import Actor, Role, lacking
from fairway.spec.errors import CorruptArtifact, FairwayError, NotAllowed, NotFound, StorageError, UsageError

Policy = Literal["public", "pods", "viewer", "runner", "deployer", "administrator"]
"""The policy of a route: open to anybody, to pods alone, or to people with a role or a higher one."""

Handler = Callable[[Request], Awaitable[object]]
Admit = Callable[[Request, "Entry"], None]
"""Function that lets a request through to a route that is not public. Raises Refused."""

_STATUS: tuple[tuple[type[FairwayError], int], ...] = (
    (UsageError, 400),
    (NotAllowed, 403),
    (NotFound, 404),
    # Unlike a full disk, damaged content does not become better by asking again.
    (CorruptArtifact, 410),
    (StorageError, 507),
)

BYTES = "application/octet-stream"
"""The type of content as it is."""

_SHOWN = 4000
"""Characters of an error in the log at most."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A route of the platform's API.

    Attributes:
        handler: returns the value that is answered as JSON, or a whole response. The first line of its docstring describes
            the route.
        asks: types of the values behind the question mark, by name. A request may leave out each of them.
        takes: type of the request's body; None without a body.
        gives: type of the answer.
    """

    method: str
    path: str
    policy: Policy
    handler: Any
    asks: dict[str, Any] = {}
    takes: Any = None
    gives: Any = dict[str, object]

    @property
    def role(self) -> Role | None:
        """The role that a person needs. None for a route that is public, or closed to people."""
        return None if self.policy in ("public", "pods") else Role.of(self.policy)


def _no_page(request: Request, status: int) -> Response | None:
    return None


def admit_by_role(request: Request, entry: Entry) -> None:
    """Let a person through to a route whose role the person has. Raises Refused for everybody else."""
    actor: Actor | None = request.scope.get(ACTOR)
    needed = entry.role
    if actor is None or needed is None:
        raise Refused(403, "only pods of a run may do this")
    if actor.role < needed:
        raise Refused(403, *lacking(actor, needed))


def application(
    entries: list[Entry],
    pages: Sequence[Route] = (),
    admit: Admit = admit_by_role,
    lost: Callable[[Request, int], Response | None] = _no_page,
) -> Starlette:
    """Build the application that answers these routes and nothing else.

    Args:
        entries: the routes of the API.
        pages: the routes of pages, which check by themselves who may look.
        admit: lets a request through to a route that is not public.
        lost: makes the page for an address that there is nothing at; None for a request that wants no page.
    """
    routes = [Route(entry.path, _answering(entry, admit), methods=[entry.method]) for entry in entries]

    async def http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return lost(request, status) or _http_error(request, error)

    made = Starlette(routes=routes, exception_handlers={HTTPException: http_error})
    check(made, entries)
    made.router.routes.extend(pages)
    return made


def check(made: Starlette, entries: list[Entry]) -> None:
    """Refuse an application with a route that declares no policy, or a public one that is not exact."""
    declared = {(entry.path, entry.method): entry.policy for entry in entries}
    for route in made.routes:
        methods = (getattr(route, "methods", None) or {"*"}) - {"HEAD"}
        path = cast("str", getattr(route, "path", ""))
        for method in methods:
            policy = declared.get((path, method))
            if policy not in get_args(Policy):
                raise RuntimeError(f"route {method} {path} declares no policy")
            if policy == "public" and "{" in path:
                raise RuntimeError(f"route {method} {path} is public, but not one exact path")


def public_paths(entries: list[Entry]) -> frozenset[str]:
    """Return the paths that need no token, whatever the method."""
    needing = {entry.path for entry in entries if entry.policy != "public"}
    return frozenset(entry.path for entry in entries if entry.policy == "public") - needing


def as_json(value: object, status: int = 200) -> Response:
    """Build an answer with a value as JSON."""
    headers = {versions.HEADER: versions.this()}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def as_bytes(content: bytes) -> Response:
    """Build an answer with content as it is."""
    return Response(content, media_type=BYTES)


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
    by_kind: dict[str, object] = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, object]] = {}
    for entry in entries:
        paths.setdefault(entry.path, {})[entry.method.lower()] = _operation(entry, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fairway platform", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(entry: Entry, schemas: dict[str, object]) -> dict[str, object]:
    """Return the description of one route. `schemas` are those of the types of all bodies, by the type as text."""
    answer = schemas[str(entry.gives)]
    # The bytes of some content come as they are. In the body of a request or of another answer, they would be base64.
    is_raw = entry.gives is bytes and entry.method == "GET"
    done = {"application/octet-stream": {"schema": {"type": "string"}}} if is_raw else _content(answer)
    operation: dict[str, object] = {
        "summary": (entry.handler.__doc__ or "").strip().partition("\n")[0],
        "responses": {
            "200": {"description": "done", "content": done},
            "default": {"description": "refused", "content": _content(_ERROR)},
        },
        "security": [] if entry.policy == "public" else [{"token": []}],
    }
    if entry.policy != "public":
        operation["x-fairway-role"] = entry.policy
    parameters = _parameters(entry)
    if parameters:
        operation["parameters"] = parameters
    if entry.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(schemas[str(entry.takes)])}
    return operation


def _parameters(entry: Entry) -> list[dict[str, object]]:
    """Return the descriptions of the variable parts of a route's path, then of the values behind the question mark."""
    parts: list[dict[str, object]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)", entry.path)
    ]
    asked: list[dict[str, object]] = [
        {"name": name, "in": "query", "required": False, "schema": msgspec.json.schema(kind)}
        for name, kind in entry.asks.items()
    ]
    return [*parts, *asked]


_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}, "details": {"type": "string"}},
    "required": ["error", "hint"],
}


def _any(kind: type) -> dict[str, object]:
    return {"description": "any JSON value"}


def _content(schema: object) -> dict[str, object]:
    return {"application/json": {"schema": schema}}


def _answering(entry: Entry, admit: Admit) -> Callable[[Request], Awaitable[Response]]:
    handler: Handler = entry.handler

    async def answer(request: Request) -> Response:
        try:
            if entry.policy != "public":
                admit(request, entry)
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


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {404: "there is nothing here", 405: f"{request.method} is not answered here"}
    response = as_json({"error": said.get(status, "refused"), "hint": "see /api/v1/openapi.json"}, status)
    if isinstance(error, HTTPException) and error.headers and "Allow" in error.headers:
        response.headers["allow"] = error.headers["Allow"]
    return response


def report(path: str, error: Exception) -> None:
    """Write an error that nobody expected to the log, with the path of the request."""
    errorlog.write(lambda: _line(path, error))


def _internal(request: Request, error: Exception) -> Response:
    report(request.url.path, error)
    return as_json({"error": "internal error", "hint": "its cause is in `.fairway/platform/log`"}, 500)


def _line(path: str, error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"
    return json.dumps({"level": "error", "path": path[:200], "error": shown})
