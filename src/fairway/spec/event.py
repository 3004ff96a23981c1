"""The facts a platform appends to its log. State tables are derived from these and nothing else."""

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.model import ModelVersion
from fairway.spec.run import Failure, MetricPoint, Phase, RunSpec, StepResult, StepSpec


class RunStarted(msgspec.Struct, frozen=True, tag="run.started"):
    """An engine began a run."""

    spec: RunSpec


class RunResumed(msgspec.Struct, frozen=True, tag="run.resumed"):
    """An engine took up a run that had been interrupted or had failed, with the code of that bundle.

    Attributes:
        running: for each step of which an attempt was seen to run still, the attempt's number.
    """

    code: str = ""
    running: dict[str, int] = {}


class RunCancelling(msgspec.Struct, frozen=True, tag="run.cancelling"):
    """Somebody asked for the run to stop."""


class RunEnded(msgspec.Struct, frozen=True, tag="run.ended"):
    """The run is over."""

    phase: Phase
    failure: Failure | None = None
    result: Node | None = None


class StepCalled(msgspec.Struct, frozen=True, tag="step.called"):
    """The pipeline called a task."""

    spec: StepSpec


class AttemptStarted(msgspec.Struct, frozen=True, tag="attempt.started"):
    """One try of a step was handed to a host, or is about to be where hosts outlive the engine.

    Attributes:
        host: empty where the host was not known yet.
        place: empty in runs of earlier versions.
    """

    number: int
    host: str = ""
    place: str = ""


class AttemptEnded(msgspec.Struct, frozen=True, tag="attempt.ended"):
    """One try of a step is over; `result` is what it left, or what stands for it when it left nothing."""

    number: int
    result: StepResult


class StepEnded(msgspec.Struct, frozen=True, tag="step.ended"):
    """A step is over.

    Attributes:
        key: cache key, empty when the task is not cached.
        parts: what the key was made from, by part, so that a miss can be explained.
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


class MetricsLogged(msgspec.Struct, frozen=True, tag="metrics.logged"):
    """A step or, under the name `DRIVER`, the pipeline logged values."""

    points: tuple[MetricPoint, ...]


class PictureShown(msgspec.Struct, frozen=True, tag="picture.shown"):
    """The pipeline showed a picture or table. What a step shows is in the result of its attempt."""

    title: str
    picture: Artifact


class ModelRegistered(msgspec.Struct, frozen=True, tag="model.registered"):
    """A model version exists from here on."""

    version: ModelVersion


class AliasMoved(msgspec.Struct, frozen=True, tag="alias.moved"):
    """An alias names another version; version 0 removes it."""

    model: str
    alias: str
    version: int


class RevisionCreated(msgspec.Struct, frozen=True, tag="revision.created", omit_defaults=True):
    """A revision of an endpoint exists; it does not answer yet.

    Attributes:
        address: where the endpoint is; only logs of earlier versions say it here.
    """

    revision: RevisionSpec
    address: str = ""


class EndpointPointed(msgspec.Struct, frozen=True, tag="endpoint.pointed"):
    """The endpoint should be answered by that revision; 0 takes the endpoint away.

    Attributes:
        address: where it is answered from now on; empty when that stays.
    """

    endpoint: str
    number: int
    reason: str = ""
    address: str = ""


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
    | ModelRegistered
    | AliasMoved
    | RevisionCreated
    | EndpointPointed
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One appended fact.

    Attributes:
        seq: place in the log, from 1 without gaps; 0 before it is appended.
        time: seconds since the epoch when it was recorded; for people, never for order.
        who: user name and program that caused it.
    """

    body: Body
    run: str = ""
    step: str = ""
    time: float = 0.0
    seq: int = 0
    who: str = ""
