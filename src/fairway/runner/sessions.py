"""The sessions of a run, which serve the code inside it: one for the function of a pipeline, one for a step.

The driver of a run that repeats one recorded step calls the task of that step here, in place of the pipeline's function.
"""

import math

import msgspec

from fairway import formats
from fairway.author import redaction
from fairway.author.task import Task
from fairway.runner.channel import Line
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.errors import NotAllowed, NotFound, StepFailed
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, MetricPoint, StepSpec
from fairway.spec.text import legible
from fairway.spec.trials import TrialAsked
from fairway.spec.wire import REGISTER, Answer, Call, GiveUp, Happened, Metrics, Showed


class StepSession:
    """The session inside a step. The code can log and show values and look up models, but it cannot start a step."""

    pipeline = False

    def __init__(self, channel: Line, values: Values) -> None:
        self.shown: dict[str, Artifact] = {}
        self._channel = channel
        self._values = values
        self._counts: dict[str, int] = {}

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Raise StepFailed, because a step starts no step. A call of a task inside a step runs its function instead."""
        raise StepFailed(f"{spec.task} cannot be started inside a step")

    def wait(self, ref: RefData) -> object:
        """Raise StepFailed, because the code of a step gets values in place of refs."""
        raise StepFailed(f"{ref.step} is not known inside a step")

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """Return the version that a reference means in this run, and a function that loads it. Raises NotFound, NotAllowed."""
        answer = self._channel.ask_model(reference)
        version = answer.model
        if version is None:
            failure = answer.failure
            raise NotFound(
                failure.message if failure else f"no model {reference!r}",
                hint=failure.hint if failure else "",
            )
        artifact = version.candidate.artifact
        if not answer.trusted and artifact.format in formats.CODE_FORMATS:
            raise NotAllowed(
                f"{version} was made by no run of this project, and content of format {artifact.format} can run code",
                hint="register it in a run of this project, or register its ONNX form",
            )
        return version, lambda: self._values.load(artifact, trusted=answer.trusted)

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Send metric values. A value without a step gets a running count."""
        numbered: list[MetricPoint] = []
        for named in points:
            point = msgspec.structs.replace(named, name=legible(redaction.live().text(named.name)))
            count = self._counts[point.name] = self._counts.get(point.name, -1) + 1
            numbered.append(
                msgspec.structs.replace(point, index=float(count)) if math.isnan(point.index) else point
            )
        self._channel.send(Metrics(points=tuple(numbered)))

    def show(self, title: str, value: object) -> None:
        """Store a picture or table under a title. A second one with the same title gets a number."""
        self._keep(title, value)

    def _keep(self, title: str, value: object) -> str:
        title = legible(redaction.live().text(title))
        name, count = title, 2
        while name in self.shown:
            name, count = f"{title} {count}", count + 1
        self.shown[name] = self._values.save(_picture(value))
        return name


def _picture(value: object) -> object:
    """Return the form in which a shown object is stored: its drawing, which needs no class to be viewed, if it has one."""
    if formats.is_figure(value):
        return formats.figure_svg(value).decode()
    draw = getattr(value, "_repr_svg_", None)
    text = draw() if callable(draw) and not isinstance(value, Evaluation) else None
    return text if isinstance(text, str) else value


