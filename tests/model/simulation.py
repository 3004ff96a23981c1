"""A simulated platform for `plan.run`: it loses, repeats, reorders and delays, and its engine dies between actions.

What a run is, is a `Plan`; how a step behaves is settled per attempt, whatever the platform does. The log and the
results outlive an engine; everything else is lost with it, as on a real machine.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from fairway.plan.run import Begin, Conclude, Halt, LookUp, Recorded, RunState, Settle, decide
from fairway.spec.artifact import Artifact, Group, RefData
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult, StepSpec


class Crash(Exception):
    """The engine died."""


@dataclass(frozen=True)
class Step:
    """A step and how its attempts end: `reasons[n]` is that of attempt n+1; after the last, they succeed."""

    name: str
    after: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    forever: bool = False
    retries: int = 0
    resources: Resources = field(default_factory=Resources)
    cache: bool = False
    hit: bool = False

    def spec(self) -> StepSpec:
        """As the pipeline calls it."""
        inputs = {"items": Group("list", tuple(RefData(name) for name in self.after))}
        return StepSpec(
            name=self.name,
            task=self.name,
            inputs=inputs,
            retries=self.retries,
            resources=self.resources,
            cache=self.cache,
        )

    def reason(self, attempt: int) -> Reason | None:
        """Why that attempt fails; None when it succeeds."""
        if self.forever:
            return Reason.USER
        return self.reasons[attempt - 1] if attempt <= len(self.reasons) else None


@dataclass
class Plan:
    """A run: its steps in the order of their calls, and which of them its pipeline waits for and forgives."""

    steps: list[Step]
    awaited: frozenset[str] = frozenset()
    caught: bool = True
    capacity: Resources = field(default_factory=lambda: Resources(cpu=4, memory=8, gpu=1))
    cancel_at: int = -1


@dataclass
class Record:
    """What survives an engine: settled steps, attempts begun, committed results and whether a cancel was asked."""

    settled: dict[str, Settle] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    results: dict[tuple[str, int], StepResult] = field(default_factory=dict)
    calls: dict[str, StepSpec] = field(default_factory=dict)
    cancelled: bool = False
    conclusion: Conclude | None = None

    def recorded(self) -> dict[str, Recorded]:
        """As an engine that takes the run up reads it."""
        found: dict[str, Recorded] = {}
        for name, spec in self.calls.items():
            settled = self.settled.get(name)
            done = settled is not None and settled.phase is Phase.SUCCEEDED
            outputs = settled.outputs if settled is not None and done else None
            if outputs is None:
                for attempt in range(1, self.begun[name] + 1):
                    result = self.results.get((name, attempt))
                    if result is not None and result.failure is None:
                        outputs = result.outputs
            found[name] = Recorded(spec, self.begun[name], outputs, settled=done)
        return found


def artifact(name: str) -> Artifact:
    """The output of a step."""
    return Artifact(format="json", digest=name, size=1)


class Simulation:
    """One run under a platform that misbehaves as the random numbers say.

    Args:
        crashes: after how many actions of the whole run the engine dies, each once.
        unruly: whether ends of attempts are repeated, delayed and put out of order, and hosts lost.
    """

    def __init__(
        self, plan: Plan, rng: random.Random, crashes: frozenset[int] = frozenset(), *, unruly: bool = True
    ):
        self.plan = plan
        self.by_name = {step.name: step for step in plan.steps}
        self.rng = rng
        self.crashes = crashes
        self.unruly = unruly
        self.record = Record()
        self.actions = 0
        self.now = 0.0
        self.peak = Resources(cpu=0)
        self.faults: Counter[str] = Counter()
        self.losses = 0

    def run(self) -> Conclude:
        """Start engines until one sees the run to its end."""
        for _ in range(len(self.crashes) + 1):
            try:
                return self._engine()
            except Crash:
                self.faults.clear()
                continue
        raise AssertionError("more crashes than were asked for")

    def _engine(self) -> Conclude:
        self.state = RunState(self.plan.capacity, self.record.recorded())
        self.flying: list[tuple[str, int]] = []
        self.mail: list[StepResult] = []
        self.delivered = 0
        self.driver = self._pipeline()
        self.waits = next(self.driver, None)
        if self.waits is None:
            self._returned()
        if self.record.cancelled:
            self.state.cancel()
        for _ in range(100_000):
            actions = decide(self.state, self.now)
            for action in actions:
                self._perform(action)
                if self.record.conclusion is not None:
                    return self.record.conclusion
            if not actions:
                self._something_happens()
        raise AssertionError("the run does not end")

    def _pipeline(self):
        for step in self.plan.steps:
            spec = step.spec()
            if self.state.is_new(spec):
                assert spec.name not in self.record.calls
                self.record.calls[spec.name] = spec
            self.state.called(spec)
            if self.unruly and self.rng.random() < 0.1:
                self.state.called(spec)
            if step.name in self.plan.awaited:
                yield step.name
                failure = self.state.steps[step.name].failure
                if failure is not None:
                    self.state.delivered(step.name)
                    if not self.plan.caught:
                        self.broken = failure
                        return

    def _returned(self) -> None:
        failure = getattr(self, "broken", None)
        if failure is not None:
            failure = Failure(reason=Reason.UPSTREAM, message="", cause=failure.cause or "driver")
        self.state.returned(failure)

    def _perform(self, action: object) -> None:
        self.actions += 1
        if self.actions in self.crashes:
            raise Crash
        if isinstance(action, Begin):
            self._begin(action)
        elif isinstance(action, LookUp):
            hit = self.by_name[action.step].hit
            self.state.looked_up(action.step, (artifact(action.step),) if hit else None)
            self.state.looked_up(action.step, None)
        elif isinstance(action, Halt):
            self.record.results.setdefault(
                (action.step, action.attempt), self._result(action.step, action.attempt, Reason.CANCELLED)
            )
            self._post(action.step, action.attempt)
        elif isinstance(action, Settle):
            self._settle(action)
        elif isinstance(action, Conclude):
            self.record.conclusion = action

    def _begin(self, action: Begin) -> None:
        step = self.by_name[action.step]
        assert not self.record.cancelled, "a step began after the cancel"
        assert (action.step, action.attempt) not in self.record.results, "an attempt's number was used twice"
        for name in step.after:
            assert self.record.settled[name].phase is Phase.SUCCEEDED, (
                "a step began before its input was there"
            )
        self.record.begun[action.step] = action.attempt
        self.flying.append((action.step, action.attempt))
        used = [self.by_name[name].resources for name, _ in self.flying]
        in_use = Resources(
            cpu=sum(one.cpu for one in used),
            memory=sum(one.memory for one in used),
            gpu=sum(one.gpu for one in used),
        )
        assert in_use.fits(self.plan.capacity), f"{in_use} is more than there is"

    def _settle(self, action: Settle) -> None:
        before = self.record.settled.get(action.step)
        if before is not None and before.phase is Phase.SUCCEEDED:
            assert action.replayed, "a step that is over ended again"
            assert action.outputs == before.outputs, "a step has two results"
        else:
            assert not action.replayed
            self.record.settled[action.step] = action
        if self.waits == action.step:
            self._go_on()

    def _go_on(self) -> None:
        while self.waits is not None and self.state.steps[self.waits].phase.ended:
            self.waits = next(self.driver, None)
        if self.waits is None:
            self._returned()

    def _something_happens(self) -> None:
        self._go_on()
        if self.plan.cancel_at >= 0 and self.actions >= self.plan.cancel_at and not self.record.cancelled:
            self.record.cancelled = True
            self.state.cancel()
            self.state.cancel()
            return
        choices = [self._finish] * bool(self.flying) + [self._deliver] * bool(self.mail)
        if self.unruly and self.flying and self.losses < 5 and self.rng.random() < 0.05:
            choices = [self._lose_host]
        due = self.state.next_time()
        if due is not None and self.unruly and self.rng.random() < 0.3:
            choices = []
        if choices:
            self.rng.choice(choices)()
        elif due is not None:
            self.now = max(self.now, due)

    def _finish(self) -> None:
        """An attempt ends by itself: its result is committed; the message may come later."""
        place = self.rng.randrange(len(self.flying)) if self.unruly else 0
        name, attempt = self.flying[place]
        reason = self.by_name[name].reason(attempt)
        self.record.results.setdefault((name, attempt), self._result(name, attempt, reason))
        self._post(name, attempt)

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

    def _lose_host(self) -> None:
        """Every attempt in flight dies without a result."""
        self.losses += 1
        for name, attempt in list(self.flying):
            self.flying.remove((name, attempt))
            self._tell(self._result(name, attempt, Reason.HOST))

    def _result(self, name: str, attempt: int, reason: Reason | None) -> StepResult:
        failure = None if reason is None else Failure(reason=reason, message=str(reason))
        outputs = (artifact(name),) if failure is None else ()
        return StepResult(run="r", step=name, attempt=attempt, outputs=outputs, failure=failure)
