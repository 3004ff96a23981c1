"""Whole runs of the laptop's engine whose hosts are first processes of pods, each over a real link."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pods_here
import pytest

from fairway.cluster import sizing, workers
from fairway.cluster.client.kinds import JOB
from fairway.cluster.executor import ClusterExecutor, Project
from fairway.engine.listening import Listener
from fairway.engine.run import RunEngine, Stores
from fairway.spec.errors import FairwayError
from fairway.spec.event import RunEnded
from fairway.spec.link import Orders
from fairway.spec.project import EnvironmentSpec
from fairway.spec.run import Phase, Reason, RunSpec, RunStatus
from fairway.spec.wire import DRIVER
from fairway.wiring.machine import LocalStores, SystemClock

TEXT = """
import os, time
import fairway as fw

print("imported")

@fw.task
def small(n: int) -> int:
    print("small", n)
    return n + 1

@fw.task(memory="3Gi")
def big(n: int) -> int:
    print("big", n, flush=True)
    fw.log(n=n)
    return 10 * n

@fw.task(memory="3Gi", retries=1)
def fragile(mark: str) -> int:
    if not os.path.exists(mark):
        open(mark, "w").close()
        raise ValueError("not yet")
    return 1

@fw.task(memory="3Gi")
def long(mark: str) -> int:
    with open(mark, "a") as file:
        file.write("began\\n")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.02)
    return 7

@fw.pipeline
def main(mark: str = "") -> int:
    first = small(1)
    return small(big(first))

@fw.pipeline
def again(mark: str = "") -> int:
    return fragile(mark)

@fw.task
def calm(mark: str) -> int:
    with open(mark, "a") as file:
        file.write("began\\n")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.02)
    return 7

@fw.pipeline
def gentle(mark: str = "") -> int:
    with open(mark + ".pipeline", "a") as file:
        file.write("began\\n")
    return calm(mark)

@fw.pipeline
def wide(mark: str = "") -> list[int]:
    return [long.options(name=f"long{number}")(mark + str(number)) for number in range(3)]

@fw.pipeline
def crowd(mark: str = "") -> list[int]:
    return [calm(mark + str(number)) for number in range(3)]

@fw.task(memory="3Gi")
def doomed(mark: str) -> int:
    return 1

@fw.pipeline
def unlucky(mark: str = "") -> int:
    return doomed(mark)

@fw.task(memory="400Mi", cpu=0.1)
def item(n: int) -> int:
    return n * n

@fw.pipeline
def beside(mark: str = "") -> list[int]:
    return [calm.options(cpu=0.5)(mark + str(number)) for number in range(8)]

@fw.pipeline
def many(mark: str = "") -> list[int]:
    return [item(number) for number in range(60)]

@fw.task(memory="3Gi", retries=1)
def poison(n: int) -> int:
    if n == 7:
        os._exit(3)
    return n

@fw.pipeline
def bitter(mark: str = "") -> int:
    return sum([poison(number) for number in range(20)])

@fw.pipeline
def slow(mark: str = "") -> int:
    return small(long(mark))
"""

DIES = """
import os, time
if os.path.exists("{mark}") and "-w-a" in open(f"/proc/{{os.getppid()}}/cmdline").read():
    print("about to die", flush=True)
    time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""


async def no_image(environment: EnvironmentSpec) -> str:
    raise FairwayError("there is no image for an environment")


class Target:
    """A control plane with a store, in a namespace of the stand-in."""

    def __init__(self, folder: Path, namespace: pods_here.Namespace) -> None:
        self.namespace = namespace
        self.folder = folder
        self.stores = LocalStores(folder / "store").prepare()
        self.project = folder / "project.py"
        self.project.write_text(TEXT)
        self.mark = folder / "mark"
        self.notes: list[str] = []

    def executor(self) -> ClusterExecutor:
        orders = Orders(store=str(self.stores.root), file=str(self.project))
        where = f"127.0.0.1:{self.namespace.port}"
        project = Project(key="k7m2", orders=orders, plane=where)
        return ClusterExecutor(
            self.namespace.jobs, self.namespace.links, project, no_image, self.notes.append
        )

    async def run(self, pipeline: str, earlier: RunStatus | None = None) -> RunEnded:
        """Carry out a run to its end."""
        stores = self.stores
        parts = Stores(stores.metadata, stores.results, stores.logs, stores.read, stores.artifacts.holds)
        executor = self.executor()
        home, project = await executor.open()
        engine = RunEngine(parts, executor, SystemClock(), Listener())
        home.listen(engine.receive)
        from fairway.runner.values import Values

        values = {"mark": Values(stores.artifacts).save(str(self.mark))}
        spec = RunSpec(name="k7m2", pipeline=pipeline, project=str(self.project), parameters=values)
        try:
            return await engine.run(spec if earlier is None else earlier.spec, project, home, earlier)
        finally:
            await home.close()

    def pipelines(self) -> int:
        """Count how often the pipeline was begun."""
        return (self.folder / "mark.pipeline").read_text().count("began")

    def printed(self, step: str) -> str:
        lines, _ = self.stores.logs.read("k7m2", step, 1)
        return "\n".join(line for _, line in lines)


