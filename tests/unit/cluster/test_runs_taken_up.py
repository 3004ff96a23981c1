"""Whole runs in pods whose control plane or engine goes away: steps go on, and another engine takes the run up."""

import asyncio
from pathlib import Path

import pods_here
import pytest
from pod_runs import Target, begun, play

from fairway.cluster import executor, sizing
from fairway.spec.run import Phase


def test_a_step_goes_on_while_its_control_plane_is_replaced(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        await begun(target.mark)
        await target.namespace.restart()
        first.cancel()
        target.opens_its_store_again()
        second = target.takes_up("slow")
        await asyncio.sleep(1.0)
        (tmp_path / "mark.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\n"
        steps = {step.spec.name: step for step in target.stores.metadata.run("k7m2").steps}
        assert len(steps["long"].attempts) == 1

    play(tmp_path, work)


def test_steps_that_share_a_pod_go_on_while_their_control_plane_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "_FIRST_START_SECONDS", 0.2)
    marks = [tmp_path / f"mark{number}" for number in range(8)]

    async def work(target: Target) -> None:
        # The first engine stays: a process that died would not end its hosts, as a task does that is cancelled.
        first = asyncio.get_running_loop().create_task(target.run("beside"))
        await begun(*marks)
        made = [name for name in target.namespace.kube.processes if "-w-" in name]
        assert len(made) <= 2, "several steps are in each pod"
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up("beside")
        async with asyncio.timeout(60):
            while sum("-d-" in name for name in target.namespace.kube.processes) < 2:
                await asyncio.sleep(0.05)
        for mark in marks:
            Path(f"{mark}.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert {mark.read_text() for mark in marks} == {"began\n"}
        assert {len(step.attempts) for step in target.stores.metadata.run("k7m2").steps} == {1}
        async with asyncio.timeout(60):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)
        first.cancel()

    play(tmp_path, work)


@pytest.mark.parametrize("pipeline", ["gentle", "slow"])
def test_the_driver_of_an_earlier_engine_makes_way_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str
) -> None:
    """In a full namespace no node takes the new driver while the old one is there, which is taken over behind it."""
    monkeypatch.setattr(executor, "_YIELD_SECONDS", 0.5)

    async def work(target: Target) -> None:
        kube = target.namespace.kube
        first = asyncio.get_running_loop().create_task(target.run(pipeline))
        await begun(target.mark)
        (old,) = [name for name in kube.jobs if "-d-a" in name]
        kube.unplaced = lambda job: (
            "0/3 nodes are available: 3 Insufficient cpu."
            if old in kube.jobs and "-d-a" in job["metadata"]["name"]
            else ""
        )
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up(pipeline)
        await asyncio.sleep(2.0)
        (tmp_path / "mark.go").touch()
        async with asyncio.timeout(60):
            ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert old not in kube.jobs
        # The step went on, on the old driver or in a pod of its own, and its end was heard of.
        assert target.mark.read_text() == "began\n"
        assert {len(step.attempts) for step in target.stores.metadata.run("k7m2").steps} == {1}
        first.cancel()

    play(tmp_path, work)


def test_a_step_that_lasts_is_lost_with_the_driver_that_makes_way_and_spends_no_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_YIELD_SECONDS", 0.5)
    monkeypatch.setattr(executor, "_SETTLE_SECONDS", 0.5)

    async def work(target: Target) -> None:
        kube = target.namespace.kube
        first = asyncio.get_running_loop().create_task(target.run("gentle"))
        await begun(target.mark)
        (old,) = [name for name in kube.jobs if "-d-a" in name]
        kube.unplaced = lambda job: "0/3 nodes are available: 3 Insufficient cpu." if old in kube.jobs else ""
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up("gentle")
        async with asyncio.timeout(60):
            while target.mark.read_text() != "began\nbegan\n":
                await asyncio.sleep(0.05)
            (tmp_path / "mark.go").touch()
            ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        (step,) = target.stores.metadata.run("k7m2").steps
        failures = [one.failure for one in step.attempts]
        assert [failure is not None and failure.reason.is_loss for failure in failures] == [True, False]
        first.cancel()

    play(tmp_path, work)


