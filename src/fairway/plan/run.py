"""What a run does next.

`RunState` takes observations (a step was called, an attempt ended, somebody cancelled) and `decide` says which actions
follow. Both are deterministic: the same observations at the same times give the same actions, on a laptop, on a cluster
and in a simulation. Work per call does not grow with the number of steps.
"""

import heapq
from collections import deque

import msgspec

from fairway.spec.artifact import Artifact, Group, Node, RefData, walk
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources, format_memory
from fairway.spec.run import Failure, Phase, Reason, StepResult, StepSpec

_COUNTED = (Reason.USER, Reason.CRASH, Reason.OOM, Reason.TIMEOUT)
_MAX_HOST_LOSSES = 10
_MAX_BACKOFF = 60.0


class Begin(msgspec.Struct, frozen=True):
    """Hand an attempt of a step to a host."""

    step: str
    attempt: int


class LookUp(msgspec.Struct, frozen=True):
    """See whether an earlier result can be used; answer with `RunState.looked_up`."""

    step: str


class Halt(msgspec.Struct, frozen=True):
    """End an attempt that runs."""

    step: str
    attempt: int


class Settle(msgspec.Struct, frozen=True):
    """Record that a step is over and answer whoever waits for it. `replayed` steps are on record already."""

    step: str
    phase: Phase
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    replayed: bool = False


class Conclude(msgspec.Struct, frozen=True):
    """The run is over."""

    phase: Phase
    failure: Failure | None = None


Action = Begin | LookUp | Halt | Settle | Conclude


class StepState:
    """One step as the run sees it."""

    __slots__ = (
        "attempt",
        "dependents",
        "failure",
        "faults",
        "losses",
        "outputs",
        "phase",
        "running",
        "spec",
        "waiting",
    )

    def __init__(self, spec: StepSpec) -> None:
        self.spec = spec
        self.phase = Phase.PENDING
        self.outputs: tuple[Artifact, ...] = ()
        self.failure: Failure | None = None
        self.attempt = 0
        self.faults = 0
        self.losses = 0
        self.running = False
        self.waiting = 0
        self.dependents: list[str] = []


class Recorded(msgspec.Struct, frozen=True):
    """What an earlier try at the same run left of a step.

    Attributes:
        outputs: None when it has to run again.
        settled: whether the log says that it ended; otherwise only its attempt's own record does.
    """

    spec: StepSpec
    attempts: int
    outputs: tuple[Artifact, ...] | None = None
    settled: bool = True


_Lane = tuple[Resources, EnvironmentSpec | None]


