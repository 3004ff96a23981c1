"""Pods that steps share, played: who got which, and which of them were ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pods_here

from fairway.cluster.blueprints import Blueprints, Project
from fairway.cluster.hosts import ClusterHost
from fairway.cluster.links import HostLink
from fairway.cluster.scaling import Bounds
from fairway.cluster.seats import Seat
from fairway.cluster.workers import Workers
from fairway.spec.errors import FairwayError
from fairway.spec.link import Dismiss, Facts, HostEnded, Orders, Passed
from fairway.spec.places import Attempt, Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Failure, Reason, Usage
from fairway.spec.wire import Cause, Described, Ended, Exited, Start, frame

MEBI = 2**20
SMALL = Resources(cpu=0.5, memory=512 * MEBI)
LARGE = Resources(cpu=8.0, memory=512 * MEBI)
POD = Place(name="pod", pool="pods", alone=True, outlives=True)
OWN = Place(name="own", pool="own pods", alone=True, outlives=True, reserved=True)
LOST = Failure(reason=Reason.HOST, message="its pod is gone")


async def no_image(environment: EnvironmentSpec) -> str:
    raise FairwayError("there is no image for an environment")


class PlayedLives:
    """Pods that become ready when the test says so."""

    def __init__(self) -> None:
        self.made: dict[str, PlayedPod] = {}
        self.left: list[str] = []

    def let_go(self, name: str) -> None:
        self.left.append(name)

    async def cleared(self, name: str) -> None:
        return

    def expect(self, name: str, orders: Orders, alone: Callable[[], bool]) -> ClusterHost:
        self.made[name] = PlayedPod(name, orders, alone)
        return self.made[name].host

    async def described(self, host: ClusterHost, wanted: Any, who: Callable[[], str], doubt: Any) -> Any:
        pod = self.made[host.name]
        pod.wanted, pod.doubt = wanted, doubt
        return await pod.ready


class PlayedPod:
    """A pod whose link is played by hand."""

    def __init__(self, name: str, orders: Orders, alone: Callable[[], bool]) -> None:
        self.link = HostLink(name, orders)
        self.link.facts = Facts(memory=1024 * MEBI)
        self.sent: list[Any] = []
        self.link.send = self.sent.append  # type: ignore[method-assign]
        self.host = ClusterHost(self.link, self._explain, self._remove)
        self.alone = alone
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.wanted: Any = None
        self.doubt: Any = None

    async def _explain(self, report: HostEnded) -> Failure:
        return LOST

    async def _remove(self) -> None:
        return

    def exited(self, step: str, cause: Cause = Cause.NONE, memory: int = 0) -> None:
        ended = Ended(signal="SIGKILL" if cause is Cause.MEMORY else "", cause=cause)
        message = Exited(step=step, attempt=1, ended=ended, usage=Usage(memory=memory))
        self.link.hear(Passed(frame(message)[4:]))

    @property
    def is_dismissed(self) -> bool:
        return Dismiss() in self.sent


class Run:
    """A run whose engine is the test."""

    def __init__(self, most: int = 64, kept: float = 60.0) -> None:
        install = msgspec.structs.replace(pods_here.INSTALL)
        self.lives = PlayedLives()
        self.told = 0
        self.driver = False
        self.heard: list[tuple[Seat, Any]] = []
        blueprints = Blueprints(install, Project(key="k", orders=Orders(store="/s", file="p.py")), no_image)
        self.workers = Workers(
            self.lives,  # type: ignore[arg-type]
            blueprints,
            Bounds(most=most, kept=kept),
            lambda wanted: self.driver,
            self._found,
        )

    def _found(self) -> None:
        self.told += 1

    def book(self, step: str, wanted: Resources = SMALL, place: Place = POD, beside: int = 0) -> Grant | None:
        return self.workers.book(place, wanted, step, beside)

    def begin(self, step: str, grant: Grant, place: Place = POD) -> "asyncio.Task[Seat]":
        attempt = Attempt(step=step, number=1, grant=grant)
        started = self.workers.start(place, attempt, lambda seat, message: self.heard.append((seat, message)))
        return asyncio.get_running_loop().create_task(started)

    async def runs(self, *steps: str, wanted: Resources = SMALL) -> list[Seat]:
        """Begin steps in pods that become ready at once."""
        tasks = []
        for step in steps:
            grant = self.book(step, wanted)
            assert grant is not None
            tasks.append(self.begin(step, grant))
            await settle()
            self.all_ready()
        seats = await asyncio.gather(*tasks)
        for step, seat in zip(steps, seats, strict=True):
            seat.send(Start(run="r", step=step, attempt=1, task="t", inputs={}))
        return list(seats)

    def all_ready(self) -> None:
        for pod in self.pods:
            if not pod.ready.done():
                pod.ready.set_result(None)
                pod.host.described.set_result(Described(pid=1))

    @property
    def pods(self) -> list[PlayedPod]:
        return list(self.lives.made.values())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def play(work: Callable[[Run], Awaitable[None]], **how: Any) -> None:
    async def whole() -> None:
        run = Run(**how)
        await work(run)
        run.workers.leave()
        await settle()

    asyncio.run(asyncio.wait_for(whole(), 60))
