"""A step of a run for a script or notebook: its output, inputs, log and metrics, each read when it is asked for."""

from typing import Any

from fairway.engine import addresses
from fairway.engine.frames import frame
from fairway.engine.outcome import Ask, Load, Outcome
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.errors import Interrupted, NotFound, StepFailed, UsageError
from fairway.spec.run import AttemptStatus, Failure, MetricPoint, Phase, RunStatus, StepSpec, StepStatus
from fairway.spec.text import one_line


class Step(Outcome[StepStatus]):
    """A step of a run.

    Args:
        run: the status of the run.
        status: the status of the step.
        load: loads the value of a node, which may run code of this project.
        ask: asks the platform of the run; None without one, and then there is no log.
    """

    def __init__(self, run: RunStatus, status: StepStatus, load: Load, ask: "Ask[Any] | None") -> None:
        super().__init__(status, load, ask)
        self._run = run

    @property
    def spec(self) -> StepSpec:
        """Specification of the step: task, inputs, resources."""
        return self.status.spec

    @property
    def label(self) -> str:
        """A text that tells it from other steps of its task, such as "depth=2"."""
        return self.status.spec.label

    @property
    def cached(self) -> bool:
        """True if its result is that of an earlier run."""
        return self.status.cached

    @property
    def why(self) -> str:
        """Reason why it ran or did not."""
        return self.status.why

    @property
    def attempts(self) -> tuple[AttemptStatus, ...]:
        """Its attempts, with the time and memory that each used."""
        return self.status.attempts

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """Artifacts that it returned, as they are stored."""
        return self.status.outputs

    @property
    def failure(self) -> Failure | None:
        """Failure of the step; None without one."""
        return self.status.failure

    @property
    def output(self) -> object:
        """The value that it returned, or a tuple of several.

        Raises:
            StepFailed: it failed. The error has the traceback of its code.
        """
        if self.status.failure is not None:
            raise failed(f"step {self.name} of run {self._run.spec.name}", self._run, self.status.failure)
        if not self.status.outputs:
            raise not_over(f"step {self.name}", self._run)
        return value_of(self.status.outputs, self._load)

    @property
    def inputs(self) -> dict[str, object]:
        """The values of its arguments by name. Raises NotFound if one was never made."""
        return {
            name: self._load(addresses.resolved(self._run, node))
            for name, node in self.status.spec.inputs.items()
        }

    @property
    def log(self) -> str:
        """Lines that its attempts printed."""
        return log_of(self._ask, self._run.spec.name, self.name)

    @property
    def metrics(self) -> Any:
        """The values that it logged, as a frame with the columns `name`, `step` and `value`."""
        return curve(self.status.metrics)

    @property
    def shown(self) -> dict[str, object]:
        """The pictures and tables that it showed, by title."""
        return {title: self._load(one) for title, one in self.status.shown.items()}

    def __repr__(self) -> str:
        word = "cached" if self.cached else self.phase.lower()
        last = last_values(self.status.metrics)
        metrics = "  ".join(f"{name}={value:.6g}" for name, value in list(last.items())[:4])
        why = self.status.failure.message if self.status.failure is not None else ""
        return one_line(
            "  ".join(part for part in (f"step {self.name}", word, self.label, metrics, why) if part)
        )


def value_of(outputs: tuple[Artifact, ...], load: Load) -> object:
    """Load the value that a step returned, or the tuple of several values."""
    loaded = [load(output) for output in outputs]
    return loaded[0] if len(loaded) == 1 else tuple(loaded)


def last_values(points: tuple[MetricPoint, ...]) -> dict[str, float]:
    """Return the last value of each metric by name."""
    return {point.name: point.value for point in points}


def curve(points: tuple[MetricPoint, ...]) -> Any:
    """Return logged values as a frame."""
    return frame(
        {
            "name": [point.name for point in points],
            "step": [point.index for point in points],
            "value": [point.value for point in points],
        }
    )


def log_of(ask: "Ask[Any] | None", run: str, step: str) -> str:
    """Return what a step printed, or the whole run for an empty name. Raises UsageError without a platform to ask."""
    if ask is None:
        raise UsageError("the log of this run is not at hand", hint=f"`fairway logs {run}`")

    async def read(platform: Platform) -> str:
        lines: list[str] = []
        for name, attempt in (await platform.outputs(run)).attempts:
            if step and name != step:
                continue
            offset = 0
            while (page := await platform.logs(run, name, attempt, offset)).offset != offset:
                lines += [line.text for line in page.lines]
                offset = page.offset
        return "".join(f"{line}\n" for line in lines)

    return ask(read)


def failed(what: str, run: RunStatus, failure: Failure) -> StepFailed | Interrupted:
    """Return the error for a value that was asked for and never made, with the traceback of the user's code."""
    name = run.spec.name
    if run.phase is Phase.CANCELLED and failure.message.startswith("cancelled"):
        return Interrupted(f"{what} was cancelled", hint=f"`fairway resume {name}` goes on with it")
    error = StepFailed(
        f"{what} failed: {failure.message}",
        hint=failure.hint or f"`fairway why {name}` says more",
        step=failure.cause,
        details=failure.details,
    )
    if failure.details:
        error.add_note(f"The error in the run:\n\n{failure.details}")
    return error


def not_over(what: str, run: RunStatus) -> NotFound:
    """Return the error for a value that there is not yet, or never will be."""
    name = run.spec.name
    return NotFound(
        f"{what} of run {name} has no result yet", hint=f"`fairway follow {name}` waits for its end"
    )
