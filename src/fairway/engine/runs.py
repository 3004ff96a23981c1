"""Carries out runs in this process: a project is described, a run of it submitted, and the run followed.

The host that described a project also runs its pipeline, so a project is imported once. Must not know how a host is made,
or who follows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, suppress

import msgspec

from fairway.engine import bundles
from fairway.engine.feed import Feed
from fairway.engine.following import RecordFollower
from fairway.engine.names import choose_pipeline, new_name
from fairway.engine.run import RunEngine, Stores
from fairway.ports import ArtifactStore, Clock, Executor, Home, Leases
from fairway.spec.errors import UsageError
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Phase, RunRequest, RunSpec, RunStatus
from fairway.spec.update import Foreseen, Over, Update
from fairway.spec.wire import Bind, typed

_NAMED = 3
"""Changed files that are named; of the others only the number is."""

_DRAWS = 100
"""Names that are tried for a run."""

_STOPPING = "stopping: steps have ten seconds to end by themselves, Ctrl-C again ends them at once"

Note = Callable[[str], None]
Cancel = Callable[..., None]


class Opened(msgspec.Struct, frozen=True):
    """A project that was imported: its home, what it declares, and the executor of its steps."""

    executor: Executor
    home: Home
    project: ProjectSpec


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in this process are made of.

    Attributes:
        open: imports the project of a request; the second argument takes lines about the run as a whole.
        project_of: gives file and module of the project of a run on record. Raises UsageError.
        foresee: says what a run would do, without running any step.
        interrupts: while its block lasts, signals to this process call the function that it is given.
    """

    stores: Stores
    artifacts: ArtifactStore
    leases: Leases
    clock: Clock
    follower: RecordFollower
    open: Callable[[RunRequest, Note], Awaitable[Opened]]
    project_of: Callable[[RunSpec], tuple[str, str]]
    interrupts: Callable[[Cancel], AbstractContextManager[None]]
    foresee: Callable[[RunSpec, Opened], Awaitable[list[Foreseen]]]


class _Described(msgspec.Struct, frozen=True):
    """An opened project that no run was submitted of yet, and who takes its notes."""

    request: RunRequest
    opened: Opened
    feed: Feed


