"""Runs, steps and attempts: their specifications and their observed states.

Most types are outside the garbage collector (`gc=False`), since they cannot be in a cycle. The collector would look at
them again and again while a run of ten thousand steps is read, and take longer than the reading.
"""

from enum import StrEnum

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources
from fairway.spec.source import GitState
from fairway.spec.trials import TrialAsked
from fairway.spec.webhook import Delivery


class Phase(StrEnum):
    """The phase of a run, step or attempt. The words are those of Kubernetes."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """True when the phase cannot change any more."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)

    @property
    def word(self) -> str:
        """The word for people, such as "running". A success is "done"."""
        return "done" if self is Phase.SUCCEEDED else self.value.lower()


class Reason(StrEnum):
    """The reason for the end of an attempt or step. Only `USER`, `TIMEOUT`, `OOM`, `DISK` and `CRASH` spend retries.

    The values are words that programs may rely on. `text` is for people. A reason that `is_loss` says nothing about the
    step: the attempt is repeated, and that spends no retry.
    """

    NONE = ""
    USER = "user"
    CRASH = "crash"
    OOM = "oom"
    TIMEOUT = "timeout"
    RESULT = "result"
    INPUT = "input"
    UPSTREAM = "upstream"
    CANCELLED = "cancelled"
    RESOURCES = "resources"
    ENVIRONMENT = "environment"
    GATE = "gate"
    HOST = "host"
    EVICTED = "evicted"
    PREEMPTED = "preempted"
    NODE = "node"
    UNPLACED = "unplaced"
    IMAGE = "image"
    UNSCHEDULABLE = "unschedulable"
    QUOTA = "quota"
    ADMISSION = "admission"
    DISK = "disk"
    GIVEN_UP = "dropped"

    @property
    def is_loss(self) -> bool:
        """True when the place of the attempt was lost, so that another attempt may do better."""
        return self in LOSSES

    @property
    def text(self) -> str:
        """The reason as a text for people."""
        return REASON_TEXTS[self]

    @classmethod
    def _missing_(cls, value: object) -> "Reason | None":
        # Logs and records of earlier versions hold the texts themselves. Every decoder calls this method for a value
        # that it does not know, so the texts are read here and nowhere else.
        return next((reason for reason, text in REASON_TEXTS.items() if text == value), None)


REASON_TEXTS = {
    Reason.NONE: "",
    Reason.USER: "the code raised an error",
    Reason.CRASH: "the process died",
    Reason.OOM: "out of memory",
    Reason.TIMEOUT: "timed out",
    Reason.RESULT: "the result could not be stored",
    Reason.INPUT: "an input could not be loaded",
    Reason.UPSTREAM: "a step it depends on did not succeed",
    Reason.CANCELLED: "cancelled",
    Reason.RESOURCES: "asks for more than this target has",
    Reason.ENVIRONMENT: "its environment could not be built",
    Reason.GATE: "a gate refused",
    Reason.HOST: "its host was lost",
    Reason.EVICTED: "its pod was evicted",
    Reason.PREEMPTED: "its pod had to make room for another one",
    Reason.NODE: "its node was lost",
    Reason.UNPLACED: "its pod waited for a node while the driver had room again",
    Reason.IMAGE: "its image could not be pulled",
    Reason.UNSCHEDULABLE: "no node has room for its pod",
    Reason.QUOTA: "the quota of the namespace leaves no room for its pod",
    Reason.ADMISSION: "the cluster refused its pod",
    Reason.DISK: "it wrote more to disk than it may",
    Reason.GIVEN_UP: "given up by the pipeline",
}
"""The text of each reason for people. Stores of earlier versions hold these texts: never change one."""

LOSSES = frozenset({Reason.HOST, Reason.EVICTED, Reason.PREEMPTED, Reason.NODE, Reason.UNPLACED})
"""The reasons that say something about the place of an attempt and nothing about the attempt."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A requested execution of a pipeline.

    Attributes:
        project: the absolute path of the project file. It is a label for people, and `resume` looks there first.
        module: the name under which the file is imported, such as "shop.flow". It is empty in runs that an earlier
            version began.
        code: the digest of the bundle of the project's source files. It is empty if there are none, as in a notebook.
        source: the digest of the project's source, in runs that an earlier version began. Later runs have `code`.
        parameters: the values by name, each an artifact.
        shown: the parameters for people, as typed.
        images: the images of the project's environments by their keys, on a target that runs images. The empty key is that of
            the project's own environment.
        bundle: the digest of the bundle in which the project came to this target. It is empty for a project that lies on
            the target's own disk.
        key: the key of the request that asked for the run. A request that is sent again has the same key.
        repeats: the step of an earlier run that this run repeats in place of its pipeline, with the inputs of then.
        git: the state of the project's repository, if it has one.
        packages: the list of the installed packages, of which `environment` is the digest.
        machine: the machine on which the project was imported, for people.
    """

    name: str
    pipeline: str
    project: str
    module: str = ""
    code: str = ""
    source: str = ""
    environment: str = ""
    parameters: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])
    shown: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    images: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    bundle: str = ""
    key: str = ""
    repeats: "Repeated | None" = None
    git: GitState | None = None
    packages: Artifact | None = None
    machine: str = ""


ONE_CORE = Resources()
"""The resources of a step whose task asks for none."""


