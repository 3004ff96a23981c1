"""Attempts of steps on their way to a host.

The place of an attempt has been decided on already. This module finds or starts a host there and sends the order.
"""

from fairway.engine import failures
from fairway.engine.hosts import Hosts
from fairway.engine.journal import Journal
from fairway.engine.room import Room
from fairway.plan import cachekey
from fairway.plan.run import Begin, Halt, RunState
from fairway.ports import Clock, Host
from fairway.spec.artifact import Artifact, walk
from fairway.spec.event import AttemptEnded, AttemptStarted
from fairway.spec.places import Attempt, Place
from fairway.spec.run import Failure, Reason, StepResult
from fairway.spec.wire import Start, Stop

GRACE = 10.0
"""Seconds a cancelled attempt has to end by itself."""


class Attempts:
    """The controller of the attempts of one run. It begins and stops them."""

    def __init__(
        self, run: str, state: RunState, hosts: Hosts, room: Room, journal: Journal, clock: Clock
    ) -> None:
        self._run = run
        self._clock = clock
        self._state = state
        self._hosts = hosts
        self._room = room
        self._journal = journal
        self._fresh: set[str] = set()

    def begin(self, action: Begin, place: Place) -> None:
        """Pass an attempt to the host of its place, if other runs leave room for it.

        A host is started where there is none.
        """
        if not self._room.take(place, action.step, action.attempt):
            return
        if not place.outlives:
            self._find_host(action, place)
            return
        # Record the attempt before it exists. The next engine must know every attempt that outlives this process.
        self._journal.record(AttemptStarted(action.attempt, place=place.name), action.step)
        self._journal.when_durable(lambda: self._find_host(action, place))

    def halt(self, action: Halt) -> None:
        """End an attempt, or prevent it from beginning."""
        host = self._hosts.running(action.step, action.attempt)
        if host is not None:
            host.send(Stop(step=action.step, attempt=action.attempt, grace=GRACE))
        elif self.is_awaited(action.step, action.attempt):
            # The attempt waits for its host or for the log. Without this it would begin once that is there, and run to its end.
            self._cannot_begin(action.step, action.attempt, failures.cancelled())

    def is_awaited(self, step: str, attempt: int) -> bool:
        """Tell whether an attempt was decided on, is still wanted, and runs nowhere."""
        state = self._state.steps.get(step)
        wanted = state is not None and state.running and state.attempt == attempt
        return wanted and self._hosts.running(step, attempt) is None

    def over(self, result: StepResult) -> None:
        """Release what an attempt used, and mark its outputs as verified for the steps that read them."""
        self._room.free(result.step, result.attempt)
        self._fresh.update(output.digest for output in result.outputs if output.inline is None)

    def _find_host(self, action: Begin, place: Place) -> None:
        host = self._hosts.at(place)
        if host is not None:
            self._hand_over(action, place, host)
            return
        own = None
        if place.alone:
            grant = self._room.of(action.step, action.attempt)
            if grant is None:
                return  # It was stopped while the log was written.
            own = Attempt(step=action.step, number=action.attempt, grant=grant)
        self._hosts.need(place, lambda found: self._hand_over(action, place, found), own)

    def _hand_over(self, action: Begin, place: Place, host: Host | Failure) -> None:
        if not self.is_awaited(action.step, action.attempt):
            if not isinstance(host, Failure):
                self._hosts.dismiss(host)
        elif isinstance(host, Failure):
            self._cannot_begin(action.step, action.attempt, host)
        else:
            self._hosts.assign(action.step, action.attempt, host)
            host.send(self._order(action))
            if not place.outlives:
                # Send first and record after, so that the host works meanwhile. The host dies with this process, so no attempt
                # without a record can survive.
                started = AttemptStarted(action.attempt, host.name, place.name)
                self._journal.record(started, action.step)

    def _order(self, action: Begin) -> Start:
        spec = self._state.steps[action.step].spec
        inputs = {name: cachekey.resolved(node, self._state.resolve) for name, node in spec.inputs.items()}
        digests = [
            leaf.digest for node in inputs.values() for leaf in walk(node) if isinstance(leaf, Artifact)
        ]
        grant = self._room.of(action.step, action.attempt)
        return Start(
            run=self._run,
            step=spec.name,
            attempt=action.attempt,
            task=spec.task,
            inputs=inputs,
            outputs=spec.outputs,
            cpu=spec.resources.cpu,
            memory=spec.resources.memory,
            timeout=spec.timeout,
            verified=tuple(digest for digest in digests if digest in self._fresh),
            lease=grant.lease if grant is not None else "",
            gpus=grant.gpus if grant is not None else (),
        )

    def _cannot_begin(self, step: str, attempt: int, failure: Failure) -> None:
        place = self._state.steps[step].at
        if place is not None and place.outlives:
            # The log says that the attempt started, so the log must also say that it ended.
            result = StepResult(run=self._run, step=step, attempt=attempt, failure=failure)
            self._journal.record(AttemptEnded(attempt, result), step)
        self._room.free(step, attempt)
        if failure.reason is Reason.UNPLACED:
            # Nothing is wrong with the step, and another place has room for it now.
            unplaced = StepResult(run=self._run, step=step, attempt=attempt, failure=failure)
            self._state.ended(step, attempt, unplaced, self._clock.monotonic())
        else:
            self._state.refused(step, failure)
