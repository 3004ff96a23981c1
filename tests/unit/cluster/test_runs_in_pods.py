"""Whole runs of the laptop's engine whose hosts are first processes of pods, each over a real link."""

import asyncio
from pathlib import Path

import msgspec
import pods_here
import pytest
from pod_runs import DIES, TEXT, Target, begun, play

from fairway.cluster import sizing, workers
from fairway.cluster.client.kinds import JOB
from fairway.cluster.executor import ClusterExecutor
from fairway.spec.run import Phase, Reason
from fairway.spec.wire import DRIVER


def test_small_steps_run_on_the_driver_and_a_big_one_in_a_pod_of_its_own(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        ended = await target.run("main")
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert ended.result is not None
        assert target.stores.load(ended.result) == 21
        status = target.stores.metadata.run("k7m2")
        assert [step.spec.name for step in status.steps] == ["small", "big", "small-2"]
        assert [point.value for point in status.steps[1].metrics] == [2.0]
        assert target.printed("small") == "small 1"
        # The import of the driver is a part of its pipeline, and a pod of a step's own imports the project anew.
        assert (target.printed(DRIVER), target.printed("big")) == ("imported", "imported\nbig 2")
        made = sorted(name.split("-", 2)[2][0] for name in target.namespace.kube.processes)
        assert made == ["d", "w"]
        async with asyncio.timeout(60):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)

    play(tmp_path, work)


def test_a_step_for_nodes_that_no_image_is_for_fails_before_a_pod_is_made_for_it(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        jobs = target.namespace.jobs
        jobs.install = msgspec.structs.replace(jobs.install, platform="linux/amd64")
        ended = await target.run("elsewhere")
        assert ended.phase is Phase.FAILED
        assert ended.failure is not None
        (step,) = target.stores.metadata.run("k7m2").steps
        (attempt,) = step.attempts
        assert attempt.failure is not None
        assert attempt.failure.reason is Reason.RESOURCES
        assert "the images of this installation are for linux/amd64" in attempt.failure.message
        assert not [name for name in target.namespace.kube.processes if "-w-" in name]

    play(tmp_path, work)


def test_a_step_that_fails_by_itself_spends_its_retry_in_the_same_pod(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        ended = await target.run("again")
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        (step,) = target.stores.metadata.run("k7m2").steps
        assert [attempt.phase for attempt in step.attempts] == [Phase.FAILED, Phase.SUCCEEDED]
        assert len(target.namespace.kube.processes) == 2

    play(tmp_path, work)


def test_a_wide_run_uses_few_pods_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(target: Target) -> None:
        # The driver has room for none of them, as if each asked for more than it has.
        monkeypatch.setattr(ClusterExecutor, "_has_room", lambda self, wanted: False)
        monkeypatch.setattr(ClusterExecutor, "_beside", lambda self, place, wanted: 0)
        ended = await target.run("many")
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.stores.load(ended.result) == [number * number for number in range(60)]
        made = [name for name in target.namespace.kube.processes if "-w-" in name]
        assert len(made) <= 8
        steps = target.stores.metadata.run("k7m2").steps
        assert {len(step.attempts) for step in steps} == {1}
        async with asyncio.timeout(60):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)

    play(tmp_path, work)


def test_an_item_that_ends_its_process_fails_alone_after_its_retries(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        ended = await target.run("bitter")
        assert ended.phase is Phase.FAILED
        steps = target.stores.metadata.run("k7m2").steps
        failed = [step for step in steps if step.phase is Phase.FAILED]
        assert [len(step.attempts) for step in failed] == [2]
        assert sum(step.phase is Phase.SUCCEEDED for step in steps) == 19

    play(tmp_path, work)


def test_pods_that_are_lost_cost_no_retry_and_leave_one_result_each(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        running = asyncio.get_running_loop().create_task(target.run("wide"))
        marks = [tmp_path / f"mark{number}" for number in range(3)]
        await begun(*marks)
        first = [name for name in target.namespace.kube.processes if "-w-" in name]
        for name, how in zip(first, ("killed", "deleted", "told to end"), strict=True):
            process = target.namespace.kube.processes[name]
            if how == "killed":
                pods_here.kill(process)
            elif how == "deleted":
                await target.namespace.kube.delete(JOB, name)
            else:
                process.terminate()
        # Only now may steps end, so that none of the first attempts ends well at the last moment.
        for name in first:
            await target.namespace.kube.processes[name].wait()
        for mark in marks:
            Path(f"{mark}.go").touch()
        ended = await running
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.stores.load(ended.result) == [7, 7, 7]
        for step in target.stores.metadata.run("k7m2").steps:
            before = [attempt.failure for attempt in step.attempts[:-1]]
            assert [failure.reason.is_loss for failure in before if failure is not None] == [True]

    play(tmp_path, work)


def test_a_small_step_whose_pod_no_node_takes_goes_back_to_a_driver_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "_FIRST_START_SECONDS", 0.2)
    monkeypatch.setattr(workers, "_UNPLACED_SECONDS", 0.5)

    async def work(target: Target) -> None:
        # The driver has two cores for three steps, and the cluster has no room for any other pod.
        target.namespace.kube.unplaced = lambda job: (
            "" if "-d-a" in job["metadata"]["name"] else "0/1 nodes are available: 1 Insufficient cpu."
        )
        (target.folder / "mark2.go").touch()
        running = asyncio.create_task(target.run("crowd"))
        async with asyncio.timeout(60):
            while not any("no node fits" in note for note in target.notes):
                await asyncio.sleep(0.05)
        (target.folder / "mark0.go").touch()
        (target.folder / "mark1.go").touch()
        async with asyncio.timeout(60):
            assert (await running).phase is Phase.SUCCEEDED
        attempts = {
            step.spec.name: [one.failure.reason if one.failure else None for one in step.attempts]
            for step in target.stores.metadata.run("k7m2").steps
        }
        assert attempts == {"calm": [None], "calm-2": [None], "calm-3": [Reason.UNPLACED, None]}

    play(tmp_path, work)


@pytest.mark.parametrize("loses", ["before its hello", "in its import"])
def test_a_pod_that_is_lost_before_it_is_ready_is_replaced_and_its_last_words_are_kept(
    tmp_path: Path, loses: str
) -> None:
    async def work(target: Target) -> None:
        kube = target.namespace.kube
        broken = tmp_path / "broken"
        if loses == "in its import":
            broken.touch()
            target.project.write_text(TEXT + DIES.format(mark=str(broken)))
        else:
            kube.instead = lambda name: (
                ("-c", "raise SystemExit('no module named fairway')") if "-d-a" not in name else ()
            )
        running = asyncio.create_task(target.run("unlucky"))
        async with asyncio.timeout(60):
            while kube.begun < 4:
                await asyncio.sleep(0.02)
        kube.instead = lambda name: ()
        broken.unlink(missing_ok=True)
        ended = await running
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        (step,) = target.stores.metadata.run("k7m2").steps
        assert len(step.attempts) == 1, "nothing of the step itself has ended"
        words = "no module named fairway" if loses == "before its hello" else "about to die"
        assert words in target.printed("doomed").splitlines()[:2]

    play(tmp_path, work)
