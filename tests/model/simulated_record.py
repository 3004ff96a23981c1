"""The plan of a simulated run, and what outlives its engine: the log and the results."""

from collections import Counter
from dataclasses import dataclass, field

from fairway.engine.resume import recorded_steps
from fairway.plan.driver import Conclude
from fairway.plan.placement import Placement
from fairway.plan.run import Recorded, Settle
from fairway.spec.artifact import Artifact, Group, RefData
from fairway.spec.places import Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources
from fairway.spec.run import (
    AttemptStatus,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    StepResult,
    StepSpec,
    StepStatus,
)


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


@dataclass(frozen=True)
class Called:
    """Fact: the pipeline called a step."""

    spec: StepSpec


@dataclass(frozen=True)
class Begun:
    """Fact: an attempt was handed to a host."""

    step: str
    attempt: int


class Cancelling:
    """Fact: somebody wants the run to stop."""


Fact = Called | Begun | Settle | Cancelling | Conclude


class Record:
    """What survives an engine: the log as far as it was written, results of attempts, and what anybody was told.

    An engine hands facts to its writer and goes on; `durable` of them are on disk. A death cuts the log anywhere behind
    them, never in the middle of a batch's order.
    """

    def __init__(self) -> None:
        self.log: list[Fact] = []
        self.durable = 0
        self.results: dict[tuple[str, int], StepResult] = {}
        self.told: dict[str, tuple[Artifact, ...]] = {}
        self.calls: dict[str, StepSpec] = {}
        self.begun: Counter[str] = Counter()
        self.settled: dict[str, Settle] = {}
        self.cancelled = False
        self.conclusion: Conclude | None = None

    def add(self, fact: Fact) -> None:
        """Note a fact; it is not on disk yet."""
        self.log.append(fact)
        self._fold(fact)

    def cut(self, length: int) -> None:
        """Forget what was not written."""
        assert length >= self.durable
        facts = self.log[:length]
        self.log, self.durable = [], length
        self.calls, self.begun, self.settled = {}, Counter(), {}
        self.cancelled, self.conclusion = False, None
        for fact in facts:
            self.add(fact)

    def _fold(self, fact: Fact) -> None:
        if isinstance(fact, Called):
            self.calls[fact.spec.name] = fact.spec
        elif isinstance(fact, Begun):
            self.begun[fact.step] = fact.attempt
        elif isinstance(fact, Settle):
            self.settled[fact.step] = fact
        elif isinstance(fact, Cancelling):
            self.cancelled = True
        else:
            self.conclusion = fact

    def commit(self, result: StepResult) -> bool:
        """Keep the result of an attempt unless there is one."""
        return self.results.setdefault((result.step, result.attempt), result) is result

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """As the store of results answers."""
        return self.results.get((step, attempt))

    def recorded(self) -> dict[str, Recorded]:
        """As an engine that takes the run up reads it."""
        steps = tuple(
            StepStatus(
                spec=spec,
                phase=self.settled[name].phase if name in self.settled else Phase.PENDING,
                attempts=(AttemptStatus(number=self.begun[name]),) if self.begun[name] else (),
                outputs=self.settled[name].outputs if name in self.settled else (),
            )
            for name, spec in self.calls.items()
        )
        return recorded_steps(RunStatus(spec=_RUN, phase=Phase.RUNNING, started=0.0, steps=steps), self)


_RUN = RunSpec(name="r", pipeline="main", project="")


def one_machine(capacity: Resources) -> Placement:
    """Places of one pool for every environment, as on one machine."""

    def offer(environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        name = "home" if environment is None else "-".join(environment.requirements)
        return (Place(name=name, environment=environment, pool="machine"),)

    return Placement(offer, {"machine": capacity})


def artifact(name: str) -> Artifact:
    """The output of a step."""
    return Artifact(format="json", digest=name, size=1)


def together(parts: list[Resources]) -> Resources:
    """What several attempts use together."""
    return Resources(
        cpu=sum(one.cpu for one in parts),
        memory=sum(one.memory for one in parts),
        gpu=sum(one.gpu for one in parts),
    )
