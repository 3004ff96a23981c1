"""The parts of runs in one process, played, so that a test says what they find."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fairway.engine.leases import RunLeases
from fairway.engine.outbox import NOBODY, Outbox
from fairway.engine.run import Stores
from fairway.engine.runs import Opened
from fairway.engine.together import RunsTogether, TogetherParts
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.event import RunEnded
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Phase, RunRequest, RunSpec, RunStatus

BUNDLE = "b" * 64


class Home:
    """A host that imports nothing."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class World:
    """Parts that remember what they were asked for."""

    def __init__(self, outbox: Outbox = NOBODY) -> None:
        self.homes: list[Home] = []
        self.over: list[str] = []
        self.said: list[str] = []
        self.broke: list[BaseException] = []
        self.held = {BUNDLE}
        self.leases = RunLeases()
        self.events_of: dict[str, list[Any]] = {}
        self.written: list[Any] = []
        self.queued: list[tuple[str, Any]] = []
        self.ended_hosts: list[str] = []
        self.refusals = 0
        self.opened: list[RunRequest] = []
        self.opening = asyncio.Event()
        self.reading: Callable[[], None] = lambda: None
        self.listing: Callable[[], None] = lambda: None
        world = self

        class Metadata:
            def run_names(self, prefix: str = "", most: int = 0) -> list[str]:
                world.listing()
                return []

            def run(self, name: str) -> Any:
                if name not in world.events_of:
                    raise NotFound(f"there is no run {name!r}")
                ended = isinstance(world.events_of[name][-1], RunEnded)
                phase = Phase.CANCELLED if ended else Phase.RUNNING
                return RunStatus(
                    spec=RunSpec(name=name, pipeline="p", project="flow.py", bundle=BUNDLE),
                    phase=phase,
                    started=0.0,
                )

            def events(self, after: int, run: str) -> Any:
                return [type("Event", (), {"body": body}) for body in world.events_of[run]]

            def submit(self, events: list[Any]) -> "Future[int]":
                while world.queued:
                    run, body = world.queued.pop()
                    world.events_of[run].append(body)
                for event in events:
                    world.written.append(event.body)
                    world.events_of[event.run].append(event.body)
                done: Future[int] = Future()
                done.set_result(1)
                return done

        class Artifacts:
            def exists(self, digest: str) -> bool:
                world.reading()
                return digest in world.held

        class Clock:
            def now(self) -> float:
                return 0.0

            def monotonic(self) -> float:
                return 0.0

        async def open_project(run: str, request: RunRequest, note: Any) -> Opened:
            if request.file == "broken.py":
                raise UsageError("it cannot be imported")
            if request.resume:
                self.opening.set()
                await asyncio.Event().wait()
            if request.file == "slow.py":
                note("the pipeline waits: its image is not pulled yet")
                await asyncio.sleep(0.05)
            self.opened.append(request)
            self.homes.append(Home(run))
            return Opened(None, self.homes[-1], ProjectSpec(name="flow", path="flow.py"))  # type: ignore[arg-type]

        stores = Stores(Metadata(), None, None, None, None, outbox)  # type: ignore[arg-type]
        self.runs = RunsTogether(
            TogetherParts(
                stores=lambda: stores,
                artifacts=Artifacts(),  # type: ignore[arg-type]
                leases=self.leases,
                clock=Clock(),
                follower=None,  # type: ignore[arg-type]
                open=open_project,
                foresee=None,  # type: ignore[arg-type]
                over=self.over.append,
                end_hosts=self.end_hosts,
                say=self.said.append,
                broke=self.broke.append,
            )
        )

    async def end_hosts(self, run: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise FairwayError("the API server does not answer")
        self.ended_hosts.append(run)


def request(file: str = "flow.py", **more: Any) -> RunRequest:
    return RunRequest(**{"file": file, "bundle": BUNDLE, **more})