def play(folder: Path, work: Callable[[Target], Awaitable[Any]]) -> None:
    async def whole() -> None:
        async with pods_here.namespace(folder) as namespace:
            target = Target(folder, namespace)
            try:
                await work(target)
            finally:
                target.stores.close()

    asyncio.run(asyncio.wait_for(whole(), 120))


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
        async with asyncio.timeout(20):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)

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
        async with asyncio.timeout(20):
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
        async with asyncio.timeout(60):
            while not all(mark.exists() for mark in marks):
                await asyncio.sleep(0.05)
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


def test_a_step_goes_on_while_its_control_plane_is_replaced(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        async with asyncio.timeout(30):
            while not target.mark.exists():
                await asyncio.sleep(0.02)
        await target.namespace.restart()
        first.cancel()
        target.stores.close()
        target.stores = LocalStores(target.folder / "store").prepare()
        second = asyncio.get_running_loop().create_task(
            target.run("slow", target.stores.metadata.run("k7m2"))
        )
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
        async with asyncio.timeout(60):
            while not all(mark.exists() for mark in marks):
                await asyncio.sleep(0.05)
        made = [name for name in target.namespace.kube.processes if "-w-" in name]
        assert len(made) <= 2, "several steps are in each pod"
        await target.namespace.restart()
        target.stores.close()
        target.stores = LocalStores(target.folder / "store").prepare()
        second = asyncio.get_running_loop().create_task(
            target.run("beside", target.stores.metadata.run("k7m2"))
        )
        async with asyncio.timeout(60):
            while sum("-d-" in name for name in target.namespace.kube.processes) < 2:
                await asyncio.sleep(0.05)
        for mark in marks:
            Path(f"{mark}.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert {mark.read_text() for mark in marks} == {"began\n"}
        assert {len(step.attempts) for step in target.stores.metadata.run("k7m2").steps} == {1}
        async with asyncio.timeout(30):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)
        first.cancel()

    play(tmp_path, work)


def test_a_pod_that_went_while_its_control_plane_was_away_is_not_waited_for(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        kube = target.namespace.kube
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        async with asyncio.timeout(30):
            while not target.mark.exists():
                await asyncio.sleep(0.02)
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
        target.stores.close()
        target.stores = LocalStores(target.folder / "store").prepare()
        (tmp_path / "mark.go").touch()
        async with asyncio.timeout(45):
            ended = await target.run("slow", target.stores.metadata.run("k7m2"))
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\nbegan\n"

    play(tmp_path, work)


def test_a_step_goes_on_when_its_engine_breaks_and_the_same_process_takes_the_run_up(tmp_path: Path) -> None:
    async def work(target: Target) -> None:
        first = asyncio.get_running_loop().create_task(target.run("slow"))
        async with asyncio.timeout(30):
            while not target.mark.exists():
                await asyncio.sleep(0.02)
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.get_running_loop().create_task(
            target.run("slow", target.stores.metadata.run("k7m2"))
        )
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
        async with asyncio.timeout(30):
            while not target.mark.exists():
                await asyncio.sleep(0.02)
        await target.namespace.restart()
        target.stores.close()
        target.stores = LocalStores(target.folder / "store").prepare()
        second = asyncio.get_running_loop().create_task(
            target.run("gentle", target.stores.metadata.run("k7m2"))
        )
        async with asyncio.timeout(30):
            while len(target.namespace.kube.processes) < 2 or target.pipelines() < 2:
                await asyncio.sleep(0.05)
        (tmp_path / "mark.go").touch()
        ended = await second
        assert ended.phase is Phase.SUCCEEDED, ended.failure
        assert target.mark.read_text() == "began\n"
        (step,) = target.stores.metadata.run("k7m2").steps
        assert len(step.attempts) == 1
        async with asyncio.timeout(30):
            while target.namespace.kube.jobs:
                await asyncio.sleep(0.05)
        first.cancel()

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
