"""The status of a run, computed from its events in order. Commands, pages and resume all use this one function.

Pure: knows events and statuses, and no database.
"""

from collections.abc import Iterable

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    Event,
    MetricsLogged,
    ModelRegistered,
    PictureShown,
    RunEnded,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunTagged,
    StepCalled,
    StepEnded,
    WebhookDue,
    WebhookPosted,
)
from fairway.spec.run import (
    INTERRUPTED,
    AttemptStatus,
    Failure,
    MetricPoint,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    StepSpec,
    StepStatus,
)
from fairway.spec.trials import TrialAsked
from fairway.spec.webhook import Delivery
from fairway.spec.wire import DRIVER

_OF_STEPS = frozenset({AttemptStarted, AttemptEnded, StepEnded, MetricsLogged})
"""The events of steps, which the function of the pipeline has as well."""


class _Step:
    __slots__ = ("attempts", "called", "ended", "metrics", "phase", "shown", "spec")

    def __init__(self, spec: StepSpec, called: float) -> None:
        self.spec = spec
        self.called = called
        self.phase = Phase.PENDING
        self.attempts: dict[int, AttemptStatus] = {}
        self.ended: StepEnded | None = None
        self.metrics: list[MetricPoint] = []
        self.shown: dict[str, Artifact] = {}

    def status(self) -> StepStatus:
        ended = self.ended
        return StepStatus(
            spec=self.spec,
            called=self.called,
            phase=self.phase,
            attempts=tuple(self.attempts.values()),
            outputs=ended.outputs if ended is not None else (),
            failure=ended.failure if ended is not None else None,
            cached=ended.cached if ended is not None else False,
            why=ended.why if ended is not None else "",
            source_run=ended.source_run if ended is not None else "",
            metrics=tuple(self.metrics),
            shown=self.shown,
        )


