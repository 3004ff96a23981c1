"""The facts that a platform appends to its log. The state tables are derived only from them."""

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.model import ModelVersion
from fairway.spec.run import Failure, MetricPoint, Phase, RunSpec, StepResult, StepSpec
from fairway.spec.schedule import Due, ScheduleSpec
from fairway.spec.trials import TrialAsked
from fairway.spec.webhook import Notice, Webhook


class RunStarted(msgspec.Struct, frozen=True, tag="run.started"):
    """The fact that an engine began a run."""

    spec: RunSpec


class RunResumed(msgspec.Struct, frozen=True, tag="run.resumed"):
    """The fact that an engine resumed a run that had been interrupted or had failed.

    Attributes:
        code: the digest of the bundle whose code the run works with from here on.
        running: the number of the attempt by step, for each step that had an attempt that was seen to run still.
    """

    code: str = ""
    running: dict[str, int] = {}


class RunCancelling(msgspec.Struct, frozen=True, tag="run.cancelling"):
    """The fact that somebody asked for the run to stop."""


class RunEnded(msgspec.Struct, frozen=True, tag="run.ended"):
    """The fact that the run is over."""

    phase: Phase
    failure: Failure | None = None
    result: Node | None = None


class StepCalled(msgspec.Struct, frozen=True, gc=False, tag="step.called"):
    """The fact that the pipeline called a task."""

    spec: StepSpec


class AttemptStarted(msgspec.Struct, frozen=True, gc=False, tag="attempt.started"):
    """The fact that an attempt of a step was sent to a host.

    If hosts outlive the engine, the fact is recorded before the attempt is sent.

    Attributes:
        host: the host. It is empty if the host was not known yet.
        place: the name of the place. It is empty in runs of earlier versions.
    """

    number: int
    host: str = ""
    place: str = ""


class AttemptEnded(msgspec.Struct, frozen=True, gc=False, tag="attempt.ended"):
    """The fact that an attempt of a step is over. `result` is its record, or a substitute when it left none."""

    number: int
    result: StepResult


class StepEnded(msgspec.Struct, frozen=True, gc=False, tag="step.ended"):
    """The fact that a step is over.

    Attributes:
        key: the cache key. It is empty when the task is not cached.
        parts: the digests that the key was made from, by part. They explain a miss.
        source_run: the run whose result was used, when it was cached.
    """

    phase: Phase
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    key: str = ""
    parts: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    cached: bool = False
    why: str = ""
    source_run: str = ""
    source_step: str = ""


class MetricsLogged(msgspec.Struct, frozen=True, gc=False, tag="metrics.logged"):
    """The fact that a step logged values, or the pipeline, whose step name is `DRIVER`."""

    points: tuple[MetricPoint, ...]


class PictureShown(msgspec.Struct, frozen=True, tag="picture.shown"):
    """The fact that the pipeline showed a picture or table. Those of a step are in the result of its attempt."""

    title: str
    picture: Artifact


class ModelRegistered(msgspec.Struct, frozen=True, tag="model.registered"):
    """The fact that a model version exists from here on."""

    version: ModelVersion


class AliasMoved(msgspec.Struct, frozen=True, tag="alias.moved"):
    """The fact that an alias names another version. Version 0 removes the alias."""

    model: str
    alias: str
    version: int


class RunTagged(msgspec.Struct, frozen=True, tag="run.tagged"):
    """The fact that somebody put a word on a run, or took it off."""

    tag: str
    present: bool = True


class RunNoted(msgspec.Struct, frozen=True, tag="run.noted"):
    """The fact that somebody wrote a text on a run. An empty text removes the earlier one."""

    note: str


class RunRemoved(msgspec.Struct, frozen=True, tag="run.removed"):
    """The fact that somebody removed a run. Its events stay in the log, and its content is not kept for it any more."""


class RunStopAsked(msgspec.Struct, frozen=True, tag="run.stop_asked"):
    """The fact that somebody asked for the stop of a run. Its engine records by itself when it begins to stop."""


class WebhookDue(msgspec.Struct, frozen=True, tag="webhook.due"):
    """The fact that webhooks have to be told of the end of a run. It is recorded together with that end."""

    notice: Notice
    hooks: tuple[str, ...]


