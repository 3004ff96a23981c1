"""What every executor promises, and the hosts it makes, as far as the ports can tell.

An adapter brings what makes its executor and what takes one of its hosts down. Processes, signals' numbers and folders of
a system are its own business: a descendant of a step shows that it lives by a file that grows.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from executors import ADAPTERS, Ground, Play

from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources
from fairway.spec.run import Reason
from fairway.spec.wire import Cause, Ended, Exited, Started, Stop


@pytest.fixture(params=sorted(ADAPTERS))
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs work on a fresh ground and closes its hosts."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        adapter = ADAPTERS[request.param]
        async with adapter.prepare(tmp_path) as shared:
            ground = Ground(tmp_path, adapter, shared)
            try:
                await work(ground)
            finally:
                for host in ground.hosts:
                    await host.close()

    return lambda work: asyncio.run(whole(work))


def test_it_knows_how_much_there_is(play: Play) -> None:
    async def work(ground: Ground) -> None:
        there = ground.executor.capacity().get(ground.place.pool)
        if there is None:
            return  # What has no bound is made on demand.
        assert there.cpu >= 1
        assert there.memory > 2**26
        assert there.gpu >= 0

    play(work)


def test_what_is_taken_is_given_back_and_nobody_takes_more_than_there_is(play: Play) -> None:
    async def work(ground: Ground) -> None:
        executor, other = ground.executor, ground.another()
        place = ground.place
        whole = executor.capacity().get(place.pool)
        if whole is None:
            assert executor.take(place, Resources(cpu=1000.0), "first") is not None
            return
        executor.enter("k7m2", lambda pool, bound: None)
        other.enter("p3x8", lambda pool, bound: None)
        grant = executor.take(place, whole, "first")
        assert grant is not None
        assert grant.resources == whole
        if not ground.adapter.shares:
            assert executor.take(place, Resources(cpu=0.5), "second") is None
            executor.give_back(grant)
            assert executor.take(place, whole, "third") is not None
            return
        assert other.take(place, Resources(cpu=0.5), "second") is None
        other.wait_for(Resources(cpu=0.5), "second")
        assert "k7m2" in other.who_else()
        executor.give_back(grant)
        assert other.take(place, Resources(cpu=0.5), "second") is not None
        other.stop_waiting()
        assert other.who_else() == ""
        assert executor.take(place, whole, "third") is None
        other.leave()
        assert executor.take(place, whole, "third") is not None
        executor.leave()

    play(work)


def test_a_step_is_told_what_it_lends_to_runs_that_it_starts(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("lent", lease="1:2:1.0:0:0", gpus=("GPU-1", "GPU-2")))
        await ground.ear.exited("lent")
        assert ground.ear.printed("lent") == "1:2:1.0:0:0 GPU-1,GPU-2\n"
        host.send(ground.order("lent", attempt=2))
        await ground.ear.exited("lent", 2)
        assert ground.ear.printed("lent").endswith("\nNone None\n")

    play(work)


def test_an_attempt_is_started_heard_and_on_record(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("double", inputs={"n": 21}))
        exited = await ground.ear.exited("double")
        assert exited.ended == Ended()
        kinds = [type(said) for said in ground.ear.heard]
        assert kinds[0] is Started
        assert kinds[-1] is Exited
        assert ground.ear.printed("double") == "doubling 21\n"
        (record,) = ground.ear.records("double")
        # A pod keeps the message, and so a small record need not be in the store.
        assert ground.results.read("r", "double", 1) == (None if ground.place.outlives else record)
        assert record.failure is None
        assert ground.values.from_node(record.outputs[0]) == 42

    play(work)


def test_what_a_task_raises_is_on_record_and_what_ends_it_is_told(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("fails"))
        await ground.ear.exited("fails")
        (record,) = ground.ear.records("fails")
        assert record.failure is not None
        assert (record.failure.reason, "no such table" in record.failure.message) == (Reason.USER, True)
        host.send(ground.order("dies"))
        assert (await ground.ear.exited("dies")).ended == Ended(code=7)
        assert (ground.ear.records("dies"), ground.results.read("r", "dies", 1)) == ([], None)
        host.send(ground.order("double", inputs={"n": 1}))
        assert (await ground.ear.exited("double")).ended == Ended()

    play(work)


@pytest.mark.parametrize("cause", [Cause.STOP, Cause.TIMEOUT, Cause.MEMORY])
def test_an_attempt_can_be_ended_and_leaves_nobody(play: Play, cause: Cause) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        if cause is Cause.MEMORY:
            host.send(ground.order("hoards", inputs={"count": 200 * 2**20}, memory=100 * 2**20))
            assert (await ground.ear.exited("hoards")).ended.cause is cause
            return
        await ground.sleeper(host, timeout=3.0 if cause is Cause.TIMEOUT else 0.0)
        if cause is Cause.STOP:
            host.send(Stop(step="sleeps", attempt=1))
        assert (await ground.ear.exited("sleeps")).ended.cause is cause
        await ground.nobody_is_left()

    play(work)


def test_a_signal_is_told_by_its_name(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("crashes"))
        assert (await ground.ear.exited("crashes")).ended == Ended(signal="SIGABRT")

    play(work)


def test_places_are_the_same_each_time_and_of_their_environment(play: Play) -> None:
    async def work(ground: Ground) -> None:
        pinned = EnvironmentSpec(requirements=("six==1.17.0",))
        for environment in (None, pinned):
            places = ground.executor.places(environment)
            assert places
            assert list(places) == list(ground.another().places(environment))
            assert {place.environment for place in places} == {environment}
        own, other = (ground.executor.places(one) for one in (None, pinned))
        assert not {place.name for place in own} & {place.name for place in other}

    play(work)


def test_nothing_of_a_run_that_never_was_is_seen(play: Play) -> None:
    async def work(ground: Ground) -> None:
        assert list(await ground.executor.observe("never", ground.ear)) == []

    play(work)


def test_an_attempt_that_outlives_its_engine_is_taken_over_and_its_end_is_told(play: Play) -> None:
    async def work(ground: Ground) -> None:
        if not ground.place.outlives:
            return
        await ground.sleeper(await ground.begin("sleeps"))
        await ground.restart()
        (still,) = await ground.another(same=True).observe("r", ground.ear)
        ground.hosts.append(still.host)
        assert (still.step, still.attempt) == ("sleeps", 1)
        assert still.place.outlives
        still.host.send(Stop(step="sleeps", attempt=1))
        assert (await ground.ear.exited("sleeps")).ended.cause is Cause.STOP
        await ground.nobody_is_left()

    play(work)


def test_what_never_got_its_order_is_not_taken_over(play: Play) -> None:
    async def work(ground: Ground) -> None:
        if not ground.place.outlives:
            return
        await ground.begin("sleeps")
        await ground.restart()
        assert list(await ground.another(same=True).observe("r", ground.ear)) == []

    play(work)


def test_hosts_have_names_of_their_own_and_work_at_the_same_time(play: Play) -> None:
    async def work(ground: Ground) -> None:
        one, other = await ground.host(), await ground.host()
        assert one.name != other.name
        one.send(ground.order("double", attempt=1, inputs={"n": 1}))
        other.send(ground.order("double", attempt=2, inputs={"n": 2}))
        await ground.ear.exited("double", 1)
        await ground.ear.exited("double", 2)

    play(work)


def test_close_ends_the_host_and_all_it_started(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        await ground.sleeper(host)
        await host.close()
        assert [(gone, seen.certain) for gone, seen in ground.ear.gone] == [(host, True)]
        await ground.nobody_is_left()
        host.send(ground.order("double", inputs={"n": 1}))
        await host.close()
        assert (ground.ear.records("double"), ground.results.read("r", "double", 1)) == ([], None)

    play(work)


def test_a_host_that_dies_is_noticed_and_its_attempts_may_be_tried_again(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        await ground.sleeper(host)
        ground.end_host(host)
        await ground.ear.until(lambda: any(gone.certain for _, gone in ground.ear.gone))
        gone, seen = ground.ear.gone[-1]
        assert (gone, seen.failure.reason) == (host, Reason.HOST)
        assert seen.failure.message.startswith(f"{Reason.HOST.text}: ")
        await ground.nobody_is_left()
        other = await ground.host()
        other.send(ground.order("double", inputs={"n": 3}))
        assert (await ground.ear.exited("double")).ended == Ended()

    play(work)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("raise ValueError('no such table')\n", FairwayError, "no such table"),
        ("import os\nos.kill(os.getpid(), 9)\n", HostLost, "SIGKILL"),
    ],
)
def test_a_project_that_cannot_be_imported_makes_no_host(
    play: Play, text: str, kind: type[Exception], said: str
) -> None:
    async def work(ground: Ground) -> None:
        ground.project.write_text(text)
        with pytest.raises(kind, match=said):
            await ground.host()

    play(work)
