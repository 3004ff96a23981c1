"""Hosts of the run engine that misbehave as their world says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fairway.spec.event import AttemptStarted
from fairway.spec.places import Back, Gone, Place
from fairway.spec.project import ProjectSpec
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Reason, RunSpec, Usage
from fairway.spec.wire import (
    DRIVER,
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

if TYPE_CHECKING:
    from engine_world import Life

RUN = RunSpec(name="r", pipeline="main", project="")
PROJECT = ProjectSpec(path="", name="project")
_encode = msgspec.msgpack.Encoder().encode
HERE = Place(name="here", pool="here")
Hear = Callable[["FakeHost", FromHost | Gone | Back], None]


@dataclass(frozen=True)
class Seen:
    """An attempt that outlived its engine."""

    step: str
    attempt: int
    place: Place
    host: "FakeHost"


class FakeHost:
    """A host whose children behave as the plan says. Its messages arrive late, and in their order."""

    def __init__(self, life: "Life", hear: "Hear", place: Place = HERE) -> None:
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
        # Out of reach, it leaves the first messages behind: none may arrive that was sent after them.
        self._cut = self._cut or self._away
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
