"""Runs of many people that are carried out in one process: each submission has its own part, and all share one event loop.

All of these engines write to one log through one writer, so a slow disk holds up every run, whether or not they share a loop.
Whoever asks must not wait with them: questions are answered on another loop (decision 0023). Followers read the record, because
any number of them can read it, and from any position. Must not know how a host is made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import msgspec

from fairway.engine.following import RecordFollower
from fairway.engine.leases import Desk, RunLeases
from fairway.engine.names import check_name, is_known, new_name
from fairway.engine.notes import Notes
from fairway.engine.requests import refuse_code, refuse_without_file
from fairway.engine.run import Stores
from fairway.engine.runs import Note, Opened, RunParts, RunsHere, same_project
from fairway.ports import ArtifactStore, Clock
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.event import Body, Event, RunCancelling, RunEnded, RunResumed, RunStarted
from fairway.spec.history import ALL, RunQuery
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, Phase, Reason, RunRequest, RunSpec
from fairway.spec.update import Foreseen, Noted, Update

T = TypeVar("T")

_DESCRIBED_SECONDS = 60.0
_MOST_DESCRIBED = 16
_SLICE = 0.5
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_STARTING = 8
"""Interrupted runs that are taken up at one time. Each needs a host, and all of them at once could be hundreds."""

_REPEATED_SECONDS = 600.0
"""Seconds after the start in which a request may be a repeated one whose first answer was lost with the last process."""

_LOOKED_THROUGH = 50
_MOST_KEPT = 1000


class TogetherParts(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of the runs of a process.

    Attributes:
        open: imports the project of a request for the run with the given name.
        foresee: returns the steps that a run would carry out, without running any of them.
        over: called with the name of a run that is not worked on any more.
        end_hosts: ends what is left of the hosts of a run that will not go on. Raises FairwayError.
        say: takes a line about a run whose engine could not go on.
        broke: called with the error that ended the work of an engine.
    """

    stores: Callable[[], Stores]
    artifacts: ArtifactStore
    leases: RunLeases
    clock: Clock
    follower: RecordFollower
    open: Callable[[str, RunRequest, Note], Awaitable[Opened]]
    foresee: Callable[[RunSpec, Opened], Awaitable[list[Foreseen]]]
    over: Callable[[str], None]
    end_hosts: Callable[[str], Awaitable[None]]
    say: Callable[[str], None]
    broke: Callable[[BaseException], object]


class _Part:
    """A submission, with runs of its own and the notes about them."""

    def __init__(self, runs: RunsHere, desk: Desk, request: RunRequest) -> None:
        self.runs = runs
        self.desk = desk
        self.request = request
        self.notes: Notes | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.withdrawn = False
        """True once somebody has cancelled the run while its engine was not there yet."""


class _Withdrawn(UsageError):
    """The error for a run that was cancelled while it was taken up."""


