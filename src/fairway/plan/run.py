"""The decisions about the next actions of a run.

`RunState` takes observations (a step was called, an attempt ended, somebody cancelled), and `decide` returns the
actions that follow. Both are deterministic: the same observations at the same times give the same actions, on a laptop,
on a cluster and in a simulation. The work of a call does not grow with the number of steps.
"""

import heapq
from collections import deque
from collections.abc import Iterable

import msgspec

from fairway.plan import calls, failures
from fairway.plan.driver import Conclude, Driver
from fairway.plan.placement import Placement
from fairway.plan.queue import Queue
from fairway.plan.step import Recorded, StepState
from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult, StepSpec

_COUNTED = (Reason.USER, Reason.CRASH, Reason.OOM, Reason.DISK, Reason.TIMEOUT)
_MAX_HOST_LOSSES = 10
_MAX_BACKOFF = 60.0
_FIRST_BACKOFF = 1.0
_HOST_BACKOFF = 0.2


class Begin(msgspec.Struct, frozen=True):
    """The action that sends an attempt of a step to the host of a place.

    If other runs leave no room for the attempt, answer with `RunState.no_room`. If it cannot begin, answer with
    `RunState.refused`.
    """

    step: str
    attempt: int
    place: str


class LookUp(msgspec.Struct, frozen=True):
    """The action that looks for an earlier result that can be used. Answer with `RunState.looked_up`."""

    step: str


class Halt(msgspec.Struct, frozen=True):
    """The action that ends a running attempt."""

    step: str
    attempt: int


class Settle(msgspec.Struct, frozen=True):
    """The action that records the end of a step and answers those who wait for it.

    A `replayed` step is on record already.
    """

    step: str
    phase: Phase
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    replayed: bool = False


Action = Begin | LookUp | Halt | Settle | Conclude


