"""What every executor promises, and the hosts it makes, as far as the ports can tell.

An adapter brings what makes its executor and what takes one of its hosts down. Processes, signals' numbers and folders of
a system are its own business: a descendant of a step shows that it lives by a file that grows.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pods_here
import pytest

from fairway.cluster.executor import ClusterExecutor, Project
from fairway.local.executor import LocalExecutor
from fairway.local.sharing import Share
from fairway.ports import Executor, Host
from fairway.runner.values import Values
from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.spec.link import Orders
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Reason
from fairway.spec.wire import (
    Cause,
    Committed,
    Ended,
    Exited,
    FromHost,
    Log,
    Said,
    Start,
    Started,
    Stop,
    decode_from_child,
)
from fairway.stores import FileArtifacts, FileResults, Layout

TEXT = '''
import os, subprocess, sys, time
import fairway as fw

@fw.task
def double(n: int) -> int:
    print("doubling", n)
    return 2 * n

@fw.task
def lent() -> None:
    print(os.environ.get("FAIRWAY_LEASE"), os.environ.get("CUDA_VISIBLE_DEVICES"))

@fw.task
def fails() -> int:
    raise ValueError("no such table")

BEATS = """
import sys, time
while True:
    with open(sys.argv[1], "a") as file:
        file.write(".")
    time.sleep(0.02)
