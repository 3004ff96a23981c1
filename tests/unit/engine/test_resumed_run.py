"""What becomes of attempts that outlive the engine of their run, once another engine takes it up."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from rig import HERE, RUN, PlayedHost, Rig

from fairway.spec.artifact import Artifact
from fairway.spec.event import AttemptEnded, AttemptStarted, RunResumed
from fairway.spec.places import Place
from fairway.spec.quantities import Resources
from fairway.spec.run import (
    INTERRUPTED,
    AttemptStatus,
    Phase,
    RunStatus,
    StepResult,
    StepSpec,
    StepStatus,
    Usage,
)
from fairway.spec.wire import DRIVER, Quit

POD = Place(name="pod", pool="pods", alone=True, outlives=True)
AWAY = Place(name="away", pool="here", outlives=True)


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_what_outlives_the_engine_is_on_record_before_it_begins() -> None:
    async def work() -> None:
        rig = Rig((AWAY, POD), {"here": Resources(cpu=1)})
        rig.stores.held = []
        await rig.begin()
        assert rig.home.sent == []
        rig.stores.write()
        await rig.settle()
        assert rig.home.starts() == [(DRIVER, 1)]
        rig.stores.held = []
        rig.call("shared", "own")
        await rig.settle()
        assert rig.home.starts() == [(DRIVER, 1)]
        assert rig.executor.hosts == []
        rig.stores.write()
        await rig.settle()
        started = [
            (event.step, event.body.place)
            for event in rig.stores.log
            if isinstance(event.body, AttemptStarted)
        ]
        assert started == [("shared", "away"), ("own", "pod")]
        assert rig.home.starts()[-1] == ("shared", 1)
        (pod,) = rig.executor.hosts
        assert (pod.attempt is not None and pod.attempt.step, pod.starts()) == ("own", [("own", 1)])
        rig.succeed(pod, "own")
        assert isinstance(pod.sent[-1], Quit)

    play(work())


def interrupted(*steps: StepStatus) -> RunStatus:
    return RunStatus(spec=RUN, phase=Phase.RUNNING, started=0.0, steps=steps)


def a_step(name: str, attempts: int = 1) -> StepStatus:
    tries = tuple(AttemptStatus(number=number) for number in range(1, attempts + 1))
    return StepStatus(spec=StepSpec(name=name, task=name, inputs={}), attempts=tries)


class Seen(msgspec.Struct):
    step: str
    attempt: int
    place: Place
    host: Any


def resumed(*seen: tuple[str, int], steps: tuple[StepStatus, ...]) -> tuple[Rig, list[PlayedHost]]:
    rig = Rig((HERE, POD), {"here": Resources(cpu=0.5)}, interrupted(*steps))
    hosts = [PlayedHost(f"pod-{step}", POD) for step, _ in seen]
    rig.executor.seen = [Seen(*one, POD, host) for one, host in zip(seen, hosts, strict=True)]
    return rig, hosts


def test_an_attempt_that_outlived_its_engine_is_taken_over() -> None:
    async def work() -> None:
        rig, (pod,) = resumed(("one", 2), steps=(a_step("one", 2),))
        await rig.begin()
        rig.call("one")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        await rig.settle()
        assert rig.executor.hosts == []
        assert rig.stores.bodies(RunResumed)[0].running == {"one": 2}
        rig.succeed(pod, "one", 2)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert rig.stores.bodies(AttemptStarted) == []

    play(work())


def test_one_that_ends_before_the_pipeline_calls_its_step_again_counts() -> None:
    async def work() -> None:
        rig, (pod,) = resumed(("one", 1), steps=(a_step("one"),))
        await rig.begin()
        rig.succeed(pod, "one")
        rig.call("one")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert rig.executor.hosts == []

    play(work())


def test_one_that_had_left_its_record_is_not_waited_for() -> None:
    async def work() -> None:
        rig, (pod,) = resumed(("one", 1), steps=(a_step("one"),))
        output = StepResult(run=RUN.name, step="one", attempt=1)
        rig.stores.records["one", 1] = output
        await rig.begin()
        assert pod.stops() == [("one", 1)]
        rig.call("one")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED

    play(work())


@pytest.mark.parametrize(
    "logged",
    [
        pytest.param((AttemptStatus(number=1),), id="one engine was lost"),
        pytest.param(
            (AttemptStatus(number=1, phase=Phase.FAILED, ended=9.0, failure=INTERRUPTED),),
            id="the next one was lost too, before the pipeline came to the step",
        ),
    ],
)
def test_what_an_attempt_used_and_showed_is_kept_although_the_log_had_ended_before_it(
    logged: tuple[AttemptStatus, ...],
) -> None:
    async def work() -> None:
        rig, _ = resumed(steps=(msgspec.structs.replace(a_step("one"), attempts=logged),))
        picture = Artifact(format="svg", digest="0" * 64, size=9)
        late = StepResult(
            run=RUN.name, step="one", attempt=1, usage=Usage(wall=7.0), shown={"curve": picture}
        )
        rig.stores.records["one", 1] = late
        await rig.begin()
        rig.call("one")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert rig.stores.bodies(AttemptEnded) == [AttemptEnded(1, late)]

    play(work())


def test_an_end_that_the_log_has_is_not_put_there_again() -> None:
    async def work() -> None:
        over = AttemptStatus(number=1, phase=Phase.SUCCEEDED)
        step = msgspec.structs.replace(a_step("one"), attempts=(over,))
        rig, _ = resumed(steps=(step,))
        rig.stores.records["one", 1] = StepResult(run=RUN.name, step="one", attempt=1)
        await rig.begin()
        rig.call("one")
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert rig.stores.bodies(AttemptEnded) == []

    play(work())


def test_one_that_nobody_asks_for_again_is_stopped() -> None:
    async def work() -> None:
        rig, (pod,) = resumed(("one", 1), steps=(a_step("one"),))
        await rig.begin()
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        assert (await rig.end()).phase is Phase.SUCCEEDED
        assert pod.stops() == [("one", 1)]

    play(work())
