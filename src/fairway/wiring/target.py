"""The platform to ask: the one of this process, or the platform process, which this module starts and stops."""

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fairway.wiring import deployments, endpoint_records, headstart, machine, runs
from fairway.wiring.machine import LocalStores, token_of
from fairway.wiring.settings import first_port, is_named

if TYPE_CHECKING:
    from fairway.engine.endpoints import EndpointEngine
    from fairway.engine.platform import EnginePlatform
    from fairway.engine.runs import RunsHere
    from fairway.engine.scheduler import Scheduler
    from fairway.engine.traffic import TrafficKeeper
    from fairway.ports.serving import Serving
    from fairway.remote import RemotePlatform
    from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
    from fairway.spec.run import RunSpec

_MOST_SENT = 32 * 2**20
"""Bytes of one artifact that the platform process sends at most."""

Tell = Callable[..., None]
"""Function that takes lines for the user."""


def _nothing(*lines: str) -> None:
    return


def here(root: Path, tell: Tell = _nothing) -> "EnginePlatform":
    """Return the platform of this process.

    It carries out runs itself, and has the platform process look after endpoints.

    Args:
        root: directory of the store.
        tell: takes a line when the platform process is started.
    """
    return platform_of(LocalStores(root), tell)


def owned(root: Path) -> "EnginePlatform":
    """Return the platform of this process for a store that must be this user's. Raises ForeignStore."""
    stores = LocalStores(root)
    stores.metadata.require_own()
    return platform_of(stores, _nothing)


def start_ahead(root: Path, spec: "RunSpec", file: str) -> None:
    """Start the host of a run that is about to be resumed, while this process loads the rest.

    Args:
        file: the project file, if the user named it.

    Raises:
        UsageError: the file lies outside the project.
    """
    own, module = (file, runs.module_of(spec)) if file else runs.project_of(root, spec)
    headstart.start_ahead(LocalStores(root).prepare().setup(own, module))


def looking(root: Path, tell: Tell) -> "EnginePlatform":
    """Return the platform of this process for questions. A store of somebody else is reported and only looked at."""
    return platform_of(only_look_if_foreign(LocalStores(root), tell), tell)


def only_look_if_foreign(stores: LocalStores, tell: Tell) -> LocalStores:
    """Open stores of somebody else for looking only, and report that in one line."""
    why = stores.metadata.why_foreign()
    if why:
        stores.only_look()
        stores.metadata.check_kinds()
        tell(
            f"note: the store {stores.root} {why}; it is only looked at",
            "hint: `fairway trust` shows what is in it",
        )
    return stores


def platform_of(
    stores: LocalStores, tell: Tell = _nothing, make_runs: "Callable[[], RunsHere] | None" = None
) -> "EnginePlatform":
    """Return the platform of this process for stores. Closing it closes them.

    Args:
        tell: takes a line when the platform process is started.
        make_runs: makes the part that carries out runs, if it is not the usual one.
    """
    from fairway.engine.platform import EnginePlatform

    endpoints = _Endpoints(stores, tell)
    made = EnginePlatform(
        machine.records(stores),
        make_runs or partial(runs.here, stores),
        lambda: endpoints,
        endpoints.stop,
        close=stores.close,
    )
    return made.knowing(partial(_serving_seen, stores, endpoints))


def attended(
    stores: LocalStores,
    engine: "EndpointEngine",
    stop: Callable[[bool], Awaitable[None]],
    traffic: "TrafficKeeper | None" = None,
) -> "EnginePlatform":
    """Return the platform behind the platform process: each run gets a process of its own.

    Args:
        engine: looks after the endpoints.
        stop: ends the platform process; with true, the endpoints as well.
        traffic: counts the requests of the endpoints.
    """
    import asyncio

    from fairway.engine.platform import EnginePlatform
    from fairway.engine.projects import NoProject, ProjectHere
    from fairway.local.project_files import ProjectFolder

    # A store that the user named belongs to no project folder, so nothing is listed or written around it.
    named = is_named()
    folder = ProjectFolder(stores.root.parent)
    prepare = partial(deployments.function_requests, stores.root)
    project = NoProject() if named else ProjectHere(folder, asyncio.to_thread, prepare)
    made = EnginePlatform(
        machine.records(stores, _MOST_SENT),
        partial(runs.apart, stores),
        lambda: engine,
        stop,
        asyncio.to_thread,
    )
    return made.within(project).knowing(partial(endpoint_records.attended, stores, engine.endpoints, traffic))


