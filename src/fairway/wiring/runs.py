"""The parts for runs on this machine: in this process, or with a process for each run."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.errors import UsageError
from fairway.wiring import headstart, hooks, settings
from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from fairway.engine.apart import RunsApart
    from fairway.engine.following import RecordFollower, Waiting
    from fairway.engine.outbox import Outbox
    from fairway.engine.run import Stores
    from fairway.engine.runs import Cancel, Note, Opened, RunsHere
    from fairway.local.executor import LocalExecutor
    from fairway.ports import Leases
    from fairway.spec.run import RunRequest, RunSpec, RunStatus
    from fairway.spec.source import GitState
    from fairway.spec.update import Foreseen


def here(
    stores: LocalStores,
    opening: "Callable[[RunRequest, Note], Awaitable[Opened]] | None" = None,
    interrupts: "Callable[[Cancel], AbstractContextManager[None]] | None" = None,
    earlier: "Callable[[str], RunStatus] | None" = None,
) -> "RunsHere":
    """Make the part that carries out runs in this process.

    Args:
        opening: imports the project of a request. The default imports it in a process of its own.
        interrupts: cancels a run when the person wants it. The default listens to signals.
        earlier: returns the run of which a step is repeated. The default is the record of the stores.
    """
    from fairway.engine.runs import RunParts, RunsHere
    from fairway.local.interrupts import Interrupts

    parts = engine_stores(stores)
    return RunsHere(
        RunParts(
            stores=parts,
            artifacts=stores.artifacts,
            leases=stores.leases,
            clock=SystemClock(),
            follower=follower(stores, stores.leases, stores.waiting),
            open=opening or partial(open_project, stores),
            project_of=partial(project_of, stores.root),
            interrupts=interrupts or Interrupts,
            foresee=partial(foresee, parts),
            earlier=earlier,
        )
    )


def apart(stores: LocalStores) -> "RunsApart":
    """Make the part that has each run carried out by a process of its own."""
    import asyncio

    from fairway.engine.apart import ApartParts, RunsApart
    from fairway.local import engines
    from fairway.local.descriptions import Descriptions

    return RunsApart(
        ApartParts(
            follower=follower(stores, stores.leases, stores.waiting),
            describing=partial(here, stores),
            start=partial(engines.start, stores.root),
            is_inside=partial(is_inside, stores.root),
            descriptions=Descriptions(stores.root, stores.root.parent, _digests_file(stores.root)),
            aside=asyncio.to_thread,
        )
    )


def _digests_file(root: Path) -> str:
    """Return the file of the digests of a project's files. The user's cache has it, and not the store: it can be made again."""
    import hashlib

    from fairway.local import environments

    name = hashlib.sha256(os.fsencode(root.parent)).hexdigest()[:32]
    return str(environments.cache_folder(root) / "digests" / f"described-{name}.json")


def engine_stores(stores: LocalStores, outbox: "Outbox | None" = None) -> "Stores":
    """Return the stores for one engine.

    Args:
        outbox: the outbox of its runs; None for that of a process with one run.
    """
    from fairway.engine.run import Stores

    return Stores(
        stores.metadata,
        stores.results,
        stores.logs,
        stores.read,
        stores.artifacts.holds,
        outbox or hooks.outbox(stores),
    )


def follower(stores: LocalStores, leases: "Leases", waiting: "Waiting") -> "RecordFollower":
    """Make the follower of runs by their record."""
    from fairway.engine.following import RecordFollower

    return RecordFollower(stores.metadata, stores.logs, leases, waiting)


async def open_project(stores: LocalStores, request: "RunRequest", note: "Note") -> "Opened":
    """Import the project of a request in a host. A host that was started ahead is used."""
    launched = headstart.launch_host(stores.prepare().setup(request.file, request.module, request.pickled))
    import asyncio

    from fairway.engine.runs import Opened

    made = executor(stores, request, note)
    stores.metadata.open_ahead()
    looking = asyncio.ensure_future(repository_of(stores.root, request))
    home, project = await made.adopt(launched)
    return Opened(made, home, project, *await looking)


async def repository_of(root: Path, request: "RunRequest") -> "tuple[GitState | None, bytes]":
    """Return the state of the repository of a request's project, and the content of its difference from the commit."""
    from fairway.wiring import origin

    if request.git is not None or request.resume or not request.file:
        return None, b""
    inside = is_inside(root, request.file) and not settings.is_named()
    return await origin.look(str(root.parent) if inside else os.path.dirname(request.file))


def executor(stores: LocalStores, request: "RunRequest", note: "Note") -> "LocalExecutor":
    """Make the executor for the project of a request."""
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor
    from fairway.local.sharing import Share, shared_folder
    from fairway.spec.wire import LEASE

    setup = stores.setup(request.file, request.module, request.pickled)
    share = Share(shared_folder(), os.environ.get(LEASE, ""), str(stores.root), note)
    return LocalExecutor(setup, environments.cache_folder(stores.root), note, _print_import, share)


async def foresee(parts: "Stores", spec: "RunSpec", opened: "Opened") -> "list[Foreseen]":
    """Return the steps that a run would carry out.

    The dry run is loaded only here, because most commands do not ask for it.
    """
    from fairway.engine.dry_run import Foresight
    from fairway.spec.update import Foreseen

    foresight = Foresight(parts.metadata, parts.holds, opened.project, spec)
    opened.home.listen(foresight.receive)
    return [Foreseen(*found) for found in await foresight.look(opened.home)]


def _print_import(file: str, data: bytes) -> None:
    """Print output of a host.

    The printer is loaded only here, because most projects print nothing when imported.
    """
    from fairway.engine.import_output import print_import

    print_import(file, data)


def project_of(root: Path, spec: "RunSpec") -> tuple[str, str]:
    """Return file and module of a recorded run, also after its folder was moved together with the store.

    Raises:
        UsageError: the file lies outside the project that the store belongs to, so the user has to name it.
    """
    parts = Path(spec.project).parts
    moved = [root.parent.joinpath(*parts[start:]) for start in range(1, len(parts))]
    recorded = Path(spec.project)
    found = recorded if recorded.exists() else next(filter(Path.is_file, moved), recorded)
    if not is_inside(root, str(found)):
        raise UsageError(
            f"run {spec.name} is of {spec.project}, which lies outside the project {root.parent}",
            hint=f"if it is yours: `fairway resume {spec.name} --file {spec.project}`",
        )
    return str(found), module_of(spec)


def module_of(spec: "RunSpec") -> str:
    """Return the name under which the file of a recorded run is imported."""
    return spec.module or Path(spec.project).stem


def is_inside(root: Path, path: str) -> bool:
    """Tell whether a path belongs to the project of a store. Any path may belong to a store that the user named."""
    if settings.is_named():
        return True
    return Path(path).is_absolute() and Path(path).resolve().is_relative_to(root.parent.resolve())
