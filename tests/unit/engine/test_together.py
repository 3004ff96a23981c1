"""Runs of several people in one process: who gets which host, and what becomes of a host that nobody submits a run with."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from together_world import World, request

from fairway.engine import together
from fairway.engine.leases import RunLeases
from fairway.engine.notes import Notes
from fairway.spec.errors import FairwayError, NotFound, StorageError, UsageError
from fairway.spec.event import RunCancelling, RunEnded, RunResumed, RunStarted
from fairway.spec.run import Phase, RunRequest, RunSpec


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


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


def test_a_run_is_taken_up_after_what_its_last_engine_wrote_is_in_the_log() -> None:
    async def work() -> None:
        world = World()
        world.events_of["r1"] = [STARTED]
        world.queued.append(("r1", RunEnded(Phase.CANCELLED)))
        world.runs.resume(["r1"])
        await until(lambda: world.ended_hosts)
        assert world.homes == []

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


def test_what_a_request_waits_for_is_told_once_and_to_whoever_has_its_key() -> None:
    async def work() -> None:
        world = World()
        asked = asyncio.ensure_future(world.runs.describe(request("slow.py", key="k1")))
        while not (told := world.runs.waiting("k1")):
            await asyncio.sleep(0)
        assert told == ["the pipeline waits: its image is not pulled yet"]
        assert world.runs.waiting("k1") == world.runs.waiting("k2") == world.runs.waiting("") == []
        await asked

    play(work())


def test_the_notes_of_a_run_on_record_are_left_to_its_followers() -> None:
    async def work() -> None:
        notes = Notes(lambda error: None)
        notes.note("one")
        notes.begun()
        assert (notes.early(), notes.texts) == ([], ["one"])

    play(work())


def test_a_run_that_waits_to_be_taken_up_is_being_worked_on() -> None:
    async def work() -> None:
        world = World()
        names = [f"r{number}" for number in range(together._STARTING + 2)]
        world.events_of.update({name: [STARTED] for name in names})
        world.runs.resume(names)
        assert all(world.leases.holder(name) for name in names), "also before any of the tasks begins"
        await world.opening.wait()
        assert world.leases.holder(names[-1]), "and while others are taken up first"
        assert names[-1] not in world.leases.runs(), "a person may resume or cancel it"

    play(work())


def test_a_run_that_was_over_before_it_was_taken_up_is_left() -> None:
    async def work() -> None:
        world = World()
        world.events_of["r1"] = [STARTED, RunEnded(Phase.CANCELLED)]
        world.runs.resume(["r1"])
        await until(lambda: world.ended_hosts)
        await asyncio.sleep(0)
        assert not world.leases.holder("r1")

    play(work())
