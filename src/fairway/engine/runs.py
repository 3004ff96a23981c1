"""Runs that are carried out in this process: a project is described, a run submitted, and the run followed.

The host that described a project also runs its pipeline, so a project is imported once. Must not know how a host is made
or who follows a run.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from typing import Any

import msgspec

from fairway.engine import bundles, repeating
from fairway.engine.feed import Feed
from fairway.engine.following import RecordFollower
from fairway.engine.names import check_name, choose_pipeline, is_known, new_name
from fairway.engine.notes import Notes
from fairway.engine.run import RunEngine, Stores
from fairway.ports import ArtifactStore, Clock, Executor, Home, Leases
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Phase, RunRequest, RunSpec, RunStatus
from fairway.spec.source import GitState
from fairway.spec.update import Foreseen, Over, Update
from fairway.spec.wire import Bind, typed

_NAMED = 3
"""Changed files that are named. The others are only counted."""

_DRAWS = 100
"""Names that are tried for a new run."""

_STOPPING = "stopping: steps have ten seconds to end by themselves, Ctrl-C again ends them at once"

Note = Callable[[str], None]
Cancel = Callable[..., None]


class Opened(msgspec.Struct, frozen=True):
    """A project that was imported: its home, what it declares, and the executor of its steps.

    Attributes:
        git: the state of its repository, if it was looked at.
        difference: the content of the difference in that state.
        packages: the stored list of the installed packages.
    """

    executor: Executor
    home: Home
    project: ProjectSpec
    git: GitState | None = None
    difference: bytes = b""
    packages: Artifact | None = None


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of the runs of this process.

    Attributes:
        open: imports the project of a request. The second argument takes lines about the run as a whole.
        project_of: returns file and module of the project of a recorded run. Raises UsageError.
        foresee: returns the steps that a run would carry out, without running any of them.
        interrupts: calls the given function on signals to this process, while its block lasts.
        feed: makes the receiver of a run's updates.
        name: the name of the one run that is begun, if it was chosen before.
        earlier: returns a run of which a step is repeated, if it is not on record here.
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
    feed: Callable[[], Feed | Notes] = Feed
    name: str = ""
    earlier: Callable[[str], RunStatus] | None = None


class _Described(msgspec.Struct, frozen=True):
    """An opened project of which no run was submitted yet, and the feed for its notes."""

    request: RunRequest
    opened: Opened
    feed: Feed | Notes


class RunsHere:
    """The runs of this process: it holds their engines."""

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self._metadata = parts.stores.metadata
        self._described: _Described | None = None
        self._feeds: dict[str, Feed | Notes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project and return what it declares. `submit` then uses the same host. Raises FairwayError."""
        return (await self._open(request)).opened.project

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError."""
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
        """Return the updates after a position. For a run of another process, they come from its record. Raises FairwayError."""
        feed = self._feeds.get(run)
        if not isinstance(feed, Feed) or (not after and not feed.is_whole) or after[:1].isdigit():
            return await self._parts.follower.updates(run, after, wait)
        return await feed.take(after, wait)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        described = await self._open(request)
        self._described = None
        opened = described.opened
        try:
            return await self._parts.foresee(await self._new_run(request, opened), opened)
        finally:
            await opened.home.close()

    async def close(self) -> None:
        """End the host of a project that was described, but of which no run was submitted."""
        if self._described is not None:
            home, self._described = self._described.opened.home, None
            await home.close()

    async def _open(self, request: RunRequest) -> _Described:
        """Import the project of a request, or return the one that was described before if it is the same."""
        if request.resume and not request.file:
            self._complete(request)
        before = self._described
        if before is not None and same_project(before.request, request):
            return before
        await self.close()
        feed = self._parts.feed()
        opened = await self._parts.open(request, feed.note)
        self._described = _Described(request, opened, feed)
        return self._described

    def _complete(self, request: RunRequest) -> None:
        """Fill in the recorded facts of a run that is to be resumed. Raises NotFound, UsageError."""
        spec = self._metadata.run(request.resume).spec
        request.file, request.module = self._parts.project_of(spec)
        request.pipeline, request.bundle, request.images = spec.pipeline, spec.bundle, spec.images

    async def _begin(self, request: RunRequest, described: _Described, stack: ExitStack) -> str:
        feed, stores = described.feed, self._parts.stores
        opened = self._with_code(described.opened)
        described = msgspec.structs.replace(described, opened=opened)
        spec = None if request.resume else await self._new_run(request, opened)
        engine = RunEngine(stores, opened.executor, self._parts.clock, feed)

        def cancel(**how: Any) -> None:
            if "grace" not in how:
                feed.note(_STOPPING)
            engine.cancel(**how)

        # Listen before the lease is taken: a request to cancel may come as soon as the lease is seen. The engine answers it
        # once it is at work.
        stack.enter_context(self._parts.interrupts(cancel))
        name, earlier = request.resume, None
        if spec is not None:
            spec = self._named(spec, stack, 1 if request.name else _DRAWS)
            name = spec.name
        else:
            stack.enter_context(self._parts.leases.take(name))
            earlier = self._earlier(name)
            spec = earlier.spec
            if earlier.code and earlier.code != opened.project.source:
                feed.note(self._describe_change(earlier.code, opened.project.source))
        opened.home.listen(engine.receive)
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
        """Run the engine to its end, release all that it held, and only then report that the run is over."""
        opened, feed = described.opened, described.feed
        try:
            try:
                with stack:
                    ended = await engine.run(spec, opened.project, opened.home, earlier)
            finally:
                await opened.home.close()
            self._parts.stores.outbox.recorded()
            over = Over(ended, tuple(self._metadata.registered_by(spec.name)))
        except BaseException as error:
            feed.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            feed.end(over)

    def _named(self, spec: RunSpec, stack: ExitStack, draws: int) -> RunSpec:
        """Take the lease of a new run. Draw another name if an engine that began at the same moment has the same one."""
        for _ in range(draws):
            with suppress(UsageError), ExitStack() as taken:
                taken.enter_context(self._parts.leases.take(spec.name))
                # Only the lease makes this certain. Before it was taken, the other engine may have come and gone.
                if not is_known(self._metadata, spec.name):
                    stack.callback(taken.pop_all().close)
                    return spec
            spec = msgspec.structs.replace(spec, name=new_name(partial(is_known, self._metadata)))
        raise UsageError("no name could be found for the run", hint="start it again")

    def _wished(self, request: RunRequest) -> str:
        """Return the name that a request asks for; empty if any will do. Raises UsageError if there is such a run."""
        if request.name and is_known(self._metadata, check_name(request.name)):
            raise UsageError(f"there is a run {request.name} already", hint=f"`fairway show {request.name}`")
        return request.name

    async def _new_run(self, request: RunRequest, opened: Opened) -> RunSpec:
        project = opened.project
        pipeline = "" if request.repeats else choose_pipeline(project, request.pipeline)
        parameters, shown, repeats = request.parameters, request.shown, None
        if request.repeats:
            earlier = self._parts.earlier or self._metadata.run
            before, repeats = repeating.found(earlier, request.repeats, self._parts.stores.holds)
            pipeline, parameters, shown = before.pipeline, before.parameters, before.shown
        elif parameters is None:
            bind = Bind(pipeline=pipeline, texts=typed(request.texts), config=request.config)
            bound = await opened.home.bind(bind)
            if bound.failure is not None:
                raise UsageError(bound.failure.message, hint=bound.failure.hint)
            parameters, shown = bound.parameters, bound.shown
        return RunSpec(
            name=self._parts.name or self._wished(request) or new_name(partial(is_known, self._metadata)),
            pipeline=pipeline,
            # The host's path of a bundle's file means nothing elsewhere. The path in the bundle is what a resume needs.
            project=request.file if request.bundle else project.path,
            module=project.name,
            code=project.source,
            environment=project.environment,
            parameters=parameters,
            shown=shown,
            bundle=request.bundle,
            images=request.images,
            key=request.key,
            repeats=repeats,
            git=request.git or opened.git,
            packages=opened.packages,
            machine=project.machine,
        )

    def _with_code(self, opened: Opened) -> Opened:
        """Store the project's source files and the list of its packages, so that the run can be shown and made again later."""
        store, project = self._parts.artifacts, opened.project
        source = bundles.keep(project.files, store)
        if opened.difference:
            bundles.keep_content(opened.difference, store)
        packages = bundles.keep_content(project.packages.encode(), store) if project.packages else None
        project = msgspec.structs.replace(project, source=source)
        return msgspec.structs.replace(opened, project=project, packages=packages)

    def _describe_change(self, before: str, after: str) -> str:
        """Return a line about the files that changed since a run worked last."""
        names = bundles.changed(before, after, self._parts.artifacts)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = ", ".join(names[:_NAMED]) + more if names else "the code"
        return f"changed since the run worked last: {what}; done steps keep their results"

    def _earlier(self, name: str) -> RunStatus:
        """Return the present status of the run that is resumed. Raises NotFound, UsageError."""
        status = self._metadata.run(name)
        if status.phase is Phase.SUCCEEDED:
            raise UsageError(f"run {name} has succeeded meanwhile", hint=f"`fairway show {name}`")
        return status


def same_project(one: RunRequest, other: RunRequest) -> bool:
    """Tell whether two requests are for runs of the same project, so that one import serves both."""

    def identity(request: RunRequest) -> tuple[str, ...]:
        return request.bundle, request.file, request.module, request.pickled, request.images.get("", "")

    return identity(one) == identity(other)