class RunsTogether:
    """The runs of one process for many people. Its methods but `updates` and `waiting` belong to the loop of the engines."""

    def __init__(self, parts: TogetherParts) -> None:
        self._parts = parts
        self._metadata = parts.stores().metadata
        self._described: list[_Part] = []
        self._notes: dict[str, Notes] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._by_key: dict[str, asyncio.Task[str]] = {}
        self._asked: dict[str, _Part] = {}
        self._resuming = asyncio.Semaphore(_STARTING)
        self._began = parts.clock.monotonic()
        self._closing = False

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project and return what it declares. `submit` then uses the same host. Raises FairwayError."""
        part = self._part(request, await self._run_of(request))
        try:
            project = await part.runs.describe(request)
        except BaseException:
            await self._drop(part)
            raise
        self._described.append(part)
        part.timer = asyncio.get_running_loop().call_later(_DESCRIBED_SECONDS, self._late, part)
        while len(self._described) > _MOST_DESCRIBED:
            self._late(self._described[0])
        return project

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError.

        A request that is sent again is answered with the run that it has begun.
        """
        if not request.key:
            return await self._submit(request)
        known = self._by_key.get(request.key)
        if known is None or (known.done() and known.exception() is not None):
            known = _keep(self._by_key, request.key, self._task(self._submit_once(request)))
        return await asyncio.shield(known)

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return the updates after a position, for any number of followers. It may be called on any loop. Raises FairwayError."""
        place, _, number = after.rpartition("+") if "+" in after else (after, "", "0")
        seen = int(number) if number.isdecimal() and len(number) < 10 else 0
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            notes = self._notes.get(run)
            texts = notes.texts if notes is not None else []
            # After a restart of this process there are fewer notes than the follower has seen.
            seen = min(seen, len(texts))
            if seen < len(texts):
                fresh = enumerate(texts[seen:], seen + 1)
                return [Update(Noted(text), f"{place}+{count}") for count, text in fresh]
            left = until - loop.time()
            found = await self._parts.follower.updates(run, place, max(0.0, min(left, _SLICE)))
            if found or left <= 0:
                return [Update(one.news, f"{one.position}+{seen}") for one in found]

    def waiting(self, key: str) -> list[str]:
        """Return, once, the notes about the request with a key, whose run nobody can follow yet. Any thread may call it."""
        part = self._asked.get(key)
        return part.notes.early() if part is not None and part.notes is not None else []

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        part = self._taken(request) or self._part(request, await self._run_of(request))
        try:
            return await part.runs.plan(request)
        finally:
            await self._drop(part)

    def unfinished(self) -> list[str]:
        """Return the runs that are not over on record. They are found by an index: there may be a million that are."""
        going = (phase for phase in Phase if not phase.ended)
        found = (self._metadata.past(RunQuery(phase=phase), most=ALL)[0] for phase in going)
        return [run.name for runs in found for run in runs]

    def known(self) -> set[str]:
        """Return the runs that are not over, and those that have only a name yet."""
        return {*self.unfinished(), *self._parts.leases.runs()}

    def resume(self, runs: Sequence[str]) -> None:
        """Take up runs that have no engine. Return at once."""
        for run in runs:
            self._take_up(run, 0.0)

    async def close(self) -> None:
        """End what was described and not submitted, and take no more. Runs at work are left as they are."""
        self._closing = True
        for part in list(self._described):
            await self._drop(part)

    async def _run_of(self, request: RunRequest) -> str:
        """Return the name of the run of a submission. Raises FairwayError for a request that is not accepted."""
        if request.resume:
            return request.resume
        wished = check_name(request.name) if request.name else ""
        await self._check(request)
        return wished or await asyncio.to_thread(new_name, partial(is_known, self._metadata))

    def _part(self, request: RunRequest, run: str) -> _Part:
        """Make the part for a submission. Raises FairwayError if the run cannot be worked on."""
        if self._closing:
            raise FairwayError(
                "the control plane is stopping", hint="ask again in a few seconds: another one starts"
            )
        desk = self._parts.leases.desk(run)
        parts = self._parts

        def feed() -> Notes:
            part.notes = Notes(lambda error: self._ended(part, error))
            return part.notes

        made = RunsHere(
            RunParts(
                stores=parts.stores(),
                artifacts=parts.artifacts,
                leases=desk,
                clock=parts.clock,
                follower=parts.follower,
                open=lambda wanted, note: parts.open(run, wanted, note),
                project_of=_project_of,
                interrupts=desk.interrupts,
                foresee=parts.foresee,
                feed=feed,
                name=run,
            )
        )
        part = _Part(made, desk, request)
        if request.key:
            _keep(self._asked, request.key, part)
        return part

    async def _check(self, request: RunRequest) -> None:
        refuse_without_file(request)
        refuse_code(request)
        if not request.bundle:
            raise UsageError(
                "a run on a cluster needs its project as a bundle", hint="`fairway run FILE --target TARGET`"
            )
        if request.file.startswith("/") or ".." in request.file.split("/"):
            raise UsageError(
                f"{request.file[:200]!r} is no path in a bundle",
                hint="name the file from the project's folder",
            )
        # Content may lie in object storage, and an answer from there takes long at times.
        if not await asyncio.to_thread(self._parts.artifacts.exists, request.bundle):
            raise NotFound(
                f"bundle {request.bundle[:12]} is not in the store",
                hint="send it first, and then run it again",
            )

    def _taken(self, request: RunRequest) -> _Part | None:
        """Take the part that described the project of a request; None if none did."""
        for part in self._described:
            if same_project(part.request, request) and part.request.resume == request.resume:
                self._forget(part)
                # Which environments the tasks need is known only once the project is described, so their images come later.
                part.request.images.update(request.images)
                return part
        return None

    def _forget(self, part: _Part) -> None:
        if part in self._described:
            self._described.remove(part)
        if part.timer is not None:
            part.timer.cancel()
            part.timer = None

    def _late(self, part: _Part) -> None:
        """Close a part that nobody has submitted a run with."""
        self._forget(part)
        self._task(self._drop(part))

    async def _drop(self, part: _Part) -> None:
        self._forget(part)
        try:
            await part.runs.close()
        finally:
            self._parts.leases.clear(part.desk)
            self._parts.over(part.desk.run)

    async def _submit(self, request: RunRequest) -> str:
        part = self._taken(request) or self._part(request, await self._run_of(request))
        starting = self._task(part.runs.submit(request))
        # The name of a new run is known to nobody before it is on record, so only one that is taken up can be cancelled.
        part.desk.expect(partial(self._withdraw, part, starting) if request.resume else None)
        try:
            name = await starting
        except BaseException:
            await self._drop(part)
            if part.withdrawn:
                self._take_up(part.desk.run, 0.0)
                raise _Withdrawn(
                    f"run {part.desk.run} was cancelled while it was taken up",
                    hint=f"`fairway show {part.desk.run}`",
                ) from None
            raise
        if part.notes is not None:
            _keep(self._notes, name, part.notes)
        return name

    def _withdraw(self, part: _Part, starting: asyncio.Task[str]) -> Future[int]:
        """Put on record that nobody wants a run any more that is being taken up, and take it up no further."""
        noted = self._note(part.desk.run, RunCancelling())
        part.withdrawn = True
        starting.cancel()
        return noted

    def _note(self, run: str, *bodies: Body) -> Future[int]:
        """Put facts about a run without an engine on record."""
        now = self._parts.clock.now()
        return self._metadata.submit([Event(body=body, run=run, time=now) for body in bodies])

    async def _submit_once(self, request: RunRequest) -> str:
        """Submit a request unless the process before this one did."""
        if self._parts.clock.monotonic() - self._began < _REPEATED_SECONDS:
            before = await asyncio.to_thread(self._submitted, request.key)
            if before:
                return before
        return await self._submit(request)

    def _submitted(self, key: str) -> str:
        """Return the one of the newest runs that was submitted with a key. Only the first event of each is read."""
        for run in self._metadata.runs(_LOOKED_THROUGH):
            first = next(self._metadata.events(run=run.name), None)
            if first is not None and isinstance(first.body, RunStarted) and first.body.spec.key == key:
                return run.name
        return ""

    def _ended(self, part: _Part, error: BaseException | None) -> None:
        """Note that a run is not worked on any more. Take it up again if that was because of an error."""
        run = part.desk.run
        self._parts.over(run)
        if error is not None and not self._closing:
            self._parts.say(f"run {run} could not go on: {error}")
            self._parts.broke(error)
            self._take_up(run, _FIRST_PAUSE)

    def _take_up(self, run: str, pause: float) -> None:
        # Now and not in the task: whoever follows the run meanwhile must not hear that nobody works on it.
        self._parts.leases.expect(run)
        self._task(self._resume(run, pause)).add_done_callback(lambda _: self._parts.leases.expected(run))

    async def _resume(self, run: str, pause: float) -> None:
        """Resume a run, again and again while the cluster or the disk does not let it."""
        while not self._closing:
            await asyncio.sleep(pause)
            async with self._resuming:
                try:
                    if not await self._goes_on(run):
                        with self._parts.leases.take(run):
                            await self._parts.end_hosts(run)
                    return
                except Exception as error:
                    self._parts.say(f"run {run} cannot be resumed yet: {error}")
                    pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def _goes_on(self, run: str) -> bool:
        """Resume a run. Return False if nobody works on it any more, so that its hosts are of no use."""
        # An engine that gave up has left events in the queue of the log. Whoever reads the log before they are in it does again
        # what they tell of.
        await asyncio.wrap_future(self._metadata.submit([]))
        found = await asyncio.to_thread(self._metadata.run, run)
        if found.phase.ended:
            return False
        if await asyncio.to_thread(self._was_cancelled, run):
            with self._parts.leases.take(run):
                failure = Failure(reason=Reason.CANCELLED, message="cancelled, and then its engine was gone")
                ended = RunEnded(Phase.CANCELLED, failure)
                outbox = self._parts.stores().outbox
                facts = await outbox.facts_aside(found.spec, found.started, ended)
                await asyncio.wrap_future(self._note(run, *facts))
            return False
        try:
            await self._submit(RunRequest(resume=run))
        except _Withdrawn:
            return True
        except (UsageError, NotFound) as error:
            self._parts.say(f"run {run} cannot be resumed: {error.message}")
            return run in self._parts.leases.runs()
        return True

    def _was_cancelled(self, run: str) -> bool:
        """Tell whether somebody has cancelled a run since an engine took it up last."""
        wanted = False
        for event in self._metadata.events(0, run):
            if isinstance(event.body, RunCancelling):
                wanted = True
            elif isinstance(event.body, RunStarted | RunResumed):
                wanted = False
        return wanted

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class RunsElsewhere:
    """The runs of a process for those who ask on another loop than that of the engines.

    Args:
        runs: the runs.
        loop: the loop of their engines.
    """

    def __init__(self, runs: RunsTogether, loop: asyncio.AbstractEventLoop) -> None:
        self._runs = runs
        self._loop = loop
        self.updates = runs.updates
        self.waiting = runs.waiting

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project and return what it declares. Raises FairwayError."""
        return await self.there(self._runs.describe(request))

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError."""
        return await self.there(self._runs.submit(request))

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        return await self.there(self._runs.plan(request))

    async def close(self) -> None:
        """Do nothing, because the loop of the engines closes the runs."""

    async def there(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry work out on the loop of the engines."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def _keep(kept: dict[str, T], key: str, value: T) -> T:
    """Keep a value under a key. The oldest one goes when there are many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
    return value


def _project_of(spec: RunSpec) -> tuple[str, str]:
    if not spec.bundle:
        raise UsageError(
            f"run {spec.name} was not begun on a cluster, so its project is not in this store",
            hint="resume it where it was begun",
        )
    return spec.project, spec.module
