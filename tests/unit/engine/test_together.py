"""Runs of several people in one process: who gets which host, and what becomes of a host that nobody submits a run with."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from fairway.engine import together
from fairway.engine.leases import RunLeases
from fairway.engine.notes import Notes
from fairway.engine.run import Stores
from fairway.engine.runs import Opened
from fairway.engine.together import RunsTogether, TogetherParts
from fairway.spec.errors import FairwayError, NotFound, StorageError, UsageError
from fairway.spec.event import RunCancelling, RunEnded, RunResumed, RunStarted
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Phase, RunRequest, RunSpec, RunStatus

BUNDLE = "b" * 64


class Home:
    """A host that imports nothing."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class World:
    """Parts that remember what they were asked for."""

    def __init__(self) -> None:
        self.homes: list[Home] = []
        self.over: list[str] = []
        self.said: list[str] = []
        self.broke: list[BaseException] = []
        self.held = {BUNDLE}
        self.leases = RunLeases()
        self.events_of: dict[str, list[Any]] = {}
        self.written: list[Any] = []
        self.ended_hosts: list[str] = []
        self.refusals = 0
        self.opened: list[RunRequest] = []
        self.opening = asyncio.Event()
        world = self

        class Metadata:
            def run_names(self, prefix: str = "") -> list[str]:
                return []

            def run(self, name: str) -> Any:
                if name not in world.events_of:
                    raise NotFound(f"there is no run {name!r}")
                ended = isinstance(world.events_of[name][-1], RunEnded)
                phase = Phase.CANCELLED if ended else Phase.RUNNING
                return RunStatus(
                    spec=RunSpec(name=name, pipeline="p", project="flow.py", bundle=BUNDLE),
                    phase=phase,
                    started=0.0,
                )

            def events(self, after: int, run: str) -> Any:
                return [type("Event", (), {"body": body}) for body in world.events_of[run]]

            def submit(self, events: list[Any]) -> "Future[int]":
                for event in events:
                    world.written.append(event.body)
                    world.events_of[event.run].append(event.body)
                done: Future[int] = Future()
                done.set_result(1)
                return done

        class Artifacts:
            def exists(self, digest: str) -> bool:
                return digest in world.held

        class Clock:
            def now(self) -> float:
                return 0.0

            def monotonic(self) -> float:
                return 0.0

        async def open_project(run: str, request: RunRequest, note: Any) -> Opened:
            if request.file == "broken.py":
                raise UsageError("it cannot be imported")
            if request.resume:
                self.opening.set()
                await asyncio.Event().wait()
            self.opened.append(request)
            self.homes.append(Home(run))
            return Opened(None, self.homes[-1], ProjectSpec(name="flow", path="flow.py"))  # type: ignore[arg-type]

        stores = Stores(Metadata(), None, None, None, None)  # type: ignore[arg-type]
        self.runs = RunsTogether(
            TogetherParts(
                stores=lambda: stores,
                artifacts=Artifacts(),  # type: ignore[arg-type]
                leases=self.leases,
                clock=Clock(),
                follower=None,  # type: ignore[arg-type]
                open=open_project,
                foresee=None,  # type: ignore[arg-type]
                over=self.over.append,
                end_hosts=self.end_hosts,
                say=self.said.append,
                broke=self.broke.append,
            )
        )

    async def end_hosts(self, run: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise FairwayError("the API server does not answer")
        self.ended_hosts.append(run)


def request(file: str = "flow.py", **more: Any) -> RunRequest:
    return RunRequest(**{"file": file, "bundle": BUNDLE, **more})


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def test_each_description_has_a_host_of_its_own() -> None:
    async def work() -> None:
        world = World()
        await asyncio.gather(*(world.runs.describe(request()) for _ in range(3)))
        assert len({home.run for home in world.homes}) == 3

    play(work())


def test_a_host_that_nobody_submits_a_run_with_is_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "_DESCRIBED_SECONDS", 0.05)

    async def work() -> None:
        world = World()
        await world.runs.describe(request())
        (home,) = world.homes
        assert world.leases.holder(home.run)
        while not home.closed:
            await asyncio.sleep(0.01)
        assert world.over == [home.run], "its credential ends as well"
        assert not world.leases.holder(home.run)

    play(work())


