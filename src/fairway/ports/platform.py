"""The widest seam: all that a person, a program or a page can ask, whether the answer comes from this process or from afar.

An adapter never imports this module. It fits by shape, as with the other seams.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.update import Cancelled, Foreseen, LogPage, Outputs, Update


class Platform(Protocol):
    """All that a person, a program or a page can ask: about runs, models and endpoints.

    Every verb raises a FairwayError where it cannot be carried out, and nothing has changed then.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: the folder of a store, or a URL."""
        ...

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares."""
        ...

    async def submit(self, request: RunRequest) -> str:
        """Start a run, or take one up again, and return its name once that is on record.

        Raises:
            UsageError: parameters are wrong; nothing has been started.
        """
        ...

    def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Give what happens in a run, from behind a position on, until it is over."""
        ...

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return what came behind a position, or a part of it; wait for it so many seconds at most."""
        ...

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Say what a run would do, without running any step."""
        ...

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on."""
        ...

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one."""
        ...

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs."""
        ...

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps."""
        ...

    async def outputs(self, run: str) -> Outputs:
        """Return which attempts of a run have output."""
        ...

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on."""
        ...

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file and not too large to be sent."""
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
        """Return what every "name@alias" means, of one model or of all."""
        ...

    async def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version, and return that; version 0 removes the alias and returns the one it named."""
        ...

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the project's source files that travel with a version, by name."""
        ...

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files that a run worked with last, by path; None for one that is not kept. Raises NotFound."""
        ...

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function; returns when it answers."""
        ...

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the one before."""
        ...

    async def undeploy(self, endpoint: str) -> None:
        """Take an endpoint away."""
        ...

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed."""
        ...

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint that is on record, also one that was taken away; nothing is observed."""
        ...

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop the platform, and with `endpoints` all that serves; returns when that is done. Runs go on."""
        ...

    async def close(self) -> None:
        """Let go of what was begun and not submitted."""
        ...
