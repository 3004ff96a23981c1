"""A world of fakes around the real `RunEngine`: hosts, executor and stores that lose, delay and die as random numbers say.

What survives an engine is in `World`: events as far as they were written, records of attempts, published versions. The
fakes fit the ports; the engine, its decisions and what it resumes from are the real ones.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from simulated_time import SimulatedLoop
from simulation import Plan, Step, artifact

from fairway.engine.listening import Listener
from fairway.engine.publishing import inline_artifact
from fairway.engine.run import RunEngine, Stores
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.errors import HostLost, NotFound
from fairway.spec.event import AttemptStarted, Event, RunCancelling, RunEnded, StepCalled, StepEnded
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.places import Back, Gone, Place
from fairway.spec.project import ProjectSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import (
    AttemptStatus,
    Failure,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    StepResult,
    StepSpec,
    StepStatus,
    Usage,
)
from fairway.spec.wire import (
    DRIVER,
    REGISTER,
    Answer,
    Await,
    Call,
    Cause,
    Committed,
    Ended,
    Exited,
    FromHost,
    Quit,
    Returned,
    Said,
    Start,
    Stop,
    ToHost,
)

RUN = RunSpec(name="r", pipeline="main", project="")
PROJECT = ProjectSpec(path="", name="project")
_encode = msgspec.msgpack.Encoder().encode


HERE = Place(name="here", pool="here")
POD = Place(name="pod", pool="pods", alone=True, outlives=True)
"""A place where each attempt has a host of its own, which goes on when the engine dies."""
Hear = Callable[["FakeHost", FromHost | Gone | Back], None]


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
        home = FakeHost(self, self.engine.hear)
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


class FakeClock:
    """The clock of a life; both of its times are simulated."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def now(self) -> float:
        return 1e9 + self._life.loop.time()

    def monotonic(self) -> float:
        return self._life.loop.time()


class FakeMetadata:
    """The event log: what is submitted is durable after a while, in its order."""

    def __init__(self, life: Life) -> None:
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

    def __init__(self, life: Life) -> None:
        self._life = life

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        self._life.world.tick()
        return self._life.world.results.get((step, attempt))


class FakeLogs:
    """Output, which nobody reads here."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def append(self, run: str, step: str, attempt: int, time: float, data: bytes) -> None:
        self._life.world.tick()

    def close(self, run: str, step: str, attempt: int) -> None:
        self._life.world.tick()


def add(parts: Sequence[Resources]) -> Resources:
    """Return what several attempts use together."""
    return Resources(
        cpu=sum(one.cpu for one in parts),
        memory=sum(one.memory for one in parts),
        gpu=sum(one.gpu for one in parts),
    )


class FakeExecutor:
    """A place with the plan's capacity, of which other runs take what they like."""

    def __init__(self, life: Life) -> None:
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
        together = add(granted)
        assert together.fits(life.world.capacity(place)), f"{together} is more than there is"
        taken_over = [host.adopted for host in life.hosts if host.place is place and host.adopted is not None]
        if not add(granted + taken_over).fits(life.world.capacity(place)):
            return None  # One that the engine did not count, because nobody needs it, is on its way out.
        life.granted[place.pool].append(wanted)
        grant = Grant(resources=wanted)
        life.pools[id(grant)] = (place.pool, grant)
        return grant

    def give_back(self, grant: Grant) -> None:
        pool, _ = self._life.pools.pop(id(grant))
        self._life.granted[pool].remove(grant.resources)

    def wait_for(self, wanted: Resources, step: str) -> None:
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


@dataclass(frozen=True)
class Seen:
    """An attempt that outlived its engine."""

    step: str
    attempt: int
    place: Place
    host: "FakeHost"