class RunState:
    """The state of a run, on which its decisions depend.

    Args:
        placement: the places of the steps. Their resources are counted as if no other run used them.
        recorded: the records of an earlier try at the same run, by step name.
    """

    def __init__(self, placement: Placement, recorded: dict[str, Recorded] | None = None) -> None:
        self._placement = placement
        self.steps: dict[str, StepState] = {}
        self._resources: dict[Resources, Resources] = {}
        self._recorded = recorded or {}
        self._queue = Queue(placement)
        self.driver = Driver()
        self._delayed: list[tuple[float, int, str]] = []
        self._count = 0
        self._out: deque[Action] = deque()
        self._open = 0
        self._failed: list[str] = []
        self._cancelling = False
        self._concluded = False

    def is_new(self, spec: StepSpec) -> bool:
        """Tell whether a call is not on record yet, neither from this process nor from an earlier one."""
        if spec.name in self.steps:
            return False
        earlier = self._recorded.get(spec.name)
        return earlier is None or not calls.same_call(earlier.spec, spec)

    def called(self, spec: StepSpec) -> None:
        """Note that the pipeline called a task.

        A repeated call under the same name, after the driver restarted, changes nothing. If it is plainly another call,
        the run fails: its pipeline would go on with results that it did not ask for.
        """
        known = self.steps.get(spec.name)
        if known is not None:
            if calls.contradicts(known.spec, spec):
                self.driver.returned(failures.unrepeatable(spec))
            return
        resources = self._resources.setdefault(spec.resources, spec.resources)
        places = self._placement.places(spec.environment)
        # A target without reserved places gives every step the same ones.
        places = tuple(place for place in places if place.reserved is spec.isolated) or places
        step = self.steps[spec.name] = StepState(spec, resources, places)
        self._open += 1
        # Before the check of resources: a step that is done, or runs already, needs none of them.
        if self._taken_up(step, spec):
            return
        # Nothing that its places have ever had is enough. A place that shrank may grow again, so the step waits otherwise.
        lacking = self._placement.lacking(spec.resources, places)
        if lacking is not None:
            self._settle(step, Phase.FAILED, failure=failures.too_much(spec, lacking))
            return
        sources = [self.steps[name] for name in calls.sources(spec)]
        lost = next((one for one in sources if one.phase in (Phase.FAILED, Phase.CANCELLED)), None)
        if lost is not None:
            self._settle(step, Phase.CANCELLED, failure=failures.upstream(lost))
            return
        for source in sources:
            if not source.phase.ended:
                step.waiting += 1
                if source.dependents is None:
                    source.dependents = []
                source.dependents.append(spec.name)
        if not step.waiting:
            self._prepare(step)

    def _taken_up(self, step: StepState, spec: StepSpec) -> bool:
        """Use the record of the step from an earlier try. Return False when the step has to run."""
        earlier = self._recorded.get(spec.name)
        if earlier is None:
            return False
        # Before any return: a record with this number may exist, and the first record of a number decides.
        step.attempt = max(earlier.attempts, earlier.running)
        same = calls.same_call(earlier.spec, spec)
        if same and earlier.outputs is not None:
            self._settle(step, Phase.SUCCEEDED, outputs=earlier.outputs, replayed=earlier.settled)
            return True
        if same and earlier.given_up is not None:
            self._settle(step, Phase.CANCELLED, failure=earlier.given_up, replayed=True)
            return True
        if not earlier.running:
            return False
        place = self._placement.place(earlier.place)
        if not same or place is None or earlier.running < earlier.attempts:
            self._out.append(Halt(step.name, earlier.running))
            return False
        self._queue.adopt(step, place)
        step.phase, step.attempt = Phase.RUNNING, earlier.running
        if self._cancelling:
            self._out.append(Halt(step.name, step.attempt))
        return True

    def looked_up(self, name: str, outputs: tuple[Artifact, ...] | None) -> None:
        """Take the answer to `LookUp`: an earlier result, or None when the step has to run."""
        step = self.steps[name]
        if step.phase.ended or not step.looking:
            return
        step.looking = False
        if outputs is not None:
            self._settle(step, Phase.SUCCEEDED, outputs=outputs)
        else:
            self._queue.add(step)

    def ended(self, name: str, attempt: int, result: StepResult, now: float) -> None:
        """Note that an attempt is over. Only the current attempt of a step that is not over counts."""
        step = self.steps.get(name)
        if step is None or not step.running or attempt != step.attempt:
            return
        self._queue.give_back(step)
        failure = result.failure
        if failure is None:
            self._settle(step, Phase.SUCCEEDED, outputs=result.outputs)
        elif step.given_up is not None:
            self._settle(step, Phase.CANCELLED, failure=step.given_up)
        elif self._cancelling:
            self._settle(step, Phase.CANCELLED, failure=failure)
        elif self._again(step, failure.reason):
            step.phase = Phase.PENDING
            self._count += 1
            heapq.heappush(self._delayed, (now + _backoff(step, failure.reason), self._count, name))
        else:
            self._settle(step, Phase.FAILED, failure=failure)

    def refused(self, name: str, failure: Failure) -> None:
        """End a step that cannot begin, for lack of an environment or because of a cancellation.

        `Begin` may have been given before, but no attempt was begun.
        """
        step = self.steps[name]
        if step.phase.ended:
            return
        if step.running:
            self._queue.give_back(step)
        unwanted = self._cancelling or step.given_up is not None
        self._settle(step, Phase.CANCELLED if unwanted else Phase.FAILED, failure=step.given_up or failure)

    def no_room(self, name: str) -> None:
        """Take the answer to `Begin` that other runs leave no room. Nothing was begun, so the step waits for `room`."""
        step = self.steps[name]
        if not step.running:
            return
        self._queue.no_room(step)
        step.attempt -= 1
        step.phase = Phase.PENDING
        if self._cancelling or step.given_up is not None:
            self._settle(step, Phase.CANCELLED, failure=step.given_up or failures.CANCELLED)

    def give_up(self, names: Iterable[str], why: str) -> None:
        """Note that the pipeline does not need these steps any more. A step that is over stays as it is.

        A running attempt is halted. If it succeeds before the halt reaches it, its result counts.
        """
        for name in names:
            step = self.steps.get(name)
            if step is None or step.phase.ended or step.given_up is not None:
                continue
            step.given_up = failures.given_up(why)
            if step.running:
                self._out.append(Halt(step.name, step.attempt))
            else:
                self._settle(step, Phase.CANCELLED, failure=step.given_up)

    def room(self) -> None:
        """Note that other runs may leave room now."""
        self._queue.ask_again()

    def capacity_changed(self, pool: str, bound: Resources | None) -> None:
        """Change the capacity of a pool. None is no bound. Running attempts go on."""
        self._placement.changed(pool, bound)

    def unreachable(self, place: str) -> None:
        """Note that the host of a place cannot be reached. Its attempts are kept, and nothing new begins there."""
        self._placement.unreachable(place)

    def reachable(self, place: str) -> None:
        """Note that the host of a place can be reached again, or is certainly gone and may be replaced."""
        self._placement.reachable(place)

    @property
    def waiting(self) -> StepState | None:
        """The first step that other runs leave no room for. None when there is none."""
        return self._queue.waiting

    def waiting_beside(self, step: StepState) -> int:
        """Return how many steps are ready for the places of a step that waits, that step included."""
        return self._queue.beside(step)

    def cancel(self) -> None:
        """Cancel the run: halt running attempts, and end all other steps."""
        if self._cancelling:
            return
        self._cancelling = True
        for step in list(self.steps.values()):
            if step.running:
                self._out.append(Halt(step.name, step.attempt))
            elif not step.phase.ended:
                self._settle(step, Phase.CANCELLED, failure=failures.CANCELLED)

    @property
    def cancelling(self) -> bool:
        """True when the run is being cancelled."""
        return self._cancelling

    def resolve(self, ref: RefData) -> Node:
        """Return the value of a ref. Its step must have succeeded."""
        outputs = self.steps[ref.step].outputs
        if ref.item >= 0:
            return outputs[ref.item]
        return outputs[0] if not self.steps[ref.step].several else Group("tuple", outputs)

    def next_time(self) -> float | None:
        """Return the time at which the next delayed step is due. Return None when no step is delayed."""
        return self._delayed[0][0] if self._delayed else None

    def due(self, now: float) -> list[Action]:
        """Return the actions that follow from all observations so far. Each is returned once."""
        while self._delayed and self._delayed[0][0] <= now:
            step = self.steps[heapq.heappop(self._delayed)[2]]
            if not step.phase.ended:
                self._queue.add(step)
        # After the delayed steps are back in the queue, because they may begin in this turn.
        self._begin_what_fits()
        if self.driver.over and not self._open and not self._concluded:
            self._concluded = True
            self._conclude()
        actions = list(self._out)
        self._out.clear()
        return actions

    def _conclude(self) -> None:
        # Halt attempts of an earlier engine that this pipeline did not ask for again: nobody else would end them.
        for name, earlier in self._recorded.items():
            if earlier.running and name not in self.steps:
                self._out.append(Halt(name, earlier.running))
        if self._cancelling:
            self._out.append(Conclude(Phase.CANCELLED, failures.CANCELLED))
        else:
            self._out.append(self.driver.conclusion(self.steps, self._failed))

    def _prepare(self, step: StepState) -> None:
        """Prepare a step whose inputs are all there: look for an earlier result, or put it into the queue."""
        if self._cancelling:
            self._settle(step, Phase.CANCELLED, failure=failures.CANCELLED)
        elif step.cache:
            step.looking = True
            self._out.append(LookUp(step.name))
        else:
            self._queue.add(step)

    def _settle(
        self,
        step: StepState,
        phase: Phase,
        *,
        outputs: tuple[Artifact, ...] = (),
        failure: Failure | None = None,
        replayed: bool = False,
    ) -> None:
        """End a step and every step that this ends or releases, without recursion."""
        ending = [(step, Settle(step.name, phase, outputs, failure, replayed))]
        while ending:
            current, end = ending.pop()
            if current.phase.ended:
                continue
            current.end(end.phase, end.outputs, end.failure)
            self._open -= 1
            self._out.append(end)
            if end.phase is Phase.FAILED:
                self._failed.append(end.step)
            released, current.dependents = current.dependents or [], None
            if end.phase is Phase.SUCCEEDED:
                self._release(released)
            else:
                lost = failures.upstream(current)
                ending += [
                    (self.steps[name], Settle(name, Phase.CANCELLED, failure=lost))
                    for name in reversed(released)
                ]

    def _release(self, names: list[str]) -> None:
        """Count another input as there for each of these steps."""
        for name in names:
            step = self.steps[name]
            step.waiting -= 1
            if not step.waiting and not step.phase.ended:
                self._prepare(step)

    def _again(self, step: StepState, reason: Reason) -> bool:
        if reason.is_loss:
            step.losses += 1
            return step.losses <= _MAX_HOST_LOSSES
        if reason not in _COUNTED:
            return False
        step.faults += 1
        return step.faults <= step.retries

    def _begin_what_fits(self) -> None:
        for step in self._queue.begin():
            step.phase = Phase.RUNNING
            step.attempt += 1
            assert step.at is not None
            self._out.append(Begin(step.name, step.attempt, step.at.name))


def decide(state: RunState, now: float) -> list[Action]:
    """Return the actions that are due at `now` (monotonic seconds), in order.

    Carry all of them out before the next call.
    """
    return state.due(now)


def _backoff(step: StepState, reason: Reason) -> float:
    if reason.is_loss:
        return _HOST_BACKOFF * step.losses
    return min(_MAX_BACKOFF, _FIRST_BACKOFF * 2.0 ** (step.faults - 1))
