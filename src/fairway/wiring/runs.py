"""Carries out, plans and stops runs on this machine."""

import os
import time
from typing import TYPE_CHECKING, cast

from fairway.spec.errors import NotFound, UsageError
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.wiring.machine import LocalStores, SystemClock

if TYPE_CHECKING:
    from fairway.engine.listening import Listener
    from fairway.local.launching import Launched
    from fairway.plan.run import Recorded
    from fairway.spec.event import RunEnded
    from fairway.spec.project import ProjectSpec
    from fairway.spec.run import RunRequest, RunSpec, RunStatus


_NAMED = 3
"""Changed files that are named; of the others only the number is."""


class Follower:
    """How a run is followed: told about it before it begins, then given its events."""

    def begin(self, spec: "RunSpec", project: "ProjectSpec") -> "Listener":
        """The run is about to start; returns who listens to it."""
        from fairway.engine.listening import Listener

        return Listener()

    def note(self, text: str) -> None:
        """Something worth a line happened outside any step."""

    def arguments(self, project: "ProjectSpec", request: "RunRequest") -> "RunRequest":
        """The project is known: a chance to read the command line by its parameters."""
        return request


def setup_of(request: "RunRequest", stores: LocalStores) -> HostSetup:
    """What the host of a run is told."""
    return HostSetup(
        StorePlace(str(stores.layout.root)), ProjectCode(request.file, request.module, request.pickled)
    )


async def execute(
    request: "RunRequest", stores: LocalStores, launched: "Launched", follower: Follower
) -> "tuple[str, RunEnded]":
    """Run a pipeline to its end on this machine; returns the run's name and how it ended.

    Raises:
        FairwayError: it could not start, or the store failed.
    """
    from msgspec import structs

    from fairway.engine import bundles
    from fairway.engine.run import RunEngine, Stores
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor
    from fairway.local.interrupts import Interrupts
    from fairway.local.leases import Lease
    from fairway.local.sharing import Share, shared_folder
    from fairway.spec.wire import LEASE

    setup = setup_of(request, stores)
    share = Share(shared_folder(), os.environ.get(LEASE, ""), str(stores.root), follower.note)
    executor = LocalExecutor(
        setup, environments.cache_folder(stores.root), follower.note, print_import, share
    )
    stores.metadata.open_ahead()
    host, project = await executor.adopt(launched)
    try:
        project = structs.replace(project, source=bundles.keep(project.files, stores.artifacts))
        request = follower.arguments(project, request)
        spec, recorded = (None if request.resume else await _new_run(request, project, host, stores)), None
        folder = stores.run_folder(spec.name if spec is not None else request.resume)

        def cancel(**how: float) -> None:
            if not how:
                follower.note(
                    "stopping: steps have ten seconds to end by themselves, Ctrl-C again ends them at once"
                )
            engine.cancel(**how)

        # Whoever sees the lease may ask to cancel: heard from here on, and answered once the engine is at work.
        with Interrupts(cancel), Lease(folder):
            before = ""
            if spec is None:
                spec, recorded, before = _resumed(request, stores)
            listener = follower.begin(spec, project)
            if before and before != project.source:
                follower.note(_told_of_change(before, project.source, stores))
            parts = Stores(stores.metadata, stores.results, stores.logs, stores.read, stores.artifacts.holds)
            engine = RunEngine(parts, executor, SystemClock(), listener)
            host.listen(engine.hear)
            ended = await engine.run(spec, project, host, recorded)
        return spec.name, ended
    finally:
        await host.close()


async def _new_run(
    request: "RunRequest", project: "ProjectSpec", host: object, stores: LocalStores
) -> "RunSpec":
    from fairway.engine.names import choose_pipeline, new_name
    from fairway.local.executor import LocalHost
    from fairway.spec.run import RunSpec
    from fairway.spec.wire import Bind, typed

    pipeline = choose_pipeline(project, request.pipeline)
    if request.values is None:
        bound = await cast("LocalHost", host).bind(
            Bind(pipeline=pipeline, texts=typed(request.texts), config=request.config)
        )
        if bound.failure is not None:
            raise UsageError(bound.failure.message, hint=bound.failure.hint)
        parameters, shown = bound.parameters, bound.shown
    else:
        from fairway.runner.values import Values

        values = Values(stores.artifacts)
        parameters = {name: values.save(value) for name, value in request.values.items()}
        shown = {name: str(value)[:200] for name, value in request.values.items()}
    return RunSpec(
        name=new_name(set(stores.metadata.run_names())),
        pipeline=pipeline,
        project=project.path,
        module=project.name,
        code=project.source,
        environment=project.environment,
        parameters=parameters,
        shown=shown,
    )


