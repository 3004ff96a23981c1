"""A run engine among stand-ins that a test plays by hand: hosts say what the test has them say."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
from fakes import FakeClock

from fairway.engine.listening import Listener
from fairway.engine.outbox import NOBODY, Outbox
from fairway.engine.run import RunEngine, Stores
from fairway.spec.artifact import Artifact
from fairway.spec.event import Body, Event, RunEnded
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Failure, Reason, RunSpec, RunStatus, StepResult, StepSpec, Usage
from fairway.spec.wire import (
    DRIVER,
    Await,
    Call,
    Committed,
    Ended,
    Exited,
    FromHost,
    Returned,
    Said,
    Start,
    Stop,
    ToHost,
)

RUN = RunSpec(name="r", pipeline="main", project="")
HERE = Place(name="here", pool="here")
_encode = msgspec.msgpack.Encoder().encode


class PlayedHost:
    """A host that keeps what it is sent."""

    def __init__(self, name: str, place: Place, attempt: Attempt | None = None) -> None:
        self.name = name
        self.place = place
        self.attempt = attempt
        self.sent: list[ToHost] = []

    def send(self, message: ToHost) -> None:
        self.sent.append(message)

    async def close(self) -> None: ...

    def starts(self) -> list[tuple[str, int]]:
        """What it was told to start."""
        return [(one.step, one.attempt) for one in self.sent if isinstance(one, Start)]

    def stops(self) -> list[tuple[str, int]]:
        """What it was told to stop."""
        return [(one.step, one.attempt) for one in self.sent if isinstance(one, Stop)]


class PlayedExecutor:
    """Makes hosts at once, or when the test opens `gate`; `starting` errors come first."""

    def __init__(self, places: Sequence[Place], capacity: dict[str, Resources]) -> None:
        self._places = places
        self._capacity = capacity
        self.hosts: list[PlayedHost] = []
        self.starting: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.seen: list[Any] = []
        self.given: list[Grant] = []
        self.changed: Callable[[str, Resources | None], None]

    def places(self, environment: EnvironmentSpec | None) -> Sequence[Place]:
        return self._places

    def capacity(self) -> dict[str, Resources]:
        return self._capacity

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        self.changed = changed

    def leave(self) -> None: ...

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        self.given.append(Grant(resources=wanted))
        return self.given[-1]

    def give_back(self, grant: Grant) -> None:
        self.given.remove(grant)

    def wait_for(self, wanted: Resources, step: str, waiting: int = 1) -> None: ...

    def stop_waiting(self) -> None: ...

    def who_else(self) -> str:
        return ""

    async def start(self, place: Place, hear: object, attempt: Attempt | None = None) -> PlayedHost:
        if self.starting:
            raise self.starting.pop(0)
        host = PlayedHost(f"host-{len(self.hosts) + 2}", place, attempt)
        self.hosts.append(host)
        await self.gate.wait()
        return host

    async def observe(self, run: str, hear: object) -> Sequence[Any]:
        return self.seen


class PlayedStores:
    """A log that is durable at once, or when the test says so; records of attempts; no cache and no models."""

    def __init__(self) -> None:
        self.log: list[Event] = []
        self.held: list[Future[int]] | None = None
        self.records: dict[tuple[str, int], StepResult] = {}

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        self.log += events
        future: Future[int] = Future()
        if self.held is None:
            future.set_result(len(self.log))
        else:
            self.held.append(future)
        return future

    def write(self) -> None:
        """Let all that was submitted be durable."""
        held, self.held = self.held or [], None
        for future in held:
            future.set_result(len(self.log))

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        return self.records.get((step, attempt))

    def append(self, *_: object) -> None: ...

    def close(self, *_: object) -> None: ...

    def bodies(self, kind: type[Body]) -> list[Any]:
        """Facts of a kind, in their order."""
        return [event.body for event in self.log if isinstance(event.body, kind)]


class Rig:
    """The engine, its home host, and what the test plays."""

    def __init__(
        self,
        places: Sequence[Place] = (HERE,),
        capacity: dict[str, Resources] | None = None,
        resumed: RunStatus | None = None,
        outbox: Outbox = NOBODY,
    ) -> None:
        self.stores = PlayedStores()
        self.executor = PlayedExecutor(
            places, capacity if capacity is not None else {"here": Resources(cpu=4, memory=2**30)}
        )
        self.home = PlayedHost("host-1", places[0])
        self.clock = FakeClock()
        stores: Any = self.stores
        parts = Stores(stores, stores, stores, lambda artifact: b"", lambda artifact: True, outbox)
        executor: Any = self.executor
        self.engine = RunEngine(parts, executor, self.clock, Listener())
        self._resumed = resumed
        self.ended: asyncio.Task[RunEnded] | None = None

    async def begin(self) -> None:
        """Start the run and let it come as far as it comes by itself."""
        run = self.engine.run(RUN, ProjectSpec(path="", name="p"), self.home, self._resumed)
        self.ended = asyncio.get_running_loop().create_task(run)
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that needs nobody else."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let so much time go by, and the engine look at the clock."""
        self.clock.time += seconds
        self.executor.changed("no pool of this run", None)
        await self.settle()

    async def end(self) -> RunEnded:
        """The end of the run."""
        assert self.ended is not None
        async with asyncio.timeout(60):
            return await self.ended

    def hear(self, host: PlayedHost, message: FromHost | Gone | Back) -> None:
        """Have a host say something."""
        self.engine.receive(host, message)

    def say(self, host: PlayedHost, step: str, attempt: int, message: Any) -> None:
        """Have a child of a host say something."""
        self.hear(host, Said(step=step, attempt=attempt, message=msgspec.Raw(_encode(message))))

    def call(self, *names: str, host: PlayedHost | None = None, attempt: int = 1, **how: Any) -> None:
        """Have the pipeline call tasks."""
        for name in names:
            self.say(
                host or self.home,
                DRIVER,
                attempt,
                Call(spec=StepSpec(name=name, task=name, inputs={}, **how)),
            )

    def ask(self, step: str, host: PlayedHost | None = None, attempt: int = 1) -> None:
        """Have the pipeline wait for a step."""
        self.say(host or self.home, DRIVER, attempt, Await(question=1, step=step))

    def say_return(self, host: PlayedHost | None = None, attempt: int = 1) -> None:
        """Have the pipeline say that it returned; its process still lives."""
        self.say(host or self.home, DRIVER, attempt, Returned())

    def exit(self, host: PlayedHost, step: str, attempt: int = 1, ended: Ended | None = None) -> None:
        """Have a child end."""
        self.hear(host, Exited(step=step, attempt=attempt, ended=ended or Ended(), usage=Usage()))

    def succeed(self, host: PlayedHost, step: str, attempt: int = 1) -> None:
        """Have an attempt leave its record and say so."""
        output = Artifact(format="json", digest=step, size=1)
        result = StepResult(run=RUN.name, step=step, attempt=attempt, outputs=(output,))
        self.stores.records[step, attempt] = result
        self.say(host, step, attempt, Committed(result=result))

    def lose(self, host: PlayedHost, reason: Reason = Reason.HOST, *, certain: bool = True) -> None:
        """Have a host be lost from sight, for good if that is `certain`."""
        self.hear(host, Gone(failure=Failure(reason=reason, message="lost"), certain=certain))