class RunsHere:
    """Runs whose engine is this process."""

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self._metadata = parts.stores.metadata
        self._described: _Described | None = None
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project and return what it declares; `submit` goes on with the same host. Raises FairwayError."""
        return (await self._open(request)).opened.project

    async def submit(self, request: RunRequest) -> str:
        """Start a run, or take one up again; returns its name once it is on record. Raises FairwayError."""
        described = await self._open(request)
        self._described = None
        stack = ExitStack()
        try:
            return await self._begin(request, described, stack)
        except BaseException:
            if not self._tasks:
                stack.close()
                await described.opened.home.close()
            raise

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return what came behind a position; of a run of another process, what is on record. Raises FairwayError."""
        feed = self._feeds.get(run)
        if feed is None or (not after and not feed.is_whole) or after[:1].isdigit():
            return await self._parts.follower.updates(run, after, wait)
        return await feed.take(after, wait)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Say what a run would do, without running any step. Raises FairwayError."""
        described = await self._open(request)
        self._described = None
        opened = described.opened
        try:
            return await self._parts.foresee(await self._new_run(request, opened), opened)
        finally:
            await opened.home.close()

    async def close(self) -> None:
        """End the host of a project that was described and of which nothing was submitted."""
        if self._described is not None:
            home, self._described = self._described.opened.home, None
            await home.close()

    async def _open(self, request: RunRequest) -> _Described:
        """The project of a request, imported; the one that was described before, where it is the same."""
        if request.resume and not request.file:
            self._complete(request)
        before = self._described
        if before is not None and _same_project(before.request, request):
            return before
        await self.close()
        feed = Feed()
        opened = await self._parts.open(request, feed.note)
        self._described = _Described(request, opened, feed)
        return self._described

    def _complete(self, request: RunRequest) -> None:
        """Fill in what is on record of a run that is to be taken up again. Raises NotFound, UsageError."""
        spec = self._metadata.run(request.resume).spec
        request.file, request.module = self._parts.project_of(spec)
        request.pipeline = spec.pipeline

    async def _begin(self, request: RunRequest, described: _Described, stack: ExitStack) -> str:
        feed, stores = described.feed, self._parts.stores
        opened = self._with_code(described.opened)
        described = msgspec.structs.replace(described, opened=opened)
        spec = None if request.resume else await self._new_run(request, opened)
        engine = RunEngine(stores, opened.executor, self._parts.clock, feed)

        def cancel(**how: float) -> None:
            if not how:
                feed.note(_STOPPING)
            engine.cancel(**how)

        # Whoever sees the lease may ask to cancel: heard from here on, and answered once the engine is at work.
        stack.enter_context(self._parts.interrupts(cancel))
        name, earlier = request.resume, None
        if spec is not None:
            spec = self._named(spec, stack)
            name = spec.name
        else:
            stack.enter_context(self._parts.leases.take(name))
            earlier = self._earlier(name)
            spec = earlier.spec
            if earlier.code and earlier.code != opened.project.source:
                feed.note(self._told_of_change(earlier.code, opened.project.source))
        opened.home.listen(engine.hear)
        self._feeds[name] = feed
        work = self._carry(engine, spec, earlier, described, stack)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await feed.on_record
        return name

    async def _carry(
        self,
        engine: RunEngine,
        spec: RunSpec,
        earlier: RunStatus | None,
        described: _Described,
        stack: ExitStack,
    ) -> None:
        """See a run to its end, let go of all that it held, and only then tell that it is over."""
        opened, feed = described.opened, described.feed
        try:
            try:
                with stack:
                    ended = await engine.run(spec, opened.project, opened.home, earlier)
            finally:
                await opened.home.close()
            over = Over(ended, tuple(self._metadata.registered_by(spec.name)))
        except BaseException as error:
            feed.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            feed.end(over)

    def _named(self, spec: RunSpec, stack: ExitStack) -> RunSpec:
        """Take the lease of a new run, under another name where an engine that began at the same moment drew the same one."""
        for _ in range(_DRAWS):
            with suppress(UsageError), ExitStack() as taken:
                taken.enter_context(self._parts.leases.take(spec.name))
                # Only the lease makes this certain: before it, the other engine may have come and gone.
                if spec.name not in self._metadata.run_names(spec.name):
                    stack.callback(taken.pop_all().close)
                    return spec
            spec = msgspec.structs.replace(spec, name=new_name(set(self._metadata.run_names())))
        raise UsageError("no name could be found for the run", hint="start it again")

    async def _new_run(self, request: RunRequest, opened: Opened) -> RunSpec:
        project = opened.project
        pipeline = choose_pipeline(project, request.pipeline)
        parameters, shown = request.parameters, request.shown
        if parameters is None:
            bind = Bind(pipeline=pipeline, texts=typed(request.texts), config=request.config)
            bound = await opened.home.bind(bind)
            if bound.failure is not None:
                raise UsageError(bound.failure.message, hint=bound.failure.hint)
            parameters, shown = bound.parameters, bound.shown
        return RunSpec(
            name=new_name(set(self._metadata.run_names())),
            pipeline=pipeline,
            project=project.path,
            module=project.name,
            code=project.source,
            environment=project.environment,
            parameters=parameters,
            shown=shown,
        )

    def _with_code(self, opened: Opened) -> Opened:
        """Keep the project's source files, so that the run can say later which code it was."""
        source = bundles.keep(opened.project.files, self._parts.artifacts)
        return msgspec.structs.replace(opened, project=msgspec.structs.replace(opened.project, source=source))

    def _told_of_change(self, before: str, after: str) -> str:
        """Return a line about the files that were changed since a run worked last."""
        names = bundles.changed(before, after, self._parts.artifacts)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = ", ".join(names[:_NAMED]) + more if names else "the code"
        return f"changed since the run worked last: {what}; done steps keep their results"

    def _earlier(self, name: str) -> RunStatus:
        """Return the run that is taken up, as it stands. Raises NotFound, UsageError."""
        status = self._metadata.run(name)
        if status.phase is Phase.SUCCEEDED:
            raise UsageError(f"run {name} has succeeded meanwhile", hint=f"`fairway show {name}`")
        return status


def _same_project(one: RunRequest, other: RunRequest) -> bool:
    return (one.file, one.module, one.pickled) == (other.file, other.module, other.pickled)
