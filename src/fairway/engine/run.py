"""One run, carried to its end: observations go into `plan.run`, its actions out to hosts, facts into the log.

Everything here happens on one event loop, in answer to one message at a time. It knows hosts and stores only as ports,
and imports no user code.
"""

import asyncio
from collections.abc import Callable

import msgspec

from fairway.engine import failures
from fairway.engine.hosts import Hosts
from fairway.engine.journal import Journal
from fairway.engine.listening import Listener
from fairway.engine.lookups import Lookups
from fairway.engine.publishing import Models, Publisher
from fairway.engine.room import Room
from fairway.plan import cachekey
from fairway.plan.driver import Conclude
from fairway.plan.run import Action, Begin, Halt, LookUp, Recorded, RunState, Settle, decide
from fairway.ports import Clock, Executor, Host, LogStore, MetadataStore, ResultStore
from fairway.spec.artifact import Artifact, Node, walk
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    MetricsLogged,
    PictureShown,
    RunCancelling,
    RunEnded,
    RunResumed,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, Phase, Reason, RunSpec, StepResult
from fairway.spec.wire import (
    DRIVER,
    REGISTER,
    Answer,
    Ask,
    Await,
    Call,
    Committed,
    Exited,
    FromHost,
    Identified,
    Log,
    Metrics,
    Returned,
    Said,
    Showed,
    Start,
    Stop,
    decode_from_child,
)

GRACE = 10.0
"""Seconds a cancelled attempt has to end by itself."""


class Stores(msgspec.Struct, frozen=True):
    """Where an engine reads and keeps things."""

    metadata: MetadataStore
    results: ResultStore
    logs: LogStore
    read: Callable[[Artifact], bytes]
    holds: Callable[[Artifact], bool]


