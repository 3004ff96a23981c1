"""The platform's API under /api/v1: runs, models and endpoints. Each handler answers one question or makes one change.

It asks a `Platform` and knows nothing else. Must not know who may ask, because the gate has checked that before.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fairway.control.changes import LONGEST_KEY, Changes
from fairway.control.routes import Entry, body, openapi
from fairway.control.upkeep_routes import UpkeepRoutes
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.history import Removal, RunQuery, RunRecord
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.quantities import whole_number
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.update import Cancelled, Foreseen, LogLine, LogPage, Outputs, Submitted, Update

_BASE = "/api/v1"
_LINES = 10_000
_LONGEST_WAIT = 25.0
"""Seconds that a client may wait for one answer. A proxy in between may cut a connection after 60."""

_MOST_UPDATES = 1000
_MOST_RUNS = 5000
_MOST = 2**53
_BYTES = "application/octet-stream"
_DIGEST = re.compile("[0-9a-f]{64}")


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The revision to return to; 0 is the previous one. A request that is sent again has the same key."""

    revision: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    key: Annotated[str, msgspec.Meta(max_length=LONGEST_KEY)] = ""


class ShutdownRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The extent of a shutdown: with `endpoints` they end too, otherwise they go on answering."""

    endpoints: bool = False


class AliasRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version of a model that an alias names from now on; 0 removes the alias."""

    model: str
    alias: str
    version: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class TagRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word to put on a run, or with `present` false to take off."""

    tag: str
    present: bool = True


class NoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The text to write on a run; an empty one removes it."""

    note: str


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runs and versions to remove. Without `really` they stay, and the answer tells what would go."""

    names: list[str]
    really: bool = False


class Api:
    """The handlers for one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._changes = Changes()
        self.ready = False
        self.closing = asyncio.Event()
        """An event that is set when the platform stops. A client that waits for news is then answered at once."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        get, post = "GET", "POST"
        return [
            Entry(method=get, path="/healthz", policy="public", handler=self.health),
            Entry(method=get, path="/readyz", policy="public", handler=self.readiness),
            Entry(method=get, path=f"{_BASE}/openapi.json", policy="token", handler=self.openapi),
            *self._about_runs(),
            self._entry(get, "/models", self.models, gives=list[ModelSummary]),
            self._entry(get, "/models/{name}", self.model, gives=list[ModelVersion]),
            self._entry(get, "/version", self.version, gives=ModelVersion),
            self._entry(get, "/runs/{name}/code", self.code, gives=dict[str, str | None]),
            self._entry(get, "/sources", self.sources, gives=dict[str, str]),
            self._entry(get, "/aliases", self.aliases, gives=dict[str, int]),
            self._entry(post, "/aliases", self.alias, takes=AliasRequest, gives=ModelVersion),
            self._entry(get, "/endpoints", self.endpoints, gives=list[EndpointStatus]),
            self._entry(get, "/deployed", self.deployed, gives=list[EndpointStatus]),
            self._entry(post, "/deploy", self.deploy, takes=DeployRequest, gives=Deployed),
            self._entry(
                post, "/endpoints/{name}/rollback", self.rollback, takes=RollbackRequest, gives=Deployed
            ),
            self._entry("DELETE", "/endpoints/{name}", self.undeploy),
            self._entry(post, "/shutdown", self.shutdown, takes=ShutdownRequest),
            *UpkeepRoutes(lambda: self._platform).entries(),
        ]

    def _about_runs(self) -> list[Entry]:
        get, post = "GET", "POST"
        return [
            self._entry(get, "/runs", self.runs, gives=list[RunSummary]),
            self._entry(post, "/runs", self.submit, takes=RunRequest, gives=Submitted),
            self._entry(post, "/runs/query", self.past, takes=RunQuery, gives=list[RunRecord]),
            self._entry(post, "/describe", self.describe, takes=RunRequest, gives=ProjectSpec),
            self._entry(post, "/plan", self.plan, takes=RunRequest, gives=list[Foreseen]),
            self._entry(get, "/find", self.find, gives=Submitted),
            self._entry(get, "/runs/{name}", self.run, gives=RunStatus),
            self._entry(get, "/runs/{name}/follow", self.follow, gives=list[Update]),
            self._entry(post, "/runs/{name}/cancel", self.cancel, gives=Cancelled),
            self._entry(post, "/runs/{name}/tag", self.tag, takes=TagRequest),
            self._entry(post, "/runs/{name}/note", self.note, takes=NoteRequest),
            self._entry(post, "/remove", self.remove, takes=RemoveRequest, gives=list[Removal]),
            self._entry(get, "/runs/{name}/outputs", self.outputs, gives=Outputs),
            self._entry(get, "/runs/{name}/output", self.output, gives=LogPage),
            self._entry(get, "/runs/{name}/logs", self.logs, gives=list[LogLine]),
            self._entry(post, "/content", self.content, takes=Artifact, gives=bytes),
            self._entry(get, "/content/{digest}", self.piece, gives=bytes),
        ]

    async def health(self, request: Request) -> object:
        """Tell whether the process lives."""
        return {"live": True}

    async def readiness(self, request: Request) -> object:
        """Tell whether the platform has taken over the endpoints that served before its start."""
        return {"ready": self.ready}

    async def openapi(self, request: Request) -> object:
        """Return this description."""
        return openapi(self.entries())

    async def runs(self, request: Request) -> object:
        """Return the newest runs."""
        return await self._platform.runs(_number(request, "limit", 50, 1000))

    async def past(self, request: Request) -> object:
        """Return runs of the past that a query asks for, newest first, at most 5,000; `before` goes on."""
        query: RunQuery = await body(request, RunQuery)
        limit = min(query.limit, _MOST_RUNS) if query.limit > 0 else _MOST_RUNS
        return await self._platform.past(msgspec.structs.replace(query, limit=limit))

    async def submit(self, request: Request) -> object:
        """Start a run of this project in a process of its own, and answer when it is on record."""
        wanted = await body(request, RunRequest)
        return Submitted(str(await self._whole(self._platform.submit(wanted))))

    async def describe(self, request: Request) -> object:
        """Import the project of a run and return what it declares."""
        return await self._platform.describe(await body(request, RunRequest))

    async def plan(self, request: Request) -> object:
        """Return the steps that a run would carry out, without running any of them."""
        return await self._platform.plan(await body(request, RunRequest))

    async def find(self, request: Request) -> object:
        """Return the one run whose name begins with `?prefix=`; the newest without it."""
        return Submitted(await self._platform.find(request.query_params.get("prefix", "")))

    async def run(self, request: Request) -> object:
        """Return one run with all its steps."""
        return await self._platform.run(_name(request))

    async def follow(self, request: Request) -> object:
        """Return the updates of a run after the position `?after=`. Wait up to `?wait=` seconds for them, 25 at most."""
        wait = _seconds(request)
        after = request.query_params.get("after", "")
        asked = asyncio.ensure_future(self._platform.updates(_name(request), after, wait))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({asked, closing}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result()[:_MOST_UPDATES] if asked.done() else []
        finally:
            asked.cancel()
            closing.cancel()

    async def cancel(self, request: Request) -> object:
        """Stop a run, or record that an interrupted one will not go on."""
        return await self._whole(self._platform.cancel(_name(request)))

    async def tag(self, request: Request) -> object:
        """Put a word on a run, or take it off."""
        wanted: TagRequest = await body(request, TagRequest)
        await self._whole(self._platform.tag(_name(request), wanted.tag, present=wanted.present))
        return {"run": _name(request)}

    async def note(self, request: Request) -> object:
        """Write a text on a run."""
        wanted: NoteRequest = await body(request, NoteRequest)
        await self._whole(self._platform.note(_name(request), wanted.note))
        return {"run": _name(request)}

    async def remove(self, request: Request) -> object:
        """Remove runs and versions of models that nothing needs, or tell what would go."""
        wanted: RemoveRequest = await body(request, RemoveRequest)
        return await self._whole(self._platform.remove(wanted.names, really=wanted.really))

    async def outputs(self, request: Request) -> object:
        """Return the attempts of a run that have output, in order of their first output, and whether more may come."""
        return await self._platform.outputs(_name(request))

    async def output(self, request: Request) -> object:
        """Return lines that an attempt printed, from a byte `?offset=` on. `?step=` and `?attempt=` name the attempt."""
        step, attempt = request.query_params.get("step", ""), _number(request, "attempt", 1, _MOST)
        return await self._platform.logs(_name(request), step, attempt, _count(request, "offset"))

    async def logs(self, request: Request) -> object:
        """Return the last lines that a run's steps printed; `?step=` asks for one step."""
        name, only = _name(request), request.query_params.get("step", "")
        lines: list[LogLine] = []
        for step, attempt in (await self._platform.outputs(name)).attempts:
            page = LogPage(lines=[], offset=0)
            while only in ("", step):
                before = page.offset
                page = await self._platform.logs(name, step, attempt, before)
                lines = [*lines, *page.lines][-_LINES:]
                if page.offset == before:
                    break
        return lines

    async def content(self, request: Request) -> object:
        """Return the content of an artifact that is one file of at most 32 MiB, in base64."""
        artifact: Artifact = await body(request, Artifact)
        if not _DIGEST.fullmatch(artifact.digest):
            raise UsageError(f"{artifact.digest[:80]!r} is no digest")
        return await self._platform.read(artifact)

    async def piece(self, request: Request) -> object:
        """Return the bytes of some content from a byte `?offset=` on, at most 8 MiB; none behind its end."""
        digest = request.path_params["digest"]
        if not _DIGEST.fullmatch(digest):
            raise UsageError(f"{digest[:80]!r} is no digest")
        piece = await self._platform.piece(digest, _count(request, "offset"))
        return Response(
            piece, 200, {"cache-control": "no-store", "x-content-type-options": "nosniff"}, _BYTES
        )

    async def models(self, request: Request) -> object:
        """Return every registered model."""
        return await self._platform.models()

    async def model(self, request: Request) -> object:
        """Return all versions of a model, or the one that name:version or name@alias means."""
        name = _name(request)
        if ":" in name or "@" in name:
            return [await self._platform.resolve(name)]
        return await self._platform.versions(name)

    async def version(self, request: Request) -> object:
        """Return the version that `?of=` means: "churn" (newest), "churn:3" or "churn@champion"."""
        return await self._platform.resolve(request.query_params.get("of", ""))

    async def sources(self, request: Request) -> object:
        """Return the project's source files that travel with the version `?of=`, by name."""
        return await self._platform.sources(request.query_params.get("of", ""))

    async def code(self, request: Request) -> object:
        """Return the source files of a run's last work, by path; null for a file that is not kept."""
        return await self._platform.code(request.path_params["name"])

    async def aliases(self, request: Request) -> object:
        """Return the version number of every alias; `?model=` asks for those of one model."""
        return await self._platform.aliases(request.query_params.get("model", ""))

    async def alias(self, request: Request) -> object:
        """Let an alias name a version of a model; version 0 removes it."""
        wanted: AliasRequest = await body(request, AliasRequest)
        return await self._whole(self._platform.alias(wanted.model, wanted.alias, wanted.version))

    async def endpoints(self, request: Request) -> object:
        """Return every endpoint as wanted and as observed."""
        return await self._platform.endpoints()

    async def deployed(self, request: Request) -> object:
        """Return every endpoint on record, also those that were removed. Nothing is observed."""
        return await self._platform.deployed()

    async def deploy(self, request: Request) -> object:
        """Serve a model or a function, and answer when its endpoint does; `pending` after `?wait=` seconds."""
        wanted: DeployRequest = await body(request, DeployRequest)
        if len(wanted.key) > LONGEST_KEY:
            raise UsageError(f"the key of a request has at most {LONGEST_KEY} characters")
        return await self._deployed(request, wanted.name, wanted.key, lambda: self._platform.deploy(wanted))

    async def rollback(self, request: Request) -> object:
        """Return an endpoint to an earlier revision, and answer when that does; `pending` after `?wait=` seconds."""
        wanted: RollbackRequest = await body(request, RollbackRequest)
        name = _name(request)
        return await self._deployed(
            request, name, wanted.key, lambda: self._platform.rollback(name, wanted.revision)
        )

    async def undeploy(self, request: Request) -> object:
        """Remove an endpoint after what is in flight; `pending` after `?wait=` seconds. `?key=` is the key of the request."""
        name, key = _name(request), request.query_params.get("key", "")[:LONGEST_KEY]

        async def removed() -> object:
            await self._platform.undeploy(name)
            return {"undeployed": name}

        wait = _seconds(request) if "wait" in request.query_params else None
        done = await self._changes.outcome(key and f"{key} undeploy {name}", removed, wait)
        return done or {"undeployed": name, "pending": True}

    async def shutdown(self, request: Request) -> object:
        """Stop the platform, and on request its endpoints."""
        wanted = await body(request, ShutdownRequest)
        await self._whole(self._platform.shutdown(endpoints=wanted.endpoints))
        return {"stopped": True}

    async def _whole(self, work: Awaitable[object]) -> object:
        """Carry a change out to its end, even if the client that asked for it leaves."""
        return await self._changes.outcome("", lambda: work, None)

    async def _deployed(
        self, request: Request, name: str, key: str, change: Callable[[], Awaitable[Deployed]]
    ) -> object:
        """Carry a deployment out to its end, and return its outcome, or how it is by now."""
        wait = _seconds(request) if "wait" in request.query_params else None
        done = await self._changes.outcome(key and f"{key} {name}", change, wait)
        if done is not None:
            return done
        found = (one for one in await self._platform.endpoints() if one.name == name)
        return Deployed(status=next(found, EndpointStatus(name=name, wanted=0)), pending=True)

    def _entry(
        self,
        method: str,
        path: str,
        handler: Callable[[Request], Awaitable[object]],
        *,
        takes: object = None,
        gives: object = dict[str, object],
    ) -> Entry:
        return Entry(
            method=method, path=_BASE + path, policy="token", handler=handler, takes=takes, gives=gives
        )


def _name(request: Request) -> str:
    name = unquote(request.path_params["name"])
    if not name:
        raise NotFound("there is nothing without a name")
    return name


def _seconds(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if math.isnan(wait) or wait < 0.0:
        raise UsageError(f"wait is a number of seconds, not {text[:40]!r}")
    return min(wait, _LONGEST_WAIT)


def _count(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    number = whole_number(text, _MOST)
    if number is None:
        raise UsageError(f"{name} is a number from 0 to {_MOST}, not {text[:40]!r}")
    return number


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    number = whole_number(text, most)
    if not number:
        raise UsageError(f"{name} is a number from 1 to {most}, not {text[:40]!r}")
    return number
