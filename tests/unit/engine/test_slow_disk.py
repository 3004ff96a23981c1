"""A slow disk holds up the run that waits for it, and no other run on the same event loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from rig import Rig
from slow_disk import SlowDisk
from together_world import World, request

from fairway.spec.event import RunCancelling, RunEnded, RunStarted
from fairway.spec.run import Phase, RunSpec
from fairway.spec.wire import DRIVER

STARTED = RunStarted(RunSpec(name="r1", pipeline="p", project="flow.py"))


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_nobody_waits_for_the_disk_when_a_run_ends() -> None:
    async def work() -> None:
        disk = SlowDisk()
        rig = Rig(outbox=disk.outbox)
        await rig.begin()
        rig.say_return()
        rig.exit(rig.home, DRIVER)
        await disk.answer_once_read()
        assert (await rig.end()).phase is Phase.SUCCEEDED

    play(work())


def test_nobody_waits_for_the_disk_when_a_cancelled_run_ends() -> None:
    async def work() -> None:
        disk = SlowDisk()
        world = World(disk.outbox)
        world.events_of["r1"] = [STARTED, RunCancelling()]
        world.runs.resume(["r1"])
        await disk.answer_once_read()
        while not world.ended_hosts:
            await asyncio.sleep(0.01)
        assert [type(body) for body in world.written] == [RunEnded]

    play(work())


@pytest.mark.parametrize("slow", ["reading", "listing"])
def test_nobody_waits_for_the_disk_when_a_project_is_described(slow: str) -> None:
    async def work() -> None:
        disk, world = SlowDisk(), World()
        setattr(world, slow, disk.read)
        described = asyncio.ensure_future(world.runs.describe(request()))
        await disk.answer_once_read()
        assert (await described).name == "flow"

    play(work())