def test_no_more_than_some_hosts_wait_for_a_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_MOST_DESCRIBED", 2)

    async def work() -> None:
        world = World()
        for _ in range(3):
            await world.runs.describe(request())
        while not world.homes[0].closed:
            await asyncio.sleep(0.01)
        assert [home.closed for home in world.homes] == [True, False, False], "the oldest one goes"

    play(work())


def test_a_project_that_cannot_be_imported_leaves_nothing() -> None:
    async def work() -> None:
        world = World()
        with pytest.raises(UsageError, match="cannot be imported"):
            await world.runs.describe(request("broken.py"))
        assert len(world.over) == 1
        assert not world.leases.holder(world.over[0])

    play(work())


def test_a_submission_takes_the_host_of_its_own_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World()
        world.held.add("c" * 64)
        await world.runs.describe(request())
        await world.runs.describe(request(bundle="c" * 64))
        taken = world.runs._taken(request(bundle="c" * 64))
        assert taken is not None
        assert taken.desk.run == world.homes[1].run
        assert world.runs._taken(request(bundle="c" * 64)) is None
        assert world.runs._taken(request("other.py")) is None
        assert world.runs._taken(request(resume="r1")) is None

    play(work())


def test_a_host_that_described_a_project_hears_of_the_images_of_its_tasks() -> None:
    async def work() -> None:
        world = World()
        await world.runs.describe(request(images={"": "own"}))
        assert world.runs._taken(request(images={"": "own", "k": "of tasks"})) is not None
        assert world.opened[0].images == {"": "own", "k": "of tasks"}

    play(work())


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (request(bundle=""), UsageError),
        (request(bundle="f" * 64), NotFound),
        (request("/etc/passwd"), UsageError),
        (request("a/../../flow.py"), UsageError),
        (request(pickled="/tmp/x"), UsageError),
        (request(""), UsageError),
    ],
)
def test_a_request_without_a_project_that_is_here_is_refused(
    wrong: RunRequest, kind: type[FairwayError]
) -> None:
    async def work() -> None:
        world = World()
        for verb in (world.runs.describe, world.runs.submit, world.runs.plan):
            with pytest.raises(kind) as caught:
                await verb(wrong)
            assert caught.value.hint
        assert world.homes == []

    play(work())


def test_nothing_begins_once_the_process_ends() -> None:
    async def work() -> None:
        world = World()
        await world.runs.describe(request())
        await world.runs.close()
        assert [home.closed for home in world.homes] == [True]
        with pytest.raises(FairwayError, match="is stopping"):
            await world.runs.describe(request())

    play(work())


STARTED = RunStarted(RunSpec(name="r1", pipeline="p", project="flow.py"))


@pytest.mark.parametrize(
    ("bodies", "wanted"),
    [
        ([STARTED, RunResumed("", {})], False),
        ([STARTED, RunCancelling()], True),
        ([STARTED, RunCancelling(), RunResumed("", {})], False),
        ([STARTED, RunResumed("", {}), RunCancelling()], True),
    ],
)
def test_a_cancellation_holds_until_somebody_takes_the_run_up(bodies: list[Any], wanted: bool) -> None:
    async def work() -> None:
        world = World()
        world.events_of["r1"] = bodies
        assert world.runs._was_cancelled("r1") is wanted

    play(work())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_a_run_that_was_cancelled_before_a_restart_ends_without_a_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "_FIRST_PAUSE", 0.02)

    async def work() -> None:
        world = World()
        world.events_of["r1"] = [STARTED, RunCancelling()]
        world.refusals = 2
        world.runs.resume(["r1"])
        await until(lambda: world.ended_hosts)
        assert [type(body) for body in world.written] == [RunEnded]
        assert world.homes == []
        assert world.ended_hosts == ["r1"], "its hosts are ended, however often the cluster refuses at first"

    play(work())