class RunFold:
    """The status of a run, updated event by event."""

    def __init__(self) -> None:
        self._spec: RunSpec | None = None
        self._phase = Phase.RUNNING
        self._started = 0.0
        self._code = ""
        self._ended = 0.0
        self._failure: Failure | None = None
        self._result: Node | None = None
        self._steps: dict[str, _Step] = {}
        self._models: list[str] = []
        self._metrics: dict[str, list[MetricPoint]] = {}
        self._repeated: set[str] = set()
        self._shown: dict[str, Artifact] = {}
        self._trials: dict[tuple[str, int], TrialAsked] = {}
        self._tags: set[str] = set()
        self._note = ""
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Update the status with further events."""
        for event in events:
            self.fold(event.body, event.step, event.time)

    def fold(self, body: Body, step: str, time: float) -> None:
        """Update the status with a further event: its body, its step and its time."""
        # Most events of a long run are of its steps, so these are told apart first, and by one look at their type.
        if type(body) in _OF_STEPS:
            known = self._steps.get(step)
            if known is not None:
                self._step_event(known, body, time)
            elif step == DRIVER:
                self._pipeline_event(body)
        elif isinstance(body, StepCalled):
            self._called(step, body.spec, time)
        else:
            self._run_event(body, step, time)

    def _run_event(self, body: Body, step: str, time: float) -> None:
        if isinstance(body, RunStarted):
            self._spec, self._started, self._code = body.spec, time, body.spec.code
        elif isinstance(body, RunResumed):
            self._resume(time, body.running)
            self._code = body.code or self._code
        elif isinstance(body, RunEnded):
            self._phase, self._ended = body.phase, time
            self._failure, self._result = body.failure, body.result
        elif isinstance(body, ModelRegistered):
            self._models.append(f"{body.version.name}:{body.version.version}")
        elif isinstance(body, RunTagged | RunNoted | RunRemoved):
            self._marked(body)
        elif isinstance(body, WebhookDue | WebhookPosted):
            self._deliver(body, time)
        elif step == DRIVER and step not in self._steps:
            self._pipeline_event(body)

    def status(self) -> RunStatus | None:
        """Return the status of the run; None before its first event."""
        if self._spec is None:
            return None
        return RunStatus(
            spec=self._spec,
            phase=self._phase,
            started=self._started,
            ended=self._ended,
            failure=self._failure,
            result=self._result,
            steps=tuple(step.status() for step in self._steps.values()),
            models=tuple(self._models),
            metrics=tuple(point for points in self._metrics.values() for point in points),
            shown=dict(self._shown),
            trials=tuple(self._trials.values()),
            code=self._code,
            tags=tuple(sorted(self._tags)),
            note=self._note,
            deliveries=tuple(self._deliveries.values()),
        )

    def _marked(self, body: RunTagged | RunNoted | RunRemoved) -> None:
        """Update the status with what a person did to the run."""
        if isinstance(body, RunNoted):
            self._note = body.note
        elif isinstance(body, RunRemoved):
            self.__init__()  # pyright: ignore[reportUnknownMemberType]
        elif body.present:
            self._tags.add(body.tag)
        else:
            self._tags.discard(body.tag)

    def _deliver(self, body: WebhookDue | WebhookPosted, time: float) -> None:
        """Update the status with a message to webhooks, or with its outcome."""
        if isinstance(body, WebhookDue):
            id = body.notice.id
            self._deliveries |= {(id, hook): Delivery(hook=hook, notice=id) for hook in body.hooks}
            return
        self._deliveries[body.notice, body.hook] = Delivery(
            hook=body.hook,
            notice=body.notice,
            time=time,
            delivered=body.delivered,
            status=body.status,
            tries=body.tries,
            why=body.why,
        )

    def _pipeline_event(self, body: Body) -> None:
        """Update the status with an event of the pipeline's own function.

        The function runs again after a resume, and after its process was lost. A metric or picture of the new call replaces
        the earlier one of the same name. One that the new call did not reach stays.
        """
        if isinstance(body, AttemptStarted):
            self._repeated = set(self._metrics)
        elif isinstance(body, PictureShown):
            self._shown[body.title] = body.picture
        elif isinstance(body, TrialAsked):
            self._trials[body.search, body.number] = body
        elif isinstance(body, MetricsLogged):
            for point in body.points:
                if point.name in self._repeated:
                    self._repeated.discard(point.name)
                    self._metrics[point.name] = []
                self._metrics.setdefault(point.name, []).append(point)

    def _called(self, name: str, spec: StepSpec, time: float) -> None:
        step = self._steps.get(name)
        if step is None:
            self._steps[name] = _Step(spec, time)
        else:
            step.spec, step.called, step.phase, step.ended = spec, time, Phase.PENDING, None

    def _resume(self, time: float, running: dict[str, int]) -> None:
        self._phase, self._ended, self._failure, self._result = Phase.RUNNING, 0.0, None, None
        self._repeated = set(self._metrics)
        for name, step in self._steps.items():
            if step.phase is not Phase.RUNNING:
                continue
            if name not in running:
                step.phase = Phase.PENDING
            for number, attempt in step.attempts.items():
                if attempt.phase is Phase.RUNNING and number != running.get(name):
                    step.attempts[number] = msgspec.structs.replace(
                        attempt, phase=Phase.FAILED, ended=time, failure=INTERRUPTED
                    )

    def _step_event(self, step: _Step, body: Body, time: float) -> None:
        if isinstance(body, AttemptStarted):
            step.phase, step.ended = Phase.RUNNING, None
            step.attempts[body.number] = AttemptStatus(number=body.number, started=time)
        elif isinstance(body, AttemptEnded):
            failure = body.result.failure
            begun = step.attempts.get(body.number)
            step.shown = body.result.shown
            step.attempts[body.number] = AttemptStatus(
                number=body.number,
                phase=_phase_of(failure),
                started=begun.started if begun is not None else time,
                ended=time,
                usage=body.result.usage,
                failure=failure,
            )
        elif isinstance(body, StepEnded):
            step.phase, step.ended = body.phase, body
        elif isinstance(body, MetricsLogged):
            step.metrics += body.points


def _phase_of(failure: Failure | None) -> Phase:
    if failure is None:
        return Phase.SUCCEEDED
    return Phase.CANCELLED if failure.reason is Reason.CANCELLED else Phase.FAILED