def test_a_pod_that_went_while_its_control_plane_was_away_is_not_waited_for(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        kube = target.namespace.kube
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        await begun(target.mark)
        await target.namespace.end()
        first.cancel()
        (name,) = [name for name in kube.processes if "-d-a" not in name]
        pods_here.kill(kube.processes[name])
        await kube.processes[name].wait()
        await asyncio.sleep(0.1)
        for pod in [pod for pod in kube.pods if pod.startswith(name)]:
            del kube.pods[pod]
        kube.jobs[name]["status"] = {"failed": 1}
        await target.namespace.begin()
        target.opens_its_store_again()
        (tmp_path / "mark.go").touch()
        async with asyncio.timeout(60):
            ended = await target.run("slow", target.stores.metadata.run("k7m2"))
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\nbegan\n"

    play(tmp_path, work)


def test_a_step_goes_on_when_its_engine_breaks_and_the_same_process_takes_the_run_up(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        await begun(target.mark)
        first.cancel()
        await asyncio.wait([first])
        second = target.takes_up("slow")
        async with asyncio.timeout(60):
            while sum("-d-" in name for name in target.namespace.kube.processes) < 2:
                await asyncio.sleep(0.05)
        (tmp_path / "mark.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\n"
        steps = {step.spec.name: step for step in target.stores.metadata.run("k7m2").steps}
        assert len(steps["long"].attempts) == 1

    play(tmp_path, work)


def test_a_small_step_goes_on_while_its_control_plane_is_replaced_and_its_pipeline_begins_again(
    tmp_path: Path,
) -> None:
    async def work(target: Target) -> None:
        # The first engine stays: a process that died would not end its hosts, as a task does that is cancelled.
        first = asyncio.get_running_loop().create_task(target.run("gentle"))
        await begun(target.mark)
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up("gentle")
        async with asyncio.timeout(60):
            while len(target.namespace.kube.processes) < 2 or target.pipelines() < 2:
                await asyncio.sleep(0.05)
        (tmp_path / "mark.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\n"
        (step,) = target.stores.metadata.run("k7m2").steps
        assert len(step.attempts) == 1
        async with asyncio.timeout(60):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)
        first.cancel()

    play(tmp_path, work)


@pytest.mark.parametrize(("pipeline", "step"), [("gentle", "calm"), ("slow", "long")])
def test_a_step_that_ended_while_nobody_listened_does_not_run_again(
    tmp_path: Path, pipeline: str, step: str
) -> None:
    async def work(target: Target) -> None:
        # The first engine stays: a process that died would not end its hosts, as a task does that is cancelled.
        first = asyncio.get_running_loop().create_task(target.run(pipeline))
        await begun(target.mark)
        await target.namespace.end()
        (tmp_path / "mark.go").touch()
        async with asyncio.timeout(60):
            while not (tmp_path / "mark.ended").exists():
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)
        await target.namespace.begin()
        target.opens_its_store_again()
        assert target.stores.results.read("k7m2", step, 1) is None, "only the pod has it"
        ended = await target.takes_up(pipeline)
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\n"
        for one in target.stores.metadata.run("k7m2").steps:
            assert [attempt.phase for attempt in one.attempts] == [Phase.SUCCEEDED]
        assert target.printed(step).splitlines()[-1] == "over", "what it printed comes before its end"
        first.cancel()

    play(tmp_path, work)


def test_the_second_attempt_goes_on_although_the_pod_also_knows_the_end_of_the_first(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        first = asyncio.get_running_loop().create_task(target.run("patient"))
        async with asyncio.timeout(60):
            while not target.mark.exists() or target.mark.read_text() != "began\nbegan\n":
                await asyncio.sleep(0.02)
        await asyncio.sleep(
            1.0
        )  # Until the process of the first attempt is gone, and the pod names it after the second.
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up("patient")
        async with asyncio.timeout(60):
            while sum("-d-" in name for name in target.namespace.kube.processes) < 2:
                await asyncio.sleep(0.05)
        (tmp_path / "mark.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\nbegan\n"
        (step,) = target.stores.metadata.run("k7m2").steps
        assert [attempt.phase for attempt in step.attempts] == [Phase.FAILED, Phase.SUCCEEDED]
        first.cancel()

    play(tmp_path, work)


def test_the_driver_of_an_earlier_engine_goes_with_the_last_of_its_steps(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        kube = target.namespace.kube
        first = asyncio.get_running_loop().create_task(target.run("two"))
        await begun(target.mark)
        (old,) = kube.processes
        await target.namespace.restart()
        target.opens_its_store_again()
        second = target.takes_up("two")
        async with asyncio.timeout(60):
            while len(kube.processes) < 2:
                await asyncio.sleep(0.05)
        (tmp_path / "mark.go").touch()
        await begun(tmp_path / "mark-2")
        async with asyncio.timeout(60):
            while old in kube.jobs:
                await asyncio.sleep(0.05)
        (tmp_path / "mark-2.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert (target.mark.read_text(), (tmp_path / "mark-2").read_text()) == ("began\n", "began\n")
        first.cancel()

    play(tmp_path, work)