def test_a_run_that_is_cancelled_while_it_is_taken_up_ends_at_once() -> None:
    async def work() -> None:
        world = World()
        world.events_of["r1"] = [STARTED]
        world.runs.resume(["r1"])
        await world.opening.wait()
        assert await asyncio.to_thread(world.leases.ask_to_stop, "r1")
        assert isinstance(world.written[0], RunCancelling), "it is on record before it is acknowledged"
        await until(lambda: world.ended_hosts)
        assert isinstance(world.written[-1], RunEnded)
        assert not world.leases.holder("r1")

    play(work())


def test_whoever_resumes_a_run_that_another_one_cancels_is_told() -> None:
    async def work() -> None:
        world = World()
        world.events_of["r1"] = [STARTED]
        resuming = asyncio.ensure_future(world.runs.submit(RunRequest(resume="r1")))
        await world.opening.wait()
        assert await asyncio.to_thread(world.leases.ask_to_stop, "r1")
        with pytest.raises(UsageError, match="was cancelled while it was taken up"):
            await resuming
        await until(lambda: world.ended_hosts)

    play(work())


def test_a_cancellation_waits_for_an_engine_that_is_starting() -> None:
    async def work() -> None:
        leases, calls = RunLeases(), list[dict[str, Any]]()
        desk = leases.desk("r1")
        assert not leases.ask_to_stop("r1"), "a project that is only described has nothing to stop"
        desk.expect()
        asking = asyncio.ensure_future(asyncio.to_thread(leases.ask_to_stop, "r1"))
        await asyncio.sleep(0.05)
        with desk.interrupts(lambda **how: calls.append(how)), desk.take("r1"):
            assert [how.keys() for how in calls] == [{"noted"}]
            await asyncio.sleep(0.05)
            assert not asking.done(), "the wish is not on record yet"
            again = asyncio.ensure_future(asyncio.to_thread(leases.ask_to_stop, "r1"))
            await asyncio.sleep(0.05)
            assert len(calls) == 1, "a request that is sent again is the same wish"
            calls[0]["noted"]()
            assert await asking
            assert await again
            await asyncio.to_thread(leases.ask_to_stop, "r1")
            await asyncio.sleep(0.05)
            assert calls[-1]["grace"] == 0.0, "the second time nothing gets time to end by itself"
        assert not leases.ask_to_stop("r1")

    play(work())


@pytest.mark.parametrize("ends_well", [True, False])
def test_whoever_cancels_a_run_that_ends_meanwhile_waits_for_its_end(ends_well: bool) -> None:
    async def work() -> None:
        leases = RunLeases()
        desk = leases.desk("r1")
        asking: asyncio.Future[bool] | None = None
        with contextlib.suppress(StorageError), desk.interrupts(lambda **how: None), desk.take("r1"):
            asking = asyncio.ensure_future(asyncio.to_thread(leases.ask_to_stop, "r1"))
            await asyncio.sleep(0.05)
            assert not asking.done()
            if not ends_well:
                raise StorageError("the log cannot be written")
        assert asking is not None
        if ends_well:
            assert await asking
        else:
            with pytest.raises(StorageError, match="cannot be written"):
                await asking

    play(work())


def test_two_never_work_on_one_run() -> None:
    leases = RunLeases()
    with leases.take("r1"):
        with pytest.raises(UsageError, match="being worked on"), leases.take("r1"):
            pass
        with pytest.raises(UsageError, match="being worked on"):
            leases.desk("r1")
        with leases.take("r2"):
            assert leases.holder("r2")
    assert not leases.holder("r1")


def test_the_notes_of_a_run_are_bounded() -> None:
    async def work() -> None:
        notes = Notes(lambda error: None)
        for number in range(1000):
            notes.note(str(number))
        assert (notes.texts[0], len(notes.texts)) == ("0", 200)

    play(work())
