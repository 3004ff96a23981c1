"""One run, carried to its end: observations go into `plan.run`, its actions out to hosts, facts into the log.

Everything here happens on one event loop, in answer to one message at a time; nothing waits but for hosts. It knows hosts
and stores only as ports, and imports no user code.
"""

import asyncio
import time as wall
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import msgspec

from fairway import formats
from fairway.engine import failures
from fairway.engine.listening import Listener
from fairway.engine.references import References
from fairway.engine.room import Room
from fairway.plan import cachekey
from fairway.plan.gates import judge
from fairway.plan.provenance import made_here
from fairway.plan.run import Action, Begin, Conclude, Halt, LookUp, Recorded, RunState, Settle, decide
from fairway.ports import Clock, Executor, Host, LogStore, MetadataStore, ResultStore
from fairway.spec.artifact import Artifact, Node, RefData, walk
from fairway.spec.errors import FairwayError, GateRefused, HostLost, NotFound
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    Event,
    MetricsLogged,
    PictureShown,
    RunCancelling,
    RunEnded,
    RunResumed,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.run import Failure, Phase, Reason, RunSpec, StepResult, StepSpec
from fairway.spec.wire import (
    DRIVER,
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
    Quit,
    Returned,
    Said,
    Showed,
    Start,
    Stop,
    decode_from_child,
)

GRACE = 10.0
"""Seconds a cancelled attempt has to end by itself."""

