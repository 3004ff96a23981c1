"""Failures of attempts and hosts in words: all such texts of an engine are in this module.

A host reports how a process ended, as `Ended`. This module words what that means for the run. `runner.failures` words
the exceptions of the user's code, and `plan.failures` words the failures that only decisions know.
"""

import msgspec

from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.places import CannotPlace
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import Failure, Reason, StepResult, StepSpec, Usage
from fairway.spec.wire import Cause, Ended

_FAULTS = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}
"""Signals that a process gets for its own faults."""

_KILLED = "SIGKILL"


def without_record(ended: Ended, usage: Usage, spec: StepSpec | None) -> Failure:
    """Explain why a process left no record; `spec` is None for the pipeline's own process."""
    task = spec.task if spec is not None else "the pipeline"
    if ended.cause is Cause.MEMORY and spec is not None:
        return out_of_memory(usage.memory, spec.resources.memory)
    if ended.cause is Cause.TIMEOUT and spec is not None:
        return Failure(
            reason=Reason.TIMEOUT,
            message=f"{Reason.TIMEOUT.text} after {format_duration(spec.timeout)}",
            hint="raise `timeout=` of the task, or make it faster",
        )
    if ended.cause is Cause.STOP:
        return Failure(reason=Reason.CANCELLED, message=Reason.CANCELLED.text)
    if ended.signal == _KILLED:
        return Failure(
            reason=Reason.CRASH,
            message=f"the process was killed ({_KILLED}) at {format_memory(usage.memory)} of memory",
            hint=f"when the system ran {Reason.OOM.text}, give the task `memory=` so that fewer run at once",
        )
    if ended.signal in _FAULTS:
        return Failure(
            reason=Reason.CRASH,
            message=f"the process crashed ({ended.signal})",
            hint=f"a native library failed inside {task}; its last output is in the log",
        )
    if ended.signal:
        return Failure(reason=Reason.CRASH, message=f"the process was ended by {ended.signal}")
    return Failure(
        reason=Reason.CRASH,
        message=f"the process ended with status {ended.code} before {task} returned",
        hint="look for `os._exit` or a library that ends the process",
    )


def killed_from_outside(ended: Ended) -> bool:
    """Tell whether a process was killed by something other than its own code or its host."""
    return ended.cause is Cause.NONE and ended.signal == _KILLED


def out_of_memory(peak: int, limit: int) -> Failure:
    """Report that the processes of an attempt together used more bytes than they may."""
    return Failure(
        reason=Reason.OOM,
        message=f"{Reason.OOM.text}: it used {_mebibytes(peak)} MiB and {_limited(limit)}",
        hint=f'give it more: `@fw.task(memory="{_mebibytes(peak * 3 // 2)}Mi")`',
    )


def in_words(result: StepResult, spec: StepSpec) -> StepResult:
    """Add the text to a record whose process knew only the reason, such as its own use of memory over the limit."""
    if result.failure is None or result.failure.message:
        return result
    if result.failure.reason is Reason.OOM:
        failure = out_of_memory(result.usage.memory, spec.resources.memory)
    else:
        failure = msgspec.structs.replace(result.failure, message=result.failure.reason.text)
    return msgspec.structs.replace(result, failure=failure)


def no_host(error: FairwayError) -> Failure:
    """Explain why no host could be started."""
    if isinstance(error, CannotPlace):
        return error.failure
    reason = Reason.HOST if isinstance(error, HostLost) else Reason.ENVIRONMENT
    message, _, details = error.message.partition("\n")
    return Failure(reason=reason, message=message.rstrip(":"), hint=error.hint, details=details)


def too_many_lost(count: int) -> Failure:
    """Report that a run lost more hosts than it may."""
    return Failure(reason=Reason.HOST, message=f"hosts were lost {count} times")


def nothing_to_return(step: str, failure: Failure | None) -> Failure:
    """Report that the pipeline returned the result of a step that has none."""
    why = failure.message if failure is not None else "it has no result"
    return Failure(
        reason=Reason.UPSTREAM,
        message=f"the pipeline returned the result of {step}, which has none: {why}",
        hint="return the result of a step that succeeded",
        cause=step,
    )


def cancelled() -> Failure:
    """Report that an attempt was cancelled before it began."""
    return Failure(reason=Reason.CANCELLED, message=Reason.CANCELLED.text)


def _limited(limit: int) -> str:
    return f"its limit is {_mebibytes(limit)} MiB" if limit else "its place has no more"


def _mebibytes(count: int) -> int:
    return max(1, -(-count // 2**20))
