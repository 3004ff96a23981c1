"""The report of a run for a script or notebook: phase, result, steps and metrics, as text and as a page."""

import html
from collections.abc import Callable
from typing import Any

from fairway.engine.addresses import resolved
from fairway.engine.outcome import Ask, Load, Outcome
from fairway.engine.steps import Step, failed, last_values, log_of, not_over, value_of
from fairway.evaluation import evaluation_html
from fairway.spec.artifact import Artifact
from fairway.spec.errors import SerializationError, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import RunStatus, StepStatus
from fairway.spec.text import one_line

_SHORT = 40
_DRAWN = 8
"""Greatest number of steps, and of metrics and evaluations each, that a summary lists."""


class Run(Outcome[RunStatus]):
    """A finished run.

    Args:
        status: the run as the log has it.
        load: loads the value of a node, which may run code of this project.
        look: loads the value of an artifact without running anything; `load` when it is left out.
        ask: asks the platform of the run. Without it, there is no log and no source.
    """

    def __init__(
        self,
        status: RunStatus,
        load: Load,
        look: Callable[[Artifact], object] | None = None,
        ask: "Ask[Any] | None" = None,
    ) -> None:
        super().__init__(status, load, ask)
        self._look = look or load

    @property
    def result(self) -> object:
        """Value that the pipeline returned.

        Raises:
            StepFailed: the run failed. The error has the traceback of the user's code.
            Interrupted: the run was cancelled.
            NotFound: the run is not over.
        """
        if self.status.failure is not None:
            raise failed(f"run {self.name}", self.status, self.status.failure)
        if not self.status.phase.ended:
            raise not_over("the pipeline", self.status)
        if self.status.result is None:
            return None
        return self._load(resolved(self.status, self.status.result))

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters of the run by name."""
        return {name: self._load(one) for name, one in self.status.spec.parameters.items()}

    @property
    def steps(self) -> dict[str, Step]:
        """Every step by name, in the order of the calls: `.output`, `.inputs`, `.log`, `.metrics`."""
        return {step.spec.name: Step(self.status, step, self._load, self._ask) for step in self.status.steps}

    @property
    def log(self) -> str:
        """Lines that the steps and the pipeline printed."""
        return log_of(self._ask, self.name, "")

    @property
    def source(self) -> dict[str, str | None]:
        """Source files of the run by path; None for a file that is not kept. Raises NotFound."""
        if self._ask is None:
            raise UsageError(
                "the source of this run is not at hand", hint=f"`fairway show {self.name} --source`"
            )
        return self._ask(lambda platform: platform.code(self.name))

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that people put on the run."""
        return self.status.tags

    @property
    def note(self) -> str:
        """Text that somebody wrote on the run."""
        return self.status.note

    @property
    def metrics(self) -> dict[str, list[tuple[float, float]]]:
        """Logged values as (step, value) pairs, by "step/metric"; those of the pipeline's own function by "metric"."""
        found: dict[str, list[tuple[float, float]]] = {}
        for point in self.status.metrics:
            found.setdefault(point.name, []).append((point.index, point.value))
        for step in self.status.steps:
            for point in step.metrics:
                found.setdefault(f"{step.spec.name}/{point.name}", []).append((point.index, point.value))
        return found

    @property
    def shown(self) -> dict[str, object]:
        """Pictures and tables by "step/title"; those of the pipeline's own function by "title"."""
        found = {title: self._load(one) for title, one in self.status.shown.items()}
        for step in self.status.steps:
            found |= {f"{step.spec.name}/{title}": self._load(one) for title, one in step.shown.items()}
        return found

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """Evaluations that steps returned, by step."""
        found: dict[str, Evaluation] = {}
        for step in self.status.steps:
            for output in step.outputs:
                if output.kind.endswith("Evaluation"):
                    try:
                        value = self._look(output)
                    except SerializationError:
                        continue  # it could run code, and a summary prints it unasked
                    if isinstance(value, Evaluation):
                        found[step.spec.name] = value
        return found

    def output(self, step: str) -> object:
        """Return the value that a step returned. Raises KeyError when there is no such step, or it has no result."""
        outputs = self.steps[step].status.outputs
        if not outputs:
            raise KeyError(step)
        return value_of(outputs, self._load)

    def __repr__(self) -> str:
        spent = format_duration(max(0.0, self.status.ended - self.status.started))
        lines = [f"{self.status.spec.pipeline}  run {self.name}  {self.phase.lower()} in {spent}"]
        lines += [f"  {_title(step):<28} {_outcome(step)}" for step in self.status.steps[:_SHORT]]
        if len(self.status.steps) > _SHORT:
            lines.append(f"  … {len(self.status.steps) - _SHORT} more steps")
        last = last_values(self.status.metrics)
        lines += [f"  {name:<28} {number:.6g}" for name, number in list(last.items())[:_DRAWN]]
        lines += [f"  {name:<28} {evaluation!r}" for name, evaluation in self._some_evaluations()]
        lines += [f"  {model} is registered" for model in self.status.models]
        if self.status.failure is not None:
            lines.append(f"  {self.status.failure.message}")
        return "\n".join(map(one_line, lines))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(_title(step))}</td><td>{html.escape(_outcome(step))}</td>"
            f"<td>{html.escape(_cost(step))}</td></tr>"
            for step in self.status.steps[:200]
        )
        head = html.escape(f"{self.status.spec.pipeline} · run {self.name} · {self.phase.lower()}")
        note = html.escape(self.status.failure.message) if self.status.failure is not None else ""
        drawn = "".join(
            f"<h4>{html.escape(name)}</h4>{evaluation_html(evaluation)}"
            for name, evaluation in self._some_evaluations()
        )
        models = html.escape(", ".join(self.status.models))
        return f"<div><strong>{head}</strong><p>{note}{models}</p><table>{rows}</table>{drawn}</div>"

    def _some_evaluations(self) -> list[tuple[str, Evaluation]]:
        return list(self.evaluations.items())[:_DRAWN]


def _title(step: StepStatus) -> str:
    return f"{step.spec.name} {step.spec.label}".strip()


def _outcome(step: StepStatus) -> str:
    if step.failure is not None:
        return f"{step.phase.lower()}: {step.failure.message}"
    return "cached" if step.cached else step.phase.lower()


def _cost(step: StepStatus) -> str:
    if not step.attempts:
        return ""
    usage = step.attempts[-1].usage
    return f"{format_duration(usage.wall)}, {format_memory(usage.memory)}"
