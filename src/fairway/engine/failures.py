"""What the end of a process means for the attempt that ran in it."""

import hashlib
import os
import signal

from fairway import formats
from fairway.plan.gates import beside
from fairway.spec.artifact import Artifact
from fairway.spec.model import ModelVersion
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import Failure, Reason, StepSpec, out_of_memory
from fairway.spec.wire import Exited

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


def ended_without_record(message: Exited, spec: StepSpec | None) -> Failure:
    """Why a process left no result, from how it ended."""
    task = spec.task if spec is not None else "the pipeline"
    peak = format_memory(message.usage.memory)
    if message.over_memory and spec is not None:
        return out_of_memory(message.usage.memory, spec.resources.memory)
    if message.timed_out and spec is not None:
        return Failure(
            reason=Reason.TIMEOUT,
            message=f"timed out after {format_duration(spec.timeout)}",
            hint="raise `timeout=` of the task, or make it faster",
        )
    if message.stopped:
        return Failure(reason=Reason.CANCELLED, message="cancelled")
    if os.WIFSIGNALED(message.status):
        number = os.WTERMSIG(message.status)
        name = signal.Signals(number).name
        if number == signal.SIGKILL:
            text, hint = (
                f"the process was killed (SIGKILL) at {peak} of memory",
                ("when the system ran out of memory, give the task `memory=` so that fewer run at once"),
            )
        elif number in _FAULTS:
            text, hint = (
                f"the process crashed ({name})",
                f"a native library failed inside {task}; its last output is in the log",
            )
        else:
            text, hint = f"the process was ended by {name}", ""
        return Failure(reason=Reason.CRASH, message=text, hint=hint)
    code = os.waitstatus_to_exitcode(message.status)
    return Failure(
        reason=Reason.CRASH,
        message=f"the process ended with status {code} before {task} returned",
        hint="look for `os._exit` or a library that ends the process",
    )


def killed_from_outside(message: Exited) -> bool:
    """Whether a process was killed by something other than its own code or us."""
    own = message.timed_out or message.over_memory or message.stopped
    return not own and os.WIFSIGNALED(message.status) and os.WTERMSIG(message.status) == signal.SIGKILL


def environment_digest(environment: EnvironmentSpec | None, project: ProjectSpec) -> str:
    """What stands for the installed packages in a cache key."""
    if environment is None:
        return project.environment
    text = "\n".join([environment.python or project.python, *environment.requirements])
    return hashlib.sha256(text.encode()).hexdigest()


def registered(version: ModelVersion) -> str:
    """A registration in a line: "churn version 4   accuracy 0.912 (at least 0.85)"."""
    evaluation, gates = version.evaluation, version.candidate.gates
    said = [f"{version.name} version {version.version}"]
    if evaluation is not None:
        low, high = gates.at_least, gates.at_most
        for metric in {**low, **high} or [evaluation.headline]:
            if metric in evaluation.metrics:
                value = evaluation.metrics[metric]
                said.append(beside(metric, value, at_least=low.get(metric), at_most=high.get(metric)))
    return "   ".join(said)


def inline_artifact(value: object, note: str = "") -> Artifact:
    """A plain value as an artifact that carries its content, however large."""
    encoded = formats.encode(value, allow_pickle=False)
    data = encoded.data or b""
    return Artifact(
        format=encoded.format,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind=encoded.kind,
        note=note or encoded.note,
        inline=data,
    )


def lost(run: str) -> str:
    """Why a step runs whose result is known, but not there."""
    return f"what it left in run {run} is damaged or no longer in the store"
