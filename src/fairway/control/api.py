"""The platform's API under /api/v1: runs, models and endpoints. Each handler is one question or one change.

Must not know who may ask; the gate has seen to that before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request

from fairway.control.routes import Entry, body, openapi
from fairway.engine.endpoints import EndpointEngine
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.quantities import whole_number
from fairway.spec.run import RunStatus, RunSummary
from fairway.wiring import machine

T = TypeVar("T")

_BASE = "/api/v1"
_LINES = 10_000


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which revision to return to; 0 is the one before."""

    revision: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0


class ShutdownRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the endpoints end with the platform; otherwise they go on answering."""

    endpoints: bool = False


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a step printed."""

    step: str
    attempt: int
    time: float
    text: str


class Api:
    """Answers for one store.

    Args:
        stop: ends the platform; true ends the endpoints as well, and comes back when they are gone.
    """

    def __init__(
        self, stores: machine.LocalStores, engine: EndpointEngine, stop: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._stores = stores
        self._engine = engine
        self._stop = stop
        self._changes: set[asyncio.Future[object]] = set()
        self.ready = False

    def entries(self) -> list[Entry]:
        """All routes."""
        get, post = "GET", "POST"
        return [
            Entry(method=get, path="/healthz", policy="public", handler=self.health),
            Entry(method=get, path="/readyz", policy="public", handler=self.readiness),
            Entry(method=get, path=f"{_BASE}/openapi.json", policy="token", handler=self.describe),
            self._entry(get, "/runs", self.runs, gives=list[RunSummary]),
            self._entry(get, "/runs/{name}", self.run, gives=RunStatus),
            self._entry(get, "/runs/{name}/logs", self.logs, gives=list[LogLine]),
            self._entry(get, "/models", self.models, gives=list[ModelSummary]),
            self._entry(get, "/models/{name}", self.model, gives=list[ModelVersion]),
            self._entry(get, "/endpoints", self.endpoints, gives=list[EndpointStatus]),
            self._entry(post, "/deploy", self.deploy, takes=DeployRequest, gives=Deployed),
            self._entry(
                post, "/endpoints/{name}/rollback", self.rollback, takes=RollbackRequest, gives=Deployed
            ),
            self._entry("DELETE", "/endpoints/{name}", self.undeploy),
            self._entry(post, "/shutdown", self.shutdown, takes=ShutdownRequest),
        ]

    async def health(self, request: Request) -> object:
        """Whether the process lives."""
        return {"live": True}

    async def readiness(self, request: Request) -> object:
        """Whether the platform has taken over what served before it was started."""
        return {"ready": self.ready}

    async def describe(self, request: Request) -> object:
        """This description."""
        return openapi(self.entries())

    async def runs(self, request: Request) -> object:
        """The newest runs."""
        limit = _number(request, "limit", 50, 1000)

        def read() -> list[RunSummary]:
            found = self._stores.metadata.runs(limit)
            return [
                msgspec.structs.replace(
                    run, alive=not run.ended and machine.engine_of(self._stores, run.name) != 0
                )
                for run in found
            ]

        return await asyncio.to_thread(read)

    async def run(self, request: Request) -> object:
        """One run with all its steps."""
        name = request.path_params["name"]

        def read() -> RunStatus:
            status = self._stores.metadata.run(name)
            alive = not status.ended and machine.engine_of(self._stores, status.spec.name) != 0
            return msgspec.structs.replace(status, alive=alive)

        return await asyncio.to_thread(read)

    async def logs(self, request: Request) -> object:
        """The last lines that a run's steps printed; `?step=` asks for one step."""
        name, step = request.path_params["name"], request.query_params.get("step", "")

        def read() -> list[LogLine]:
            self._stores.metadata.run(name)
            lines = [
                LogLine(step=found, attempt=attempt, time=time, text=text)
                for found, attempt in self._stores.logs.attempts(name)
                if step in ("", found)
                for time, text in self._stores.logs.read(name, found, attempt)[0]
            ]
            return lines[-_LINES:]

        return await asyncio.to_thread(read)

    async def models(self, request: Request) -> object:
        """Every registered model."""
        return await asyncio.to_thread(self._stores.metadata.models)

    async def model(self, request: Request) -> object:
        """All versions of a model, or by name:version or name@alias one."""
        name = request.path_params["name"]
        metadata = self._stores.metadata
        if ":" in name or "@" in name:
            return [await asyncio.to_thread(metadata.resolve, name)]
        return await asyncio.to_thread(metadata.versions, name)

    async def endpoints(self, request: Request) -> object:
        """Every endpoint as wanted and as observed."""
        return await self._engine.endpoints()

    async def deploy(self, request: Request) -> object:
        """Serve a model or a function; answers when that answers."""
        wanted = await body(request, DeployRequest)
        return await self._whole(self._engine.deploy(wanted))

    async def rollback(self, request: Request) -> object:
        """Return an endpoint to an earlier revision."""
        wanted = await body(request, RollbackRequest)
        return await self._whole(self._engine.rollback(_name(request), wanted.revision))

    async def undeploy(self, request: Request) -> object:
        """Take an endpoint away."""
        await self._whole(self._engine.undeploy(_name(request)))
        return {"undeployed": _name(request)}

    async def shutdown(self, request: Request) -> object:
        """Stop the platform, and on request its endpoints."""
        wanted = await body(request, ShutdownRequest)
        await self._whole(self._stop(wanted.endpoints))
        return {"stopped": True}

    async def _whole(self, work: Awaitable[T]) -> T:
        """Carry a change out to its end, also when whoever asked for it leaves."""
        change = asyncio.ensure_future(work)
        self._changes.add(change)  # type: ignore[arg-type]
        change.add_done_callback(self._changes.discard)  # type: ignore[arg-type]
        return await asyncio.shield(change)

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
        raise NotFound("there is no endpoint without a name")
    return name


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    number = whole_number(text, most)
    if not number:
        raise UsageError(f"{name} is a number from 1 to {most}, not {text[:40]!r}")
    return number
