"""The platform of this process: a line for each verb, which passes it on to the part that it concerns.

This module loads no event loop by itself, because most commands ask a question that is answered at once (decision 0012).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from fairway.engine.aside import Aside, at_once
from fairway.engine.people import People
from fairway.engine.projects import NoProject
from fairway.engine.records import Records
from fairway.ports.projects import Projects
from fairway.ports.serving import Serving
from fairway.ports.webhooks import Webhooks
from fairway.spec.artifact import Artifact
from fairway.spec.deeds import Deed, DeedQuery
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.history import Removal, RunQuery, RunRecord
from fairway.spec.log import LogPage, LogPart, LogQuery, Outputs
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.schedule import ScheduleSpec, ScheduleStatus
from fairway.spec.update import Cancelled, Foreseen, Over, Update
from fairway.spec.upkeep import Cleaned, Cleaning, Health, Snapshot, Tried

_WAIT_SECONDS = 20.0


class Runs(Protocol):
    """The part that has runs carried out, by this process or by others."""

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import a project and return its declarations."""
        ...

    async def submit(self, request: RunRequest) -> str:
        """Start a run and return its name once it is on record."""
        ...

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return the updates after a position."""
        ...

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out."""
        ...

    async def close(self) -> None:
        """End what was begun and not submitted."""
        ...


class Endpoints(Protocol):
    """The part that looks after endpoints."""

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function."""
        ...

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision."""
        ...

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint."""
        ...

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint."""
        ...