def _resumed(request: "RunRequest", stores: LocalStores) -> "tuple[RunSpec, dict[str, Recorded], str]":
    """The run, what it has done, and the code that it worked with last."""
    from fairway.engine.resume import recorded_steps

    status = stores.metadata.run(request.resume)
    if status.phase == "Succeeded":
        raise UsageError(
            f"run {request.resume} has succeeded meanwhile", hint=f"`fairway show {request.resume}`"
        )
    return status.spec, recorded_steps(status, stores.results), status.code


def _told_of_change(before: str, after: str, stores: LocalStores) -> str:
    """A line about the files that were changed since a run worked last."""
    from fairway.engine.bundles import changed

    names = changed(before, after, stores.artifacts)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    what = ", ".join(names[:_NAMED]) + more if names else "the code"
    return f"changed since the run worked last: {what}; done steps keep their results"


def find_run(stores: LocalStores, prefix: str) -> str:
    """The run whose name starts with `prefix`; the newest for an empty one. Raises NotFound, or UsageError for several."""
    names = stores.metadata.run_names(prefix)
    if prefix in names:
        return prefix
    if not names:
        what = f"no run {prefix!r}" if prefix else f"no run yet in {stores.root}"
        raise NotFound(
            f"there is {what}", hint="`fairway runs` lists them" if prefix else "`fairway run FILE`"
        )
    if prefix and len(names) > 1:
        raise UsageError(f"{prefix!r} fits {len(names)} runs: {', '.join(names[:5])}")
    return names[0]


def with_waiting(stores: LocalStores, status: "RunStatus") -> "RunStatus":
    """A run at work, with the reason for which one of its steps has not begun where other runs leave no room for it."""
    from msgspec import structs

    from fairway.local.sharing import shared_folder, waits

    name, whom = waits(shared_folder(), status.spec.name, str(stores.root))
    if not name:
        return status
    why = f"waits for {whom or 'other runs'}"
    steps = tuple(
        structs.replace(step, why=why) if step.spec.name == name and not step.phase.ended else step
        for step in status.steps
    )
    return structs.replace(status, steps=steps)


def cancel_run(stores: LocalStores, run: str) -> bool:
    """Tell the engine of a run to stop, or put on record that an interrupted run will not go on.

    Returns:
        Whether there was an engine to tell.

    Raises:
        UsageError: the run is over.
    """
    from fairway.local.leases import Lease, stop
    from fairway.spec.event import Event, RunEnded
    from fairway.spec.run import Failure, Phase, Reason

    stores.metadata.require_own()
    folder = stores.run_folder(run)
    for left in reversed(range(10)):
        if stop(folder):
            return True
        try:
            with Lease(folder):
                over = stores.metadata.run(run).phase.ended
                if not over:
                    failure = Failure(reason=Reason.CANCELLED, message="cancelled after it was interrupted")
                    body = RunEnded(Phase.CANCELLED, failure)
                    stores.metadata.append([Event(body=body, run=run, time=time.time())])
        except UsageError:
            if not left:
                raise
            continue
        if over:
            raise UsageError(f"run {run} is over already", hint=f"`fairway show {run}`")
        break
    return False


def print_import(file: str, data: bytes) -> None:
    """Print output of a host. What that needs is loaded only here, because most projects print nothing when imported."""
    from fairway.engine.import_output import print_import

    print_import(file, data)


async def foresee(
    request: "RunRequest", stores: LocalStores, launched: "Launched", follower: Follower
) -> list[tuple[str, str, str]]:
    """What a run would do, as (step, "run" or "cached" or "may run", why), without running any step."""
    from fairway.engine.foresight import Foresight
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor

    setup = setup_of(request, stores)
    executor = LocalExecutor(setup, environments.cache_folder(stores.root), follower.note, print_import)
    host, project = await executor.adopt(launched)
    try:
        request = follower.arguments(project, request)
        spec = await _new_run(request, project, host, stores)
        foresight = Foresight(stores.metadata, stores.artifacts.holds, project, spec)
        host.listen(foresight.hear)
        return await foresight.look(host)
    finally:
        await host.close()
