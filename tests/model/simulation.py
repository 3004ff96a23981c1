"""A simulated platform for `plan.run`: it loses, repeats, reorders and delays, and its engine dies between actions.

What a run is, is a `Plan`; how a step behaves is settled per attempt, whatever the platform does. The log and the
results outlive an engine; everything else is lost with it, as on a real machine.
"""

import random
from collections import Counter
from collections.abc import Iterator

from simulated_record import Begun, Called, Cancelling, Crash, Plan, Record, artifact, one_machine, together

from fairway.plan.driver import Conclude
from fairway.plan.run import Action, Begin, Halt, LookUp, RunState, Settle, decide
from fairway.spec.artifact import Artifact
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult


class Simulation:
    """One run under a platform that misbehaves as the random numbers say.

    Args:
        crashes: after how many actions of the whole run the engine dies, each once.
        unruly: whether messages are repeated, delayed and put out of order, hosts and drivers lost, writes slow,
            attempts of dead engines still leave results, and other runs use what they can get of the machine.
        torn: whether a death keeps all that was noted, although it was not written; only where nothing is unruly.
    """

    def __init__(
        self,
        plan: Plan,
        rng: random.Random,
        crashes: frozenset[int] = frozenset(),
        *,
        unruly: bool = True,
        torn: bool = False,
    ):
        self.plan = plan
        self.by_name = {step.name: step for step in plan.steps}
        self.rng = rng
        self.crashes = crashes
        self.unruly = unruly
        self.torn = torn
        self.record = Record()
        self.actions = 0
        self.now = 0.0
        self.faults: Counter[str] = Counter()
        self.losses = 0
        self.executions = 0
        self.ghosts: list[tuple[str, int]] = []
        self.late: set[tuple[str, int]] = set()
        self.others = Resources(cpu=0)
        self.refusals = 0

    def run(self) -> Conclude:
        """Start engines until one sees the run to its end."""
        for _ in range(len(self.crashes) + 1):
            try:
                return self._engine()
            except Crash:
                self._dead()
        raise AssertionError("more crashes than were asked for")

    def _dead(self) -> None:
        """What was not written is lost; what its attempts were about to commit may still be, once or much later."""
        self.faults.clear()
        record = self.record
        if self.unruly:
            record.cut(self.rng.randint(record.durable, len(record.log)))
            self.ghosts += [one for one in self.flying if self.rng.random() < 0.5]
            self.now = self.rng.uniform(0, 1e6)
            self.late |= {key for key in record.results if key[0] not in record.calls}
            self._haunt()
        else:
            record.cut(len(record.log) if self.torn else record.durable)

    def _engine(self) -> Conclude:
        recorded = self.record.recorded()
        self.last = Counter({name: one.attempts for name, one in recorded.items()})
        self.state = RunState(one_machine(self.plan.capacity), recorded)
        self.flying: list[tuple[str, int]] = []
        self.mail: list[StepResult] = []
        self.deaths = self.still = 0
        self.broken: Failure | None = None
        self._start_driver()
        if self.record.cancelled:
            self.state.cancel()
        for _ in range(10_000):
            actions = decide(self.state, self.now)
            for action in actions:
                self._perform(action)
                if self.record.conclusion is not None:
                    self._write()
                    return self.record.conclusion
            if not self.unruly or self.rng.random() < 0.5:
                self._write()
            if not actions:
                self._something_happens()
        raise AssertionError("the run does not end")

    def _write(self) -> None:
        """All that was noted is on disk."""
        self.record.durable = len(self.record.log)

    def _start_driver(self) -> None:
        self.driver = self._pipeline()
        self.waits = next(self.driver, None)
        if self.waits is None:
            self._returned()

    def _pipeline(self) -> Iterator[str]:
        """The user's function: yields the name of the step it waits for, or nothing where it is just slow."""
        for step in self.plan.steps:
            spec = step.spec()
            if self.state.is_new(spec):
                assert spec.name not in self.record.calls
                self.record.add(Called(spec))
            self.state.called(spec)
            if self.unruly and self.rng.random() < 0.1:
                self.state.called(spec)
            if self.unruly and self.rng.random() < 0.2:
                yield ""
            if step.name in self.plan.awaited:
                yield step.name
                seen = self.state.steps[step.name]
                if seen.failure is None:
                    self._tell_outputs(step.name, seen.outputs)
                    continue
                self.state.driver.delivered(step.name)
                if not self.plan.caught:
                    self.broken = seen.failure
                    return

    def _tell_outputs(self, name: str, outputs: tuple[Artifact, ...]) -> None:
        """Somebody outside sees a step's result: it may never be another one again."""
        assert self.record.told.setdefault(name, outputs) == outputs, f"{name} had another result before"

    def _returned(self) -> None:
        failure = self.broken
        if failure is not None:
            failure = Failure(reason=Reason.UPSTREAM, message="", cause=failure.cause or "driver")
        self.state.driver.returned(failure)

    def _perform(self, action: Action) -> None:
        self.actions += 1
        if self.actions in self.crashes:
            raise Crash
        if isinstance(action, Begin):
            wished = together([*self._in_use(), self.by_name[action.step].resources])
            assert wished.fits(self.plan.capacity), f"{wished} is more than there is"
            if together([wished, self.others]).fits(self.plan.capacity):
                self._begin(action)
            else:
                self.refusals += 1
                self.state.no_room(action.step)
                self.state.no_room(action.step)
        elif isinstance(action, LookUp):
            hit = self.by_name[action.step].hit
            self.state.looked_up(action.step, (artifact(action.step),) if hit else None)
            self.state.looked_up(action.step, None)
        elif isinstance(action, Halt):
            key = (action.step, action.attempt)
            assert key in self.flying or key in self.record.results, "an attempt was stopped that never began"
            if key in self.flying:
                self.flying.remove(key)
                self.mail.append(self._result(*key, Reason.CANCELLED))
        elif isinstance(action, Settle):
            self._settle(action)
        else:
            self.record.add(action)

    def _begin(self, action: Begin) -> None:
        step = self.by_name[action.step]
        assert not self.record.cancelled, "a step began after the cancel"
        assert action.attempt > self.record.begun[action.step], "an attempt's number was used twice"
        assert action.attempt == self.last[action.step] + 1, "an attempt was counted that never began"
        self.last[action.step] = action.attempt
        key = (action.step, action.attempt)
        assert key in self.late or key not in self.record.results, "an attempt has a result before it began"
        assert action.step not in [name for name, _ in self.flying], "two attempts of a step at once"
        for name in step.after:
            assert name in self.record.settled, "a step began before its input was there"
            assert self.record.settled[name].phase is Phase.SUCCEEDED, "a step began without its input"
            self._tell_outputs(name, self.state.steps[name].outputs)
        self.record.add(Begun(action.step, action.attempt))
        self.flying.append((action.step, action.attempt))

    def _in_use(self) -> list[Resources]:
        return [self.by_name[name].resources for name, _ in self.flying]

    def _others_change(self) -> None:
        """Other runs end, and others come and take what is left."""
        left = self.plan.capacity
        for used in self._in_use():
            left = Resources(
                cpu=left.cpu - used.cpu, memory=left.memory - used.memory, gpu=left.gpu - used.gpu
            )
        self.others = Resources(
            cpu=self.rng.choice([0, left.cpu / 2, left.cpu]),
            memory=self.rng.choice([0, left.memory]),
            gpu=self.rng.choice([0, left.gpu]),
        )
        self.state.room()

    def _others_leave(self) -> None:
        self.others = Resources(cpu=0)
        self.state.room()

    def _settle(self, action: Settle) -> None:
        before = self.record.settled.get(action.step)
        if before is not None and before.phase is Phase.SUCCEEDED:
            assert action.replayed, "a step that is over ended again"
            assert action.outputs == before.outputs, "a step has two results"
        else:
            assert not action.replayed
            self.record.add(action)
        if self.waits == action.step:
            self._go_on()

    def _go_on(self) -> None:
        """The pipeline gets the answers it waits for, until one is not there."""
        while self.waits and self.state.steps[self.waits].phase.ended:
            self._next()

    def _next(self) -> None:
        self.waits = next(self.driver, None)
        if self.waits is None:
            self._returned()

    def _something_happens(self) -> None:
        self._go_on()
        if self.plan.cancel_at >= 0 and self.actions >= self.plan.cancel_at and not self.record.cancelled:
            self.record.add(Cancelling())
            self.state.cancel()
            self.state.cancel()
            return
        choices = [self._finish] * bool(self.flying) + [self._deliver] * bool(self.mail)
        choices += [self._next] * (self.waits == "") + [self._haunt] * bool(self.ghosts)
        if self.unruly and self.rng.random() < 0.05:
            choices = (
                [self._lose_host] if self.rng.random() < 0.7 and self.losses < 5 else [self._lose_driver]
            )
        if self.unruly and self.rng.random() < 0.1:
            choices = [self._others_change]
        due = self.state.next_time()
        if due is not None and self.unruly and self.rng.random() < 0.3:
            choices = []
        if choices:
            self.still = 0
            self.rng.choice(choices)()
        elif due is not None:
            self.still = 0
            self._write()
            self.now = max(self.now, due)
        elif self.state.waiting is not None and self.others.cpu + self.others.memory + self.others.gpu:
            self._others_leave()
        else:
            self.still += 1
            assert self.still < 3, "the run stands still"

    def _finish(self) -> None:
        """An attempt ends by itself: its result is committed; the message may come later."""
        name, attempt = self.flying[self.rng.randrange(len(self.flying)) if self.unruly else 0]
        self._commit(name, attempt, self.by_name[name].reason(attempt))
        self._post(name, attempt)

    def _commit(self, name: str, attempt: int, reason: Reason | None) -> None:
        """An attempt leaves its result, if it is the first under its number. No two executions give the same."""
        self.executions += 1
        self.record.commit(self._result(name, attempt, reason))

    def _haunt(self) -> None:
        """An attempt of an engine or a host that is gone leaves its result after all; nobody says so."""
        if self.ghosts:
            name, attempt = self.ghosts.pop(self.rng.randrange(len(self.ghosts)))
            self.late.add((name, attempt))
            self._commit(name, attempt, self.by_name[name].reason(attempt))

    def _post(self, name: str, attempt: int) -> None:
        if (name, attempt) in self.flying:
            self.flying.remove((name, attempt))
            self.mail.append(self.record.results[name, attempt])

    def _deliver(self) -> None:
        place = self.rng.randrange(len(self.mail)) if self.unruly else 0
        result = self.mail[place]
        if not (self.unruly and self.rng.random() < 0.2):
            del self.mail[place]
        self._tell(result)

    def _tell(self, result: StepResult) -> None:
        state = self.state.steps[result.step]
        counts = state.running and result.attempt == state.attempt
        self.state.ended(result.step, result.attempt, result, self.now)
        if counts and result.failure is not None and result.failure.reason is not Reason.HOST:
            self.faults[result.step] += 1

    def _lose_driver(self) -> None:
        """The process of the pipeline dies; it is begun again and repeats its calls."""
        if self.waits is not None and self.deaths < 2:
            self.deaths += 1
            self._start_driver()

    def _lose_host(self) -> None:
        """Every attempt in flight is given up; some had left a result, some do so later, and say so too late."""
        self.losses += 1
        for name, attempt in list(self.flying):
            self.flying.remove((name, attempt))
            fate = self.rng.random()
            if fate < 0.2:
                self._commit(name, attempt, self.by_name[name].reason(attempt))
            result = self.record.results.get((name, attempt))
            self._tell(result or self._result(name, attempt, Reason.HOST))
            if 0.2 < fate < 0.4:
                self._commit(name, attempt, self.by_name[name].reason(attempt))
                self.mail.append(self.record.results[name, attempt])
            elif fate > 0.8:
                self.ghosts.append((name, attempt))
        self._lose_driver()

    def _result(self, name: str, attempt: int, reason: Reason | None) -> StepResult:
        failure = None if reason is None else Failure(reason=reason, message=str(reason))
        outputs = (artifact(f"{name}.{attempt}.{self.executions}"),) if failure is None else ()
        return StepResult(run="r", step=name, attempt=attempt, outputs=outputs, failure=failure)