class EnginePlatform:
    """A platform in this process.

    Args:
        records: answers questions about the record.
        runs, endpoints: make the part for runs, and the one for endpoints, when it is first needed.
        stop: stops the part for endpoints; with true, the endpoints as well.
        aside: calls functions that block; right here when nobody else waits in this process.
        close: closes the stores.
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
        self._make_serving: Callable[[], Serving] | None = None
        self._serving: Serving | None = None
        self.projects: Projects = NoProject()

    def knowing(self, serving: Callable[[], Serving]) -> "EnginePlatform":
        """Take a function that makes the part for endpoints over time when it is first needed. Return this platform."""
        self._make_serving = serving
        return self

    def within(self, projects: Projects) -> "EnginePlatform":
        """Take the part that knows the project in whose folder this platform lies. Return this platform."""
        self.projects = projects
        return self

    @property
    def place(self) -> str:
        """Folder of the store."""
        return self._records.place

    @property
    def people(self) -> People:
        """Part that knows who may do what."""
        return self._records.people(self._aside)

    @property
    def serving(self) -> Serving:
        """Part that knows endpoints over time."""
        if self._serving is None:
            assert self._make_serving is not None, "this platform was made without that part"
            self._serving = self._make_serving()
        return self._serving

    @property
    def webhooks(self) -> Webhooks:
        """Part that knows whom to tell of the end of runs."""
        return self._records.webhooks(self._aside)

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares. Raises FairwayError."""
        return await self._runs.describe(request)

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError."""
        return await self._runs.submit(request)

    async def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Yield the updates of a run after a position until the run is over. Raises FairwayError."""
        while True:
            for update in await self._runs.updates(run, after, _WAIT_SECONDS):
                yield update
                after = update.position
                if isinstance(update.news, Over):
                    return

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return the updates after a position, or a part of them. Wait at most `wait` seconds. Raises FairwayError."""
        return await self._runs.updates(run, after, wait)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        return await self._runs.plan(request)

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on. Raises UsageError when it is over."""
        return await self._aside(self._records.cancel, run)

    async def tag(self, run: str, tag: str, *, present: bool) -> None:
        """Put a word on a run, or take it off. Raises NotFound, UsageError."""
        await self._aside(self._records.tag, run, tag, present=present)

    async def note(self, run: str, text: str) -> None:
        """Write a text on a run. An empty text removes it. Raises NotFound, UsageError."""
        await self._aside(self._records.note, run, text)

    async def remove(self, names: list[str], *, really: bool) -> list[Removal]:
        """Remove runs and versions; without `really`, tell what would go. Raises NotFound, UsageError."""
        return await self._aside(self._records.remove, names, really=really)

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one. Raises NotFound, UsageError."""
        return await self._aside(self._records.find, prefix)

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs."""
        return await self._aside(self._records.runs, limit)

    async def past(self, query: RunQuery) -> list[RunRecord]:
        """Return the runs that a query asks for, newest first. Raises NotFound, UsageError."""
        return await self._aside(self._records.past, query)

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. Raises NotFound."""
        return await self._aside(self._records.run, name)

    async def change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one."""
        return await self._aside(self._records.change, run)

    async def outputs(self, run: str) -> Outputs:
        """Return the attempts of a run that have output. Raises NotFound."""
        return await self._aside(self._records.outputs, run)

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on. Raises NotFound."""
        return await self._aside(self._records.logs, run, step, attempt, offset)

    async def log(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for. Raises NotFound."""
        return await self._aside(self._records.log, run, query)

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file. Raises SerializationError, StorageError."""
        return await self._aside(self._records.read, artifact)

    async def piece(self, digest: str, offset: int) -> bytes:
        """Return a piece of the content with a digest, from an offset on; empty behind its end. Raises NotFound, StorageError."""
        return await self._aside(self._records.piece, digest, offset)

    async def bring(self, digest: str, target: Path, *, check: bool = True) -> None:
        """Write the content with a digest to a new file. Raises NotFound, StorageError, and no file is left then."""
        return await self._aside(self._records.bring, digest, target, check=check)

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
        """Return the version number of every "name@alias", of one model or of all."""
        return await self._aside(self._records.aliases, model)

    async def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version; 0 removes it. Raises NotFound, UsageError."""
        return await self._aside(self._records.alias, model, alias, version)

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the source files that travel with a version, by name. Raises NotFound."""
        return await self._aside(self._records.sources, reference)

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files of a run's last work, by path; None for a file that is not kept. Raises NotFound."""
        return await self._aside(self._records.code, run)

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function and return when it answers. Raises FairwayError, nothing changed."""
        return await self._endpoints.deploy(request)

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the previous one. Raises FairwayError."""
        return await self._endpoints.rollback(endpoint, revision)

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint. Raises NotFound."""
        await self._endpoints.undeploy(endpoint)

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed."""
        return await self._endpoints.endpoints()

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint on record, also those that were removed. Nothing is observed."""
        return await self._aside(self._records.deployed)

    async def deeds(self, query: DeedQuery) -> list[Deed]:
        """Return the changes that people asked for, newest first."""
        return await self._aside(self._records.deeds, query)

    async def schedules(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times and the next one."""
        return await self._aside(self._records.schedules.all)

    async def schedule(self, spec: ScheduleSpec) -> ScheduleStatus:
        """Keep a schedule from now on, in place of the one with its name. Raises NotAllowed, UsageError."""
        return await self._aside(self._records.schedules.set, spec)

    async def unschedule(self, name: str) -> None:
        """Remove a schedule. The runs that it started go on. Raises NotFound."""
        await self._aside(self._records.schedules.remove, name)

    async def clean(self, request: Cleaning) -> Cleaned:
        """Remove content that nothing refers to, or count it. Raises StorageError."""
        return await self._aside(self._records.upkeep.clean, request)

    async def health(self) -> Health:
        """Return the state of the platform and of the machine under it."""
        return await self._aside(self._records.upkeep.health)

    async def snapshot(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to. Raises StorageError."""
        return await self._aside(self._records.upkeep.snapshot)

    async def snapshot_piece(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end. Raises NotFound, StorageError."""
        return await self._aside(self._records.upkeep.piece, name, path, offset)

    async def tries(self) -> list[Tried]:
        """Try the object storage of the platform, and return what was found; nothing without any."""
        return await self._aside(self._records.upkeep.tries)

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop looking after endpoints, and with `endpoints` end them. Return when that is done."""
        await self._stop(endpoints)

    async def close(self) -> None:
        """End what was begun and not submitted, and close the stores."""
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