class WebhookPosted(msgspec.Struct, frozen=True, tag="webhook.posted"):
    """The fact that a webhook was told of the end of a run, or that it could not be told.

    Attributes:
        notice: the identifier of the end.
        status: the HTTP status of the last answer; 0 without one.
        why: why the message was not taken. It is empty if it was.
    """

    notice: str
    hook: str
    delivered: bool
    status: int = 0
    tries: int = 0
    why: str = ""


MARKS = (RunTagged, RunNoted, RunRemoved, RunStopAsked)
"""The facts about a run that come from people and not from its engine, so they may come after its end."""

NOTICES = (WebhookDue, WebhookPosted)
"""The facts about messages to webhooks. Their outcome comes after the end of the run."""


class WebhookSet(msgspec.Struct, frozen=True, tag="webhook.set"):
    """The fact that somebody set a webhook. The log holds neither its whole address nor its key."""

    webhook: Webhook


class WebhookRemoved(msgspec.Struct, frozen=True, tag="webhook.removed"):
    """The fact that somebody removed a webhook."""

    name: str


class VersionRemoved(msgspec.Struct, frozen=True, tag="version.removed"):
    """The fact that somebody removed a version of a model. Its number is not given again."""

    model: str
    version: int


class ScheduleSet(msgspec.Struct, frozen=True, tag="schedule.set"):
    """The fact that somebody wants a run again and again. It replaces an earlier schedule of the same name."""

    schedule: ScheduleSpec


class ScheduleRemoved(msgspec.Struct, frozen=True, tag="schedule.removed"):
    """The fact that a schedule holds no longer. The runs that it started go on."""

    name: str


class ScheduleDue(msgspec.Struct, frozen=True, tag="schedule.due"):
    """The fact that a due time of a schedule was decided on."""

    name: str
    due: Due


class RevisionCreated(msgspec.Struct, frozen=True, tag="revision.created", omit_defaults=True):
    """The fact that a revision of an endpoint exists. It does not answer yet.

    Attributes:
        address: the address of the endpoint. Only logs of earlier versions hold it here.
    """

    revision: RevisionSpec
    address: str = ""


class EndpointPointed(msgspec.Struct, frozen=True, tag="endpoint.pointed"):
    """The fact that a revision should answer for an endpoint. The number 0 removes the endpoint.

    Attributes:
        address: the address of the endpoint from now on. It is empty when the address stays.
    """

    endpoint: str
    number: int
    reason: str = ""
    address: str = ""


class StoreCleaned(msgspec.Struct, frozen=True, tag="store.cleaned"):
    """The fact that somebody removed content that nothing referred to."""

    blobs: int
    size: int


class TokenGiven(msgspec.Struct, frozen=True, tag="token.given"):
    """The fact that somebody gave a person a token. The log holds nothing that could stand in for the token."""

    name: str
    role: str


class TokenTaken(msgspec.Struct, frozen=True, tag="token.taken"):
    """The fact that somebody took a token away."""

    name: str


Body = (
    RunStarted
    | RunResumed
    | RunCancelling
    | RunEnded
    | StepCalled
    | AttemptStarted
    | AttemptEnded
    | StepEnded
    | MetricsLogged
    | PictureShown
    | TrialAsked
    | ModelRegistered
    | AliasMoved
    | RunTagged
    | RunNoted
    | RunRemoved
    | RunStopAsked
    | WebhookDue
    | WebhookPosted
    | WebhookSet
    | WebhookRemoved
    | VersionRemoved
    | ScheduleSet
    | ScheduleRemoved
    | ScheduleDue
    | RevisionCreated
    | EndpointPointed
    | StoreCleaned
    | TokenGiven
    | TokenTaken
)


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fact with its place in the log.

    Attributes:
        seq: the place in the log, from 1 without gaps. It is 0 before the fact is appended.
        time: the time of the recording in seconds since the epoch. It is for people and never decides an order.
        who: the name of the person who caused the fact. It is empty in logs of earlier versions.
    """

    body: Body
    run: str = ""
    step: str = ""
    time: float = 0.0
    seq: int = 0
    who: str = ""