class RunState:
    """All that decisions about one run need."""

    def __init__(self, capacity: Resources, recorded: dict[str, Recorded] | None = None) -> None:
        self.capacity = capacity
        self.steps: dict[str, StepState] = {}
        self._recorded = recorded or {}
        self._cpu, self._memory, self._gpu = capacity.cpu, capacity.memory, capacity.gpu
        self._lanes: dict[_Lane, deque[str]] = {}
        self._delayed: list[tuple[float, int, str]] = []
        self._delays = 0
        self._out: deque[Action] = deque()
        self._running = 0
        self._open = 0
        self._handled: set[str] = set()
        self._failed: list[str] = []
        self._returned = False
        self._driver_failure: Failure | None = None
        self._cancelling = False
        self._concluded = False

    def is_new(self, spec: StepSpec) -> bool:
        """Whether this call is not on record yet, neither of this run's process nor of an earlier one."""
        if spec.name in self.steps:
            return False
        earlier = self._recorded.get(spec.name)
        return earlier is None or not _same_call(earlier.spec, spec)

    def called(self, spec: StepSpec) -> None:
        """The pipeline called a task. Calling again under the same name (after the driver restarted) changes nothing."""
        if spec.name in self.steps:
            return
        step = self.steps[spec.name] = StepState(spec)
        self._open += 1
        earlier = self._recorded.get(spec.name)
        if earlier is not None:
            step.attempt = earlier.attempts
            if earlier.outputs is not None and _same_call(earlier.spec, spec):
                self._settle(step, Phase.SUCCEEDED, outputs=earlier.outputs, replayed=earlier.settled)
                return
        if not spec.resources.fits(self.capacity):
            self._settle(step, Phase.FAILED, failure=_too_much(spec, self.capacity))
            return
        for cause in self._unfinished(step):
            step.waiting += 1
            self.steps[cause].dependents.append(spec.name)
        if step.phase is Phase.PENDING and not step.waiting:
            self._prepare(step)

    def looked_up(self, name: str, outputs: tuple[Artifact, ...] | None) -> None:
        """The answer to `LookUp`: an earlier result, or None when the step has to run."""
        step = self.steps[name]
        if step.phase.ended:
            return
        if outputs is not None:
            self._settle(step, Phase.SUCCEEDED, outputs=outputs)
        else:
            self._queue(step)

    def ended(self, name: str, attempt: int, result: StepResult, now: float) -> None:
        """An attempt is over. Only the current attempt of a step that is not over counts."""
        step = self.steps.get(name)
        if step is None or not step.running or attempt != step.attempt:
            return
        step.running = False
        self._running -= 1
        self._give_back(step.spec.resources)
        failure = result.failure
        if failure is None:
            self._settle(step, Phase.SUCCEEDED, outputs=result.outputs)
        elif self._cancelling or failure.reason is Reason.CANCELLED:
            self._settle(step, Phase.CANCELLED, failure=failure)
        elif self._again(step, failure.reason):
            step.phase = Phase.PENDING
            self._delays += 1
            heapq.heappush(self._delayed, (now + _backoff(step), self._delays, name))
        else:
            self._settle(step, Phase.FAILED, failure=failure)

    def refused(self, name: str, failure: Failure) -> None:
        """A step that had not begun cannot begin (its environment, its gate)."""
        step = self.steps[name]
        if step.phase.ended:
            return
        if step.running:
            step.running = False
            self._running -= 1
            self._give_back(step.spec.resources)
        self._settle(step, Phase.FAILED, failure=failure)

    def delivered(self, name: str) -> None:
        """The pipeline was told that this step failed, so it is the pipeline's business now."""
        self._handled.add(name)
        step = self.steps.get(name)
        if step is not None and step.failure is not None and step.failure.cause:
            self._handled.add(step.failure.cause)

    def returned(self, failure: Failure | None) -> None:
        """The pipeline function is over."""
        self._returned = True
        self._driver_failure = failure

    def cancel(self) -> None:
        """Somebody wants the run to stop."""
        if self._cancelling:
            return
        self._cancelling = True
        for step in list(self.steps.values()):
            if step.running:
                self._out.append(Halt(step.spec.name, step.attempt))
            elif not step.phase.ended:
                self._settle(step, Phase.CANCELLED, failure=_CANCELLED)

    @property
    def cancelling(self) -> bool:
        """Whether the run is being stopped."""
        return self._cancelling

    def resolve(self, ref: RefData) -> Node:
        """What a ref became. Its step must have succeeded."""
        outputs = self.steps[ref.step].outputs
        if ref.item >= 0:
            return outputs[ref.item]
        return outputs[0] if not self.steps[ref.step].spec.outputs else Group("tuple", outputs)

    def next_time(self) -> float | None:
        """When something will be due by itself; None when nothing is."""
        return self._delayed[0][0] if self._delayed else None

    def due(self, now: float) -> list[Action]:
        """Actions that follow from all observations so far; each is given once."""
        while self._delayed and self._delayed[0][0] <= now:
            step = self.steps[heapq.heappop(self._delayed)[2]]
            if not step.phase.ended:
                self._queue(step)
        if not self._cancelling:
            self._begin_what_fits()
        if self._returned and not self._open and not self._concluded:
            self._concluded = True
            self._out.append(self._conclusion())
        actions = list(self._out)
        self._out.clear()
        return actions

    def _unfinished(self, step: StepState) -> list[str]:
        """Steps this one waits for; settles it when one of its inputs cannot come."""
        names = dict.fromkeys(
            leaf.step
            for node in step.spec.inputs.values()
            for leaf in walk(node)
            if isinstance(leaf, RefData)
        )
        waiting: list[str] = []
        for name in names:
            source = self.steps[name]
            if source.phase in (Phase.FAILED, Phase.CANCELLED):
                self._skip(step, source)
                return []
            if not source.phase.ended:
                waiting.append(name)
        return waiting

    def _prepare(self, step: StepState) -> None:
        if self._cancelling:
            self._settle(step, Phase.CANCELLED, failure=_CANCELLED)
        elif step.spec.cache:
            self._out.append(LookUp(step.spec.name))
        else:
            self._queue(step)

    def _queue(self, step: StepState) -> None:
        lane = (step.spec.resources, step.spec.environment)
        self._lanes.setdefault(lane, deque()).append(step.spec.name)

    def _skip(self, step: StepState, source: StepState) -> None:
        cause = (
            source.failure.cause if source.failure is not None and source.failure.cause else source.spec.name
        )
        phase = Phase.CANCELLED
        failure = Failure(
            reason=Reason.UPSTREAM, message=f"not run, because {cause} did not succeed", cause=cause
        )
        self._settle(step, phase, failure=failure)

    def _settle(
        self,
        step: StepState,
        phase: Phase,
        *,
        outputs: tuple[Artifact, ...] = (),
        failure: Failure | None = None,
        replayed: bool = False,
    ) -> None:
        """End a step and everything that this ends or releases, without recursion."""
        stack = [(step, phase, outputs, failure, replayed)]
        while stack:
            current, phase, outputs, failure, replayed = stack.pop()
            if current.phase.ended:
                continue
            current.phase, current.outputs, current.failure = phase, outputs, failure
            self._open -= 1
            if phase is Phase.FAILED:
                self._failed.append(current.spec.name)
            self._out.append(Settle(current.spec.name, phase, outputs, failure, replayed))
            dependents, current.dependents = current.dependents, []
            for name in reversed(dependents) if phase is not Phase.SUCCEEDED else dependents:
                dependent = self.steps[name]
                if dependent.phase.ended:
                    continue
                if phase is Phase.SUCCEEDED:
                    dependent.waiting -= 1
                    if not dependent.waiting:
                        self._prepare(dependent)
                else:
                    cause = failure.cause if failure is not None and failure.cause else current.spec.name
                    message = f"not run, because {cause} did not succeed"
                    upstream = Failure(reason=Reason.UPSTREAM, message=message, cause=cause)
                    stack.append((dependent, Phase.CANCELLED, (), upstream, False))

    def _again(self, step: StepState, reason: Reason) -> bool:
        if reason is Reason.HOST:
            step.losses += 1
            return step.losses <= _MAX_HOST_LOSSES
        if reason not in _COUNTED:
            return False
        step.faults += 1
        return step.faults <= step.spec.retries

    def _fits(self, wanted: Resources) -> bool:
        return wanted.cpu <= self._cpu + 1e-9 and wanted.memory <= self._memory and wanted.gpu <= self._gpu

    def _give_back(self, taken: Resources) -> None:
        self._cpu += taken.cpu
        self._memory += taken.memory
        self._gpu += taken.gpu

    def _begin_what_fits(self) -> None:
        for lane in list(self._lanes):
            queue = self._lanes[lane]
            while queue and self._fits(lane[0]):
                step = self.steps[queue.popleft()]
                if step.phase.ended:
                    continue
                self._cpu -= lane[0].cpu
                self._memory -= lane[0].memory
                self._gpu -= lane[0].gpu
                step.phase, step.running = Phase.RUNNING, True
                step.attempt += 1
                self._running += 1
                self._out.append(Begin(step.spec.name, step.attempt))
            if not queue:
                del self._lanes[lane]

    def _conclusion(self) -> Conclude:
        if self._cancelling:
            return Conclude(Phase.CANCELLED, _CANCELLED)
        if self._driver_failure is not None:
            root = self.steps.get(self._driver_failure.cause)
            if root is not None and root.failure is not None:
                return Conclude(Phase.FAILED, msgspec.structs.replace(root.failure, cause=root.spec.name))
            return Conclude(Phase.FAILED, self._driver_failure)
        for name in self._failed:
            if name not in self._handled:
                failure = self.steps[name].failure or Failure(reason=Reason.NONE, message="failed")
                return Conclude(Phase.FAILED, msgspec.structs.replace(failure, cause=name))
        return Conclude(Phase.SUCCEEDED)


