"""A world of fakes around the real `RunEngine`: hosts, executor and stores that lose, delay and die as random numbers say.

What survives an engine is in `World`: events as far as they were written, records of attempts, published versions. The
fakes fit the ports; the engine, its decisions and what it resumes from are the real ones.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from engine_fakes import FakeClock, FakeExecutor, FakeLogs, FakeMetadata, FakeResults
from engine_hosts import HERE, PROJECT, RUN, FakeHost
from simulated_record import Plan, Step, artifact
from simulated_time import SimulatedLoop

from fairway.engine.listening import Listener
from fairway.engine.publishing import inline_artifact
from fairway.engine.run import RunEngine, Stores
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.event import AttemptStarted, Event, RunCancelling, RunEnded, StepCalled, StepEnded
from fairway.spec.model import Candidate, ModelVersion
from fairway.spec.places import Place
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import (
    AttemptStatus,
    Failure,
    Phase,
    RunStatus,
    StepResult,
    StepSpec,
    StepStatus,
)
from fairway.spec.wire import (
    DRIVER,
    REGISTER,
)


class Crash(BaseException):
    """The engine died."""


@dataclass(frozen=True)
class Task(Step):
    """A step as the engine meets it; `register` says that it packages the model which the step before it made."""

    register: bool = False

    def spec(self) -> StepSpec:
        """As the pipeline calls it."""
        spec = super().spec()
        if not self.register:
            return spec
        return msgspec.structs.replace(spec, task=REGISTER, inputs={"model": RefData(self.after[0])})

    def failure(self, attempt: int) -> Failure | None:
        """Return the failure that an attempt ends with; None when it succeeds."""
        reason = self.reason(attempt)
        return None if reason is None else Failure(reason=reason, message=str(reason))


class World:
    """One run, the misfortunes that befall it, and what outlives its engines.

    Args:
        crashes: after how many calls of ports an engine dies, each once.
        unruly: how often things go wrong; 0.0 is a calm world.
        fatal: the step whose every attempt takes its host down; DRIVER for the pipeline's.
        places: where steps may run, the best one first.
    """

    def __init__(
        self,
        plan: Plan,
        rng: random.Random,
        crashes: frozenset[int] = frozenset(),
        *,
        unruly: float = 1.0,
        fatal: str = "",
        places: tuple[Place, ...] = (HERE,),
    ) -> None:
        self.plan = plan
        self.steps = {step.name: step for step in plan.steps if isinstance(step, Task)}
        self.rng = rng
        self.crashes = crashes
        self.unruly = unruly
        self.fatal = fatal
        self.places = places
        self.outliving: list[tuple[str, int]] = []
        self.taken_over = 0
        self.life: Life
        self.now = 0.0
        self.calls = 0
        self.log: list[Event] = []
        self.durable = 0
        self.results: dict[tuple[str, int], StepResult] = {}
        self.versions: dict[str, ModelVersion] = {}
        self.ghosts: list[tuple[str, int]] = []
        self.told: dict[str, tuple[Artifact, ...]] = {}
        self.executions: Counter[str] = Counter()
        self.host_losses = 0
        self.most_losses = 5
        self.hosts_started = 0
        self.dead = False

    # What an engine that takes the run up reads.

    def status(self) -> RunStatus:
        """Return the run as the log tells it."""
        calls: dict[str, StepSpec] = {}
        begun: Counter[str] = Counter()
        ended: dict[str, StepEnded] = {}
        for event in self.log:
            body = event.body
            if isinstance(body, StepCalled):
                assert event.step not in calls, "a call was recorded twice"
                calls[event.step] = body.spec
            elif isinstance(body, AttemptStarted) and event.step != DRIVER:
                assert body.number > begun[event.step], "an attempt's number was used twice"
                begun[event.step] = body.number
            elif isinstance(body, StepEnded):
                before = ended.get(event.step)
                assert before is None or before.phase is not Phase.SUCCEEDED, (
                    "a step that succeeded ended again"
                )
                ended[event.step] = body
        steps = tuple(
            StepStatus(
                spec=spec,
                phase=ended[name].phase if name in ended else Phase.PENDING,
                attempts=(AttemptStatus(number=begun[name]),) if begun[name] else (),
                outputs=ended[name].outputs if name in ended else (),
            )
            for name, spec in calls.items()
        )
        return RunStatus(spec=RUN, phase=Phase.RUNNING, started=0.0, steps=steps)

    @property
    def cancelled(self) -> bool:
        """Whether it is on record that somebody stopped the run."""
        return any(isinstance(event.body, RunCancelling) for event in self.log)

    def ends(self) -> dict[str, StepEnded]:
        """Return how each step ended, by the log."""
        return {event.step: event.body for event in self.log if isinstance(event.body, StepEnded)}

    def capacity(self, place: Place) -> Resources:
        """Return what a place has: the plan's capacity at the last one, and little at those before it."""
        return self.plan.capacity if place is self.places[-1] else Resources(cpu=1, memory=1)

    # Misfortune.

    def tick(self) -> None:
        """Count a call that the engine makes of a port; it may be its last."""
        if self.dead:
            raise Crash
        self.calls += 1
        if self.calls in self.crashes:
            self.dead = True
            self.life.freeze()
            raise Crash

    def chance(self, probability: float) -> bool:
        """Return whether something of that probability goes wrong."""
        return self.rng.random() < probability * self.unruly

    def delay(self, longest: float = 1.0) -> float:
        """Return how long something takes."""
        return self.rng.uniform(0.0, longest) if self.unruly else 0.01

    def commit(self, name: str, attempt: int, failure: Failure | None) -> StepResult:
        """Keep the record of an attempt, unless there is one; return the one that is kept. No two executions give the same."""
        self.executions[name] += 1
        outputs: tuple[Artifact, ...] = ()
        if failure is None:
            outputs = (self._output(name, attempt),)
        made = StepResult(run=RUN.name, step=name, attempt=attempt, outputs=outputs, failure=failure)
        return self.results.setdefault((name, attempt), made)

    def _output(self, name: str, attempt: int) -> Artifact:
        content = artifact(f"{name}.{attempt}.{self.executions[name]}")
        if self.steps[name].register:
            return inline_artifact(Candidate(name="model", artifact=content))
        return content

    def haunt(self) -> None:
        """Let an attempt whose host or engine is gone leave its record after all; nobody tells of it."""
        if self.ghosts:
            name, attempt = self.ghosts.pop(self.rng.randrange(len(self.ghosts)))
            self.commit(name, attempt, self.steps[name].failure(attempt))

    # Lives of engines.

    def run(self) -> RunEnded:
        """Start engines until one sees the run to its end."""
        for life in range(len(self.crashes) + 1):
            ended = Life(self, first=life == 0).live()
            if ended is not None:
                return ended
            self.dead = False
            self.log = self.log[
                : self.rng.randint(self.durable, len(self.log)) if self.unruly else self.durable
            ]
            self.durable = len(self.log)
            if not any(isinstance(event.body, RunEnded) for event in self.log) and self.chance(0.5):
                self.haunt()
            over = [event.body for event in self.log if isinstance(event.body, RunEnded)]
            if over:
                return over[-1]
        raise AssertionError("more crashes than were asked for")