"""

@fw.task
def sleeps(heart: str) -> int:
    subprocess.Popen([sys.executable, "-c", BEATS, heart], start_new_session=True)
    while not os.path.exists(heart):
        time.sleep(0.01)
    print("asleep", flush=True)
    time.sleep(600)
    return 0

@fw.task
def dies() -> int:
    os._exit(7)

@fw.task
def crashes() -> int:
    os.abort()

@fw.task
def hoards(count: int) -> int:
    kept = bytearray(count)
    kept[::4096] = b"x" * len(kept[::4096])
    time.sleep(600)
    return len(kept)
'''


@asynccontextmanager
async def nothing(folder: Path) -> AsyncGenerator[None]:
    """Make nothing that executors share."""
    yield


def on_this_machine(folder: Path, project: Path, shared: None) -> Executor:
    return LocalExecutor(
        HostSetup(StorePlace(str(folder / "store")), ProjectCode(str(project))),
        folder / "cache",
        lambda text: None,
        lambda file, data: None,
        Share(folder / "shared", "", str(folder / "store")),
    )


def end_on_this_machine(host: Any, shared: None) -> None:
    """Take a host down as the system does that runs out of memory."""
    os.kill(host._launched.pid, signal.SIGKILL)


async def no_image(environment: EnvironmentSpec) -> str:
    raise FairwayError("there is no image for an environment")


def in_pods(folder: Path, project: Path, shared: pods_here.Namespace, *, same: bool = False) -> Executor:
    orders = Orders(store=str(folder / "store"), file=str(project))
    where = f"127.0.0.1:{shared.port}"
    shared.runs += 0 if same else 1
    return ClusterExecutor(
        shared.jobs,
        shared.links,
        Project(key=f"run {shared.runs}", orders=orders, plane=where),
        no_image,
        lambda text: None,
    )


def end_pod(host: Any, shared: pods_here.Namespace) -> None:
    """Kill the first process of a pod. Its host ends with it, as everything in a pod does."""
    pods_here.kill(shared.kube.processes[host.name.split("/")[0]])


class Adapter(NamedTuple):
    """What the contract needs of an adapter.

    Its executor for a project, an end for one of its hosts, what its executors share, whether that includes the room for
    steps, and which of its places is meant.
    """

    make: Callable[..., Executor]
    end_host: Callable[[Any, Any], None]
    prepare: Callable[[Path], AbstractAsyncContextManager[Any]] = nothing
    shares: bool = True
    place: int = 0


ADAPTERS = {
    "this machine": Adapter(on_this_machine, end_on_this_machine),
    "the driver's pod": Adapter(in_pods, end_pod, pods_here.namespace, shares=False),
    "a pod of its own": Adapter(in_pods, end_pod, pods_here.namespace, shares=False, place=1),
}


class Ear:
    """An engine's ear: what hosts said, and who of them is gone."""

    def __init__(self) -> None:
        self.heard: list[FromHost] = []
        self.gone: list[tuple[Host, Gone]] = []
        self._more = asyncio.Event()

    def __call__(self, host: Host, message: FromHost | Gone | Back) -> None:
        if isinstance(message, Gone):
            self.gone.append((host, message))
        elif not isinstance(message, Back):
            assert host not in [gone for gone, _ in self.gone], "a host spoke after it was gone"
            self.heard.append(message)
        self._more.set()

    async def until(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Listen until something is true."""
        async with asyncio.timeout(seconds):
            while not true():
                self._more.clear()
                await self._more.wait()

    def printed(self, step: str) -> str:
        """What a step printed so far."""
        return b"".join(
            said.data for said in self.heard if isinstance(said, Log) and said.step == step
        ).decode()

    async def exited(self, step: str, attempt: int = 1) -> Exited:
        """The end of an attempt."""

        def ends() -> list[Exited]:
            return [
                said
                for said in self.heard
                if isinstance(said, Exited) and (said.step, said.attempt) == (step, attempt)
            ]

        await self.until(ends)
        return ends()[0]


class Ground:
    """A project, its store, and an executor for it."""

    def __init__(self, folder: Path, adapter: Adapter, shared: Any) -> None:
        Layout(folder / "store").prepare()
        self.project = folder / "project.py"
        self.project.write_text(TEXT)
        self.heart = folder / "heart"
        self.adapter = adapter
        self.another = lambda **how: adapter.make(folder, self.project, shared, **how)
        self.restart = lambda: shared.restart()
        self.end_host = lambda host: adapter.end_host(host, shared)
        self.executor = self.another()
        self.results = FileResults(folder / "store")
        self.values = Values(FileArtifacts(folder / "store"))
        self.ear = Ear()
        self.hosts: list[Host] = []

    async def host(self) -> Host:
        self.hosts.append(await self.begin("any", len(self.hosts) + 1))
        return self.hosts[-1]

    async def begin(self, step: str, number: int = 1) -> Host:
        """Start a host, for an attempt where attempts are alone."""
        grant = Grant(resources=Resources(memory=2**30))
        attempt = Attempt(step=step, number=number, grant=grant) if self.place.alone else None
        return await self.executor.start(self.place, self.ear, attempt)

    @property
    def place(self) -> Place:
        """The place for steps of the project's own environment that is meant."""
        return self.executor.places(None)[self.adapter.place]

    async def sleeper(self, host: Host, **how: Any) -> None:
        """Start a step that sleeps, with a descendant of its own that lives on its own."""
        host.send(self.order("sleeps", inputs={"heart": str(self.heart)}, **how))
        await self.ear.until(lambda: self.ear.printed("sleeps"))

    async def nobody_is_left(self) -> None:
        """Wait until what the sleeper started does nothing any more."""
        before = -1
        async with asyncio.timeout(60):
            while before != self.heart.stat().st_size:
                before = self.heart.stat().st_size
                await asyncio.sleep(0.5)

    def order(self, task: str, attempt: int = 1, **how: Any) -> Start:
        inputs = {name: self.values.save(value) for name, value in how.pop("inputs", {}).items()}
        return Start(run="r", step=task, attempt=attempt, task=task, inputs=inputs, **how)


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


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
        said = [decode_from_child(one.message) for one in ground.ear.heard if isinstance(one, Said)]
        record = ground.results.read("r", "double", 1)
        assert said == [Committed(result=record)]
        assert record is not None
        assert record.failure is None
        assert ground.values.from_node(record.outputs[0]) == 42

    play(work)


def test_what_a_task_raises_is_on_record_and_what_ends_it_is_told(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("fails"))
        await ground.ear.exited("fails")
        record = ground.results.read("r", "fails", 1)
        assert record is not None
        assert record.failure is not None
        assert (record.failure.reason, "no such table" in record.failure.message) == (Reason.USER, True)
        host.send(ground.order("dies"))
        assert (await ground.ear.exited("dies")).ended == Ended(code=7)
        assert ground.results.read("r", "dies", 1) is None
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
        assert ground.results.read("r", "double", 1) is None

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