class DriverSession(StepSession):
    """The session of a pipeline's function, in which a call of a task starts a step."""

    pipeline = True

    def __init__(self, channel: Line, values: Values) -> None:
        super().__init__(channel, values)
        self._calls: dict[str, int] = {}
        self._answers: dict[str, Answer] = {}
        self._searches: dict[str, int] = {}

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Start a step and return at once. Its name counts the calls of the task, so that a replay finds the step again."""
        count = self._calls[spec.task] = self._calls.get(spec.task, 0) + 1
        name = spec.task if count == 1 else f"{spec.task}-{count}"
        inputs = {key: self._values.to_node(item) for key, item in arguments.items()}
        label = legible(redaction.live().text(spec.label))
        self._channel.send(Call(spec=msgspec.structs.replace(spec, name=name, inputs=inputs, label=label)))
        return RefData(name)

    def repeat(self, spec: StepSpec) -> None:
        """Start a step whose name and stored inputs are known, and return at once."""
        self._channel.send(Call(spec=spec))

    def show(self, title: str, value: object) -> None:
        """Store a picture or table with the run. It is sent at once, because a pipeline leaves no record of its own."""
        name = self._keep(title, value)
        self._channel.send(Showed(title=name, picture=self.shown[name]))

    def wait(self, ref: RefData) -> object:
        """Wait for a step and return the value of its output. Raises StepFailed."""
        answer = self._answers.get(ref.step)
        if answer is None:
            answer = self._answers[ref.step] = self._channel.wait_for(ref.step)
        if answer.failure is not None:
            raise step_failed(ref.step, answer.failure)
        if ref.item >= 0:
            return self._values.load(answer.outputs[ref.item])
        loaded = [self._values.load(output) for output in answer.outputs]
        return loaded[0] if len(loaded) == 1 else tuple(loaded)

    def cancel(self, steps: tuple[str, ...], why: str) -> None:
        """End steps whose results are not needed any more. A step that is over keeps its result."""
        self._channel.send(GiveUp(steps=steps, why=why))

    def search(self, name: str) -> tuple[str, tuple[TrialAsked, ...]]:
        """Begin a search. Its name counts the searches of this name, so that a replay finds its trials again."""
        count = self._searches[name] = self._searches.get(name, 0) + 1
        unique = name if count == 1 else f"{name}-{count}"
        return unique, self._channel.recall(unique).trials

    def ask(self, trial: TrialAsked) -> None:
        """Put a trial on record. Its steps are started after this, so no step of a trial exists without it."""
        self._channel.send(trial)

    def watch(self, steps: tuple[str, ...]) -> tuple[Happened, ...]:
        """Follow further steps, and wait for news. The outcome of a step that is over needs no further question."""
        happened = self._channel.watch(steps).happened
        for one in happened:
            if one.ended:
                self._answers[one.step] = Answer(
                    step=one.step, question=0, outputs=one.outputs, failure=one.failure
                )
        return happened


def step_failed(step: str, failure: Failure) -> StepFailed:
    """Return the exception that a failed step raises in the pipeline."""
    return StepFailed(
        f"{step}: {failure.message}", hint=failure.hint, step=failure.cause or step, details=failure.details
    )


def repeat_step(recorded: StepSpec, driver: DriverSession, task: "Task[..., object] | None") -> Node:
    """Start the step again and return the node of its result.

    Args:
        recorded: the call as it was recorded.
        driver: the session that starts the step.
        task: the present task of that name; None if the project has none.

    Raises:
        StepFailed: the task is gone, or it does not take the recorded inputs any more.
    """
    spec = recorded
    if recorded.task != REGISTER:
        if task is None:
            raise StepFailed(
                f"the project has no task {recorded.task!r} any more",
                hint="a step is repeated with the present code: bring the task back under its name",
            )
        _check_inputs(recorded, task)
        spec = _present(recorded, task)
    # One attempt: a person who asks for it wants to see how it ends.
    driver.repeat(msgspec.structs.replace(spec, cache=False, retries=0))
    if not spec.outputs:
        return RefData(spec.name)
    return Group(container="tuple", items=tuple(RefData(spec.name, index) for index in range(spec.outputs)))


def _present(recorded: StepSpec, task: "Task[..., object]") -> StepSpec:
    """Return the recorded call with the settings that the task has now.

    A setting that only the call had, by `.options(…)`, stays as it was.
    """
    now = task.step(recorded.label)
    return msgspec.structs.replace(
        now,
        name=recorded.name,
        inputs=recorded.inputs,
        resources=now.resources if now.resources != Resources() else recorded.resources,
        timeout=now.timeout or recorded.timeout,
        environment=now.environment or recorded.environment,
        isolated=now.isolated or recorded.isolated,
    )


def _check_inputs(recorded: StepSpec, task: "Task[..., object]") -> None:
    """Raise StepFailed if the function of the task does not take the recorded inputs."""
    known = task.signature.parameters
    gone = [name for name in recorded.inputs if name not in known]
    new = [
        name
        for name, one in known.items()
        if name not in recorded.inputs
        and one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if gone or new:
        what = f"no parameter {gone[0]!r}" if gone else f"a new parameter {new[0]!r} without a default"
        raise StepFailed(
            f"{recorded.task} has {what}, so it cannot be called with the inputs of then",
            hint="give it the parameters of then, or run the pipeline again",
        )
