"""Every verb of a platform, in this process: one line each, to whom it concerns.

This file loads no event loop by itself, because most commands ask a question that is answered at once (decision 0012).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

from fairway.engine.records import Records
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.update import Cancelled, Foreseen, LogPage, Outputs, Over, Update

P = ParamSpec("P")
T = TypeVar("T")

_WAIT_SECONDS = 20.0


class Runs(Protocol):
    """Who has runs carried out: this process, or others."""

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import a project and return what it declares."""
        ...

    async def submit(self, request: RunRequest) -> str:
        """Start a run and return its name once it is on record."""
        ...

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return what came behind a position."""
        ...

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Say what a run would do."""
        ...

    async def close(self) -> None:
        """Let go of what was begun and not submitted."""
        ...


class Endpoints(Protocol):
    """Who looks after endpoints."""

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function."""
        ...

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision."""
        ...

    async def undeploy(self, endpoint: str) -> None:
        """Take an endpoint away."""
        ...

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint."""
        ...


class Aside(Protocol):
    """Carries out a function that blocks."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Return what the function returns."""
        ...


async def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Carry out what blocks right here: nobody else waits in this process."""
    return function(*args, **kwargs)


class EnginePlatform:
    """A platform in this process.

    Args:
        records: answers what is recorded.
        runs, endpoints: make what carries out runs, and what looks after endpoints, when it is first needed.
        stop: stops what looks after endpoints; with true, the endpoints as well.
        aside: how to carry out what blocks; right here when nobody else waits in this process.
        close: lets go of the stores.
    """

    def __init__(
        self,
        records: Records,
        runs: Callable[[], Runs],
        endpoints: Callable[[], Endpoints],
        stop: Callable[[bool], Awaitable[object]],
        aside: Aside = at_once,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._records = records
        self._make_runs = runs
        self._runs_made: Runs | None = None
        self._make_endpoints = endpoints
        self._endpoints_made: Endpoints | None = None
        self._stop = stop
        self._aside = aside
        self._close = close

    @property
    def place(self) -> str:
        """The folder of the store."""
        return self._records.place

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares. Raises FairwayError."""
        return await self._runs.describe(request)

    async def submit(self, request: RunRequest) -> str:
        """Start a run, or take one up again; returns its name once it is on record. Raises FairwayError."""
        return await self._runs.submit(request)

    async def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Give what happens in a run, from behind a position on, until it is over. Raises FairwayError."""
        while True:
            for update in await self._runs.updates(run, after, _WAIT_SECONDS):
                yield update
                after = update.position
                if isinstance(update.news, Over):
                    return

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return what came behind a position, or a part of it; waits so many seconds at most. Raises FairwayError."""
        return await self._runs.updates(run, after, wait)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Say what a run would do, without running any step. Raises FairwayError."""
        return await self._runs.plan(request)

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on. Raises UsageError when it is over."""
        return await self._aside(self._records.cancel, run)

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one. Raises NotFound, UsageError."""
        return await self._aside(self._records.find, prefix)

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs."""
        return await self._aside(self._records.runs, limit)

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. Raises NotFound."""
        return await self._aside(self._records.run, name)

    async def outputs(self, run: str) -> Outputs:
        """Return which attempts of a run have output. Raises NotFound."""
        return await self._aside(self._records.outputs, run)

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on. Raises NotFound."""
        return await self._aside(self._records.logs, run, step, attempt, offset)

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file. Raises SerializationError, StorageError."""
        return await self._aside(self._records.read, artifact)

    async def models(self) -> list[ModelSummary]:
        """Return every model, by name."""
        return await self._aside(self._records.models)

    async def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first. Raises NotFound."""
        return await self._aside(self._records.versions, model)

    async def resolve(self, reference: str) -> ModelVersion:
        """Return the version that a reference means. Raises NotFound."""
        return await self._aside(self._records.resolve, reference)

    async def aliases(self, model: str = "") -> dict[str, int]:
        """Return what every "name@alias" means, of one model or of all."""
        return await self._aside(self._records.aliases, model)

    async def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version; 0 removes it. Raises NotFound, UsageError."""
        return await self._aside(self._records.alias, model, alias, version)

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the source files that travel with a version, by name. Raises NotFound."""
        return await self._aside(self._records.sources, reference)

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files that a run worked with last, by path; None for one that is not kept. Raises NotFound."""
        return await self._aside(self._records.code, run)

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function; returns when it answers. Raises FairwayError, nothing changed."""
        return await self._endpoints.deploy(request)

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the one before. Raises FairwayError."""
        return await self._endpoints.rollback(endpoint, revision)

    async def undeploy(self, endpoint: str) -> None:
        """Take an endpoint away. Raises NotFound."""
        await self._endpoints.undeploy(endpoint)

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed."""
        return await self._endpoints.endpoints()

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint that is on record, also one that was taken away; nothing is observed."""
        return await self._aside(self._records.deployed)

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop looking after endpoints, and with `endpoints` end them; returns when that is done."""
        await self._stop(endpoints)

    async def close(self) -> None:
        """Let go of what was begun and not submitted, and of the stores."""
        if self._runs_made is not None:
            await self._runs_made.close()
        self._close()

    @property
    def _runs(self) -> Runs:
        if self._runs_made is None:
            self._runs_made = self._make_runs()
        return self._runs_made

    @property
    def _endpoints(self) -> Endpoints:
        if self._endpoints_made is None:
            self._endpoints_made = self._make_endpoints()
        return self._endpoints_made
