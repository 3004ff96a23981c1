"""What the engine of a run does itself: beginning pipelines and hosts again, hosts out of reach, cancels and errors."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from rig import HERE, Rig

from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.event import AttemptEnded, RunEnded, StepEnded
from fairway.spec.places import Back, CannotPlace, Place
from fairway.spec.quantities import Resources
from fairway.spec.run import LOSSES, Failure, Phase, Reason, StepResult, Usage
from fairway.spec.wire import DRIVER, Answer, Cause, Committed, Ended

POD = Place(name="pod", pool="pods", alone=True, outlives=True)
AWAY = Place(name="away", pool="here", outlives=True)


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize(
    "exited", [True, False], ids=["and its process ended", "and its process still lived"]
)
def test_a_pipeline_that_returned_is_not_begun_again_when_its_host_is_lost(*, exited: bool) -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.call("slow")
        rig.say_return()
        if exited:
            rig.exit(rig.home, DRIVER)
        rig.lose(rig.home)
        await rig.pass_time(1.0)
        (host,) = rig.executor.hosts
        assert host.starts() == [("slow", 2)]
        rig.succeed(host, "slow", 2)
        assert (await rig.end()).phase is Phase.SUCCEEDED

    play(work())


def test_a_pipeline_that_is_lost_is_begun_again_and_gets_its_answers() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.call("one")
        rig.ask("one")
        rig.succeed(rig.home, "one")
        rig.lose(rig.home)
        await rig.settle()
        (host,) = rig.executor.hosts
        assert host.starts() == [(DRIVER, 2)]
        rig.call("one", host=host, attempt=2)
        rig.ask("one", host=host, attempt=2)
        assert isinstance(host.sent[-1], Answer)
        rig.say_return(host, 2)
        rig.exit(host, DRIVER, 2)
        assert (await rig.end()).phase is Phase.SUCCEEDED

    play(work())


def test_a_run_whose_pipeline_loses_every_host_ends() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        host = rig.home
        for count in range(1, 30):
            rig.lose(host)
            await rig.settle()
            if rig.ended is not None and rig.ended.done():
                break
            host = rig.executor.hosts[-1]
            assert host.starts() == [(DRIVER, count + 1)]
        ended = await rig.end()
        assert len(rig.executor.hosts) == 10
        assert ended.failure is not None
        assert (ended.failure.reason, ended.failure.message) == (Reason.HOST, "hosts were lost 10 times")

    play(work())


def test_a_host_that_never_becomes_ready_is_tried_a_bounded_number_of_times() -> None:
    async def work() -> None:
        rig = Rig()
        rig.executor.starting = [HostLost(f"try {number}") for number in range(100)]
        await rig.begin()
        rig.lose(rig.home)
        ended = await rig.end()
        assert 100 - len(rig.executor.starting) == 10
        assert ended.failure is not None
        assert ended.failure.reason is Reason.HOST

    play(work())


def test_a_step_that_loses_every_host_fails() -> None:
    async def work() -> None:
        rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)})
        await rig.begin()
        rig.call("cursed")
        await rig.settle()
        tries = 0
        while not rig.stores.bodies(StepEnded):
            tries += 1
            assert tries < 30
            rig.lose(rig.executor.hosts[-1])
            await rig.pass_time(60)
        assert tries == 11
        (ended,) = rig.stores.bodies(StepEnded)
        assert (ended.phase, ended.failure.reason) == (Phase.FAILED, Reason.HOST)

    play(work())


@pytest.mark.parametrize(
    ("reason", "attempts"), [(Reason.OOM, 1), (Reason.QUOTA, 1), *((one, 2) for one in sorted(LOSSES))]
)
def test_the_reason_of_a_loss_says_whether_a_retry_is_spent(reason: Reason, attempts: int) -> None:
    async def work() -> None:
        rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)})
        await rig.begin()
        rig.call("step")
        await rig.settle()
        rig.lose(rig.executor.hosts[-1], reason)
        await rig.pass_time(60)
        assert len(rig.executor.hosts) == attempts

    play(work())


def test_a_place_that_can_have_no_host_says_why() -> None:
    async def work() -> None:
        rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)})
        failure = Failure(reason=Reason.QUOTA, message="the quota is 500m", hint="ask for less")
        rig.executor.starting.append(CannotPlace(failure))
        await rig.begin()
        rig.call("step")
        await rig.settle()
        (ended,) = rig.stores.bodies(StepEnded)
        assert ended.failure == failure

    play(work())


def test_attempts_of_a_host_out_of_reach_are_kept_and_nothing_new_begins_there() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.call("one")
        rig.lose(rig.home, certain=False)
        rig.call("two")
        await rig.settle()
        assert rig.home.starts() == [(DRIVER, 1), ("one", 1)]
        assert rig.stores.bodies(AttemptEnded) == []
        rig.hear(rig.home, Back())
        assert rig.home.starts()[-1] == ("two", 1)
        rig.succeed(rig.home, "one")
        rig.succeed(rig.home, "two")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert rig.executor.hosts == []

    play(work())


def test_a_host_out_of_reach_that_is_gone_after_all_is_replaced() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.lose(rig.home, certain=False)
        rig.lose(rig.home)
        await rig.settle()
        (host,) = rig.executor.hosts
        rig.call("one", host=host, attempt=2)
        assert host.starts() == [(DRIVER, 2), ("one", 1)]

    play(work())


def test_what_a_host_says_that_was_given_up_does_not_count() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.lose(rig.home)
        await rig.settle()
        rig.call("stale")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        (host,) = rig.executor.hosts
        rig.say_return(host, 2)
        rig.exit(host, DRIVER, 2)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert [event.step for event in rig.stores.log if event.step == "stale"] == []

    play(work())


def test_on_this_machine_an_attempt_begins_before_the_log_is_written() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.stores.held = []
        rig.call("one")
        assert rig.home.starts() == [(DRIVER, 1), ("one", 1)]

    play(work())


def test_a_step_that_waits_for_its_host_does_not_begin_after_a_cancel() -> None:
    async def work() -> None:
        rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)})
        rig.executor.gate.clear()
        await rig.begin()
        rig.call("built")
        await rig.settle()
        rig.engine.cancel()
        rig.say_return()
        rig.exit(rig.home, DRIVER, ended=Ended(signal="SIGTERM", cause=Cause.STOP))
        assert (await rig.end()).phase is Phase.CANCELLED
        assert rig.executor.given == []
        assert [host.starts() for host in rig.executor.hosts] == [[]]

    play(work())


def test_a_cancel_while_the_pipeline_waits_for_a_host_ends_the_run() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.executor.gate.clear()
        rig.lose(rig.home)
        await rig.settle()
        rig.engine.cancel()
        assert (await rig.end()).phase is Phase.CANCELLED

    play(work())


def test_a_cancel_before_the_run_is_on_record_is_not_lost() -> None:
    async def work() -> None:
        rig = Rig()
        rig.stores.held = []
        await rig.begin()
        rig.engine.cancel()
        rig.stores.write()
        await rig.settle()
        assert rig.home.stops() == [(DRIVER, 1)]

    play(work())


def test_an_environment_that_cannot_be_built_fails_its_step() -> None:
    async def work() -> None:
        rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)})
        rig.executor.starting = [FairwayError("no such package:\npip said so", hint="look")]
        await rig.begin()
        rig.call("step")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        ended = await rig.end()
        assert ended.failure == Failure(
            reason=Reason.ENVIRONMENT,
            message="no such package",
            hint="look",
            details="pip said so",
            cause="step",
        )
        (attempt,) = rig.stores.bodies(AttemptEnded)
        assert attempt.result.failure.reason is Reason.ENVIRONMENT

    play(work())


def test_a_start_that_fails_in_a_way_nobody_foresaw_ends_the_run_with_it() -> None:
    async def work() -> None:
        rig = Rig()
        rig.executor.starting = [ZeroDivisionError()]
        await rig.begin()
        rig.lose(rig.home)
        with pytest.raises(ZeroDivisionError):
            await rig.end()

    play(work())


def test_a_log_that_cannot_be_written_ends_the_run_with_that_error() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.stores.held = []
        rig.call("one")
        await rig.settle()
        rig.stores.held[0].set_exception(OSError("full"))
        with pytest.raises(OSError, match="full"):
            await rig.end()
        assert rig.stores.bodies(RunEnded) == []

    play(work())


def test_a_pipeline_that_kills_itself_is_begun_three_times() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        for attempt in (1, 2, 3):
            assert rig.home.starts()[-1] == (DRIVER, attempt)
            rig.exit(rig.home, DRIVER, attempt, Ended(signal="SIGKILL"))
        ended = await rig.end()
        assert ended.failure is not None
        assert "killed (SIGKILL)" in ended.failure.message

    play(work())


def test_a_record_that_knows_only_its_reason_gets_its_words() -> None:
    async def work() -> None:
        rig = Rig()
        await rig.begin()
        rig.call("big", resources=Resources(memory=2**20))
        failure = Failure(reason=Reason.OOM, message="")
        result = StepResult(run="r", step="big", attempt=1, failure=failure, usage=Usage(memory=2**22))
        rig.say(rig.home, "big", 1, Committed(result=result))
        (ended,) = rig.stores.bodies(StepEnded)
        assert ended.failure.message == "out of memory: it used 4 MiB and its limit is 1 MiB"

    play(work())


def test_a_pool_that_grows_lets_a_waiting_step_begin() -> None:
    async def work() -> None:
        rig = Rig(capacity={"here": Resources(cpu=1)})
        await rig.begin()
        rig.call("one", "two")
        assert ("two", 1) not in rig.home.starts()
        rig.executor.changed("here", Resources(cpu=2))
        assert rig.home.starts()[-1] == ("two", 1)

    play(work())