def decide(state: RunState, now: float) -> list[Action]:
    """The actions that are due at `now` (monotonic seconds), in order. Carry all of them out before asking again."""
    return state.due(now)


_CANCELLED = Failure(reason=Reason.CANCELLED, message="cancelled")


def _same_call(before: StepSpec, now: StepSpec) -> bool:
    return before.task == now.task and before.inputs == now.inputs


def _backoff(step: StepState) -> float:
    return min(_MAX_BACKOFF, 2.0 ** (step.faults - 1)) if step.faults else 0.2 * step.losses


def _too_much(spec: StepSpec, capacity: Resources) -> Failure:
    wanted = spec.resources
    said: list[str] = []
    if wanted.cpu > capacity.cpu:
        said.append(f"{wanted.cpu:g} CPUs of {capacity.cpu:g}")
    if wanted.memory > capacity.memory:
        said.append(f"{format_memory(wanted.memory)} of memory of {format_memory(capacity.memory)}")
    if wanted.gpu > capacity.gpu:
        said.append(f"{wanted.gpu} GPUs of {capacity.gpu}")
    return Failure(
        reason=Reason.RESOURCES,
        message=f"{spec.task} asks for more than there is: {', '.join(said)}",
        hint=f"lower it: `{spec.task}.options(…)`, or in its `@fw.task(…)`",
    )
