"""The parts of a control plane: one process in a pod that carries out the runs of an installation.

Its stores are those of a machine, on the volume of the pod. Its hosts are pods, which the `Cluster` makes.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fairway.spec.errors import FairwayError, StorageError
from fairway.wiring import hooks, machine, runs
from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from fairway.engine.endpoints import EndpointEngine
    from fairway.engine.leases import RunLeases
    from fairway.engine.platform import EnginePlatform
    from fairway.engine.runs import Note, Opened
    from fairway.engine.scheduler import Scheduler
    from fairway.engine.together import RunsElsewhere, RunsTogether
    from fairway.ports import Deployer, ResultStore
    from fairway.ports.serving import Serving
    from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus, ServerLine
    from fairway.spec.install import Install
    from fairway.spec.run import RunRequest
    from fairway.spec.serving import ServerOutput, Traffic
    from fairway.stores import FileArtifacts
    from fairway.stores.objects import ObjectArtifacts

_MOST_SENT = 32 * 2**20
_YOUNGEST = 7200.0
"""Seconds for which content is never removed. A pod relies for an hour on what it was told to be there."""

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "fuse", "gluster", "lustre", "ncpfs", "virtiofs")
"""Beginnings of the names of file systems on which a lock or an fsync may not mean what SQLite needs."""


class Cluster(Protocol):
    """The cluster around a control plane. All of its methods belong to the loop of the engines."""

    async def start(self) -> None:
        """Take connections of pods from now on."""
        ...

    async def keep_only(self, runs: Callable[[], Collection[str]]) -> None:
        """End the hosts of every run that is not among these, such as those of a process before this one. Raises FairwayError.

        `runs` may be called on any thread.
        """
        ...

    async def end_hosts(self, run: str) -> None:
        """End the hosts of a run that nobody works on. Raises FairwayError."""
        ...

    async def review(self, token: str) -> str:
        """Return the account that a token belongs to; empty for a token that is not valid. Raises FairwayError."""
        ...

    async def open(self, run: str, request: "RunRequest", note: "Note") -> "Opened":
        """Start the host of a run and import the project of a request there. Raises FairwayError."""
        ...

    def over(self, run: str) -> None:
        """Forget a run that is not worked on any more."""
        ...

    def deployer(self, changed: Callable[[], None]) -> "Deployer":
        """Return the manager of model servers, and call a function whenever one of them changes. To be called after `start`."""
        ...

    def ended_output(self, endpoint: str) -> "list[ServerLine]":
        """Return what servers of an endpoint printed that have ended. It may be called on any thread."""
        ...

    async def close(self) -> None:
        """Take no more connections. Pods are left as they are."""
        ...


class EndpointsElsewhere:
    """The endpoints of a process for those who ask on another loop than that of their engine.

    Args:
        engine: the engine of endpoints.
        there: carries work out on the loop of the engine.
    """

    def __init__(
        self, engine: "EndpointEngine", there: "Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]"
    ) -> None:
        self._engine = engine
        self._there = there

    async def deploy(self, request: "DeployRequest") -> "Deployed":
        """Serve a model or function and return when it answers. Raises FairwayError, nothing changed."""
        return await self._there(self._engine.deploy(request))

    async def rollback(self, endpoint: str, revision: int = 0) -> "Deployed":
        """Point an endpoint to an earlier revision; 0 is the previous one. Raises FairwayError."""
        return await self._there(self._engine.rollback(endpoint, revision))

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint after its open requests. Raises NotFound."""
        await self._there(self._engine.undeploy(endpoint))

    async def endpoints(self) -> "list[EndpointStatus]":
        """Return every endpoint as wanted and as observed."""
        return await self._there(self._engine.endpoints())


def scheduler(stores: LocalStores, runs: "RunsTogether", say: Callable[[str], None]) -> "Scheduler":
    """Return the keeper of the schedules of a control plane. It belongs to the loop of the engines."""
    from fairway.engine.scheduler import Scheduler

    # A run that is not over goes on, because a control plane takes its runs up again.
    return Scheduler(
        stores.metadata,
        SystemClock(),
        runs.submit,
        lambda run: not stores.metadata.run(run).phase.ended,
        say,
    )


def prepare_volume(root: Path) -> Path:
    """Prepare the volume of a control plane, and return the folder of the store on it.

    The key of the store's owner lies beside the store, because a pod has no home that outlives it.

    Raises:
        StorageError: the volume is on a network file system, belongs to another user, or cannot be written.
    """
    from fairway.stores.layout import filesystem

    kind = filesystem(root)
    if kind.startswith(_NETWORK):
        raise StorageError(
            f"the volume at {root} is on a network file system ({kind}), where writes can be lost",
            hint="give the installation a storage class with block volumes: `fairway install --storage-class NAME`",
        )
    store, state = root / "store", root / "state"
    for folder in (store, state, state / "fairway"):
        _own(folder)
    _close(state / "fairway" / "key", 0o600)
    os.environ["XDG_STATE_HOME"] = str(state)
    return store


def _own(folder: Path) -> None:
    """Make a folder for this user alone. A volume is mounted with rights for a group, which a store refuses."""
    try:
        folder.mkdir(0o700, exist_ok=True)
        _close(folder, 0o700)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made on the volume: {error.strerror}",
            hint="let the pod's user write to it: set `fsGroup` in its security context",
        ) from error


def _close(path: Path, mode: int) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if found.st_uid != os.geteuid():
        raise StorageError(
            f"{path} belongs to user id {found.st_uid}, and this process runs as {os.geteuid()}",
            hint="run the control plane as the user that made its volume: `runAsUser` in its security context",
        )
    if found.st_mode & 0o077:
        path.chmod(mode)


