"""The executors of runs, each with a project that it starts hosts of, and what they told."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pods_here

from fairway.cluster.executor import ClusterExecutor, Project
from fairway.local.executor import LocalExecutor
from fairway.local.sharing import Share
from fairway.ports import Executor, Host
from fairway.runner.values import Values
from fairway.spec.errors import FairwayError
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.spec.link import Orders
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import StepResult
from fairway.spec.wire import Committed, Exited, FromHost, Log, Said, Start, decode_from_child
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

    async def until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
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

    def records(self, step: str) -> list[StepResult]:
        """The records of a step's attempts that were told."""
        said = [
            decode_from_child(bytes(one.message))
            for one in self.heard
            if isinstance(one, Said) and one.step == step
        ]
        return [message.result for message in said if isinstance(message, Committed)]

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