class StepSpec(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A call of a task in a run.

    Attributes:
        name: the task's name and a count, such as "train-2". It is unique in its run, and the same in a replay.
        inputs: the arguments by parameter name.
        label: a text for people, such as "depth=2", that tells the step from other steps of the same task.
        code: the digests of all code that the result of a cached step depends on. They are named by part:
            "function train", "constant RATE".
        packages: the version of each installed package that a cached step can reach, by name. None when that is not known, so
            that every package of the environment counts.
        environment: the environment of the step. None is the project's own.
        isolated: True when each attempt gets a host of its own wherever the target can give it one.
    """

    name: str
    task: str
    inputs: dict[str, Node]
    label: str = ""
    outputs: int = 0
    resources: Resources = ONE_CORE
    retries: int = 0
    timeout: float = 0.0
    cache: bool = False
    code: dict[str, str] = {}
    packages: dict[str, str] | None = None
    environment: EnvironmentSpec | None = None
    isolated: bool = False


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an earlier run. `step` is its call as it was recorded, with values in place of references to other steps."""

    run: str
    step: StepSpec


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The resources that an attempt used: wall and CPU seconds, and its peak of resident memory in bytes.

    Attributes:
        storing: the part of the wall seconds, at their end, in which the outputs were stored. It is 0 where it is not known,
            as in records of earlier versions.
    """

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    storing: float = 0.0


class Failure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The failure of something that has no result. `details` is the user's own traceback, `cause` a step's name."""

    reason: Reason
    message: str
    hint: str = ""
    details: str = ""
    cause: str = ""


INTERRUPTED = Failure(reason=Reason.HOST, message="interrupted: the run's engine was lost")
"""The failure of an attempt whose end is in no log, because another engine went on with the run."""


class StepResult(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The record of an attempt. It is written exactly once, and it decides how the attempt ended.

    Attributes:
        outputs: one artifact, or one per element for an output that is declared as a tuple.
        failure: the failure when there are no outputs.
        shown: the pictures and tables that the step showed, by title.
        metrics: the metrics of the evaluations among the outputs, by name. Records of earlier versions have none.
    """

    run: str
    step: str
    attempt: int
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    usage: Usage = Usage()
    shown: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])
    metrics: dict[str, float] = msgspec.field(default_factory=dict[str, float])


class MetricPoint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A logged value. `index` is the `step=` of `fw.log`, or a count."""

    name: str
    value: float
    index: float = 0.0


class AttemptStatus(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The observed state of an attempt. Times are seconds since the epoch."""

    number: int
    phase: Phase = Phase.RUNNING
    started: float = 0.0
    ended: float = 0.0
    usage: Usage = Usage()
    failure: Failure | None = None


class StepStatus(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The observed state of a step.

    Attributes:
        called: the time of the call in seconds since the epoch; 0 if it is not known.
        why: the reason why it ran or did not.
        source_run: the run that a cached result is from.
    """

    spec: StepSpec
    called: float = 0.0
    phase: Phase = Phase.PENDING
    attempts: tuple[AttemptStatus, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    cached: bool = False
    why: str = ""
    source_run: str = ""
    metrics: tuple[MetricPoint, ...] = ()
    shown: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])


class RunListed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run in a list of any kind.

    Attributes:
        alive: True while an engine works on it. A Running run without an engine was interrupted.
        message: why it failed.
    """

    name: str
    pipeline: str
    phase: Phase
    started: float
    ended: float = 0.0
    steps: int = 0
    failed: int = 0
    alive: bool = False
    message: str = ""


class RunSummary(RunListed, frozen=True, kw_only=True, gc=False):
    """A run in a list of the newest. `failed_step` is the first step that failed."""

    failed_step: str = ""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The observed state of a run, with all steps in the order of their calls.

    Attributes:
        metrics: the values that the pipeline's own function logged. The values of a step are in its own state.
        shown: the pictures and tables that the pipeline's own function showed, by title.
        code: the digest of the bundle that the run works with: the first bundle, or that of the last `resume`.
        tags: the words that people have put on the run, sorted.
        note: the text that somebody has written on the run.
        trials: the trials that the searches of the run asked for, in order.
        deliveries: what became of the messages to webhooks about the ends of the run.
    """

    spec: RunSpec
    phase: Phase
    started: float
    ended: float = 0.0
    failure: Failure | None = None
    result: Node | None = None
    steps: tuple[StepStatus, ...] = ()
    models: tuple[str, ...] = ()
    metrics: tuple[MetricPoint, ...] = ()
    shown: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])
    code: str = ""
    alive: bool = False
    tags: tuple[str, ...] = ()
    note: str = ""
    trials: tuple[TrialAsked, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


class RunRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The request for a run.

    Attributes:
        file: the project file. It is empty for a notebook, whose pipeline is in `pickled`, and for a run that is
            resumed, whose file is on record.
        module: the name under which the file is imported. If it is empty, the place of the file gives the name.
        pipeline: the name of the pipeline. It may be empty if there is only one.
        texts: the parameters as typed.
        parameters: values that are stored already, instead of `texts`. `shown` holds them for people.
        config: a JSON or TOML file with parameters. `texts` win over it.
        resume: the name of a run to resume.
        folder: the folder that relative paths start from, when another process carries the run out.
        images: the images of the project's environments by their keys, on a target that runs images. The empty key is that of
            the project's own environment.
        bundle: the digest of the bundle that holds the project. `file` is then a path in the bundle. It is empty for a
            project that lies on the platform's own disk.
        key: a text that the sender draws for each run. The same request may be sent again after a broken connection, and
            the platform answers it with the run that it has begun.
        repeats: a step such as "k7m2/train-2", which the run repeats alone with its recorded inputs.
        git: the state of the project's repository, if it was looked at where the project came from.
        name: the name that the run gets. It is empty if any name will do. No second run gets it.
    """

    file: str = ""
    module: str = ""
    pickled: str = ""
    pipeline: str = ""
    texts: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])
    parameters: dict[str, Artifact] | None = None
    shown: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    config: str = ""
    resume: str = ""
    name: str = ""
    folder: str = ""
    images: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    bundle: str = ""
    key: str = ""
    repeats: str = ""
    git: GitState | None = None
