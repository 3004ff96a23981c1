"""The platform's API under /api/v1: runs, models and endpoints. Each handler answers one question or makes one change.

It asks a `Platform` and knows nothing else. Must not know who may ask, because the gate has checked that before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.changes import LONGEST_KEY, KeyedChanges
from fairway.control.handlers import BASE
from fairway.control.people_routes import PeopleRoutes
from fairway.control.project_routes import ProjectRoutes
from fairway.control.routes import Entry, Policy, as_bytes, body, openapi
from fairway.control.schedule_routes import ScheduleRoutes
from fairway.control.serving_routes import ServingRoutes
from fairway.control.sessions import Codes
from fairway.control.upkeep_routes import UpkeepRoutes
from fairway.control.webhook_routes import WebhookRoutes
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, is_digest
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import UsageError
from fairway.spec.history import Removal, RunQuery, RunRecord
from fairway.spec.log import LogLine, LogPage, LogPart, LogQuery, Outputs
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.update import Cancelled, Foreseen, Submitted, Update

_LINES = 10_000
_MOST_UPDATES = 1000
_MOST_RUNS = 5000


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
    """The handlers for one platform.

    Args:
        platform: is asked for everything.
        codes: the codes that let a browser in; None for a platform without pages.
        more: further routes for people, which this kind of platform alone has.
    """

    def __init__(self, platform: Platform, codes: Codes | None = None, more: Sequence[Entry] = ()) -> None:
        self._platform = platform
        self._codes = codes
        self._more = more
        self._changes = KeyedChanges()
        self.ready = False
        self.closing = asyncio.Event()
        """An event that is set when the platform stops. A client that waits for news is then answered at once."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        get = "GET"
        return [
            Entry(method=get, path="/healthz", policy="public", handler=self.health),
            Entry(method=get, path="/readyz", policy="public", handler=self.readiness),
            Entry(method=get, path=f"{BASE}/openapi.json", policy="viewer", handler=self.openapi),
            *self._about_runs(),
            *self._about_models(),
            *PeopleRoutes(lambda: self._platform, lambda: self._codes).entries(),
            *UpkeepRoutes(lambda: self._platform).entries(),
            *ServingRoutes(lambda: self._platform).entries(),
            *ProjectRoutes(lambda: self._platform).entries(),
            *ScheduleRoutes(lambda: self._platform).entries(),
            *WebhookRoutes(lambda: self._platform).entries(),
            *self._more,
        ]

    def _about_models(self) -> list[Entry]:
        return [
            self._entry("viewer", "GET /models", self.models, gives=list[ModelSummary]),
            self._entry("viewer", "GET /models/{name}", self.model, gives=list[ModelVersion]),
            self._entry("viewer", "GET /version", self.version, asks={"of": str}, gives=ModelVersion),
            self._entry("viewer", "GET /runs/{name}/code", self.code, gives=dict[str, str | None]),
            self._entry("viewer", "GET /sources", self.sources, asks={"of": str}, gives=dict[str, str]),
            self._entry("viewer", "GET /aliases", self.aliases, asks={"model": str}, gives=dict[str, int]),
            self._entry("deployer", "POST /aliases", self.alias, takes=AliasRequest, gives=ModelVersion),
            self._entry("viewer", "GET /endpoints", self.endpoints, gives=list[EndpointStatus]),
            self._entry("viewer", "GET /deployed", self.deployed, gives=list[EndpointStatus]),
            self._entry(
                "deployer",
                "POST /deploy",
                self.deploy,
                asks={"wait": values.Wait},
                takes=DeployRequest,
                gives=Deployed,
            ),
            self._entry(
                "deployer",
                "POST /endpoints/{name}/rollback",
                self.rollback,
                asks={"wait": values.Wait},
                takes=RollbackRequest,
                gives=Deployed,
            ),
            self._entry(
                "deployer",
                "DELETE /endpoints/{name}",
                self.undeploy,
                asks={"wait": values.Wait, "key": values.Key},
            ),
            self._entry("deployer", "POST /shutdown", self.shutdown, takes=ShutdownRequest),
        ]

    def _about_runs(self) -> list[Entry]:
        return [
            self._entry(
                "viewer", "GET /runs", self.runs, asks={"limit": values.Limit}, gives=list[RunSummary]
            ),
            self._entry("runner", "POST /runs", self.submit, takes=RunRequest, gives=Submitted),
            self._entry("viewer", "POST /runs/query", self.past, takes=RunQuery, gives=list[RunRecord]),
            self._entry("runner", "POST /describe", self.describe, takes=RunRequest, gives=ProjectSpec),
            self._entry("runner", "POST /plan", self.plan, takes=RunRequest, gives=list[Foreseen]),
            self._entry("viewer", "GET /find", self.find, asks={"prefix": str}, gives=Submitted),
            self._entry("viewer", "GET /runs/{name}", self.run, gives=RunStatus),
            self._entry("viewer", "GET /runs/{name}/change", self.change, gives=int),
            self._entry(
                "viewer",
                "GET /runs/{name}/follow",
                self.follow,
                asks={"after": str, "wait": values.Wait},
                gives=list[Update],
            ),
            self._entry("runner", "POST /runs/{name}/cancel", self.cancel, gives=Cancelled),
            self._entry("runner", "POST /runs/{name}/tag", self.tag, takes=TagRequest),
            self._entry("runner", "POST /runs/{name}/note", self.note, takes=NoteRequest),
            self._entry("deployer", "POST /remove", self.remove, takes=RemoveRequest, gives=list[Removal]),
            self._entry("viewer", "GET /runs/{name}/outputs", self.outputs, gives=Outputs),
            self._entry(
                "viewer",
                "GET /runs/{name}/output",
                self.output,
                asks={"step": str, "attempt": values.Attempt, "offset": values.Offset},
                gives=LogPage,
            ),
            self._entry("viewer", "POST /runs/{name}/log", self.log, takes=LogQuery, gives=LogPart),
            self._entry(
                "viewer", "GET /runs/{name}/logs", self.logs, asks={"step": str}, gives=list[LogLine]
            ),
            self._entry("viewer", "POST /content", self.content, takes=Artifact, gives=bytes),
            self._entry(
                "viewer", "GET /content/{digest}", self.piece, asks={"offset": values.Offset}, gives=bytes
            ),
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
        return await self._platform.runs(values.number(request, "limit", 50, values.MOST_RUNS))

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
        return Submitted(await self._platform.find(values.text(request, "prefix")))

    async def run(self, request: Request) -> object:
        """Return one run with all its steps."""
        return await self._platform.run(values.name(request))

    async def change(self, request: Request) -> object:
        """Return the place in the log of the last event of a run; 0 without one. It grows with every change of the run."""
        return await self._platform.change(values.name(request))

    async def follow(self, request: Request) -> object:
        """Return the updates of a run after the position `?after=`. Wait up to `?wait=` seconds for them, 25 at most."""
        wait = values.seconds(request)
        after = values.text(request, "after")
        asked = asyncio.ensure_future(self._platform.updates(values.name(request), after, wait))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({asked, closing}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result()[:_MOST_UPDATES] if asked.done() else []
        finally:
            asked.cancel()
            closing.cancel()

    async def cancel(self, request: Request) -> object:
        """Stop a run, or record that an interrupted one will not go on."""
        return await self._whole(self._platform.cancel(values.name(request)))

    async def tag(self, request: Request) -> object:
        """Put a word on a run, or take it off."""
        wanted: TagRequest = await body(request, TagRequest)
        await self._whole(self._platform.tag(values.name(request), wanted.tag, present=wanted.present))
        return {"run": values.name(request)}

    async def note(self, request: Request) -> object:
        """Write a text on a run."""
        wanted: NoteRequest = await body(request, NoteRequest)
        await self._whole(self._platform.note(values.name(request), wanted.note))
        return {"run": values.name(request)}

    async def remove(self, request: Request) -> object:
        """Remove runs and versions of models that nothing needs, or tell what would go."""
        wanted: RemoveRequest = await body(request, RemoveRequest)
        return await self._whole(self._platform.remove(wanted.names, really=wanted.really))

    async def outputs(self, request: Request) -> object:
        """Return the attempts of a run that have output, in order of their first output, and whether more may come."""
        return await self._platform.outputs(values.name(request))

    async def output(self, request: Request) -> object:
        """Return lines that an attempt printed, from a byte `?offset=` on. `?step=` and `?attempt=` name the attempt."""
        step, attempt = values.text(request, "step"), values.number(request, "attempt", 1, values.MOST)
        return await self._platform.logs(values.name(request), step, attempt, values.count(request, "offset"))

    async def log(self, request: Request) -> object:
        """Return a part of what an attempt printed: from a place, its end, or around a line that a search finds."""
        return await self._platform.log(values.name(request), await body(request, LogQuery))

    async def logs(self, request: Request) -> object:
        """Return the last lines that a run's steps printed; `?step=` asks for one step."""
        name, only = values.name(request), values.text(request, "step")
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
        if not is_digest(artifact.digest):
            raise UsageError(f"{artifact.digest[:80]!r} is no digest")
        return await self._platform.read(artifact)

    async def piece(self, request: Request) -> object:
        """Return the bytes of some content from a byte `?offset=` on, at most 8 MiB; none behind its end."""
        digest = request.path_params["digest"]
        if not is_digest(digest):
            raise UsageError(f"{digest[:80]!r} is no digest")
        return as_bytes(await self._platform.piece(digest, values.count(request, "offset")))

    async def models(self, request: Request) -> object:
        """Return every registered model."""
        return await self._platform.models()

    async def model(self, request: Request) -> object:
        """Return all versions of a model, or the one that name:version or name@alias means."""
        name = values.name(request)
        if ":" in name or "@" in name:
            return [await self._platform.resolve(name)]
        return await self._platform.versions(name)

    async def version(self, request: Request) -> object:
        """Return the version that `?of=` means: "churn" (newest), "churn:3" or "churn@champion"."""
        return await self._platform.resolve(values.text(request, "of"))

    async def sources(self, request: Request) -> object:
        """Return the project's source files that travel with the version `?of=`, by name."""
        return await self._platform.sources(values.text(request, "of"))

    async def code(self, request: Request) -> object:
        """Return the source files of a run's last work, by path; null for a file that is not kept."""
        return await self._platform.code(request.path_params["name"])

    async def aliases(self, request: Request) -> object:
        """Return the version number of every alias; `?model=` asks for those of one model."""
        return await self._platform.aliases(values.text(request, "model"))

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
        name = values.name(request)
        return await self._deployed(
            request, name, wanted.key, lambda: self._platform.rollback(name, wanted.revision)
        )

    async def undeploy(self, request: Request) -> object:
        """Remove an endpoint after what is in flight; `pending` after `?wait=` seconds. `?key=` is the key of the request."""
        name, key = values.name(request), values.text(request, "key")[:LONGEST_KEY]

        async def removed() -> object:
            await self._platform.undeploy(name)
            return {"undeployed": name}

        wait = values.seconds(request) if "wait" in request.query_params else None
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
        wait = values.seconds(request) if "wait" in request.query_params else None
        done = await self._changes.outcome(key and f"{key} {name}", change, wait)
        if done is not None:
            return done
        found = (one for one in await self._platform.endpoints() if one.name == name)
        return Deployed(status=next(found, EndpointStatus(name=name, wanted=0)), pending=True)

    def _entry(
        self,
        policy: Policy,
        route: str,
        handler: Callable[[Request], Awaitable[object]],
        *,
        asks: dict[str, Any] | None = None,
        takes: object = None,
        gives: object = dict[str, object],
    ) -> Entry:
        method, _, path = route.partition(" ")
        return Entry(
            method=method,
            path=BASE + path,
            policy=policy,
            handler=handler,
            asks=asks or {},
            takes=takes,
            gives=gives,
        )