class FakeHost:
    """A host whose children behave as the plan says. Its messages arrive late, and in their order."""

    def __init__(self, life: Life, hear: "Hear", place: Place = HERE) -> None:
        self.life = life
        self.place = place
        self.adopted: Resources | None = None
        self._away = False
        self._held: list[Callable[[], object]] = []
        self.hear = hear
        self.alive = True
        self.attempts: dict[tuple[str, int], Callable[[Answer], None] | None] = {}
        self.name = f"host-{len(life.hosts) + 1}"
        self._at = 0.0
        self._cut = False
        self._last: FromHost | None = None
        life.hosts.append(self)

    def send(self, message: ToHost) -> None:
        world = self.life.world
        world.tick()
        if not self.alive:
            return
        if self._away:
            assert not isinstance(message, Start), "something began at a host out of reach"
            self._held.append(lambda: self.send(message))
            return
        if isinstance(message, Start):
            if self.place.outlives and message.step != DRIVER:
                durable = world.log[: world.durable]
                assert any(
                    isinstance(event.body, AttemptStarted)
                    and (event.step, event.body.number) == (message.step, message.attempt)
                    for event in durable
                ), "what outlives the engine began before it was on record"
            if message.step == DRIVER:
                self._start_driver(message)
            else:
                self._start_step(message)
            if message.step == world.fatal:
                self._later(0.001, self.lose)
        elif isinstance(message, Stop):
            self._later(message.grace and world.delay(message.grace), lambda: self._stop(message))
        elif isinstance(message, Answer):
            answered = self.attempts.get((DRIVER, self._driver_attempt)) if message.step == DRIVER else None
            if answered is not None:
                self._later(world.delay(0.1), lambda: answered(message))
        else:
            assert isinstance(message, Quit)

    async def close(self) -> None:
        self.alive = False

    def lose(self) -> None:
        """End the host and its children at once. Some of them had left their record; nobody says so."""
        world = self.life.world
        self.alive = False
        for name, attempt in self.attempts:
            if name not in (DRIVER, world.fatal):
                fate = world.rng.random()
                if fate < 0.3:
                    world.commit(name, attempt, world.steps[name].failure(attempt))
                elif fate < 0.5:
                    world.ghosts.append((name, attempt))
        self.attempts.clear()
        self.life.loop.call_later(world.delay(0.5), self._gone)

    def out_of_reach(self) -> None:
        """Let nothing pass for a while; what runs goes on."""
        if self._away:
            return
        self._away = True
        self.hear(self, Gone(failure=Failure(reason=Reason.HOST, message="out of reach"), certain=False))
        self._later(self.life.world.delay(5.0), self._back)

    def _back(self) -> None:
        self._away = False
        self.hear(self, Back())
        held, self._held = self._held, []
        for one in held:
            one()

    def _gone(self) -> None:
        self._cut = True
        self._free()
        self.hear(self, Gone(failure=Failure(reason=Reason.HOST, message="its host was lost")))

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        self.life.loop.call_later(seconds, lambda: act() if self.alive else None)

    def _post(self, message: FromHost) -> None:
        """Send the engine a message behind all that were sent before."""
        self._at = max(self._at, self.life.loop.time()) + self.life.world.delay(0.05)
        self.life.loop.call_at(self._at, self._arrive, message)

    def _free(self) -> None:
        """An attempt that was taken over uses nothing any more."""
        self.adopted = None

    def _arrive(self, message: FromHost) -> None:
        if self._away and self.alive:
            self._held.append(lambda: self._arrive(message))
            return
        # Of what was on its way when a host was lost a first part may arrive before the loss is seen.
        self._cut = self._cut or (not self.alive and self.life.world.chance(0.5))
        if not self._cut:
            if message == self._last:
                self.life.returned = True
            if isinstance(message, Said | Exited):
                self._free()
            self.hear(self, message)

    def _say(self, step: str, attempt: int, message: object) -> None:
        self._post(Said(step=step, attempt=attempt, message=msgspec.Raw(_encode(message))))

    def _exit(self, step: str, attempt: int, ended: Ended) -> None:
        if self.attempts.pop((step, attempt), _ABSENT) is not _ABSENT:
            self._post(Exited(step=step, attempt=attempt, usage=Usage(), ended=ended))

    # The pipeline.

    def _start_driver(self, start: Start) -> None:
        alive = [
            host
            for host in self.life.hosts
            if host.alive and any(name == DRIVER for name, _ in host.attempts)
        ]
        assert not alive, "two drivers at once"
        assert not self.life.returned, "the pipeline began again after it had returned"
        self._driver_attempt = start.attempt
        pipeline = self._pipeline(start.attempt)
        waits = ""

        def step_on(_: object = None) -> None:
            nonlocal waits
            if not self.alive or (DRIVER, start.attempt) not in self.attempts:
                return
            waits = next(pipeline, None) or ""
            if waits == "slow":
                self._later(self.life.world.delay(), step_on)

        def answered(answer: Answer) -> None:
            self._answer = answer
            step_on()

        self.attempts[DRIVER, start.attempt] = answered
        self._later(self.life.world.delay(0.2), step_on)

    def _pipeline(self, attempt: int) -> Iterator[str]:
        """The user's function: yields "slow" where it takes its time, and a step's name where it waits for that."""
        world = self.life.world
        failure: Failure | None = None
        for number, step in enumerate(world.plan.steps):
            self._say(DRIVER, attempt, Call(spec=step.spec()))
            if world.chance(0.3):
                yield "slow"
            if self.life.driver_kills < 2 and world.chance(0.03):
                self.life.driver_kills += 1
                self._exit(DRIVER, attempt, KILLED)
                return
            if step.name in world.plan.awaited:
                self._say(DRIVER, attempt, Await(question=number, step=step.name))
                yield step.name
                answer = self._answer
                assert answer.question == number
                if answer.failure is None:
                    told = world.told.setdefault(step.name, answer.outputs)
                    assert told == answer.outputs, f"{step.name} had another result before"
                elif not world.plan.caught:
                    failure = msgspec.structs.replace(answer.failure, cause=answer.failure.cause or step.name)
                    break
        self._post_return(attempt, failure)

    def _post_return(self, attempt: int, failure: Failure | None) -> None:
        message = Returned(failure=failure)
        said = Said(step=DRIVER, attempt=attempt, message=msgspec.Raw(_encode(message)))
        self._post(said)
        self._last = Exited(step=DRIVER, attempt=attempt, usage=Usage(), ended=QUIET)
        self._exit(DRIVER, attempt, QUIET)

    # Steps.

    def _start_step(self, start: Start) -> None:
        world, key = self.life.world, (start.step, start.attempt)
        assert key not in self.attempts
        running = [name for host in self.life.hosts if host.alive for name, _ in host.attempts]
        assert start.step not in running, "two attempts of a step at once"
        for name in world.steps[start.step].after:
            made = [one for (step, _), one in world.results.items() if step == name and one.failure is None]
            assert made, "a step began without its input"
        self.attempts[key] = None
        self._later(world.delay(2.0), lambda: self._finish(*key))

    def _finish(self, name: str, attempt: int) -> None:
        world = self.life.world
        if (name, attempt) not in self.attempts:
            return
        failure = world.steps[name].failure(attempt)
        if failure is not None and failure.reason is not Reason.USER:
            self._exit(name, attempt, ENDS[failure.reason])
            return
        result = world.commit(name, attempt, failure)
        if not world.chance(0.3):
            self._say(name, attempt, Committed(result=result))
        if world.chance(0.1) and world.host_losses < world.most_losses:
            world.host_losses += 1
            self.lose()
            return
        self._exit(name, attempt, QUIET)

    def _stop(self, message: Stop) -> None:
        self._exit(message.step, message.attempt, STOPPED)


_ABSENT = object()
KILLED = Ended(signal="SIGKILL")
QUIET = Ended()
STOPPED = Ended(signal="SIGTERM", cause=Cause.STOP)
ENDS = {
    Reason.CRASH: Ended(signal="SIGSEGV"),
    Reason.OOM: Ended(signal="SIGKILL", cause=Cause.MEMORY),
    Reason.TIMEOUT: Ended(signal="SIGKILL", cause=Cause.TIMEOUT),
}
"""How the process of an attempt ends that leaves no record."""
