"""The sessions of a run, which serve the code inside it: one for the function of a pipeline, one for a step."""

import math

import msgspec

from fairway import formats
from fairway.author import redaction
from fairway.runner.channel import Channel
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.errors import NotAllowed, NotFound, StepFailed
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import ModelVersion
from fairway.spec.run import Failure, MetricPoint, StepSpec
from fairway.spec.text import legible
from fairway.spec.wire import Answer, Call, Metrics, Showed


class StepSession:
    """The session inside a step. The code can log and show values and look up models, but it cannot start a step."""

    pipeline = False

    def __init__(self, channel: Channel, values: Values) -> None:
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

    def __init__(self, channel: Channel, values: Values) -> None:
        super().__init__(channel, values)
        self._calls: dict[str, int] = {}
        self._answers: dict[str, Answer] = {}

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Start a step and return at once. Its name counts the calls of the task, so that a replay finds the step again."""
        count = self._calls[spec.task] = self._calls.get(spec.task, 0) + 1
        name = spec.task if count == 1 else f"{spec.task}-{count}"
        inputs = {key: self._values.to_node(item) for key, item in arguments.items()}
        label = legible(redaction.live().text(spec.label))
        self._channel.send(Call(spec=msgspec.structs.replace(spec, name=name, inputs=inputs, label=label)))
        return RefData(name)

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


def step_failed(step: str, failure: Failure) -> StepFailed:
    """Return the exception that a failed step raises in the pipeline."""
    return StepFailed(
        f"{step}: {failure.message}", hint=failure.hint, step=failure.cause or step, details=failure.details
    )
