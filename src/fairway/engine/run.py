"""The engine of one run: observations go into `plan.run`, its actions go to hosts, and facts go into the log.

All of it runs on one event loop and handles one message at a time. It knows hosts and stores only as ports,
and imports no user code.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from fairway.engine import failures
from fairway.engine.attempts import GRACE, Attempts
from fairway.engine.hosts import Hosts
from fairway.engine.journal import Journal
from fairway.engine.listening import Listener
from fairway.engine.lookups import Lookups
from fairway.engine.outbox import NOBODY, Outbox
from fairway.engine.pipeline import Pipeline
from fairway.engine.publishing import Models, Publisher
from fairway.engine.resume import recorded_steps
from fairway.engine.room import Room
from fairway.engine.watching import Watching
from fairway.plan.driver import Conclude
from fairway.plan.placement import Placement
from fairway.plan.run import Action, Begin, Halt, LookUp, RunState, Settle, decide
from fairway.ports import Clock, Executor, Host, LogStore, MetadataStore, ResultStore, StillRunning
from fairway.spec.artifact import Artifact
from fairway.spec.event import (
    AttemptEnded,
    MetricsLogged,
    PictureShown,
    RunCancelling,
    RunEnded,
    RunResumed,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.places import Back, Gone
from fairway.spec.project import ProjectSpec
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, RunSpec, RunStatus, StepResult, StepSpec
from fairway.spec.trials import TrialAsked
from fairway.spec.wire import (
    DRIVER,
    REGISTER,
    Ask,
    Await,
    Call,
    Committed,
    Exited,
    FromHost,
    GiveUp,
    Identified,
    Log,
    Metrics,
    Recall,
    Returned,
    Said,
    Showed,
    Stop,
    Watch,
    decode_from_child,
)


class Stores(msgspec.Struct, frozen=True):
    """The stores of an engine, and the outbox for messages about the end of its run."""

    metadata: MetadataStore
    results: ResultStore
    logs: LogStore
    read: Callable[[Artifact], bytes]
    holds: Callable[[Artifact], bool]
    outbox: Outbox = NOBODY


class RunEngine:
    """The engine of one run. `home` is the host that described the project. It also runs the pipeline itself."""

    def __init__(self, stores: Stores, executor: Executor, clock: Clock, listener: Listener) -> None:
        self._stores = stores
        self._executor = executor
        self._clock = clock
        self._listener = listener
        self._models = Models(stores.metadata)
        self._last_words: dict[tuple[str, int], Returned] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._early: dict[str, StepResult] = {}
        self._done: asyncio.Future[Conclude] | None = None
        self._on_record = self._wish_recorded = False
        self._cancel_first: Callable[[], None] | None = None
        # Until the run is on record, messages are taken in and nothing is decided.
        self._busy = True

    async def run(
        self, spec: RunSpec, project: ProjectSpec, home: Host, resumed: RunStatus | None = None
    ) -> RunEnded:
        """Start the run, or with `resumed` take it up, and carry it to its end. Return once the end is durable.

        Raises:
            StorageError: the log cannot be written. The run can be resumed from its record.
        """
        self._spec = spec
        metadata, loop = self._stores.metadata, asyncio.get_running_loop()
        self._done = loop.create_future()
        self._journal = Journal(metadata, self._clock, self._listener, spec.name, self._give_up)
        self._hosts = Hosts(self._executor, self.receive, self._go_on, self._give_up)
        self._lookups = Lookups(metadata, self._stores.holds, spec, project)
        self._publisher = Publisher(metadata, spec, project)
        self._placement = Placement(self._executor.places, self._executor.capacity())
        self._home = self._placement.places(None)[0]
        self._hosts.adopt(self._home, home)
        seen = await self._executor.observe(spec.name, self.receive) if resumed is not None else ()
        # Read the records after that: an attempt that ended in between is found by its record.
        self._before = recorded_steps(resumed, self._stores.results, seen) if resumed is not None else {}
        self._state = RunState(self._placement, self._before)
        self._room = Room(self._executor, self._state, self._clock, self._listener, self._go_on)
        self._attempts = Attempts(spec.name, self._state, self._hosts, self._room, self._journal, self._clock)
        self._pipeline = Pipeline(spec, self._home, self._state, self._hosts, self._journal)
        self._watching = Watching(self._state, self._pipeline.send, resumed)
        self._pipeline.repeated = self._watching.forget
        self._executor.enter(spec.name, self._capacity_changed)
        try:
            self._started = self._clock.now() if resumed is None else resumed.started
            if resumed is None:
                return await self._work(RunStarted(spec))
            return await self._work(RunResumed(project.source, self._adopt(seen)))
        finally:
            self._room.close()

    def _adopt(self, seen: Sequence[StillRunning]) -> dict[str, int]:
        """Take over the attempts that outlived the run's last engine. Return their numbers by step."""
        running: dict[str, int] = {}
        unwanted: list[StillRunning] = []
        for one in seen:
            self._hosts.adopt(one.place, one.host)
            known = self._before.get(one.step)
            if known is not None and known.running == one.attempt:
                self._hosts.assign(one.step, one.attempt, one.host)
                running[one.step] = one.attempt
            else:
                unwanted.append(one)
        # After all of them have their hosts, because a host goes with its last attempt.
        for one in unwanted:
            # The step is over, or its record is there already, so nobody waits for the attempt.
            one.host.send(Stop(step=one.step, attempt=one.attempt))
            self._hosts.dismiss(one.host)
        return running

    async def _work(self, beginning: RunStarted | RunResumed) -> RunEnded:
        assert self._done is not None
        self._journal.record(beginning)
        if self._cancel_first is not None:
            # Both go to disk together. A death in between would take the wish of a run that is taken up for an old one.
            self._record_wish(self._cancel_first)
        self._pipeline.begin()
        await self._begun()
        try:
            conclusion = await self._done
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._hosts.close()
        ended = self._pipeline.outcome(conclusion)
        for fact in await self._stores.outbox.facts_aside(self._spec, self._started, ended):
            self._journal.record(fact)
        await self._journal.flush()
        # After the flush: a host that quits ends its children, and one of them could be what a resume needs.
        self._hosts.quit()
        return ended

    async def _begun(self) -> None:
        """Wait until the run is on record. Its pipeline may begin meanwhile, but nothing is decided before."""
        await self._journal.flush()
        self._on_record, self._busy = True, False
        self._listener.begun()
        if self._cancel_first is not None:
            self.cancel(noted=self._cancel_first)
        self._go_on()

    def receive(self, host: Host, message: FromHost | Gone | Back) -> None:
        """Handle a message of a host, or an observation of the host itself."""
        if self._done is None or self._done.done():
            return
        try:
            if isinstance(message, Said):
                self._handle_child(host, message)
            elif isinstance(message, Exited):
                self._exited(host, message)
            elif isinstance(message, Log):
                self._stores.logs.append(
                    self._spec.name, message.step, message.attempt, message.time, message.data, message.sent
                )
                self._listener.output(message.step, message.attempt, message.data)
            elif isinstance(message, Identified):
                for step in self._lookups.answered(message.digests):
                    self._look_up(step)
            elif isinstance(message, Gone):
                self._gone(host, message)
            elif isinstance(message, Back):
                self._back(host)
        except Exception as error:
            self._give_up(error)
        else:
            self._go_on()

    def cancel(self, *, grace: float = GRACE, noted: Callable[[], None] = lambda: None) -> None:
        """Stop the run. Running attempts get `grace` seconds, then they are ended. A second call may give them less.

        `noted` is called once the wish is on record. It is not called for a run that has ended meanwhile.
        """
        if not self._on_record:
            # The log must say that the run began before it says that somebody wants it to stop.
            self._cancel_first = self._cancel_first or noted
            return
        if self._done is None or self._done.done():
            return
        if not self._state.cancelling:
            self._record_wish(noted)
            self._state.cancel()
            self._pipeline.cancel()
        self._hosts.to_all_running(lambda step, attempt: Stop(step=step, attempt=attempt, grace=grace))
        self._go_on()

    def _record_wish(self, noted: Callable[[], None]) -> None:
        if not self._wish_recorded:
            self._wish_recorded = True
            self._journal.record(RunCancelling())
            self._journal.when_durable(noted)

    def _capacity_changed(self, pool: str, bound: Resources | None) -> None:
        self._state.capacity_changed(pool, bound)
        self._go_on()

    def _go_on(self) -> None:
        """Carry out the actions that follow from the observations, until there are no more."""
        if self._busy:
            return
        self._busy = True  # An action may be answered at once. The next turn decides on the answer.
        try:
            while actions := decide(self._state, self._clock.monotonic()):
                for action in actions:
                    self._perform(action)
            self._room.wait()
            # Write after the actions, so that all facts that follow from one message go to disk together.
            self._journal.write()
        except Exception as error:
            # No caller would see the error: a timer or a host's message brought us here.
            self._give_up(error)
        finally:
            self._busy = False
        due = self._state.next_time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._go_on)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Begin):
            place = self._placement.place(action.place)
            assert place is not None
            self._attempts.begin(action, place)
            # Other runs may leave no room, and then nothing was begun.
            if self._state.steps[action.step].running:
                self._watching.begun(action.step)
        elif isinstance(action, LookUp):
            self._look_up(action.step)
        elif isinstance(action, Settle):
            self._settle(action)
        elif isinstance(action, Halt):
            self._attempts.halt(action)
        elif self._done is not None and not self._done.done():
            self._done.set_result(action)

    def _look_up(self, name: str) -> None:
        self._lookups.look_up(name, self._state, self._hosts.at(self._home))

    def _settle(self, action: Settle) -> None:
        if action.replayed:
            self._listener.kept(action.step)
        else:
            self._log_late_end(action.step)
            found = self._lookups.explain(action.step)
            upstream = action.failure is not None and action.failure.reason is Reason.UPSTREAM
            self._journal.record(
                StepEnded(
                    phase=action.phase,
                    outputs=action.outputs,
                    failure=action.failure,
                    # A key stands for a result that others may use. So only a success has one.
                    key=found.key if action.phase is Phase.SUCCEEDED else "",
                    parts=found.parts,
                    cached=bool(found.run),
                    why="" if upstream else found.why,
                    source_run=found.run,
                    source_step=found.step,
                ),
                action.step,
            )
        self._pipeline.settled(action.step)
        self._watching.settled(action.step)

    def _log_late_end(self, step: str) -> None:
        """Put the end of an attempt on record that came after the log of an earlier try, with what it used and showed."""
        before = self._before.get(step)
        late = before.result if before is not None else None
        if late is not None and late.attempt == self._state.steps[step].attempt:
            self._journal.record(AttemptEnded(late.attempt, late), step)

    def _handle_child(self, host: Host, said: Said) -> None:
        if self._hosts.running(said.step, said.attempt) is not host:
            return  # An attempt that was given up is no longer part of the run.
        message = decode_from_child(bytes(said.message))
        if isinstance(message, Call):
            self._called(message.spec)
        elif isinstance(message, Await):
            self._pipeline.ask(message)
        elif isinstance(message, Committed):
            # The record is durable, so the attempt ends now. Its process has nothing left to do but to go away.
            self._stores.logs.close(self._spec.name, said.step, said.attempt)
            self._hosts.over(said.step, said.attempt)
            self._attempt_ended(message.result)
        elif isinstance(message, Recall):
            self._watching.recall(message)
        elif isinstance(message, TrialAsked):
            if self._watching.asked(message):
                self._journal.record(message, said.step)
        elif isinstance(message, Watch):
            self._watching.watch(message)
        elif isinstance(message, GiveUp):
            self._state.give_up(message.steps, message.why)
        elif isinstance(message, Ask):
            host.send(self._models.answer(said.step, message))
        elif isinstance(message, Metrics):
            self._journal.record(MetricsLogged(message.points), said.step)
            self._watching.logged(said.step, message.points)
        elif isinstance(message, Showed):
            self._journal.record(PictureShown(message.title, message.picture), said.step)
        elif isinstance(message, Returned):
            self._last_words[said.step, said.attempt] = message

    def _called(self, spec: StepSpec) -> None:
        if self._state.is_new(spec):
            self._journal.record(StepCalled(spec), spec.name)
        elif spec.name not in self._state.steps:
            self._listener.recalled(spec)
        self._state.called(spec)
        early = self._early.pop(spec.name, None)
        if early is not None and self._attempts.is_awaited(early.step, early.attempt):
            self._attempt_ended(early)

    def _exited(self, host: Host, message: Exited) -> None:
        step, attempt = message.step, message.attempt
        self._stores.logs.close(self._spec.name, step, attempt)
        if self._hosts.running(step, attempt) is not host:
            return
        self._hosts.over(step, attempt)
        if step == DRIVER:
            self._pipeline.exited(message, self._last_words.pop((step, attempt), None))
            return
        known = self._state.steps.get(step) or self._before[step]
        failure = failures.without_record(message.ended, message.usage, known.spec)
        result = self._record_of(step, attempt, failure)
        self._attempt_ended(msgspec.structs.replace(result, usage=message.usage))

    def _record_of(self, step: str, attempt: int, failure: Failure) -> StepResult:
        """Return the result of an attempt that is over. Without a record, its last words or `failure` explain the end."""
        words = self._last_words.pop((step, attempt), None)
        result = self._stores.results.read(self._spec.name, step, attempt)
        if result is not None:
            return result
        if words is not None and words.failure is not None:
            failure = words.failure
        return StepResult(run=self._spec.name, step=step, attempt=attempt, failure=failure)

    def _attempt_ended(self, result: StepResult) -> None:
        state = self._state.steps.get(result.step)
        if state is None:
            # An adopted attempt ended before the repeated pipeline came to its call.
            self._early[result.step] = result
            return
        if result.failure is not None:
            result = failures.in_words(result, state.spec)
        elif state.spec.task == REGISTER:
            content = self._stores.read(result.outputs[0])
            result = self._publisher.publish(result, content, self._state)
        # Give the room back before the state learns of the end, so that the next step finds the room.
        self._attempts.over(result)
        self._journal.record(AttemptEnded(result.attempt, result), result.step)
        self._state.ended(result.step, result.attempt, result, self._clock.monotonic())

    def _gone(self, host: Host, gone: Gone) -> None:
        place = self._hosts.place_of(host)
        if place is None:
            return
        if not gone.certain:
            # The host is not lost. Its attempts may end well, and two attempts of a step at once could both leave their mark.
            if not place.alone:
                self._state.unreachable(place.name)
            return
        self._state.reachable(place.name)
        lost = self._hosts.lose(host, place)
        if place.name == self._home.name:
            for step in self._lookups.home_lost():
                self._look_up(step)
        for step, attempt in lost:
            if step == DRIVER:
                self._pipeline.lost(gone.failure, self._last_words.pop((step, attempt), None))
            else:
                self._attempt_ended(self._record_of(step, attempt, gone.failure))

    def _back(self, host: Host) -> None:
        place = self._hosts.place_of(host)
        if place is not None:
            self._state.reachable(place.name)

    def _give_up(self, error: BaseException) -> None:
        """End the engine's work with an error. The run can be resumed from its record."""
        if self._done is not None and not self._done.done():
            self._journal.close()
            self._done.set_exception(error)