def _serving_seen(stores: LocalStores, endpoints: "_Endpoints") -> "Serving":
    """Return the part for endpoints over time. The platform process is asked if it runs, because it counts requests."""
    if is_up(stores.root):
        return apart(stores.root).serving
    return endpoint_records.unattended(stores, endpoints.endpoints)


def scheduler(stores: LocalStores, say: Callable[[str], None]) -> "Scheduler":
    """Return the keeper of the schedules of a store. Each run gets a process of its own."""
    from fairway.engine.scheduler import Scheduler

    return Scheduler(
        stores.metadata,
        machine.SystemClock(),
        runs.apart(stores).submit,
        lambda run: bool(stores.leases.holder(run)),
        say,
    )


def apart(root: Path, tell: Tell = _nothing) -> "RemotePlatform":
    """Return the platform process of a store, and start it in the background if it does not run. Raises FairwayError."""
    from fairway.local import platforms
    from fairway.remote import Direct, RemotePlatform

    record = platforms.running(root)
    if record is None:
        first_port()  # refuse a wrong setting here: the process would only write it to its log
        LocalStores(root).prepare()
        record = platforms.start(root)
        tell(f"platform started at {record.url}; `fairway down` stops it")
    return RemotePlatform(Direct(record.url, token_of(root)))


def is_up(root: Path) -> bool:
    """Tell whether the platform process of a store runs."""
    from fairway.local import platforms

    return platforms.running(root) is not None


def process_of(root: Path) -> int:
    """Return the process id of the platform process of a store; 0 when it does not run."""
    from fairway.local import platforms

    record = platforms.running(root)
    return record.pid if record is not None else 0


def become(root: Path) -> NoReturn:
    """Replace this process by the platform process of a store, in this terminal."""
    LocalStores(root).prepare()
    command = [sys.executable, "-P", "-m", "fairway.control", "--root", str(root), "--say"]
    os.execv(command[0], command)


def stop(root: Path) -> bool:
    """End the platform process of a store and all its endpoints. Return whether there was anything to end."""
    from fairway.local import platforms
    from fairway.local.interrupts import blocking

    if platforms.running(root) is None and not platforms.left_behind(root):
        return False
    found = apart(root)
    record = platforms.running(root)
    blocking(found.shutdown(endpoints=True))
    return record is None or platforms.wait_gone(record, 30.0)


class _Endpoints:
    """Endpoints for a command. A change goes to the platform process, and starts it. Looking starts nothing."""

    def __init__(self, stores: LocalStores, tell: Tell) -> None:
        self._stores = stores
        self._root = stores.root
        self._tell = tell

    async def deploy(self, request: "DeployRequest") -> "Deployed":
        """Serve a model or function."""
        return await apart(self._root, self._tell).deploy(request)

    async def rollback(self, endpoint: str, revision: int = 0) -> "Deployed":
        """Point an endpoint to an earlier revision."""
        self._stores.known_endpoint(endpoint)
        return await apart(self._root, self._tell).rollback(endpoint, revision)

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint."""
        self._stores.known_endpoint(endpoint)
        await apart(self._root, self._tell).undeploy(endpoint)

    async def endpoints(self) -> "list[EndpointStatus]":
        """Return every endpoint. Without a platform process, the status is what can be seen from outside."""
        from fairway.local import observing

        if is_up(self._root):
            return await apart(self._root).endpoints()
        return await observing.unattended(self._root, self._stores.metadata.endpoints())

    async def stop(self, endpoints: bool) -> None:
        """Stop the platform process if it runs."""
        if is_up(self._root):
            await apart(self._root).shutdown(endpoints=endpoints)