def open_stores(root: Path, install: "Install") -> LocalStores:
    """Return the stores of an installation: the log on the volume, and artifacts there or in object storage.

    Raises:
        StorageError: object storage cannot be used from here.
        UsageError: the installation names a place that is none.
    """
    if not install.store:
        return LocalStores(root)
    from fairway.spec.objects import parse
    from fairway.stores.objects import ObjectArtifacts

    return LocalStores(root, ObjectArtifacts(root, parse(install.store), install.uid, install.cache))


def settle(stores: LocalStores, install: "Install", say: Callable[[str], None]) -> None:
    """Try the object storage of an installation, and bind its volume to it. Raises FairwayError."""
    from fairway.stores import settling
    from fairway.stores.objects import ObjectArtifacts

    artifacts = stores.artifacts
    if not isinstance(artifacts, ObjectArtifacts):
        settling.refuse_bound(stores.root)
        return
    begins = bool(install.restore) and not stores.layout.database.exists()
    settling.settle(artifacts, say, take=begins)
    if begins:
        from fairway.stores import log_copies

        name, events = log_copies.restore(artifacts, stores.layout, install.restore)
        say(f"the log is restored from {name}: {events} events")


def log_copies(stores: LocalStores) -> "Callable[[], str]":
    """Return a function that copies the log to object storage, and returns the copy's name; empty if nothing is new."""
    from fairway.stores.objects import ObjectArtifacts

    artifacts = stores.artifacts
    if not isinstance(artifacts, ObjectArtifacts):
        return str
    from fairway.stores.log_copies import LogCopies

    return LogCopies(stores.layout, stores.metadata, artifacts).copy


def leases() -> "RunLeases":
    """Return the leases of the one process that works on the runs of the store."""
    from fairway.engine.leases import RunLeases

    return RunLeases()


class Reports(Protocol):
    """The receiver of what a person who looks after the control plane should know, and of what its process should do."""

    def log(self, text: str) -> None:
        """Write a line to the log."""
        ...

    def revoke(self, run: str) -> None:
        """Let the pods of a run ask nothing any more."""
        ...

    def broke(self, error: BaseException) -> bool:
        """Take the error that ended the work of an engine. Return true if this process ends because of it."""
        ...


def together(stores: LocalStores, held: "RunLeases", cluster: Cluster, reports: Reports) -> "RunsTogether":
    """Make the part that carries out the runs of everybody in this process.

    Args:
        held: the leases of the runs.
        cluster: makes the hosts.
        reports: receives what happens.
    """
    from fairway.engine.together import RunsTogether, TogetherParts

    def over(run: str) -> None:
        reports.revoke(run)
        cluster.over(run)

    return RunsTogether(
        TogetherParts(
            stores=lambda: runs.engine_stores(stores, hooks.outbox_of_many(stores)),
            artifacts=stores.artifacts,
            leases=held,
            clock=SystemClock(),
            follower=runs.follower(stores, held, _nobody_waits),
            open=cluster.open,
            foresee=partial(runs.foresee, runs.engine_stores(stores)),
            over=over,
            end_hosts=cluster.end_hosts,
            say=reports.log,
            broke=reports.broke,
        )
    )


def endpoints(stores: LocalStores, cluster: Cluster) -> "EndpointEngine":
    """Make the engine of the endpoints in the cluster, which belongs to the loop that this is called on."""
    from fairway.engine.endpoints import EndpointEngine

    engine: EndpointEngine | None = None

    def wake() -> None:
        if engine is not None:
            engine.wake()

    engine = EndpointEngine(stores.metadata, cluster.deployer(wake), stores.artifacts, SystemClock())
    return engine


def platform(
    stores: LocalStores, held: "RunLeases", carried: "RunsElsewhere", served: "EndpointEngine"
) -> "EnginePlatform":
    """Return the platform that the API of a control plane asks."""
    from fairway.engine.platform import EnginePlatform

    return EnginePlatform(
        machine.records(stores, _MOST_SENT, held, _nobody_waits, _YOUNGEST),
        lambda: carried,
        lambda: EndpointsElsewhere(served, carried.there),
        _stop,
        asyncio.to_thread,
    ).knowing(partial(_serving, stores, EndpointsElsewhere(served, carried.there)))


def _serving(stores: LocalStores, endpoints: EndpointsElsewhere) -> "Serving":
    """Return the part that knows endpoints over time."""
    from fairway.engine.serving import ServingRecords
    from fairway.local.asking import ask

    return ServingRecords(stores.metadata.deployments, _no_output, _no_traffic, endpoints.endpoints, ask)


def _no_output(endpoint: str) -> "list[ServerOutput]":
    """Refuse to read the output of pods. A control plane has no right to it, and a person's kubeconfig has."""
    raise FairwayError(
        f"what the servers of {endpoint} print is in the cluster, and the control plane may not read it",
        hint=f"`fairway logs {endpoint} --target NAME` reads it with your own rights",
    )


async def _no_traffic(endpoint: str) -> "Traffic":
    """Return no traffic, because nobody counts it in a cluster yet."""
    from fairway.spec.serving import Traffic

    return Traffic()


def store_parts(stores: LocalStores) -> "tuple[FileArtifacts | ObjectArtifacts, Callable[[], ResultStore]]":
    """Return the store of content for the store routes, and a function that makes a store of records for one thread."""
    return stores.artifacts, lambda: stores.results


def _nobody_waits(run: str) -> tuple[str, str]:
    """Tell that no step waits for room, because the cluster places pods."""
    return "", ""


async def _stop(endpoints: bool) -> None:
    raise FairwayError(
        "a control plane is stopped by its cluster", hint="`fairway uninstall` removes the installation"
    )