class Life:
    """One engine, from its start to the end of the run or its death."""

    def __init__(self, world: World, *, first: bool) -> None:
        self.world = world
        self.first = first
        world.life = self
        self.loop = SimulatedLoop(world.now)
        self.hosts: list[FakeHost] = []
        self.granted: dict[str, list[Resources]] = {place.pool: [] for place in world.places}
        self.pools: dict[int, tuple[str, Grant]] = {}
        self.returned = False
        self.driver_kills = 0
        self.over = False
        self.engine = RunEngine(
            Stores(
                FakeMetadata(self),
                FakeResults(self),
                FakeLogs(self),
                self._read,
                lambda artifact: True,  # type: ignore[arg-type]
            ),
            FakeExecutor(self),  # type: ignore[arg-type]
            FakeClock(self),
            Listener(),
        )

    def live(self) -> RunEnded | None:
        """Return how the run ended; None when the engine died before."""
        self.loop.set_exception_handler(self._failed)
        self.wrong: BaseException | None = None
        try:
            return self.loop.run_until_complete(self._work())
        except Crash:
            return None
        finally:
            self.over = True
            self._die()
            self.world.now = self.loop.time()

    async def _work(self) -> RunEnded:
        world = self.world
        resumed = None if self.first and not world.log else world.status()
        home = FakeHost(self, self.engine.receive)
        self.died: asyncio.Future[None] = self.loop.create_future()
        work = self.loop.create_task(self.engine.run(RUN, PROJECT, home, resumed))  # type: ignore[arg-type]
        if world.cancelled:
            self.loop.call_soon(self._cancel)
        elif world.plan.cancel_at >= 0:
            self.loop.call_later(world.plan.cancel_at * 0.3, self._cancel)
        if world.unruly:
            self.loop.call_later(world.delay(3.0), self._misfortune)
        await asyncio.wait({work, self.died}, return_when=asyncio.FIRST_COMPLETED)
        if self.wrong is not None:
            raise self.wrong
        return work.result()

    def _cancel(self) -> None:
        self.engine.cancel(grace=self.world.rng.choice([0.0, 10.0]))

    def _misfortune(self) -> None:
        """Lose a host now and then, and let what was given up leave a record."""
        world = self.world
        alive = [host for host in self.hosts if host.alive]
        if alive and world.host_losses < world.most_losses and world.chance(0.2):
            world.host_losses += 1
            world.rng.choice(alive).lose()
        elif alive and world.chance(0.2):
            world.rng.choice(alive).out_of_reach()
        if world.chance(0.2):
            world.haunt()
        if not self.over:
            self.loop.call_later(world.delay(3.0), self._misfortune)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take an error that nobody caught: the engine's death, or a bug."""
        error = context.get("exception")
        if self.over or self.died.done():
            return
        self.wrong = error if error is not None else AssertionError(context["message"])
        self.died.set_result(None)

    def freeze(self) -> None:
        """End every process of this engine at this moment, but for what outlives it."""
        for host in self.hosts:
            for name, attempt in host.attempts if host.alive else ():
                if name != DRIVER and host.place.outlives:
                    self.world.outliving.append((name, attempt))
                elif name != DRIVER and self.world.chance(0.5):
                    self.world.ghosts.append((name, attempt))
            host.alive = False

    def _die(self) -> None:
        """End the loop and every process of this engine. Some of them had left, or still leave, their record."""
        self.freeze()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.loop.close()

    def _read(self, content: Artifact) -> bytes:
        self.world.tick()
        assert content.inline is not None
        return content.inline

    def wrote(self) -> None:
        """All events are on the disk."""
        self.world.durable = len(self.world.log)
