"""Runs, steps and attempts: what is wanted of them and what was observed."""

from enum import StrEnum

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources


class Phase(StrEnum):
    """Where a run, step or attempt is in its life; the words are those of Kubernetes."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing further can happen."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


class Reason(StrEnum):
    """Why an attempt or step ended as it did. Only `USER`, `TIMEOUT`, `OOM` and `CRASH` spend retries.

    The values are words that programs may rely on; `text` is for people.
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

    @property
    def text(self) -> str:
        """The reason as people read it."""
        return REASON_TEXTS[self]

    @classmethod
    def _missing_(cls, value: object) -> "Reason | None":
        # Logs and records of earlier versions hold the texts themselves. Every decoder asks here for a value that it
        # does not know, so this is the one place where they are read.
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
}
"""What each reason is called where people read it. Stores of earlier versions hold these texts: never change one."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a pipeline, as asked for.

    Attributes:
        project: path of the project file, absolute: a label for people, and where `resume` looks for it first.
        module: name under which the file is imported, such as "shop.flow"; empty in runs that an earlier version began.
        code: digest of the bundle of the project's source files; empty where there are none, as in a notebook.
        source: digest of the project's source, in runs that an earlier version began; `code` says it since.
        parameters: values by name, each an artifact.
        shown: the same for people, as typed.
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


ONE_CORE = Resources()
"""What a step needs whose task asks for nothing."""


class StepSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a task in a run.

    Attributes:
        name: unique in its run and the same in a replay: the task's name and a count, "train-2".
        inputs: arguments by parameter name.
        label: what tells it from its siblings, for people: "depth=2".
        code: for a cached step, digests of all code its result depends on, by part: "function train", "constant RATE".
        environment: None is the project's own.
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
    environment: EnvironmentSpec | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt took: wall and CPU seconds, and its peak of resident memory in bytes."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why something ended without a result. `details` is the user's own traceback; `cause` a step's name."""

    reason: Reason
    message: str
    hint: str = ""
    details: str = ""
    cause: str = ""


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt leaves behind, written once and only once: the record that decides what happened.

    Attributes:
        outputs: one artifact, or one per element for an output declared as a tuple.
        failure: set when there are no outputs.
        shown: pictures and tables the step showed, by title.
    """

    run: str
    step: str
    attempt: int
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    usage: Usage = Usage()
    shown: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One logged value. `index` is the `step=` of `fw.log`, or a count."""

    name: str
    value: float
    index: float = 0.0


class AttemptStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a step as observed. Times are seconds since the epoch."""

    number: int
    phase: Phase = Phase.RUNNING
    started: float = 0.0
    ended: float = 0.0
    usage: Usage = Usage()
    failure: Failure | None = None


class StepStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A step as observed. `why` says why it ran or did not; `source_run` names the run a cached result is from."""

    spec: StepSpec
    phase: Phase = Phase.PENDING
    attempts: tuple[AttemptStatus, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    cached: bool = False
    why: str = ""
    source_run: str = ""
    metrics: tuple[MetricPoint, ...] = ()
    shown: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list. `alive` is whether an engine is at work on it; a Running run without one was interrupted."""

    name: str
    pipeline: str
    phase: Phase
    started: float
    ended: float = 0.0
    steps: int = 0
    failed: int = 0
    alive: bool = False
    message: str = ""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A run as observed, with every step in the order of its calls.

    Attributes:
        metrics: what the pipeline's own function logged; that of steps is with them.
        shown: pictures and tables that it showed, by title.
        code: digest of the bundle that the run works with: the first one, or that of the last `resume`.
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


class RunRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A run that somebody asked for.

    Attributes:
        file: the project file; empty for one from a notebook, whose pipeline is in `pickled`, and for a run that is
            taken up again, whose file is on record.
        module: name under which the file is imported; found from its place when empty.
        pipeline: which pipeline; the only one when empty.
        texts: typed parameters.
        parameters: values that are stored already, instead of `texts`; `shown` is the same for people.
        config: JSON or TOML file with parameters; `texts` win over it.
        resume: name of a run to take up again.
        folder: where the run works, when another process carries it out: relative paths are meant from there.
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
    folder: str = ""
