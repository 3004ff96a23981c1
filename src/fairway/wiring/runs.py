"""The parts for runs on this machine: in this process, or with a process for each run."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.errors import UsageError
from fairway.wiring import headstart, settings
from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from fairway.engine.apart import RunsApart
    from fairway.engine.following import RecordFollower, Waiting
    from fairway.engine.run import Stores
    from fairway.engine.runs import Note, Opened, RunsHere
    from fairway.ports import Leases
    from fairway.spec.run import RunRequest, RunSpec
    from fairway.spec.update import Foreseen


def here(stores: LocalStores) -> "RunsHere":
    """Make the part that carries out runs in this process."""
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
            open=partial(open_project, stores),
            project_of=partial(project_of, stores.root),
            interrupts=Interrupts,
            foresee=partial(foresee, parts),
        )
    )


def apart(stores: LocalStores) -> "RunsApart":
    """Make the part that has each run carried out by a process of its own."""
    from fairway.engine.apart import ApartParts, RunsApart
    from fairway.local import engines

    return RunsApart(
        ApartParts(
            follower=follower(stores, stores.leases, stores.waiting),
            describing=partial(here, stores),
            start=partial(engines.start, stores.root),
            is_inside=partial(is_inside, stores.root),
        )
    )


def engine_stores(stores: LocalStores) -> "Stores":
    """Return the stores for one engine."""
    from fairway.engine.run import Stores

    return Stores(stores.metadata, stores.results, stores.logs, stores.read, stores.artifacts.holds)


def follower(stores: LocalStores, leases: "Leases", waiting: "Waiting") -> "RecordFollower":
    """Make the follower of runs by their record."""
    from fairway.engine.following import RecordFollower

    return RecordFollower(stores.metadata, stores.logs, leases, waiting)


async def open_project(stores: LocalStores, request: "RunRequest", note: "Note") -> "Opened":
    """Import the project of a request in a host. A host that was started ahead is used."""
    launched = headstart.launch_host(stores.prepare().setup(request.file, request.module, request.pickled))
    from fairway.engine.runs import Opened
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor
    from fairway.local.sharing import Share, shared_folder
    from fairway.spec.wire import LEASE

    setup = stores.setup(request.file, request.module, request.pickled)
    share = Share(shared_folder(), os.environ.get(LEASE, ""), str(stores.root), note)
    executor = LocalExecutor(setup, environments.cache_folder(stores.root), note, _print_import, share)
    stores.metadata.open_ahead()
    home, project = await executor.adopt(launched)
    return Opened(executor, home, project)


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