_MAX_DRIVERS = 3
_MAX_HOSTS = 10
_BACKLOG = 256
"""Events that may wait while others are being written."""


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
        self._hosts: dict[EnvironmentSpec | None, Host] = {}
        self._starting: dict[EnvironmentSpec | None, list[Begin]] = {}
        self._environment_of: dict[str, EnvironmentSpec | None] = {}
        self._on: dict[tuple[str, int], Host] = {}
        self._said: dict[tuple[str, int], Returned] = {}
        self._waiting: dict[str, list[int]] = {}
        self._fresh: set[str] = set()
        self._keys: dict[str, tuple[str, dict[str, str], str]] = {}
        self._code = References()
        self._hits: dict[str, tuple[str, str]] = {}
        self._results: dict[str, StepResult] = {}
        self._versions: dict[str, ModelVersion] = {}
        self._unwritten: list[Event] = []
        self._writing: Future[int] | None = None
        self._driver_attempt = 0
        self._driver_deaths = 0
        self._driver_result: Node | None = None
        self._lost_hosts = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Future[Conclude] | None = None
        self._busy = False

    async def run(
        self, spec: RunSpec, project: ProjectSpec, home: Host, resumed: dict[str, Recorded] | None = None
    ) -> RunEnded:
        """Start (or with `resumed`, take up) the run and see it to its end; returns once that is durable.

        Raises:
            StorageError: the log cannot be written; what is on record can be resumed.
        """
        self._spec, self._project = spec, project
        self._state = RunState(self._executor.capacity(), resumed)
        self._room = Room(self._executor, self._state, self._listener, self._go_on)
        self._done = asyncio.get_running_loop().create_future()
        self._hosts[None] = home
        self._executor.enter(spec.name)
        try:
            return await self._work(spec, project, resumed)
        finally:
            self._room.close()

    async def _work(
        self, spec: RunSpec, project: ProjectSpec, resumed: dict[str, Recorded] | None
    ) -> RunEnded:
        assert self._done is not None
        self._record(RunStarted(spec) if resumed is None else RunResumed(project.source))
        self._start_driver()
        await self._begun()
        try:
            conclusion = await self._done
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for task in self._tasks:
                task.cancel()
        result = self._result() if conclusion.phase is Phase.SUCCEEDED else None
        ended = RunEnded(conclusion.phase, conclusion.failure, result)
        self._record(ended)
        if self._writing is not None:
            await asyncio.wrap_future(self._writing)
        await asyncio.wrap_future(self._write())
        for host in self._hosts.values():
            host.send(Quit())
        return ended

    async def _begun(self) -> None:
        """Nothing is decided before the run is on record; its pipeline may begin meanwhile."""
        self._busy = True
        try:
            await asyncio.wrap_future(self._write())
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
                for step in self._code.answered(message.digests):
                    self._look_up(step)
            elif isinstance(message, Log):
                self._stores.logs.append(
                    self._spec.name, message.step, message.attempt, message.time, message.data
                )
                self._listener.output(message.step, message.attempt, message.data)
            self._go_on()
        except Exception as error:
            self._give_up(error)

    def cancel(self, *, grace: float = GRACE) -> None:
        """Stop the run: running attempts get `grace` seconds, then they are ended. May be called again with less."""
        if self._done is None or self._done.done():
            return
        if not self._state.cancelling:
            self._record(RunCancelling())
            self._state.cancel()
        for (step, attempt), host in list(self._on.items()):
            host.send(Stop(step=step, attempt=attempt, grace=grace))
        self._go_on()

    def _go_on(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while actions := decide(self._state, self._clock.monotonic()):
                for action in actions:
                    self._perform(action)
        finally:
            self._busy = False
        self._room.wait()
        self._gathered()
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
            host = self._on.get((action.step, action.attempt))
            if host is not None:
                host.send(Stop(step=action.step, attempt=action.attempt, grace=GRACE))
        elif self._done is not None and not self._done.done():
            self._done.set_result(action)

    def _begin(self, action: Begin) -> None:
        spec = self._state.steps[action.step].spec
        host = self._hosts.get(spec.environment)
        if host is None:
            self._wait_for_host(spec.environment, action)
            return
        inputs = {name: cachekey.resolved(node, self._state.resolve) for name, node in spec.inputs.items()}
        digests = [
            leaf.digest for node in inputs.values() for leaf in walk(node) if isinstance(leaf, Artifact)
        ]
        self._on[action.step, action.attempt] = host
        grant = self._room.of(action.step, action.attempt)
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
        self._record(AttemptStarted(action.attempt, host.name), spec.name)

    def _wait_for_host(self, environment: EnvironmentSpec | None, action: Begin) -> None:
        queue = self._starting.get(environment)
        if queue is not None:
            queue.append(action)
            return
        self._starting[environment] = [action]
        task = asyncio.get_running_loop().create_task(self._start_host(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_host(self, environment: EnvironmentSpec | None) -> None:
        try:
            host = await self._new_host(environment)
        except FairwayError as error:
            reason = Reason.HOST if isinstance(error, HostLost) else Reason.ENVIRONMENT
            message, _, details = error.message.partition("\n")
            failure = Failure(reason=reason, message=message.rstrip(":"), hint=error.hint, details=details)
            for action in self._starting.pop(environment):
                if action.step == DRIVER:
                    self._state.returned(failure)
                else:
                    self._room.free(action.step, action.attempt)
                    self._state.refused(action.step, failure)
        else:
            self._hosts[environment] = host
            for action in self._starting.pop(environment):
                if action.step == DRIVER:
                    self._start_driver()
                elif self._state.steps[action.step].running:
                    self._begin(action)
        self._go_on()

    async def _new_host(self, environment: EnvironmentSpec | None) -> Host:
        """A host that is ready; one that is lost before is replaced, so often as hosts may be lost."""
        while True:
            try:
                return await self._executor.start(environment, self.hear)
            except HostLost:
                self._lost_hosts += 1
                if self._lost_hosts > _MAX_HOSTS:
                    raise

    def _start_driver(self) -> None:
        self._driver_attempt += 1
        home = self._hosts[None]
        self._on[DRIVER, self._driver_attempt] = home
        if self._driver_attempt > 1:
            # It repeats what it logged and showed before: whoever reads the log takes that for the same.
            self._record(AttemptStarted(self._driver_attempt, home.name), DRIVER)
        home.send(
            Start(
                run=self._spec.name,
                step=DRIVER,
                attempt=self._driver_attempt,
                task=self._spec.pipeline,
                inputs=dict(self._spec.parameters),
            )
        )

    def _look_up(self, name: str) -> None:
        spec, resolve = self._state.steps[name].spec, self._state.resolve
        home = self._hosts.get(None)
        referred = cachekey.referred(spec, resolve)
        if home is not None and self._code.wait(name, referred, home):
            return
        if why := cachekey.unknown(spec, resolve, self._code.digests):
            self._keys[name] = ("", {}, f"ran: {why}")
            self._state.looked_up(name, None)
            return
        environment = failures.environment_digest(spec.environment, self._project)
        parts = cachekey.parts(spec, environment, resolve, self._code.digests)
        key = cachekey.key(spec.task, parts)
        hit = self._stores.metadata.cached(key)
        if hit is not None and all(map(self._stores.holds, hit.outputs)):
            self._hits[name] = (hit.run, hit.step)
            self._keys[name] = (key, parts, f"same code, inputs and environment as in run {hit.run}")
            self._state.looked_up(name, hit.outputs)
            return
        if hit is not None:
            why = failures.lost(hit.run)
        else:
            before = self._stores.metadata.last_parts(self._spec.pipeline, spec.task, spec.label)
            why = cachekey.explain(before, parts, spec.label)
        self._keys[name] = (key, parts, f"ran: {why}")
        self._state.looked_up(name, None)

    def _settle(self, action: Settle) -> None:
        spec = self._state.steps[action.step].spec
        if action.replayed:
            self._listener.kept(spec.name)
        else:
            key, parts, why = self._keys.pop(action.step, ("", {}, "ran: its task has no cache"))
            source_run, source_step = self._hits.pop(action.step, ("", ""))
            self._record(
                StepEnded(
                    phase=action.phase,
                    outputs=action.outputs,
                    failure=action.failure,
                    key=key if action.phase is Phase.SUCCEEDED else "",
                    parts=parts,
                    cached=bool(source_run),
                    why=why if action.failure is None or action.failure.reason is not Reason.UPSTREAM else "",
                    source_run=source_run,
                    source_step=source_step,
                ),
                spec.name,
            )
        for question in self._waiting.pop(action.step, ()):
            self._answer_step(question, action.step)

    def _answer_step(self, question: int, name: str) -> None:
        step = self._state.steps[name]
        if step.failure is not None:
            self._state.delivered(name)
        self._answer(Answer(step=DRIVER, question=question, outputs=step.outputs, failure=step.failure))

    def _answer(self, answer: Answer) -> None:
        host = self._on.get((DRIVER, self._driver_attempt)) if answer.step == DRIVER else None
        for key, other in self._on.items():
            if host is None and key[0] == answer.step:
                host = other
        if host is not None:
            host.send(answer)

    def _child_said(self, said: Said) -> None:
        message = decode_from_child(bytes(said.message))
        if isinstance(message, Call):
            if self._state.is_new(message.spec):
                self._record(StepCalled(message.spec), message.spec.name)
            elif message.spec.name not in self._state.steps:
                self._listener.recalled(message.spec)
            self._state.called(message.spec)
        elif isinstance(message, Await):
            step = self._state.steps[message.step]
            if step.phase.ended:
                self._answer_step(message.question, message.step)
            else:
                self._waiting.setdefault(message.step, []).append(message.question)
        elif isinstance(message, Committed):
            self._committed(message.result)
        elif isinstance(message, Ask):
            self._answer(self._model(said.step, message))
        elif isinstance(message, Metrics):
            self._record(MetricsLogged(message.points), said.step)
        elif isinstance(message, Showed):
            self._record(PictureShown(message.title, message.picture), said.step)
        else:
            self._said[said.step, said.attempt] = message

    def _model(self, step: str, ask: Ask) -> Answer:
        try:
            version = self._versions.get(ask.model)
            if version is None:
                version = self._versions[ask.model] = self._stores.metadata.resolve(ask.model)
        except NotFound as error:
            failure = Failure(reason=Reason.USER, message=error.message, hint=error.hint)
            return Answer(step=step, question=ask.question, failure=failure)
        return Answer(step=step, question=ask.question, model=version, trusted=self._trusts(version))

    def _trusts(self, version: ModelVersion) -> bool:
        """Whether a run of this project made the model."""
        run = version.lineage.run
        return made_here(version, self._stores.metadata.events(run=run)) if run else False

    def _exited(self, message: Exited) -> None:
        key = (message.step, message.attempt)
        self._stores.logs.close(self._spec.name, message.step, message.attempt)
        if self._on.pop(key, None) is None:
            return
        words = self._said.pop(key, None)
        if message.step == DRIVER:
            self._driver_exited(message, words)
            return
        result = self._stores.results.read(self._spec.name, message.step, message.attempt)
        if result is None:
            spec = self._state.steps[message.step].spec
            failure = (
                words.failure
                if words is not None and words.failure
                else failures.ended_without_record(message, spec)
            )
            result = StepResult(
                run=self._spec.name, step=message.step, attempt=message.attempt, failure=failure
            )
        self._attempt_ended(msgspec.structs.replace(result, usage=message.usage))

    def _committed(self, result: StepResult) -> None:
        """An attempt's record is durable; its process has nothing left to say or do but to go away."""
        self._stores.logs.close(self._spec.name, result.step, result.attempt)
        if self._on.pop((result.step, result.attempt), None) is not None:
            self._attempt_ended(result)

    def _attempt_ended(self, result: StepResult) -> None:
        if result.failure is None and self._state.steps[result.step].spec.task == "register":
            result = self._publish(result)
        self._room.free(result.step, result.attempt)
        self._fresh.update(output.digest for output in result.outputs if output.inline is None)
        self._record(AttemptEnded(result.attempt, result), result.step)
        self._state.ended(result.step, result.attempt, result, self._clock.monotonic())

    def _publish(self, result: StepResult) -> StepResult:
        """Give a packaged model its version, if the gates let it."""
        content = self._stores.read(result.outputs[0])
        candidate = formats.decode("json", content)
        if not isinstance(candidate, Candidate):
            raise FairwayError(f"{result.step} left no candidate")
        spec = self._state.steps[result.step].spec
        lineage = self._lineage(spec)

        def verdict(rival: object) -> None:
            judge(candidate.name, candidate.gates, candidate.evaluation, rival)  # type: ignore[arg-type]

        try:
            version = self._stores.metadata.register(candidate, lineage, verdict, candidate.aliases)
        except FairwayError as error:
            reason = Reason.GATE if isinstance(error, GateRefused) else Reason.RESULT
            failure = Failure(reason=reason, message=error.message, hint=error.hint)
            return msgspec.structs.replace(result, outputs=(), failure=failure)
        note = failures.registered(version)
        return msgspec.structs.replace(result, outputs=(failures.inline_artifact(version, note),))

    def _lineage(self, spec: StepSpec) -> Lineage:
        model = spec.inputs["model"]
        producer = model.step if isinstance(model, RefData) else ""
        source = self._state.steps[producer].spec if producer else None
        data = {
            name: cachekey.digest_of(node, self._state.resolve)
            for name, node in (source.inputs if source else {}).items()
        }
        return Lineage(
            run=self._spec.name,
            step=spec.name,
            producer=producer,
            code=self._project.source,
            environment=self._project.environment,
            data=data,
            parameters=self._spec.shown,
        )

    def _driver_exited(self, message: Exited, words: Returned | None) -> None:
        self._driver_deaths += 1
        if words is not None:
            self._driver_result = words.result
            self._state.returned(words.failure)
        elif self._state.cancelling:
            self._state.returned(None)
        elif failures.killed_from_outside(message) and self._driver_deaths < _MAX_DRIVERS:
            self._start_driver()
        else:
            self._state.returned(failures.ended_without_record(message, None))

    def _lost(self, host: Host) -> None:
        environment = next((key for key, value in self._hosts.items() if value is host), None)
        if self._hosts.get(environment) is not host:
            return
        del self._hosts[environment]
        self._lost_hosts += 1
        if environment is None:
            # Steps that wait for this host's answer run uncached rather than wait for one that may never come.
            for step in self._code.lost():
                self._look_up(step)
        driver = False
        for step, attempt in [key for key, value in self._on.items() if value is host]:
            del self._on[step, attempt]
            if step == DRIVER:
                driver = True
                continue
            result = self._stores.results.read(self._spec.name, step, attempt)
            if result is None:
                failure = Failure(reason=Reason.HOST, message=f"its host was lost: {host.reason()}")
                result = StepResult(run=self._spec.name, step=step, attempt=attempt, failure=failure)
            self._attempt_ended(result)
        if driver:
            if self._lost_hosts > _MAX_HOSTS:
                self._state.returned(
                    Failure(reason=Reason.HOST, message=f"hosts were lost {_MAX_HOSTS} times")
                )
            else:
                self._waiting.clear()
                self._wait_for_host(environment, Begin(DRIVER, 0))

    def _result(self) -> Node | None:
        if self._driver_result is None:
            return None
        return cachekey.resolved(self._driver_result, self._state.resolve)

    def _record(self, body: Body, step: str = "") -> None:
        """Note a fact; all that follow from one message are written together."""
        event = Event(body=body, run=self._spec.name, step=step, time=wall.time())
        self._unwritten.append(event)
        self._listener.event(event)

    def _write(self) -> "Future[int]":
        events, self._unwritten = self._unwritten, []
        return self._stores.metadata.submit(events)

    def _write_on(self) -> None:
        """Write what there is, one batch at a time; the next one gathers meanwhile, and is bounded.

        Waiting for the disk here keeps the hosts waiting too. What they may do without the log, they go on doing.
        """
        if not self._unwritten or (self._done is not None and self._done.done()):
            return
        if self._writing is not None:
            if not self._writing.done() and len(self._unwritten) < _BACKLOG:
                return
            self._writing.result()
        self._writing = self._write()
        self._writing.add_done_callback(self._written)

    def _written(self, future: "Future[int]") -> None:
        """On the thread that writes: a fact that cannot be kept ends the run here; what is on record can be resumed."""
        if self._done is None:
            return
        error = future.exception()
        loop = self._done.get_loop()
        with suppress(RuntimeError):
            if error is not None:
                loop.call_soon_threadsafe(self._give_up, error)
            elif self._unwritten:
                loop.call_soon_threadsafe(self._gathered)

    def _gathered(self) -> None:
        try:
            self._write_on()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
