"""Hosts in pods of a real cluster: they work, and the reason why one is missing or lost is told apart from every other."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from plane_here import PlaneHere, plane_here, push_image

from fairway.cluster import pending
from fairway.cluster.executor import ClusterExecutor
from fairway.engine.runs import Opened
from fairway.runner.values import Values
from fairway.spec.install import DriverSize
from fairway.spec.places import Attempt, CannotPlace, Gone
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Reason, StepResult
from fairway.spec.wire import Cause, Committed, Exited, Log, Said, Start, decode_from_child
from lab.kubectl import Kubectl

MEBI = 2**20
SMALL = Resources(cpu=0.25, memory=256 * MEBI)

TEXT = """
import os, subprocess, sys, time
import fairway as fw

print("imported")

@fw.task
def double(n: int) -> int:
    print("doubling", n)
    return 2 * n

@fw.task
def sleeps() -> int:
    print("asleep", flush=True)
    time.sleep(600)
    return 0

@fw.task
def hoards(count: int) -> int:
    kept = bytearray(count)
    kept[::4096] = b"x" * len(kept[::4096])
    return len(kept)

@fw.task
def orphans(count: int) -> None:
    for _ in range(count):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()

@fw.task
def zombies() -> int:
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                found += file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            pass
    return found
"""


class Ear:
    """The ear of an engine."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.gone: list[Gone] = []
        self._more = asyncio.Event()

    def __call__(self, host: Any, message: Any) -> None:
        (self.gone if isinstance(message, Gone) else self.heard).append(message)
        self._more.set()

    async def until(self, true: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Wait until something is true, and return it."""
        async with asyncio.timeout(seconds):
            while not (found := true()):
                self._more.clear()
                await self._more.wait()
            return found

    def printed(self) -> str:
        """What all steps printed."""
        return b"".join(one.data for one in self.heard if isinstance(one, Log)).decode()

    async def exited(self, seconds: float = 120.0) -> Exited:
        """The first end of an attempt."""
        return await self.until(
            lambda: next((one for one in self.heard if isinstance(one, Exited)), None), seconds
        )

    def record(self) -> StepResult:
        """The only record of an attempt that was told."""
        told = [decode_from_child(bytes(one.message)) for one in self.heard if isinstance(one, Said)]
        (record,) = [one.result for one in told if isinstance(one, Committed)]
        return record

    async def lost(self, seconds: float = 120.0) -> Gone:
        """The certain loss of the host."""
        return await self.until(lambda: next((one for one in self.gone if one.certain), None), seconds)


class Ground:
    """A control plane, a project, and what an engine would hear."""

    def __init__(self, plane: PlaneHere, opened: Opened, project: Path) -> None:
        self.plane = plane
        self.project = project
        self.kubectl = plane.kubectl
        self.home: Any = opened.home
        self.executor: ClusterExecutor = opened.executor  # type: ignore[assignment]
        self.values = Values(plane.stores.artifacts)
        self.ear = Ear()

    async def own(self, step: str = "own", resources: Resources = SMALL, attempt: int = 1) -> Any:
        """Start a host in a pod of its own."""
        place = self.executor.places(None)[1]
        grant = Grant(resources=resources)
        return await self.executor.start(place, self.ear, Attempt(step=step, number=attempt, grant=grant))

    def order(self, task: str, **inputs: Any) -> Start:
        memory = inputs.pop("memory", 0)
        saved = {name: self.values.save(value) for name, value in inputs.items()}
        return Start(run="k7m2", step=task, attempt=1, task=task, inputs=saved, memory=memory)


Play = Callable[..., None]


@pytest.fixture(scope="session")
def image(registry: str) -> str:
    return push_image(registry)


@pytest.fixture
def play(kubectl: Kubectl, namespace: str, image: str, tmp_path: Path) -> Play:
    """Runs work on a ground of its own. `driver` is False for work that needs no driver that lives."""

    def run(work: Callable[[Ground], Coroutine[Any, Any, None]], seconds: float = 480.0) -> None:
        async def whole() -> None:
            project = tmp_path / "code" / "project.py"
            project.parent.mkdir(exist_ok=True)
            project.write_text(TEXT)
            size = DriverSize(cpu=0.25, memory="384Mi")
            async with plane_here(kubectl.inside(namespace), tmp_path, image, size) as plane:
                opened = await plane.open("k7m2", project)
                ground = Ground(plane, opened, project)
                ground.home.listen(ground.ear)
                await work(ground)

        asyncio.run(asyncio.wait_for(whole(), seconds))

    return run


def test_a_step_on_the_driver_is_heard_and_on_record(play: Play) -> None:
    async def work(ground: Ground) -> None:
        ground.home.send(ground.order("double", n=21))
        await ground.ear.exited()
        assert ground.ear.printed() == "imported\ndoubling 21\n"
        record = ground.ear.record()
        assert ground.values.from_node(record.outputs[0]) == 42
        await ground.home.close()
        assert ground.ear.gone[0].certain
        async with asyncio.timeout(60):
            while ground.plane.pods():
                await asyncio.sleep(0.2)

    play(work)


@pytest.mark.thorough
def test_orphans_of_a_step_are_reaped_with_it(play: Play) -> None:
    async def work(ground: Ground) -> None:
        ground.home.send(ground.order("orphans", count=500))
        await ground.ear.exited()
        ground.ear.heard.clear()
        ground.home.send(ground.order("zombies"))
        await ground.ear.exited()
        record = ground.ear.record()
        assert ground.values.from_node(record.outputs[0]) == 0

    play(work)


def test_a_step_that_takes_the_memory_of_its_pod_was_out_of_memory(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.own()
        # More than the pod has is allowed here, so that the system ends the step and not its host.
        host.send(ground.order("hoards", count=400 * MEBI, memory=2**33))
        await ground.ear.until(
            lambda: ground.ear.gone or any(isinstance(one, Exited) for one in ground.ear.heard)
        )
        if ground.ear.gone:
            assert (await ground.ear.lost()).failure.reason is Reason.OOM
        else:
            assert (await ground.ear.exited()).ended.cause is Cause.MEMORY

    play(work)


@pytest.mark.thorough
def test_a_step_over_its_own_memory_is_ended_by_its_host(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.own()
        host.send(ground.order("hoards", count=300 * MEBI))
        assert (await ground.ear.exited()).ended.cause is Cause.MEMORY

    play(work)


def test_a_deleted_pod_costs_no_retry(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.own()
        host.send(ground.order("sleeps"))
        await ground.ear.until(ground.ear.printed)
        pod = ground.plane.pod(host.name)["metadata"]["name"]
        ground.kubectl("delete", "pod", pod, "--wait=false")
        failure = (await ground.ear.lost()).failure
        assert (failure.reason, failure.message) == (Reason.HOST, "its host was lost: its pod was deleted")
        assert not any(isinstance(one, Exited) for one in ground.ear.heard)

    play(work)


def test_an_evicted_pod_is_told_from_a_deleted_one(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.own()
        host.send(ground.order("sleeps"))
        await ground.ear.until(ground.ear.printed)
        name = ground.plane.pod(host.name)["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        where = f"/api/v1/namespaces/{ground.kubectl.namespace}/pods/{name}/eviction"
        ground.kubectl("create", "--raw", where, "-f", "-", text=json.dumps(eviction))
        failure = (await ground.ear.lost()).failure
        assert failure.reason is Reason.EVICTED
        assert "being emptied" in failure.message

    play(work)


@pytest.mark.thorough
def test_an_image_that_is_not_there_is_refused_in_a_minute(play: Play) -> None:
    async def work(ground: Ground) -> None:
        async def nowhere(environment: Any) -> str:
            return f"{ground.plane.namespace._install.image.partition('@')[0]}-no@sha256:{'0' * 64}"

        ground.executor._blueprints._images = nowhere
        place = ground.executor.places(EnvironmentSpec(requirements=("six==1.17.0",)))[0]
        attempt = Attempt(step="own", number=1, grant=Grant(resources=SMALL))
        with pytest.raises(CannotPlace) as raised:
            await asyncio.wait_for(ground.executor.start(place, ground.ear, attempt), 90)
        assert raised.value.failure.reason is Reason.IMAGE
        assert "there is no image" in raised.value.message

    play(work)


@pytest.mark.thorough
def test_more_than_any_node_has_is_refused_with_the_resource(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "_HOPELESS_SECONDS", 3.0)

    async def work(ground: Ground) -> None:
        with pytest.raises(CannotPlace) as raised:
            await asyncio.wait_for(ground.own(resources=Resources(cpu=64.0, memory=256 * MEBI)), 60)
        assert raised.value.failure.reason is Reason.UNSCHEDULABLE
        assert "too little CPU on" in raised.value.message
        with pytest.raises(CannotPlace) as raised:
            await asyncio.wait_for(ground.own("two", Resources(cpu=0.1, gpu=1)), 60)
        assert "nvidia.com/gpu" in raised.value.message

    play(work)


@pytest.mark.thorough
def test_a_quota_that_is_too_small_is_refused_and_one_that_is_full_is_waited_for(play: Play) -> None:
    async def work(ground: Ground) -> None:
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
        ground.kubectl.apply(quota | {"spec": {"hard": {"requests.cpu": "500m"}}})
        await asyncio.sleep(2)
        with pytest.raises(CannotPlace) as raised:
            await asyncio.wait_for(ground.own("big", Resources(cpu=1.0, memory=256 * MEBI)), 60)
        assert raised.value.failure.reason is Reason.QUOTA
        assert "allows 500m CPU in all, and the pod needs 1" in raised.value.message
        # The driver alone fills this one.
        ground.kubectl.apply(quota | {"spec": {"hard": {"requests.cpu": "250m"}}})
        await asyncio.sleep(2)
        waiting = asyncio.get_running_loop().create_task(ground.own("small"))
        async with asyncio.timeout(60):
            while not any("is used up: CPU 250m of 250m" in note for note in ground.plane.notes):
                await asyncio.sleep(0.2)
        ground.kubectl.apply(quota | {"spec": {"hard": {"requests.cpu": "500m"}}})
        await asyncio.wait_for(waiting, 60)

    play(work)


@pytest.mark.thorough
def test_a_limit_range_is_named_that_refuses_a_pod(play: Play) -> None:
    async def work(ground: Ground) -> None:
        limits = {"type": "Container", "max": {"memory": "512Mi"}}
        kind = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "most"}}
        ground.kubectl.apply(kind | {"spec": {"limits": [limits]}})
        with pytest.raises(CannotPlace) as raised:
            await asyncio.wait_for(ground.own(resources=Resources(cpu=0.1, memory=2**30)), 60)
        assert raised.value.failure.reason is Reason.ADMISSION
        assert "maximum memory usage per Container is 512Mi" in raised.value.message

    play(work)