class RunEngine:
    """Carries out one run. `home` is the host that described the project; it also runs the pipeline itself."""

    def __init__(self, stores: Stores, executor: Executor, clock: Clock, listener: Listener) -> None:
        self._stores = stores
        self._executor = executor
        self._clock = clock
        self._listener = listener
        self._models = Models(stores.metadata)
        self._last_words: dict[tuple[str, int], Returned] = {}
        self._questions: dict[str, list[int]] = {}
        self._fresh: set[str] = set()
        self._result: Node | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[Conclude] | None = None
        self._busy = False

    async def run(
        self, spec: RunSpec, project: ProjectSpec, home: Host, resumed: dict[str, Recorded] | None = None
    ) -> RunEnded:
        """Start (or with `resumed`, take up) the run and see it to its end; returns once that is durable.

        Raises:
            StorageError: the log cannot be written; what is on record can be resumed.
        """
        self._spec = spec
        self._state = RunState(self._executor.capacity(), resumed)
        self._room = Room(self._executor, self._state, self._listener, self._go_on)
        self._lookups = Lookups(self._stores.metadata, self._stores.holds, spec, project)
        self._publisher = Publisher(self._stores.metadata, spec, project)
        self._done = asyncio.get_running_loop().create_future()
        self._journal = Journal(self._stores.metadata, self._clock, self._listener, spec.name, self._give_up)
        self._hosts = Hosts(self._executor, self.hear, self._go_on, self._give_up)
        self._hosts.adopt(None, home)
        self._executor.enter(spec.name)
        try:
            return await self._work(RunStarted(spec) if resumed is None else RunResumed(project.source))
        finally:
            self._room.close()

    async def _work(self, beginning: RunStarted | RunResumed) -> RunEnded:
        assert self._done is not None
        self._journal.record(beginning)
        self._start_driver()
        await self._begun()
        try:
            conclusion = await self._done
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._hosts.close()
        result = None
        if conclusion.phase is Phase.SUCCEEDED and self._result is not None:
            result = cachekey.resolved(self._result, self._state.resolve)
        ended = RunEnded(conclusion.phase, conclusion.failure, result)
        self._journal.record(ended)
        await self._journal.flush()
        # Only now: a host that quits ends its children, and one of them could be what a resume needs.
        self._hosts.quit()
        return ended

    async def _begun(self) -> None:
        """Wait until the run is on record; its pipeline may begin meanwhile, but nothing is decided before."""
        self._busy = True
        try:
            await self._journal.flush()
        finally:
            self._busy = False
        self._listener.begun()
        self._go_on()

    def hear(self, host: Host, message: FromHost | None) -> None:
        """Take a message of a host; None when it is gone."""
        if self._done is None or self._done.done():
            return
        try:
            if message is None:
                self._lost(host)
            elif isinstance(message, Said):
                self._child_said(message)
            elif isinstance(message, Exited):
                self._exited(message)
            elif isinstance(message, Identified):
                for step in self._lookups.answered(message.digests):
                    self._look_up(step)
            elif isinstance(message, Log):
                self._stores.logs.append(
                    self._spec.name, message.step, message.attempt, message.time, message.data
                )
                self._listener.output(message.step, message.attempt, message.data)
        except Exception as error:
            self._give_up(error)
        else:
            self._go_on()

    def cancel(self, *, grace: float = GRACE) -> None:
        """Stop the run: running attempts get `grace` seconds, then they are ended. May be called again with less."""
        if self._done is None or self._done.done():
            return
        if not self._state.cancelling:
            self._journal.record(RunCancelling())
            self._state.cancel()
        self._hosts.to_all_running(lambda step, attempt: Stop(step=step, attempt=attempt, grace=grace))
        self._go_on()

    def _go_on(self) -> None:
        """Carry out what follows from what was observed, until nothing more does."""
        if self._busy:
            return
        self._busy = True  # An action may be answered at once; the answer is decided on in the next turn.
        try:
            while actions := decide(self._state, self._clock.monotonic()):
                for action in actions:
                    self._perform(action)
            self._room.wait()
            # After the actions: all facts that follow from one message go to disk together.
            self._journal.write()
        except Exception as error:
            # Nobody above is there to see it: a timer or a host's message brought us here.
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
            if self._room.take(action.step, action.attempt):
                self._begin(action)
        elif isinstance(action, LookUp):
            self._look_up(action.step)
        elif isinstance(action, Settle):
            self._settle(action)
        elif isinstance(action, Halt):
            host = self._hosts.running(action.step, action.attempt)
            if host is not None:
                host.send(Stop(step=action.step, attempt=action.attempt, grace=GRACE))
        elif self._done is not None and not self._done.done():
            self._done.set_result(action)

    def _begin(self, action: Begin) -> None:
        environment = self._state.steps[action.step].spec.environment
        host = self._hosts.get(environment)
        if host is None:
            self._hosts.need(environment, lambda found: self._begin_later(action, found))
        else:
            self._hand_over(action, host)

    def _begin_later(self, action: Begin, found: Host | Failure) -> None:
        if isinstance(found, Failure):
            self._room.free(action.step, action.attempt)
            self._state.refused(action.step, found)
        elif self._state.steps[action.step].running:
            self._hand_over(action, found)

    def _hand_over(self, action: Begin, host: Host) -> None:
        spec = self._state.steps[action.step].spec
        inputs = {name: cachekey.resolved(node, self._state.resolve) for name, node in spec.inputs.items()}
        digests = [
            leaf.digest for node in inputs.values() for leaf in walk(node) if isinstance(leaf, Artifact)
        ]
        self._hosts.assign(action.step, action.attempt, host)
        grant = self._room.of(action.step, action.attempt)
        # Sent first and recorded after: the host works meanwhile. It dies with this process, so that an attempt which
        # is on no record cannot outlive it.
        host.send(
            Start(
                run=self._spec.name,
                step=spec.name,
                attempt=action.attempt,
                task=spec.task,
                inputs=inputs,
                outputs=spec.outputs,
                cpu=spec.resources.cpu,
                memory=spec.resources.memory,
                timeout=spec.timeout,
                verified=tuple(digest for digest in digests if digest in self._fresh),
                lease=grant.lease,
                gpus=grant.gpus,
            )
        )
        self._journal.record(AttemptStarted(action.attempt, host.name), spec.name)

    def _start_driver(self) -> None:
        home = self._hosts.get(None)
        if home is None:
            self._hosts.need(None, self._start_driver_later)
            return
        attempt = self._state.driver.begin()
        self._hosts.assign(DRIVER, attempt, home)
        if attempt > 1:
            # It repeats what it logged and showed before: whoever reads the log takes that for the same.
            self._journal.record(AttemptStarted(attempt, home.name), DRIVER)
        home.send(
            Start(
                run=self._spec.name,
                step=DRIVER,
                attempt=attempt,
                task=self._spec.pipeline,
                inputs=dict(self._spec.parameters),
            )
        )

    def _start_driver_later(self, found: Host | Failure) -> None:
        if isinstance(found, Failure):
            self._state.driver.returned(found)
        else:
            self._start_driver()

    def _look_up(self, name: str) -> None:
        self._lookups.look_up(name, self._state, self._hosts.get(None))

    def _settle(self, action: Settle) -> None:
        if action.replayed:
            self._listener.kept(action.step)
        else:
            found = self._lookups.explain(action.step)
            upstream = action.failure is not None and action.failure.reason is Reason.UPSTREAM
            self._journal.record(
                StepEnded(
                    phase=action.phase,
                    outputs=action.outputs,
                    failure=action.failure,
                    # A key stands for a result that others may use, so only a success has one.
                    key=found.key if action.phase is Phase.SUCCEEDED else "",
                    parts=found.parts,
                    cached=bool(found.run),
                    why="" if upstream else found.why,
                    source_run=found.run,
                    source_step=found.step,
                ),
                action.step,
            )
        for question in self._questions.pop(action.step, ()):
            self._answer_step(question, action.step)

    def _answer_step(self, question: int, name: str) -> None:
        step = self._state.steps[name]
        if step.failure is not None:
            self._state.driver.delivered(name)
        answer = Answer(step=DRIVER, question=question, outputs=step.outputs, failure=step.failure)
        self._answer(answer, self._state.driver.attempt)

    def _answer(self, answer: Answer, attempt: int) -> None:
        host = self._hosts.running(answer.step, attempt)
        if host is not None:
            host.send(answer)

    def _child_said(self, said: Said) -> None:
        message = decode_from_child(bytes(said.message))
        if isinstance(message, Call):
            if self._state.is_new(message.spec):
                self._journal.record(StepCalled(message.spec), message.spec.name)
            elif message.spec.name not in self._state.steps:
                self._listener.recalled(message.spec)
            self._state.called(message.spec)
        elif isinstance(message, Await):
            if self._state.steps[message.step].phase.ended:
                self._answer_step(message.question, message.step)
            else:
                self._questions.setdefault(message.step, []).append(message.question)
        elif isinstance(message, Committed):
            self._committed(message.result)
        elif isinstance(message, Ask):
            self._answer(self._models.answer(said.step, message), said.attempt)
        elif isinstance(message, Metrics):
            self._journal.record(MetricsLogged(message.points), said.step)
        elif isinstance(message, Showed):
            self._journal.record(PictureShown(message.title, message.picture), said.step)
        elif isinstance(message, Returned):
            self._last_words[said.step, said.attempt] = message

    def _exited(self, message: Exited) -> None:
        self._stores.logs.close(self._spec.name, message.step, message.attempt)
        if not self._hosts.over(message.step, message.attempt):
            return
        words = self._last_words.pop((message.step, message.attempt), None)
        if message.step == DRIVER:
            self._driver_exited(message, words)
            return
        result = self._stores.results.read(self._spec.name, message.step, message.attempt)
        if result is None:
            failure = words.failure if words is not None else None
            failure = failure or failures.ended_without_record(message, self._state.steps[message.step].spec)
            result = StepResult(
                run=self._spec.name, step=message.step, attempt=message.attempt, failure=failure
            )
        self._attempt_ended(msgspec.structs.replace(result, usage=message.usage))

    def _committed(self, result: StepResult) -> None:
        """Count an attempt's end once its record is durable: its process has nothing left to do but to go away."""
        self._stores.logs.close(self._spec.name, result.step, result.attempt)
        if self._hosts.over(result.step, result.attempt):
            self._attempt_ended(result)

    def _attempt_ended(self, result: StepResult) -> None:
        if result.failure is None and self._state.steps[result.step].spec.task == REGISTER:
            content = self._stores.read(result.outputs[0])
            result = self._publisher.publish(result, content, self._state)
        # Given back before the state knows, so that what it begins next finds the room.
        self._room.free(result.step, result.attempt)
        self._fresh.update(output.digest for output in result.outputs if output.inline is None)
        self._journal.record(AttemptEnded(result.attempt, result), result.step)
        self._state.ended(result.step, result.attempt, result, self._clock.monotonic())

    def _driver_exited(self, message: Exited, words: Returned | None) -> None:
        again = self._state.driver.killed()
        if words is not None:
            self._result = words.result
            self._state.driver.returned(words.failure)
        elif self._state.cancelling:
            self._state.driver.returned(None)
        elif failures.killed_from_outside(message) and again:
            self._start_driver()
        else:
            self._state.driver.returned(failures.ended_without_record(message, None))

    def _lost(self, host: Host) -> None:
        lost = self._hosts.lose(host)
        if lost is None:
            return
        environment, attempts = lost
        if environment is None:
            for step in self._lookups.home_lost():
                self._look_up(step)
        driver = False
        for step, attempt in attempts:
            self._hosts.over(step, attempt)
            if step == DRIVER:
                driver = True
                continue
            # It may have left its record and not have come to say so.
            result = self._stores.results.read(self._spec.name, step, attempt)
            if result is None:
                failure = Failure(reason=Reason.HOST, message=f"its host was lost: {host.reason()}")
                result = StepResult(run=self._spec.name, step=step, attempt=attempt, failure=failure)
            self._attempt_ended(result)
        # A pipeline that had returned is not begun again: its steps get another host when they need one.
        if driver:
            if self._hosts.lost_too_many:
                self._state.driver.returned(Failure(reason=Reason.HOST, message="hosts were lost 10 times"))
            else:
                self._questions.clear()
                self._start_driver()

    def _give_up(self, error: BaseException) -> None:
        """End the run here with an error; what is on record can be resumed."""
        if self._done is not None and not self._done.done():
            self._journal.close()
            self._done.set_exception(error)
