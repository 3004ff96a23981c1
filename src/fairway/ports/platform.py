"""The widest port: all that a person, a program or a page can ask, with the answer from this process or from afar.

An adapter never imports this module. It fits by shape, as with the other ports.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from fairway.ports.people import People
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
from fairway.spec.update import Cancelled, Foreseen, Update
from fairway.spec.upkeep import Cleaned, Cleaning, Health, Snapshot, Tried


class Platform(Protocol):
    """All that a person, a program or a page can ask: about runs, models and endpoints.

    Every verb raises a FairwayError if it cannot be carried out, and nothing has changed then.
    """

    @property
    def place(self) -> str:
        """Place of the platform, for people: the folder of a store, or a URL."""
        ...

    @property
    def people(self) -> People:
        """Part of the platform that knows who may do what."""
        ...

    @property
    def serving(self) -> Serving:
        """Part of the platform that knows endpoints over time."""
        ...

    @property
    def projects(self) -> Projects:
        """Part of the platform that knows the project in whose folder it lies."""
        ...

    @property
    def webhooks(self) -> Webhooks:
        """Part of the platform that knows whom to tell of the end of runs."""
        ...

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares."""
        ...

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record.

        Raises:
            UsageError: parameters are wrong. Nothing has been started.
        """
        ...

    def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Yield the updates of a run after a position until the run is over."""
        ...

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return the updates after a position, or a part of them. Wait at most `wait` seconds."""
        ...

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them."""
        ...

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on."""
        ...

    async def tag(self, run: str, tag: str, *, present: bool) -> None:
        """Put a word on a run, or take it off."""
        ...

    async def note(self, run: str, text: str) -> None:
        """Write a text on a run. An empty text removes it."""
        ...

    async def remove(self, names: list[str], *, really: bool) -> list[Removal]:
        """Remove runs and versions such as "churn:3", all or none of them; without `really`, tell what would go.

        Raises:
            UsageError: one of them is needed. Nothing has changed then.
        """
        ...

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one."""
        ...

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs."""
        ...

    async def past(self, query: RunQuery) -> list[RunRecord]:
        """Return the runs that a query asks for, newest first. Raises UsageError for a condition that cannot be read."""
        ...

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps."""
        ...

    async def change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one. It grows with every change of the run."""
        ...

    async def outputs(self, run: str) -> Outputs:
        """Return the attempts of a run that have output."""
        ...

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on."""
        ...

    async def log(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for, such as its end or what a search finds."""
        ...

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file and not too large to be sent."""
        ...

    async def piece(self, digest: str, offset: int) -> bytes:
        """Return a piece of the content with a digest, from an offset on; empty behind its end. The caller checks the digest."""
        ...

    async def bring(self, digest: str, target: Path, *, check: bool = True) -> None:
        """Write the content with a digest to a new file. Content from this machine is compared with the digest if `check` is set.

        Raises:
            CorruptArtifact: the content does not match the digest. There is no file then.
        """
        ...

    async def models(self) -> list[ModelSummary]:
        """Return every model, by name."""
        ...

    async def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""
        ...

    async def resolve(self, reference: str) -> ModelVersion:
        """Return the version that "churn" (newest), "churn:3" or "churn@champion" means."""
        ...

    async def aliases(self, model: str = "") -> dict[str, int]:
        """Return the version number of every "name@alias", of one model or of all."""
        ...

    async def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version and return that version.

        Version 0 removes the alias. The version that it named is returned.
        """
        ...

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the project's source files that travel with a version, by name."""
        ...

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files of a run's last work, by path; None for a file that is not kept. Raises NotFound."""
        ...

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function and return when it answers."""
        ...

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the previous one."""
        ...

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint."""
        ...

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed."""
        ...

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint on record, also those that were removed. Nothing is observed."""
        ...

    async def deeds(self, query: DeedQuery) -> list[Deed]:
        """Return the changes that people asked for, newest first."""
        ...

    async def schedules(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times and the next one."""
        ...

    async def schedule(self, spec: ScheduleSpec) -> ScheduleStatus:
        """Keep a schedule from now on, in place of the one with its name. Raises UsageError."""
        ...

    async def unschedule(self, name: str) -> None:
        """Remove a schedule. The runs that it started go on. Raises NotFound."""
        ...

    async def clean(self, request: Cleaning) -> Cleaned:
        """Remove content that nothing refers to, or count it."""
        ...

    async def health(self) -> Health:
        """Return the state of the platform and of the machine under it."""
        ...

    async def snapshot(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to."""
        ...

    async def snapshot_piece(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end."""
        ...

    async def tries(self) -> list[Tried]:
        """Try the object storage of the platform, and return what was found; nothing without any."""
        ...

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop the platform, and with `endpoints` all that serves. Return when that is done. Runs go on."""
        ...

    async def close(self) -> None:
        """End what was begun and not submitted."""
        ...
