"""Stand-ins for the ports of the run engine: clock, log, records, executor and hosts that misbehave as their world says.

They fit the ports, and what an attempt or the pipeline does in them is settled by the plan of the world.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from engine_hosts import FakeHost, Hear, Seen
from simulated_record import together

from fairway.spec.errors import HostLost, NotFound
from fairway.spec.event import Event
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.places import Place
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import StepResult

if TYPE_CHECKING:
    from engine_world import Life

POD = Place(name="pod", pool="pods", alone=True, outlives=True)
"""A place where each attempt has a host of its own, which goes on when the engine dies."""


class FakeClock:
    """The clock of a life; both of its times are simulated."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def now(self) -> float:
        return 1e9 + self._life.loop.time()

    def monotonic(self) -> float:
        return self._life.loop.time()


class FakeMetadata:
    """The event log: what is submitted is durable after a while, in its order."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self._at = 0.0

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        life, world = self._life, self._life.world
        world.tick()
        world.log += events
        length = len(world.log)
        future: Future[int] = Future()
        self._at = max(self._at, life.loop.time()) + world.delay(0.05)

        def write() -> None:
            world.durable = max(world.durable, length)
            future.set_result(length)

        life.loop.call_at(self._at, write)
        return future

    def register(
        self,
        candidate: Candidate,
        lineage: Lineage,
        judge: Callable[[object], None],
        aliases: tuple[str, ...],
    ) -> ModelVersion:
        world = self._life.world
        world.tick()
        known = world.versions.get(lineage.step)
        if known is None:
            judge(None)
            number = len(world.versions) + 1
            known = world.versions[lineage.step] = ModelVersion(
                name=candidate.name, version=number, candidate=candidate, lineage=lineage
            )
            self._life.wrote()  # the log has one writer: what was submitted before is written with it
        world.tick()
        return known

    def cached(self, key: str) -> None:
        self._life.world.tick()

    def last_parts(self, pipeline: str, task: str, label: str) -> dict[str, str]:
        return {}

    def resolve(self, reference: str) -> ModelVersion:
        raise NotFound(f"no model {reference}")

    def events(self, after: int = 0, run: str = "") -> Iterator[Event]:
        return iter(self._life.world.log)


class FakeResults:
    """Records of attempts."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        self._life.world.tick()
        return self._life.world.results.get((step, attempt))


class FakeLogs:
    """Output, which nobody reads here."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def append(
        self, run: str, step: str, attempt: int, time: float, data: bytes, sent: object = None
    ) -> None:
        self._life.world.tick()

    def close(self, run: str, step: str, attempt: int) -> None:
        self._life.world.tick()


class FakeExecutor:
    """A place with the plan's capacity, of which other runs take what they like."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def places(self, environment: object) -> tuple[Place, ...]:
        return self._life.world.places

    def capacity(self) -> dict[str, Resources]:
        return {place.pool: self._life.world.capacity(place) for place in self._life.world.places}

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        self._life.world.tick()

    async def observe(self, run: str, hear: "Hear") -> list["Seen"]:
        """Show what outlived the last engine; some of it ended meanwhile, with a record or without."""
        life, world = self._life, self._life.world
        world.tick()
        seen: list[Seen] = []
        outliving, world.outliving = world.outliving, []
        for name, attempt in outliving:
            fate = world.rng.random()
            if fate < 0.2:
                world.commit(name, attempt, world.steps[name].failure(attempt))
            elif fate < 0.9:
                host = FakeHost(life, hear, POD)
                host.adopted = world.steps[name].resources
                host.attempts[name, attempt] = None
                host._later(world.delay(2.0), partial(host._finish, name, attempt))
                seen.append(Seen(name, attempt, POD, host))
                world.taken_over += 1
        return seen

    def leave(self) -> None:
        return

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        life = self._life
        life.world.tick()
        if life.world.chance(0.1):
            return None
        granted = [*life.granted[place.pool], wanted]
        used = together(granted)
        assert used.fits(life.world.capacity(place)), f"{used} is more than there is"
        taken_over = [host.adopted for host in life.hosts if host.place is place and host.adopted is not None]
        if not together(granted + taken_over).fits(life.world.capacity(place)):
            return None  # One that the engine did not count, because nobody needs it, is on its way out.
        life.granted[place.pool].append(wanted)
        grant = Grant(resources=wanted)
        life.pools[id(grant)] = (place.pool, grant)
        return grant

    def give_back(self, grant: Grant) -> None:
        pool, _ = self._life.pools.pop(id(grant))
        self._life.granted[pool].remove(grant.resources)

    def wait_for(self, wanted: Resources, step: str, waiting: int = 1) -> None:
        return

    def stop_waiting(self) -> None:
        return

    def who_else(self) -> str:
        return ""

    async def start(self, place: Place, hear: "Hear", attempt: object = None) -> "FakeHost":
        life, world = self._life, self._life.world
        world.tick()
        world.hosts_started += 1
        await asyncio.sleep(world.delay())
        if world.host_losses < world.most_losses and world.chance(0.2):
            world.host_losses += 1
            raise HostLost("it did not live")
        return FakeHost(life, hear, place)
